/*-------------------------------------------------------------------------
 *
 * examine.h
 *		Examination of the source table of a task: can it be loaded?
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_EXAMINE_H
#define DEPIPE_LOAD_EXAMINE_H

#include "load/task.h"

/* Read the source tables of tasks through a connection (again): source, key, columns. */
extern void examine_describe(const TaskSet *set, List *tasks, Connection *connection);

/* Set the problem of a described task, if it cannot be loaded or cannot continue. */
extern void examine_find_problem(LoadTask *task);

/* The state of a load that is left out of a run: a streaming table misses changes. */
extern LoadState examine_stopped_state(const Load *load);

#endif /* DEPIPE_LOAD_EXAMINE_H */
