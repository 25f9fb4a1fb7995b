/*-------------------------------------------------------------------------
 *
 * looks.c
 *		Data for users about targets, from depipe's own tables.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/looks.h"

#include "catalog/attempts.h"
#include "catalog/constraints.h"

/*
 * An attempt is counted as a failure when it begins.  The current attempt is
 * not a failure yet, and the run that it left decides.
 */
#define HAS_FAILED(attempt)                                                                 \
	"(" attempt ".failures OPERATOR(pg_catalog.>) 1 OR (" attempt                           \
	".failures OPERATOR(pg_catalog.=) 1 AND r.finished_at OPERATOR(pg_catalog.>=) " attempt \
	".started_at))"
#define TRIES(attempt)                                                                     \
	"CASE WHEN r.finished_at OPERATOR(pg_catalog.>=) " attempt ".started_at THEN " attempt \
	".failures ELSE " attempt ".failures OPERATOR(pg_catalog.-) 1 END"
#define TRIED_AT "GREATEST(v.started_at, u.started_at)"

/* The last run failed, and no later attempt succeeded. */
#define FAILING                                                                         \
	"r.status OPERATOR(pg_catalog.=) 'failed' AND (" HAS_FAILED("v") " OR " HAS_FAILED( \
		"u") " OR " TRIED_AT " IS NULL OR r.finished_at"                                \
			 " OPERATOR(pg_catalog.>) " TRIED_AT ")"

/* An idle stream writes nothing, but its worker reports its time. */
#define AS_OF "GREATEST(s.data_as_of, lv.as_of)"

/* Late by a wide margin: a pass may be a minute away. */
#define LATE                                                    \
	"COALESCE(" AS_OF ", t.created_at) OPERATOR(pg_catalog.+)"  \
	" GREATEST(d.target_lag OPERATOR(pg_catalog.*) 2,"          \
	" d.target_lag OPERATOR(pg_catalog.+) interval '1 minute')" \
	" OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()"

#define OF_SERVER "COALESCE(" HAS_FAILED("v") ", false), "
#define ALL_TRIES "GREATEST(" TRIES("v") ", " TRIES("u") "), "

#define CONDITION_COLUMNS                                                      \
	", t.created_at, s.paused_at, " AS_OF ", d.target_lag, " LATE              \
	", l.since, l.hint, ld.server_name, f.since,"                              \
	" tr.on_incomplete OPERATOR(pg_catalog.=) 'block',"                        \
	" tr.on_stale OPERATOR(pg_catalog.=) 'block',"                             \
	" NULLIF(e.state, 'closed'), b.since, b.until, " FAILING                   \
	", r.reason, r.finished_at, " OF_SERVER ALL_TRIES                          \
	"GREATEST(v.retry_at, u.retry_at), GREATEST(" TRIED_AT ", r.finished_at)," \
	" COALESCE(s.parked OPERATOR(pg_catalog.>) 0, false),"                     \
	" COALESCE(s.quarantined OPERATOR(pg_catalog.>) s.discarded, false),"      \
	" k.name, k.outcome_since, COALESCE(i.open, 0), m.input, s.paused_until,"  \
	" w.rows, w.estimated, s.owner_problem_since"

/* pg_stat_get_progress_info() counts parameters from 1, pgstat_progress_update_param() from 0. */
#define COPIES                                                                          \
	"(SELECT p.param19::integer AS target_id, p.pid, p.param3 AS rows, p.param1"        \
	" AS bytes, NULLIF(p.param20, -1) AS estimated"                                     \
	" FROM pg_catalog.pg_stat_get_progress_info('COPY') p"                              \
	" WHERE p.datid OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d" \
	" WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())"            \
	" AND p.param19 OPERATOR(pg_catalog.>) 0)"

/* The unit of a load; NULL for other targets. */
#define OWN_UNIT "CASE WHEN ld.target_id IS NOT NULL THEN " UNIT_OF_LOAD("ld.server_name") " END"

#define CONDITION_TABLES                                                                        \
	" LEFT JOIN depipe.transform tr USING (target_id)"                                          \
	" LEFT JOIN depipe.live_load lv USING (target_id)"                                          \
	" LEFT JOIN LATERAL (SELECT COALESCE(ld.target_lag, tr.target_lag)) d(target_lag) ON true"  \
	" LEFT JOIN depipe.attempt v ON v.unit OPERATOR(pg_catalog.=) " OWN_UNIT                    \
	" LEFT JOIN depipe.attempt u"                                                               \
	" ON u.unit OPERATOR(pg_catalog.=) ('target ' || t.target_id)"                              \
	" LEFT JOIN LATERAL (SELECT o.status, o.reason, o.finished_at FROM depipe.run o"            \
	" WHERE o.target_id OPERATOR(pg_catalog.=) t.target_id"                                     \
	" AND o.status NOT IN ('running', 'skipped') ORDER BY o.run_id DESC LIMIT 1) r ON true"     \
	" LEFT JOIN (SELECT DISTINCT ON (c.target_id) c.target_id, c.name, a.outcome_since"         \
	" FROM depipe.constraint_definition c"                                                      \
	" JOIN depipe.constraint_state a USING (constraint_id)"                                     \
	" WHERE " IS_TIME_CHECK                                                                     \
	" AND (a.outcome OPERATOR(pg_catalog.=) 'fail' OR a.outcome OPERATOR(pg_catalog.=) 'error'" \
	" AND c.on_error OPERATOR(pg_catalog.<>) 'pass')"                                           \
	" ORDER BY c.target_id, a.outcome_since, c.name) k"                                         \
	" USING (target_id)"                                                                        \
	" LEFT JOIN (SELECT o.target_id, pg_catalog.count(*) AS open FROM depipe.incident o"        \
	" WHERE o.closed_at IS NULL GROUP BY o.target_id) i USING (target_id)"                      \
	" LEFT JOIN (SELECT DISTINCT ON (x.target_id) x.target_id,"                                 \
	" pg_catalog.format('%I.%I', x.schema_name, x.table_name) AS input"                         \
	" FROM depipe.transform_input x WHERE x.direct"                                             \
	" AND NOT EXISTS (SELECT FROM depipe.target n"                                              \
	" WHERE n.schema_name OPERATOR(pg_catalog.=) x.schema_name"                                 \
	" AND n.table_name OPERATOR(pg_catalog.=) x.table_name)"                                    \
	" AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"         \
	" ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"                                           \
	" WHERE n.nspname OPERATOR(pg_catalog.=) x.schema_name"                                     \
	" AND c.relname OPERATOR(pg_catalog.=) x.table_name)"                                       \
	" ORDER BY x.target_id, x.schema_name, x.table_name) m USING (target_id)"                   \
	" LEFT JOIN " COPIES " w USING (target_id)"

CatalogRows *
copies_select(void)
{
	return CATALOG_EXECUTE0("SELECT target_id, pid, rows, bytes, estimated FROM " COPIES " w");
}

CatalogRows *
conditions_select(void)
{
	return CATALOG_EXECUTE0(NODE_COLUMNS CONDITION_COLUMNS NODE_TABLES CONDITION_TABLES NODE_ORDER);
}

TimestampTz
target_as_of(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT " AS_OF " FROM depipe.target t"
										" LEFT JOIN depipe.target_state s USING (target_id)"
										" LEFT JOIN depipe.live_load lv USING (target_id)"
										" WHERE t.target_id OPERATOR(pg_catalog.=) $1",
										ARG_INT4(target_id));

	return rows->count == 0 ? 0 : catalog_time(rows, 0, 1);
}
