--
-- The breaker against a reference automaton, over random sequences of good and bad
-- batches, of what people do, and of times that pass.
--
SET client_min_messages = error;
CREATE SCHEMA ba;
CREATE TABLE ba.source (id int PRIMARY KEY, x int);
INSERT INTO ba.source VALUES (1, 1);
SELECT depipe.create_transform('ba.t', 'SELECT * FROM ba.source', key => '{id}');
SELECT depipe.add_constraint('ba.t', depipe.satisfies('x > 0'));

-- What the automaton has: its state and what it remembers.
CREATE TABLE ba.model (state text, passes int, outcomes boolean[], waits int, late boolean);

-- One event; returns whether the target must have the batch, NULL where nothing ran.
CREATE FUNCTION ba.expect(event text, k int, n int, close_after int) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	m ba.model;
	bad boolean := event = 'bad';
	published boolean;
BEGIN
	SELECT * INTO m FROM ba.model;
	CASE
	WHEN event IN ('good', 'bad') AND m.state IN ('open', 'forced_open') THEN
		published := false;
	WHEN event IN ('good', 'bad') AND m.state = 'disabled' THEN
		published := true;
	WHEN event IN ('good', 'bad') AND m.state = 'half_open' THEN
		published := NOT bad;
		IF bad THEN
			m := ROW('open', 0, m.outcomes, LEAST(m.waits + 1, 6), false); -- the first wait, or twice the last one
		ELSIF m.passes + 1 >= close_after THEN
			m := ROW('closed', 0, '{}', -1, false);
		ELSE
			m.passes := m.passes + 1;
		END IF;
	WHEN event IN ('good', 'bad') THEN
		published := NOT bad;
		m.outcomes := (bad || m.outcomes)[:n];
		IF bad AND (SELECT count(*) FROM unnest(m.outcomes) o WHERE o) >= k THEN
			m := ROW('open', 0, '{}', 0, false);
		END IF;
	WHEN event = 'trip' THEN
		IF m.state <> 'forced_open' THEN
			m.state := 'forced_open';
			m.passes := 0;
		END IF;
	WHEN event = 'override' THEN
		IF m.state <> 'disabled' THEN
			m.state := 'disabled';
			m.passes := 0;
		END IF;
	WHEN event = 'reset' AND m.state IN ('open', 'forced_open', 'disabled')
		OR event = 'wait is over' AND m.state = 'open'
		OR event = 'time is over' AND m.state IN ('forced_open', 'disabled') THEN
		m.state := 'half_open';
		m.passes := 0;
	ELSE
	END CASE;
	UPDATE ba.model SET state = m.state, passes = m.passes, outcomes = m.outcomes, waits = m.waits;
	RETURN published;
END
$$;

CREATE FUNCTION ba.perform_event(event text, round int) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	y int;
BEGIN
	CASE event
	WHEN 'good', 'bad' THEN
		y := CASE event WHEN 'good' THEN round ELSE -round END;
		UPDATE ba.source SET x = y;
		PERFORM depipe.refresh('ba.t');
		RETURN (SELECT t.x = y FROM ba.t);
	WHEN 'trip' THEN
		PERFORM depipe.trip('ba.t', 'random', now() + interval '1 hour');
	WHEN 'override' THEN
		PERFORM depipe.override('ba.t', 'random', now() + interval '1 hour');
	WHEN 'reset' THEN
		PERFORM depipe.reset('ba.t', 'random');
	WHEN 'wait is over' THEN
		UPDATE depipe.breaker_state SET retry_at = now(), changed = true WHERE state = 'open';
	WHEN 'time is over' THEN
		UPDATE depipe.breaker_state SET until = now() WHERE state IN ('forced_open', 'disabled');
	END CASE;
	RETURN NULL;
END
$$;

CREATE FUNCTION ba.play(rounds int, k int, n int, close_after int) RETURNS TABLE (states text, differences bigint)
LANGUAGE plpgsql AS $$
DECLARE
	event text;
	expected boolean;
	found boolean;
	state text;
	wanted ba.model;
	seen text[] := '{}';
	wait interval;
BEGIN
	differences := 0;
	DELETE FROM ba.model;
	INSERT INTO ba.model VALUES ('closed', 0, '{}', -1, false);
	UPDATE ba.source SET x = 1;
	PERFORM depipe.reset('ba.t', 'begin');
	PERFORM depipe.configure_breaker('ba.t', bad_runs => 1, of_runs => 1, close_after => 1);
	PERFORM depipe.refresh('ba.t');
	DELETE FROM depipe.breaker_state;
	PERFORM depipe.configure_breaker('ba.t', bad_runs => k, of_runs => n, close_after => close_after,
		retry_wait => '1 minute', max_wait => '1 hour');
	FOR round IN 2 .. rounds LOOP
		event := (ARRAY['good', 'good', 'good', 'bad', 'bad', 'trip', 'override', 'reset', 'reset', 'wait is over', 'time is over'])[1 + floor(random() * 11)];
		expected := ba.expect(event, k, n, close_after);
		found := ba.perform_event(event, round);
		SELECT * INTO wanted FROM ba.model;
		-- an open breaker whose wait is over becomes half_open with the next run
		state := (SELECT CASE WHEN s.state = 'open' AND s.retry_at <= now() AND s.changed THEN 'half_open' ELSE b.state END
			FROM depipe.breakers b LEFT JOIN depipe.breaker_state s ON true WHERE target = 'ba.t');
		wait := (SELECT b.wait FROM depipe.breaker_state b WHERE b.state = 'open');
		IF state IS DISTINCT FROM wanted.state OR expected IS DISTINCT FROM found
			OR wait <> LEAST(interval '1 minute' * 2 ^ wanted.waits, interval '1 hour') THEN
			differences := differences + 1;
			RAISE WARNING 'round %: %: state % not %, published % not %, wait % not %', round, event, state, wanted.state,
				found, expected, wait, interval '1 minute' * 2 ^ wanted.waits;
			EXIT WHEN differences > 3;
		END IF;
		seen := array_append(seen, wanted.state);
	END LOOP;
	states := (SELECT string_agg(DISTINCT s, ' ') FROM unnest(seen) s);
	RETURN NEXT;
END
$$;
SET client_min_messages = warning;
SELECT setseed(0.42);
SELECT * FROM ba.play(150, 1, 1, 1);
SELECT * FROM ba.play(150, 2, 3, 1);
SELECT * FROM ba.play(150, 3, 5, 2);
SELECT * FROM ba.play(150, 1, 4, 3);

-- sustain: opens only when all runs were bad for that long
DELETE FROM depipe.breaker_state;
SELECT depipe.configure_breaker('ba.t', bad_runs => 1, of_runs => 1, sustain => '10 minutes', close_after => 1);
CREATE FUNCTION ba.after(event text, round int) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	published boolean := ba.perform_event(event, round);
BEGIN
	RETURN event || ': ' || CASE WHEN published THEN 'published' ELSE 'held' END || ', '
		|| (SELECT state FROM depipe.breakers WHERE target = 'ba.t');
END
$$;
SELECT ba.after('good', 1001);
SELECT ba.after('bad', 1002);
UPDATE depipe.breaker_state SET bad_since = bad_since - interval '11 minutes';
SELECT ba.after('good', 1003);
SELECT ba.after('bad', 1004);
SELECT ba.after('bad', 1005);
UPDATE depipe.breaker_state SET bad_since = bad_since - interval '11 minutes';
SELECT ba.after('bad', 1006);
SELECT sustain, definition FROM depipe.breakers, LATERAL (SELECT statement ~ 'sustain => ''00:10:00''' AS definition
	FROM depipe.definition('ba.t') statement WHERE statement ~ 'configure_breaker') d WHERE target = 'ba.t';

-- metrics_only: it would have opened
SELECT depipe.reset('ba.t', 'begin');
SELECT ba.after('good', 1007);
SELECT depipe.configure_breaker('ba.t', mode => 'metrics_only', sustain => '0');
SELECT ba.after('bad', 1008);
SELECT ba.after('bad', 1009);
SELECT would_have_opened FROM depipe.breakers WHERE target = 'ba.t';

DROP SCHEMA ba CASCADE;
DELETE FROM depipe.target WHERE schema_name = 'ba';
