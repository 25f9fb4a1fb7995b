/*-------------------------------------------------------------------------
 *
 * rights.c
 *		What the current user may see of a target: the functions that depipe's
 *		views ask for each row.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "catalog/namespace.h"
#include "core/identity.h"
#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

PG_FUNCTION_INFO_V1(depipe_may_read);
PG_FUNCTION_INFO_V1(depipe_may_inspect);

static Oid
table_argument(FunctionCallInfo fcinfo)
{
	Oid schema = get_namespace_oid(NameStr(*PG_GETARG_NAME(0)), true);

	return OidIsValid(schema) ? get_relname_relid(NameStr(*PG_GETARG_NAME(1)), schema) : InvalidOid;
}

/* may_read(schema_name, table_name): every row of the table, and so metrics and images */
Datum
depipe_may_read(PG_FUNCTION_ARGS)
{
	Oid relid = table_argument(fcinfo);

	PG_RETURN_BOOL(OidIsValid(relid) &&
				   pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
				   check_enable_rls(relid, InvalidOid, true) != RLS_ENABLED);
}

/* may_inspect(owner): definitions and reasons, which name other tables */
Datum
depipe_may_inspect(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(identity_may_inspect(PG_GETARG_OID(0)));
}
