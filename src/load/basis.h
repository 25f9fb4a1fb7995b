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

/*
 * Determine the entries of the publication for the tables of the tasks, and set
 * task->published_as (NULL if there are none).
 */
extern void basis_describe_published(const Source *source, const Stream *stream, List *tasks);

/*
 * The reason why changes may have been missed since the copy, as a sentence;
 * NULL if there is none.
 */
extern char *basis_published_problem(const Stream *stream, const LoadTask *task);

/* Are the tables of the (streaming) tasks published as they were when they were described? */
extern bool basis_is_published(const Source *source, const Stream *stream, List *tasks);

/* Was a file of the task's table rewritten since the copy, or is that unknown? */
extern bool basis_files_changed(const LoadTask *task);

/* The last look at the partitions of the tasks. */
typedef struct SeenLeaves
{
	MemoryContext context; /* of the tasks' seen_leaves; NULL: no look yet */
	XLogRecPtr position;   /* the source at that time; judged when the stream is there */
} SeenLeaves;

/*
 * Read the partitions of the streaming tasks into task->seen_leaves; the source
 * was at this position.
 */
extern void basis_look_at_leaves(SeenLeaves *leaves, const TaskSet *set, const Source *source,
								 XLogRecPtr position);

/* Do they differ from the recorded ones, for any of the tasks? */
extern bool basis_leaves_differ(const TaskSet *set);

/*
 * Judge the partitions of the last look if the stream has reached its position:
 * stop tasks, with the reason, or record the partitions.  Returns false if some
 * still wait for the stream.
 */
extern bool basis_judge_leaves(const SeenLeaves *leaves, const TaskSet *set, const Source *source,
							   XLogRecPtr reached);

#endif /* DEPIPE_LOAD_BASIS_H */
