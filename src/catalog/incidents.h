/*-------------------------------------------------------------------------
 *
 * incidents.h
 *		depipe's own table about incidents.
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
	bool published;        /* rows that violate went into the table */
	TimestampTz last_seen; /* the last bad verdict */
	int64 accepted;        /* violations when it was good last */
	int64 accepted_of;     /* ... of so many rows */
	ArrayType *known_keys; /* text[] of array texts; NULL: none */
	TimestampTz looked_at; /* 0: never */
	double look_ms;        /* how long that took */
} IncidentRow;

/* Open incidents of a target, as a list; of one constraint only, unless that is 0. */
extern List *incident_rows(int32 target_id, int32 constraint_id);

/*
 * Open the constraint's incident (returns true), or count one more of it.
 * published: its rows are in the table.  To be called before the verdict is
 * stored as the constraint's state, which says what was accepted.
 */
extern bool incident_seen(const VerdictRow *row, bool published);

/* What a look has found.  keys: text[] of array texts, or NULL. */
extern void incident_put_look(int64 incident_id, int64 violations, ArrayType *keys, double look_ms);

/* How many rows violate, by other means than a look. */
extern void incident_put_violations(int64 incident_id, int64 violations);

/* It is to be looked at when that is due. */
extern void incident_look_again(int64 incident_id);

extern void incident_close(int64 incident_id, const char *how);

/*
 * Targets with incidents that may have ended without a verdict that says so: to
 * be looked at again, or of batches, and good for so many seconds.
 */
extern List *due_incidents(int linger);

/* When the first of them is due; DT_NOEND: never. */
extern TimestampTz incidents_next(int linger);

/* The constraint that rejects what the target's loads or transforms bring, or NULL. */
extern char *rejecting_constraint(int32 target_id);

/* ---- rows for which a batch was not published ---- */

typedef struct HeldRow
{
	int32 constraint_id;
	char *key; /* NULL: the table has none */
	char *row; /* JSON object */
} HeldRow;

/* Put these in the place of what is there. */
extern void held_rows_put(int32 target_id, List *rows);
extern List *held_rows(int32 target_id, int32 constraint_id);

#endif /* DEPIPE_CATALOG_INCIDENTS_H */
