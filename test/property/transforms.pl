# test/property/transforms.pl: rounds of TransformProperty on the server of test/property/transforms.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use TransformProperty;

my ($directory, $bin, $seed, $seconds, $steps) = @ARGV;
my $end = time + $seconds;
my %count;

open my $file, '<', "$directory/warehouse/socket" or die "warehouse/socket: $!";
chomp(my $host = <$file>);
close $file;
$| = 1;
my ($rounds, $failed) = (0, 0);
do
{
	my $log = "$directory/log.$seed";
	open my $handle, '>', $log or die "$log: $!";
	$handle->autoflush(1);
	my $round = TransformProperty::round(
		warehouse => { host => $host, port => 5432, user => 'postgres' },
		psql => "$bin/psql", seed => $seed, steps => $steps, log => $handle);
	close $handle;
	$rounds++;
	$count{$_} += $round->{count}{$_} foreach keys %{ $round->{count} };
	if ($round->{failure})
	{
		$failed++;
		chomp $round->{failure};
		print "seed $seed: $round->{failure}; steps in $log\n";
	}
	else
	{
		eval { open my $null, '>', '/dev/null'; $round->{log} = $null; $round->clean; };
		unlink $log;
	}
	$seed++;
} while (time < $end);

print join(', ', map { "$_ $count{$_}" } sort keys %count), "\n";
print "$rounds rounds, $failed failed\n";
exit($failed > 0);
