# A streaming standby of the warehouse: workers do nothing there, and readers see the views. It is
# promoted while the source is being written to and its primary is stopped immediately. It continues
# where the primary was. The slot is at the source, and is not aware of the promotion.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use DepipeOperations;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $seed = seed();
my ($source, $warehouse) = source_and_warehouse(warehouse => worker_settings());

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

# Money moves between accounts, and each move is booked: a lost or duplicated change shows.
at_source(
	'CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL)',
	'INSERT INTO account SELECT n, 0 FROM generate_series(1, 200) n',
	'CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int, amount bigint)',
	'CREATE TABLE bag (kind int, amount int)',
	'ALTER TABLE bag REPLICA IDENTITY FULL',
	'INSERT INTO bag SELECT n % 3, 1 FROM generate_series(1, 300) n');
my @tables = qw(account ledger bag);
my $sums = 'SELECT account, sum(amount) AS balance FROM raw.ledger GROUP BY account';

add_marker($source, $warehouse);
$warehouse->safe_psql('postgres', "SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.$_', target_lag => '100 ms')")
  foreach @tables;
wait_until($warehouse, q{SELECT count(*) = 4 FROM depipe.loads WHERE state = 'streaming'}, 'copied');
$warehouse->safe_psql('postgres', $_) foreach 'CREATE SCHEMA mart',
  "SELECT depipe.create_transform('mart.balance', '$sums', target_lag => '200 ms')",
  q{SELECT depipe.add_constraint('raw.ledger', depipe.satisfies('amount < 1000000'), name => 'small', on_violation => 'quarantine')};
arrives($source, $warehouse, 'before there is a standby');

# ---- the standby

$warehouse->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($warehouse, 'backup', has_streaming => 1);
$standby->start;
arrives($source, $warehouse, 'beside a standby');
$warehouse->wait_for_catchup($standby);
is_value($standby, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'depipe%'}, 0, 'a standby has no worker');
is_value($standby, q{SELECT count(*) FROM depipe.status WHERE state IN ('streaming', 'ok')}, 5, 'readers of the standby see the state');
is_value($standby, q{SELECT count(*) > 0 FROM depipe.runs}, 't', 'and the runs');
is_value($standby, qq{SELECT count(*) FROM depipe.$_}, $warehouse->safe_psql('postgres', "SELECT count(*) FROM depipe.$_"), "view $_")
  foreach qw(loads transforms constraints breakers stat_streams lineage column_lineage quarantine audit backfills);
is_value($standby, q{SELECT depipe.guard('mart.balance')}, '', 'guard answers');
fails_like($standby, $_, '25006', qr/recovery|read-only/, $_)
  foreach q{SELECT depipe.pause('why', 'raw.account')}, q{SELECT * FROM depipe.refresh('raw.*')}, q{CALL depipe.run('raw.*')}, q{CALL depipe.run_due()};

# ---- promoted under load; a synchronous standby has all that the source was told to forget

sub write_at_source
{
	return start_pgbench($source, [ '-c', 3, '-R', 200, '-T', 600 ],
		q{
\set a random(1, 200)
\set b random(1, 200)
\set amount random(1, 100)
BEGIN;
UPDATE account SET balance = balance - :amount WHERE id = least(:a, :b);
UPDATE account SET balance = balance + :amount WHERE id = greatest(:a, :b);
INSERT INTO ledger (account, amount) VALUES (least(:a, :b), - :amount), (greatest(:a, :b), :amount);
COMMIT;
} => 3,
		q{
\set kind random(0, 2)
INSERT INTO bag VALUES (:kind, 1), (:kind, 2);
DELETE FROM bag WHERE ctid = (SELECT ctid FROM bag WHERE kind = :kind LIMIT 1);
} => 1);
}

sub is_exact
{
	my ($node, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	arrives($source, $node, $name);
	is_identical($source, $node, $_, $name) foreach @tables;
	wait_until($node, "SELECT NOT EXISTS ((TABLE mart.balance EXCEPT ($sums)) UNION ALL (($sums) EXCEPT TABLE mart.balance))", "$name: the mart");
	is_value($node, q{SELECT count(*) FROM depipe.loads WHERE state <> 'streaming'}, 0, "$name: all streaming");
	is_value($source, 'SELECT count(*) FROM pg_replication_slots', 1, "$name: one slot");
	return;
}

$warehouse->safe_psql('postgres', $_) foreach q{ALTER SYSTEM SET synchronous_standby_names = 'standby'}, 'SELECT pg_reload_conf()';
wait_until($warehouse, q{SELECT sync_state = 'sync' FROM pg_stat_replication}, 'the standby is synchronous');
my $writers = write_at_source();
wait_until($warehouse, 'SELECT count(*) > 200 FROM raw.ledger', 'the primary publishes under load');
usleep(int(rand(400_000)));

# the standby receives nothing for a while: the primary continues, and the source keeps what it
# publishes
my $confirmed = q{SELECT confirmed_flush_lsn FROM pg_replication_slots};

sub slot_advances
{
	my ($name) = @_;
	my $written = at_source('SELECT pg_current_wal_lsn()');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($source, "SELECT confirmed_flush_lsn > '$written' FROM pg_replication_slots", "$name: the slot advances under load");
	return;
}

sub goes_on
{
	my ($name, $times) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $round (1 .. $times)
	{
		my $count = $warehouse->safe_psql('postgres', 'SELECT max(id) FROM raw.ledger');

		wait_until($warehouse, "SELECT max(id) > $count + 300 FROM raw.ledger", "$name: the primary goes on ($round)");
	}
	return;
}

sub reload_with
{
	$warehouse->safe_psql('postgres', $_) foreach @_, 'SELECT pg_reload_conf()';
	return;
}

slot_advances('with a standby');
my $receiver = $standby->safe_psql('postgres', 'SELECT pid FROM pg_stat_wal_receiver');
kill 'STOP', $receiver;
goes_on('the standby hangs', 1);
my $kept = at_source($confirmed);
my $balances = q{md5(string_agg(balance::text, ',' ORDER BY account))};
my $mart = $warehouse->safe_psql('postgres', "SELECT $balances FROM mart.balance");
wait_until($warehouse, "SELECT $balances <> '$mart' FROM mart.balance", 'the standby hangs: transforms go on');
my $held = q{reason LIKE 'the source retains WAL: since % no synchronous standby%'};
wait_until($warehouse, "SELECT $held AND next LIKE '%pg_stat_replication' AND state = 'streaming' FROM depipe.status WHERE target = 'raw.ledger'", 'the screen says what is kept');
is_value($warehouse, "SELECT $held FROM depipe.why('raw.ledger')", 't', 'and so does why');
is_value($warehouse, "SELECT $held FROM depipe.stat_streams", 't', 'and the view of streams');
goes_on('the standby hangs', 1);
is(at_source($confirmed), $kept, 'nothing is confirmed without the standby');
reload_with(q{ALTER SYSTEM SET synchronous_commit = 'local'});
slot_advances('who does not wait for standbys');
wait_until($warehouse, "SELECT reason IS NULL FROM depipe.status WHERE target = 'raw.ledger'", 'the screen says no more of it');
reload_with('ALTER SYSTEM RESET synchronous_commit');
kill 'CONT', $receiver;
slot_advances('the standby is back');

# again, and now the standby never receives the missing part
kill 'STOP', $receiver;
goes_on('the standby hangs again', 4);
$warehouse->stop('immediate');
my $position = log_position($standby);
kill 'KILL', $receiver; # with what it has not read; the standby begins again
$standby->wait_for_log(qr/ready to accept read-only connections/, $position);
my $copies = $standby->safe_psql('postgres', q{SELECT sum(rows_copied) FROM depipe.loads});
$standby->promote;
wait_until($standby, q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'depipe stream worker')}, 'promoted: workers start');
my $booked = $standby->safe_psql('postgres', 'SELECT max(id) FROM raw.ledger');
wait_until($standby, "SELECT max(id) > $booked FROM raw.ledger", 'promoted: it goes on under load');
finish_pgbench($writers, 'promoted', stop => 1);
is_exact($standby, 'promoted');
is_value($standby, q{SELECT sum(rows_copied) FROM depipe.loads}, $copies, 'promoted: nothing was copied again');
is_value($standby, q{SELECT count(*) FROM depipe.runs WHERE status = 'running' AND pid NOT IN (SELECT pid FROM pg_stat_activity)}, 0,
	'promoted: runs of the old primary have ended');

# ---- a standby that lacks what the source was told to forget says so, and skips nothing

$standby->backup('second');
my $late = PostgreSQL::Test::Cluster->new('late');
$late->init_from_backup($standby, 'second', has_streaming => 1);
$late->start;
$standby->wait_for_catchup($late);
$late->safe_psql('postgres', $_) foreach q{ALTER SYSTEM SET primary_conninfo = ''}, 'SELECT pg_reload_conf()';
wait_until($standby, 'SELECT count(*) = 0 FROM pg_stat_replication', 'the second standby receives nothing any more');
at_source('INSERT INTO ledger (account, amount) VALUES (1, 0)', 'UPDATE account SET balance = balance WHERE id = 1', 'DELETE FROM bag WHERE kind = 0');
my $written = at_source('SELECT pg_current_wal_lsn()');
arrives($source, $standby, 'without the second standby');
foreach my $attempt (1 .. 200)
{
	at_source('INSERT INTO marker DEFAULT VALUES');
	last if at_source("SELECT confirmed_flush_lsn > '$written' FROM pg_replication_slots") eq 't';
	usleep(100_000);
}
is_value($source, "SELECT confirmed_flush_lsn > '$written' FROM pg_replication_slots", 't', 'the source was told to forget it');
$standby->stop('immediate');
$late->promote;
wait_until($late, q{SELECT count(*) = 4 FROM depipe.loads WHERE state = 'needs_resync'}, 'late: it does not go on with a gap');
note($late->safe_psql('postgres', q{SELECT target, state, reason, hint FROM depipe.loads}));
is_value($late, q{SELECT count(*) FROM depipe.status WHERE target LIKE 'raw.%' AND state = 'needs_resync' AND reason <> '' AND next LIKE '%resync%'}, 4,
	'late: the screen says what to do');
$late->safe_psql('postgres', "SELECT depipe.resync('raw.$_')") foreach 'marker', @tables;
wait_until($late, q{SELECT count(*) = 4 FROM depipe.loads WHERE state = 'streaming'}, 'late: all tables are copied again');
is_exact($late, 'late, and copied again');

unlike(slurp_file($_->logfile), qr/TRAP|PANIC|signal 11/, 'no process has crashed: ' . $_->name) foreach $source, $warehouse, $standby, $late;

done_testing();
