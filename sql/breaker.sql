--
-- Breakers: states, what a person may do, what waits downstream, the guard.
--
SET client_min_messages = notice;
SET timezone = 'UTC';
CREATE SCHEMA b_raw;
CREATE SCHEMA b_mart;

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
CREATE VIEW public.b AS SELECT target, state, reason FROM depipe.breakers WHERE target LIKE 'b\_%' ORDER BY target;

CREATE TABLE b_raw.a (id int PRIMARY KEY, x int, at timestamptz);
INSERT INTO b_raw.a VALUES (1, 1, now());
SELECT depipe.create_transform('b_mart.a', 'SELECT * FROM b_raw.a', key => '{id}');
SELECT depipe.create_transform('b_mart.b', 'SELECT id, x FROM b_mart.a', key => '{id}');
SELECT depipe.create_transform('b_mart.c', 'SELECT count(*) AS n FROM b_mart.b');
SELECT depipe.add_constraint('b_mart.a', depipe.satisfies('x > 0'));
SELECT * FROM b;

-- bad input
SELECT raises($$SELECT depipe.trip(NULL, 'x')$$);
SELECT raises($$SELECT depipe.trip('b_mart.a', NULL)$$);
SELECT raises($$SELECT depipe.trip('b_mart.a', ' ')$$);
SELECT raises($$SELECT depipe.trip('b_mart.nope', 'x')$$);
SELECT raises($$SELECT depipe.trip('b_raw.a', 'x')$$);
SELECT raises($$SELECT depipe.trip('b_mart.a', 'x', now() - interval '1 second')$$);
SELECT raises($$SELECT depipe.trip('b_mart.a', 'x', 'infinity')$$);
SELECT raises($$SELECT depipe.override('b_mart.a', 'x', NULL)$$);
SELECT raises($$SELECT depipe.override('b_mart.a', NULL, now() + interval '1 minute')$$);
SELECT raises($$SELECT depipe.override('b_mart.a', 'x', now() + interval '1 year')$$);
SELECT raises($$SELECT depipe.configure_breaker('b_mart.nope')$$);
SELECT raises($$SELECT depipe.configure_breaker('b_mart.a', mode => 'x')$$);
SELECT raises($$SELECT depipe.configure_breaker('b_mart.a', on_open => 'block_reads')$$);
SELECT raises($$SELECT depipe.configure_breaker('b_mart.a', on_open => 'x')$$);
SELECT raises($$SELECT depipe.configure_breaker('b_mart.a', bad_runs => 0)$$);
SELECT raises($$SELECT depipe.configure_breaker('b_mart.a', bad_runs => 3, of_runs => 2)$$);
SELECT raises($$SELECT depipe.configure_breaker('b_mart.a', retry_wait => '-1 s')$$);
SELECT raises($$SELECT depipe.guard('b_mart.a', NULL)$$);
SELECT raises($$SELECT depipe.guard(VARIADIC '{}')$$);
SELECT depipe.reset('b_mart.a', 'nothing to do');
SELECT * FROM b;

-- opens on a bad run; fails fast; what is downstream waits, with the path
UPDATE b_raw.a SET x = -1;
SELECT refreshed('b_mart.*');
SELECT * FROM b;
SELECT refreshed('b_mart.*');
SELECT raises($$SELECT depipe.guard('b_mart.a')$$);
SELECT raises($$SELECT depipe.guard('b_mart.c')$$);
SELECT raises($$SELECT depipe.guard('b_mart.b', 'b_mart.c')$$);
SELECT id, x, n FROM b_mart.a, b_mart.c;

-- a probe that fails opens it again, with a doubled wait
SELECT wait FROM depipe.breaker_state WHERE target_id = (SELECT target_id FROM depipe.target WHERE schema_name = 'b_mart' AND table_name = 'a');
SELECT depipe.reset('b_mart.a', 'try');
SELECT depipe.reset('b_mart.a', 'try');
SELECT raises($$SELECT depipe.guard('b_mart.a')$$);
SELECT refreshed('b_mart.*');
SELECT wait, retry_at > now() AS waits FROM depipe.breaker_state WHERE state = 'open';
SELECT * FROM b;

-- the wait is over: the next run is a probe by itself
UPDATE depipe.breaker_state SET retry_at = now() WHERE state = 'open';
UPDATE b_raw.a SET x = 2;
SELECT refreshed('b_mart.*');
SELECT * FROM b;
SELECT depipe.guard('b_mart.c');
SELECT wait FROM depipe.breaker_state WHERE wait > '0';

-- by hand: forced_open, at its time half_open, never straight to closed
SELECT depipe.trip('b_mart.a', 'first', now() + interval '1 hour');
SELECT depipe.trip('b_mart.a', 'second', now() + interval '2 hours');
SELECT * FROM b;
UPDATE b_raw.a SET x = 3;
SELECT refreshed('b_mart.a');
UPDATE depipe.breaker_state SET until = now() WHERE state = 'forced_open';
SELECT * FROM b;
SELECT raises($$SELECT depipe.guard('b_mart.a')$$);
SELECT refreshed('b_mart.a');
SELECT * FROM b;

-- override: published and recorded, nothing blocks; it ends by itself
UPDATE b_raw.a SET x = -3;
SELECT refreshed('b_mart.a');
SELECT depipe.override('b_mart.a', 'the shop is closing', now() + interval '1 hour');
SELECT * FROM b;
SELECT depipe.guard('b_mart.a');
SELECT refreshed('b_mart.a');
SELECT x FROM b_mart.a;
SELECT constraint_name, state, action, would_have_blocked FROM depipe.verdicts ORDER BY verdict_id DESC LIMIT 1;
UPDATE depipe.breaker_state SET until = now() WHERE state = 'disabled';
SELECT * FROM b;
UPDATE b_raw.a SET x = -4;
SELECT refreshed('b_mart.a');
SELECT * FROM b;
UPDATE b_raw.a SET x = 4;
SELECT depipe.reset('b_mart.a', 'good rows');
SELECT refreshed('b_mart.a');
SELECT * FROM b;

-- k of n: a bad run is held, but opens only when it is the second of three
SELECT depipe.configure_breaker('b_mart.a', bad_runs => 2, of_runs => 3, close_after => 2);
SELECT mode, on_open, bad_runs, of_runs, close_after, retry_wait, max_wait, probe_timeout FROM depipe.breakers WHERE target = 'b_mart.a';
UPDATE b_raw.a SET x = -5;
SELECT refreshed('b_mart.a');
SELECT * FROM b;
UPDATE b_raw.a SET x = 5;
SELECT refreshed('b_mart.a');
UPDATE b_raw.a SET x = -5;
SELECT refreshed('b_mart.a');
SELECT * FROM b;
-- closes after two probes
UPDATE b_raw.a SET x = 6;
SELECT depipe.reset('b_mart.a', 'repaired');
SELECT refreshed('b_mart.a');
SELECT * FROM b;
UPDATE b_raw.a SET x = 7;
SELECT refreshed('b_mart.a');
SELECT * FROM b;
SELECT depipe.configure_breaker('b_mart.a', bad_runs => 1, of_runs => 1, close_after => 1);

-- metrics_only: would have
SELECT depipe.configure_breaker('b_mart.a', mode => 'metrics_only');
UPDATE b_raw.a SET x = -7;
SELECT refreshed('b_mart.a');
SELECT * FROM b;
SELECT x FROM b_mart.a;
SELECT name, state, would_have_blocked FROM depipe.constraints WHERE target = 'b_mart.a';
SELECT depipe.configure_breaker('b_mart.a', mode => 'normal');
UPDATE b_raw.a SET x = 7;
SELECT refreshed('b_mart.a');

-- a probe that takes longer than probe_timeout has failed
SELECT depipe.trip('b_mart.a', 'to probe');
SELECT depipe.configure_breaker('b_mart.a', probe_timeout => '0');
SELECT depipe.reset('b_mart.a', 'probe');
UPDATE b_raw.a SET x = 8;
SELECT refreshed('b_mart.a');
SELECT * FROM b;
SELECT depipe.configure_breaker('b_mart.a', probe_timeout => '10 minutes');
SELECT depipe.reset('b_mart.a', 'probe');
UPDATE b_raw.a SET x = 9;
SELECT refreshed('b_mart.a');

-- stale: never holds its own batches
SELECT depipe.add_constraint('b_mart.a', depipe.freshness('at', '1 day'));
SELECT refreshed('b_mart.*');
SELECT depipe.guard('b_mart.c');
UPDATE b_raw.a SET at = now() - interval '2 days';
SELECT refreshed('b_mart.*');
SELECT * FROM b;
SELECT raises($$SELECT depipe.guard('b_mart.a')$$);
SELECT raises($$SELECT depipe.guard('b_mart.c')$$);
SELECT constraint_name, outcome FROM depipe.check_table('b_mart.a');
SELECT target, state, reason FROM depipe.incidents WHERE state = 'open' AND target LIKE 'b\_%';
UPDATE b_raw.a SET at = now();
SELECT refreshed('b_mart.*');
SELECT depipe.guard('b_mart.c');
SELECT target, state, reason FROM depipe.incidents WHERE state = 'open' AND target LIKE 'b\_%';

-- rights: operators operate, readers look, and nobody learns of tables he may not see
CREATE ROLE regress_quality_operator IN ROLE depipe_operator;
CREATE ROLE regress_quality_reader;
GRANT USAGE ON SCHEMA b_mart TO regress_quality_reader;
GRANT SELECT ON b_mart.c TO regress_quality_reader;
SET ROLE regress_quality_reader;
SELECT raises($$SELECT depipe.trip('b_mart.c', 'x')$$);
SELECT raises($$SELECT depipe.reset('b_mart.c', 'x')$$);
SELECT raises($$SELECT depipe.override('b_mart.c', 'x', now() + interval '1 minute')$$);
SELECT raises($$SELECT depipe.configure_breaker('b_mart.c', mode => 'metrics_only')$$);
SELECT raises($$SELECT depipe.guard('b_mart.a')$$);
SELECT * FROM depipe.breakers WHERE target = 'b_mart.a';
SELECT target, state FROM depipe.breakers ORDER BY 1;
SET ROLE regress_quality_operator;
SELECT depipe.trip('b_mart.a', 'operator says so');
SELECT raises($$SELECT depipe.configure_breaker('b_mart.a', mode => 'metrics_only')$$);
SET ROLE regress_quality_reader;
SELECT raises($$SELECT depipe.guard('b_mart.c')$$);
RESET ROLE;

SELECT target, event, state, reason FROM depipe.events WHERE event IN ('breaker', 'incident') AND target LIKE 'b\_%' ORDER BY event_id;

DROP VIEW public.b;
DROP FUNCTION public.raises(text), public.refreshed(text);
SET client_min_messages = warning;
DROP SCHEMA b_raw, b_mart CASCADE;
DELETE FROM depipe.target WHERE schema_name IN ('b_raw', 'b_mart');
DROP ROLE regress_quality_operator;
DROP ROLE regress_quality_reader;
