# The documents: every example of README.md and doc/*.md is run, page by page, and what it prints is
# compared with what the page shows.
#
# Each page has a fresh database `shop` on the source server and a fresh `warehouse`. A page that
# links to shop.sql or warehouse.sql begins with these run. Then its blocks follow in order:
#
#	```sql              runs in the warehouse; must not fail
#	```sql shop         runs in the shop (in database postgres, as long as the page has no shop)
#	```sql template     is not run: a form with placeholders, or what needs another system
#	```text             directly below a block: what it prints
#
# Times, days of today, positions in the log and widths of columns count as equal. The directory of a
# failed run (it says which) has the pages as they would have to be in tap/tmp_check/documents.
#
# Also: links lead somewhere, META.json names the pages, the reference names everything that a user
# can call, see or set, and the messages that errors.md explains exist.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $root = abs_path("$FindBin::Bin/../..");
my @pages = ("$root/README.md", sort glob("$root/doc/*.md"));
my $corrected = "$PostgreSQL::Test::Utils::tmp_check/documents";
my $source = DepipeTest::start_node('source');
my $warehouse = DepipeTest::start_node('warehouse');

# ---- blocks of a page

# The blocks between three backquotes: { info, text, first, last, expected }. info is what follows
# the backquotes, lines first to last are the content; expected is a text block that follows with
# nothing but blank lines between.
sub blocks_of
{
	my (@lines) = @_;
	my (@blocks, $open);
	my $adjacent = 0;

	for my $n (0 .. $#lines)
	{
		if (!$open && $lines[$n] =~ /^```(.*)$/)
		{
			$open = { info => $1, text => '', first => $n + 1 };
		}
		elsif ($open && $lines[$n] eq '```')
		{
			$open->{last} = $n - 1;
			if ($open->{info} eq 'text' && $adjacent)
			{
				$blocks[-1]{expected} = $open;
			}
			else
			{
				push @blocks, $open;
			}
			$adjacent = $open->{info} ne 'text';
			undef $open;
		}
		elsif ($open)
		{
			$open->{text} .= "$lines[$n]\n";
		}
		elsif ($lines[$n] ne '')
		{
			$adjacent = 0;
		}
	}
	die "a block is not closed\n" if $open;
	return @blocks;
}

# ---- running a block

# Where the pages say "your server", the test has its own.
sub with_our_server
{
	my ($sql) = @_;
	my $ours = "host '" . $source->host . "', port '" . $source->port . "'";

	$sql =~ s{host '[/\w.]+'(?:, port '\d+')?}{$ours}g;
	return $sql;
}

# What psql prints, errors included, and its exit status.
sub psql_output
{
	my ($node, $database, $sql, $stop) = @_;
	my $output = '';
	my @command = ($node->installed_command('psql'), '-X', '-q', '-v', "ON_ERROR_STOP=$stop", '-d', $database);

	local %ENV = $node->_get_env(PGTZ => 'UTC');
	IPC::Run::run(\@command, '<', \$sql, '>&', \$output);
	return ($output, $? >> 8);
}

# What may differ from one run to the next.
sub normal
{
	my ($text) = @_;

	$text =~ s/\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?:\+00)?/<time>/g;
	$text =~ s/\b(?:\d+ days? )?\d\d:\d\d:\d\d(?:\.\d+)?\b/<interval>/g;
	$text =~ s/\b[0-9A-F]+\/[0-9A-F]+\b/<position>/g;
	$text =~ s/\b20(?!26-03)\d\d-\d\d-\d\d\b/<date>/g;
	$text =~ s/-{2,}/-/g;
	$text =~ s/[ \t]+/ /g;
	$text =~ s/ $//gm;
	$text =~ s/\s+\z/\n/;
	return $text;
}

sub has_shop
{
	return $source->safe_psql('postgres', q{SELECT count(*) FROM pg_database WHERE datname = 'shop'});
}

# Run a block and compare. Returns what it printed.
sub run_block
{
	my ($page, $block) = @_;
	my $name = "$page, line $block->{first}";
	my @where = $block->{info} eq 'sql shop' ? ($source, has_shop() ? 'shop' : 'postgres') : ($warehouse, 'warehouse');
	my $expected = $block->{expected} && normal($block->{expected}{text});
	my $fails = defined $expected && $expected =~ /^ERROR:/m ? 1 : 0;
	my ($output, $status) = psql_output(@where, with_our_server($block->{text}), 1 - $fails);

	ok($fails || $status == 0, "$name: runs") || diag($output);
	is(normal($output), $expected, "$name: prints what the page shows") if defined $expected;
	return $output;
}

# ---- pages

sub begin_page
{
	my ($text) = @_;

	$warehouse->safe_psql('postgres', 'DROP DATABASE IF EXISTS warehouse WITH (FORCE)');
	$source->safe_psql('postgres',
		'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL');
	$source->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_replication_slots WHERE active');
	$source->safe_psql('postgres', 'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
	$source->safe_psql('postgres', 'DROP DATABASE IF EXISTS shop WITH (FORCE)');
	$warehouse->safe_psql('postgres',
		q{SELECT format('DROP ROLE %I', rolname) FROM pg_roles
		WHERE NOT rolsuper AND rolname !~ '^pg_|^depipe_operator$' \gexec});
	$warehouse->safe_psql('postgres', 'CREATE DATABASE warehouse');
	my @files = ([ 'shop.sql', $source, 'shop' ], [ 'warehouse.sql', $warehouse, 'warehouse' ]);
	foreach my $file (@files)
	{
		my ($name, $node, $database) = @$file;

		next unless $text =~ /\]\($name\)/;
		$source->safe_psql('postgres', 'CREATE DATABASE shop') if $name eq 'shop.sql';
		my ($output, $status) =
		  psql_output($node, $database, with_our_server(slurp_file("$root/doc/$name")), 1);
		is($status, 0, "$name runs") || diag($output);
	}
	return;
}

sub test_page
{
	my ($file) = @_;
	my $page = basename($file);
	my $text = slurp_file($file);
	my @lines = split /\n/, $text, -1;
	my @blocks = blocks_of(@lines);

	begin_page($text) if $text =~ /^```sql(?! template)/m;
	foreach my $block (@blocks)
	{
		next if $block->{info} !~ /^sql/ || $block->{info} eq 'sql template';
		like($block->{info}, qr/^sql(?: shop)?$/, "$page, line $block->{first}: a known kind of block");
		my $output = run_block($page, $block);
		$output =~ s/\s+\z//;
		$block->{output} = [ map { s/\s+$//r } split /\n/, $output ];
	}
	foreach my $block (reverse grep { $_->{expected} && $_->{output} } @blocks)
	{
		my ($first, $last) = @{ $block->{expected} }{qw(first last)};

		splice @lines, $first, $last - $first + 1, @{ $block->{output} };
	}
	append_to_file("$corrected/$page", join("\n", @lines));
	return;
}

# ---- links, and what the pages have to name

# The names of a page's headings, as they stand in links.
sub anchors_of
{
	my ($file) = @_;
	my %anchors;

	foreach my $heading (slurp_file($file) =~ /^#+ (.+)$/mg)
	{
		$heading = lc($heading);
		$heading =~ s/[^\w\- ]//g;
		$heading =~ s/ /-/g;
		$anchors{$heading} = 1;
	}
	return \%anchors;
}

sub test_links
{
	my ($file) = @_;
	my $text = slurp_file($file);
	my @broken;

	$text =~ s/^```.*?^```$//msg;
	while ($text =~ /\]\(([^)#\s]*)(?:#([^)\s]+))?\)/g)
	{
		my ($path, $anchor) = ($1, $2);
		my $to = $path eq '' ? $file : dirname($file) . "/$path";

		next if $path =~ /^https?:/;
		push @broken, "$path#" . ($anchor // '')
		  if !-e $to || defined $anchor && !anchors_of($to)->{$anchor};
	}
	is("@broken", '', basename($file) . ': links lead somewhere');
	return;
}

# The reference: its words in code, and those of them that it calls internal.
my $reference = slurp_file("$root/doc/reference.md");
my %named = words_of($reference);
my %internal = words_of($reference =~ s/.*^## Internal objects$//msr);

sub words_of
{
	my ($text) = @_;

	return map { $_ => 1 } map { /[\w.]+/g } $text =~ /^```.*?^```$|`[^`\n]+`/msg;
}

# The names that a query finds, and that the reference does not have. A second column is the
# function that the name belongs to: those of internal functions need not be there.
sub not_named
{
	my ($query) = @_;
	my %missing;

	foreach my $row (split /\n/, $warehouse->safe_psql('warehouse', $query))
	{
		my ($name, $of) = split /\|/, $row;

		$missing{$name} = 1 unless $named{$name} || defined $of && $internal{$of};
	}
	return join(' ', sort keys %missing);
}

# Messages that errors.md explains, in its first columns, must be in the sources: each text between
# backquotes, with words for its "…", is to match a text of the program, whose %s stand for anything.
sub unknown_messages
{
	my @texts;
	my @unknown;

	foreach my $file (glob("$root/src/*.c $root/src/*/*.c"))
	{
		my $program = slurp_file($file);

		while ($program =~ /(?:"(?:\\.|[^"\\\n])*"\s*)+/g)
		{
			my $text = join('', $& =~ /"((?:\\.|[^"\\])*)"/g) =~ s/\\"/"/gr;

			push @texts, $text if $text =~ /[a-z]{2,} /;
		}
	}
	my @patterns = map { join('.*', map { quotemeta } split /%[-\d.l]*[a-zX]/, $_, -1) =~ s/^\.\*\\:\\ //r } @texts;
	foreach my $cell (slurp_file("$root/doc/errors.md") =~ /^([^|\n]+) \| /mg)
	{
		foreach my $message (grep { / / && !/=>|->|^'/ } $cell =~ /`([^`]+)`/g)
		{
			(my $example = $message) =~ s/…/x/g;
			push @unknown, $message unless grep { $example =~ /^$_$/ } @patterns;
		}
	}
	return @unknown;
}

mkdir $corrected;
$source->safe_psql('postgres',
	q{DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'postgres') THEN CREATE ROLE postgres SUPERUSER LOGIN; END IF; END $$});
test_page($_) foreach @pages;
test_links($_) foreach @pages;

cmp_ok(scalar(my @lines = split /\n/, slurp_file("$root/README.md")), '<=', 300, 'the README is a front page');

my $meta = JSON::PP::decode_json(slurp_file("$root/META.json"));
is_deeply([ sort @{ $meta->{x_documents} || [] } ], [ map { "doc/" . basename($_) } grep { !/README/ } @pages ],
	'META.json names the pages');
ok(-e "$root/$meta->{provides}{depipe}{docfile}", 'and the one to begin with');

is(join("\n", unknown_messages()), '', 'messages that are explained exist');
is(join(' ', grep { !-e "$root/src/$_" } slurp_file("$root/doc/internals.md") =~ m{`(?:src/)?((?:\w+/)?\w+\.[ch])`}g),
	'', 'files of the internals exist');

begin_page('');
$warehouse->safe_psql('warehouse', 'CREATE EXTENSION depipe');
my $members = q{(SELECT p.* FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
	WHERE d.deptype = 'e' AND p.pronamespace = 'depipe'::regnamespace) p};
is(not_named("SELECT DISTINCT proname FROM $members"), '', 'the reference names every function');
is(not_named("SELECT DISTINCT a, proname FROM $members, unnest(proargnames) a WHERE a <> ''"),
	'', 'and every argument and column of the results');
my $views = q{(SELECT * FROM pg_class WHERE relnamespace = 'depipe'::regnamespace AND relkind = 'v'
	AND array_to_string(relacl, ' ') ~ '(^| )=r') c};
is(not_named("SELECT relname FROM $views"), '', 'every view that is for everybody');
is(not_named("SELECT DISTINCT attname FROM pg_attribute JOIN $views ON c.oid = attrelid WHERE attnum > 0"),
	'', 'and each of its columns');
is(not_named(q{LOAD 'depipe'; SELECT name FROM pg_settings WHERE name LIKE 'depipe.%'}), '', 'every setting');

done_testing();
