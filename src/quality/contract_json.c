/*-------------------------------------------------------------------------
 *
 * contract_json.c
 *		Reading a JSON document with the path of each value.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/contract_json.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/numeric.h"

/* longer keys are cut in paths, which are for people */
#define SHOWN_KEY 100

static Json *
place_of(const JsonbValue *value, char *path)
{
	Json *place = palloc0(sizeof(Json));

	place->path = path;
	place->present = value != NULL;
	if (value != NULL)
		place->value = *value;
	else
		place->value.type = jbvNull;
	return place;
}

Json *
json_root(Jsonb *document)
{
	JsonbValue value;

	if (!JsonbExtractScalar(&document->root, &value))
	{
		value.type = jbvBinary;
		value.val.binary.data = &document->root;
		value.val.binary.len = VARSIZE(document) - VARHDRSZ;
	}
	return place_of(&value, pstrdup("$"));
}

/* As jsonpath would have it. */
static char *
member_path(const Json *object, const char *key)
{
	StringInfoData buf;
	size_t length = strlen(key);
	bool plain = length > 0 && strspn(key,
									  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
									  "0123456789_") == length;

	if (plain && length <= SHOWN_KEY)
		return psprintf("%s.%s", object->path, key);
	initStringInfo(&buf);
	appendStringInfo(&buf, "%s.", object->path);
	if (length > SHOWN_KEY)
		key = psprintf("%s...", pnstrdup(key, pg_mbcliplen(key, length, SHOWN_KEY)));
	escape_json(&buf, key);
	return buf.data;
}

Json *
json_member(const Json *object, const char *key)
{
	JsonbValue *found = NULL;
	Json *place;
	JsonbValue name = {.type = jbvString};

	name.val.string.val = unconstify(char *, key);
	name.val.string.len = strlen(key);
	if (json_is_object(object))
		found = findJsonbValueFromContainer(object->value.val.binary.data, JB_FOBJECT, &name);
	place = place_of(found, member_path(object, key));
	place->key = pstrdup(key);
	return place;
}

List *
json_members(const Json *object)
{
	List *members = NIL;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue value;
	char *key = NULL;

	if (!json_is_object(object))
		return NIL;
	iterator = JsonbIteratorInit(object->value.val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_KEY)
			key = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
		{
			Json *place = place_of(&value, member_path(object, key));

			place->key = key;
			members = lappend(members, place);
		}
	}
	return members;
}

List *
json_elements(const Json *array)
{
	List *elements = NIL;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue value;

	if (!json_is_array(array))
		return NIL;
	iterator = JsonbIteratorInit(array->value.val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_ELEM)
			elements = lappend(
				elements,
				place_of(&value, psprintf("%s[%d]", array->path, list_length(elements))));
	}
	return elements;
}

bool
json_given(const Json *place)
{
	return place->present && place->value.type != jbvNull;
}

bool
json_is_object(const Json *place)
{
	return place->value.type == jbvBinary && JsonContainerIsObject(place->value.val.binary.data);
}

bool
json_is_array(const Json *place)
{
	return place->value.type == jbvBinary && JsonContainerIsArray(place->value.val.binary.data) &&
		   !JsonContainerIsScalar(place->value.val.binary.data);
}

bool
json_is_text(const Json *place)
{
	return place->value.type == jbvString;
}

bool
json_is_number(const Json *place)
{
	return place->value.type == jbvNumeric;
}

void
json_refuse(const Json *place, const char *must_be)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("contract, %s: must be %s", place->path, must_be)));
}

void
json_expect_object(const Json *place)
{
	if (json_given(place) && !json_is_object(place))
		json_refuse(place, "an object");
}

void
json_expect_array(const Json *place)
{
	if (json_given(place) && !json_is_array(place))
		json_refuse(place, "an array");
}

char *
json_text_of(const Json *place)
{
	return json_is_text(place) ? pnstrdup(place->value.val.string.val, place->value.val.string.len)
							   : NULL;
}

char *
json_text(const Json *place)
{
	if (!json_is_text(place))
		json_refuse(place, "a string");
	return json_text_of(place);
}

char *
json_member_text(const Json *object, const char *key)
{
	return json_text_of(json_member(object, key));
}

char *
json_scalar(const Json *place)
{
	if (place->value.type == jbvNumeric)
		return DatumGetCString(
			DirectFunctionCall1(numeric_out, NumericGetDatum(place->value.val.numeric)));
	if (place->value.type == jbvBool)
		return pstrdup(place->value.val.boolean ? "true" : "false");
	return json_text_of(place);
}

bool
json_is_true(const Json *place)
{
	return place->value.type == jbvBool && place->value.val.boolean;
}

char *
json_literal(const Json *place)
{
	if (!json_given(place))
		return NULL;
	if (place->value.type == jbvBinary)
		return JsonbToCString(NULL, place->value.val.binary.data, place->value.val.binary.len);
	return json_is_text(place) ? json_string(json_text_of(place)) : json_scalar(place);
}

char *
json_string(const char *text)
{
	StringInfoData buf;

	if (text == NULL)
		return NULL;
	initStringInfo(&buf);
	escape_json(&buf, text);
	return buf.data;
}

char *
json_strings(List *texts)
{
	StringInfoData buf;
	ListCell *cell;

	initStringInfo(&buf);
	foreach(cell, texts)
	{
		appendStringInfoString(&buf, buf.len == 0 ? "[" : ", ");
		escape_json(&buf, lfirst(cell));
	}
	appendStringInfoString(&buf, buf.len == 0 ? "[]" : "]");
	return buf.data;
}
