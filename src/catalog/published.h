/*-------------------------------------------------------------------------
 *
 * published.h
 *		Statements about what has changed since a transform was published.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_PUBLISHED_H
#define DEPIPE_CATALOG_PUBLISHED_H

#include "catalog/statement.h"

/* This transaction has written rows of these targets (ids), whose tables it has locked. */
extern void published_note(List *target_ids);

/* Somebody writes into the table of a transform himself: it and its readers are run again. */
extern void published_note_table(Oid relid);

/*
 * What the transform is made of, as the active snapshot sees it: which tables,
 * and how often depipe has written each.  NULL when depipe does not keep one
 * of them, so that nobody tells when it changes.
 */
extern char *transform_inputs_seen(int32 target_id);

/* What it was made of when it was published; NULL: unknown. */
extern void transform_set_seen(int32 target_id, const char *seen);

/* Is it still what it was published from, in order, and its breaker closed? */
extern bool transform_is_settled(int32 target_id);

#endif /* DEPIPE_CATALOG_PUBLISHED_H */
