# One full cycle by background workers: copy, stream, values out of line, quarantine, retry, a
# breaker that opens and closes, a new column, a pause for a dropped one, resync, transforms,
# verify, run_due, and finally the drop of everything, without a crash. Small data and few
# statements, because test/valgrind runs it as well.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use DepipeOperations;
use PostgreSQL::Test::Utils;
use Test::More;

my ($source, $warehouse) = source_and_warehouse(
	source => "wal_sender_timeout = 0\n",
	warehouse => worker_settings("authentication_timeout = '10min'\n"));

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

sub becomes
{
	my ($query, $expected, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($warehouse->poll_query_until('postgres', "SELECT ($query)::text = '$expected'"), $name)
	  || diag(at_warehouse($query, 'SELECT target, state, reason FROM depipe.status'));
	return;
}

# ---- copy

add_marker($source, $warehouse);
at_source(q{CREATE TYPE color AS ENUM ('red', 'green')},
	q{CREATE TABLE customers (id int PRIMARY KEY, region text)},
	q{CREATE TABLE orders (id bigint PRIMARY KEY, customer int, amount numeric, color color, document text, tags text[])},
	q{ALTER TABLE orders ALTER document SET STORAGE EXTERNAL},
	q{CREATE TABLE events (at timestamptz, what jsonb); ALTER TABLE events REPLICA IDENTITY FULL},
	q{INSERT INTO customers SELECT n, 'r' || n % 3 FROM generate_series(1, 20) n UNION VALUES (100, 'r1')},
	q{INSERT INTO orders SELECT n, 1 + n % 20, n, 'red', repeat(md5(n::text), 200), ARRAY['a', NULL] FROM generate_series(1, 50) n},
	q{INSERT INTO events SELECT now(), jsonb_build_object('n', n) FROM generate_series(1, 5) n});
at_warehouse(
	q{SELECT depipe.create_load('raw.customers', server => 'shop', source => 'public.customers', columns => '{"region": "upper(region)"}', row_filter => 'id <> 100')},
	q{SELECT depipe.create_load('raw.orders', server => 'shop', source => 'public.orders')},
	q{SELECT depipe.create_load('raw.events', server => 'shop', source => 'public.events')});
becomes(q{SELECT count(*) FROM depipe.loads WHERE state = 'streaming'}, 4, 'tables are copied');

# ---- constraints and transforms

at_warehouse('CREATE SCHEMA mart',
	q{SELECT depipe.add_constraint('raw.orders', depipe.not_null('customer'))},
	q{SELECT depipe.add_constraint('raw.orders', depipe.satisfies('amount >= 0'), on_violation => 'quarantine')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.accepted_values('color', 'red', 'green'), on_violation => 'warn')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.unique('id'))},
	q{SELECT depipe.add_constraint('raw.orders', depipe.relationships('customer', 'raw.customers', 'id'), on_violation => 'quarantine', existing => 'ignore')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.satisfies('sum(amount) < 100000'), name => 'total')},
	q{SELECT depipe.add_constraint('raw.customers', depipe.matches('region', '^R'), on_violation => 'break', fail_if => '> 50%')},
	q{SELECT depipe.create_transform('mart.sales', 'SELECT c.region, count(*) AS orders, sum(o.amount) AS amount FROM raw.orders o JOIN raw.customers c ON c.id = o.customer GROUP BY c.region', target_lag => '1 second')},
	q{SELECT depipe.add_constraint('mart.sales', depipe.row_count(1, 10))},
	q{SELECT depipe.create_transform('mart.best', 'SELECT region FROM mart.sales ORDER BY amount DESC LIMIT 1', target_lag => '1 second')});
is_value($warehouse, 'SELECT sum(orders) FROM mart.sales', '50', 'the transform is filled');

# ---- stream

at_source(q{UPDATE orders SET amount = amount + 1 WHERE id <= 10},
	q{UPDATE orders SET id = id + 1000 WHERE id = 20},
	q{DELETE FROM orders WHERE id = 30},
	q{UPDATE orders SET document = NULL WHERE id = 31; UPDATE orders SET document = repeat('x', 20000) WHERE id = 32},
	q{UPDATE events SET what = what || '{"x": [1, null]}' WHERE what->>'n' = '1'; DELETE FROM events WHERE what->>'n' = '2'},
	q{BEGIN; INSERT INTO customers VALUES (21, 'r9'); INSERT INTO orders VALUES (51, 21, 5, 'green', 'd', '{}'); COMMIT},
	q{INSERT INTO orders VALUES (52, 1, -1, 'red', 'bad', NULL), (53, 99, 1, 'red', 'orphan', NULL)});
arrives($source, $warehouse, 'changes');
is_value($warehouse, q{SELECT string_agg(key::text, ' ' ORDER BY key::text) FROM depipe.quarantine}, '{52} {53}', 'rows are set aside');
at_source(q{UPDATE orders SET amount = 1 WHERE id = 52}, q{INSERT INTO customers VALUES (99, 'r1')});
becomes('SELECT count(*) FROM depipe.quarantine', 0, 'one is corrected, the parent of the other arrives');
is_same($source, $warehouse, 'orders', 'the stream');
is_same($source, $warehouse, 'events', 'the stream');
is_value($warehouse, q{SELECT count(*) FROM depipe.verify('raw.orders')}, 0, 'verify of a load');
becomes('SELECT sum(orders) FROM mart.sales', 52, 'the transform follows');
is_value($warehouse, q{SELECT count(*) FROM depipe.verify('mart.sales')}, 0, 'verify of a transform');

# ---- a breaker opens, and closes

at_source(q{UPDATE orders SET amount = 1000000 WHERE id = 1});
becomes(q{SELECT state FROM depipe.breakers WHERE target = 'raw.orders'}, 'open', 'the breaker opens');
at_source(q{INSERT INTO orders VALUES (60, 1, 1, 'red', repeat('y', 20000), NULL)}, q{INSERT INTO customers VALUES (22, 'r2')});
arrives($source, $warehouse, 'others go on');
like(at_warehouse(q{SELECT string_agg(concat_ws(' ', target, state, reason), '; ') FROM depipe.why('mart.best')}), qr/raw\.orders/, 'why');
at_source(q{UPDATE orders SET amount = 2 WHERE id = 1});
at_warehouse(q{SELECT depipe.reset('raw.orders', 'corrected')});
becomes('SELECT count(*) FROM raw.orders WHERE id IN (1, 60) AND amount < 3', 2, 'what was held is published');
becomes(q{SELECT state FROM depipe.breakers WHERE target = 'raw.orders'}, 'closed', 'the breaker closes');

# ---- columns

at_source(q{ALTER TABLE orders ADD note text DEFAULT 'none'}, q{INSERT INTO orders VALUES (61, 1, 1, 'red', 'd', NULL, 'new')});
becomes('SELECT note FROM raw.orders WHERE id = 61', 'new', 'a new column');
at_source(q{ALTER TABLE orders DROP tags}, q{INSERT INTO orders VALUES (62, 1, 1, 'red', 'd', 'new')});
becomes(q{SELECT state FROM depipe.loads WHERE target = 'raw.orders'}, 'paused', 'a column that is dropped');
at_warehouse('ALTER TABLE raw.orders DROP tags', q{SELECT depipe.resync('raw.orders')});
becomes('SELECT count(*) FROM raw.orders WHERE id = 62', 1, 'resync');
at_source('TRUNCATE events');
becomes('SELECT count(*) FROM raw.events', 0, 'truncate');
is_same($source, $warehouse, 'orders', 'after the resync');

# ---- by hand

at_warehouse(q{SELECT depipe.pause('a test', 'mart.*')}, q{SELECT depipe.resume('mart.*')},
	q{SELECT depipe.alter_transform('mart.best', 'SELECT region, amount FROM mart.sales ORDER BY amount DESC LIMIT 2')},
	q{SELECT * FROM depipe.explain_transform('mart.best')}, q{SELECT * FROM depipe.check_source('shop')},
	q{SELECT * FROM depipe.check_table('raw.orders')}, q{SELECT * FROM depipe.violations('raw.orders')},
	q{SELECT depipe.definition()}, 'TABLE depipe.status; TABLE depipe.loads; TABLE depipe.stat_streams; TABLE depipe.verdicts; TABLE depipe.incidents; TABLE depipe.events; TABLE depipe.lineage');
$warehouse->safe_psql('postgres', 'CALL depipe.run_due()');
$warehouse->safe_psql('postgres', q{CALL depipe.run('mart.best', upstream => true)});
is_value($warehouse, 'SELECT count(*) FROM mart.best', 2, 'the changed query');

# ---- the end

at_warehouse(q{SELECT depipe.drop_transform('mart.best')}, q{SELECT depipe.drop_transform('mart.sales')},
	map { "SELECT depipe.drop_load('raw.$_')" } qw(orders customers events marker));
at_warehouse('DROP SERVER shop CASCADE', 'DROP EXTENSION depipe CASCADE');
wait_until($warehouse, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type IN ('depipe stream worker', 'depipe run worker'))},
	'workers end');
$warehouse->stop;
is(count_in_log($warehouse, 0, qr/TRAP|PANIC|terminated by signal|exited with exit code [^01]/), 0, 'nothing has crashed');

done_testing();
