/*-------------------------------------------------------------------------
 *
 * value_sets.c
 *		The kind of check about the set of the values of a column.
 *
 * distinct_values compares the distinct values of a column, over the whole table, with
 * values that are given: it may have no others (accepted), it must have all of them
 * (contains), or both (equals).  Violations are values: those that are there and must not
 * be, and those that are missing.  NULL is no value.  Values are compared by the equality
 * of the column's type and collation.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/value_sets.h"

#include "access/stratnum.h"
#include "access/table.h"
#include "core/identity.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "quality/compile_row.h"
#include "quality/constraint.h"
#include "utils/lsyscache.h"

void
validate_distinct_values(CheckRule *rule)
{
	bool accepted = check_given(rule, "accepted")->given;
	bool contains = check_given(rule, "contains")->given;
	bool equals = check_given(rule, "equals")->given;

	if (!accepted && !contains && !equals)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("check distinct_values needs accepted, contains or equals")));
	if (equals && (accepted || contains))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("equals of check distinct_values goes without accepted and contains")));
}

/* What is needed to compare values of the column. */
typedef struct ValueSet
{
	char *column; /* of the alias CHECK_ROW, in the type of the comparison */
	char *equals;
	char *accepted; /* "(VALUES ...) w (value)"; NULL: none given */
	char *contains;
} ValueSet;

static char *
values_text(const CheckRule *rule, const char *column_name, const char *argument, Oid type)
{
	const CheckGiven *given = check_given(rule, argument);
	StringInfoData buf;

	if (!given->given)
		return NULL;
	initStringInfo(&buf);
	for (int i = 0; i < given->count; i++)
		appendStringInfo(&buf,
						 "%s(%s)",
						 i > 0 ? ", " : "",
						 check_literal(column_name, argument, &given->values[i], type));
	return psprintf("(VALUES %s) w (value)", buf.data);
}

static ValueSet
value_set(const CheckRule *rule, Relation rel)
{
	static const char *const arguments[] = {"accepted", "contains", "equals"};
	Form_pg_attribute att = check_column(rel, check_text(rule, "column_name"));
	const char *name = NameStr(att->attname);
	Oid type = InvalidOid;
	ValueSet set = {0};

	for (size_t i = 0; i < lengthof(arguments); i++)
		type = check_comparison_type(getBaseType(att->atttypid),
									 check_given(rule, arguments[i]),
									 type);
	set.equals = check_operator(type, BTEqualStrategyNumber, name);
	set.column = psprintf(CHECK_ROW ".%s", sql_identifier(name));
	if (type != att->atttypid)
		set.column = psprintf("%s::%s", set.column, sql_type(type, -1));
	set.accepted = values_text(rule, name, "accepted", type);
	set.contains = values_text(rule, name, "contains", type);
	if (check_given(rule, "equals")->given)
		set.accepted = set.contains = values_text(rule, name, "equals", type);
	return set;
}

void
compile_distinct_values(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	(void) value_set(rule, rel);
	check->expression = pstrdup("true"); /* it is compiled */
	check->is_aggregate = true;
	check->columns = list_make1(check_text(rule, "column_name"));
}

static ValueSet
value_set_of(const DataConstraint *constraint, const Target *target)
{
	Relation rel = table_open(target->relid, AccessShareLock);
	ValueSet set = value_set(constraint->rule, rel);

	table_close(rel, NoLock);
	return set;
}

static const char *
filter_text(const DataConstraint *constraint)
{
	return constraint->row->filter_expression ? constraint->row->filter_expression : "true";
}

static char *
query_text(const DataConstraint *constraint, const Target *target, const ValueSet *set)
{
	char *rows = target_rows_sql(target, CHECK_ROW);
	char *unexpected = pstrdup("0::pg_catalog.int8");
	char *missing = pstrdup("0::pg_catalog.int8");
	char *nulls = pstrdup("0::pg_catalog.int8");

	if (set->accepted != NULL)
		unexpected = psprintf("(SELECT pg_catalog.count(*) FROM present p WHERE NOT EXISTS"
							  " (SELECT FROM %s WHERE p.value %s w.value))",
							  set->accepted,
							  set->equals);
	if (set->contains != NULL)
		missing = psprintf("(SELECT pg_catalog.count(*) FROM %s WHERE NOT EXISTS"
						   " (SELECT FROM present p WHERE p.value %s w.value))",
						   set->contains,
						   set->equals);
	if (constraint->on_null == NULL_FAILS)
		nulls = psprintf("(SELECT pg_catalog.count(*) FROM (SELECT FROM %s WHERE (%s) AND %s"
						 " IS NOT DISTINCT FROM NULL LIMIT 1) x)",
						 rows,
						 filter_text(constraint),
						 set->column);
	return psprintf("WITH present AS MATERIALIZED (SELECT DISTINCT %s AS value FROM %s"
					" WHERE (%s) AND %s IS DISTINCT FROM NULL)"
					" SELECT pg_catalog.count(*), %s, %s, %s FROM present",
					set->column,
					rows,
					filter_text(constraint),
					set->column,
					unexpected,
					missing,
					nulls);
}

static int64
number(int column)
{
	bool isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

void
evaluate_distinct_values(const DataConstraint *constraint, const CheckScope *scope,
						 Measure *measure)
{
	ValueSet set = value_set_of(constraint, scope->target);

	read_statement(query_text(constraint, scope->target, &set), NULL, PLAN_ONCE);
	measure->evaluated = number(1);
	measure->violations = number(2) + number(3) + number(4);
	measure->no_data = measure->evaluated == 0 && number(4) == 0;
	measure->metric = psprintf(INT64_FORMAT, number(1));
	if (measure->violations > 0)
		measure->detail = psprintf("\"unexpected\": " INT64_FORMAT ", \"missing\": " INT64_FORMAT,
								   number(2),
								   number(3));
	measure->strategy = "scan";
}

char *
failing_distinct_values(const DataConstraint *constraint, Target *target)
{
	ValueSet set = value_set_of(constraint, target);
	char *unexpected = pstrdup("false");

	if (set.accepted != NULL)
		unexpected = psprintf("(%s IS DISTINCT FROM NULL AND NOT EXISTS (SELECT FROM %s"
							  " WHERE %s %s w.value))",
							  set.column,
							  set.accepted,
							  set.column,
							  set.equals);
	if (constraint->on_null == NULL_FAILS)
		unexpected = psprintf("(%s OR %s IS NOT DISTINCT FROM NULL)", unexpected, set.column);
	return psprintf("(%s) AND %s", filter_text(constraint), unexpected);
}
