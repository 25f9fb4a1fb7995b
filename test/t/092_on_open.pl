# on_open: reads and writes of a table are refused while its breaker is open, by every way to it.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('warehouse');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'depipe'\nlog_min_messages = log\nmax_worker_processes = 16\n");
$node->start;

sub at { return $node->safe_psql('postgres', join(";\n", @_)) }

at('CREATE EXTENSION depipe', 'CREATE ROLE reader', 'CREATE ROLE loader',
	'CREATE TABLE t (id int PRIMARY KEY, v int)', 'INSERT INTO t SELECT n, n FROM generate_series(1, 1000) n',
	'CREATE TABLE child (id int REFERENCES t ON DELETE CASCADE)', 'INSERT INTO child VALUES (1)',
	'CREATE VIEW shown AS SELECT id FROM t', 'CREATE MATERIALIZED VIEW kept AS SELECT id FROM t',
	'CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM t $$',
	'CREATE FUNCTION definer() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN (SELECT count(*) FROM t); END $$',
	'CREATE TABLE part (id int, v int) PARTITION BY RANGE (id)', 'CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10)',
	'CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20)', 'INSERT INTO part VALUES (1, 1), (11, 1)',
	'CREATE TABLE parent (id int, v int)', 'CREATE TABLE heir () INHERITS (parent)',
	'GRANT SELECT ON t, shown, part, parent TO reader',
	q{SELECT depipe.add_constraint(x, depipe.not_null('id')) FROM unnest(ARRAY['t', 'part', 'part_2', 'parent', 'heir']::text[]) u (n), format('public.%s', n) x});

my @reads = ('SELECT * FROM t', 'SELECT count(*) FROM t', 'SELECT * FROM shown', 'TABLE t', 'COPY t TO STDOUT', 'COPY (SELECT 1 FROM t) TO STDOUT',
	'SELECT counted()', 'SELECT definer()', 'EXPLAIN SELECT * FROM t', 'CREATE TABLE copy AS SELECT * FROM t', 'REFRESH MATERIALIZED VIEW kept',
	'BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH 1 FROM c; COMMIT', 'WITH x AS (SELECT * FROM t) SELECT 1 FROM x',
	'SELECT 1 WHERE EXISTS (SELECT FROM t WHERE id = 1)', 'DO $$ BEGIN PERFORM 1 FROM t; END $$',
	'SET ROLE reader; SELECT id FROM shown', 'SET debug_parallel_query = on; SELECT 1', 'PREPARE p AS SELECT * FROM t; EXECUTE p',
	"SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SELECT sum(v) FROM t");
@reads = grep { !/debug_parallel/ } @reads;
my @writes = ('INSERT INTO t VALUES (2001, 1)', 'UPDATE t SET v = 2 WHERE id = 2', 'DELETE FROM t WHERE id = 3', "COPY t FROM PROGRAM 'echo 3000,1' WITH (FORMAT csv)",
	'MERGE INTO t USING (SELECT 4 AS id) s ON s.id = t.id WHEN MATCHED THEN UPDATE SET v = 0',
	'INSERT INTO t VALUES (5, 5) ON CONFLICT (id) DO UPDATE SET v = 0', 'WITH w AS (DELETE FROM t WHERE id = 6 RETURNING 1) SELECT 1',
	'TRUNCATE t CASCADE', 'DO $$ BEGIN INSERT INTO t VALUES (2002, 1); END $$', 'PREPARE p AS INSERT INTO t VALUES (2003, 1); EXECUTE p');

sub refused
{
	my ($statement, $text) = @_;
	my ($status, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statement", on_error_stop => 0);

	like($err, qr/QD002/, "$text: $statement");
}

sub allowed
{
	my ($statement, $text) = @_;
	my ($status, undef, $err) = $node->psql('postgres', $statement =~ /BEGIN;/ ? $statement : "SET client_min_messages = warning;\nBEGIN;\n$statement;\nROLLBACK", on_error_stop => 1);

	is($err, '', "$text: $statement");
}

# ---- each mode

allowed($_, 'closed') foreach @reads, @writes;
foreach my $mode (qw(serve_last_good block_reads block_writes block_all))
{
	at("SELECT depipe.configure_breaker('public.t', on_open => '$mode')");
	at(q{SELECT depipe.trip('public.t', 'the books are wrong')});
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	foreach (@reads)
	{
		$mode =~ /reads|all/ ? refused($_, $mode) : allowed($_, $mode);
	}
	foreach (@writes)
	{
		next if $mode eq 'block_reads' && /WHERE|MERGE|CONFLICT/; # they read as well
		$mode =~ /writes|all/ ? refused($_, $mode) : allowed($_, $mode);
	}
	# foreign keys are checked, but cascades write
	allowed('INSERT INTO child VALUES (2)', "$mode: a row that refers to it");
	$session->quit;
	at(q{SELECT depipe.reset('public.t', 'go on')}, q{SELECT * FROM depipe.check_table('public.t')});
	is(at(q{SELECT state FROM depipe.breakers WHERE target = 'public.t'}), 'closed', "$mode: depipe itself may read it");
	allowed($_, "$mode, closed again") foreach 'SELECT * FROM t', 'INSERT INTO t VALUES (2001, 1)';
}

# ---- a session that is there already, with a prepared statement and a cached plan

my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('PREPARE p AS SELECT count(*) FROM t; SELECT counted()');
is($session->query_safe('EXECUTE p'), 1000, 'a prepared statement');
at(q{SELECT depipe.trip('public.t', 'the books are wrong')});
$session->query('EXECUTE p');
like($session->{stderr}, qr/t cannot be read while its breaker is open/, 'is refused in its session from now on');
$session->{stderr} = '';
$session->query('SELECT counted()');
like($session->{stderr}, qr/t cannot be read while its breaker is open/, 'as is a function');
$session->quit;

# ---- who may, and the log

like(($node->psql('postgres', 'SET ROLE reader; SET depipe.allow_blocked_access = on'))[2], qr/permission denied/, 'not everybody may allow it');
my $offset = -s $node->logfile;
allowed('SET depipe.allow_blocked_access = on; SELECT count(*) FROM t; DELETE FROM t WHERE id = 9', 'a superuser may');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile, $offset), qr/LOG: .*t is read although the breaker of .*t is forced_open/, 'and the log says so');
unlike(($node->psql('postgres', 'SET ROLE reader; SELECT * FROM t'))[2], qr/books/, 'the reason is for those who may see it');
like(($node->psql('postgres', 'SELECT * FROM t'))[2], qr/books/, 'such as superusers');

# ---- partitions and inheritance

at(q{SELECT depipe.configure_breaker('public.' || n, on_open => 'block_all') FROM unnest(ARRAY['part_2', 'parent']) n});
at(q{SELECT depipe.trip('public.part_2', 'a leaf')});
refused($_, 'a guarded leaf') foreach 'SELECT * FROM part', 'SELECT * FROM part_2', 'INSERT INTO part VALUES (12, 1)', 'TRUNCATE part', 'DELETE FROM part';
allowed($_, 'a guarded leaf') foreach 'SELECT * FROM part_1', 'INSERT INTO part_1 VALUES (2, 1)';
at(q{SELECT depipe.reset('public.part_2', 'go on')}, q{SELECT * FROM depipe.check_table('public.part_2')},
	q{SELECT depipe.configure_breaker('public.part_2', on_open => 'serve_last_good')},
	q{SELECT depipe.configure_breaker('public.part', on_open => 'block_all')}, q{SELECT depipe.trip('public.part', 'a root')});
refused($_, 'a guarded root') foreach 'SELECT * FROM part', 'SELECT * FROM part_1', 'INSERT INTO part_2 VALUES (12, 1)', 'TRUNCATE part_1';
at(q{SELECT depipe.trip('public.parent', 'a parent')});
refused($_, 'a guarded parent') foreach 'SELECT * FROM parent', 'SELECT * FROM heir', 'UPDATE heir SET v = 1';

# ---- it follows a rename

at('ALTER TABLE t RENAME TO renamed');
refused('SELECT * FROM renamed', 'renamed');
$node->stop;
done_testing();
