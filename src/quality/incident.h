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
 * Open, continue or close the incident of a constraint, whose verdict is about
 * to be recorded.  open: there is an open one.  held: its batch was not
 * published.
 */
extern void incident_note(const Verdict *verdict, const VerdictRow *row, bool open, bool held);

/*
 * Close the incidents of a target whose last verdict is good and which have no
 * violating rows left.  Called after a batch is published, and when an
 * examination is due.  Needs no SPI connection.
 */
extern void incidents_settle(Target *target);

/* Rows in quarantine were discarded: close the incidents that have no other rows. */
extern void incidents_end_discarded(Target *target);

/* The constraint is dropped. */
extern void incident_end(int32 target_id, int32 constraint_id);

#endif /* DEPIPE_QUALITY_INCIDENT_H */
