# The breaker of a stream's table. While it is open, its changes wait in order, and other tables and
# transforms continue or serve the last good version. Also probes, overrides, reject, too many
# parked rows, and quarantined rows whose later versions arrive.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

make_table($source, $warehouse, 'orders', 'id int PRIMARY KEY, amount int, note text');
make_table($source, $warehouse, 'other', 'id int PRIMARY KEY, t text');
at_source('INSERT INTO orders SELECT n, n, $$first$$ FROM generate_series(1, 10) n');
refresh($warehouse, 'raw.*');
at_warehouse('CREATE SCHEMA mart',
	q{SELECT depipe.add_constraint('raw.orders', depipe.satisfies('amount >= 0'), name => 'not_negative')},
	q{SELECT depipe.create_transform('mart.sales', 'SELECT count(*) AS n, sum(amount) AS amount FROM raw.orders')},
	q{SELECT depipe.create_transform('mart.report', 'SELECT n, amount FROM mart.sales')},
	q{SELECT depipe.create_transform('mart.apart', 'SELECT count(*) AS n FROM raw.other')});
refresh($warehouse, 'mart.*');
is_value($warehouse, 'SELECT * FROM mart.report', '10|55', 'first');

# ---- a break

at_source('UPDATE orders SET amount = -5 WHERE id = 1', 'INSERT INTO other VALUES (1, $$a$$)',
	'INSERT INTO orders VALUES (11, 11, $$in the same batch$$)');
my $result = refresh($warehouse, 'raw.*');
is($result->{'raw.orders'}{status}, 'blocked', 'a violating row: blocked');
like($result->{'raw.orders'}{reason}, qr/not_negative/, 'the reason names the constraint');
is(breaker_of($warehouse, 'raw.orders'), 'open', 'the breaker is open');
is(state_of($warehouse, 'raw.orders'), 'parked', 'the load is parked');
is($result->{'raw.other'}{status}, 'succeeded', 'the other table goes on');
is_same($source, $warehouse, 'other', 'beside an open breaker');
is_value($warehouse, 'SELECT count(*), sum(amount) FROM raw.orders', '10|55', 'nothing of the batch is published');
is_value($warehouse, q{SELECT state FROM depipe.verdicts WHERE constraint_name = 'not_negative' ORDER BY verdict_id DESC LIMIT 1},
	'fail', 'the verdict survives');
is_value($warehouse, q{SELECT count(*) FROM depipe.incidents WHERE constraint_name = 'not_negative' AND closed_at IS NULL},
	1, 'an incident is open');
fails_like($warehouse, q{CALL depipe.run('raw.orders')}, 'QD001', qr/raw\.orders/, 'run');
fails_like($warehouse, q{SELECT depipe.guard('raw.orders')}, 'QD002', qr/raw\.orders/, 'guard');
fails_like($warehouse, q{SELECT depipe.guard('mart.report')}, 'QD002', qr/raw\.orders/, 'guard downstream');
at_warehouse(q{SELECT depipe.guard('raw.other', 'mart.apart')});

# downstream targets are blocked, with the path, and serve the last good version; the others are
# refreshed
$result = refresh($warehouse, 'mart.*');
is($result->{"mart.$_"}{status}, 'blocked', "mart.$_ is blocked") foreach qw(sales report);
like($result->{'mart.report'}{reason}, qr/raw\.orders/, 'the reason names the root');
is($result->{'mart.apart'}{status}, 'succeeded', 'what does not read it is refreshed');
is_value($warehouse, 'SELECT * FROM mart.report', '10|55', 'downstream serves the last good version');
is_value($warehouse, 'SELECT * FROM mart.apart', 1, 'and the rest is fresh');

# held in order, in many batches, with TRUNCATE, deletions and key changes
at_source('INSERT INTO orders VALUES (12, 12, $$held$$)', 'DELETE FROM orders WHERE id = 2');
refresh($warehouse, 'raw.*');
at_source('UPDATE orders SET id = 33, note = $$moved$$ WHERE id = 3', 'UPDATE orders SET amount = 44 WHERE id = 4');
refresh($warehouse, 'raw.*');
at_source('INSERT INTO other VALUES (2, $$b$$)', 'TRUNCATE orders', 'INSERT INTO orders VALUES (1, 1, $$after TRUNCATE$$), (12, 2, $$again$$)');
refresh($warehouse, 'raw.*');
at_source('UPDATE orders SET id = 2 WHERE id = 12', 'INSERT INTO orders VALUES (12, 3, $$third$$), (4, 4, $$fourth$$)');
refresh($warehouse, 'raw.*');
at_source('DELETE FROM orders WHERE id = 4', 'UPDATE orders SET note = note || $$!$$ WHERE id = 2');
refresh($warehouse, 'raw.*');
is_value($warehouse, 'SELECT count(*), sum(amount) FROM raw.orders', '10|55', 'all of it is held');
is_same($source, $warehouse, 'other', 'the other table was never held');
is(breaker_of($warehouse, 'raw.orders'), 'open', 'still open');

# the probe: everything held is good now
at_warehouse(q{SELECT depipe.reset('raw.orders', 'the shop is repaired')});
is(breaker_of($warehouse, 'raw.orders'), 'half_open', 'reset: half open');
is_status($warehouse, 'raw.orders', 'succeeded', 'probe');
is(breaker_of($warehouse, 'raw.orders'), 'closed', 'the probe closed it');
is_same($source, $warehouse, 'orders', 'after the probe');
is(state_of($warehouse, 'raw.orders'), 'streaming', 'streaming again');
is_value($warehouse, 'SELECT count(*) FROM depipe.incidents WHERE closed_at IS NULL', 0, 'the incident is closed');
at_warehouse(q{SELECT depipe.guard('mart.report')});
$result = refresh($warehouse, 'mart.*');
is($result->{'mart.report'}{status}, 'succeeded', 'downstream follows');
is_value($warehouse, 'SELECT r.n = o.n AND r.amount = o.amount FROM mart.report r,
	(SELECT count(*) AS n, sum(amount) AS amount FROM raw.orders) o', 't', 'and is exact');

# a probe that fails opens again
at_source('INSERT INTO orders VALUES (50, -1, $$bad$$)');
is_status($warehouse, 'raw.orders', 'blocked', 'bad again');
at_warehouse(q{SELECT depipe.reset('raw.orders', 'too early')});
is_status($warehouse, 'raw.orders', 'blocked', 'a probe that fails');
is(breaker_of($warehouse, 'raw.orders'), 'open', 'opens again');
at_source('INSERT INTO orders VALUES (51, 51, $$good$$)');
refresh($warehouse, 'raw.orders');
is_value($warehouse, 'SELECT count(*) FROM raw.orders WHERE id >= 50', 0, 'and holds the good with the bad');

# ---- override until it expires

fails_like($warehouse, q{SELECT depipe.override('raw.orders', NULL, now() + interval '1 hour')},
	'22004', qr/reason/, 'override without a reason');
fails_like($warehouse, q{SELECT depipe.override('raw.orders', 'for ever', now() + interval '1 year')},
	'22023', qr/max_override|later|long/, 'override for a year');
at_warehouse(q{SELECT depipe.override('raw.orders', 'known and accepted', now() + interval '1 hour')});
is(breaker_of($warehouse, 'raw.orders'), 'disabled', 'override: disabled');
is_status($warehouse, 'raw.orders', 'succeeded', 'override: what was held is published');
is_same($source, $warehouse, 'orders', 'override');
at_warehouse(q{SELECT depipe.guard('mart.report')});
at_source('INSERT INTO orders VALUES (52, -2, $$bad$$)');
is_status($warehouse, 'raw.orders', 'succeeded', 'override: bad rows pass');
is_same($source, $warehouse, 'orders', 'override, bad rows');
is_value($warehouse, q{SELECT would_have_blocked FROM depipe.verdicts WHERE target = 'raw.orders' ORDER BY verdict_id DESC LIMIT 1},
	't', 'override: recorded as what would have been');
at_warehouse(q{SELECT depipe.override('raw.orders', 'known', clock_timestamp() + interval '0.2 seconds')});
wait_until($warehouse, q{SELECT until < clock_timestamp() FROM depipe.breaker_state b JOIN depipe.target t USING (target_id)
	WHERE t.table_name = 'orders'}, 'the override expires');
at_source('INSERT INTO orders VALUES (53, -3, $$bad$$)');
is_status($warehouse, 'raw.orders', 'blocked', 'after the override a bad row blocks');
is(breaker_of($warehouse, 'raw.orders'), 'open', 'by a probe that failed');
at_source('DELETE FROM orders WHERE amount < 0');
at_warehouse(q{SELECT depipe.reset('raw.orders', 'cleaned')});
is_status($warehouse, 'raw.orders', 'succeeded', 'cleaned');
is_same($source, $warehouse, 'orders', 'after the override');

# ---- trip, for a while

at_warehouse(q{SELECT depipe.trip('raw.orders', 'looks odd', clock_timestamp() + interval '0.2 seconds')});
wait_until($warehouse, q{SELECT until < clock_timestamp() FROM depipe.breaker_state b JOIN depipe.target t USING (target_id)
	WHERE t.table_name = 'orders'}, 'the trip ends');
at_source('INSERT INTO orders VALUES (60, 60, $$good$$)');
is_status($warehouse, 'raw.orders', 'succeeded', 'a trip that has ended is followed by a probe');
is(breaker_of($warehouse, 'raw.orders'), 'closed', 'which closes');
is_same($source, $warehouse, 'orders', 'after the trip');

# ---- reject: not published, tried again, the breaker stays closed

at_warehouse(q{SELECT depipe.drop_constraint('raw.orders', 'not_negative')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.satisfies('amount >= 0'), name => 'rejecting', on_violation => 'reject')});
at_source('INSERT INTO orders VALUES (70, -7, $$bad$$), (71, 7, $$good$$)');
$result = refresh($warehouse, 'raw.*');
is($result->{'raw.orders'}{status}, 'blocked', 'reject: not published');
is(breaker_of($warehouse, 'raw.orders') || 'closed', 'closed', 'reject: the breaker stays closed');
is_value($warehouse, 'SELECT count(*) FROM raw.orders WHERE id >= 70', 0, 'reject: the whole batch waits');
is_value($warehouse, q{SELECT state, reason ~ '^constraint "rejecting": ', next FROM depipe.status WHERE target = 'raw.orders'},
	q{parked|t|SELECT * FROM depipe.violations('raw.orders')}, 'reject: status names the constraint and shows where the rows are');
is_value($warehouse, q{SELECT count(*) > 0 AND bool_and(place = 'parked') FROM depipe.violations('raw.orders', 'rejecting')}, 't',
	'reject: there they are');
fails_like($warehouse, q{SELECT depipe.guard('raw.orders')}, 'QD001', qr/must not be relied on/, 'reject, guard');
at_source('INSERT INTO orders VALUES (72, 7, $$good$$)', 'INSERT INTO other VALUES (7, $$c$$)');
$result = refresh($warehouse, 'raw.*');
is($result->{'raw.orders'}{status}, 'blocked', 'reject: tried again with what is new');
is_same($source, $warehouse, 'other', 'reject: the others go on');
at_source('UPDATE orders SET amount = 70 WHERE id = 70');
is_status($warehouse, 'raw.orders', 'succeeded', 'reject: repaired');
is_same($source, $warehouse, 'orders', 'reject, repaired');

# ---- more is held than depipe.max_parked allows

at_source('INSERT INTO orders SELECT n, -1, $$bad$$ FROM generate_series(1001, 1100) n', 'INSERT INTO other VALUES (8, $$d$$)');
at_warehouse(q{SET depipe.max_parked = 50}, q{SELECT depipe.refresh('raw.*')});
is(state_of($warehouse, 'raw.orders'), 'needs_resync', 'too much held: needs_resync');
is_same($source, $warehouse, 'other', 'too much held: the others go on');
is_value($warehouse, 'SELECT count(*) FROM depipe.parked_item', 0, 'too much held: nothing of it is kept');
at_source('UPDATE orders SET amount = 1 WHERE amount < 0', 'DELETE FROM orders WHERE id > 1090');
refresh($warehouse, 'raw.*');
is(state_of($warehouse, 'raw.orders'), 'needs_resync', 'too much held: stays so');
at_warehouse(q{SELECT depipe.resync('raw.orders')});
is_status($warehouse, 'raw.orders', 'succeeded', 'too much held: resync');
is_same($source, $warehouse, 'orders', 'too much held, resync');

# even behind a breaker that is forced open: it does not hide other problems
at_warehouse(q{SELECT depipe.trip('raw.orders', 'hold it')});
at_source('UPDATE orders SET amount = amount');
at_warehouse(q{SET depipe.max_parked = 50}, q{SELECT depipe.refresh('raw.orders')});
is_value($warehouse, q{SELECT concat_ws('|', state, reason, next) FROM depipe.status WHERE target = 'raw.orders'},
	q{needs_resync|more rows are parked than depipe.max_parked allows|SELECT depipe.resync('raw.orders');}, 'too much held behind a breaker: status');
at_warehouse(q{SELECT depipe.resync('raw.orders')}, q{SELECT depipe.reset('raw.orders', 'why')});
is_status($warehouse, 'raw.orders', 'succeeded', 'too much held behind a breaker: resync');
is_same($source, $warehouse, 'orders', 'too much held behind a breaker');

# a resync includes the parked changes
at_source('UPDATE orders SET amount = -1 WHERE id = 1001');
is_status($warehouse, 'raw.orders', 'blocked', 'held before a resync');
at_source('UPDATE orders SET amount = 1 WHERE id = 1001', 'DELETE FROM orders WHERE id = 1002');
at_warehouse(q{SELECT depipe.resync('raw.orders')});
ok(converge($warehouse, 'raw.orders'), 'resync with something held: converges');
is_same($source, $warehouse, 'orders', 'resync with something held');
is_value($warehouse, 'SELECT count(*) FROM depipe.parked_item', 0, 'and nothing stays parked');

# ---- quarantine

at_warehouse(q{SELECT depipe.drop_constraint('raw.orders', 'rejecting')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.satisfies('amount >= 0'), name => 'kept_out', on_violation => 'quarantine')});
at_source('INSERT INTO orders VALUES (2001, -1, $$new$$), (2002, -1, $$new$$), (2003, -1, $$new$$), (2004, 1, $$good$$)',
	'UPDATE orders SET amount = -2, note = $$bad version$$ WHERE id IN (1010, 1011, 1012, 1013)');
$result = refresh($warehouse, 'raw.orders');
is($result->{'raw.orders'}{status}, 'succeeded', 'quarantine: the rest is published');
is($result->{'raw.orders'}{quarantined}, 7, 'quarantine: so many rows are out');
is_value($warehouse, 'SELECT string_agg(id::text, $$ $$ ORDER BY id) FROM raw.orders WHERE id > 2000', '2004', 'quarantine: new rows stay out');
is_value($warehouse, 'SELECT count(*) FROM raw.orders WHERE id BETWEEN 1010 AND 1013 AND amount = 1', 4,
	'quarantine: the versions before stay in place');
is_value($warehouse, q{SELECT incomplete FROM depipe.status WHERE target = 'raw.orders'}, 't', 'quarantine: the target is incomplete');
is_value($warehouse, q{SELECT count(*) FROM depipe.quarantine WHERE target = 'raw.orders'}, 7, 'quarantine: the rows are there');

# a later good version replaces it, a deletion removes it, a key change moves it, a bad one replaces
# it
at_source('UPDATE orders SET amount = 1 WHERE id = 2001', 'DELETE FROM orders WHERE id = 2002',
	'UPDATE orders SET id = 2013 WHERE id = 2003', 'UPDATE orders SET amount = 5 WHERE id = 1010',
	'DELETE FROM orders WHERE id = 1011', 'UPDATE orders SET id = 1112 WHERE id = 1012',
	'UPDATE orders SET note = $$bad still$$ WHERE id = 1013');
refresh($warehouse, 'raw.orders');
is_value($warehouse, q{SELECT count(*) FROM depipe.quarantine WHERE target = 'raw.orders'}, 3, 'later versions: three are still out');
is_same($source, $warehouse, 'orders', 'later versions: all others', condition => 'id NOT IN (2013, 1112, 1012, 1013)');
is_value($warehouse, 'SELECT count(*) FROM raw.orders WHERE amount < 0', 0, 'later versions: nothing violating');
at_source('UPDATE orders SET amount = 6 WHERE amount < 0');
ok(converge($warehouse, 'raw.orders'), 'repaired: converges');
is_same($source, $warehouse, 'orders', 'repaired');
is_value($warehouse, 'SELECT count(*) FROM depipe.quarantine', 0, 'repaired: nothing is out');

# with a threshold, quarantine becomes break
at_warehouse(q{SELECT depipe.alter_constraint('raw.orders', 'kept_out', fail_if => '> 2', scope => 'batch')});
at_source('UPDATE orders SET amount = -1 WHERE id IN (1010, 1014, 1015)', 'UPDATE orders SET amount = 8 WHERE id = 1016');
is_status($warehouse, 'raw.orders', 'blocked', 'more violations than fail_if: blocked');
is(breaker_of($warehouse, 'raw.orders'), 'open', 'more violations than fail_if: open');
is_value($warehouse, 'SELECT count(*) FROM raw.orders WHERE amount = 8', 0, 'and nothing is published');
at_source('UPDATE orders SET amount = 9 WHERE id IN (1010, 1014)');
at_warehouse(q{SELECT depipe.reset('raw.orders', 'better')});
ok(converge($warehouse, 'raw.orders'), 'one violation is left: converges');
is(breaker_of($warehouse, 'raw.orders'), 'closed', 'one violation is left: closed');
is_same($source, $warehouse, 'orders', 'one violation is left', condition => 'id <> 1015');
is_value($warehouse, q{SELECT count(*) FROM depipe.quarantine WHERE target = 'raw.orders'}, 1, 'one violation is left: in quarantine');
at_source('TRUNCATE orders');
refresh($warehouse, 'raw.orders');
is_value($warehouse, 'SELECT (SELECT count(*) FROM raw.orders) + (SELECT count(*) FROM depipe.quarantine)', 0,
	'TRUNCATE removes what is in quarantine');

# ---- rows without a key are held with their numbers of copies

at_source('CREATE TABLE bag (v int, t text)', 'ALTER TABLE bag REPLICA IDENTITY FULL',
	q{INSERT INTO bag SELECT n % 4, 'x' FROM generate_series(1, 40) n});
at_warehouse(q{SELECT depipe.create_load('raw.bag', server => 'shop', source => 'public.bag')});
is_status($warehouse, 'raw.bag', 'succeeded', 'bag');
at_warehouse(q{SELECT depipe.add_constraint('raw.bag', depipe.satisfies('v >= 0'), name => 'bag_not_negative')});
at_source(q{DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE v = 1 LIMIT 3)},
	q{INSERT INTO bag VALUES (9, 'y'), (9, 'y'), (9, 'y'), (-1, 'z'), (-1, 'z')}, q{UPDATE bag SET t = 'w' WHERE v = 2});
is_status($warehouse, 'raw.bag', 'blocked', 'bag, violated');
at_source(q{DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE v = 9 LIMIT 1)}, q{UPDATE bag SET v = 5 WHERE v = -1});
is_status($warehouse, 'raw.bag', 'blocked', 'bag, held');
at_warehouse(q{SELECT depipe.reset('raw.bag', 'repaired')});
is_status($warehouse, 'raw.bag', 'succeeded', 'bag, probe');
is_same($source, $warehouse, 'bag', 'bag, held and released');
at_source(q{UPDATE bag SET v = -v WHERE v = 3}, q{INSERT INTO bag VALUES (7, 'q'), (7, 'q')});
at_warehouse(q{SELECT depipe.alter_constraint('raw.bag', 'bag_not_negative', on_violation => 'quarantine')});
is_status($warehouse, 'raw.bag', 'succeeded', 'bag, quarantine');
is_value($warehouse, q{SELECT count(*) FROM depipe.quarantine WHERE target = 'raw.bag'}, 10, 'bag, quarantine: each copy is out');
is_same($source, $warehouse, 'bag', 'bag, quarantine: the rest', condition => 'v >= 0');

at_source(q{UPDATE bag SET v = 3 WHERE v = -3 AND ctid IN (SELECT ctid FROM bag WHERE v = -3 LIMIT 4)},
	q{DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE v = -3 LIMIT 4)});
ok(converge($warehouse, 'raw.bag'), 'bag, some repaired, some deleted: converges');
is_value($warehouse, q{SELECT count(*) FROM depipe.quarantine WHERE target = 'raw.bag'},
	at_source('SELECT count(*) FROM bag WHERE v < 0'), 'bag: what is gone at the source is not in quarantine');
is_same($source, $warehouse, 'bag', 'bag, some repaired, some deleted', condition => 'v >= 0');

# the copy contains the changes before its position: they are not applied again from the stream
at_warehouse(q{SELECT depipe.drop_constraint('raw.bag', 'bag_not_negative')});
at_source(q{INSERT INTO bag VALUES (20, 'before'), (20, 'before')}, q{INSERT INTO other VALUES (20, 'before')},
	q{DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE v = 9 LIMIT 1)});
at_warehouse(q{SELECT depipe.resync('raw.bag')});
at_source(q{INSERT INTO bag VALUES (21, 'after')});
ok(converge($warehouse, 'raw.*'), 'bag, resync with changes on the way: converges');
is_same($source, $warehouse, $_, 'bag, resync with changes on the way') foreach qw(bag other);

# ---- the breaker opens while a table is copied, and when the target is empty

at_source('CREATE TABLE fresh (id int PRIMARY KEY, amount int)', 'INSERT INTO fresh SELECT n, n - 3 FROM generate_series(1, 10) n');
at_warehouse('CREATE TABLE raw.fresh (id int PRIMARY KEY, amount int)',
	q{SELECT depipe.create_load('raw.fresh', server => 'shop', source => 'public.fresh')},
	q{SELECT depipe.add_constraint('raw.fresh', depipe.satisfies('amount >= 0'))});
is_status($warehouse, 'raw.fresh', 'blocked', 'a copy that violates: blocked');
is_value($warehouse, 'SELECT count(*) FROM raw.fresh', 0, 'a copy that violates: nothing is published');
at_source('UPDATE fresh SET amount = 0 WHERE amount < 0', 'INSERT INTO other VALUES (9, $$e$$)');
refresh($warehouse, 'raw.*');
is_same($source, $warehouse, 'other', 'the others go on beside a copy that violates');
at_warehouse(q{SELECT depipe.reset('raw.fresh', 'repaired')});
ok(converge($warehouse, 'raw.*'), 'copy repaired: converges');
is_same($source, $warehouse, 'fresh', 'copy repaired');
is_same($source, $warehouse, $_, 'at the end') foreach qw(orders other);

# ---- a table that is tripped and reset while its source is quiet

converge($warehouse, 'raw.*');
at_warehouse(q{SELECT depipe.trip('raw.other', 'by hand')});
refresh($warehouse, 'raw.*');
is(breaker_of($warehouse, 'raw.other'), 'forced_open', 'tripped');
at_warehouse(q{SELECT depipe.reset('raw.other', 'all is well')});
is_status($warehouse, 'raw.other', 'succeeded', 'reset, nothing waits');
is(breaker_of($warehouse, 'raw.other'), 'closed', 'the probe of nothing closes it');
is($warehouse->safe_psql('postgres', q{SELECT status FROM depipe.refresh('mart.apart')}) =~ /blocked/ ? 1 : 0, 0, 'what reads it goes on');

# ---- limits of changes: a TRUNCATE at the source replaces the whole table

my $long = q{(SELECT string_agg(md5(i::text || g), '') FROM generate_series(1, 200) i)};
make_table($source, $warehouse, 'limited', 'id int PRIMARY KEY, n int, big text');
at_source("INSERT INTO limited SELECT g, g, $long FROM generate_series(1, 100) g");
ok(converge($warehouse, 'raw.*'), 'limits: copied');
at_warehouse(q{SELECT depipe.add_constraint('raw.limited', depipe.change_limit(deletes => '5%'), name => 'few', on_violation => 'reject')},
	q{SELECT depipe.add_constraint('raw.limited', depipe.transition('old.n IS DISTINCT FROM 1 OR new.n IS NOT DISTINCT FROM 1'), name => 'one', on_violation => 'reject')});
at_source('BEGIN', 'TRUNCATE limited', "INSERT INTO limited SELECT g, g, $long FROM generate_series(1, 95) g", 'COMMIT');
is_status($warehouse, 'raw.limited', 'succeeded', 'TRUNCATE, and rows that come again');
is_value($warehouse, q{SELECT v.detail->'deletes', v.detail->'inserts', v.detail->'updates', v.evaluated FROM depipe.verdict v
	WHERE v.constraint_name = 'few' ORDER BY v.verdict_id DESC LIMIT 1}, '5|0|0|5', 'the rows that do not come again are the changes');
is_same($source, $warehouse, 'limited', 'TRUNCATE, and rows that come again');
at_source('TRUNCATE limited');
is_status($warehouse, 'raw.limited', 'blocked', 'TRUNCATE');
is_value($warehouse, 'SELECT count(*) FROM raw.limited', 95, 'TRUNCATE does not pass');
is_value($warehouse, q{SELECT v.constraint_name, v.outcome, v.violations FROM depipe.verdict v
	WHERE v.constraint_name IN ('few', 'one') ORDER BY v.verdict_id DESC LIMIT 2}, "one|fail|1\nfew|fail|95", 'TRUNCATE: verdicts');

done_testing();
