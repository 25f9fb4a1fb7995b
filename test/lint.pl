# test/lint.pl CHECK FILE...: the checks of test/lint that read the sources themselves. Prints a
# line "file:line: message" for each finding.

use strict;
use warnings;

my ($check, @files) = @ARGV;

# The contents of a file.
sub slurp
{
	my ($file) = @_;
	open(my $handle, '<', $file) or die "$file: $!\n";
	local $/;
	my $text = <$handle>;
	close($handle);
	return $text;
}

# The names of depipe's own tables.
sub own_tables
{
	my $script = slurp('sql/depipe.sql');
	return { map { $_ => 1 } $script =~ /^CREATE TABLE depipe\.(\w+)/gm };
}

# A C text with its comments blanked; lines and offsets do not change.
sub without_comments
{
	my ($text) = @_;
	$text =~ s{("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(/\*.*?\*/|//[^\n]*)}
			  { defined $1 ? $1 : do { (my $blank = $2) =~ s/[^\n]/ /g; $blank } }gse;
	return $text;
}

# An SQL script with comments, function bodies and quoted texts blanked.
sub bare_sql
{
	my ($text) = @_;
	$text =~ s{(\$\w*\$).*?\1|'(?:''|[^'])*'|--[^\n]*|/\*.*?\*/}
			  { (my $blank = $&) =~ s/[^\n]/ /g; $blank }gse;
	return $text;
}

sub line_of
{
	my ($text, $offset) = @_;
	return 1 + (substr($text, 0, $offset) =~ tr/\n//);
}

# The text from the parenthesis at $offset to the matching one.
sub parenthesis
{
	my ($text, $offset) = @_;
	my $depth = 0;
	pos($text) = $offset;
	while ($text =~ /\G(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|([()])|[^()"']+)/gc)
	{
		next unless defined $1;
		$depth += $1 eq '(' ? 1 : -1;
		return substr($text, $offset, pos($text) - $offset) if $depth == 0;
	}
	return substr($text, $offset);
}

# The arguments of a call, from the text of its parenthesis.
sub arguments
{
	my ($text) = @_;
	my ($depth, @arguments) = (0, '');

	$text = substr($text, 1, -1);
	while ($text =~ /\G("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[(),]|[^(),"']+)/gc)
	{
		my $part = $1;
		$depth += $part eq '(' ? 1 : $part eq ')' ? -1 : 0;
		if ($part eq ',' && $depth == 0) { push @arguments, ''; }
		else { $arguments[-1] .= $part; }
	}
	return @arguments;
}

my %checks = (

	# Every error that is raised has a SQLSTATE.
	errcode => sub {
		my ($file, $text) = @_;
		$text = without_comments($text);
		$text =~ s/"((?:\\.|[^"\\\n])*)"/'"' . 'x' x length($1) . '"'/ge;
		while ($text =~ /\bereport(?:_domain)?\s*(\()/g)
		{
			my $offset = $-[1];
			my $call = parenthesis($text, $offset);
			next if $call =~ /^\(\s*(?:DEBUG\d|LOG|LOG_SERVER_ONLY|INFO|NOTICE|WARNING)\b/;
			next if $call =~ /\berrcode(?:_for_\w+)?\s*\(/;
			finding($file, $text, $offset, 'ereport without errcode');
		}
	},

	# No value or name is inserted into SQL between quotes.
	pasted => sub {
		my ($file, $text) = @_;
		$text = without_comments($text);
		while ($text =~ /(?:"(?:\\.|[^"\\\n])*"(?:\s|[A-Z]\w*(?=\s*"))*)+/g)
		{
			my ($offset, $string) = ($-[0], $&);
			if ($string =~ /'[^'"]*%l*[sdu][^'"]*'/ && $string =~ /'%s'|\b[A-Z]{4,}\b/)
			{
				finding($file, $text, $offset, 'a value between quotes in a format');
			}
			elsif ($string =~ /\\"%s\\"/
				&& $string =~ /\b(?:SELECT|INSERT|UPDATE|DELETE|MERGE|COPY|CREATE|ALTER|DROP|FROM|JOIN|WHERE)\b/
				&& substr($text, 0, $offset) !~ /\b(?:err\w+|elog)\s*\((?:[^()"]*,)?\s*\z/)
			{
				finding($file, $text, $offset, 'a name between quotes in SQL');
			}
		}
	},

	# Only one file tests server versions.
	version => sub {
		my ($file, $text) = @_;
		return if $file =~ m{(?:^|/)src/compat\.h$};
		$text = without_comments($text);
		while ($text =~ /\bPG_VERSION_NUM\b/g)
		{
			finding($file, $text, $-[0], 'PG_VERSION_NUM outside src/compat.h');
		}
	},

	# Every SQL function checks the version first (CHECKED_FUNCTION), except those that the server
	# calls by itself and those needed for diagnosis.
	handshake => sub {
		my ($file, $text) = @_;
		my %without = map { ("depipe_$_" => 1) } qw(local_identity foreign_streams validator
		  server_dropped extension_dropped server_altered names_changed refuse_dml may_see may_read
		  may_inspect may_see_definition reason_for_reader conditions copies blocked_targets
		  stream_workers owner_problem role_in role_out key_hash row_image row_hash parses count_kept note_write
		  session_settings capture_changes protect_write subscription_changed);

		$text = without_comments($text);
		while ($text =~ /^PG_FUNCTION_INFO_V1\((\w+)\)/gm)
		{
			finding($file, $text, $-[0], "$1 does not check the version: use CHECKED_FUNCTION")
			  unless $without{$1};
		}
	},

	# Statements on depipe's own tables are in one directory.
	catalog => sub {
		my ($file, $text) = @_;
		return if $file =~ m{(?:^|/)src/catalog/};
		$text = without_comments($text);
		while ($text =~ /\b(?:FROM|JOIN|INTO|UPDATE)\s+depipe\.(\w+)/g)
		{
			next unless own_tables()->{$1};
			finding($file, $text, $-[0], 'a statement on a table of depipe outside src/catalog/');
		}
	},

	# What reads the rows of a target takes them from target_rows_sql().
	rows => sub {
		my ($file, $text) = @_;
		$text = without_comments($text);
		while ($text =~ /\b(?:psprintf|appendStringInfo)(?=\()/g)
		{
			my $start = $-[0];
			my @arguments = arguments(parenthesis($text, $+[0]));
			shift @arguments if substr($text, $start) =~ /^appendStringInfo/;
			my $format = shift(@arguments) // next;
			my $said = '';
			while ($format =~ /"((?:\\.|[^"\\])*)"|\b[A-Z]\w*64_FORMAT\b/g)
			{
				$said .= $1 // '%d';
			}
			while ($said =~ /%(?:%|[-\d.]*[a-z])/g)
			{
				my ($before, $conversion) = (substr($said, 0, $-[0]), $&);
				next if $conversion eq '%%';
				my $argument = shift(@arguments) // '';
				finding($file, $text, $start, 'rows of a target that are not from target_rows_sql()')
				  if $argument =~ /\bdisplay\b/ && $before =~ /(?<!DELETE )\b(?:FROM|JOIN) $/;
			}
		}
		while ($text =~ /\b(?:delta_fill_from_difference|difference_sql)(?=\()/g)
		{
			finding($file, $text, $-[0], 'rows of a target that are not from target_rows_sql()')
			  if parenthesis($text, $+[0]) =~ /\bdisplay\b/;
		}
	},

	# Limits for readability: 100 lines per function, 1,200 lines per file, 100 columns per line.
	length => sub {
		my ($file, $text) = @_;
		my @lines = split /\n/, $text;
		my ($start, $name);

		print "$file:1: ", scalar(@lines), " lines\n" if @lines > 1200;
		for my $number (1 .. @lines)
		{
			my $line = $lines[ $number - 1 ];
			1 while $line =~ s/\t/' ' x (4 - length($`) % 4)/e;
			print "$file:$number: ", length($line), " columns\n" if length($line) > 100;
			$name = $1 if $line =~ /^(?:[\w*]+\s+\**)*(\w+)\s*\(/;
			undef $name if $line =~ /^(?:typedef|struct|enum|union|static const)\b.*[^;(),]$/;
			$start = $number if $line =~ /^\{/ && defined $name;
			next unless $line =~ /^\}/ && defined $start;
			my $length = $number - $start + 1;
			print "$file:$start: $name has $length lines\n" if $length > 100;
			undef $start;
			undef $name;
		}
	},

	# Every SQL function of the script has a comment.
	comments => sub {
		my ($file, $text) = @_;
		my $bare = bare_sql($text);
		my (%created, %commented, %line);

		while ($bare =~ /^\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE|AGGREGATE)\s+([\w.]+)/gmi)
		{
			$created{$1}++;
			push @{ $line{$1} }, line_of($bare, $-[1]);
		}
		while ($bare =~ /^\s*COMMENT\s+ON\s+(?:FUNCTION|PROCEDURE|AGGREGATE|ROUTINE)\s+([\w.]+)/gmi)
		{
			$commented{$1}++;
		}
		for my $name (sort keys %created)
		{
			my $lacking = $created{$name} - ($commented{$name} || 0);
			print "$file:$_: $name has no comment\n"
			  for $lacking > 0 ? @{ $line{$name} }[ 0 .. $lacking - 1 ] : ();
		}
	});

sub finding
{
	my ($file, $text, $offset, $what) = @_;
	print "$file:", line_of($text, $offset), ": $what\n";
}

# The floors of the source, from the ground up. A file includes headers of its own directory and of
# lower floors. Directories on the same floor do not include each other.
my %floor = (
	core => 1, catalog => 2, delta => 2, quality => 3, publish => 4, load => 5, query => 5,
	capture => 6, strategy => 7, transform => 8, look => 9, run => 10, worker => 11);

# src/load/copy.c and src/load/copy.h are one unit, load/copy.
sub unit_of
{
	my ($file) = @_;
	$file =~ s{^.*?\bsrc/}{};
	$file =~ s{\.[ch]$}{};
	return $file;
}

sub room_of
{
	my ($unit) = @_;
	return $unit =~ m{^(\w+)/} ? $1 : '';
}

# Includes lead to lower floors only, and form no circle. A header declares only what its own .c file
# defines, so that there is no circle of calls either. depipe.h is everybody's.
sub check_includes
{
	my @files = @_;
	my %text = map { $_ => without_comments(slurp($_)) } @files;
	my %code = map { unit_of($_) => $text{$_} } grep { /\.c$/ } @files;
	my %known = map { unit_of($_) => 1 } @files;
	my %includes;

	foreach my $file (@files)
	{
		my $unit = unit_of($file);
		my $room = room_of($unit);

		finding($file, $text{$file}, 0,
			"there is no directory \"$room\" among the floors of test/lint.pl")
		  if $room ne '' && !$floor{$room};
		check_declarations($file, $text{$file}, $code{$unit} // '') unless $unit eq 'depipe';
		while ($text{$file} =~ /^#include "([^"]+)\.h"/gm)
		{
			my ($included, $offset) = ($1, $-[0]);
			my $other = room_of($included);

			next if !$known{$included} || $included eq $unit;
			$includes{$unit}{$included} = 1 unless $included eq 'depipe';
			next if $room eq '' || $other eq '' || $room eq $other;
			finding($file, $text{$file}, $offset, "$room/ does not include what is in $other/")
			  if $floor{$other} >= $floor{$room};
		}
	}
	print_circles(\%includes);
	return;
}

# A .c file declares nothing that is defined elsewhere, and a header nothing that its .c file does not
# define.
sub check_declarations
{
	my ($file, $text, $code) = @_;

	while ($text =~ /^(?:\w+ )?extern\b[^;({]*?(\w+)\s*[(;\[]/gm)
	{
		my ($name, $offset) = ($1, $-[0]);

		if ($file =~ /\.c$/)
		{
			finding($file, $text, $offset, "$name is declared outside of a header");
		}
		elsif ($code !~ /^$name\(/m && $code !~ /^(?!extern|static|typedef)\w[^;(=]*\b$name\b[^;(]*[=;]/m)
		{
			finding($file, $text, $offset, "$name is not defined in the .c file of this header");
		}
	}
	return;
}

# Units that depend on themselves, each circle once.
sub print_circles
{
	my ($includes) = @_;
	my (%reached, %told);

	foreach my $unit (keys %$includes)
	{
		my @open = keys %{ $includes->{$unit} };
		while (defined(my $next = shift @open))
		{
			push @open, keys %{ $includes->{$next} || {} } unless $reached{$unit}{$next}++;
		}
	}
	foreach my $unit (sort keys %reached)
	{
		my @circle = sort grep { $reached{$unit}{$_} && $reached{$_}{$unit} } keys %reached;
		my $names = join(' ', @circle);
		print "src/$unit: a circle of includes: $names\n" if @circle && !$told{$names}++;
	}
	return;
}

if ($check eq 'includes')
{
	check_includes(@files);
	exit;
}
die "no check $check\n" unless $checks{$check};
$checks{$check}->($_, slurp($_)) for @files;
