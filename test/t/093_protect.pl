# Protected tables beside workers: a refused write rolls back, but the scheduler opens the breaker; a
# subscription's worker writes through the constraints; several sessions, and a crash.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my $source = DepipeTest::start_node('source');
my $node = DepipeTest::start_node('warehouse', "shared_preload_libraries = 'depipe'\nmax_worker_processes = 16\n");

sub at { return $node->safe_psql('postgres', join(";\n", @_)) }

sub is_open { return "SELECT EXISTS (SELECT FROM depipe.breakers WHERE target = 'public.o' AND state = 'open')" }

at('CREATE EXTENSION depipe', 'CREATE TABLE o (id int PRIMARY KEY, v int)', 'INSERT INTO o VALUES (1, 1)',
	q{SELECT depipe.add_constraint('o', depipe.satisfies('v > 0'), name => 'positive')}, q{SELECT depipe.protect('o')});

# ---- what a refused write leaves behind

fails_like($node, 'INSERT INTO o VALUES (2, -1)', 'QD001', qr/positive.*Keys: \(2\)/s, 'a row that violates');
wait_until($node, is_open(), 'the breaker is open although the write rolled back');
is_value($node, 'TABLE o', '1|1', 'nothing of it is in the table');
is_value($node, q{SELECT constraint_name, occurrences FROM depipe.incidents}, 'positive|1', 'an incident tells of it');
is_value($node, q{SELECT status FROM depipe.runs WHERE target = 'public.o' AND strategy = 'protect'}, 'blocked', 'and the run blocked');
fails_like($node, 'INSERT INTO o VALUES (3, 1)', 'QD002', qr/public\.o/, 'a good row while the breaker is open');
at(q{CALL depipe.check('public.o')});
is_value($node, is_open(), 't', 'the table itself was good all the time: looking at it closes nothing');
crash_restart($node);
is_value($node, is_open(), 't', 'the breaker is open after a crash');
at(q{SELECT depipe.reset('o', 'the writer is mended')});
at('INSERT INTO o VALUES (4, 4)');
is_value($node, 'TABLE o ORDER BY id', "1|1\n4|4", 'the next write is the probe');
is_value($node, is_open(), 'f', 'which closes the breaker');

# ---- several sessions at once

my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 4;
foreach my $turn (1 .. 5)
{
	foreach my $number (0 .. $#sessions)
	{
		my ($out, $err) = session_sql($sessions[$number], "INSERT INTO o VALUES (100 + 10 * $turn + $number, -1)");
		die "not refused: $err" if $err !~ /violate constraint|is not written now/;
	}
}
$_->quit foreach @sessions;
wait_until($node, is_open(), 'many refused writes open the breaker');
is_value($node, 'SELECT count(*) FROM o WHERE v < 0', '0', 'none of them got in');
at(q{SELECT depipe.override('o', 'month end', now() + interval '1 hour')}, 'INSERT INTO o VALUES (5, -5)');
is_value($node, 'SELECT v FROM o WHERE id = 5', '-5', 'an override lets rows in');

# ---- a transaction that goes on after a refusal

at('CREATE TABLE s (id int PRIMARY KEY, v int)', q{SELECT depipe.add_constraint('s', depipe.satisfies('v > 0'), on_violation => 'reject')},
	q{SELECT depipe.protect('s')});
$node->psql('postgres', 'BEGIN; INSERT INTO s VALUES (1, 1); SAVEPOINT a; INSERT INTO s VALUES (2, -1); ROLLBACK TO a; INSERT INTO s VALUES (3, 3); COMMIT',
	on_error_stop => 0);
is_value($node, 'TABLE s ORDER BY id', "1|1\n3|3", 'after ROLLBACK TO the transaction goes on');

# ---- a subscription

$source->safe_psql('postgres', 'CREATE TABLE r (id int PRIMARY KEY, v int); CREATE PUBLICATION p FOR TABLE r');
at('CREATE TABLE r (id int PRIMARY KEY, v int)', q{SELECT depipe.add_constraint('r', depipe.satisfies('v > 0'), on_violation => 'quarantine')},
	q{SELECT depipe.protect('r')});
$node->safe_psql('postgres', "CREATE SUBSCRIPTION s CONNECTION '" . $source->connstr . " dbname=postgres' PUBLICATION p WITH (copy_data = false)");
$source->safe_psql('postgres', 'INSERT INTO r VALUES (1, 1), (2, -2); UPDATE r SET v = -3 WHERE id = 1; INSERT INTO r VALUES (4, 4)');
wait_until($node, 'SELECT EXISTS (SELECT FROM r WHERE id = 4)', 'the subscription goes on');
is_value($node, 'TABLE r ORDER BY id', "1|1\n4|4", 'rows that violate stay out, the last good versions stay');
is_value($node, q{SELECT string_agg("row" ->> 'v', ' ' ORDER BY "row" ->> 'id') FROM depipe.quarantine}, '-3 -2', 'and are in quarantine');

at(q{SELECT depipe.unprotect('s')}, 'INSERT INTO s VALUES (9, -9)');
is_value($node, 'SELECT v FROM s WHERE id = 9', '-9', 'unprotected');
at('DROP SUBSCRIPTION s', 'DROP EXTENSION depipe CASCADE', 'INSERT INTO o VALUES (6, -6)');
is_value($node, 'SELECT v FROM o WHERE id = 6', '-6', 'without depipe');

done_testing();
