# The source is replaced by an older copy of its data directory. Every load of the server reports
# this, even if the source has passed the old position meanwhile. A crash that loses nothing, and a
# copy that contains everything that was applied, are no reason to stop.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();
my $kept = $source->basedir . '/kept';

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

sub keep_copy
{
	$source->stop;
	system('rm', '-rf', $kept);
	system('cp', '-a', $source->data_dir, $kept) == 0 || die 'cp';
	$source->start;
	return;
}

sub put_back
{
	$source->stop;
	system('rm', '-rf', $source->data_dir);
	rename($kept, $source->data_dir) || die "rename: $!";
	$source->start;
	return;
}

# Every load needs a resync, reports why, and is exact after it.
sub stopped_and_cured
{
	my ($name) = @_;
	my $before = rows_of($warehouse, 'SELECT * FROM raw.a');

	like(is_status($warehouse, 'raw.a', 'failed', $name),
		qr/restored to an earlier state/, "$name: reason");
	is(state_of($warehouse, "raw.$_"), 'needs_resync', "$name: raw.$_ needs a resync") foreach qw(a b);
	is(rows_of($warehouse, 'SELECT * FROM raw.a'), $before, "$name: the target is as it was");
	at_warehouse(q{SELECT depipe.resync('raw.a')}, q{SELECT depipe.resync('raw.b')});
	is(statuses($warehouse, 'raw.*'), 'raw.a=succeeded raw.b=succeeded', "$name, resync");
	at_source("INSERT INTO a SELECT max(id) + 1, 'after' FROM a");
	is_status($warehouse, 'raw.a', 'succeeded', "$name, after");
	is_same($source, $warehouse, $_, $name) foreach qw(a b);
	return;
}

# The stream continues.
sub goes_on
{
	my ($name) = @_;

	at_source("INSERT INTO a SELECT max(id) + 1, '$name' FROM a", 'DELETE FROM b WHERE id = (SELECT min(id) FROM b)');
	is(statuses($warehouse, 'raw.*'), 'raw.a=succeeded raw.b=succeeded', $name);
	is(state_of($warehouse, "raw.$_"), 'streaming', "$name: raw.$_ streams") foreach qw(a b);
	is_same($source, $warehouse, $_, $name) foreach qw(a b);
	return;
}

make_table($source, $warehouse, $_, 'id int PRIMARY KEY, t text') foreach qw(a b);
at_source(q{INSERT INTO a SELECT n, 'first' FROM generate_series(1, 100) n},
	q{INSERT INTO b SELECT n, 'first' FROM generate_series(1, 100) n});
is(statuses($warehouse, 'raw.*'), 'raw.a=succeeded raw.b=succeeded', 'copy');

# ---- behind what was applied

keep_copy();
at_source(q{INSERT INTO a SELECT n, 'lost' FROM generate_series(101, 2100) n}, 'DELETE FROM b WHERE id <= 10');
is_status($warehouse, 'raw.a', 'succeeded', 'rows that the copy does not have');
put_back();
at_source(q{INSERT INTO b VALUES (500, 'new')});
stopped_and_cured('an older copy');

# ---- grown past it by the time of the next run

keep_copy();
at_source(q{INSERT INTO a SELECT n, 'lost' FROM generate_series(3001, 5000) n}, 'DELETE FROM b WHERE id <= 20');
is_status($warehouse, 'raw.a', 'succeeded', 'more rows that the copy does not have');
put_back();
at_source(q{INSERT INTO b SELECT n, repeat('new', 600) FROM generate_series(1000, 2500) n});
ok( at_source('SELECT pg_current_wal_flush_lsn()::pg_lsn - '
		  . "'"
		  . at_warehouse('SELECT applied_lsn FROM depipe.stat_streams')
		  . "'::pg_lsn > 0") eq 't',
	'the source is ahead of what was applied');
stopped_and_cured('an older copy that has grown');

# ---- a table copied since, and nothing streamed after it

keep_copy();
at_source(q{INSERT INTO a SELECT n, 'lost' FROM generate_series(6001, 7000) n});
at_warehouse(q{SELECT depipe.resync('raw.a')});
is_status($warehouse, 'raw.a', 'succeeded', 'a resync');
put_back();
at_source(q{INSERT INTO b SELECT n, repeat('new', 600) FROM generate_series(3000, 4500) n});
stopped_and_cured('older than the copy of a table');

# ---- nothing is missing: a copy that has all that was applied, crashes, restarts

is(statuses($warehouse, 'raw.*'), 'raw.a=nothing raw.b=nothing', 'nothing new');
keep_copy();
put_back();
goes_on('a copy that has everything');
crash_restart($source);
goes_on('a crash');
at_source('CHECKPOINT');
goes_on('before a crash');
at_warehouse(q{BEGIN; SELECT depipe.refresh('raw.*'); COMMIT});
crash_restart($source);
goes_on('a crash after a run that was not confirmed');
$source->restart;
goes_on('a restart');
done_testing();
