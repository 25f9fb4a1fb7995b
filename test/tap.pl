# test/tap.pl: runs the TAP files given as arguments. Two files per core and one more run side by
# side, because they mostly wait; DEPIPE_JOBS sets another number. Prints a line for each, and
# finally "tests N passed, N failed". A file that dies, or whose plan does not match, is a failure.

use strict;
use warnings;
use IPC::Run ();
use File::Basename qw(basename);
use TAP::Harness;

# The longest files start first, so that none of them runs alone at the end. pg_cron may wait
# for two full minutes.
my @long = qw(
  023_pg_cron 016_copies 070_memory 024_following 003_toast 066_bad_input 013_source_changes
  022_due 061_kills 063_drops 064_standby 031_versions 051_planted 065_many 060_real_data
  062_outages 087_keys 011_property 008_schema 030_clone);

# The number of online processors from getconf; 1 if it is unknown.
sub cores
{
	my ($cores) = `getconf _NPROCESSORS_ONLN 2>/dev/null` =~ /^(\d+)/;

	return $cores || 1;
}

sub longest_first
{
	my %place = map { $long[$_] => $_ } 0 .. $#long;
	my $place_of = sub { $place{ basename($_[0], '.pl') } // @long };

	return sort { $place_of->($a) <=> $place_of->($b) } @_;
}

my ($passed, $failed) = (0, 0);
my $harness = TAP::Harness->new(
	{
		jobs => $ENV{DEPIPE_JOBS} || 2 * cores() + 1,
		lib => [ split /:/, $ENV{DEPIPE_PERL_LIB} ],
		verbosity => -3,
	});

$harness->callback(
	after_test => sub {
		my ($job, $parser) = @_;
		my $name = basename($job->[0]);
		my @bad = $parser->failed;
		my $seconds = $parser->end_time - $parser->start_time;
		my $note = '';

		$passed += $parser->passed;
		$failed += @bad;
		if ($parser->has_problems && !@bad)
		{
			$failed++;
			$note = ', ended early: exit status ' . ($parser->exit || $parser->wait || 0);
			$note .= ', ' . join('; ', $parser->parse_errors) if $parser->parse_errors;
		}
		$note .= ', skipped: ' . $parser->skip_all if $parser->skip_all;
		$note .= ', failed: ' . join(' ', @bad) if @bad;
		$note .= ', ' . $parser->skipped . ' of them skipped'
		  if !$parser->skip_all && $parser->skipped;
		printf "    %-6s %-40s %4d tests %4d s%s\n", $parser->has_problems ? 'not ok' : 'ok',
		  $name, $parser->tests_run, $seconds, $note;
	});

$| = 1;
$harness->runtests(longest_first(@ARGV));
print "tests $passed passed, $failed failed\n";
exit($failed ? 1 : 0);
