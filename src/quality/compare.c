/*-------------------------------------------------------------------------
 *
 * compare.c
 *		Checks of a table against other tables and queries: same_count,
 *		same_metric, same_rows and no_rows.
 *
 * They read both sides under the snapshot of the gate, so a batch is compared with the
 * other side as it is then, and with what the batch itself brings there.  They are
 * evaluated when their own table changes, not when the other side does.
 *
 * A tolerance is a number, or a percentage of the reference's count, value or rows; it
 * belongs to what is tolerated.
 *
 * same_rows compares multisets: rows that only one side has, or has more often, are
 * violations.  NULLs are equal; texts are compared under the collation of the table.
 *
 * The compiled form of same_metric has the expression over the reference as its metric,
 * and that of same_rows has the source of the other rows.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/compare.h"

#include "access/relation.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "core/identity.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "parser/parse_coerce.h"
#include "quality/checked_query.h"
#include "quality/constraint.h"
#include "quality/expression.h"
#include "quality/keys.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"
#include "utils/builtins.h"

/* ---- tolerances ---- */

static bool
is_tolerance(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	size_t length = digits;

	if (text[length] == '.')
		length += 1 + strspn(text + length + 1, "0123456789");
	if (digits == 0)
		return false;
	length += strspn(text + length, " ");
	length += text[length] == '%' ? 1 : 0;
	return text[length] == '\0';
}

void
validate_tolerance(CheckRule *rule)
{
	const char *text = check_text(rule, "tolerance");

	if (text != NULL && !is_tolerance(text))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"tolerance\" of check %s: \"%s\"",
						rule->kind->name,
						text),
				 errhint("Write a number or a percentage, such as '10' or '0.5%%'.")));
}

/* SQL: is the numeric difference more than tolerated, beside the other value? */
static char *
exceeds(const DataConstraint *constraint, const char *difference, const char *other)
{
	const char *text = check_text(constraint->rule, "tolerance");
	char *number;

	if (text == NULL)
		return psprintf("(%s OPERATOR(pg_catalog.>) 0)", difference);
	number = psprintf("%s::pg_catalog.numeric",
					  sql_literal(pnstrdup(text, strspn(text, "0123456789."))));
	if (strchr(text, '%') == NULL)
		return psprintf("(%s OPERATOR(pg_catalog.>) %s)", difference, number);
	return psprintf("((%s OPERATOR(pg_catalog.*) 100) OPERATOR(pg_catalog.>)"
					" (%s OPERATOR(pg_catalog.*) pg_catalog.abs(%s)))",
					difference,
					number,
					other);
}

/* ---- both sides ---- */

static const char *
filter_text(const DataConstraint *constraint)
{
	return constraint->row->filter_expression ? constraint->row->filter_expression : "true";
}

/* The current rows of the reference, with the alias r. */
static const char *
reference_rows(const DataConstraint *constraint)
{
	if (!OidIsValid(constraint->reference))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s does not exist",
						sql_table(constraint->row->reference_schema,
								  constraint->row->reference_table))));
	return table_rows_sql(constraint->reference, "r");
}

static void
query(const char *sql)
{
	read_statement(sql, NULL, PLAN_ONCE);
}

static Datum
value(int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, isnull);
}

static int64
number(int column)
{
	bool isnull;
	Datum result = value(column, &isnull);

	return isnull ? 0 : DatumGetInt64(result);
}

static bool
truth(int column)
{
	bool isnull;
	Datum result = value(column, &isnull);

	return !isnull && DatumGetBool(result);
}

/* ---- same_count ---- */

void
compile_same_count(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	relation_close(keys_open_reference(check_text(rule, "reference")), AccessShareLock);
	check->expression = pstrdup("true"); /* it is compiled */
	check->is_aggregate = true;
}

void
evaluate_same_count(const DataConstraint *constraint, const CheckScope *scope, Measure *measure)
{
	const char *difference = "pg_catalog.abs((x.own OPERATOR(pg_catalog.-) x.other)"
							 "::pg_catalog.numeric)";

	query(psprintf("SELECT x.own, x.other, %s FROM (SELECT"
				   " (SELECT pg_catalog.count(*) FROM %s WHERE %s) AS own,"
				   " (SELECT pg_catalog.count(*) FROM %s) AS other) x",
				   exceeds(constraint, difference, "x.other::pg_catalog.numeric"),
				   target_rows_sql(scope->target, CHECK_ROW),
				   filter_text(constraint),
				   reference_rows(constraint)));
	measure->evaluated = number(1);
	measure->no_data = number(1) == 0 && number(2) == 0;
	measure->violations = truth(3) ? Max(number(1) - number(2), number(2) - number(1)) : 0;
	measure->metric = psprintf(INT64_FORMAT, number(1));
	measure->detail = psprintf("\"difference\": " INT64_FORMAT, number(1) - number(2));
	measure->strategy = "scan";
}

/* ---- same_metric ---- */

static bool
is_numeric_type(Oid type)
{
	char category;
	bool preferred;

	get_type_category_preferred(getBaseType(type), &category, &preferred);
	return category == TYPCATEGORY_NUMERIC;
}

/* Types that are no numbers must be the same, and equal. */
static void
check_metrics_comparable(const CheckRule *rule, Oid own, Oid other)
{
	const char *tolerance = check_text(rule, "tolerance");

	if (is_numeric_type(own) && is_numeric_type(other))
		return;
	if (getBaseType(own) != getBaseType(other) ||
		(tolerance != NULL && strspn(tolerance, "0.%") != strlen(tolerance)))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("values of type %s and type %s cannot be compared with a tolerance",
						format_type_be(own),
						format_type_be(other))));
	(void) check_operator(getBaseType(own), BTEqualStrategyNumber, "the expression");
}

static void
need_aggregate(const Expression *expression)
{
	if (!expression->is_aggregate)
		ereport(ERROR,
				(errcode(ERRCODE_GROUPING_ERROR),
				 errmsg("expression of check same_metric must contain an aggregate function")));
}

void
compile_same_metric(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	Relation reference = keys_open_reference(check_text(rule, "reference"));
	const char *text = check_text(rule, "expression");
	Oid own_type;
	Oid other_type;
	Expression *own = expression_analyse_value(rel, text, "expression", &own_type);
	Expression *other = expression_analyse_value(reference, text, "expression", &other_type);

	relation_close(reference, AccessShareLock);
	need_aggregate(own);
	check_metrics_comparable(rule, own_type, other_type);
	check->expression = own->sql;
	check->metric = other->sql;
	check->columns = own->columns;
	check->is_aggregate = true;
}

/* Are the two values in the only row of the last query equal, by the equality of their type? */
static bool
values_are_equal(void)
{
	Oid type = getBaseType(SPI_gettypeid(SPI_tuptable->tupdesc, 1));
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_EQ_OPR_FINFO);
	bool isnull;
	Datum own = value(1, &isnull);
	Datum other = value(2, &isnull);

	/* a column of the reference may have got another type since the definition */
	if (getBaseType(SPI_gettypeid(SPI_tuptable->tupdesc, 2)) != type ||
		!OidIsValid(entry->eq_opr_finfo.fn_oid))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("values of types %s and %s cannot be compared",
						format_type_be(type),
						format_type_be(SPI_gettypeid(SPI_tuptable->tupdesc, 2)))));
	return DatumGetBool(
		FunctionCall2Coll(&entry->eq_opr_finfo, get_typcollation(type), own, other));
}

/* Do the two values differ by more than is tolerated? */
static bool
values_differ(const DataConstraint *constraint, const char *own, const char *other)
{
	char *other_number;

	if (!is_numeric_type(SPI_gettypeid(SPI_tuptable->tupdesc, 1)) ||
		!is_numeric_type(SPI_gettypeid(SPI_tuptable->tupdesc, 2)))
		return !values_are_equal();
	other_number = psprintf("%s::pg_catalog.numeric", sql_literal(other));
	query(psprintf("SELECT %s",
				   exceeds(constraint,
						   psprintf("pg_catalog.abs(%s::pg_catalog.numeric OPERATOR(pg_catalog.-)"
									" %s)",
									sql_literal(own),
									other_number),
						   other_number)));
	return truth(1);
}

void
evaluate_same_metric(const DataConstraint *constraint, const CheckScope *scope, Measure *measure)
{
	char *own;
	char *other;

	query(psprintf("SELECT (SELECT %s FROM %s WHERE %s), (SELECT %s FROM %s),"
				   " (SELECT pg_catalog.count(*) FROM %s WHERE %s)",
				   constraint->row->expression,
				   target_rows_sql(scope->target, CHECK_ROW),
				   filter_text(constraint),
				   constraint->row->metric,
				   reference_rows(constraint),
				   target_rows_sql(scope->target, CHECK_ROW),
				   filter_text(constraint)));
	own = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	other = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	measure->evaluated = number(3);
	measure->metric = own;
	measure->strategy = "scan";
	measure->no_data = own == NULL && other == NULL;
	if (measure->no_data)
		measure->violations = -1;
	else if (own == NULL || other == NULL)
		measure->violations = 1;
	else
		measure->violations = values_differ(constraint, own, other) ? 1 : 0;
}

/* ---- same_rows ---- */

void
validate_same_rows(CheckRule *rule)
{
	bool table = check_given(rule, "reference")->given;
	bool query = check_given(rule, "query")->given;

	if (table == query)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("check same_rows needs either a reference or a query")));
	if (query)
		checked_query_syntax(check_text(rule, "query"));
	validate_tolerance(rule);
}

/* The columns of the other side; *from gets its rows as SQL with the alias r, or NULL. */
static List *
other_columns(const CheckRule *rule, char **from)
{
	List *columns = NIL;
	Relation reference;

	*from = NULL;
	if (check_given(rule, "query")->given)
	{
		*from = psprintf("(%s) r", checked_query(check_text(rule, "query"), &columns));
		return columns;
	}
	reference = keys_open_reference(check_text(rule, "reference"));
	for (int i = 0; i < RelationGetDescr(reference)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(reference), i);
		QueryColumn *column = palloc(sizeof(QueryColumn));

		if (att->attisdropped)
			continue;
		column->name = pstrdup(NameStr(att->attname));
		column->type = att->atttypid;
		column->collation = att->attcollation;
		columns = lappend(columns, column);
	}
	relation_close(reference, AccessShareLock);
	return columns;
}

static QueryColumn *
find_other(List *columns, const char *name)
{
	ListCell *cell;

	foreach(cell, columns)
		if (strcmp(((QueryColumn *) lfirst(cell))->name, name) == 0)
			return lfirst(cell);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" does not exist on the other side of check same_rows", name)));
}

/* The type in which values of the two are compared: one that both become without an error. */
static Oid
common_type(Form_pg_attribute own, Oid other)
{
	Oid one = getBaseType(own->atttypid);
	Oid two = getBaseType(other);

	if (one == two)
		return one;
	if (is_numeric_type(one) && is_numeric_type(two))
		return NUMERICOID;
	if (TypeCategory(one) == TYPCATEGORY_STRING && TypeCategory(two) == TYPCATEGORY_STRING)
		return TEXTOID;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" is of type %s here and of type %s on the other side",
					NameStr(own->attname),
					format_type_be(own->atttypid),
					format_type_be(other)),
			 errhint("Compare with a query that casts it.")));
}

static List *
compared_columns(const CheckRule *rule, Relation rel)
{
	List *names = check_texts(rule, "columns");

	for (int i = 0; !check_given(rule, "columns")->given && i < RelationGetDescr(rel)->natts; i++)
		if (!TupleDescAttr(RelationGetDescr(rel), i)->attisdropped)
			names = lappend(names,
							pstrdup(NameStr(TupleDescAttr(RelationGetDescr(rel), i)->attname)));
	return names;
}

/* "alias.name::type COLLATE collation AS c1" */
static void
append_compared(StringInfo buf, const char *alias, const char *name, Oid type, Oid collation,
				int place)
{
	appendStringInfo(buf,
					 "%s%s.%s::%s",
					 place > 0 ? ", " : "",
					 alias,
					 sql_identifier(name),
					 sql_type(type, -1));
	if (OidIsValid(get_typcollation(type)) && OidIsValid(collation))
		appendStringInfo(buf, " COLLATE %s", generate_collation_name(collation));
	appendStringInfo(buf, " AS c%d", place + 1);
}

/*
 * The compiled form: the columns of this side, and the columns and rows of the other one,
 * as "SELECT ... FROM"; of a table the rows are known only when it is evaluated.
 */
void
compile_same_rows(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	char *from;
	List *others = other_columns(rule, &from);
	List *names = compared_columns(rule, rel);
	StringInfoData own;
	StringInfoData other;
	ListCell *cell;

	initStringInfo(&own);
	initStringInfo(&other);
	foreach(cell, names)
	{
		Form_pg_attribute att = check_column(rel, lfirst(cell));
		Oid type = common_type(att, find_other(others, lfirst(cell))->type);
		int place = foreach_current_index(cell);

		(void) check_operator(type, BTEqualStrategyNumber, lfirst(cell));
		append_compared(&own, CHECK_ROW, lfirst(cell), type, att->attcollation, place);
		append_compared(&other, "r", lfirst(cell), type, att->attcollation, place);
	}
	check->expression = own.data;
	check->metric = from != NULL ? psprintf("%s FROM %s", other.data, from) : other.data;
	check->columns = names;
	check->is_aggregate = true;
}

static char *
rows_query(const DataConstraint *constraint, const CheckScope *scope)
{
	const CheckGiven *given = check_given(constraint->rule, "columns");
	/* those of the filter are among the columns of the row as well */
	int count = given->given ? given->count : list_length(constraint->row->columns);
	bool table = check_given(constraint->rule, "reference")->given;
	StringInfoData keys;

	initStringInfo(&keys);
	for (int i = 1; i <= count; i++)
		appendStringInfo(&keys, "%sc%d", i > 1 ? ", " : "", i);
	return psprintf("SELECT pg_catalog.count(*) FILTER (WHERE x.w OPERATOR(pg_catalog.>) 0) AS own,"
					" pg_catalog.count(*) FILTER (WHERE x.w OPERATOR(pg_catalog.<) 0) AS other"
					" FROM (SELECT %s, 1 AS w FROM %s WHERE %s"
					" UNION ALL SELECT y.*, -1 FROM (SELECT %s%s%s) y) x GROUP BY %s",
					constraint->row->expression,
					target_rows_sql(scope->target, CHECK_ROW),
					filter_text(constraint),
					constraint->row->metric,
					table ? " FROM " : "",
					table ? reference_rows(constraint) : "",
					keys.data);
}

void
evaluate_same_rows(const DataConstraint *constraint, const CheckScope *scope, Measure *measure)
{
	const char *differ = "(COALESCE(x.extra, 0) OPERATOR(pg_catalog.+) COALESCE(x.missing, 0))";

	query(psprintf("SELECT x.own::pg_catalog.int8, x.other::pg_catalog.int8,"
				   " x.extra::pg_catalog.int8, x.missing::pg_catalog.int8, %s FROM (SELECT"
				   " pg_catalog.sum(g.own) AS own, pg_catalog.sum(g.other) AS other,"
				   " pg_catalog.sum(g.own OPERATOR(pg_catalog.-) g.other)"
				   " FILTER (WHERE g.own OPERATOR(pg_catalog.>) g.other) AS extra,"
				   " pg_catalog.sum(g.other OPERATOR(pg_catalog.-) g.own)"
				   " FILTER (WHERE g.other OPERATOR(pg_catalog.>) g.own) AS missing"
				   " FROM (%s) g) x",
				   exceeds(constraint, differ, "COALESCE(x.other, 0)"),
				   rows_query(constraint, scope)));
	measure->evaluated = number(1);
	measure->no_data = number(1) == 0 && number(2) == 0;
	measure->violations = truth(5) ? number(3) + number(4) : 0;
	if (number(3) + number(4) > 0)
		measure->detail = psprintf("\"extra\": " INT64_FORMAT ", \"missing\": " INT64_FORMAT,
								   number(3),
								   number(4));
	measure->strategy = "scan";
}

/* ---- no_rows ---- */

void
compile_no_rows(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	List *columns;

	check->expression = checked_query(check_text(rule, "query"), &columns);
}

void
evaluate_no_rows(const DataConstraint *constraint, const CheckScope *scope, Measure *measure)
{
	query(psprintf("SELECT pg_catalog.count(*) FROM (%s) x", constraint->row->expression));
	measure->evaluated = -1;
	measure->violations = number(1);
	measure->strategy = "query";
}

char *
rows_no_rows(const DataConstraint *constraint)
{
	return psprintf("SELECT NULL::pg_catalog.text, pg_catalog.to_jsonb(x) FROM (%s) x",
					constraint->row->expression);
}
