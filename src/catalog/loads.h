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
 * What is stored of a load's state.  The other words of the view depipe.loads
 * (parked, missing, a pause by hand) follow from other tables.
 */
typedef enum LoadState
{
	LOAD_NEW,          /* to be copied -> COPYING */
	LOAD_COPYING,      /* -> STREAMING; after a crash it is copied again */
	LOAD_STREAMING,    /* -> PAUSED, NEEDS_RESYNC */
	LOAD_PAUSED,       /* the source's columns changed; only a resync goes on -> NEW */
	LOAD_NEEDS_RESYNC, /* changes were lost -> NEW */
	LOAD_DETACHED      /* or no state: restored, copied, detached by hand -> NEW, by adopt */
} LoadState;

typedef struct Load
{
	Target *target;
	char *server_name;
	char *source_schema;
	char *source_table;
	char *mode;
	List *key;     /* column names; NIL: the source's */
	char *columns; /* JSON object as text, or NULL */
	char *row_filter;
	char *schema_change;
	char *new_columns;
	char *on_truncate;
	char *target_lag;
	LoadState state;
	char *reason;
	XLogRecPtr applied_lsn;
	Oid source_relid;
	char *source_columns; /* JSON array as text: the columns last seen */
	List *copied_key;     /* names: the key in use since the copy */
	bool made_table;
	/*
	 * It is being copied beside the stream: in memory it streams, in the table it
	 * is 'copying' until it joins the stream.
	 */
	bool beside;
	char *published_as; /* how the publication has the source's table; NULL: not known */
	List *settled; /* what filter and expressions were found to mean, as load/settled.c has it */
	List *leaves;  /* of a partitioned source, as source_leaves() has them; NIL: not known */
} Load;

/* A transaction of the source, as its stream tells it. */
typedef struct SourceCommit
{
	XLogRecPtr lsn; /* start of its commit record; 0: none has come yet */
	XLogRecPtr end; /* of the record */
	TransactionId xid;
	TimestampTz time;
} SourceCommit;

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
	char *instance_id; /* of the database that made it: catalog/instance */
	XLogRecPtr applied_lsn;
	SourceCommit commit;        /* the last one that is applied */
	TimestampTz source_started; /* the source's postmaster, when the stream was last checked */
	int64 batch_number;
	char *state; /* 'streaming', 'needs_resync', 'detached' */
	char *reason;
	bool own_write; /* the row was written by this transaction */
} Stream;

extern const char *load_state_name(LoadState state);

/* The load of a target; NULL when it has none. */
extern Load *load_get(int32 target_id);

/* All loads of a server, in name order. */
extern List *loads_of_server(const char *server_name);

extern void load_insert(const Load *load, Oid server);
extern void load_update(const Load *load, Oid server);
extern void load_delete(int32 target_id);

/*
 * Set the state with its reason and the statement to type; records an event
 * when it changes.  When somebody has asked for a resync since the load was
 * read, that stands.
 */
extern void load_set_state(Load *load, LoadState state, const char *reason, const char *hint);

/* After a copy: position, and what the source looked like. */
extern void load_set_copied(Load *load, XLogRecPtr applied_lsn, Oid source_relid,
							const char *source_columns, List *key, int64 rows);
extern void load_set_published(Load *load, const char *published_as);
extern void load_set_leaves(Load *load, List *leaves);
extern void load_set_settled(Load *load, List *settled);
extern void load_set_columns(Load *load, const char *source_columns);

/*
 * Another table has taken the name of the target of a load that streams: what
 * it lacks is to be found by a resync.  Returns whether it was such a load.
 */
extern bool load_resync_table(int32 target_id);
extern void loads_set_applied(List *target_ids, XLogRecPtr applied_lsn);
extern void load_set_made_table(int32 target_id);

/* Loads of these targets are complete through this time of the source. */
extern void loads_set_data_as_of(List *target_ids, TimestampTz data_as_of);

/*
 * A text that is another one when the loads of a server, their states as far as
 * they matter to a process that streams them, the server, or its user mappings
 * have changed.
 */
extern char *loads_fingerprint(const char *server_name);

/* Is there anything parked, to be tried again, or to be probed in a load of the server? */
extern bool server_has_waiting(const char *server_name);

/*
 * Ids and times as of which loads are complete; live: also as their workers
 * tell, who write nothing while nothing changes.
 */
extern CatalogRows *loads_as_of(bool live);

/* Has this transaction changed the definition or the state of the load? */
extern bool load_changed_here(int32 target_id);

/* Is it to be copied by the next run: new, not paused, not waiting for anything? */
extern bool load_waits_for_copy(int32 target_id);

/* What those of the targets that are new wait for; NULL: nothing any more. */
extern void loads_set_waiting(List *target_ids, const char *reason);

/* State and reason as depipe.status shows them. */
extern char *load_condition(int32 target_id, char **reason);

/* Forget the state of all loads of a server: they are detached. */
extern void loads_detach(const char *server_name);

/* A stream goes on as this instance's: its state, and that of the loads that it had detached. */
extern void stream_take_over(const char *server_name, const char *instance_id);

extern Stream *stream_get(const char *server_name);
extern void stream_insert(const Stream *stream, Oid server);
extern void stream_delete(const char *server_name);

/* Server name and slot name of every stream. */
extern CatalogRows *streams_select(void);

extern void stream_set_state(const char *server_name, const char *state, const char *reason);

/*
 * Progress of the stream: raises 40001 unless the batch number is still the
 * expected one.  Sets stream->batch_number, applied_lsn and commit.
 */
extern void stream_advance(Stream *stream, XLogRecPtr applied_lsn, const SourceCommit *commit);

/* The stream goes on at a source that was started at this time. */
extern void stream_set_started(const char *server_name, TimestampTz source_started);

/* What was seen at the source, for depipe.stat_streams. */
extern void stream_set_source(const char *server_name, XLogRecPtr received_lsn,
							  XLogRecPtr source_lsn, int64 retained_bytes, int64 safe_wal_size);

/* Servers got other names: the definitions follow. */
extern void loads_follow_renames(void);

/* In an event trigger on sql_drop: names of the servers that were dropped. */
extern List *dropped_servers(void);

/* Is there a load or a stream of this server? */
extern bool server_in_use(const char *server_name);

/* OID of depipe.stream: the class of the lock of a stream. */
extern Oid stream_class(void);

#endif /* DEPIPE_CATALOG_LOADS_H */
