/*-------------------------------------------------------------------------
 *
 * capture_basis.h
 *		What a capture stands on: the table, its members and their triggers.
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
	const char *reason_code; /* the table cannot be captured; NULL: it can */
	char *detail;
} CaptureLook;

/*
 * Look at a table, whose name the caller holds with a lock, and at its
 * partitions and children, which get an ACCESS SHARE lock.  The catalogs are
 * read as they are now, not as a snapshot sees them.  Palloc'd.
 */
extern void capture_look(Oid relid, CaptureLook *look);

/*
 * Does what is now differ from what was?  Returns the reason code, and the
 * sentence in *detail; NULL: it does not.
 */
extern const char *capture_difference(const CaptureBasis *was, const CaptureBasis *now,
									  char **detail);

/*
 * A hash of the table, its members, and of their triggers with this function:
 * the same as long as nobody can have written to it without firing them.
 */
extern int64 capture_guard_hash(Oid relid, Oid function);

#endif /* DEPIPE_CAPTURE_CAPTURE_BASIS_H */
