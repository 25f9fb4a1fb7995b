# What is captured of inputs does not outlive a crash, a dump or an upgrade of its meaning: after a
# clean restart it is used, after a crash, a restore or a copy of the database it is not believed, the
# refresh compares, and capture goes on. Restored triggers do no harm and are replaced.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = DepipeTest::start_node('warehouse', "max_prepared_transactions = 5\n");
my $last = q{SELECT status, strategy, reason FROM depipe.refresh('mart.copy')};
my $exact = q{SELECT count(*) FROM ((TABLE raw.t EXCEPT ALL TABLE mart.copy) UNION ALL (TABLE mart.copy EXCEPT ALL TABLE raw.t)) d};
my $by_changes = qr/^succeeded\|(?:linear|join|keys|full_diff)\|$/; # as the planner estimates their costs
my $changes = q{SELECT COALESCE(min(reason), sum(weight)::text, 'none') FROM public.input_changes('mart.copy')};

sub at
{
	my ($database, @statements) = @_;

	return $node->safe_psql($database, join(';', @statements));
}

# One refresh, what it did, and that both tables are equal.
sub refreshed
{
	my ($database, $expected, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $done = at($database, $last);
	ref $expected ? like($done, $expected, $name) : is($done, $expected, $name);
	is(at($database, $exact), '0', "$name: exact");
	return;
}

at('postgres',
	'CREATE EXTENSION depipe',
	q{CREATE FUNCTION public.input_changes(target text, OUT input text, OUT reason text, OUT weight smallint, OUT image text)
	RETURNS SETOF record LANGUAGE C VOLATILE AS '$libdir/depipe', 'depipe_input_changes'},
	'CREATE SCHEMA raw', 'CREATE SCHEMA mart',
	'CREATE TABLE raw.t (id int, note text) PARTITION BY RANGE (id)',
	'CREATE TABLE raw.t1 PARTITION OF raw.t FOR VALUES FROM (0) TO (100)',
	'CREATE TABLE raw.t2 PARTITION OF raw.t FOR VALUES FROM (100) TO (1000)',
	q{INSERT INTO raw.t SELECT g, 'old' FROM generate_series(1, 150) g},
	q{SELECT depipe.create_transform('mart.copy', 'SELECT * FROM raw.t', key => '{}')});
refreshed('postgres', 'nothing|nothing|', 'nothing has changed');

# ---- a clean restart ----
at('postgres', q{UPDATE raw.t SET note = 'restart' WHERE id < 3});
$node->stop('fast');
$node->start;
is(at('postgres', $changes), '0', 'changes outlive a clean restart');
refreshed('postgres', $by_changes, 'after a clean restart');

# ---- a crash, with a writer that had committed and a prepared one ----
at('postgres', q{UPDATE raw.t SET note = 'crash' WHERE id IN (4, 104)});
at('postgres', 'BEGIN', q{INSERT INTO raw.t VALUES (500, 'prepared')}, q{PREPARE TRANSACTION 'capture'});
$node->stop('immediate');
$node->start;
at('postgres', q{INSERT INTO raw.t VALUES (501, 'after the crash')});
is(at('postgres', $changes), 'changes_lost', 'after a crash nothing is believed');
refreshed('postgres', 'succeeded|full_diff|capture_waits', 'beside a prepared writer');
at('postgres', q{COMMIT PREPARED 'capture'});
refreshed('postgres', 'succeeded|full_diff|', 'after its end');
refreshed('postgres', 'nothing|nothing|', 'and capture goes on');
at('postgres', q{DELETE FROM raw.t WHERE id = 501});
is(at('postgres', $changes), '-1', 'changes are captured again');

# ---- writers that do not end are not waited for ----
at('postgres', 'CREATE TABLE raw.held (id integer)', 'BEGIN', 'INSERT INTO raw.held VALUES (1)', q{PREPARE TRANSACTION 'held'});
my $held = q{SELECT status || '|' || coalesce(reason, '') FROM depipe.refresh('raw.held_copy');};
my ($out, $messages);
$node->psql('postgres', "SELECT depipe.create_transform('raw.held_copy', 'SELECT id FROM raw.held', key => '{}');
	SET client_min_messages = debug1; $held $held", stdout => \$out, stderr => \$messages);
like($out, qr/^nothing\|capture_waits\nnothing\|capture_waits$/m, 'a refresh goes on beside it');
like($messages, qr/writers of held are not waited for: that was in vain before/, 'and does not wait again in this session');
$node->psql('postgres', "SET client_min_messages = debug1; $held", stdout => \$out, stderr => \$messages);
like($messages, qr/writers of held are not waited for: a transaction has been open for long/, 'nor in another one');
at('postgres', q{COMMIT PREPARED 'held'});
like(at('postgres', $held), qr/^succeeded/, 'then its changes are there');
is(at('postgres', $held), 'nothing|', 'and captured');
at('postgres', q{SELECT depipe.drop_transform('raw.held_copy', drop_table => true)}, 'DROP TABLE raw.held');

# ---- dump and restore ----
at('postgres', q{INSERT INTO raw.t VALUES (502, 'dumped')});
my $dump = $node->backup_dir . '/dump.sql';
command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'pg_dump');
my $text = slurp_file($dump);
unlike($text, qr/change_\d+_[12]/, 'no change table is dumped');
like($text, qr/CREATE TRIGGER depipe_capture_insert/, 'triggers are');
at('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ],
	'restored without an error');
is(at('restored', 'SELECT count(*) FROM depipe.capture'), '0', 'nothing is captured there');
at('restored', q{INSERT INTO raw.t VALUES (503, 'restored')}, q{UPDATE raw.t2 SET note = 'restored'});
like(at('restored', $last), qr/^succeeded\|full_diff\|/, 'the first refresh compares');
is(at('restored', $exact), '0', 'and is exact');
is(at('restored', q{SELECT count(*), count(*) FILTER (WHERE tgenabled = 'A') FROM pg_trigger WHERE tgname LIKE 'depipe_capture_%'}),
	'13|13', 'triggers are replaced, not doubled');
refreshed('restored', 'nothing|nothing|', 'capture goes on there');
at('restored', q{INSERT INTO raw.t1 VALUES (99, 'captured')});
is(at('restored', $changes), '1', 'once for each row');
refreshed('postgres', $by_changes, 'the original is as before');

# ---- a copy of the database ----
at('postgres', q{INSERT INTO raw.t VALUES (504, 'template')});
at('template1', 'CREATE DATABASE copied TEMPLATE postgres');
like(at('copied', $last), qr/^succeeded\|full_diff\|other_instance/, 'a copy of the database compares');
is(at('copied', $exact), '0', 'and is exact');
at('copied', q{INSERT INTO raw.t VALUES (505, 'copied')});
like(at('copied', $last), $by_changes, 'and goes on');
is(at('copied', $exact), '0', 'exactly');

# ---- DROP EXTENSION ----
at('copied', 'DROP FUNCTION public.input_changes', 'DROP EXTENSION depipe CASCADE');
is(at('copied', q{SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'depipe%'}), '0', 'DROP EXTENSION takes the triggers');
is(at('copied', q{SELECT count(*) FROM pg_class WHERE relname LIKE 'change\_%'}), '0', 'and the change tables');
at('copied', q{INSERT INTO raw.t VALUES (506, 'free')});

$node->stop;
done_testing();
