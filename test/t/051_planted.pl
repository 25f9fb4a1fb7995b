# Planted objects: everything that a user can put on a path that depipe takes is evaluated as the
# owner of the target, or never. Each planted function writes a line to the server's log. At the end
# all lines are read: the owner's functions were only called as the owner, those of other roles
# never.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();

# Sessions of the test use a clean path; those that run depipe do not.
my $clean = 'SET search_path TO pg_catalog;';

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', $clean . join(';', @_));
}

# Run as a role, with a clean path; an error ends the test.
sub made_by
{
	my ($role, @statements) = @_;

	foreach my $statement (@statements)
	{
		my ($status, $stdout, $stderr) =
		  $warehouse->psql('postgres', "$clean $statement", extra_params => [ '-U', $role ]);
		die "$stderr\n$statement" if $status != 0;
	}
	return;
}

# Run as a role, under the planted path of the database; errors are ignored.
sub as_role
{
	my ($role, @statements) = @_;

	$warehouse->psql('postgres', join(";\n", @statements), on_error_stop => 0, extra_params => [ '-U', $role ]);
	return;
}

# The planted functions that were called, "name as role", sorted and without duplicates.
sub heard
{
	my %lines;
	my $log = slurp_file($warehouse->logfile);

	$lines{$1} = 1 while $log =~ /LOG:  PLANTED (.*)$/mg;
	return join("\n", sort keys %lines);
}

# ---- roles and schemas

at_warehouse(
	q{CREATE ROLE etl LOGIN}, q{CREATE ROLE mallory LOGIN}, q{CREATE ROLE reader LOGIN},
	q{CREATE ROLE op LOGIN IN ROLE depipe_operator},
	q{ALTER SCHEMA raw OWNER TO etl}, q{CREATE SCHEMA mart AUTHORIZATION etl},
	q{GRANT USAGE ON SCHEMA raw, mart TO reader, op},
	q{GRANT USAGE ON FOREIGN SERVER shop TO etl},
	q{GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC});

# ---- traps of another role, in a schema that is first on everybody's path

sub trap
{
	my ($name, $arguments, $result) = @_;

	return qq{CREATE FUNCTION public."$name"($arguments) RETURNS $result LANGUAGE plpgsql IMMUTABLE AS
		\$\$ BEGIN RAISE LOG 'PLANTED mallory''s $name as %', current_user; RETURN NULL; END \$\$};
}

my @traps;
my $number = 0;

push @traps, trap(@$_)
  foreach (
	[ 'lower', 'text', 'text' ], [ 'count', '', 'bigint' ], [ 'count', 'anyelement', 'bigint' ],
	[ 'sum', 'bigint', 'numeric' ], [ 'sum', 'numeric', 'numeric' ], [ 'sum', 'integer', 'bigint' ],
	[ 'max', 'anyelement', 'anyelement' ], [ 'now', '', 'timestamptz' ], [ 'clock_timestamp', '', 'timestamptz' ],
	[ 'statement_timestamp', '', 'timestamptz' ], [ 'format', 'text, name, name', 'text' ],
	[ 'concat', 'anyelement', 'text' ], [ 'concat_ws', 'text, anyelement', 'text' ],
	[ 'unnest', 'anyarray', 'anyelement' ], [ 'array_agg', 'anyelement', 'anyarray' ],
	[ 'jsonb_populate_record', 'anyelement, jsonb', 'anyelement' ], [ 'to_jsonb', 'anyelement', 'jsonb' ],
	[ 'jsonb_object', 'text[], text[]', 'jsonb' ], [ 'array_to_string', 'text[], text', 'text' ],
	[ 'quote_literal', 'text', 'text' ],
	[ 'pg_has_role', 'name, oid, text', 'boolean' ], [ 'pg_has_role', 'name, name, text', 'boolean' ],
	[ 'has_table_privilege', 'name, oid, text', 'boolean' ], [ 'row_security_active', 'oid', 'boolean' ],
	[ 'generate_series', 'bigint, bigint', 'bigint' ]);

foreach my $type ('int4', 'int8', 'numeric', 'text', 'name', 'oid', 'timestamptz', 'jsonb', 'pg_lsn', 'bool', 'text[]')
{
	foreach my $operator ('=', '<>', '<', '>', '<=', '>=', '+', '-', '||')
	{
		my $result = $operator =~ /^(\+|-|\|\|)$/ ? $type : 'bool';

		$number++;
		push @traps, trap("operator_$number", "pg_catalog.$type, pg_catalog.$type", "pg_catalog.$result"),
		  qq{CREATE OPERATOR public.$operator (LEFTARG = pg_catalog.$type, RIGHTARG = pg_catalog.$type, FUNCTION = public.operator_$number)};
	}
}
$number++;
push @traps, trap("operator_$number", 'jsonb, text', 'text'),
  qq{CREATE OPERATOR public.->> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = public.operator_$number)};
push @traps, trap('check_value', 'pg_catalog.text', 'pg_catalog.bool'), trap('read_view', '', 'pg_catalog.int4');
# planted last, so that the objects above do not use them
push @traps,
  map { qq{CREATE DOMAIN public.$_ AS pg_catalog.$_ CHECK (public.check_value(VALUE::pg_catalog.text))} }
  ('int4', 'int8', 'numeric', 'text', 'jsonb', 'name', 'oid', 'timestamptz', 'bool', 'uuid', 'regclass');
push @traps,
  map { qq{CREATE VIEW public.$_ AS SELECT x.*, public.read_view() AS read_view FROM pg_catalog.$_ x} }
  ('pg_class', 'pg_namespace', 'pg_constraint', 'pg_type', 'pg_extension', 'pg_roles');
made_by('mallory', @traps);
at_warehouse(q{ALTER DATABASE postgres SET search_path TO public, pg_catalog},
	map { qq{ALTER ROLE $_ SET search_path TO public, pg_catalog} } ('etl', 'reader', 'op', 'postgres'));
$warehouse->psql('postgres', 'TABLE pg_extension', extra_params => [ '-U', 'mallory' ]);
like(heard(), qr/mallory's read_view as mallory/, 'the traps are on the path');

# ---- what the owner puts onto its own tables

sub spy
{
	my ($name, $arguments, $result, $value) = @_;

	return qq{CREATE FUNCTION lab.$name($arguments) RETURNS $result LANGUAGE plpgsql IMMUTABLE AS
		\$\$ BEGIN RAISE LOG 'PLANTED etl''s $name as %', current_user; RETURN $value; END \$\$};
}

sub spying_trigger
{
	my ($name, $value) = @_;

	return qq{CREATE FUNCTION lab.$name() RETURNS trigger LANGUAGE plpgsql AS
		\$\$ BEGIN RAISE LOG 'PLANTED etl''s $name as %', current_user; PERFORM lab.escape(); RETURN $value; END \$\$};
}

at_warehouse(q{CREATE SCHEMA lab AUTHORIZATION etl}, q{GRANT USAGE ON SCHEMA lab TO reader, op});
made_by(
	'etl',
		# every way out of a restricted operation, and settings that the next statement would see
		q{CREATE FUNCTION lab.escape() RETURNS void LANGUAGE plpgsql AS $$
			DECLARE
				s pg_catalog.text;
			BEGIN
				FOREACH s IN ARRAY ARRAY['RESET ROLE', 'SET ROLE postgres', 'SET SESSION AUTHORIZATION postgres',
					'SET SESSION AUTHORIZATION DEFAULT', 'RESET SESSION AUTHORIZATION', 'CREATE TEMP TABLE x ()', 'LISTEN x',
					'DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'PREPARE p AS SELECT 1', 'DISCARD ALL']
				LOOP
					BEGIN
						EXECUTE s;
						RAISE LOG 'PLANTED escaped by %', s;
					EXCEPTION WHEN OTHERS THEN NULL;
					END;
				END LOOP;
				BEGIN
					PERFORM pg_catalog.set_config('role', 'postgres', true);
					RAISE LOG 'PLANTED escaped by set_config';
				EXCEPTION WHEN OTHERS THEN NULL;
				END;
				PERFORM pg_catalog.set_config('search_path', 'public, pg_catalog', true);
				PERFORM pg_catalog.set_config('search_path', 'public, pg_catalog', false);
			END $$},
		q{CREATE FUNCTION lab.row_check(pg_catalog.int4) RETURNS pg_catalog.bool LANGUAGE plpgsql STABLE AS
			$$ BEGIN RAISE LOG 'PLANTED etl''s row_check as %', current_user; PERFORM lab.escape(); RETURN true; END $$},
		spy('domain_check', 'pg_catalog.text', 'pg_catalog.bool', 'true'),
		spy('generated', 'pg_catalog.int4', 'pg_catalog.int4', '$1'),
		spy('column_default', '', 'pg_catalog.int4', '1'),
		spy('table_check', 'pg_catalog.int4', 'pg_catalog.bool', 'true'),
		spy('index_expression', 'pg_catalog.int4', 'pg_catalog.int4', '$1'),
		spy('index_predicate', 'pg_catalog.int4', 'pg_catalog.bool', 'true'),
		spy('policy', '', 'pg_catalog.bool', 'true'),
		spy('in_view', 'pg_catalog.int4', 'pg_catalog.int4', '$1'),
		spy('in_query', 'pg_catalog.int4', 'pg_catalog.int4', '$1'),
		spy('load_column', 'pg_catalog.text', 'pg_catalog.text', '$1'),
		spy('row_filter', 'pg_catalog.int4', 'pg_catalog.bool', 'true'),
		spy('aggregate_check', 'pg_catalog.numeric', 'pg_catalog.bool', 'true'),
		spy('constraint_filter', 'pg_catalog.int4', 'pg_catalog.bool', 'true'),
		spy('reference_filter', 'pg_catalog.int4', 'pg_catalog.bool', 'true'),
		spying_trigger('before_row', 'new'),
		spying_trigger('after_row', 'null'),
		spying_trigger('before_statement', 'null'),
		spying_trigger('after_statement', 'null'),
		q{CREATE DOMAIN lab.note AS pg_catalog.text CHECK (lab.domain_check(VALUE))},
		q{CREATE TABLE raw.customers (id int PRIMARY KEY, name lab.note)},
		q{CREATE TABLE raw.orders (id int PRIMARY KEY, customer int, amount int DEFAULT lab.column_default() CHECK (lab.table_check(amount)),
			note lab.note, own int DEFAULT lab.column_default(), twice int GENERATED ALWAYS AS (lab.generated(amount)) STORED)},
		q{CREATE INDEX ON raw.orders (lab.index_expression(amount)) WHERE lab.index_predicate(amount)},
		q{CREATE TABLE mart.totals (customer int, total int8, twice int GENERATED ALWAYS AS (lab.generated(customer)) STORED)},
		(map {
			(   qq{CREATE TRIGGER b BEFORE INSERT OR UPDATE ON $_ FOR EACH ROW EXECUTE FUNCTION lab.before_row()},
				qq{CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON $_ FOR EACH ROW EXECUTE FUNCTION lab.after_row()},
				qq{CREATE TRIGGER bs BEFORE INSERT OR UPDATE OR DELETE ON $_ FOR EACH STATEMENT EXECUTE FUNCTION lab.before_statement()},
				qq{CREATE TRIGGER "as" AFTER INSERT OR UPDATE OR DELETE ON $_ FOR EACH STATEMENT EXECUTE FUNCTION lab.after_statement()},
				qq{ALTER TABLE $_ ENABLE ALWAYS TRIGGER a, ENABLE ALWAYS TRIGGER b, ENABLE ALWAYS TRIGGER bs, ENABLE ALWAYS TRIGGER "as"})
		} ('raw.orders', 'mart.totals')),
		q{CREATE TABLE raw.policed (id int PRIMARY KEY, v int)},
		q{ALTER TABLE raw.policed ENABLE ROW LEVEL SECURITY},
		q{ALTER TABLE raw.policed FORCE ROW LEVEL SECURITY},
		q{CREATE POLICY p ON raw.policed USING (lab.policy())},
		q{INSERT INTO raw.policed VALUES (1, 1)},
		q{CREATE VIEW raw.seen AS SELECT o.id, lab.in_view(o.amount) AS amount, o.customer FROM raw.orders o},
		q{GRANT SELECT ON ALL TABLES IN SCHEMA raw, mart TO reader});

$source->safe_psql('postgres',
	q{CREATE TABLE customers (id int PRIMARY KEY, name text);
	CREATE TABLE orders (id int PRIMARY KEY, customer int, amount int, note text);
	INSERT INTO customers VALUES (1, 'ada'), (2, 'bob');
	INSERT INTO orders VALUES (1, 1, 10, 'a'), (2, 2, 20, 'b'), (3, 9, 30, 'c'), (4, 1, -1, 'd')});

# ---- definitions, under the planted path

as_role('etl',
	q{SELECT depipe.create_load('raw.customers', server => 'shop', source => 'public.customers')},
	q{SELECT depipe.create_load('raw.orders', server => 'shop', source => 'public.orders',
		columns => '{"note": "lab.load_column(note)"}', row_filter => 'lab.row_filter(id)')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.satisfies('amount OPERATOR(pg_catalog.>=) 0'), name => 'amount', on_violation => 'quarantine')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.satisfies('lab.row_check(amount)'), name => 'row_check', filter => 'lab.constraint_filter(id) AND id OPERATOR(pg_catalog.>) 0')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.satisfies('lab.aggregate_check(pg_catalog.sum(amount))'), name => 'aggregate')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.relationships('customer', 'raw.customers', 'id',
		reference_filter => 'lab.reference_filter(id)'), name => 'customer', on_violation => 'quarantine')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.unique('customer', 'amount'), name => 'twice', on_violation => 'warn')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.in_range('amount', maximum => 1000000), name => 'range')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.accepted_values('customer', VARIADIC '{1,2,3,4,5,6,7,8,9}'::pg_catalog.int4[]), name => 'accepted')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.matches('note', '.'), name => 'matches')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.not_null('customer'), name => 'not_null')},
	q{SELECT depipe.add_constraint('raw.orders', depipe.row_count(0, 1000), name => 'rows', warn_if => NULL)},
	q{SELECT depipe.create_transform('mart.totals', 'SELECT s.customer, pg_catalog.sum(lab.in_query(s.amount)) AS total FROM raw.seen s GROUP BY s.customer', key => '{customer}')},
	q{SELECT depipe.create_transform('mart.policed', 'SELECT p.id, p.v FROM raw.policed p')},
	q{SELECT depipe.add_constraint('mart.totals', depipe.satisfies('lab.row_check(customer)'), name => 'row_check')},
	q{GRANT SELECT ON ALL TABLES IN SCHEMA raw, mart TO reader});
is_value($warehouse, $clean . 'SELECT pg_catalog.count(*) FROM depipe.constraint_definition', 11, 'everything is defined');

# ---- every way in, as everybody

sub all_calls
{
	return (
		q{SELECT * FROM depipe.refresh('raw.*')}, q{SELECT * FROM depipe.refresh('mart.*', upstream => true)},
		q{CALL depipe.run('raw.*')}, q{CALL depipe.run('mart.*')}, q{CALL depipe.run_due()},
		q{CALL depipe.backfill('mart.totals', 'total', '0', '1000', '500')},
		q{SELECT * FROM depipe.verify('raw.orders')}, q{SELECT * FROM depipe.verify('mart.totals')},
		q{SELECT * FROM depipe.verify('mart.totals', depth => 'counts', condition => 'lab.row_check(customer)')},
		q{SELECT * FROM depipe.check_table('raw.orders')}, q{SELECT * FROM depipe.violations('raw.orders')},
		q{SELECT * FROM depipe.quarantined(NULL::raw.orders)}, q{SELECT * FROM depipe.explain_transform('mart.totals')},
		q{SELECT depipe.guard('mart.totals', 'raw.orders')}, q{SELECT depipe.assert_ok('mart.totals')},
		q{SELECT depipe.definition('*')},
		map { "SELECT * FROM depipe.$_" }
		  ('status', 'loads', 'transforms', 'constraints', 'breakers', 'verdicts', 'runs', 'quarantine', 'incidents', 'events', 'audit', 'lineage', 'column_lineage', 'stat_streams', 'backfills'));
}

sub everybody
{
	as_role($_, all_calls()) foreach ('postgres', 'op', 'reader', 'mallory', 'etl');
	return;
}

sub change_source
{
	my ($n) = @_;

	$source->safe_psql('postgres', qq{UPDATE orders SET amount = amount + 1 WHERE id = 1;
		UPDATE orders SET note = note || '$n' WHERE id IN (3, 4);
		INSERT INTO orders VALUES (100 + $n, 1, $n, 'new'), (200 + $n, 9, $n, 'no customer'), (300 + $n, 1, -$n, 'negative')});
	return;
}

everybody();
is_value($warehouse, $clean . 'SELECT pg_catalog.count(*) FROM raw.orders', 2, 'the load has run');
is_value($warehouse, $clean . 'SELECT pg_catalog.count(*) FROM mart.totals', 2, 'the transform has run');
foreach my $role ('postgres', 'op', 'etl')
{
	change_source(++$number);
	as_role($role, all_calls());
}

# rows that come back from the quarantine and from the park
as_role('op', q{SELECT depipe.trip('raw.orders', 'planted')});
change_source(++$number);
as_role('postgres', all_calls());
is_value($warehouse, $clean . q{SELECT pg_catalog.count(*) > 0 FROM depipe.parked_item}, 't', 'rows are parked');
$source->safe_psql('postgres', q{INSERT INTO customers VALUES (9, 'eve')});
as_role('postgres', q{CALL depipe.run('raw.customers')}, q{SELECT depipe.reset('raw.orders', 'planted')}, q{CALL depipe.run('raw.*')});
is_value($warehouse, $clean . q{SELECT pg_catalog.count(*) FROM depipe.parked_item}, 0, 'what was parked is published');
is_value($warehouse, $clean . q{SELECT pg_catalog.count(*) > 0 FROM raw.orders WHERE customer = 9}, 't', 'quarantined rows are back');
as_role('postgres', q{SELECT depipe.resync('raw.orders')}, all_calls());
as_role('postgres', q{SELECT depipe.pause('planted', 'raw.orders')});
change_source(++$number);
as_role('postgres', q{CALL depipe.run('raw.*')}, q{SELECT depipe.resume('raw.orders')}, all_calls());

# columns added at the source
$source->safe_psql('postgres', q{ALTER TABLE customers ADD COLUMN note text DEFAULT 'x'; UPDATE customers SET name = name || '!'});
as_role('postgres', q{CALL depipe.run('raw.*')});
# definitions that a superuser changes
as_role('postgres',
	q{SELECT depipe.alter_constraint('raw.orders', 'row_check', on_violation => 'warn')},
	q{SELECT depipe.alter_transform('mart.totals', target_lag => '1 minute')},
	q{SELECT depipe.create_transform('mart.totals', 'SELECT s.customer, pg_catalog.sum(lab.in_query(s.amount)) AS total, pg_catalog.count(*) AS n FROM raw.seen s GROUP BY s.customer', key => '{customer}', target_lag => '1 second', replace => true)},
	q{ALTER TABLE raw.customers RENAME TO clients}, q{ALTER TABLE raw.clients RENAME TO customers},
	all_calls());

# ---- the same by workers

$warehouse->append_conf('postgresql.conf', q{
shared_preload_libraries = 'depipe'
depipe.databases = 'postgres'
depipe.naptime = '100ms'
});
$warehouse->restart;
change_source(++$number);
wait_until($warehouse, qq{SELECT EXISTS (SELECT FROM raw.orders WHERE id OPERATOR(pg_catalog.=) @{[ 100 + $number ]})}, 'a worker has published');
as_role('op', q{SELECT depipe.trip('raw.orders', 'planted')});
change_source(++$number);
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM depipe.parked_item)}, 'a worker has parked');
as_role('op', q{SELECT depipe.reset('raw.orders', 'planted')});
wait_until($warehouse, qq{SELECT EXISTS (SELECT FROM raw.orders WHERE id OPERATOR(pg_catalog.=) @{[ 100 + $number ]})}, 'a worker has published what was parked');
wait_until($warehouse, qq{SELECT EXISTS (SELECT FROM depipe.runs WHERE target OPERATOR(pg_catalog.=) 'mart.totals' AND started_by OPERATOR(pg_catalog.=) 'worker')}, 'a worker has refreshed');
# ---- who was heard

my @heard = split /\n/, heard();
is(join("\n", grep { /mallory/ && !/ as mallory$/ } @heard), '', 'traps of another role are never called');
is(join("\n", grep { /escaped/ } @heard), '', 'nothing escapes');
is(join("\n", grep { /etl's/ && !/ as etl$/ } @heard), '', 'what is the owner\'s is called as the owner only');
foreach my $name ('row_check', 'domain_check', 'generated', 'column_default', 'table_check', 'index_expression',
	'index_predicate', 'policy', 'in_view', 'in_query', 'load_column', 'row_filter', 'aggregate_check',
	'constraint_filter', 'reference_filter', 'before_row', 'after_row', 'before_statement', 'after_statement')
{
	ok((grep { $_ eq "etl's $name as etl" } @heard), "$name was called");
}

done_testing();
