# Outages: the source is stopped, walsenders and workers are terminated and canceled, the password
# is wrong, the host does not exist or does not answer, timeouts are set for the role at the source.
# Each one is reported where an operator looks, needs no action once its cause is gone, and neither
# loses nor duplicates anything.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use DepipeOperations;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $seed = seed();
my ($source, $warehouse) = source_and_warehouse(warehouse => worker_settings());

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

# The error of the last run of raw.orders, then the status view.
sub is_told
{
	my ($pattern, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($warehouse, qq{SELECT error_message ~ '$pattern' AND status = 'failed' FROM depipe.runs
		WHERE target = 'raw.orders' AND status <> 'running' ORDER BY run_id DESC LIMIT 1}, "$name: the reason");
	return;
}

my $written = 1000000;

sub write_some
{
	$written++;
	return at_source("INSERT INTO orders VALUES ($written, 1, 'while it was away')",
		'UPDATE orders SET amount = amount + 1 WHERE id % 1000 = 1', "DELETE FROM orders WHERE id = $written - 500");
}

sub heals
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	write_some();
	arrives($source, $warehouse, $name);
	is_identical($source, $warehouse, 'orders', $name);
	is_value($warehouse, q{SELECT count(*) FROM depipe.loads WHERE state <> 'streaming'}, 0, "$name: all streaming");
	wait_until($warehouse, q{SELECT count(*) = 0 FROM depipe.status WHERE state = 'failed'}, "$name: nothing is said to fail");
	return;
}

# ---- a role with a password, and with timeouts that are short for a copy and a stream

$source->safe_psql('postgres', q{CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'right';
	GRANT CREATE ON DATABASE postgres TO replicator; ALTER SCHEMA public OWNER TO replicator});
my $trusting = slurp_file($source->data_dir . '/pg_hba.conf');
$source->append_conf('pg_hba.conf', ''); # readable
{
	open(my $file, '>', $source->data_dir . '/pg_hba.conf') or die $!;
	print $file "local all replicator scram-sha-256\nhost all replicator all scram-sha-256\n$trusting";
	close $file;
}
$source->reload;
at_source(
	'CREATE TABLE orders (id int PRIMARY KEY, amount int, note text)',
	q{INSERT INTO orders SELECT n, n, repeat('x', 100) FROM generate_series(1, 30000) n},
	'CREATE TABLE marker (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)',
	'ALTER TABLE orders OWNER TO replicator', 'ALTER TABLE marker OWNER TO replicator');
my @timeouts = split /\n/, at_source(
	q{SELECT name FROM pg_settings WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')});
at_source(map { "ALTER ROLE replicator SET $_ = '" . (/idle/ ? '500ms' : '20ms') . "'" } @timeouts);
at_warehouse(q{ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (ADD user 'replicator', ADD password 'right')},
	(map { "SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.$_', target_lag => '100 ms')" } qw(orders marker)));
wait_until($warehouse, q{SELECT count(*) = 2 FROM depipe.loads WHERE state = 'streaming'}, 'short ' . join(', ', @timeouts) . ': copied');
heals('short timeouts');
at_source(map { "ALTER ROLE replicator RESET $_" } @timeouts);

# wal_sender_timeout passes while the target is locked: the batch is not lost, and no action is
# needed
at_source(q{ALTER ROLE replicator SET wal_sender_timeout = '500ms'},
	q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walsender'});
heals('a short wal_sender_timeout');
my $holder = $warehouse->background_psql('postgres');
session_ok($holder, 'BEGIN; LOCK TABLE raw.orders IN SHARE MODE');
write_some();
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'depipe stream worker' AND wait_event_type = 'Lock')},
	'the worker waits for a lock');
session_ok($holder, 'SELECT pg_sleep(1.2)');
session_ok($holder, 'COMMIT');
$holder->quit;
heals('a lock held for longer than wal_sender_timeout');
at_source(q{ALTER ROLE replicator RESET wal_sender_timeout});

# ---- the source is stopped

$source->stop('fast');
is_told('connect|connection', 'the source is stopped');
$source->start;
heals('the source is back');
$source->restart;
heals('the source has restarted');

# ---- sessions are ended, under load

my $writers = start_pgbench($source, [ '-c', 2, '-R', 150, '-T', 600 ],
	"\\set id random(1, 30000)\nUPDATE orders SET amount = amount + 1 WHERE id = :id;\n" => 3,
	"\\set id random(2000001, 2100000)\nINSERT INTO orders VALUES (:id, 0, 'new') ON CONFLICT (id) DO UPDATE SET amount = orders.amount + 1;\n" => 1,
	"\\set id random(2000001, 2100000)\nDELETE FROM orders WHERE id IN (SELECT id FROM orders WHERE id >= :id ORDER BY id LIMIT 1);\n" => 1);

foreach my $round (1 .. ($ENV{DEPIPE_TEST_ROUNDS} || how_many(5, 12)))
{
	my $function = (qw(pg_terminate_backend pg_cancel_backend))[ int(rand(2)) ];

	usleep(int(rand(150_000)));
	at_source("SELECT $function(pid) FROM pg_stat_activity WHERE backend_type = 'walsender' OR application_name = 'depipe'");
	usleep(int(rand(150_000)));
	at_warehouse(qq{SELECT $function(pid) FROM pg_stat_activity WHERE backend_type LIKE 'depipe%'});
}
finish_pgbench($writers, 'sessions are ended', stop => 1);
heals('sessions were ended');

# ---- a wrong password

at_warehouse(q{ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (SET password 'wrong')});
at_source(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walsender'});
write_some();
is_told('password authentication failed', 'a wrong password');
my $position = log_position($source);
wait_until($warehouse, q{SELECT count(*) >= 3 FROM depipe.runs WHERE target = 'raw.orders' AND error_message ~ 'password authentication'}, 'it is tried again');
cmp_ok(count_in_log($source, $position, qr/password authentication failed/), '<=', 8, 'and not in a loop');
at_warehouse(q{ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (SET password 'right')});
heals('the password is right again');

# ---- a host that refuses, and one that does not answer

my ($host, $port) = ($source->host, $source->port);
at_warehouse(q{ALTER SERVER shop OPTIONS (SET host '127.0.0.1', SET port '1')});
at_source(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walsender'});
is_told('refused|connect', 'nobody listens');
my $silent = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', Proto => 'tcp') or die "no socket: $!";
at_warehouse('ALTER SERVER shop OPTIONS (SET port ' . "'" . $silent->sockport . "', ADD connect_timeout '2')");
is_told('no answer', 'a host that does not answer');
at_warehouse("ALTER SERVER shop OPTIONS (SET host '$host', SET port '$port', DROP connect_timeout)");
heals('the host is back');
close $silent;

unlike(slurp_file($_->logfile), qr/TRAP|PANIC|signal 11/, 'no process has crashed: ' . $_->name) foreach $source, $warehouse;

done_testing();
