-- The 22 queries of TPC-H as transforms: exact after streams of changes, and which strategy served.
-- The data is made here, small, by hashing; it resembles that of dbgen only so far that every query has a result.
-- Where a query of TPC-H has LIMIT, whoever reads the table orders and limits.
CREATE SCHEMA tpch;
SET search_path = tpch;
SET client_min_messages = warning;
CREATE TABLE region (r_regionkey integer PRIMARY KEY, r_name text NOT NULL);
CREATE TABLE nation (n_nationkey integer PRIMARY KEY, n_name text NOT NULL, n_regionkey integer NOT NULL);
CREATE TABLE supplier (s_suppkey integer PRIMARY KEY, s_name text NOT NULL, s_address text NOT NULL, s_nationkey integer NOT NULL,
	s_phone text NOT NULL, s_acctbal numeric(15,2) NOT NULL, s_comment text NOT NULL);
CREATE TABLE part (p_partkey integer PRIMARY KEY, p_name text NOT NULL, p_mfgr text NOT NULL, p_brand text NOT NULL, p_type text NOT NULL,
	p_size integer NOT NULL, p_container text NOT NULL, p_retailprice numeric(15,2) NOT NULL);
CREATE TABLE partsupp (ps_partkey integer NOT NULL, ps_suppkey integer NOT NULL, ps_availqty integer NOT NULL,
	ps_supplycost numeric(15,2) NOT NULL, PRIMARY KEY (ps_partkey, ps_suppkey));
CREATE TABLE customer (c_custkey integer PRIMARY KEY, c_name text NOT NULL, c_address text NOT NULL, c_nationkey integer NOT NULL,
	c_phone text NOT NULL, c_acctbal numeric(15,2) NOT NULL, c_mktsegment text NOT NULL, c_comment text NOT NULL);
CREATE TABLE orders (o_orderkey integer PRIMARY KEY, o_custkey integer NOT NULL, o_orderstatus char(1) NOT NULL, o_totalprice numeric(15,2) NOT NULL,
	o_orderdate date NOT NULL, o_orderpriority text NOT NULL, o_clerk text NOT NULL, o_shippriority integer NOT NULL, o_comment text NOT NULL);
CREATE TABLE lineitem (l_orderkey integer NOT NULL, l_partkey integer NOT NULL, l_suppkey integer NOT NULL, l_linenumber integer NOT NULL,
	l_quantity numeric(15,2) NOT NULL, l_extendedprice numeric(15,2) NOT NULL, l_discount numeric(15,2) NOT NULL, l_tax numeric(15,2) NOT NULL,
	l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL,
	l_shipinstruct text NOT NULL, l_shipmode text NOT NULL, PRIMARY KEY (l_orderkey, l_linenumber));
-- a number from 0 to below - 1, from a key and the number of the column
CREATE FUNCTION h(key bigint, col integer, below integer) RETURNS integer LANGUAGE sql IMMUTABLE AS
	$$ SELECT ((hashint8extended($1, $2) & 2147483647) % $3)::integer $$;
CREATE FUNCTION pick(key bigint, col integer, VARIADIC words text[]) RETURNS text LANGUAGE sql IMMUTABLE AS
	$$ SELECT $3[1 + tpch.h($1, $2, cardinality($3))] $$;
CREATE FUNCTION line(o integer, n integer) RETURNS lineitem LANGUAGE sql AS $$
	SELECT ROW(o, p, 1 + (p + tpch.h(k, 2, 4) * 7) % 40, n, q, (q * (900 + p % 200))::numeric(15,2), tpch.h(k, 4, 11) / 100.0, tpch.h(k, 5, 9) / 100.0,
		CASE WHEN d + 20 > date '1995-06-17' THEN 'N' ELSE tpch.pick(k, 6, 'R', 'A') END, CASE WHEN d > date '1995-06-17' THEN 'O' ELSE 'F' END,
		d, d - 30 + tpch.h(k, 8, 60), d + 1 + tpch.h(k, 9, 30),
		tpch.pick(k, 10, 'DELIVER IN PERSON', 'COLLECT COD', 'NONE'), tpch.pick(k, 11, 'AIR', 'AIR REG', 'MAIL', 'SHIP', 'TRUCK', 'RAIL'))::tpch.lineitem
	FROM (SELECT o * 10::bigint + n AS k) a, LATERAL (SELECT 1 + tpch.h(k, 1, 200) AS p, 1 + tpch.h(k, 3, 50) AS q,
		(SELECT o_orderdate FROM tpch.orders WHERE o_orderkey = o) + 1 + tpch.h(k, 7, 120) AS d) b $$;
CREATE FUNCTION new_order(o integer) RETURNS orders LANGUAGE sql AS $$
	SELECT ROW(o, 1 + tpch.h(o, 20, 100) * 3 / 2, tpch.pick(o, 21, 'F', 'F', 'O'), 1000 + tpch.h(o, 22, 400000), date '1992-01-01' + tpch.h(o, 23, 2400),
		tpch.pick(o, 24, '1-URGENT', '2-HIGH', '3-MEDIUM', '4-NOT SPECIFIED', '5-LOW'), 'Clerk', 0,
		tpch.pick(o, 25, 'quickly', 'special packages requests', 'careful deposits', 'furious ideas'))::tpch.orders $$;
INSERT INTO region SELECT i - 1, (ARRAY['AFRICA', 'AMERICA', 'ASIA', 'EUROPE', 'MIDDLE EAST'])[i] FROM generate_series(1, 5) i;
INSERT INTO nation VALUES (0, 'KENYA', 0), (1, 'BRAZIL', 1), (2, 'CANADA', 1), (3, 'INDIA', 2), (4, 'JAPAN', 2), (5, 'FRANCE', 3), (6, 'GERMANY', 3), (7, 'SAUDI ARABIA', 4);
INSERT INTO supplier SELECT i, 'Supplier ' || i, 'address ' || i, h(i, 1, 8), 10 + h(i, 1, 8) || '-555-' || i, h(i, 2, 1000000) / 100.0 - 900,
	CASE WHEN i % 9 = 0 THEN 'has Customer bad Complaints' ELSE 'fine' END FROM generate_series(1, 40) i;
INSERT INTO part SELECT i, pick(i, 1, 'forest', 'green', 'azure', 'plum') || ' ' || pick(i, 2, 'green', 'rose', 'snow'), 'Manufacturer', 'Brand#' || 1 + h(i, 3, 3) || 1 + h(i, 4, 3),
	pick(i, 5, 'ECONOMY ANODIZED', 'MEDIUM POLISHED', 'PROMO PLATED', 'LARGE BURNISHED') || ' ' || pick(i, 6, 'STEEL', 'BRASS'), 1 + h(i, 7, 15),
	pick(i, 8, 'SM CASE', 'MED BOX', 'LG PACK', 'MED BAG'), 900 + i % 200 FROM generate_series(1, 200) i;
INSERT INTO partsupp SELECT p, 1 + (p + s * 7) % 40, 1 + h(p * 10 + s, 1, 999), (1 + h(p * 10 + s, 2, 99900)) / 100.0 FROM generate_series(1, 200) p, generate_series(0, 3) s;
INSERT INTO customer SELECT i, 'Customer ' || i, 'address ' || i, h(i, 1, 8), 10 + h(i, 1, 8) || '-555-' || i, h(i, 2, 1099000) / 100.0 - 999,
	pick(i, 3, 'BUILDING', 'AUTOMOBILE', 'MACHINERY'), 'none' FROM generate_series(1, 150) i;
INSERT INTO orders SELECT (new_order(i)).* FROM generate_series(1, 1500) i;
INSERT INTO lineitem SELECT (line(i, n)).* FROM generate_series(1, 1500) i, generate_series(1, 4) n WHERE n <= 1 + h(i, 30, 7);
CREATE INDEX ON orders (o_custkey);
CREATE INDEX ON lineitem (l_partkey, l_suppkey);
CREATE INDEX ON partsupp (ps_suppkey);
ANALYZE;

CREATE TABLE defined (name text PRIMARY KEY, mode text, query text);
-- mode "incremental" where it is accepted, or else "auto"
CREATE PROCEDURE make(name text, query text) LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL search_path = tpch;
	BEGIN
		PERFORM depipe.create_transform('tpch.' || name, query, mode => 'incremental', key => '{}');
		INSERT INTO tpch.defined VALUES (name, 'incremental', query);
	EXCEPTION WHEN feature_not_supported THEN
		PERFORM depipe.create_transform('tpch.' || name, query, key => '{}');
		INSERT INTO tpch.defined VALUES (name, 'auto', query);
	END;
END $$;
CALL make('q01', $$SELECT l_returnflag, l_linestatus, sum(l_quantity) AS sum_qty, sum(l_extendedprice) AS sum_base_price,
	sum(l_extendedprice * (1 - l_discount)) AS sum_disc_price, sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) AS sum_charge,
	avg(l_quantity) AS avg_qty, avg(l_extendedprice) AS avg_price, avg(l_discount) AS avg_disc, count(*) AS count_order
	FROM lineitem WHERE l_shipdate <= date '1998-12-01' - interval '90 days' GROUP BY l_returnflag, l_linestatus$$);
CALL make('q02', $$SELECT s_acctbal, s_name, n_name, p_partkey, p_mfgr, s_address, s_phone, s_comment FROM part, supplier, partsupp, nation, region
	WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND p_size = 15 AND p_type LIKE '%BRASS' AND s_nationkey = n_nationkey
	AND n_regionkey = r_regionkey AND r_name = 'EUROPE' AND ps_supplycost = (SELECT min(ps_supplycost) FROM partsupp, supplier, nation, region
		WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'EUROPE')$$);
CALL make('q03', $$SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority FROM customer, orders, lineitem
	WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate < date '1995-03-15' AND l_shipdate > date '1995-03-15'
	GROUP BY l_orderkey, o_orderdate, o_shippriority$$);
CALL make('q04', $$SELECT o_orderpriority, count(*) AS order_count FROM orders WHERE o_orderdate >= date '1993-07-01'
	AND o_orderdate < date '1993-07-01' + interval '3 months' AND EXISTS (SELECT * FROM lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)
	GROUP BY o_orderpriority$$);
CALL make('q05', $$SELECT n_name, sum(l_extendedprice * (1 - l_discount)) AS revenue FROM customer, orders, lineitem, supplier, nation, region
	WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND l_suppkey = s_suppkey AND c_nationkey = s_nationkey AND s_nationkey = n_nationkey
	AND n_regionkey = r_regionkey AND r_name = 'ASIA' AND o_orderdate >= date '1994-01-01' AND o_orderdate < date '1994-01-01' + interval '1 year' GROUP BY n_name$$);
CALL make('q06', $$SELECT sum(l_extendedprice * l_discount) AS revenue FROM lineitem WHERE l_shipdate >= date '1994-01-01'
	AND l_shipdate < date '1994-01-01' + interval '1 year' AND l_discount BETWEEN 0.06 - 0.01 AND 0.06 + 0.01 AND l_quantity < 24$$);
CALL make('q07', $$SELECT supp_nation, cust_nation, l_year, sum(volume) AS revenue FROM (SELECT n1.n_name AS supp_nation, n2.n_name AS cust_nation,
	extract(year FROM l_shipdate) AS l_year, l_extendedprice * (1 - l_discount) AS volume FROM supplier, lineitem, orders, customer, nation n1, nation n2
	WHERE s_suppkey = l_suppkey AND o_orderkey = l_orderkey AND c_custkey = o_custkey AND s_nationkey = n1.n_nationkey AND c_nationkey = n2.n_nationkey
	AND ((n1.n_name = 'FRANCE' AND n2.n_name = 'GERMANY') OR (n1.n_name = 'GERMANY' AND n2.n_name = 'FRANCE'))
	AND l_shipdate BETWEEN date '1995-01-01' AND date '1996-12-31') shipping GROUP BY supp_nation, cust_nation, l_year$$);
CALL make('q08', $$SELECT o_year, sum(CASE WHEN nation = 'BRAZIL' THEN volume ELSE 0 END) / sum(volume) AS mkt_share FROM (SELECT extract(year FROM o_orderdate) AS o_year,
	l_extendedprice * (1 - l_discount) AS volume, n2.n_name AS nation FROM part, supplier, lineitem, orders, customer, nation n1, nation n2, region
	WHERE p_partkey = l_partkey AND s_suppkey = l_suppkey AND l_orderkey = o_orderkey AND o_custkey = c_custkey AND c_nationkey = n1.n_nationkey
	AND n1.n_regionkey = r_regionkey AND r_name = 'AMERICA' AND s_nationkey = n2.n_nationkey AND o_orderdate BETWEEN date '1995-01-01' AND date '1996-12-31'
	AND p_type = 'ECONOMY ANODIZED STEEL') all_nations GROUP BY o_year$$);
CALL make('q09', $$SELECT nation, o_year, sum(amount) AS sum_profit FROM (SELECT n_name AS nation, extract(year FROM o_orderdate) AS o_year,
	l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity AS amount FROM part, supplier, lineitem, partsupp, orders, nation
	WHERE s_suppkey = l_suppkey AND ps_suppkey = l_suppkey AND ps_partkey = l_partkey AND p_partkey = l_partkey AND o_orderkey = l_orderkey
	AND s_nationkey = n_nationkey AND p_name LIKE '%green%') profit GROUP BY nation, o_year$$);
CALL make('q10', $$SELECT c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) AS revenue, c_acctbal, n_name, c_address, c_phone, c_comment
	FROM customer, orders, lineitem, nation WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate >= date '1993-10-01'
	AND o_orderdate < date '1993-10-01' + interval '3 months' AND l_returnflag = 'R' AND c_nationkey = n_nationkey
	GROUP BY c_custkey, c_name, c_acctbal, c_phone, n_name, c_address, c_comment$$);
CALL make('q11', $$SELECT ps_partkey, sum(ps_supplycost * ps_availqty) AS value FROM partsupp, supplier, nation WHERE ps_suppkey = s_suppkey
	AND s_nationkey = n_nationkey AND n_name = 'GERMANY' GROUP BY ps_partkey HAVING sum(ps_supplycost * ps_availqty) >
	(SELECT sum(ps_supplycost * ps_availqty) * 0.01 FROM partsupp, supplier, nation WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_name = 'GERMANY')$$);
CALL make('q12', $$SELECT l_shipmode, sum(CASE WHEN o_orderpriority = '1-URGENT' OR o_orderpriority = '2-HIGH' THEN 1 ELSE 0 END) AS high_line_count,
	sum(CASE WHEN o_orderpriority <> '1-URGENT' AND o_orderpriority <> '2-HIGH' THEN 1 ELSE 0 END) AS low_line_count FROM orders, lineitem
	WHERE o_orderkey = l_orderkey AND l_shipmode IN ('MAIL', 'SHIP') AND l_commitdate < l_receiptdate AND l_shipdate < l_commitdate
	AND l_receiptdate >= date '1994-01-01' AND l_receiptdate < date '1994-01-01' + interval '1 year' GROUP BY l_shipmode$$);
CALL make('q13', $$SELECT c_count, count(*) AS custdist FROM (SELECT c_custkey, count(o_orderkey) AS c_count FROM customer LEFT JOIN orders
	ON c_custkey = o_custkey AND o_comment NOT LIKE '%special%requests%' GROUP BY c_custkey) c_orders GROUP BY c_count$$);
CALL make('q14', $$SELECT 100.00 * sum(CASE WHEN p_type LIKE 'PROMO%' THEN l_extendedprice * (1 - l_discount) ELSE 0 END) / sum(l_extendedprice * (1 - l_discount))
	AS promo_revenue FROM lineitem, part WHERE l_partkey = p_partkey AND l_shipdate >= date '1995-09-01' AND l_shipdate < date '1995-09-01' + interval '1 month'$$);
CALL make('q15', $$WITH revenue AS (SELECT l_suppkey AS supplier_no, sum(l_extendedprice * (1 - l_discount)) AS total_revenue FROM lineitem
	WHERE l_shipdate >= date '1996-01-01' AND l_shipdate < date '1996-01-01' + interval '3 months' GROUP BY l_suppkey)
	SELECT s_suppkey, s_name, s_address, s_phone, total_revenue FROM supplier, revenue WHERE s_suppkey = supplier_no
	AND total_revenue = (SELECT max(total_revenue) FROM revenue)$$);
CALL make('q16', $$SELECT p_brand, p_type, p_size, count(DISTINCT ps_suppkey) AS supplier_cnt FROM partsupp, part WHERE p_partkey = ps_partkey AND p_brand <> 'Brand#21'
	AND p_type NOT LIKE 'MEDIUM POLISHED%' AND p_size IN (2, 5, 7, 9, 11, 13, 15) AND ps_suppkey NOT IN (SELECT s_suppkey FROM supplier
	WHERE s_comment LIKE '%Customer%Complaints%') GROUP BY p_brand, p_type, p_size$$);
CALL make('q17', $$SELECT sum(l_extendedprice) / 7.0 AS avg_yearly FROM lineitem, part WHERE p_partkey = l_partkey AND p_brand = 'Brand#23' AND p_container = 'MED BOX'
	AND l_quantity < (SELECT 0.6 * avg(l_quantity) FROM lineitem WHERE l_partkey = p_partkey)$$);
CALL make('q18', $$SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, sum(l_quantity) AS quantity FROM customer, orders, lineitem
	WHERE o_orderkey IN (SELECT l_orderkey FROM lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 150) AND c_custkey = o_custkey AND o_orderkey = l_orderkey
	GROUP BY c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice$$);
CALL make('q19', $$SELECT sum(l_extendedprice * (1 - l_discount)) AS revenue FROM lineitem, part WHERE (p_partkey = l_partkey AND p_brand = 'Brand#12'
	AND p_container IN ('SM CASE', 'SM BOX') AND l_quantity >= 1 AND l_quantity <= 21 AND p_size BETWEEN 1 AND 15 AND l_shipmode IN ('AIR', 'AIR REG')
	AND l_shipinstruct = 'DELIVER IN PERSON') OR (p_partkey = l_partkey AND p_brand = 'Brand#23' AND p_container IN ('MED BAG', 'MED BOX') AND l_quantity >= 10
	AND l_quantity <= 40 AND p_size BETWEEN 1 AND 10 AND l_shipmode IN ('AIR', 'AIR REG') AND l_shipinstruct = 'DELIVER IN PERSON')$$);
CALL make('q20', $$SELECT s_name, s_address FROM supplier, nation WHERE s_suppkey IN (SELECT ps_suppkey FROM partsupp WHERE ps_partkey IN
	(SELECT p_partkey FROM part WHERE p_name LIKE 'forest%') AND ps_availqty > (SELECT 0.5 * sum(l_quantity) FROM lineitem WHERE l_partkey = ps_partkey
	AND l_suppkey = ps_suppkey AND l_shipdate >= date '1994-01-01' AND l_shipdate < date '1994-01-01' + interval '1 year'))
	AND s_nationkey = n_nationkey AND n_name = 'CANADA'$$);
CALL make('q21', $$SELECT s_name, count(*) AS numwait FROM supplier, lineitem l1, orders, nation WHERE s_suppkey = l1.l_suppkey AND o_orderkey = l1.l_orderkey
	AND o_orderstatus = 'F' AND l1.l_receiptdate > l1.l_commitdate AND EXISTS (SELECT * FROM lineitem l2 WHERE l2.l_orderkey = l1.l_orderkey AND l2.l_suppkey <> l1.l_suppkey)
	AND NOT EXISTS (SELECT * FROM lineitem l3 WHERE l3.l_orderkey = l1.l_orderkey AND l3.l_suppkey <> l1.l_suppkey AND l3.l_receiptdate > l3.l_commitdate)
	AND s_nationkey = n_nationkey AND n_name = 'SAUDI ARABIA' GROUP BY s_name$$);
CALL make('q22', $$SELECT cntrycode, count(*) AS numcust, sum(c_acctbal) AS totacctbal FROM (SELECT substring(c_phone FROM 1 FOR 2) AS cntrycode, c_acctbal FROM customer
	WHERE substring(c_phone FROM 1 FOR 2) IN ('10', '11', '13', '15', '17') AND c_acctbal > (SELECT avg(c_acctbal) FROM customer WHERE c_acctbal > 0.00
	AND substring(c_phone FROM 1 FOR 2) IN ('10', '11', '13', '15', '17')) AND NOT EXISTS (SELECT * FROM orders WHERE o_custkey = c_custkey)) custsale GROUP BY cntrycode$$);
-- refresh all; rows that differ from the query
CREATE FUNCTION refreshed() RETURNS TABLE (name text, mode text, strategy text, reason text, wrong bigint, rows bigint) LANGUAGE plpgsql SET search_path = tpch AS $$
DECLARE r record;
BEGIN
	FOR r IN SELECT d.*, f.strategy, f.reason FROM depipe.refresh('tpch.*') f JOIN defined d ON f.target = 'tpch.' || d.name ORDER BY d.name
	LOOP
		name := r.name; mode := r.mode; strategy := r.strategy; reason := r.reason;
		EXECUTE format('SELECT count(*) FROM (((%1$s) EXCEPT ALL TABLE %2$I) UNION ALL (TABLE %2$I EXCEPT ALL (%1$s))) d', r.query, r.name) INTO wrong;
		EXECUTE format('SELECT count(*) FROM %I', r.name) INTO rows;
		RETURN NEXT;
	END LOOP;
END $$;
CREATE TABLE seen (stream text, name text, mode text, strategy text, reason text, wrong bigint, rows bigint);
INSERT INTO seen SELECT 'initial', r.* FROM refreshed() r;
SELECT name, mode, strategy, wrong FROM seen WHERE wrong > 0 OR rows = 0;
INSERT INTO seen SELECT 'captured', r.* FROM refreshed() r;
\echo 0.1 % of lineitem and orders: inserted, changed, deleted
INSERT INTO orders SELECT (new_order(i)).* FROM generate_series(2001, 2002) i;
INSERT INTO lineitem SELECT (line(i, n)).* FROM generate_series(2001, 2002) i, generate_series(1, 3) n;
INSERT INTO seen SELECT 'insert', r.* FROM refreshed() r;
UPDATE lineitem SET l_quantity = l_quantity + 1, l_discount = 0.03 WHERE l_orderkey IN (17, 500, 1200) AND l_linenumber <= 2;
UPDATE orders SET o_orderpriority = '1-URGENT', o_totalprice = o_totalprice + 1 WHERE o_orderkey IN (18, 501);
INSERT INTO seen SELECT 'update', r.* FROM refreshed() r;
DELETE FROM lineitem WHERE l_orderkey IN (19, 502, 1203);
DELETE FROM orders WHERE o_orderkey IN (19, 1203);
INSERT INTO seen SELECT 'delete', r.* FROM refreshed() r;
\echo rows that concern an aggregate of all rows: then the query is evaluated
UPDATE lineitem SET l_shipdate = '1994-05-05', l_discount = 0.06, l_quantity = 5 WHERE l_orderkey = 700;
UPDATE lineitem SET l_shipdate = '1995-09-15' WHERE l_orderkey = 701;
INSERT INTO seen SELECT 'whole', r.* FROM refreshed() r;
\echo dimensions
UPDATE supplier SET s_acctbal = s_acctbal + 1, s_comment = 'fine' WHERE s_suppkey IN (9, 11);
UPDATE part SET p_size = 15, p_type = 'ECONOMY ANODIZED BRASS' WHERE p_partkey IN (3, 77);
UPDATE partsupp SET ps_supplycost = 1 WHERE ps_partkey IN (3, 50);
UPDATE customer SET c_mktsegment = 'BUILDING', c_nationkey = 3, c_acctbal = 9000 WHERE c_custkey IN (4, 5);
UPDATE nation SET n_name = 'KOREA' WHERE n_nationkey = 4;
INSERT INTO seen SELECT 'dimension', r.* FROM refreshed() r;
SELECT * FROM seen WHERE wrong > 0 ORDER BY stream, name;
\pset null -
-- which strategy on changes is the cheapest is not asked here
SELECT name, max(served) FILTER (WHERE stream = 'insert') AS insert,
	max(served) FILTER (WHERE stream = 'update') AS update,
	max(served) FILTER (WHERE stream = 'delete') AS delete,
	max(served) FILTER (WHERE stream = 'whole') AS whole,
	max(served) FILTER (WHERE stream = 'dimension') AS dimension,
	max(reason) FILTER (WHERE strategy LIKE 'full%' AND stream NOT IN ('initial', 'captured')) AS reason
	FROM (SELECT *, CASE WHEN strategy IN ('linear', 'join', 'aggregate', 'keys') THEN 'changes' ELSE strategy END AS served FROM seen) s GROUP BY name ORDER BY name;
SELECT stream, count(*) AS better_than_full FROM seen WHERE strategy NOT LIKE 'full%' AND stream IN ('insert', 'update', 'delete', 'whole', 'dimension') GROUP BY stream ORDER BY stream;
SELECT count(depipe.drop_transform(target, true)) FROM depipe.transforms WHERE target LIKE 'tpch.%';
DROP SCHEMA tpch CASCADE;
