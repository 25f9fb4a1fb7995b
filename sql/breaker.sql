--
-- Breakers: states, what a person may do, what waits downstream, the guard.
--
SET client_min_messages = notice;
SET timezone = 'UTC';
CREATE SCHEMA raw;
CREATE SCHEMA mart;

CREATE FUNCTION public.raises(statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	hint text;
	detail text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ': ' || SQLERRM || CASE WHEN detail <> '' THEN ' / ' || detail ELSE '' END
		|| CASE WHEN hint <> '' THEN ' | ' || hint ELSE '' END;
END
$$;
CREATE FUNCTION public.refreshed(name text) RETURNS SETOF text
LANGUAGE sql AS $$
	SELECT target || ' ' || status || CASE WHEN status IN ('blocked', 'failed') THEN ': ' || reason ELSE '' END
	FROM depipe.refresh(name)
$$;
CREATE VIEW public.b AS SELECT target, state, reason FROM depipe.breakers ORDER BY target;

CREATE TABLE raw.a (id int PRIMARY KEY, x int, at timestamptz);
INSERT INTO raw.a VALUES (1, 1, now());
SELECT depipe.create_transform('mart.a', 'SELECT * FROM raw.a', key => '{id}');
SELECT depipe.create_transform('mart.b', 'SELECT id, x FROM mart.a', key => '{id}');
SELECT depipe.create_transform('mart.c', 'SELECT count(*) AS n FROM mart.b');
SELECT depipe.add_constraint('mart.a', depipe.satisfies('x > 0'));
SELECT * FROM b;

-- bad input
SELECT raises($$SELECT depipe.trip(NULL, 'x')$$);
SELECT raises($$SELECT depipe.trip('mart.a', NULL)$$);
SELECT raises($$SELECT depipe.trip('mart.a', ' ')$$);
SELECT raises($$SELECT depipe.trip('mart.nope', 'x')$$);
SELECT raises($$SELECT depipe.trip('raw.a', 'x')$$);
SELECT raises($$SELECT depipe.trip('mart.a', 'x', now() - interval '1 second')$$);
SELECT raises($$SELECT depipe.trip('mart.a', 'x', 'infinity')$$);
SELECT raises($$SELECT depipe.override('mart.a', 'x', NULL)$$);
SELECT raises($$SELECT depipe.override('mart.a', NULL, now() + interval '1 minute')$$);
SELECT raises($$SELECT depipe.override('mart.a', 'x', now() + interval '1 year')$$);
SELECT raises($$SELECT depipe.configure_breaker('mart.nope')$$);
SELECT raises($$SELECT depipe.configure_breaker('mart.a', mode => 'x')$$);
SELECT raises($$SELECT depipe.configure_breaker('mart.a', on_open => 'block_reads')$$);
SELECT raises($$SELECT depipe.configure_breaker('mart.a', on_open => 'x')$$);
SELECT raises($$SELECT depipe.configure_breaker('mart.a', bad_runs => 0)$$);
SELECT raises($$SELECT depipe.configure_breaker('mart.a', bad_runs => 3, of_runs => 2)$$);
SELECT raises($$SELECT depipe.configure_breaker('mart.a', retry_wait => '-1 s')$$);
SELECT raises($$SELECT depipe.guard('mart.a', NULL)$$);
SELECT raises($$SELECT depipe.guard(VARIADIC '{}')$$);
SELECT depipe.reset('mart.a', 'nothing to do');
SELECT * FROM b;

-- opens on a bad run; fails fast; what is downstream waits, with the path
UPDATE raw.a SET x = -1;
SELECT refreshed('mart.*');
SELECT * FROM b;
SELECT refreshed('mart.*');
SELECT raises($$SELECT depipe.guard('mart.a')$$);
SELECT raises($$SELECT depipe.guard('mart.c')$$);
SELECT raises($$SELECT depipe.guard('mart.b', 'mart.c')$$);
SELECT id, x, n FROM mart.a, mart.c;

-- a probe that fails opens it again, with a doubled wait
SELECT wait FROM depipe.breaker_state WHERE target_id = (SELECT target_id FROM depipe.target WHERE table_name = 'a');
SELECT depipe.reset('mart.a', 'try');
SELECT depipe.reset('mart.a', 'try');
SELECT raises($$SELECT depipe.guard('mart.a')$$);
SELECT refreshed('mart.*');
SELECT wait, retry_at > now() AS waits FROM depipe.breaker_state WHERE state = 'open';
SELECT * FROM b;

-- the wait is over: the next run is a probe by itself
UPDATE depipe.breaker_state SET retry_at = now() WHERE state = 'open';
UPDATE raw.a SET x = 2;
SELECT refreshed('mart.*');
SELECT * FROM b;
SELECT depipe.guard('mart.c');
SELECT wait FROM depipe.breaker_state WHERE wait > '0';

-- by hand: forced_open, at its time half_open, never straight to closed
SELECT depipe.trip('mart.a', 'first', now() + interval '1 hour');
SELECT depipe.trip('mart.a', 'second', now() + interval '2 hours');
SELECT * FROM b;
UPDATE raw.a SET x = 3;
SELECT refreshed('mart.a');
UPDATE depipe.breaker_state SET until = now() WHERE state = 'forced_open';
SELECT * FROM b;
SELECT raises($$SELECT depipe.guard('mart.a')$$);
SELECT refreshed('mart.a');
SELECT * FROM b;

-- override: published and recorded, nothing blocks; it ends by itself
UPDATE raw.a SET x = -3;
SELECT refreshed('mart.a');
SELECT depipe.override('mart.a', 'the shop is closing', now() + interval '1 hour');
SELECT * FROM b;
SELECT depipe.guard('mart.a');
SELECT refreshed('mart.a');
SELECT x FROM mart.a;
SELECT constraint_name, state, action, would_have_blocked FROM depipe.verdicts ORDER BY verdict_id DESC LIMIT 1;
UPDATE depipe.breaker_state SET until = now() WHERE state = 'disabled';
SELECT * FROM b;
UPDATE raw.a SET x = -4;
SELECT refreshed('mart.a');
SELECT * FROM b;
UPDATE raw.a SET x = 4;
SELECT depipe.reset('mart.a', 'good rows');
SELECT refreshed('mart.a');
SELECT * FROM b;

-- k of n: a bad run is held, but opens only when it is the second of three
SELECT depipe.configure_breaker('mart.a', bad_runs => 2, of_runs => 3, close_after => 2);
SELECT mode, on_open, bad_runs, of_runs, close_after, retry_wait, max_wait, probe_timeout FROM depipe.breakers WHERE target = 'mart.a';
UPDATE raw.a SET x = -5;
SELECT refreshed('mart.a');
SELECT * FROM b;
UPDATE raw.a SET x = 5;
SELECT refreshed('mart.a');
UPDATE raw.a SET x = -5;
SELECT refreshed('mart.a');
SELECT * FROM b;
-- closes after two probes
UPDATE raw.a SET x = 6;
SELECT depipe.reset('mart.a', 'repaired');
SELECT refreshed('mart.a');
SELECT * FROM b;
UPDATE raw.a SET x = 7;
SELECT refreshed('mart.a');
SELECT * FROM b;
SELECT depipe.configure_breaker('mart.a', bad_runs => 1, of_runs => 1, close_after => 1);

-- metrics_only: would have
SELECT depipe.configure_breaker('mart.a', mode => 'metrics_only');
UPDATE raw.a SET x = -7;
SELECT refreshed('mart.a');
SELECT * FROM b;
SELECT x FROM mart.a;
SELECT name, state, would_have_blocked FROM depipe.constraints WHERE target = 'mart.a';
SELECT depipe.configure_breaker('mart.a', mode => 'normal');
UPDATE raw.a SET x = 7;
SELECT refreshed('mart.a');

-- a probe that takes longer than probe_timeout has failed
SELECT depipe.trip('mart.a', 'to probe');
SELECT depipe.configure_breaker('mart.a', probe_timeout => '0');
SELECT depipe.reset('mart.a', 'probe');
UPDATE raw.a SET x = 8;
SELECT refreshed('mart.a');
SELECT * FROM b;
SELECT depipe.configure_breaker('mart.a', probe_timeout => '10 minutes');
SELECT depipe.reset('mart.a', 'probe');
UPDATE raw.a SET x = 9;
SELECT refreshed('mart.a');

-- stale: never holds its own batches
SELECT depipe.add_constraint('mart.a', depipe.freshness('at', '1 day'));
SELECT refreshed('mart.*');
SELECT depipe.guard('mart.c');
UPDATE raw.a SET at = now() - interval '2 days';
SELECT refreshed('mart.*');
SELECT * FROM b;
SELECT raises($$SELECT depipe.guard('mart.a')$$);
SELECT raises($$SELECT depipe.guard('mart.c')$$);
SELECT constraint_name, outcome FROM depipe.check_table('mart.a');
SELECT target, state, reason FROM depipe.incidents WHERE state = 'open';
UPDATE raw.a SET at = now();
SELECT refreshed('mart.*');
SELECT depipe.guard('mart.c');
SELECT target, state, reason FROM depipe.incidents WHERE state = 'open';

-- rights: operators operate, readers look, and nobody learns of tables he may not see
CREATE ROLE regress_quality_operator IN ROLE depipe_operator;
CREATE ROLE regress_quality_reader;
GRANT USAGE ON SCHEMA mart TO regress_quality_reader;
GRANT SELECT ON mart.c TO regress_quality_reader;
SET ROLE regress_quality_reader;
SELECT raises($$SELECT depipe.trip('mart.c', 'x')$$);
SELECT raises($$SELECT depipe.reset('mart.c', 'x')$$);
SELECT raises($$SELECT depipe.override('mart.c', 'x', now() + interval '1 minute')$$);
SELECT raises($$SELECT depipe.configure_breaker('mart.c', mode => 'metrics_only')$$);
SELECT raises($$SELECT depipe.guard('mart.a')$$);
SELECT * FROM depipe.breakers WHERE target = 'mart.a';
SELECT target, state FROM depipe.breakers;
SET ROLE regress_quality_operator;
SELECT depipe.trip('mart.a', 'operator says so');
SELECT raises($$SELECT depipe.configure_breaker('mart.a', mode => 'metrics_only')$$);
SET ROLE regress_quality_reader;
SELECT raises($$SELECT depipe.guard('mart.c')$$);
RESET ROLE;

SELECT target, event, state, reason FROM depipe.events WHERE event IN ('breaker', 'incident') ORDER BY event_id;

DROP VIEW public.b;
DROP FUNCTION public.raises(text), public.refreshed(text);
SET client_min_messages = warning;
DROP SCHEMA raw, mart CASCADE;
DROP ROLE regress_quality_operator;
DROP ROLE regress_quality_reader;
