--
-- The text that is kept of a check means what it meant to whoever declared it.
--
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET default_text_search_config = 'pg_catalog.simple';
SET client_min_messages = warning;
CREATE SCHEMA ct;
CREATE SCHEMA "Ext";
CREATE EXTENSION citext SCHEMA "Ext";
SET search_path = ct, "Ext", public;
CREATE TABLE t (id integer PRIMARY KEY, a integer, c citext, d text);
INSERT INTO t VALUES (1, 1, 'x', 'x'), (2, 2, 'X', 'X'), (3, 3, 'y', 'y'), (4, NULL, NULL, NULL);
CREATE TABLE ref (c citext PRIMARY KEY, active boolean);
INSERT INTO ref VALUES ('X', true), ('y', true);

-- violations of the check, evaluated by somebody with another path, and those of the expression here
CREATE FUNCTION same(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	mine text := current_setting('search_path');
	found bigint;
	expected bigint;
BEGIN
	PERFORM depipe.add_constraint('ct.t', depipe.satisfies(expression), name => 'it', on_violation => 'warn');
	PERFORM set_config('search_path', 'pg_catalog', true);
	SELECT violations INTO found FROM depipe.check_table('ct.t');
	PERFORM set_config('search_path', mine, true);
	EXECUTE format('SELECT count(*) FROM t WHERE NOT (%s)', expression) INTO expected;
	PERFORM depipe.drop_constraint('ct.t', 'it');
	RETURN CASE WHEN found = expected THEN 'same' ELSE found || ', not ' || expected END;
END $$;
SELECT same('c = ''X''');
SELECT same('c IN (''X'', ''Z'')');
SELECT same('CASE c WHEN ''X'' THEN true WHEN ''Y'' THEN false ELSE false END');
SELECT same('NULLIF(c, ''X'') IS NULL');
SELECT same('c IS DISTINCT FROM ''X''');
SELECT same('c IS NOT DISTINCT FROM d');
SELECT same('(a, c) < (2, ''X''::citext)');
SELECT same('(c, a) >= (''X''::citext, 2)');
SELECT same('(a, c) = (2, ''x'')');
SELECT same('c ~ ''^X'' AND c LIKE ''X%''');
SELECT same('greatest(c, ''X'') = ''X''');
SELECT same('d || c = ''XX''::citext');
SELECT depipe.add_constraint('ct.t', depipe.satisfies('count(*) FILTER (WHERE CASE c WHEN ''X'' THEN true END) = 2'), name => 'it');
SET search_path = pg_catalog;
SELECT constraint_name, outcome, metric FROM depipe.check_table('ct.t');
SELECT depipe.drop_constraint('ct.t', 'it');
SET search_path = ct, "Ext", public;
-- filters, too
SELECT depipe.add_constraint('ct.t', depipe.satisfies('a = 1'), name => 'it', on_violation => 'warn',
	filter => 'CASE c WHEN ''X'' THEN true END');
SET search_path = pg_catalog;
SELECT constraint_name, outcome, evaluated, violations FROM depipe.check_table('ct.t');
SELECT depipe.drop_constraint('ct.t', 'it');
SET search_path = ct, "Ext", public;
-- a column of the reference that is dropped is not looked for in the table
ALTER TABLE t ADD COLUMN active boolean DEFAULT false;
SELECT depipe.add_constraint('ct.t', depipe.relationships('c', 'ct.ref', 'c', reference_filter => 'active'), name => 'it',
	on_violation => 'warn', grace => '0');
SELECT outcome, violations FROM depipe.check_table('ct.t');
ALTER TABLE ref DROP COLUMN active;
SELECT outcome, violations FROM depipe.check_table('ct.t');
ALTER TABLE ref ADD COLUMN active boolean DEFAULT true;
SELECT outcome, violations FROM depipe.check_table('ct.t');
SELECT depipe.drop_constraint('ct.t', 'it');

-- a column is dropped, and comes back: the check cannot be evaluated meanwhile
SELECT depipe.add_constraint('ct.t', depipe.satisfies('CASE c WHEN ''X'' THEN a < 2 ELSE true END'), name => 'it', on_violation => 'warn');
SELECT statement FROM depipe.definition('ct.t');
SELECT outcome, violations FROM depipe.check_table('ct.t');
ALTER TABLE t DROP COLUMN a;
SELECT statement FROM depipe.definition('ct.t');
SELECT outcome, violations FROM depipe.check_table('ct.t');
ALTER TABLE t ADD COLUMN a integer DEFAULT 1;
SELECT outcome, violations FROM depipe.check_table('ct.t');

SELECT depipe.drop_constraint('ct.t', 'it');
RESET search_path;
DROP SCHEMA ct, "Ext" CASCADE;
