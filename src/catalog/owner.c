/*-------------------------------------------------------------------------
 *
 * owner.c
 *		Owners of definitions: running as the owner, and changes of the owner.
 *
 * The owner of a load or a transform is the owner of its table.  While the
 * table is missing or not created yet, its definition stores the owner.  If
 * such a role is dropped or loses a required privilege, the definition is
 * ownerless.  It is kept, changes of a load are kept as during a pause, and
 * everything else continues.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/owner.h"

#include "catalog/audit.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "core/arguments.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "catalog/target.h"

PG_FUNCTION_INFO_V1(depipe_owner_problem);
PG_FUNCTION_INFO_V1(depipe_role_in);
PG_FUNCTION_INFO_V1(depipe_role_out);
AUDITED_FUNCTION(depipe_set_owner);

#define NOBODY "-"

/* ---- the type depipe.role ---- */

/* Accepts roles that do not exist: a dump must be restorable whichever roles exist here. */
Datum
depipe_role_in(PG_FUNCTION_ARGS)
{
	char *text = PG_GETARG_CSTRING(0);
	List *names;
	Oid role;

	if (strcmp(text, NOBODY) == 0)
		PG_RETURN_OID(InvalidOid);
	names = string_to_name_list_compat(text);
	if (list_length(names) != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("invalid name of a role: %s", text)));
	role = get_role_oid(strVal(linitial(names)), true);
	if (!OidIsValid(role))
		ereport(WARNING,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\" does not exist", strVal(linitial(names))),
				 errhint("Its definitions are ownerless until depipe.set_owner is called.")));
	PG_RETURN_OID(role);
}

Datum
depipe_role_out(PG_FUNCTION_ARGS)
{
	char *name = GetUserNameFromId(PG_GETARG_OID(0), true);

	PG_RETURN_CSTRING(name == NULL ? pstrdup(NOBODY) : pstrdup(sql_identifier(name)));
}

/* ---- running as the owner ---- */

typedef enum Problem
{
	PROBLEM_NONE,
	PROBLEM_DROPPED,
	PROBLEM_NO_LOGIN,
	PROBLEM_NO_USAGE
} Problem;

static bool
may_use_server(Oid role, const char *server_name)
{
	Oid server = get_foreign_server_oid(server_name, true);

	return !OidIsValid(server) || server_aclcheck_compat(server, role, ACL_USAGE) == ACLCHECK_OK;
}

static Problem
find_problem(Oid role, const char *server_name)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool can_login;

	if (!HeapTupleIsValid(tuple))
		return PROBLEM_DROPPED;
	can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	if (!can_login)
		return PROBLEM_NO_LOGIN;
	if (server_name != NULL && !may_use_server(role, server_name))
		return PROBLEM_NO_USAGE;
	return PROBLEM_NONE;
}

char *
owner_problem(Oid owner, const char *server_name)
{
	switch (find_problem(owner, server_name))
	{
		case PROBLEM_NONE:
			break;
		case PROBLEM_DROPPED:
			return pstrdup("its owner was dropped");
		case PROBLEM_NO_LOGIN:
			return psprintf("its owner \"%s\" cannot log in", GetUserNameFromId(owner, false));
		case PROBLEM_NO_USAGE:
			return psprintf("its owner \"%s\" may not use server \"%s\"",
							GetUserNameFromId(owner, false),
							server_name);
	}
	return NULL;
}

static char *
set_owner_statement(const char *display, const char *role)
{
	return psprintf("SELECT depipe.set_owner(%s, %s)", sql_literal(display), sql_literal(role));
}

/* A table gets a new owner itself.  If there is no table, the definition does. */
char *
owner_next(Oid owner, const char *server_name, const char *display, Oid relid)
{
	Oid table_owner = OidIsValid(relid) ? identity_table_owner(relid) : InvalidOid;

	if (find_problem(owner, server_name) == PROBLEM_NO_USAGE)
		return psprintf("GRANT USAGE ON FOREIGN SERVER %s TO %s",
						sql_identifier(server_name),
						sql_identifier(GetUserNameFromId(owner, false)));
	if (!OidIsValid(table_owner))
		return set_owner_statement(display, "...");
	if (table_owner != owner)
		return set_owner_statement(display, GetUserNameFromId(table_owner, false));
	return psprintf("ALTER TABLE %s OWNER TO ...", display);
}

/*
 * SQL function owner_problem(owner, server): the reason why nothing can run as
 * this role, or NULL.
 */
Datum
depipe_owner_problem(PG_FUNCTION_ARGS)
{
	Oid owner = PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0);
	char *problem = owner_problem(owner, PG_ARGISNULL(1) ? NULL : NameStr(*PG_GETARG_NAME(1)));

	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}

/* ---- set_owner ---- */

static Oid
table_of(const Target *target)
{
	Oid schema = get_namespace_oid(target->schema_name, true);

	return OidIsValid(schema) ? get_relname_relid(target->table_name, schema) : InvalidOid;
}

/*
 * The rules are those of ALTER TABLE ... OWNER TO: the user must own the
 * target, and be able to become the new owner.
 */
static void
check_may_give(const Target *target, Oid role)
{
	if (superuser())
		return;
	if (!has_privs_of_role(GetUserId(), target->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of target %s", target->display)));
	if (!member_can_set_role_compat(GetUserId(), role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be able to SET ROLE \"%s\"", GetUserNameFromId(role, false))));
}

static void
check_table(const Target *target, Oid role)
{
	Oid relid = table_of(target);

	if (OidIsValid(relid) && identity_table_owner(relid) != role)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s belongs to role \"%s\"",
						target->display,
						GetUserNameFromId(identity_table_owner(relid), false)),
				 errdetail("The owner of a definition is the owner of its table."),
				 errhint("ALTER TABLE %s OWNER TO %s;",
						 target->display,
						 sql_identifier(GetUserNameFromId(role, false)))));
}

/*
 * SQL function set_owner(target, owner), for a table that is missing or that
 * another role has created since.
 */
static Datum
depipe_set_owner_checked(PG_FUNCTION_ARGS)
{
	Target *target = target_find(argument_text(fcinfo, 0, "target"), false);
	Oid role;

	argument_not_null(fcinfo, 1, "owner");
	role = get_role_oid(NameStr(*PG_GETARG_NAME(1)), false);
	check_may_give(target, role);
	if (target->kind != TARGET_TABLE)
		identity_check_login(role);
	check_table(target, role);
	target_set_owner(target, role);
	(void) target_bind(target);
	event_record(target->id, "owner", "changed", NULL);
	PG_RETURN_VOID();
}
