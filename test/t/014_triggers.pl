# Users' triggers, rules and constraints on targets. A user's trigger fires for loaded rows only if
# it is ENABLE REPLICA or ENABLE ALWAYS. Foreign keys and deferrable constraints are enforced. A
# table with rules stops, and no other table does.

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

at_warehouse(
	'CREATE TABLE public.audit (target text, operation text, id int)',
	q{CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS
		$$BEGIN NEW.t := 'touched'; RETURN NEW; END$$},
	q{CREATE FUNCTION public.drop_row() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$},
	q{CREATE FUNCTION public.log_row() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
		INSERT INTO public.audit VALUES (TG_TABLE_NAME, TG_OP, COALESCE(NEW.id, OLD.id));
		RETURN NULL; END$$},
	q{CREATE FUNCTION public.log_statement() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
		INSERT INTO public.audit VALUES (TG_TABLE_NAME, TG_OP, 0); RETURN NULL; END$$});

sub triggers
{
	my ($table, $enable) = @_;

	at_warehouse(
		"CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON $table FOR EACH ROW EXECUTE FUNCTION public.touch()",
		"CREATE TRIGGER drop_row BEFORE DELETE ON $table FOR EACH ROW EXECUTE FUNCTION public.drop_row()",
		"CREATE TRIGGER log_row AFTER INSERT OR UPDATE OR DELETE ON $table FOR EACH ROW EXECUTE FUNCTION public.log_row()",
		"CREATE TRIGGER log_statement BEFORE INSERT OR UPDATE OR DELETE ON $table EXECUTE FUNCTION public.log_statement()",
		$enable ? map { "ALTER TABLE $table $enable TRIGGER $_" } ('log_row', 'log_statement') : ());
	return;
}

# ---- what fires

my %layout = (
	plain => 'id int PRIMARY KEY, t text',
	bag => 'id int, t text',
	part => 'id int PRIMARY KEY, t text',
	leaf => 'id int PRIMARY KEY, t text',
	part_bag => 'id int, t text');

foreach my $name (sort keys %layout)
{
	my $partitioned = $name =~ /^(part|leaf)/;

	at_source("CREATE TABLE $name ($layout{$name})", "ALTER TABLE $name REPLICA IDENTITY FULL",
		"INSERT INTO $name SELECT n, 'row ' || n FROM generate_series(1, 9) n");
	at_warehouse("CREATE TABLE raw.$name ($layout{$name})" . ($partitioned ? ' PARTITION BY RANGE (id)' : ''));
	at_warehouse("CREATE TABLE raw.${name}_1 PARTITION OF raw.$name FOR VALUES FROM (0) TO (100)",
		"CREATE TABLE raw.${name}_2 PARTITION OF raw.$name FOR VALUES FROM (100) TO (1000)")
	  if $partitioned;
	triggers($name eq 'leaf' ? 'raw.leaf_1' : "raw.$name");
	at_warehouse("SELECT depipe.create_load('raw.$name', server => 'shop', source => 'public.$name')");
}
refresh($warehouse, 'raw.*');
is_same($source, $warehouse, $_, 'copy') foreach sort keys %layout;
foreach my $name (sort keys %layout)
{
	at_source("INSERT INTO $name VALUES (10, 'new')", "UPDATE $name SET t = 'changed' WHERE id = 2",
		"UPDATE $name SET id = 103 WHERE id = 3", "DELETE FROM $name WHERE id = 4");
}
refresh($warehouse, 'raw.*');
is_same($source, $warehouse, $_, 'changes') foreach sort keys %layout;
foreach my $name (sort keys %layout)
{
	at_source('BEGIN', "TRUNCATE $name", "INSERT INTO $name VALUES (5, 'after'), (205, 'after')", 'COMMIT');
}
refresh($warehouse, 'raw.*');
is_same($source, $warehouse, $_, 'TRUNCATE') foreach sort keys %layout;
is_value($warehouse, q{SELECT string_agg(target || ' ' || state, ', ') FROM depipe.loads WHERE state <> 'streaming'},
	'', 'all stream');
is_value($warehouse, 'SELECT count(*) FROM public.audit', '0', 'no trigger of a user has fired');
at_warehouse("INSERT INTO raw.plain VALUES (77, 'mine')", 'DELETE FROM public.audit');
is_value($warehouse, 'SELECT t FROM raw.plain WHERE id = 77', 'touched', 'by hand they fire as usual');
at_warehouse('ALTER TABLE raw.plain DISABLE TRIGGER drop_row', 'DELETE FROM raw.plain WHERE id = 77',
	'ALTER TABLE raw.plain ENABLE TRIGGER drop_row', 'DELETE FROM public.audit');

foreach my $enable ('ENABLE REPLICA', 'ENABLE ALWAYS')
{
	at_warehouse(map { "ALTER TABLE raw.plain $enable TRIGGER $_" } qw(log_row log_statement));
	at_warehouse(map { "ALTER TABLE raw.part $enable TRIGGER $_" } qw(log_row));
	at_source("INSERT INTO plain VALUES (6, 'new')", "UPDATE plain SET t = 'x' WHERE id = 5", "INSERT INTO part VALUES (6, 'new')");
	refresh($warehouse, 'raw.*');
	is_value($warehouse, q{SELECT string_agg(target || ' ' || operation || ' ' || id, ', ' ORDER BY target, id, operation) FROM audit
		WHERE id > 0}, 'part_1 INSERT 6, plain UPDATE 5, plain INSERT 6', "$enable: it fires");
	is_value($warehouse, q{SELECT count(*) > 0 FROM audit WHERE id = 0}, 't', "$enable: a statement's, too");
	at_source('DELETE FROM plain WHERE id = 6', 'DELETE FROM part WHERE id = 6');
	refresh($warehouse, 'raw.*');
	is_same($source, $warehouse, $_, $enable) foreach qw(plain part);
	at_warehouse('DELETE FROM public.audit');
}

# ---- foreign keys stay enforced, and what they reach has its triggers

at_source('CREATE TABLE parent (id int PRIMARY KEY, t text)', "INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (3, 'c')",
	'CREATE TABLE child (id int PRIMARY KEY, parent_id int)', 'INSERT INTO child VALUES (1, 1)');
at_warehouse('CREATE TABLE raw.parent (id int PRIMARY KEY, t text)',
	'CREATE TABLE raw.child (id int PRIMARY KEY, parent_id int)',
	'CREATE TABLE public.note (id int PRIMARY KEY, parent_id int REFERENCES raw.parent ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED)',
	'CREATE TABLE public.strict_note (id int PRIMARY KEY, parent_id int REFERENCES raw.parent)',
	'CREATE TRIGGER log_row AFTER DELETE ON public.note FOR EACH ROW EXECUTE FUNCTION public.log_row()',
	map { "SELECT depipe.create_load('raw.$_', server => 'shop', source => 'public.$_')" } qw(parent child));
triggers('raw.parent');
refresh($warehouse, 'raw.*');
at_warehouse('ALTER TABLE raw.child ADD FOREIGN KEY (parent_id) REFERENCES raw.parent',
	'INSERT INTO public.note VALUES (10, 1), (20, 2)', 'INSERT INTO public.strict_note VALUES (3, 3)');
at_source('DELETE FROM parent WHERE id = 2');
refresh($warehouse, 'raw.*');
is_same($source, $warehouse, 'parent', 'a parent is deleted');
is_value($warehouse, 'SELECT string_agg(id::text, $$ $$) FROM public.note', '10', 'the foreign key cascades');
is_value($warehouse, q{SELECT string_agg(target || ' ' || operation || ' ' || id, ', ') FROM audit}, 'note DELETE 20',
	'the trigger of what it reaches fires, the trigger of the target does not');
at_source('INSERT INTO child VALUES (2, 99)', "UPDATE parent SET t = 'aa' WHERE id = 1");
my $result = refresh($warehouse, 'raw.*');
is($result->{'raw.child'}{status}, 'failed', 'a row without its parent is refused');
is($result->{'raw.parent'}{status}, 'succeeded', 'the other table goes on');
is_value($warehouse, 'SELECT count(*) FROM raw.child', '1', 'nothing of it is there');
at_source('DELETE FROM child WHERE id = 2', 'DELETE FROM parent WHERE id = 3');
$result = refresh($warehouse, 'raw.*');
is($result->{'raw.parent'}{status}, 'failed', 'a parent that somebody refers to stays');
at_warehouse('DELETE FROM public.strict_note');
ok(converge($warehouse, 'raw.*'), 'it goes on');
is_same($source, $warehouse, $_, 'after all') foreach qw(parent child);

# ---- the caller's own SET CONSTRAINTS is his

at_warehouse('ALTER TABLE raw.child DROP CONSTRAINT child_parent_id_fkey',
	'ALTER TABLE raw.child ADD CONSTRAINT child_parent FOREIGN KEY (parent_id) REFERENCES raw.parent DEFERRABLE',
	'CREATE TABLE public.later (id int CONSTRAINT later_parent REFERENCES raw.parent DEFERRABLE)');
at_source("INSERT INTO parent VALUES (4, 'd')", 'INSERT INTO child VALUES (4, 4)');
my $session = $warehouse->background_psql('postgres', on_error_stop => 0);
session_ok($session, 'BEGIN; SET CONSTRAINTS raw.child_parent, public.later_parent DEFERRED; INSERT INTO public.later VALUES (50)');
is(session_ok($session, q{SELECT string_agg(target || '=' || status, ' ' ORDER BY target) FROM depipe.refresh('raw.*')
	WHERE status <> 'nothing'}), 'raw.child=succeeded raw.parent=succeeded', "refresh beside the caller's pending checks");
my (undef, $errors) = session_sql($session, 'INSERT INTO public.later VALUES (51)');
is($errors, '', 'his constraint is deferred as he has said');
session_ok($session, 'DELETE FROM public.later; COMMIT');
is_same($source, $warehouse, $_, 'deferrable constraints') foreach qw(parent child);
session_ok($session, 'BEGIN; SET CONSTRAINTS public.later_parent DEFERRED; INSERT INTO public.later VALUES (60)');
at_source('INSERT INTO child VALUES (5, 98)');
refresh($warehouse, 'raw.*');
is(session_ok($session, q{SELECT count(*) FROM depipe.refresh('raw.child') WHERE status = 'failed'}), '1', 'a refresh that fails');
(undef, $errors) = session_sql($session, 'INSERT INTO public.later VALUES (61)');
is($errors, '', 'after it, too');
session_ok($session, 'ROLLBACK');
$session->quit;
at_source('DELETE FROM child WHERE id = 5');
ok(converge($warehouse, 'raw.*'), 'and it goes on');

# ---- rules

fails_like($warehouse, q{CREATE TABLE raw.ruled (id int PRIMARY KEY, t text);
	CREATE RULE nothing AS ON INSERT TO raw.ruled DO INSTEAD NOTHING;
	SELECT depipe.create_load('raw.ruled', server => 'shop', source => 'public.plain')},
	'42809', qr/has rules/, 'a table with rules as target');
at_source('CREATE TABLE later (id int PRIMARY KEY, t text)', "INSERT INTO later VALUES (1, 'a')");
at_warehouse(q{SELECT depipe.create_load('raw.later', server => 'shop', source => 'public.later')});
refresh($warehouse, 'raw.*');
foreach my $rule ('ON INSERT TO raw.later DO INSTEAD NOTHING', 'ON UPDATE TO raw.later DO ALSO NOTIFY x')
{
	at_warehouse("CREATE RULE r AS $rule");
	at_source("INSERT INTO later SELECT max(id) + 1, 'b' FROM later", "INSERT INTO plain SELECT max(id) + 1, 'c' FROM plain");
	$result = refresh($warehouse, 'raw.*');
	is($result->{'raw.later'}{status}, 'failed', 'a rule appears: that table stops');
	like($result->{'raw.later'}{reason}, qr/rules/, 'with the reason');
	is_same($source, $warehouse, 'plain', 'the others go on');
	at_warehouse('DROP RULE r ON raw.later');
	ok(converge($warehouse, 'raw.*'), 'without the rule it goes on');
	is_same($source, $warehouse, 'later', 'nothing is missing');
}
at_warehouse('CREATE RULE r AS ON DELETE TO raw.later DO INSTEAD NOTHING', q{SELECT depipe.resync('raw.later')});
at_source('DELETE FROM later');
is_status($warehouse, 'raw.later', 'failed', 'a copy into a table with rules');
at_warehouse('DROP RULE r ON raw.later');
ok(converge($warehouse, 'raw.*'), 'the resync goes on');
is_same($source, $warehouse, 'later', 'the resync');

# ---- transforms

at_warehouse('CREATE SCHEMA mart', 'CREATE TABLE public.inp (id int PRIMARY KEY, t text)',
	"INSERT INTO public.inp VALUES (1, 'a'), (2, 'b')",
	q{SELECT depipe.create_transform('mart.copy', 'SELECT id, t FROM public.inp', key => ARRAY['id'])}, 'DELETE FROM public.audit');
triggers('mart.copy');
at_warehouse("INSERT INTO public.inp VALUES (3, 'c')", "UPDATE public.inp SET t = 'aa' WHERE id = 1", 'DELETE FROM public.inp WHERE id = 2');
is_status($warehouse, 'mart.copy', 'succeeded', 'a transform whose table has triggers');
is_value($warehouse, q{SELECT string_agg(id || t, ' ' ORDER BY id) FROM mart.copy}, '1aa 3c', 'equals its query');
is_value($warehouse, 'SELECT count(*) FROM public.audit', '0', 'no trigger has fired');

done_testing();
