/*-------------------------------------------------------------------------
 *
 * evolve.h
 *		Changes of the columns of the source, and how the target follows
 *		them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_EVOLVE_H
#define DEPIPE_LOAD_EVOLVE_H

#include "load/task.h"

/*
 * Follow a table that the source sends in another layout than recorded: add
 * columns, or stop the task.  To be called between deliveries, when the task
 * has no delta.
 */
extern void evolve_follow(Connection *control, LoadTask *task, List *names, List *types);

#endif /* DEPIPE_LOAD_EVOLVE_H */
