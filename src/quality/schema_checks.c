/*-------------------------------------------------------------------------
 *
 * schema_checks.c
 *		Checks of the columns of a table: has_columns and schema_unchanged.
 *
 * Both read only the catalogs.  What they compare with is their compiled form: the types
 * of has_columns, and for schema_unchanged the columns as they were at the definition,
 * with types, NOT NULL and order.  That form is kept with the definition, so it survives
 * dump and restore; only a new definition replaces it.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/schema_checks.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "core/sqltext.h"
#include "parser/parse_type.h"
#include "quality/constraint.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

/* ---- lists as texts ---- */

static char *
list_text(List *texts)
{
	return texts == NIL
			   ? pstrdup("{}")
			   : OidOutputFunctionCall(F_ARRAY_OUT, PointerGetDatum(list_to_text_array(texts)));
}

static List *
text_list(const char *text)
{
	Datum array = OidInputFunctionCall(F_ARRAY_IN, unconstify(char *, text), TEXTOID, -1);

	return text_array_to_list(DatumGetArrayTypeP(array), "expression");
}

/* ---- differences in words ---- */

typedef struct Differences
{
	int64 count;
	StringInfoData json; /* elements of an array */
} Differences;

static void pg_attribute_printf(2, 3)
	add_difference(Differences *differences, const char *format, ...)
{
	va_list arguments;
	char text[NAMEDATALEN * 4 + 200];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (differences->count++ > 0)
		appendStringInfoString(&differences->json, ", ");
	escape_json(&differences->json, text);
}

static void
take_differences(const Differences *differences, Measure *measure)
{
	measure->violations = differences->count;
	measure->strategy = "catalogs";
	if (differences->count > 0)
		measure->detail = psprintf("\"differences\": [%s]", differences->json.data);
}

static Form_pg_attribute
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped &&
			strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return TupleDescAttr(desc, i);
	return NULL;
}

static bool
has_text(List *texts, const char *text)
{
	ListCell *cell;

	foreach(cell, texts)
		if (strcmp(lfirst(cell), text) == 0)
			return true;
	return false;
}

/* Names of the columns, in their order. */
static List *
column_names(TupleDesc desc)
{
	List *names = NIL;

	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			names = lappend(names, NameStr(TupleDescAttr(desc, i)->attname));
	return names;
}

/* The same columns, but not in the same order. */
static void
compare_order(Differences *differences, List *is, List *expected)
{
	ListCell *one;
	ListCell *other;

	if (differences->count > 0 || list_length(is) != list_length(expected))
		return;
	forboth(one, is, other, expected)
		if (strcmp(lfirst(one), lfirst(other)) != 0)
		{
			add_difference(differences, "the columns are in another order");
			return;
		}
}

/* ---- has_columns ---- */

void
validate_has_columns(CheckRule *rule)
{
	const CheckGiven *types = check_given(rule, "types");

	if (types->given && types->count != check_given(rule, "columns")->count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("check has_columns needs as many types as columns")));
}

/* Qualified types, each followed by its modifier. */
void
compile_has_columns(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	List *types = NIL;
	ListCell *cell;

	foreach(cell, check_texts(rule, "types"))
	{
		Oid type;
		int32 modifier;

		parse_type_compat(lfirst(cell), &type, &modifier);
		types = lappend(types, sql_type(type, -1));
		types = lappend(types, psprintf("%d", modifier));
	}
	check->expression = list_text(types);
	check->is_aggregate = true;
}

/* A type without a modifier means any length. */
static void
compare_type(Differences *differences, Form_pg_attribute att, const char *type_text,
			 const char *modifier_text)
{
	int32 modifier = atoi(modifier_text);
	int32 ignored;
	Oid type;

	parse_type_compat(type_text, &type, &ignored);
	if (att->atttypid != type || (modifier != -1 && modifier != att->atttypmod))
		add_difference(differences,
					   "column \"%s\" is of type %s, not %s",
					   NameStr(att->attname),
					   format_type_with_typemod(att->atttypid, att->atttypmod),
					   format_type_with_typemod(type, modifier));
}

void
evaluate_has_columns(const DataConstraint *constraint, const CheckScope *scope, Measure *measure)
{
	Relation rel = table_open(scope->target->relid, AccessShareLock);
	List *expected = check_texts(constraint->rule, "columns");
	List *types = text_list(constraint->row->expression);
	List *is = column_names(RelationGetDescr(rel));
	Differences differences = {0};
	ListCell *cell;

	initStringInfo(&differences.json);
	foreach(cell, expected)
	{
		Form_pg_attribute att = find_column(RelationGetDescr(rel), lfirst(cell));
		int place = foreach_current_index(cell);

		if (att == NULL)
			add_difference(&differences, "column \"%s\" is missing", (char *) lfirst(cell));
		else if (types != NIL)
			compare_type(&differences,
						 att,
						 list_nth(types, place * 2),
						 list_nth(types, place * 2 + 1));
	}
	if (check_boolean(constraint->rule, "exact"))
	{
		foreach(cell, is)
			if (!has_text(expected, lfirst(cell)))
				add_difference(&differences,
							   "column \"%s\" is not expected",
							   (char *) lfirst(cell));
		compare_order(&differences, is, expected);
	}
	take_differences(&differences, measure);
	table_close(rel, NoLock);
}

/* ---- schema_unchanged ---- */

/* Of each column its name, type, and whether it may be null. */
#define PARTS 3
#define NAME_OF(columns, i) ((char *) list_nth((columns), (i) *PARTS))
#define TYPE_OF(columns, i) ((char *) list_nth((columns), (i) *PARTS + 1))
#define NULL_OF(columns, i) ((char *) list_nth((columns), (i) *PARTS + 2))

static List *
describe(Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);
	List *parts = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		parts = lappend(parts, pstrdup(NameStr(att->attname)));
		parts = lappend(parts, sql_type(att->atttypid, att->atttypmod));
		parts = lappend(parts, pstrdup(att->attnotnull ? "not null" : "null"));
	}
	return parts;
}

void
compile_schema_unchanged(const CheckRule *rule, Relation rel, CompiledCheck *check)
{
	check->expression = list_text(describe(rel));
	check->is_aggregate = true;
}

static int
place_of(List *columns, const char *name)
{
	for (int i = 0; i < list_length(columns) / PARTS; i++)
		if (strcmp(NAME_OF(columns, i), name) == 0)
			return i;
	return -1;
}

static void
compare_columns(Differences *differences, List *then, List *now)
{
	for (int i = 0; i < list_length(then) / PARTS; i++)
	{
		const char *name = NAME_OF(then, i);
		int place = place_of(now, name);

		if (place < 0)
			add_difference(differences, "column \"%s\" is gone", name);
		else if (strcmp(TYPE_OF(then, i), TYPE_OF(now, place)) != 0)
			add_difference(differences,
						   "column \"%s\" is of type %s, it was %s",
						   name,
						   TYPE_OF(now, place),
						   TYPE_OF(then, i));
		if (place >= 0 && strcmp(NULL_OF(then, i), NULL_OF(now, place)) != 0)
			add_difference(differences,
						   strcmp(NULL_OF(then, i), "null") == 0
							   ? "column \"%s\" is NOT NULL, it was not"
							   : "column \"%s\" may be null, it was NOT NULL",
						   name);
	}
	for (int i = 0; i < list_length(now) / PARTS; i++)
		if (place_of(then, NAME_OF(now, i)) < 0)
			add_difference(differences, "column \"%s\" is new", NAME_OF(now, i));
}

static List *
names_in(List *columns)
{
	List *names = NIL;

	for (int i = 0; i < list_length(columns) / PARTS; i++)
		names = lappend(names, NAME_OF(columns, i));
	return names;
}

void
evaluate_schema_unchanged(const DataConstraint *constraint, const CheckScope *scope,
						  Measure *measure)
{
	Relation rel = table_open(scope->target->relid, AccessShareLock);
	List *then = text_list(constraint->row->expression);
	List *now = describe(rel);
	Differences differences = {0};

	initStringInfo(&differences.json);
	compare_columns(&differences, then, now);
	compare_order(&differences, names_in(now), names_in(then));
	take_differences(&differences, measure);
	table_close(rel, NoLock);
}
