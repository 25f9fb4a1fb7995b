# A short time of random changes and actions, with exact comparisons (test/property), and step by
# step the failures that they have found.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../property";
use DepipeTest;
use LoadProperty;
use PostgreSQL::Test::Utils;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();
my $psql = $source->installed_command('psql');

# ---- keys that are equal, and written otherwise ----

make_table($source, $warehouse, 'n', 'k numeric PRIMARY KEY, v int');
make_table($source, $warehouse, 'z', 'k timestamptz PRIMARY KEY, v int');
make_table($source, $warehouse, 'm', 'k int PRIMARY KEY, v int');
$source->safe_psql(
	'postgres', q{
	INSERT INTO n VALUES (1.0, 1); INSERT INTO z VALUES ('2026-01-01 12:00+00', 1);
	INSERT INTO m VALUES (8, 80), (9, 90)});
refresh($warehouse, 'raw.*');
$warehouse->safe_psql('postgres',
	"SELECT depipe.add_constraint('raw.$_', depipe.satisfies('v > 0'), on_violation => 'quarantine')")
  foreach qw(n z m);

$source->safe_psql('postgres', 'UPDATE n SET v = -1; UPDATE z SET v = -1; UPDATE m SET v = -v');
$warehouse->safe_psql('postgres', "SET TimeZone = 'Asia/Tokyo'; SELECT depipe.refresh('raw.*')");
$source->safe_psql('postgres', 'UPDATE n SET k = 1.00, v = 2; UPDATE z SET v = 3');
$warehouse->safe_psql('postgres', "SET TimeZone = 'UTC'; SELECT depipe.refresh('raw.*')");
is_value($warehouse, "SELECT count(*) FROM depipe.quarantine WHERE target <> 'raw.m'",
	'0', 'a good version replaces the quarantined one of an equal key');

# ---- quarantined rows that move onto each other's keys ----

foreach my $step ('k = 1 WHERE k = 8', 'k = 8 WHERE k = 9', 'k = 9 WHERE k = 1')
{
	$source->safe_psql('postgres', "UPDATE m SET $step");
	refresh($warehouse, 'raw.m');
}
$warehouse->safe_psql('postgres',
	'SELECT depipe.drop_constraint(target, name) FROM depipe.constraints');
refresh($warehouse, 'raw.*');
is_same($source, $warehouse, $_, 'after release') foreach qw(n z m);

# ---- columns that are added with values ----

my %defaults = (
	c_constant => [ 'int DEFAULT 7', 'streaming' ],
	c_volatile => [ 'float DEFAULT random()', 'paused' ],
	c_domain => [ 'positive', 'paused' ],
	c_identity => [ 'int GENERATED ALWAYS AS IDENTITY', 'paused' ],
	c_dropped => [ 'float DEFAULT random(); ALTER TABLE c_dropped ALTER later DROP DEFAULT', 'paused' ],
	c_later => [ 'int; ALTER TABLE c_later ALTER later SET DEFAULT 7', 'streaming' ],
	c_filled => [ 'int; UPDATE c_filled SET later = 4', 'streaming' ],
	c_together => [ 'int; UPDATE c_together SET later = 5; COMMIT', 'streaming' ],
	c_part => [ 'int DEFAULT 7; ALTER TABLE c_part ALTER later DROP DEFAULT', 'streaming' ]);

$source->safe_psql('postgres', 'CREATE DOMAIN positive AS int DEFAULT 5 CHECK (VALUE > 0)');
$warehouse->safe_psql('postgres', 'CREATE DOMAIN positive AS int');
foreach my $name (sort keys %defaults)
{
	my $part = $name eq 'c_part' ? ') PARTITION BY RANGE (id' : '';

	make_table($source, $warehouse, $name, "id int, v int, PRIMARY KEY (id)$part");
	$source->safe_psql('postgres', "CREATE TABLE c_part_1 PARTITION OF c_part DEFAULT") if $part;
	$source->safe_psql('postgres', "INSERT INTO $name VALUES (1, 1), (2, 2)");
}
$warehouse->safe_psql('postgres',
	q{SELECT depipe.create_load('raw.projected', server => 'shop', source => 'public.c_constant',
		columns => '{"v": "v + 1"}')});
refresh($warehouse, 'raw.*');
foreach my $name (sort keys %defaults)
{
	$source->safe_psql('postgres', ($defaults{$name}[0] =~ /COMMIT/ ? 'BEGIN; ' : '')
		  . "ALTER TABLE $name ADD COLUMN later $defaults{$name}[0]");
	$source->safe_psql('postgres', "UPDATE $name SET v = 3 WHERE id = 1");
}
refresh($warehouse, 'raw.*');
foreach my $name (sort keys %defaults)
{
	is(state_of($warehouse, "raw.$name"), $defaults{$name}[1], "$name: state after the addition");
	if ($defaults{$name}[1] eq 'paused')
	{
		$warehouse->safe_psql('postgres', "SELECT depipe.resync('raw.$name')");
		$warehouse->safe_psql('postgres', "CALL depipe.run('raw.$name')");
	}
	is_same($source, $warehouse, $name, 'added column');
}
is_same($source, $warehouse, 'projected', 'added column, projected',
	source => 'SELECT id, v + 1 AS v, later FROM c_constant');

# ---- a column that is dropped and made again looks the same to the stream ----

make_table($source, $warehouse, 'again', 'id int PRIMARY KEY, v int');
$source->safe_psql('postgres', 'INSERT INTO again VALUES (1, 1), (2, 2)');
refresh($warehouse, 'raw.again');
$source->safe_psql('postgres', 'ALTER TABLE again DROP v; ALTER TABLE again ADD v int; UPDATE again SET v = 3 WHERE id = 1');
refresh($warehouse, 'raw.again');
is(state_of($warehouse, 'raw.again'), 'needs_resync', 'a column that was dropped and recreated is noticed');
$warehouse->safe_psql('postgres', "SELECT depipe.resync('raw.again')");
$warehouse->safe_psql('postgres', "CALL depipe.run('raw.again')");
is_same($source, $warehouse, 'again', 'after the resync');

# ---- keys whose equality is not that of their texts ----

make_table($source, $warehouse, 'spans', 'k interval PRIMARY KEY, v int');
$source->safe_psql('postgres', "INSERT INTO spans VALUES ('1 day', 1), ('2 days', 2)");
refresh($warehouse, 'raw.spans');
$warehouse->safe_psql('postgres',
	"SELECT depipe.add_constraint('raw.spans', depipe.satisfies('v > 0'), on_violation => 'quarantine')");
$source->safe_psql('postgres', 'UPDATE spans SET v = -1 WHERE v = 1');
is_value($warehouse, q{SELECT status FROM depipe.refresh('raw.spans')}, 'succeeded', 'an interval as key: the row is set aside');
is_value($warehouse, 'SELECT v FROM raw.spans ORDER BY v', "1\n2", 'the last good version stays');
$source->safe_psql('postgres', q{UPDATE spans SET k = '24:00', v = 5 WHERE v = -1});
refresh($warehouse, 'raw.spans');
is_same($source, $warehouse, 'spans', 'a good version of an equal key');
is_value($warehouse, q{SELECT count(*) FROM depipe.quarantine WHERE target = 'raw.spans'}, '0', 'and replaces what was set aside');

# ---- a table is announced twice while verify reads the stream ----

$source->safe_psql('postgres', "UPDATE m SET v = 5; ALTER TABLE m ALTER v SET STATISTICS 10");
$source->safe_psql('postgres', 'UPDATE m SET v = 6');
is_value($warehouse, "SELECT count(*) FROM depipe.verify('raw.m')", '0', 'verify after DDL');

# ---- at random ----

sub node
{
	my ($node) = @_;

	return {
		host => $node->host,
		port => $node->port,
		user => scalar getpwuid($>),
		crash => sub { crash_restart($node) } };
}

# for others: DEPIPE_SEED, or test/property/loads
foreach my $seed (grep { defined } 312, $ENV{DEPIPE_SEED} // how_many(undef, 505))
{
	my $log = "$PostgreSQL::Test::Utils::tmp_check/property.$seed";

	open my $handle, '>', $log or die "$log: $!";
	my $round = LoadProperty::round(
		source => node($source),
		warehouse => node($warehouse),
		psql => $psql,
		seed => $seed,
		steps => 110,
		log => $handle);
	close $handle;
	is($round->{failure}, '', "random changes and actions, seed $seed")
	  || diag("steps in $log; repeat with test/property/loads $seed 0 110");
}

done_testing();
