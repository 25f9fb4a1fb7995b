/*-------------------------------------------------------------------------
 *
 * history.c
 *		Writing deltas to targets that keep deleted rows or earlier versions.
 *
 * A delta contains the rows that the table has from now on.  With a history,
 * these are its current rows (target_rows_sql).  Rows that are no longer
 * current are kept:
 *
 * soft_delete	One row per key.  A deleted row keeps its last values and gets
 *				the time of its deletion; a new row of the key takes its place.
 * scd2			One row per version.  A version is valid from _valid_from up to,
 *				but not including, _valid_to, which is NULL for the current one.
 *
 * Times are commit times of the source.  Clocks may stand still or go
 * backwards.  So a version begins at the end of the previous version of its
 * key if that is later, and ends at least a microsecond after it began.
 *
 * Invariants: Rows of the table are never deleted here.  The versions of a key
 * are not empty and do not overlap, and only the last one can be current.  An
 * image that equals the current version makes no new version.  A delta
 * contains the changes of one transaction of the source (load/take.c), or the
 * differences that a copy found.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/history.h"

#include "core/sqltext.h"
#include "delta/record_image.h"
#include "publish/statements.h"

#define NEW_IMAGE "d._depipe_weight OPERATOR(pg_catalog.>) 0"
#define DELETION "d._depipe_weight OPERATOR(pg_catalog.<) 0 AND NOT d._depipe_replaced"

/* 2000-01-01, from which PostgreSQL counts microseconds */
#define EPOCH "'2000-01-01 00:00:00+00'::pg_catalog.timestamptz"

/* ---- times ---- */

/* Returns a time as an SQL expression that does not depend on settings.  0 stands for now(). */
static char *
time_sql(TimestampTz time)
{
	if (time == 0)
		return pstrdup("pg_catalog.now()");
	return psprintf("(" EPOCH " OPERATOR(pg_catalog.+) ('" INT64_FORMAT
					"'::pg_catalog.float8 OPERATOR(pg_catalog.*)"
					" '1 microsecond'::pg_catalog.interval))",
					time);
}

/*
 * Returns the time of a row of the delta as an SQL expression.  Rows of a copy
 * have no time of their own and get that of the delta.  No other part of the
 * statement contains the time of the delta, so that its plan can be reused.
 */
static char *
row_time_sql(const Delta *delta)
{
	return psprintf("COALESCE(d._depipe_time, %s)", time_sql(delta->as_of));
}

/* Returns the end of the current version t as an SQL expression. */
static char *
end_sql(const char *time)
{
	return psprintf("GREATEST(%s, t." HISTORY_VALID_FROM
					" OPERATOR(pg_catalog.+) '1 microsecond'::pg_catalog.interval)",
					time);
}

/* ---- deletions ---- */

/* Append "UPDATE ... SET ...", which makes rows t no longer current. */
static void
append_end(StringInfo sql, const Target *target, const char *time)
{
	if (target->history == HISTORY_SOFT_DELETE)
		appendStringInfo(sql, "UPDATE %s t SET " HISTORY_DELETED_AT " = %s", target->display, time);
	else
		appendStringInfo(sql,
						 "UPDATE %s t SET " HISTORY_VALID_TO " = %s, " HISTORY_IS_CURRENT
						 " = false",
						 target->display,
						 end_sql(time));
}

static void
append_is_current(StringInfo sql, const Target *target)
{
	appendStringInfoString(sql,
						   target->history == HISTORY_SOFT_DELETE ? "t." HISTORY_DELETED_AT
																	" IS NULL"
																  : "t." HISTORY_IS_CURRENT);
}

static char *
clear_sql(const ApplyTable *table)
{
	Delta *delta = table->delta;
	StringInfoData sql;

	initStringInfo(&sql);
	append_end(&sql, table->target, time_sql(delta->time != 0 ? delta->time : delta->as_of));
	appendStringInfoString(&sql, " WHERE ");
	append_is_current(&sql, table->target);
	appendStringInfo(&sql,
					 " AND NOT EXISTS (SELECT FROM %s d WHERE " NEW_IMAGE " AND ",
					 delta->name);
	statement_append_key_match(&sql, delta);
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/* Returns the statement that ends rows whose key is deleted. */
static char *
deletions_sql(const ApplyTable *table)
{
	Delta *delta = table->delta;
	StringInfoData sql;

	initStringInfo(&sql);
	append_end(&sql, table->target, row_time_sql(delta));
	appendStringInfo(&sql, " FROM %s d WHERE " DELETION " AND ", delta->name);
	append_is_current(&sql, table->target);
	appendStringInfoString(&sql, " AND ");
	statement_append_key_match(&sql, delta);
	return sql.data;
}

/* ---- soft_delete ---- */

/* Returns the statement that writes new images.  It revives a deleted row of the same key. */
static char *
revive_sql(const ApplyTable *table)
{
	Delta *delta = table->delta;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "MERGE INTO %s t USING (SELECT ", table->target->display);
	sql_append_columns(&sql, delta->columns, "d");
	appendStringInfo(&sql, " FROM %s d WHERE " NEW_IMAGE, delta->name);
	statement_append_order(&sql, delta, table->key_order);
	appendStringInfoString(&sql, ") d ON ");
	statement_append_key_match(&sql, delta);
	appendStringInfoString(&sql, " WHEN MATCHED THEN UPDATE SET " HISTORY_DELETED_AT " = NULL");
	(void) statement_append_assignments(&sql, delta, ", ");
	appendStringInfoString(&sql, " WHEN NOT MATCHED THEN INSERT (");
	sql_append_columns(&sql, delta->columns, NULL);
	appendStringInfoString(&sql, ") OVERRIDING SYSTEM VALUE VALUES (");
	sql_append_columns(&sql, delta->columns, "d");
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/* ---- scd2 ---- */

/* Returns the statement that ends versions that a different new image replaces. */
static char *
superseded_sql(const ApplyTable *table)
{
	Delta *delta = table->delta;
	StringInfoData sql;

	initStringInfo(&sql);
	append_end(&sql, table->target, row_time_sql(delta));
	appendStringInfo(&sql, " FROM %s d WHERE " NEW_IMAGE " AND ", delta->name);
	append_is_current(&sql, table->target);
	appendStringInfoString(&sql, " AND ");
	statement_append_key_match(&sql, delta);
	appendStringInfoString(&sql, " AND NOT ");
	image_append(&sql, delta->columns, "t");
	appendStringInfoString(&sql, " OPERATOR(pg_catalog.=) ");
	image_append(&sql, delta->columns, "d");
	return sql.data;
}

/*
 * Returns the statement that inserts new images without a current version.  An
 * image that equals the current version is not inserted, because that version
 * was not ended.
 */
static char *
versions_sql(const ApplyTable *table)
{
	Delta *delta = table->delta;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", table->target->display);
	sql_append_columns(&sql, delta->columns, NULL);
	appendStringInfoString(&sql,
						   ", " HISTORY_VALID_FROM ", " HISTORY_VALID_TO ", " HISTORY_IS_CURRENT
						   ") OVERRIDING SYSTEM VALUE SELECT ");
	sql_append_columns(&sql, delta->columns, "d");
	appendStringInfo(&sql,
					 ", GREATEST(%s, (SELECT pg_catalog.max(t." HISTORY_VALID_TO ") FROM %s WHERE ",
					 row_time_sql(delta),
					 target_all_rows_sql(table->target, "t"));
	statement_append_key_match(&sql, delta);
	appendStringInfo(&sql,
					 ")), NULL, true FROM %s d WHERE " NEW_IMAGE
					 " AND NOT EXISTS (SELECT FROM %s WHERE ",
					 delta->name,
					 target_rows_sql(table->target, "t"));
	statement_append_key_match(&sql, delta);
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/* ---- entry points ---- */

/* Execute a statement whose updated rows count as deleted. */
static void
execute_deletion(ApplyTable *table, const char *sql, Snapshot snapshot)
{
	int64 updated = table->run->updated;

	execute_counted(table, sql, snapshot);
	table->run->deleted += table->run->updated - updated;
	table->run->updated = updated;
}

/* Write new versions.  A version that follows another one is inserted, but counts as an update. */
static void
write_versions(ApplyTable *table, Snapshot snapshot)
{
	int64 updated = table->run->updated;

	execute_counted(table, superseded_sql(table), snapshot);
	execute_counted(table, versions_sql(table), snapshot);
	table->run->inserted -= table->run->updated - updated;
}

char *
history_check_sql(Target *target, Delta *delta)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT FROM %s d LEFT JOIN (SELECT true AS _depipe_here, t.* FROM %s) t ON ",
					 delta->name,
					 target_rows_sql(target, "t"));
	statement_append_key_match(&sql, delta);
	appendStringInfoString(
		&sql,
		" WHERE NOT d._depipe_replaced"
		" AND CASE WHEN d._depipe_before OPERATOR(pg_catalog.=) 0 AND t._depipe_here"
		" THEN depipe.unexpected_row(true)"
		" WHEN d._depipe_before IN (1, 2) AND t._depipe_here IS NULL"
		" THEN depipe.unexpected_row(false) ELSE false END");
	return sql.data;
}

void
history_clear(ApplyTable *table, Snapshot snapshot)
{
	execute_deletion(table, clear_sql(table), snapshot);
}

void
history_write(ApplyTable *table, Snapshot snapshot)
{
	Delta *delta = table->delta;

	if (delta->checked && !delta->clear)
		execute_uncounted(table, history_check_sql(table->target, delta), SKIP_NONE, snapshot);
	if (delta->nrows > delta->new_images)
		execute_deletion(table, deletions_sql(table), snapshot);
	if (delta->new_images == 0)
		return;
	if (table->target->history == HISTORY_SOFT_DELETE)
		execute_counted(table, revive_sql(table), snapshot);
	else
		write_versions(table, snapshot);
}
