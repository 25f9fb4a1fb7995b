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

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init(extra => [ '--no-locale', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', 'shared_buffers = 16MB');
$node->start;

my $made = 0;
foreach my $seed (1 .. 3)
{
	my $log = "$PostgreSQL::Test::Utils::log_path/transforms.$seed";
	open my $handle, '>', $log or die "$log: $!";
	my $round = TransformProperty::round(
		warehouse => { host => $node->host, port => $node->port, user => scalar getpwuid($>) },
		psql => $node->installed_command('psql'),
		seed => $seed,
		steps => 40,
		log => $handle);
	close $handle;
	is($round->{failure}, '', "transforms are their queries, seed $seed")
	  || diag("steps in $log; repeat with test/property/transforms $seed 0 40");
	$made += $round->{count}{created} // 0;
}
cmp_ok($made, '>', 10, 'queries were made');

done_testing();
