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
#include "load/load.h"
#include "load/projection.h"
#include "load/source.h"
#include "storage/lock.h"

/* Transactions of the source are waited for so long before they are looked at; then longer. */
#define FIRST_WAIT_MS 1000
#define LONGEST_WAIT_MS (10 * 60 * 1000)

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
	/* of a session that copies beside the stream: it has a slot of its own, but no lock */
	const LoadCopier *copier; /* NULL: another session */
	bool making_slot;         /* of the stream: that is what failed */
	int slot_wait_ms;         /* for transactions of the source; 0: as long as it takes */
	char *unwanted;           /* why the copy was given up */
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

/* Which of the tasks are asked for, with their runs (in the same order). */
extern void session_attach(LoadSession *session, List *targets, List *runs);

/*
 * Only one run at a time reads a stream: false when another one does and we
 * are not to wait.  Held until the transaction ends.
 */
extern bool session_lock(const char *server_name, bool wait);

/* The same, held by the process over its transactions, for one that follows. */
extern bool session_lock_to_follow(const char *server_name);
extern void session_unlock_to_follow(const char *server_name);

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

/* ---- adopt.c ---- */

/* What the state of a load without a slot of its own says when it has no reason. */
#define DETACHED_REASON "restored from a dump or detached by hand: it has no slot of its own"

/* "SELECT depipe.adopt('shop');" */
extern char *adopt_hint(const char *server_name);

/* Raise 55000 with that hint when a load is detached, or its stream another database's. */
extern void adopt_check_attached(const Load *load);

/* Is the stream this database's own?  What is another's is never removed at the source. */
extern bool adopt_owns_stream(const Stream *stream);

/* ---- copy.c ---- */

/*
 * Copy all tables that are new, small ones first; needs no xid when the source
 * is this cluster.  In a procedure each is committed.
 */
extern void copy_new_tables(LoadSession *session);

/* Mark them, for those who copy beside the stream. */
extern void copy_mark_tables(LoadSession *session);

/*
 * All rows of a task's table as of a consistent point of the source, through a
 * connection that has it; rows are of delta's columns.
 */
typedef struct CopySource
{
	Connection *connection;
	char *name;          /* of its slot */
	XLogRecPtr position; /* transactions that committed before are seen */
	TimestampTz opened_at;
} CopySource;

/* Who copies a table holds this lock: nobody else does then. */
extern LOCKTAG copy_lock_tag(int32 target_id);

/* Raises 55P03 when a transaction of the source has been waited for too long. */
extern CopySource *copy_source_open(LoadSession *session);

/*
 * Copy and publish these tasks in this transaction, from one snapshot, which is
 * made when source is NULL.  After an error in its middle the source is closed.
 */
extern void copy_together(LoadSession *session, List *tasks, CopySource **source);

/* The transaction of the source that is waited for, as a reason. */
extern char *copy_waits_for(LoadSession *session);
extern void copy_source_close(CopySource *source);
/* Into delta as new images, or (NULL) into rows; returns how many. */
extern uint64 copy_rows(LoadSession *session, LoadTask *task, CopySource *source, TupleDesc columns,
						Delta *delta, Tuplestorestate *rows);

/* ---- queue.c ---- */

/* A table that waits to be copied. */
typedef struct CopyCandidate
{
	int32 target_id;
	LoadTask *task; /* NULL: none yet */
	Oid relid;      /* of the target; InvalidOid: not made yet */
	char *source_schema;
	char *source_table;
	int failures; /* in a row */
	bool due;     /* not waiting after a failure; beside the stream only */
	int64 size;   /* at the source, in bytes */
} CopyCandidate;

/* Fill in the sizes, by the control connection. */
extern void queue_ask_sizes(LoadSession *session, List *candidates);

/* Lists of candidates that are to be copied together, the smallest first. */
extern List *queue_groups(List *candidates);

/* ---- stream.c ---- */

/* Stream from a slot that the connection itself has made, and (again) up to session->stop. */
extern void stream_start_own(LoadSession *session, Connection *connection);
extern void stream_go_on(LoadSession *session);

/*
 * Read whole source transactions into the tasks' deltas until the batch is
 * full or the stop is reached.  Returns true at the stop.
 */
extern bool stream_read_batch(LoadSession *session);
extern void stream_start(LoadSession *session);
extern void stream_stop(LoadSession *session);

/* From now on the stream has no stop; the last batch has reached the one that it had. */
extern void stream_follow(LoadSession *session);

/* Is there, or may there be, something to read without waiting? */
extern bool stream_has_input(const LoadSession *session);

/* Wait for something to read, for the latch, or for so long (-1: no limit). */
extern void stream_wait(LoadSession *session, bool input, long timeout_ms);

/* Ask the source for a sign of life: a keepalive with its position. */
extern void stream_ping(LoadSession *session);

/* When something came last. */
extern TimestampTz stream_heard_at(const LoadSession *session);

/* Tell the source that everything before this position is durable here. */
extern void stream_confirm(LoadSession *session, XLogRecPtr position);

/* The command that starts a stream behind this position. */
extern char *stream_start_command(LoadSession *session, XLogRecPtr position, bool binary);

/* The last transaction that came; its lsn is 0 when none has. */
extern const SourceCommit *stream_last_commit(LoadSession *session);

/* Why a table that has no key here cannot follow a source without full images. */
#define IDENTITY_LOST                                                \
	"the source does not send whole old rows of the table any more," \
	" and the load has no key"

/* Where the batch ends, and the commit time of its last transaction (0: none). */
extern XLogRecPtr stream_batch_end(LoadSession *session, TimestampTz *commit_time);

/* ---- deliver.c ---- */

/* Publish or park what the tasks' deltas hold. */
extern void deliver(LoadSession *session);

/* Publish what waits for tables to which the stream brought nothing. */
extern void deliver_waiting(LoadSession *session);

/* The delta that takes a task's changes, made when needed. */
extern Delta *deliver_delta(LoadSession *session, LoadTask *task);

/* ---- evolve.c ---- */

/* The columns of a load that streams: those recorded, as far as the target has them. */
extern void evolve_take_recorded(LoadSession *session, LoadTask *task);
extern List *evolve_recorded_names(const Load *load);

/* A column of the load that the source has dropped and made again; NULL: none. */
extern char *evolve_replaced_column(const LoadTask *task);

/*
 * Length, precision, scale, or type of a column of the load are others than
 * recorded, as a sentence; NULL: none.  The first three are in no message.
 */
extern char *evolve_retyped_column(LoadTask *task);

/* What to do about columns that differ, then "SELECT depipe.resync(...);" */
extern char *evolve_hint(const LoadTask *task);

/* Is there a type of this name (as the source writes it) here? */
extern bool evolve_type_exists(const char *type_name);

/* Make the target of a load, or add what it lacks. */
extern void evolve_prepare_target(LoadSession *session, LoadTask *task);

/* Raise 42804 when a column of it would round or cut what the source sends. */
extern void evolve_check_types(LoadTask *task);

/* Raises 42804 when the target takes keys for equal that the source tells apart. */
extern void evolve_check_key(LoadTask *task);

/*
 * The source sends a table in another layout than was recorded: add columns,
 * or stop the task.  Called between deliveries.
 */
extern void evolve_follow(LoadSession *session, LoadTask *task, List *names, List *types);

/* Does the layout differ from the recorded one in what the load takes? */
extern bool evolve_differs(LoadTask *task, List *names, List *types);

#endif /* DEPIPE_LOAD_SESSION_H */
