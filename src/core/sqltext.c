/*-------------------------------------------------------------------------
 *
 * sqltext.c
 *		The only place that turns names and values into SQL text.
 *
 *-------------------------------------------------------------------------
 */
#include "core/sqltext.h"

#include "catalog/namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

const char *
sql_identifier(const char *name)
{
	return quote_identifier(name);
}

char *
sql_table(const char *schema_name, const char *table_name)
{
	return quote_qualified_identifier(schema_name, table_name);
}

char *
sql_relation(Oid relid)
{
	char *table_name = get_rel_name(relid);

	if (table_name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	return sql_table(get_namespace_name(get_rel_namespace(relid)), table_name);
}

char *
sql_literal(const char *value)
{
	return quote_literal_cstr(value);
}

char *
sql_type(Oid type, int32 typmod)
{
	return format_type_extended(type,
								typmod,
								FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

void
sql_append_columns(StringInfo buf, TupleDesc desc, const char *prefix)
{
	const char *separator = "";

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		appendStringInfoString(buf, separator);
		if (prefix != NULL)
			appendStringInfo(buf, "%s.", prefix);
		appendStringInfoString(buf, sql_identifier(NameStr(att->attname)));
		separator = ", ";
	}
}

/* "OPERATOR(schema.=)" of the type's default equality.  Raises 0A000 if it has none. */
static char *
equality_operator(Form_pg_attribute att)
{
	TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_EQ_OPR);
	HeapTuple tuple;
	Form_pg_operator form;
	char *text;

	if (!OidIsValid(type->eq_opr))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" cannot be compared", NameStr(att->attname)),
				 errdetail("Type %s has no equality operator.", format_type_be(att->atttypid))));
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(type->eq_opr));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", type->eq_opr);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	text = psprintf("OPERATOR(%s.%s)",
					sql_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return text;
}

void
sql_append_match(StringInfo buf, TupleDesc desc, int nkeys, const AttrNumber *keys,
				 const char *left, const char *right, bool not_null)
{
	for (int i = 0; i < nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, keys[i] - 1);
		const char *name = sql_identifier(NameStr(att->attname));
		char *equals = equality_operator(att);

		if (i > 0)
			appendStringInfoString(buf, " AND ");
		if (not_null)
			appendStringInfo(buf, "%s.%s %s %s.%s", left, name, equals, right, name);
		else
			appendStringInfo(buf,
							 "(%s.%s %s %s.%s OR (%s.%s IS NULL AND %s.%s IS NULL))",
							 left,
							 name,
							 equals,
							 right,
							 name,
							 left,
							 name,
							 right,
							 name);
	}
}

void
parse_table_name(const char *name, char **schema_name, char **table_name)
{
	List *parts;
	RangeVar *range;

	if (name[strspn(name, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("table name must not be empty")));
	parts = string_to_name_list_compat(name);
	if (list_length(parts) > 2)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cross-database references are not implemented: %s", name)));
	range = makeRangeVarFromNameList(parts);
	if (range->schemaname == NULL)
	{
		Oid relid = RangeVarGetRelid(range, NoLock, true);
		Oid schema = OidIsValid(relid) ? get_rel_namespace(relid)
									   : RangeVarGetCreationNamespace(range);

		range->schemaname = get_namespace_name(schema);
	}
	*schema_name = range->schemaname;
	*table_name = range->relname;
}

List *
text_array_to_list(ArrayType *array, const char *argument)
{
	Datum *elements;
	bool *nulls;
	int count;
	List *result = NIL;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("argument \"%s\" must be a one-dimensional array", argument)));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not contain nulls", argument)));
		result = lappend(result, TextDatumGetCString(elements[i]));
	}
	return result;
}

bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool
equal_texts(List *a, List *b)
{
	ListCell *left;
	ListCell *right;

	if (list_length(a) != list_length(b))
		return false;
	forboth(left, a, right, b)
		if (strcmp(lfirst(left), lfirst(right)) != 0)
			return false;
	return true;
}

ArrayType *
list_to_text_array(List *strings)
{
	Datum *elements;
	ListCell *cell;
	int i = 0;

	if (strings == NIL)
		return NULL;
	elements = palloc(sizeof(Datum) * list_length(strings));
	foreach(cell, strings)
		elements[i++] = CStringGetTextDatum((char *) lfirst(cell));
	return construct_array(elements, i, TEXTOID, -1, false, TYPALIGN_INT);
}

char *
log_value(const char *text)
{
	StringInfoData value;
	bool plain = *text != '\0';

	for (const char *p = text; *p != '\0'; p++)
		plain &= (unsigned char) *p > ' ' && *p != '"' && *p != '=' && *p != '\\' && *p != 0x7f;
	if (plain)
		return pstrdup(text);
	initStringInfo(&value);
	appendStringInfoChar(&value, '"');
	for (const char *p = text; *p != '\0'; p++)
	{
		if (*p == '"' || *p == '\\')
			appendStringInfo(&value, "\\%c", *p);
		else if (*p == '\n')
			appendStringInfoString(&value, "\\n");
		else if (*p == '\t')
			appendStringInfoString(&value, "\\t");
		else if (*p == '\r')
			appendStringInfoString(&value, "\\r");
		else if ((unsigned char) *p < ' ' || *p == 0x7f)
			appendStringInfo(&value, "\\u%04x", (unsigned char) *p);
		else
			appendStringInfoChar(&value, *p);
	}
	appendStringInfoChar(&value, '"');
	return value.data;
}
