--
-- verify: does a target hold what it shall hold?
--
CREATE SCHEMA raw;
CREATE SCHEMA mart;
CREATE TABLE raw.item (id integer PRIMARY KEY, kind text, price numeric, tags text[], extra json);
INSERT INTO raw.item SELECT i, 'k' || i % 3, i + 0.50, ARRAY['t' || i], '{}' FROM generate_series(1, 6) i;
SELECT depipe.create_transform('mart.item', 'SELECT id, kind, price, tags FROM raw.item');
SELECT depipe.create_transform('mart.bag', 'SELECT kind, extra FROM raw.item');
SELECT depipe.create_transform('mart.kinds', 'SELECT kind, sum(price) AS price FROM raw.item GROUP BY kind');

-- equal: no row
SELECT * FROM depipe.verify('mart.item');
SELECT * FROM depipe.verify('mart.bag');
SELECT * FROM depipe.verify('mart.item', 'counts');

-- every kind of difference
UPDATE raw.item SET price = 1.5 WHERE id = 1;
DELETE FROM raw.item WHERE id = 2;
INSERT INTO raw.item VALUES (7, NULL, NULL, NULL, NULL), (8, NULL, 'NaN', '{}', NULL);
SELECT * FROM depipe.verify('mart.item') ORDER BY key;
SELECT * FROM depipe.verify('mart.kinds') ORDER BY key;
SELECT * FROM depipe.verify('mart.bag') ORDER BY expected::text, actual::text;
SELECT * FROM depipe.verify('mart.item', 'counts');
SELECT * FROM depipe.verify('mart.bag', 'counts', 'kind = ''k2''');
SELECT difference, key FROM depipe.verify('mart.item', condition => 'id > 6') ORDER BY key;
SELECT difference, key FROM depipe.verify('mart.item', condition => 'price < 2 -- cheap') ORDER BY key;
SELECT count(*) FROM depipe.verify('mart.item', max_rows => 2);
SELECT count(*) FROM depipe.verify('mart.item', max_rows => 0);
SELECT count(*) FROM depipe.verify('mart.item', 'counts', max_rows => 0);
SELECT count(*) FROM depipe.verify('mart.bag', max_rows => 1);

-- a difference of the image is a difference: 1.5 and 1.50
SELECT status FROM depipe.refresh('mart.*');
UPDATE raw.item SET price = 1.50 WHERE id = 1;
SELECT * FROM depipe.verify('mart.item');
SELECT status, updated FROM depipe.refresh('mart.item');
SELECT * FROM depipe.verify('mart.item');

-- somebody changed the table
SET depipe.allow_target_dml = on;
UPDATE mart.item SET kind = 'wrong' WHERE id = 3;
DELETE FROM mart.bag WHERE kind = 'k0';
INSERT INTO mart.bag SELECT * FROM mart.bag WHERE kind = 'k2';
RESET depipe.allow_target_dml;
SELECT * FROM depipe.verify('mart.item');
SELECT * FROM depipe.verify('mart.bag') ORDER BY difference, expected::text;
SELECT target, status, inserted, updated, deleted FROM depipe.refresh('mart.*');
SELECT count(*) FROM depipe.verify('mart.item');
SELECT count(*) FROM depipe.verify('mart.bag');

-- totals, and a repair: what an inner function returned is not captured
SELECT * FROM depipe.verify('mart.item', 'checksums');
CREATE FUNCTION raw.label(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN raw.inner_label($1); END $$;
CREATE FUNCTION raw.inner_label(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'old ' || $1 $$;
SELECT depipe.create_transform('mart.labelled', 'SELECT id, raw.label(kind) AS label FROM raw.item');
SELECT depipe.add_constraint('mart.labelled', depipe.satisfies($$label <> 'new bad'$$));
SELECT count(*) FROM depipe.verify('mart.labelled');
CREATE OR REPLACE FUNCTION raw.inner_label(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'new ' || $1 $$;
SELECT difference, expected ->> 'rows' AS rows, actual ->> 'rows' AS actual, expected = actual AS same FROM depipe.verify('mart.labelled', 'checksums');
SELECT count(*) FROM depipe.verify('mart.labelled', 'counts');
SELECT count(*) FROM depipe.verify('mart.labelled', max_rows => 2, repair => true);
SELECT count(*) FROM depipe.verify('mart.labelled');
SELECT count(*) FROM depipe.verify('mart.labelled', 'checksums');
SELECT status, updated FROM depipe.runs WHERE target = 'mart.labelled' AND started_by = 'verify';
-- nothing to repair: no run
SELECT count(*) FROM depipe.verify('mart.labelled', repair => true);
SELECT count(*) FROM depipe.runs WHERE target = 'mart.labelled' AND started_by = 'verify';
-- a repair passes the gate, here without any returned row
CREATE OR REPLACE FUNCTION raw.inner_label(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'new bad' $$;
SELECT count(*) FROM depipe.verify('mart.labelled', max_rows => 0, repair => true);
SELECT status FROM depipe.runs WHERE target = 'mart.labelled' AND started_by = 'verify' ORDER BY run_id DESC LIMIT 1;
SELECT count(*), count(*) FILTER (WHERE explained_by = 'held') AS held FROM depipe.verify('mart.labelled', repair => true);
SELECT count(*) FROM depipe.runs WHERE target = 'mart.labelled' AND started_by = 'verify';
SELECT depipe.drop_transform('mart.labelled', drop_table => true);
DROP FUNCTION raw.label, raw.inner_label;

-- a row in quarantine is nothing to repair, although totals do not show that it is one
CREATE TABLE raw.kept (id integer PRIMARY KEY, v integer);
INSERT INTO raw.kept VALUES (1, 1), (2, 2);
SELECT depipe.create_transform('mart.kept', 'SELECT id, v FROM raw.kept');
SELECT depipe.add_constraint('mart.kept', depipe.satisfies('v > 0'), on_violation => 'quarantine');
UPDATE raw.kept SET v = -1 WHERE id = 2;
SELECT status, quarantined FROM depipe.refresh('mart.kept');
SELECT difference, explained_by FROM depipe.verify('mart.kept', 'checksums', repair => true);
SELECT count(*) FROM depipe.runs WHERE target = 'mart.kept' AND started_by = 'verify';
SELECT depipe.drop_transform('mart.kept', drop_table => true);
DROP TABLE raw.kept;

SELECT depipe.create_transform('mart.volatile', 'SELECT random() AS r');

-- what is refused
CREATE FUNCTION public.raises(statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ': ' || SQLERRM || CASE WHEN hint <> '' THEN ' | ' || hint ELSE '' END;
END
$$;
SELECT public.raises('SELECT * FROM depipe.verify(' || arguments || ')') FROM (VALUES
	('NULL'), ('''mart.item'', NULL'), ('''mart.item'', ''rows'', max_rows => NULL'),
	('''mart.item'', ''deep'''), ('''mart.item'', ''rows'', max_rows => -1'),
	('''mart.none'''), ('''raw.item'''), (''''''), ('''mart.volatile'''),
	('''mart.item'', condition => '''''), ('''mart.item'', condition => ''id >'''),
	('''mart.item'', condition => ''nothing = 1'''), ('''mart.item'', condition => ''id'''),
	('''mart.item'', condition => ''true) OR (true'''), ('''mart.item'', condition => ''true), (1'''),
	('''mart.item'', condition => ''true); SELECT (1'''), ('''mart.item'', condition => ''sum(id) > 1'''),
	('''mart.item'', condition => ''id / 0 = 1''')) v (arguments);
DROP TABLE mart.kinds;
SELECT public.raises($$SELECT * FROM depipe.verify('mart.kinds')$$);

-- nothing of it is left
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
SELECT status FROM depipe.refresh('mart.item');

SET client_min_messages = warning;
DROP EXTENSION depipe;
DROP SCHEMA raw, mart CASCADE;
DROP FUNCTION public.raises(text);
CREATE EXTENSION depipe;
