# Real data: background workers load this machine's package index, as three related tables of a
# source, while packages are replaced, removed, restored and renamed. Constraints that this data
# violates quarantine rows or warn. A mart is maintained by section and by maintainer. At the end
# everything is exact: published rows, quarantined rows, and the mart, each computed independently
# of depipe.
#
# DEPIPE_TEST_PACKAGES: number of packages (default 8000, or 3000). DEPIPE_TEST_CHANGES: number of
# transactions that change them (default 1000, or 400).

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use DepipeOperations;
use PostgreSQL::Test::Utils;
use Test::More;

my $wanted = $ENV{DEPIPE_TEST_PACKAGES} || how_many(3000, 8000);
my $changes = $ENV{DEPIPE_TEST_CHANGES} || how_many(400, 1000);

# ---- the index, parsed

sub records
{
	my @records;

	open(my $index, '-|:raw', 'apt-cache dumpavail 2>/dev/null') or return;
	{
		local $/ = '';
		@records = <$index>;
	}
	close $index;
	return grep { utf8::decode(my $copy = $_) } @records;
}

# The fields of one record. A continuation line begins with white space.
sub fields_of
{
	my ($record) = @_;
	my %field;

	$record =~ s/\n[ \t]+/ /g;
	foreach my $line (split /\n/, $record)
	{
		$field{lc $1} = $2 if $line =~ /^([\w-]+):[ \t]*(.*)$/;
	}
	return \%field;
}

sub copy_line
{
	my @values = @_;

	foreach my $value (@values)
	{
		$value = '\N', next if !defined $value;
		$value =~ s/\\/\\\\/g;
		$value =~ s/\t/\\t/g;
		$value =~ s/\n/\\n/g;
	}
	return join("\t", @values) . "\n";
}

# "a (>= 1) | b, c" as [position, choice, name, version]
sub alternatives
{
	my ($text) = @_;
	my ($position, @found) = (0);

	foreach my $part (split /\s*,\s*/, $text)
	{
		my $choice = 0;

		$position++;
		foreach my $other (split /\s*\|\s*/, $part)
		{
			push @found, [ $position, ++$choice, $1, $2 ]
			  if $other =~ /^([^\s(:]+)(?::\w+)?\s*(?:\(([^)]*)\))?/;
		}
	}
	return @found;
}

# That many packages: half of them are those that most others depend on, half are spread over the
# rest.
sub sample
{
	my ($number, @all) = @_;
	my (%needed, @chosen);

	return @all if @all <= $number;
	foreach my $record (@all)
	{
		$needed{ $_->[2] }++ foreach alternatives($record =~ /^Depends: (.*)/m ? $1 : '');
	}
	my @by_need = sort { ($needed{$b} // 0) <=> ($needed{$a} // 0) } map { /^Package: (\S+)/m ? $1 : '' } @all;
	my $half = int($number / 2);
	my %wanted = map { $_ => 1 } @by_need[0 .. $half - 1];
	my $step = (@all - $half) / ($number - $half);
	my $next = 0;
	my $passed = 0;

	foreach my $record (@all)
	{
		my $is_wanted = $record =~ /^Package: (\S+)/m && $wanted{$1};

		push @chosen, $record if $is_wanted || $passed >= $next;
		$next += $step if !$is_wanted && $passed >= $next;
		$passed++ if !$is_wanted;
	}
	return @chosen;
}

my @records = records();
plan skip_all => 'this machine has no package index (apt-cache dumpavail)' if @records < 1000;
my (@package, @dependency, %maintainer, %seen);

foreach my $record (sample($wanted, @records))
{
	my $field = fields_of($record);
	my ($name, $architecture) = @$field{qw(package architecture)};

	next if !defined $name || !defined $architecture || $seen{"$name $architecture"}++;
	my $by = $field->{maintainer} // 'nobody';
	$maintainer{$by} //= 1 + keys %maintainer;
	push @package,
	  copy_line(@$field{qw(package architecture version section priority)},
		$maintainer{$by}, @$field{qw(homepage installed-size description tag)}, $record);
	foreach my $kind (qw(depends suggests))
	{
		push @dependency, copy_line($name, $architecture, $kind, @$_, 0)
		  foreach alternatives($field->{$kind} // '');
	}
}
my $packages = @package;
note("$packages packages, " . @dependency . ' dependencies, ' . keys(%maintainer) . ' maintainers');
my $seed = seed();

# ---- source and warehouse

my $settings = "max_wal_size = '2GB'\nshared_buffers = '128MB'\n";
my ($source, $warehouse) =
  source_and_warehouse(source => $settings, warehouse => worker_settings($settings));

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

my %columns = (
	maintainer => 'id int PRIMARY KEY, name text, email text',
	package => q{name text, architecture text, version text, section text, priority text, maintainer int,
		homepage text, installed_size int, description text, tag text, record text,
		PRIMARY KEY (name, architecture)},
	dependency => q{package text, architecture text, kind text, position int, choice int, name text,
		version text, touched int, PRIMARY KEY (package, architecture, kind, position, choice)});

at_source("CREATE TABLE $_ ($columns{$_})") foreach sort keys %columns;
at_source(
	'ALTER TABLE package ALTER record SET STORAGE EXTERNAL',
	'ALTER TABLE package ADD FOREIGN KEY (maintainer) REFERENCES maintainer',
	'ALTER TABLE dependency ADD FOREIGN KEY (package, architecture) REFERENCES package ON UPDATE CASCADE ON DELETE CASCADE');

sub fill
{
	my ($table, @lines) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . "/$table";

	open(my $out, '>:raw', $file) or die "$file: $!";
	print $out @lines;
	close $out;
	at_source("COPY $table FROM '$file'");
	return;
}

fill('maintainer', map { copy_line($maintainer{$_}, /^(.*?)\s*<(.*)>/ ? ($1, $2) : ($_, undef)) }
	  sort keys %maintainer);
fill('package', @package);
fill('dependency', @dependency);

# The original packages, by number, so that they can be restored; and every version that ever
# existed: if the newest version of a package is in quarantine, the warehouse keeps one of those.
at_source(
	'CREATE TABLE first_package AS SELECT row_number() OVER (ORDER BY name, architecture)::int AS n, * FROM package',
	'CREATE TABLE first_dependency AS SELECT p.n, d.* FROM dependency d JOIN first_package p ON p.name = d.package AND p.architecture = d.architecture',
	'ALTER TABLE first_package ADD PRIMARY KEY (n)',
	'CREATE INDEX ON first_dependency (n)',
	'CREATE TABLE version_of_package AS SELECT md5(package::text) FROM package',
	q{CREATE FUNCTION note_version() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN INSERT INTO version_of_package VALUES (md5(NEW::text)); RETURN NULL; END $$},
	'CREATE TRIGGER note_version AFTER INSERT OR UPDATE ON package FOR EACH ROW EXECUTE FUNCTION note_version()',
	'ANALYZE');

# One change at a time of package number n.
at_source(
	q{CREATE FUNCTION key_of(n int, OUT name text, OUT architecture text) LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_advisory_xact_lock(n);
		SELECT p.name, p.architecture INTO name, architecture FROM package p, first_package f
		WHERE f.n = key_of.n AND p.architecture = f.architecture AND p.name IN (f.name, f.name || '-renamed');
	END $$},
	q{CREATE FUNCTION remove(n int) RETURNS void LANGUAGE sql AS $$
		DELETE FROM package p USING key_of(n) k WHERE p.name = k.name AND p.architecture = k.architecture $$},
	q{CREATE FUNCTION put_back(which int, addition text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF (key_of(which)).name IS NULL THEN
			INSERT INTO package SELECT f.name, f.architecture, f.version || addition, section, priority, maintainer,
				homepage, installed_size, description, tag, record FROM first_package f WHERE f.n = which;
			INSERT INTO dependency SELECT package, architecture, kind, position, choice, name, version, touched
			FROM first_dependency f WHERE f.n = which;
		END IF;
	END $$},
	q{CREATE FUNCTION rename(n int) RETURNS void LANGUAGE sql AS $$
		UPDATE package p SET name = CASE WHEN p.name LIKE '%-renamed' THEN left(p.name, -8) ELSE p.name || '-renamed' END
		FROM key_of(n) k WHERE p.name = k.name AND p.architecture = k.architecture $$});

my $schema = join(';', map { "CREATE TABLE raw.$_ ($columns{$_})" } sort keys %columns);
at_warehouse("$schema;CREATE INDEX ON raw.package (name);CREATE INDEX ON raw.dependency (name)");

# ---- what must hold, and does not

# name => [table, rule, policy, SQL condition of a row p that violates it at the source]
my %constraint = (
	size_known => ['package', q{depipe.not_null('installed_size')}, 'quarantine', 'p.installed_size IS NULL'],
	short_description => ['package', q{depipe.satisfies('length(description) <= 80')}, 'quarantine', 'length(p.description) > 80'],
	known_priority => ['package', q{depipe.accepted_values('priority', 'required', 'important', 'standard', 'optional')},
		'quarantine', q{p.priority NOT IN ('required', 'important', 'standard', 'optional')}],
	has_homepage => ['package', q{depipe.not_null('homepage')}, 'warn', 'p.homepage IS NULL'],
	secure_homepage => ['package', q{depipe.matches('homepage', '^https:')}, 'warn', q{p.homepage NOT LIKE 'https:%'}],
	not_too_big => ['package', q{depipe.in_range('installed_size', 0, 500000)}, 'warn', 'p.installed_size > 500000'],
	own_description => ['package', q{depipe.unique('description')}, 'warn',
		'p.description IN (SELECT o.description FROM THEM o GROUP BY 1 HAVING count(*) > 1)'],
	plain_name => ['maintainer', q{depipe.matches('name', '^[ -~]*$')}, 'warn', q{p.name ~ '[^ -~]'}],
	one_name => ['maintainer', q{depipe.unique('email')}, 'warn', 'p.email IN (SELECT o.email FROM THEM o GROUP BY 1 HAVING count(*) > 1)'],
	depends_on_something => ['dependency', q{depipe.relationships('name', 'raw.package', 'name')}, 'warn',
		q{p.kind = 'depends' AND NOT EXISTS (SELECT FROM PACKAGES r WHERE r.name = p.name)}, q{kind = 'depends'}],
	suggests_something => ['dependency', q{depipe.relationships('name', 'raw.package', 'name')}, 'quarantine',
		q{p.kind = 'suggests' AND NOT EXISTS (SELECT FROM PACKAGES r WHERE r.name = p.name)}, q{kind = 'suggests'}]);

sub violations
{
	my ($node, $name, $prefix) = @_;
	my ($table, undef, undef, $condition) = @{ $constraint{$name} };

	$condition =~ s/THEM/$prefix.$table/;
	$condition =~ s/PACKAGES/$prefix.package/;
	return $node->safe_psql('postgres', "SELECT count(*) FROM $prefix.$table p WHERE $condition");
}

foreach my $name (sort keys %constraint)
{
	my $count = violations($source, $name, 'public');

	note("$name: $count rows of the source violate it");
	$constraint{$name}[5] = $count;
}
cmp_ok(scalar(grep { $constraint{$_}[5] > 0 } keys %constraint), '>=', 6, 'most constraints are violated by this data');

my $definition = join(';', map {
	my ($table, $rule, $policy, undef, $filter) = @{ $constraint{$_} };
	"SELECT depipe.add_constraint('raw.$table', $rule, name => '$_', on_violation => '$policy'"
	  . ($filter ? ", filter => \$f\$$filter\$f\$)" : ')')
} sort keys %constraint);

my %mart = (
	section => q{SELECT p.section, count(*) AS packages, sum(p.installed_size) AS size,
		count(*) FILTER (WHERE p.homepage IS NULL) AS homeless, max(length(p.record)) AS longest
		FROM raw.package p GROUP BY p.section},
	maintainer => q{SELECT m.id, m.name, count(p.name) AS packages, count(DISTINCT p.section) AS sections,
		COALESCE(sum(d.n), 0) AS dependencies
		FROM raw.maintainer m LEFT JOIN raw.package p ON p.maintainer = m.id
		LEFT JOIN (SELECT package, architecture, count(*) AS n FROM raw.dependency GROUP BY 1, 2) d
			ON d.package = p.name AND d.architecture = p.architecture
		GROUP BY m.id, m.name},
	needed => q{SELECT p.section, d.kind, count(*) AS n FROM raw.dependency d JOIN raw.package p ON p.name = d.name
		GROUP BY p.section, d.kind});

# ---- loaded while it changes

my $number = "\\set n random(1, $packages)\n";
my $writers = start_pgbench(
	$source,
	[ '-c', 2, '-R', 150, '-t', int($changes / 2), "--random-seed=$seed" ],
	"${number}BEGIN;\nSELECT remove(:n);\nSELECT put_back(:n, '+b1');\nCOMMIT;\n" => 3,
	"${number}SELECT remove(:n);\n" => 3,
	"${number}SELECT put_back(:n, '');\nSELECT put_back(:n % 50 + 1, '');\n" => 4,
	"${number}SELECT rename(:n);\n" => 2,
	"${number}UPDATE package p SET version = version || '.1', installed_size = installed_size + 1 FROM key_of(:n) k WHERE p.name = k.name AND p.architecture = k.architecture;\n" => 4,
	"${number}UPDATE package p SET description = CASE WHEN length(description) > 80 THEN left(description, 70) ELSE rpad(description, 90, '.') END FROM key_of(:n % 200 + 1) k WHERE p.name = k.name AND p.architecture = k.architecture;\n" => 2,
	"${number}UPDATE package p SET record = record || chr(8364), tag = NULL FROM key_of(:n) k WHERE p.name = k.name AND p.architecture = k.architecture;\n" => 1,
	"\\set m random(1, 100)\nUPDATE maintainer SET name = name || ' ' WHERE id = :m;\n" => 1);

add_marker($source, $warehouse);
at_warehouse('BEGIN', $definition,
	(map { "SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.$_', target_lag => '100 ms')" }
		  sort keys %columns),
	'CREATE SCHEMA mart',
	(map { "SELECT depipe.create_transform('mart.$_', \$q\$$mart{$_}\$q\$, target_lag => '500 ms', populate => false)" }
		  sort keys %mart),
	'COMMIT');
wait_until($warehouse, q{SELECT count(*) = 3 FROM depipe.loads WHERE state = 'streaming' AND target <> 'raw.marker'},
	'everything is copied while it changes');
finish_pgbench($writers, 'while it was loaded');
is_value($source, 'SELECT count(*) > 50 FROM version_of_package v WHERE NOT EXISTS (SELECT FROM first_package)
	OR md5 NOT IN (SELECT md5(p::text) FROM package p)', 't', 'packages have changed');
arrives($source, $warehouse, 'after the changes');

# ---- exact

my $bad = join(' OR ', map { "($constraint{$_}[3])" } grep { $constraint{$_}[2] eq 'quarantine' && $constraint{$_}[0] eq 'package' } sort keys %constraint);

# Good rows are published. If the newest version of a package is in quarantine, an earlier good one
# is published, under the key that it had then.
my $same_package = q{regexp_replace(q.name, '-renamed$', '') = regexp_replace(p.name, '-renamed$', '')
	AND q.architecture = p.architecture};
my $same_dependency = q{regexp_replace(q.package, '-renamed$', '') = regexp_replace(d.package, '-renamed$', '')
	AND (q.architecture, q.kind, q.position, q.choice) = (d.architecture, d.kind, d.position, d.choice)};

sub is_exact
{
	my ($when) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_identical($source, $warehouse, 'maintainer', $when);
	is_identical($source, $warehouse, 'package', "$when, quarantine",
		source => "SELECT * FROM package p WHERE $bad",
		target => 'SELECT * FROM depipe.quarantined(NULL::raw.package)');
	is_identical($source, $warehouse, 'package', $when,
		source => "SELECT * FROM package p WHERE NOT COALESCE($bad, false)",
		target => "SELECT * FROM raw.package p WHERE NOT EXISTS (SELECT FROM depipe.quarantined(NULL::raw.package) q
			WHERE $same_package)");
	is_value($warehouse, "SELECT count(*) FROM raw.package p WHERE $bad", 0, "$when: nothing violating is published");
	my @kept = split /\n/, at_warehouse(
		"SELECT md5(p::text) FROM raw.package p JOIN depipe.quarantined(NULL::raw.package) q ON $same_package");
	is_value($source, "SELECT count(*) FROM unnest(ARRAY[" . join(', ', "''", map { "'$_'" } @kept)
		  . "]) k WHERE k <> '' AND NOT EXISTS (SELECT FROM version_of_package v WHERE v.md5 = k)",
		0, "$when: what is published of rows in quarantine (" . @kept . ') is a version that was there');
	is_value($warehouse, "SELECT count(*) FROM (SELECT FROM raw.package p JOIN depipe.quarantined(NULL::raw.package) q ON $same_package
		GROUP BY q.name, q.architecture HAVING count(*) > 1) x", 0, "$when: and only one version of each");
	return;
}

# Dependencies: each row is published or quarantined, and the quarantined ones refer to nothing.
sub is_exact_dependency
{
	my ($when) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_identical($source, $warehouse, 'dependency', $when,
		target => "SELECT * FROM raw.dependency d WHERE NOT EXISTS (SELECT FROM depipe.quarantined(NULL::raw.dependency) q
			WHERE $same_dependency) UNION ALL SELECT * FROM depipe.quarantined(NULL::raw.dependency)");
	is_value($warehouse, 'SELECT count(*) FROM depipe.quarantined(NULL::raw.dependency) q WHERE kind <> $$suggests$$ OR EXISTS (SELECT FROM raw.package p WHERE p.name = q.name)',
		0, "$when: nothing is kept out without a reason");
	return;
}

is_exact('after the changes');
is_exact_dependency('after the changes');

# A row whose referenced row was deleted stays, because it did not change. Every row that passes the
# gate now is evaluated against the current rows.
at_source(q{UPDATE dependency SET touched = touched + 1 WHERE kind = 'suggests'});
arrives($source, $warehouse, 'suggestions are touched');
is_exact_dependency('suggestions are touched');
is_value($warehouse, q{SELECT count(*) FROM raw.dependency d WHERE kind = 'suggests' AND touched = 1
	AND NOT EXISTS (SELECT FROM raw.package p WHERE p.name = d.name)}, 0, 'nothing that refers to nothing is let in');
my %there = map { $_ => 1 } split /\n/, at_warehouse('SELECT DISTINCT name FROM raw.package');
my @expected = grep { !$there{$_} } split /\n/, at_source(q{SELECT name FROM dependency WHERE kind = 'suggests'});
is_value($warehouse, q{SELECT count(*) FROM depipe.quarantine WHERE target = 'raw.dependency'}, scalar(@expected),
	'as many are set aside as refer to nothing: ' . @expected);

# ---- what the constraints count

my $checked = at_warehouse(join(' UNION ALL ', map { "SELECT constraint_name, violations FROM depipe.check_table('raw.$_')" } sort keys %columns) . ' ORDER BY 1');
my %counted = map { split /\|/, $_ } split /\n/, $checked;
foreach my $name (sort grep { $constraint{$_}[2] eq 'warn' } keys %constraint)
{
	is($counted{$name}, violations($warehouse, $name, 'raw'), "$name is violated by so many published rows");
}
is_value($warehouse, q{SELECT string_agg(DISTINCT constraint_name, ' ' ORDER BY constraint_name) FROM depipe.incidents},
	join(' ', sort grep { $constraint{$_}[5] > 0 } keys %constraint), 'there was an incident for each constraint that is violated');
is_value($warehouse, q{SELECT string_agg(target, ' ' ORDER BY target) FROM depipe.status WHERE incomplete},
	'mart.maintainer mart.needed mart.section raw.dependency raw.package', 'what lacks rows, and what reads it, says so');

# ---- the mart

sub mart_is_exact
{
	my ($when) = @_;

	foreach my $name (sort keys %mart)
	{
		wait_until($warehouse, "SELECT NOT EXISTS ((TABLE mart.$name EXCEPT ALL ($mart{$name})) UNION ALL (($mart{$name}) EXCEPT ALL TABLE mart.$name))",
			"$when: mart.$name is its query");
	}
	return;
}

mart_is_exact('after the changes');
is_value($source, q{SELECT sum(length(record)) > 100000 FROM package}, 't', 'texts are large');

# ---- put right at the source

at_source('UPDATE package SET description = left(description, 80) WHERE length(description) > 80',
	q{UPDATE package SET priority = 'optional' WHERE priority NOT IN ('required', 'important', 'standard', 'optional')},
	'UPDATE package SET installed_size = 0 WHERE installed_size IS NULL');
arrives($source, $warehouse, 'put right');
is_value($warehouse, q{SELECT count(*) FROM depipe.quarantine WHERE target = 'raw.package'}, 0, 'put right: no package is kept out');
is_identical($source, $warehouse, 'package', 'put right');
wait_until($warehouse, q{SELECT NOT EXISTS (SELECT FROM depipe.quarantined(NULL::raw.dependency) q JOIN raw.package p ON p.name = q.name)},
	'put right: suggestions of what is back are tried again');
is_exact_dependency('put right');
mart_is_exact('put right');

# ---- verify agrees, with the workers out of its way

at_warehouse('ALTER SYSTEM SET depipe.enabled = off', 'SELECT pg_reload_conf()');
wait_until($warehouse, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type IN ('depipe stream worker', 'depipe run worker'))}, 'workers end');
at_warehouse('ALTER SYSTEM RESET depipe.enabled');
is_value($warehouse, "SET depipe.enabled = on; SELECT count(*) FROM depipe.verify('$_') WHERE explained_by IS NULL", 0, "verify agrees: $_")
  foreach (map { "raw.$_" } sort keys %columns), (map { "mart.$_" } sort keys %mart);
is_value($warehouse, q{SELECT count(*) FROM depipe.runs WHERE status NOT IN ('succeeded', 'nothing', 'running', 'skipped')
	AND NOT (status = 'blocked' AND target LIKE 'mart.%' AND reason ~ 'new$|copying|waits for a free worker|catching up')}, 0, 'no run failed, and none was blocked once its inputs were copied');

done_testing();
