/*-------------------------------------------------------------------------
 *
 * frontier.h
 *		Up to where a transform has taken in the changes of its inputs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_FRONTIER_H
#define DEPIPE_TRANSFORM_FRONTIER_H

#include "catalog/transforms.h"
#include "lib/stringinfo.h"

/*
 * The frontier of a refresh that runs now under the active snapshot: the
 * changes that this snapshot sees, and what this transaction itself has
 * changed so far.  Assigns a transaction id.  In the current memory context.
 */
extern StoredFrontier *frontier_take(void);

/*
 * Append the condition that a captured change is not covered: for the columns
 * "xid" (xid8) and "sequence" (bigint) of an alias, with the parameters $1
 * (snapshot), $2 (own_xid) and $3 (own_sequence).  An index on xid serves it.
 */
extern void frontier_append_condition(StringInfo sql, const char *alias);

/* These parameters, of three. */
extern void frontier_arguments(const StoredFrontier *frontier, Oid *types, Datum *values);

/* Was it taken in this database?  Elsewhere its transaction ids mean nothing. */
extern bool frontier_is_local(const StoredFrontier *frontier);

/*
 * The number of the next change that this transaction captures, from 1; of
 * the last one, 0 when there was none.  What a rolled back subtransaction has
 * counted is not given again.
 */
extern int64 frontier_next_sequence(void);
extern int64 frontier_last_sequence(void);

#endif /* DEPIPE_TRANSFORM_FRONTIER_H */
