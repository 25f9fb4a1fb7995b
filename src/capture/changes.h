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

/* The last column of InputChanges.rows: -1 is an old image, 1 a new one. */
#define CHANGES_WEIGHT "_depipe_weight"

/*
 * The changes of one input: a base relation of the rewritten query that is a
 * table, or the root of its partitions or children.  They are read under S1.
 * Images that cancel each other out may be present or absent; their order has
 * no meaning.  Columns that the query does not read are NULL.
 */
typedef struct InputChanges
{
	Oid relid;
	const char *reason_code; /* NULL: known; otherwise the reason code: 'not_captured', ... */
	char *detail;            /* that reason as a sentence, or NULL */
	Tuplestorestate *rows;   /* known changes: signed images */
	TupleDesc desc; /* the input's columns without dropped ones, then CHANGES_WEIGHT (int2) */
	int64 count;    /* rows in it */
	int64 images;   /* captured, before they are netted; also if they are too many to be read */
} InputChanges;

/*
 * Read the changes since the frontier of the transform, under the active
 * snapshot: one InputChanges for each capture, in the current memory context.
 * to: the frontier of this refresh, with its hashes; its incarnations are set
 * to those of the captures that had all changes until now.
 */
extern List *changes_read(const Transform *transform, List *captures, StoredFrontier *to);

/* Release the rows. */
extern void changes_release(List *changes);

/* The changes of one input from a list of InputChanges; NULL if it is not among them. */
extern InputChanges *changes_of(List *changes, Oid relid);

/* The first input whose changes are not known; NULL if all are known. */
extern InputChanges *changes_first_unknown(List *changes);

/* Is a reason one of every day, which is not recorded with each run? */
extern bool changes_reason_is_routine(const char *reason_code);

#endif /* DEPIPE_CAPTURE_CHANGES_H */
