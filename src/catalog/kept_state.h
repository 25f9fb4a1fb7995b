/*-------------------------------------------------------------------------
 *
 * kept_state.h
 *		The kept state of constraints, and what makes it unusable.
 *
 * This file only reads and writes rows.  Their meaning is known to quality/state
 * and quality/watch.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_KEPT_STATE_H
#define DEPIPE_CATALOG_KEPT_STATE_H

#include "catalog/statement.h"
#include "nodes/pg_list.h"

/* The value of one term of a constraint over the whole table. */
typedef struct KeptTerm
{
	int32 constraint_id;
	int32 term;        /* number among the terms of the constraint, from 0 */
	char *expression;  /* what it is the value of */
	char *fingerprint; /* of the table that it was computed of (quality/watch) */
	bool isnull;
	Datum value; /* numeric */
} KeptTerm;

/*
 * The terms that are stored for a target (list of KeptTerm).  *written: somebody
 * has changed its table directly since.
 */
extern List *kept_terms(int32 target_id, Oid relid, bool *written);

/* The same as the active snapshot sees it. */
extern List *kept_terms_look(int32 target_id, Oid relid, bool *written);

/* Store new values of terms that are there.  Returns their number. */
extern uint64 kept_terms_update(List *terms);

/* Store these terms, and no others, for a target. */
extern void kept_terms_replace(int32 target_id, List *terms);

/* Note that a table was changed directly; forget that it was. */
extern void direct_write_put(Oid relid);
extern void direct_writes_forget(Oid relid);

/* Is that noted, and is state kept that needs the note, as the active snapshot sees it? */
extern bool direct_write_look(Oid relid);
extern bool kept_state_look(int32 target_id);

#endif /* DEPIPE_CATALOG_KEPT_STATE_H */
