--
-- Checks as people write them, and rows in quarantine as people read them.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA wr;
CREATE TABLE wr.t (id int PRIMARY KEY, s text, n numeric, d date);

-- values one by one, as an array, as VARIADIC; of any type
SELECT depipe.accepted_values('s', 'a', 'b');
SELECT depipe.accepted_values('s', ARRAY['a', 'b']);
SELECT depipe.accepted_values('s', VARIADIC ARRAY['a', 'b']);
SELECT depipe.accepted_values('s', 'a');
SELECT depipe.accepted_values('n', 1, 2.50, '3');
SELECT depipe.accepted_values('n', ARRAY[0.1::float8, 1.0/3]);
SELECT depipe.accepted_values('d', DATE '2026-01-02', NULL);
SELECT depipe.accepted_values(column_name => 's', VARIADIC accepted => ARRAY['a']);
SELECT depipe.not_null('s');
SELECT depipe.not_null('s', 'n');
SELECT depipe.not_null(ARRAY['s', 'n']);
SELECT depipe.not_null(VARIADIC ARRAY['s', 'n']);
SELECT depipe.unique(ARRAY['s'::name, 'n']);
SELECT depipe.unique('s');

-- an expression is no check
SELECT depipe.add_constraint('wr.t', 'n > 0');
SELECT depipe.add_constraint('wr.t', 's = ''x''', name => 'x', on_violation => 'warn');
SELECT depipe.add_constraint('wr.t', '');
SELECT depipe.add_constraint('wr.t', NULL);
SELECT depipe.add_constraint('wr.t', '{"kind": "not_null", "column_name": "s"}');
SELECT depipe.add_constraint('wr.t', '{"kind": "not_null", "column_name": "s"}'::jsonb, name => 'again', on_violation => 'warn');
SELECT depipe.alter_constraint('wr.t', 'again', 'n > 0');
SELECT depipe.alter_constraint('wr.t', 'again', '{"kind": "not_null", "column_name": "n"}');
SELECT depipe.alter_constraint('wr.t', 'again', depipe.not_null('d'));
SELECT depipe.alter_constraint('wr.t', 'again', description => 'a text');
SELECT name, rule, description FROM depipe.constraints WHERE target = 'wr.t' ORDER BY name;

-- numbers are numbers, with all their digits; what JSON has no number for is a string
CREATE TABLE wr.src (id bigint PRIMARY KEY, n numeric, p numeric(10,2), f float8, r real, i smallint, s text, b boolean);
INSERT INTO wr.src VALUES (9007199254740993, 12345678901234567890.123456789000, 1.50, 1.0/3, 1e30, -5, '12', true),
	(2, 'NaN', NULL, '-Infinity', 'NaN', 0, NULL, false), (3, 1e-20, 0, 1e-300, -0.0, 7, 'x', NULL);
SELECT depipe.create_transform('wr.copy', 'SELECT * FROM wr.src', key => '{id}', populate => false);
SELECT depipe.add_constraint('wr.copy', depipe.satisfies('false'), name => 'never', on_violation => 'quarantine');
SELECT status, quarantined FROM depipe.refresh('wr.copy');
SELECT key, "row" FROM depipe.quarantine WHERE target = 'wr.copy' ORDER BY key;
SELECT * FROM depipe.quarantined(NULL::wr.copy) ORDER BY id;
SELECT count(*) AS same FROM depipe.quarantined(NULL::wr.copy) kept JOIN wr.src was ON kept::text = was::text;
SELECT count(depipe.drop_constraint(target, name)) FROM depipe.constraints WHERE target LIKE 'wr.%';
SELECT depipe.drop_transform('wr.copy', drop_table => true);
DROP SCHEMA wr CASCADE;
