/*-------------------------------------------------------------------------
 *
 * delivery.h
 *		A delta on its way to publish, and what its outcome means for its load.
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

/* What to type when a value cannot be recovered; palloc'd. */
extern char *delivery_base_lost_hint(const LoadTask *task);

/* delta_finish(), as the owner where the delta has been spilled. */
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

/* NULL, and the delta is freed, when the load was dropped. */
extern Delivery *delivery_make(LoadTask *task, Delta *delta, Admission admission, char *reason);

/*
 * Publish, without a consequence for the tasks; and then these consequences,
 * which also frees the deltas.  delivery_publish() returns whether rows became
 * worth another try.
 */
extern bool delivery_publish(List *deliveries);
extern void delivery_take_results(List *deliveries);

/* The task waits because its table is locked. */
extern void delivery_note_locked(LoadTask *task);

/* The key does not identify the source's rows, or the target was changed by hand. */
extern void delivery_stop_diverged(LoadTask *task, const char *reason);

#endif /* DEPIPE_LOAD_DELIVERY_H */
