# test/property/loads.pl: rounds of LoadProperty on the two servers of test/property/loads.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use LoadProperty;

my ($directory, $bin, $seed, $seconds, $steps) = @ARGV;
my $end = time + $seconds;
my (%nodes, %count, %reasons);

foreach my $name (qw(source warehouse))
{
	open my $file, '<', "$directory/$name/socket" or die "$name/socket: $!";
	chomp(my $host = <$file>);
	$nodes{$name} = { host => $host, port => 5432, user => 'postgres', crash => sub {
			my @pg_ctl = ("$bin/pg_ctl", '-D', "$directory/$name/data", '-w', '-s');
			system(@pg_ctl, '-m', 'immediate', 'stop') == 0 or die "cannot stop $name\n";
			system(@pg_ctl, '-l', "$directory/$name/log", 'start') == 0 or die "cannot start $name\n";
		} };
}
$| = 1;
my ($rounds, $failed) = (0, 0);
do
{
	my $log = "$directory/log.$seed";
	open my $handle, '>', $log or die "$log: $!";
	$handle->autoflush(1);
	my $round = LoadProperty::round(%nodes, psql => "$bin/psql", seed => $seed, steps => $steps, log => $handle);
	close $handle;
	$rounds++;
	$count{$_} += $round->{count}{$_} foreach keys %{ $round->{count} || {} };
	$reasons{$_} += $round->{reasons}{$_} foreach keys %{ $round->{reasons} || {} };
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
print "    $reasons{$_}x $_\n" foreach grep { $_ =~ /failed|needs_resync|skipped/ } sort keys %reasons;
print "$rounds rounds, $failed failed\n";
exit($failed > 0);
