/*-------------------------------------------------------------------------
 *
 * change_checks.c
 *		Checks of the changes of one batch: transition and change_limit.
 *
 * Both look at pairs of the old and the new image of a row (delta/changes.h).  An
 * inserted row has no old image, a deleted one no new image: their columns are NULL.  A
 * row that was written unchanged is no change.  Images belong to one row if they have the
 * same key, so a change of a key is a deletion and an insertion; without a key there are
 * only these.
 *
 * If a batch replaces the whole table (TRUNCATE, full refresh, resync), the rows that
 * were there before are the old images, so that rows that come again are no changes.
 *
 * transition	a violation is a changed row for which the expression is false
 * change_limit	violations are the changes of each kind of which there are too many.
 *				A percentage is of the rows before the batch.  To know that it is
 *				not exceeded takes no count of the table: so many rows suffice.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/change_checks.h"

#include <math.h>

#include "core/identity.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "quality/constraint.h"
#include "quality/expression.h"

/* ---- pairs ---- */

/* "name, name": the columns of the table */
static char *
column_list(const Changes *changes)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = CHANGES_FIXED; i < changes->desc->natts; i++)
		appendStringInfo(&buf,
						 "%s" CHECK_ROW ".%s",
						 i > CHANGES_FIXED ? ", " : "",
						 sql_identifier(NameStr(TupleDescAttr(changes->desc, i)->attname)));
	return buf.data;
}

/* All images, with their weights. */
static char *
all_images(const CheckScope *scope, const char *columns)
{
	const Changes *changes = scope->changes;
	char *images = pstrdup(changes->name);

	if (changes->before != NULL)
		images = psprintf("(SELECT * FROM %s UNION ALL SELECT * FROM %s)",
						  changes->before->name,
						  changes->name);
	if (changes->before == NULL || scope->delta->nkeys > 0)
		return psprintf("%s " CHECK_ROW, images);
	/* what was there before and comes again cancels out */
	return psprintf("(SELECT x.* FROM (SELECT pg_catalog.sum(" CHECK_ROW "._depipe_weight)"
					" OVER w::pg_catalog.int8 AS _depipe_weight, %s,"
					" pg_catalog.row_number() OVER w AS _depipe_number FROM %s " CHECK_ROW
					" WINDOW w AS (PARTITION BY depipe.row_hash(ROW(%s)))) x"
					" WHERE x._depipe_number OPERATOR(pg_catalog.=) 1"
					" AND x._depipe_weight OPERATOR(pg_catalog.<>) 0) " CHECK_ROW,
					columns,
					images,
					columns);
}

/* The old images (weight < 0) or the new ones, with their number of copies. */
static char *
side(const DataConstraint *constraint, const char *images, const char *columns, bool old)
{
	const char *filter = constraint->row->filter_expression;

	return psprintf("(SELECT pg_catalog.abs(" CHECK_ROW "._depipe_weight) AS _depipe_copies,"
					" (%s) AS _depipe_filter, ROW(%s) AS _depipe_image, %s FROM %s"
					" WHERE " CHECK_ROW "._depipe_weight OPERATOR(pg_catalog.%s) 0) %s",
					filter != NULL ? filter : "true",
					columns,
					columns,
					images,
					old ? "<" : ">",
					old ? "old" : "new");
}

static char *
match(const Delta *delta)
{
	StringInfoData buf;

	if (delta->nkeys == 0)
		return pstrdup("false");
	initStringInfo(&buf);
	sql_append_match(&buf,
					 delta->columns,
					 delta->nkeys,
					 delta->keys,
					 "old",
					 "new",
					 delta_key_is_not_null(unconstify(Delta *, delta)));
	return buf.data;
}

/* "SELECT list" of all changed rows, whose images are old and new. */
static char *
pairs_query(const DataConstraint *constraint, const CheckScope *scope, const char *list)
{
	char *columns = column_list(scope->changes);
	char *images = all_images(scope, columns);
	char *old = side(constraint, images, columns, true);
	char *new = side(constraint, images, columns, false);
	char *same = match(scope->delta);

	return psprintf("SELECT %s FROM %s LEFT JOIN %s ON %s"
					" WHERE (old._depipe_image OPERATOR(pg_catalog.*=) new._depipe_image)"
					" IS NOT TRUE AND (old._depipe_filter OR new._depipe_filter) IS TRUE"
					" UNION ALL SELECT %s FROM %s LEFT JOIN %s ON %s"
					" WHERE old._depipe_copies IS NULL AND new._depipe_filter IS TRUE",
					list,
					old,
					new,
					same,
					list,
					new,
					old,
					same);
}

#define COPIES "COALESCE(old._depipe_copies, new._depipe_copies)"

static void
query(const char *sql)
{
	MemoryContext caller = CurrentMemoryContext;
	int level = identity_begin_statement();

	if (read_query(sql, 0, NULL, NULL) != SPI_OK_SELECT)
		elog(ERROR, "evaluation of a check of changes failed");
	identity_end_statement(level);
	MemoryContextSwitchTo(caller); /* SPI switched to a context of its own */
}

static int64
number(int column)
{
	bool isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/* Are there changes to look at?  Otherwise the measure says so. */
static bool
have_changes(const CheckScope *scope, Measure *measure)
{
	measure->strategy = "changes";
	if (scope->delta == NULL || scope->changes == NULL)
	{
		measure->not_here = true;
		return false;
	}
	if (!scope->changes->known)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the changes of the rows of %s are not known", scope->target->display),
				 errdetail("A trigger or a foreign key of the table changes rows as well, or the"
						   " table has no key and more columns than its source.")));
	return true;
}

/* ---- transition ---- */

void
compile_transition(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	Expression *expression = expression_analyse_change(rel, check_text(rule, "expression"));

	check->expression = expression->sql;
	check->columns = expression->columns;
}

void
evaluate_transition(const DataConstraint *constraint, const CheckScope *scope, Measure *measure)
{
	const char *expression = constraint->row->expression;
	char *list;

	if (!have_changes(scope, measure))
		return;
	list = psprintf(COPIES " AS copies, (%s) %s AS holds, %s AS counted",
					expression,
					constraint->on_null == NULL_FAILS ? "IS TRUE" : "IS NOT FALSE",
					constraint->on_null == NULL_SKIPPED ? psprintf("(%s) IS NOT NULL", expression)
														: "true");
	query(psprintf("SELECT pg_catalog.sum(copies) FILTER (WHERE counted)::pg_catalog.int8,"
				   " pg_catalog.sum(copies) FILTER (WHERE NOT holds)::pg_catalog.int8 FROM (%s) x",
				   pairs_query(constraint, scope, list)));
	measure->evaluated = number(1);
	measure->violations = number(2);
}

/* ---- change_limit ---- */

static const char *const limit_names[] = {"inserts", "updates", "deletes"};

/* '100' or '5%'; returns false for anything else. */
static bool
parse_limit(const char *text, double *bound, bool *percent)
{
	char *end;

	*bound = strtod(text, &end);
	if (end == text || strspn(text, "0123456789.") != (size_t) (end - text))
		return false;
	end += strspn(end, " ");
	*percent = (*end == '%');
	end += *percent ? 1 : 0;
	return end[strspn(end, " ")] == '\0' && (*percent || *bound == floor(*bound));
}

void
validate_change_limit(CheckRule *rule)
{
	bool given = false;

	for (size_t i = 0; i < lengthof(limit_names); i++)
	{
		char *text = check_text(rule, limit_names[i]);
		double bound;
		bool percent;

		if (text == NULL)
			continue;
		given = true;
		if (!parse_limit(text, &bound, &percent))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid value for argument \"%s\" of check change_limit: \"%s\"",
							limit_names[i],
							text),
					 errhint("Write a number of rows or a percentage, such as '1000' or '5%%'.")));
	}
	if (!given)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("check change_limit needs a limit of inserts, updates or deletes")));
}

void
compile_change_limit(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	check->expression = pstrdup("true"); /* it is compiled */
}

/* Numbers of changes, and the rows before them. */
typedef struct ChangeCounts
{
	int64 changes[lengthof(limit_names)];
	int64 before;   /* at least */
	bool all_known; /* exactly */
} ChangeCounts;

static void
count_changes(const DataConstraint *constraint, const CheckScope *scope, ChangeCounts *counts)
{
	query(psprintf(
		"SELECT pg_catalog.sum(copies) FILTER (WHERE kind OPERATOR(pg_catalog.=) 0)"
		"::pg_catalog.int8, pg_catalog.sum(copies) FILTER (WHERE kind OPERATOR(pg_catalog.=) 1)"
		"::pg_catalog.int8, pg_catalog.sum(copies) FILTER (WHERE kind OPERATOR(pg_catalog.=) 2)"
		"::pg_catalog.int8 FROM (%s) x",
		pairs_query(constraint,
					scope,
					COPIES " AS copies, CASE WHEN old._depipe_copies IS NULL THEN 0"
						   " WHEN new._depipe_copies IS NULL THEN 2 ELSE 1 END AS kind")));
	for (size_t i = 0; i < lengthof(limit_names); i++)
		counts->changes[i] = number(i + 1);
}

/*
 * How many rows the filter loses and gains beside the changes counted: a change can move
 * a row into it or out of it.  Returns rows after minus rows before.
 */
static int64
growth(const DataConstraint *constraint, const CheckScope *scope)
{
	char *columns = column_list(scope->changes);

	query(psprintf("SELECT pg_catalog.sum(" CHECK_ROW "._depipe_weight)::pg_catalog.int8"
				   " FROM %s WHERE %s",
				   all_images(scope, columns),
				   constraint->row->filter_expression != NULL ? constraint->row->filter_expression
															  : "true"));
	return number(1);
}

/* So many rows before the batch are enough to be below every percentage. */
static double
rows_needed(const DataConstraint *constraint, const ChangeCounts *counts)
{
	double needed = 0;

	for (size_t i = 0; i < lengthof(limit_names); i++)
	{
		char *text = check_text(constraint->rule, limit_names[i]);
		double bound;
		bool percent;

		if (text == NULL || !parse_limit(text, &bound, &percent) || !percent || bound == 0)
			continue;
		needed = Max(needed, ceil(100.0 * (double) counts->changes[i] / bound));
	}
	return needed;
}

/* Look at as many rows of the table as the percentages need. */
static void
count_before(const DataConstraint *constraint, const CheckScope *scope, ChangeCounts *counts)
{
	int64 grown = growth(constraint, scope);
	int64 limit = (int64) Min(rows_needed(constraint, counts) + 1, 1e15) + Max(grown, 0);
	int64 found;

	query(psprintf(
		"SELECT pg_catalog.count(*) FROM (SELECT FROM %s WHERE %s LIMIT " INT64_FORMAT ") x",
		target_rows_sql(scope->target, CHECK_ROW),
		constraint->row->filter_expression != NULL ? constraint->row->filter_expression : "true",
		limit));
	found = number(1);
	counts->before = Max(found - grown, 0);
	counts->all_known = found < limit;
}

static bool
has_percentage(const DataConstraint *constraint)
{
	for (size_t i = 0; i < lengthof(limit_names); i++)
	{
		char *text = check_text(constraint->rule, limit_names[i]);

		if (text != NULL && strchr(text, '%') != NULL)
			return true;
	}
	return false;
}

/* *judged: a limit applied; a percentage of no rows says nothing. */
static bool
exceeds(const char *text, int64 changes, int64 before, bool *judged)
{
	double bound;
	bool percent;

	if (text == NULL || !parse_limit(text, &bound, &percent) || (percent && before == 0))
		return false;
	*judged = true;
	return (percent ? 100.0 * (double) changes / (double) before : (double) changes) > bound;
}

void
evaluate_change_limit(const DataConstraint *constraint, const CheckScope *scope, Measure *measure)
{
	ChangeCounts counts = {{0}, 0, false};
	StringInfoData detail;
	bool judged = false;

	if (!have_changes(scope, measure))
		return;
	count_changes(constraint, scope, &counts);
	if (has_percentage(constraint))
		count_before(constraint, scope, &counts);
	measure->evaluated = measure->violations = 0;
	initStringInfo(&detail);
	for (size_t i = 0; i < lengthof(limit_names); i++)
	{
		measure->evaluated += counts.changes[i];
		appendStringInfo(&detail, "\"%s\": " INT64_FORMAT ", ", limit_names[i], counts.changes[i]);
		if (exceeds(check_text(constraint->rule, limit_names[i]),
					counts.changes[i],
					counts.before,
					&judged))
			measure->violations += counts.changes[i];
	}
	if (counts.all_known)
		appendStringInfo(&detail, "\"rows_before\": " INT64_FORMAT ", ", counts.before);
	detail.data[detail.len - 2] = '\0';
	measure->detail = detail.data;
	measure->no_data = !judged;
}
