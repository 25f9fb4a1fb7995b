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
	int number;      /* at the source: another one after DROP and ADD COLUMN */
	Oid type;        /* at the source */
	char *type_name; /* as format_type says it there, qualified */
	bool user_type;  /* not built into the server */
	bool loose;      /* its collation takes texts that differ for equal */
	bool not_null;
	bool generated;
	int primary_key; /* position in it, 0: not in it */
	bool identity;   /* in the replica identity */
	bool has_missing;
	bool missing_lost; /* it cannot be converted to the encoding here */
	char *missing;     /* value of rows older than the column, when has_missing */
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
	List *leaves;     /* see source_leaves(); of a table without partitions itself alone */
	List *unique;     /* of lists of numbers of columns: one row for each combination, always */
	List *ancestors;  /* OIDs of the partitioned tables that it is a partition of */
	int money_digits; /* after the point, where it has a column of type money; else -1 */
} SourceTable;

/*
 * Describe tables of the source, by their names; NULL for one that is not there.
 * Lives in the current context.  Many cost a few questions to the source.
 */
extern List *source_tables_describe(Connection *connection, List *schemas, List *tables);
extern SourceTable *source_table_describe(Connection *connection, const char *schema_name,
										  const char *table_name);
extern bool source_column_is_money(const SourceColumn *column);
extern SourceColumn *source_table_column(const SourceTable *table, const char *name);

/*
 * The table and the partitions of it that hold rows, as texts "oid file
 * transaction schema.name" in the order of their OIDs behind the table itself:
 * the transaction is the one that has written its row of pg_class.  Takes no
 * lock at the source.
 */
extern List *source_leaves(Connection *connection, Oid relid);

/* Rows of a table and its partitions as the source's planner knows them; -1: unknown. */
extern int64 source_table_estimate(Connection *connection, const SourceTable *table);

/* Why a table that has no key here cannot follow a source without full images. */
#define IDENTITY_LOST                                         \
	"the source no longer sends whole old rows of the table," \
	" and the load has no key"

/* Does the identity send the whole old image? */
extern bool source_table_full(const SourceTable *table);

/*
 * The key by which its rows are folded: the load's own, else the primary key
 * when old images have it, else the replica identity's columns; NIL: a bag.
 */
extern List *source_table_key(const SourceTable *table, const List *wanted);

/*
 * Why this table cannot be loaded by its stream, with what to do about it; NULL when it can.
 */
extern char *source_table_problem(const SourceTable *table, const List *key, char **hint);

/* The columns as stored in load_state.source_columns: JSON array of name, type, type_name. */
extern char *source_columns_to_json(const SourceTable *table);

typedef struct SourceNow
{
	XLogRecPtr position; /* through it a stream must be read to have all that is committed now */
	TimestampTz time;    /* by the source's clock */
	bool standby;
	TimestampTz started; /* its postmaster */
} SourceNow;

/* Read the present position and time of the source. Raises the errors of source_query(). */
extern SourceNow source_now(Connection *connection);

/* The source of a run, as it was found. */
typedef struct Source
{
	SourceServer *server; /* NULL: not connected */
	Connection *control;  /* for questions and commands; NULL: not connected */
	char *system_identifier;
	int timeline;
	bool same_cluster;   /* it is a database of this cluster */
	TimestampTz started; /* its postmaster: see witness.c */
	int slot_wait_ms;    /* how long a slot waits for transactions there; 0: without a limit */
} Source;

/* Connect, and identify the system; in the current context.  Raises as connection_open(). */
extern void source_connect(Source *source, const char *server_name, bool keep);
extern void source_disconnect(Source *source);

#endif /* DEPIPE_LOAD_SOURCE_H */
