/*-------------------------------------------------------------------------
 *
 * capture.h
 *		Captures: the inputs whose changes are kept for transforms.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CAPTURE_CAPTURE_H
#define DEPIPE_CAPTURE_CAPTURE_H

#include "depipe.h"
#include "access/transam.h"
#include "capture/capture_basis.h"
#include "query/shape.h"
#include "query/transform.h"

/* The capture of one input of a transform, or why it has none. */
typedef struct Capture
{
	Oid relid;
	const char *reason_code; /* NULL: it is captured */
	char *detail;
	int64 id;
	int64 incarnation;
	FullTransactionId since; /* the transaction in which it began */
	char *renewed; /* reason code: why the incarnation before ended; NULL: it is the first */
	Oid segments[2];
	int current;            /* 1 or 2 */
	bool late;              /* it is made when the refresh has been made */
	bool used;              /* by the transform, as registered */
	ReadColumns reads;      /* of the transform */
	ReadColumns registered; /* the same as registered */
	ReadColumns captured;
	bool shrunk; /* columns were taken away */
	bool excess; /* no registered use reads all of them */
	CaptureBasis basis;
} Capture;

/*
 * Before the snapshot of a refresh: let the inputs of a transform be captured,
 * as far as they can be and the transform has use of it.  Waits a moment for
 * their writers; large tables are left for later.  In REPEATABLE READ and
 * SERIALIZABLE only looks: changes that were made before would be missing.
 * Returns a list of Capture, one for each base relation of its query.  What
 * fails is a reason of that input, except for errors that concern the whole
 * transaction.
 *
 * late: at the end of a refresh, so that the next one finds them, and may count
 * on them after that.
 */
extern List *captures_prepare(Transform *transform, bool late);

/* The same, without making anything; as the owner of the transform. */
extern List *captures_find(const Transform *transform, Shape *shape);

/* All captures, in no order. */
extern List *captures_all(void);

/*
 * Remove captures that no transform uses, or whose table is gone, with their
 * triggers and change tables, as far as nobody has a lock on these.  leftovers:
 * also what had to stay at an earlier time.
 */
extern void captures_sweep(bool leftovers);

/* Write the first row of a change table, which the caller has locked. */
extern void capture_write_sentinel(Oid segment);

#endif /* DEPIPE_CAPTURE_CAPTURE_H */
