/*-------------------------------------------------------------------------
 *
 * labels.h
 *		New labels of enum types of the source.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_LABELS_H
#define DEPIPE_LOAD_LABELS_H

#include "load/task.h"

/*
 * Add the labels of the source that the enum types of a task's columns lack.
 * Returns true if there were any: they can be used only after a commit.  Errors
 * belong to the task: it may lack the right to alter the type, or a label may
 * have been renamed.
 */
extern bool labels_add(Connection *control, LoadTask *task, ErrorData **error);

/* Before a run reads: add the labels for all its tasks, and stop those for which that fails. */
extern void labels_add_all(Connection *control, const TaskSet *set);

#endif /* DEPIPE_LOAD_LABELS_H */
