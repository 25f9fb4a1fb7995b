# test/tap.pl: runs the TAP files named as arguments, three at a time (they wait more than they
# work), prints a line for each and at the end "tests N passed, N failed". A file that dies, or
# whose plan is not met, is a failure.

use strict;
use warnings;
use IPC::Run ();
use File::Basename qw(basename);
use TAP::Harness;

my ($passed, $failed) = (0, 0);
my $harness = TAP::Harness->new(
	{
		jobs => $ENV{DEPIPE_JOBS} || 3,
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
$harness->runtests(@ARGV);
print "tests $passed passed, $failed failed\n";
exit($failed ? 1 : 0);
