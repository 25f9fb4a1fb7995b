/*-------------------------------------------------------------------------
 *
 * contract_json.h
 *		Reading a JSON document with the path of each value.
 *
 * A member that is absent is a place, too: its path can be shown, and its own
 * members are absent.  Places and texts are allocated in the current memory
 * context; the document must outlive them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_CONTRACT_JSON_H
#define DEPIPE_QUALITY_CONTRACT_JSON_H

#include "depipe.h"
#include "compat.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef struct Json
{
	JsonbValue value;
	bool present;
	char *key;  /* of a member; NULL for others */
	char *path; /* such as $.models[2]."order id" */
} Json;

extern Json *json_root(Jsonb *document);
extern Json *json_member(const Json *object, const char *key);

/* The members of an object, or the elements of an array; NIL for anything else. */
extern List *json_members(const Json *object);
extern List *json_elements(const Json *array);

/* Present, and not null? */
extern bool json_given(const Json *place);

extern bool json_is_object(const Json *place);
extern bool json_is_array(const Json *place);
extern bool json_is_text(const Json *place);
extern bool json_is_number(const Json *place);

/* Raise 22023, with the path: the value "must be ...". */
PG_ATTRIBUTE_NORETURN_COMPAT extern void json_refuse(const Json *place, const char *must_be);

/* Raise 22023 unless the place is absent, null or of that type. */
extern void json_expect_object(const Json *place);
extern void json_expect_array(const Json *place);

/* The text of a string.  Anything else: json_text() raises 22023, json_text_of() returns NULL. */
extern char *json_text(const Json *place);
extern char *json_text_of(const Json *place);

/* The same for a member. */
extern char *json_member_text(const Json *object, const char *key);

/* The text of a string, a number or a boolean; NULL for anything else. */
extern char *json_scalar(const Json *place);

/* Is it true? */
extern bool json_is_true(const Json *place);

/* The value as JSON text; NULL if it is absent or null. */
extern char *json_literal(const Json *place);

/* A string and a list of strings as JSON text; NULL for NULL. */
extern char *json_string(const char *text);
extern char *json_strings(List *texts);

#endif /* DEPIPE_QUALITY_CONTRACT_JSON_H */
