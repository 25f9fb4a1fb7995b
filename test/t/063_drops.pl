# Objects dropped while they are streamed: databases, the extension, servers, owners, tables of
# either side. A database is renamed and copied. Workers do not hold up these statements, affected
# work ends with a reason, everything else continues, and no process retries the impossible in a
# loop.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use DepipeOperations;
use PostgreSQL::Test::Utils;
use Test::More;

my ($source, $warehouse) = source_and_warehouse(
	warehouse => worker_settings(q{
max_worker_processes = 40
depipe.max_workers = 20
depipe.databases = 'postgres, one, two, three, four, copy, renamed, elsewhere'
log_connections = off
}));
my ($host, $port) = ($source->host, $source->port);
my $writers;

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

# A database with streaming loads of orders and marker.
sub make_database
{
	my ($name) = @_;

	at_warehouse("CREATE DATABASE $name");
	$warehouse->safe_psql($name, qq{CREATE EXTENSION depipe; CREATE SCHEMA raw;
		CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (host '$host', port '$port', dbname 'postgres');
		CREATE USER MAPPING FOR CURRENT_USER SERVER shop;
		SELECT depipe.create_load('raw.orders', server => 'shop', source => 'public.orders', target_lag => '100 ms');
		SELECT depipe.create_load('raw.marker', server => 'shop', source => 'public.marker', target_lag => '100 ms')});
	return;
}

sub write_some
{
	return at_source(q{INSERT INTO orders SELECT max(id) + 1, 7 FROM orders}, 'UPDATE orders SET amount = amount + 1 WHERE id % 10 = 3');
}

# The loads of a database follow the source.
sub goes_on
{
	my ($database, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	write_some();
	arrives($source, $warehouse, $name, database => $database);
	# what the writers leave alone: the rest is compared at the end
	is_identical($source, $warehouse, 'orders', $name, database => $database, $writers ? (condition => 'id > 400') : ());
	return;
}

sub slots
{
	my ($condition) = @_;

	return at_source("SELECT count(*) FROM pg_replication_slots WHERE $condition");
}

sub has_no_worker
{
	my ($database, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($warehouse, qq{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = '$database'
		AND backend_type IN ('depipe stream worker', 'depipe run worker'))}, "$name: no worker is left");
	return;
}

at_source('CREATE TABLE orders (id int PRIMARY KEY, amount int)', 'INSERT INTO orders SELECT n, n FROM generate_series(1, 500) n',
	'CREATE TABLE marker (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)');
at_warehouse(map { "SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.$_', target_lag => '100 ms')" } qw(orders marker));
goes_on('postgres', 'at first');
my $beginning = log_position($warehouse);
$writers = start_pgbench($source, [ '-c', 1, '-R', 100, '-T', 600 ],
	"\\set id random(1, 400)\nUPDATE orders SET amount = amount + 1 WHERE id = :id;\n" => 1);

# ---- databases

make_database($_) foreach qw(one two three four);
goes_on($_, "database $_") foreach qw(one two three four);
at_warehouse('ALTER DATABASE one RENAME TO renamed');
pass('a database is renamed while it is streamed');
goes_on('renamed', 'renamed');

at_warehouse('CREATE DATABASE copy TEMPLATE renamed');
pass('a database is copied while it is streamed');
goes_on('renamed', 'copied');
wait_until($warehouse, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'copy' AND backend_type = 'depipe stream worker')},
	'the copy connects nowhere');
is($warehouse->safe_psql('copy', q{SELECT string_agg(DISTINCT state, ' ') FROM depipe.loads}), 'detached', 'and says so');
goes_on('renamed', 'beside its copy');
is(slots('active OR NOT active'), 5, 'no slot came or went');

at_warehouse('DROP DATABASE copy');
at_warehouse('DROP DATABASE two');
pass('a database is dropped while it is streamed');
at_warehouse('ALTER DATABASE three RENAME TO elsewhere', 'DROP DATABASE elsewhere WITH (FORCE)');
pass('and another one after a new name, with FORCE');
goes_on('postgres', 'databases came and went');
is(slots(q{slot_name LIKE 'depipe\_two\_%' OR slot_name LIKE 'depipe\_three\_%'}), 2, 'slots of dropped databases stay at the source');
at_source(q{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name ~ '^depipe_(two|three)_'});

# ---- the extension

my ($status, $output, $messages) = $warehouse->psql('four', 'DROP EXTENSION depipe CASCADE');
is($status, 0, 'the extension is dropped while it streams');
like($messages, qr/WARNING:.*depipe_four_/, 'a warning names the slot that it leaves');
has_no_worker('four', 'without the extension');
is($warehouse->safe_psql('four', 'SELECT count(*) > 0 FROM raw.orders'), 't', 'tables stay');
at_source(q{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name ~ '^depipe_four_'});
at_source(q{DROP PUBLICATION } . $_) foreach split /\n/, at_source(q{SELECT pubname FROM pg_publication WHERE pubname ~ '^depipe_(two|three|four)_'});
$warehouse->safe_psql('four', 'DROP SCHEMA raw CASCADE');
goes_on('renamed', 'an extension was dropped elsewhere');
$warehouse->safe_psql('four', qq{CREATE EXTENSION depipe; CREATE SCHEMA raw;
	CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (host '$host', port '$port', dbname 'postgres');
	CREATE USER MAPPING FOR CURRENT_USER SERVER shop;
	SELECT depipe.create_load('raw.orders', server => 'shop', source => 'public.orders', target_lag => '100 ms');
	SELECT depipe.create_load('raw.marker', server => 'shop', source => 'public.marker', target_lag => '100 ms')});
goes_on('four', 'the extension is back');

# ---- servers

fails_like($warehouse, 'DROP SERVER shop CASCADE', '2BP01', qr/load/, 'DROP SERVER while loads use it');
fails_like($warehouse, 'DROP FOREIGN DATA WRAPPER depipe CASCADE', '2BP01', qr/depipe/, 'DROP FOREIGN DATA WRAPPER');
goes_on('postgres', 'a server is not dropped');
at_warehouse('ALTER SERVER shop RENAME TO store');
goes_on('postgres', 'a server is renamed');
$warehouse->safe_psql('four', q{SELECT depipe.drop_load('raw.orders'); SELECT depipe.drop_load('raw.marker')});
has_no_worker('four', 'without loads');
$warehouse->safe_psql('four', 'DROP SERVER shop CASCADE');
is(slots(q{slot_name LIKE 'depipe\_four\_%'}), 0, 'the last load takes the slot with it');
at_warehouse('DROP DATABASE four');

# ---- tables

at_source('CREATE TABLE goods (id int PRIMARY KEY, t text)', q{INSERT INTO goods VALUES (1, 'a')});
at_warehouse(q{SELECT depipe.create_load('raw.goods', server => 'store', source => 'public.goods')});
wait_until($warehouse, q{SELECT state = 'streaming' FROM depipe.loads WHERE target = 'raw.goods'}, 'one more load');
at_warehouse('DROP TABLE raw.goods');
at_source(q{INSERT INTO goods VALUES (2, 'b')});
goes_on('postgres', 'a target is dropped');
wait_until($warehouse, q{SELECT state = 'missing' FROM depipe.status WHERE target = 'raw.goods'}, 'it is missing');
at_warehouse(q{SELECT depipe.resync('raw.goods')});
wait_until($warehouse, q{SELECT state = 'streaming' FROM depipe.loads WHERE target = 'raw.goods'}, 'a resync makes it again');
goes_on('postgres', 'a target is made again');
is_same($source, $warehouse, 'goods', 'a target is made again');

at_source('DROP TABLE goods');
goes_on('postgres', 'a source table is dropped');
wait_until($warehouse, q{SELECT state NOT IN ('streaming', 'copying', 'new') AND reason <> '' FROM depipe.status WHERE target = 'raw.goods'}, 'its load says so');
note(at_warehouse(q{SELECT state, reason FROM depipe.status WHERE target = 'raw.goods'}));
is_value($warehouse, 'SELECT count(*) FROM raw.goods', 2, 'and keeps what it had');
at_source('CREATE TABLE goods (id int PRIMARY KEY, t text)', q{INSERT INTO goods VALUES (3, 'c')});
at_warehouse(q{SELECT depipe.resync('raw.goods')});
wait_until($warehouse, q{SELECT state = 'streaming' FROM depipe.loads WHERE target = 'raw.goods'}, 'a resync of the new one');
goes_on('postgres', 'a source table is made again');
is_same($source, $warehouse, 'goods', 'a source table is made again');

# ---- owners

at_warehouse('CREATE ROLE etl LOGIN', 'CREATE SCHEMA etl AUTHORIZATION etl', 'GRANT USAGE ON FOREIGN SERVER store TO etl',
	q{SET ROLE etl}, q{SELECT depipe.create_load('etl.goods', server => 'store', source => 'public.goods')},
	q{SELECT depipe.create_transform('etl.sum', 'SELECT 1 AS x', target_lag => '200 ms')});
wait_until($warehouse, q{SELECT state = 'streaming' FROM depipe.loads WHERE target = 'etl.goods'}, 'a load of somebody');
at_source(q{INSERT INTO goods VALUES (4, 'd')});
at_warehouse('DROP OWNED BY etl CASCADE');
at_source(q{INSERT INTO goods VALUES (5, 'e')});
goes_on('postgres', 'what somebody owned is dropped');
at_warehouse('DROP ROLE etl');
at_source(q{INSERT INTO goods VALUES (6, 'f')});
goes_on('postgres', 'an owner is dropped');
is_same($source, $warehouse, 'goods', 'an owner is dropped');
wait_until($warehouse, q{SELECT count(*) = 2 AND bool_and(state IN ('missing', 'ownerless')) FROM depipe.status WHERE target LIKE 'etl.%'},
	'what an owner left behind says so');
note(at_warehouse(q{SELECT target, state, reason FROM depipe.status WHERE target LIKE 'etl.%'}));
at_warehouse(q{SELECT depipe.drop_load('etl.goods')}, q{SELECT depipe.drop_transform('etl.sum')});
is_value($warehouse, q{SELECT count(*) FROM depipe.status WHERE target LIKE 'etl.%'}, 0, 'and can be forgotten');

# ---- the end

finish_pgbench($writers, 'all the time', stop => 1);
undef $writers;
goes_on('postgres', 'at the end');
goes_on('renamed', 'at the end');
at_warehouse('DROP DATABASE renamed');
my $log = log_since($warehouse, $beginning);
my @ends = $log =~ /(depipe: .*(?:ends|serving|leaving).*)/g;
cmp_ok(scalar(@ends), '<', 100, 'workers that begin and end are few: ' . @ends);
unlike($log, qr/TRAP|PANIC|terminated by signal|exited with exit code [^01]/, 'no process has crashed');
my @errors = grep { !/063_drops\.pl|terminating/ } $log =~ /((?:ERROR|FATAL): .*)/g;
cmp_ok(scalar(@errors), '<', 40, 'few errors: ' . @errors) or diag(join("\n", @errors[0 .. 30]));
note(join("\n", @ends));

done_testing();
