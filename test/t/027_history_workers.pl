# Histories while background workers follow the stream: concurrent writers, copies beside the stream,
# workers that are killed and servers that stop immediately. No version is lost, and none comes twice.
#
# DEPIPE_SEED repeats the choices of a run. DEPIPE_ROUNDS sets the number of kills.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeHistory;
use DepipeOperations;
use DepipeTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $seed = seed();
my $rounds = $ENV{DEPIPE_ROUNDS} || how_many(4, 25);
my ($source, $warehouse) = source_and_warehouse(source => "track_commit_timestamp = on\n", warehouse => worker_settings());

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

sub create
{
	my ($name, $history) = @_;

	return at_warehouse("SELECT depipe.create_load('raw.$name', server => 'shop', source => 'public.$name',"
		  . " history => '$history', target_lag => '100 ms')");
}

sub streaming
{
	my ($name) = @_;

	return wait_until($warehouse, "SELECT state = 'streaming' FROM depipe.loads WHERE target = 'raw.$name'", "$name is copied");
}

record_changes($source, $warehouse);
make_audited($_) foreach qw(kept versions late);
add_marker($source, $warehouse);
create('kept', 'soft_delete');
create('versions', 'scd2');
streaming($_) foreach qw(kept versions);
arrives($source, $warehouse, 'the first copy');
my $copied = at_source('SELECT clock_timestamp()');

# ---- writers, a copy beside the stream, kills

# k is locked before l, so that writers do not wait for each other in a circle
my $change = q{
\set a random(1, 40)
\set b random(1, 40)
\set v random(1, 3)
BEGIN;
UPDATE TABLE SET v = :v WHERE k = least(:a, :b);
UPDATE TABLE SET v = v + 1, note = CASE WHEN random() < 0.2 THEN repeat(md5(random()::text), 80) ELSE note END WHERE k = greatest(:a, :b);
COMMIT;
};
my $replace = q{
\set a random(1, 40)
\set v random(1, 3)
DELETE FROM TABLE WHERE k = :a;
INSERT INTO TABLE VALUES (:a, :v, 'again') ON CONFLICT DO NOTHING;
};
my %scripts;
foreach my $table (qw(kept versions late))
{
	$scripts{ $change =~ s/TABLE/$table/gr } = 3;
	$scripts{ $replace =~ s/TABLE/$table/gr } = 2;
}
my $writers = start_pgbench($source, [ '-c', 3, '-R', 150, '-T', 900 ], %scripts);

create('late', 'scd2');
foreach my $round (1 .. $rounds)
{
	usleep(int rand 700_000);
	if (rand() < 0.3)
	{
		note("round $round: the warehouse stops");
		crash_restart($warehouse);
	}
	else
	{
		my $position = log_position($warehouse);
		my $pid = wait_for_worker($warehouse, 'stream worker');

		note("round $round: worker $pid is killed");
		$warehouse->wait_for_log(qr/database system is ready to accept connections/, $position) if kill 'KILL', $pid;
	}
	arrives($source, $warehouse, "round $round");
}
finish_pgbench($writers, 'writers', stop => 1);
streaming('late');
arrives($source, $warehouse, 'the end');
deleted_like_source('kept', $copied, 'the end');
versions_like_source('versions', $copied, 'the end');
overlaps('versions', 'the end');
overlaps('late', 'copied beside the stream');
is_same($source, $warehouse, 'late', 'copied beside the stream', source => 'SELECT * FROM late',
	target => 'SELECT k, v, note FROM raw.late WHERE _is_current');
cmp_ok(at_warehouse('SELECT count(*) FROM raw.versions'), '>', 100, 'there are versions');

# what came by the stream since the copy is complete
my $joined = at_warehouse('SELECT max(_valid_from) FROM raw.late WHERE _is_current');
at_source('UPDATE late SET v = 100 WHERE k = 1', 'UPDATE late SET v = 101 WHERE k = 1');
arrives($source, $warehouse, 'the last change');
is_value($warehouse, "SELECT string_agg(v::text, ' ' ORDER BY _valid_from) FROM raw.late WHERE k = 1 AND _valid_from > '$joined'",
	at_source('SELECT CASE WHEN EXISTS (SELECT FROM late WHERE k = 1) THEN $$100 101$$ END'), 'late follows the stream');

done_testing();
