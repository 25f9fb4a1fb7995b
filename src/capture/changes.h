/*-------------------------------------------------------------------------
 *
 * changes.h
 *		The changes of the inputs of a transform since its frontier.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CAPTURE_CHANGES_H
#define DEPIPE_CAPTURE_CHANGES_H

#include "depipe.h"
#include "access/tupdesc.h"
#include "nodes/pg_list.h"
#include "query/transform.h"
#include "utils/tuplestore.h"

/* Last column of InputChanges.rows: -1 for an old image, 1 for a new one. */
#define CHANGES_WEIGHT "_depipe_weight"

/*
 * The changes of one input.  An input is a base relation of the rewritten
 * query: a table, or the root of its partitions or children.  Changes are read
 * under S1.  Images that cancel each other out may be present or absent.  The
 * order of the rows has no meaning.  Columns that the query does not read are
 * NULL.
 */
typedef struct InputChanges
{
	Oid relid;
	const char *reason_code; /* NULL if known; otherwise the reason code: 'not_captured', ... */
	char *detail;            /* the reason as a sentence, or NULL */
	Tuplestorestate *rows;   /* signed images, if the changes are known */
	TupleDesc desc; /* the input's columns without dropped ones, then CHANGES_WEIGHT (int2) */
	int64 count;    /* number of rows */
	int64 images;   /* captured images before netting; also set if too many to read */
} InputChanges;

/*
 * Read the changes since the frontier of the transform, under the active
 * snapshot.  Returns one InputChanges for each capture, in the current memory
 * context.
 *
 * to: the frontier of this refresh, with its hashes.  Sets its incarnations to
 * those of the captures that have recorded all changes up to now.
 */
extern List *changes_read(const Transform *transform, List *captures, StoredFrontier *to);

/* Release the rows of all inputs. */
extern void changes_release(List *changes);

/*
 * Returns the changes of one input from a list of InputChanges, or NULL if the
 * list does not contain it.
 */
extern InputChanges *changes_of(List *changes, Oid relid);

/* Returns the first input whose changes are not known, or NULL if all are known. */
extern InputChanges *changes_first_unknown(List *changes);

/*
 * Returns true if the reason is a lasting condition, which is not recorded
 * with each run, and false if it is an event.
 */
extern bool changes_reason_is_routine(const char *reason_code);

#endif /* DEPIPE_CAPTURE_CHANGES_H */
