/*-------------------------------------------------------------------------
 *
 * transforms.h
 *		Statements on the tables of transforms.
 *
 * Results are read with catalog_text() and the like.  The column numbers are
 * defined here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_TRANSFORMS_H
#define DEPIPE_CATALOG_TRANSFORMS_H

#include "catalog/target.h"
#include "access/transam.h"

/* ---- definitions ---- */

/* columns of transform_select() */
#define TRANSFORM_QUERY_TEXT 1
#define TRANSFORM_QUERY_SQL 2
#define TRANSFORM_KEY 3
#define TRANSFORM_MODE 4
#define TRANSFORM_TARGET_LAG 5
#define TRANSFORM_ON_INCOMPLETE 6
#define TRANSFORM_ON_STALE 7
#define TRANSFORM_POPULATED 8
#define TRANSFORM_STATE 9
#define TRANSFORM_MADE_TABLE 10
#define TRANSFORM_QUERY_TREE 11
#define TRANSFORM_INPUT_RELIDS 12
#define TRANSFORM_REBUILD 13
#define TRANSFORM_SYSTEM_IDENTIFIER 14 /* of the frontier, and below; NULL: none is stored */
#define TRANSFORM_DATABASE 15
#define TRANSFORM_SNAPSHOT 16
#define TRANSFORM_OWN_XID 17
#define TRANSFORM_OWN_SEQUENCE 18
#define TRANSFORM_CAPTURES 19
#define TRANSFORM_QUERY_HASH 20
#define TRANSFORM_TABLE_HASH 21
#define TRANSFORM_TAKEN_AT 22
#define TRANSFORM_HIDDEN 23

/* The definition and state of one transform, as one row or none. */
extern CatalogRows *transform_select(int32 target_id);

/* The target_lag of a transform as an argument of a statement. */
extern CatalogArg transform_target_lag(int32 target_id);

typedef struct TransformDefinition
{
	int32 target_id;
	const char *query_text;
	const char *query_sql;
	List *key; /* names; NIL: a bag */
	const char *mode;
	CatalogArg target_lag; /* names; NIL: a bag */
	const char *on_incomplete;
	const char *on_stale;
} TransformDefinition;

/*
 * Insert a definition, or replace that of the same target.  made_table: depipe
 * created the table; ignored for a replacement.
 */
extern void transform_store(const TransformDefinition *definition, bool made_table);

/*
 * Record that the rows of the table are unrelated to the query, so that the
 * next refresh replaces them.
 */
extern void transform_set_rebuild(int32 target_id);

/* Delete the definition and state of a transform. */
extern void transform_delete(int32 target_id);

/* Store the deparsed query after something that it names was renamed. */
extern void transform_set_query_sql(int32 target_id, const char *query_sql);

/*
 * Store the binding of the query at its last analysis: its tree as text (NULL:
 * unknown), with the version of this server, and the relations that it names.
 */
extern void transform_set_binding(int32 target_id, const char *query_tree, List *relids);

/* ---- inputs ---- */

/* columns of transform_select_inputs() */
#define INPUT_SCHEMA 1
#define INPUT_TABLE 2
#define INPUT_DIRECT 3
#define INPUT_TARGET_ID 4

/*
 * Read, delete or insert the inputs of a transform.  direct: the query names
 * the table itself.
 */
extern CatalogRows *transform_select_inputs(int32 target_id);
extern void transform_delete_inputs(int32 target_id);
extern void transform_insert_input(int32 target_id, const char *schema_name, const char *table_name,
								   bool direct);

/* Does this target have constraints? */
extern bool target_has_constraints(int32 target_id);

/*
 * Delete the target of an ordinary table that no longer exists and has no
 * constraints, since nothing could bind to it again.  Returns whether it was
 * deleted.
 */
extern bool target_forget_if_gone(const Target *target);

/* Does this target have open incidents or quarantined rows? */
extern bool target_has_trouble(int32 target_id);

/* ---- state ---- */

/*
 * Set the state.  Records an event if it changes.  populated: true also ends a
 * rebuild; false does not reset it.
 */
extern void transform_set_state(int32 target_id, const char *state, const char *reason,
								bool populated);

/*
 * Lock the state row until the end of the transaction.  In a transaction with
 * a single snapshot, raises 40001 if another one has changed the row since.
 */
extern void transform_lock_state(int32 target_id);

/* Up to where a transform has taken in the changes of its inputs. */
typedef struct StoredFrontier
{
	char *system_identifier; /* of the database that it was taken in */
	Oid database_oid;
	char *snapshot;            /* a pg_snapshot as text */
	FullTransactionId own_xid; /* the transaction that took it */
	int64 own_sequence;        /* the last change of that transaction that it covers; 0: none */
	List *incarnations;        /* of int64 *: captures that had all changes of their inputs then */
	int64 query_hash;          /* of the query that was evaluated */
	int64 table_hash;          /* of the table and what guards it */
	TimestampTz taken_at;      /* now() in the query that was evaluated; 0: not known */
	int64 hidden;              /* of the layout of the numbers kept of groups; 0: none are */
} StoredFrontier;

/* NULL when transform_select()'s row has none. */
extern StoredFrontier *transform_frontier(const CatalogRows *rows, uint64 row);

/*
 * Record what a target covers at its publication: the frontier, and the result
 * of transform_inputs_seen() (NULL: unknown).
 */
extern void transform_set_covered(int32 target_id, const StoredFrontier *frontier,
								  const char *seen);

/*
 * Let the next refresh count on no captured change, so that it evaluates the
 * query as a whole.
 */
extern void transform_forget_captures(int32 target_id);

/* In the place of the incarnations of a frontier: see transform_mix(). */
#define INCARNATION_MIXED ((int64) -1)

/*
 * Record that some rows of the target are newer than its frontier, so that the
 * next refresh must compare the table with the query.
 */
extern void transform_mix(int32 target_id);

/* Delete rows that other runs have quarantined.  run_id 0: delete those of all runs. */
extern int64 transform_forget_quarantine(int32 target_id, int64 run_id);

/*
 * Delete rows that other runs have quarantined and whose column lies in
 * [since, before).  type: of these texts, one of those of transform/steps.h.
 */
extern void transform_forget_quarantined_range(int32 target_id, int64 run_id, const char *column,
											   Oid type, const char *since, const char *before);

/* ---- the graph ---- */

/*
 * The properties of a target itself.  They are the first columns of
 * dag_select_nodes() and of conditions_select(), which share this text so that
 * there is a single definition.  Pauses and forced breakers whose time has
 * passed do not count.
 */
#define NODE_COLUMNS                                                                 \
	"SELECT t.target_id, t.schema_name, t.table_name, t.kind, t.owner::oid,"         \
	" s.paused AND (s.paused_until IS NULL OR s.paused_until OPERATOR(pg_catalog.>)" \
	" pg_catalog.clock_timestamp()), s.pause_reason, f.state, f.populated,"          \
	" CASE WHEN t.kind OPERATOR(pg_catalog.=) 'l' THEN x.reason ELSE f.reason END,"  \
	" x.state,"                                                                      \
	" CASE WHEN e.state IN ('open', 'half_open', 'forced_open')"                     \
	" AND COALESCE(g.mode, 'normal') OPERATOR(pg_catalog.=) 'normal'"                \
	" THEN e.state END, b.reason, ld.server_name::text"
#define NODE_TABLES                                                           \
	" FROM depipe.target t LEFT JOIN depipe.target_state s USING (target_id)" \
	" LEFT JOIN depipe.transform_state f USING (target_id)"                   \
	" LEFT JOIN depipe.load ld USING (target_id)"                             \
	" LEFT JOIN depipe.load_state l USING (target_id)"                        \
	" LEFT JOIN depipe.load_now x USING (target_id)"                          \
	" LEFT JOIN depipe.breaker_state b USING (target_id)"                     \
	" LEFT JOIN depipe.breaker_now e USING (target_id)"                       \
	" LEFT JOIN depipe.breaker_setting g USING (target_id)"
#define NODE_ORDER " ORDER BY t.schema_name, t.table_name"

#define NODE_ID 1
#define NODE_SCHEMA 2
#define NODE_TABLE 3
#define NODE_KIND 4
#define NODE_OWNER 5
#define NODE_PAUSED 6
#define NODE_PAUSE_REASON 7
#define NODE_TRANSFORM_STATE 8
#define NODE_POPULATED 9
#define NODE_REASON 10
#define NODE_LOAD_STATE 11
#define NODE_BREAKER_STATE 12 /* NULL unless it blocks */
#define NODE_BREAKER_REASON 13
#define NODE_SERVER 14 /* of a load */
#define NODE_COUNT 14

/* Every target with its own properties. */
extern CatalogRows *dag_select_nodes(void);

/* The edges of the graph, one row each: target ids of reader and input. */
extern CatalogRows *dag_select_edges(void);

/* ---- names ---- */

/* columns of names_select_moved() */
#define MOVED_TARGET_ID 1
#define MOVED_SCHEMA 2
#define MOVED_TABLE 3
#define MOVED_RELID 4 /* the table that it was bound to */

/* Targets whose name does not belong to the table that they were bound to. */
extern CatalogRows *names_select_moved(void);

/* Rename a target.  Returns false if another one has the name. */
extern bool names_rename_target(int32 target_id, const char *schema_name, const char *table_name);

/* Unbind the target from its table, which no longer exists. */
extern void names_forget_table(int32 target_id);

/* Record an event like event_record(), but send no NOTIFY. */
extern void names_record_event(int32 target_id, const char *event, const char *state,
							   const char *reason);

/*
 * The ids of the transforms that read one of these relations, by OID or
 * directly by name.  relids NIL: all that are bound.
 */
extern CatalogRows *names_select_readers(List *relids);

/* ---- verify ---- */

/* Names of the key declared for a load; NIL: the table's key. */
extern List *verify_load_key(int32 target_id);

/* Number of quarantined rows of the target. */
extern int64 verify_quarantined(int32 target_id);

/*
 * The pending change that explains a differing row: 'quarantined', 'parked' or
 * NULL.  row_key is NULL for a bag.
 */
extern char *verify_explanation(int32 target_id, List *key, ArrayType *row_key, ArrayType *image);

#endif /* DEPIPE_CATALOG_TRANSFORMS_H */
