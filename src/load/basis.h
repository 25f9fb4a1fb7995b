/*-------------------------------------------------------------------------
 *
 * basis.h
 *		Conditions of a stream that it does not report: publication, partitions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_BASIS_H
#define DEPIPE_LOAD_BASIS_H

#include "load/task.h"

/* How the publication has the tables of the tasks: into task->published_as; NULL: not at all. */
extern void basis_describe_published(const Source *source, const Stream *stream, List *tasks);

/* Why not everything may have been published since the copy, as a sentence; NULL: it was. */
extern char *basis_published_problem(const Stream *stream, const LoadTask *task);

/* Are the tables of the tasks (that stream) published as they were when they were described? */
extern bool basis_is_published(const Source *source, const Stream *stream, List *tasks);

/* Has a file of the task's table been rewritten since the copy, or is that unknown? */
extern bool basis_files_changed(const LoadTask *task);

/* The last look at the partitions of the tasks. */
typedef struct SeenLeaves
{
	MemoryContext context; /* of the tasks' seen_leaves; NULL: no look yet */
	XLogRecPtr position;   /* they are judged when the stream has come so far */
} SeenLeaves;

/*
 * Look at the partitions of the tasks that stream, into task->seen_leaves; the
 * source was at this position.
 */
extern void basis_look_at_leaves(SeenLeaves *leaves, const TaskSet *set, const Source *source,
								 XLogRecPtr position);

/* Do they differ from the recorded ones, for any of the tasks? */
extern bool basis_leaves_differ(const TaskSet *set);

/*
 * Judge the partitions of the last look, when the stream has reached its
 * position: stop tasks, with the reason, or record.  Returns false when some
 * wait for the stream.
 */
extern bool basis_judge_leaves(const SeenLeaves *leaves, const TaskSet *set, const Source *source,
							   XLogRecPtr reached);

#endif /* DEPIPE_LOAD_BASIS_H */
