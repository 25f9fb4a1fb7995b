# test/property/transforms.pl: rounds of TransformProperty and RefreshProperty on the server of
# test/property/transforms.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use TransformProperty;
use RefreshProperty;

my ($directory, $bin, $seed, $seconds, $steps, $kind) = @ARGV;
my $end = time + $seconds;
my %rounds_of = (names => \&TransformProperty::round, refreshes => \&RefreshProperty::round);
my (%count, %served, %reasons, %refused);

open my $file, '<', "$directory/warehouse/socket" or die "warehouse/socket: $!";
chomp(my $host = <$file>);
close $file;
$| = 1;
my ($rounds, $failed) = (0, 0);

sub add
{
	my ($sum, $more) = @_;

	$sum->{$_} += $more->{$_} foreach keys %{ $more // {} };
	return;
}

sub run_round
{
	my ($name) = @_;
	my $log = "$directory/log.$name.$seed";
	open my $handle, '>', $log or die "$log: $!";
	$handle->autoflush(1);
	my $round = $rounds_of{$name}->(
		warehouse => { host => $host, port => 5432, user => 'postgres' },
		psql => "$bin/psql", seed => $seed, steps => $steps, log => $handle);
	close $handle;
	$rounds++;
	add(\%count, $round->{count});
	add(\%reasons, $round->{reasons});
	add(\%refused, $round->{refused}) if $name eq 'refreshes';
	add($served{$_} //= {}, $round->{served}{$_}) foreach keys %{ $round->{served} // {} };
	if ($round->{failure})
	{
		$failed++;
		chomp $round->{failure};
		print "$name, seed $seed: $round->{failure}; steps in $log\n";
		return;
	}
	eval { open my $null, '>', '/dev/null'; $round->{log} = $null; $round->clean; };
	unlink $log;
	return;
}

do
{
	run_round($_) foreach defined $kind ? $kind : qw(names refreshes);
	$seed++;
} while (time < $end);

print join(', ', map { "$_ $count{$_}" } sort keys %count), "\n";
foreach my $feature (sort keys %served)
{
	print "  $feature: ", join(', ', map { "$_ $served{$feature}{$_}" } sort keys %{ $served{$feature} }),
	  $refused{$feature} ? "; refused $refused{$feature}" : '', "\n";
}
print "  not incremental: ", join(', ', map { ($_ eq '' ? 'no reason' : $_) . " $reasons{$_}" } sort keys %reasons), "\n" if %reasons;

# what should be incremental, and has had the opportunity, but seldom was
foreach my $feature (sort keys %RefreshProperty::FLOORS)
{
	my ($refreshes, $incremental) = (0, 0);

	foreach my $strategy (keys %{ $served{$feature} // {} })
	{
		$refreshes += $served{$feature}{$strategy};
		$incremental += $served{$feature}{$strategy} if $strategy !~ /^full/;
	}
	next if $refreshes < 50 || 100 * $incremental >= $RefreshProperty::FLOORS{$feature} * $refreshes;
	print "seldom incremental: $feature, $incremental of $refreshes\n";
	$failed++;
}
# each strategy on changes has its share
my $by_changes = 0;
$by_changes += $count{$_} // 0 foreach keys %RefreshProperty::ON_CHANGES;
foreach my $strategy (sort keys %RefreshProperty::ON_CHANGES)
{
	next if $by_changes < 300 || ($count{$strategy} // 0) >= 0.01 * $by_changes;
	print "hardly ever chosen: $strategy\n";
	$failed++;
}
print "$rounds rounds, $failed failed\n";
exit($failed > 0);
