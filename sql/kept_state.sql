--
-- Kept state: a verdict about a whole table costs what has changed, and what is kept is always
-- what a look at the whole table gives.
--
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA st;
CREATE TABLE st.src (id int PRIMARY KEY, a int, n numeric(10,2), u numeric, b bigint, s text);
INSERT INTO st.src SELECT i, CASE WHEN i % 10 = 0 THEN NULL ELSE i END, i / 4.0, i / 8.0, i * 1000000000::bigint, 'x' || i
FROM generate_series(1, 200) i;
SELECT depipe.create_transform('st.t', 'SELECT * FROM st.src', key => '{id}');
SELECT depipe.add_constraint('st.t', depipe.row_count(10, 100000), name => 'rows');
SELECT depipe.add_constraint('st.t', depipe.satisfies('a > 5'), name => 'small', fail_if => '> 90%', existing => 'ignore');
SELECT depipe.add_constraint('st.t', depipe.not_null('a'), name => 'nulls', warn_if => '> 50', on_violation => 'warn');
SELECT depipe.add_constraint('st.t', depipe.satisfies('n >= 0'), name => 'aside', on_violation => 'quarantine', fail_if => '> 20', filter => 'id < 1000');
SELECT depipe.add_constraint('st.t', depipe.satisfies('sum(n) > 0'), name => 'sum_n', on_violation => 'warn');
SELECT depipe.add_constraint('st.t', depipe.satisfies('avg(a) FILTER (WHERE id > 3) < 1000'), name => 'avg_a', on_violation => 'warn', filter => 's <> ''x7''');
SELECT depipe.add_constraint('st.t', depipe.satisfies('sum(b) + count(a) > 7 AND avg(u) >= 0'), name => 'several', on_violation => 'warn');
SELECT depipe.add_constraint('st.t', depipe.satisfies('max(b) - min(a) > 0'), name => 'extremes', on_violation => 'warn');
-- these are not kept: another function could come in its place, and floats do not go away exactly
CREATE FUNCTION st.good(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
SELECT depipe.add_constraint('st.t', depipe.satisfies('st.good(a)'), name => 'users', fail_if => '> 90%');
SELECT depipe.add_constraint('st.t', depipe.satisfies('sum(a::float8) > 0'), name => 'floats', on_violation => 'warn');
SELECT depipe.add_constraint('st.t', depipe.satisfies('count(DISTINCT a) > 0'), name => 'distinct', on_violation => 'warn');

-- how each was evaluated last, and whether what is kept is right
CREATE VIEW st.seen AS SELECT DISTINCT ON (constraint_name) constraint_name, outcome, evaluated, violations, metric, strategy
FROM depipe.verdict v JOIN depipe.target t USING (target_id) WHERE t.schema_name = 'st' AND t.table_name = 't' AND run_id IS NOT NULL
ORDER BY constraint_name, verdict_id DESC;
CREATE FUNCTION st.check() RETURNS TABLE (constraint_name name, evaluated bigint, violations bigint, metric text, detail jsonb)
LANGUAGE sql AS $$
	-- what differs between the last batch and the table, and what was repaired
	SELECT c.constraint_name, c.evaluated, c.violations, c.metric, c.detail
	FROM depipe.check_table('st.t') c LEFT JOIN st.seen s USING (constraint_name)
	WHERE c.detail ? 'kept_state'
		OR (s.strategy = 'kept state' AND (c.metric IS DISTINCT FROM s.metric
			OR (c.evaluated, c.violations) <> (s.evaluated, s.violations) AND c.constraint_name <> 'aside'))
$$;
-- the first batch computes them
UPDATE st.src SET a = a + 1 WHERE id = 1;
SELECT status, quarantined FROM depipe.refresh('st.t');
TABLE st.seen;
SELECT * FROM st.check();
-- the others add to them
UPDATE st.src SET a = a + 100, n = n + 0.01 WHERE id BETWEEN 20 AND 40;
SELECT status, quarantined FROM depipe.refresh('st.t');
TABLE st.seen;
SELECT * FROM st.check();
SELECT c.name, k.term, k.value FROM depipe.kept_state k JOIN depipe.constraint_definition c USING (constraint_id) ORDER BY 1, 2;
-- an extreme that leaves is looked for
DELETE FROM st.src WHERE id = 200;
SELECT status FROM depipe.refresh('st.t');
SELECT constraint_name, metric, strategy FROM st.seen WHERE constraint_name IN ('extremes', 'rows');
SELECT * FROM st.check();
-- rows that are set aside do not count, and their earlier versions do
UPDATE st.src SET n = -n WHERE id IN (50, 51);
INSERT INTO st.src VALUES (300, 1, -5, 0, 0, 'new');
SELECT status, quarantined FROM depipe.refresh('st.t');
SELECT constraint_name, evaluated, violations, metric, strategy FROM st.seen WHERE constraint_name IN ('aside', 'sum_n', 'rows');
SELECT * FROM st.check();
UPDATE st.src SET n = 5 WHERE id IN (50, 300);
SELECT status, quarantined FROM depipe.refresh('st.t');
SELECT constraint_name, evaluated, violations, metric, strategy FROM st.seen WHERE constraint_name IN ('aside', 'sum_n', 'rows');
SELECT * FROM st.check();
-- a batch that is not published leaves nothing, nor does a rollback
UPDATE st.src SET a = 0 WHERE id < 190;
SELECT status, reason FROM depipe.refresh('st.t');
SELECT state FROM depipe.breakers WHERE target = 'st.t';
SELECT * FROM st.check();
UPDATE st.src SET a = id WHERE id < 190;
SELECT depipe.reset('st.t', 'mended');
SELECT status FROM depipe.refresh('st.t');
SELECT * FROM st.check();
BEGIN;
UPDATE st.src SET a = 70;
SELECT status FROM depipe.refresh('st.t');
SAVEPOINT s;
DELETE FROM st.src WHERE id > 20;
SELECT status FROM depipe.refresh('st.t');
ROLLBACK TO s;
SELECT * FROM st.check();
UPDATE st.src SET a = 80;
SELECT status FROM depipe.refresh('st.t');
SELECT * FROM st.check();
ROLLBACK;
SELECT * FROM st.check();
UPDATE st.src SET a = 9 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
SELECT * FROM st.check();
-- others write the table: everything is looked at again
SET depipe.allow_target_dml = on;
INSERT INTO st.t VALUES (1000, 1, 1, 1, 1, 'y');
UPDATE st.t SET a = a + 1 WHERE id = 11;
RESET depipe.allow_target_dml;
SELECT count(*) FROM depipe.direct_write;
SELECT * FROM st.check();
UPDATE st.src SET a = 10 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
SELECT constraint_name, evaluated, strategy FROM st.seen WHERE constraint_name IN ('rows', 'sum_n');
SELECT count(*) FROM depipe.direct_write;
SELECT * FROM st.check();
-- in the same transaction as well, before and after, and after a rollback
BEGIN;
SET LOCAL depipe.allow_target_dml = on;
SAVEPOINT a;
DELETE FROM st.t WHERE id = 30;
ROLLBACK TO a;
DELETE FROM st.t WHERE id = 31;
UPDATE st.src SET a = 11 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
SELECT * FROM st.check();
DELETE FROM st.t WHERE id = 32;
UPDATE st.src SET a = 12 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
SELECT * FROM st.check();
COMMIT;
SELECT * FROM st.check();
-- where no trigger sees it: emptied, rewritten, a trigger that was off
BEGIN;
SET LOCAL depipe.allow_target_dml = on;
TRUNCATE st.t;
COMMIT;
UPDATE st.src SET a = 13 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
SELECT * FROM st.check();
UPDATE st.src SET a = 14 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
SELECT constraint_name, strategy FROM st.seen WHERE constraint_name IN ('rows', 'sum_n');
ALTER TABLE st.t ALTER COLUMN n TYPE numeric(10,2) USING n + 1;
UPDATE st.src SET a = 15 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
SELECT * FROM st.check();
UPDATE st.src SET a = 16 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
ALTER TABLE st.t DISABLE TRIGGER ALL;
DELETE FROM st.t WHERE id BETWEEN 40 AND 45;
ALTER TABLE st.t ENABLE ALWAYS TRIGGER depipe_written;
ALTER TABLE st.t ENABLE ALWAYS TRIGGER depipe_truncated;
ALTER TABLE st.t ENABLE ALWAYS TRIGGER depipe_refuse_dml;
UPDATE st.src SET a = 17 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
SELECT * FROM st.check();
-- in one transaction
BEGIN;
UPDATE st.src SET a = 18 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
ALTER TABLE st.t DISABLE TRIGGER ALL;
DELETE FROM st.t WHERE id BETWEEN 46 AND 48;
ALTER TABLE st.t ENABLE ALWAYS TRIGGER depipe_written;
ALTER TABLE st.t ENABLE ALWAYS TRIGGER depipe_truncated;
ALTER TABLE st.t ENABLE ALWAYS TRIGGER depipe_refuse_dml;
UPDATE st.src SET a = 19 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
SELECT * FROM st.check();
COMMIT;
-- columns that change their names
UPDATE st.src SET a = 20 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
ALTER TABLE st.t DISABLE TRIGGER depipe_written;
UPDATE st.src SET a = 21 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
SELECT count(*) FROM depipe.kept_state;
ALTER TABLE st.t ENABLE ALWAYS TRIGGER depipe_written;
-- what a constraint says changes
UPDATE st.src SET a = 22 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
SELECT depipe.alter_constraint('st.t', 'small', depipe.satisfies('a > 100'));
UPDATE st.src SET a = 23 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
SELECT * FROM st.check();
-- wrong state is found and repaired
UPDATE depipe.kept_state SET value = value + 1 WHERE term = 1;
SELECT constraint_name, detail FROM st.check();
SELECT * FROM st.check();
UPDATE st.src SET a = 24 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
SELECT * FROM st.check();
-- another transaction's snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE st.src SET a = 25 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
COMMIT;
SELECT count(*) FROM depipe.direct_write;
UPDATE st.src SET a = 26 WHERE id = 9;
SELECT status FROM depipe.refresh('st.t');
SELECT * FROM st.check();
-- NaN does not go away
UPDATE st.src SET n = 'NaN' WHERE id = 60;
SELECT status FROM depipe.refresh('st.t');
SELECT constraint_name, metric FROM st.seen WHERE constraint_name = 'sum_n';
UPDATE st.src SET n = 1 WHERE id = 60;
SELECT status FROM depipe.refresh('st.t');
SELECT constraint_name, metric FROM st.seen WHERE constraint_name = 'sum_n';
SELECT * FROM st.check();
-- an empty table has no data
DELETE FROM st.src;
SELECT depipe.alter_constraint('st.t', 'rows', on_violation => 'warn');
SELECT status FROM depipe.refresh('st.t');
SELECT constraint_name, outcome, evaluated, violations, metric FROM st.seen ORDER BY 1;
SELECT * FROM st.check();
-- anything at all, in any order: after each batch, what is kept is right
INSERT INTO st.src SELECT i, i, i, i, i, 'r' || i FROM generate_series(1, 100) i;
SELECT status FROM depipe.refresh('st.t');
SELECT setseed(0.4711);
CREATE FUNCTION st.pick(n int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT floor(random() * n)::int';
DO $$
DECLARE
	wrong text;
	published text;
	kept int := 0;
	what int;
BEGIN
	FOR round IN 1 .. 60 LOOP
		BEGIN
			FOR change IN 0 .. st.pick(4) LOOP
				what := st.pick(9);
				IF what = 0 THEN
					DELETE FROM st.src WHERE id % 17 = st.pick(17);
				ELSIF what = 1 THEN
					INSERT INTO st.src SELECT i, NULLIF(i % 7, 0), st.pick(100) / 100.0 - 0.1, i / 3.0, -i, 'r' FROM generate_series(1 + 50 * st.pick(6), 40 + 50 * st.pick(6)) i
					ON CONFLICT (id) DO UPDATE SET a = EXCLUDED.a, n = EXCLUDED.n, u = EXCLUDED.u, b = EXCLUDED.b;
				ELSIF what = 2 THEN
					UPDATE st.src SET a = CASE WHEN st.pick(3) = 0 THEN NULL ELSE st.pick(50) END WHERE id % 13 = st.pick(13);
				ELSIF what = 3 THEN
					UPDATE st.src SET n = n + 1, b = b * 2 - id WHERE id % 11 = st.pick(11) AND abs(b) < 1000000000;
				ELSIF what = 4 THEN
					UPDATE st.src SET id = (SELECT max(id) + 1 FROM st.src) WHERE id = (SELECT min(id) FROM st.src);
				ELSIF what = 5 AND st.pick(3) = 0 THEN
					PERFORM set_config('depipe.allow_target_dml', 'on', true);
					DELETE FROM st.t WHERE id % 19 = st.pick(19);
					PERFORM set_config('depipe.allow_target_dml', 'off', true);
				ELSIF what = 6 AND st.pick(8) = 0 THEN
					TRUNCATE st.src;
				ELSIF what = 7 THEN
					UPDATE st.src SET u = NULL WHERE id = st.pick(300);
				ELSE
					UPDATE st.src SET s = s || 'x' WHERE id % 5 = st.pick(5);
				END IF;
			END LOOP;
			SELECT status INTO published FROM depipe.refresh('st.t');
			IF published NOT IN ('succeeded', 'nothing') THEN
				PERFORM depipe.reset('st.t', 'goes on');
			END IF;
			SELECT string_agg(constraint_name || ' ' || detail, ', ') INTO wrong FROM depipe.check_table('st.t') WHERE detail ? 'kept_state';
			IF wrong IS NOT NULL THEN
				RAISE WARNING 'round %: %', round, wrong;
			END IF;
			kept := kept + (SELECT count(DISTINCT constraint_id) FROM depipe.kept_state);
			IF st.pick(5) = 0 THEN
				RAISE EXCEPTION 'taken back';
			END IF;
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
		SELECT string_agg(constraint_name || ' ' || detail, ', ') INTO wrong FROM depipe.check_table('st.t') WHERE detail ? 'kept_state';
		IF wrong IS NOT NULL THEN
			RAISE WARNING 'after round %: %', round, wrong;
		END IF;
	END LOOP;
	IF kept < 200 THEN
		RAISE WARNING 'only % times something was kept', kept;
	END IF;
END
$$;
-- with its definition it goes
SELECT depipe.drop_transform('st.t');
SELECT count(*) FROM depipe.kept_state;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'st.t'::regclass;
SELECT depipe.note_write();
SELECT count(depipe.drop_constraint(target, name)) FROM depipe.constraints WHERE target = 'st.t';
DROP SCHEMA st CASCADE;
