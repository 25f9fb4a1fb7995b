/*-------------------------------------------------------------------------
 *
 * delivery.h
 *		A delta on its way to publish, and the consequences of its outcome
 *		for its load.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_DELIVERY_H
#define DEPIPE_LOAD_DELIVERY_H

#include "load/task.h"
#include "publish/publish.h"

typedef struct Delivery
{
	LoadTask *task;
	PublishItem *item;
} Delivery;

/* The hint for a value that cannot be recovered; palloc'd. */
extern char *delivery_base_lost_hint(const LoadTask *task);

/* delta_finish(), as the owner if the delta was spilled. */
extern void delivery_finish_delta(LoadTask *task, Delta *delta);

/* The targets of these tasks. */
extern List *delivery_targets(List *tasks);

/*
 * The marks of the targets of these tasks.  The same statement reads the
 * pauses of all tasks of the set.
 */
extern uint32 *delivery_look_at_targets(TaskSet *set, List *tasks);

/*
 * May the changes of the task be published now?  marks: of its target;
 * changed: something is new since its breaker opened.
 */
extern Admission delivery_admit(LoadTask *task, uint32 marks, bool changed, char **reason);

/* Returns NULL, and frees the delta, if the load was dropped. */
extern Delivery *delivery_make(LoadTask *task, Delta *delta, Admission admission, char *reason);

/*
 * The first function publishes without consequences for the tasks, and returns
 * true if rows can be tried again.  The second applies the consequences and
 * frees the deltas.
 */
extern bool delivery_publish(List *deliveries);
extern void delivery_take_results(List *deliveries);

/* The task waits because its table is locked. */
extern void delivery_note_locked(LoadTask *task);

/*
 * Stop a task whose key does not identify the rows of the source, or whose
 * target was changed by hand.
 */
extern void delivery_stop_diverged(LoadTask *task, const char *reason);

#endif /* DEPIPE_LOAD_DELIVERY_H */
