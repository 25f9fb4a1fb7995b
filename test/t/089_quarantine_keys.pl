# Quarantine of loads whose keys are equal under several texts: a row is found again by the
# equality of its key's type.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();

sub at
{
	my ($node, @statements) = @_;

	return $node->safe_psql('postgres', join(";\n", @statements));
}

foreach my $node ($source, $warehouse)
{
	at($node, q{CREATE EXTENSION IF NOT EXISTS citext},
		'CREATE TYPE pair AS (n numeric, s citext)');
}

# type, three texts of equal keys, another key
my @kinds = (
	['citext', 'Order-1', 'ORDER-1', 'order-1', 'order-2'],
	['jsonb', '{"a": 1.0}', '{"a": 1.00}', '{"a": 1.000}', '{"a": 2}'],
	['interval', '1 day', '24:00:00', '86400 seconds', '2 days'],
	['pair', '(1.0,A)', '(1.00,a)', '(1,A)', '(1,B)'],
);

my $number = 0;
foreach my $kind (@kinds)
{
	my ($type, $first, $second, $third, $other) = @$kind;
	my $table = 'k' . ++$number;

	make_table($source, $warehouse, $table, "k $type PRIMARY KEY, v int, t text");
	refresh($warehouse, "raw.$table");
	at($warehouse, "SELECT depipe.add_constraint('raw.$table', depipe.satisfies('v > 0'), on_violation => 'quarantine')");
	my $step = sub {
		my ($statement, $kept, $rows, $text) = @_;

		at($source, $statement);
		refresh($warehouse, "raw.$table");
		is(at($warehouse, qq{SELECT (SELECT coalesce(string_agg("row" ->> 'v', ',' ORDER BY "row" ->> 'v'), '')
			FROM depipe.quarantine WHERE target = 'raw.$table') || ' | ' || (SELECT coalesce(string_agg(v::text, ',' ORDER BY v), '') FROM raw.$table)}),
			"$kept | $rows", "$type: $text");
	};
	$step->("INSERT INTO $table VALUES ('$first', -1), ('$other', 9)", '-1', '9', 'a new row stays out');
	$step->("UPDATE $table SET k = '$second', v = -2 WHERE v = -1", '-2', '9', 'an equal key replaces it');
	$step->("UPDATE $table SET k = '$third', v = 3 WHERE v = -2", '', '3,9', 'a good version ends it');
	$step->("UPDATE $table SET k = '$first', v = -4 WHERE v = 3", '-4', '3,9', 'a bad change leaves the row');
	$step->("BEGIN; DELETE FROM $table WHERE v = -4; INSERT INTO $table VALUES ('$second', -5); COMMIT", '-5', '9', 'another row of the key');
	$step->("DELETE FROM $table WHERE v = -5", '', '9', 'a deletion ends it');
	# the key itself changes, and back
	$step->("UPDATE $table SET k = '$first', v = -6 WHERE v = 9", '-6', '9', 'a bad change of the key');
	$step->("UPDATE $table SET k = '$second', v = 7 WHERE v = -6", '', '7', 'its good version takes the row along');
	$step->("UPDATE $table SET k = '$other', v = -8 WHERE v = 7", '-8', '7', 'a bad change of the key');
	$step->("INSERT INTO $table VALUES ('$third', 1)", '-8', '1', 'a row takes the key that it had');
	$step->("UPDATE $table SET v = 8 WHERE v = -8", '', '1,8', 'and keeps it');
	is(state_of($warehouse, "raw.$table"), 'streaming', "$type: streams");
}

# ---- rows that a person discards or releases

make_table($source, $warehouse, 'd', 'id int PRIMARY KEY, v int, t text');
at($source, q{INSERT INTO d VALUES (1, -1, repeat('long', 5000)), (2, 2, 'two')});
at($warehouse, q{SELECT depipe.add_constraint('raw.d', depipe.satisfies('v > 0'), name => 'v_satisfies', on_violation => 'quarantine')});
refresh($warehouse, 'raw.d');
my $seen = q{SELECT (SELECT count(*) FROM depipe.quarantine WHERE target = 'raw.d') || ' '
	|| (SELECT incomplete FROM depipe.status WHERE target = 'raw.d') || ' '
	|| (SELECT count(*) FROM depipe.incidents WHERE target = 'raw.d' AND state = 'open') || ' '
	|| (SELECT string_agg(id || ':' || v || ':' || length(t), ',' ORDER BY id) FROM raw.d)};
is(at($warehouse, $seen), '1 true 1 2:2:3', 'in quarantine');
is(at($warehouse, q{SELECT depipe.discard('raw.d', 'an order of a test', '{1}')}), 1, 'discarded');
is(at($warehouse, $seen), '0 false 0 2:2:3', 'nobody misses it');
is(at($warehouse, q{SELECT count(*) FROM depipe.quarantined(NULL::raw.d)}), 0, 'nor shows it');
fails_like($warehouse, q{SELECT depipe.release('raw.d', 'too late')}, 'P0002', qr/has no row in quarantine/, 'it cannot be released');
at($source, 'UPDATE d SET v = -2 WHERE id = 1'); # the source does not send the long value
refresh($warehouse, 'raw.d');
is(at($warehouse, $seen), '1 true 1 2:2:3', 'changed, it is looked at again');
at($warehouse, q{SELECT depipe.discard('raw.d', 'still of a test')});
at($source, 'UPDATE d SET v = 3 WHERE id = 1');
refresh($warehouse, 'raw.d');
is(at($warehouse, $seen), '0 false 0 1:3:20000,2:2:3', 'its good version is whole');
at($source, 'UPDATE d SET v = -4 WHERE id = 1');
refresh($warehouse, 'raw.d');
at($warehouse, q{SELECT depipe.discard('raw.d', 'gone anyway')});
at($source, 'DELETE FROM d WHERE id = 1');
refresh($warehouse, 'raw.d');
is(at($warehouse, $seen), '0 false 0 2:2:3', 'a deletion ends it');
is(state_of($warehouse, 'raw.d'), 'streaming', 'and the table streams');

# an older row is never released over a newer one
at($source, q{INSERT INTO d VALUES (3, -3, 'bad')});
refresh($warehouse, 'raw.d');
at($source, 'UPDATE d SET v = 33 WHERE id = 3');
at($warehouse, q{SELECT depipe.release('raw.d', 'before the good one has come', '{3}')});
refresh($warehouse, 'raw.d');
is(at($warehouse, $seen), '0 false 0 2:2:3,3:33:3', 'the newer row stays');
at($source, q{UPDATE d SET v = -5 WHERE id = 3}, q{INSERT INTO d VALUES (4, 4, 'four')});
refresh($warehouse, 'raw.d');
at($warehouse, q{SELECT depipe.trip('raw.d', 'hold everything')});
at($source, 'UPDATE d SET v = 55 WHERE id = 3', q{UPDATE d SET v = 44 WHERE id = 4});
refresh($warehouse, 'raw.d'); # parked
at($warehouse, q{SELECT depipe.accept('raw.d', 'v_satisfies', 'right', '{3}')});
at($warehouse, q{SELECT depipe.reset('raw.d', 'go on')});
refresh($warehouse, 'raw.d');
is(at($warehouse, $seen), '0 false 0 2:2:3,3:55:3,4:44:4', 'what was parked is newer than what was accepted');
at($source, 'UPDATE d SET v = -6 WHERE id = 3', 'UPDATE d SET v = 66 WHERE id = 4');
at($warehouse, q{SELECT depipe.alter_constraint('raw.d', 'v_satisfies', on_violation => 'break')});
refresh($warehouse, 'raw.d');
at($warehouse, q{SELECT depipe.set_aside('raw.d', 'three in the morning')});
at($source, 'UPDATE d SET v = -7 WHERE id = 2'); # after what is parked
refresh($warehouse, 'raw.d');
is(at($warehouse, $seen), '2 true 1 2:2:3,3:55:3,4:66:4', 'bad rows of the held batch are set aside, the rest is published');
is(at($warehouse, q{SELECT state FROM depipe.breakers WHERE target = 'raw.d'}), 'closed', 'and the breaker is closed');

done_testing();
