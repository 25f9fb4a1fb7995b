/*-------------------------------------------------------------------------
 *
 * slotwait.h
 *		Creation of a slot while transactions of the source are running.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_SLOTWAIT_H
#define DEPIPE_LOAD_SLOTWAIT_H

#include "load/session.h"

typedef struct SlotWait
{
	/* Create the slot, guarded; raises 55P03 after source.slot_wait_ms. */
	bool (*make)(void *argument);
	void *argument;
	/* Did the creation of the slot raise that error? NULL: always. */
	bool (*was_for_slot)(LoadSession *session);
	/* Write the reason for the wait; NULL: the wait is over. */
	void (*report)(LoadSession *session, const char *reason);
	/* After the report is committed: is the slot still wanted? */
	bool (*goes_on)(const LoadSession *session);
} SlotWait;

/*
 * Create a slot.  In a session that commits, the wait is divided into turns,
 * and the reason is reported in between.  Returns the error if the slot was not
 * created; if the wait was given up, its message is the reason.
 */
extern ErrorData *slotwait_make(LoadSession *session, const SlotWait *wait);

#endif /* DEPIPE_LOAD_SLOTWAIT_H */
