# TransformProperty: random queries as transforms, random changes of their inputs, and exact
# comparisons.
#
#	my $round = TransformProperty::round(warehouse => NODE, seed => 7, steps => 80, psql => PATH,
#		log => HANDLE);
#
# A NODE is { host, port, user }. A round creates its own database. The same seed takes the same
# steps. $round->{failure} is empty, or a description of the failure.
#
# After each refresh, which a session with random settings executes, the table must contain the rows
# of its query as evaluated by the author of the query, under the author's search_path. The queries
# contain constructs with more than one possible meaning: output columns with the names of input
# columns, operators of a type of another schema (citext), columns that joins merge. Tables, columns
# and views are renamed, dropped and replaced; at rest all names are those of the beginning.

package TransformProperty;

use strict;
use warnings;
use parent -norequire, 'RandomRound';
use RandomRound qw(one chance);

# ---- choices ----

sub some
{
	my ($most, @from) = @_;
	my @picked;

	for (1 .. 1 + int rand $most) { push @picked, splice @from, int rand @from, 1 if @from; }
	return @picked;
}

my @TABLES = qw(t u part inh);
my @RELATIONS = (@TABLES, 't', 'u', 'ONLY inh', 'v', 'w');
my @PATHS = ('src, ext, public', 'ext, src', 'src, public, ext, pg_catalog');

# ---- tables ----

my $COLUMNS = 'id integer, a integer, b integer, c ext.citext, d text';

sub make
{
	my ($self) = @_;
	my $name = $self->{database};

	local $self->{database} = 'postgres';
	$self->must('warehouse', "CREATE DATABASE $name");
	$self->close_session('warehouse');
	$self->{database} = $name;
	$self->must('warehouse', 'CREATE SCHEMA src; CREATE SCHEMA mart; CREATE SCHEMA ext;'
		. ' CREATE EXTENSION depipe; CREATE EXTENSION citext SCHEMA ext');
	$self->{path} = one(@PATHS);
	$self->mine;
	$self->must('warehouse', "CREATE TABLE src.t ($COLUMNS, PRIMARY KEY (id)); CREATE TABLE src.u ($COLUMNS);"
		. " CREATE TABLE src.part ($COLUMNS) PARTITION BY LIST (b);"
		. ' CREATE TABLE src.part_1 PARTITION OF src.part FOR VALUES IN (1, 2);'
		. ' CREATE TABLE src.part_0 PARTITION OF src.part DEFAULT;'
		. " CREATE TABLE src.inh ($COLUMNS); CREATE TABLE src.inh_1 (more text) INHERITS (src.inh)");
	$self->must('warehouse', 'CREATE VIEW src.v AS SELECT id, a, b, c, d FROM src.t;'
		. ' CREATE VIEW src.w AS SELECT t.id, u.a, t.b, t.c, u.d FROM src.t JOIN src.u ON t.id = u.id');
	$self->change for 1 .. 30;
	return;
}

# Run as the author of the queries.
sub mine
{
	my ($self) = @_;

	$self->must('warehouse', "RESET ALL; SET client_min_messages = error; SET search_path = $self->{path}");
	return;
}

# Run as another user.
sub others
{
	my ($self) = @_;

	$self->must('warehouse', sprintf q{SET search_path = %s; SET TimeZone = '%s'; SET DateStyle = '%s'},
		one('pg_catalog', 'public', 'src', 'ext', 'src, ext'), one('UTC', 'Asia/Tokyo', 'America/New_York'),
		one('ISO, MDY', 'SQL, DMY', 'German'));
	return;
}

sub number { return one('NULL', 1 .. 5); }

sub word { return one('NULL', map { "'$_'" } qw(x X y Y z Zz)); }

sub row { return join ', ', 1 + int rand 40, number(), number(), word(), word(); }

sub change
{
	my ($self) = @_;
	my $table = one(@TABLES, 'inh_1');
	my $where = one('id % 5 = ' . int rand 5, 'a = ' . (1 + int rand 5), "c = 'X'");
	my $set = one('a = ' . number(), 'b = ' . number(), 'c = ' . word(), 'd = ' . word());
	my $row = row();

	$self->note("  change of $table");
	return $self->ask('warehouse', "DELETE FROM src.$table WHERE $where") if chance(0.15);
	return $self->ask('warehouse', "UPDATE src.$table SET $set WHERE $where") if chance(0.3);
	return $self->ask('warehouse', "TRUNCATE src.$table") if chance(0.01);
	return $self->ask('warehouse', "INSERT INTO src.$table (id, a, b, c, d) VALUES ($row)"
		. ($table eq 't' ? ' ON CONFLICT DO NOTHING' : ''));
}

# ---- queries ----

# A scope: the text after FROM, the columns by type, and an expression that identifies a row.
sub single
{
	my ($name) = @_;
	my $relation = one(@RELATIONS);

	return { from => "$relation AS $name", int => [ map { "$name.$_" } qw(a b id) ], text => ["$name.d"],
		citext => ["$name.c"], key => [ map { "$name.$_" } qw(id a b), "$name.c::text", "$name.d" ] };
}

sub together
{
	my ($one, $other, $from) = @_;

	return { from => $from, map { $_ => [ @{ $one->{$_} }, @{ $other->{$_} } ] } qw(int text citext key) };
}

sub using
{
	my ($one, $other) = (single('x'), single('y'));
	my @names = one([qw(c)], [qw(c a)], [qw(d)], [qw(id)], [qw(c d)], [qw(b)]);
	my $scope = together($one, $other, "$one->{from} " . one('', 'LEFT ', 'RIGHT ', 'FULL ')
		. "JOIN $other->{from} USING (" . join(', ', @{ $names[0] }) . ')');
	my %types = (c => 'citext', d => 'text', id => 'int', a => 'int', b => 'int');

	unshift @{ $scope->{ $types{$_} } }, $_ foreach @{ $names[0] };
	return $scope;
}

sub scope
{
	my $kind = int rand 9;
	my ($one, $other) = (single('x'), single('y'));

	return single('x') if $kind < 2;
	return using() if $kind < 4;
	return together($one, $other, "$one->{from} " . one('', 'LEFT ', 'RIGHT ') . "JOIN $other->{from} ON "
		. one('x.c = y.c', 'x.id = y.a', '(x.a, x.c) = (y.a, y.c)', 'x.c IS NOT DISTINCT FROM y.c')) if $kind == 4;
	return { %$one, from => "(SELECT * FROM $one->{from}) AS x" } if $kind == 5;
	my $relation = one(@RELATIONS);
	return { from => "$one->{from} NATURAL JOIN (SELECT c, b AS m FROM $relation) AS y",
		int => [ @{ $one->{int} }, 'm' ], text => $one->{text}, citext => [ 'c', 'y.c' ],
		key => [ @{ $one->{key} }, 'y.m', 'y.c::text' ] } if $kind == 6;
	return together($one, $other, "$one->{from}, LATERAL (SELECT * FROM " . one(@RELATIONS)
		. ' AS z WHERE z.a <= x.a AND z.c = x.c ORDER BY z.id, z.a, z.b, z.c::text, z.d LIMIT 2) AS y') if $kind == 7;
	return { from => "(SELECT id AS a, b AS id, a AS b, c, d FROM $one->{from}) AS q (e, f, g, c, d)",
		int => [qw(q.e q.f q.g)], text => ['q.d'], citext => ['q.c'],
		key => [ qw(q.e q.f q.g q.d), 'q.c::text' ] };
}

sub integer
{
	my ($scope) = @_;
	my $column = one(@{ $scope->{int} });
	my $c = one(@{ $scope->{citext} });

	return one($column, $column, $column, "-$column", "$column + " . one(@{ $scope->{int} }), "nullif($column, 3)",
		"CASE $c WHEN 'X' THEN 1 WHEN 'y' THEN $column ELSE 0 END", "coalesce($column, 0)");
}

sub string
{
	my ($scope) = @_;
	my $d = one(@{ $scope->{text} });
	my $c = one(@{ $scope->{citext} });

	return one($d, $d, "upper($d)", "CASE WHEN $c = 'X' THEN $d END", "nullif($d, 'X')",
		"CASE $d WHEN 'X' THEN 'big' ELSE coalesce($d, 'none') END");
}

sub insensitive
{
	my ($scope) = @_;
	my $c = one(@{ $scope->{citext} });

	return one($c, $c, "nullif($c, 'X')", "greatest($c, 'b')", "coalesce($c, 'n')", "CASE $c WHEN 'x' THEN 'q' ELSE $c END");
}

sub condition
{
	my ($scope) = @_;
	my $c = one(@{ $scope->{citext} });
	my $d = one(@{ $scope->{text} });
	my $i = one(@{ $scope->{int} });
	my $r = one(@RELATIONS);
	my $condition = one("$c = 'X'", "$c IN ('x', 'Y')", "$c <> 'z'", "$c BETWEEN 'A' AND 'y'", "$i > 2", "$d IS NOT NULL",
		"$c IS DISTINCT FROM 'X'", "$c IS NOT DISTINCT FROM $d", "nullif($c, 'Y') IS NOT NULL", "$c = $d",
		"($i, $c) IN (SELECT a, c FROM $r)", "($c, $i) IN (SELECT c, b FROM $r AS s WHERE s.a = $i)",
		"$c IN (SELECT c FROM $r)", "($i, $c) NOT IN (SELECT a, c FROM $r WHERE a > 3)", "($i, $c) < (3, 'y'::ext.citext)",
		"($c, $i) >= ('X', 2)", "($i, $c) = (3, 'x')", "EXISTS (SELECT 1 AS e FROM $r AS s WHERE s.c = $c AND s.b = $i)",
		"$c = ANY (ARRAY['x', 'Z']::ext.citext[])", "$c LIKE 'X%'", "$c ~ '^z'",
		"($i, $c) <> ALL (SELECT b, c FROM $r WHERE c IS NOT NULL)");

	return chance(0.2) ? "NOT ($condition)" : $condition;
}

sub where
{
	my ($scope) = @_;
	my @conditions = map { condition($scope) } 1 .. one(0, 1, 1, 2);

	return @conditions ? ' WHERE ' . join(one(' AND ', ' OR '), @conditions) : '';
}

sub expression { return one(\&integer, \&string, \&insensitive)->($_[0]); }

# Output columns often have the names of input columns.
sub named
{
	my (@expressions) = @_;
	my @names = some(scalar @expressions, qw(a b c d id m n));

	push @names, 'other' . scalar @names while @names < @expressions;
	return join ', ', map { "$expressions[$_] AS $names[$_]" } 0 .. $#expressions;
}

sub plain
{
	my ($scope) = @_;
	my @columns = map { expression($scope) } 1 .. 1 + int rand 4;

	push @columns, condition($scope) if chance(0.3);
	push @columns, 'row_number() OVER (PARTITION BY ' . insensitive($scope) . ' ORDER BY '
		. join(', ', @{ $scope->{key} }) . ')' if chance(0.15);
	return 'SELECT ' . named(@columns) . " FROM $scope->{from}" . where($scope);
}

sub ordered
{
	my ($scope) = @_;
	my @by = map { expression($scope) . one('', ' DESC', ' NULLS FIRST') } 1 .. one(1, 2);

	return plain($scope) . ' ORDER BY ' . join(', ', @by, @{ $scope->{key} }) . ' LIMIT ' . (1 + int rand 12);
}

sub distinct_on
{
	my ($scope) = @_;
	my @on = map { one(@{ $scope->{ one(qw(int text citext)) } }) } 1 .. one(1, 1, 2);
	my @columns = map { expression($scope) } 1 .. 1 + int rand 3;
	my %seen;
	@on = grep { !$seen{$_}++ } @on;

	return 'SELECT DISTINCT ON (' . join(', ', @on) . ') ' . named(@columns) . " FROM $scope->{from}" . where($scope)
	  . ' ORDER BY ' . join(', ', @on, @{ $scope->{key} });
}

sub grouped
{
	my ($scope) = @_;
	my @by = map { expression($scope) } 1 .. one(1, 2);
	my @more = some(3, 'count(*)', 'sum(' . integer($scope) . ')', 'count(DISTINCT ' . insensitive($scope) . ')',
		'max(' . string($scope) . ' COLLATE "C")', 'bool_or(' . condition($scope) . ')');

	return 'SELECT ' . named(@by, @more) . " FROM $scope->{from}" . where($scope)
	  . ' GROUP BY ' . join(', ', @by) . one('', '', ' HAVING count(*) > 1');
}

sub combined
{
	my ($one, $other) = (scope(), scope());

	return 'SELECT ' . named(integer($one), insensitive($one)) . " FROM $one->{from}" . where($one)
	  . one(' UNION ', ' UNION ALL ', ' INTERSECT ', ' EXCEPT ', ' EXCEPT ALL ')
	  . 'SELECT ' . named(integer($other), insensitive($other)) . " FROM $other->{from}" . where($other);
}

sub with
{
	my $scope = single('x');

	return 'WITH k AS (SELECT id, a, b, c, d FROM ' . one(@RELATIONS) . where({ int => ['a'], text => ['d'], citext => ['c'] })
	  . ') ' . plain({ %$scope, from => "$scope->{from} " . one('', 'LEFT ') . 'JOIN k USING (' . one('c', 'c, d', 'id') . ')' });
}

sub query
{
	return combined() if chance(0.12);
	return with() if chance(0.1);
	return one(\&plain, \&plain, \&ordered, \&ordered, \&distinct_on, \&grouped)->(scope());
}

# ---- comparisons ----

# Equal values of citext with different texts count as the same.
sub rows
{
	my ($self, $query) = @_;

	return $self->must('warehouse', "SELECT count(*) || ' ' || coalesce(string_agg(md5(lower(r::text)), ' '"
		. " ORDER BY md5(lower(r::text))), '') FROM ($query) AS r")->[0];
}

sub check
{
	my ($self, $target, $query) = @_;
	my $expected = $self->rows($query);
	my $actual = $self->rows("SELECT * FROM mart.$target");

	return if $expected eq $actual;
	$self->note("  text: $_")
	  foreach @{ $self->must('warehouse', "SELECT query_sql FROM depipe.transforms WHERE target = 'mart.$target'") };
	die "failure: mart.$target is not its query: $query\n";
}

sub refresh
{
	my ($self, $may_fail) = @_;

	$self->others;
	my $lines = $self->must('warehouse', q{SELECT r.target, r.status, translate(r.reason, E'\n', ' ') FROM depipe.refresh('mart.*') r});
	$self->mine;
	foreach my $line (@$lines)
	{
		my ($target, $status, $reason) = $line =~ /^mart\.(\w+)\|(\w+)\|(.*)$/ or next;

		$self->{count}{$status}++;
		next if $status =~ /succeeded|nothing/ || $may_fail;
		my $error = $self->must('warehouse', "SELECT translate(error_message, E'\\n', ' ') FROM depipe.runs WHERE target = 'mart.$target' ORDER BY run_id DESC LIMIT 1");
		die "failure: mart.$target $status: $reason: @$error: $self->{queries}{$target}\n";
	}
	return { map { /^mart\.(\w+)\|(\w+)/ ? ($1 => $2) : () } @$lines };
}

sub check_all
{
	my ($self) = @_;

	$self->refresh;
	$self->check($_, $self->{queries}{$_}) foreach sort keys %{ $self->{queries} };
	return;
}

# ---- actions ----

sub create
{
	my ($self) = @_;
	my $query = query();
	my $name = 'q' . ++$self->{made};

	$self->note("  $name: $query");
	my (undef, $impossible) = $self->ask('warehouse', "SELECT count(*) FROM ($query) AS r");
	$self->{count}{'no query'}++ if $impossible ne '';
	return if $impossible ne '';
	my (undef, $error) = $self->ask('warehouse',
		"SELECT depipe.create_transform('mart.$name', \$query\$$query\$query\$" . one('', ", key => '{}'") . ')');
	if ($error =~ /0A000: query of a transform cannot be kept/)
	{
		$self->{count}{refused}++;
		$self->{refused}{$query} = $error;
		return;
	}
	die "failure: create_transform: $error: $query\n" if $error ne '';
	$self->{count}{created}++;
	$self->{queries}{$name} = $query;
	$self->check($name, $query);
	return;
}

# Drop one of the transforms, if there are as many.
sub drop
{
	my ($self, $many) = @_;
	my @names = sort keys %{ $self->{queries} };

	return if @names < $many;
	my $name = one(@names);
	$self->must('warehouse', "SELECT depipe.drop_transform('mart.$name', drop_table => true)");
	delete $self->{queries}{$name};
	return;
}

# Renamed objects must be followed: a view of each query records its meaning.
sub rename_something
{
	my ($self) = @_;
	my ($there, $back) = @{ one(
		map({ [ "ALTER TABLE src.$_ RENAME TO other_$_", "ALTER TABLE src.other_$_ RENAME TO $_" ] } @TABLES),
		[ 'ALTER VIEW src.v RENAME TO vv', 'ALTER VIEW src.vv RENAME TO v' ],
		[ 'ALTER VIEW src.w RENAME COLUMN c TO cc', 'ALTER VIEW src.w RENAME COLUMN cc TO c' ],
		[ 'ALTER SCHEMA src RENAME TO src2', 'ALTER SCHEMA src2 RENAME TO src' ],
		[ 'ALTER SCHEMA ext RENAME TO ext2', 'ALTER SCHEMA ext2 RENAME TO ext' ],
		map({ my $t = $_; map { [ "ALTER TABLE src.$t RENAME COLUMN $_ TO other", "ALTER TABLE src.$t RENAME COLUMN other TO $_" ] }
			qw(a b c d) } @TABLES)) };

	$self->must('warehouse', "CREATE VIEW public.is_$_ AS $self->{queries}{$_}") foreach keys %{ $self->{queries} };
	$self->note("  $there");
	$self->must('warehouse', $there);
	$self->refresh;
	$self->check($_, "TABLE public.is_$_") foreach sort keys %{ $self->{queries} };
	$self->must('warehouse', "DROP VIEW public.is_$_") foreach keys %{ $self->{queries} };
	$self->must('warehouse', $back);
	$self->check_all;
	return;
}

# Drop a column together with the views on it, and add it again, immediately or after others were
# renamed.
sub drop_column
{
	my ($self) = @_;
	my $table = one(qw(u part inh));
	my $column = one(qw(a c d));
	my $type = $column eq 'a' ? 'integer' : $column eq 'c' ? 'ext.citext' : 'text';
	my $drop = "ALTER TABLE src.$table DROP COLUMN $column CASCADE";
	my $add = "ALTER TABLE src.$table ADD COLUMN $column $type";
	my $views = 'BEGIN; DROP VIEW IF EXISTS src.v; CREATE VIEW src.v AS SELECT id, a, b, c, d FROM src.t;'
	  . ' CREATE OR REPLACE VIEW src.w AS SELECT t.id, u.a, t.b, t.c, u.d FROM src.t JOIN src.u ON t.id = u.id; COMMIT';

	$self->note("  drop and add $table.$column");
	if (chance(0.4)) { $self->must('warehouse', "BEGIN; $drop; $add; COMMIT; $views"); }
	else
	{
		$self->must('warehouse', $drop);
		$self->refresh(1);
		$self->must('warehouse', "ALTER TABLE src.$table RENAME COLUMN b TO bb; SELECT count(*) FROM depipe.refresh('mart.*')") if chance(0.5);
		$self->must('warehouse', "$add; $views");
		my $renamed = $self->must('warehouse', "SELECT count(*) FROM pg_attribute WHERE attrelid = 'src.$table'::regclass AND attname = 'bb'")->[0];
		$self->must('warehouse', "ALTER TABLE src.$table RENAME COLUMN bb TO b") if $renamed;
	}
	$self->check_all;
	return;
}

# Statements that again add the columns that were added to a table, because queries with * contain
# them.
sub added_columns
{
	my ($self, $table) = @_;

	return $self->must('warehouse', qq{SELECT COALESCE(string_agg(format('ALTER TABLE src.%I ADD COLUMN IF NOT EXISTS %I %s;',
		'$table', attname, format_type(atttypid, atttypmod)), ' ' ORDER BY attnum), '') FROM pg_attribute
		WHERE attrelid = 'src.$table'::regclass AND NOT attisdropped AND attname LIKE 'more%'})->[0] // '';
}

sub alter
{
	my ($self) = @_;
	my $n = ++$self->{altered};
	my $added = $self->added_columns('inh');
	my $statement = one(
		"ALTER TABLE src." . one(@TABLES) . " ADD COLUMN more_$n " . one('integer', 'text DEFAULT \'n\'', 'ext.citext'),
		"CREATE TABLE src.part_x PARTITION OF src.part FOR VALUES IN (7)",
		'ALTER TABLE src.part DETACH PARTITION src.part_1',
		'ALTER TABLE src.part ATTACH PARTITION src.part_1 FOR VALUES IN (1, 2)',
		'DROP TABLE src.part_x', 'TRUNCATE src.part_0', "CREATE TABLE src.inh_x$n () INHERITS (src.inh)",
		"DROP TABLE IF EXISTS src.inh_x" . ($n - 1),
		'CREATE OR REPLACE VIEW src.v AS SELECT id, b AS a, a AS b, c, d FROM src.t',
		'CREATE OR REPLACE VIEW src.v AS SELECT id, a, b, c, d FROM src.t WHERE a IS NOT NULL',
		"DROP VIEW src.v; CREATE VIEW src.v AS SELECT d, c, b, a, id FROM src.u",
		"DROP TABLE src.inh CASCADE; CREATE TABLE src.inh (d text, more_0 integer, c ext.citext, b integer, a integer, id integer); $added"
		  . ' CREATE TABLE src.inh_1 (more text) INHERITS (src.inh)',
		'CREATE FUNCTION src.upper(ext.citext) RETURNS text LANGUAGE sql AS $$ SELECT NULL::text $$',
		'DROP FUNCTION IF EXISTS src.upper(ext.citext)',
		'CREATE INDEX ON src.u (c)', 'VACUUM ANALYZE src.t');

	$self->note("  $statement");
	$self->ask('warehouse', $statement);
	$self->check_all;
	return;
}

my @ACTIONS = (
	[ 30, sub { $_[0]->create } ],
	[ 10, sub { $_[0]->drop(8) } ],
	[ 25, sub { $_[0]->change for 1 .. one(1, 3, 8); $_[0]->check_all } ],
	[ 10, sub { $_[0]->rename_something } ],
	[ 6, sub { $_[0]->drop_column } ],
	[ 14, sub { $_[0]->alter } ]);

sub act
{
	my ($self) = @_;

	$self->act_one_of(@ACTIONS);
	return;
}

# ---- a round ----

sub round
{
	my (%options) = @_;
	my $self = bless { %options, database => "transforms_$options{seed}", settings => {}, queries => {}, count => {} },
	  __PACKAGE__;

	return $self->play(sub { $self->check_all });
}

sub clean
{
	my ($self) = @_;
	my $name = $self->{database};

	local $self->{database} = 'postgres';
	$self->ask('warehouse', "DROP DATABASE $name WITH (FORCE)");
	$self->close_session('warehouse');
	return;
}

1;
