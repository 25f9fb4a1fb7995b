/*-------------------------------------------------------------------------
 *
 * findings.h
 *		From what writers of protected tables found to verdicts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_FINDINGS_H
#define DEPIPE_QUALITY_FINDINGS_H

#include "quality/verdict.h"

/* Keep what a statement found that goes on: warnings, and rows set aside. */
extern void findings_note(List *verdicts);

/* Keep what a statement found that is about to be refused: outlives its error. */
extern void findings_refuse(List *verdicts);

/*
 * Record all that was kept as verdicts, each target in a run of its own, and
 * act on the breakers.  Runs no code of users.
 */
extern void findings_record(void);

#endif /* DEPIPE_QUALITY_FINDINGS_H */
