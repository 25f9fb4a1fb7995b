/*-------------------------------------------------------------------------
 *
 * dag.h
 *		The graph of targets: which transform reads which.
 *
 * Read from the catalog once per slice; the queries below then cost nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_DAG_H
#define DEPIPE_QUERY_DAG_H

#include "catalog/statement.h"
#include "query/transform.h"

/* Replaces names that the reader may not see. */
#define DAG_HIDDEN "(hidden)"

typedef struct DagNode
{
	int32 id;
	TargetKind kind;
	char *schema_name;
	char *table_name;
	char *display;
	Oid owner;
	Oid relid;     /* InvalidOid: missing */
	List *reads;   /* of DagNode */
	List *read_by; /* of DagNode */
	char *state;   /* its own state that blocks its readers; NULL: it does not block */
	char *reason;  /* of that state; may be NULL */
	char *cause;   /* both, as "state: reason"; NULL: it does not block */
	bool visited;
	bool reached;
} DagNode;

typedef struct Dag
{
	DagNode *nodes;
	int nnodes;
} Dag;

/* Read the graph of all targets from the catalog, in the current memory context. */
extern Dag *dag_load(void);

/* The same from rows that begin with NODE_COLUMNS; nodes are in the order of the rows. */
extern Dag *dag_from_rows(CatalogRows *rows);

/* The node of a target; NULL if there is none. */
extern DagNode *dag_node(Dag *dag, int32 target_id);

/*
 * Set the outcome of a node in this slice, which replaces the state at the time
 * the graph was loaded.  cause NULL: the node does not block.
 */
extern void dag_set_cause(Dag *dag, int32 target_id, const char *cause);

/*
 * The same as dag_blocked() on a loaded graph.  The texts are stored: they
 * contain only names that the owner of the target may see.
 */
extern bool dag_find_block(Dag *dag, int32 target_id, char **path, char **reason);

/* The given targets (ids) in the order of their refresh. */
extern List *dag_order(Dag *dag, List *target_ids);

/* The ids of all targets that the target reads, at any depth, without itself. */
extern List *dag_upstream_ids(Dag *dag, int32 target_id);

/*
 * Targets (transforms and loads) that these targets read, at any depth, in DAG
 * order, followed by these targets.
 */
extern List *dag_upstream(List *targets);

/*
 * "a -> b -> c" from a target down to one that reads it, at any depth, as the
 * owner of the latter may see it.
 */
extern char *dag_path(Dag *dag, int32 from_id, int32 to_id);

/*
 * Raise 42P17 with the path if a transform of this name with these inputs (of
 * ShapeInput) would read itself, directly or through others.
 */
extern void dag_check_cycle(const char *schema_name, const char *table_name, List *inputs);

/* Names of the transforms that read this target directly, quoted, for the current user. */
extern List *dag_readers(int32 target_id);

#endif /* DEPIPE_QUERY_DAG_H */
