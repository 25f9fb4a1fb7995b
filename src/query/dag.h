/*-------------------------------------------------------------------------
 *
 * dag.h
 *		The graph of targets: which transform reads which target.
 *
 * The graph is read from the catalog once per slice.  The functions that take
 * a Dag do not query the catalog tables again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_DAG_H
#define DEPIPE_QUERY_DAG_H

#include "catalog/statement.h"
#include "query/transform.h"

/* Replaces names that the reader of a text may not see. */
#define DAG_HIDDEN "(hidden)"

typedef struct DagNode
{
	int32 id;
	TargetKind kind;
	char *schema_name;
	char *table_name;
	char *display;
	Oid owner;
	Oid relid;     /* InvalidOid if the table is missing */
	List *reads;   /* of DagNode */
	List *read_by; /* of DagNode */
	char *state;   /* state that blocks its readers; NULL if it does not block */
	char *reason;  /* reason of that state; may be NULL */
	char *cause;   /* both, as "state: reason"; NULL if it does not block */
	bool visited;
	bool reached;
} DagNode;

typedef struct Dag
{
	DagNode *nodes;
	int nnodes;
} Dag;

/*
 * Read the graph of all targets from the catalog.  The result is allocated in
 * the current memory context.
 */
extern Dag *dag_load(void);

/*
 * Build the graph from rows that begin with NODE_COLUMNS.  Nodes are in the
 * order of the rows.  The result is allocated in the current memory context.
 */
extern Dag *dag_from_rows(CatalogRows *rows);

/* Returns the node of a target, or NULL if there is none. */
extern DagNode *dag_node(Dag *dag, int32 target_id);

/*
 * Set the outcome of a node in this slice.  It replaces the state at the time
 * when the graph was loaded.  If cause is NULL, the node does not block.  The
 * string is copied to the memory context of the graph.
 */
extern void dag_set_cause(Dag *dag, int32 target_id, const char *cause);

/*
 * Returns true if a target upstream blocks this one, and sets *path and
 * *reason.  These texts are stored, so they contain only names that the owner
 * of the target may see.
 */
extern bool dag_find_block(Dag *dag, int32 target_id, char **path, char **reason);

/* Returns the given target ids in the order of their refresh. */
extern List *dag_order(Dag *dag, List *target_ids);

/* Returns the ids of all targets that the target reads at any depth, without its own. */
extern List *dag_upstream_ids(Dag *dag, int32 target_id);

/*
 * Returns the targets (transforms and loads) that these targets read at any
 * depth, and these targets themselves, inputs before their readers.
 */
extern List *dag_upstream(List *targets);

/*
 * Returns the path "a -> b -> c" from a target down to one that reads it at
 * any depth, or NULL if there is none.  It shows only names that the owner of
 * the latter may see.
 */
extern char *dag_path(Dag *dag, int32 from_id, int32 to_id);

/*
 * Raises 42P17 with the path if a transform of this name with these inputs (a
 * list of ShapeInput) would read itself, directly or through others.
 */
extern void dag_check_cycle(const char *schema_name, const char *table_name, List *inputs);

/*
 * Returns the names of the transforms that read this target directly.  Names
 * are quoted.  A name that the current user may not see is replaced by
 * DAG_HIDDEN.
 */
extern List *dag_readers(int32 target_id);

#endif /* DEPIPE_QUERY_DAG_H */
