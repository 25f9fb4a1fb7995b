/*-------------------------------------------------------------------------
 *
 * item.h
 *		What publish() is given for each table of a batch: a delta and its target.
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
	PUBLISH_DONE,      /* applied (perhaps with rows in quarantine) */
	PUBLISH_NOTHING,   /* the delta was empty */
	PUBLISH_REJECTED,  /* a reject constraint: parked or dropped */
	PUBLISH_BROKEN,    /* a break constraint: the breaker is open now */
	PUBLISH_BLOCKED,   /* the breaker was open already, or a probe must pass again */
	PUBLISH_ERROR,     /* apply or the gate raised an error; see run->error_* */
	PUBLISH_BASE_LOST, /* a partial row has no base: needs a resync */
	PUBLISH_DIVERGED   /* keys have rows, or none, against what the delta says: the same */
} PublishStatus;

typedef struct PublishItem
{
	Target *target;
	Delta *delta;         /* finished; consumed: publish may replace it */
	Run *run;             /* begun; counts, reason and error are filled in, status too */
	Admission admission;  /* what breaker_admit said; publish never asks again.  With
								 * ADMIT_NOT the delta is parked (or dropped) at once */
	bool park;            /* keep what is not published (loads), else drop it (transforms) */
	bool always_gate;     /* evaluate table checks although the delta is empty */
	int lock_timeout_ms;  /* give up when a table is locked for so long: PUBLISH_ERROR; 0: wait */
	uint32 marks;         /* of the target (catalog/marks.h) */
	bool marks_are_known; /* read under the lock of publish_lock_free */
	struct Gate *gate;    /* set by publish: of the target's constraints; NULL: none */
	/* results */
	PublishStatus status;
	char *reason;
} PublishItem;

#endif /* DEPIPE_PUBLISH_ITEM_H */
