/*-------------------------------------------------------------------------
 *
 * difference.h
 *		Difference between the desired and the current rows of a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_DIFFERENCE_H
#define DEPIPE_DELTA_DIFFERENCE_H

#include "delta/delta.h"

/*
 * Fill the delta with the difference between the desired and the current rows
 * of the target.  incoming: SQL name of a registered relation of the desired
 * rows, with the target's columns in the order of delta->columns.  The result
 * is keyed if the delta has keys, else a bag.  It includes old images.  Runs
 * with the current identity and active snapshot.  Used by full_diff, by a
 * load's resync, and by snapshot loads.  columns: see delta_fill_from_query().
 */
extern void delta_fill_from_difference(Delta *delta, const char *incoming, const char *target,
									   List *columns);

/* The SQL text of that query. */
extern char *difference_sql(Delta *delta, const char *incoming, const char *target);

/*
 * Keys of the delta that occur more than once in this relation (SQL text), for
 * a message, as (column)=(value); at most so many.  Palloc'd.  NULL if every
 * key is unique.  SPI must be connected.
 */
extern char *key_duplicates(Delta *delta, const char *relation, int most);

/* Is every key of the delta unique in this relation (SQL text)? */
extern bool key_is_unique(Delta *delta, const char *relation);

#endif /* DEPIPE_DELTA_DIFFERENCE_H */
