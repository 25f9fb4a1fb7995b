# Much that is parked is published in bites, each in a transaction of its own: source transactions
# stay whole, also across tables; a kill in between loses and repeats nothing; new changes go behind
# the rest; a bite that the gate holds stops there, unless the rest of the park corrects it.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($source, $warehouse) = source_and_warehouse(
	warehouse => q{
depipe.batch_memory = '64kB'
depipe.batch_rows = 100
});
my $transactions = 0;

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

# So many transactions at the source, each with a parent and 50 children that refer to it.
sub write_families
{
	my ($count) = @_;

	for my $n (1 .. $count)
	{
		my $t = ++$transactions;

		at_source('BEGIN', "INSERT INTO parent VALUES ($t, repeat('p', 200))",
			"INSERT INTO child SELECT 100 * $t + n, $t, repeat('c', 100) FROM generate_series(1, 50) n",
			'UPDATE parent SET note = note || $$+$$ WHERE id = 1', 'COMMIT');
	}
	return;
}

sub parked
{
	my ($table) = @_;

	return at_warehouse("SELECT parked FROM depipe.loads WHERE target = 'raw.$table'");
}

# Pause, write, park, resume.
sub park_what
{
	my ($write) = @_;

	at_warehouse(q{SELECT depipe.pause('for a while', 'raw.*')});
	$write->();
	$warehouse->psql('postgres', q{CALL depipe.run('raw.*')});
	at_warehouse(q{SELECT depipe.resume('raw.*')});
	return;
}

# Transactions that published children; and those of the source that are in several of them.
my $published = q{SELECT count(DISTINCT xmin::text) FROM raw.child};
my $torn = q{SELECT count(*) FROM (SELECT parent FROM raw.child WHERE parent > 1 AND note NOT LIKE 'new%' GROUP BY parent HAVING count(DISTINCT xmin::text) > 1) x};
my $apart = q{SELECT count(*) FROM raw.child c JOIN raw.parent p ON p.id = c.parent WHERE p.id > 1 AND c.note NOT LIKE 'new%' AND c.xmin <> p.xmin};

make_table($source, $warehouse, 'parent', 'id int PRIMARY KEY, note text');
make_table($source, $warehouse, 'child', 'id int PRIMARY KEY, parent int NOT NULL, note text');
at_warehouse(q{CALL depipe.run('raw.*')}, 'ALTER TABLE raw.child ADD FOREIGN KEY (parent) REFERENCES raw.parent');

# ---- parents and children in bites

park_what(sub { write_families(30) });
is(parked('child'), 1500, 'the children are parked');
is_value($warehouse, q{SELECT count(DISTINCT batch_end) > 5 AND count(*) = count(batch_end) FROM depipe.parked_item}, 't', 'in several batches');
at_source('UPDATE child SET note = $$new$$ WHERE id = 101', 'DELETE FROM child WHERE id = 3050');
at_warehouse(q{CALL depipe.run('raw.*')});
is(parked('child'), 0, 'nothing is parked any more');
is_same($source, $warehouse, $_, 'in bites') foreach qw(parent child);
cmp_ok(at_warehouse($published), '>', 3, 'in several transactions');
is_value($warehouse, $torn, 0, 'each transaction of the source is in one');
is_value($warehouse, $apart, 0, 'also with the rows of the other table');

# ---- in a function

park_what(sub { write_families(10) });
my $result = refresh($warehouse, 'raw.*');
is($result->{"raw.$_"}{status}, 'succeeded', "a function publishes all of $_") foreach qw(parent child);
is_same($source, $warehouse, $_, 'in a function') foreach qw(parent child);

# ---- killed in between: a bite waits in a trigger of the target

my $late = 100 * ($transactions + 25) + 1;
at_warehouse('CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_catalog.pg_advisory_xact_lock(1); RETURN NULL; END$$',
	"CREATE TRIGGER wait AFTER INSERT ON raw.child FOR EACH ROW WHEN (NEW.id = $late) EXECUTE FUNCTION public.wait()",
	'ALTER TABLE raw.child ENABLE ALWAYS TRIGGER wait');
park_what(sub { write_families(30) });
my $all = parked('child');
my $holder = $warehouse->background_psql('postgres');
my $runner = $warehouse->background_psql('postgres', on_error_stop => 0);
session_ok($holder, 'SELECT pg_advisory_lock(1)');
$runner->query_until(qr/begun/, "\\echo begun\nCALL depipe.run('raw.*');\n");
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)}, 'a bite waits');
my $rest = parked('child');
cmp_ok($rest, '>', 0, 'a part is still parked');
cmp_ok($rest, '<', $all, 'a part is published');
is_value($warehouse, q{SELECT state FROM depipe.loads WHERE target = 'raw.child'}, 'parked', 'the table counts as parked');
at_source('UPDATE child SET note = $$newer$$ WHERE id IN (102, ' . ($late + 1) . ')');
$warehouse->stop('immediate');
eval { $_->quit } foreach $holder, $runner;
$warehouse->start;
is(parked('child'), $rest, 'as much is parked after the crash');
is_value($warehouse, 'SELECT count(*) FROM raw.child', at_source('SELECT count(*) FROM child') - $rest, 'and the other rows are there once');
at_warehouse(q{CALL depipe.run('raw.*')});
is_same($source, $warehouse, $_, 'after a crash between bites') foreach qw(parent child);
is(parked('child'), 0, 'nothing is parked after it');
at_warehouse('DROP TRIGGER wait ON raw.child');

# ---- the gate: a bad row that is corrected later in the park

at_warehouse(q{SELECT depipe.add_constraint('raw.child', depipe.satisfies('note <> ''bad'''), name => 'good')});
park_what(
	sub {
		at_source("INSERT INTO child VALUES (1, 1, 'bad')");
		write_families(20);
		at_source("UPDATE child SET note = 'corrected' WHERE id = 1");
	});
at_warehouse(q{CALL depipe.run('raw.*')});
is_same($source, $warehouse, $_, 'corrected later in the park') foreach qw(parent child);
is(breaker_of($warehouse, 'raw.child'), 'closed', 'the breaker has not opened');
is_value($warehouse, q{SELECT count(*) FROM depipe.incidents}, 0, 'there was no incident');

# ---- a bad row in the middle

my $bad;
park_what(
	sub {
		write_families(15);
		$bad = 100 * $transactions + 60;
		at_source("INSERT INTO child VALUES ($bad, $transactions, 'bad')");
		write_families(15);
	});
$all = parked('child');
$warehouse->psql('postgres', q{CALL depipe.run('raw.*')});
cmp_ok(parked('child'), '<', $all, 'bites before it are published');
cmp_ok(parked('child'), '>', 0, 'the rest is held');
is(breaker_of($warehouse, 'raw.child'), 'open', 'its breaker is open');
is_value($warehouse, 'SELECT count(*) > 0 FROM raw.child WHERE parent > ' . ($transactions - 30), 't', 'rows of this park are there');
is_value($warehouse, "SELECT count(*) FROM raw.child WHERE parent > " . ($transactions - 15), 0, 'but none behind the bad one');
is_value($warehouse, q{SELECT constraint_name FROM depipe.violations('raw.child')}, 'good', 'the bad row is shown');
at_source("DELETE FROM child WHERE id = $bad");
at_warehouse(q{SELECT depipe.reset('raw.child', 'deleted')}, q{CALL depipe.run('raw.*')});
is_same($source, $warehouse, $_, 'after the correction') foreach qw(parent child);
is(parked('child'), 0, 'nothing is held any more');

# ---- a worker

$warehouse->append_conf('postgresql.conf', q{
shared_preload_libraries = 'depipe'
depipe.naptime = '50ms'
});
$warehouse->restart;
wait_until($warehouse, q{SELECT count(*) = 2 FROM depipe.live_load}, 'a worker follows');
at_warehouse(q{SELECT depipe.pause('for a while', 'raw.*')});
write_families(30);
wait_until($warehouse, q{SELECT parked >= 1500 FROM depipe.loads WHERE target = 'raw.child'}, 'the worker parks');
at_warehouse(q{SELECT depipe.resume('raw.*')});
write_families(5);
wait_until($warehouse, q{SELECT count(*) = } . at_source('SELECT count(*) FROM child') . ' FROM raw.child', 'the worker publishes');
wait_until($warehouse, q{SELECT bool_and(state = 'streaming') FROM depipe.loads}, 'nothing waits');
is_same($source, $warehouse, $_, 'by a worker') foreach qw(parent child);
is_value($warehouse, $torn, 0, 'each transaction of the source is in one of the worker');

done_testing();
