# A transaction that is larger than depipe.batch_memory is folded on disk, and parked changes are
# published in parts: the result is identical, row by row, and memory is bounded.
#
# DEPIPE_SEED repeats the random changes. DEPIPE_TEST_ROUNDS is the number of transactions (default
# 3).

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use DepipeOperations;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = seed();
my $rounds = $ENV{DEPIPE_TEST_ROUNDS} || 3;
my ($source, $warehouse) = source_and_warehouse(
	warehouse => "shared_buffers = 16MB\nmax_wal_size = 4GB\n", source => "max_wal_size = 4GB\n");

# ---- two databases take the same changes: one folds on disk, the other in memory

my @databases = qw(small large);
my %settings = (
	small => q{SET depipe.batch_memory = '64kB'; SET work_mem = '256MB'; SET depipe.batch_rows = 10000000},
	large => q{SET depipe.batch_memory = '1GB'; SET work_mem = '256MB'; SET depipe.batch_rows = 10000000});
my @tables = qw(items pairs copies);

$source->safe_psql('postgres', q{
	CREATE TABLE items (id int PRIMARY KEY, n int, note text, doc text);
	ALTER TABLE items ALTER doc SET STORAGE EXTERNAL;
	INSERT INTO items SELECT n, n, 'n', repeat(md5(n::text), 100) FROM generate_series(1, 150) n;
	CREATE TABLE pairs (a text, b numeric, n int, doc text, PRIMARY KEY (a, b));
	ALTER TABLE pairs ALTER doc SET STORAGE EXTERNAL;
	INSERT INTO pairs SELECT n, n % 7, n, repeat(md5(n::text), 100) FROM generate_series(1, 150) n;
	CREATE TABLE copies (n int, note text);
	ALTER TABLE copies REPLICA IDENTITY FULL;
	INSERT INTO copies SELECT n % 5, n % 3 FROM generate_series(1, 50) n});

my ($host, $port) = ($source->host, $source->port);
foreach my $database (@databases)
{
	$warehouse->safe_psql('postgres', "CREATE DATABASE $database");
	$warehouse->safe_psql($database, qq{CREATE EXTENSION depipe; CREATE SCHEMA raw;
		CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (host '$host', port '$port', dbname 'postgres');
		CREATE USER MAPPING FOR CURRENT_USER SERVER shop;} . join('', map {
			"SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.$_');" } @tables));
	$warehouse->safe_psql($database, q{CALL depipe.run('raw.*')});
}

# One transaction of random changes, with keys that change repeatedly and change back, documents
# that are not sent again, rows that are deleted and inserted again, and sometimes a TRUNCATE.
sub change_source
{
	my ($round, $truncate) = @_;
	my $random = ($seed % 1000 + $round / 100) / 1100;

	$source->safe_psql('postgres', qq{DO \$\$
		DECLARE a int; b int; r float; BEGIN
		PERFORM setseed($random);
		FOR i IN 1 .. 3000 LOOP
			a := 1 + random() * 400; b := 1 + random() * 400; r := random();
			IF r < .25 THEN
				INSERT INTO items VALUES (a, i, 'new', repeat(md5(i::text), 80)) ON CONFLICT (id) DO UPDATE SET n = i;
			ELSIF r < .45 THEN UPDATE items SET n = i WHERE id = a;
			ELSIF r < .55 THEN UPDATE items SET doc = repeat(md5(i::text), 90) WHERE id = a;
			ELSIF r < .70 THEN UPDATE items SET id = b, n = i WHERE id = a AND NOT EXISTS (SELECT FROM items WHERE id = b);
			ELSIF r < .80 THEN DELETE FROM items WHERE id = a;
			ELSIF r < .85 THEN INSERT INTO pairs VALUES (a, b % 7, i, repeat(md5(i::text), 80)) ON CONFLICT DO NOTHING;
			ELSIF r < .90 THEN UPDATE pairs SET n = i WHERE pairs.a = change.a::text;
			ELSIF r < .93 THEN UPDATE pairs SET b = pairs.b + 7, n = i WHERE pairs.a = change.a::text AND pairs.b = (SELECT max(p.b) FROM pairs p WHERE p.a = change.a::text);
			ELSIF r < .95 THEN DELETE FROM pairs WHERE pairs.a = change.a::text;
			ELSIF r < .97 THEN INSERT INTO copies VALUES (a % 5, b % 3);
			ELSIF r < .98 THEN DELETE FROM copies WHERE ctid = (SELECT min(ctid) FROM copies);
			ELSE UPDATE copies SET n = b % 5 WHERE ctid = (SELECT min(ctid) FROM copies);
			END IF;
			IF $truncate AND i = 1500 THEN TRUNCATE items, pairs; END IF;
		END LOOP; END \$\$} =~ s/DECLARE/<<change>> DECLARE/r);
	return;
}

sub run_loads
{
	my ($database, $held) = @_;
	my ($status, undef, $errors) = $warehouse->psql($database, "$settings{$database}; CALL depipe.run('raw.*')", on_error_stop => 1);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($errors, $held ? qr/blocked: paused: compare/ : qr/^$/, "a run in $database");
	return;
}

# The park contains everything that a fold has found.
my $parked = q{SELECT t.table_name, p.item, p.kind, p.commit_time, p.weight, p.image, p.unknown, p.pair, p.base_key, p.batch
	FROM depipe.parked_item p JOIN depipe.target t USING (target_id) ORDER BY 1, 2};

sub same_park
{
	my ($name, $truncated) = @_;
	my ($small, $large) = map { rows_in($_, $parked) } @databases;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$truncated || is(rows_in('large', q{SELECT pg_catalog.concat_ws(' ', count(*) > 100, count(pair) > 10, count(unknown) > 5,
		(SELECT count(*) > 0 FROM depipe.parked_item a JOIN depipe.parked_item b USING (target_id, batch)
		WHERE a.unknown IS NOT NULL AND a.pair = b.item)) FROM depipe.parked_item}), 't t t t',
		"$name: rows, key changes and incomplete rows are parked") || diag("DEPIPE_SEED=$seed");
	ok($small eq $large, "$name: folded on disk as in memory") || diag("DEPIPE_SEED=$seed");
	return;
}

sub rows_in
{
	my ($database, $query) = @_;

	return $warehouse->safe_psql($database, $query);
}

sub same_tables
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $table (@tables)
	{
		my $expected = $source->safe_psql('postgres', "SELECT md5(string_agg(t::text, '/' ORDER BY t::text)) FROM public.$table t");

		is(rows_in($_, "SELECT md5(string_agg(t::text, '/' ORDER BY t::text)) FROM raw.$table t"), $expected, "$name: $table, $_")
		  foreach @databases;
	}
	return;
}

sub spilled
{
	return rows_in('small', q{SELECT temp_files FROM pg_stat_database WHERE datname = 'small'});
}

my $before = spilled();
for my $round (1 .. $rounds)
{
	my $is_held = $round % 2;

	$warehouse->safe_psql($_, q{SELECT depipe.pause('compare', 'raw.*')}) foreach $is_held ? @databases : ();
	change_source($round, $round % 3 == 0 ? 'true' : 'false');
	run_loads($_, $is_held) foreach @databases;
	if ($is_held)
	{
		same_park("transaction $round", $round % 3 == 0);
		# another one upon it
		change_source($round + 0.5, 'false');
		run_loads($_, 1) foreach @databases;
		same_park("transaction $round and the next", $round % 3 == 0);
		$warehouse->safe_psql($_, q{SELECT depipe.resume('raw.*')}) foreach @databases;
		run_loads($_) foreach @databases;
	}
	same_tables("transaction $round");
	is(rows_in($_, q{SELECT string_agg(DISTINCT state, ',') FROM depipe.loads}), 'streaming', "transaction $round: $_ goes on") foreach @databases;
}
ok($warehouse->poll_query_until('small', "SELECT temp_files > $before FROM pg_stat_database WHERE datname = 'small'"),
	'it was on disk');

done_testing();
