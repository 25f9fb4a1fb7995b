/*-------------------------------------------------------------------------
 *
 * table_checks.h
 *		Evaluation of constraints of a target on its whole table, now.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_TABLE_CHECKS_H
#define DEPIPE_QUALITY_TABLE_CHECKS_H

#include "catalog/runs.h"
#include "quality/measure.h"

/* Evaluate all constraints; returns a list of Measured in the caller's memory context. */
extern List *table_checks_measure(Target *target);

/*
 * Record the verdicts of a whole table without load or transform, and act on
 * its breaker.  run_id: 0 if there is no run.
 */
extern void table_checks_record(Target *target, int64 run_id, List *verdicts);

/*
 * Evaluate all constraints of a target, in a run that is recorded.  A table
 * that does not exist is an error of each.  Only the verdicts about a table
 * without load or transform (and about time) affect its state: batches decide
 * about the others.  Returns the verdicts.
 */
extern List *table_checks_run(Target *target, const char *started_by);

/* Record that such a run ended with an error. */
extern void table_checks_failed(Target *target, const char *started_by, const ErrorData *error);

/*
 * The same for a table without load or transform, of those constraints that are
 * due and for which something may have changed; all of them if its breaker is
 * not closed.
 */
extern void table_checks_look(Target *target);

/* All of them, because a probe of its breaker is due. */
extern void table_checks_probe(Target *target);

#endif /* DEPIPE_QUALITY_TABLE_CHECKS_H */
