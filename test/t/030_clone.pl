# Copies of a warehouse: dumped into the same cluster and into another, a copied data directory, a
# template, a promoted standby. A copy takes nothing from its original, and nothing connects until a
# user decides what it is. Afterwards both are exact.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($source, $warehouse) = source_and_warehouse(source => "log_connections = on\n");
my $other = PostgreSQL::Test::Cluster->new('other');

$other->init(extra => [ '--no-locale', '--encoding=UTF8' ]);
$other->start;

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at
{
	my ($node, $database, @statements) = @_;

	return $node->safe_psql($database, join(';', @statements));
}

# Slots and publications of the source: "name confirmed_flush".
sub slots
{
	return at_source(q{SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots});
}

sub positions
{
	my ($slot) = @_;

	return at_source(
		qq{SELECT confirmed_flush_lsn, restart_lsn FROM pg_replication_slots WHERE slot_name = '$slot'});
}

# How often depipe has connected to the source.
sub connections
{
	my $log = slurp_file($source->logfile);

	return scalar(() = $log =~ /replication connection authorized/g);
}

sub stderr_of
{
	my ($node, $database, $sql) = @_;
	my ($status, $stdout, $stderr) = $node->psql($database, $sql);

	return $stderr;
}

sub same_rows
{
	my ($node, $database, $table, $name) = @_;
	my $query = q{SELECT x::text FROM %s x ORDER BY x::text COLLATE "C"};
	my $expected = at_source(sprintf($query, $table));
	my $actual = at($node, $database, sprintf($query, "raw.$table"));

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($expected eq $actual, "$name: $table is exactly equal")
	  || diag(length($expected) . ' and ' . length($actual) . ' bytes');
	return;
}

sub states
{
	my ($node, $database) = @_;

	return at($node, $database, q{SELECT string_agg(target || ' ' || state, ', ' ORDER BY target) FROM depipe.loads});
}

# Every way to connect reports why it does not, and does not.
sub stays_cold
{
	my ($node, $database, $name, $reason) = @_;
	my $before = connections();
	my $slots = slots();

	like(at($node, $database, q{SELECT string_agg(reason, ' ') FROM depipe.loads WHERE server = 'shop'}),
		$reason, "$name: depipe.loads says why");
	is( at($node, $database,
			q{SELECT string_agg(DISTINCT next, ' ') FROM depipe.status WHERE target IN ('raw.a', 'raw.b')}),
		q{SELECT depipe.adopt('shop')}, "$name: and what to type");
	is( at($node, $database, q{SELECT string_agg(DISTINCT status, ' ') FROM depipe.refresh('raw.*')}),
		'failed', "$name: refresh");
	like(stderr_of($node, $database, q{CALL depipe.run('raw.a')}), $reason, "$name: run");
	is(stderr_of($node, $database, 'CALL depipe.run_due()'), '', "$name: run_due");
	like(stderr_of($node, $database, q{SELECT * FROM depipe.verify('raw.a')}), $reason, "$name: verify");
	like(stderr_of($node, $database, q{SELECT depipe.resync('raw.a')}),
		qr/is detached.*$reason.*depipe\.adopt/s, "$name: resync");
	like(
		at($node, $database,
			q{SELECT string_agg(error_hint, ' ') FROM depipe.runs WHERE target = 'raw.a'}),
		qr/depipe\.adopt\('shop'\)/, "$name: the run says what to type");
	is(connections(), $before, "$name: nothing has connected");
	is(slots(), $slots, "$name: and nothing was made at the source");
	return;
}

sub change_all
{
	my ($text) = @_;

	at_source(qq{UPDATE a SET t = '$text' || id WHERE id % 7 = 0},
		q{INSERT INTO a SELECT max(id) + 1, 'new' FROM a}, q{UPDATE b SET n = n + 1 WHERE id % 5 = 0});
	return;
}

# The original has lost nothing, and no other process has read from it.
sub goes_on
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	change_all($name);
	is(refresh($warehouse, 'raw.a')->{'raw.a'}{status}, 'succeeded', "$name goes on");
	same_rows($warehouse, 'postgres', 'a', $name);
	is( at($warehouse, 'postgres',
			q{SELECT count(*) FROM depipe.runs WHERE strategy IN ('copy', 'resync') AND target <> 'raw.c'}),
		2, "$name was copied once");
	return;
}

# Create a copy of the stopped warehouse, without starting it.
sub copied_cluster
{
	my ($name, @settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	system_or_bail('mkdir', '-p', $warehouse->backup_dir);
	system_or_bail('cp', '-a', $warehouse->data_dir, $warehouse->backup_dir . "/$name");
	$node->init_from_backup($warehouse, $name);
	$node->append_conf('postgresql.conf', $_) foreach @settings;
	return $node;
}

# ---- the original: two loads, one of them paused, a transform, constraints, quarantine, a breaker

make_table($source, $warehouse, 'a', 'id int PRIMARY KEY, t text');
make_table($source, $warehouse, 'b', 'id int PRIMARY KEY, a_id int, n int');
at_source(
	q{INSERT INTO a SELECT n, 'v' || n FROM generate_series(1, 500) n},
	q{INSERT INTO b SELECT n, n, n FROM generate_series(1, 500) n});
at($warehouse, 'postgres',
	q{SELECT depipe.add_constraint('raw.b', depipe.satisfies('n >= 0'), name => 'positive',
		on_violation => 'quarantine')},
	q{SELECT depipe.add_constraint('raw.a', depipe.row_count(1, 100000), name => 'some')},
	q{SELECT depipe.configure_breaker('raw.a', bad_runs => 2, of_runs => 3)});
is(statuses($warehouse, 'raw.*'), 'raw.a=succeeded raw.b=succeeded', 'the original has its copy');
at($warehouse, 'postgres', 'CREATE SCHEMA mart',
	q{SELECT depipe.create_transform('mart.sums', 'SELECT a_id % 10 AS k, sum(n) AS n FROM raw.b GROUP BY 1')},
	q{SELECT depipe.add_constraint('mart.sums', depipe.not_null('n'))});
at_source('INSERT INTO b VALUES (501, 501, -1)', q{UPDATE a SET t = 'w' WHERE id < 10});
is(statuses($warehouse, 'raw.*'), 'raw.a=succeeded raw.b=succeeded', 'the original follows');
is_value($warehouse, 'SELECT count(*) FROM depipe.quarantine', 1, 'and has a row in quarantine');
my $original_slot = slots();
# a streaming load keeps the key of its copy
my $statements = q{SELECT regexp_replace(statement, $$(create_load.*), key => '.id.'$$, '\\1') FROM depipe.definition()};
my $definition = at($warehouse, 'postgres', $statements);

# ---- dump, and restore into the same cluster and into another

my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $warehouse->connstr('postgres') ], 'pg_dump');
$warehouse->safe_psql('postgres', 'CREATE DATABASE copied');
$other->safe_psql('postgres', 'CREATE DATABASE copied');
foreach my $node ($warehouse, $other)
{
	my $name = 'restored into ' . ($node == $warehouse ? 'the same cluster' : 'another');

	command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('copied'), $dump ],
		"$name: pg_restore without an error");
	is(at($node, 'copied', $statements), $definition, "$name: the definitions are there");
	is(at($node, 'copied', 'SELECT bad_runs, of_runs FROM depipe.breakers WHERE target = \'raw.a\''),
		'2|3', "$name: and the settings of a breaker");
	my $state = join ' UNION ALL ',
	  map { "SELECT '$_', count(*) FROM depipe.$_" }
	  qw(stream load_state transform_state run verdict incident quarantined_row parked_item breaker_state
	  constraint_state attempt row_layout pending_key);
	is(at($node, 'copied', "SELECT string_agg(x.s || ' ' || x.n, ', ') FROM ($state) x (s, n) WHERE x.n > 0"),
		'', "$name: progress, history and what was held are not");
	is(at($node, 'copied', q{SELECT (SELECT string_agg(DISTINCT event, ' ') FROM depipe.event),
			count(*) FROM depipe.target_state WHERE paused OR data_as_of IS NOT NULL}),
		'bound|0', "$name: definitions are bound to the restored tables");
	isnt(
		at($node, 'copied', 'SELECT instance_id FROM depipe.instance'),
		at($warehouse, 'postgres', 'SELECT instance_id FROM depipe.instance'),
		"$name: another instance");
	is(states($node, 'copied'), 'raw.a detached, raw.b detached', "$name: the loads are detached");
	stays_cold($node, 'copied', $name, qr/restored from a dump/);
	is(states($node, 'copied'), 'raw.a detached, raw.b detached', "$name: and stay so");

	# the transform waits for a load without a slot; direct changes are refused
	like(at($node, 'copied', q{SELECT status || ' ' || reason FROM depipe.refresh('mart.sums')}),
		qr/^blocked raw\.b.*detached/, "$name: its transform waits");
	like(stderr_of($node, 'copied', 'DELETE FROM mart.sums'),
		qr/ERROR/, "$name: direct changes of its table are refused");
	# another definition does not make it connect
	at($node, 'copied',
		q{SELECT depipe.create_load('raw.a', server => 'shop', source => 'public.a',
		columns => '{"t": "upper(t)"}', replace => true)});
	is(states($node, 'copied'), 'raw.a detached, raw.b detached', "$name: replaced, it stays detached");
	at($node, 'copied',
		q{SELECT depipe.create_load('raw.a', server => 'shop', source => 'public.a', replace => true)});
}
is(slots(), $original_slot, 'the slot of the original is there');
like(stderr_of($other, 'copied', q{SELECT depipe.adopt('shop', resync => 'never')}),
	qr/cannot continue without a resync/, 'a restored database cannot take over');

# objects dropped in a copy remain at the source
$other->safe_psql('postgres', 'CREATE DATABASE dropped TEMPLATE copied');
is(stderr_of($other, 'dropped', q{SELECT depipe.detach_source('shop')}), '', 'detach_source in a copy');
is(stderr_of($other, 'dropped', q{SELECT depipe.drop_load(target) FROM depipe.loads}),
	'', 'drop_load in a copy');
unlike(stderr_of($other, 'dropped', 'DROP EXTENSION depipe CASCADE'), qr/ERROR|slot/, 'DROP EXTENSION');
is(slots(), $original_slot, 'the slot of the original is still there');
$other->safe_psql('postgres', 'DROP DATABASE dropped');

# ---- adopt, while the original goes on under write load

my $writer = $source->background_psql('postgres', on_error_stop => 0);
session_ok($writer, q{CREATE PROCEDURE write(rounds int) LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. rounds LOOP
			INSERT INTO a SELECT coalesce(max(id), 0) + 1, 'x' || i FROM a;
			UPDATE a SET t = t || '.' WHERE id % 50 = i % 50;
			DELETE FROM a WHERE id = i * 3;
			UPDATE b SET n = n + 1 WHERE id = 1 + i % 500;
			COMMIT;
			PERFORM pg_sleep(0.002);
		END LOOP;
	END $$});
my $load = IPC::Run::start(
	[ 'psql', '-X', '-d', $source->connstr('postgres'), '-c', 'CALL write(400)' ],
	'>', \my $load_out, '2>', \my $load_err);

foreach my $node ($warehouse, $other)
{
	is(stderr_of($node, 'copied', q{SELECT depipe.adopt('shop')}), '', 'adopt');
	is(states($node, 'copied'), 'raw.a new, raw.b new', 'adopted: to be read again');
	like(stderr_of($node, 'copied', q{SELECT depipe.adopt('shop')}),
		qr/NOTICE:  no load .* is detached/, 'adopted once');
}
is(slots(), $original_slot, 'adopt itself makes nothing at the source');
my $rounds = 0;
while ($load->pumpable && $rounds < 200)
{
	$load->pump_nb;
	at($_->[0], $_->[1], q{CALL depipe.run('raw.*')})
	  foreach ([ $warehouse, 'postgres' ], [ $warehouse, 'copied' ], [ $other, 'copied' ]);
	$rounds++;
}
$load->finish;
cmp_ok($rounds, '>', 1, "several runs of each while the source was written ($rounds)");
foreach ([ $warehouse, 'postgres', 'original' ], [ $warehouse, 'copied', 'copy' ], [ $other, 'copied', 'copy elsewhere' ])
{
	my ($node, $database, $name) = @$_;

	at($node, $database, q{CALL depipe.run('raw.*')});
	same_rows($node, $database, 'a', $name);
	is(at($node, $database, q{SELECT count(*) FROM depipe.verify('raw.b') WHERE explained_by IS NULL}),
		0, "$name: b is equal but for what is in quarantine");
	is(states($node, $database), 'raw.a streaming, raw.b streaming', "$name: streaming");
	is(at($node, $database, q{SELECT string_agg(DISTINCT key::text, ' ') FROM depipe.quarantine}),
		'{501}', "$name: constraints are enforced");
}
my @slots = split / /, slots();
is(scalar(@slots), 3, 'each has a slot of its own');
is_value($source, q{SELECT count(*) FROM pg_publication}, 3, 'and a publication');
is_value($warehouse,
	q{SELECT count(*) FROM depipe.runs WHERE strategy IN ('copy', 'resync')}, 2, 'the original was copied once');

# transforms of a restored database are refreshed in full once, then as usual
is(at($warehouse, 'copied', q{SELECT status FROM depipe.refresh('mart.sums')}),
	'succeeded', 'the transform of a copy');
is(at($warehouse, 'copied', q{SELECT status FROM depipe.refresh('mart.sums')}), 'nothing', 'and again');
is(at($warehouse, 'copied', q{SELECT count(*) FROM depipe.verify('mart.sums')}), 0, 'it is exact');

# new definitions do not collide with restored ones
at($warehouse, 'copied',
	q{CREATE TABLE raw.plain (x int)}, q{SELECT depipe.add_constraint('raw.plain', depipe.not_null('x'))});
is(at($warehouse, 'copied', 'SELECT count(DISTINCT target_id), count(*) FROM depipe.target'),
	'4|4', 'ids of restored and new targets are different');
is(at($warehouse, 'copied', 'SELECT count(DISTINCT constraint_id), count(*) FROM depipe.constraint_definition'),
	'4|4', 'and of constraints');

# a dropped copy removes only its own objects
at($other, 'copied', q{SELECT depipe.drop_load(target) FROM depipe.loads});
is(scalar(split / /, slots()), 2, 'the last load of a copy takes its slot');
like(slots(), qr/\b$original_slot\b/, 'not that of the original');
at($warehouse, 'copied', q{SELECT depipe.detach_source('shop')});
is(slots(), $original_slot, 'detach_source in a copy takes its slot');
is_value($source, 'SELECT count(*) FROM pg_publication', 1, 'and its publication');
is(states($warehouse, 'copied'), 'raw.a detached, raw.b detached', 'and detaches');
at($warehouse, 'copied', q{SELECT depipe.adopt('shop')}, q{SELECT * FROM depipe.refresh('raw.*')});
same_rows($warehouse, 'copied', 'a', 'adopted after detach_source');
like(stderr_of($warehouse, 'copied', 'DROP EXTENSION depipe CASCADE'),
	qr/WARNING:  slot "depipe_copied_\w+" is left/,
	'DROP EXTENSION in a restored database names its slot');
is(at($warehouse, 'copied', 'SELECT count(*) FROM mart.sums'), 10, 'and leaves the tables');
at_source(qq{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
	WHERE slot_name <> '$original_slot'});
$other->stop;

# ---- a database made from a template

$warehouse->safe_psql('template1', 'CREATE DATABASE cloned TEMPLATE postgres');
is(states($warehouse, 'cloned'), 'raw.a detached, raw.b detached', 'template: the loads are detached');
stays_cold($warehouse, 'cloned', 'template', qr/copied from a template/);
like(stderr_of($warehouse, 'cloned', q{SELECT depipe.adopt('shop')}),
	qr/NOTICE:  slot "$original_slot" .* is left to the original/, 'template: adopt names what it leaves');
change_all('template');
at($warehouse, 'cloned', q{CALL depipe.run('raw.*')});
same_rows($warehouse, 'cloned', 'a', 'template');
goes_on('the original of a template');
at($warehouse, 'cloned', q{SELECT depipe.detach_source('shop')});
$warehouse->safe_psql('postgres', 'DROP DATABASE cloned');
is(slots(), $original_slot, 'template: gone with its slot');

# a template with just the extension: definitions in its copies are their own
$warehouse->safe_psql('postgres', 'CREATE DATABASE bare');
$warehouse->safe_psql('bare', 'CREATE EXTENSION depipe; CREATE SCHEMA raw');
$warehouse->safe_psql('postgres', 'CREATE DATABASE made TEMPLATE bare');
my ($host, $port) = ($source->host, $source->port);
at($warehouse, 'made',
	qq{CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (host '$host', port '$port', dbname 'postgres')},
	'CREATE USER MAPPING FOR CURRENT_USER SERVER shop',
	q{SELECT depipe.create_load('raw.a', server => 'shop', source => 'public.a')});
foreach my $run ('first', 'second')
{
	change_all("bare template, $run");
	is(at($warehouse, 'made', q{SELECT status FROM depipe.refresh('raw.a')}),
		'succeeded', "bare template: the $run run");
	same_rows($warehouse, 'made', 'a', "bare template, $run run");
}
goes_on('the original beside it');
at($warehouse, 'made', q{SELECT depipe.drop_load('raw.a')});
is(slots(), $original_slot, 'bare template: gone with its slot');

# ---- a copied data directory: the same system identifier, the same database, the same progress

# a second server, to show that each one is adopted by itself
add_server($source, $warehouse, 'shop2');
make_table($source, $warehouse, 'c', 'id int PRIMARY KEY, t text', server => 'shop2');
at_source(q{INSERT INTO c VALUES (1, 'c')});
is(statuses($warehouse, 'raw.c'), 'raw.c=succeeded', 'a second server');
my $second_slot = (grep { $_ ne $original_slot } split / /, slots())[0];
$warehouse->stop;
my $copy = copied_cluster('copy');
my $cold = copied_cluster('cold', 'depipe.enabled = off');
my $block = copied_cluster('block', 'depipe.enabled = off');
$warehouse->start;

# switched on: it reports that it is a copy. Whether the original is up or down, its slot is
# untouched
$copy->start;
$warehouse->stop;
my $at = positions($original_slot);
change_all('copy before the original');
is(states($copy, 'postgres'), 'raw.a detached, raw.b detached, raw.c detached',
	'copied directory: the loads are detached');
stays_cold($copy, 'postgres', 'copied directory', qr/the data directory was copied/);
is(positions($original_slot), $at, 'copied directory: the slot of the original has not moved');
is(at($copy, 'postgres', q{SELECT phase FROM depipe.stat_streams WHERE server = 'shop'}),
	'detached', 'copied directory: stat_streams');
$warehouse->start;
goes_on('the original of a copied directory');
like(stderr_of($copy, 'postgres', q{SELECT depipe.adopt('shop', resync => 'sometimes')}),
	qr/Valid values/, 'adopt: a wrong word');
at($copy, 'postgres', q{SELECT depipe.adopt('shop')});
is(states($copy, 'postgres'), 'raw.a new, raw.b new, raw.c detached', 'copied directory: one server is adopted');
change_all('copy adopted');
at($copy, 'postgres', q{CALL depipe.run('raw.a')}, q{CALL depipe.run('raw.b')});
same_rows($copy, 'postgres', 'a', 'copied directory');
goes_on('the original beside its copy');
is(scalar(split / /, slots()), 3, 'copied directory: a slot of its own');
at($copy, 'postgres', q{SELECT depipe.adopt('shop2')}, q{CALL depipe.run('raw.*')});
is(states($copy, 'postgres'), 'raw.a streaming, raw.b streaming, raw.c streaming', 'copied directory: all streaming');
same_rows($copy, 'postgres', 'c', 'copied directory');
change_all('copy and original');
at($copy, 'postgres', q{CALL depipe.run('raw.*')});
same_rows($copy, 'postgres', 'a', 'copied directory, on its own');
goes_on('the original beside its copy, once more');
at($copy, 'postgres', q{SELECT depipe.drop_load(target) FROM depipe.loads});
is(slots(), join(' ', sort $original_slot, $second_slot), 'copied directory: what it had made is gone');
$copy->stop;

# after a cold start nothing runs, and every view reports it
$cold->start;
my $off = qr/depipe is disabled/;
my $before = connections();
like(stderr_of($cold, 'postgres', q{SELECT * FROM depipe.refresh('raw.a')}), $off, 'cold: refresh');
like(stderr_of($cold, 'postgres', q{CALL depipe.run('mart.sums')}), $off, 'cold: run');
like(stderr_of($cold, 'postgres', q{CALL depipe.run_due()}), $off, 'cold: run_due');
like(stderr_of($cold, 'postgres', q{SELECT * FROM depipe.verify('raw.a')}), $off, 'cold: verify');
like(stderr_of($cold, 'postgres', q{SELECT depipe.create_transform('mart.x', 'SELECT 1 AS x', key => '{x}')}),
	$off, 'cold: create_transform');
is( stderr_of($cold, 'postgres',
		q{SELECT depipe.create_transform('mart.x', 'SELECT 1 AS x', key => '{x}', populate => false)}),
	'', 'cold: create_transform without populate');
is(at($cold, 'postgres', q{SELECT item, ok FROM depipe.check_source('shop') WHERE NOT ok AND detail ~ 'disabled'}),
	'connection|f', 'cold: check_source');
like(at($cold, 'postgres', q{SELECT reason FROM depipe.status WHERE target = 'mart.sums'}),
	qr/depipe\.enabled is off/, 'cold: status');
$cold->safe_psql('postgres', 'CREATE DATABASE dropped TEMPLATE postgres');
like(stderr_of($cold, 'dropped', q{SELECT depipe.detach_source('shop2')}), qr/^$/, 'cold: detach_source');
is(stderr_of($cold, 'dropped', q{SELECT depipe.drop_load(target) FROM depipe.loads}), '', 'cold: drop_load');
is(stderr_of($cold, 'dropped', q{SELECT depipe.adopt('shop2', resync => 'never')}) =~ /no loads/ ? 1 : 0, 1,
	'cold: adopt of a server without loads');
like(stderr_of($cold, 'postgres', q{SELECT depipe.adopt('shop')}), qr/left to the original/, 'cold: adopt');
is(states($cold, 'postgres'), 'raw.a new, raw.b new, raw.c detached', 'cold: adopted');
is(connections(), $before, 'cold: nothing has connected');
$cold->append_conf('postgresql.conf', 'depipe.enabled = on');
$cold->reload;
change_all('cold');
at($cold, 'postgres', q{CALL depipe.run('raw.a')}, q{CALL depipe.run('raw.b')});
same_rows($cold, 'postgres', 'a', 'cold, switched on');
goes_on('the original of a cold copy');
at($cold, 'postgres', q{SELECT depipe.detach_source('shop')});
$cold->stop;

# a block-level copy of the disk cannot be distinguished from its original; only its creator knows
$block->start;
at($block, 'postgres', q{UPDATE depipe.instance SET data_directory =
	(SELECT data_directory FROM depipe.local_identity())});
is(states($block, 'postgres'), 'raw.a streaming, raw.b streaming, raw.c streaming', 'block copy: looks like the original');
like(stderr_of($block, 'postgres', q{SELECT depipe.drop_load('raw.c')}),
	qr/slot "$second_slot" .* left .*disabled/s, 'block copy: cold, it removes nothing at the source');
is(slots(), join(' ', sort $original_slot, $second_slot), 'block copy: the slots are there');
like(stderr_of($block, 'postgres', q{SELECT depipe.adopt('shop')}), qr/left to the original/, 'block copy: adopt');
$block->append_conf('postgresql.conf', 'depipe.enabled = on');
$block->restart;
change_all('block');
at($block, 'postgres', q{CALL depipe.run('raw.*')});
same_rows($block, 'postgres', 'a', 'block copy');
goes_on('the original of a block copy');
at($block, 'postgres', q{SELECT depipe.detach_source('shop')});
is(slots(), join(' ', sort $original_slot, $second_slot), 'block copy: gone with its own slot');
$block->stop;
like(stderr_of($warehouse, 'postgres', q{SELECT depipe.adopt('shop')}),
	qr/no load .* is detached/, 'adopt in the original, by mistake, does nothing');
goes_on('the original, adopted by mistake');

# ---- the original is gone, and its copy goes on with its slot

$warehouse->stop;
my $moved = copied_cluster('moved');
change_all('moved');
$moved->start;
is(states($moved, 'postgres'), 'raw.a detached, raw.b detached, raw.c detached', 'moved: detached');
is(at($moved, 'postgres', q{SELECT status FROM depipe.refresh('raw.a')}), 'failed', 'moved: and recorded');
like(stderr_of($moved, 'postgres', q{SELECT depipe.adopt('shop', resync => 'never')}),
	qr/slot "$original_slot" .* was taken over/, 'moved: takes over');
at($moved, 'postgres', q{SELECT depipe.adopt('shop2', resync => 'never')});
is(states($moved, 'postgres'), 'raw.a streaming, raw.b streaming, raw.c streaming', 'moved: streaming');
at($moved, 'postgres', q{CALL depipe.run('raw.*')});
same_rows($moved, 'postgres', $_, 'moved') foreach qw(a c);
is( at($moved, 'postgres',
		q{SELECT strategy FROM depipe.runs WHERE target = 'raw.a' AND status = 'succeeded' ORDER BY run_id DESC LIMIT 1}),
	'stream', 'moved: nothing was read again');
is(slots(), join(' ', sort $original_slot, $second_slot), 'moved: with the slots of the original');

# the old directory, started again, finds its slot ahead, and reports it
$warehouse->start;
like(is_status($warehouse, 'raw.a', 'failed', 'the old directory'),
	qr/ahead of/, 'the old directory finds its slot ahead');
is(state_of($warehouse, 'raw.a'), 'needs_resync', 'and needs a resync');
$warehouse->stop;

# ---- a standby that is promoted is the original

$moved->backup('standby');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($moved, 'standby', has_streaming => 1);
$standby->start;
$moved->wait_for_catchup($standby);
$moved->stop;
$standby->promote;
change_all('promoted');
is(states($standby, 'postgres'), 'raw.a streaming, raw.b streaming, raw.c streaming', 'promoted: streaming');
at($standby, 'postgres', q{CALL depipe.run('raw.*')});
same_rows($standby, 'postgres', $_, 'promoted') foreach qw(a c);
is(slots(), join(' ', sort $original_slot, $second_slot), 'promoted: with the slots of the original');
$standby->restart;
change_all('promoted and restarted');
at($standby, 'postgres', q{CALL depipe.run('raw.*')});
same_rows($standby, 'postgres', 'a', 'promoted and restarted');
$standby->stop;

done_testing();
