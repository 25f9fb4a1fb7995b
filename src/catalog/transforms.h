/*-------------------------------------------------------------------------
 *
 * transforms.h
 *		Statements on the tables of transforms.
 *
 * Results whose columns have names here are read with catalog_text() and its
 * like, by these numbers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_TRANSFORMS_H
#define DEPIPE_CATALOG_TRANSFORMS_H

#include "catalog/target.h"

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

/* The definition and state of one transform: no row or one. */
extern CatalogRows *transform_select(int32 target_id);

/* Its target_lag as an argument of a statement. */
extern CatalogArg transform_target_lag(int32 target_id);

typedef struct TransformDefinition
{
	int32 target_id;
	const char *query_text;
	const char *query_sql;
	List *key; /* names; NIL: a bag */
	const char *mode;
	CatalogArg target_lag; /* an interval or NULL */
	const char *on_incomplete;
	const char *on_stale;
} TransformDefinition;

/* Insert the definition, or replace that of the same target. */
extern void transform_store(const TransformDefinition *definition, bool made_table);

/* What the table holds has nothing to do with the query: the next refresh replaces it. */
extern void transform_set_rebuild(int32 target_id);

extern void transform_delete(int32 target_id);

/* The deparsed query changed because something that it names was renamed. */
extern void transform_set_query_sql(int32 target_id, const char *query_sql);

/*
 * What the query was bound to at its last analysis: its tree as text (NULL:
 * unknown), the server version that wrote it, and the relations that it names.
 */
extern void transform_set_binding(int32 target_id, const char *query_tree, List *relids);

/* ---- inputs ---- */

/* columns of transform_select_inputs() */
#define INPUT_SCHEMA 1
#define INPUT_TABLE 2
#define INPUT_DIRECT 3
#define INPUT_TARGET_ID 4

extern CatalogRows *transform_select_inputs(int32 target_id);
extern void transform_delete_inputs(int32 target_id);
extern void transform_insert_input(int32 target_id, const char *schema_name, const char *table_name,
								   bool direct);

/* Does this target have constraints? */
extern bool target_has_constraints(int32 target_id);

/*
 * Forget an ordinary table that is gone and has no constraint left: nothing
 * could bind to it again.  Returns true when it is forgotten.
 */
extern bool target_forget_if_gone(const Target *target);

/* Does it have open incidents, or rows in quarantine? */
extern bool target_has_trouble(int32 target_id);

/* ---- state ---- */

/* Records an event when it changes. populated never goes back to false here; it ends a rebuild. */
extern void transform_set_state(int32 target_id, const char *state, const char *reason,
								bool populated);

/*
 * Lock the state row for this transaction; raises 40001 when another
 * transaction changed it after this one's snapshot.
 */
extern void transform_lock_state(int32 target_id);

/* Rows that earlier runs had set aside; run_id 0: those of all runs. */
extern void transform_forget_quarantine(int32 target_id, int64 run_id);

/* ---- the graph ---- */

/*
 * What a target is by itself: the first columns of dag_select_nodes() and of
 * conditions_select(), which share this text so that there is one definition.
 * Times are looked at: what has expired does not count.
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

/* Every target, and what it is by itself. */
extern CatalogRows *dag_select_nodes(void);

/* (reader, input): target ids, one row per edge. */
extern CatalogRows *dag_select_edges(void);

/* ---- names ---- */

/* columns of names_select_moved() */
#define MOVED_TARGET_ID 1
#define MOVED_SCHEMA 2
#define MOVED_TABLE 3
#define MOVED_RELID 4 /* what it was bound to */

/* Targets whose name does not lead to the table that they were bound to. */
extern CatalogRows *names_select_moved(void);

/* Rename a target; false when another one has the name. */
extern bool names_rename_target(int32 target_id, const char *schema_name, const char *table_name);

/* Forget what the target was bound to: the table is gone. */
extern void names_forget_table(int32 target_id);

/* As event_record(), without its doorbell. */
extern void names_record_event(int32 target_id, const char *event, const char *state,
							   const char *reason);

/*
 * Transforms (ids) that read one of these relations by OID, or all that are
 * bound (relids NIL).
 */
extern CatalogRows *names_select_readers(List *relids);

/* ---- verify ---- */

/* Names of the key declared for a load; NIL: that of the table. */
extern List *verify_load_key(int32 target_id);

extern int64 verify_quarantined(int32 target_id);

/*
 * What is waiting that explains a row which differs: 'quarantined', 'parked'
 * or NULL.  row_key is NULL for a bag.
 */
extern char *verify_explanation(int32 target_id, List *key, ArrayType *row_key, ArrayType *image);

#endif /* DEPIPE_CATALOG_TRANSFORMS_H */
