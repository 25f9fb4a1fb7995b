# Definitions stay with the name of their table: a swap in one transaction, a dropped table that is
# created again, and a rename, which is followed only if no object of the old name is left.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();

sub sql
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

sub refreshed
{
	my ($target, $name) = @_;
	my $row = refresh($warehouse, $target)->{$target} || {};

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($row->{status}, qr/^(succeeded|nothing)$/, "$name: refresh of $target")
	  || diag($row->{reason} // '');
	return;
}

# ---- the input of a transform is swapped as dbt does it

sql('CREATE SCHEMA mart', 'CREATE TABLE public.ord (id int PRIMARY KEY, amount int)',
	'INSERT INTO public.ord SELECT n, n FROM generate_series(1, 10) n',
	q{SELECT depipe.add_constraint('public.ord', depipe.satisfies('amount > 0'), name => 'positive')},
	q{SELECT depipe.create_transform('mart.total', 'SELECT count(*) AS orders, sum(amount) AS amount
		FROM public.ord')});
refreshed('mart.total', 'first');
is_value($warehouse, 'SELECT * FROM mart.total', '10|55', 'the transform reads its input');

foreach my $time (1 .. 2)
{
	sql("BEGIN; CREATE TABLE public.ord__tmp AS SELECT n AS id, n * 10 AS amount
			FROM generate_series(1, 5 * $time) n;
		ALTER TABLE public.ord RENAME TO ord__backup;
		ALTER TABLE public.ord__tmp RENAME TO ord;
		DROP TABLE public.ord__backup CASCADE; COMMIT");
	refreshed('mart.total', "swap $time");
	is_value($warehouse, 'SELECT * FROM mart.total',
		$time == 1 ? '5|150' : '10|550', "swap $time: the transform reads the new table");
	is_value($warehouse, q{SELECT target FROM depipe.constraints WHERE name = 'positive'},
		'public.ord', "swap $time: the constraint stays with the name");
}
sql('UPDATE public.ord SET amount = -1 WHERE id = 1');
is_value($warehouse, q{SELECT outcome FROM depipe.check_table('public.ord')},
	'fail', 'and it looks at the new table');

# ---- a load's target is swapped, dropped, and renamed

make_table($source, $warehouse, 'a', 'id int PRIMARY KEY, t text');
$source->safe_psql('postgres', q{INSERT INTO a SELECT n, 'v' || n FROM generate_series(1, 5) n});
refreshed('raw.a', 'first');
is_same($source, $warehouse, 'a', 'first');

sql('BEGIN; CREATE TABLE raw.a__tmp (LIKE raw.a INCLUDING ALL); INSERT INTO raw.a__tmp TABLE raw.a;
	ALTER TABLE raw.a RENAME TO a__backup; ALTER TABLE raw.a__tmp RENAME TO a;
	DROP TABLE raw.a__backup; COMMIT');
$source->safe_psql('postgres', q{UPDATE a SET t = 'changed' WHERE id < 3});
refreshed('raw.a', 'target swapped');
is_same($source, $warehouse, 'a', 'target swapped');

sql('DROP TABLE raw.a');
is(state_of($warehouse, 'raw.a'), 'missing', 'dropped: the load is missing');
make_table($source, $warehouse, 'b', 'id int PRIMARY KEY, t text');
$source->safe_psql('postgres', q{INSERT INTO a VALUES (6, 'six'); INSERT INTO b VALUES (1, 'one')});
my $result = refresh($warehouse, 'raw.*');
isnt($result->{'raw.a'}{status}, 'succeeded', 'dropped: nothing is published to it');
is($result->{'raw.b'}{status}, 'succeeded', 'dropped: the others go on')
  || diag($result->{'raw.b'}{reason});
is_same($source, $warehouse, 'b', 'dropped: the others go on');
is_value($warehouse, q{SELECT to_regclass('raw.a') IS NULL}, 't', 'and it is not made again by itself');

# the table is created again empty: only a resync finds the missing rows
sql('CREATE TABLE raw.a (id int PRIMARY KEY, t text)', q{SELECT depipe.resync('raw.a')});
refreshed('raw.a', 'back again');
is_same($source, $warehouse, 'a', 'back again');
is(state_of($warehouse, 'raw.a'), 'streaming', 'back again: streaming');

sql('ALTER TABLE raw.a RENAME TO renamed');
$source->safe_psql('postgres', q{INSERT INTO a VALUES (7, 'seven')});
$result = refresh($warehouse, 'raw.*');
is($result->{'raw.renamed'}{status}, 'succeeded', 'a rename is followed');
is_same($source, $warehouse, 'a', 'renamed', target => 'SELECT * FROM raw.renamed');

sql('CREATE SCHEMA other', 'ALTER TABLE raw.renamed SET SCHEMA other');
$source->safe_psql('postgres', q{INSERT INTO a VALUES (8, 'eight')});
$result = refresh($warehouse, 'other.*');
is($result->{'other.renamed'}{status}, 'succeeded', 'another schema is followed');
is_same($source, $warehouse, 'a', 'moved', target => 'SELECT * FROM other.renamed');

# ---- a table that takes the place of another one is not complete

foreach my $how ('ALTER TABLE raw.swapped RENAME TO old; CREATE TABLE raw.swapped (LIKE raw.old INCLUDING ALL)',
	'DROP TABLE raw.swapped; CREATE TABLE raw.swapped (id int PRIMARY KEY, t text)')
{
	$source->safe_psql('postgres', q{DROP TABLE IF EXISTS swapped; CREATE TABLE swapped (id int PRIMARY KEY, t text); INSERT INTO swapped SELECT n, 'x' FROM generate_series(1, 20) n});
	sql(q{SELECT depipe.create_load('raw.swapped', server => 'shop', source => 'public.swapped')}, q{CALL depipe.run('raw.swapped')});
	sql("BEGIN; $how; COMMIT");
	$source->safe_psql('postgres', q{UPDATE swapped SET t = 'y' WHERE id < 5});
	is_value($warehouse, q{SELECT state || ': ' || reason FROM depipe.loads WHERE target = 'raw.swapped'}, 'new: the target table was replaced', $how);
	refreshed('raw.swapped', 'replaced');
	is_same($source, $warehouse, 'swapped', 'copied again');
	sql(q{SELECT depipe.drop_load('raw.swapped', drop_table => true)}, 'DROP TABLE IF EXISTS raw.old');
}

# ---- names that have to be quoted are written so everywhere

sql('CREATE TABLE raw."Odd? Name" (x int)', q{SELECT depipe.create_transform('mart."Odd? Name"', 'SELECT 1 AS x')},
	q{SELECT depipe.pause('a look', 'mart."Odd? Name"')});
is_value($warehouse, q{SELECT next FROM depipe.status WHERE target = 'mart."Odd? Name"'}, q{SELECT depipe.resume('mart."Odd? Name"')}, 'what to type');
is_value($warehouse, q{SELECT depipe.resume('mart."Odd? Name"')}, 1, 'and it works');
sql(q{CALL depipe.wait('mart."Odd? Name"')}, q{SELECT depipe.drop_transform('mart."Odd? Name"', drop_table => true)}, 'DROP TABLE raw."Odd? Name"');

# ---- a transform's own table

sql('ALTER TABLE mart.total RENAME TO sums');
# the breaker of the input opened because of check_table, and closes in the same way
sql('UPDATE public.ord SET amount = 1', q{SELECT FROM depipe.check_table('public.ord')});
refreshed('mart.sums', 'transform renamed');
is_value($warehouse, 'SELECT amount FROM mart.sums', '10', 'a transform follows its table');
sql('ALTER TABLE public.ord RENAME TO orders', 'UPDATE public.orders SET amount = 2');
refreshed('mart.sums', 'input renamed');
is_value($warehouse, 'SELECT amount FROM mart.sums', '20', 'and the new name of its input');

sql('DROP TABLE public.orders CASCADE');
$result = refresh($warehouse, 'mart.sums');
like($result->{'mart.sums'}{status}, qr/^(failed|blocked)$/, 'without its input it is not refreshed');
is_value($warehouse, 'SELECT amount FROM mart.sums', '20', 'and keeps the last good version');
sql('CREATE TABLE public.orders (id int PRIMARY KEY, amount int)',
	'INSERT INTO public.orders VALUES (1, 3)');
refreshed('mart.sums', 'input back');
is_value($warehouse, 'SELECT amount FROM mart.sums', '3', 'when the input is back it goes on');

done_testing();
