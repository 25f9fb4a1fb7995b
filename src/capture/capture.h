/*-------------------------------------------------------------------------
 *
 * capture.h
 *		Captures: the inputs whose changes are recorded for transforms.
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

/* The capture of one input of a transform, or the reason why it has none. */
typedef struct Capture
{
	Oid relid;
	const char *reason_code; /* NULL if the input is captured */
	char *detail;
	int64 id;
	int64 incarnation;
	FullTransactionId since; /* the transaction in which it began */
	char *renewed; /* reason code: why the last incarnation ended; NULL if this is the first */
	Oid segments[2];
	int current;            /* 1 or 2 */
	bool late;              /* to be created at the end of the refresh */
	bool used;              /* registered as used by the transform */
	ReadColumns reads;      /* columns that the transform reads */
	ReadColumns registered; /* the same, as registered */
	ReadColumns captured;
	bool shrunk; /* columns were removed */
	bool excess; /* some columns are read by no registered use */
	CaptureBasis basis;
} Capture;

/*
 * Prepare the captures of the inputs of a transform, before the snapshot of
 * its refresh is taken.  Creates or renews captures where that is possible and
 * the transform can use them.  Waits a moment for writers of the inputs; large
 * inputs are left for later.  In REPEATABLE READ and SERIALIZABLE nothing is
 * created or renewed, because the snapshot may be older than the capture, and
 * changes made before would be missing.
 *
 * late: called at the end of a refresh, so that the next refresh finds the
 * captures, and the one after it can rely on them.
 *
 * Returns a list of Capture in the current memory context, one for each base
 * relation of the query; NIL if the query cannot be analysed.  An error
 * becomes the reason of its input, except for errors that concern the whole
 * transaction.
 */
extern List *captures_prepare(Transform *transform, bool late);

/*
 * The same, but without creating or renewing captures.  The caller acts as the
 * owner of the transform.
 */
extern List *captures_find(const Transform *transform, Shape *shape);

/* Returns all captures, in no particular order. */
extern List *captures_all(void);

/*
 * Remove captures that no transform uses or whose table was dropped.  Their
 * triggers and change tables are removed unless another session holds a lock
 * on these tables.  Errors are ignored, except for those that concern the
 * whole transaction.
 *
 * leftovers: also remove what earlier calls had to leave.
 */
extern void captures_sweep(bool leftovers);

/* Write the sentinel of a change table.  The caller has locked the table. */
extern void capture_write_sentinel(Oid segment);

#endif /* DEPIPE_CAPTURE_CAPTURE_H */
