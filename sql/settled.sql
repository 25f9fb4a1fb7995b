-- stable functions that the recorded settings settle: incremental, and exact in a session with other settings
CREATE SCHEMA settled;
SET search_path = settled;
SET client_min_messages = warning;
SET timezone = 'Europe/Berlin';
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE DOMAIN word AS text CHECK (VALUE <> '');
CREATE TYPE pair AS (x date, y integer);
CREATE TABLE e (id integer PRIMARY KEY, k integer, t text, at timestamptz, ts timestamp, d date, i interval, n numeric, f float8, b bytea,
	m money, a timestamptz[], r tstzrange, j jsonb, x text, ed mood, w word, p pair, class regclass, acl aclitem);
INSERT INTO e SELECT g, g % 3, 't' || g, timestamptz '2026-03-28 23:30:00Z' + g * interval '7 hours', timestamp '2026-03-28 23:30' + g * interval '7 hours',
	date '2026-03-28' + g, g * interval '1 day 2 hours' - interval '3 days', g * 1000.5, g / 3.0::float8, decode('0' || g, 'hex'), g::money,
	ARRAY[timestamptz '2026-03-28 23:30:00Z' + g * interval '7 hours'], tstzrange('2026-03-28 23:30:00Z', timestamptz '2026-03-28 23:30:00Z' + g * interval '7 hours'),
	jsonb_build_array(jsonb_build_object('u', g, 'v', 'w' || g, 's', '1 day')), '<a>' || g || '</a>text', 'glad', 'word', ROW(date '2026-03-28', g)::pair, 'pg_class', NULL
FROM generate_series(1, 9) g;

CREATE TABLE expression (number serial, text text);
INSERT INTO expression (text) VALUES
	-- casts and texts
	($$at::text$$), ($$ts::text$$), ($$d::text$$), ($$i::text$$), ($$f::text$$), ($$b::text$$), ($$m::text$$), ($$a::text$$), ($$r::text$$), ($$ARRAY[d]::text$$), ($$ROW(at, d, id)::text$$),
	($$(i::text)::interval::text$$), ($$(id::text)::integer$$), ($$('{' || id || '}')::integer[]$$), ($$x::xml::text$$), ($$id::text::money$$),
	($$'a' || id$$), ($$at || 'a'$$), ($$concat(id, at, d, f, b)$$), ($$concat_ws('-', d, i, n)$$), ($$format('%s %I %L', at, t, d)$$), ($$format('x')$$),
	($$quote_literal(d)$$), ($$quote_nullable(at)$$), ($$array_to_string(a, ',')$$), ($$array_to_string(a, ',', '-')$$),
	-- formats
	($$to_char(at, 'YYYY-MM-DD HH24:MI TZ TMMonth')$$), ($$to_char(ts, 'TMDay')$$), ($$to_char(n, 'L999G999D99')$$), ($$to_char(id, '00D0')$$), ($$to_char(id::bigint, 'FM00')$$),
	($$to_char(f::float4, '9D9')$$), ($$to_char(f, '9D99')$$), ($$to_char(i, 'HH24')$$), ($$to_number('1' || id, '99')$$), ($$to_date('2026-03-0' || id, 'YYYY-MM-DD')$$), ($$to_timestamp('2026-03-0' || id, 'YYYY-MM-DD')$$),
	($$n::money::text$$), ($$id::money$$), ($$id::bigint::money$$), ($$m::numeric$$),
	-- times
	($$at::date$$), ($$at::time$$), ($$at::timetz$$), ($$at::timestamp$$), ($$ts::timestamptz$$), ($$d::timestamptz$$), ($$timestamptz(d, time '10:00')$$), ($$at AT TIME ZONE 'UTC'$$), ($$date_trunc('day', at)$$),
	($$date_trunc('day', at, 'UTC')$$), ($$extract(hour FROM at)$$), ($$date_part('dow', at)$$), ($$date_bin('1 hour', at, '2026-01-01 00:00Z')$$), ($$at + i$$), ($$at - i$$), ($$i + at$$),
	($$make_timestamptz(2026, 3, id, 1, 1, 1)$$), ($$make_timestamptz(2026, 3, id, 1, 1, 1, 'CET')$$), ($$(at, interval '1 day') OVERLAPS (at + interval '2 hours', interval '1 day')$$),
	($$d < at$$), ($$at >= d$$), ($$ts = at$$), ($$at > ts$$), ($$d IS DISTINCT FROM at$$), ($$nullif(at, d)$$), ($$at = ANY (ARRAY[d, d + 1])$$), ($$(d, id) < (at, 5)$$),
	-- JSON
	($$to_json(at)::text$$), ($$to_jsonb(d)$$), ($$json_build_object('at', at, 'd', d)::text$$), ($$jsonb_build_object('at', at, 'f', f)$$), ($$json_build_array(at)::text$$), ($$jsonb_build_array(at, i)$$),
	($$array_to_json(a)::text$$), ($$row_to_json(ROW(at, d))::text$$), ($$(SELECT jsonb_agg(y.u) FROM jsonb_to_recordset(j) AS y (u integer, v text, s interval))$$),
	($$(SELECT y.v FROM jsonb_to_record(j -> 0) AS y (u integer, v text))$$), ($$(SELECT jsonb_agg(g) FROM generate_series(at, at + interval '3 days', '1 day') g)$$),
	($$(SELECT json_agg(x.at ORDER BY x.id)::text FROM settled.e x WHERE x.k = e.k)$$), ($$(SELECT jsonb_object_agg(x.id, x.at) FROM settled.e x WHERE x.k = e.k)$$),
	($$(SELECT string_agg(x.at::text, ',' ORDER BY x.id) FROM settled.e x WHERE x.k = e.k)$$);
-- the settings that the values depend on: all are recorded
CREATE FUNCTION everything() RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
	EXECUTE (SELECT 'SELECT string_agg(concat_ws(''|'', ' || string_agg(format('(%s)', text), ', ' ORDER BY number) || '), '';'' ORDER BY id) FROM settled.e' FROM settled.expression) INTO result;
	RETURN result;
END $$;
CREATE FUNCTION matters(name text, value text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE before text := settled.everything(); old text := current_setting(name); result boolean;
BEGIN
	BEGIN
		PERFORM set_config(name, value, false);
	EXCEPTION WHEN OTHERS THEN
		RETURN NULL;
	END;
	BEGIN
		result := settled.everything() <> before;
	EXCEPTION WHEN OTHERS THEN
		result := true;
	END;
	PERFORM set_config(name, old, false);
	RETURN result;
END $$;
SELECT name FROM pg_settings, LATERAL unnest(CASE vartype WHEN 'bool' THEN ARRAY[CASE setting WHEN 'on' THEN 'off' ELSE 'on' END] WHEN 'enum' THEN enumvals[1:2]
	WHEN 'integer' THEN ARRAY[min_val] ELSE ARRAY[]::text[] END) v
WHERE context IN ('user', 'superuser') AND category !~ '^(Reporting|Query Tuning|Resource Usage)' AND name NOT LIKE 'transaction%' AND name NOT LIKE 'default_transaction%' AND name NOT LIKE 'depipe%' AND name NOT IN ('update_process_title', 'client_min_messages')
	AND name !~ 'timeout|^(zero_damaged_pages|ignore_checksum_failure|session_replication_role|max_stack_depth|debug_.*|jit.*|log_.*|trace_.*|compute_query_id)$'
GROUP BY name HAVING bool_or(matters(name, v)) ORDER BY name COLLATE "C";
SELECT name, matters(name, value) FROM (VALUES ('DateStyle', 'German, DMY'), ('TimeZone', 'Asia/Tokyo'), ('extra_float_digits', '-5'), ('lc_time', 'POSIX')) v (name, value);

-- each is incremental, and means the same elsewhere
DO $$ BEGIN PERFORM depipe.create_transform('settled.r' || min(number), format('SELECT id, %s FROM settled.e', string_agg(format('%s AS v%s', text, number), ', ' ORDER BY number)),
	key => '{id}', mode => 'incremental') FROM settled.expression GROUP BY text LIKE '(SELECT%', number / 16; END $$;
SELECT depipe.create_transform('settled.by_month', $$SELECT to_char(at, 'YYYY-MM-DD') AS day, count(*) AS n, sum(n * 1.00)::text AS t FROM settled.e GROUP BY 1$$, mode => 'incremental');
SELECT depipe.create_transform('settled.listed', $$SELECT k, string_agg(at::text, ',' ORDER BY id) AS t, jsonb_agg(at ORDER BY id) AS j FROM settled.e GROUP BY k$$, mode => 'incremental');
SELECT count(*) FROM depipe.refresh('settled.*') WHERE status <> 'succeeded' AND status <> 'nothing';
CREATE FUNCTION elsewhere() RETURNS void LANGUAGE sql AS $$
	SELECT set_config('timezone', 'Asia/Tokyo', false), set_config('datestyle', 'German, MDY', false), set_config('intervalstyle', 'sql_standard', false),
		set_config('extra_float_digits', '-5', false), set_config('bytea_output', 'escape', false), set_config('quote_all_identifiers', 'on', false),
		set_config('xmloption', 'document', false), set_config('timezone_abbreviations', 'India', false) $$;
SELECT elsewhere();
UPDATE e SET at = at + interval '1 day', d = d + 1, i = i * 2, f = f * 2 WHERE id IN (2, 5);
DELETE FROM e WHERE id = 3;
INSERT INTO e SELECT id + 20, k, t, at - interval '40 days', ts, d, i, n, f, b, m, a, r, j, x, ed, w, p, class, acl FROM e WHERE id = 4;
SELECT strategy, count(*) FROM depipe.refresh('settled.*') WHERE strategy <> 'nothing' GROUP BY strategy ORDER BY 1;
SELECT t.target, d.* FROM depipe.transforms t, LATERAL (SELECT count(*) AS wrong FROM depipe.verify(t.target)) d WHERE t.target LIKE 'settled.%' AND wrong > 0;
RESET ALL;
SET search_path = settled;
SET client_min_messages = warning;

-- other settings are another definition
SELECT depipe.alter_transform('settled.by_month', settings => '{TimeZone=Asia/Tokyo}');
SELECT strategy, reason FROM depipe.refresh('settled.by_month');
SELECT count(*) FROM depipe.verify('settled.by_month');

-- what stays stable: the clock, names in catalogs, and types that users make
CREATE FUNCTION refused(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
	PERFORM depipe.create_transform('settled.tried', query, mode => 'incremental');
	PERFORM depipe.drop_transform('settled.tried', drop_table => true);
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN coalesce(nullif(detail, ''), SQLERRM);
END $$;
\pset format unaligned
\pset tuples_only on
SELECT text, refused(format('SELECT id, %s AS v FROM settled.e', text)) FROM unnest(ARRAY[
	$$t::timestamptz$$, $$t::date$$, $$(t || 'x')::tstzrange$$, $$('{' || t || '}')::date[]$$, $$age(at)$$, $$concat('x', now())$$, $$to_char(clock_timestamp(), 'YYYY')$$, $$time '10:00'::timetz$$,
	$$class::text$$, $$'x' || class$$, $$acl::text$$, $$t::regclass$$, $$pg_typeof(id)::text$$,
	$$ed::text$$, $$'x' || ed$$, $$concat(ed)$$, $$to_jsonb(ed)$$, $$ARRAY[ed]::text$$, $$p::text$$, $$to_json(p)::text$$, $$row_to_json(e)::text$$, $$ROW(at, ed)::text$$,
	$$to_tsvector(t)::text$$, $$convert_from(b, 'UTF8')$$, $$current_setting('work_mem')$$, $$concat(random())$$,
	$$(SELECT y.v FROM jsonb_to_record(j -> 0) AS y (u integer, v timestamptz))$$]) text;
\pset format aligned
\pset tuples_only off
-- a value of an enum that is renamed
SELECT depipe.create_transform('settled.renamed', 'SELECT id, concat(ed) AS v FROM settled.e', key => '{id}');
ALTER TYPE mood RENAME VALUE 'glad' TO 'happy';
SELECT strategy, reason FROM depipe.refresh('settled.renamed');
SELECT DISTINCT v FROM renamed;

SELECT count(depipe.drop_transform(target, drop_table => true)) FROM depipe.transforms WHERE target LIKE 'settled.%';
RESET search_path;
DROP SCHEMA settled CASCADE;
