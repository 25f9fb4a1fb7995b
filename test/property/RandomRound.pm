# RandomRound: what rounds of random tests share: sessions of psql, choices, and the steps of a round.
#
# A class of rounds has the methods make (the databases of the round) and act (one step), and a function
# round, which blesses the options and calls play. A NODE is { host, port, user }; $self->{database} is
# the database of the round on each node, $self->{settings} are those of sessions in the warehouse, and
# $self->{log} takes notes.

package RandomRound;

use strict;
use warnings;
use Exporter 'import';
use IPC::Open2;
use Time::HiRes qw(sleep);

our @EXPORT_OK = qw(one chance);

# ---- sessions ----

my $serial = 0;

sub open_session
{
	my ($self, $node) = @_;
	my $n = $self->{$node};
	my ($out, $in);
	my $pid = open2($out, $in, 'sh', '-c', 'exec "$@" 2>&1', 'sh', $self->{psql}, '-X', '-q', '-A',
		'-t', '-v', 'VERBOSITY=verbose', '-v', 'SHOW_CONTEXT=never', '-d',
		"host=$n->{host} port=$n->{port} user=$n->{user} dbname=$self->{database}");
	my $session = { pid => $pid, in => $in, out => $out, node => $node };

	$in->autoflush(1);
	$self->{sessions}{$node} = $session;
	$self->ask($node, "SET client_min_messages = error; SET TimeZone = 'UTC';"
		  . " SET extra_float_digits = 1" . ($node eq 'warehouse' ? $self->settings : ''));
	return;
}

sub settings
{
	my ($self) = @_;

	return join('', map { "; SET $_ = '$self->{settings}{$_}'" } sort keys %{ $self->{settings} });
}

sub close_session
{
	my ($self, $node) = @_;
	my $session = delete $self->{sessions}{$node};

	return if !$session;
	local $SIG{PIPE} = 'IGNORE';
	close $session->{in};
	1 while defined readline $session->{out};
	waitpid $session->{pid}, 0;
	return;
}

sub start
{
	my ($self, $node, $sql) = @_;
	my $session = $self->{sessions}{$node};
	my $mark = 'mark ' . ++$serial;

	local $SIG{PIPE} = 'IGNORE';
	$session->{mark} = $mark;
	print { $session->{in} } "$sql\n;\n\\echo $mark\n";
	return;
}

# The lines of the result, and the errors.
sub finish
{
	my ($self, $node) = @_;
	my $session = $self->{sessions}{$node};
	my (@lines, @errors);

	while (defined(my $line = readline $session->{out}))
	{
		chomp $line;
		return (\@lines, join("\n", @errors)) if $line eq $session->{mark};
		if ($line =~ /^(?:psql:.*?)?(?:ERROR|FATAL|PANIC):|server closed the connection/)
		{
			push @errors, $line;
		}
		elsif (@errors && $line =~ /^(DETAIL|HINT|CONTEXT|LOCATION|LINE|\s)|connection|This probably|before or while/)
		{
			$errors[-1] .= " / $line" if $line !~ /^(LOCATION|\s*\^|LINE)/;
		}
		else { push @lines, $line; }
	}
	return (\@lines, join("\n", @errors, 'connection lost'));
}

sub ask
{
	my ($self, $node, $sql) = @_;

	$self->open_session($node) if !$self->{sessions}{$node};
	return ([], 'connection lost') if !$self->{sessions}{$node};
	$self->start($node, $sql);
	my ($lines, $error) = $self->finish($node);
	if ($error =~ /connection lost/ && $error =~ /not yet accepting|starting up|recovery mode/ && $self->{patience}++ < 100)
	{
		sleep 0.1;
		$self->close_session($node);
		return $self->ask($node, $sql);
	}
	$self->{patience} = 0;
	$self->close_session($node) if $error =~ /connection lost/;
	$self->note("    $error") if $error ne '';
	die "failure: $error\n"
	  if $error =~ /: XX\d\d\d:|connection lost|PANIC|server closed/ && !$self->{killing};
	return wantarray ? ($lines, $error) : $lines;
}

sub must
{
	my ($self, $node, $sql) = @_;
	my ($lines, $error) = $self->ask($node, $sql);

	die "failure: \"$sql\": $error\n" if $error ne '';
	return $lines;
}

sub note
{
	my ($self, $text) = @_;

	print { $self->{log} } "$text\n";
	return;
}

# ---- choices ----

sub one { return $_[ int rand @_ ]; }
sub chance { return rand() < $_[0]; }

# One of the actions, [ WEIGHT, sub {...} ] each.
sub act_one_of
{
	my ($self, @actions) = @_;
	my $total = 0;

	$total += $_->[0] foreach @actions;
	my $choice = rand $total;
	foreach my $action (@actions)
	{
		$choice -= $action->[0];
		next if $choice >= 0;
		$action->[1]->($self);
		return;
	}
	return;
}

# ---- a round ----

# Take the steps, then call $finish. $self->{failure} is empty, or the description of a failure.
sub play
{
	my ($self, $finish) = @_;

	srand($self->{seed});
	$self->note("seed $self->{seed}");
	my $done = eval {
		$self->make;
		foreach my $step (1 .. $self->{steps})
		{
			$self->note("step $step");
			$self->act;
		}
		$finish->();
		1;
	};
	$self->{failure} = $done ? '' : $@;
	$self->note($self->{failure}) if $self->{failure};
	$self->close_session($_) foreach keys %{ $self->{sessions} };
	return $self;
}

1;
