# Operators' mistakes and machines' limits: lists and numbers in the settings, the library without
# the extension and the extension without the library, databases that do not exist or are read-only,
# files that cannot grow, a full disk. Each one is reported once, nothing spins, and nothing is lost
# once it is repaired.
#
# DEPIPE_SMALL_DISK: an empty directory on a file system of some megabytes (test/run makes one if it
# may).

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

my ($source, $warehouse) = source_and_warehouse(
	warehouse => worker_settings(q{
depipe.databases = 'postgres, bare, nowhere, "Odd, name"'
}));

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub set
{
	my (@settings) = @_;

	$warehouse->safe_psql('postgres', $_) foreach (map { "ALTER SYSTEM $_" } @settings), 'SELECT pg_reload_conf()';
	return;
}

sub write_some
{
	return at_source('INSERT INTO orders SELECT max(id) + 1, 7 FROM orders', 'UPDATE orders SET amount = amount + 1 WHERE id % 10 = 3');
}

sub heals
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	write_some();
	arrives($source, $warehouse, $name);
	is_identical($source, $warehouse, 'orders', $name);
	wait_until($warehouse, q{SELECT count(*) = 0 FROM depipe.status WHERE state <> 'streaming'}, "$name: nothing is said to be wrong");
	return;
}

# The number of log entries with a text since a position.
sub told
{
	my ($node, $position, $pattern, $expected, $name) = @_;
	my $times = count_in_log($node, $position, $pattern);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($times, $expected, $name) || diag(log_since($node, $position));
	return;
}

at_source('CREATE TABLE orders (id int PRIMARY KEY, amount int)', 'INSERT INTO orders SELECT n, n FROM generate_series(1, 500) n');
add_marker($source, $warehouse);
$warehouse->safe_psql('postgres', q{SELECT depipe.create_load('raw.orders', server => 'shop', source => 'public.orders', target_lag => '100 ms')});
wait_until($warehouse, q{SELECT count(*) = 0 FROM depipe.status WHERE state <> 'streaming'}, 'all is copied');
heals('at first');

# ---- settings

my %range = (
	'depipe.max_workers' => [ -1, 0, 100000 ], 'depipe.naptime' => [ -1, 0 ], 'depipe.batch_rows' => [ -1, 0 ],
	'depipe.batch_memory' => [ -1, 0 ], 'depipe.max_parked' => [-2], 'depipe.history_retention' => [-2], 'depipe.quarantine_retention' => [-2]);
foreach my $name (sort keys %range)
{
	fails_like($warehouse, "ALTER SYSTEM SET $name = $_", '22023', qr/outside the valid range/, "$name = $_") foreach @{ $range{$name} };
}
fails_like($warehouse, 'ALTER SYSTEM SET depipe.enabled = 7', '22023', qr/Boolean/, 'depipe.enabled = 7');
fails_like($warehouse, q{ALTER SYSTEM SET depipe.databases = 'a, "b'}, '22023', qr/depipe\.databases/, 'a list without an end');
fails_like($warehouse, q{SET depipe.nonsense = 1}, '42602', qr/depipe\.nonsense/, 'a setting that is not there');

# in the file, which is not checked in advance: the previous value stays in force
my $position = log_position($warehouse);
$warehouse->append_conf('postgresql.conf', "depipe.naptime = -5\ndepipe.databases = 'a, \"b'\n");
$warehouse->reload;
$warehouse->wait_for_log(qr/depipe\.naptime/, $position);
$warehouse->wait_for_log(qr/depipe\.databases/, $position);
is_value($warehouse, 'SHOW depipe.naptime', '100ms', 'a wrong line in the file changes nothing');
heals('wrong lines in the file');
$warehouse->append_conf('postgresql.conf', "depipe.naptime = 100ms\ndepipe.databases = 'postgres, bare, nowhere, \"Odd, name\"'\n");
$warehouse->reload;

# ---- databases

my $unserved = qr/WARNING: .* database "(nowhere|bare|Odd, name|closed|template[01])", named by depipe\.databases, is not served/;
my $beginning = 0;
told($warehouse, $beginning, $unserved, 3, 'three databases that are not there are told, once each');
$warehouse->safe_psql('postgres', 'CREATE DATABASE bare');
$warehouse->safe_psql('postgres', 'CREATE DATABASE closed ALLOW_CONNECTIONS false');
$warehouse->safe_psql('postgres', 'CREATE DATABASE "Odd, name"');
$warehouse->safe_psql('Odd, name', 'CREATE EXTENSION depipe; CREATE TABLE t AS SELECT 1 AS x');
$warehouse->safe_psql('Odd, name', q{SELECT depipe.create_transform('public.y', 'SELECT x FROM t', target_lag => '100 ms', populate => false)});
ok($warehouse->poll_query_until('Odd, name', 'SELECT EXISTS (SELECT FROM y)'), 'a database that was named before it was there is served');
heals('beside a database without the extension');
told($warehouse, $beginning, $unserved, 3, 'and not told again');
told($warehouse, $beginning, qr/"bare"/, 1, 'a database without the extension is nothing to tell');
$position = log_position($warehouse);
set(q{SET depipe.databases = 'postgres, closed, template0, template1, nowhere'});
$warehouse->wait_for_log($unserved, $position);
heals('databases that cannot be served');
told($warehouse, $position, $unserved, 4, 'another setting: told again, once each');
$warehouse->safe_psql('postgres', q{SELECT pg_reload_conf()});
$warehouse->safe_psql('bare', 'CREATE EXTENSION depipe'); # wakes the launcher
heals('all is read again');
told($warehouse, $position, $unserved, 4, 'the same setting: not told again');
set(q{SET depipe.databases = ''});
$warehouse->safe_psql('postgres', 'DROP DATABASE "Odd, name"');
$warehouse->safe_psql('postgres', 'DROP DATABASE closed');
heals('without them');

# ---- a database in which nothing can be written

$position = log_position($warehouse);
my $leaving = qr/leaving database "postgres": default_transaction_read_only is on/;
$warehouse->safe_psql('postgres', 'ALTER DATABASE postgres SET default_transaction_read_only = on');
$warehouse->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'depipe%'});
write_some();
$warehouse->wait_for_log($leaving, $position);
fails_like($warehouse, q{CALL depipe.run('raw.*')}, '25006', qr/read-only/, 'nor by hand');

# ---- meanwhile: the extension without the library in shared_preload_libraries

my $plain = PostgreSQL::Test::Cluster->new('plain');
$plain->init(allows_streaming => 'logical', extra => [ '--no-locale', '--encoding=UTF8' ]);
$plain->append_conf('postgresql.conf', "depipe.max_workers = 4\n");
$plain->start;
$plain->safe_psql('postgres', 'CREATE EXTENSION depipe; CREATE SCHEMA raw');
add_server($source, $plain, 'shop');
$plain->safe_psql('postgres', q{SELECT depipe.create_load('raw.orders', server => 'shop', source => 'public.orders', target_lag => '1 ms')});
$plain->safe_psql('postgres', 'CALL depipe.run_due()');
is_identical($source, $plain, 'orders', 'without preload');
$plain->safe_psql('postgres', q{UPDATE depipe.attempt SET started_at = started_at - interval '1 hour'; UPDATE depipe.target_state SET data_as_of = data_as_of - interval '1 hour'});
wait_until($plain, q{SELECT reason LIKE '%no background worker serves this database%' AND next = 'CALL depipe.run_due()' FROM depipe.status WHERE target = 'raw.orders'},
	'the screen says that nobody runs it');
$plain->safe_psql('postgres', q{SELECT depipe.drop_load('raw.orders')});
$plain->stop;
# A session that its client has left may still exist when the server stops.
unlike(slurp_file($plain->logfile), qr/(?:WARNING|PANIC): |FATAL: (?! terminating connection due to administrator command)/, 'nothing is wrong there');

# ---- the library without the extension: nothing runs but the launcher, and nothing is told

my $empty = PostgreSQL::Test::Cluster->new('empty');
$empty->init(extra => [ '--no-locale', '--encoding=UTF8' ]);
$empty->append_conf('postgresql.conf', "shared_preload_libraries = 'depipe'\ndepipe.naptime = '10ms'\nlog_min_messages = info\n");
$empty->start;
wait_until($empty, q{SELECT array_agg(backend_type) = '{depipe launcher}' FROM pg_stat_activity WHERE backend_type LIKE 'depipe%'}, 'only the launcher');
fails_like($empty, 'CALL depipe.run_due()', '3F000', qr/schema "depipe" does not exist/, 'nothing of it is there');
unlike(slurp_file($empty->logfile), qr/depipe: |(?:WARNING|FATAL|PANIC): /, 'and nothing is told');
$empty->safe_psql('postgres', 'CREATE EXTENSION depipe');
$empty->wait_for_log(qr/depipe: serving database "postgres"/);
$empty->stop;

# ---- and now it can be written again

told($warehouse, $position, $leaving, 1, 'a read-only database is told once');
told($warehouse, $position, qr/ERROR: .*read-only/, 1, 'and nothing is tried there but by hand');
{
	local $ENV{PGOPTIONS} = '-c default_transaction_read_only=off';

	$warehouse->safe_psql('postgres', 'ALTER DATABASE postgres RESET default_transaction_read_only');
}
heals('no longer read-only');

# ---- a disk that is full

my $disk = $ENV{DEPIPE_SMALL_DISK};

sub fill_disk
{
	system('sh', '-c', "cat /dev/zero >'$disk/filler' 2>/dev/null");
	return;
}

SKIP:
{
	skip 'no small disk (DEPIPE_SMALL_DISK)', 1 if !defined $disk || !-w $disk;

	# one table on it: it is copied when there is room, and the others go on
	mkdir "$disk/space" or die "$disk/space: $!";
	$warehouse->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$disk/space'");
	at_source('CREATE TABLE bulky (id int PRIMARY KEY, t text)', q{INSERT INTO bulky SELECT n, repeat(md5(n::text), 30) FROM generate_series(-1000, 0) n});
	$warehouse->safe_psql('postgres', 'CREATE TABLE raw.bulky (id int PRIMARY KEY, t text) TABLESPACE small');
	fill_disk();
	$position = log_position($warehouse);
	$warehouse->safe_psql('postgres', q{SELECT depipe.create_load('raw.bulky', server => 'shop', source => 'public.bulky', target_lag => '100 ms')});
	wait_until($warehouse, q{SELECT count(*) > 1 AND bool_and(error_sqlstate = '53100' AND error_message LIKE 'could not extend file%')
		FROM depipe.runs WHERE target = 'raw.bulky' AND status = 'failed'}, 'a copy without room: its runs say why');
	wait_until($warehouse, q{SELECT state = 'failed' AND reason LIKE 'could not extend file%(tried %' FROM depipe.status WHERE target = 'raw.bulky'}, 'and so does the screen');
	write_some();
	arrives($source, $warehouse, 'beside a copy without room');
	is_identical($source, $warehouse, 'orders', 'beside a copy without room');
	unlink "$disk/filler";
	heals('room for the copy');
	is_identical($source, $warehouse, 'bulky', 'room for the copy');
	fill_disk();
	at_source(q{INSERT INTO bulky SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 1000) n});
	wait_until($warehouse, q{SELECT state = 'failed' AND reason LIKE 'could not extend file%' FROM depipe.status WHERE target = 'raw.bulky'}, 'changes without room wait');
	write_some();
	arrives($source, $warehouse, 'beside changes without room');
	is_identical($source, $warehouse, 'orders', 'beside changes without room');
	unlink "$disk/filler";
	heals('room for the changes');
	is_identical($source, $warehouse, 'bulky', 'room for the changes');
	told($warehouse, $position, qr/depipe stream worker.*exited with exit code/, 0, 'all that in the same process');

	# temporary files on it: nothing can be read or kept, and no table is to blame
	$warehouse->safe_psql('postgres', $_) foreach "ALTER SYSTEM SET temp_tablespaces = 'small'", q{ALTER SYSTEM SET work_mem = '64kB'}, 'SELECT pg_reload_conf()';
	fill_disk();
	at_source(q{UPDATE bulky SET t = md5(t) || t});
	wait_until($warehouse, q{SELECT EXISTS (SELECT FROM depipe.status WHERE state = 'failed' AND reason LIKE 'could not write to file%')},
		'no room for temporary files: the screen says so');
	is_value($warehouse, q{SELECT count(*) FROM depipe.load_state WHERE state <> 'streaming'}, 0, 'no load has to be copied again for that');
	# numbers of parked rows are kept without temporary files, in one transaction, which nobody sees
	is($warehouse->safe_psql('postgres', q{BEGIN;
		INSERT INTO depipe.parked_item (target_id, item, kind, image) SELECT t.target_id, 200 * a + b, 'row', ARRAY[md5(b::text)]
			FROM depipe.target t, generate_series(1, 100) a, generate_series(1, 200) b WHERE t.table_name = 'marker';
		SELECT parked FROM depipe.target_state JOIN depipe.target USING (target_id) WHERE table_name = 'marker';
		DELETE FROM depipe.parked_item WHERE target_id = (SELECT target_id FROM depipe.target WHERE table_name = 'marker');
		SELECT parked FROM depipe.target_state JOIN depipe.target USING (target_id) WHERE table_name = 'marker';
		COMMIT}), "20000\n0", 'counting needs no temporary files');
	unlink "$disk/filler";
	heals('room for temporary files');
	is_identical($source, $warehouse, 'bulky', 'room for temporary files');
	$warehouse->safe_psql('postgres', $_) foreach 'ALTER SYSTEM RESET temp_tablespaces', 'ALTER SYSTEM RESET work_mem', 'SELECT pg_reload_conf()';
	$warehouse->safe_psql('postgres', q{SELECT depipe.drop_load('raw.bulky', drop_table => true)});

	# a database on it: depipe's own tables have no room, either
	$warehouse->safe_psql('postgres', 'CREATE DATABASE crowded TABLESPACE small');
	my ($host, $port) = ($source->host, $source->port);
	$warehouse->safe_psql('crowded', qq{CREATE EXTENSION depipe; CREATE SCHEMA raw;
		CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (host '$host', port '$port', dbname 'postgres');
		CREATE USER MAPPING FOR CURRENT_USER SERVER shop;
		SELECT depipe.create_load('raw.bulky', server => 'shop', source => 'public.bulky', target_lag => '100 ms');
		SELECT depipe.create_load('raw.marker', server => 'shop', source => 'public.marker', target_lag => '100 ms')});
	ok($warehouse->poll_query_until('crowded', q{SELECT count(*) = 2 FROM depipe.loads WHERE state = 'streaming'}), 'a database on a small disk');
	# where there is no room, a new session might not begin: it writes a cache of the catalogs
	my $looking = $warehouse->background_psql('crowded', on_error_stop => 0);
	fill_disk();
	$position = log_position($warehouse);
	at_source(q{UPDATE bulky SET t = t || t});
	$warehouse->wait_for_log(qr/target=raw\.bulky status=failed .*sqlstate=53100/, $position);
	heals('beside a full disk');
	my $tried = qr/\|failed\|(see the log of the server|could not).*tried [3-9] times, next try at /;
	my $said = '';
	for (my $looks = 0; $looks < 1800 && $said !~ $tried; $looks++)
	{
		usleep(100_000);
		$said = $looking->query(q{SELECT target, state, reason FROM depipe.status WHERE target = 'raw.bulky'});
	}
	like($said, $tried, 'the screen says that it is tried, and where to look');
	my $times = count_in_log($warehouse, $position, qr/stream worker of server "shop" ends|depipe stream worker.*exited with exit code 1/);
	my $tries = $looking->query(q{SELECT failures FROM depipe.attempt WHERE unit = 'server shop'});
	$looking->quit;
	cmp_ok($times, '<=', $tries + 1, "it is tried less and less often: $times times");
	unlink "$disk/filler";
	$warehouse->safe_psql('postgres', 'SELECT pg_reload_conf()'); # a scheduler that failed, too, is else started a minute later
	arrives($source, $warehouse, 'there is room again', database => 'crowded');
	is_identical($source, $warehouse, 'bulky', 'there is room again', database => 'crowded');
	$warehouse->safe_psql('crowded', q{SELECT depipe.drop_load('raw.bulky'); SELECT depipe.drop_load('raw.marker')});
	$warehouse->safe_psql('postgres', 'DROP DATABASE crowded');

	# its log: the server itself cannot go on, and comes back when there is room
	my $narrow = PostgreSQL::Test::Cluster->new('narrow');
	$narrow->init(allows_streaming => 'logical', extra => [ '--no-locale', '--encoding=UTF8', "--waldir=$disk/log", '--wal-segsize=1' ]);
	$narrow->append_conf('postgresql.conf', worker_settings("min_wal_size = '2MB'\nmax_wal_size = '8MB'\nrestart_after_crash = on\n"));
	$narrow->start;
	$narrow->safe_psql('postgres', 'CREATE EXTENSION depipe; CREATE SCHEMA raw');
	add_server($source, $narrow, 'shop');
	$narrow->safe_psql('postgres', qq{SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.$_', target_lag => '100 ms')}) foreach qw(orders marker bulky);
	wait_until($narrow, q{SELECT count(*) = 3 FROM depipe.loads WHERE state = 'streaming'}, 'a server with a small disk for its log');
	fill_disk();
	$position = log_position($narrow);
	at_source(q{UPDATE bulky SET t = t || 'x'}) foreach 1 .. 4;
	$narrow->wait_for_log(qr/PANIC: .*No space left on device/, $position);
	$narrow->wait_for_log(qr/database system is shut down/, $position);
	$narrow->stop('immediate', fail_ok => 1);
	unlink "$disk/filler";
	$narrow->start;
	write_some();
	arrives($source, $narrow, 'room for the log');
	is_identical($source, $narrow, $_, 'room for the log') foreach qw(orders bulky);
	is_value($narrow, q{SELECT count(*) FROM depipe.runs WHERE status = 'running'}, 0, 'no run was left open');
	$narrow->stop;
}

# ---- a clock that is set back, and forth: a library before the C library says what time it is

my $directory = PostgreSQL::Test::Utils::tempdir();

append_to_file("$directory/clock.c", qq{
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	static int (*real)(struct timeval *, void *);
	static int file = -1;
	char text[20] = {0};

	if (real == NULL)
		real = dlsym(RTLD_NEXT, "gettimeofday");
	if (file < 0)
		file = open("$directory/clock", O_RDONLY);
	real(now, zone);
	if (pread(file, text, sizeof(text) - 1, 0) > 0)
		now->tv_sec += atol(text);
	return 0;
}
});

sub set_clock
{
	my ($seconds) = @_;

	open(my $file, '+>', "$directory/clock") or die "clock: $!";
	print $file "$seconds\n";
	close($file);
	return;
}

SKIP:
{
	skip 'no C compiler', 1 if system("cc -shared -fPIC -o '$directory/clock.so' '$directory/clock.c' -ldl 2>/dev/null") != 0;

	my $clock = PostgreSQL::Test::Cluster->new('clock');
	$clock->init(extra => [ '--no-locale', '--encoding=UTF8' ]);
	$clock->append_conf('postgresql.conf', worker_settings());
	set_clock(0);
	{
		local $ENV{LD_PRELOAD} = "$directory/clock.so";

		$clock->start;
	}
	$clock->safe_psql('postgres', 'CREATE EXTENSION depipe; CREATE SCHEMA raw');
	add_server($source, $clock, 'shop');
	$clock->safe_psql('postgres', "SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.$_', target_lag => '100 ms')") foreach qw(orders marker);
	wait_until($clock, q{SELECT count(*) = 2 FROM depipe.loads WHERE state = 'streaming'}, 'a server with a clock of its own');
	my $total = 'SELECT count(*) AS n, sum(amount) AS amount FROM';
	$clock->safe_psql('postgres', "SELECT depipe.create_transform('raw.total', '$total raw.orders', target_lag => '100 ms')");
	foreach my $seconds (-7200, 7200)
	{
		set_clock($seconds);
		cmp_ok(abs($clock->safe_psql('postgres', q{SELECT extract(epoch FROM clock_timestamp())}) - time() - $seconds), '<', 600, "the clock is set to $seconds");
		write_some();
		my $written = at_source('SELECT pg_current_wal_lsn()');
		arrives($source, $clock, "clock $seconds");
		is_identical($source, $clock, 'orders', "clock $seconds");
		wait_until($clock, "SELECT NOT EXISTS (TABLE raw.total EXCEPT $total raw.orders)", "clock $seconds: transforms go on");
		write_some();
		ok($source->poll_query_until('postgres', "SELECT bool_and(confirmed_flush_lsn >= '$written') FROM pg_replication_slots WHERE slot_name = '"
				. $clock->safe_psql('postgres', 'SELECT slot_name FROM depipe.stat_streams') . q{'}), "clock $seconds: the slot advances");
	}
	$clock->stop;
}

unlike(slurp_file($warehouse->logfile), qr/TRAP|PANIC|signal 11/, 'no process has crashed');

done_testing();
