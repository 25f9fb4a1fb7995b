/*-------------------------------------------------------------------------
 *
 * publish.h
 *		The one path: every change of every target goes through publish().
 *
 * In one transaction, for all tables of a batch:
 *
 *		lock the targets (SHARE ROW EXCLUSIVE; before the snapshot is taken)
 *		complete partial rows from the quarantine or the target
 *		internal subtransaction
 *			gate rows		violating rows are set aside (quarantine)
 *			apply			all tables
 *			gate tables		uniqueness, relationships, aggregates
 *		when new violating rows are to be set aside: roll back, split them off,
 *		and apply and gate all tables again, until no new ones appear
 *		decide: a table that fails is left out (its delta is parked or
 *		dropped, as its owner says) and the others are applied again
 *		write verdicts, breaker, incidents, quarantine, park
 *
 * The caller makes the deltas, and afterwards, in the same transaction,
 * writes its progress and finishes the runs.  A load by CDC, a load by cursor,
 * a full refresh and an incremental refresh differ only in how the delta is
 * made.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_H
#define DEPIPE_PUBLISH_H

#include "core/batch.h"
#include "core/run.h"
#include "quality/breaker.h"
#include "quality/gate.h"

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
	Delta *delta;        /* finished; consumed: publish may replace it */
	Run *run;            /* begun; counts, reason and error are filled in, status too */
	Admission admission; /* what breaker_admit said; publish never asks again.  With
								 * ADMIT_NOT the delta is parked (or dropped) at once */
	bool park;           /* keep what is not published (loads), else drop it (transforms) */
	bool always_gate;    /* evaluate table checks although the delta is empty */
	int lock_timeout_ms; /* give up when a table is locked for so long: PUBLISH_ERROR; 0: wait */
	/* results */
	PublishStatus status;
	char *reason;
} PublishItem;

/*
 * Lock a target before the snapshot that a delta is computed under, within
 * lock_timeout.  Returns false when its table is gone.
 */
extern bool publish_lock_target(Target *target);

/* The order in which everybody locks several: no deadlock between two publishers. */
extern List *publish_in_order(List *targets);

/*
 * Publish all items.  snapshot: what the statements of apply and gate see
 * (with the current command id), or NULL for a fresh one per statement.
 * Returns true when quarantined rows of some target became worth another try
 * (see quarantine_take_retries).
 */
extern bool publish(List *items, Snapshot snapshot);

/* Raises 42809 when the table has rules: it cannot be a target. */
extern void publish_refuse_rules(Oid relid, const char *display);

/* ---- park.c: deltas that wait, in source order ---- */

/* Store the delta behind what is parked already; NULL, or why that cannot be:
 * then everything parked of this target is deleted, and it needs a resync. */
extern const char *park_append(Target *target, Delta *delta);

/*
 * Replay what is parked into a delta and delete it.  The order in which a
 * caller fills a delta that has things pending is: quarantine_take_retries,
 * park_take, then its new changes (delta_fold_onto).
 */
extern void park_take(Target *target, Delta *into);

/* Forget what is parked (a resync covers it). */
extern void park_discard(int32 target_id);

/* Fold every row of a finished delta (also its partial rows) onto another. */
extern void delta_fold_onto(Delta *from, Delta *into);

/* ---- quarantine.c ---- */

/* Set rows aside: each with the constraints that it failed. */
extern void quarantine_store(Target *target, Delta *rows, const FailedRow *failed, int nfailed,
							 int64 run_id);

/*
 * Of keys in quarantine the target has an earlier row, or none: what the delta
 * says of the rows that such keys had is not verified.  Before they are superseded.
 */
extern void quarantine_forget_claims(Target *target, Delta *delta);

/*
 * The delta's rows are newer than quarantined rows of the same key: forget
 * those.  The first call for a delta adds deletions of rows that they had left
 * in the target.
 */
extern void quarantine_supersede(Target *target, Delta *delta, bool first);

/*
 * Rows that the delta of a bag (netted) deletes may be in quarantine instead
 * of the target: delete them there, and add as many new images to the delta,
 * which is then to be netted again.  Returns false when there are none.
 */
extern bool quarantine_cancel(Target *target, Delta *delta);

/* Whole image of the key's quarantined row, if any; into values/nulls of delta->columns. */
extern bool quarantine_base(Target *target, Delta *delta, const Datum *key_values,
							const bool *key_nulls, Datum *values, bool *nulls);

/* Put the rows marked for another try into the (still empty) delta. */
extern int64 quarantine_take_retries(Target *target, Delta *into);
extern int64 quarantine_count(int32 target_id);
extern void quarantine_clear(int32 target_id);

/* ---- complete.c ---- */

/*
 * Give partial rows their unknown columns: from the newest quarantined image
 * of the base key, else from the target's row.  Returns false when a base is
 * gone (reason says which column, not which value).
 */
extern bool delta_complete(Target *target, Delta *delta, char **reason);

/*
 * Add the target's own old image of every key that the delta changes or
 * deletes (all rows with clear), before apply: for checks that compare old and
 * new, and for references.  Sets delta->old_images.
 */
extern void delta_complete_old(Target *target, Delta *delta);

#endif /* DEPIPE_PUBLISH_H */
