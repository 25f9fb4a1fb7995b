--
-- Types with a length: checks and casts that must not lose it, nor gain one.
--
SET client_min_messages = warning;
CREATE SCHEMA len;
CREATE DOMAIN len.code AS char(3);
CREATE DOMAIN len.mask AS bit(5);
CREATE DOMAIN len.price AS numeric(10,2);
CREATE TABLE len.t (
	id int PRIMARY KEY,
	c char(3), b bit(5), v varchar(10), vb varbit(8), n numeric(10,2), i interval day, ti time(0), ts timestamp(0), tz timestamptz(0),
	dc len.code, db len.mask, dn len.price, ac char(3)[], ab bit(5)[], q "char");
INSERT INTO len.t VALUES (1, 'abc', '10101', 'abcdefghij', '1010', 12.34, '3 days', '12:00:00', '2026-01-01 12:00:00', '2026-01-01 12:00:00+00',
	'abc', '10101', 12.34, '{abc,de}', '{10101,00000}', 'a');

-- Every rule is right for the row that is there.
CREATE FUNCTION len.right_rule(rule depipe.check) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	name text;
	outcome text;
BEGIN
	name := depipe.add_constraint('len.t', rule, existing => 'ignore');
	SELECT c.outcome INTO outcome FROM depipe.check_table('len.t') c WHERE c.constraint_name = name;
	PERFORM depipe.drop_constraint('len.t', name);
	RETURN outcome;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLERRM;
END
$$;
SELECT col, len.right_rule(depipe.accepted_values(col, VARIADIC given)) AS right_values,
	len.right_rule(depipe.accepted_values(col, VARIADIC wrong)) AS wrong_values,
	CASE WHEN col NOT IN ('ac', 'ab') THEN len.right_rule(depipe.in_range(col, given[1], given[2])) END AS right_range
FROM (VALUES ('c', ARRAY['abc', 'def'], ARRAY['a', 'd']), ('b', '{10101,11111}', '{1,0}'), ('v', '{abcdefghij,b}', '{abcdefghijk,b}'),
	('vb', '{1010,11}', '{10100,1}'), ('n', '{12.34,13}', '{12.339,13}'), ('i', ARRAY['3 days', '4 days'], ARRAY['3 days 01:00', '4 days']),
	('ti', '{12:00:00,13:00}', '{12:00:00.2,13:00}'), ('ts', ARRAY['2026-01-01 12:00:00', '2026-01-02'], ARRAY['2026-01-01 12:00:00.2', '2026-01-02']),
	('tz', ARRAY['2026-01-01 12:00:00+00', '2026-01-02'], ARRAY['2026-01-01 12:00:00.2+00', '2026-01-02']),
	('dc', '{abc,def}', '{a,d}'), ('db', '{10101,11111}', '{1,0}'), ('dn', '{12.34,13}', '{12.339,13}'),
	('ac', ARRAY['{abc,de}', '{x}'], ARRAY['{a,d}', '{x}']), ('ab', ARRAY['{10101,00000}', '{11111}'], ARRAY['{1,0}', '{1}']),
	('q', '{a,b}', '{b,c}')) v (col, given, wrong);

-- against another table: keys that are pending go through text and back
CREATE TABLE len.parent (c char(5) PRIMARY KEY, b bit(5) UNIQUE);
CREATE TABLE len.child (id int PRIMARY KEY, c char(3), b bit(5));
INSERT INTO len.child VALUES (1, 'abc', '10101'), (2, 'xyz', '01010');
INSERT INTO len.parent VALUES ('abc', '10101');
SELECT depipe.create_transform('len.copy', 'SELECT * FROM len.child', key => '{id}', populate => false);
SELECT depipe.add_constraint('len.copy', depipe.relationships('b', 'len.parent', 'b'), grace => '1 day');
SELECT depipe.add_constraint('len.copy', depipe.relationships('c', 'len.parent', 'c'), grace => '1 day');
SELECT status FROM depipe.refresh('len.copy');
SELECT name, state, violations FROM depipe.constraints WHERE target = 'len.copy' ORDER BY name;
SELECT p.reference_key, c.name FROM depipe.pending_key p JOIN depipe.constraint_definition c USING (constraint_id) ORDER BY name;
INSERT INTO len.parent VALUES ('xyz', '01010');
UPDATE len.child SET id = 3 WHERE id = 1;
SELECT status FROM depipe.refresh('len.copy');
SELECT count(*) AS pending FROM depipe.pending_key;

-- a range in which nothing lies
CREATE FUNCTION len.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
	detail text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ': ' || concat_ws(' | ', SQLERRM, NULLIF(detail, ''), NULLIF(hint, ''));
END
$$;
SELECT len.refused(format('SELECT depipe.add_constraint(''len.t'', depipe.in_range(%s))', arguments)) AS refused
FROM unnest(ARRAY['''n'', 10, 1', '''v'', ''b'', ''a''', '''ts'', ''2026-02-01'', ''2026-01-01''', '''i'', ''1 day'', ''23:00''',
	'''id'', 5, 5, true', '''id'', 1.5, 1.25']) arguments;
SELECT depipe.add_constraint('len.t', depipe.in_range('id', 1, 1));

-- an empty text is not "none"
SELECT argument, len.refused(format('SELECT depipe.add_constraint(''len.t'', depipe.not_null(''v''), %s => %L)', argument, value)) AS refused
FROM unnest(ARRAY['filter', 'warn_if', 'fail_if', 'owner', 'description']) argument, unnest(ARRAY['', '  ']) value;
SELECT depipe.add_constraint('len.t', depipe.not_null('v'), name => 'v', filter => 'id > 0', description => 'text');
SELECT argument, len.refused(format('SELECT depipe.alter_constraint(''len.t'', ''v'', %s => '''')', argument)) AS refused
FROM unnest(ARRAY['filter', 'warn_if', 'fail_if', 'owner', 'description']) argument;
SELECT depipe.alter_constraint('len.t', 'v', filter => 'none', description => 'none');
SELECT filter, description FROM depipe.constraints WHERE target = 'len.t' AND name = 'v';
SELECT count(depipe.drop_constraint('len.t', name)) FROM depipe.constraints WHERE target = 'len.t';
SELECT depipe.drop_transform('len.copy', drop_table => true);
DROP SCHEMA len CASCADE;
