# A load can follow everything that a publication sends: a partition beside its root, for example.
# The source's own publications that omit changes or rows are refused, not loaded in part.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

# ---- a partition beside its root

at_source(
	'CREATE TABLE part (id int, d date, PRIMARY KEY (id, d)) PARTITION BY RANGE (d)',
	q{CREATE TABLE part1 PARTITION OF part FOR VALUES FROM ('2000-01-01') TO ('2010-01-01')},
	q{INSERT INTO part VALUES (1, '2005-01-01')});
at_warehouse(q{SELECT depipe.create_load('raw.part1', server => 'shop', source => 'public.part1')});
is_status($warehouse, 'raw.part1', 'succeeded', 'a partition alone');
at_source(q{INSERT INTO part VALUES (2, '2006-01-01')});
is_status($warehouse, 'raw.part1', 'succeeded', 'a partition alone: changes');
is_same($source, $warehouse, 'part1', 'a partition alone');

at_warehouse(q{SELECT depipe.create_load('raw.part', server => 'shop', source => 'public.part')});
my $result = refresh($warehouse, 'raw.*');
is($result->{'raw.part'}{status}, 'succeeded', 'the root comes');
is($result->{'raw.part1'}{status}, 'failed', 'the partition beside it fails');
is(state_of($warehouse, 'raw.part1'), 'needs_resync', 'and needs a resync');
at_source(q{INSERT INTO part VALUES (3, '2007-01-01')}, q{INSERT INTO part1 VALUES (4, '2008-01-01')});
is_status($warehouse, 'raw.part', 'succeeded', 'the root goes on');
is_same($source, $warehouse, 'part', 'the root');

at_warehouse(q{SELECT depipe.drop_load('raw.part', true)}, q{SELECT depipe.resync('raw.part1')});
ok(converge($warehouse, 'raw.*'), 'the partition alone again');
is_same($source, $warehouse, 'part1', 'the partition alone again');
at_warehouse(q{SELECT depipe.drop_load('raw.part1', true)});

# ---- publications of the source's own

at_source(
	'CREATE TABLE a (id int PRIMARY KEY, t text)',
	q{INSERT INTO a VALUES (1, 'one')},
	q{CREATE PUBLICATION given FOR TABLE a WITH (publish = 'insert')});
at_warehouse(q{ALTER SERVER shop OPTIONS (ADD publication 'given')},
	q{SELECT depipe.create_load('raw.a', server => 'shop', source => 'public.a')});
$result = refresh($warehouse, 'raw.a');
is($result->{'raw.a'}{status}, 'failed', 'a publication of inserts only');
like($result->{'raw.a'}{reason}, qr/does not publish all changes/, 'says so');
is_value($warehouse, q{SELECT count(*) FROM depipe.check_source('shop') WHERE NOT ok AND detail LIKE '%all changes%'},
	1, 'check_source says so, too');

at_source(q{ALTER PUBLICATION given SET (publish = 'insert, update, delete, truncate')});
is_status($warehouse, 'raw.a', 'succeeded', 'a publication of everything');

SKIP:
{
	skip 'no row filters', 1 if $source->pg_version < 15;
	at_source('ALTER PUBLICATION given SET TABLE a WHERE (id > 5)');
	$result = refresh($warehouse, 'raw.a');
	is($result->{'raw.a'}{status}, 'failed', 'a publication of some rows');
	at_source('ALTER PUBLICATION given SET TABLE a');
}
at_source(q{UPDATE a SET t = 'two'});
at_warehouse(q{SELECT depipe.resync('raw.a')});
ok(converge($warehouse, 'raw.*'), 'converges');
is_same($source, $warehouse, 'a', 'the end');

# ---- a column that is to stay out must be there: else it may come in under its true name

at_source('CREATE TABLE person (id int PRIMARY KEY, email text)');
at_warehouse(q{ALTER SERVER shop OPTIONS (DROP publication)},
	q{SELECT depipe.drop_load('raw.a')},
	q{SELECT depipe.create_load('raw.person', server => 'shop', source => 'public.person',
		columns => '{"emial": null}')});
$result = refresh($warehouse, 'raw.person');
is($result->{'raw.person'}{status}, 'failed', 'a column left out that is not there');
like($result->{'raw.person'}{reason}, qr/column "emial"/, 'it is named');
at_warehouse(q{SELECT depipe.create_load('raw.person', server => 'shop', source => 'public.person',
	columns => '{"email": null}', replace => true)});
is_status($warehouse, 'raw.person', 'succeeded', 'a column left out');

# ---- DROP EXTENSION says what it leaves

my $said = '';
$warehouse->psql('postgres', 'DROP EXTENSION depipe CASCADE', stderr => \$said);
like($said, qr/WARNING:\s+slot "depipe_postgres_shop_\w+" is left at server "shop"/, 'the slot that is left is named');

done_testing();
