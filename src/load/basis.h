/*-------------------------------------------------------------------------
 *
 * basis.h
 *		What the stream of a table rests on and does not tell: publication, partitions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_BASIS_H
#define DEPIPE_LOAD_BASIS_H

#include "load/session.h"

/* How the publication has the tables of the tasks: into task->published_as; NULL: not at all. */
extern void basis_describe_published(LoadSession *session, List *tasks);

/* Why not everything may have been published since the copy, as a sentence; NULL: it was. */
extern char *basis_published_problem(const LoadSession *session, const LoadTask *task);

/* Is what is published of the tasks (that stream) what was when they were described? */
extern bool basis_is_published(LoadSession *session, List *tasks);

/* Has a file of the task's table been made anew since the copy, or is that not known? */
extern bool basis_files_changed(const LoadTask *task);

/*
 * The partitions of the tasks that stream as they are now, into
 * task->seen_leaves; they are judged when the stream has come to this position
 * of the source.
 */
extern void basis_look_at_leaves(LoadSession *session, XLogRecPtr position);

/* Are they others than recorded, for any of the tasks? */
extern bool basis_leaves_differ(LoadSession *session);

/*
 * Judge the partitions seen last, when the stream has come so far: stop tasks,
 * with the reason, or record.  Returns false when some wait for the stream.
 */
extern bool basis_judge_leaves(LoadSession *session);

#endif /* DEPIPE_LOAD_BASIS_H */
