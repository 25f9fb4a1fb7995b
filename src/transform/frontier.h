/*-------------------------------------------------------------------------
 *
 * frontier.h
 *		The frontier: the changes of its inputs that a transform has taken
 *		in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_FRONTIER_H
#define DEPIPE_TRANSFORM_FRONTIER_H

#include "catalog/transforms.h"
#include "lib/stringinfo.h"

/*
 * The frontier of a refresh that runs now under the active snapshot: the
 * changes that this snapshot sees, and the changes of this transaction so far.
 * Assigns a transaction id.  The result is allocated in the current memory
 * context.
 */
extern StoredFrontier *frontier_take(void);

/*
 * Append the condition that a captured change is not covered.  It refers to the
 * columns "xid" (xid8) and "sequence" (bigint) of an alias, and to the
 * parameters $1 (snapshot), $2 (own_xid) and $3 (own_sequence).  An index on xid
 * supports it.
 */
extern void frontier_append_condition(StringInfo sql, const char *alias);

/* These parameters, of three. */
extern void frontier_arguments(const StoredFrontier *frontier, Oid *types, Datum *values);

/* Was the frontier taken in this database? Elsewhere its transaction ids have no meaning. */
extern bool frontier_is_local(const StoredFrontier *frontier);

/*
 * The sequence number of the next change that this transaction captures, from
 * 1, and of the last one (0 if there was none).  Numbers used by a rolled-back
 * subtransaction are not used again.
 */
extern int64 frontier_next_sequence(void);
extern int64 frontier_last_sequence(void);

#endif /* DEPIPE_TRANSFORM_FRONTIER_H */
