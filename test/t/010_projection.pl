# Loads of some columns, of expressions over the source's row, and of some rows, which enter and
# leave the filter. A row that enters it with a large value that the source did not send again needs
# a resync, and the load reports that.

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

at_source(
	'CREATE TABLE person (id int PRIMARY KEY, email text, ssn text, region text, big text)',
	'ALTER TABLE person ALTER big SET STORAGE EXTERNAL',
	q{INSERT INTO person SELECT n, 'p' || n || '@example', 'secret ' || n,
		CASE WHEN n % 2 = 0 THEN 'eu' ELSE 'us' END, repeat(md5(n::text), 100) FROM generate_series(1, 10) n});
at_warehouse(
	q{SELECT depipe.create_load('raw.person', server => 'shop', source => 'public.person',
		columns => '{"email": "md5(email)", "ssn": null}')},
	q{SELECT depipe.create_load('raw.european', server => 'shop', source => 'public.person',
		columns => '{"ssn": null}', row_filter => $$region = 'eu'$$)});

sub people_same
{
	my ($name) = @_;

	refresh($warehouse, 'raw.*');
	foreach my $load (qw(person european))
	{
		next if state_of($warehouse, "raw.$load") ne 'needs_resync';
		note("$name: raw.$load needs a resync");
		at_warehouse("SELECT depipe.resync('raw.$load')");
		is_status($warehouse, "raw.$load", 'succeeded', "$name, resync");
	}
	ok(converge($warehouse, 'raw.*'), "$name: converges");
	is_same($source, $warehouse, 'person', $name,
		source => 'SELECT id, md5(email), region, big FROM person',
		target => 'SELECT id, email, region, big FROM raw.person');
	is_same($source, $warehouse, 'european', $name,
		source => q{SELECT id, email, region, big FROM person WHERE region = 'eu'},
		target => 'SELECT id, email, region, big FROM raw.european');
	return;
}

people_same('some columns, some rows');
is_value($warehouse, q{SELECT string_agg(concat_ws(' ', target, column_name, effect, use, input, input_column), E'\n'
	ORDER BY target, column_name, input_column) FROM depipe.column_lineage},
	join("\n", map { "raw.european $_" }
		('big direct identity shop:public.person big', 'email direct identity shop:public.person email',
		'id direct identity shop:public.person id', 'region direct identity shop:public.person region',
		'indirect filter shop:public.person region'))
	. "\n" . join("\n", map { "raw.person $_" }
		('big direct identity shop:public.person big', 'email direct transformation shop:public.person email',
		'id direct identity shop:public.person id', 'region direct identity shop:public.person region')),
	'columns of loads are followed to the source');
is_value($warehouse, q{SELECT count(*) FROM pg_attribute WHERE attrelid IN ('raw.person'::regclass, 'raw.european'::regclass)
	AND attname = 'ssn'}, 0, 'a column left out is not in the target');
is_value($source, q{SELECT attnames FROM pg_publication_tables WHERE tablename = 'person'},
	'{id,email,region,big}', 'a column that no load takes does not leave the source');
at_source(q{UPDATE person SET region = 'us' WHERE id = 2});
people_same('a row leaves the filter');
is_value($warehouse, 'SELECT count(*) FROM raw.european WHERE id = 2', 0, 'a row leaves the filter: it is gone');
at_source(q{UPDATE person SET region = 'eu' WHERE id = 3});
people_same('a row enters the filter, its large column unchanged');
at_source(q{UPDATE person SET region = 'eu', big = 'short' WHERE id = 5}, q{UPDATE person SET email = 'new' WHERE id IN (4, 5)},
	q{UPDATE person SET id = 40 WHERE id = 4}, q{DELETE FROM person WHERE id IN (6, 7)},
	q{INSERT INTO person VALUES (50, 'e', 's', 'eu', repeat('b', 5000)), (51, 'e', 's', NULL, NULL)});
people_same('many changes');
at_source(q{UPDATE person SET ssn = 'other'}, q{UPDATE person SET region = 'us' WHERE id = 50; UPDATE person SET region = 'eu' WHERE id = 50});
people_same('out and in again');
at_source('TRUNCATE person', q{INSERT INTO person VALUES (1, 'e', 's', 'eu', 'x')});
people_same('TRUNCATE');

# a column that is added while the publication omits others
at_source('ALTER TABLE person ADD note text', q{UPDATE person SET note = 'early'});
refresh($warehouse, 'raw.*');
is(state_of($warehouse, "raw.$_"), 'needs_resync', "a new column beside one left out: raw.$_ needs a resync")
	for qw(person european);
at_warehouse(q{SELECT depipe.resync('raw.person')}, q{SELECT depipe.resync('raw.european')});
ok(converge($warehouse, 'raw.*'), 'a new column: converges');
at_source(q{UPDATE person SET email = 'after', note = note || '!'});
people_same('a new column');
is_value($warehouse, 'SELECT DISTINCT note FROM raw.person', 'early!', 'a new column has its values');
at_source('ALTER TABLE person DROP note CASCADE'); # takes the table out of the publication
at_warehouse(q{ALTER TABLE raw.person DROP note}, q{ALTER TABLE raw.european DROP note});
refresh($warehouse, 'raw.*');
at_warehouse(q{SELECT depipe.resync('raw.person')}, q{SELECT depipe.resync('raw.european')});
people_same('the column is gone again');

# a load that names the column, and one that takes all
at_warehouse(q{SELECT depipe.create_load('raw.hashed', server => 'shop', source => 'public.person',
	columns => '{"ssn": null, "ssn_hash": "md5(ssn)"}')});
people_same('a load that mentions it');
is_value($source, q{SELECT cardinality(attnames) FROM pg_publication_tables WHERE tablename = 'person'}, 5,
	'a column that an expression mentions is sent');
at_source(q{UPDATE person SET ssn = 'new'});
people_same('a load that mentions it, changed');
is_value($warehouse, q{SELECT count(*) FROM raw.hashed WHERE ssn_hash <> md5('new')}, 0, 'and its value is taken');
at_warehouse(q{SELECT depipe.drop_load('raw.hashed', drop_table => true)});
people_same('that load is gone');
is_value($source, q{SELECT cardinality(attnames) FROM pg_publication_tables WHERE tablename = 'person'}, 4,
	'and so is the column from the stream');

# replica identity full takes all columns: the source's own updates stay legal
at_source('ALTER TABLE person REPLICA IDENTITY FULL');
refresh($warehouse, 'raw.*');
my ($rc, $stdout, $stderr) = $source->psql('postgres', q{UPDATE person SET email = 'full', region = 'us' WHERE id = 1});
is($rc, 0, 'a change of the identity does not stop the source after the next run') || diag($stderr);
people_same('identity full');
at_source(q{UPDATE person SET region = 'eu' WHERE id = 1}, 'DELETE FROM person WHERE id = 51');
people_same('identity full, changes');

# ---- what is wrong with an expression is told by its own names, and without values

sub reason_of
{
	my ($expression) = @_;

	at_warehouse("SELECT depipe.create_load('raw.told', server => 'shop', source => 'public.told', columns => jsonb_build_object('v', '$expression'))");
	return is_status($warehouse, 'raw.told', 'failed', $expression);
}

at_source('CREATE TABLE told (id int PRIMARY KEY, t text)', q{INSERT INTO told VALUES (1, 'va1ue')});
is(reason_of('t::public.region'), 'type "public.region" does not exist', 'a type that an expression names');
at_warehouse(q{SELECT depipe.drop_load('raw.told')});
is(reason_of('t::int'), 'an expression of the load failed: invalid input syntax for type integer: "..." (22P02)', 'a value that does not fit');
at_warehouse(q{SELECT depipe.drop_load('raw.told')});
like(reason_of('t::regclass::text'), qr/relation "\.\.\." does not exist/, 'a value that is taken for a name');
at_warehouse(q{SELECT depipe.drop_load('raw.told')});
at_source('CREATE TYPE public.area AS (a int)', 'ALTER TABLE told ADD a public.area');
like(reason_of('a IS NULL'), qr/^type public\.area of column "a" does not exist in this database/, 'a type of the source');

done_testing();
