# Columns of the source change: additions flow, everything else pauses that table and only that
# one. TRUNCATE, pauses by hand, and a source table that is dropped and made again.

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

make_table($source, $warehouse, 'a', 'id int PRIMARY KEY, t text, v int');
make_table($source, $warehouse, 'other', 'id int PRIMARY KEY, t text');
at_source(q{INSERT INTO a SELECT n, 't' || n, n FROM generate_series(1, 20) n});
is(statuses($warehouse, 'raw.*'), 'raw.a=succeeded raw.other=succeeded', 'first');
my $next = 0;

# The other table is loaded whatever happens to raw.a.
sub others_go_on
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$next++;
	at_source("INSERT INTO other VALUES ($next, '$name')");
	is_status($warehouse, 'raw.other', 'succeeded', "$name, the others");
	is_same($source, $warehouse, 'other', $name);
	return;
}

# After an addition: exact at once, or the load says itself that it needs a resync.
sub added
{
	my ($name, @expected_columns) = @_;

	refresh($warehouse, 'raw.*');
	my $state = state_of($warehouse, 'raw.a');
	like($state, qr/^(streaming|needs_resync|paused)$/, "$name: state $state");
	others_go_on($name);
	if ($state ne 'streaming')
	{
		at_warehouse(q{SELECT depipe.resync('raw.a')});
		is_status($warehouse, 'raw.a', 'succeeded', "$name, resync");
	}
	is_same($source, $warehouse, 'a', $name);
	return;
}

# ---- additions

at_source('ALTER TABLE a ADD n1 int', 'UPDATE a SET n1 = 1 WHERE id = 1',
	q{INSERT INTO a VALUES (30, 'x', 1, 5)});
added('a column');
is(state_of($warehouse, 'raw.a'), 'streaming', 'a plain column flows in');
at_source('ALTER TABLE a ADD n2 int NOT NULL DEFAULT 7', 'UPDATE a SET n2 = 8 WHERE id = 2',
	q{INSERT INTO a (id) VALUES (31)});
added('a column with a default');
at_source(q{ALTER TABLE a ADD n3 timestamptz DEFAULT clock_timestamp()}, 'UPDATE a SET n1 = 3 WHERE id = 3');
added('a column with a volatile default');
at_source('BEGIN', 'UPDATE a SET v = 100 WHERE id = 4', 'ALTER TABLE a ADD n4 text, ADD n5 numeric DEFAULT 1.5',
	'UPDATE a SET n4 = $$in one$$ WHERE id = 5', 'COMMIT', 'DELETE FROM a WHERE id = 6');
added('between changes of one transaction');
at_source('ALTER TABLE a ADD n6 int DEFAULT 3');
refresh($warehouse, 'raw.*');
at_source('UPDATE a SET v = 7 WHERE id = 7');
added('with the next change of the table, in another batch');

# ---- drop, rename, type: pause

sub paused
{
	my ($name, $change, $pattern) = @_;

	at_source('UPDATE a SET v = v + 1 WHERE id = 8', $change, 'UPDATE a SET v = v + 1 WHERE id = 9');
	my $row = refresh($warehouse, 'raw.*')->{'raw.a'};
	like($row->{status}, qr/^(blocked|failed)$/, "$name: not published");
	is(state_of($warehouse, 'raw.a'), 'paused', "$name: paused");
	like(at_warehouse(q{SELECT reason FROM depipe.loads WHERE target = 'raw.a'}), $pattern, "$name: reason");
	is_value($warehouse, q{SELECT error_sqlstate FROM depipe.runs WHERE target = 'raw.a' ORDER BY run_id DESC LIMIT 1},
		'QD003', "$name: SQLSTATE");
	like(at_warehouse(q{SELECT next FROM depipe.status WHERE target = 'raw.a'}), qr/depipe\./, "$name: what to type");
	others_go_on($name);
	at_source('UPDATE a SET v = v + 1 WHERE id = 10');
	refresh($warehouse, 'raw.*');
	is(state_of($warehouse, 'raw.a'), 'paused', "$name: still paused");
	return;
}

sub resynced
{
	my ($name, %options) = @_;

	at_warehouse(q{SELECT depipe.resync('raw.a')});
	is_status($warehouse, 'raw.a', 'succeeded', "$name, resync");
	is_same($source, $warehouse, 'a', "$name, resync", %options);
	at_source('UPDATE a SET v = v + 1 WHERE id = 11');
	is_status($warehouse, 'raw.a', 'succeeded', "$name, after");
	is_same($source, $warehouse, 'a', "$name, after", %options);
	is(state_of($warehouse, 'raw.a'), 'streaming', "$name: streaming again");
	return;
}

paused('a dropped column', 'ALTER TABLE a DROP n1', qr/n1/);
at_warehouse('ALTER TABLE raw.a DROP COLUMN n1');
resynced('a dropped column');
paused('a renamed column', 'ALTER TABLE a RENAME t TO label', qr/t|label/);
at_warehouse('ALTER TABLE raw.a RENAME t TO label');
resynced('a renamed column');
paused('another type', 'ALTER TABLE a ALTER n2 TYPE text', qr/n2/);
at_warehouse('ALTER TABLE raw.a ALTER n2 TYPE text');
resynced('another type');

# a column of the target is renamed, or dropped, by hand: its values must not go nowhere
foreach my $change ('RENAME label TO heading', 'DROP COLUMN label')
{
	at_warehouse("ALTER TABLE raw.a $change");
	at_source('UPDATE a SET v = v + 1 WHERE id = 11');
	my $said = is_status($warehouse, 'raw.a', 'failed', "target: $change");
	like($said, qr/column "label" of raw.a was dropped or renamed here/, "target: $change: says so");
	is(state_of($warehouse, 'raw.a'), 'needs_resync', "target: $change: needs a resync");
	resynced("target: $change", columns => 'id, label, v');
}

# the source's table is dropped, and made again
at_source('DROP TABLE a');
refresh($warehouse, 'raw.*');
isnt(state_of($warehouse, 'raw.a'), 'streaming', 'source table dropped: not streaming');
others_go_on('source table dropped');
at_source('CREATE TABLE a (id int PRIMARY KEY, label text, v int)', q{INSERT INTO a VALUES (1, 'again', 1), (11, 'x', 1)});
refresh($warehouse, 'raw.*');
others_go_on('source table made again');
isnt(state_of($warehouse, 'raw.a'), 'streaming', 'another table of the same name is no continuation');
resynced('source table made again', columns => 'id, label, v');

# pause and resume by hand: nothing is lost
at_warehouse(q{SELECT depipe.pause('maintenance', 'raw.a')});
at_source('UPDATE a SET v = 50', q{INSERT INTO a VALUES (60, 'while paused', 1)});
my $status = refresh($warehouse, 'raw.*')->{'raw.a'}{status};
isnt($status, 'succeeded', 'paused by hand: nothing is published');
is(state_of($warehouse, 'raw.a'), 'paused', 'paused by hand: state');
is_value($warehouse, 'SELECT count(*) FROM raw.a WHERE id = 60', 0, 'paused by hand: the target is as it was');
others_go_on('paused by hand');
at_warehouse(q{SELECT depipe.resume('raw.a')});
ok(converge($warehouse, 'raw.*'), 'resumed: converges');
is_same($source, $warehouse, 'a', 'resumed', columns => 'id, label, v');

# TRUNCATE, between changes of one transaction and alone
at_source('BEGIN', 'UPDATE a SET v = 0', 'TRUNCATE a', q{INSERT INTO a VALUES (1, 'after', 1), (2, 'after', 2)}, 'COMMIT',
	'UPDATE a SET v = 9 WHERE id = 2');
is_status($warehouse, 'raw.a', 'succeeded', 'TRUNCATE');
is_same($source, $warehouse, 'a', 'TRUNCATE', columns => 'id, label, v');
at_source('TRUNCATE a, other');
refresh($warehouse, 'raw.*');
is_value($warehouse, 'SELECT (SELECT count(*) FROM raw.a) + (SELECT count(*) FROM raw.other)', 0, 'TRUNCATE of two');

done_testing();
