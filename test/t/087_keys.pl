# Keys: a key that does not identify one row of the source at each moment is refused, and a
# contradiction to the source is never applied silently. Consecutive key changes within one
# transaction, with quarantined rows, step by step and at random against a model.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

sub load
{
	my ($name, $more) = @_;

	at_warehouse("SELECT depipe.create_load('raw.$name', server => 'shop', source => 'public.$name'" . ($more // '') . ')');
	return;
}

# ---- refused: keys that do not identify a row

at_source(
	'CREATE TABLE pair (a int, b int, c int UNIQUE, d int UNIQUE DEFERRABLE, v int, PRIMARY KEY (a, b))',
	'ALTER TABLE pair REPLICA IDENTITY FULL, ALTER d SET NOT NULL',
	'INSERT INTO pair VALUES (1, 1, 1, 1, 1), (1, 2, 2, 2, 2)');
foreach my $key ("'a'", "'c'", "'d'", "'v', 'a'")
{
	load('pair', ", key => ARRAY[$key], replace => true");
	my $reason = is_status($warehouse, 'raw.pair', 'failed', "key $key");
	like($reason, qr/does not identify a row/, "key $key: the reason");
}
is_value($warehouse, q{SELECT count(*) FROM depipe.check_source('shop') WHERE NOT ok AND detail LIKE '%does not identify%'}, '1',
	'check_source says so');
load('pair', ", key => ARRAY['b', 'v', 'a'], replace => true");
is_status($warehouse, 'raw.pair', 'succeeded', 'more columns than the primary key');
at_source('UPDATE pair SET v = 3 WHERE b = 1', 'DELETE FROM pair WHERE b = 2');
is_status($warehouse, 'raw.pair', 'succeeded', 'and its changes');
is_same($source, $warehouse, 'pair', 'key with more columns');

# nor does a deferrable primary key: without a key its rows are a bag
make_table($source, $warehouse, 'late', 'id int PRIMARY KEY DEFERRABLE, v text');
at_source('ALTER TABLE late REPLICA IDENTITY FULL', "INSERT INTO late VALUES (1, 'a'), (2, 'b'), (3, 'c')");
refresh($warehouse, 'raw.late');
at_source('UPDATE late SET id = 3 - id WHERE id < 3', 'BEGIN', 'SET CONSTRAINTS ALL DEFERRED', 'UPDATE late SET id = 3 WHERE id = 1',
	"UPDATE late SET id = 1 WHERE v = 'c'", 'COMMIT');
refresh($warehouse, 'raw.late');
is_same($source, $warehouse, 'late', 'keys that change places');

at_source('CREATE TABLE bits (b bit(4) PRIMARY KEY)');
load('bits');
like(is_status($warehouse, 'raw.bits', 'failed', 'a key that cannot be hashed'),
	qr/column "b" cannot be part of a key: values of type bit cannot be hashed/, 'says why');
like(at_warehouse(q{SELECT next FROM depipe.status WHERE target = 'raw.bits'}), qr/key of other columns/, 'and what to do');
at_warehouse(q{SELECT depipe.drop_load('raw.bits')});

# ---- refused: a type or a collation that takes keys for equal that the source tells apart

at_warehouse(q{CREATE COLLATION public.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)},
	'CREATE EXTENSION citext SCHEMA public');
my %coarse = (
	citext => [ 'text', 'public.citext' ],
	loose => [ 'text', 'text COLLATE public.loose' ],
	bpchar => [ 'text', 'char(5)' ],
	uuid => [ 'text', 'uuid' ],
	jsonb => [ 'text', 'jsonb' ],
	citexts => [ 'text[]', 'public.citext[]' ],
	scale => [ 'numeric', 'numeric(5,1)' ],
	seconds => [ 'timestamp', 'timestamp(0)' ]);
foreach my $name (sort keys %coarse)
{
	my ($there, $here) = @{ $coarse{$name} };

	at_source("CREATE TABLE k_$name (k $there PRIMARY KEY, v int)");
	at_warehouse("CREATE TABLE raw.k_$name (k $here PRIMARY KEY, v int)");
	load("k_$name");
	my $reason = is_status($warehouse, "raw.k_$name", 'failed', "$there into $here");
	like($reason, qr/treats values as equal|cannot hold/, "$there into $here: the reason");
	at_warehouse("SELECT depipe.drop_load('raw.k_$name', drop_table => true)");
}
at_source('CREATE EXTENSION citext', 'CREATE TABLE k_same (k citext PRIMARY KEY, v int)', 'CREATE TABLE k_finer (k citext PRIMARY KEY, v int)',
	map { "INSERT INTO $_ VALUES ('A', 1), ('b', 2)" } qw(k_same k_finer));
at_warehouse('CREATE TABLE raw.k_finer (k text PRIMARY KEY, v int)');
load($_) foreach qw(k_same k_finer);
refresh($warehouse, 'raw.k_*');
at_source(map { ("UPDATE $_ SET k = 'a' WHERE k = 'A'", "DELETE FROM $_ WHERE k = 'B'", "INSERT INTO $_ VALUES ('B', 5)") } qw(k_same k_finer));
refresh($warehouse, 'raw.k_*');
is_same($source, $warehouse, $_, 'the same equality, or a finer one') foreach qw(k_same k_finer);

# ---- noticed: what is found against what the source says

sub stopped
{
	my ($name, $pattern, $text, @mended) = @_;
	my $result = refresh($warehouse, 'raw.*');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(state_of($warehouse, "raw.$name"), 'needs_resync', "$text: stops");
	like(at_warehouse("SELECT reason FROM depipe.loads WHERE target = 'raw.$name'"), $pattern, "$text: the reason");
	is($result->{'raw.beside'}{status}, 'succeeded', "$text: the other one goes on");
	at_source(@mended) if @mended;
	at_warehouse("SELECT depipe.resync('raw.$name')");
	refresh($warehouse, 'raw.*');
	is_same($source, $warehouse, $_, "$text: after the resync") foreach ($name, 'beside');
	return;
}

make_table($source, $warehouse, 'plain', 'k text PRIMARY KEY, v int');
make_table($source, $warehouse, 'beside', 'id int PRIMARY KEY');
at_source("INSERT INTO plain SELECT 'k' || n, n FROM generate_series(1, 9) n");
refresh($warehouse, 'raw.*');
my $there = qr/already has/;
my $missing = qr/does not have/;
my $beside = 'INSERT INTO beside SELECT count(*) FROM beside';

foreach my $referenced (0, 1)
{
	my $what = $referenced ? 'referenced' : 'plain';

	at_warehouse('CREATE TABLE public.refers (k text REFERENCES raw.plain)') if $referenced;
	at_warehouse("INSERT INTO raw.plain VALUES ('own', 1)");
	at_source("INSERT INTO plain VALUES ('own', 2)", $beside);
	stopped('plain', $there, "$what: a key that is there already");
	at_warehouse("DELETE FROM raw.plain WHERE k = 'k1'");
	at_source("UPDATE plain SET v = 100 WHERE k = 'k1'", $beside);
	stopped('plain', $missing, "$what: an update of a row that is not there");
	at_warehouse("DELETE FROM raw.plain WHERE k = 'k2'");
	at_source("DELETE FROM plain WHERE k = 'k2'", $beside);
	stopped('plain', $missing, "$what: a deletion of a row that is not there");
	next if $referenced;
	at_warehouse("DELETE FROM raw.plain WHERE k = 'k3'");
	at_source("UPDATE plain SET k = 'k33' WHERE k = 'k3'", $beside);
	stopped('plain', $missing, "$what: a key change of a row that is not there");
	at_warehouse("INSERT INTO raw.plain VALUES ('k44', 1)");
	at_source("UPDATE plain SET k = 'k44' WHERE k = 'k4'", $beside);
	stopped('plain', $there, "$what: a key change onto a key that is there already");
	at_warehouse("INSERT INTO raw.plain VALUES ('short', 1)");
	at_source("BEGIN; INSERT INTO plain VALUES ('short', 2); DELETE FROM plain WHERE k = 'short'; COMMIT", $beside);
	stopped('plain', $there, "$what: a key that is there already, for a moment only");
	at_source("DELETE FROM plain WHERE k IN ('own', 'k33', 'k44')", "INSERT INTO plain VALUES ('k2', 2), ('k3', 3), ('k4', 4)");
	refresh($warehouse, 'raw.*');
	is_same($source, $warehouse, 'plain', "$what: usual changes");
}
at_warehouse('DROP TABLE public.refers');

# the same for changes that were parked
sub parked
{
	at_warehouse(q{SELECT depipe.pause('by hand', 'raw.plain')});
	at_source(@_);
	refresh($warehouse, 'raw.*');
	cmp_ok(at_warehouse(q{SELECT parked FROM depipe.breakers WHERE target = 'raw.plain'}), '>', 0, 'parked');
	at_warehouse(q{SELECT depipe.resume('raw.plain')});
	at_source($beside);
	return;
}

at_source("DELETE FROM plain WHERE k = 'own'", "INSERT INTO plain VALUES ('k2', 2)");
refresh($warehouse, 'raw.*');
at_warehouse("INSERT INTO raw.plain VALUES ('own', 1)");
parked("INSERT INTO plain VALUES ('own', 2)");
stopped('plain', $there, 'parked: a key that is there already');
at_warehouse("DELETE FROM raw.plain WHERE k = 'k1'");
parked("UPDATE plain SET v = 100 WHERE k = 'k1'");
stopped('plain', $missing, 'parked: an update of a row that is not there');
at_warehouse("DELETE FROM raw.plain WHERE k = 'k2'");
parked("UPDATE plain SET v = 5 WHERE k = 'k1'", "DELETE FROM plain WHERE k = 'k2'");
stopped('plain', $missing, 'parked: a deletion of a row that is not there');
parked("DELETE FROM plain WHERE k IN ('own', 'k1')", "INSERT INTO plain VALUES ('k2', 2), ('k1', 1)", "UPDATE plain SET k = 'k0' WHERE k = 'k2'",
	"BEGIN; DELETE FROM plain WHERE k = 'k3'; INSERT INTO plain VALUES ('k3', 33); COMMIT", "UPDATE plain SET k = 'k2' WHERE k = 'k0'");
refresh($warehouse, 'raw.*');
is(state_of($warehouse, 'raw.plain'), 'streaming', 'parked: usual changes');
is_same($source, $warehouse, 'plain', 'parked: usual changes');

# for quarantined rows, and for those that arrive together with a quarantined row
at_warehouse(q{SELECT depipe.add_constraint('raw.plain', depipe.satisfies('v < 1000'), name => 'small', on_violation => 'quarantine')});
at_warehouse("INSERT INTO raw.plain VALUES ('own', 1)");
at_source("INSERT INTO plain VALUES ('own', 2000)", $beside);
stopped('plain', $there, 'set aside: a key that is there already', "UPDATE plain SET v = 2 WHERE k = 'own'");
at_warehouse("DELETE FROM raw.plain WHERE k = 'k1'");
at_source("UPDATE plain SET v = 2000 WHERE k = 'k1'", $beside);
stopped('plain', $missing, 'set aside: an update of a row that is not there', "UPDATE plain SET v = 1 WHERE k = 'k1'");
foreach my $first ("INSERT INTO plain VALUES ('bad', 3000)", "UPDATE plain SET k = 'bad', v = 3000 WHERE k = 'k5'")
{
	foreach my $then ("UPDATE plain SET v = 3001 WHERE k = 'bad'", "UPDATE plain SET v = 5 WHERE k = 'bad'",
		"DELETE FROM plain WHERE k = 'bad'", "UPDATE plain SET k = 'k55', v = 6 WHERE k = 'bad'", "UPDATE plain SET k = 'k5', v = 6 WHERE k = 'bad'")
	{
		next if $first =~ /^INSERT/ && $then =~ /'k5',/; # it is there
		at_source($first);
		refresh($warehouse, 'raw.*');
		is_value($warehouse, q{SELECT count(*) FROM depipe.quarantined(NULL::raw.plain)}, 1, "$first: in quarantine");
		at_warehouse("INSERT INTO raw.plain VALUES ('mine', 1)");
		at_source($then, "INSERT INTO plain VALUES ('mine', 2)", $beside);
		stopped('plain', $there, "$first, $then: a key that is there already",
			"DELETE FROM plain WHERE k IN ('bad', 'mine', 'k5', 'k55')", "INSERT INTO plain VALUES ('k5', 5)");
		at_source($first);
		refresh($warehouse, 'raw.*');
		at_source($then, 'UPDATE plain SET v = v + 1 WHERE v < 900', "DELETE FROM plain WHERE k = 'k6'", "INSERT INTO plain VALUES ('k6', 6)");
		refresh($warehouse, 'raw.*');
		is(state_of($warehouse, 'raw.plain'), 'streaming', "$first, $then: usual changes");
		at_source("DELETE FROM plain WHERE k IN ('bad', 'k5', 'k55')", "INSERT INTO plain VALUES ('k5', 5)");
		refresh($warehouse, 'raw.*');
		is_same($source, $warehouse, 'plain', "$first, $then: usual changes");
	}
}
at_warehouse(q{SELECT depipe.drop_constraint('raw.plain', 'small')}, 'ALTER TABLE raw.plain ALTER k TYPE public.citext');
at_source("BEGIN; INSERT INTO plain VALUES ('x', 1); INSERT INTO plain VALUES ('X', 2); DELETE FROM plain WHERE k = 'X'; COMMIT", $beside);
refresh($warehouse, 'raw.*');
is(state_of($warehouse, 'raw.plain'), 'needs_resync', 'a key that was made coarser later');
is_value($warehouse, q{SELECT reason ~ 'treats values as equal|does not identify' FROM depipe.loads WHERE target = 'raw.plain'}, 't', 'the reason');
is_same($source, $warehouse, 'beside', 'the other one went on');
at_warehouse('ALTER TABLE raw.plain ALTER k TYPE text', q{SELECT depipe.resync('raw.plain')});
ok(converge($warehouse, 'raw.*'), 'and resynced');
is_same($source, $warehouse, 'plain', 'resynced');

# a filter excludes rows that the source changes; an ignored TRUNCATE leaves rows behind
at_source('CREATE TABLE filtered (id int PRIMARY KEY, v int)', 'CREATE TABLE kept (id int PRIMARY KEY, v int)',
	map { "INSERT INTO $_ SELECT n, n FROM generate_series(-3, 3) n" } qw(filtered kept));
load('filtered', ", row_filter => 'v > 0'");
load('kept', ", on_truncate => 'ignore'");
refresh($warehouse, 'raw.*');
at_source('UPDATE filtered SET v = -v', 'DELETE FROM filtered WHERE id < -1', 'UPDATE filtered SET id = id + 10 WHERE id IN (-1, 1)',
	'TRUNCATE kept', 'INSERT INTO kept VALUES (2, 22)', 'DELETE FROM kept', 'INSERT INTO kept VALUES (2, 222)');
refresh($warehouse, 'raw.*');
is(state_of($warehouse, "raw.$_"), 'streaming', "$_ streams") foreach qw(filtered kept);
is_same($source, $warehouse, 'filtered', 'filtered', condition => 'v > 0');
is_value($warehouse, q{SELECT string_agg(id || ' ' || v, ', ' ORDER BY id) FROM raw.kept}, '-3 -3, -2 -2, -1 -1, 0 0, 1 1, 2 222, 3 3', 'ignored');

# ---- chains of key changes with a row that is set aside

make_table($source, $warehouse, 'chain', 'id int PRIMARY KEY, v int, t text');
at_source("INSERT INTO chain SELECT n, n, 'row ' || n FROM generate_series(1, 9) n");
refresh($warehouse, 'raw.chain');
at_warehouse(q{SELECT depipe.add_constraint('raw.chain', depipe.satisfies('v > 0'), name => 'positive', on_violation => 'quarantine')});

sub chain
{
	my ($text, @statements) = @_;

	at_source('BEGIN', @statements, 'COMMIT');
	refresh($warehouse, 'raw.chain');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(state_of($warehouse, 'raw.chain'), 'streaming', "$text: streams");
	is_same($source, $warehouse, 'chain', $text, condition => 'v > 0');
	at_source('UPDATE chain SET v = abs(v)');
	ok(converge($warehouse, 'raw.chain'), "$text: corrected");
	is_same($source, $warehouse, 'chain', "$text, corrected");
	return;
}
chain('moved, deleted, inserted', 'UPDATE chain SET id = 101 WHERE id = 1', 'DELETE FROM chain WHERE id = 101',
	"INSERT INTO chain VALUES (101, -1, 'bad')");
chain('deleted and inserted', 'DELETE FROM chain WHERE id = 2', "INSERT INTO chain VALUES (2, -2, 'bad')");
chain('moved, and another in its place', 'UPDATE chain SET id = 103 WHERE id = 3', "INSERT INTO chain VALUES (3, -3, 'bad')");
chain('moved twice, and another in the middle', 'UPDATE chain SET id = 104 WHERE id = 4', 'UPDATE chain SET id = 204 WHERE id = 104',
	"INSERT INTO chain VALUES (104, -4, 'bad')");
chain('moved onto a deleted one and back', 'DELETE FROM chain WHERE id = 5', 'UPDATE chain SET id = 5 WHERE id = 6',
	'UPDATE chain SET id = 6, v = -6 WHERE id = 5', "INSERT INTO chain VALUES (5, -5, 'bad')");

# ---- at random, against a model

# The rows that the target must have: every good row of the source; for a bad row, its last good
# version, unless that was replaced; and nothing else.
srand($ENV{DEPIPE_SEED} // 11);
my $failures = 0;
my $next = 1000;

at_source('TRUNCATE chain', "INSERT INTO chain SELECT n, n, 'start' FROM generate_series(1, 6) n");
ok(converge($warehouse, 'raw.chain'), 'begin');
foreach my $round (1 .. 24)
{
	my @statements;
	my %rows = map { $_ => 1 } split /\n/, at_source('SELECT id FROM chain');

	foreach my $step (1 .. 1 + int(rand 7))
	{
		my @ids = sort { $a <=> $b } keys %rows;
		my $id = @ids ? $ids[ rand @ids ] : undef;
		my @free = grep { !$rows{$_} } 1 .. 12;
		my $to = @free ? $free[ rand @free ] : $next;
		my $bad = rand() < 0.35 ? '-' : '';
		my $kind = rand;

		$next++;
		if (!defined $id || $kind < 0.3)
		{
			push @statements, "INSERT INTO chain VALUES ($to, $bad$next, 'new')";
			$rows{$to} = 1;
		}
		elsif ($kind < 0.5)
		{
			push @statements, "DELETE FROM chain WHERE id = $id";
			delete $rows{$id};
		}
		elsif ($kind < 0.7)
		{
			push @statements, "UPDATE chain SET v = $bad$next WHERE id = $id";
		}
		else
		{
			push @statements, "UPDATE chain SET id = $to" . (rand() < 0.5 ? ", v = $bad$next" : '') . " WHERE id = $id";
			delete $rows{$id};
			$rows{$to} = 1;
		}
		push @statements, 'COMMIT; BEGIN' if rand() < 0.2;
	}
	at_source('BEGIN', @statements, 'COMMIT');
	at_warehouse(q{SELECT depipe.pause('test', 'raw.chain')}) if rand() < 0.15;
	refresh($warehouse, 'raw.chain');
	if (at_warehouse(q{SELECT count(*) FROM depipe.status WHERE target = 'raw.chain' AND state = 'paused'}))
	{
		at_source("INSERT INTO chain SELECT max(id) + 1, 1, 'later' FROM chain", 'DELETE FROM chain WHERE id > 12');
		refresh($warehouse, 'raw.chain');
		at_warehouse(q{SELECT depipe.resume('raw.chain')});
		refresh($warehouse, 'raw.chain');
	}
	my $good = rows_of($source, 'SELECT id, v FROM chain WHERE v > 0');
	my $bad = at_source("SELECT coalesce(string_agg(id::text, ','), '0') FROM chain WHERE v < 0");
	my $here = rows_of($warehouse, "SELECT id, v FROM raw.chain c WHERE id NOT IN ($bad)
		AND id <> ALL (SELECT coalesce(q.previous_key[1], '0')::int FROM depipe.quarantined_row q)");
	my $held = at_warehouse(q{SELECT coalesce(string_agg(row_key[1], ',' ORDER BY row_key[1]::int), '0') FROM depipe.quarantined_row});
	my $wanted = at_source("SELECT coalesce(string_agg(id::text, ',' ORDER BY id), '0') FROM chain WHERE v < 0");
	my $state = state_of($warehouse, 'raw.chain');

	if ($good ne $here || $held ne $wanted || $state ne 'streaming')
	{
		diag("round $round ($state): " . join('; ', @statements) . "\nquarantined $held, not $wanted\nexpected\n$good\nfound\n$here");
		$failures++;
		last;
	}
	next if $round % 8;
	at_source('UPDATE chain SET v = abs(v)');
	converge($warehouse, 'raw.chain');
	$failures++ unless is_same($source, $warehouse, 'chain', "round $round, corrected");
	last if $failures;
}
is($failures, 0, 'random chains');

done_testing();
