/*-------------------------------------------------------------------------
 *
 * rights.c
 *		Privileges of the current user on targets, for depipe's views.
 *
 * The views call these SQL functions for each row.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "catalog/namespace.h"
#include "catalog/target.h"
#include "core/identity.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

PG_FUNCTION_INFO_V1(depipe_may_read);
PG_FUNCTION_INFO_V1(depipe_may_inspect);
PG_FUNCTION_INFO_V1(depipe_may_see_definition);
PG_FUNCTION_INFO_V1(depipe_reason_for_reader);

static Oid
table_argument(FunctionCallInfo fcinfo)
{
	Oid schema = get_namespace_oid(NameStr(*PG_GETARG_NAME(0)), true);

	return OidIsValid(schema) ? get_relname_relid(NameStr(*PG_GETARG_NAME(1)), schema) : InvalidOid;
}

/*
 * SQL function may_read(schema_name, table_name): may the user see every row
 * of the table, and so its metrics and images?
 */
Datum
depipe_may_read(PG_FUNCTION_ARGS)
{
	Oid relid = table_argument(fcinfo);

	PG_RETURN_BOOL(OidIsValid(relid) &&
				   pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
				   check_enable_rls(relid, InvalidOid, true) != RLS_ENABLED);
}

/*
 * SQL function may_inspect(owner): may the user see definitions and reasons,
 * which name other tables?  NULL: the owner was dropped.
 */
Datum
depipe_may_inspect(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(identity_may_inspect(PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0)));
}

/* SQL function may_see_definition(target). */
Datum
depipe_may_see_definition(PG_FUNCTION_ARGS)
{
	Target *target = target_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), true);

	PG_RETURN_BOOL(target != NULL && identity_may_inspect(target->owner));
}

/*
 * SQL function reason_for_reader(owner, reason): the part of a reason that the
 * current user may see, or NULL.
 */
Datum
depipe_reason_for_reader(PG_FUNCTION_ARGS)
{
	const char *reason = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));

	reason = identity_reason_for_reader(PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0), reason);
	if (reason == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(reason));
}
