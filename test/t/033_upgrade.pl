# ALTER EXTENSION depipe UPDATE: its result equals a new installation, and definitions and progress
# survive it. If this test fails after a change of sql/depipe.sql, the objects that it names must be
# added to sql/depipe-upgrade.sql.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse();
my $version =
  $warehouse->safe_psql('postgres', q{SELECT extversion FROM pg_extension WHERE extname = 'depipe'});
my @previous = split /\n/,
  $warehouse->safe_psql('postgres',
	qq{SELECT version FROM pg_available_extension_versions
	WHERE name = 'depipe' AND version <> '$version' ORDER BY version});

# One line for each object that a version creates, and for each of its properties that can differ.
my $catalog = <<'SQL';
SET search_path TO pg_catalog, pg_temp;
WITH member AS (
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'depipe'
), relation AS (
	SELECT c.*, c.oid::regclass::text AS name
	FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
), line (line) AS (
	SELECT 'member ' || pg_describe_object(classid, objid, 0)
		|| ': ' || COALESCE(obj_description(objid, classid::regclass::text), 'no comment') FROM member
	UNION ALL
	SELECT format('%s %s persistence %s options %s acl %s owner %s security %s',
		CASE relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' WHEN 'i' THEN 'index' ELSE 'table' END,
		name, relpersistence, reloptions, relacl, relowner::regrole, relrowsecurity) FROM relation
	UNION ALL
	SELECT format('column %s.%s %s not null %s default %s identity "%s" generated "%s" collation %s acl %s storage %s: %s',
		r.name, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
		pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attcollation::regcollation, a.attacl,
		a.attstorage, col_description(r.oid, a.attnum))
	FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
	UNION ALL
	SELECT format('constraint %s of %s: %s', c.conname, r.name, pg_get_constraintdef(c.oid))
	FROM relation r JOIN pg_constraint c ON c.conrelid = r.oid
	UNION ALL
	SELECT format('index of %s: %s', r.name, pg_get_indexdef(i.indexrelid))
	FROM relation r JOIN pg_index i ON i.indrelid = r.oid
	UNION ALL
	SELECT format('definition of view %s: %s', name, pg_get_viewdef(oid)) FROM relation WHERE relkind = 'v'
	UNION ALL
	SELECT format('trigger of %s: %s', r.name, pg_get_triggerdef(t.oid))
	FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
	UNION ALL
	SELECT format('sequence %s %s from %s by %s to %s', r.name, format_type(s.seqtypid, NULL), s.seqstart,
		s.seqincrement, s.seqmax) FROM relation r JOIN pg_sequence s ON s.seqrelid = r.oid
	UNION ALL
	SELECT format('function %s acl %s owner %s: %s', p.oid::regprocedure, p.proacl, p.proowner::regrole,
		pg_get_functiondef(p.oid))
	FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
	UNION ALL
	SELECT format('event trigger %s on %s tags %s function %s enabled %s', e.evtname, e.evtevent,
		ARRAY(SELECT t FROM unnest(e.evttags) t ORDER BY t), e.evtfoid::regprocedure, e.evtenabled)
	FROM pg_event_trigger e JOIN member m ON m.classid = 'pg_event_trigger'::regclass AND m.objid = e.oid
	UNION ALL
	SELECT format('type %s kind %s base %s not null %s default %s acl %s', t.oid::regtype, t.typtype,
		t.typbasetype::regtype, t.typnotnull, t.typdefault, t.typacl)
	FROM pg_type t JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
	UNION ALL
	SELECT format('wrapper %s handler %s validator %s acl %s', fdwname, fdwhandler, fdwvalidator::regproc, fdwacl)
	FROM pg_foreign_data_wrapper
	UNION ALL
	SELECT format('schema %s acl %s owner %s', nspname, nspacl, nspowner::regrole)
	FROM pg_namespace WHERE nspname = 'depipe'
	UNION ALL
	SELECT format('dumped %s where "%s"', d.relid::regclass, e.extcondition[d.n])
	FROM pg_extension e, unnest(e.extconfig) WITH ORDINALITY AS d (relid, n) WHERE e.extname = 'depipe'
)
SELECT translate(line, E'\n\t', '  ') FROM line ORDER BY line COLLATE "C"
SQL

sub catalog_of
{
	my ($database) = @_;

	return split /\n/, $warehouse->safe_psql($database, $catalog);
}

# The lines of the first list that are missing in the second.
sub without
{
	my ($lines, $others) = @_;
	my %others = map { $_ => 1 } @$others;

	return grep { !$others{$_} } @$lines;
}

ok(@previous > 0, 'scripts of earlier versions are here: ' . join(' ', @previous));
my @fresh = catalog_of('postgres');
cmp_ok(scalar(@fresh), '>', 300, 'the catalog of a new installation: ' . scalar(@fresh) . ' lines');

foreach my $old (@previous)
{
	my $database = "from_$old";

	$warehouse->safe_psql('postgres', qq{CREATE DATABASE "$database"});
	$warehouse->safe_psql($database, qq{CREATE EXTENSION depipe VERSION '$old'});
	my ($status, $stdout, $stderr) = $warehouse->psql($database, 'ALTER EXTENSION depipe UPDATE');
	is($status, 0, "update from $old") || diag($stderr);
	my @upgraded = catalog_of($database);
	my @missing = without(\@fresh, \@upgraded);
	my @surplus = without(\@upgraded, \@fresh);
	is(scalar(@missing) + scalar(@surplus), 0, "$old, updated, is what a new installation is");
	diag("to be made by sql/depipe-upgrade.sql: $_") foreach @missing;
	diag("to be dropped by sql/depipe-upgrade.sql: $_") foreach @surplus;
}

# ---- definitions and progress go through it; what was copied with its database is detached

$warehouse->safe_psql('postgres', 'CREATE DATABASE lived');
$warehouse->safe_psql('lived', q{CREATE EXTENSION depipe VERSION '0.1.0'});
$warehouse->safe_psql('lived', q{
	CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (dbname 'postgres');
	CREATE SERVER copied FOREIGN DATA WRAPPER depipe OPTIONS (dbname 'postgres');
	CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);
	INSERT INTO a SELECT generate_series(1, 10);
	INSERT INTO depipe.target (schema_name, table_name, kind, owner)
		SELECT 'public', t, 'l', current_user::regrole FROM unnest(ARRAY['a', 'b']) t;
	INSERT INTO depipe.load (target_id, server_name, source_schema, source_table, mode)
		VALUES (1, 'shop', 'public', 'a', 'cdc'), (2, 'copied', 'public', 'b', 'cdc');
	INSERT INTO depipe.load_state (target_id, state, applied_lsn)
		VALUES (1, 'streaming', '1/1'), (2, 'streaming', '1/1');
	INSERT INTO depipe.stream (server_name, slot_name, publication, publication_managed, system_identifier,
		timeline, local_system_identifier, local_database, applied_lsn, state)
	SELECT s.name, 'slot', 'slot', true, '1', 1, (c.system_identifier + s.n)::text, d.oid, '1/1', 'streaming'
	FROM pg_control_system() c, pg_database d, (VALUES ('shop', 0), ('copied', 1)) s (name, n)
	WHERE d.datname = 'lived'});
$warehouse->safe_psql('lived', 'ALTER EXTENSION depipe UPDATE');
is( $warehouse->safe_psql('lived', 'SELECT target, state, applied_lsn FROM depipe.loads ORDER BY target'),
	"public.a|streaming|1/1\npublic.b|detached|1/1", 'a stream goes on, another one was copied with its database');
is($warehouse->safe_psql('lived', 'SELECT count(*) FROM a'), 10, 'tables stay');
is( $warehouse->safe_psql('lived', q{SELECT count(*) FROM depipe.loads WHERE owner::oid = current_user::regrole}),
	2, 'and so do owners');
$warehouse->safe_psql('lived', q{SELECT depipe.add_constraint('a', depipe.not_null('id'))});
is($warehouse->safe_psql('lived', 'SELECT count(*) FROM depipe.check_table(\'a\')'), 1, 'and it works');

# ---- an old script that is not to be updated, but dropped

$warehouse->safe_psql('postgres', 'CREATE DATABASE left_behind');
$warehouse->safe_psql('left_behind', q{CREATE EXTENSION depipe VERSION '0.1.0'});
$warehouse->safe_psql('left_behind', q{
	CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (dbname 'postgres');
	CREATE TABLE a (id int PRIMARY KEY);
	INSERT INTO depipe.target (schema_name, table_name, kind, owner) VALUES ('public', 'a', 'l', current_user::regrole);
	INSERT INTO depipe.load (target_id, server_name, source_schema, source_table, mode)
		VALUES (1, 'shop', 'public', 'a', 'cdc');
	INSERT INTO depipe.stream (server_name, slot_name, publication, publication_managed, system_identifier,
		timeline, local_system_identifier, local_database, applied_lsn, state)
	VALUES ('shop', 'kept', 'kept', true, '1', 1, '1', 1, '1/1', 'streaming')});
my ($status, $stdout, $stderr) = $warehouse->psql('left_behind', 'DROP EXTENSION depipe CASCADE');
is($status, 0, 'the script of 0.1.0 can be dropped') || diag($stderr);
like($stderr, qr/WARNING:  slot "kept" is left at server "shop"/, 'and what it leaves behind is named');
is($warehouse->safe_psql('left_behind', q{SELECT count(*) FROM pg_namespace WHERE nspname = 'depipe'}), 0, 'nothing is left');

done_testing();
