/*-------------------------------------------------------------------------
 *
 * transform.h
 *		Transforms: tables kept equal to a query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_TRANSFORM_H
#define DEPIPE_QUERY_TRANSFORM_H

#include "catalog/target.h"
#include "catalog/transforms.h"
#include "catalog/runs.h"

typedef struct Transform
{
	Target *target;
	char *query_text;    /* as written */
	char *query_sql;     /* deparsed, with qualified names; this text is run */
	List *key;           /* column names; NIL if the result is a bag */
	char *mode;          /* auto, incremental, full */
	char *on_incomplete; /* publish, block */
	char *on_stale;
	char *target_lag;         /* text of an interval, or NULL */
	char *state;              /* new, ok, blocked, rejected, failed, broken */
	bool populated;           /* published at least once in this database */
	bool made_table;          /* the table was made by depipe */
	bool rebuild;             /* all rows of the table must be replaced */
	List *inputs;             /* of TransformInput */
	List *relids;             /* that the query named at its last analysis; NIL if unknown */
	char *query_tree;         /* analysed tree of that analysis; NULL if unknown */
	bool followed;            /* query_sql follows a rename and is not stored yet */
	StoredFrontier *frontier; /* frontier of the last publication; NULL if unknown */
} Transform;

typedef struct TransformInput
{
	char *schema_name;
	char *table_name;
	int32 target_id; /* 0 if it is not a target */
	bool direct;     /* the query itself names it, not only a view that it reads */
} TransformInput;

/*
 * Returns the transform of a target, allocated in the current memory context.
 * Raises 42704 if the target is not maintained by a transform.
 */
extern Transform *transform_get(int32 target_id);

/*
 * Returns the transform of a target, or NULL if there is none, for example
 * because it has been dropped.
 */
extern Transform *transform_find(int32 target_id);

/*
 * Returns the inputs of the transform that are stored in the catalog, as a
 * list of TransformInput.
 */
extern List *transform_read_inputs(int32 target_id);

/* Raises 42501 unless the current user has the privileges of the owner of the target. */
extern void transform_check_owner(const Target *target);

/* Returns the relation that now has the name of the input, or InvalidOid if there is none. */
extern Oid transform_input_relid(const TransformInput *input);

#endif /* DEPIPE_QUERY_TRANSFORM_H */
