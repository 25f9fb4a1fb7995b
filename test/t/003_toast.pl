# Values that the source does not send because they did not change (TOAST): every order of insert,
# partial update, key change, deletion and reinsertion ends with source = target. This holds for
# each replica identity, in one batch and in a batch per step, while the table is published and
# while it is parked, and with rows in quarantine between one change and the next.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();

# Each scenario: the initial rows (b for a big value, s for a small one), then the steps. $T is the
# table, keys are written {1}, {2}; big(n) is a value of 6 kB.
my %scenarios = (
	insert_update => [
		q{INSERT INTO $T VALUES ({1}, 1, 'a', big(1))},
		q{UPDATE $T SET small = 2 WHERE id = {1}},
	],
	insert_in_one => [
		q{INSERT INTO $T VALUES ({1}, 1, 'a', big(1)); UPDATE $T SET small = 2 WHERE id = {1};
		  UPDATE $T SET extra = 'c' WHERE id = {1}},
	],
	insert_updates => [
		q{INSERT INTO $T VALUES ({1}, 1, 'a', big(1))},
		q{UPDATE $T SET small = 2 WHERE id = {1}},
		q{UPDATE $T SET big = big(2) WHERE id = {1}},
		q{UPDATE $T SET extra = NULL WHERE id = {1}},
	],
	update => [ q{UPDATE $T SET small = 3 WHERE id = {8}} ],
	update_to_null => [
		q{UPDATE $T SET small = 0, extra = NULL WHERE id = {8}},
		q{UPDATE $T SET big = NULL WHERE id = {8}},
		q{UPDATE $T SET small = 5 WHERE id = {8}},
	],
	null_to_value => [
		q{UPDATE $T SET big = NULL WHERE id = {8}},
		q{UPDATE $T SET big = big(8) WHERE id = {8}},
		q{UPDATE $T SET small = 6 WHERE id = {8}},
	],
	key_change => [ q{UPDATE $T SET id = {1} WHERE id = {8}} ],
	key_change_update => [
		q{UPDATE $T SET id = {1} WHERE id = {8}},
		q{UPDATE $T SET small = 4 WHERE id = {1}},
		q{UPDATE $T SET id = {2}, small = 5 WHERE id = {1}},
		q{UPDATE $T SET extra = 'back' WHERE id = {2}},
	],
	key_change_and_back => [
		q{UPDATE $T SET id = {1} WHERE id = {8}},
		q{UPDATE $T SET id = {8} WHERE id = {1}},
		q{UPDATE $T SET small = 9 WHERE id = {8}},
	],
	update_key_change => [
		q{UPDATE $T SET small = 4 WHERE id = {8}},
		q{UPDATE $T SET big = big(3) WHERE id = {8}},
		q{UPDATE $T SET id = {1} WHERE id = {8}},
		q{UPDATE $T SET small = 5 WHERE id = {1}},
	],
	swap => [
		q{UPDATE $T SET id = {1} WHERE id = {8}; UPDATE $T SET id = {8} WHERE id = {9};
		  UPDATE $T SET id = {9} WHERE id = {1}},
		q{UPDATE $T SET small = 7 WHERE id IN ({8}, {9})},
	],
	swap_in_steps => [
		q{UPDATE $T SET id = {1} WHERE id = {8}},
		q{UPDATE $T SET id = {8} WHERE id = {9}},
		q{UPDATE $T SET id = {9} WHERE id = {1}},
	],
	reinsert => [
		q{DELETE FROM $T WHERE id = {8}},
		q{INSERT INTO $T VALUES ({8}, 1, 'new', big(4))},
		q{UPDATE $T SET small = 2 WHERE id = {8}},
	],
	reinsert_in_one => [
		q{DELETE FROM $T WHERE id = {8}; INSERT INTO $T VALUES ({8}, 1, 'new', big(4));
		  UPDATE $T SET small = 2 WHERE id = {8}},
	],
	reinsert_without_big => [
		q{DELETE FROM $T WHERE id = {8}},
		q{INSERT INTO $T VALUES ({8}, 1, 'new', NULL)},
		q{UPDATE $T SET small = 2 WHERE id = {8}},
	],
	come_and_go => [
		q{INSERT INTO $T VALUES ({1}, 1, 'a', big(1))},
		q{DELETE FROM $T WHERE id = {1}},
	],
	update_delete => [
		q{UPDATE $T SET small = 3 WHERE id = {8}},
		q{DELETE FROM $T WHERE id = {8}},
	],
	onto_deleted => [
		q{DELETE FROM $T WHERE id = {9}; UPDATE $T SET id = {9} WHERE id = {8}},
		q{UPDATE $T SET small = 3 WHERE id = {9}},
	],
	old_key_again => [
		q{UPDATE $T SET id = {1} WHERE id = {8}},
		q{INSERT INTO $T VALUES ({8}, 1, 'second', big(5))},
		q{UPDATE $T SET small = 3 WHERE id IN ({1}, {8})},
	],
	move_and_delete => [
		q{UPDATE $T SET id = {1} WHERE id = {8}},
		q{DELETE FROM $T WHERE id = {1}},
	],
);

# The same with rows that the constraint small >= 0 keeps out for a while. All of them end in a
# valid state.
my %kept_out = (
	bad_insert => [
		q{INSERT INTO $T VALUES ({1}, -1, 'a', big(1))},
		q{UPDATE $T SET extra = 'b' WHERE id = {1}},
		q{UPDATE $T SET small = 1 WHERE id = {1}},
	],
	bad_update => [
		q{UPDATE $T SET small = -1 WHERE id = {8}},
		q{UPDATE $T SET extra = 'b' WHERE id = {8}},
		q{UPDATE $T SET small = 2 WHERE id = {8}},
	],
	bad_with_new_big => [
		q{UPDATE $T SET small = -1, big = big(6) WHERE id = {8}},
		q{UPDATE $T SET extra = 'c' WHERE id = {8}},
		q{UPDATE $T SET small = 3 WHERE id = {8}},
	],
	bad_delete => [
		q{UPDATE $T SET small = -1, big = big(6) WHERE id = {8}},
		q{DELETE FROM $T WHERE id = {8}},
	],
	bad_insert_delete => [
		q{INSERT INTO $T VALUES ({1}, -1, 'a', big(1))},
		q{DELETE FROM $T WHERE id = {1}},
		q{INSERT INTO $T VALUES ({1}, 1, 'a', big(7))},
	],
	bad_insert_moves => [
		q{INSERT INTO $T VALUES ({1}, -1, 'a', big(1))},
		q{UPDATE $T SET id = {2} WHERE id = {1}},
		q{UPDATE $T SET small = 1 WHERE id = {2}},
	],
	bad_update_moves => [
		q{UPDATE $T SET small = -1, big = big(6) WHERE id = {8}},
		q{UPDATE $T SET id = {1} WHERE id = {8}},
		q{UPDATE $T SET small = 1 WHERE id = {1}},
	],
	bad_update_moves_well => [
		q{UPDATE $T SET small = -1, big = big(6) WHERE id = {8}},
		q{UPDATE $T SET id = {1}, small = 1 WHERE id = {8}},
	],
	moves_badly => [
		q{UPDATE $T SET id = {1}, small = -1 WHERE id = {8}},
		q{UPDATE $T SET extra = 'd' WHERE id = {1}},
		q{UPDATE $T SET small = 1 WHERE id = {1}},
	],
	moves_badly_and_back => [
		q{UPDATE $T SET id = {1}, small = -1 WHERE id = {8}},
		q{UPDATE $T SET id = {8}, small = 1 WHERE id = {1}},
	],
	moves_badly_twice => [
		q{UPDATE $T SET id = {1}, small = -1 WHERE id = {8}},
		q{UPDATE $T SET id = {2} WHERE id = {1}},
		q{UPDATE $T SET small = 1 WHERE id = {2}},
	],
	moves_badly_deleted => [
		q{UPDATE $T SET id = {1}, small = -1 WHERE id = {8}},
		q{DELETE FROM $T WHERE id = {1}},
	],
	moves_badly_key_again => [
		q{UPDATE $T SET id = {1}, small = -1 WHERE id = {8}},
		q{INSERT INTO $T VALUES ({8}, 1, 'again', big(9))},
		q{UPDATE $T SET small = 1 WHERE id = {1}},
	],
);

my %tables = (
	t_default => [ 'PRIMARY KEY', '' ],
	t_full => [ 'PRIMARY KEY', 'REPLICA IDENTITY FULL' ],
	t_index => [ 'NOT NULL UNIQUE', 'REPLICA IDENTITY USING INDEX t_index_id_key' ],
);
my @names = sort keys %tables;

$source->safe_psql(
	'postgres', q{
	CREATE FUNCTION big(n int) RETURNS text IMMUTABLE LANGUAGE sql
	AS $$ SELECT string_agg(md5(n::text || '.' || i::text), '') FROM generate_series(1, 190) i $$});
foreach my $name (@names)
{
	my ($key, $identity) = @{ $tables{$name} };

	$source->safe_psql('postgres',
		"CREATE TABLE $name (id int $key, small int, extra text, big text);"
		  . "ALTER TABLE $name ALTER big SET STORAGE EXTERNAL;"
		  . ($identity ? "ALTER TABLE $name $identity" : ''));
	$warehouse->safe_psql('postgres',
		"SELECT depipe.create_load('raw.$name', server => 'shop', source => 'public.$name')");
}

# The statements of step N of every scenario that has this step, for every table.
sub steps
{
	my ($set, $base, $n) = @_;
	my @statements;
	my $number = 0;

	foreach my $scenario (sort keys %$set)
	{
		my $first = $base + 10 * $number++;
		my $step = $set->{$scenario}[$n];

		next unless defined $step;
		foreach my $table (@names)
		{
			(my $sql = $step) =~ s/\$T/$table/g;
			$sql =~ s/\{(\d)\}/$first + $1/ge;
			push @statements, "BEGIN; $sql; COMMIT;";
		}
	}
	return join("\n", @statements);
}

# Keys 8 and 9 of every scenario exist initially.
sub prepare_rows
{
	my ($set, $base) = @_;
	my $last = keys(%$set) - 1;

	foreach my $table (@names)
	{
		$source->safe_psql('postgres',
			"INSERT INTO $table SELECT $base + 10 * n + k, k, 'before', big($base + 10 * n + k)"
			  . " FROM generate_series(0, $last) n, generate_series(8, 9) k");
	}
	return;
}

sub all_the_same
{
	my ($name) = @_;

	is_same($source, $warehouse, $_, $name) foreach @names;
	return;
}

sub each_table
{
	my ($sql) = @_;

	$warehouse->safe_psql('postgres', join(';', map { (my $s = $sql) =~ s/\$T/raw.$_/g; $s } @names));
	return;
}

# Run a set of scenarios in one of the ways. It uses keys from BASE on.
sub run_set
{
	my ($set, $base, $way, $name) = @_;
	my $parked = $way =~ /parked/;
	my $depth = 0;

	foreach my $scenario (values %$set)
	{
		$depth = @$scenario if @$scenario > $depth;
	}
	prepare_rows($set, $base);
	converge($warehouse, 'raw.*');
	all_the_same("$name, before");
	each_table(q{SELECT depipe.trip('$T', 'test')}) if $parked;
	foreach my $n (0 .. $depth - 1)
	{
		$source->safe_psql('postgres', steps($set, $base, $n));
		refresh($warehouse, 'raw.*') if $way =~ /steps/;
	}
	refresh($warehouse, 'raw.*') unless $way =~ /steps/;
	if ($parked)
	{
		is_value($warehouse,
			q{SELECT bool_and(state = 'parked') FROM depipe.loads},
			't', "$name: the loads are parked");
		each_table(q{SELECT depipe.reset('$T', 'test')});
	}
	ok(converge($warehouse, 'raw.*'), "$name: converges");
	all_the_same($name);
	is_value($warehouse, q{SELECT count(*) FROM depipe.quarantine},
		0, "$name: nothing stays in quarantine");
	return;
}

converge($warehouse, 'raw.*');

run_set(\%scenarios, 1000, 'batch', 'one batch');
run_set(\%scenarios, 2000, 'steps', 'a batch for each step');
run_set(\%scenarios, 3000, 'parked', 'parked in one batch');
run_set(\%scenarios, 4000, 'parked steps', 'parked step by step');

each_table(q{SELECT depipe.add_constraint('$T', depipe.satisfies('small >= 0'),
	on_violation => 'quarantine')});
run_set(\%scenarios, 5000, 'steps', 'with a constraint');
run_set(\%kept_out, 6000, 'batch', 'quarantine, one batch');
run_set(\%kept_out, 7000, 'steps', 'quarantine, a batch for each step');
run_set(\%kept_out, 8000, 'parked', 'quarantine, parked in one batch');
run_set(\%kept_out, 9000, 'parked steps', 'quarantine, parked step by step');

# in between: quarantined rows are out, and the target keeps the previous version
prepare_rows(\%kept_out, 10000);
converge($warehouse, 'raw.*');
$source->safe_psql('postgres', steps(\%kept_out, 10000, 0));
refresh($warehouse, 'raw.*');
foreach my $table (@names)
{
	is_value($warehouse, "SELECT count(*) FROM raw.$table WHERE small < 0",
		0, "$table: no violating row in the target");
	is_value($warehouse, "SELECT count(*) FROM depipe.quarantine WHERE target = 'raw.$table'",
		scalar(keys %kept_out), "$table: one row in quarantine for each");
	is_value($warehouse,
		"SELECT count(*) FROM raw.$table WHERE id > 10000 AND big IS NOT NULL AND id % 10 = 8",
		scalar(keys %kept_out), "$table: the versions before are still there");
}

# parked after quarantined: the base of the next partial update is the quarantined image
each_table(q{SELECT depipe.trip('$T', 'test')});
$source->safe_psql('postgres', steps(\%kept_out, 10000, 1));
refresh($warehouse, 'raw.*');
$source->safe_psql('postgres', steps(\%kept_out, 10000, 2));
refresh($warehouse, 'raw.*');
each_table(q{SELECT depipe.reset('$T', 'test')});
ok(converge($warehouse, 'raw.*'), 'quarantined, then parked: converges');
all_the_same('quarantined, then parked');

done_testing();
