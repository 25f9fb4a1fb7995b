/*-------------------------------------------------------------------------
 *
 * parses.c
 *		Whether a text is one of a value of a type.
 *
 * The input function of the type decides.  The types of the server report an error
 * softly from PostgreSQL 16 on, which costs nothing.  Everything else runs in an
 * internal subtransaction for each value: of every type on 15, of types that are not
 * the server's own later.  A domain is as its base type; its conditions count.
 *
 * The result depends on settings (DateStyle, IntervalStyle, TimeZone), which in a check
 * are those of its definition.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "access/transam.h"
#include "core/guarded.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(depipe_parses);

/* The input function, for all calls of one expression. */
typedef struct Input
{
	Oid type;
	Oid parameter;
	bool soft; /* reports errors without raising them */
	FmgrInfo function;
} Input;

typedef struct Parsing
{
	Input *input;
	char *text;
	int32 modifier;
} Parsing;

static bool
is_servers_own(Oid type)
{
	Oid element = get_element_type(type);

	type = getBaseType(OidIsValid(element) ? element : type);
	return type < FirstNormalObjectId;
}

static Input *
input_of(FunctionCallInfo fcinfo, Oid type)
{
	Input *input = fcinfo->flinfo->fn_extra;
	Oid function;

	if (input != NULL && input->type == type)
		return input;
	input = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Input));
	getTypeInputInfo(type, &function, &input->parameter);
	fmgr_info_cxt(function, &input->function, fcinfo->flinfo->fn_mcxt);
	input->soft = HAS_SOFT_ERRORS_COMPAT && is_servers_own(type);
	input->type = type;
	fcinfo->flinfo->fn_extra = input;
	return input;
}

static bool
parse_work(void *argument)
{
	Parsing *parsing = argument;

	(void) InputFunctionCall(&parsing->input->function,
							 parsing->text,
							 parsing->input->parameter,
							 parsing->modifier);
	return true;
}

/* SQL function parses(value text, type regtype, modifier integer) */
Datum
depipe_parses(PG_FUNCTION_ARGS)
{
	Parsing parsing = {.input = input_of(fcinfo, PG_GETARG_OID(1)),
					   .text = text_to_cstring(PG_GETARG_TEXT_PP(0)),
					   .modifier = PG_GETARG_INT32(2)};

	if (parsing.input->soft)
		PG_RETURN_BOOL(input_is_valid_compat(&parsing.input->function,
											 parsing.text,
											 parsing.input->parameter,
											 parsing.modifier));
	PG_RETURN_BOOL(guarded_run(parse_work, &parsing) == NULL);
}
