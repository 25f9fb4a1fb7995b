/*-------------------------------------------------------------------------
 *
 * loads.h
 *		Loads and streams in depipe's own tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_LOADS_H
#define DEPIPE_CATALOG_LOADS_H

#include "catalog/target.h"

/*
 * The stored state of a load.  The other states of the view depipe.loads
 * (parked, missing, paused manually) follow from other tables.
 */
typedef enum LoadState
{
	LOAD_NEW,          /* waits for its copy -> COPYING */
	LOAD_COPYING,      /* -> STREAMING; after a crash it is copied again */
	LOAD_STREAMING,    /* -> PAUSED, NEEDS_RESYNC */
	LOAD_PAUSED,       /* the source's columns changed; a resync is required -> NEW */
	LOAD_NEEDS_RESYNC, /* changes were lost -> NEW */
	LOAD_DETACHED      /* or no row: restored, copied, detached manually -> NEW, by adopt */
} LoadState;

/* How the rows of a load are read. */
typedef enum LoadMode
{
	LOAD_BY_CDC,
	LOAD_BY_CURSOR,
	LOAD_BY_SNAPSHOT,
	LOAD_BY_APPEND,
	LOAD_BY_FILES
} LoadMode;

/* The reaction of a load to dropped, renamed and retyped columns of its source. */
typedef enum SchemaChange
{
	SCHEMA_CHANGE_SAFE,
	SCHEMA_CHANGE_EVOLVE,
	SCHEMA_CHANGE_IGNORE,
	SCHEMA_CHANGE_PAUSE
} SchemaChange;

/* Its reaction to added columns. */
typedef enum NewColumns
{
	NEW_COLUMNS_LOAD,
	NEW_COLUMNS_IGNORE,
	NEW_COLUMNS_PAUSE
} NewColumns;

/* Its reaction to a TRUNCATE of the source table. */
typedef enum OnTruncate
{
	ON_TRUNCATE_APPLY,
	ON_TRUNCATE_IGNORE,
	ON_TRUNCATE_PAUSE
} OnTruncate;

/* The words of SQL for these, by value, and NULL at the end. */
extern const char *const load_mode_names[];
extern const char *const schema_change_names[];
extern const char *const new_columns_names[];
extern const char *const on_truncate_names[];

typedef struct Load
{
	Target *target;
	char *server_name;
	char *source_schema;
	char *source_table;
	LoadMode mode;
	List *key;     /* column names; NIL: the source's key */
	char *columns; /* JSON object as text, or NULL */
	char *row_filter;
	SchemaChange schema_change;
	NewColumns new_columns;
	OnTruncate on_truncate;
	char *target_lag;
	HistoryMode history;
	LoadState state;
	char *reason;
	XLogRecPtr applied_lsn;
	Oid source_relid;
	char *source_columns; /* JSON array as text: the columns when last seen */
	List *copied_key;     /* names of the key in use since the copy */
	bool made_table;
	/*
	 * The load is being copied beside the stream.  In memory its state is
	 * LOAD_STREAMING, but the stored state is 'copying' until it joins the
	 * stream.
	 */
	bool beside;
	char *published_as; /* form of the source's table in the publication; NULL: unknown */
	List *settled;      /* analysed meaning of filter and expressions; see load/settled.c */
	List *leaves;       /* leaves of a partitioned source, from source_leaves(); NIL: unknown */
} Load;

/* A transaction of the source, as its stream describes it. */
typedef struct SourceCommit
{
	XLogRecPtr lsn; /* start of its commit record; 0: none received yet */
	XLogRecPtr end; /* end of that record */
	TransactionId xid;
	TimestampTz time;
} SourceCommit;

typedef enum StreamState
{
	STREAM_STREAMING,
	STREAM_NEEDS_RESYNC, /* it cannot go on */
	STREAM_DETACHED      /* it belongs to another database */
} StreamState;

typedef struct Stream
{
	char *server_name;
	char *slot_name;
	int64 incarnation;
	char *publication;
	Oid publication_oid;
	bool publication_managed;
	char *system_identifier;
	int32 timeline;
	char *instance_id; /* the database that created it; see catalog/instance */
	XLogRecPtr applied_lsn;
	SourceCommit commit;        /* the last one applied */
	TimestampTz source_started; /* start of the source's postmaster at the last check */
	int64 batch_number;
	StreamState state;
	char *reason;
	bool own_write; /* this transaction wrote the row */
} Stream;

/* The stored name of a state. */
extern const char *load_state_name(LoadState state);

/* The load of a target; NULL if it has none. */
extern Load *load_get(int32 target_id);

/* All loads of a server, in the order of their names. */
extern List *loads_of_server(const char *server_name);

/*
 * Insert, update or delete the definition and state of a load.  server: OID of
 * the foreign server.  An updated load without state becomes detached.
 */
extern void load_insert(const Load *load, Oid server);
extern void load_update(const Load *load, Oid server);
extern void load_delete(int32 target_id);

/*
 * Set the state with its reason and the statement that the user should run.
 * Records an event if the stored state changes.  Has no effect if a resync was
 * requested since the load was read.
 */
extern void load_set_state(Load *load, LoadState state, const char *reason, const char *hint);

/*
 * After a copy, store the position, the description of the source, the key in
 * use and the number of rows, and let the load stream.
 */
extern void load_set_copied(Load *load, XLogRecPtr applied_lsn, Oid source_relid,
							const char *source_columns, List *key, int64 rows);

/* Store single properties of a load, in the table and in the struct. */
extern void load_set_published(Load *load, const char *published_as);
extern void load_set_leaves(Load *load, List *leaves);
extern void load_set_settled(Load *load, List *settled);
extern void load_set_columns(Load *load, const char *source_columns);

/*
 * Another table has taken the name of a streaming load's target, so the load
 * needs a resync.  Returns whether the load was streaming.
 */
extern bool load_resync_table(int32 target_id);

/*
 * A copy of this table failed because of a foreign key.  Streaming loads of the
 * same server that a foreign key joins with it, and whose changes are parked, need
 * a resync: the rows of either may need those of the other, so only one
 * transaction can write both.
 */
extern void loads_copy_along(const Target *target);

/* Record that these loads have applied the stream up to a position. */
extern void loads_set_applied(List *target_ids, XLogRecPtr applied_lsn);

/* Record that depipe created the table of the load. */
extern void load_set_made_table(int32 target_id);

/* Record that the loads of these targets are complete through this time of the source. */
extern void loads_set_data_as_of(List *target_ids, TimestampTz data_as_of);

/*
 * A text that changes with the loads of a server, with their states as far as
 * they matter to a process that streams them, and with the server and its user
 * mappings.
 */
extern char *loads_fingerprint(const char *server_name);

/* Does any load of the server have parked rows, rows to retry, or a breaker that is not closed? */
extern bool server_has_waiting(const char *server_name);

/*
 * The ids of loads and the times through which they are complete.  live:
 * include the times that the workers report, because they write nothing while
 * nothing changes.
 */
extern CatalogRows *loads_as_of(bool live);

/* Has this transaction changed the definition or the state of the load? */
extern bool load_changed_here(int32 target_id);

/*
 * Will the next run copy the load?  True if it is new or copying, not paused,
 * its breaker is closed, and no wait after a failure is in force.
 */
extern bool load_waits_for_copy(int32 target_id);

/* Store the reason why the new loads among the targets wait; NULL if they no longer wait. */
extern void loads_set_waiting(List *target_ids, const char *reason);

/* The state of a load as depipe.status shows it.  *reason gets its reason. */
extern char *load_condition(int32 target_id, char **reason);

/* Delete the state of all loads of a server, which detaches them. */
extern void loads_detach(const char *server_name);

/*
 * Let this instance continue a stream: take over the stream and the loads that
 * were detached from it.
 */
extern void stream_take_over(const char *server_name, const char *instance_id);

/*
 * Read, insert or delete the stream of a server.  stream_get() returns NULL if
 * there is none.
 */
extern Stream *stream_get(const char *server_name);
extern void stream_insert(const Stream *stream, Oid server);
extern void stream_delete(const char *server_name);

/* The server name and slot name of every stream. */
extern CatalogRows *streams_select(void);

/*
 * Store the state of a stream with its reason.  Records an event if it
 * changes.
 */
extern void stream_set_state(const char *server_name, StreamState state, const char *reason);

/*
 * Store the progress of the stream, in one statement.  Raises 40001 if another
 * run has changed the batch number.  Sets stream->batch_number, applied_lsn and
 * commit.  The loads of the targets applied get the stream's last commit; those
 * of the targets complete are complete through data_as_of (0: unknown).
 */
extern void stream_advance(Stream *stream, XLogRecPtr applied_lsn, const SourceCommit *commit,
						   List *applied, List *complete, TimestampTz data_as_of);

/* Store the start time of the source at which the stream continues. */
extern void stream_set_started(const char *server_name, TimestampTz source_started);

/*
 * Store the positions seen at the source, for depipe.stat_streams.
 * retained_bytes and safe_wal_size: -1 if unknown.
 */
extern void stream_set_source(const char *server_name, XLogRecPtr received_lsn,
							  XLogRecPtr source_lsn, int64 retained_bytes, int64 safe_wal_size);

/* Make the definitions follow renamed servers. */
extern void loads_follow_renames(void);

/* In an event trigger on sql_drop: the names of the dropped servers. */
extern List *dropped_servers(void);

/* Does this server have a load or a stream? */
extern bool server_in_use(const char *server_name);

/* OID of depipe.stream, which is the class of the lock of a stream. */
extern Oid stream_class(void);

#endif /* DEPIPE_CATALOG_LOADS_H */
