-- several terms of signed rows make one delta
CREATE SCHEMA net;
SET search_path = net;
SET client_min_messages = warning;
CREATE FUNCTION net_terms(target regclass, key text[], terms text[],
	OUT weight bigint, OUT sequence bigint, OUT replaced boolean, OUT image text[], OUT unique_key boolean)
RETURNS SETOF record LANGUAGE C STRICT AS '$libdir/depipe', 'depipe_net_terms';
CREATE TABLE keyed (id integer, n integer, t text);
CREATE TABLE bag (n numeric, j json);
CREATE TABLE "Odd" ("a b" integer, "q""q" text COLLATE "C");

-- keyed: changed, gone, new, and what cancels; the old image stands before the new one
SELECT * FROM net_terms('keyed', '{id}', ARRAY[
	$$VALUES (-1, 1, 10, 'a'), (1, 1, 11, 'a'), (-1, 2, 20, 'b'), (1, 3, 30, 'c'), (1, 4, 40, 'd')$$,
	$$VALUES (-1, 4, 40, 'd'), (1, 5, 50, NULL), (-1, 5, 50, NULL)$$]);
-- weights of several terms add up, NULLs are one image and one key
SELECT * FROM net_terms('keyed', '{id,n}', ARRAY[
	$$VALUES (2, 1, 1, 'x'), (-1, NULL, NULL, 'old'), (1, NULL, 7, 'x')$$,
	$$VALUES (-1::smallint, 1, 1, 'x'), (1, NULL, NULL, 'new')$$,
	$$SELECT -1::bigint, NULL::integer, 7, 'x'$$]);
-- inclusion and exclusion: three terms of a join of two changed tables
CREATE TABLE l (id integer PRIMARY KEY, r integer);
CREATE TABLE r (id integer PRIMARY KEY, t text);
INSERT INTO l VALUES (1, 1), (2, 2);
INSERT INTO r VALUES (1, 'one'), (2, 'two');
CREATE TABLE was AS SELECT l.id, r.id AS n, r.t FROM l JOIN r ON r.id = l.r;
CREATE TABLE dl AS SELECT * FROM (VALUES (-1, 1, 1), (1, 1, 2), (1, 3, 3)) d (w, id, r);
CREATE TABLE dr AS SELECT * FROM (VALUES (-1, 1, 'one'), (1, 1, 'uno'), (1, 3, 'three')) d (w, id, t);
UPDATE l SET r = 2 WHERE id = 1;
INSERT INTO l VALUES (3, 3);
UPDATE r SET t = 'uno' WHERE id = 1;
INSERT INTO r VALUES (3, 'three');
CREATE TABLE delta AS SELECT * FROM net_terms('keyed', '{id}', ARRAY[
	'SELECT d.w, d.id, r.id, r.t FROM net.dl d JOIN net.r ON r.id = d.r',
	'SELECT d.w, l.id, d.id, d.t FROM net.dr d JOIN net.l ON l.r = d.id',
	'SELECT - x.w * y.w, x.id, y.id, y.t FROM net.dl x JOIN net.dr y ON y.id = x.r']);
TABLE delta ORDER BY sequence;
SELECT ARRAY[id::text, n::text, t] FROM was UNION ALL SELECT image FROM delta WHERE weight > 0
EXCEPT ALL SELECT image FROM delta WHERE weight < 0
EXCEPT ALL SELECT ARRAY[l.id::text, r.id::text, r.t] FROM l JOIN r ON r.id = l.r;
-- two new images of a key are noticed
SELECT weight, image, unique_key FROM net_terms('keyed', '{id}', ARRAY[$$VALUES (1, 1, 1, 'x')$$, $$VALUES (1, 1, 2, 'y')$$]);
SELECT weight, image, unique_key FROM net_terms('keyed', '{id}', ARRAY[$$VALUES (1, 1, 1, 'x')$$, $$VALUES (1, 1, 1, 'x')$$]);

-- bags: by image, not by equality; any weight; sequences are unique
SELECT weight, replaced, image FROM net_terms('bag', '{}', ARRAY[
	$$VALUES (1, 1.5, '{"a": 1}'::json), (3, 1.50, '{"a": 1}'), (1, 2, NULL), (1, NULL, NULL)$$,
	$$VALUES (-1, 1.5, '{"a":1}'::json), (-1, 1.50, '{"a": 1}'), (-1, 2, NULL), (1, NULL, NULL)$$]) ORDER BY image;
SELECT count(*), count(DISTINCT sequence), min(sequence), max(sequence) FROM net_terms('keyed', '{}', ARRAY[
	'SELECT 1, i, i % 7, NULL::text FROM generate_series(1, 1000) i', 'SELECT -1, i, i % 7, NULL::text FROM generate_series(501, 1500) i']);
SELECT * FROM net_terms('"Odd"', '{a b}', ARRAY[$$SELECT 1, 1, 'x'$$, $$SELECT -1, 1, 'X'$$]);
SELECT * FROM net_terms('keyed', '{id}', ARRAY['SELECT 1, 1, 1, NULL::text WHERE false']);
RESET search_path;
DROP SCHEMA net CASCADE;
