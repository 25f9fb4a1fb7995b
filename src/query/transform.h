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
	char *query_sql;     /* deparsed, fully qualified: what runs */
	List *key;           /* column names; NIL: a bag */
	char *mode;          /* auto, incremental, full */
	char *on_incomplete; /* publish, block */
	char *on_stale;
	char *target_lag;         /* text of an interval, or NULL */
	char *state;              /* new, ok, blocked, rejected, failed */
	bool populated;           /* published at least once in this database */
	bool made_table;          /* the table was made by depipe */
	bool rebuild;             /* all rows of the table must be replaced */
	List *inputs;             /* of TransformInput */
	List *relids;             /* named by the query when last analysed; NIL: unknown */
	char *query_tree;         /* of that analysis; NULL: unknown */
	bool followed;            /* query_sql is not yet stored */
	StoredFrontier *frontier; /* of the last publication; NULL: not known */
} Transform;

typedef struct TransformInput
{
	char *schema_name;
	char *table_name;
	int32 target_id; /* 0: no target of depipe's */
	bool direct;     /* named by the query itself, not by a view that it reads */
} TransformInput;

/*
 * The transform of a target, in the current memory context.  Raises 42704 if
 * the target is not maintained by a transform.
 */
extern Transform *transform_get(int32 target_id);

/* The same, but NULL if there is none (it may have been dropped in the meantime). */
extern Transform *transform_find(int32 target_id);

/* The inputs of the transform, of TransformInput, as stored in the catalog. */
extern List *transform_read_inputs(int32 target_id);

/* Raise 42501 unless the current user has the privileges of the owner of the target. */
extern void transform_check_owner(const Target *target);

/* The relation of this name now; InvalidOid when there is none. */
extern Oid transform_input_relid(const TransformInput *input);

#endif /* DEPIPE_QUERY_TRANSFORM_H */
