/*-------------------------------------------------------------------------
 *
 * incident.h
 *		Incidents: the open problem of one constraint of one target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_INCIDENT_H
#define DEPIPE_QUALITY_INCIDENT_H

#include "catalog/incidents.h"
#include "quality/verdict.h"

/*
 * A verdict is about to be recorded: opens, continues or closes the incident of
 * its constraint.  open: there is one.  held: its batch was not published.
 */
extern void incident_note(const Verdict *verdict, const VerdictRow *row, bool open, bool held);

/*
 * Close those incidents of a target whose last verdict is good, and of whose rows
 * none that violate are left: called after a batch is published, and when it is
 * time.  Needs no SPI connection.
 */
extern void incidents_settle(Target *target);

/* The constraint is dropped. */
extern void incident_end(int32 target_id, int32 constraint_id);

#endif /* DEPIPE_QUALITY_INCIDENT_H */
