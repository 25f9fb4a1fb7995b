# refresh in a transaction that has already written, at each isolation level: the result is correct,
# a serialization failure, or a row with the reason; never wrong data, and never a wait for the
# transaction itself.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();
my @levels = ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');
my $session = $warehouse->background_psql('postgres', on_error_stop => 0);

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

# The results of the session's transaction: 'succeeded', 'nothing', ..., or the SQLSTATE of an
# error.
sub try_refresh
{
	my ($pattern) = @_;
	my ($output, $errors) = session_sql($session,
		"SELECT string_agg(DISTINCT status, ' ') FROM depipe.refresh('$pattern')");

	return $1 if $errors =~ /ERROR:  ([0-9A-Z]{5}):/;
	die $errors if $errors =~ /ERROR|FATAL/;
	return $output;
}

sub is_acceptable
{
	my ($outcome, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($outcome, qr/^(succeeded|nothing|nothing succeeded|skipped|failed|40001)$/, "$name: $outcome");
	return;
}

session_ok($session, '\set VERBOSITY verbose');
session_ok($session, q{SET statement_timeout = '60s'});

# ---- loads; the bag shows what was applied twice or not at all

make_table($source, $warehouse, 'a', 'id int PRIMARY KEY, t text');
at_source('CREATE TABLE bag (v int)', 'ALTER TABLE bag REPLICA IDENTITY FULL');
at_warehouse(q{SELECT depipe.create_load('raw.bag', server => 'shop', source => 'public.bag')},
	'CREATE TABLE scratch (v int)');
my $value = 0;

sub change
{
	$value++;
	at_source("INSERT INTO a VALUES ($value, 'v')", "UPDATE a SET t = '$value' WHERE id % 3 = $value % 3",
		"INSERT INTO bag VALUES ($value), ($value)");
	return;
}

sub loads_same
{
	my ($name) = @_;

	ok(converge($warehouse, 'raw.*'), "$name: converges");
	is_same($source, $warehouse, $_, $name) foreach qw(a bag);
	return;
}

# the first run, in a transaction that has written: the source is another cluster
change();
session_ok($session, 'BEGIN; INSERT INTO scratch VALUES (1)');
is(try_refresh('raw.*'), 'succeeded', 'first run in a transaction that has written');
session_ok($session, 'COMMIT');
loads_same('first run in a transaction that has written');

# definition and first run in one transaction
at_source('CREATE TABLE late (id int PRIMARY KEY)', 'INSERT INTO late VALUES (1)');
session_ok($session,
	q{BEGIN; SELECT depipe.create_load('raw.late', server => 'shop', source => 'public.late')});
is_acceptable(try_refresh('raw.late'), 'defined and refreshed in one transaction');
session_ok($session, 'COMMIT');
ok(converge($warehouse, 'raw.late'), 'defined and refreshed at once: converges');
is_same($source, $warehouse, 'late', 'defined and refreshed at once');

foreach my $level (@levels)
{
	# changes come before the snapshot
	change();
	session_ok($session, "BEGIN ISOLATION LEVEL $level; INSERT INTO scratch VALUES (2)");
	my $outcome = try_refresh('raw.*');
	is_acceptable($outcome, "$level, written before");
	if ($outcome eq 'succeeded')
	{
		is(session_ok($session, 'SELECT sum(v) FROM raw.bag'), at_source('SELECT sum(v) FROM bag'),
			"$level: the transaction sees what was loaded");
		change();
		is_acceptable(try_refresh('raw.*'), "$level, twice in one transaction");
	}
	session_ok($session, 'COMMIT');
	loads_same("$level, written before");

	# changes come after the snapshot
	session_ok($session, "BEGIN ISOLATION LEVEL $level; INSERT INTO scratch SELECT count(*) FROM raw.a");
	change();
	is_acceptable(try_refresh('raw.*'), "$level, snapshot older than the changes");
	session_ok($session, 'COMMIT');
	loads_same("$level, snapshot older than the changes");

	# and others have loaded them meanwhile
	session_ok($session, "BEGIN ISOLATION LEVEL $level; INSERT INTO scratch SELECT count(*) FROM raw.a");
	change();
	is(statuses($warehouse, 'raw.*'), 'raw.a=succeeded raw.bag=succeeded raw.late=nothing',
		"$level: somebody else loads");
	change();
	$outcome = try_refresh('raw.*');
	is_acceptable($outcome, "$level, loaded by somebody else");
	isnt($outcome, 'failed', "$level, loaded by somebody else: no failed load") if $level eq $levels[0];
	session_ok($session, 'COMMIT');
	loads_same("$level, loaded by somebody else");

	# rolled back to a savepoint, and at all
	change();
	session_ok($session, "BEGIN ISOLATION LEVEL $level; INSERT INTO scratch VALUES (3); SAVEPOINT s");
	is_acceptable(try_refresh('raw.*'), "$level, to be rolled back");
	session_ok($session, 'ROLLBACK TO s');
	is_acceptable(try_refresh('raw.*'), "$level, after the rollback to a savepoint");
	session_ok($session, 'COMMIT');
	loads_same("$level, rolled back to a savepoint");
	change();
	session_ok($session, "BEGIN ISOLATION LEVEL $level; INSERT INTO scratch VALUES (4)");
	is_acceptable(try_refresh('raw.*'), "$level, rolled back");
	session_ok($session, 'ROLLBACK');
	loads_same("$level, rolled back");
}
is_value($warehouse, q{SELECT count(*) FROM depipe.loads WHERE state <> 'streaming'}, 0, 'all stream');

# a procedure that commits is refused in a transaction block, with a clear error
fails_like($warehouse, q{BEGIN; CALL depipe.run('raw.a')}, '2D000', qr/depipe\.run|transaction/,
	'run in a transaction block');
loads_same('after run was refused');

# the caller holds its own lock on the target, and has changed it
session_ok($session, 'BEGIN; LOCK TABLE raw.a IN SHARE MODE');
change();
is_acceptable(try_refresh('raw.*'), 'the caller holds a lock on the target');
session_ok($session, 'COMMIT');
loads_same('the caller held a lock');

# ---- transforms

at_warehouse('CREATE SCHEMA mart', 'CREATE TABLE inp (id int PRIMARY KEY, v int)',
	'INSERT INTO inp SELECT n, n FROM generate_series(1, 10) n',
	q{SELECT depipe.create_transform('mart.total', 'SELECT count(*) AS n, sum(v) AS v FROM inp')},
	q{SELECT depipe.create_transform('mart.copy', 'SELECT id, v FROM inp', key => ARRAY['id'])},
	q{SELECT depipe.create_transform('mart.twice', 'SELECT n * 2 AS n, v * 2 AS v FROM mart.total')});
refresh($warehouse, 'mart.*');

my $wrong = q{SELECT (SELECT count(*) FROM (TABLE mart.total EXCEPT ALL SELECT count(*), sum(v) FROM inp) x)
	+ (SELECT count(*) FROM (TABLE mart.twice EXCEPT ALL SELECT count(*) * 2, sum(v) * 2 FROM inp) x)
	+ (SELECT count(*) FROM (TABLE mart.copy EXCEPT ALL TABLE inp) x)
	+ (SELECT count(*) FROM (TABLE inp EXCEPT ALL TABLE mart.copy) x)};

sub transforms_exact
{
	my ($name) = @_;

	refresh($warehouse, 'mart.*');
	is_value($warehouse, $wrong, 0, "$name: exact at the end");
	return;
}

my $id = 100;
foreach my $level (@levels)
{
	# own changes before, between and after
	session_ok($session, "BEGIN ISOLATION LEVEL $level; INSERT INTO inp VALUES (@{[$id++]}, 1000)");
	is(try_refresh('mart.*'), 'succeeded', "$level: own change");
	is(session_ok($session, $wrong), 0, "$level: own change is seen");
	session_ok($session, "INSERT INTO inp VALUES (@{[$id++]}, 1000); UPDATE inp SET v = v + 1");
	is(try_refresh('mart.*'), 'succeeded', "$level: another one");
	is(session_ok($session, $wrong), 0, "$level: another one is seen");
	session_ok($session, 'SAVEPOINT s; DELETE FROM inp WHERE id < 5');
	is(try_refresh('mart.*'), 'succeeded', "$level: in a savepoint");
	session_ok($session, 'ROLLBACK TO s');
	try_refresh('mart.*');
	is(session_ok($session, $wrong), 0, "$level: rolled back to the savepoint");
	session_ok($session, "INSERT INTO inp VALUES (@{[$id++]}, 1); COMMIT");
	transforms_exact("$level, own changes");

	# somebody else's changes after the snapshot
	session_ok($session, "BEGIN ISOLATION LEVEL $level; INSERT INTO scratch SELECT count(*) FROM inp");
	at_warehouse("INSERT INTO inp VALUES (@{[$id++]}, 5)", 'UPDATE inp SET v = v * 2 WHERE id < 4');
	my $outcome = try_refresh('mart.*');
	is_acceptable($outcome, "$level, changed by somebody else");
	is(session_ok($session, $wrong), 0, "$level: the transaction's own view is exact")
	  if $outcome eq 'succeeded';
	session_ok($session, 'COMMIT');
	transforms_exact("$level, changed by somebody else");

	# refreshed by somebody else after the snapshot
	session_ok($session, "BEGIN ISOLATION LEVEL $level; INSERT INTO scratch SELECT count(*) FROM mart.copy");
	at_warehouse("INSERT INTO inp VALUES (@{[$id++]}, 7)", 'DELETE FROM inp WHERE id = 9',
		'INSERT INTO inp VALUES (9, 9)');
	refresh($warehouse, 'mart.*');
	is_acceptable(try_refresh('mart.*'), "$level, refreshed by somebody else");
	session_ok($session, 'COMMIT');
	transforms_exact("$level, refreshed by somebody else");

	# somebody else holds the targets: no queue
	my $other = $warehouse->background_psql('postgres', on_error_stop => 0);
	session_ok($other, q{BEGIN; INSERT INTO inp VALUES (-1, 1); SELECT count(*) FROM depipe.refresh('mart.*')});
	session_ok($session, "BEGIN ISOLATION LEVEL $level; INSERT INTO scratch VALUES (1)");
	is(try_refresh('mart.*'), 'skipped', "$level: another run holds the targets");
	session_ok($session, 'COMMIT');
	session_ok($other, 'ROLLBACK');
	$other->quit;
	transforms_exact("$level, held by somebody else");
}

# loads and transforms in one call
at_warehouse(q{SELECT depipe.create_transform('mart.over_load', 'SELECT sum(v) AS v FROM raw.bag')});
foreach my $level (@levels)
{
	change();
	session_ok($session, "BEGIN ISOLATION LEVEL $level; INSERT INTO scratch VALUES (5)");
	my ($output, $errors) = session_sql($session,
		q{SELECT string_agg(target || '=' || status, ' ' ORDER BY target)
		FROM depipe.refresh('mart.over_load', upstream => true)});
	like("$output$errors", qr/mart\.over_load=(succeeded|nothing|skipped)|40001/, "$level: with upstream");
	if ($output =~ /over_load=succeeded/)
	{
		is(session_ok($session, 'SELECT v FROM mart.over_load'),
			session_ok($session, 'SELECT sum(v) FROM raw.bag'), "$level: the transform saw the load's rows");
	}
	session_ok($session, 'COMMIT');
	loads_same("$level, with upstream");
	refresh($warehouse, 'mart.over_load');
	is_value($warehouse, 'SELECT v FROM mart.over_load', at_source('SELECT sum(v) FROM bag'),
		"$level, with upstream: exact at the end");
}

# ---- a source in the same cluster: its slot would wait for our own transaction for ever

at_warehouse('CREATE DATABASE near');
$warehouse->safe_psql('near', 'CREATE TABLE n (id int PRIMARY KEY); INSERT INTO n VALUES (1), (2)');
my ($host, $port) = ($warehouse->host, $warehouse->port);
at_warehouse("CREATE SERVER near FOREIGN DATA WRAPPER depipe OPTIONS (host '$host', port '$port', dbname 'near')",
	'CREATE USER MAPPING FOR CURRENT_USER SERVER near',
	q{SELECT depipe.create_load('raw.n', server => 'near', source => 'public.n')});
session_ok($session, 'BEGIN; INSERT INTO scratch VALUES (6)');
my ($output, $errors) = session_sql($session, q{SELECT status || ': ' || reason FROM depipe.refresh('raw.n')});
like($output, qr/^failed: ./, 'same cluster, in a transaction that has written: failed')
  || diag($errors);
session_ok($session, 'COMMIT');
isnt(at_warehouse(q{SELECT coalesce(error_hint, '') FROM depipe.runs WHERE target = 'raw.n' ORDER BY run_id DESC LIMIT 1}),
	'', 'and there is a hint');
is_value($warehouse, 'SELECT count(*) FROM pg_replication_slots', 0, 'and no slot is left');
session_ok($session, q{CALL depipe.run('raw.n')});
is_value($warehouse, 'SELECT count(*) FROM raw.n', 2, 'same cluster: run copies');
$warehouse->safe_psql('near', 'INSERT INTO n VALUES (3)');
session_ok($session, 'BEGIN; INSERT INTO scratch VALUES (7)');
is(try_refresh('raw.n'), 'succeeded', 'same cluster: later runs may be in such a transaction');
session_ok($session, 'COMMIT');
is_value($warehouse, 'SELECT count(*) FROM raw.n', 3, 'same cluster: streams');

$session->quit;
done_testing();
