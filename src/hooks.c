/*-------------------------------------------------------------------------
 *
 * hooks.c
 *		All server hooks that depipe installs.
 *
 * ProcessUtility: statements that concern the workers wake them, a statement
 * about a database first terminates the workers of that database, and REASSIGN
 * OWNED also reassigns definitions.
 *
 * ExecutorStart, ExecutorFinish: decide which triggers fire for rows that
 * depipe writes (publish/triggers.c), and let the triggers of captures see the
 * rows that a MERGE has moved (capture/capture_moves.c).
 *
 * ExecutorCheckPerms, and ProcessUtility for TRUNCATE: refuse what an open breaker
 * refuses (quality/access.c).
 *
 * shmem_request, shmem_startup: set up the state that the workers share
 * (core/shmem.c).
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "hooks.h"

#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "core/refusals.h"
#include "core/shmem.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "publish/triggers.h"
#include "quality/access.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "capture/capture_moves.h"
#include "transform/names.h"

static bool has_workers = false;
static ProcessUtility_hook_type previous_utility = NULL;
static ExecutorStart_hook_type previous_start = NULL;
static ExecutorFinish_hook_type previous_finish = NULL;
static ExecutorCheckPerms_hook_type previous_check = NULL;
static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

/* ---- statements ---- */

static const char *
database_to_leave(Node *statement)
{
	ListCell *cell;

	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) statement)->dbname;
		case T_RenameStmt:
			return ((RenameStmt *) statement)->renameType == OBJECT_DATABASE
					   ? ((RenameStmt *) statement)->subname
					   : NULL;
		case T_CreatedbStmt:
			foreach(cell, ((CreatedbStmt *) statement)->options)
				if (strcmp(((DefElem *) lfirst(cell))->defname, "template") == 0)
					return defGetString(lfirst(cell));
			return NULL;
		default:
			return NULL;
	}
}

/*
 * Does the statement concern workers?  This covers only statements that run
 * none of depipe's own code.
 */
static bool
concerns_workers(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreateExtensionStmt:
		case T_AlterExtensionStmt:
		case T_AlterDatabaseSetStmt:
		case T_CreateForeignServerStmt:
		case T_AlterForeignServerStmt:
		case T_CreateUserMappingStmt:
		case T_AlterUserMappingStmt:
		case T_DropUserMappingStmt:
			return true;
		case T_TransactionStmt:
			/*
			 * the session that prepared it is over, perhaps since before a
			 * crash, so its flag is lost
			 */
			return ((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED;
		default:
			return false;
	}
}

static void
before_statement(Node *statement)
{
	const char *name = database_to_leave(statement);
	Oid database = name == NULL ? InvalidOid : get_database_oid(name, true);

	/* only for users who may run the statement: others get its error, and no worker ends */
	if (OidIsValid(database) && database_ownercheck_compat(database, GetUserId()))
		database_leave_alone(database);
	if (concerns_workers(statement))
		catalog_changed();
}

static void
utility(PlannedStmt *statement, const char *text, bool read_only_tree,
		ProcessUtilityContext context, ParamListInfo parameters, QueryEnvironment *environment,
		DestReceiver *receiver, QueryCompletion *completion)
{
	/* executing a ROLLBACK frees the statement itself, so look at it beforehand */
	ReassignOwnedStmt *reassign = IsA(statement->utilityStmt, ReassignOwnedStmt)
									  ? (ReassignOwnedStmt *) statement->utilityStmt
									  : NULL;

	if (has_workers)
		before_statement(statement->utilityStmt);
	if (IsA(statement->utilityStmt, TruncateStmt))
		access_check_truncate((TruncateStmt *) statement->utilityStmt);
	(previous_utility != NULL ? previous_utility : standard_ProcessUtility)(statement,
																			text,
																			read_only_tree,
																			context,
																			parameters,
																			environment,
																			receiver,
																			completion);
	if (reassign != NULL)
		names_follow_reassign(reassign);
}

/* ---- the executor ---- */

static void
executor_start(QueryDesc *query, int flags)
{
	if (previous_start != NULL)
		previous_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
	triggers_statement_started(query);
}

static void
executor_finish(QueryDesc *query)
{
	triggers_statement_ends(query);
	capture_statement_ends(query);
	if (previous_finish != NULL)
		previous_finish(query);
	else
		standard_ExecutorFinish(query);
}

static bool
check_permissions(CHECK_PERMISSIONS_PARAMETERS_COMPAT)
{
	if (previous_check != NULL && !previous_check(CHECK_PERMISSIONS_ARGUMENTS_COMPAT))
		return false;
	return access_check(tables, CHECK_PERMISSIONS_INFOS_COMPAT, raises);
}

/* ---- shared memory ---- */

static void
request_shmem(void)
{
	if (previous_request != NULL)
		previous_request();
	worker_shmem_request();
	refusals_shmem_request();
}

static void
startup_shmem(void)
{
	if (previous_startup != NULL)
		previous_startup();
	worker_shmem_startup();
	refusals_shmem_startup();
}

static void
init_workers(void)
{
	has_workers = true;
	previous_request = shmem_request_hook;
	shmem_request_hook = request_shmem;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
	worker_shmem_init();
}

void
hooks_init(bool workers)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility;
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
	previous_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = executor_finish;
	previous_check = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = check_permissions;
	if (workers)
		init_workers();
}
