/*-------------------------------------------------------------------------
 *
 * source.h
 *		The source of a run, and its tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_SOURCE_H
#define DEPIPE_LOAD_SOURCE_H

#include "catalog/loads.h"
#include "load/connection.h"

typedef struct SourceColumn
{
	char *name;
	int number;      /* at the source; it changes with DROP and ADD COLUMN */
	Oid type;        /* at the source */
	char *type_name; /* qualified name from format_type there */
	bool user_type;  /* not built into the server */
	bool loose;      /* its collation treats different texts as equal */
	bool not_null;
	bool generated;
	int primary_key; /* position in it, 0: not in it */
	bool identity;   /* in the replica identity */
	bool has_missing;
	bool missing_lost; /* it cannot be converted to the encoding here */
	char *missing;     /* value of rows older than the column, if has_missing */
} SourceColumn;

typedef struct SourceTable
{
	char *schema_name;
	char *table_name;
	Oid relid;
	char kind;        /* relkind */
	char persistence; /* relpersistence */
	char identity;    /* relreplident */
	List *columns;    /* of SourceColumn, in their order */
	List *sent;       /* names of the columns to be published; NIL: all */
	List *leaves;     /* see source_leaves(); for a table without partitions only itself */
	List *unique;     /* of lists of column numbers that always identify one row */
	List *ancestors;  /* OIDs of the partitioned tables that it is a partition of */
	int money_digits; /* after the point, if it has a column of type money; otherwise -1 */
} SourceTable;

/*
 * Describe tables of the source by their names; NULL for a missing one.  The
 * result lives in the current memory context.  Many tables need only a few
 * queries.
 */
extern List *source_tables_describe(Connection *connection, List *schemas, List *tables);
extern SourceTable *source_table_describe(Connection *connection, const char *schema_name,
										  const char *table_name);
extern bool source_column_is_money(const SourceColumn *column);
extern SourceColumn *source_table_column(const SourceTable *table, const char *name);

/*
 * The table and its partitions with rows, as texts "oid file transaction
 * schema.name", the table first and then its partitions in the order of their
 * OIDs.  The transaction is the one that wrote its row of pg_class.  Takes no
 * lock at the source.
 */
extern List *source_leaves(Connection *connection, Oid relid);

/*
 * The number of rows of a table and its partitions as estimated by the planner
 * of the source; -1: unknown.
 */
extern int64 source_table_estimate(Connection *connection, const SourceTable *table);

/* The reason why a table without a key cannot follow a source without full images. */
#define IDENTITY_LOST                                         \
	"the source no longer sends whole old rows of the table," \
	" and the load has no key"

/* Does the replica identity send whole old images? */
extern bool source_table_full(const SourceTable *table);

/*
 * The key by which its rows are folded: that of the load, else the primary key
 * if old images have it, else the columns of the replica identity; NIL: a bag.
 */
extern List *source_table_key(const SourceTable *table, const List *wanted);

/* The reason why this table cannot be loaded by its stream, and a hint; NULL if it can. */
extern char *source_table_problem(const SourceTable *table, const List *key, char **hint);

/* The columns as stored in load_state.source_columns: JSON array of name, type, type_name. */
extern char *source_columns_to_json(const SourceTable *table);

typedef struct SourceNow
{
	XLogRecPtr position; /* a stream read up to here has everything committed now */
	TimestampTz time;    /* by the source's clock */
	bool standby;
	TimestampTz started; /* its postmaster */
} SourceNow;

/* Read the present position and time of the source. Raises the errors of source_query(). */
extern SourceNow source_now(Connection *connection);

/* The source of a run. */
typedef struct Source
{
	SourceServer *server; /* NULL: not connected */
	Connection *control;  /* for queries and commands; NULL: not connected */
	char *system_identifier;
	int timeline;
	bool same_cluster;   /* it is a database of this cluster */
	TimestampTz started; /* its postmaster: see witness.c */
	int slot_wait_ms;    /* limit of the wait of a slot for transactions there; 0: none */
} Source;

/*
 * Connect, and identify the system, in the current memory context.  Raises the
 * errors of connection_open().
 */
extern void source_connect(Source *source, const char *server_name, bool keep);
extern void source_disconnect(Source *source);

#endif /* DEPIPE_LOAD_SOURCE_H */
