/*-------------------------------------------------------------------------
 *
 * condition.h
 *		The condition of each target: its state, the reason, and the remedy.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOOK_CONDITION_H
#define DEPIPE_LOOK_CONDITION_H

#include "catalog/looks.h"
#include "query/dag.h"

/* Ranks, in the order in which they are shown to users. */
typedef enum Rank
{
	RANK_BROKEN,    /* it failed, or will not recover by itself */
	RANK_DEGRADED,  /* continues, but is late, stale or on trial */
	RANK_HELD,      /* a user holds it */
	RANK_BEGINNING, /* not populated yet */
	RANK_BLOCKED,   /* a consequence of another target's condition */
	RANK_REMARK,    /* published, with a remark */
	RANK_FINE
} Rank;

/* The way in which a target depends on one of its inputs. */
typedef enum Link
{
	LINK_NONE,
	LINK_HELD,       /* a refresh waits for the input */
	LINK_INCOMPLETE, /* the input has quarantined rows */
	LINK_STALE,      /* a time check of the input fails */
	LINK_LATE,       /* the input is not up to date */
	LINK_TROUBLE,    /* the input has a problem that does not affect this target */
	LINKS
} Link;

typedef struct Condition
{
	DagNode *node;
	bool visible; /* to the current user */
	Rank rank;
	const char *state;
	char *reason; /* NULL: none */
	char *next;   /* the statement to run next; NULL: none */
	TimestampTz since;
	TimestampTz data_as_of; /* 0: unknown */
	Datum target_lag;       /* interval */
	bool has_target_lag;
	bool needs_person; /* stays as it is until a user acts */
	bool settled;      /* no condition of an input matters more than its own */
	bool quarantine;   /* it has quarantined rows itself */
	char *stale;       /* a failing time check of its own; NULL: none */
	bool late;
	int64 incidents; /* number of open incidents */
	Link link;       /* the first step to the root cause */
	struct Condition *by[LINKS];
	bool placed; /* its inputs have been considered */
} Condition;

typedef struct Conditions
{
	Condition *items; /* in the order of their names */
	int count;
	char *idle; /* why nothing runs in this database; NULL: it does */
} Conditions;

/*
 * The current conditions of all targets, in the current memory context.
 * Reasons do not contain names of targets that the current user may not see.
 */
extern Conditions *conditions_load(void);

/* The condition of a target; NULL if there is none. */
extern Condition *condition_find(Conditions *conditions, int32 target_id);

/* Are rows of the target, or of its inputs at any depth, in quarantine? */
extern bool condition_is_incomplete(const Condition *condition);

/*
 * The next condition on the way to the root cause; NULL at its end.  *link is
 * initially the link of the condition where the way begins; the function
 * updates it.
 */
extern Condition *condition_step(const Condition *condition, Link *link);

/* The condition at the end of the way to the root cause. */
extern Condition *condition_root(Condition *condition);

/* The name of the target for the current user, who may not know it. */
extern const char *condition_name(const Condition *condition);

#endif /* DEPIPE_LOOK_CONDITION_H */
