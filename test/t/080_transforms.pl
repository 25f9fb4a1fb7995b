# A short time of random queries as transforms, random changes and DDL of their inputs, and
# comparisons with the queries themselves (test/property/transforms), always with the same seeds.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../property";
use DepipeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TransformProperty;
use RefreshProperty;

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init(extra => [ '--no-locale', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "shared_buffers = 16MB\nmax_prepared_transactions = 10");
$node->start;

my %count;

# Run one round; the rest of the name is what must be true.
sub round_of
{
	my ($what, $round_of, $seed, $steps) = @_;
	my $log = "$PostgreSQL::Test::Utils::log_path/$what.$seed";
	open my $handle, '>', $log or die "$log: $!";
	my $round = $round_of->(
		warehouse => { host => $node->host, port => $node->port, user => scalar getpwuid($>) },
		psql => $node->installed_command('psql'),
		seed => $seed,
		steps => $steps,
		log => $handle);
	close $handle;
	is($round->{failure}, '', "$what: tables are their queries, seed $seed")
	  || diag("steps in $log; repeat with test/property/transforms $seed 0 $steps $what");
	$count{$what}{$_} += $round->{count}{$_} foreach keys %{ $round->{count} };
	return;
}

foreach my $seed (1 .. 3)
{
	round_of('names', \&TransformProperty::round, $seed, 40);
	round_of('refreshes', \&RefreshProperty::round, $seed, 25);
}
cmp_ok($count{names}{created} // 0, '>', 10, 'queries were made');
# which strategy is the cheapest also depends on statistics: long runs look at each (transforms.pl)
my $incremental = 0;
$incremental += $count{refreshes}{$_} // 0 foreach keys %RefreshProperty::ON_CHANGES;
cmp_ok($incremental, '>', 5, 'refreshes were incremental');

done_testing();
