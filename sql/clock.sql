-- transforms that compare columns with the time: rows that time passes over between two refreshes
CREATE SCHEMA clk;
SET search_path = clk;
SET client_min_messages = warning;
SET TimeZone = 'Europe/Berlin';
CREATE TABLE o (id integer PRIMARY KEY, k integer, at timestamptz, until timestamp, d date);
CREATE TABLE c (k integer PRIMARY KEY, region text, closes timestamptz);
CREATE INDEX ON o (at);
CREATE TABLE defined (name text PRIMARY KEY, query text);
CREATE PROCEDURE make(name text, query text) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO clk.defined VALUES (name, query);
	PERFORM depipe.create_transform('clk.' || name, query, mode => 'incremental', key => '{}');
END $$;
-- refresh all in this transaction; rows that differ from the query at the same time
CREATE FUNCTION refreshed() RETURNS TABLE (name text, strategy text, reason text, written bigint, wrong bigint) LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
	FOR r IN SELECT d.name, d.query, f.strategy, f.reason, f.inserted + f.updated + f.deleted AS written
		FROM depipe.refresh('clk.*') f JOIN clk.defined d ON f.target = 'clk.' || d.name ORDER BY d.name
	LOOP
		name := r.name; strategy := r.strategy; reason := r.reason; written := CASE WHEN r.name !~ '_day|_month' THEN r.written END; -- a day may end
		EXECUTE format('SELECT count(*) FROM ((%1$s EXCEPT ALL TABLE clk.%2$I) UNION ALL (TABLE clk.%2$I EXCEPT ALL (%1$s))) d',
			r.query, r.name) INTO wrong;
		RETURN NEXT;
	END LOOP;
END $$;
-- wait until now() of a new transaction is past the time that was noted
CREATE TABLE noted (at timestamptz);
CREATE PROCEDURE pass() LANGUAGE plpgsql AS $$
BEGIN
	WHILE clock_timestamp() <= (SELECT at FROM clk.noted) LOOP NULL; END LOOP;
END $$;
CREATE PROCEDURE note(ahead interval) LANGUAGE sql AS $$
	DELETE FROM clk.noted; INSERT INTO clk.noted VALUES (now() + ahead) $$;

INSERT INTO c VALUES (1, 'north', 'infinity'), (2, 'south', now() + '1 hour'), (3, NULL, NULL);
INSERT INTO o SELECT i, i % 4, now() - i * interval '1 day', localtimestamp + i * interval '1 day', current_date - i FROM generate_series(-5, 10) i;
INSERT INTO o VALUES (90, 1, 'infinity', '-infinity', 'infinity'), (91, 2, '-infinity', 'infinity', '-infinity'), (92, 3, NULL, NULL, NULL);

CALL make('a_recent', 'SELECT id, k FROM clk.o WHERE at > now() - interval ''1 day''');
CALL make('b_grouped', 'SELECT o.k, count(*) AS n, max(c.region) AS region FROM clk.o JOIN clk.c ON c.k = o.k WHERE o.at <= current_timestamp GROUP BY o.k');
CALL make('c_filter', 'SELECT k, count(*) FILTER (WHERE at < now()) AS past, count(*) AS n FROM clk.o GROUP BY k');
CALL make('d_joined', 'SELECT o.id, c.region FROM clk.o LEFT JOIN clk.c ON c.k = o.k AND c.closes > now()');
CALL make('e_exists', 'SELECT c.k FROM clk.c WHERE NOT EXISTS (SELECT FROM clk.o WHERE o.k = c.k AND o.at BETWEEN now() - interval ''1 minute'' AND now() + interval ''1 hour'')');
CALL make('f_local', 'SELECT id, until FROM clk.o WHERE until <= localtimestamp');
CALL make('g_union', 'SELECT u.k, count(*) AS n FROM (SELECT k, at FROM clk.o UNION ALL SELECT k, closes FROM clk.c) u WHERE now() < u.at GROUP BY u.k');
CALL make('h_case', 'SELECT id, CASE WHEN at < now() THEN ''past'' ELSE ''ahead'' END AS word FROM clk.o');
CALL make('i_day', 'SELECT id FROM clk.o WHERE d = current_date');
CALL make('j_day_of', 'SELECT id FROM clk.o WHERE at::date >= current_date');
CALL make('k_month', 'SELECT id FROM clk.o WHERE at >= date_trunc(''month'', now())');
SELECT * FROM refreshed();
\echo time passes, and over no row
CALL note('0 ms');
CALL pass();
SELECT * FROM refreshed();
\echo time passes over rows: none of the inputs changes after the refresh that did not count them
BEGIN;
CALL note('50 ms');
INSERT INTO o SELECT 100, 1, at, at, current_date FROM noted;
UPDATE o SET at = noted.at - interval '1 hour' FROM noted WHERE id = 5;
UPDATE o SET at = noted.at + interval '1 day' FROM noted WHERE id = 6;
UPDATE c SET closes = at FROM noted WHERE k = 2;
INSERT INTO o SELECT 101, 3, at - interval '1 day', at, current_date FROM noted;
INSERT INTO o SELECT 102, 2, at - interval '1 hour', at, current_date FROM noted;
SELECT name, strategy, wrong FROM refreshed();
COMMIT;
CALL pass();
SELECT * FROM refreshed();
SELECT name, strategy, written, wrong FROM refreshed() WHERE written > 0 OR wrong > 0;
\echo a row is deleted at the same time as time passes over it, and its partner changes
BEGIN;
CALL note('50 ms');
INSERT INTO o SELECT 110, 1, at, at, current_date FROM noted;
INSERT INTO o SELECT 111, 2, at, at, current_date FROM noted;
INSERT INTO c SELECT 0, 'east', at FROM noted;
SELECT name, strategy, wrong FROM refreshed() WHERE wrong > 0;
COMMIT;
CALL pass();
DELETE FROM o WHERE id = 110;
DELETE FROM c WHERE k = 0;
UPDATE c SET region = 'west' WHERE k = 2;
SELECT * FROM refreshed() WHERE written > 0 OR wrong > 0;
\echo a transaction that began before the last refresh: time goes backwards
\setenv PGDATABASE :DBNAME
BEGIN;
SELECT count(now()) FROM noted;
\! psql -X -q -At -c "INSERT INTO clk.o SELECT 120, 1, clock_timestamp(), timezone('Europe/Berlin', clock_timestamp()), now()" -c "SET TimeZone = 'Europe/Berlin'" -c "SELECT name, written, wrong FROM clk.refreshed() WHERE written > 0 OR wrong > 0"
SELECT * FROM refreshed() WHERE written > 0 OR wrong > 0;
COMMIT;
SELECT * FROM refreshed() WHERE written > 0 OR wrong > 0;
\echo verify compares with the query at the time of the last refresh, and so does data_as_of
BEGIN;
CALL note('50 ms');
INSERT INTO o SELECT 130, 1, at, at, current_date FROM noted;
SELECT name, wrong FROM refreshed() WHERE wrong > 0;
COMMIT;
CALL pass();
SELECT d.name, v.* FROM defined d, depipe.verify('clk.' || d.name) v;
SELECT count(*) FROM depipe.transforms t, noted WHERE t.target LIKE 'clk.%' AND t.data_as_of >= noted.at;
SELECT name, strategy, written, wrong FROM refreshed() WHERE written > 0;
\echo another TimeZone of the session is not that of the definition
SET TimeZone = 'Pacific/Kiritimati';
INSERT INTO o VALUES (140, 1, now(), localtimestamp, current_date);
SELECT name, strategy FROM refreshed() WHERE strategy <> 'keys';
SELECT d.name, v.* FROM defined d, depipe.verify('clk.' || d.name) v;
SET TimeZone = 'Europe/Berlin';
SELECT name, strategy, wrong FROM refreshed() WHERE wrong > 0;
\echo an index is missing, or cannot be made
INSERT INTO o VALUES (150, 1, now(), localtimestamp, current_date);
SELECT d.name, substring(e.detail from 'Rows that time.*') AS advice FROM defined d, depipe.explain_transform('clk.' || d.name) e
	WHERE e.strategy = 'keys' ORDER BY 1;
\echo what is not a comparison of a column with the time
CREATE FUNCTION refused(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
	PERFORM depipe.create_transform('clk.refused', query, mode => 'incremental');
	RETURN 'accepted';
EXCEPTION WHEN feature_not_supported THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END $$;
SELECT refused('SELECT id, now() AS at FROM clk.o');
SELECT refused('SELECT id FROM clk.o WHERE now() - at < interval ''1 day''');
SELECT refused('SELECT o.id FROM clk.o JOIN clk.c ON c.k = o.k WHERE o.at + (c.closes - o.at) > now()');
SELECT refused('SELECT k FROM clk.o GROUP BY k HAVING max(at) > now()');
SELECT refused('SELECT o.id FROM clk.o LEFT JOIN clk.c ON c.k = o.k WHERE coalesce(c.closes, ''2100-01-01'') > now()');
SELECT refused('SELECT id FROM clk.o WHERE at > statement_timestamp()');
SELECT refused('SELECT id FROM clk.o WHERE to_char(at, ''YYYY'') = to_char(now(), ''YYYY'')');
SELECT refused('SELECT u.k FROM (SELECT k, at FROM clk.o UNION ALL SELECT k, timestamptz ''2026-01-01'' FROM clk.c) u WHERE now() < u.at');
SELECT refused('WITH RECURSIVE w AS (SELECT id FROM clk.o WHERE at > now() UNION ALL SELECT o.id FROM clk.o JOIN w ON w.id = o.k) SELECT c.k FROM clk.c JOIN w ON w.id = c.k');
SELECT refused('SELECT c.k FROM clk.c WHERE EXISTS (SELECT FROM clk.o WHERE o.at > now())');
\echo through a view, with a moment that is NULL, with a comparison the other way round
CREATE VIEW open AS SELECT id, k, at FROM o WHERE now() >= at;
CALL make('v_view', 'SELECT id, k FROM clk.open WHERE k > 0');
CALL make('w_null', 'SELECT id FROM clk.o WHERE at > now() + NULL::interval');
SELECT * FROM refreshed() WHERE name >= 'v';
BEGIN;
CALL note('50 ms');
INSERT INTO o SELECT 160, 1, at, at, current_date FROM noted;
SELECT name, wrong FROM refreshed() WHERE wrong > 0;
COMMIT;
CALL pass();
SELECT * FROM refreshed() WHERE name >= 'v';
SELECT count(depipe.drop_transform(target, true)) FROM depipe.transforms WHERE target LIKE 'clk.%';
DROP SCHEMA clk CASCADE;
