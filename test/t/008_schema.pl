# Changes of the source's columns: additions are applied, and any other change pauses only that
# table. TRUNCATE, manual pauses, and a source table that is dropped and created again.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

make_table($source, $warehouse, 'a', 'id int PRIMARY KEY, t text, v int');
make_table($source, $warehouse, 'other', 'id int PRIMARY KEY, t text');
at_source(q{INSERT INTO a SELECT n, 't' || n, n FROM generate_series(1, 20) n});
is(statuses($warehouse, 'raw.*'), 'raw.a=succeeded raw.other=succeeded', 'first');
my $next = 0;

# The other table is loaded regardless of raw.a.
sub others_go_on
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$next++;
	at_source("INSERT INTO other VALUES ($next, '$name')");
	is_status($warehouse, 'raw.other', 'succeeded', "$name, the others");
	is_same($source, $warehouse, 'other', $name);
	return;
}

# After an addition, the load is exact immediately or reports that it needs a resync.
sub added
{
	my ($name, @expected_columns) = @_;

	refresh($warehouse, 'raw.*');
	my $state = state_of($warehouse, 'raw.a');
	like($state, qr/^(streaming|needs_resync|paused)$/, "$name: state $state");
	others_go_on($name);
	if ($state ne 'streaming')
	{
		at_warehouse(q{SELECT depipe.resync('raw.a')});
		is_status($warehouse, 'raw.a', 'succeeded', "$name, resync");
	}
	is_same($source, $warehouse, 'a', $name);
	return;
}

# ---- additions

at_source('ALTER TABLE a ADD n1 int', 'UPDATE a SET n1 = 1 WHERE id = 1',
	q{INSERT INTO a VALUES (30, 'x', 1, 5)});
added('a column');
is(state_of($warehouse, 'raw.a'), 'streaming', 'a plain column flows in');
at_source('ALTER TABLE a ADD n2 int NOT NULL DEFAULT 7', 'UPDATE a SET n2 = 8 WHERE id = 2',
	q{INSERT INTO a (id) VALUES (31)});
added('a column with a default');
at_source(q{ALTER TABLE a ADD n3 timestamptz DEFAULT clock_timestamp()}, 'UPDATE a SET n1 = 3 WHERE id = 3');
added('a column with a volatile default');
at_source('BEGIN', 'UPDATE a SET v = 100 WHERE id = 4', 'ALTER TABLE a ADD n4 text, ADD n5 numeric DEFAULT 1.5',
	'UPDATE a SET n4 = $$in one$$ WHERE id = 5', 'COMMIT', 'DELETE FROM a WHERE id = 6');
added('between changes of one transaction');
at_source('ALTER TABLE a ADD n6 int DEFAULT 3');
refresh($warehouse, 'raw.*');
at_source('UPDATE a SET v = 7 WHERE id = 7');
added('with the next change of the table, in another batch');

# ---- drop, rename, type: pause

sub paused
{
	my ($name, $change, $pattern) = @_;

	at_source('UPDATE a SET v = v + 1 WHERE id = 8', $change, 'UPDATE a SET v = v + 1 WHERE id = 9');
	my $row = refresh($warehouse, 'raw.*')->{'raw.a'};
	like($row->{status}, qr/^(blocked|failed)$/, "$name: not published");
	is(state_of($warehouse, 'raw.a'), 'paused', "$name: paused");
	like(at_warehouse(q{SELECT reason FROM depipe.loads WHERE target = 'raw.a'}), $pattern, "$name: reason");
	is_value($warehouse, q{SELECT error_sqlstate FROM depipe.runs WHERE target = 'raw.a' ORDER BY run_id DESC LIMIT 1},
		'QD003', "$name: SQLSTATE");
	like(at_warehouse(q{SELECT next FROM depipe.status WHERE target = 'raw.a'}), qr/depipe\./, "$name: what to type");
	others_go_on($name);
	at_source('UPDATE a SET v = v + 1 WHERE id = 10');
	refresh($warehouse, 'raw.*');
	is(state_of($warehouse, 'raw.a'), 'paused', "$name: still paused");
	return;
}

sub resynced
{
	my ($name, %options) = @_;

	at_warehouse(q{SELECT depipe.resync('raw.a')});
	is_status($warehouse, 'raw.a', 'succeeded', "$name, resync");
	is_same($source, $warehouse, 'a', "$name, resync", %options);
	at_source('UPDATE a SET v = v + 1 WHERE id = 11');
	is_status($warehouse, 'raw.a', 'succeeded', "$name, after");
	is_same($source, $warehouse, 'a', "$name, after", %options);
	is(state_of($warehouse, 'raw.a'), 'streaming', "$name: streaming again");
	return;
}

paused('a dropped column', 'ALTER TABLE a DROP n1', qr/n1/);
at_warehouse('ALTER TABLE raw.a DROP COLUMN n1');
resynced('a dropped column');
paused('a renamed column', 'ALTER TABLE a RENAME t TO label', qr/t|label/);
at_warehouse('ALTER TABLE raw.a RENAME t TO label');
resynced('a renamed column');
paused('another type', 'ALTER TABLE a ALTER n2 TYPE text', qr/n2/);
at_warehouse('ALTER TABLE raw.a ALTER n2 TYPE text');
resynced('another type');

# a column of the target is renamed or dropped manually: its values must not be lost
foreach my $change ('RENAME label TO heading', 'DROP COLUMN label')
{
	at_warehouse("ALTER TABLE raw.a $change");
	at_source('UPDATE a SET v = v + 1 WHERE id = 11');
	my $said = is_status($warehouse, 'raw.a', 'failed', "target: $change");
	like($said, qr/column "label" of raw.a was dropped or renamed here/, "target: $change: says so");
	is(state_of($warehouse, 'raw.a'), 'needs_resync', "target: $change: needs a resync");
	resynced("target: $change", columns => 'id, label, v');
}

# the source's table is dropped and created again
at_source('DROP TABLE a');
refresh($warehouse, 'raw.*');
isnt(state_of($warehouse, 'raw.a'), 'streaming', 'source table dropped: not streaming');
others_go_on('source table dropped');
at_source('CREATE TABLE a (id int PRIMARY KEY, label text, v int)', q{INSERT INTO a VALUES (1, 'again', 1), (11, 'x', 1)});
refresh($warehouse, 'raw.*');
others_go_on('source table made again');
isnt(state_of($warehouse, 'raw.a'), 'streaming', 'another table of the same name is no continuation');
resynced('source table made again', columns => 'id, label, v');

# manual pause and resume: nothing is lost
at_warehouse(q{SELECT depipe.pause('maintenance', 'raw.a')});
at_source('UPDATE a SET v = 50', q{INSERT INTO a VALUES (60, 'while paused', 1)});
my $status = refresh($warehouse, 'raw.*')->{'raw.a'}{status};
isnt($status, 'succeeded', 'paused by hand: nothing is published');
is(state_of($warehouse, 'raw.a'), 'paused', 'paused by hand: state');
is_value($warehouse, 'SELECT count(*) FROM raw.a WHERE id = 60', 0, 'paused by hand: the target is as it was');
others_go_on('paused by hand');
at_warehouse(q{SELECT depipe.resume('raw.a')});
ok(converge($warehouse, 'raw.*'), 'resumed: converges');
is_same($source, $warehouse, 'a', 'resumed', columns => 'id, label, v');

# TRUNCATE, between changes of one transaction and alone
at_source('BEGIN', 'UPDATE a SET v = 0', 'TRUNCATE a', q{INSERT INTO a VALUES (1, 'after', 1), (2, 'after', 2)}, 'COMMIT',
	'UPDATE a SET v = 9 WHERE id = 2');
is_status($warehouse, 'raw.a', 'succeeded', 'TRUNCATE');
is_same($source, $warehouse, 'a', 'TRUNCATE', columns => 'id, label, v');
at_source('TRUNCATE a, other');
refresh($warehouse, 'raw.*');
is_value($warehouse, 'SELECT (SELECT count(*) FROM raw.a) + (SELECT count(*) FROM raw.other)', 0, 'TRUNCATE of two');

# ---- a target of ours that cannot hold what the source sends: refused before the first row

my %narrow = (
	ty => ['timestamp', 'date', 'timestamp without time zone', 'date'],
	tz => ['timestamptz', 'timestamp', 'timestamp with time zone', 'timestamp without time zone'],
	local => ['timestamp', 'timestamptz', 'timestamp without time zone', 'timestamp with time zone'],
	single => ['float8', 'real', 'double precision', 'real'],
	whole => ['float8', 'bigint', 'double precision', 'bigint'],
	small => ['bigint', 'int', 'bigint', 'integer'],
	figure => ['text', 'int', 'text', 'integer'],
	cents => ['numeric(10,4)', 'numeric(10,2)', 'numeric(10,4)', 'numeric(10,2)'],
	free => ['numeric', 'numeric(10,2)', 'numeric', 'numeric(10,2)'],
	digits => ['numeric(10,2)', 'numeric(10,4)', 'numeric(10,2)', 'numeric(10,4)'],
	short => ['varchar(20)', 'varchar(5)', 'character varying(20)', 'character varying(5)'],
	seconds => ['timestamp', 'timestamp(0)', 'timestamp without time zone', 'timestamp(0) without time zone'],
	list => ['numeric(10,4)[]', 'numeric(10,2)[]', 'numeric(10,4)[]', 'numeric(10,2)[]'],
	ours => ['numeric(10,4)', 'public.price', 'numeric(10,4)', 'public.price']);
my %value = (date => q{'2024-05-06 07:08:09.123456'}, text => q{'12'}, list => q{'{1.2345}'});

at_warehouse('CREATE DOMAIN public.price AS numeric(10,2)', 'CREATE DOMAIN public.amount AS numeric');
foreach my $table (sort keys %narrow)
{
	my ($from, $into) = @{ $narrow{$table} };
	my $some = $from =~ /\[/ ? $value{list} : $from =~ /timestamp/ ? $value{date} : $value{text};

	at_warehouse("CREATE TABLE raw.$table (id int PRIMARY KEY, b $into)");
	make_table($source, $warehouse, $table, "id int PRIMARY KEY, b $from");
	at_source("INSERT INTO $table VALUES (1, $some)");
}
others_go_on('targets that cannot hold it');
my $said = refresh($warehouse, 'raw.*');
foreach my $table (sort keys %narrow)
{
	my (undef, undef, $from, $into) = @{ $narrow{$table} };
	my $change = "ALTER TABLE raw.$table ALTER COLUMN b TYPE $from;";

	is($said->{"raw.$table"}{status}, 'failed', "$from into $into: refused");
	is($said->{"raw.$table"}{reason}, "column \"b\" of raw.$table cannot hold what the source sends ($from into $into)",
		"$from into $into: says so");
	is_value($warehouse, "SELECT error_sqlstate || ' ' || error_hint FROM depipe.runs WHERE target = 'raw.$table' ORDER BY run_id DESC LIMIT 1",
		"42804 $change", "$from into $into: the run says what to do");
	is_value($warehouse, "SELECT next FROM depipe.status WHERE target = 'raw.$table'", $change, "$from into $into: next");
	is_value($warehouse, "SELECT count(*) FROM raw.$table", 0, "$from into $into: nothing is written");
	at_warehouse($change);
}
$said = refresh($warehouse, 'raw.*');
foreach my $table (sort keys %narrow)
{
	is($said->{"raw.$table"}{status}, 'succeeded', "$table: and after that statement");
	is_same($source, $warehouse, $table, 'and after that statement');
	at_warehouse("SELECT depipe.drop_load('raw.$table')");
}

# a type that can hold every value of the source is accepted
make_types_match();

sub make_types_match
{
	my @pairs = (
		'int int8', 'int numeric', 'int2 numeric(5,0)', 'real float8', 'float8 numeric', 'numeric(10,2) numeric(12,4)',
		'numeric(10,2) public.amount', 'varchar(5) varchar(9)', 'varchar(5) text', 'text varchar(9)', 'text uuid', 'text jsonb', 'char(3) text', 'name text',
		'timestamp(0) timestamp(3)', 'timestamp(3) timestamp', 'timestamp timestamp(6)', 'date timestamp', 'time(2) time',
		'interval(3) interval', 'numeric(10,2)[] numeric[]', 'varchar(3)[] text[]', 'json jsonb', 'jsonb json',
		'cidr inet', 'int text', 'timestamptz text', 'uuid varchar(40)', 'int4 float8', 'numeric(4,0) int2');
	my @columns = map { [ "c$_", split / /, $pairs[$_] ] } 0 .. $#pairs;

	at_warehouse('CREATE TABLE raw.wide (id int PRIMARY KEY, e text, f int, '
		  . join(', ', map { "$_->[0] $_->[2]" } @columns) . ')');
	make_table($source, $warehouse, 'wide', 'id int PRIMARY KEY, e float8, f float8, '
		  . join(', ', map { "$_->[0] $_->[1]" } @columns), columns => q{'{"f": "round(f)::int"}'});
	at_source('INSERT INTO wide VALUES (1, 1.5, 1.5)');
	is_status($warehouse, 'raw.wide', 'succeeded', 'types that hold it, and a column that is computed');
	is_value($warehouse, 'SELECT e, f FROM raw.wide', '1.5|2', 'types that hold it');
	at_warehouse(q{SELECT depipe.drop_load('raw.wide', drop_table => true)});
	return;
}

# ---- length, precision and scale change at the source: not in the stream's messages

make_table($source, $warehouse, 'm', 'id int PRIMARY KEY, n numeric(10,2), t timestamp(0), s varchar(5)');
at_source(q{INSERT INTO m VALUES (1, 1.25, '2024-01-01 00:00:01', 'a')});
is_status($warehouse, 'raw.m', 'succeeded', 'm');
foreach my $change (
	[ 'n', 'numeric(10,4)', 'numeric(10,2)', 'numeric(10,4)', '1.2345' ],
	[ 't', 'timestamp', 'timestamp(0) without time zone', 'timestamp without time zone', q{'2024-01-01 00:00:01.5'} ],
	[ 's', 'varchar(20)', 'character varying(5)', 'character varying(20)', q{'longer than five'} ],
	[ 'n', 'numeric(7,1)', 'numeric(10,4)', 'numeric(7,1)', '1.2' ])
{
	my ($column, $type, $was, $is, $new) = @$change;
	my $name = "$was to $is";

	at_source("ALTER TABLE m ALTER $column TYPE $type", "UPDATE m SET $column = $new", 'INSERT INTO m (id) SELECT max(id) + 1 FROM m');
	isnt(refresh($warehouse, 'raw.*')->{'raw.m'}{status}, 'succeeded', "$name: not published");
	is(state_of($warehouse, 'raw.m'), 'paused', "$name: paused");
	is_value($warehouse, q{SELECT reason FROM depipe.loads WHERE target = 'raw.m'},
		"column \"$column\" of the source is now of type $is, and was of type $was", "$name: reason");
	is_value($warehouse, q{SELECT error_sqlstate FROM depipe.runs WHERE target = 'raw.m' ORDER BY run_id DESC LIMIT 1}, 'QD003',
		"$name: SQLSTATE");
	like(at_warehouse(q{SELECT next FROM depipe.status WHERE target = 'raw.m'}), qr/depipe\.resync/, "$name: what to type");
	others_go_on($name);
	at_warehouse(q{SELECT depipe.resync('raw.m')});
	if ($type ne 'numeric(7,1)')
	{
		is_status($warehouse, 'raw.m', 'failed', "$name: the target cannot hold it");
		my $next = at_warehouse(q{SELECT next FROM depipe.status WHERE target = 'raw.m'});
		is($next, "ALTER TABLE raw.m ALTER COLUMN $column TYPE $is;", "$name: and then");
		at_warehouse($next);
	}
	is_status($warehouse, 'raw.m', 'succeeded', "$name: resync");
	is_value($warehouse, "SELECT $column = $new FROM raw.m WHERE id = 1", 't', "$name: equal");
	is_status($warehouse, 'raw.m', 'nothing', "$name: after");
	is(state_of($warehouse, 'raw.m'), 'streaming', "$name: streaming again");
}

# together with an addition, whose columns are described again
at_source('ALTER TABLE m ADD x int, ALTER n TYPE numeric(8,3)', 'UPDATE m SET x = 1');
refresh($warehouse, 'raw.*');
is(state_of($warehouse, 'raw.m'), 'paused', 'with an added column: paused');
at_warehouse(q{SELECT depipe.resync('raw.m')});
is_status($warehouse, 'raw.m', 'succeeded', 'with an added column, resync');

# a description that was stored without the name of a type does not count as changed
at_warehouse(q{UPDATE depipe.load_state SET source_columns = (SELECT jsonb_agg(c - 'type_name') FROM jsonb_array_elements(source_columns) c)
	WHERE target_id = (SELECT target_id FROM depipe.target WHERE table_name = 'm')});
at_source('UPDATE m SET x = 2');
is_status($warehouse, 'raw.m', 'succeeded', 'an old record');

# ---- a table that stops in the middle of a batch: what the others had in it before is theirs once

make_table($source, $warehouse, 'halting', 'id int PRIMARY KEY, v int');
at_source('CREATE TABLE bag (id int, v int)', 'ALTER TABLE bag REPLICA IDENTITY FULL', 'INSERT INTO halting VALUES (1, 1)');
at_warehouse(q{SELECT depipe.create_load('raw.bag', server => 'shop', source => 'public.bag')});
refresh($warehouse, 'raw.*');
at_source('INSERT INTO bag VALUES (1, 1), (1, 1)', 'ALTER TABLE halting RENAME v TO w', 'UPDATE halting SET w = 9', 'ALTER TABLE halting RENAME w TO v');
refresh($warehouse, 'raw.*');
is(state_of($warehouse, 'raw.halting'), 'paused', 'a table that stops in a batch');
is_same($source, $warehouse, 'bag', 'one beside it');
refresh($warehouse, 'raw.*');
is_same($source, $warehouse, 'bag', 'one beside it, once more');

# ---- a type that is not there

sub next_of
{
	my ($name) = @_;

	return at_warehouse("SELECT next FROM depipe.status WHERE target = 'raw.$name'");
}

at_source('CREATE EXTENSION hstore', 'CREATE TYPE public.pair AS (a int, b int)',
	'CREATE TABLE typed (id int PRIMARY KEY, h hstore, hs hstore[])', 'CREATE TABLE paired (id int PRIMARY KEY, p public.pair)',
	q{INSERT INTO typed VALUES (1, 'a=>1', ARRAY['b=>2'::hstore])});
at_warehouse(map { "SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.$_')" } qw(typed paired));
refresh($warehouse, 'raw.*');
is(next_of('typed'), 'CREATE EXTENSION hstore SCHEMA public;', 'a type of an extension that is not here');
like(next_of('paired'), qr/^Create the type public\.pair here/, 'a type of nobody');
at_warehouse('CREATE SCHEMA elsewhere', 'CREATE EXTENSION hstore SCHEMA elsewhere');
refresh($warehouse, 'raw.typed');
like(next_of('typed'), qr/^Type elsewhere\.hstore is in another schema here\. Create the table with that type/, 'it is in another schema here');
at_warehouse('CREATE TABLE raw.typed (id int PRIMARY KEY, h elsewhere.hstore, hs elsewhere.hstore[])');
is_status($warehouse, 'raw.typed', 'succeeded', 'which is what helps');
at_source(q{UPDATE typed SET h = 'a=>2'}, q{INSERT INTO typed VALUES (2, 'c=>1', NULL)});
is_status($warehouse, 'raw.typed', 'succeeded', 'for changes, too');
is_value($warehouse, q{SELECT string_agg(h::text || ' ' || COALESCE(hs::text, ''), ',' ORDER BY id) FROM raw.typed},
	q{"a"=>"2" {"\"b\"=>\"2\""},"c"=>"1" }, 'and they arrive');

done_testing();
