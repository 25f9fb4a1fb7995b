# Targets that keep deleted rows (soft_delete) or every version (scd2), compared with what a trigger
# at the source wrote down: each transaction of the source makes at most one version of a row, however
# its changes were batched, parked, held or interrupted by crashes.
#
# DEPIPE_SEED repeats the choices of a run. DEPIPE_ROUNDS sets their number.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeHistory;
use DepipeTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = $ENV{DEPIPE_ROUNDS} || how_many(8, 60);
my $seed = $ENV{DEPIPE_SEED} || int(rand(1_000_000));
srand($seed);
diag("seed $seed");

my ($source, $warehouse) = source_and_warehouse(source => "track_commit_timestamp = on\n");

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

sub create
{
	my ($name, $history, @more) = @_;

	return at_warehouse("SELECT depipe.create_load('raw.$name', server => 'shop', source => 'public.$name',"
		  . join(', ', " history => '$history'", @more) . ')');
}

# The error of a run of this load.
sub run_error
{
	my ($target) = @_;

	$warehouse->psql('postgres', "CALL depipe.run('$target')");
	return at_warehouse("SELECT error_sqlstate || ' ' || error_message FROM depipe.runs"
		  . " WHERE target = '$target' ORDER BY run_id DESC LIMIT 1");
}

record_changes($source, $warehouse);

# One statement of a random transaction.
sub random_statement
{
	my ($name) = @_;
	my ($k, $l) = map { 1 + int rand 25 } 1 .. 2;
	my $v = int rand 3;
	my $note = rand() < 0.3 ? "repeat(md5(random()::text), 80)" : "'short'";
	my @choices = (
		("INSERT INTO $name VALUES ($k, $v, $note) ON CONFLICT DO NOTHING") x 4,
		("UPDATE $name SET v = $v WHERE k = $k") x 5,
		"UPDATE $name SET v = v WHERE k = $k",
		"UPDATE $name SET note = $note WHERE k = $k",
		("DELETE FROM $name WHERE k = $k") x 3,
		"DELETE FROM $name WHERE k = $k; INSERT INTO $name VALUES ($k, $v, $note)",
		"UPDATE $name SET k = $l WHERE k = $k AND NOT EXISTS (SELECT FROM $name WHERE k = $l)");

	push @choices, "TRUNCATE $name" if rand() < 0.15;
	return $choices[ rand @choices ];
}

sub random_transactions
{
	my ($count, @names) = @_;
	my @statements;

	for (1 .. $count)
	{
		push @statements, 'BEGIN';
		push @statements, map { random_statement($names[ rand @names ]) } 1 .. 1 + rand 4;
		push @statements, rand() < 0.1 ? 'ROLLBACK' : 'COMMIT';
	}
	return at_source(@statements);
}

# ---- soft_delete, step by step

make_audited('soft');
create('soft', 'soft_delete');
at_warehouse(q{CALL depipe.run('raw.soft')});
my $copied_soft = at_source('SELECT clock_timestamp()');
is_value($warehouse, q{SELECT count(*), count(_deleted_at) FROM raw.soft}, '12|0', 'copied, with a column');
at_source('UPDATE soft SET v = 100 WHERE k = 1', 'DELETE FROM soft WHERE k IN (1, 2)');
at_source(q{INSERT INTO soft VALUES (50, 5, 'brief')});
at_source('DELETE FROM soft WHERE k = 50');
at_source('BEGIN', q{INSERT INTO soft VALUES (51, 5, 'never seen')}, 'DELETE FROM soft WHERE k = 51', 'COMMIT');
at_warehouse(q{CALL depipe.run('raw.soft')});
is_value($warehouse, q{SELECT string_agg(k || ':' || v, ' ' ORDER BY k) FROM raw.soft WHERE _deleted_at IS NOT NULL},
	'1:100 2:2 50:5', 'deleted rows keep their last values, also of rows that lived within a batch');
deleted_like_source('soft', $copied_soft, 'deletions');
is_value($warehouse, q{SELECT deleted FROM depipe.runs WHERE target = 'raw.soft' ORDER BY run_id DESC LIMIT 1}, 3, 'they are counted');
at_source(q{INSERT INTO soft VALUES (2, 22, 'again')});
at_warehouse(q{CALL depipe.run('raw.soft')});
is_value($warehouse, q{SELECT v, _deleted_at IS NULL FROM raw.soft WHERE k = 2}, '22|t', 'an insertion revives the row');

# ---- checks see current rows only

at_source(q{UPDATE soft SET v = 1 WHERE k IN (3, 4)}, 'CREATE TABLE child (id int PRIMARY KEY, k int)');
at_warehouse(q{SELECT depipe.add_constraint('raw.soft', depipe.not_null('note'))},
	q{SELECT depipe.add_constraint('raw.soft', depipe.row_count(11, 11))},
	q{SELECT depipe.create_load('raw.child', server => 'shop', source => 'public.child')}, q{CALL depipe.run('raw.*')},
	q{SELECT depipe.add_constraint('raw.child', depipe.relationships('k', 'raw.soft', 'k'), on_violation => 'warn')});
is_value($warehouse, q{SELECT string_agg(outcome || ' ' || evaluated, ', ') FROM depipe.check_table('raw.soft')},
	'pass 11, pass 11', 'only current rows are evaluated');
at_source('INSERT INTO child VALUES (1, 5), (2, 1)');
at_warehouse(q{CALL depipe.run('raw.*')});
is_value($warehouse, q{SELECT outcome FROM depipe.check_table('raw.child')}, 'warn', 'a deleted row is no parent');
is_value($warehouse, q{SELECT count(*) FROM depipe.verify('raw.soft')}, 0, 'verify compares current rows');

# ---- a new copy ends what is gone, and deletes nothing

at_warehouse(q{SELECT depipe.drop_constraint(target, name) FROM depipe.constraints}, q{SELECT depipe.detach_source('shop')}, q{SELECT depipe.adopt('shop')});
at_source('DELETE FROM soft WHERE k = 6', 'UPDATE soft SET v = 77 WHERE k = 7');
at_warehouse(q{CALL depipe.run('raw.*')});
is_value($warehouse, q{SELECT string_agg(k || ':' || v, ' ' ORDER BY k) FROM raw.soft WHERE _deleted_at IS NOT NULL},
	'1:100 6:6 50:5', 'the copy found a deletion');
is_same($source, $warehouse, 'soft', 'current rows after the copy', source => 'SELECT * FROM soft',
	target => 'SELECT k, v, note FROM raw.soft WHERE _deleted_at IS NULL');

# ---- definitions

at_source(q{CREATE TABLE nokey (a int)}, 'ALTER TABLE nokey REPLICA IDENTITY FULL',
	'CREATE TABLE taken (k int PRIMARY KEY, _deleted_at int)', 'CREATE TABLE plain (k int PRIMARY KEY, v int)',
	'INSERT INTO plain VALUES (1, 1), (2, 2)');
create('nokey', 'soft_delete');
like(run_error('raw.nokey'), qr/^42P16 load raw.nokey has no key/, 'a history needs a key');
create('taken', 'soft_delete');
like(run_error('raw.taken'), qr/^42701 column "_deleted_at" of load raw.taken has the name/, 'names do not collide');
at_warehouse(q{SELECT depipe.drop_load('raw.nokey')}, q{SELECT depipe.drop_load('raw.taken')});
create('taken', 'soft_delete', q{columns => '{"_deleted_at": null, "gone": "_deleted_at"}'});
at_warehouse(q{CALL depipe.run('raw.taken')});
is_value($warehouse, q{SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'raw.taken'::regclass AND attnum > 0},
	'k gone _deleted_at', 'the column can have another name here');
create('plain', 'none');
at_warehouse(q{CALL depipe.run('raw.plain')});
create('plain', 'soft_delete', 'replace => true');
is_value($warehouse, q{SELECT count(*) FROM raw.plain}, 2, 'a load can begin to keep deleted rows');
at_warehouse(q{CALL depipe.run('raw.plain')});
is_value($warehouse, q{SELECT count(*) FROM depipe.verify('raw.plain')}, 0, 'the next run adds the column');
at_source('DELETE FROM plain WHERE k = 1');
at_warehouse(q{CALL depipe.run('raw.plain')});
is_value($warehouse, q{SELECT k, _deleted_at IS NOT NULL FROM raw.plain ORDER BY k}, "1|t\n2|f", 'and keeps them');
fails_like($warehouse, q{SELECT depipe.create_load('raw.plain', server => 'shop', source => 'public.plain', replace => true)},
	'0A000', qr/history of load raw.plain cannot be changed from "soft_delete" to "none"/, 'it cannot forget them');
like(at_warehouse(q{SELECT depipe.definition('raw.plain')}), qr/history => 'soft_delete'/, 'definition() has the history');
at_source('ALTER TABLE plain ADD COLUMN _deleted_at int', 'INSERT INTO plain VALUES (3, 3, 3)');
$warehouse->psql('postgres', q{CALL depipe.run('raw.plain')});
is_value($warehouse, q{SELECT state, reason FROM depipe.loads WHERE target = 'raw.plain'},
	'paused|the source has a new column "_deleted_at", which the history of the load uses', 'nor can the source take the name');
at_warehouse(q{SELECT depipe.drop_load('raw.plain')});

# ---- scd2, step by step

make_audited('versions');
create('versions', 'scd2');
at_warehouse(q{CALL depipe.run('raw.versions')});
my $copied = at_source('SELECT clock_timestamp()');
at_source('UPDATE versions SET v = 10 WHERE k = 1');
at_source('UPDATE versions SET v = 11 WHERE k = 1');
at_source('BEGIN', 'UPDATE versions SET v = 12 WHERE k = 1', 'UPDATE versions SET v = 13 WHERE k = 1', 'COMMIT');
at_source('UPDATE versions SET v = v WHERE k = 2', 'DELETE FROM versions WHERE k = 3');
at_source(q{INSERT INTO versions VALUES (3, 3, 'back')});
at_warehouse(q{CALL depipe.run('raw.versions')});
is_value($warehouse, q{SELECT k, string_agg(v::text || CASE WHEN _is_current THEN '' ELSE '-' END, ' ' ORDER BY _valid_from) FROM raw.versions WHERE k < 4 GROUP BY k ORDER BY k},
	"1|1- 10- 11- 13\n2|2\n3|3- 3", 'one version for each transaction');
versions_like_source('versions', $copied, 'versions');
is_value($warehouse, q{SELECT count(*) FROM depipe.verify('raw.versions')}, 0, 'verify compares current versions');
is_value($warehouse, q{SELECT string_agg(attname, ',' ORDER BY n) FROM pg_index, unnest(indkey) WITH ORDINALITY u(a, n) JOIN pg_attribute ON attnum = a WHERE indrelid = 'raw.versions'::regclass AND attrelid = indrelid AND indisprimary}, 'k,_valid_from', 'its key');
fails_like($warehouse, q{INSERT INTO raw.versions VALUES (1, 1, '', now(), NULL, true)}, '23505', qr/duplicate key/, 'one current version for each key');

# ---- versions that are held

# The versions of a key, in order; the current one is last, unless it has ended.
sub history_of
{
	my ($name, $k) = @_;

	return at_warehouse(qq{SELECT string_agg(v::text || CASE WHEN _is_current THEN '' ELSE '-' END, ' ' ORDER BY _valid_from) FROM raw.$name WHERE k = $k});
}

make_audited('judged');
create('judged', 'scd2');
at_warehouse(q{CALL depipe.run('raw.judged')});
my $copied_judged = at_source('SELECT clock_timestamp()');
at_warehouse(q{SELECT depipe.add_constraint('raw.judged', depipe.satisfies('v >= 0'), on_violation => 'quarantine', name => 'judge')});
at_source('UPDATE judged SET v = -1 WHERE k = 1', 'UPDATE judged SET v = 20 WHERE k = 2');
at_source('UPDATE judged SET v = -3 WHERE k = 3', 'UPDATE judged SET v = 21 WHERE k = 2');
at_warehouse(q{CALL depipe.run('raw.judged')});
is(history_of('judged', 1), '1', 'a version in quarantine is not in the history');
is(history_of('judged', 2), '2- 20- 21', 'others are');
at_source('UPDATE judged SET v = 11 WHERE k = 1', 'DELETE FROM judged WHERE k = 4', 'UPDATE judged SET k = 103, v = -4 WHERE k = 5');
at_warehouse(q{CALL depipe.run('raw.judged')});
is(history_of('judged', 1), '1- 11', 'a later version is');
is(history_of('judged', 5), '5', 'a key change in quarantine leaves the row of the old key');
at_warehouse(q{SELECT depipe.drop_constraint('raw.judged', 'judge')});
at_warehouse(q{CALL depipe.run('raw.judged')});
is(history_of('judged', 3), '3- -3', 'a released version is');
is_value($warehouse, q{SELECT count(*) FROM depipe.verify('raw.judged')}, 0, 'the current versions are those of the source');
is_same($source, $warehouse, 'judged', 'what was released has its own time',
	source => states('judged', $copied_judged) . q{SELECT row, at, until, last FROM z WHERE row IS NOT NULL AND k NOT IN (1)},
	target => qq{SELECT (k, v, md5(note))::text, CASE WHEN _valid_from > '$copied_judged' THEN _valid_from END, _valid_to, _is_current
		FROM raw.judged WHERE k NOT IN (1)});

at_warehouse(q{SELECT depipe.add_constraint('raw.judged', depipe.satisfies('v >= -10'), on_violation => 'break')});
at_source('UPDATE judged SET v = 60 WHERE k = 6');
at_source('UPDATE judged SET v = -66 WHERE k = 6');
at_source('UPDATE judged SET v = 70 WHERE k = 7');
$warehouse->psql('postgres', q{CALL depipe.run('raw.judged')});
is(history_of('judged', 6), '6- 60', 'the breaker lets in what comes before the bad version');
at_source('UPDATE judged SET v = 61 WHERE k = 6');
at_source('UPDATE judged SET v = 71 WHERE k = 7');
$warehouse->psql('postgres', q{CALL depipe.run('raw.judged')});
at_warehouse(q{SELECT depipe.reset('raw.judged', 'corrected at the source')}, q{CALL depipe.run('raw.judged')});
is(history_of('judged', 6) . ', ' . history_of('judged', 7), '6- 60- 61, 7- 71', 'what was parked behind it makes one version');

# ---- clocks

at_warehouse(q{UPDATE raw.judged SET _valid_from = '2100-01-01 00:00:00+00' WHERE k = 8 AND _is_current});
at_source('UPDATE judged SET v = 80 WHERE k = 8');
at_source('UPDATE judged SET v = 81 WHERE k = 8');
at_source('DELETE FROM judged WHERE k = 8');
at_source(q{INSERT INTO judged VALUES (8, 82, 'later')});
at_warehouse(q{CALL depipe.run('raw.judged')});
is_value($warehouse, q{SELECT string_agg(v || ' ' || extract(microseconds FROM _valid_from AT TIME ZONE 'UTC')::int || '-' || COALESCE(extract(microseconds FROM _valid_to AT TIME ZONE 'UTC')::int::text, ''), ', ' ORDER BY _valid_from) FROM raw.judged WHERE k = 8},
	'8 0-1, 80 1-2, 81 2-3, 82 3-', 'versions follow each other although the clock went backwards');
overlaps('judged', 'held');

# ---- at random, with constraints whose state is kept, and transforms

make_audited('many');
create('many', 'soft_delete');
at_warehouse(q{CALL depipe.run('raw.*')});
my $copied_many = at_source('SELECT clock_timestamp()');

at_warehouse('CREATE SCHEMA mart', map { ("SELECT depipe.add_constraint('raw.$_', depipe.row_count(0, 1000))",
	"SELECT depipe.add_constraint('raw.$_', depipe.satisfies('sum(v) < 100000'))",
	"SELECT depipe.add_constraint('raw.$_', depipe.unique('k'))") } qw(many versions));
at_warehouse(q{SELECT depipe.create_transform('mart.live', 'SELECT k, v FROM raw.versions WHERE _is_current')},
	q{SELECT depipe.create_transform('mart.counted', 'SELECT k, count(*) AS n, count(_deleted_at) AS gone FROM raw.many GROUP BY k')});

for my $round (1 .. $rounds)
{
	my $kind = $round < 5 ? $round - 1 : int rand 5;

	random_transactions(20, 'versions', 'many');
	if ($kind == 0)
	{
		at_warehouse(q{SELECT depipe.pause('for a while', 'raw.*')});
		$warehouse->psql('postgres', q{CALL depipe.run('raw.*')});
		random_transactions(10, 'versions', 'many');
		$warehouse->psql('postgres', q{CALL depipe.run('raw.*')}) if rand() < 0.5;
		random_transactions(5, 'versions', 'many') if rand() < 0.5;
		is_value($warehouse, q{SELECT count(*) FROM depipe.loads WHERE target IN ('raw.versions', 'raw.many') AND parked > 0}, 2, "round $round: parked");
		at_warehouse(q{SELECT depipe.resume('raw.*')});
	}
	elsif ($kind == 1)
	{
		my $run = $warehouse->background_psql('postgres', on_error_stop => 0);

		$run->query_until(qr/begun/, "\\echo begun\nCALL depipe.run('raw.*');\n");
		usleep(rand 100_000);
		crash_restart($warehouse);
		eval { $run->quit };
	}
	elsif ($kind == 3)
	{
		# a copy of what is equal changes nothing
		at_warehouse(q{CALL depipe.run('raw.*')}, q{SELECT depipe.resync('raw.versions')}, q{SELECT depipe.resync('raw.many')});
	}
	at_source("ALTER TABLE versions ADD COLUMN extra int DEFAULT $round") if $round == 4;
	$kind == 2 ? refresh($warehouse, 'raw.*') : at_warehouse(q{CALL depipe.run('raw.*')});
	refresh($warehouse, 'mart.*');
	my $same = versions_like_source('versions', $copied, "round $round")
	  & deleted_like_source('many', $copied_many, "round $round");
	is_value($warehouse, q{SELECT string_agg(d, ', ') FROM (SELECT detail::text AS d FROM depipe.check_table('raw.versions') WHERE detail ? 'kept_state' OR outcome <> 'pass'
		UNION ALL SELECT detail::text FROM depipe.check_table('raw.many') WHERE detail ? 'kept_state' OR outcome <> 'pass') x}, '', "round $round: kept state");
	is_value($warehouse, q{SELECT count(*) FROM (SELECT FROM depipe.verify('mart.live') UNION ALL SELECT FROM depipe.verify('mart.counted')) x}, 0, "round $round: transforms");
	last if !$same;
}
overlaps('versions', 'random');
is_value($warehouse, q{SELECT count(DISTINCT target_id) FROM depipe.kept_state}, 2, 'state is kept');
at_source('INSERT INTO versions VALUES (100, 1, $$last$$, 5)');
at_warehouse(q{CALL depipe.run('raw.*')});
is_same($source, $warehouse, 'versions', 'with the added column', source => 'SELECT * FROM versions',
	target => 'SELECT k, v, note, extra FROM raw.versions WHERE _is_current');

done_testing();
