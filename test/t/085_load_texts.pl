# Filters and expressions of a load keep their meaning under the search_path of the session that
# created it: operators, functions and casts are the same ones, whichever session runs the load,
# verifies it or creates it again from its printed definition.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();

# In the warehouse, citext's = is in public. Two schemas have a function and an operator of the same
# name.
my $schemas = q{
	CREATE EXTENSION citext;
	CREATE SCHEMA ops;
	CREATE SCHEMA other;
	CREATE FUNCTION ops.grade(n int) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'ops ' || n % 3 $$;
	CREATE FUNCTION other.grade(n int) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'other' $$;
	CREATE FUNCTION ops.alike(text, text) RETURNS bool IMMUTABLE LANGUAGE sql AS $$ SELECT lower($1) = lower($2) $$;
	CREATE FUNCTION other.alike(text, text) RETURNS bool IMMUTABLE LANGUAGE sql AS $$ SELECT $1 <> $2 $$;
	CREATE OPERATOR ops.=% (FUNCTION = ops.alike, LEFTARG = text, RIGHTARG = text);
	CREATE OPERATOR other.=% (FUNCTION = other.alike, LEFTARG = text, RIGHTARG = text)};
my $mine = 'ALTER DATABASE postgres SET search_path = ops, public';
my $foreign = 'SET search_path = other, pg_catalog';

$source->safe_psql('postgres', "$schemas; $mine");
$warehouse->safe_psql('postgres', "$schemas; $mine");
$source->safe_psql('postgres', q{
	CREATE TABLE public.item (id int PRIMARY KEY, name citext, tag text, n int);
	INSERT INTO public.item SELECT n, (ARRAY['x', 'X', 'y', 'Y', NULL])[n % 5 + 1], (ARRAY['a', 'A', 'b'])[n % 3 + 1], n
	FROM generate_series(1, 30) n});

my %filters = (
	equal => q{name = 'X'},
	one_of => q{name IN ('X', 'Z')},
	one_of_many => q{name = ANY ('{X,Z}')},
	by_case => q{CASE name WHEN 'X' THEN true ELSE n > 28 END},
	by_null => q{NULLIF(name, 'X') IS NULL},
	by_row => q{(n % 2, name) = (1, 'X')},
	by_order => q{(name, n) < ('X', 20)},
	by_between => q{name BETWEEN 'W' AND 'x'},
	by_like => q{name LIKE 'X%' AND tag <> 'b'},
	by_distinct => q{name IS DISTINCT FROM 'X' -- not it},
	by_operator => q{tag =% 'A'},
	by_function => q{grade(n) = 'ops 1'},
	by_qualified => q{tag OPERATOR(other.=%) 'A'});
my %columns = (
	equal => q{name = 'X'},
	nothing => q{NULLIF(name, 'X')},
	kind => q{CASE name WHEN 'X' THEN 'it' ELSE 'another' END},
	grade => 'grade(n)',
	alike => q{tag =% 'A'},
	same => q{name || tag = 'XA'::citext});

sub create_loads
{
	my $computed = join(', ', map { qq{"$_": "$columns{$_}"} } sort keys %columns);

	$warehouse->safe_psql('postgres', join(';', map { "SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.item',"
			. " row_filter => \$\$$filters{$_}\$\$)" } sort keys %filters)
		. "; SELECT depipe.create_load('raw.computed', server => 'shop', source => 'public.item',"
		. " columns => \$\${$computed}\$\$)");
	return;
}

sub as_another
{
	my ($sql) = @_;

	return $warehouse->safe_psql('postgres', "$foreign; $sql");
}

sub all_same
{
	my ($name) = @_;
	my $list = join(', ', map { "$columns{$_} AS \"$_\"" } sort keys %columns);
	my $names = join(', ', map { "\"$_\"" } sort keys %columns);

	as_another(q{SELECT depipe.refresh('raw.*')});
	is_value($warehouse, q{SELECT string_agg(target || ' ' || state || ' ' || COALESCE(reason, ''), '; ' ORDER BY target)
		FROM depipe.loads WHERE state <> 'streaming'}, '', "$name: all loads stream");
	foreach my $load (sort keys %filters)
	{
		is_same($source, $warehouse, $load, "$name: $filters{$load}",
			source => "SELECT * FROM public.item WHERE $filters{$load}\n",
			target => "SELECT * FROM raw.$load");
		is(as_another("SELECT count(*) FROM depipe.verify('raw.$load')"), 0, "$name: verify of $load agrees");
	}
	is_same($source, $warehouse, 'computed', "$name: expressions",
		source => "SELECT id, $list FROM public.item",
		target => "SELECT id, $names FROM raw.computed");
	is(as_another(q{SELECT count(*) FROM depipe.verify('raw.computed')}), 0, "$name: verify of expressions agrees");
	return;
}

create_loads();
all_same('copied');
$source->safe_psql('postgres', q{
	UPDATE public.item SET name = upper(name::text)::citext, n = n + 1 WHERE id < 8;
	UPDATE public.item SET tag = 'A' WHERE id % 4 = 0;
	DELETE FROM public.item WHERE id % 7 = 0;
	INSERT INTO public.item VALUES (100, 'x', 'A', 3), (101, 'X', 'b', 4), (102, 'z', 'a', 7)});
all_same('streamed');
$source->safe_psql('postgres', q{ALTER TABLE public.item ADD note text; INSERT INTO public.item VALUES (110, 'x', 'a', 1, 'it')});
all_same('another column');

# what definition() prints, run under another path
my $statements = $warehouse->safe_psql('postgres',
	q{SELECT statement FROM depipe.definition('raw.*') WHERE statement LIKE '%create_load%'});
$warehouse->safe_psql('postgres', q{SELECT depipe.drop_load(target, drop_table => true) FROM depipe.loads});
as_another($statements);
is($warehouse->safe_psql('postgres', q{SELECT statement FROM depipe.definition('raw.*') WHERE statement LIKE '%create_load%'}),
	$statements, 'a printed definition is printed again');
all_same('made again');

# settings without a path leave it to the session
$warehouse->safe_psql('postgres', q{SELECT depipe.drop_load(target, drop_table => true) FROM depipe.loads});
$warehouse->safe_psql('postgres', q{
	SELECT depipe.create_load('raw.equal', server => 'shop', source => 'public.item', row_filter => $$name = 'X'$$,
		settings => '{TimeZone=Asia/Tokyo}')});
as_another(q{SELECT depipe.refresh('raw.*')});
is_same($source, $warehouse, 'equal', 'settings without a path',
	source => "SELECT * FROM public.item WHERE $filters{equal}", target => 'SELECT * FROM raw.equal');

# A function and an operator that match better, created later in a schema of the path, are never
# called: not by the next run, not by a resync, and not after another column is added. A changed
# type causes a new analysis.
my $planted = q{CREATE FUNCTION ops.grade(n bigint) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE 'planted'; END $$;
	CREATE FUNCTION ops.grade(n oid) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE 'planted'; END $$;
	CREATE FUNCTION ops.same(citext, text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE 'planted'; END $$;
	CREATE OPERATOR ops.= (FUNCTION = ops.same, LEFTARG = citext, RIGHTARG = text)};
$warehouse->safe_psql('postgres', q{SELECT depipe.drop_load(target, drop_table => true) FROM depipe.loads});
$source->safe_psql('postgres', 'CREATE TABLE public.small (id int PRIMARY KEY, n smallint, name citext, tag text);'
	. q{ INSERT INTO public.small SELECT id, n, name, tag FROM public.item});
my %small = (
	graded => q{grade(n) = 'ops 1'},
	tagged => q{name = tag});
for my $load (sort keys %small)
{
	$warehouse->safe_psql('postgres',
		"SELECT depipe.create_load('raw.$load', server => 'shop', source => 'public.small', row_filter => \$\$$small{$load}\$\$)");
}
as_another(q{SELECT depipe.refresh('raw.*')});
my %meaning = (
	graded => 'SELECT * FROM public.small WHERE n % 3 = 1',
	tagged => 'SELECT * FROM public.small WHERE name::text = tag');
$warehouse->safe_psql('postgres', $planted);
for my $after ('', q{SELECT depipe.resync(target) FROM depipe.loads}, 'another column')
{
	$source->safe_psql('postgres', q{UPDATE public.small SET n = n + 1, name = tag WHERE id % 4 = 1});
	$source->safe_psql('postgres', q{ALTER TABLE public.small ADD m int; UPDATE public.small SET m = 2 WHERE id % 5 = 1})
		if $after eq 'another column';
	as_another($after) if $after =~ /^SELECT/;
	as_another(q{SELECT depipe.refresh('raw.*')});
	for my $load (sort keys %small)
	{
		my $name = "what was planted is not run: $load" . ($after eq '' ? '' : " ($after)");
		is_value($warehouse, "SELECT state || ' ' || COALESCE(reason, '') FROM depipe.loads WHERE target = 'raw.$load'",
			'streaming ', $name);
		is_same($source, $warehouse, $load, $name, source => $meaning{$load}, target => "SELECT * FROM raw.$load");
		is(as_another("SELECT count(*) FROM depipe.verify('raw.$load')"), 0, "$name: verify agrees");
	}
}
# a replaced definition is analysed again
fails_like($warehouse, q{SELECT depipe.create_load('raw.tagged', server => 'shop', source => 'public.small',
	row_filter => $$name = tag$$, target_lag => '1 minute', replace => true); SELECT depipe.resync('raw.tagged');
	SELECT 1 / (status <> 'failed')::int FROM depipe.refresh('raw.tagged')}, '22012', qr/division by zero/,
	'a definition that is replaced means what its path says now');
$warehouse->safe_psql('postgres', q{SELECT depipe.resync('raw.graded'); SELECT depipe.create_load('raw.graded',
	server => 'shop', source => 'public.small', row_filter => $$grade(n) = 'ops 1'$$, replace => true)});
is($warehouse->safe_psql('postgres', q{SELECT status FROM depipe.refresh('raw.graded')}), 'failed',
	'so does one that is replaced by the same while it waits for a copy');
$warehouse->safe_psql('postgres', q{SELECT depipe.drop_load(target, drop_table => true) FROM depipe.loads;
	DROP OPERATOR ops.= (citext, text); DROP FUNCTION ops.grade(bigint), ops.grade(oid)});
$warehouse->safe_psql('postgres', q{
	SELECT depipe.create_load('raw.equal', server => 'shop', source => 'public.item', row_filter => $$name = 'X'$$);
	SELECT depipe.create_load('raw.by_function', server => 'shop', source => 'public.item', row_filter => $$grade(n) = 'ops 1'$$)});
as_another(q{SELECT depipe.refresh('raw.*')});

# a schema of the path is dropped: nothing is chosen from the others, and analysed texts do not need
# it
$warehouse->safe_psql('postgres', q{ALTER SCHEMA ops RENAME TO elsewhere});
as_another(q{SELECT depipe.resync(target) FROM depipe.loads; SELECT depipe.refresh('raw.*')});
is_value($warehouse, q{SELECT error_sqlstate || ' ' || error_message FROM depipe.runs WHERE target = 'raw.by_function'
	ORDER BY run_id DESC LIMIT 1}, '3F000 schema "ops" does not exist', 'a schema that is gone is an error where it is used');
is_same($source, $warehouse, 'equal', 'another load goes on',
	source => "SELECT * FROM public.item WHERE $filters{equal}", target => 'SELECT * FROM raw.equal');
$warehouse->safe_psql('postgres', q{SELECT depipe.drop_load('raw.equal', drop_table => true);
	SELECT depipe.create_load('raw.equal', server => 'shop', source => 'public.item', row_filter => $$name = 'X'$$,
		settings => '{search_path=public}')});
fails_like($warehouse, q{SELECT depipe.create_load('raw.other', server => 'shop', source => 'public.item',
	row_filter => $$name = 'X'$$, settings => '{"search_path=ops, public"}')}, '3F000', qr/schema "ops" does not exist/,
	'a schema that is not there is an error at once');
$warehouse->safe_psql('postgres', q{ALTER SCHEMA elsewhere RENAME TO ops});
as_another(q{SELECT depipe.refresh('raw.*')});
is_same($source, $warehouse, 'by_function', 'it is back',
	source => "SELECT * FROM public.item WHERE $filters{by_function}", target => 'SELECT * FROM raw.by_function');
$warehouse->safe_psql('postgres', q{SELECT depipe.drop_load('raw.by_function', drop_table => true)});

# definitions without a path keep the meaning under the pinned one, even when printed
$warehouse->safe_psql('postgres', q{
	UPDATE depipe.target SET settings = '{}' WHERE table_name = 'equal'; SELECT depipe.resync('raw.equal')});
as_another(q{SELECT depipe.refresh('raw.equal')});
is_same($source, $warehouse, 'equal', 'a definition without a path',
	source => q{SELECT * FROM public.item WHERE name::text = 'X'}, target => 'SELECT * FROM raw.equal');
like($warehouse->safe_psql('postgres', q{SELECT statement FROM depipe.definition('raw.equal') WHERE statement LIKE '%create_load%'}),
	qr/settings => '\{search_path=pg_catalog\}'/, 'it is printed with the pinned path');

my $again = q{SELECT depipe.create_load('raw.equal', server => 'shop', source => 'public.item', row_filter => $$name = 'X'$$,
	settings => '{search_path=public}'};
is($warehouse->safe_psql('postgres', "$again)"), 'raw.equal', 'the same declared again is nothing new');
$warehouse->safe_psql('postgres', "$again, replace => true)");
as_another(q{SELECT depipe.refresh('raw.equal')});
is_same($source, $warehouse, 'equal', 'replaced, it has a path',
	source => "SELECT * FROM public.item WHERE $filters{equal}", target => 'SELECT * FROM raw.equal');

# the owner must be able to use the schemas
$warehouse->safe_psql('postgres', q{CREATE ROLE keeper LOGIN; GRANT ALL ON SCHEMA raw TO keeper;
	CREATE TABLE raw.kept (id int PRIMARY KEY, name citext); ALTER TABLE raw.kept OWNER TO keeper});
fails_like($warehouse, q{SELECT depipe.create_load('raw.kept', server => 'shop', source => 'public.item',
	row_filter => $$name = 'X'$$)}, '42501',
	qr/permission denied for schema ops/, 'a schema that the owner may not use');

done_testing();
