/*-------------------------------------------------------------------------
 *
 * labels.h
 *		Labels that enum types of the source have got since.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_LABELS_H
#define DEPIPE_LOAD_LABELS_H

#include "load/task.h"

/*
 * Add the labels that the enum types of a task's columns lack, where the source
 * has them.  Returns whether there were any: they can be used only after a
 * commit.  An error is the task's: without the right to alter the type, or
 * where a label was renamed.
 */
extern bool labels_add(Connection *control, LoadTask *task, ErrorData **error);

/* Before a run reads: add the labels of all its tasks, and stop those that cannot get them. */
extern void labels_add_all(Connection *control, const TaskSet *set);

#endif /* DEPIPE_LOAD_LABELS_H */
