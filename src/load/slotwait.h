/*-------------------------------------------------------------------------
 *
 * slotwait.h
 *		Making a slot while transactions of the source are running.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_SLOTWAIT_H
#define DEPIPE_LOAD_SLOTWAIT_H

#include "load/session.h"

typedef struct SlotWait
{
	/* Make the slot, guarded; raises 55P03 after source.slot_wait_ms. */
	bool (*make)(void *argument);
	void *argument;
	/* Was that error raised by making the slot?  NULL: always. */
	bool (*was_for_slot)(LoadSession *session);
	/* Write what is waited for; NULL: nothing any more. */
	void (*report)(LoadSession *session, const char *reason);
	/* After the report is committed: is the slot still wanted? */
	bool (*goes_on)(const LoadSession *session);
} SlotWait;

/*
 * Make a slot.  In a session that commits it is waited for in turns, and the
 * reason is reported in between.  Returns the error when it was not made; after
 * a wait that was given up its message is the reason.
 */
extern ErrorData *slotwait_make(LoadSession *session, const SlotWait *wait);

#endif /* DEPIPE_LOAD_SLOTWAIT_H */
