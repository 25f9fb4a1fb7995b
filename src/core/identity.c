/*-------------------------------------------------------------------------
 *
 * identity.c
 *		The only place that switches users.
 *
 * The order is that of the server's own maintenance commands: first the user
 * and security context, then a GUC nest level, then the pinned search_path.
 * No name can be looked up under the wrong one of them.
 *
 *-------------------------------------------------------------------------
 */
#include "core/identity.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "core/settings.h"
#include "executor/spi.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#define OPERATOR_ROLE "depipe_operator"

bool depipe_is_writing = false;
Oid depipe_writing_to = InvalidOid;

static void
pin_path(void)
{
	settings_set("search_path", "pg_catalog, pg_temp");
}

/*
 * A bit of the security context that the server does not use.  The server restores
 * the context when a (sub)transaction aborts, and hands it to parallel workers.
 */
#define CONTEXT_DEPIPE 0x40000000

bool
identity_is_depipe(void)
{
	Oid user;
	int context;

	GetUserIdAndSecContext(&user, &context);
	return (context & CONTEXT_DEPIPE) != 0;
}

static void
become(Oid role, int extra_context, Identity *saved)
{
	GetUserIdAndSecContext(&saved->saved_user, &saved->saved_context);
	SetUserIdAndSecContext(role, saved->saved_context | extra_context | CONTEXT_DEPIPE);
	saved->guc_level = NewGUCNestLevel();
	pin_path();
}

/*
 * Besides search_path, pin every setting that changes the meaning of SQL text
 * and of values.  A user who may run a target must not influence its rows
 * through session settings.
 */
void
identity_become_with(Oid role, List *settings, Identity *saved)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", role),
				 errdetail("The role owned the definition."),
				 errhint("Give the definition to another role with depipe.set_owner.")));
	become(role, SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION, saved);
	settings_enter(settings);
}

void
identity_become(Oid role, Identity *saved)
{
	identity_become_with(role, NIL, saved);
}

void
identity_become_extension(Identity *saved)
{
	Oid schema = get_namespace_oid(DEPIPE_SCHEMA, true);
	HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"depipe\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION depipe.")));
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	become(owner, SECURITY_LOCAL_USERID_CHANGE, saved);
	settings_pin_literals();
}

void
identity_restore(const Identity *saved)
{
	AtEOXact_GUC(false, saved->guc_level);
	SetUserIdAndSecContext(saved->saved_user, saved->saved_context);
}

static void
execute(const char *sql)
{
	int result;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = SPI_execute(sql, false, 0);
	if (result < 0)
		elog(ERROR, "statement failed: %s", SPI_result_code_string(result));
	SPI_finish();
}

void
execute_as(Oid user, const char *sql)
{
	Identity identity;

	identity_become(user, &identity);
	execute(sql);
	identity_restore(&identity);
}

void
execute_as_extension(const char *sql)
{
	Identity identity;

	identity_become_extension(&identity);
	execute(sql);
	identity_restore(&identity);
}

int
identity_begin_statement(void)
{
	int level = NewGUCNestLevel();

	pin_path();
	return level;
}

void
identity_end_statement(int level)
{
	AtEOXact_GUC(false, level);
}

void
identity_pin_output(void)
{
	settings_pin_exchange();
}

void
identity_pin_timezone(void)
{
	settings_set("TimeZone", "UTC");
}

void
identity_without_jit(void)
{
	settings_set("jit", "off");
}

void
identity_check_table_owner(Oid relid, const char *display_name)
{
	if (!table_ownercheck_compat(relid, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table %s", display_name)));
}

void
identity_check_login(Oid role)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool can_login = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	if (!can_login)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_ROLE_SPECIFICATION),
				 errmsg("role \"%s\" cannot log in", GetUserNameFromId(role, false)),
				 errdetail("Loads and transforms run as the owner of their table."),
				 errhint("Give the role LOGIN, or the table to a role that has it.")));
}

static bool
role_may_operate(Oid role, Oid owner)
{
	Oid operator_role = get_role_oid(OPERATOR_ROLE, true);

	if (superuser_arg(role) || has_privs_of_role(role, owner))
		return true;
	return OidIsValid(operator_role) && has_privs_of_role(role, operator_role);
}

bool
identity_may_operate(Oid owner)
{
	return role_may_operate(GetUserId(), owner);
}

Oid
identity_table_owner(Oid relid)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

bool
identity_role_may_inspect(Oid role, Oid owner)
{
	return role_may_operate(role, owner) || has_privs_of_role(role, ROLE_PG_MONITOR);
}

bool
identity_may_inspect(Oid owner)
{
	return identity_role_may_inspect(GetUserId(), owner);
}

bool
identity_role_may_see(Oid role, Oid owner, Oid relid)
{
	if (identity_role_may_inspect(role, owner))
		return true;
	return OidIsValid(relid) && identity_table_owner(relid) == owner &&
		   pg_class_aclcheck(relid, role, ACL_SELECT) == ACLCHECK_OK;
}

bool
identity_may_see(Oid owner, Oid relid)
{
	return identity_role_may_see(GetUserId(), owner, relid);
}

/* A reason "breaker is open: CAUSE" reveals no more than CAUSE itself. */
const char *
identity_reason_for_reader(Oid owner, const char *reason)
{
	const char *why;

	if (reason == NULL || identity_may_inspect(owner))
		return reason;
	if (strncmp(reason, "constraint \"", strlen("constraint \"")) == 0)
		return reason;
	if (strncmp(reason, "breaker is ", strlen("breaker is ")) != 0)
		return NULL;
	why = strstr(reason, ": ");
	if (why == NULL || identity_reason_for_reader(owner, why + 2) != NULL)
		return reason;
	return pnstrdup(reason, why - reason);
}

void
identity_check_operate(Oid owner, const char *display_name)
{
	if (!identity_may_operate(owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for target %s", display_name),
				 errhint("Only its owner and members of %s may do this.", OPERATOR_ROLE)));
}
