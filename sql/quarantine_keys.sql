--
-- Quarantine and keys: rows are found by the equality of the key's own type, not by its text.
--
SET client_min_messages = warning;
CREATE SCHEMA qk;
CREATE COLLATION qk.no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE qk.pair AS (n numeric, s text COLLATE qk.no_case);
CREATE DOMAIN qk.span AS interval CHECK (VALUE >= '0');

CREATE TABLE qk.kind (type text, first text, same text, other text);
INSERT INTO qk.kind VALUES
	('jsonb', '{"a": 1.0}', '{"a": 1.00}', '{"a": 2}'),
	('interval', '1 day', '24:00:00', '25:00:00'),
	('qk.span', '1 mon', '30 days', '31 days'),
	('numeric', '1.0', '1.00', '1.01'),
	('float8', '0', '-0', '1'),
	('char(5)', 'ab', 'ab   ', 'b'),
	('text COLLATE qk.no_case', 'Order-1', 'ORDER-1', 'order-2'),
	('varchar(20) COLLATE qk.no_case', 'x', 'X', 'y'),
	('interval[]', '{1 day}', '{24:00:00}', '{1 day,1 day}'),
	('numeric[]', '{1.0,NULL}', '{1.00,NULL}', '{1}'),
	('qk.pair', '(1.0,A)', '(1.00,a)', '(1,b)'),
	('numrange', '[1.0,2.0)', '[1.00,2)', '[1,3)'),
	('text', 'A', 'A', 'a');

-- one row in quarantine for equal keys, however they are written; a good version or a deletion ends it
CREATE FUNCTION qk.try(kind qk.kind, second text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	kept text := 'SELECT count(*) FROM depipe.quarantine WHERE target = ''qk.t''';
	n bigint;
	shown text;
BEGIN
	EXECUTE format('CREATE TABLE qk.s (k %s PRIMARY KEY, n int, x int)', kind.type);
	PERFORM depipe.create_transform('qk.t', 'SELECT * FROM qk.s', key => '{k}');
	PERFORM depipe.add_constraint('qk.t', depipe.satisfies('x > 0'), on_violation => 'quarantine');
	EXECUTE format('INSERT INTO qk.s VALUES (%L, 1, -1)', kind.first);
	PERFORM depipe.refresh('qk.t');
	EXECUTE kept INTO n;
	RETURN NEXT 'held ' || n;
	EXECUTE format('UPDATE qk.s SET k = %L, x = -2', second);
	PERFORM depipe.refresh('qk.t');
	EXECUTE kept || ' AND "row" ->> ''x'' = ''-2''' INTO n;
	RETURN NEXT 'held again ' || n;
	EXECUTE kept INTO n;
	RETURN NEXT 'in all ' || n;
	EXECUTE format('UPDATE qk.s SET k = %L, x = 3', kind.first);
	RETURN QUERY SELECT format('%s +%s ~%s -%s', status, inserted, updated, deleted) FROM depipe.refresh('qk.t');
	EXECUTE kept INTO n;
	RETURN NEXT 'held ' || n;
	-- a quarantined change leaves the row in place, a deletion ends both
	EXECUTE format('UPDATE qk.s SET k = %L, x = -4', second);
	PERFORM depipe.refresh('qk.t');
	EXECUTE kept INTO n;
	EXECUTE 'SELECT string_agg(x::text, '','') FROM qk.t' INTO shown;
	RETURN NEXT 'held ' || n || ', shown ' || shown;
	DELETE FROM qk.s;
	PERFORM depipe.refresh('qk.t');
	EXECUTE kept INTO n;
	EXECUTE 'SELECT count(*)::text FROM qk.t' INTO shown;
	RETURN NEXT 'held ' || n || ', rows ' || shown;
	PERFORM depipe.drop_transform('qk.t', drop_table => true);
	DROP TABLE qk.s;
END
$$;
SELECT k.type, string_agg(t, ', ') AS equal FROM qk.kind k, qk.try(k, k.same) t GROUP BY k.type ORDER BY k.type;

DROP SCHEMA qk CASCADE;
DELETE FROM depipe.target WHERE schema_name = 'qk';
