/*-------------------------------------------------------------------------
 *
 * record.h
 *		Recording of verdicts and their consequences.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_RECORD_H
#define DEPIPE_QUALITY_RECORD_H

#include "catalog/target.h"

/*
 * Store the verdicts of a run, and open, continue or close the incidents of
 * their constraints (incidents_settle closes those that are about rows).  A
 * verdict row is written when the outcome changes and once per run.  run_id: 0
 * if the whole table was evaluated, not a batch.
 */
extern void verdicts_record(int64 run_id, Target *target, List *verdicts);

/* The same for a run that evaluated the whole table, and holds nothing. */
extern void verdicts_record_table(int64 run_id, Target *target, List *verdicts);

#endif /* DEPIPE_QUALITY_RECORD_H */
