# Kept state of loads: whoever changes their tables, what is kept is right, or it is not kept.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();
my $round = 0;

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

# Another batch: how it was evaluated, whether the numbers are those of the table, and whether what
# is kept is right.
sub batch
{
	my ($strategy, $name, @changes) = @_;

	$round++;
	at_source("UPDATE t SET n = n + 1 WHERE id = 1", @changes);
	refresh($warehouse, 'raw.*');
	is_value($warehouse, q{SELECT string_agg(DISTINCT v.strategy, ' ') FROM depipe.verdicts v WHERE v.target = 'raw.t'
		AND v.run_id = (SELECT max(run_id) FROM depipe.runs WHERE target = 'raw.t')}, $strategy, "$name: how");
	is_value($warehouse, q{SELECT string_agg(metric, ' ' ORDER BY constraint_name) = (SELECT count(*) || ' ' || sum(n) FROM raw.t)
		FROM depipe.verdicts v WHERE v.target = 'raw.t' AND v.run_id = (SELECT max(run_id) FROM depipe.runs WHERE target = 'raw.t')},
		't', "$name: what the batch says");
	is_value($warehouse, q{SELECT count(*) FROM depipe.check_table('raw.t') WHERE detail ? 'kept_state'}, '0', "$name: what is kept");
	return;
}

at_source('CREATE TABLE p (id int PRIMARY KEY)', 'INSERT INTO p VALUES (1), (2), (3)',
	'CREATE TABLE t (id int PRIMARY KEY, p int, n int)', 'INSERT INTO t SELECT i, 1 + i % 3, i FROM generate_series(1, 100) i');
at_warehouse(map { "SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.$_')" } qw(p t));
refresh($warehouse, 'raw.*');
at_warehouse(q{SELECT depipe.add_constraint('raw.t', depipe.row_count(1), name => 'a')},
	q{SELECT depipe.add_constraint('raw.t', depipe.satisfies('sum(n) > 0'), name => 'b')});

batch('scan', 'the first');
batch('kept state', 'the second');
batch('kept state', 'everything', 'INSERT INTO t VALUES (200, 1, 5)', 'UPDATE t SET id = 201 WHERE id = 2',
	'DELETE FROM t WHERE id IN (3, 4)', 'UPDATE t SET n = -n WHERE id < 20');
batch('kept state', 'emptied', 'TRUNCATE t', 'INSERT INTO t SELECT i, 1 + i % 3, i FROM generate_series(1, 50) i');

# ---- users

at_warehouse('CREATE ROLE writer LOGIN', 'GRANT USAGE ON SCHEMA raw TO writer', 'GRANT INSERT, UPDATE, DELETE, SELECT ON raw.t TO writer');
$warehouse->safe_psql('postgres', 'INSERT INTO raw.t VALUES (1000, 1, 7)', extra_params => [ '-U', 'writer' ]);
batch('scan', 'a row of a user');
batch('kept state', 'after it');
at_warehouse('DELETE FROM raw.t WHERE id = 1000');
batch('scan', 'it goes');

# two at once do not wait for each other, and the batch waits for both
my $one = $warehouse->background_psql('postgres');
my $two = $warehouse->background_psql('postgres');
$one->query_safe('BEGIN; INSERT INTO raw.t VALUES (1001, 1, 7)');
$two->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO raw.t VALUES (1002, 1, 7)');
$one->query_safe('COMMIT');
$two->query_safe('COMMIT');
batch('scan', 'two users');

# an old snapshot sees a note that has been heeded since
$one->query_safe('INSERT INTO raw.t VALUES (1003, 1, 7)');
$two->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM depipe.direct_write');
batch('scan', 'a user');
$two->query_safe('INSERT INTO raw.t VALUES (1004, 1, 7)');
$two->query_safe('COMMIT');
batch('scan', 'one with an old snapshot');
batch('kept state', 'after it');
$one->quit;
$two->quit;
at_warehouse(q{SET session_replication_role = replica; DELETE FROM raw.t WHERE id = 1004});
batch('scan', 'as a replica');
at_warehouse('DELETE FROM raw.t WHERE id > 1000');
batch('scan', 'all gone');

# ---- a foreign key: the parent's batch deletes rows that are still there

at_warehouse('ALTER TABLE raw.t ADD FOREIGN KEY (p) REFERENCES raw.p ON DELETE CASCADE');
batch('kept state', 'with a foreign key');
batch('kept state', 'children go before their parent', 'DELETE FROM t WHERE p = 3', 'DELETE FROM p WHERE id = 3');
batch('kept state', 'after it');
at_source('DELETE FROM p WHERE id = 1');
refresh($warehouse, 'raw.*');
batch('scan', 'the parent alone');
at_warehouse('ALTER TABLE raw.t DROP CONSTRAINT t_p_fkey');
batch('kept state', 'without it');

# ---- columns that the source does not have, and a copy of the table

at_warehouse('ALTER TABLE raw.t ADD COLUMN mine int DEFAULT 3');
batch('scan', 'another column', 'INSERT INTO t VALUES (300, 1, 1)');
batch('kept state', 'after it', 'INSERT INTO t VALUES (301, 1, 1)', 'DELETE FROM t WHERE id = 300');
at_warehouse(q{SELECT depipe.resync('raw.t')});
refresh($warehouse, 'raw.*');
batch('kept state', 'after a copy', 'DELETE FROM t WHERE id = 301');

# ---- a crash

crash_restart($warehouse);
refresh($warehouse, 'raw.*');
is_value($warehouse, q{SELECT count(*) FROM depipe.check_table('raw.t') WHERE detail ? 'kept_state'}, '0', 'after a crash');
at_warehouse(q{SELECT depipe.drop_load('raw.t')});
is_value($warehouse, q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 'raw.t'::regclass AND NOT tgisinternal}, '0', 'its triggers are dropped');
is_value($warehouse, 'SELECT count(*) FROM depipe.kept_state', '0', 'and what was kept');
done_testing();
