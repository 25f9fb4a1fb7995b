/*-------------------------------------------------------------------------
 *
 * incidents.h
 *		depipe's own table of incidents.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_INCIDENTS_H
#define DEPIPE_CATALOG_INCIDENTS_H

#include "catalog/constraints.h"

typedef struct IncidentRow
{
	int64 id;
	int32 constraint_id;
	char *constraint_name;
	char *outcome;         /* of the constraint's last verdict; NULL: none */
	bool published;        /* rows with violations were published */
	TimestampTz last_seen; /* time of the last bad verdict */
	int64 accepted;        /* violations at the last good verdict */
	int64 accepted_of;     /* ... and the number of rows evaluated then */
	ArrayType *known_keys; /* text[] of array texts; NULL: none */
	TimestampTz looked_at; /* 0: never */
	double look_ms;        /* duration of that look */
	int64 violations_now;  /* as far as they are known */
} IncidentRow;

/*
 * The open incidents of a target, as a list.  constraint_id: only those of
 * this constraint, 0: all.
 */
extern List *incident_rows(int32 target_id, int32 constraint_id);

/*
 * Open an incident of the constraint (returns true), or count one more
 * occurrence of the open one.  published: its rows are in the table.  Call
 * this before storing the verdict as the constraint's state, because the
 * previous state contains the accepted violations.
 */
extern bool incident_seen(const VerdictRow *row, bool published);

/* Store the result of a look at an incident.  keys: text[] of array texts, or NULL. */
extern void incident_put_look(int64 incident_id, int64 violations, ArrayType *keys, double look_ms);

/* Store the number of violating rows, if it was found by other means than a look. */
extern void incident_put_violations(int64 incident_id, int64 violations);

/* Request a new look at the incident, when its pause is over. */
extern void incident_look_again(int64 incident_id);

/*
 * The target of an incident that is open; 0 if there is no such incident, -1 if it
 * is closed.
 */
extern int32 incident_target(int64 incident_id);

/* Record that the current session's user knows of the incident. */
extern void incident_acknowledge(int64 incident_id, const char *note);

/* Close an incident.  how: a word for its history. */
extern void incident_close(int64 incident_id, const char *how);

/*
 * Targets with incidents that may have ended without a verdict: those with a
 * look requested and due, and those of batch constraints that have been good
 * for linger seconds.
 */
extern List *due_incidents(int linger);

/* The due time of the first of them; DT_NOEND if there are none. */
extern TimestampTz incidents_next(int linger);

/*
 * The name of the constraint that rejects the batches of the target's load or
 * transform; NULL if none does.
 */
extern char *rejecting_constraint(int32 target_id);

/* ---- rows that kept a batch from being published ---- */

typedef struct HeldRow
{
	int32 constraint_id;
	char *key; /* NULL: the table has no key */
	char *row; /* JSON object */
} HeldRow;

/* Replace the stored rows by these. */
extern void held_rows_put(int32 target_id, List *rows);
/* Their images as a jsonb[]; NULL: none. */
extern ArrayType *held_images(int32 target_id, int32 constraint_id);

extern List *held_rows(int32 target_id, int32 constraint_id);

#endif /* DEPIPE_CATALOG_INCIDENTS_H */
