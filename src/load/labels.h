/*-------------------------------------------------------------------------
 *
 * labels.h
 *		Labels that enum types of the source have got since.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_LABELS_H
#define DEPIPE_LOAD_LABELS_H

#include "load/session.h"

/*
 * Add the labels that the enum types of a task's columns lack, where the source
 * has them.  Returns whether there were any: they can be used only after a
 * commit.  An error is the task's: without the right to alter the type, or
 * where a label was renamed.
 */
extern bool labels_add(LoadSession *session, LoadTask *task, ErrorData **error);

/* Before a run reads: labels of all its tasks, and what is wrong with them. */
extern void labels_add_all(LoadSession *session);

#endif /* DEPIPE_LOAD_LABELS_H */
