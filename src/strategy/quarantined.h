/*-------------------------------------------------------------------------
 *
 * quarantined.h
 *		Incremental refreshes of a target whose gate has set rows aside.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_QUARANTINED_H
#define DEPIPE_STRATEGY_QUARANTINED_H

#include "strategy/strategy.h"

/* Name of the ephemeral relation of the rows in quarantine, with the columns of the delta. */
#define QUARANTINED "_depipe_quarantined"

/*
 * Reads the rows in quarantine, if there are any.  Returns false if their
 * columns are not those of the query.  Must be called within an SPI connection,
 * as the owner of the transform.
 */
extern bool quarantined_are_known(const StrategyContext *context);

/* Have rows in quarantine been read? */
extern bool quarantined_exist(const StrategyContext *context);

/*
 * Replaces rows of the target by those of the last result: the rows in
 * quarantine take the place of earlier versions.  "present" has the columns of
 * the delta.  "condition" is SQL that selects the rows of relation q (those in
 * quarantine) that belong to them.  Returns "present" if there are no such rows;
 * otherwise a new tuplestore in the context of the delta, and "present" is
 * freed.
 */
extern Tuplestorestate *quarantined_overlay(const StrategyContext *context, const Delta *delta,
											Tuplestorestate *present, const char *condition);

/*
 * Returns SQL for the rows of a relation of the delta's columns whose keys are
 * in quarantine, or for the others.
 */
extern char *quarantined_filter(const Delta *delta, const char *relation, bool inside, bool nulls);

/*
 * Returns the delta between the target and the new result for a delta between
 * the last result and the new one.  It has all rows in quarantine, so that the
 * gate decides again about each of them.  Destroys the delta passed in.  Returns
 * it unchanged if there are no rows in quarantine.
 */
extern Delta *quarantined_settle(const StrategyContext *context, Delta *delta);

/* Frees the rows. */
extern void quarantined_end(const StrategyContext *context);

#endif /* DEPIPE_STRATEGY_QUARANTINED_H */
