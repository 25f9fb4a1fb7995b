/*-------------------------------------------------------------------------
 *
 * statement.h
 *		Statements on depipe's own tables.
 *
 * All SQL on depipe's own tables is in the files of catalog/, one for each
 * subject, and runs through the functions here.  Statements are string
 * constants with parameters.  They run as the owner of the extension under a
 * pinned search_path.  Their plans are kept, keyed by the address of the
 * statement's text.
 *
 * Reads do not use SPI's read-only mode, so they see what this transaction has
 * written.  Results are copied into the caller's memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_STATEMENT_H
#define DEPIPE_CATALOG_STATEMENT_H

#include "depipe.h"
#include "access/htup.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

/* ---- execution ---- */

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
/* a NULL pointer, an invalid LSN or a zero time becomes SQL NULL */
#define ARG_TEXT(s) catalog_text_arg(s)
#define ARG_LSN(v) ((CatalogArg){PG_LSNOID, LSNGetDatum(v), (v) == InvalidXLogRecPtr})
#define ARG_TIME(v) ((CatalogArg){TIMESTAMPTZOID, TimestampTzGetDatum(v), (v) == 0})
#define ARG_TEXT_ARRAY(list) catalog_text_array_arg(list)
#define ARG_INT4_ARRAY(list) catalog_int4_array_arg(list)
#define ARG_INT8_ARRAY(list) catalog_int8_array_arg(list)
#define ARG_OID_ARRAY(list) catalog_oid_array_arg(list)
#define ARG_JSONB(s) catalog_jsonb_arg(s)

extern CatalogArg catalog_text_arg(const char *string);
extern CatalogArg catalog_text_array_arg(List *strings);
extern CatalogArg catalog_int4_array_arg(List *numbers); /* an integer list */
extern CatalogArg catalog_int8_array_arg(List *numbers); /* of int64 * */
extern CatalogArg catalog_oid_array_arg(List *oids);     /* an OID list */
extern CatalogArg catalog_jsonb_arg(const char *json_text);

typedef struct CatalogRows
{
	TupleDesc desc;
	uint64 count;     /* number of rows returned */
	uint64 processed; /* number of rows affected by INSERT, UPDATE, DELETE */
	HeapTuple *tuples;
} CatalogRows;

/* Run a constant statement.  Raises any error of the statement. */
extern CatalogRows *catalog_execute(const char *sql, int nargs, const CatalogArg *args);

#define CATALOG_EXECUTE(sql, ...) \
	catalog_execute((sql), lengthof(((CatalogArg[]){__VA_ARGS__})), (CatalogArg[]){__VA_ARGS__})
#define CATALOG_EXECUTE0(sql) catalog_execute((sql), 0, NULL)

/* Run a query that sees what the active snapshot sees, instead of the latest committed state. */
extern CatalogRows *catalog_look(const char *sql, int nargs, const CatalogArg *args);

/* Run a statement that reads an ephemeral named relation. */
extern CatalogRows *catalog_execute_from(const char *sql, int nargs, const CatalogArg *args,
										 const char *relation, TupleDesc desc,
										 struct Tuplestorestate *rows, uint64 nrows);

/* The number of statements that this process has run on depipe's own tables. */
extern uint64 catalog_statements_run(void);

/*
 * Values of a result.  Rows are numbered from 0, columns from 1.  SQL NULL
 * yields NULL, 0 or false.
 */
extern bool catalog_isnull(const CatalogRows *rows, uint64 row, int column);
extern Datum catalog_datum(const CatalogRows *rows, uint64 row, int column, bool *isnull);
extern char *catalog_text(const CatalogRows *rows, uint64 row,
						  int column); /* any type, through its output function */
extern int32 catalog_int4(const CatalogRows *rows, uint64 row, int column);
extern int64 catalog_int8(const CatalogRows *rows, uint64 row, int column);
extern bool catalog_bool(const CatalogRows *rows, uint64 row, int column);
extern Oid catalog_oid(const CatalogRows *rows, uint64 row, int column);
extern XLogRecPtr catalog_lsn(const CatalogRows *rows, uint64 row, int column);
extern TimestampTz catalog_time(const CatalogRows *rows, uint64 row, int column);
extern List *catalog_int8_list(const CatalogRows *rows, uint64 row,
							   int column); /* of bigint[]: int64 * */
extern List *catalog_oid_list(const CatalogRows *rows, uint64 row, int column);  /* of oid[] */
extern List *catalog_text_list(const CatalogRows *rows, uint64 row, int column); /* of text[] */

/*
 * The reason why this library does not serve the SQL version of the database;
 * NULL if it does.  *hint gets the remedy.  catalog_check_version() raises it
 * as 55000.
 */
extern char *catalog_version_problem(char **hint);

/*
 * The reason why nothing runs in this database: the version, or
 * depipe.enabled; NULL if there is none.  *next gets the statement that the
 * user should run, or NULL.
 */
extern char *catalog_idle_reason(char **next);
extern void catalog_check_version(void);

/*
 * Declare a function that checks the version before anything else, because
 * another version's script may declare other arguments.  Replaces
 * PG_FUNCTION_INFO_V1.  The function itself is a static one, name_checked.
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

#endif /* DEPIPE_CATALOG_STATEMENT_H */
