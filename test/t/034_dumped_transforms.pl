# Transforms and histories that were dumped: pg_dump -Fc, restored by sections into another database, and
# without owners; each transform compares once, and is incremental again.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('node');
$node->init(allows_streaming => 'logical', extra => [ '--no-locale', '--encoding=UTF8' ]);
$node->start;
my ($host, $port) = ($node->host, $node->port);

sub at
{
	my ($database, @statements) = @_;

	return $node->safe_psql($database, join(";\n", @statements));
}

# ---- what is dumped
at('postgres', 'CREATE DATABASE shop', 'CREATE DATABASE house', 'CREATE ROLE etl LOGIN', 'CREATE ROLE reader');
at('shop', 'CREATE TABLE kept (id int PRIMARY KEY, v int)', 'CREATE TABLE versions (id int PRIMARY KEY, v int)',
	'INSERT INTO kept SELECT i, i FROM generate_series(1, 20) i', 'INSERT INTO versions SELECT i, i FROM generate_series(1, 20) i');
at('house', 'CREATE EXTENSION depipe', 'CREATE SCHEMA raw AUTHORIZATION etl', 'CREATE SCHEMA mart AUTHORIZATION etl', q{SET ROLE etl},
	q{CREATE TABLE raw.event (id int, at timestamptz, shop text, n numeric, f float8) PARTITION BY RANGE (id)},
	q{CREATE TABLE raw.event_1 PARTITION OF raw.event FOR VALUES FROM (0) TO (1000)},
	q{CREATE TABLE raw.event_2 PARTITION OF raw.event FOR VALUES FROM (1000) TO (9000)},
	q{INSERT INTO raw.event SELECT i, now() - i * interval '1 hour', 's' || i % 7, i, i FROM generate_series(1, 2000) i},
	q{CREATE VIEW raw.seen AS SELECT id, shop, n FROM raw.event WHERE n > 3},
	# numbers kept beside the table, keys by expression, moving time, a view, no key, nested, a partitioned target, a long key
	q{SELECT depipe.create_transform('mart.means', 'SELECT shop, avg(n) AS mean, min(n) AS least FROM raw.event GROUP BY shop')},
	q{SELECT depipe.create_transform('mart.days', $$SELECT date_trunc('day', at, 'UTC') AS day, count(*) AS events FROM raw.event GROUP BY 1$$)},
	q{SELECT depipe.create_transform('mart.recent', $$SELECT id, n FROM raw.event WHERE at > now() - interval '30 days'$$, key => '{id}')},
	q{SELECT depipe.create_transform('mart.bag', 'SELECT shop, n FROM raw.seen')},
	q{SELECT depipe.create_transform('mart.top', 'SELECT max(mean) AS mean, count(*) AS shops FROM mart.means')},
	q{CREATE TABLE mart.parts (id int, shop text) PARTITION BY RANGE (id)},
	q{CREATE TABLE mart.parts_1 PARTITION OF mart.parts FOR VALUES FROM (0) TO (500)},
	q{CREATE TABLE mart.parts_2 PARTITION OF mart.parts DEFAULT},
	q{SELECT depipe.create_transform('mart.parts', 'SELECT id, shop FROM raw.event', key => '{id}')},
	q{SELECT depipe.create_transform('mart.long', $$SELECT string_agg(md5(id::text), '' ORDER BY id) AS k, count(*) AS c FROM raw.event GROUP BY id % 3$$, key => '{k}')},
	q{CREATE VIEW mart.of_user AS SELECT * FROM mart.means}, q{GRANT SELECT ON mart.means TO reader},
	q{CREATE UNIQUE INDEX users_own ON mart.days (events, day)}, q{SELECT count(*) FROM depipe.refresh('mart.*')});
at('house', qq{CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (host '$host', port '$port', dbname 'shop')},
	q{CREATE USER MAPPING FOR CURRENT_USER SERVER shop},
	q{SELECT depipe.create_load('raw.kept', server => 'shop', source => 'public.kept', history => 'soft_delete')},
	q{SELECT depipe.create_load('raw.versions', server => 'shop', source => 'public.versions', history => 'scd2')});
at('house', q{CALL depipe.run('raw.*')});
at('shop', 'DELETE FROM kept WHERE id < 5', 'UPDATE versions SET v = v + 1 WHERE id < 5', 'DELETE FROM versions WHERE id = 7');
at('house', q{CALL depipe.run('raw.*')});
at('house', q{SET ROLE etl}, q{INSERT INTO raw.event SELECT i, now(), 's1', i, i FROM generate_series(2001, 2010) i},
	q{SELECT count(*) FROM depipe.refresh('mart.*')});
at('house', q{CALL depipe.backfill('mart.recent', 'id', '0', '3000', '1500')});

my @marts = qw(means days recent bag top parts long);
my $image = q{SELECT md5(string_agg(x::text, ',' ORDER BY x::text COLLATE "C")) FROM %s x};
my %before = map { $_ => at('house', sprintf($image, $_)) } (map({ "mart.$_" } @marts), 'raw.kept', 'raw.versions');
my $definitions = q{SELECT string_agg(statement, ' ' ORDER BY statement) FROM depipe.definition('mart.*')};
my $indexes = q{SELECT string_agg(x.indexrelid::regclass || ' ' || coalesce(obj_description(x.indexrelid, 'pg_class'), '-'),
	', ' ORDER BY x.indexrelid::regclass::text COLLATE "C")
	FROM pg_index x WHERE x.indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'mart'::regnamespace)};
my ($defined, $indexed) = map { at('house', $_) } ($definitions, $indexes);
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
command_ok([ 'pg_dump', '-Fc', '--no-sync', '-f', $dump, '-d', $node->connstr('house') ], 'pg_dump');

# ---- restored

# A refresh of everything: all that is wrong, and how it was done.
sub refreshed
{
	my ($database) = @_;

	return at($database, q{SELECT string_agg(split_part(target, '.', 2) || ' ' || status || ' ' || coalesce(strategy, reason), ', ' ORDER BY target)
		FROM depipe.refresh('mart.*')});
}

sub is_exact
{
	my ($database, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(at($database, 'SELECT ' . join(' + ', map { "(SELECT count(*) FROM depipe.verify('mart.$_'))" } @marts)),
		0, "$name: every transform is exact");
	return;
}

sub works
{
	my ($database, $name) = @_;

	is(at($database, sprintf($image, $_)), $before{$_}, "$name: the rows of $_") foreach grep { !/recent/ } sort keys %before;
	is(at($database, $definitions), $defined, "$name: the definitions");
	is(at($database, $indexes), $indexed, "$name: indexes, and which of them depipe created");
	is(at($database, 'SELECT count(*) FROM depipe.backfills'), 0, "$name: progress of a backfill has no meaning here");
	like(refreshed($database), qr/^(\w+ (succeeded|nothing) full(_diff)?(, )?){7}$/, "$name: the first refresh compares all");
	is_exact($database, $name);
	at($database, q{INSERT INTO raw.event SELECT i, now(), 's2', i, i FROM generate_series(3001, 3005) i}, q{DELETE FROM raw.event WHERE id IN (5, 1500)});
	my $second = refreshed($database);
	unlike($second, qr/failed|blocked|skipped/, "$name: the second one works");
	is_exact($database, "$name, changed");
	at($database, q{UPDATE raw.event SET n = n + 1 WHERE id IN (7, 1700)});
	my $third = refreshed($database);
	unlike($third, qr/(means|days|bag|parts) \w+ full/, "$name: and the third is incremental") or diag($third);
	is_exact($database, "$name, incremental");
	isnt($node->psql($database, 'DELETE FROM mart.parts_1', stderr => \my $error), 0, "$name: direct changes are refused");
	return;
}

at('postgres', 'CREATE DATABASE sections', 'CREATE DATABASE others');
command_ok([ 'pg_restore', '--exit-on-error', "--section=$_", '-d', $node->connstr('sections'), $dump ], "restored: $_")
  foreach qw(pre-data data post-data);
works('sections', 'by sections');
is(at('sections', q{SELECT DISTINCT owner FROM depipe.transforms}), 'etl', 'the owner is the same');
is(at('sections', q{SELECT string_agg(target || ' ' || state, ', ' ORDER BY target) FROM depipe.loads}), 'raw.kept detached, raw.versions detached',
	'the histories are detached');
at('shop', 'DELETE FROM kept WHERE id = 20', 'UPDATE versions SET v = v + 1 WHERE id = 19');
at('sections', q{SELECT depipe.adopt('shop')});
at('sections', q{CALL depipe.run('raw.*')});
is(at('sections', q{SELECT count(*) FROM depipe.verify('raw.kept')}) . at('sections', q{SELECT count(*) FROM depipe.verify('raw.versions')}), '00',
	'adopted, their current rows are those of the source');
is(at('sections', q{SELECT count(*) FROM raw.kept WHERE _deleted_at IS NOT NULL}), 5, 'deleted rows stay');
is(at('sections', q{SELECT count(*) FROM raw.versions WHERE NOT _is_current}), 6, 'and so do earlier versions');

# All belongs to who restores it: that is said, and set_owner makes the definitions follow.
command_ok([ 'pg_restore', '--exit-on-error', '--no-owner', '-d', $node->connstr('others'), $dump ], 'restored without owners');
like(refreshed('others'), qr/^(\w+ failed table mart\.\w+ belongs to another role than its definition(, )?){7}$/, 'the owners differ');
at('others', q{SELECT count(depipe.set_owner(target, session_user)) FROM depipe.transforms});
works('others', 'another owner');

$node->stop;
done_testing();
