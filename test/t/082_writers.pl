# Concurrent writers with aborts, savepoints, long and prepared transactions, while refreshes loop. Each
# refresh in REPEATABLE READ is compared with the queries under its own snapshot, and all are compared
# when the writers rest. Writers keep a sum at zero, so that a target which is not the state between
# transactions shows, and a reader compares the two sides of a diamond. At the end both checks are shown
# to catch what they are for: one captured change is removed by hand, and one side is refreshed alone.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = DepipeTest::start_node('warehouse', "max_connections = 40\nmax_prepared_transactions = 20\n");
my $seconds = $ENV{DEPIPE_WRITERS_SECONDS} // 3;    # of one round
my $rounds = 3;

sub value
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

# The transforms: a copy, the two sides of a diamond, what reads both, and a join.
my %query = (
	base => 'SELECT id, g, n FROM w.a',
	one => 'SELECT g, count(*) AS c, sum(n) AS s FROM w.base GROUP BY g',
	other => 'SELECT g, count(*) AS c, sum(n) AS s, max(n) AS m FROM w.base GROUP BY g',
	both => 'SELECT g, o.c - p.c AS c, o.s - p.s AS s FROM w.one o JOIN w.other p USING (g)',
	joined => 'SELECT a.id, a.n, k.name FROM w.a JOIN w.kind k ON k.g = a.g');
my %key = (base => 'id', one => 'g', other => 'g', both => 'g', joined => 'id');

value(<<'SQL');
CREATE EXTENSION depipe;
CREATE SCHEMA w;
CREATE TABLE w.a (id bigint PRIMARY KEY, g integer NOT NULL, n bigint NOT NULL, unread integer DEFAULT 0);
CREATE TABLE w.kind (g integer PRIMARY KEY, name text);
CREATE SEQUENCE w.id START 100001;
INSERT INTO w.a SELECT i, i % 10, CASE i % 2 WHEN 0 THEN i - 1 ELSE -i END FROM generate_series(1, 2000) i;
INSERT INTO w.kind SELECT i, 'kind ' || i FROM generate_series(0, 9) i;
CREATE TABLE w.wrong (what text, detail text);
SQL
value("SELECT depipe.create_transform('w.$_', '$query{$_}', key => '{$key{$_}}', mode => 'incremental')")
  for qw(base one other both joined);

# Rows in which a target differs from its query.
my $differences = join(' UNION ALL ',
	map { "(SELECT '$_' AS target, d::text AS row FROM ((($query{$_}) EXCEPT ALL TABLE w.$_)"
		. " UNION ALL (TABLE w.$_ EXCEPT ALL ($query{$_}))) d)" } sort keys %query);
# Those who see one side without the other, or what no committed transaction has left.
my $mixed = "SELECT 'sides', x::text FROM (SELECT 1 FROM w.one o FULL JOIN w.other p USING (g)"
  . ' WHERE (o.c, o.s) IS DISTINCT FROM (p.c, p.s)) x'
  . " UNION ALL SELECT 'both', b::text FROM w.both b WHERE (c, s) <> (0, 0)"
  . " UNION ALL SELECT 'sum', x::text FROM (SELECT sum(n) FROM w.base HAVING sum(n) <> 0) x";

# ---- who does what ----
my %script;
my $two = '\set lo random(1, 1990)' . "\n" . '\set hi :lo + random(1, 9)' . "\n" . '\set x random(-9, 9)' . "\n";
my ($give, $take) = ('UPDATE w.a SET n = n + :x WHERE id = :lo;', 'UPDATE w.a SET n = n - :x WHERE id = :hi;');

# a row that is not there takes nothing
my $pair = "SELECT count(*) AS there FROM (SELECT FROM w.a WHERE id IN (:lo, :hi) ORDER BY id FOR UPDATE) x \\gset\n";
my $if = "\\if :there = 2\n";
$script{transfer} = "${two}BEGIN;\n$pair$if$give\n$take\n\\endif\nCOMMIT;\n";
$script{one_statement} = $two . 'UPDATE w.a SET n = n + CASE id WHEN :lo THEN :x ELSE - :x END, unread = unread + 1'
  . " WHERE id IN (:lo, :hi) AND (SELECT count(*) FROM (SELECT FROM w.a WHERE id IN (:lo, :hi) ORDER BY id FOR UPDATE) x) = 2;\n";
$script{abort} = "${two}BEGIN;\n$give\nDELETE FROM w.a WHERE id = :hi;\nROLLBACK;\n";
$script{savepoint} = "${two}BEGIN;\n$pair${if}SAVEPOINT s;\nUPDATE w.a SET n = 1000000 WHERE id = :lo;\nROLLBACK TO s;\n"
  . "SAVEPOINT t;\n$give\nRELEASE t;\n$take\n\\endif\nCOMMIT;\n";
$script{long} = "${two}BEGIN;\n$pair$if$give\n\\sleep 300 ms\n$take\n\\endif\nCOMMIT;\n";
$script{prepared} = "${two}BEGIN;\n$pair$if$give\n$take\n\\endif\nPREPARE TRANSACTION 'p:client_id';\n\\sleep 20 ms\n"
  . "COMMIT PREPARED 'p:client_id';\nBEGIN;\n$give\nPREPARE TRANSACTION 'q:client_id';\nROLLBACK PREPARED 'q:client_id';\n";
$script{come} = '\set x random(-99, 99)' . "\n\\set g random(0, 9)\n" . 'INSERT INTO w.a VALUES (nextval(\'w.id\'), :g, :x),'
  . " (nextval('w.id'), 9 - :g, - :x);\n";
$script{go} = "BEGIN;\nWITH gone AS (DELETE FROM w.a WHERE id = (SELECT id FROM w.a WHERE id > 100000 ORDER BY id LIMIT 1"
  . " FOR UPDATE SKIP LOCKED) RETURNING n) UPDATE w.a SET n = a.n + gone.n FROM gone WHERE a.id = 2000;\nCOMMIT;\n";
$script{regroup} = $two . "UPDATE w.a SET g = (g + 1) % 10 WHERE id = :lo;\n";
$script{unread} = $two . "UPDATE w.a SET unread = unread + 1 WHERE id BETWEEN :lo AND :lo + 20;\n";
$script{kind} = "\\set g random(0, 9)\nUPDATE w.kind SET name = name || '' WHERE g = :g;\nUPDATE w.kind SET name = 'kind ' || :x WHERE g = :g;\n";
$script{kind} = "\\set x random(0, 9)\n$script{kind}";

my %reader = (
	refresh => "SELECT count(*) FROM depipe.refresh('w.*');\n"
	  . "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) FROM depipe.refresh('w.*');\n"
	  . "INSERT INTO w.wrong SELECT * FROM ($differences) x;\nCOMMIT;\n",
	read => "INSERT INTO w.wrong $mixed;\n");

# Start pgbench with these scripts.
sub start_clients
{
	my ($clients, %scripts) = @_;
	my @files;

	for my $name (sort keys %scripts)
	{
		append_to_file($node->basedir . "/$name.sql", $scripts{$name}) unless -e $node->basedir . "/$name.sql";
		push @files, '-f', $node->basedir . "/$name.sql";
	}
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start(
		[ $node->installed_command('pgbench'), '-n', '-c', $clients, '-j', 1, '-T', $seconds, '--max-tries', 100, @files, '-d', $node->connstr('postgres') ],
		'>', \$out, '2>', \$err);
	return { run => $run, err => \$err };
}

sub end_clients
{
	my ($started, $name) = @_;

	$started->{run}->finish;
	is($started->{run}->result(0), 0, $name) or diag(${ $started->{err} });
	return;
}

# ---- rounds ----
for my $round (1 .. $rounds)
{
	my $refreshing = start_clients(1, refresh => $reader{refresh});
	my $reading = start_clients(1, read => $reader{read});
	my $writing = start_clients(8, %script);

	end_clients($writing, "round $round: writers");
	end_clients($reading, "round $round: reader");
	end_clients($refreshing, "round $round: refreshes, one after the other");
	value(q{SELECT count(*) FROM depipe.refresh('w.*')});
	is(value($differences), '', "round $round: all targets equal their queries");
	is(value('SELECT DISTINCT what FROM w.wrong'), '', "round $round: and did so all the time");
}
is(value('SELECT sum(n) FROM w.a'), '0', 'the writers kept the sum');
cmp_ok(value('SELECT max(id) FROM w.a'), '>', 100001, 'and changed the table');
cmp_ok(value(q{SELECT count(*) FROM depipe.run WHERE status = 'succeeded'}), '>', 20, 'beside many refreshes');
my $runs = value(q{SELECT t.table_name, r.strategy, r.reason, count(*) FROM depipe.run r JOIN depipe.target t USING (target_id)
	WHERE r.status <> 'nothing' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3});
cmp_ok(value(q{SELECT 100 * count(*) FILTER (WHERE strategy IN ('linear', 'join', 'aggregate', 'keys')) / count(*)
	FROM depipe.run WHERE status = 'succeeded'}), '>=', 80, 'refreshes from captured changes') or diag($runs);

# ---- negative controls ----
value('UPDATE w.a SET n = n + 5 WHERE id = 7; UPDATE w.a SET n = n - 5 WHERE id = 8');
my $segments = value(q{SELECT c.segment_1::regclass, c.segment_2::regclass FROM depipe.capture c WHERE c.relid = 'w.a'::regclass});
my ($first, $second) = split /\|/, $segments;
my $removed = 0;
for my $segment ($first, $second)
{
	last if $removed;
	$removed = value("WITH gone AS (DELETE FROM $segment WHERE ctid = (SELECT ctid FROM $segment WHERE kind = 'r'
		ORDER BY xid DESC LIMIT 1) RETURNING 1) SELECT count(*) FROM gone");
}
is($removed, '1', 'a captured change is removed');
value(q{SELECT count(*) FROM depipe.refresh('w.*')});
like(value($differences), qr/^base\|/m, 'the comparison catches it');
is(value(qq{SELECT string_agg(DISTINCT what, ' ') FROM ($mixed) x (what, detail)}), 'sum', 'and so does the sum');
value('UPDATE w.a SET n = n + 3 WHERE id IN (11, 12, 13)');
value(q{SELECT count(*) FROM depipe.refresh('w.base')});
value(q{SELECT count(*) FROM depipe.refresh('w.one')});
like(value(qq{SELECT string_agg(DISTINCT what, ' ') FROM ($mixed) x (what, detail)}), qr/sides/, 'a side that is refreshed alone is caught');

$node->stop;
done_testing();
