# Library and script of different versions: nothing runs half, every view reports the reason, no
# process crashes, and the reported remedy works. A library can serve the script of the previous
# version.
#
# The other version is this source with another number, in a private copy of the server.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs the objects of a build' unless $ENV{DEPIPE_OBJECTS};

my $next = '9.9.9';
my $directory = PostgreSQL::Test::Utils::tempdir();
my $pg_config = "$directory/pg" . $ENV{DEPIPE_PG_CONFIG};

# ---- a private copy of the server, and the next version

sub shell
{
	my ($command) = @_;

	system("$command >>$directory/log 2>&1") == 0
	  or die "$command: " . slurp_file("$directory/log");
	return;
}

sub option
{
	my ($name) = @_;

	chomp(my $value = `$ENV{DEPIPE_PG_CONFIG} --$name`);
	return "$directory/pg$value";
}

my ($library, $extensions) = (option('pkglibdir') . '/depipe.so', option('sharedir') . '/extension');
my ($current) = slurp_file("$ENV{DEPIPE_OBJECTS}/depipe.control") =~ /default_version = '(.*)'/;

shell("cp -a $ENV{DEPIPE_PREFIX} $directory/pg");
shell("cp -rp $ENV{DEPIPE_OBJECTS} $directory/next");
shell("touch $directory/next/src/catalog/statement.c");
shell(qq{make -C $directory/next -o depipe.control depipe.so PG_CONFIG=$ENV{DEPIPE_PG_CONFIG}}
	. qq{ EXTVERSION=$next COPT='-DUSE_ASSERT_CHECKING=1 -DDEPIPE_PREVIOUS_VERSION=\\"$current\\"'});

# Install the library of the next version, with its scripts.
sub install_next
{
	shell("rm -f $library && cp $directory/next/depipe.so $library");
	shell("cp $ENV{DEPIPE_OBJECTS}/sql/depipe.sql $extensions/depipe--$next.sql");
	append_to_file("$extensions/depipe--$current--$next.sql", "SELECT 1;\n");
	shell("cp --remove-destination $ENV{DEPIPE_OBJECTS}/depipe.control $extensions/");
	shell("sed -i 's/$current/$next/' $extensions/depipe.control");
	return;
}

my $source = PostgreSQL::Test::Cluster->new('source');
$source->init(allows_streaming => 'logical', extra => [ '--no-locale', '--encoding=UTF8' ]);
$source->start;
$source->safe_psql('postgres', 'CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)');

my $warehouse =
  PostgreSQL::Test::Cluster->new('warehouse', install_path => dirname(option('bindir')));
$warehouse->init(extra => [ '--no-locale', '--encoding=UTF8' ]);
$warehouse->append_conf('postgresql.conf',
	"shared_preload_libraries = 'depipe'\ndepipe.naptime = 100\ndepipe.databases = 'postgres'\n"
	  . "max_worker_processes = 16\n");
$warehouse->start;

sub make_load
{
	my ($database) = @_;
	my ($host, $port) = ($source->host, $source->port);

	$warehouse->safe_psql($database, qq{CREATE SCHEMA raw;
		CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (host '$host', port '$port', dbname 'postgres');
		CREATE USER MAPPING FOR CURRENT_USER SERVER shop;
		SELECT depipe.create_load('raw.a', server => 'shop', source => 'public.a')});
	return;
}

# Rows arrive through the workers.
sub arrives
{
	my ($name) = @_;
	my $last = $source->safe_psql('postgres', 'INSERT INTO a SELECT max(id) + 1 FROM a RETURNING id');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($warehouse, "SELECT EXISTS (SELECT FROM raw.a WHERE id = $last)", $name);
	return;
}

# Every function that runs or declares anything refuses with the same message.
sub refuses
{
	my ($database, $message, $hint, $name) = @_;

	foreach my $sql (
		q{SELECT * FROM depipe.refresh('raw.a')}, q{CALL depipe.run('raw.a')}, 'CALL depipe.run_due()',
		q{SELECT * FROM depipe.verify('raw.a')}, q{SELECT depipe.create_load('raw.b', server => 'shop')},
		q{SELECT depipe.drop_load('raw.a')}, q{SELECT depipe.resync('raw.a')},
		q{SELECT depipe.pause('why', 'raw.a')}, q{SELECT depipe.detach_source('shop')},
		q{SELECT * FROM depipe.check_source('shop')}, q{SELECT * FROM depipe.check_table('raw.a')},
		q{SELECT depipe.create_transform('raw.t', 'SELECT 1 AS x')},
		q{SELECT depipe.add_constraint('raw.a', depipe.not_null('id'))},
		q{SELECT depipe.trip('raw.a', 'why')}, q{SELECT depipe.guard('raw.a')},
		q{SELECT depipe.assert_ok('raw.a')}, q{SELECT * FROM depipe.violations('raw.a')})
	{
		my ($status, $stdout, $stderr) = $warehouse->psql($database, $sql);

		local $Test::Builder::Level = $Test::Builder::Level + 1;
		like($stderr, qr/ERROR:  $message.*HINT:  $hint/s, "$name: $sql");
	}
	return;
}

# ---- the server has loaded this version

$warehouse->safe_psql('postgres', 'CREATE EXTENSION depipe');
make_load('postgres');
wait_until($warehouse, 'SELECT to_regclass(\'raw.a\') IS NOT NULL', 'the workers make the table');
arrives('and follow');

# ---- a worker that fails to start holds nobody's place

$source->safe_psql('postgres', 'CREATE TABLE b (id int PRIMARY KEY)');
rename $library, "$library.away" or die "$library: $!";
$warehouse->safe_psql('postgres', 'SELECT pg_reload_conf()');
ok(eval { $warehouse->wait_for_log(qr/could not access file "depipe"/); 1 }, 'a scheduler fails to start');
rename "$library.away", $library or die "$library: $!";
$warehouse->safe_psql('postgres', q{SELECT depipe.create_load('raw.b', server => 'shop', source => 'public.b')});
wait_until($warehouse, q{SELECT state = 'streaming' FROM depipe.loads WHERE target = 'raw.b'}, 'the next one does its work');
$warehouse->safe_psql('postgres', q{SELECT depipe.drop_load('raw.b', drop_table => true)});

# ---- somebody updates the extension to the next version

install_next();
$warehouse->safe_psql('postgres', 'ALTER EXTENSION depipe UPDATE');
is_value($warehouse, q{SELECT extversion FROM pg_extension WHERE extname = 'depipe'}, $next, 'updated');
refuses('postgres', "depipe library is version $current, but the extension is version $next",
	'Restart the server', 'older library');
like($warehouse->safe_psql('postgres', q{SELECT reason FROM depipe.status WHERE target = 'raw.a'}),
	qr/depipe library is version $current/, 'older library: depipe.status says so');
wait_until($warehouse, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type ~ '^depipe (stream|run)'},
	'older library: no worker is at it');
ok(eval { $warehouse->wait_for_log(qr/depipe: leaving database "postgres": depipe library is version/); 1 },
	'older library: the log says why');
my ($status, $stdout, $stderr) = $warehouse->psql('postgres',
	'CREATE TABLE x (i int); ALTER TABLE x RENAME TO y; DROP TABLE y');
is("$status$stderr", '0', 'older library: statements about tables go on');
$source->safe_psql('postgres', 'INSERT INTO a SELECT max(id) + 1 FROM a');
is_value($warehouse, 'SELECT count(*) FROM raw.a', 2, 'older library: nothing is published');
$warehouse->restart;
arrives('restarted: it goes on, nothing is lost');
is_value($warehouse, 'SELECT count(*) FROM raw.a',
	$source->safe_psql('postgres', 'SELECT count(*) FROM a'), 'restarted: all rows are there');
unlike(slurp_file($warehouse->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process has crashed');

# ---- depipe.enabled is seen by workers that are at it, and by whoever looks

my $none = q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type ~ '^depipe (stream|run)'};
$warehouse->safe_psql('postgres', 'ALTER SYSTEM SET depipe.enabled = off');
$warehouse->reload;
wait_until($warehouse, $none, 'switched off: the workers end');
$source->safe_psql('postgres', 'INSERT INTO a SELECT max(id) + 1 FROM a');
is( $warehouse->safe_psql('postgres', q{SELECT reason, next FROM depipe.status WHERE target = 'raw.a'}),
	'depipe.enabled is off|ALTER SYSTEM SET depipe.enabled = on', 'switched off: depipe.status says so');
is($source->safe_psql('postgres', 'SELECT count(*) FROM pg_stat_replication'), 0, 'switched off: nothing is connected');
$warehouse->safe_psql('postgres', 'ALTER SYSTEM RESET depipe.enabled');
$warehouse->reload;
arrives('switched on: it goes on');

# ---- the library of the next version serves the script of this one

$warehouse->safe_psql('postgres', 'CREATE DATABASE served');
$warehouse->safe_psql('served', qq{CREATE EXTENSION depipe VERSION '$current'});
make_load('served');
is($warehouse->safe_psql('served', q{SELECT status FROM depipe.refresh('raw.a')}),
	'succeeded', 'the script before is served');
is($warehouse->safe_psql('served', q{SELECT state FROM depipe.status WHERE target = 'raw.a'}),
	'streaming', 'and nothing is wrong with it');
$warehouse->safe_psql('served', 'ALTER EXTENSION depipe UPDATE');
is($warehouse->safe_psql('served', q{SELECT status FROM depipe.refresh('raw.a')}), 'nothing', 'and updated');

# ---- but not one that is older than that

$warehouse->safe_psql('postgres', 'CREATE DATABASE older');
$warehouse->safe_psql('older', q{CREATE EXTENSION depipe VERSION '0.1.0'; CREATE SCHEMA raw;
	CREATE TABLE raw.a (id int); CREATE SERVER shop FOREIGN DATA WRAPPER depipe});
refuses('older', "depipe library is version $next, but the extension is version 0.1.0",
	'Run ALTER EXTENSION depipe UPDATE', 'older script');
($status, $stdout, $stderr) = $warehouse->psql('older',
	'ALTER TABLE raw.a ADD COLUMN t text; ALTER TABLE raw.a RENAME TO b; ALTER TABLE raw.b RENAME TO a');
is("$status$stderr", '0', 'older script: statements about tables go on');
$warehouse->append_conf('postgresql.conf', "depipe.databases = 'older'");
$warehouse->reload;
ok(eval { $warehouse->wait_for_log(qr/leaving database "older": depipe library is version/); 1 },
	'older script: the workers leave it, and say why');
$warehouse->safe_psql('older', 'ALTER EXTENSION depipe UPDATE');
ok(eval { $warehouse->wait_for_log(qr/serving database "older"/); 1 }, 'older script, updated: they serve it');
is($warehouse->safe_psql('older', q{SELECT depipe.add_constraint('raw.a', depipe.not_null('id'))}),
	'id_not_null', 'older script, updated: it works');

$warehouse->stop;
$source->stop;
done_testing();
