/*-------------------------------------------------------------------------
 *
 * identity.h
 *		The only place that switches users.
 *
 * Everything that a user wrote (queries, expressions, casts, defaults,
 * triggers, operators) is evaluated between identity_become() and
 * identity_restore().  It runs as the owner of the target, with
 * SECURITY_RESTRICTED_OPERATION, in its own GUC nest level.  There search_path
 * is pinned to pg_catalog, pg_temp, and the settings of the definition are in
 * force (core/settings).  The security flags are ORed with the saved ones, so
 * that an outer restriction stays in force.
 *
 * depipe's own tables are read and written between identity_become_extension()
 * and identity_restore().  catalog/statement does this for its callers.  No
 * text of a user is evaluated there.
 *
 * If an error is raised in between, the abort of the (sub)transaction restores
 * everything.  No PG_TRY is needed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CORE_IDENTITY_H
#define DEPIPE_CORE_IDENTITY_H

#include "depipe.h"
#include "nodes/pg_list.h"

typedef struct Identity
{
	Oid saved_user;
	int saved_context;
	int guc_level;
} Identity;

/*
 * Act as the role, under the base settings.  This is for work that belongs to
 * no definition, and for reading texts of values from a source or from
 * depipe's tables.  Raises 42704 if the role does not exist.
 */
extern void identity_become(Oid role, Identity *saved);

/*
 * Act as the role, under the settings of a definition.  This is for evaluating
 * anything that the definition contains.  Raises 42704 if the role does not
 * exist, and 22023 if this server rejects a setting.
 */
extern void identity_become_with(Oid role, List *settings, Identity *saved);

/*
 * Act as the owner of the extension, for fixed SQL on depipe's own tables.
 * Raises 42704 if the extension is not installed.
 */
extern void identity_become_extension(Identity *saved);

/* Undo any of the three functions above.  This also undoes settings made in between. */
extern void identity_restore(const Identity *saved);

/*
 * Execute SQL text as a user, or as the extension's owner, in an SPI connection
 * of its own.  Raises what the statements raise.
 */
extern void execute_as(Oid user, const char *sql);
extern void execute_as_extension(const char *sql);

/* Is the running code depipe's, or evaluated by depipe? */
extern bool identity_is_depipe(void);

/*
 * Bracket one statement that can run a user's code, if several statements run
 * between identity_become() and identity_restore().  What that code sets, for
 * example with set_config('search_path', ...), ends with the statement.
 */
extern int identity_begin_statement(void);
extern void identity_end_statement(int level);

/*
 * Set the settings under which output functions return texts that input
 * functions read back exactly.  Needs a GUC nest level opened by the caller.
 */
extern void identity_pin_output(void);

/*
 * In addition to identity_pin_output(), set TimeZone to UTC, so that texts
 * that are kept and compared are the same in every session.  Needs a GUC nest
 * level opened by the caller.
 */
extern void identity_pin_timezone(void);

/*
 * Turn off JIT compilation.  Statements about a delta are planned without
 * statistics, and compiling them costs more than it saves.  Needs the nest
 * level of an identity.
 */
extern void identity_without_jit(void);

/*
 * True while depipe itself is writing to a target.  The trigger that refuses
 * direct DML on targets lets such writes pass.  publish sets and resets the
 * flag; an abort resets it as well.
 */
extern bool depipe_is_writing;

/*
 * The table that depipe is writing to.  The trigger lets writes to this table
 * and its partitions pass, and no others.
 */
extern Oid depipe_writing_to;

/* Raise 42501 unless the current user owns the relation or is superuser. */
extern void identity_check_table_owner(Oid relid, const char *display_name);

/* The owner of the relation; InvalidOid if there is no such relation. */
extern Oid identity_table_owner(Oid relid);

/* Raise 0P000 unless the role may log in.  Workers act as the owners of definitions. */
extern void identity_check_login(Oid role);

/*
 * May the current user operate on objects of this owner?  True for the owner
 * and its members, members of depipe_operator, and superusers.
 */
extern bool identity_may_operate(Oid owner);

/*
 * May the current user, or the given role, see definitions, reasons and errors
 * of objects of this owner?  True for roles that may operate on them and for
 * members of pg_monitor.  These texts name tables that a reader of the target
 * may not know.
 */
extern bool identity_may_inspect(Oid owner);
extern bool identity_role_may_inspect(Oid role, Oid owner);

/*
 * May the current user, or the given role, see the state of a target?  True
 * for roles that may inspect it and for roles that may read its table.  relid
 * is InvalidOid while there is no table.  If the table belongs to another role
 * than the definition, the right to read it does not count.
 */
extern bool identity_may_see(Oid owner, Oid relid);
extern bool identity_role_may_see(Oid role, Oid owner, Oid relid);

/*
 * The part of a reason that the current user may see, for a user who may see
 * the state of the owner's target.  Roles that may inspect it see all of the
 * reason.  Others see only what concerns a constraint of the table itself.
 * NULL: nothing.
 */
extern const char *identity_reason_for_reader(Oid owner, const char *reason);

/* Raise 42501 "permission denied for target ..." unless identity_may_operate(). */
extern void identity_check_operate(Oid owner, const char *display_name);

#endif /* DEPIPE_CORE_IDENTITY_H */
