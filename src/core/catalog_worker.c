/*-------------------------------------------------------------------------
 *
 * catalog_worker.c
 *		Statements about what is due, attempts, and what is to be forgotten.
 *
 *-------------------------------------------------------------------------
 */
#include "core/catalog_worker.h"

#include "common/pg_prng.h"

#define FIRST_WAIT USECS_PER_SEC
#define LONGEST_WAIT (5 * USECS_PER_MINUTE)
#define LONGEST_HELD USECS_PER_MINUTE
#define JITTER 0.2

/* Rows of history that one pass deletes of each table. */
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

static int64
wait_after(int32 failures)
{
	int64 wait = FIRST_WAIT;
	double factor = 1.0 - JITTER + 2.0 * JITTER * pg_prng_double(&pg_global_prng_state);

	while (failures-- > 1 && wait < LONGEST_WAIT)
		wait *= 2;
	return (int64) ((double) Min(wait, LONGEST_WAIT) * factor);
}

void
attempt_begin(const char *unit)
{
	CatalogRows *rows = CATALOG_EXECUTE("SELECT failures FROM depipe.attempt"
										" WHERE unit OPERATOR(pg_catalog.=) $1",
										ARG_TEXT(unit));
	int32 failures = 1 + (rows->count == 0 ? 0 : catalog_int4(rows, 0, 1));
	TimestampTz now = GetCurrentTimestamp();

	(void) CATALOG_EXECUTE("INSERT INTO depipe.attempt (unit, started_at, failures, retry_at)"
						   " VALUES ($1, $2, $3, $4)"
						   " ON CONFLICT (unit) DO UPDATE SET started_at = EXCLUDED.started_at,"
						   " failures = EXCLUDED.failures, retry_at = EXCLUDED.retry_at",
						   ARG_TEXT(unit),
						   ARG_TIME(now),
						   ARG_INT4(failures),
						   ARG_TIME(now + wait_after(failures)));
}

void
attempt_end(const char *unit)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.attempt SET failures = 0, retry_at = NULL"
						   " WHERE unit OPERATOR(pg_catalog.=) $1",
						   ARG_TEXT(unit));
}

void
attempt_held(const char *unit)
{
	(void) CATALOG_EXECUTE("UPDATE depipe.attempt SET retry_at = LEAST(retry_at, $2)"
						   " WHERE unit OPERATOR(pg_catalog.=) $1",
						   ARG_TEXT(unit),
						   ARG_TIME(GetCurrentTimestamp() + LONGEST_HELD));
}

/* ---- what is due ---- */

static List *
ids_of(const CatalogRows *rows)
{
	List *ids = NIL;

	for (uint64 i = 0; i < rows->count; i++)
		ids = lappend_int(ids, catalog_int4(rows, i, 1));
	return ids;
}

static CatalogArg
id_array(List *ids)
{
	int count = list_length(ids);
	Datum *values = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		values[i] = Int32GetDatum(list_nth_int(ids, i));
	return ARG_DATUM(
		INT4ARRAYOID,
		PointerGetDatum(construct_array(values, count, INT4OID, 4, true, TYPALIGN_INT)));
}

#define NOT_WAITING(attempt)                                                        \
	"(" attempt ".retry_at IS NULL OR " attempt ".retry_at OPERATOR(pg_catalog.<=)" \
	" pg_catalog.clock_timestamp())"

#define LAG_PASSED(attempt, lag)                                                            \
	"(" attempt ".started_at IS NULL OR " attempt ".started_at OPERATOR(pg_catalog.+) " lag \
	" OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp())"

#define ATTEMPT_OF_SERVER \
	" LEFT JOIN depipe.attempt v ON v.unit OPERATOR(pg_catalog.=) ('server ' || l.server_name)"
#define ATTEMPT_OF_TARGET \
	" LEFT JOIN depipe.attempt u ON u.unit OPERATOR(pg_catalog.=) ('target ' || t.target_id)"

CatalogRows *
due_loads(List *target_ids)
{
	return CATALOG_EXECUTE(
		"SELECT l.server_name::text, l.target_id, s.state"
		" FROM depipe.target t JOIN depipe.load l USING (target_id)"
		" JOIN depipe.load_state s USING (target_id)" ATTEMPT_OF_SERVER ATTEMPT_OF_TARGET
		" WHERE s.state IN ('new', 'copying', 'streaming')"
		" AND " NOT_WAITING("v") " AND " NOT_WAITING("u") " AND (" LAG_PASSED(
			"v",
			"l.target_lag") " OR l.target_id OPERATOR(pg_catalog.=) ANY ($1))"
							" ORDER BY l.server_name, l.target_id",
		id_array(target_ids));
}

#define LOADS_TO_STREAM                                                                            \
	" FROM depipe.target t JOIN depipe.load l USING (target_id)"                                   \
	" JOIN depipe.load_state s USING (target_id)" ATTEMPT_OF_SERVER ATTEMPT_OF_TARGET              \
	" WHERE s.state IN ('new', 'copying', 'streaming') AND " NOT_WAITING("v") " AND " NOT_WAITING( \
		"u")

List *
servers_to_stream(void)
{
	CatalogRows *rows = CATALOG_EXECUTE0("SELECT DISTINCT l.server_name::text" LOADS_TO_STREAM
										 " ORDER BY 1");
	List *servers = NIL;

	for (uint64 i = 0; i < rows->count; i++)
		servers = lappend(servers, catalog_text(rows, i, 1));
	return servers;
}

List *
loads_to_stream(const char *server_name, long *target_lag_ms)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT l.target_id, LEAST(GREATEST(pg_catalog.date_part('epoch',"
		" pg_catalog.min(l.target_lag) OVER ()) OPERATOR(pg_catalog.*) 1000, 10),"
		" 60000)::bigint" LOADS_TO_STREAM
		" AND l.server_name OPERATOR(pg_catalog.=) $1::name ORDER BY l.target_id",
		ARG_TEXT(server_name));

	if (rows->count > 0)
		*target_lag_ms = (long) catalog_int8(rows, 0, 2);
	return ids_of(rows);
}

/* Never published counts as older than anything. */
List *
due_transforms(void)
{
	return ids_of(CATALOG_EXECUTE0(
		"SELECT t.target_id FROM depipe.target t JOIN depipe.transform f USING (target_id)"
		" LEFT JOIN depipe.target_state s USING (target_id)" ATTEMPT_OF_TARGET
		" WHERE f.target_lag IS NOT NULL AND " NOT_WAITING("u") " AND " LAG_PASSED(
			"u",
			"f.target_lag") " AND (s.data_as_of IS NULL"
							" OR s.data_as_of OPERATOR(pg_catalog.+) f.target_lag"
							" OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp())"
							" ORDER BY t.target_id"));
}

bool
due_after_failures(int32 target_id)
{
	return CATALOG_EXECUTE("SELECT FROM depipe.attempt u"
						   " WHERE u.unit OPERATOR(pg_catalog.=) $1 AND NOT " NOT_WAITING("u"),
						   ARG_TEXT(unit_of_target(target_id)))
			   ->count == 0;
}

bool
due_for_reader(int32 target_id, int32 reader_id)
{
	return CATALOG_EXECUTE("SELECT FROM depipe.target_state s, depipe.transform f"
						   " WHERE s.target_id OPERATOR(pg_catalog.=) $1"
						   " AND f.target_id OPERATOR(pg_catalog.=) $2"
						   " AND s.data_as_of OPERATOR(pg_catalog.+) f.target_lag"
						   " OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()",
						   ARG_INT4(target_id),
						   ARG_INT4(reader_id))
			   ->count == 0;
}

List *
due_time_checks(void)
{
	return ids_of(CATALOG_EXECUTE0(
		"SELECT DISTINCT c.target_id FROM depipe.constraint_definition c"
		" LEFT JOIN depipe.constraint_state s USING (constraint_id)"
		" WHERE (c.rule OPERATOR(pg_catalog.->>) 'kind') OPERATOR(pg_catalog.=) 'freshness'"
		" AND (s.evaluated_at IS NULL OR s.evaluated_at OPERATOR(pg_catalog.+) c.check_every"
		" OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp())"));
}

List *
due_breakers(void)
{
	return ids_of(CATALOG_EXECUTE0("SELECT target_id FROM depipe.breaker_state"
								   " WHERE state IN ('forced_open', 'disabled')"
								   " AND until OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()"
								   " ORDER BY target_id"));
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

#define IS_ORPHAN                                                \
	" r.status OPERATOR(pg_catalog.=) 'running'"                 \
	" AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a" \
	" WHERE a.pid OPERATOR(pg_catalog.=) r.pid"                  \
	" AND a.backend_start OPERATOR(pg_catalog.<=) r.started_at"  \
	" AND a.state IS DISTINCT FROM 'idle'"                       \
	" AND (a.query_start IS NULL"                                \
	" OR a.query_start OPERATOR(pg_catalog.<=) r.started_at))"

bool
housekeeping_is_due(void)
{
	CatalogRows *rows = CATALOG_EXECUTE0(
		"SELECT EXISTS (SELECT FROM depipe.target_state WHERE paused"
		" AND paused_until OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp())"
		" OR EXISTS (SELECT FROM depipe.run r WHERE" IS_ORPHAN ")"
		" OR NOT EXISTS (SELECT FROM depipe.attempt"
		" WHERE unit OPERATOR(pg_catalog.=) 'history'"
		" AND started_at OPERATOR(pg_catalog.+) interval '1 hour'"
		" OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp())");

	return catalog_bool(rows, 0, 1);
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

	/* the last run of a target says what state it is in */
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

bool
history_delete_old(int32 history_seconds, int32 quarantine_seconds)
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
	if (quarantine_seconds >= 0)
		(void) CATALOG_EXECUTE("DELETE FROM depipe.quarantined_row WHERE quarantine_id IN"
							   " (SELECT quarantine_id FROM depipe.quarantined_row"
							   " WHERE quarantined_at OPERATOR(pg_catalog.<) $1"
							   " ORDER BY quarantine_id LIMIT $2)",
							   ARG_TIME(now - quarantine_seconds * USECS_PER_SEC),
							   ARG_INT4(DELETE_AT_ONCE));
	(void) CATALOG_EXECUTE0("DELETE FROM depipe.attempt a WHERE a.unit OPERATOR(pg_catalog.~~)"
							" 'target %' AND NOT EXISTS (SELECT FROM depipe.target t WHERE"
							" a.unit OPERATOR(pg_catalog.=) ('target ' || t.target_id))");
	return true;
}
