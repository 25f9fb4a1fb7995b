/*-------------------------------------------------------------------------
 *
 * identity.h
 *		The one place that switches users.
 *
 * Everything that a user wrote (queries, expressions, casts, defaults,
 * triggers, operators) is evaluated between identity_become() and
 * identity_restore(): as the owner of the target, with
 * SECURITY_RESTRICTED_OPERATION, in a GUC nest level of its own with
 * search_path pinned to pg_catalog, pg_temp and the settings of the definition
 * that is evaluated (core/settings).  The saved security flags are ORed, never
 * discarded, so that an outer restriction stays.
 *
 * depipe's own tables are read and written between
 * identity_become_extension() and identity_restore(), which catalog/statement does
 * for its callers; no text of a user is evaluated there.
 *
 * An error between the two restores everything with the (sub)transaction's
 * abort; no PG_TRY is needed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_IDENTITY_H
#define DEPIPE_IDENTITY_H

#include "depipe.h"
#include "nodes/pg_list.h"

typedef struct Identity
{
	Oid saved_user;
	int saved_context;
	int guc_level;
} Identity;

/*
 * Act as role, under the base settings: what no definition says, and texts of
 * values that come from a source or from depipe's tables.  Raises 42704 when
 * the role is gone.
 */
extern void identity_become(Oid role, Identity *saved);

/* The same under the settings of a definition: what a user's definition says. */
extern void identity_become_with(Oid role, List *settings, Identity *saved);

/* Act as the owner of the extension, for fixed SQL on depipe's own tables. */
extern void identity_become_extension(Identity *saved);

/* Undo either of them; settings made in between are undone, too. */
extern void identity_restore(const Identity *saved);

/*
 * Around each statement that can run a user's code, where more than one is run
 * between identity_become() and identity_restore(): what the code sets
 * (set_config('search_path', ...)) ends with the statement.
 */
extern int identity_begin_statement(void);
extern void identity_end_statement(int level);

/*
 * In a GUC nest level that the caller has opened: settings under which output
 * functions give texts that input functions read back exactly.
 */
extern void identity_pin_output(void);

/* Likewise, and the same in every session: for texts that are kept and compared. */
extern void identity_pin_timezone(void);

/*
 * Statements about a delta are planned without statistics: compiling them
 * costs more than it saves.  In the nest level of an identity.
 */
extern void identity_without_jit(void);

/*
 * depipe itself is writing to a target: the trigger that refuses direct DML
 * on targets lets it pass.  Set and reset by publish; reset at abort.
 */
extern bool depipe_is_writing;

/* The table that it writes to, with its partitions: the only one that the trigger lets pass. */
extern Oid depipe_writing_to;

/* Raise 42501 unless the current user owns the relation (or is superuser). */
extern void identity_check_table_owner(Oid relid, const char *display_name);

/* InvalidOid when there is no such relation. */
extern Oid identity_table_owner(Oid relid);

/* Raise 0P000 unless the role may log in: workers act as owners of definitions. */
extern void identity_check_login(Oid role);

/*
 * May the current user operate on what this role owns (member of the owner,
 * or of depipe_operator, or superuser)?
 */
extern bool identity_may_operate(Oid owner);

/*
 * May the current user see definitions, reasons and errors of what this role
 * owns: its owner, operators and members of pg_monitor?  They name tables that
 * a reader of the target may not know.
 */
extern bool identity_may_inspect(Oid owner);
extern bool identity_role_may_inspect(Oid role, Oid owner);

/*
 * May the current user see what state a target is in?  Likewise, and whoever
 * may read its table.  relid: InvalidOid while there is no table; one that
 * belongs to another role than the definition opens nothing to its readers.
 */
extern bool identity_may_see(Oid owner, Oid relid);
extern bool identity_role_may_see(Oid role, Oid owner, Oid relid);

/*
 * What of a reason the current user may know who sees the state of what this
 * role owns: all of it who may inspect it, else what is about a constraint of
 * the table itself.  NULL: nothing.
 */
extern const char *identity_reason_for_reader(Oid owner, const char *reason);

/* The same as identity_may_operate, raising 42501 "permission denied for target ...". */
extern void identity_check_operate(Oid owner, const char *display_name);

#endif /* DEPIPE_IDENTITY_H */
