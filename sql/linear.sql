-- strategies linear and join: rows that follow from changed rows
CREATE EXTENSION IF NOT EXISTS depipe;
SET client_min_messages = warning;
CREATE SCHEMA lin;
SET search_path = lin;
CREATE TABLE customers (id integer PRIMARY KEY, region text, boss integer);
CREATE TABLE orders (id integer PRIMARY KEY, customer integer, amount numeric, note text);
CREATE TABLE kinds (customer integer, kind char(3), weight integer);
INSERT INTO customers SELECT i, CASE WHEN i % 5 > 0 THEN 'r' || i % 5 END, nullif(i % 40, 0) FROM generate_series(1, 200) i;
INSERT INTO orders SELECT i, i % 200 + 1, CASE WHEN i % 7 > 0 THEN i % 100 + 0.50 END, CASE WHEN i % 3 > 0 THEN 'n' || i % 3 END
	FROM generate_series(1, 3000) i;
INSERT INTO kinds SELECT i % 40, CASE WHEN i % 6 > 0 THEN 'k' || i % 6 END, nullif(i % 4, 0) FROM generate_series(1, 120) i;
ANALYZE customers, orders, kinds;
CREATE TABLE made (name text, query text);
-- the last run of each transform, and how many of its rows are not those of the query
CREATE FUNCTION refreshed(VARIADIC names text[]) RETURNS TABLE (name text, run text, wrong bigint) LANGUAGE plpgsql AS $$
DECLARE
	one text;
	run record;
BEGIN
	FOREACH one IN ARRAY names LOOP
		SELECT * INTO run FROM depipe.refresh('lin.' || one);
		EXECUTE format('SELECT count(*) FROM ((TABLE lin.%1$I EXCEPT ALL (%2$s)) UNION ALL ((%2$s) EXCEPT ALL TABLE lin.%1$I)) d',
			one, (SELECT query FROM lin.made WHERE made.name = one)) INTO wrong;
		name := one;
		refreshed.run := concat_ws(' ', run.status, run.strategy, run.inserted, run.updated, run.deleted, run.reason);
		RETURN NEXT;
	END LOOP;
END $$;
CREATE FUNCTION make(name text, query text, key text[] DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO lin.made VALUES (name, query);
	PERFORM depipe.create_transform('lin.' || name, query, key => key);
END $$;
CREATE VIEW big AS SELECT o.id, o.customer, o.amount * 2 AS double, c.region FROM orders o JOIN customers c ON c.id = o.customer
	WHERE o.amount > 50;
SELECT make('filtered', 'SELECT id, customer + 1 AS next, upper(note) AS note FROM lin.orders WHERE amount IS NULL OR amount < 60');
SELECT make('bag', 'SELECT amount, note FROM lin.orders WHERE customer % 2 = 0', '{}');
SELECT make('joined', 'SELECT o.id, c.region, o.amount FROM lin.orders o JOIN lin.customers c ON c.id = o.customer WHERE c.region <> ''r4''');
SELECT make('pairs', 'SELECT a.region, b.region AS other FROM lin.customers a JOIN lin.customers b ON b.id = a.boss', '{}');
SELECT make('three', 'SELECT c.region, k.kind, o.note, k.weight FROM lin.orders o, lin.customers c JOIN lin.kinds k ON k.customer = c.id
	WHERE c.id = o.customer', '{}');
SELECT make('viewed', 'SELECT * FROM (SELECT id, region, double FROM lin.big WHERE double > 110) b WHERE region IS NOT NULL');
SELECT make('together', 'SELECT id, note FROM lin.orders WHERE id % 3 = 0 UNION ALL (SELECT weight::smallint, kind FROM lin.kinds
	UNION ALL SELECT c.id::bigint, o.note FROM lin.customers c JOIN lin.orders o ON o.id = c.id)', '{}');
SELECT r.* FROM made, refreshed(made.name) r WHERE run <> 'nothing nothing 0 0 0';
SELECT strategy, reason, possible FROM depipe.explain_transform('lin.joined') WHERE strategy IN ('linear', 'join');
INSERT INTO orders VALUES (5001, 4, 55, NULL), (5002, 4, 55.0, NULL), (5003, NULL, NULL, 'n1');
SELECT strategy, reason, chosen, delta_sql LIKE '%FROM _depipe_changes_1 o,%customers c%' AS shown FROM depipe.explain_transform('lin.joined')
	WHERE strategy IN ('linear', 'join');
SELECT * FROM refreshed('filtered', 'bag', 'joined', 'viewed', 'together');
-- both sides, the same row more than once, and what comes and goes
BEGIN;
UPDATE orders SET customer = 7, amount = 60 WHERE id = 5001;
UPDATE orders SET customer = 9, note = 'n2' WHERE id = 5001;
DELETE FROM orders WHERE id = 5002;
INSERT INTO orders VALUES (5002, 7, 55.00, NULL), (5004, 7, 1, NULL);
DELETE FROM orders WHERE id = 5004;
UPDATE customers SET region = 'r9' WHERE id IN (7, 9, 11);
UPDATE customers SET region = NULL, boss = 3 WHERE id = 11;
COMMIT;
SELECT * FROM refreshed('filtered', 'bag', 'joined', 'pairs', 'three', 'viewed', 'together');
-- keys that change places
UPDATE orders SET id = CASE id WHEN 10 THEN 6001 WHEN 11 THEN 6002 END WHERE id IN (10, 11);
UPDATE orders SET id = CASE id WHEN 6001 THEN 11 WHEN 6002 THEN 10 END WHERE id > 6000;
SELECT * FROM refreshed('filtered', 'joined', 'together');
-- nothing that is read: nothing is written
UPDATE orders SET note = note || '!' WHERE id % 50 = 0;
SELECT * FROM refreshed('joined', 'viewed');
-- equal values, other images
UPDATE orders SET amount = amount::numeric(10, 4) WHERE id % 100 = 1;
SELECT * FROM refreshed('bag', 'joined');
-- a table without a key, and with a row more than once
INSERT INTO kinds SELECT 1, 'k1', 1 FROM generate_series(1, 3);
DELETE FROM kinds WHERE ctid = (SELECT max(ctid) FROM kinds WHERE kind = 'k1');
SELECT * FROM refreshed('three', 'together');
-- the delta of a join of tables that have all changed
UPDATE orders SET note = 'all' WHERE id = 100;
UPDATE customers SET region = 'all' WHERE id = 5;
UPDATE kinds SET weight = 100 WHERE customer = 5 AND kind = 'k5';
SELECT * FROM refreshed('three');
-- a trigger of the target's writes other rows than the query returns: they are compared
CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := left(NEW.note, 1); RETURN NEW; END';
SELECT make('cut', 'SELECT id, note, customer FROM lin.orders WHERE customer < 20');
SELECT make('cuts', 'SELECT note, customer FROM lin.orders WHERE customer < 20', '{}');
CREATE TRIGGER cut BEFORE INSERT OR UPDATE ON cut FOR EACH ROW WHEN (NEW.note LIKE 'long%') EXECUTE FUNCTION cut();
CREATE TRIGGER cut BEFORE INSERT OR UPDATE ON cuts FOR EACH ROW WHEN (NEW.note LIKE 'long%') EXECUTE FUNCTION cut();
ALTER TABLE cut ENABLE ALWAYS TRIGGER cut;
ALTER TABLE cuts ENABLE ALWAYS TRIGGER cut;
SELECT r.* FROM generate_series(1, 2), refreshed('cut', 'cuts') r WHERE run <> 'nothing nothing 0 0 0';
UPDATE orders SET note = 'long' WHERE id = 601;
SELECT * FROM refreshed('cut', 'cuts');
UPDATE orders SET note = 'n5' WHERE id = 601;
SELECT * FROM refreshed('cut', 'cuts');
-- a key that is not unique
SELECT make('unsure', 'SELECT k.customer, k.weight FROM lin.kinds k WHERE k.customer > 100', '{customer}');
INSERT INTO kinds VALUES (101, 'a', 1), (102, 'a', 1);
SELECT * FROM refreshed('unsure');
INSERT INTO kinds VALUES (102, 'b', 2);
SELECT status, strategy, inserted, updated FROM depipe.refresh('lin.unsure');
SELECT error_message FROM depipe.runs WHERE target = 'lin.unsure' ORDER BY run_id DESC LIMIT 1;
DELETE FROM kinds WHERE customer > 100;
SELECT * FROM refreshed('unsure');
-- more tables than are worth it
SELECT make('five', 'SELECT a.region FROM lin.customers a JOIN lin.customers b ON b.id = a.boss JOIN lin.customers c ON c.id = b.boss
	JOIN lin.customers d ON d.id = c.boss JOIN lin.customers e ON e.id = d.boss', '{}');
SELECT make('four', 'SELECT a.region FROM lin.customers a JOIN lin.customers b ON b.id = a.boss JOIN lin.customers c ON c.id = b.boss
	JOIN lin.customers d ON d.id = c.boss', '{}');
SELECT * FROM refreshed('four', 'five');
UPDATE customers SET region = 'some' WHERE id IN (4, 44);
SELECT strategy, reason FROM depipe.explain_transform('lin.five') WHERE strategy = 'join';
SELECT * FROM refreshed('four');
-- what is no such query
CREATE FUNCTION reasons(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	reasons text;
BEGIN
	PERFORM depipe.create_transform('lin.other', query, key => '{}');
	PERFORM depipe.refresh('lin.other');
	UPDATE lin.orders SET id = - id, amount = amount + 1, customer = customer + 1 WHERE abs(id) = 1;
	SELECT string_agg(strategy || ' ' || reason, ', ' ORDER BY strategy) INTO reasons FROM depipe.explain_transform('lin.other')
		WHERE strategy IN ('linear', 'join');
	PERFORM depipe.drop_transform('lin.other', drop_table => true);
	RETURN reasons;
END $$;
SELECT query, reasons(query) FROM unnest(ARRAY[
	'SELECT o.id FROM lin.orders o LEFT JOIN lin.customers c ON c.id = o.customer',
	'SELECT id FROM lin.orders WHERE customer IN (SELECT id FROM lin.customers)',
	'SELECT DISTINCT customer FROM lin.orders',
	'SELECT id, row_number() OVER (ORDER BY id) FROM lin.orders',
	'SELECT id FROM lin.orders UNION SELECT id FROM lin.customers',
	'SELECT id FROM lin.orders UNION ALL SELECT customer FROM lin.orders ORDER BY 1 LIMIT 2',
	'SELECT count(*) FROM lin.orders',
	'SELECT customer FROM lin.orders GROUP BY 1',
	'SELECT o::text AS o FROM lin.orders o',
	'SELECT id, now() AS n FROM lin.orders']) query;
-- random changes of all three tables, some of them in one transaction: always what the queries return
CREATE FUNCTION change() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	one integer := random() * 40;
	other integer := 41 + random() * 150;
	what integer := random() * 6;
BEGIN
	IF what = 0 THEN
		UPDATE lin.customers SET region = CASE WHEN random() < 0.8 THEN 'r' || (random() * 4)::integer END WHERE id IN (one, one + 1);
	ELSIF what = 1 THEN
		UPDATE lin.kinds SET weight = CASE WHEN random() < 0.8 THEN (random() * 9)::integer END WHERE customer = one;
	ELSIF what = 2 THEN
		DELETE FROM lin.kinds WHERE ctid IN (SELECT ctid FROM lin.kinds ORDER BY customer, kind, weight OFFSET one LIMIT 2);
		INSERT INTO lin.kinds VALUES (one, 'k' || other % 8, other / 10), (one, 'k1', NULL);
	ELSIF what = 3 THEN
		UPDATE lin.orders SET customer = one, amount = other WHERE id % 1000 = other;
	ELSIF what = 4 THEN
		DELETE FROM lin.orders WHERE id BETWEEN other * 10 AND other * 10 + 5;
	ELSIF what = 5 THEN
		UPDATE lin.customers SET boss = nullif(other % 40, 0) WHERE id IN (one, other);
	ELSE
		INSERT INTO lin.orders SELECT max(id) + 1, one, other, 'n1' FROM lin.orders;
	END IF;
END $$;
CREATE TABLE strategies (strategy text);
DO $$
DECLARE
	refresh record;
BEGIN
	PERFORM setseed(0.25);
	FOR round IN 1 .. 25 LOOP
		PERFORM lin.change() FROM generate_series(1, 1 + (random() * 3)::integer);
		FOR refresh IN SELECT * FROM lin.refreshed('filtered', 'bag', 'joined', 'pairs', 'three', 'viewed', 'together') LOOP
			INSERT INTO lin.strategies VALUES (split_part(refresh.run, ' ', 2));
			IF refresh.wrong > 0 OR refresh.run !~ '^(succeeded|nothing)' THEN
				RAISE EXCEPTION 'round %: %', round, refresh;
			END IF;
		END LOOP;
	END LOOP;
END $$;
SELECT strategy, count(*) > 25 AS often FROM strategies GROUP BY 1 HAVING strategy IN ('linear', 'join') ORDER BY 1;
SELECT count(*) FROM unnest(ARRAY['filtered', 'bag', 'joined', 'pairs', 'three', 'viewed', 'together']) t, LATERAL depipe.verify('lin.' || t);
SELECT count(depipe.drop_transform('lin.' || name, true)) FROM made;
SET client_min_messages = error;
DROP SCHEMA lin CASCADE;
