# test/property/server_selects.pl: the SELECTs of PostgreSQL's regression tests as transforms, on the
# server of test/property/server_selects.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use LoadProperty;

my ($directory, $bin, $seed, @files) = @ARGV;
my $most = 30;    # transforms at a time
my $patience = 120;   # seconds for one statement
my $longest = 5;  # seconds for a query: random changes can make a recursive one endless

# States with which create_transform may refuse a query, or the query fails itself.
my %CLEAR = map { $_ => 1 } qw(0A000 22023 42701 42P16 42P22);

open my $file, '<', "$directory/warehouse/socket" or die "warehouse/socket: $!";
chomp(my $host = <$file>);
close $file;
srand($seed);
$| = 1;

my $self = bless { warehouse => { host => $host, port => 5432, user => 'postgres' }, psql => "$bin/psql", settings => {} }, 'LoadProperty';
my (%count, %refused, %strategies, %queries, @failures);
my $made = 0;

# ---- statements ----

# The statements of a psql script, without its own commands and the data of COPY.
sub statements
{
	my ($text) = @_;
	my (@found, $current);

	$text =~ s/^copy [^;]*from stdin[^;]*;\n.*?^\\\.$//gmsi;
	$current = '';
	while ($text =~ /\G(--[^\n]*|\/\*.*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$.*?\$\2\$|;|\\g\w*[^\n]*|^\\[^\n]*|[^'"\$;\\\/-]+|.)/gms)
	{
		my $part = $1;

		if ($part eq ';' || $part =~ /^\\g/)
		{
			push @found, $current if $current =~ /\S/;
			$current = '';
		}
		elsif ($part !~ /^--|^\\/) { $current .= $part; }
	}
	return map { s/^\s+|\s+$//gr } @found;
}

sub can_be_transform
{
	my ($statement) = @_;

	return $statement =~ /^\(*\s*(select|with|values|table)\b/i && $statement !~ /\binto\b|\bfor\s+(update|share|no key|key)|:\w|\breturning\b|pg_sleep|nextval/i;
}

# ---- transforms ----

# A statement that psql does not understand as one (it waits for the end of a literal) is given up.
sub quiet
{
	my ($sql) = @_;
	my ($lines, $error) = eval
	{
		local $SIG{ALRM} = sub { die "no answer\n" };

		alarm $patience;
		my @answer = $self->ask('warehouse', $sql);
		alarm 0;
		@answer;
	};
	alarm 0;
	if (!defined $error && $@ eq "no answer\n")
	{
		$self->note("no answer: $sql");
		$count{'no answer'}++;
		kill 'TERM', $self->{sessions}{warehouse}{pid};
		$self->close_session('warehouse');
	}
	return ([], $@) if !defined $error;
	return ($lines, $error);
}

# Does a query fail in this way whenever the names in its texts are looked up in no schema of the user's?
sub needs_path
{
	my ($query, $state) = @_;
	my (undef, $error) = quiet("BEGIN; SET LOCAL search_path = pg_catalog, pg_temp; SELECT count(*) FROM ($query) AS q; COMMIT");

	quiet('ROLLBACK');
	return $state =~ /^(42P01|42883|42704|3F000)$/ && $error =~ /\b$state: / ? 1 : 0;
}

sub create
{
	my ($query) = @_;
	my $name = 's' . ++$made;
	my (undef, $error) = quiet("SELECT depipe.create_transform('mart.$name', \$query_of\$$query\$query_of\$, key => '{}')");

	if ($error eq '')
	{
		$count{accepted}++;
		$queries{$name} = $query;
		return;
	}
	my ($state, $message) = $error =~ /ERROR:\s+(\w{5}): (.*)/;
	$message = substr(($message // $error) =~ s/"[^"]*"/"..."/gr, 0, 90);
	$refused{$message}++;
	$count{refused}++;
	push @failures, "unclear refusal: $error: $query" if !$state || !$CLEAR{$state} && !needs_path($query, $state);
	return;
}

# Rows that differ, by equality; by their images where a type has no equality.
sub different
{
	my ($name, $settings) = @_;
	my $query = $queries{$name};

	foreach my $columns ('q', 'depipe.row_image(q.*)')
	{
		my $list = $columns eq 'q' ? '*' : $columns;
		my ($lines, $error) = quiet("BEGIN; $settings; SELECT count(*) FROM ((SELECT $list FROM ($query) AS q EXCEPT ALL SELECT $list FROM mart.$name AS q)"
			. " UNION ALL (SELECT $list FROM mart.$name AS q EXCEPT ALL SELECT $list FROM ($query) AS q)) AS d; COMMIT");

		quiet('ROLLBACK') if $error ne '';
		return $lines->[-1] if $error eq '';
		return "error: $error" if $error !~ /could not identify|could not implement/;
	}
	return 'not comparable';
}

# A query that does not determine its result may return another one under another plan.
sub is_determined
{
	my ($name) = @_;
	my @settings = map { "SET LOCAL enable_$_ = off" } qw(hashagg sort hashjoin nestloop mergejoin seqscan indexscan material incremental_sort);

	foreach my $setting (@settings, join '; ', @settings[0 .. 3])
	{
		my $different = different($name, $setting);

		return 0 if $different eq '0' || $different =~ /^not|^error/;
	}
	# others depend on the order in which rows are stored; so do sums of floating-point numbers
	return $queries{$name} !~ /\b(avg|sum|stddev\w*|var\w*|corr|covar\w*|regr\w*)\b.*(float|gpa|aggtest|\bb\b)|\blimit\b|\bfetch\b|row_number|array_agg|string_agg|json|xmlagg|first_value|last_value|nth_value|lag|lead|ntile|distinct\s+on|\brows\b|percent_rank|random/i;
}

sub check
{
	my ($name, $status, $strategy, $reason) = @_;
	my $different = different($name, "SET LOCAL enable_sort = on");

	$strategies{$strategy}++;
	if ($different eq 'not comparable') { $count{'not comparable'}++; return; }
	if ($different =~ /^error/ && $status eq 'failed') { $count{'query fails'}++; return; }
	return if $different eq '0';
	if ($status ne 'failed' && !is_determined($name)) { $count{'not determined'}++; return; }
	my ($error) = quiet("SELECT translate(error_message, E'\\n', ' ') FROM depipe.runs WHERE target = 'mart.$name' ORDER BY run_id DESC LIMIT 1");
	$self->note("$different rows differ: $queries{$name}");
	push @failures, "$different rows differ after $status $strategy $reason @{ $error // [] }: $queries{$name}";
	quiet("SELECT depipe.drop_transform('mart.$name', true)");
	delete $queries{$name};
	return;
}

# ---- changes ----

sub input_tables
{
	my ($lines) = quiet("SELECT DISTINCT format('%I.%I', i.schema_name, i.table_name) FROM depipe.transform_input i JOIN pg_class c ON c.oid = to_regclass(format('%I.%I', i.schema_name, i.table_name))"
		. " WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 ORDER BY 1");

	return @$lines;
}

sub columns_of
{
	my ($table) = @_;
	my ($lines) = quiet("SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = '$table'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum");

	return @$lines;
}

sub change
{
	foreach my $table (input_tables())
	{
		my @columns = columns_of($table);
		my $all = join ', ', @columns;
		my $some = "ctid IN (SELECT ctid FROM $table ORDER BY random() LIMIT " . (1 + int rand 3) . ')';

		next if !@columns;
		my $column = $columns[ rand @columns ];
		my $other = $columns[ rand @columns ];
		my @statements = ("DELETE FROM $table WHERE $some",
			"INSERT INTO $table ($all) OVERRIDING SYSTEM VALUE SELECT $all FROM $table ORDER BY random() LIMIT 2 ON CONFLICT DO NOTHING",
			"UPDATE $table SET $column = (SELECT $column FROM $table ORDER BY random() LIMIT 1) WHERE $some",
			"UPDATE $table SET $column = NULL WHERE $some", "UPDATE $table SET $column = $other WHERE $some");

		quiet(splice @statements, int rand @statements, 1) for 1 .. 2;
	}
	foreach my $name (sort keys %queries)
	{
		my (undef, $error) = quiet("SET statement_timeout = '${longest}s'; SELECT count(*) FROM ($queries{$name}) AS q");

		quiet('RESET statement_timeout');
		next if $error !~ /\b57014: /;
		$count{'does not end'}++;
		quiet("SELECT depipe.drop_transform('mart.$name', true)");
		delete $queries{$name};
	}
	return;
}

sub exercise
{
	return if !%queries;
	for (1 .. 4)
	{
		change();
		my ($lines, $error) = quiet("SELECT target, status, strategy, translate(reason, E'\\n', ' ') FROM depipe.refresh('mart.*')");

		push @failures, "refresh: $error" if $error ne '';
		foreach my $line (@$lines)
		{
			my ($name, $status, $strategy, $reason) = $line =~ /^mart\.(\w+)\|(\w+)\|(\w*)\|(.*)$/ or next;

			check($name, $status, $strategy, $reason) if $queries{$name};
		}
	}
	quiet("SELECT depipe.drop_transform('mart.$_', true)") foreach reverse sort keys %queries;
	%queries = ();
	return;
}

# ---- a file ----

sub run_file
{
	my ($name) = @_;
	my $text = do { local $/; open my $handle, '<', "$directory/sql/$name.sql" or die "$name.sql: $!"; <$handle> };

	foreach my $statement (statements($text))
	{
		next if $statement =~ /^(begin|commit|rollback|abort|end|savepoint|release|start|explain|prepare|execute|deallocate|declare|fetch|close|vacuum)\b/i;
		exercise() if $statement =~ /^(drop|alter|truncate)\b/i || keys %queries >= $most;
		$statement =~ s/^create\s+(local\s+)?temp(orary)?\b/create/i;
		if (!can_be_transform($statement))
		{
			quiet($statement);
			next;
		}
		my (undef, $error) = quiet("SET statement_timeout = '${longest}s'; SELECT count(*) FROM ($statement) AS q");
		quiet('RESET statement_timeout');
		create($statement) if $error eq '' || $error =~ /\(42701\)|specified more than once/;
	}
	exercise();
	return;
}

local $ENV{PG_ABS_SRCDIR} = $directory;
local $ENV{PG_LIBDIR} = $directory;
local $ENV{PG_DLSUFFIX} = '.so';
foreach my $name (@files)
{
	my $log = "$directory/log.$name";

	$self->{database} = 'postgres';
	open $self->{log}, '>', $log or die "$log: $!";
	$self->must('warehouse', "CREATE DATABASE tests_$name");
	$self->close_session('warehouse');
	$self->{database} = "tests_$name";
	system("'$bin/psql' -X -q -h '$host' -U postgres -d tests_$name -f '$directory/sql/test_setup.sql' >/dev/null 2>&1");
	$self->must('warehouse', 'CREATE SCHEMA mart; CREATE EXTENSION depipe');
	my $before = @failures;
	run_file($name);
	print "$name: ", @failures - $before, " failures\n";
	$self->close_session('warehouse');
}

print join(', ', map { "$_ $count{$_}" } sort keys %count), "\n";
print 'refreshes: ', join(', ', map { ($_ eq '' ? 'none' : $_) . " $strategies{$_}" } sort keys %strategies), "\n";
print "  refused $refused{$_}: $_\n" foreach sort { $refused{$b} <=> $refused{$a} } keys %refused;
print "$_\n" foreach @failures;
if (!$count{accepted} || !$strategies{keys})
{
	print "nothing was accepted, or nothing was incremental\n";
	exit 1;
}
exit(@failures > 0);
