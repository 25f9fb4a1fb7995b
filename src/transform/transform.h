/*-------------------------------------------------------------------------
 *
 * transform.h
 *		Transforms: tables kept equal to a query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_H
#define DEPIPE_TRANSFORM_H

#include "catalog/target.h"
#include "catalog/runs.h"

typedef struct Transform
{
	Target *target;
	char *query_text;    /* as written */
	char *query_sql;     /* deparsed, fully qualified: what runs */
	List *key;           /* column names; NIL: a bag */
	char *mode;          /* auto, incremental, full */
	char *on_incomplete; /* publish, block */
	char *on_stale;
	char *target_lag; /* text of an interval, or NULL */
	char *state;      /* new, ok, blocked, rejected, failed */
	bool populated;   /* published at least once in this database */
	bool made_table;  /* the table was made by depipe */
	bool rebuild;     /* what the table holds is to be replaced as a whole */
	List *inputs;     /* of TransformInput */
	List *relids;     /* what the query names, as of its last analysis; NIL: unknown */
	char *query_tree; /* of that analysis; NULL: unknown */
	bool followed;    /* query_sql is not yet stored */
} Transform;

typedef struct TransformInput
{
	char *schema_name;
	char *table_name;
	int32 target_id; /* 0: no target of depipe's */
	bool direct;     /* named by the query itself, not by a view that it reads */
} TransformInput;

struct Shape;

/* Raises 42704 when the target is not maintained by a transform. */
extern Transform *transform_get(int32 target_id);

/* The same, but NULL when there is none (it may have been dropped meanwhile). */
extern Transform *transform_find(int32 target_id);

/* Raise 42501 unless the current user may change what the target's owner owns. */
extern void transform_check_owner(const Target *target);

/* The relation of this name now; InvalidOid when there is none. */
extern Oid transform_input_relid(const TransformInput *input);

/*
 * Analyse the query, as the owner of the transform.  Where something of
 * another meaning has come under a name of it (a function that fits better),
 * the query is written anew, in transform only.  Raises what shape_analyse()
 * does.
 */
extern struct Shape *transform_analyse(Transform *transform);

/*
 * The text that the query has now, as the tree of its last analysis says; NULL
 * when something is gone or was replaced under its name.  As the owner.
 */
extern char *names_followed_query(const Transform *transform);

/*
 * After an analysis: store what the query is bound to, and its inputs when
 * they changed (a view was replaced): returns whether they did.  Raises 42P17
 * for a cycle.
 */
extern bool transform_rebind(Transform *transform, const struct Shape *shape);

/*
 * Refresh transforms, in DAG order, as one slice: lock all targets, take one
 * snapshot, then node by node delta, publish.  A failed or blocked node blocks
 * what reads it, and only that.  runs: begun, one per target, same order; they
 * are filled and finished here.  Does not commit.
 */
extern void transform_refresh(List *targets, List *runs);

/*
 * Nothing that the transform is made of, at any depth that depipe keeps, has
 * changed since it was last published: then the time through which it is
 * complete moves on, and true is returned: there is nothing to run.
 */
extern bool transform_rest(Target *target);

/*
 * Targets (transforms and loads) that these targets read, at any depth, in DAG
 * order, themselves last.
 */
extern List *dag_upstream(List *targets);

/* REASSIGN OWNED has been executed: definitions whose table is missing go along. */
extern void names_follow_reassign(struct ReassignOwnedStmt *statement);

#endif /* DEPIPE_TRANSFORM_H */
