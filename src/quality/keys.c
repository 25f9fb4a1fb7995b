/*-------------------------------------------------------------------------
 *
 * keys.c
 *		Checks of rows against rows: unique and relationships.
 *
 * unique		violations are the rows in duplicated groups; groups and excess
 *				rows are in the detail.  A NULL equals nothing, or with nulls_equal
 *				another NULL.  On a delta only groups that hold one of
 *				its keys are counted; an enforcing unique index on these
 *				columns, or on some of them, answers without any work.
 * relationships	a row expression with a subquery, evaluated after the whole
 *				batch is applied: the reference is read as it is then.  NULL
 *				when one of the columns is NULL.  Rows that fail are found by
 *				an anti-join, of the delta or of the table.
 *
 * Values are compared by the equality of the columns' default btree operator
 * class, so that the planner finds the indexes that the primary keys have.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/keys.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "commands/defrem.h"
#include "core/identity.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "quality/constraint.h"
#include "quality/expression.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"

/* ---- unique ---- */

void
compile_unique(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	ListCell *cell;

	foreach(cell, check_texts(rule, "columns"))
	{
		Form_pg_attribute att = check_column(rel, lfirst(cell));

		(void) check_operator(getBaseType(att->atttypid),
							  BTEqualStrategyNumber,
							  NameStr(att->attname));
		check->columns = lappend(check->columns, pstrdup(NameStr(att->attname)));
	}
}

/*
 * Does the index exclude rows with equal values in these columns?  Its columns
 * must be among them.  It must be enforced immediately, for all rows, by the
 * equality that the check uses.
 */
static bool
index_answers(Relation rel, Relation index, List *columns, bool nulls_equal)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisunique || !form->indimmediate || !form->indisvalid || !form->indisready ||
		RelationGetIndexPredicate(index) != NIL || RelationGetIndexExpressions(index) != NIL)
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), form->indkey.values[i] - 1);
		bool found = false;
		ListCell *cell;

		foreach(cell, columns)
			found = found || strcmp(lfirst(cell), NameStr(att->attname)) == 0;
		if (!found || (nulls_equal && !form->indnullsnotdistinct && !att->attnotnull) ||
			index->rd_indcollation[i] != att->attcollation ||
			index->rd_opfamily[i] !=
				get_opclass_family(GetDefaultOpClass(att->atttypid, BTREE_AM_OID)))
			return false;
	}
	return true;
}

/* Is NULL a value like any other in the keys of this check? */
static bool
nulls_are_equal(const DataConstraint *constraint)
{
	return check_boolean(constraint->rule, "nulls_equal");
}

static bool
some_index_answers(const DataConstraint *constraint, Target *target)
{
	Relation rel;
	bool answers = false;
	ListCell *cell;

	if (constraint->on_null == NULL_FAILS && !nulls_are_equal(constraint))
		return false;
	rel = table_open(target->relid, AccessShareLock);
	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		answers = answers || index_answers(rel,
										   index,
										   check_texts(constraint->rule, "columns"),
										   nulls_are_equal(constraint));
		index_close(index, NoLock);
	}
	table_close(rel, NoLock);
	return answers;
}

/* "prefix.a, prefix.b" */
static char *
column_list(List *columns, const char *prefix)
{
	StringInfoData buf;
	ListCell *cell;

	initStringInfo(&buf);
	foreach(cell, columns)
		appendStringInfo(&buf,
						 "%s%s.%s",
						 buf.len > 0 ? ", " : "",
						 prefix,
						 sql_identifier(lfirst(cell)));
	return buf.data;
}

static char *
any_null(List *columns, const char *prefix)
{
	StringInfoData buf;
	ListCell *cell;

	initStringInfo(&buf);
	foreach(cell, columns)
		appendStringInfo(&buf,
						 "%s%s.%s IS NOT DISTINCT FROM NULL",
						 buf.len > 0 ? " OR " : "",
						 prefix,
						 sql_identifier(lfirst(cell)));
	return psprintf("(%s)", buf.data);
}

/* Equality of the same columns of two aliases; nulls: NULL equals NULL. */
static char *
equal_columns(Oid relid, List *columns, const char *left, const char *right, bool nulls)
{
	Relation rel = table_open(relid, AccessShareLock);
	StringInfoData buf;
	ListCell *cell;

	initStringInfo(&buf);
	foreach(cell, columns)
	{
		Form_pg_attribute att = check_column(rel, lfirst(cell));
		const char *name = sql_identifier(NameStr(att->attname));

		appendStringInfo(&buf,
						 "%s(%s.%s %s %s.%s",
						 buf.len > 0 ? " AND " : "",
						 left,
						 name,
						 check_operator(getBaseType(att->atttypid),
										BTEqualStrategyNumber,
										NameStr(att->attname)),
						 right,
						 name);
		/* IS NOT DISTINCT FROM would look for an operator by its name */
		if (nulls)
			appendStringInfo(&buf,
							 " OR (%s.%s IS NOT DISTINCT FROM NULL AND"
							 " %s.%s IS NOT DISTINCT FROM NULL)",
							 left,
							 name,
							 right,
							 name);
		appendStringInfoChar(&buf, ')');
	}
	table_close(rel, NoLock);
	return buf.data;
}

static int64
number(int column)
{
	bool isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/* About the rows of the scope's delta, looked up by these columns, or about the whole table. */
static void
query(const char *sql, const CheckScope *scope, List *columns)
{
	const Delta *delta = scope->delta;

	if (delta == NULL)
		read_statement(sql, NULL, PLAN_ONCE);
	else
		read_statement(sql, delta->desc, lookup_style(scope->target->relid, columns, delta->nrows));
}

static const char *
filter_text(const DataConstraint *constraint)
{
	return constraint->row->filter_expression ? constraint->row->filter_expression : "true";
}

#define DELTA_HAS \
	" EXISTS (SELECT FROM %s d WHERE d._depipe_weight OPERATOR(pg_catalog.>) 0 AND %s)"

/*
 * The groups whose keys have a NULL, where NULLs are equal.  No join finds them, so
 * they are looked for only if the delta has such keys.
 */
static char *
null_groups_query(const DataConstraint *constraint, const CheckScope *scope, List *columns)
{
	const char *delta = scope->delta != NULL ? sql_identifier(scope->delta->name) : NULL;
	char *keys = column_list(columns, CHECK_ROW);
	char *where = pstrdup("");
	char *having = pstrdup("");

	if (delta != NULL)
	{
		where = psprintf(" AND" DELTA_HAS, delta, any_null(columns, "d"));
		having = psprintf(" HAVING" DELTA_HAS,
						  delta,
						  equal_columns(scope->target->relid, columns, "d", CHECK_ROW, true));
	}
	return psprintf("SELECT %s, pg_catalog.count(*) AS _depipe_count FROM %s"
					" WHERE (%s) AND %s%s GROUP BY %s%s",
					keys,
					target_rows_sql(scope->target, CHECK_ROW),
					filter_text(constraint),
					any_null(columns, CHECK_ROW),
					where,
					keys,
					having);
}

/* Groups of rows with equal keys, in the whole table or among the keys of the delta. */
static char *
groups_query(const DataConstraint *constraint, const CheckScope *scope, List *columns)
{
	char *restriction = pstrdup("");
	char *complete;

	if (scope->delta != NULL)
		restriction = psprintf(" AND" DELTA_HAS,
							   sql_identifier(scope->delta->name),
							   equal_columns(scope->target->relid, columns, "d", CHECK_ROW, false));
	complete = psprintf("SELECT %s, pg_catalog.count(*) AS _depipe_count FROM %s"
						" WHERE (%s) AND NOT %s%s GROUP BY %s",
						column_list(columns, CHECK_ROW),
						target_rows_sql(scope->target, CHECK_ROW),
						filter_text(constraint),
						any_null(columns, CHECK_ROW),
						restriction,
						column_list(columns, CHECK_ROW));
	if (!nulls_are_equal(constraint))
		return complete;
	return psprintf("%s UNION ALL %s", complete, null_groups_query(constraint, scope, columns));
}

/* Rows without a complete key are in no group, unless NULLs are equal. */
static int64
count_null_keys(const DataConstraint *constraint, const CheckScope *scope, List *columns)
{
	const Delta *delta = scope->delta;

	query(
		psprintf("SELECT pg_catalog.count(*) FROM %s WHERE (%s) AND %s%s",
				 delta != NULL ? psprintf("%s " CHECK_ROW, sql_identifier(delta->name))
							   : target_rows_sql(scope->target, CHECK_ROW),
				 filter_text(constraint),
				 any_null(columns, CHECK_ROW),
				 delta != NULL ? " AND " CHECK_ROW "._depipe_weight OPERATOR(pg_catalog.>) 0" : ""),
		scope,
		columns);
	return number(1);
}

static void
count_groups(const DataConstraint *constraint, const CheckScope *scope, List *columns,
			 Measure *measure)
{
	int64 null_keys = 0;

	if (constraint->on_null != NULL_SKIPPED && !nulls_are_equal(constraint))
		null_keys = count_null_keys(constraint, scope, columns);
	query(psprintf("SELECT pg_catalog.sum(n), pg_catalog.sum(n) FILTER (WHERE twice),"
				   " pg_catalog.count(*) FILTER (WHERE twice)"
				   " FROM (SELECT _depipe_count::pg_catalog.int4 AS n,"
				   " _depipe_count OPERATOR(pg_catalog.>) 1 AS twice FROM (%s) g) g",
				   groups_query(constraint, scope, columns)),
		  scope,
		  columns);
	measure->evaluated = number(1) + null_keys;
	measure->violations = number(2) + (constraint->on_null == NULL_FAILS ? null_keys : 0);
	if (number(3) > 0)
		measure->detail = psprintf("\"groups\": " INT64_FORMAT ", \"excess_rows\": " INT64_FORMAT,
								   number(3),
								   number(2) - number(3));
}

bool
unique_is_enforced(const DataConstraint *constraint, Target *target)
{
	return constraint->compile_sqlstate == 0 && constraint->row->filter_expression == NULL &&
		   some_index_answers(constraint, target);
}

void
evaluate_unique(const DataConstraint *constraint, const CheckScope *scope, Measure *measure)
{
	bool plain = constraint->row->filter_expression == NULL;

	measure->evaluated = 0;
	measure->violations = 0;
	measure->strategy = scope->delta != NULL ? "keys of the delta" : "scan";
	if (scope->delta != NULL && scope->delta->new_images == 0)
		return;
	if (scope->delta != NULL && plain && some_index_answers(constraint, scope->target))
	{
		measure->evaluated = scope->delta->new_images;
		measure->strategy = "unique index";
		return;
	}
	count_groups(constraint, scope, check_texts(constraint->rule, "columns"), measure);
}

char *
failing_unique(const DataConstraint *constraint, Target *target)
{
	List *columns = check_texts(constraint->rule, "columns");
	CheckScope scope = {target, NULL, NULL};
	bool fails_null = constraint->on_null == NULL_FAILS && !nulls_are_equal(constraint);
	char *twice = psprintf(
		"EXISTS (SELECT FROM (%s) g WHERE g._depipe_count"
		" OPERATOR(pg_catalog.>) 1 AND %s)",
		groups_query(constraint, &scope, columns),
		equal_columns(target->relid, columns, "g", CHECK_ROW, nulls_are_equal(constraint)));

	return psprintf("(%s) AND (%s%s%s)",
					filter_text(constraint),
					twice,
					fails_null ? " OR " : "",
					fails_null ? any_null(columns, CHECK_ROW) : "");
}

/* ---- relationships ---- */

void
validate_relationships(CheckRule *rule)
{
	if (check_given(rule, "columns")->count != check_given(rule, "reference_columns")->count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("check relationships needs as many reference_columns as columns")));
}

Relation
keys_open_reference(const char *name)
{
	char *schema_name;
	char *table_name;
	Oid relid;

	parse_table_name(name, &schema_name, &table_name);
	relid = RangeVarGetRelid(makeRangeVar(schema_name, table_name, -1), AccessShareLock, false);
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for reference %s", name),
				 errdetail("The owner of the constrained table must be able to read it.")));
	return relation_open(relid, NoLock);
}

/*
 * The equality of a column and that of the reference.  For one type: its own
 * operator; otherwise one of the types' operator family, or a cross-type
 * operator of pg_catalog.
 */
static char *
equality(Form_pg_attribute left, Form_pg_attribute right)
{
	Oid left_type = getBaseType(left->atttypid);
	Oid right_type = getBaseType(right->atttypid);
	Oid type = left_type == right_type ? left_type : InvalidOid;

	if (OidIsValid(type))
		return check_operator(type, BTEqualStrategyNumber, NameStr(left->attname));
	return pstrdup("OPERATOR(pg_catalog.=)");
}

static char *
relationship_condition(const CheckRule *rule, Relation rel, Relation reference)
{
	StringInfoData buf;
	ListCell *column;
	ListCell *other;

	initStringInfo(&buf);
	forboth(column, check_texts(rule, "columns"), other, check_texts(rule, "reference_columns"))
	{
		Form_pg_attribute left = check_column(rel, lfirst(column));
		Form_pg_attribute right = check_column(reference, lfirst(other));

		appendStringInfo(&buf,
						 "%sr.%s %s " CHECK_ROW ".%s",
						 buf.len > 0 ? " AND " : "",
						 sql_identifier(NameStr(right->attname)),
						 equality(left, right),
						 sql_identifier(NameStr(left->attname)));
	}
	return buf.data;
}

/*
 * The expression of compile_relationships is MATCH_BEFORE, the columns' test
 * for NULL, MATCH_BETWEEN, the match and MATCH_AFTER.
 */
#define MATCH_BEFORE "CASE WHEN "
#define MATCH_BETWEEN " THEN NULL ELSE "
#define MATCH_AFTER " END"

/* "EXISTS (...)" of the expression; NULL when it is not of that form. */
static char *
match_of(const char *expression, List *columns)
{
	char *before = psprintf(MATCH_BEFORE "%s" MATCH_BETWEEN, any_null(columns, CHECK_ROW));
	size_t length = strlen(expression);
	size_t start = strlen(before);

	if (length < start + strlen(MATCH_AFTER) || strncmp(expression, before, start) != 0)
		return NULL;
	return pnstrdup(expression + start, length - start - strlen(MATCH_AFTER));
}

/*
 * A conjunction, so that the planner joins the two tables: the CASE of the
 * expression would be a subplan for each row.  NULL matches nothing.
 */
char *
failing_relationships(const DataConstraint *constraint, Target *target)
{
	List *columns = check_texts(constraint->rule, "columns");
	char *match = match_of(constraint->row->expression, columns);

	if (match == NULL)
		return psprintf("(%s) AND (%s) %s",
						filter_text(constraint),
						constraint->row->expression,
						constraint->on_null == NULL_FAILS ? "IS NOT TRUE" : "IS FALSE");
	return psprintf("(%s)%s%s AND NOT %s",
					filter_text(constraint),
					constraint->on_null == NULL_FAILS ? "" : " AND NOT ",
					constraint->on_null == NULL_FAILS ? "" : any_null(columns, CHECK_ROW),
					match);
}

/* Does the reference have an index that finds its rows by one of the columns? */
PlanStyle
relationships_style(const DataConstraint *constraint, int64 nrows)
{
	return lookup_style(constraint->reference,
						check_texts(constraint->rule, "reference_columns"),
						nrows);
}

void
keys_check_query(const char *sql)
{
	Identity pinned;
	SPIPlanPtr plan;

	identity_become(GetUserId(), &pinned);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = SPI_prepare(sql, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	SPI_finish();
	identity_restore(&pinned);
}

void
compile_relationships(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	List *columns = check_texts(rule, "columns");
	char *filter = check_text(rule, "reference_filter");
	Relation reference = keys_open_reference(check_text(rule, "reference"));

	if (filter != NULL)
		filter = expression_analyse_as(reference, "r", filter, "reference_filter")->sql;
	check->expression = psprintf(
		MATCH_BEFORE "%s" MATCH_BETWEEN "EXISTS (SELECT FROM %s r WHERE %s%s%s%s)" MATCH_AFTER,
		any_null(columns, CHECK_ROW),
		sql_relation(RelationGetRelid(reference)),
		relationship_condition(rule, rel, reference),
		filter != NULL ? " AND (" : "",
		filter != NULL ? filter : "",
		filter != NULL ? ")" : "");
	check->late = true;
	check->columns = columns;
	relation_close(reference, AccessShareLock);
	/* the server's own analysis determines whether the two sides can be compared */
	keys_check_query(psprintf("SELECT %s FROM %s " CHECK_ROW,
							  check->expression,
							  sql_relation(RelationGetRelid(rel))));
}
