--
-- What a person does about rows that violate constraints: release, discard, accept, set_aside, waive.
--
SET client_min_messages = warning;
CREATE SCHEMA op_raw;
CREATE SCHEMA op;
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
		|| format(' +%s ~%s -%s, quarantined %s', inserted, updated, deleted, quarantined)
	FROM depipe.refresh(name)
$$;
CREATE TABLE op_raw.t (id int PRIMARY KEY, x int, note text);
INSERT INTO op_raw.t VALUES (1, 1), (2, 2);
SELECT depipe.create_transform('op.t', 'SELECT * FROM op_raw.t', key => '{id}');
CREATE VIEW public.state AS
	SELECT (SELECT string_agg(format('%s:%s', id, x), ' ' ORDER BY id) FROM op.t) AS rows,
		(SELECT string_agg(format('%s:%s %s', "row" ->> 'id', "row" ->> 'x', state), ', ' ORDER BY key) FROM depipe.quarantine WHERE target = 'op.t') AS quarantine,
		(SELECT state FROM depipe.breakers WHERE target = 'op.t') AS breaker,
		(SELECT string_agg(constraint_name || ' ' || coalesce(violations_now::text, '?'), ', ' ORDER BY incident_id) FROM depipe.incidents WHERE target = 'op.t' AND state = 'open') AS incidents;

SELECT depipe.add_constraint('op.t', depipe.satisfies('x > 0'), name => 'positive', on_violation => 'quarantine');
CREATE TABLE op.plain (id int);
SELECT depipe.add_constraint('op.plain', depipe.not_null('id'));

-- bad input
SELECT raises($$SELECT depipe.release('op.t', 'x')$$);
SELECT raises($$SELECT depipe.release('op.t', ' ')$$);
SELECT raises($$SELECT depipe.release('op.t', NULL)$$);
SELECT raises($$SELECT depipe.release('op.nope', 'x')$$);
SELECT raises($$SELECT depipe.release('op.t', 'x', '{}')$$);
SELECT raises($$SELECT depipe.release('op.t', 'x', '{NULL}')$$);
SELECT raises($$SELECT depipe.release('op.plain', 'x')$$);
SELECT raises($$SELECT depipe.discard('op.t', 'x')$$);
SELECT raises($$SELECT depipe.discard('op.plain', 'x')$$);
SELECT raises($$SELECT depipe.accept('op.t', 'nope', 'x')$$);
SELECT raises($$SELECT depipe.accept('op.t', 'positive', '')$$);
SELECT raises($$SELECT depipe.accept('op.t', 'positive', 'x')$$);
SELECT raises($$SELECT depipe.accept('op.t', 'positive', 'x', '{1}')$$);
SELECT raises($$SELECT depipe.set_aside('op.t', 'x')$$);
SELECT raises($$SELECT depipe.set_aside('op.t', '')$$);
SELECT raises($$SELECT depipe.set_aside('op.plain', 'x')$$);
SELECT raises($$SELECT depipe.waive('op.t', 'positive', 'x', NULL)$$);
SELECT raises($$SELECT depipe.waive('op.t', 'positive', 'x', now() - interval '1 second')$$);
SELECT raises($$SELECT depipe.waive('op.t', 'positive', 'x', now() + interval '1 year')$$);
SELECT raises($$SELECT depipe.waive('op.t', 'positive', '', now() + interval '1 hour')$$);
SELECT raises($$SELECT depipe.waive('op.t', 'nope', 'x', now() + interval '1 hour')$$);

-- release: through the gate again
INSERT INTO op_raw.t VALUES (3, -3), (4, -4), (5, -5);
SELECT refreshed('op.t');
SELECT raises($$SELECT depipe.release('op.t', 'x', '{3,99}')$$);
SELECT depipe.release('op.t', 'they are right', '{3,4}');
SELECT * FROM state;
SELECT refreshed('op.t');
SELECT * FROM state;

-- accept: some rows do not count until they change; other changes of the row do not matter
SELECT depipe.accept('op.t', 'positive', 'a correction of the books', '{3,4}');
SELECT refreshed('op.t');
SELECT * FROM state;
SELECT constraint_name, outcome, evaluated, violations FROM depipe.check_table('op.t');
UPDATE op_raw.t SET note = 'still' WHERE id = 3;
UPDATE op_raw.t SET x = -44 WHERE id = 4;
SELECT refreshed('op.t');
SELECT * FROM state;
SELECT name, accepted FROM depipe.constraints WHERE target = 'op.t';
-- a good version ends all
UPDATE op_raw.t SET x = abs(x);
SELECT refreshed('op.t');
SELECT * FROM state;
-- another rule has accepted nothing
UPDATE op_raw.t SET x = -3 WHERE id = 3;
SELECT refreshed('op.t');
SELECT * FROM state;
SELECT depipe.alter_constraint('op.t', 'positive', rule => depipe.satisfies('x >= 0'));
SELECT name, accepted FROM depipe.constraints WHERE target = 'op.t';
SELECT refreshed('op.t');
SELECT * FROM state;
UPDATE op_raw.t SET x = 3 WHERE id = 3;
SELECT refreshed('op.t');

-- accept rows that are in the table: a warning ends
SELECT depipe.alter_constraint('op.t', 'positive', rule => depipe.satisfies('x > 0'), on_violation => 'warn');
UPDATE op_raw.t SET x = -1 WHERE id IN (1, 2);
SELECT refreshed('op.t');
SELECT * FROM state;
SELECT depipe.accept('op.t', 'positive', 'known', ARRAY(SELECT key FROM depipe.violations('op.t') WHERE key = '1'));
SELECT constraint_name, key FROM depipe.violations('op.t');
SELECT depipe.accept('op.t', 'positive', 'known');
SELECT constraint_name, outcome, violations FROM depipe.check_table('op.t');
UPDATE op_raw.t SET x = 2 WHERE id = 5;
SELECT refreshed('op.t');
SELECT * FROM state;
UPDATE op_raw.t SET x = abs(x);
SELECT refreshed('op.t');

-- accept what holds a batch, of which something else is wrong as well
SELECT depipe.alter_constraint('op.t', 'positive', on_violation => 'break');
UPDATE op_raw.t SET x = -11 WHERE id = 1;
UPDATE op_raw.t SET x = 22 WHERE id = 2;
SELECT refreshed('op.t');
SELECT * FROM state;
SELECT raises($$SELECT depipe.accept('op.t', 'positive', 'right', '{2}')$$);
BEGIN;
SELECT depipe.accept('op.t', 'positive', 'right', '{1}');
SELECT state, reason FROM depipe.breakers WHERE target = 'op.t';
SELECT refreshed('op.t');
SELECT * FROM state;
ROLLBACK;

-- set_aside: the rest is published, and the breaker closes
SELECT depipe.set_aside('op.t', 'three in the morning');
SELECT state, reason FROM depipe.breakers WHERE target = 'op.t';
SELECT refreshed('op.t');
SELECT * FROM state;
SELECT raises($$SELECT depipe.set_aside('op.t', 'again')$$);
-- only that batch
UPDATE op_raw.t SET x = -2 WHERE id = 2;
SELECT refreshed('op.t');
SELECT * FROM state;
UPDATE op_raw.t SET x = abs(x);
SELECT depipe.reset('op.t', 'corrected');
SELECT refreshed('op.t');
SELECT * FROM state;
-- a batch that a rejecting constraint holds, with a threshold
SELECT depipe.alter_constraint('op.t', 'positive', on_violation => 'reject', fail_if => '> 1');
UPDATE op_raw.t SET x = -x - 100 WHERE id < 4;
UPDATE op_raw.t SET x = 44 WHERE id = 4;
SELECT refreshed('op.t');
SELECT * FROM state;
SELECT depipe.set_aside('op.t', 'three in the morning');
SELECT refreshed('op.t');
SELECT * FROM state;
UPDATE op_raw.t SET x = abs(x);
SELECT refreshed('op.t');
SELECT * FROM state;
-- not about single rows
SELECT depipe.add_constraint('op.t', depipe.satisfies('sum(x) < 1000'), name => 'total');
UPDATE op_raw.t SET x = 2000 WHERE id = 1;
SELECT refreshed('op.t');
SELECT raises($$SELECT depipe.set_aside('op.t', 'x')$$);
SELECT raises($$SELECT depipe.accept('op.t', 'total', 'x')$$);

-- waive: it only warns until then, by itself
SELECT depipe.waive('op.t', 'total', 'a large customer', now() + interval '1 hour');
SELECT state, reason FROM depipe.breakers WHERE target = 'op.t';
SELECT refreshed('op.t');
SELECT * FROM state;
SELECT name, state, waived_until > now() AS waived, would_have_blocked FROM depipe.constraints WHERE target = 'op.t' ORDER BY name;
UPDATE op_raw.t SET x = 2001 WHERE id = 1;
SELECT refreshed('op.t');
UPDATE depipe.constraint_state SET waived_until = now() WHERE waived_until IS NOT NULL;
UPDATE op_raw.t SET x = 2002 WHERE id = 1;
SELECT refreshed('op.t');
SELECT * FROM state;

-- acknowledge: somebody takes care; and the blast radius
SELECT raises($$SELECT depipe.acknowledge(NULL)$$);
SELECT raises($$SELECT depipe.acknowledge(-1)$$);
SELECT raises(format($$SELECT depipe.acknowledge(%s)$$, incident_id)) ~ 'is closed' AS closed FROM depipe.incidents
WHERE target = 'op.t' AND state = 'closed' ORDER BY incident_id LIMIT 1;
SELECT depipe.create_transform('op.reader', 'SELECT id FROM op.t', key => '{id}', populate => false);
SELECT depipe.create_transform('op.last', 'SELECT count(*) AS n FROM op.reader', populate => false);
SELECT depipe.acknowledge(incident_id, 'the shop is asked') FROM depipe.incidents WHERE target = 'op.t' AND state = 'open';
SELECT constraint_name, acknowledged_by = session_user AS mine, acknowledge_note, downstream FROM depipe.incidents WHERE target = 'op.t' AND state = 'open';
SELECT depipe.drop_transform('op.last', true), depipe.drop_transform('op.reader', true);

-- rights: who may operate
CREATE ROLE regress_op_reader;
CREATE ROLE regress_op_operator IN ROLE depipe_operator;
GRANT USAGE ON SCHEMA op TO PUBLIC;
GRANT SELECT ON op.t TO regress_op_reader;
SET ROLE regress_op_reader;
SELECT raises($$SELECT depipe.release('op.t', 'x')$$);
SELECT raises($$SELECT depipe.discard('op.t', 'x')$$);
SELECT raises($$SELECT depipe.accept('op.t', 'total', 'x')$$);
SELECT raises($$SELECT depipe.set_aside('op.t', 'x')$$);
SELECT raises(format($$SELECT depipe.acknowledge(%s)$$, incident_id)) FROM depipe.incidents WHERE target = 'op.t' AND state = 'open';
SELECT raises($$SELECT depipe.waive('op.t', 'total', 'x', now() + interval '1 hour')$$);
SET ROLE regress_op_operator;
SELECT depipe.waive('op.t', 'total', 'an operator', now() + interval '1 hour');
RESET ROLE;
SELECT refreshed('op.t');
SELECT action, constraint_name, reason, arguments - 'until' AS arguments FROM depipe.audit
WHERE target = 'op.t' AND action IN ('release', 'accept', 'set_aside', 'waive') ORDER BY audit_id;

DROP VIEW public.state;
DROP FUNCTION public.raises(text), public.refreshed(text);
DROP SCHEMA op_raw, op CASCADE;
DELETE FROM depipe.target WHERE schema_name IN ('op', 'op_raw');
DELETE FROM depipe.audit_entry WHERE target LIKE 'op.%';
DROP ROLE regress_op_reader, regress_op_operator;
