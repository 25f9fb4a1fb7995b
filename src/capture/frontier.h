/*-------------------------------------------------------------------------
 *
 * frontier.h
 *		The frontier of a transform: the changes of its inputs that it has
 *		taken in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CAPTURE_FRONTIER_H
#define DEPIPE_CAPTURE_FRONTIER_H

#include "depipe.h"
#include "lib/stringinfo.h"
#include "query/shape.h"
#include "query/transform.h"

/*
 * Returns the frontier of a refresh that runs under the active snapshot: it
 * covers the changes that this snapshot sees, and the changes of this
 * transaction so far.  Assigns a transaction id.  The result is allocated in
 * the current memory context.
 */
extern StoredFrontier *frontier_take(void);

/*
 * Set the hashes that show whether anything but changes of the inputs matters
 * since an earlier frontier: the hash of the query with its views, functions
 * and settings, and the hash of the table and its guard.  The caller acts as
 * the owner of the transform.
 */
extern void frontier_describe(StoredFrontier *frontier, const Transform *transform, Shape *shape);

/*
 * Append the condition that a captured change is not covered.  It refers to
 * the columns "xid" (xid8) and "sequence" (bigint) of an alias, and to the
 * parameters $1 (snapshot), $2 (own_xid) and $3 (own_sequence).  An index on
 * xid supports it.
 */
extern void frontier_append_condition(StringInfo sql, const char *alias);

/* Set the types and values of these three parameters. */
extern void frontier_arguments(const StoredFrontier *frontier, Oid *types, Datum *values);

/* The same condition, for changes that are read without SQL */
typedef struct FrontierTest
{
	Datum snapshot; /* a pg_snapshot */
	FullTransactionId xmin;
	FullTransactionId own_xid;
	int64 own_sequence;
	FullTransactionId last_xid; /* the last transaction that was tested, and the result */
	bool last_visible;
} FrontierTest;

/* Initialize a test.  Allocates in the current memory context. */
extern void frontier_begin_test(FrontierTest *test, const StoredFrontier *frontier);

/* Returns true if the frontier covers the change. */
extern bool frontier_covers(FrontierTest *test, FullTransactionId xid, int64 sequence);

/*
 * Returns true if the frontier was taken in this database.  Elsewhere its
 * transaction ids have no meaning.
 */
extern bool frontier_is_local(const StoredFrontier *frontier);

/*
 * Return the sequence number of the next change that this transaction
 * captures, starting with 1, and of the last one (0 if there is none).
 * Numbers used by a rolled-back subtransaction are not reused.
 */
extern int64 frontier_next_sequence(void);
extern int64 frontier_last_sequence(void);

#endif /* DEPIPE_CAPTURE_FRONTIER_H */
