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

done_testing();
