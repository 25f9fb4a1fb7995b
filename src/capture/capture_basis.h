/*-------------------------------------------------------------------------
 *
 * capture_basis.h
 *		The basis of a capture: the table, its members and their triggers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CAPTURE_CAPTURE_BASIS_H
#define DEPIPE_CAPTURE_CAPTURE_BASIS_H

#include "catalog/captures.h"

typedef struct CaptureLook
{
	CaptureBasis basis;
	List *incomplete;        /* members (OIDs) without all triggers of the capture */
	const char *reason_code; /* why the table cannot be captured; NULL if it can */
	char *detail;
} CaptureLook;

/*
 * Examine a table and its partitions and children.  The caller holds a lock on
 * the table; the others get an ACCESS SHARE lock.  The catalogs are read in
 * their current state, not as of a snapshot.  The contents of *look are
 * allocated in the current memory context.
 */
extern void capture_look(Oid relid, CaptureLook *look);

/*
 * Compare two bases.  Returns the reason code of the difference and sets
 * *detail to a sentence, or returns NULL if there is none.
 */
extern const char *capture_difference(const CaptureBasis *was, const CaptureBasis *now,
									  char **detail);

/*
 * Returns a hash of the table, its members, and their triggers with this
 * function.  As long as it does not change, no session can have written to the
 * table without firing these triggers.
 */
extern int64 capture_guard_hash(Oid relid, Oid function);

#endif /* DEPIPE_CAPTURE_CAPTURE_BASIS_H */
