/*-------------------------------------------------------------------------
 *
 * settings.h
 *		The settings that determine the meaning of a definition.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CORE_SETTINGS_H
#define DEPIPE_CORE_SETTINGS_H

#include "depipe.h"
#include "nodes/pg_list.h"
#include "utils/array.h"

/*
 * Settings are passed as a list of texts "name=value", in the order of the
 * table in settings.c.  Only values that differ from the base are listed; NIL
 * is the base.
 */

/*
 * The settings of the session, for a definition that is made now.  Allocated
 * in the current memory context.  Raises 55000 if the session has a setting
 * under which no definition can be made.
 */
extern List *settings_of_session(void);

/*
 * The settings that a user gave, in canonical form.  Raises 22023 for a
 * malformed text, 42704 for a name that is not in the table, and the server's
 * error for a value that it rejects.
 */
extern List *settings_given(ArrayType *array);

/*
 * The argument "settings" of a function.  NULL stands for the settings of the
 * session.  Raises the errors of the two functions above.
 */
extern List *settings_argument(bool isnull, Datum value);

/* The settings as an array literal "{...}", as definition() prints it and messages show it. */
extern char *settings_text(List *settings);

/*
 * Set these settings, and the base for all others.  Needs a GUC nest level
 * opened by the caller.  Raises 22023 if this server rejects a value.
 */
extern void settings_enter(List *settings);

/*
 * A hash of the values in force.  Plans need it because their literals were
 * read under these values.
 */
extern uint64 settings_hash(void);

/*
 * Set the base of those settings under which values become texts that the same
 * settings read back exactly.  Needs a GUC nest level opened by the caller.
 */
extern void settings_pin_exchange(void);

/*
 * Set the base of those settings that affect literals within the SQL text of a
 * definition.  Needs a GUC nest level opened by the caller.
 */
extern void settings_pin_literals(void);

/*
 * Set one setting in the caller's nest level, unless it already has this value
 * or this server does not have it.
 */
extern void settings_set(const char *name, const char *value);

/*
 * Set any setting in the caller's nest level, with the rights of a superuser.
 * Not for values of users.
 */
extern void settings_force(const char *name, const char *value);

/*
 * Does the input function of the type depend on settings_pin_exchange(), or
 * can it run a user's code?
 */
extern bool settings_matter_to_input(Oid type);

#endif /* DEPIPE_CORE_SETTINGS_H */
