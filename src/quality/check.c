/*-------------------------------------------------------------------------
 *
 * check.c
 *		The vocabulary of checks: rules, their arguments and their spelling.
 *
 * This file does not know the kinds; they are in check_kinds.c.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/check.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_operator.h"
#include "core/sqltext.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

int
check_argument_place(const CheckKind *kind, const char *name)
{
	for (int i = 0; kind->arguments[i].name != NULL; i++)
	{
		const CheckArgument *argument = &kind->arguments[i];

		if (strcmp(argument->name, name) == 0 ||
			(argument->alias != NULL && strcmp(argument->alias, name) == 0))
			return i;
	}
	return -1;
}

/* ---- one spelling ---- */

static void
append_value(StringInfo buf, const CheckValue *value)
{
	if (value->type == jbvString)
		escape_json(buf, value->text);
	else
		appendStringInfoString(buf, value->text);
}

static void
append_given(StringInfo buf, const CheckGiven *given, bool as_array)
{
	if (!as_array)
	{
		append_value(buf, &given->values[0]);
		return;
	}
	appendStringInfoChar(buf, '[');
	for (int i = 0; i < given->count; i++)
	{
		if (i > 0)
			appendStringInfoString(buf, ", ");
		append_value(buf, &given->values[i]);
	}
	appendStringInfoChar(buf, ']');
}

char *
check_canonical(const CheckRule *rule)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"kind\": ");
	escape_json(&buf, rule->kind->name);
	for (int i = 0; rule->kind->arguments[i].name != NULL; i++)
	{
		const CheckArgument *argument = &rule->kind->arguments[i];

		if (!rule->given[i].given)
			continue;
		appendStringInfoString(&buf, ", ");
		escape_json(&buf, argument->name);
		appendStringInfoString(&buf, ": ");
		append_given(&buf,
					 &rule->given[i],
					 argument->type == ARGUMENT_COLUMNS || argument->type == ARGUMENT_VALUES ||
						 argument->type == ARGUMENT_TEXTS);
	}
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

/* ---- arguments ---- */

const CheckGiven *
check_given(const CheckRule *rule, const char *argument)
{
	int place = check_argument_place(rule->kind, argument);

	Assert(place >= 0);
	return &rule->given[place];
}

char *
check_text(const CheckRule *rule, const char *argument)
{
	const CheckGiven *given = check_given(rule, argument);

	return given->given ? given->values[0].text : NULL;
}

List *
check_texts(const CheckRule *rule, const char *argument)
{
	const CheckGiven *given = check_given(rule, argument);
	List *texts = NIL;

	for (int i = 0; i < given->count; i++)
		texts = lappend(texts, given->values[i].text);
	return texts;
}

bool
check_boolean(const CheckRule *rule, const char *argument)
{
	char *text = check_text(rule, argument);

	return text != NULL && strcmp(text, "true") == 0;
}

char *
check_subject(const CheckRule *rule)
{
	static const char *const names[] = {"columns", "column_name"};
	StringInfoData buf;

	initStringInfo(&buf);
	for (size_t i = 0; i < lengthof(names); i++)
	{
		int place = check_argument_place(rule->kind, names[i]);

		if (place < 0 || buf.len > 0)
			continue;
		for (int j = 0; j < rule->given[place].count; j++)
			appendStringInfo(&buf, "%s%s", j > 0 ? "_" : "", rule->given[place].values[j].text);
	}
	return buf.len > 0 ? buf.data : NULL;
}

/* ---- compiling ---- */

CompiledCheck *
check_compile(const CheckRule *rule, Relation rel)
{
	CompiledCheck *check = palloc0(sizeof(CompiledCheck));

	check->family = rule->kind->family;
	rule->kind->compile(rule, rel, check);
	return check;
}

Form_pg_attribute
check_column(Relation rel, const char *name)
{
	TupleDesc desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return att;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of table %s does not exist",
					name,
					sql_relation(RelationGetRelid(rel))),
			 strchr(name, '(') != NULL || strchr(name, '.') != NULL
				 ? errhint("Columns are plain names; use depipe.satisfies for an expression.")
				 : 0));
}

char *
check_operator(Oid type, int strategy, const char *column_name)
{
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY | TYPECACHE_EQ_OPR);
	Oid operator_oid = InvalidOid;
	HeapTuple tuple;
	Form_pg_operator form;
	char *text;

	if (OidIsValid(cache->btree_opf))
		operator_oid = get_opfamily_member(cache->btree_opf,
										   cache->btree_opintype,
										   cache->btree_opintype,
										   strategy);
	else if (strategy == BTEqualStrategyNumber)
		operator_oid = cache->eq_opr;
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator_oid));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("values of column \"%s\" cannot be compared", column_name),
				 errdetail("Type %s has no default btree operator class.", format_type_be(type))));
	form = (Form_pg_operator) GETSTRUCT(tuple);
	text = psprintf("OPERATOR(%s.%s)",
					sql_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return text;
}
