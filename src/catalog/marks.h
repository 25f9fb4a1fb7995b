/*-------------------------------------------------------------------------
 *
 * marks.h
 *		What a batch has to know about its targets, in one statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_MARKS_H
#define DEPIPE_MARKS_H

#include "catalog/statement.h"
#include "nodes/pg_list.h"

/* Exceptional states of a target. */
#define MARK_BREAKER 1u     /* its breaker is not closed, or counts bad runs */
#define MARK_PARKED 2u      /* it has parked deltas */
#define MARK_QUARANTINED 4u /* it has quarantined rows */
#define MARK_RETRIES 8u     /* some of them are marked for a retry */
#define MARK_CONSTRAINED 16u
#define MARK_REFERENCED 32u /* constraints of other targets refer to it */
#define MARK_HELD 64u       /* rows for which a batch was not published are stored */
#define MARK_INCIDENT 128u  /* an incident is open */
#define MARK_STATE 256u     /* state of its constraints is kept */

typedef struct Pause
{
	int32 target_id;
	char *reason;
} Pause;

/*
 * The marks of each target of a list (of Target), read in one statement.
 * Returns a palloc'd array in the order of the list; NULL for NIL.
 */
extern uint32 *targets_marks(List *targets);

/* The same, and in *pauses every pause by hand of this database (a list of Pause). */
extern uint32 *targets_marks_and_pauses(List *targets, List **pauses);

#endif /* DEPIPE_MARKS_H */
