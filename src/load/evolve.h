/*-------------------------------------------------------------------------
 *
 * evolve.h
 *		Following changes of the source's columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_EVOLVE_H
#define DEPIPE_LOAD_EVOLVE_H

#include "load/task.h"

/*
 * The source sends a table in another layout than was recorded: add columns,
 * or stop the task.  Between deliveries: the task has no delta.
 */
extern void evolve_follow(Connection *control, LoadTask *task, List *names, List *types);

#endif /* DEPIPE_LOAD_EVOLVE_H */
