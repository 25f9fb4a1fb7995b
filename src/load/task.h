/*-------------------------------------------------------------------------
 *
 * task.h
 *		One load in a run, its outcome, and what the loads of a run share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_TASK_H
#define DEPIPE_LOAD_TASK_H

#include "catalog/loads.h"
#include "catalog/runs.h"
#include "core/identity.h"
#include "delta/delta.h"
#include "load/projection.h"
#include "load/source.h"

typedef struct LoadTask LoadTask;

/*
 * The tasks of a session.  The deltas of a batch, and everything else for one
 * batch, live in the memory context of the batch.  Its serial number shows
 * whether a pointer into that context is still valid.
 *
 * The last four fields describe the current work: an error is attributed to
 * that task, and its message is made from them.
 */
typedef struct TaskSet
{
	MemoryContext context; /* of the session; tasks live in it */
	MemoryContext batch;
	MemoryContext row; /* of one change, or one row of a copy */
	uint64 serial;     /* serial number of the batch, from 1; 0: no batch yet */
	bool quiet;        /* a run of the scheduler: it waits briefly for locks, and counts failures */
	bool following;    /* the stream has no stop: a run covers the batches of a minute */
	bool by_hand;      /* waiting deltas are tried now, on request */
	bool more;         /* parked deltas wait for their next bite: waiting.c */
	XLogRecPtr batch_end; /* see deliver() */
	List *tasks;
	LoadTask *current;
	bool projecting;          /* an expression of the current task is evaluated */
	struct RowReader *reader; /* names the column that is read */
	const char *reading;      /* the column that was read when the batch failed */
} TaskSet;

/* One load of the server in this run. */
struct LoadTask
{
	TaskSet *set;
	Load *load;
	Target *target; /* load->target */

	/* its part in the run */
	Run *run;     /* NULL until there is something to report */
	bool asked;   /* named by the caller: its run is always finished */
	bool stopped; /* takes no changes in this run */
	bool paused;  /* by hand: its changes are parked */
	char *pause_reason;
	bool ownerless; /* it cannot run as its owner: paused */

	/* its source and its columns: examine.c, layout.c */
	SourceTable *source;    /* NULL: there is none */
	List *key;              /* names; NIL: a bag */
	List *columns;          /* names of the columns of the target that it owns */
	List *source_names;     /* names of the columns of the source that it reads */
	Projection *projection; /* NULL: columns as they are */
	List *settled;          /* the settled meaning of its texts, in the form of load_state */

	/* a problem that session_record() will record */
	char *problem; /* NULL: none */
	char *problem_hint;
	LoadState problem_state;
	int problem_sqlstate;

	/* the batch: take.c, deliver.c */
	Delta *delta;   /* NULL: no change yet */
	bool locked;    /* by another session: the changes of the batch are parked */
	bool attempted; /* given to publish in this run */
	bool published; /* something was, in this run */
	bool blocked;   /* not published, because of its gate or breaker */
	bool rest;      /* a part of its park was published, or could be; the rest waits */
	bool counted;   /* the failure of this batch, or copy */

	/* waits after failures */
	TimestampTz retry_at; /* its changes are parked until this time; 0: no wait */
	int failures;         /* in a row */
	char *retry_reason;

	/* what its stream rests on: basis.c */
	char *published_as;         /* the entries of the publication for its table; NULL: not known */
	List *seen_leaves;          /* the partitions of its source at the last look */
	bool leaves_seen;           /* there was a look */
	TransactionId truncated_by; /* the transaction of its last TRUNCATE; 0: none */

	/* a run that covers several batches: runs.c */
	MemoryContext run_context;
	bool touched; /* the batch is one of the run's */
	bool folded;  /* the row includes earlier batches, as in before */
	Run before;
};

/* Begin an empty set, in the memory context of the session. */
extern void task_set_begin(TaskSet *set, MemoryContext context, bool quiet);

/* Add a task for a load; it lives in the memory context of the session. */
extern LoadTask *task_add(TaskSet *set, Load *load);

/* The task of a target; NULL if there is none. */
extern LoadTask *task_find(const TaskSet *set, int32 target_id);

/* Hold the task while it cannot run as its owner. */
extern void task_look_at_owner(LoadTask *task);

/* End the batch: reset its memory context. */
extern void task_end_batch(TaskSet *set);

/* The run of a task, created if it has none. Stops the task if its load was dropped. */
extern Run *task_run(LoadTask *task);

/* A copy of a text (or NULL) that lives as long as the run of the task. */
extern char *task_keep(const LoadTask *task, const char *text);

/* Stop a task in this run, with a state, its reason and the statement to run next. */
extern void task_stop(LoadTask *task, LoadState state, int sqlstate, const char *reason,
					  const char *hint);

/* The same, where only a resync helps; the SQLSTATE is 55000. */
extern void task_stop_for_resync(LoadTask *task, const char *reason);

/* Record an error of the work of a task; its state stays. */
extern void task_fail(LoadTask *task, ErrorData *error);

/*
 * Set a problem found before anything may be written here: the task is stopped,
 * and session_record() writes the reason.
 */
extern void task_set_problem(LoadTask *task, LoadState state, int sqlstate, const char *problem,
							 const char *hint);

/* The same, where only a resync helps; the SQLSTATE is 55000. */
extern void task_set_lost(LoadTask *task, const char *problem);

/* Write the problem of the task: its state, and its run if that is visible. */
extern void task_record_problem(LoadTask *task);

/*
 * For the runs of the scheduler, which are frequent: a table that failed, or
 * whose batch or copy was rejected, is not tried again before a wait that
 * doubles; a published one is.  Other runs try at once.
 */
extern void task_count_failure(LoadTask *task, const char *reason);
extern void task_count_success(LoadTask *task);

/*
 * The maximum wait for a table that another session has locked, in
 * milliseconds; 0: no limit, in a run started by hand.
 */
extern int task_lock_timeout(const TaskSet *set);

/* Begin and end work with SPI as the owner of the target. */
extern void task_become_owner(const LoadTask *task, Identity *identity);
extern void task_restore(const Identity *identity);

/* In between: execute a utility statement; the memory context does not change. */
extern void task_execute(const char *sql);

/* "SELECT depipe.resync('raw.orders');" */
extern char *task_resync_hint(const LoadTask *task);

/*
 * The error, with a new message if the original could contain a value of a row.
 * Ends the current work.
 */
extern ErrorData *task_without_values(TaskSet *set, ErrorData *error);

#endif /* DEPIPE_LOAD_TASK_H */
