/*-------------------------------------------------------------------------
 *
 * settings.h
 *		The settings that decide what a definition means.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_SETTINGS_H
#define DEPIPE_SETTINGS_H

#include "depipe.h"
#include "nodes/pg_list.h"
#include "utils/array.h"

/*
 * Settings travel as a list of texts "name=value", in the order of the table
 * in settings.c, of those whose value differs from the base; NIL: the base.
 */

/*
 * Those of the session, for a definition that is made now.  In the current
 * memory context.  Raises 55000 when one that no definition may be made under
 * has another value.
 */
extern List *settings_of_session(void);

/*
 * Those that a user gave, in the same form.  Raises 22023 for a text of another
 * form, 42704 for a name that is not in the table, and what the server raises
 * for a value that it does not take.
 */
extern List *settings_given(ArrayType *array);

/* The argument of a function: NULL takes those of the session. */
extern List *settings_argument(bool isnull, Datum value);

/* "{...}" as definition() prints it and messages show it. */
extern char *settings_text(List *settings);

/*
 * Put them in force, and the base for all others, in the GUC nest level that
 * the caller has opened.  Raises 22023 when this server does not know a value.
 */
extern void settings_enter(List *settings);

/* What is in force, as a number: for plans, whose literals were read under it. */
extern uint64 settings_hash(void);

/*
 * In a GUC nest level that the caller has opened: the base of those settings
 * under which values become texts that the same settings read back exactly.
 */
extern void settings_pin_exchange(void);

/* Of these the ones that are safe for literals within SQL text of a definition. */
extern void settings_pin_literals(void);

/* Set one in the caller's nest level, unless it has the value already. */
extern void settings_set(const char *name, const char *value);

/* Does reading a text of the type need settings_pin_exchange(), or run a user's code? */
extern bool settings_matter_to_input(Oid type);

#endif /* DEPIPE_SETTINGS_H */
