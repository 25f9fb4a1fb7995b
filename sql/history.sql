--
-- Loads that keep deleted rows or versions: definitions, and what sees current rows only.
-- test/t/026_history.pl has what a source is needed for.
--
CREATE SCHEMA hist;
CREATE SERVER hist_shop FOREIGN DATA WRAPPER depipe OPTIONS (host '/nowhere');
CREATE TABLE hist.child (id int PRIMARY KEY, parent int);
CREATE TABLE hist.kept (id int PRIMARY KEY, v int);
INSERT INTO hist.child VALUES (1, 1), (2, 2);
INSERT INTO hist.kept VALUES (1, 10), (2, -1);
SELECT depipe.add_constraint('hist.child', depipe.relationships('parent', 'hist.kept', 'id'), name => 'parents');

-- definitions
SELECT depipe.create_load('hist.kept', server => 'hist_shop', history => 'x');
SELECT depipe.create_load('hist.kept', server => 'hist_shop', history => NULL);
SELECT depipe.create_load('hist.kept', server => 'hist_shop');
SELECT depipe.create_load('hist.kept', server => 'hist_shop', history => 'scd2', replace => true);
SELECT depipe.create_load('hist.kept', server => 'hist_shop', history => 'soft_delete');
SELECT depipe.create_load('hist.kept', server => 'hist_shop', history => 'soft_delete', replace => true);
SELECT depipe.create_load('hist.kept', server => 'hist_shop', replace => true);
SELECT regexp_replace(statement, ', settings.*', '') FROM depipe.definition('hist.kept') d (statement);
SELECT target, history FROM depipe.loads WHERE target LIKE 'hist.%';

-- before the next run the table has no column for it
SELECT depipe.add_constraint('hist.kept', depipe.satisfies('v > 0'), name => 'positive');
SELECT depipe.add_constraint('hist.kept', depipe.row_count(1, 1), name => 'one');
SELECT constraint_name, outcome, evaluated, violations FROM depipe.check_table('hist.kept') ORDER BY 1;

-- deleted rows are not seen by checks of the table, nor are they parents
ALTER TABLE hist.kept ADD COLUMN _deleted_at timestamptz;
UPDATE hist.kept SET _deleted_at = now() WHERE id = 2;
SELECT constraint_name, outcome, evaluated, violations FROM depipe.check_table('hist.kept') ORDER BY 1;
SELECT count(*) FROM depipe.violations('hist.kept');
SELECT constraint_name, outcome, evaluated, violations FROM depipe.check_table('hist.child');
SELECT constraint_name, key FROM depipe.violations('hist.child');
SELECT depipe.add_constraint('hist.child', depipe.relationships('parent', 'hist.kept', 'id', reference_filter => 'v <> 0'), name => 'filtered');
SELECT constraint_name, outcome, violations FROM depipe.check_table('hist.child') ORDER BY 1;

-- versions
CREATE TABLE hist.versions (id int, v int, _valid_from timestamptz, _valid_to timestamptz, _is_current boolean,
	PRIMARY KEY (id, _valid_from));
SELECT depipe.create_load('hist.versions', server => 'hist_shop', history => 'scd2');
SELECT depipe.create_load('hist.versions', server => 'hist_shop', history => 'scd2', key => '{v}', replace => true);
INSERT INTO hist.versions VALUES (1, -1, '2026-01-01', '2026-01-02', false), (1, 1, '2026-01-02', NULL, true),
	(2, -2, '2026-01-01', '2026-01-03', false);
SELECT depipe.add_constraint('hist.versions', depipe.satisfies('v > 0'), name => 'positive');
SELECT depipe.add_constraint('hist.versions', depipe.unique('id'), name => 'only');
SELECT constraint_name, outcome, evaluated, violations FROM depipe.check_table('hist.versions') ORDER BY 1;
UPDATE hist.versions SET v = 0 WHERE _is_current;
SELECT constraint_name, key FROM depipe.violations('hist.versions');

-- once the load is dropped, they are rows like any other
SELECT depipe.drop_load('hist.versions');
SELECT constraint_name, outcome, evaluated, violations FROM depipe.check_table('hist.versions') ORDER BY 1;

SELECT depipe.drop_load('hist.kept');
SELECT depipe.drop_constraint(target, name) FROM depipe.constraints WHERE target LIKE 'hist.%' ORDER BY target, name;
SET client_min_messages = warning;
DROP SCHEMA hist CASCADE;
DROP SERVER hist_shop CASCADE;
