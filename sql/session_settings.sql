--
-- A definition means the same whoever evaluates it: it has the settings of the
-- session that made it.
--
SET client_min_messages = warning;
CREATE SCHEMA ses;
SET timezone = 'Europe/Berlin';
SET datestyle = 'ISO, DMY';
SET intervalstyle = 'postgres';
SET default_text_search_config = 'pg_catalog.simple';
SELECT depipe.session_settings() AS here;

-- what a transform returns
CREATE TABLE ses.event (id int PRIMARY KEY, at timestamptz, amount numeric, raw bytea, half float8);
INSERT INTO ses.event VALUES (1, '2026-01-01 23:30:00+00', 1, '\x01', 0.1), (2, '2026-01-02 22:30:00+00', 2, '\x02', 1.0/3);
SELECT depipe.create_transform('ses.daily', $$
	SELECT id, at::date AS day, at::text AS written, '02/01/2026'::date AS first, raw::text AS bytes, half::text AS half,
		to_char(at, 'TZ') AS zone, '2026-01-01'::timestamptz AS begins
	FROM ses.event$$, key => '{id}');
TABLE ses.daily ORDER BY id;
CREATE FUNCTION ses.elsewhere() RETURNS text LANGUAGE sql AS $$
	SELECT set_config('timezone', 'Asia/Tokyo', false) || ' ' || set_config('datestyle', 'German, MDY', false)
		|| ' ' || set_config('intervalstyle', 'sql_standard', false) || ' ' || set_config('extra_float_digits', '-5', false)
		|| ' ' || set_config('bytea_output', 'escape', false) || ' ' || set_config('transform_null_equals', 'on', false)
		|| ' ' || set_config('quote_all_identifiers', 'on', false) || ' ' || set_config('xmloption', 'document', false)
		|| ' ' || set_config('timezone_abbreviations', 'India', false)
		|| ' ' || set_config('default_text_search_config', 'pg_catalog.german', false)
$$;
CREATE FUNCTION ses.back() RETURNS text LANGUAGE sql AS $$
	SELECT set_config('timezone', 'Europe/Berlin', false) || ' ' || set_config('datestyle', 'ISO, DMY', false)
		|| ' ' || set_config('intervalstyle', 'postgres', false) || ' ' || set_config('extra_float_digits', '1', false)
		|| ' ' || set_config('bytea_output', 'hex', false) || ' ' || set_config('transform_null_equals', 'off', false)
		|| ' ' || set_config('quote_all_identifiers', 'off', false) || ' ' || set_config('xmloption', 'content', false)
		|| ' ' || set_config('timezone_abbreviations', 'Default', false)
		|| ' ' || set_config('default_text_search_config', 'pg_catalog.simple', false)
$$;
SELECT ses.elsewhere();
SELECT target, status, updated FROM depipe.refresh('ses.daily');
SELECT count(*) AS differences FROM depipe.verify('ses.daily');
UPDATE ses.event SET at = at + interval '1 day' WHERE id = 2;
SELECT target, status, updated FROM depipe.refresh('ses.daily');
SELECT ses.back();
SELECT count(*) AS differences FROM depipe.verify('ses.daily');
TABLE ses.daily ORDER BY id;

-- the printed statement makes the same definition in any session
CREATE TABLE ses.printed AS SELECT statement FROM depipe.definition('ses.daily');
SELECT regexp_replace(statement, '^.*(settings => .*)$', '\1', 's') AS settings FROM ses.printed;
SELECT ses.elsewhere();
SELECT (SELECT statement FROM depipe.definition('ses.daily')) = statement AS same FROM ses.printed;
SELECT depipe.drop_transform('ses.daily', drop_table => true);
DO $$ BEGIN EXECUTE (SELECT statement FROM ses.printed); END $$;
SELECT (SELECT statement FROM depipe.definition('ses.daily')) = statement AS same FROM ses.printed;
SELECT ses.back();
SELECT (SELECT statement FROM depipe.definition('ses.daily')) = statement AS same FROM ses.printed;
TABLE ses.daily ORDER BY id;

-- what a check says: literals, casts, dates, also after its table was made again
CREATE TABLE ses.t (id int PRIMARY KEY, at timestamptz, d date, v text);
SELECT depipe.add_constraint('ses.t', depipe.satisfies($$at >= '2026-01-01'$$), name => 'since', existing => 'ignore');
SELECT depipe.add_constraint('ses.t', depipe.in_range('at', '2026-01-01'::text, '2026-02-01'), name => 'between', existing => 'ignore');
SELECT depipe.add_constraint('ses.t', depipe.accepted_values('d', '02/01/2026', '03/01/2026'), name => 'dates', existing => 'ignore');
SELECT depipe.add_constraint('ses.t', depipe.satisfies($$at::text LIKE '%+01'$$), name => 'casts', existing => 'ignore');
SELECT depipe.add_constraint('ses.t', depipe.satisfies($$max(at::date) = '2026-01-02'$$), name => 'newest', existing => 'ignore');
INSERT INTO ses.t VALUES (1, '2025-12-31 23:00:00+00', '2026-01-02', 'a'), (2, '2026-01-01 23:30:00+00', '2026-01-03', 'b');
SELECT constraint_name, outcome FROM depipe.check_table('ses.t') ORDER BY 1;
SELECT ses.elsewhere();
SELECT constraint_name, outcome FROM depipe.check_table('ses.t') ORDER BY 1;
SELECT count(*) FROM (SELECT depipe.alter_constraint('ses.t', name, description => 'another text') FROM depipe.constraint_definition
	WHERE name IN ('since', 'between', 'dates', 'casts', 'newest') OFFSET 0) altered;
SELECT constraint_name, outcome FROM depipe.check_table('ses.t') ORDER BY 1;
ALTER TABLE ses.t ALTER COLUMN id TYPE bigint, ALTER COLUMN at TYPE timestamptz(0);
SELECT constraint_name, outcome FROM depipe.check_table('ses.t') ORDER BY 1;
SELECT name, expression FROM depipe.constraint_definition WHERE name IN ('since', 'dates', 'between') ORDER BY name;
SELECT ses.back();

-- checks with different settings share a gate
SET timezone = 'Asia/Tokyo';
SELECT depipe.add_constraint('ses.t', depipe.satisfies($$at::text LIKE '%+09'$$), name => 'tokyo', existing => 'ignore');
SELECT name, settings FROM depipe.constraints WHERE target = 'ses.t' AND name IN ('casts', 'tokyo') ORDER BY name;
SELECT depipe.create_transform('ses.gated', 'SELECT id, at FROM ses.event', key => '{id}', populate => false);
SELECT depipe.add_constraint('ses.gated', depipe.satisfies($$at::text LIKE '%+09'$$), name => 'tokyo', on_violation => 'quarantine');
SELECT ses.back();
SELECT depipe.add_constraint('ses.gated', depipe.satisfies($$at::text LIKE '%+01'$$), name => 'berlin', on_violation => 'quarantine');
SET timezone = 'UTC';
SELECT depipe.add_constraint('ses.gated', depipe.satisfies($$at::text LIKE '%+01'$$), name => 'utc', on_violation => 'warn');
SELECT status, quarantined FROM depipe.refresh('ses.gated');
SELECT name, state, violations FROM depipe.constraints WHERE target = 'ses.gated' ORDER BY name;

-- declared again: another setting is another definition
SELECT ses.back();
SELECT depipe.add_constraint('ses.gated', depipe.satisfies($$at::text LIKE '%+01'$$), name => 'berlin', on_violation => 'quarantine');
SET timezone = 'Asia/Tokyo';
\set VERBOSITY terse
SELECT depipe.add_constraint('ses.gated', depipe.satisfies($$at::text LIKE '%+01'$$), name => 'berlin', on_violation => 'quarantine');
\set VERBOSITY default
SELECT depipe.alter_transform('ses.gated', on_stale => 'block');
SELECT depipe.alter_transform('ses.gated', settings => '{timezone=asia/kolkata}');
SELECT settings FROM depipe.transforms WHERE target = 'ses.gated';
SELECT depipe.alter_transform('ses.gated', settings => '{}');
SELECT settings FROM depipe.transforms WHERE target = 'ses.gated';

-- what is no setting, and what no definition is made under
SELECT depipe.alter_transform('ses.gated', settings => '{work_mem=1MB}');
SELECT depipe.alter_transform('ses.gated', settings => '{TimeZone}');
SELECT depipe.alter_transform('ses.gated', settings => '{TimeZone=Nowhere/Land}');
SELECT depipe.alter_transform('ses.gated', settings => '{lc_monetary=xx_XX}');
SET array_nulls = off;
SELECT depipe.create_transform('ses.nulls', $$SELECT '{NULL}'::text[] AS a$$);
SELECT status FROM depipe.refresh('ses.gated');
RESET array_nulls;
SET standard_conforming_strings = off;
SELECT depipe.add_constraint('ses.t', depipe.not_null('v'));
SELECT status FROM depipe.refresh('ses.gated');
RESET standard_conforming_strings;
SELECT ses.back();

-- freshness of a date: midnight where the check was declared
CREATE TABLE ses.f (d date);
INSERT INTO ses.f VALUES ((now() AT TIME ZONE 'Pacific/Kiritimati')::date);
SET timezone = 'Pacific/Kiritimati';
SELECT depipe.add_constraint('ses.f', depipe.freshness('d', '24:00:01'), name => 'fresh');
SET timezone = 'Etc/GMT+12';
SELECT constraint_name, outcome FROM depipe.check_table('ses.f');
INSERT INTO ses.f SELECT d - 1 FROM ses.f;
DELETE FROM ses.f WHERE d = (SELECT max(d) FROM ses.f);
SELECT constraint_name, outcome FROM depipe.check_table('ses.f');
SELECT ses.back();

-- rows in quarantine come back as they went
CREATE TABLE ses.src (id int PRIMARY KEY, i interval, m money, a text[], x xml, f float8, at timestamptz, ok boolean);
INSERT INTO ses.src VALUES (1, '-1 day +02:03:04', 19.99::numeric::money, '{NULL,"NULL"}', '<a/>text', 1.0/3, '2026-01-01 12:00:00+00', false);
SELECT depipe.create_transform('ses.copy', 'SELECT * FROM ses.src', key => '{id}', populate => false);
SELECT depipe.add_constraint('ses.copy', depipe.satisfies('ok'), name => 'ok', on_violation => 'quarantine');
SELECT ses.elsewhere();
SET array_nulls = off;
SELECT status, quarantined FROM depipe.refresh('ses.copy');
SELECT ses.back();
RESET array_nulls;
SELECT id, i, m::numeric, a, x::text, f = 1.0::float8/3 AS f, at FROM depipe.quarantined(NULL::ses.copy);
SELECT ses.elsewhere();
SELECT q.i = s.i AS i, q.m::numeric AS m, q.a = s.a AS a, q.x::text AS x, q.f = s.f AS f, q.at = s.at AS at
FROM depipe.quarantined(NULL::ses.copy) q, ses.src s;
SELECT ses.back();
UPDATE ses.src SET ok = true;
SELECT status, quarantined FROM depipe.refresh('ses.copy');
SELECT count(*) AS differences FROM depipe.verify('ses.copy');
SELECT count(depipe.drop_constraint(target, name)) FROM depipe.constraints WHERE target LIKE 'ses.%';
SELECT count(depipe.drop_transform(target, drop_table => true)) FROM depipe.transforms WHERE target LIKE 'ses.%';
DROP SCHEMA ses CASCADE;
