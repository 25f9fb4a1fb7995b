/*-------------------------------------------------------------------------
 *
 * attempts.c
 *		Statements about due work, attempts, and the deletion of old history.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/attempts.h"

#include "common/pg_prng.h"
#include "catalog/constraints.h"
#include "catalog/copies.h"
#include "catalog/table_looks.h"
#include "core/shmem.h"

#define FIRST_WAIT USECS_PER_SEC
#define LONGEST_WAIT (5 * USECS_PER_MINUTE)
#define LONGEST_HELD USECS_PER_MINUTE
#define JITTER 0.2

/* Maximum number of rows that one pass deletes from each history table. */
#define DELETE_AT_ONCE 10000

/* ---- attempts ---- */

char *
unit_of_server(const char *server_name)
{
	return psprintf("server %s", server_name);
}

char *
unit_of_target(int32 target_id)
{
	return psprintf("target %d", target_id);
}

char *
unit_of_load(const char *server_name, int32 target_id)
{
	return server_name == NULL ? unit_of_target(target_id) : unit_of_server(server_name);
}

char *
unit_of_checks(int32 target_id)
{
	return psprintf("checks %d", target_id);
}

static int64
wait_after(int32 failures)
{
	int64 wait = FIRST_WAIT;
	double factor = 1.0 - JITTER + 2.0 * JITTER * pg_prng_double(&pg_global_prng_state);

	while (failures-- > 1 && wait < LONGEST_WAIT)
		wait *= 2;
	return (int64) ((double) Min(wait, LONGEST_WAIT) * factor);
}

TimestampTz
attempt_begin(const char *unit)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT failures FROM depipe.attempt"
										" WHERE unit OPERATOR(pg_catalog.=) $1",
										ARG_TEXT(unit));
	int32 failures = 1 + (rows->count == 0 ? 0 : catalog_int4(rows, 0, 1));
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz retry_at = now + wait_after(failures);

	(void) CATALOG_EXECUTE("INSERT INTO depipe.attempt (unit, started_at, failures, retry_at)"
						   " VALUES ($1, $2, $3, $4)"
						   " ON CONFLICT (unit) DO UPDATE SET started_at = EXCLUDED.started_at,"
						   " failures = EXCLUDED.failures, retry_at = EXCLUDED.retry_at",
						   ARG_TEXT(unit),
						   ARG_TIME(now),
						   ARG_INT4(failures),
						   ARG_TIME(retry_at));
	return retry_at;
}

void
attempt_end(const char *unit)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.attempt SET failures = 0, retry_at = NULL"
						   " WHERE unit OPERATOR(pg_catalog.=) $1"
						   " AND (failures OPERATOR(pg_catalog.<>) 0 OR retry_at IS NOT NULL)",
						   ARG_TEXT(unit));
}

void
attempt_rested(const char *unit)
{
	(void) CATALOG_EXECUTE("INSERT INTO depipe.attempt (unit, started_at, failures)"
						   " VALUES ($1, $2, 0) ON CONFLICT (unit) DO UPDATE"
						   " SET started_at = EXCLUDED.started_at, failures = 0, retry_at = NULL",
						   ARG_TEXT(unit),
						   ARG_TIME(GetCurrentTimestamp()));
}

void
attempt_forget(const char *unit)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.attempt WHERE unit OPERATOR(pg_catalog.=) $1",
						   ARG_TEXT(unit));
}

void
attempt_held(const char *unit)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.attempt SET retry_at = LEAST(retry_at, $2)"
						   " WHERE unit OPERATOR(pg_catalog.=) $1"
						   " AND retry_at IS NOT NULL",
						   ARG_TEXT(unit),
						   ARG_TIME(GetCurrentTimestamp() + LONGEST_HELD));
}

void
attempts_end_of_readers(int32 target_id)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"WITH RECURSIVE reader (target_id) AS (SELECT $1 UNION"
		" SELECT i.target_id FROM reader r JOIN depipe.target t USING (target_id)"
		" JOIN depipe.transform_input i ON i.schema_name OPERATOR(pg_catalog.=) t.schema_name"
		" AND i.table_name OPERATOR(pg_catalog.=) t.table_name)"
		" DELETE FROM depipe.attempt WHERE retry_at IS NOT NULL"
		" AND unit IN (SELECT 'target ' || r.target_id FROM reader r"
		" WHERE r.target_id OPERATOR(pg_catalog.<>) $1)",
		ARG_INT4(target_id));

	if (rows->processed > 0)
		catalog_changed(); /* they may be due now */
}

CatalogRows *
attempts_of_loads(const char *server_name)
{
	return CATALOG_EXECUTE("SELECT l.target_id, u.failures, u.retry_at"
						   " FROM depipe.load l JOIN depipe.attempt u"
						   " ON u.unit OPERATOR(pg_catalog.=) ('target ' || l.target_id)"
						   " WHERE l.server_name OPERATOR(pg_catalog.=) $1::name"
						   " AND u.failures OPERATOR(pg_catalog.>) 0",
						   ARG_TEXT(server_name));
}

/* ---- due work ---- */

static List *
ids_of(const CatalogRows *rows)
{
	List *ids = NIL;

	for (uint64 i = 0; i < rows->count; i++)
		ids = lappend_int(ids, catalog_int4(rows, i, 1));
	return ids;
}

static List *
names_of(const CatalogRows *rows)
{
	List *names = NIL;

	for (uint64 i = 0; i < rows->count; i++)
		names = lappend(names, catalog_text(rows, i, 1));
	return names;
}

/*
 * Each due time is a single expression: the queries for work due now compare
 * it with the clock, and the query for the next time takes its minimum, so
 * that they agree.  GREATEST ignores NULL.  Never is 'infinity', and
 * immediately is '-infinity'.
 */
#define IS_DUE(at) "(" at ") OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()"

/* A time in the future was recorded before the clock was set back.  Nothing must wait for it. */
#define HAS_PASSED(time) "(" time " OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp())"

#define ATTEMPT_OF_SERVER                                                         \
	" LEFT JOIN depipe.attempt v ON v.unit OPERATOR(pg_catalog.=) " UNIT_OF_LOAD( \
		"l.server_name") " AND " HAS_PASSED("v.started_at")
#define ATTEMPT_OF_TARGET                                                                     \
	" LEFT JOIN depipe.attempt u ON u.unit OPERATOR(pg_catalog.=) ('target ' || t.target_id)" \
	" AND " HAS_PASSED("u.started_at")
#define ATTEMPT_OF_CHECKS                                                                     \
	" LEFT JOIN depipe.attempt k ON k.unit OPERATOR(pg_catalog.=) ('checks ' || c.target_id)" \
	" AND " HAS_PASSED("k.started_at")

/* A definition that cannot run as its owner waits until it can. */
#define HELD_UNTIL(server)                                         \
	"CASE WHEN p.paused THEN COALESCE(p.paused_until, 'infinity')" \
	" WHEN depipe.owner_problem(t.owner, " server ") IS NOT NULL"  \
	" THEN 'infinity' END"
#define LOAD_HELD_UNTIL HELD_UNTIL("l.server_name")
#define TRANSFORM_HELD_UNTIL HELD_UNTIL("NULL")

/* ---- loads ---- */

#define LOADS_TO_RUN                                                                          \
	" FROM depipe.target t JOIN depipe.load l USING (target_id)"                              \
	" JOIN depipe.load_state s USING (target_id)"                                             \
	" LEFT JOIN depipe.target_state p USING (target_id)"                                      \
	" LEFT JOIN depipe.breaker_state b USING (target_id)" ATTEMPT_OF_SERVER ATTEMPT_OF_TARGET \
	" WHERE s.state IN ('new', 'copying', 'streaming')"

/*
 * A load that streams continues even if its table is held; its rows are
 * parked.  A copy does not start while its rows could not be published.
 */
#define COPY_BARRED_UNTIL                                                    \
	"GREATEST(" LOAD_HELD_UNTIL ", CASE b.state WHEN 'open' THEN b.retry_at" \
	" WHEN 'forced_open' THEN COALESCE(b.until, 'infinity') END)"
#define LOAD_WAITS_UNTIL                                                   \
	"CASE WHEN s.state OPERATOR(pg_catalog.<>) 'streaming' THEN GREATEST(" \
	"u.retry_at, " COPY_BARRED_UNTIL ") END"

#define LOAD_AT "COALESCE(GREATEST(v.retry_at, " LOAD_WAITS_UNTIL "), '-infinity')"
#define LOAD_LAG_AT                                                                  \
	"COALESCE(GREATEST(v.retry_at, v.started_at OPERATOR(pg_catalog.+) l.target_lag" \
	", " LOAD_WAITS_UNTIL "), '-infinity')"

/*
 * Pending work in the table of a load that does not depend on changes of the
 * source: a copy to start or retry, a probe of its breaker, parked rows, and
 * rows to be retried.  Most loads have none.
 */
#define HAS_WAITING_ROWS "p.parked OPERATOR(pg_catalog.>) 0 OR p.retries OPERATOR(pg_catalog.>) 0"

#define IS_BEING_COPIED                                     \
	"EXISTS (SELECT FROM depipe.run r"                      \
	" WHERE r.target_id OPERATOR(pg_catalog.=) t.target_id" \
	" AND r.status OPERATOR(pg_catalog.=) 'running')"

#define WORK_AT                                                                                 \
	"GREATEST(v.retry_at, u.retry_at, " LOAD_HELD_UNTIL ", CASE"                                \
	" WHEN b.state OPERATOR(pg_catalog.=) 'forced_open' THEN 'infinity'"                        \
	" WHEN s.state OPERATOR(pg_catalog.<>) 'streaming' AND " IS_BEING_COPIED " THEN 'infinity'" \
	" WHEN b.state OPERATOR(pg_catalog.=) 'half_open' THEN '-infinity'"                         \
	" WHEN b.state OPERATOR(pg_catalog.=) 'open' AND (b.changed OR s.state"                     \
	" OPERATOR(pg_catalog.<>) 'streaming') THEN b.retry_at"                                     \
	" WHEN b.state OPERATOR(pg_catalog.=) 'open' THEN 'infinity'"                               \
	" WHEN s.state OPERATOR(pg_catalog.<>) 'streaming' OR " HAS_WAITING_ROWS                    \
	" THEN '-infinity' ELSE 'infinity' END::timestamptz)"

CatalogRows *
due_loads(List *target_ids)
{
	return CATALOG_EXECUTE("SELECT l.server_name::text, l.target_id, s.state" LOADS_TO_RUN
						   " AND (" IS_DUE("LEAST(" LOAD_LAG_AT ", " WORK_AT ")") " OR (" IS_DUE(
							   LOAD_AT) " AND l.target_id OPERATOR(pg_catalog.=) ANY ($1)))"
										" ORDER BY v.started_at NULLS FIRST, l.server_name,"
										" l.target_id",
						   ARG_INT4_ARRAY(target_ids));
}

List *
servers_to_stream(void)
{
	return names_of(
		CATALOG_EXECUTE0("SELECT DISTINCT l.server_name::text" LOADS_TO_RUN
						 " AND l.server_name IS NOT NULL AND " IS_DUE(LOAD_AT) " ORDER BY 1"));
}

List *
loads_to_stream(const char *server_name, long *target_lag_ms)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT l.target_id, LEAST(GREATEST(pg_catalog.date_part('epoch',"
		" pg_catalog.min(l.target_lag) OVER ()) OPERATOR(pg_catalog.*) 1000, 10),"
		" 60000)::bigint" LOADS_TO_RUN " AND " IS_DUE(
			LOAD_AT) " AND l.server_name OPERATOR(pg_catalog.=) $1::name ORDER BY l.target_id",
		ARG_TEXT(server_name));

	if (rows->count > 0)
		*target_lag_ms = (long) catalog_int8(rows, 0, 2);
	return ids_of(rows);
}

TimestampTz
server_next_work(const char *server_name)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT pg_catalog.min(" WORK_AT ")" LOADS_TO_RUN
										" AND l.server_name OPERATOR(pg_catalog.=) $1::name",
										ARG_TEXT(server_name));

	return catalog_isnull(rows, 0, 1) ? DT_NOEND : catalog_time(rows, 0, 1);
}

CatalogRows *
servers_next(void)
{
	return CATALOG_EXECUTE0("SELECT l.server_name::text, pg_catalog.min(LEAST(" LOAD_LAG_AT
							", " WORK_AT "))" LOADS_TO_RUN " GROUP BY 1");
}

/* ---- copies ---- */

/* No process is copying the table.  A copier holds an advisory lock; see catalog/copies.h. */
#define IS_UNCLAIMED                                                                             \
	" l.target_id OPERATOR(pg_catalog.<>) ALL (ARRAY(SELECT k.objid::int8::int4"                 \
	" FROM pg_catalog.pg_locks k WHERE k.locktype OPERATOR(pg_catalog.=) 'advisory'"             \
	" AND k.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d"         \
	" WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())"                     \
	" AND k.classid OPERATOR(pg_catalog.=) 'depipe.stream'::pg_catalog.regclass::pg_catalog.oid" \
	" AND k.objsubid OPERATOR(pg_catalog.=) " COPY_LOCK_SPACE_TEXT " AND k.granted))"

#define COPY_AT "COALESCE(" LOAD_WAITS_UNTIL ", '-infinity')"
#define COPIES_TO_RUN                                                        \
	LOADS_TO_RUN " AND s.state OPERATOR(pg_catalog.=) 'copying'"             \
				 " AND EXISTS (SELECT FROM depipe.stream r"                  \
				 " WHERE r.server_name OPERATOR(pg_catalog.=) l.server_name" \
				 " AND r.state OPERATOR(pg_catalog.=) 'streaming')"

CatalogRows *
copies_waiting(const char *server_name)
{
	return CATALOG_EXECUTE(
		"SELECT l.target_id, l.source_schema::text, l.source_table::text,"
		" COALESCE(p.relid, 0), COALESCE(u.failures, 0), " IS_DUE(COPY_AT) COPIES_TO_RUN
		" AND " IS_DUE("COALESCE(" COPY_BARRED_UNTIL
					   ", '-infinity')") " AND l.server_name OPERATOR(pg_catalog.=)"
										 " $1::name AND" IS_UNCLAIMED " ORDER BY l.target_id",
		ARG_TEXT(server_name));
}

CatalogRows *
copies_next(void)
{
	return CATALOG_EXECUTE0("SELECT l.server_name::text, pg_catalog.count(*) FILTER (WHERE " IS_DUE(
		COPY_AT) ")::int4, pg_catalog.min(" COPY_AT ")" COPIES_TO_RUN " AND" IS_UNCLAIMED
				 " GROUP BY 1 ORDER BY 1");
}

/* ---- transforms ---- */

/*
 * Has anything changed that an open transform reads or refers to?  Changes of
 * tables that depipe does not maintain cannot be detected, so such an input
 * counts as changed.
 */
#define INPUTS_HAVE_CHANGED                                                               \
	"(b.changed OR EXISTS (SELECT FROM (SELECT i.schema_name, i.table_name"               \
	" FROM depipe.transform_input i WHERE i.target_id OPERATOR(pg_catalog.=) t.target_id" \
	" UNION ALL SELECT c.reference_schema, c.reference_table"                             \
	" FROM depipe.constraint_definition c"                                                \
	" WHERE c.target_id OPERATOR(pg_catalog.=) t.target_id"                               \
	" AND c.reference_table IS NOT NULL) i"                                               \
	" LEFT JOIN depipe.target n ON n.schema_name OPERATOR(pg_catalog.=) i.schema_name"    \
	" AND n.table_name OPERATOR(pg_catalog.=) i.table_name"                               \
	" AND n.kind OPERATOR(pg_catalog.<>) 't'"                                             \
	" WHERE n.target_id IS NULL OR EXISTS (SELECT FROM depipe.run r"                      \
	" WHERE r.target_id OPERATOR(pg_catalog.=) n.target_id"                               \
	" AND r.finished_at OPERATOR(pg_catalog.>) b.since"                                   \
	" AND (r.inserted OPERATOR(pg_catalog.>) 0 OR r.updated OPERATOR(pg_catalog.>) 0"     \
	" OR r.deleted OPERATOR(pg_catalog.>) 0))))"

/* A breaker can make a transform due that otherwise runs on demand only. */
#define BREAKER_WAITS_UNTIL                                                               \
	"CASE WHEN b.state OPERATOR(pg_catalog.=) 'open' THEN CASE WHEN " INPUTS_HAVE_CHANGED \
	" THEN b.retry_at ELSE 'infinity' END"                                                \
	" WHEN b.state OPERATOR(pg_catalog.=) 'forced_open' THEN 'infinity'"                  \
	" WHEN f.target_lag IS NULL AND b.state IS DISTINCT FROM 'half_open'"                 \
	" THEN 'infinity' END"

/*
 * A transform that was never published is older than any target_lag.  A
 * data_as_of in the future (the clock of the source is ahead) is ignored.  A
 * probe does not wait for target_lag, but for one second after a probe that
 * ended without a decision.
 */
#define TRANSFORM_AGAIN_AT                                              \
	"CASE WHEN b.state OPERATOR(pg_catalog.=) 'half_open' THEN"         \
	" CASE WHEN u.started_at OPERATOR(pg_catalog.>) b.since"            \
	" THEN u.started_at OPERATOR(pg_catalog.+) interval '1 second' END" \
	" ELSE GREATEST(u.started_at, CASE WHEN " HAS_PASSED(               \
		"p.data_as_of") " THEN p.data_as_of END) OPERATOR(pg_catalog.+) f.target_lag END"

#define TRANSFORM_AT                                                              \
	"COALESCE(GREATEST(u.retry_at, " TRANSFORM_AGAIN_AT ", " TRANSFORM_HELD_UNTIL \
	", " BREAKER_WAITS_UNTIL "), '-infinity')"

#define TRANSFORMS_TO_RUN                                             \
	" FROM depipe.target t JOIN depipe.transform f USING (target_id)" \
	" LEFT JOIN depipe.target_state p USING (target_id)"              \
	" LEFT JOIN depipe.breaker_state b USING (target_id)" ATTEMPT_OF_TARGET

List *
due_transforms(void)
{
	return ids_of(CATALOG_EXECUTE0("SELECT t.target_id" TRANSFORMS_TO_RUN
								   " WHERE " IS_DUE(TRANSFORM_AT) " ORDER BY u.started_at"
																  " NULLS FIRST, t.target_id"));
}

bool
due_after_failures(int32 target_id)
{
	return CATALOG_EXECUTE("SELECT FROM depipe.attempt u"
						   " WHERE u.unit OPERATOR(pg_catalog.=) $1"
						   " AND u.retry_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()"
						   " AND " HAS_PASSED("u.started_at"),
						   ARG_TEXT(unit_of_target(target_id)))
			   ->count == 0;
}

bool
due_for_reader(int32 target_id, int32 reader_id)
{
	return CATALOG_EXECUTE(
			   "SELECT FROM depipe.target_state s, depipe.transform f"
			   " WHERE s.target_id OPERATOR(pg_catalog.=) $1"
			   " AND f.target_id OPERATOR(pg_catalog.=) $2"
			   " AND " HAS_PASSED(
				   "s.data_as_of") " AND s.data_as_of OPERATOR(pg_catalog.+) f.target_lag"
								   " OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()",
			   ARG_INT4(target_id),
			   ARG_INT4(reader_id))
			   ->count == 0;
}

/* ---- work that only depends on time ---- */

/*
 * A time check is due again at the earliest one second after its evaluation,
 * whatever its check_every.
 */
#define CHECK_AT                                              \
	"COALESCE(GREATEST(s.evaluated_at OPERATOR(pg_catalog.+)" \
	" GREATEST(c.check_every, '1 second'), k.retry_at), '-infinity')"

#define TIME_CHECKS                                                                \
	" FROM depipe.constraint_definition c"                                         \
	" LEFT JOIN depipe.constraint_state s USING (constraint_id)" ATTEMPT_OF_CHECKS \
	" WHERE " IS_TIME_CHECK

/* The end of the grace period of pending keys that were not evaluated since. */
#define GRACE_AT "GREATEST(g.since OPERATOR(pg_catalog.+) c.grace, k.retry_at)"

#define PENDING_KEYS                                                               \
	" FROM depipe.pending_key g"                                                   \
	" JOIN depipe.constraint_definition c USING (constraint_id)"                   \
	" LEFT JOIN depipe.constraint_state s USING (constraint_id)" ATTEMPT_OF_CHECKS \
	" WHERE (s.evaluated_at IS NULL OR s.evaluated_at OPERATOR(pg_catalog.<)"      \
	" (g.since OPERATOR(pg_catalog.+) c.grace))"

/* A table that nothing publishes to is probed by evaluating its constraints. */
#define PROBE_AT                                                        \
	"COALESCE(GREATEST(CASE WHEN b.state OPERATOR(pg_catalog.=) 'open'" \
	" THEN b.retry_at END, k.retry_at), '-infinity')"

#define TABLES_TO_PROBE                                                                     \
	" FROM depipe.breaker_state b JOIN depipe.target c USING (target_id)" ATTEMPT_OF_CHECKS \
	" WHERE c.kind OPERATOR(pg_catalog.=) 't'"                                              \
	" AND b.state IN ('open', 'half_open')"

bool
has_time_checks_to_follow(int32 target_id)
{
	return CATALOG_EXECUTE(
			   "SELECT" TIME_CHECKS " AND c.target_id OPERATOR(pg_catalog.=) $1"
			   " AND (s.outcome IN ('warn', 'fail', 'error') OR " IS_DUE(CHECK_AT) ") LIMIT 1",
			   ARG_INT4(target_id))
			   ->count > 0;
}

List *
due_time_checks(void)
{
	return ids_of(
		CATALOG_EXECUTE0("SELECT DISTINCT c.target_id" TIME_CHECKS " AND " IS_DUE(CHECK_AT)));
}

List *
due_pending_keys(void)
{
	return ids_of(
		CATALOG_EXECUTE0("SELECT DISTINCT c.target_id" PENDING_KEYS " AND " IS_DUE(GRACE_AT)));
}

List *
due_tables(void)
{
	return ids_of(CATALOG_EXECUTE0("SELECT b.target_id" TABLES_TO_PROBE " AND " IS_DUE(PROBE_AT)));
}

List *
due_breakers(void)
{
	return ids_of(CATALOG_EXECUTE0("SELECT target_id FROM depipe.breaker_state"
								   " WHERE state IN ('forced_open', 'disabled')"
								   " AND " IS_DUE("until") " ORDER BY target_id"));
}

/* ---- housekeeping ---- */

List *
pauses_expire(void)
{
	return ids_of(
		CATALOG_EXECUTE0("UPDATE depipe.target_state SET paused = false, pause_reason = NULL,"
						 " paused_until = NULL WHERE paused AND paused_until"
						 " OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()"
						 " RETURNING target_id"));
}

/*
 * Targets whose owner_problem has changed.  No event reports that a role is
 * dropped or loses a privilege.
 */
#define OWNERS_TO_NOTE                                                                   \
	" FROM (SELECT t.target_id, depipe.owner_problem(t.owner, l.server_name) AS problem" \
	" FROM depipe.target t LEFT JOIN depipe.load l USING (target_id)"                    \
	" WHERE t.kind OPERATOR(pg_catalog.<>) 't') o"                                       \
	" LEFT JOIN depipe.target_state s USING (target_id)"                                 \
	" WHERE s.owner_problem IS DISTINCT FROM o.problem"

CatalogRows *
owners_note(void)
{
	return CATALOG_EXECUTE0(
		"INSERT INTO depipe.target_state AS n (target_id, owner_problem,"
		" owner_problem_since) SELECT o.target_id, o.problem,"
		" CASE WHEN o.problem IS NOT NULL THEN pg_catalog.clock_timestamp() END" OWNERS_TO_NOTE
		" ON CONFLICT (target_id) DO UPDATE"
		" SET owner_problem = EXCLUDED.owner_problem, owner_problem_since ="
		" CASE WHEN EXCLUDED.owner_problem IS NOT NULL THEN"
		" COALESCE(n.owner_problem_since, EXCLUDED.owner_problem_since) END"
		" RETURNING target_id, owner_problem");
}

#define IS_ORPHAN                                                \
	" r.status OPERATOR(pg_catalog.=) 'running'"                 \
	" AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a" \
	" WHERE a.pid OPERATOR(pg_catalog.=) r.pid"                  \
	" AND a.backend_start OPERATOR(pg_catalog.<=) r.started_at"  \
	" AND a.state IS DISTINCT FROM 'idle'"                       \
	" AND (a.query_start IS NULL"                                \
	" OR a.query_start OPERATOR(pg_catalog.<=) r.started_at))"

#define LOOK_AT_HISTORY_EVERY "interval '1 hour'"
#define LOOK_AT_RUNNING_EVERY "interval '1 minute'"
#define LOOK_AT_OWNERS_EVERY "interval '10 seconds'"

/*
 * No event reports that a session ends in the middle of a run, so running runs
 * are checked from time to time.  The same holds for the owners of ownerless
 * definitions.
 */
#define HOUSEKEEPING_AT                                                                       \
	"SELECT paused_until FROM depipe.target_state WHERE paused"                               \
	" UNION ALL SELECT until FROM depipe.breaker_state WHERE state IN ('forced_open',"        \
	" 'disabled')"                                                                            \
	" UNION ALL SELECT COALESCE((SELECT started_at OPERATOR(pg_catalog.+)"                    \
	" " LOOK_AT_HISTORY_EVERY " FROM depipe.attempt"                                          \
	" WHERE unit OPERATOR(pg_catalog.=) 'history'), '-infinity')"                             \
	" UNION ALL SELECT CASE WHEN" IS_ORPHAN " THEN '-infinity'"                               \
	" ELSE pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) " LOOK_AT_RUNNING_EVERY " END" \
	" FROM depipe.run r WHERE r.status OPERATOR(pg_catalog.=) 'running'"                      \
	" UNION ALL SELECT '-infinity'" OWNERS_TO_NOTE                                            \
	" UNION ALL SELECT pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+)"                   \
	" " LOOK_AT_OWNERS_EVERY " FROM depipe.target_state WHERE owner_problem IS NOT NULL"

TimestampTz
other_work_next(void)
{
	CatalogRows *rows = CATALOG_EXECUTE0(
		"SELECT pg_catalog.min(x.at) FROM (SELECT " TRANSFORM_AT TRANSFORMS_TO_RUN
		" UNION ALL SELECT " CHECK_AT TIME_CHECKS " UNION ALL SELECT " GRACE_AT PENDING_KEYS
		" UNION ALL SELECT " PROBE_AT TABLES_TO_PROBE
		" UNION ALL SELECT '-infinity' FROM (SELECT FROM depipe.write_finding LIMIT 1) w"
		" UNION ALL SELECT " TABLE_LOOK_AT TABLE_LOOKS " UNION ALL " HOUSEKEEPING_AT ") x (at)");

	return catalog_isnull(rows, 0, 1) ? DT_NOEND : catalog_time(rows, 0, 1);
}

int64
runs_fail_orphans(void)
{
	return CATALOG_EXECUTE0("UPDATE depipe.run r SET status = 'failed', reason = 'crashed',"
							" finished_at = pg_catalog.clock_timestamp(), error_sqlstate = '57P02',"
							" error_message = 'the session that ran it has ended'"
							" WHERE" IS_ORPHAN)
		->processed;
}

static void
delete_old_history(TimestampTz before)
{
	CatalogArg arguments[] = {ARG_TIME(before), ARG_INT4(DELETE_AT_ONCE)};

	/* keep the last run of each target, because it determines the target's state */
	(void) catalog_execute("DELETE FROM depipe.run WHERE run_id IN (SELECT r.run_id"
						   " FROM depipe.run r WHERE r.finished_at OPERATOR(pg_catalog.<) $1"
						   " AND EXISTS (SELECT FROM depipe.run n WHERE n.target_id"
						   " OPERATOR(pg_catalog.=) r.target_id AND n.run_id"
						   " OPERATOR(pg_catalog.>) r.run_id AND n.status NOT IN"
						   " ('running', 'skipped')) ORDER BY r.run_id LIMIT $2)",
						   lengthof(arguments),
						   arguments);
	(void) catalog_execute("DELETE FROM depipe.verdict WHERE verdict_id IN (SELECT verdict_id"
						   " FROM depipe.verdict WHERE recorded_at OPERATOR(pg_catalog.<) $1"
						   " ORDER BY verdict_id LIMIT $2)",
						   lengthof(arguments),
						   arguments);
	(void) catalog_execute("DELETE FROM depipe.incident WHERE incident_id IN (SELECT incident_id"
						   " FROM depipe.incident WHERE closed_at OPERATOR(pg_catalog.<) $1"
						   " ORDER BY incident_id LIMIT $2)",
						   lengthof(arguments),
						   arguments);
	(void) catalog_execute("DELETE FROM depipe.event WHERE event_id IN (SELECT event_id"
						   " FROM depipe.event WHERE happened_at OPERATOR(pg_catalog.<) $1"
						   " ORDER BY event_id LIMIT $2)",
						   lengthof(arguments),
						   arguments);
}

static void
delete_old_audit(TimestampTz before)
{
	(void) CATALOG_EXECUTE("DELETE FROM depipe.audit_entry WHERE audit_id IN (SELECT audit_id"
						   " FROM depipe.audit_entry WHERE happened_at OPERATOR(pg_catalog.<) $1"
						   " ORDER BY audit_id LIMIT $2)",
						   ARG_TIME(before),
						   ARG_INT4(DELETE_AT_ONCE));
}

/*
 * A transform lacks the rows that are deleted, and no changes of its inputs would
 * bring them back: its next refresh evaluates the query.
 */
static void
delete_old_quarantine(TimestampTz before)
{
	(void) CATALOG_EXECUTE("WITH gone AS (DELETE FROM depipe.quarantined_row"
						   " WHERE quarantine_id IN"
						   " (SELECT quarantine_id FROM depipe.quarantined_row"
						   " WHERE quarantined_at OPERATOR(pg_catalog.<) $1"
						   " ORDER BY quarantine_id LIMIT $2) RETURNING target_id)"
						   " UPDATE depipe.transform_state SET frontier_captures = '{}'"
						   " WHERE target_id IN (SELECT target_id FROM gone)",
						   ARG_TIME(before),
						   ARG_INT4(DELETE_AT_ONCE));
}

bool
history_delete_old(int32 history_seconds, int32 quarantine_seconds, int32 audit_seconds)
{
	TimestampTz now = GetCurrentTimestamp();
	CatalogRows *rows = CATALOG_EXECUTE("INSERT INTO depipe.attempt AS a"
										" (unit, started_at, failures) VALUES ('history', $1, 0)"
										" ON CONFLICT (unit) DO UPDATE SET started_at ="
										" EXCLUDED.started_at WHERE a.started_at"
										" OPERATOR(pg_catalog.<) $2",
										ARG_TIME(now),
										ARG_TIME(now - USECS_PER_HOUR));

	if (rows->processed == 0)
		return false;
	if (history_seconds >= 0)
		delete_old_history(now - history_seconds * USECS_PER_SEC);
	if (audit_seconds >= 0)
		delete_old_audit(now - audit_seconds * USECS_PER_SEC);
	if (quarantine_seconds >= 0)
		delete_old_quarantine(now - quarantine_seconds * USECS_PER_SEC);
	(void) CATALOG_EXECUTE0("DELETE FROM depipe.attempt a"
							" WHERE a.unit OPERATOR(pg_catalog.<>) 'history'"
							" AND NOT EXISTS (SELECT FROM depipe.target t WHERE a.unit"
							" IN ('target ' || t.target_id, 'checks ' || t.target_id))"
							" AND NOT EXISTS (SELECT FROM depipe.load l WHERE a.unit"
							" OPERATOR(pg_catalog.=) ('server ' || l.server_name))");
	return true;
}
