/*-------------------------------------------------------------------------
 *
 * session.h
 *		One run of a server's loads: the source, the stream, the tasks.
 *
 * A session lives across the commits of a procedure.  What is done to one
 * table is done inside guarded_run(), so that an error concerns that table
 * only; task->failing remembers whose turn it is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_SESSION_H
#define DEPIPE_LOAD_SESSION_H

#include "delta/delta.h"
#include "catalog/runs.h"
#include "catalog/instance.h"
#include "load/connection.h"
#include "load/projection.h"
#include "load/source.h"
#include "storage/lock.h"

/* Transactions of the source are waited for so long before they are looked at; then longer. */
#define FIRST_WAIT_MS 1000
#define LONGEST_WAIT_MS (10 * 60 * 1000)

/* How a run of the loads of a server behaves. */
typedef struct LoadRefreshOptions
{
	bool commit; /* a procedure in non-atomic context: commit each batch, confirm after it */
	bool wait;   /* wait for another run that holds the stream, else 'skipped' */
	/*
	 * A run that has no row yet gets one only when something happens to its
	 * load; otherwise it ends as RUN_NOTHING, and nothing is written.
	 */
	bool quiet;
	TimestampTz deadline;   /* with commit: read no further batch after it; 0: none */
	bool *server_failed;    /* NULL, or set when the source could not be read at all */
	bool copied_beside;     /* new tables are left to load_copy_beside() */
	bool (*must_end)(void); /* NULL, or asked between batches: read no further one */
} LoadRefreshOptions;

/* One load of the server in this run. */
typedef struct LoadTask
{
	Load *load;
	Target *target; /* load->target */
	Run *run;       /* NULL until there is something to say */
	bool asked;     /* named by the caller: its run is always finished */
	bool stopped;   /* takes no changes in this run */
	bool paused;    /* by hand: its changes are parked */
	char *pause_reason;
	bool ownerless;         /* it cannot be run as its owner: paused */
	SourceTable *source;    /* NULL: there is none */
	List *key;              /* names; NIL: a bag */
	List *columns;          /* names of the target's columns that it owns */
	List *source_names;     /* names of the source's columns that it reads */
	Projection *projection; /* NULL: columns as they are */
	List *settled;          /* what its texts mean, as load_state keeps it */
	Delta *delta;           /* of the batch; NULL: no change yet */
	bool published;         /* something was, in this run */
	bool blocked;           /* not published by its gate or breaker */
	bool locked;            /* by another session: what the batch brings is parked */
	bool attempted;         /* given to publish in this run */
	char *problem;          /* why it is stopped, found but not yet recorded */
	char *problem_hint;
	LoadState problem_state;
	int problem_sqlstate;
	TimestampTz retry_at; /* after a failure: its changes are parked until then; 0: none */
	int failures;         /* of them in a row */
	char *retry_reason;
	char *published_as;         /* basis.c: how the publication has its table; NULL: not known */
	List *seen_leaves;          /* the partitions of its source when they were looked at last */
	bool leaves_seen;           /* they were */
	TransactionId truncated_by; /* the transaction of its last TRUNCATE that came; 0: none */
	bool counted;               /* the failure of this batch, or copy */
	/* in a stream that goes on, where a run covers the batches of a minute (runs.c) */
	MemoryContext run_context;
	bool touched; /* the batch is one of the run's */
	bool folded;  /* the row has batches before this one, as in before */
	Run before;
} LoadTask;

typedef struct LoadSession
{
	MemoryContext context; /* of the session */
	MemoryContext batch;   /* of one batch */
	MemoryContext row;     /* of one change */
	MemoryContext turn;    /* of what is done between two commits */
	const LoadRefreshOptions *options;
	char *server_name;
	Instance *instance;   /* NULL until prepared */
	char *foreign;        /* why the stream recorded here belongs to another database */
	SourceServer *server; /* NULL: not connected */
	Connection *control;
	Connection *streaming; /* NULL: not started */
	char *system_identifier;
	int timeline;
	TimestampTz source_started; /* the source's postmaster */
	bool same_cluster;          /* the source is a database of this cluster */
	Stream *stream;             /* NULL until there is a slot */
	bool made_stream;           /* by this run, not recorded yet */
	bool publication_changed;   /* by this run */
	MemoryContext leaves;       /* of the tasks' seen_leaves; NULL: none yet */
	XLogRecPtr leaves_position; /* where the stream must be to judge them */
	char *lost;                 /* why the stream cannot go on */
	List *tasks;
	uint64 serial;               /* of the batch: what was made for another one is gone */
	XLogRecPtr stop;             /* read the stream up to here */
	TimestampTz stop_time;       /* the source's clock when it was there */
	bool exact;                  /* stop before the first transaction at or after stop */
	bool following;              /* there is no stop: a batch ends when nothing more is there */
	bool at_stop;                /* the last batch reached it */
	bool advanced;               /* the last batch moved the recorded position */
	TimestampTz recorded_at;     /* when it was moved; 0: long ago */
	TimestampTz all_recorded_at; /* when that was recorded for tables without a change, too */
	bool by_hand;                /* what waits is tried now, as somebody asks for it */
	bool delivered;              /* something of this batch was delivered already */
	bool overtaken;              /* another run has the stream now */
	bool binary;                 /* values are sent in binary form */
	LoadTask *current;           /* whose work is being done, to attribute an error */
	bool copying;                /* rows that are read count as progress of a copy */
	bool projecting;             /* an expression of the current task is evaluated */
	struct RowReader *reader;    /* what is being read, to name the column in it */
	const char *reading;         /* column that was read when the batch failed; in turn */
	struct StreamState *state;
	bool beside;      /* it copies beside the stream: it has a slot of its own, but no lock */
	bool making_slot; /* of the stream: that is what failed */
	int slot_wait_ms; /* for transactions of the source; 0: as long as it takes */
	char *unwanted;   /* why the copy was given up */
} LoadSession;

/* Hold the task while it cannot be run as its owner; texts go into the context. */
extern void task_look_at_owner(LoadTask *task, MemoryContext context);

/*
 * Make a session with a task for each load of the server.  Writes nothing.
 * session_end() closes connections and frees everything.
 */
extern LoadSession *session_begin(const char *server_name, const LoadRefreshOptions *options);
extern void session_end(LoadSession *session);

/* A session without tasks, and a task for a load (NULL when there is none): for beside.c. */
extern LoadSession *session_begin_empty(const char *server_name, const LoadRefreshOptions *options);
extern LoadTask *session_add_task(LoadSession *session, int32 target_id);

/*
 * Connect beside a session that follows the stream: writes nothing there.
 * Returns why that cannot be now, or NULL.
 */
extern char *session_prepare_beside(LoadSession *session);

/* Sets the task's problem to why it cannot be loaded, when its source has been described. */
extern void session_find_problem(LoadTask *task);

/*
 * Is each source table whose changes are awaited still there, published, and
 * of the columns that it had?  That it is dropped, or made again, or that the
 * length of a column changes, is not in the stream.
 */
extern bool session_tables_are_there(LoadSession *session);

/*
 * Connect, look at the source and its tables, make publication and slot where
 * they are missing, check that the stream goes on where it ended.  Raises what
 * concerns the whole server; tables that cannot go on are stopped.  Writes
 * nothing; session_record() does, for what was found.
 */
extern void session_prepare(LoadSession *session);
extern void session_record(LoadSession *session);

/* Look at the source tables of tasks through a connection (again): source, key, columns. */
extern void session_describe(LoadSession *session, List *tasks, Connection *connection);

/* Is there a slot to read from? */
extern bool session_has_stream(const LoadSession *session);

/* A copy of a text (or NULL) that lives as long as the task's run. */
extern char *session_keep(const LoadTask *task, const char *text);

/*
 * Commit and go on (in a procedure).  Another run may take the stream in
 * between: then session->overtaken is set, and this one must end.
 */
extern void session_commit(LoadSession *session);

/* The error with the message made anew when it could carry a value of a row. */
extern ErrorData *session_without_values(LoadSession *session, ErrorData *error);

/* The run of a task, made when it has none; stops the task if its load was dropped. */
extern Run *session_run(LoadSession *session, LoadTask *task);

/* Stop a task in this run, with a state, its reason and what to type. */
extern void session_stop_task(LoadSession *session, LoadTask *task, LoadState state, int sqlstate,
							  const char *reason, const char *hint);

/* Record an error of a task's own work; its state stays. */
extern void session_task_error(LoadSession *session, LoadTask *task, ErrorData *error);

/*
 * For the scheduler's runs, of which there may be one every moment: a table
 * that failed, or whose batch or copy was rejected, is not tried again before a
 * wait that doubles; one that was published is.  Others try at once.
 */
extern void session_failed(LoadSession *session, LoadTask *task, const char *reason);
extern void session_succeeded(LoadTask *task);

/*
 * How long to wait for a table that somebody has locked, in milliseconds; 0: as
 * long as it takes, for who calls by hand.  A scheduler's run has other tables.
 */
extern int session_lock_timeout(const LoadSession *session);

/* "SELECT depipe.resync('raw.orders');" */
extern char *session_resync_hint(const LoadTask *task);

/*
 * Raise 55000 when a slot cannot be made now: on this same cluster, in a
 * transaction that has written, the source would wait for us for ever.
 */
extern void session_check_slot_possible(const LoadSession *session);

#endif /* DEPIPE_LOAD_SESSION_H */
