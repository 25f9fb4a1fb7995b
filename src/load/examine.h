/*-------------------------------------------------------------------------
 *
 * examine.h
 *		The source table of a task, and whether it can be loaded.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_EXAMINE_H
#define DEPIPE_LOAD_EXAMINE_H

#include "load/task.h"

/* Look at the source tables of tasks through a connection (again): source, key, columns. */
extern void examine_describe(const TaskSet *set, List *tasks, Connection *connection);

/* Set the problem of a task that was described, when it cannot be loaded or cannot go on. */
extern void examine_find_problem(LoadTask *task);

/* The state of a load that is left out of a run: a table that streams misses changes. */
extern LoadState examine_stopped_state(const Load *load);

#endif /* DEPIPE_LOAD_EXAMINE_H */
