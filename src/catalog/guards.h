/*-------------------------------------------------------------------------
 *
 * guards.h
 *		Tables that may not be read or written while their breaker is open.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_GUARDS_H
#define DEPIPE_CATALOG_GUARDS_H

#include "catalog/statement.h"

typedef struct TableGuard
{
	int32 target_id;
	Oid relid; /* of its table now; InvalidOid: there is none */
	bool reads;
	bool writes;
} TableGuard;

/*
 * The guards of this database, as a list in cache memory that is valid until the
 * next call; NIL where depipe is not installed.  Runs no SQL, so that any statement
 * and any parallel worker may ask.
 */
extern List *guards_now(void);

/* Other sessions must read the guards again, when this transaction has committed. */
extern void guards_changed(void);

/*
 * The state of the breaker of a target as it is committed now (or changed by this
 * transaction), if it is one that blocks; otherwise NULL.  *reason gets its reason
 * or NULL.  In the current memory context.
 */
extern char *guard_blocking_state(int32 target_id, char **reason);

/* The owner of a target; InvalidOid if there is none. */
extern Oid guard_owner(int32 target_id);

#endif /* DEPIPE_CATALOG_GUARDS_H */
