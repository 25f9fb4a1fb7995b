/*-------------------------------------------------------------------------
 *
 * evolve.h
 *		The columns of a target, and changes of the source's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_EVOLVE_H
#define DEPIPE_LOAD_EVOLVE_H

#include "load/session.h"


/* The columns of a load that streams: those recorded, as far as the target has them. */
extern void evolve_take_recorded(LoadSession *session, LoadTask *task);
extern List *evolve_recorded_names(const Load *load);

/* A column of the load that the source has dropped and made again; NULL: none. */
extern char *evolve_replaced_column(const LoadTask *task);

/*
 * Length, precision, scale, or type of a column of the load are others than
 * recorded, as a sentence; NULL: none.  The first three are in no message.
 */
extern char *evolve_retyped_column(LoadTask *task);

/* What to do about columns that differ, then "SELECT depipe.resync(...);" */
extern char *evolve_hint(const LoadTask *task);

/* Is there a type of this name (as the source writes it) here? */
extern bool evolve_type_exists(const char *type_name);

/* Make the target of a load, or add what it lacks. */
extern void evolve_prepare_target(LoadSession *session, LoadTask *task);

/* Raise 42804 when a column of it would round or cut what the source sends. */
extern void evolve_check_types(LoadTask *task);

/* Raises 42804 when the target takes keys for equal that the source tells apart. */
extern void evolve_check_key(LoadTask *task);

/*
 * The source sends a table in another layout than was recorded: add columns,
 * or stop the task.  Called between deliveries.
 */
extern void evolve_follow(LoadSession *session, LoadTask *task, List *names, List *types);

/* Does the layout differ from the recorded one in what the load takes? */
extern bool evolve_differs(LoadTask *task, List *names, List *types);

#endif /* DEPIPE_LOAD_EVOLVE_H */
