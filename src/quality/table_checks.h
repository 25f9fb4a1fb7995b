/*-------------------------------------------------------------------------
 *
 * table_checks.h
 *		All constraints of a target on its whole table, now.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_TABLE_CHECKS_H
#define DEPIPE_QUALITY_TABLE_CHECKS_H

#include "quality/measure.h"

/* What was found (list of Measured), in the caller's memory context. */
extern List *table_checks_measure(Target *target);

/*
 * Keep verdicts of the whole of a table that nothing publishes to, and act on
 * its breaker.
 */
extern void table_checks_record(Target *target, List *verdicts);

/* Both, when it is time to look at such a table whose breaker is not closed. */
extern void table_checks_probe(Target *target);

#endif /* DEPIPE_QUALITY_TABLE_CHECKS_H */
