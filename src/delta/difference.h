/*-------------------------------------------------------------------------
 *
 * difference.h
 *		Difference between what a table shall hold and what it holds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_DIFFERENCE_H
#define DEPIPE_DELTA_DIFFERENCE_H

#include "delta/delta.h"

/*
 * Difference between what the target shall hold and what it holds:
 * "incoming" is a registered relation with the target's columns (in the order
 * of delta->columns).  Keyed when the delta has keys, else a bag.  Used by
 * full_diff, by a load's resync, and by snapshot loads.  Old images are
 * included.  Runs with the current identity and active snapshot.
 */
extern void delta_fill_from_difference(Delta *delta, const char *incoming, const char *target);

/* The SQL of it. */
extern char *difference_sql(Delta *delta, const char *incoming, const char *target);

/* Does no key of the delta's come twice in this relation (SQL text)? */
extern bool key_is_unique(Delta *delta, const char *relation);

#endif /* DEPIPE_DELTA_DIFFERENCE_H */
