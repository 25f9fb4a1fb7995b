/*-------------------------------------------------------------------------
 *
 * item.h
 *		The input of publish() for each table of a batch: a delta and its
 *		target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_ITEM_H
#define DEPIPE_PUBLISH_ITEM_H

#include "catalog/runs.h"
#include "catalog/target.h"
#include "delta/delta.h"
#include "quality/breaker.h"

typedef enum PublishStatus
{
	PUBLISH_DONE,      /* applied, possibly with rows in quarantine */
	PUBLISH_NOTHING,   /* the delta was empty */
	PUBLISH_REJECTED,  /* a reject constraint failed: parked or dropped */
	PUBLISH_BROKEN,    /* a break constraint failed: the breaker is now open */
	PUBLISH_BLOCKED,   /* the breaker was open before, or a probe must pass again */
	PUBLISH_ERROR,     /* apply or the gate raised an error; see run->error_* */
	PUBLISH_BASE_LOST, /* a partial row has no base: a resync is needed */
	PUBLISH_DIVERGED   /* keys have rows, or none, contrary to the delta: a resync is needed */
} PublishStatus;

typedef struct PublishItem
{
	Target *target;
	Delta *delta; /* finished; publish takes it over and may replace it */
	Run *run;     /* begun; publish fills in counts, reason, error and status */
	/* the result of breaker_admit, called once; ADMIT_NOT: park or drop the delta at once */
	Admission admission;
	bool park;        /* an unpublished delta is parked (loads), otherwise dropped (transforms) */
	bool always_gate; /* evaluate table checks even if the delta is empty */
	bool settled;     /* of a bag: the delta is relative to the table, not to rows in quarantine */
	int lock_timeout_ms;        /* maximum wait for a lock, then PUBLISH_ERROR; 0: no limit */
	uint32 marks;               /* of the target (catalog/marks.h) */
	bool marks_are_known;       /* read under the lock of publish_lock_free */
	struct HiddenState *hidden; /* what changes in the numbers of groups; NULL: nothing */
	struct Gate *gate;          /* set by publish: of the target's constraints; NULL: none */
	/* results */
	PublishStatus status;
	char *reason;
} PublishItem;

#endif /* DEPIPE_PUBLISH_ITEM_H */
