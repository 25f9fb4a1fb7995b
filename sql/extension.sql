--
-- The extension as an object: what it is made of, what is dumped, who may call what.
--
SELECT extrelocatable, extnamespace::regnamespace FROM pg_extension WHERE extname = 'depipe';
SELECT trusted, superuser, relocatable FROM pg_available_extension_versions WHERE name = 'depipe' AND installed;

-- definitions are dumped, and nothing else
SELECT d.oid::regclass AS dumped
FROM pg_extension e, unnest(e.extconfig) AS d(oid)
WHERE extname = 'depipe' ORDER BY d.oid::regclass::text COLLATE "C";

-- its schema must be its own
CREATE DATABASE regress_depipe_schema;
\set previous :DBNAME
\c regress_depipe_schema
\set SHOW_CONTEXT never
CREATE SCHEMA depipe;
CREATE EXTENSION depipe;
DROP SCHEMA depipe;
CREATE EXTENSION depipe;
DROP EXTENSION depipe;
SELECT count(*) FROM pg_namespace WHERE nspname = 'depipe';
-- and again, with the role that the first one has left
CREATE EXTENSION depipe;
\c :previous
DROP DATABASE regress_depipe_schema;

-- every function, view and table of definitions is explained
SELECT p.oid::regprocedure
FROM pg_proc p WHERE p.pronamespace = 'depipe'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT c.oid::regclass
FROM pg_class c WHERE c.relnamespace = 'depipe'::regnamespace AND c.relkind = 'v'
	AND obj_description(c.oid, 'pg_class') IS NULL;

-- functions that run with another's rights, or under the caller's path
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'depipe'::regnamespace AND p.prosecdef;
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'depipe'::regnamespace AND l.lanname <> 'c'
	AND NOT EXISTS (SELECT FROM unnest(p.proconfig) s WHERE s LIKE 'search_path=%')
	AND p.prosrc ~ '(^|[^.\w])(jsonb_|to_jsonb|array_|count|format|unnest)';

-- nobody but the owner writes, or makes triggers on, anything in the schema
SELECT c.oid::regclass, p.privilege
FROM pg_class c, unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']) AS p(privilege)
WHERE c.relnamespace = 'depipe'::regnamespace AND c.relkind IN ('r', 'v', 'p')
	AND (has_table_privilege('depipe_operator', c.oid, p.privilege)
		OR has_table_privilege('pg_monitor', c.oid, p.privilege));

-- argument names are no reserved words
SELECT p.oid::regprocedure, a.name
FROM pg_proc p, unnest(p.proargnames) AS a(name), pg_get_keywords() k
WHERE p.pronamespace = 'depipe'::regnamespace AND k.word = a.name AND k.catcode IN ('R', 'T');

-- settings
LOAD 'depipe';
SELECT name, setting, unit, context FROM pg_settings WHERE name LIKE 'depipe.%' ORDER BY name;
SET depipe.batch_rows = 0;
SET depipe.max_parked = -1;
SET depipe.no_such_setting = 1;
