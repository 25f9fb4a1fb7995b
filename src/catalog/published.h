/*-------------------------------------------------------------------------
 *
 * published.h
 *		Statements about changes since a transform was published.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_PUBLISHED_H
#define DEPIPE_CATALOG_PUBLISHED_H

#include "catalog/statement.h"

/*
 * Record that this transaction has written rows of these targets (ids).  The
 * caller has locked their tables.
 */
extern void published_note(List *target_ids);

/*
 * Record that a user writes directly to the table of a transform: it and its
 * readers will run again.
 */
extern void published_note_table(Oid relid);

/*
 * The identities and counts of the tables that the transform reads, under the
 * active snapshot.  NULL if depipe does not maintain one of them, so that its
 * changes cannot be detected.
 */
extern char *transform_inputs_seen(int32 target_id);

/*
 * Are the transform's inputs unchanged since it was published, its state 'ok',
 * and its breaker closed?
 */
extern bool transform_is_settled(int32 target_id);

#endif /* DEPIPE_CATALOG_PUBLISHED_H */
