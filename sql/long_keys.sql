--
-- Values that are longer than an index entry, as keys of rows that are kept: in quarantine, as
-- keys that a reference lacks, and as the columns of a table whose rows are kept.
--
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA long_keys;
SET search_path = long_keys;
-- 32 random looking characters for each n: nothing that compresses
CREATE FUNCTION noise(seed int, pieces int) RETURNS text LANGUAGE sql IMMUTABLE
	RETURN (SELECT string_agg(md5(format('%s/%s', seed, n)), '') FROM generate_series(1, pieces) n);

-- a key of 1,600 bytes fits into the index of its table; its text does not
CREATE TABLE src (id bytea PRIMARY KEY, amount int);
INSERT INTO src SELECT decode(noise(n, 100), 'hex'), n FROM generate_series(1, 4) n;
SELECT depipe.create_transform('long_keys.t', 'SELECT id, amount FROM long_keys.src', key => '{id}');
SELECT depipe.add_constraint('t', depipe.satisfies('amount < 100'), name => 'small', on_violation => 'quarantine');
UPDATE src SET amount = amount + 100 WHERE amount > 2;
SELECT status, updated, quarantined FROM depipe.refresh('long_keys.t');
SELECT state, length(key[1]), md5(key[1]) = md5('\x' || noise(("row"->>'amount')::int - 100, 100)) AS same_key, "row"->>'amount' AS amount
FROM depipe.quarantine WHERE target = 'long_keys.t' ORDER BY 4;
-- a later version of a key replaces its quarantined one, another does not
UPDATE src SET amount = 1000 WHERE amount = 103;
SELECT status, updated, quarantined FROM depipe.refresh('long_keys.t');
SELECT "row"->>'amount' AS amount FROM depipe.quarantine WHERE target = 'long_keys.t' ORDER BY 1;
UPDATE src SET amount = 3 WHERE amount = 1000;
DELETE FROM src WHERE amount = 104;
SELECT status FROM depipe.refresh('long_keys.t');
SELECT count(*) FROM depipe.quarantine WHERE target = 'long_keys.t';
SELECT amount FROM t ORDER BY 1;

-- 300 columns with long names
\set ECHO none
SELECT format('CREATE TABLE wide (id int PRIMARY KEY, %s)', string_agg(format('%I int', 'c' || noise(n, 1)), ', ' ORDER BY n))
FROM generate_series(1, 300) n \gexec
\set ECHO all
INSERT INTO wide (id) VALUES (1), (2);
SELECT depipe.create_transform('long_keys.wide_t', 'SELECT * FROM long_keys.wide', key => '{id}');
SELECT depipe.add_constraint('wide_t', depipe.satisfies('id < 100'), name => 'small', on_violation => 'quarantine');
INSERT INTO wide (id) VALUES (3), (101), (102);
SELECT status, inserted, quarantined FROM depipe.refresh('long_keys.wide_t');
INSERT INTO wide (id) VALUES (4), (103);
SELECT status, inserted, quarantined FROM depipe.refresh('long_keys.wide_t');
SELECT "row"->>'id' AS id FROM depipe.quarantine WHERE target = 'long_keys.wide_t' ORDER BY 1;

-- keys that the reference does not have yet
CREATE TABLE parent (body text);
CREATE TABLE child (id int PRIMARY KEY, body text);
INSERT INTO parent VALUES (noise(1, 200)), (noise(2, 200));
SELECT depipe.create_transform('long_keys.child_t', 'SELECT id, body FROM long_keys.child', key => '{id}');
SELECT depipe.add_constraint('child_t', depipe.relationships('body', 'long_keys.parent', 'body'), name => 'known',
	on_violation => 'break', grace => '1 hour');
INSERT INTO child VALUES (1, noise(1, 200)), (3, noise(3, 200)), (4, noise(3, 200));
SELECT status, inserted FROM depipe.refresh('long_keys.child_t');
SELECT state, violations FROM depipe.constraints WHERE target = 'long_keys.child_t';
SELECT count(*), sum(length(reference_key[1])) FROM depipe.pending_key;

-- no index of depipe's own tables is over arrays, or over texts that anybody may write
SELECT i.indexrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = i.indexrelid
WHERE c.relnamespace = 'depipe'::regnamespace
	AND i.indexrelid <> 'depipe.attempt_pkey'::regclass -- a word and a number or a name
	AND a.atttypid NOT IN ('cstring'::regtype, 'int4'::regtype, 'int8'::regtype, 'oid'::regtype, 'uuid'::regtype, 'timestamptz'::regtype, 'bytea'::regtype)
ORDER BY 1, 2;

DO $$ BEGIN PERFORM depipe.drop_transform('long_keys.' || t, drop_table => true) FROM unnest('{t,wide_t,child_t}'::text[]) t; END $$;
DROP SCHEMA long_keys CASCADE;
