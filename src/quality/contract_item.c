/*-------------------------------------------------------------------------
 *
 * contract_item.c
 *		Items of contracts, and what the formats share.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/contract_item.h"

#include "core/sqltext.h"
#include "fmgr.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

/* ---- items ---- */

ContractItem *
contract_item(Contract *contract, const Json *place, char *target)
{
	ContractItem *item = palloc0(sizeof(ContractItem));

	item->path = place->path;
	item->target = target;
	contract->items = lappend(contract->items, item);
	return item;
}

void
contract_argument(ContractItem *item, const char *name, char *text)
{
	ContractArgument *argument;

	if (text == NULL)
		return;
	argument = palloc0(sizeof(ContractArgument));
	argument->name = name;
	argument->text = text;
	argument->path = item->path;
	item->arguments = lappend(item->arguments, argument);
}

void
contract_refuse(ContractItem *item, const char *format, ...)
{
	StringInfoData buf;
	int needed;

	initStringInfo(&buf);
	do
	{
		va_list args;

		va_start(args, format);
		needed = appendStringInfoVA(&buf, format, args);
		va_end(args);
		if (needed > 0)
			enlargeStringInfo(&buf, needed);
	} while (needed > 0);
	item->rule = NULL;
	item->reason = buf.data;
}

void
contract_remark(ContractItem *item, const char *remark)
{
	item->reason = item->reason == NULL ? pstrdup(remark)
										: psprintf("%s; %s", item->reason, remark);
}

char *
contract_rule(const char *kind, ...)
{
	StringInfoData buf;
	va_list args;
	const char *name;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"kind\": %s", json_string(kind));
	va_start(args, kind);
	while ((name = va_arg(args, const char *)) != NULL)
	{
		const char *value = va_arg(args, const char *);

		if (value != NULL)
			appendStringInfo(&buf, ", %s: %s", json_string(name), value);
	}
	va_end(args);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

char *
contract_satisfies(const char *expression)
{
	return contract_rule("satisfies", "expression", json_string(expression), NULL);
}

/* ---- names ---- */

/* What the map says for the parts joined by dots; NULL: nothing. */
static char *
mapped(const Contract *contract, const char *first, const char *second, const char *third)
{
	Json *place;
	StringInfoData key;

	initStringInfo(&key);
	if (first != NULL)
		appendStringInfo(&key, "%s", first);
	if (second != NULL)
		appendStringInfo(&key, "%s%s", key.len > 0 ? "." : "", second);
	if (third != NULL)
		appendStringInfo(&key, "%s%s", key.len > 0 ? "." : "", third);
	place = json_member(contract->schema_map, key.data);
	return place->present ? json_text(place) : NULL;
}

char *
contract_table(const Contract *contract, const char *database, const char *schema_name,
			   const char *table_name)
{
	char *found = NULL;

	if (database != NULL && schema_name != NULL)
		found = mapped(contract, database, schema_name, table_name);
	if (found == NULL && schema_name != NULL)
		found = mapped(contract, NULL, schema_name, table_name);
	if (found == NULL)
		found = mapped(contract, NULL, NULL, table_name);
	if (found != NULL)
		return found;
	if (database != NULL && schema_name != NULL)
		found = mapped(contract, database, schema_name, NULL);
	if (found == NULL && schema_name != NULL)
		found = mapped(contract, NULL, schema_name, NULL);
	if (found == NULL && database != NULL)
		found = mapped(contract, database, NULL, NULL);
	if (found != NULL)
		schema_name = found;
	return schema_name != NULL ? sql_table(schema_name, table_name)
							   : pstrdup(sql_identifier(table_name));
}

bool
contract_is_name(const char *written)
{
	size_t length = strlen(written);

	if (length > 2 && written[0] == '"' && written[length - 1] == '"')
	{
		for (size_t i = 1; i < length - 1; i++)
			if (written[i] == '"' && written[++i] != '"')
				return false;
		return true;
	}
	return length > 0 && strpbrk(written, "()+-*/|:,'\" \t\n") == NULL;
}

char *
contract_column(const char *written)
{
	size_t length = strlen(written);
	char *name;
	char *to;

	if (written[0] != '"')
		return downcase_identifier(written, length, false, false);
	name = to = palloc(length);
	for (size_t i = 1; i < length - 1; i++)
	{
		*to++ = written[i];
		if (written[i] == '"')
			i++;
	}
	*to = '\0';
	return name;
}

/* ---- bounds ---- */

/* The numeric value of a bound; refuses what is not a number. */
static Numeric
number(const char *text)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in,
											   CStringGetDatum(text),
											   ObjectIdGetDatum(InvalidOid),
											   Int32GetDatum(-1)));
}

static char *
number_text(Datum value)
{
	return DatumGetCString(
		DirectFunctionCall1(numeric_out, DirectFunctionCall1(numeric_trim_scale, value)));
}

static int
compare(const char *a, const char *b)
{
	return DatumGetInt32(
		DirectFunctionCall2(numeric_cmp, NumericGetDatum(number(a)), NumericGetDatum(number(b))));
}

char *
percent_beside(const char *share)
{
	Datum one = NumericGetDatum(number("1"));
	Datum rest;

	if (compare(share, "0") < 0 || compare(share, "1") > 0)
		return NULL;
	rest = DirectFunctionCall2(numeric_sub, one, NumericGetDatum(number(share)));
	return number_text(DirectFunctionCall2(numeric_mul, rest, NumericGetDatum(number("100"))));
}

/* The threshold of a bound; "" if none is needed, NULL if there is no such threshold. */
static char *
tolerated(const Bound *bound, bool percent)
{
	const char *sign = percent ? "%" : "";
	const char *limit = bound->op == BOUND_BETWEEN ? bound->high : bound->low;
	bool inclusive = bound->op == BOUND_LESS;

	if (bound->op == BOUND_BETWEEN && compare(bound->low, "0") != 0)
		return NULL;
	if (bound->op == BOUND_EQUAL && compare(bound->low, "0") != 0)
		return NULL;
	if (bound->op != BOUND_EQUAL && bound->op != BOUND_BETWEEN && bound->op != BOUND_LESS &&
		bound->op != BOUND_LESS_EQUAL)
		return NULL;
	if (compare(limit, "0") < 0 || (inclusive && compare(limit, "0") == 0) ||
		(percent && compare(limit, "100") > 0))
		return NULL;
	if (compare(limit, "0") == 0 || (inclusive && !percent && compare(limit, "1") <= 0))
		return pstrdup("");
	return psprintf("%s %s%s",
					inclusive ? ">=" : ">",
					number_text(NumericGetDatum(number(limit))),
					sign);
}

void
contract_tolerate(ContractItem *item, const Bound *bound, bool percent, bool warn)
{
	char *threshold = tolerated(bound, percent);

	if (threshold == NULL)
	{
		contract_refuse(item,
						"a threshold of depipe is an upper bound of violations, such as < 10 or"
						" < 5 %%");
		return;
	}
	if (warn)
		contract_argument(item, "on_violation", "warn");
	if (threshold[0] != '\0')
		contract_argument(item, warn ? "warn_if" : "fail_if", threshold);
}

char *
bound_sql(const Bound *bound, const char *expression)
{
	static const char *const operators[] = {"=", "<>", "<", "<=", ">", ">="};

	if (bound->op == BOUND_BETWEEN || bound->op == BOUND_NOT_BETWEEN)
		return psprintf("%s %sBETWEEN %s AND %s",
						expression,
						bound->op == BOUND_BETWEEN ? "" : "NOT ",
						sql_literal(bound->low),
						sql_literal(bound->high));
	return psprintf("%s %s %s", expression, operators[bound->op], sql_literal(bound->low));
}

/* The bound rounded up or down, and a step further. */
static char *
whole(const char *text, PGFunction round, const char *step)
{
	Datum value = DirectFunctionCall1(round, NumericGetDatum(number(text)));

	return number_text(DirectFunctionCall2(numeric_add, value, NumericGetDatum(number(step))));
}

char *
bound_row_count(const Bound *bound)
{
	char *minimum = NULL;
	char *maximum = NULL;

	switch (bound->op)
	{
		case BOUND_EQUAL:
			minimum = maximum = bound->low;
			break;
		case BOUND_LESS:
			maximum = whole(bound->low, numeric_ceil, "-1");
			break;
		case BOUND_LESS_EQUAL:
			maximum = whole(bound->low, numeric_floor, "0");
			break;
		case BOUND_GREATER:
			minimum = whole(bound->low, numeric_floor, "1");
			break;
		case BOUND_GREATER_EQUAL:
			minimum = whole(bound->low, numeric_ceil, "0");
			break;
		case BOUND_BETWEEN:
			minimum = whole(bound->low, numeric_ceil, "0");
			maximum = whole(bound->high, numeric_floor, "0");
			break;
		case BOUND_NOT_EQUAL:
		case BOUND_NOT_BETWEEN:
			return contract_satisfies(bound_sql(bound, "pg_catalog.count(*)"));
	}
	return contract_rule("row_count", "minimum", minimum, "maximum", maximum, NULL);
}
