/*-------------------------------------------------------------------------
 *
 * sequences.c
 *		Checks of rows in an order: no_gaps and no_overlap.
 *
 * Each is one window query over the whole table, in the order of the column and for each
 * partition.  NULLs in a column of partition_by are one partition.
 *
 * no_gaps		violations are the rows whose value is more than a step after the one
 *				before.  Equal values, and values that are less than a step apart, are
 *				no gap.  A NULL is not in the sequence.
 * no_overlap	rows are ranges with the lower bound in them and the upper one not, as
 *				the server's range types have it; NULL is no bound.  Violations are the
 *				rows that overlap a row before them, each counted once, and those that
 *				end before they begin.  A row that ends where it begins is empty, and
 *				overlaps nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/sequences.h"

#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "quality/compile_row.h"
#include "quality/constraint.h"
#include "quality/keys.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

static const char *
filter_text(const DataConstraint *constraint)
{
	return constraint->row->filter_expression ? constraint->row->filter_expression : "true";
}

/* "PARTITION BY t.a, t.b " or nothing */
static char *
partition_text(const CheckRule *rule)
{
	StringInfoData buf;
	ListCell *cell;

	initStringInfo(&buf);
	foreach(cell, check_texts(rule, "partition_by"))
		appendStringInfo(&buf,
						 "%s" CHECK_ROW ".%s",
						 buf.len == 0 ? "PARTITION BY " : ", ",
						 sql_identifier(lfirst(cell)));
	return psprintf("%s ", buf.data);
}

/* The columns of the order and of the partitions. */
static List *
own_columns(const CheckRule *rule)
{
	static const char *const names[] = {"column_name", "lower_column", "upper_column"};
	List *columns = NIL;

	for (size_t i = 0; i < lengthof(names); i++)
		if (check_argument_place(rule->kind, names[i]) >= 0)
			columns = lappend(columns, check_text(rule, names[i]));
	return list_concat(columns, check_texts(rule, "partition_by"));
}

/* The same.  They must exist, and have an equality. */
static List *
used_columns(const CheckRule *rule, Relation rel)
{
	List *columns = own_columns(rule);
	ListCell *cell;

	foreach(cell, columns)
	{
		Form_pg_attribute att = check_column(rel, lfirst(cell));

		(void) check_operator(getBaseType(att->atttypid), BTEqualStrategyNumber, lfirst(cell));
	}
	return columns;
}

static int64
number(int column)
{
	bool isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/* "x.a = t.a AND ...": the row of x, or one with the same values, is that of CHECK_ROW. */
static char *
same_values(const Target *target, List *columns)
{
	Relation rel = table_open(target->relid, AccessShareLock);
	StringInfoData buf;
	ListCell *cell;

	initStringInfo(&buf);
	foreach(cell, columns)
	{
		Form_pg_attribute att = check_column(rel, lfirst(cell));
		const char *name = sql_identifier(lfirst(cell));

		appendStringInfo(
			&buf,
			"%s(x.%s %s " CHECK_ROW ".%s",
			buf.len > 0 ? " AND " : "",
			name,
			check_operator(getBaseType(att->atttypid), BTEqualStrategyNumber, lfirst(cell)),
			name);
		if (!att->attnotnull)
			appendStringInfo(&buf,
							 " OR (x.%s IS NOT DISTINCT FROM NULL AND " CHECK_ROW
							 ".%s IS NOT DISTINCT FROM NULL)",
							 name,
							 name);
		appendStringInfoChar(&buf, ')');
	}
	table_close(rel, NoLock);
	return buf.data;
}

static char *
column_list(List *columns)
{
	StringInfoData buf;
	ListCell *cell;

	initStringInfo(&buf);
	foreach(cell, columns)
		appendStringInfo(&buf,
						 "%s" CHECK_ROW ".%s",
						 buf.len > 0 ? ", " : "",
						 sql_identifier(lfirst(cell)));
	return buf.data;
}

static void
count_disorder(const char *rows, Measure *measure)
{
	read_statement(psprintf("SELECT pg_catalog.count(*), pg_catalog.count(*)"
							" FILTER (WHERE x._depipe_bad) FROM (%s) x",
							rows),
				   NULL,
				   PLAN_ONCE);
	measure->evaluated = number(1);
	measure->violations = number(2);
	measure->strategy = "scan in order";
}

/* The condition of the rows in disorder, and others. */
static char *
rows_in_disorder(const DataConstraint *constraint, Target *target, const char *rows,
				 const char *others)
{
	return psprintf("(%s) AND (EXISTS (SELECT FROM (%s) x WHERE x._depipe_bad AND %s)%s)",
					filter_text(constraint),
					rows,
					same_values(target, own_columns(constraint->rule)),
					others);
}

/* ---- no_gaps ---- */

/* The type in which a step is added to the column, and the type of the step. */
static void
step_types(Form_pg_attribute att, Oid *column, Oid *step)
{
	switch (getBaseType(att->atttypid))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
			*column = *step = NUMERICOID; /* no overflow at the end of integers */
			return;
		case FLOAT4OID:
		case FLOAT8OID:
			*column = *step = FLOAT8OID;
			return;
		case DATEOID:
		case TIMESTAMPOID:
			*column = TIMESTAMPOID;
			*step = INTERVALOID;
			return;
		case TIMESTAMPTZOID:
			*column = TIMESTAMPTZOID;
			*step = INTERVALOID;
			return;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("check no_gaps needs a column of numbers, dates or timestamps, but"
							" \"%s\" is of type %s",
							NameStr(att->attname),
							format_type_be(att->atttypid))));
	}
}

static void
refuse_step(const CheckRule *rule, Oid type)
{
	CheckValue zero = {type == INTERVALOID ? "0 seconds" : "0", jbvString};
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_CMP_PROC_FINFO);
	const CheckGiven *step = check_given(rule, "step");

	if (DatumGetInt32(FunctionCall2(&entry->cmp_proc_finfo,
									check_value(NULL, "step", &step->values[0], type),
									check_value(NULL, "step", &zero, type))) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step of check no_gaps must be greater than zero")));
}

void
compile_no_gaps(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	Form_pg_attribute att = check_column(rel, check_text(rule, "column_name"));
	const char *name = sql_identifier(NameStr(att->attname));
	Oid type;
	Oid step;

	step_types(att, &type, &step);
	refuse_step(rule, step);
	check->expression = psprintf(
		"(pg_catalog.lag(" CHECK_ROW ".%s) OVER w::%s OPERATOR(pg_catalog.+) %s)"
		" OPERATOR(pg_catalog.<) " CHECK_ROW ".%s::%s",
		name,
		sql_type(type, -1),
		check_literal(NULL, "step", &check_given(rule, "step")->values[0], step),
		name,
		sql_type(type, -1));
	check->columns = used_columns(rule, rel);
}

/* Each row in the sequence, and whether there is a gap before it. */
static char *
gaps_query(const DataConstraint *constraint, const Target *target)
{
	const char *name = sql_identifier(check_text(constraint->rule, "column_name"));

	return psprintf("SELECT %s, %s AS _depipe_bad FROM %s WHERE (%s) AND " CHECK_ROW
					".%s IS NOT NULL WINDOW w AS (%sORDER BY " CHECK_ROW ".%s)",
					column_list(own_columns(constraint->rule)),
					constraint->row->expression,
					target_rows_sql(target, CHECK_ROW),
					filter_text(constraint),
					name,
					partition_text(constraint->rule),
					name);
}

void
evaluate_no_gaps(const DataConstraint *constraint, const CheckScope *scope, Measure *measure)
{
	const char *name = sql_identifier(check_text(constraint->rule, "column_name"));
	int64 nulls = 0;

	if (constraint->on_null != NULL_SKIPPED)
	{
		read_statement(psprintf("SELECT pg_catalog.count(*) FROM %s WHERE (%s) AND " CHECK_ROW
								".%s IS NULL",
								target_rows_sql(scope->target, CHECK_ROW),
								filter_text(constraint),
								name),
					   NULL,
					   PLAN_ONCE);
		nulls = number(1);
	}
	count_disorder(gaps_query(constraint, scope->target), measure);
	measure->evaluated += nulls;
	measure->violations += constraint->on_null == NULL_FAILS ? nulls : 0;
}

char *
failing_no_gaps(const DataConstraint *constraint, Target *target)
{
	char *others = pstrdup("");

	if (constraint->on_null == NULL_FAILS)
		others = psprintf(" OR " CHECK_ROW ".%s IS NULL",
						  sql_identifier(check_text(constraint->rule, "column_name")));
	return rows_in_disorder(constraint, target, gaps_query(constraint, target), others);
}

/* ---- no_overlap ---- */

/* The two bounds in SQL, and "less than" of their type. */
typedef struct Bounds
{
	char *lower;
	char *upper;
	char *less;
} Bounds;

static Bounds
bounds_of(const CheckRule *rule, Relation rel)
{
	Form_pg_attribute lower = check_column(rel, check_text(rule, "lower_column"));
	Form_pg_attribute upper = check_column(rel, check_text(rule, "upper_column"));
	Bounds bounds;

	if (getBaseType(upper->atttypid) != getBaseType(lower->atttypid))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("check no_overlap needs two columns of one type, but \"%s\" is of type %s"
						" and \"%s\" of type %s",
						NameStr(lower->attname),
						format_type_be(lower->atttypid),
						NameStr(upper->attname),
						format_type_be(upper->atttypid))));
	bounds.lower = psprintf(CHECK_ROW ".%s", sql_identifier(NameStr(lower->attname)));
	bounds.upper = psprintf(CHECK_ROW ".%s", sql_identifier(NameStr(upper->attname)));
	bounds.less = check_operator(getBaseType(lower->atttypid),
								 BTLessStrategyNumber,
								 NameStr(lower->attname));
	return bounds;
}

void
compile_no_overlap(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	Bounds bounds = bounds_of(rule, rel);

	check->expression = pstrdup("true"); /* it is compiled */
	check->columns = used_columns(rule, rel);
	keys_check_query(psprintf("SELECT pg_catalog.max(%s), pg_catalog.max(%s) FROM %s " CHECK_ROW,
							  bounds.lower,
							  bounds.upper,
							  sql_relation(RelationGetRelid(rel))));
}

/*
 * Rows that are ranges, in the order of their lower bounds, each with the question
 * whether one before it ends later than it begins; and rows that end before they begin.
 */
static char *
overlaps_query(const DataConstraint *constraint, const Target *target)
{
	Relation rel = table_open(target->relid, AccessShareLock);
	Bounds b = bounds_of(constraint->rule, rel);
	char *columns = column_list(own_columns(constraint->rule));
	char *rows = psprintf("%s WHERE (%s)",
						  target_rows_sql(target, CHECK_ROW),
						  filter_text(constraint));

	table_close(rel, NoLock);
	return psprintf("SELECT %s, pg_catalog.count(*) OVER w OPERATOR(pg_catalog.>) 0"
					" AND (COALESCE(pg_catalog.bool_or(%s IS NULL) OVER w, false) OR %s IS NULL"
					" OR COALESCE(%s %s pg_catalog.max(%s) OVER w, false)) AS _depipe_bad"
					" FROM %s AND (%s %s %s) IS NOT FALSE"
					" WINDOW w AS (%sORDER BY %s NULLS FIRST, %s"
					" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
					" UNION ALL SELECT %s, (%s %s %s) FROM %s AND (%s %s %s) IS FALSE",
					columns,
					b.upper,
					b.lower,
					b.lower,
					b.less,
					b.upper,
					rows,
					b.lower,
					b.less,
					b.upper,
					partition_text(constraint->rule),
					b.lower,
					b.upper,
					columns,
					b.upper,
					b.less,
					b.lower,
					rows,
					b.lower,
					b.less,
					b.upper);
}

void
evaluate_no_overlap(const DataConstraint *constraint, const CheckScope *scope, Measure *measure)
{
	count_disorder(overlaps_query(constraint, scope->target), measure);
}

char *
failing_no_overlap(const DataConstraint *constraint, Target *target)
{
	return rows_in_disorder(constraint, target, overlaps_query(constraint, target), "");
}
