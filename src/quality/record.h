/*-------------------------------------------------------------------------
 *
 * record.h
 *		Recording verdicts, and what follows from them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_RECORD_H
#define DEPIPE_QUALITY_RECORD_H

#include "catalog/target.h"

/*
 * Store verdicts of a run, and open, continue or close the incidents of their
 * constraints (incidents_settle closes those that are about rows).  A verdict row
 * is written when the outcome changed and once per run.  run_id: 0 when the whole
 * table has been looked at, not a batch.
 */
extern void verdicts_record(int64 run_id, Target *target, List *verdicts);

#endif /* DEPIPE_QUALITY_RECORD_H */
