/*-------------------------------------------------------------------------
 *
 * catalog.h
 *		Access to depipe's own tables.
 *
 * All SQL on depipe's own tables stands in the files core/catalog*.c: this
 * one has the executor and the targets, catalog_load.c, catalog_transform.c
 * and catalog_quality.c the rest.  Statements are string constants with
 * parameters, run as the owner of the extension under a pinned search_path;
 * plans are kept, keyed by the address of the statement's text.
 *
 * Reads are not SPI read-only: they see what this transaction has written.
 * Results are copied into the caller's memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_H
#define DEPIPE_CATALOG_H

#include "depipe.h"
#include "access/htup.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

/* ---- executing ---- */

typedef struct CatalogArg
{
	Oid type;
	Datum value;
	bool isnull;
} CatalogArg;

#define ARG_BOOL(v) ((CatalogArg){BOOLOID, BoolGetDatum(v), false})
#define ARG_INT4(v) ((CatalogArg){INT4OID, Int32GetDatum(v), false})
#define ARG_INT8(v) ((CatalogArg){INT8OID, Int64GetDatum(v), false})
#define ARG_FLOAT8(v) ((CatalogArg){FLOAT8OID, Float8GetDatum(v), false})
#define ARG_OID(v) ((CatalogArg){OIDOID, ObjectIdGetDatum(v), false})
#define ARG_NULL(type) ((CatalogArg){(type), (Datum) 0, true})
#define ARG_DATUM(type, v) ((CatalogArg){(type), (v), false})
/* a NULL pointer, an invalid LSN or a zero time is SQL NULL */
#define ARG_TEXT(s) catalog_text_arg(s)
#define ARG_LSN(v) ((CatalogArg){PG_LSNOID, LSNGetDatum(v), (v) == InvalidXLogRecPtr})
#define ARG_TIME(v) ((CatalogArg){TIMESTAMPTZOID, TimestampTzGetDatum(v), (v) == 0})
#define ARG_TEXT_ARRAY(list) catalog_text_array_arg(list)
#define ARG_INT4_ARRAY(list) catalog_int4_array_arg(list)
#define ARG_JSONB(s) catalog_jsonb_arg(s)

extern CatalogArg catalog_text_arg(const char *string);
extern CatalogArg catalog_text_array_arg(List *strings);
extern CatalogArg catalog_int4_array_arg(List *numbers); /* an integer list */
extern CatalogArg catalog_jsonb_arg(const char *json_text);

typedef struct CatalogRows
{
	TupleDesc desc;
	uint64 count;     /* rows returned */
	uint64 processed; /* rows affected by INSERT, UPDATE, DELETE */
	HeapTuple *tuples;
} CatalogRows;

/* Run a constant statement; raises what the statement raises. */
extern CatalogRows *catalog_execute(const char *sql, int nargs, const CatalogArg *args);

#define CATALOG_EXECUTE(sql, ...) \
	catalog_execute((sql), lengthof(((CatalogArg[]){__VA_ARGS__})), (CatalogArg[]){__VA_ARGS__})
#define CATALOG_EXECUTE0(sql) catalog_execute((sql), 0, NULL)

/* A query that sees what the active snapshot sees, not what is committed by now. */
extern CatalogRows *catalog_look(const char *sql, int nargs, const CatalogArg *args);

/* The same with an ephemeral named relation that the statement reads. */
extern CatalogRows *catalog_execute_from(const char *sql, int nargs, const CatalogArg *args,
										 const char *relation, TupleDesc desc,
										 struct Tuplestorestate *rows, uint64 nrows);

/* Values of a result: row from 0, column from 1; NULL gives NULL, 0, false. */
extern bool catalog_isnull(const CatalogRows *rows, uint64 row, int column);
extern Datum catalog_datum(const CatalogRows *rows, uint64 row, int column, bool *isnull);
extern char *catalog_text(const CatalogRows *rows, uint64 row,
						  int column); /* any type, by its output function */
extern int32 catalog_int4(const CatalogRows *rows, uint64 row, int column);
extern int64 catalog_int8(const CatalogRows *rows, uint64 row, int column);
extern bool catalog_bool(const CatalogRows *rows, uint64 row, int column);
extern Oid catalog_oid(const CatalogRows *rows, uint64 row, int column);
extern XLogRecPtr catalog_lsn(const CatalogRows *rows, uint64 row, int column);
extern TimestampTz catalog_time(const CatalogRows *rows, uint64 row, int column);
extern List *catalog_text_list(const CatalogRows *rows, uint64 row, int column); /* of text[] */

/*
 * Why this library does not serve the SQL version of the database, and what
 * to do; NULL when it does.  catalog_check_version() raises it as 55000.
 */
extern char *catalog_version_problem(char **hint);

/*
 * Why nothing runs in this database: the versions, or depipe.enabled; NULL
 * when it does.  Sets *next to the statement to type, or to NULL.
 */
extern char *catalog_idle_reason(char **next);
extern void catalog_check_version(void);

/*
 * In place of PG_FUNCTION_INFO_V1: the version is checked before anything
 * else, for the arguments in another version's script may be others.  The
 * function itself is a static one, name_checked.
 */
#define CHECKED_FUNCTION(name)                     \
	PG_FUNCTION_INFO_V1(name);                     \
	static Datum name##_checked(PG_FUNCTION_ARGS); \
	Datum name(PG_FUNCTION_ARGS)                   \
	{                                              \
		catalog_check_version();                   \
		return name##_checked(fcinfo);             \
	}                                              \
	extern Datum name(PG_FUNCTION_ARGS)

/* ---- targets ---- */

typedef enum TargetKind
{
	TARGET_TABLE = 't', /* an ordinary table with constraints */
	TARGET_LOAD = 'l',
	TARGET_TRANSFORM = 'f'
} TargetKind;

typedef struct Target
{
	int32 id;
	char *schema_name;
	char *table_name;
	char *display; /* quoted schema.table: for messages and for SQL text */
	TargetKind kind;
	Oid owner;      /* the role its work is done as; InvalidOid: dropped */
	Oid relid;      /* InvalidOid while there is no such table */
	Oid bound;      /* the table that is remembered for it */
	bool taken;     /* there is one, but another role made it: as if it were missing */
	List *settings; /* of its load or transform (core/settings); NIL: the base */
} Target;

/*
 * Find a target by the name a user gave.  A definition stays with its name;
 * only when no table of that name exists is a renamed table followed (the
 * cached OID).  Returns NULL when there is none and missing_ok, else raises
 * 42704 with a hint.
 */
extern Target *target_find(const char *name, bool missing_ok);

/* The same by stored name, or by id (raises 42704 when there is none). */
extern Target *target_find_named(const char *schema_name, const char *table_name);
extern Target *target_get(int32 target_id);

/* NULL when there is none. */
extern Target *target_find_id(int32 target_id);

/* All targets that match a psql-style pattern ('mart.*'), in name order. */
extern List *target_match(const char *pattern);

/* Make a target row; relid may be InvalidOid (the table is made later). */
extern Target *target_create(const char *schema_name, const char *table_name, TargetKind kind,
							 Oid owner, Oid relid);
extern void target_set_kind(Target *target, TargetKind kind);

/* The settings that its load or transform was made under; NIL for an ordinary table. */
extern void target_set_settings(Target *target, List *settings);
extern void target_delete(int32 target_id);

/* Give definitions to the roles that their tables were given to (ALTER TABLE, REASSIGN OWNED). */
extern void targets_follow_owners(void);

/* Give all definitions of a role to another: REASSIGN OWNED has done so with its tables. */
extern void targets_reassign(Oid from, Oid to);

/* Make a role the owner of a definition: that of its table, after checks of the caller's rights. */
extern void target_set_owner(Target *target, Oid owner);

/* A message about a target whose relid is InvalidOid. */
extern char *target_why_missing(const Target *target);

/* Look the table up again (after creating it); sets and returns target->relid. */
extern Oid target_bind(Target *target);

/* "2026-01-01 ..." through which the table is complete; 0 when unknown. */
extern void target_set_data_as_of(int32 target_id, TimestampTz data_as_of);
extern TimestampTz target_data_as_of(int32 target_id);

/* pauses (loads and transforms) */
extern bool target_is_paused(int32 target_id, char **reason);

/* Id and reason of every target that is paused. */
extern CatalogRows *paused_targets(void);
extern void target_set_pause(int32 target_id, bool paused, const char *reason, TimestampTz until);

/* A durable state change for depipe.events, with NOTIFY as its doorbell. */
/*
 * This transaction has changed definitions or states that workers act upon:
 * they are told when it has committed.  event_record() implies it.
 */
extern bool depipe_catalog_changed;
extern void catalog_changed(void);

extern void event_record(int32 target_id, const char *event, const char *state, const char *reason);

/* The same for the stream of a server. */
extern void event_record_stream(const char *server_name, const char *state, const char *reason);

#endif /* DEPIPE_CATALOG_H */
