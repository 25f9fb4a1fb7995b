/*-------------------------------------------------------------------------
 *
 * source.h
 *		What depipe looks at and makes at a source: tables, publication, slot.
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

/* State of a slot at the source. */
typedef struct SourceSlot
{
	bool exists;
	bool active;
	bool lost;
	char *lost_reason;
	XLogRecPtr confirmed;
	int64 retained_bytes; /* -1: unknown */
	int64 safe_wal_size;  /* -1: no limit */
} SourceSlot;

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

/*
 * Name for slot and publication of a server: depipe_<database>_<server>_<id>.
 * The id depends on the seed (instance_seed) and the server's name alone: what
 * an aborted attempt has left is found again.
 */
extern char *source_object_name(const char *server_name, const char *seed);

extern SourceSlot *source_slot_describe(Connection *connection, const char *slot_name);
/* Of a permanent slot its position; 55P03 when a transaction is waited for longer (0: no limit). */
extern XLogRecPtr source_slot_create(Connection *connection, const char *slot_name, int wait_ms);
extern void source_slot_drop(Connection *connection, const char *slot_name);

/* OID of a publication; InvalidOid when there is none. */
extern Oid source_publication_oid(Connection *connection, const char *name);

/* OIDs of its tables. */
extern List *source_publication_relids(Connection *connection, const char *name);

/*
 * Are all of these tables (of SourceTable) there, with a publication in it, and
 * of the columns and types that were described?  Added columns do not count.
 */
extern bool source_tables_are_there(Connection *connection, List *tables, const char *publication);

/* Names of the columns that the publication sends of a table; NIL: it is not in it. */
extern List *source_publication_columns(Connection *connection, const char *name,
										const SourceTable *table);

/*
 * Make the publication of depipe hold exactly these tables, with the columns
 * in their sent (of SourceTable,
 * no duplicates); creates it when missing.  Returns its OID, and whether
 * it was made or changed.
 */
extern Oid source_publication_set(Connection *connection, const char *name, List *tables,
								  bool *changed);

/*
 * Why a publication that is not ours does not serve for these columns (names)
 * of a table, with what to do about it; NULL when it does.
 */
extern char *source_publication_problem(Connection *connection, const char *name,
										const SourceTable *table, List *columns, char **hint);

typedef struct SourceNow
{
	XLogRecPtr position; /* through it a stream must be read to have all that is committed now */
	TimestampTz time;    /* by the source's clock */
	bool standby;
	TimestampTz started; /* its postmaster */
} SourceNow;

extern SourceNow source_now(Connection *connection);

/*
 * Remove slot and publication of a server when this transaction commits; says
 * in a WARNING what is left when that does not work.
 */
extern void source_remove_at_commit(const char *server_name, const Stream *stream);

/* The slot is made again in this transaction: it stays. */
extern void source_keep_slot(const char *slot_name);

#endif /* DEPIPE_LOAD_SOURCE_H */
