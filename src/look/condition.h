/*-------------------------------------------------------------------------
 *
 * condition.h
 *		What each target is, why, and what to do about it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOOK_CONDITION_H
#define DEPIPE_LOOK_CONDITION_H

#include "catalog/looks.h"
#include "transform/dag.h"

/* In the order in which a person wants to see them. */
typedef enum Rank
{
	RANK_BROKEN,    /* nothing gets better by itself, or it failed */
	RANK_DEGRADED,  /* goes on, but late, stale or on trial */
	RANK_HELD,      /* a person holds it */
	RANK_BEGINNING, /* not there yet */
	RANK_BLOCKED,   /* the consequence of another one */
	RANK_REMARK,    /* published, with something to be said */
	RANK_FINE
} Rank;

/* How a target depends on one that it reads. */
typedef enum Link
{
	LINK_NONE,
	LINK_HELD,       /* a refresh waits for it */
	LINK_INCOMPLETE, /* it has rows in quarantine */
	LINK_STALE,      /* a time check of it fails */
	LINK_LATE,       /* it is not up to date */
	LINK_TROUBLE,    /* something is wrong with it, nothing with this one */
	LINKS
} Link;

typedef struct Condition
{
	DagNode *node;
	bool visible; /* to the current user */
	Rank rank;
	const char *state;
	char *reason; /* NULL: nothing to say */
	char *next;   /* the statement to type; NULL: none */
	TimestampTz since;
	TimestampTz data_as_of; /* 0: unknown */
	Datum target_lag;       /* interval */
	bool has_target_lag;
	bool needs_person; /* stays as it is until somebody does something */
	bool settled;      /* nothing that it reads matters more than its own state */
	bool quarantine;   /* rows of its own are in quarantine */
	char *stale;       /* the time check of its own that fails; NULL: none */
	bool late;
	int64 incidents; /* open ones */
	Link link;       /* the first step to the root cause */
	struct Condition *by[LINKS];
	bool placed; /* its place has been looked at */
} Condition;

typedef struct Conditions
{
	Condition *items; /* in name order */
	int count;
	char *idle; /* why nothing runs in this database; NULL: it does */
} Conditions;

/*
 * The conditions of all targets as of now, in the current memory context.
 * Names of targets that the current user may not see are hidden in reasons.
 */
extern Conditions *conditions_load(void);
extern Condition *condition_find(Conditions *conditions, int32 target_id);

/* Rows that it has, or that it is made of, are in quarantine. */
extern bool condition_is_incomplete(const Condition *condition);

/*
 * The next one on the way to the root cause, NULL at its end; link: that of
 * the condition where the way begins, then kept by this.
 */
extern Condition *condition_step(const Condition *condition, Link *link);
extern Condition *condition_root(Condition *condition);

/* Its name for the current user. */
extern const char *condition_name(const Condition *condition);

/* For reasons: without a fraction of seconds. */
extern char *time_for_reader(TimestampTz time);

#endif /* DEPIPE_LOOK_CONDITION_H */
