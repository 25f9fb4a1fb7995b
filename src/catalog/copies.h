/*-------------------------------------------------------------------------
 *
 * copies.h
 *		Copies of tables in depipe's own tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_COPIES_H
#define DEPIPE_CATALOG_COPIES_H

#include "catalog/statement.h"
#include "nodes/pg_list.h"

/* Fourth field of the advisory lock of a copy.  The third is the target's id. */
#define COPY_LOCK_SPACE 25714
#define COPY_LOCK_SPACE_TEXT "25714"

/*
 * Those pairs of the given relids that a foreign key connects, also one that
 * belongs or refers to a partition only: referencing table, referenced table.
 */
extern CatalogRows *foreign_keys_between(List *relids);

/* Store what loads (ids) that are being copied wait for; NULL: nothing. */
extern void copies_set_reason(List *target_ids, const char *reason);

/*
 * The reason to abandon a copy in this transaction: it is no longer wanted, or
 * another session waits for a lock that this one holds.  NULL: continue.
 */
extern char *copy_unwanted(int32 target_id);

/*
 * Let a copied load join the stream at a position.  Returns false if the copy
 * is no longer wanted.
 */
extern bool copy_join_stream(int32 target_id, XLogRecPtr position);

#endif /* DEPIPE_CATALOG_COPIES_H */
