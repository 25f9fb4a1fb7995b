/*-------------------------------------------------------------------------
 *
 * audit.c
 *		The record of what people change and override.
 *
 * Every SQL function that changes a definition, or with which a person overrides
 * a machine, is declared with AUDITED_FUNCTION.  Its row is written in the
 * transaction of the call: what is rolled back did not happen.
 *
 * A row outlives its target, so it has the target's name and owner, too.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/audit.h"

#include "catalog/pg_proc.h"
#include "catalog/target.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

typedef struct AuditRow
{
	char *action;
	char *target;
	char *server;
	char *constraint;
	char *reason;
	StringInfoData arguments; /* members of a JSON object */
	int32 target_id;          /* 0: none */
	Oid owner;
} AuditRow;

/* The innermost call that is going on has changed nothing. */
static bool nothing = false;

void
audit_nothing(void)
{
	nothing = true;
}

/* ---- arguments ---- */

static char *
value_text(Oid type, Datum value)
{
	Oid output;
	bool is_varlena;

	getTypeOutputInfo(type, &output, &is_varlena);
	return OidOutputFunctionCall(output, value);
}

static void
append_member(StringInfo buf, const char *name, const char *value)
{
	if (buf->len > 0)
		appendStringInfoString(buf, ", ");
	escape_json(buf, name);
	appendStringInfoString(buf, ": ");
	escape_json(buf, value);
}

/* Values of keys are values of columns: only their number is kept. */
static char *
number_of_keys(Datum value)
{
	ArrayType *keys = DatumGetArrayTypeP(value);

	return psprintf("%d", ArrayGetNItems(ARR_NDIM(keys), ARR_DIMS(keys)));
}

static void
take_argument(AuditRow *row, const char *name, Oid type, Datum value)
{
	if (strcmp(name, "keys") == 0)
		append_member(&row->arguments, name, number_of_keys(value));
	else if (strcmp(name, "target") == 0 || strcmp(name, "pattern") == 0)
		row->target = value_text(type, value);
	else if (strcmp(name, "server") == 0)
		row->server = value_text(type, value);
	else if (strcmp(name, "reason") == 0)
		row->reason = value_text(type, value);
	else if (strcmp(name, "constraint_name") == 0 || strcmp(name, "name") == 0)
		row->constraint = value_text(type, value);
	else
		append_member(&row->arguments, name, value_text(type, value));
}

static void
take_arguments(AuditRow *row, FunctionCallInfo fcinfo)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
	Form_pg_proc proc;
	Oid *types;
	char **names;
	char *modes;
	int count;
	int input = 0;
	int level;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", fcinfo->flinfo->fn_oid);
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	row->action = pstrdup(NameStr(proc->proname));
	count = get_func_arg_info(tuple, &types, &names, &modes);
	level = NewGUCNestLevel();
	identity_pin_output();
	identity_pin_timezone();
	for (int i = 0; i < count && names != NULL && input < PG_NARGS(); i++)
	{
		if (modes != NULL && modes[i] != PROARGMODE_IN && modes[i] != PROARGMODE_VARIADIC)
			continue;
		if (!PG_ARGISNULL(input))
			take_argument(row, names[i], types[i], PG_GETARG_DATUM(input));
		input++;
	}
	AtEOXact_GUC(false, level);
	ReleaseSysCache(tuple);
}

/* ---- rows ---- */

/* A statement that drops a target finds it before, one that creates it afterwards. */
static void
find_target(AuditRow *row)
{
	Target *target;

	if (row->target == NULL || row->target_id != 0 || strpbrk(row->target, "*?") != NULL)
		return;
	target = target_find(row->target, true);
	if (target == NULL)
		return;
	row->target_id = target->id;
	row->owner = target->owner;
	row->target = target->display;
}

static void
put_row(const AuditRow *row, const char *user_name)
{
	(void) CATALOG_EXECUTE(
		"INSERT INTO depipe.audit_entry (target_id, target, owner, server_name, action,"
		" constraint_name, reason, arguments, session_role, current_role_name)"
		" VALUES (NULLIF($1, 0), $2, $3::depipe.role, $4::name, $5, $6, $7, $8, SESSION_USER,"
		" $9::name)",
		ARG_INT4(row->target_id),
		ARG_TEXT(row->target),
		ARG_OID(row->owner),
		ARG_TEXT(row->server),
		ARG_TEXT(row->action),
		ARG_TEXT(row->constraint),
		ARG_TEXT(row->reason),
		ARG_JSONB(psprintf("{%s}", row->arguments.data)),
		ARG_TEXT(user_name));
}

Datum
audit_call(PGFunction function, FunctionCallInfo fcinfo)
{
	AuditRow row = {0};
	bool outer = nothing;
	bool unchanged;
	Datum result;

	initStringInfo(&row.arguments);
	take_arguments(&row, fcinfo);
	find_target(&row);
	nothing = false;
	result = function(fcinfo);
	unchanged = nothing;
	nothing = outer;
	if (unchanged)
		return result;
	find_target(&row);
	if (strcmp(row.action, "add_constraint") == 0)
		row.constraint = TextDatumGetCString(result); /* it may have been derived */
	put_row(&row, GetUserNameFromId(GetUserId(), false));
	return result;
}
