# What a batch costs beside its rows: the statements on depipe's own tables that a steady batch of a
# stream worker runs, as it counts them in the log.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($source, $warehouse) = source_and_warehouse(
	warehouse => q{
shared_preload_libraries = 'depipe'
max_worker_processes = 16
depipe.naptime = '50ms'
log_min_messages = debug2
});

my @tables = map { "t$_" } (1 .. 5);
my $value = 1000;

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

# The statements of the next batch, which changes one row of each of these tables.
sub cost
{
	my (@changed) = @_;
	my $begun = -s $warehouse->logfile;
	my $v = ++$value;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;

	$source->safe_psql('postgres', join('', 'BEGIN;', (map { "UPDATE $_ SET v = $v;" } @changed), 'COMMIT'));
	wait_until($warehouse, 'SELECT ' . join(' AND ', map { "(SELECT v = $v FROM raw.$_)" } @changed), "$v has arrived");
	while (time() < $end)
	{
		return $1 if slurp_file($warehouse->logfile, $begun) =~ /the batch ran (\d+) statements/;
		select(undef, undef, undef, 0.05);
	}
	return;
}

# A run covers the batches of a minute, and once in a while all tables are recorded: of a few
# batches, the cheapest is a steady one.
sub is_steady
{
	my ($most, $name, @changed) = @_;
	my ($least) = sort { $a <=> $b } map { scalar(cost(@changed)) // 999 } (1 .. 4);

	cmp_ok($least, '<=', $most, $name);
}

make_table($source, $warehouse, $_, 'id int PRIMARY KEY, v int') for @tables;
$source->safe_psql('postgres', join(';', map { "INSERT INTO $_ VALUES (1, 1)" } @tables));
wait_until($warehouse, q{SELECT count(*) = 5 FROM depipe.live_load}, 'a worker follows');

is_steady(4, 'one table', 't1');
is_steady(4, 'five tables cost no more', @tables);
at_warehouse(q{SELECT depipe.add_constraint('raw.t1', depipe.not_null('v'), on_violation => 'reject')});
is_steady(6, 'a row check', 't1');

# what is special is looked at, and when it is over not any more
$source->safe_psql('postgres', 'UPDATE t1 SET v = NULL');
wait_until($warehouse, q{SELECT count(*) = 1 FROM depipe.held_row}, 'a batch is rejected, and held with its row');
$source->safe_psql('postgres', 'UPDATE t1 SET v = 1');
wait_until($warehouse, q{SELECT v = 1 FROM raw.t1}, 'a good batch is published');
is_value($warehouse, q{SELECT count(*) FROM depipe.held_row}, 0, 'no row is held any more');
is_value($warehouse, q{SELECT count(*) FROM depipe.incident WHERE closed_at IS NULL}, 0, 'and no incident open');
is_steady(6, 'after that as before', 't1');
done_testing();
