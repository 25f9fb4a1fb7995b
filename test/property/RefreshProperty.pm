# RefreshProperty: random queries as incremental transforms, random changes of their inputs, and exact
# comparisons after each refresh.
#
#	my $round = RefreshProperty::round(warehouse => NODE, seed => 7, steps => 60, psql => PATH,
#		log => HANDLE);
#
# Options, the result and the seed are those of TransformProperty. $round->{served} counts the
# refreshes after changes by the features of the query and the strategy: {feature}{strategy}.
#
# The tables are small and their values few, so that rows meet, groups come and go, and keys are NULL.
# A query is composed of random parts: joins of each kind, with conditions that NULLs can meet as well;
# subqueries, views, WITH; grouping, DISTINCT, windows, set operations; sublinks anywhere. Its result is
# determined by its inputs: what orders rows orders all of them.

package RefreshProperty;

use strict;
use warnings;
use parent -norequire, 'TransformProperty';
use TransformProperty;
use RandomRound qw(one chance);

# The share of refreshes after changes that must be incremental, by feature, in percent: less in a long
# run is a failure. What is not listed may always be compared with the whole query.
our %FLOORS = ((map { $_ => 40 } 'inner join', 'left join', 'right join', 'group by', 'having', 'distinct', 'distinct on',
		'window', 'exists', 'not exists', 'in', 'not in', 'all', 'scalar', 'lateral', 'lateral limit', 'union', 'union all',
		'intersect', 'except', 'except all', 'with', 'with twice', 'view', 'self join', 'aggregate of aggregate',
		'set operation below', 'sublink in join', 'partitions', 'children', 'bag', 'citext key',
		'char key', 'numeric key', 'exact aggregates', 'extremes', 'total', 'series', 'values', 'grouping sets', 'transform'),
	'full join below' => 20, 'clock' => 20, 'join of aggregates' => 20);

# Strategies that work on changes: each must have served in a long run.
our %ON_CHANGES = map { $_ => 1 } qw(linear join aggregate keys);

# ---- tables ----

my @TABLES = qw(a b m p h);
my $COLUMNS = 'id integer%s, k integer, j integer, v integer, n numeric, c ext.citext, f character(3), t text, at timestamptz';

my $VIEW_OF_M = 'CREATE VIEW src.vg AS SELECT min(id) AS id, k, count(*)::integer AS j, sum(v)::integer AS v, max(n) AS n, '
  . 'NULL::ext.citext AS c, NULL::character(3) AS f, max(t COLLATE "C") AS t, max(at) AS at FROM src.m GROUP BY k';

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
	$self->{path} = 'src, ext, public';
	$self->mine;
	$self->must('warehouse', join '; ',
		sprintf("CREATE TABLE src.a ($COLUMNS)", ' PRIMARY KEY'),
		sprintf("CREATE TABLE src.b ($COLUMNS)", ' PRIMARY KEY'),
		sprintf("CREATE TABLE src.m ($COLUMNS)", ''),
		sprintf("CREATE TABLE src.p ($COLUMNS) PARTITION BY LIST (k)", ' NOT NULL'),
		'CREATE TABLE src.p_1 PARTITION OF src.p FOR VALUES IN (1, 2)',
		'CREATE TABLE src.p_2 (t text, k integer, id integer NOT NULL, gone integer, at timestamptz, c ext.citext, n numeric, v integer, f character(3), j integer)',
		'ALTER TABLE src.p_2 DROP COLUMN gone', 'ALTER TABLE src.p ATTACH PARTITION src.p_2 DEFAULT',
		sprintf("CREATE TABLE src.h ($COLUMNS)", ''), 'CREATE TABLE src.h_1 (more text) INHERITS (src.h)',
		'ALTER TABLE src.b ADD COLUMN gone integer', 'ALTER TABLE src.b DROP COLUMN gone',
		(chance(0.5) ? 'CREATE INDEX ON src.a (k); CREATE INDEX ON src.b (j); CREATE INDEX ON src.m (k)' : 'SELECT 1'),
		'CREATE VIEW src.va AS SELECT id, k, j, v, n, c, f, t, at FROM src.a WHERE v IS DISTINCT FROM 3',
		'CREATE VIEW src.vj AS SELECT a.id, a.k, b.j, b.v, a.n, b.c, a.f, b.t, a.at FROM src.a LEFT JOIN src.b ON b.j = a.k',
		$VIEW_OF_M);
	# some rounds have an owner of transforms that owns no input
	$self->must('warehouse', q{DO $$ BEGIN CREATE ROLE author LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$});
	$self->must('warehouse', 'GRANT USAGE ON SCHEMA src, ext TO author; GRANT ALL ON SCHEMA mart TO author; GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA src TO author');
	$self->{role} = chance(0.4) ? 'author' : 'postgres';
	$self->{prepared} = [];
	$self->change for 1 .. 60;
	$self->must('warehouse', 'ANALYZE') if chance(0.5);
	return;
}

# As the owner of the transforms, or as that of the inputs again.
sub as_owner { my ($self) = @_; $self->must('warehouse', 'SET ROLE author') if $self->{role} eq 'author'; return; }
sub as_superuser { my ($self) = @_; $self->must('warehouse', 'RESET ROLE'); return; }

sub mine
{
	my ($self) = @_;

	$self->SUPER::mine;
	$self->must('warehouse', q{SET lock_timeout = '500ms'}); # of prepared transactions
	return;
}

# The times of rows are near the present, so that the clock passes over them.
sub time_of { return one('NULL', "now() + interval '@{[ int rand(600) - 200 ]} ms'", "now() + interval '@{[ int rand(600) - 100 ]} ms'", "now() - interval '1 hour'", "'infinity'"); }

sub small { return one('NULL', 1 .. 4, 1 .. 4, 1 .. 4); }

sub row
{
	return join ', ', 1 + int rand 30, small(), small(), small(), one('NULL', qw(1 1.0 1.00 2 2.5)),
	  one('NULL', map { "'$_'" } qw(x X y Y)), one('NULL', "'u'", "'u '", "'w'"), one('NULL', "'s'", "'r'", "'q'"), time_of();
}

# A MERGE with some of the actions; the rows of a partitioned table may move.
sub merge_of
{
	my ($table) = @_;
	my $update = 'UPDATE SET ' . one('k = s.j, v = s.v', 'v = s.v', 'k = s.k, t = s.t', 'k = ' . small());
	my $insert = 'INSERT (id, k, j, v, n, c, f, t, at) VALUES (s.id, s.k, s.j, s.v, s.n, s.c, s.f, s.t, s.at)';
	my $actions = one(" WHEN MATCHED THEN $update", " WHEN MATCHED THEN $update WHEN NOT MATCHED THEN $insert",
		" WHEN MATCHED AND s.v > 2 THEN DELETE WHEN MATCHED THEN $update", " WHEN NOT MATCHED THEN $insert",
		" WHEN MATCHED AND m.v > 3 THEN $update WHEN MATCHED AND m.j IS NULL THEN DELETE WHEN NOT MATCHED AND s.k = 1 THEN $insert");

	return "MERGE INTO src.$table AS m USING (SELECT * FROM src." . one(qw(a b)) . ' WHERE id % 5 = ' . int(rand 5) . ") AS s ON m.id = s.id$actions";
}

# DDL of the inputs, after which some changes are not known.
sub ddl
{
	my $table = one(@TABLES);
	my @changes = map { statement() } 1 .. one(0, 1, 2);

	return @{ one(
		[ "ALTER TABLE src.$table ADD COLUMN more_$table integer DEFAULT 7", @changes, "ALTER TABLE src.$table DROP COLUMN more_$table" ],
		[ 'ALTER TABLE src.p DETACH PARTITION src.p_1', @changes, 'ALTER TABLE src.p ATTACH PARTITION src.p_1 FOR VALUES IN (1, 2)' ],
		[ 'ALTER TABLE src.h_1 NO INHERIT src.h', @changes, 'ALTER TABLE src.h_1 INHERIT src.h' ],
		[ "ALTER TABLE src.$table DISABLE TRIGGER USER", @changes, "ALTER TABLE src.$table ENABLE TRIGGER USER" ],
		[ 'SET LOCAL session_replication_role = replica', @changes ],
		[ 'DROP VIEW src.vg', 'ALTER TABLE src.m ALTER v TYPE integer USING -v', @changes, $VIEW_OF_M, 'GRANT SELECT, TRIGGER ON src.vg TO author' ],
		[ "ALTER TABLE src.b RENAME COLUMN j TO jj", "UPDATE src.b SET jj = jj + 1 WHERE id % 4 = 1", 'ALTER TABLE src.b RENAME COLUMN jj TO j', @changes ],
		[ 'ALTER TABLE src.' . one(qw(a b m h)) . ' SET ' . one('UNLOGGED', 'LOGGED'), @changes ],
		[ 'CLUSTER src.' . one('a USING a_pkey', 'b USING b_pkey'), @changes ],
		[ "ALTER TABLE src.$table ALTER t SET DEFAULT 'd'", "ALTER TABLE src.$table ALTER t SET STORAGE EXTERNAL", @changes ],
		[ 'CREATE TABLE src.p_9 PARTITION OF src.p FOR VALUES IN (' . one(3, 4) . ')', @changes ],
		[ 'CREATE TABLE src.h_9 () INHERITS (src.h)', 'INSERT INTO src.h_9 (id, k, v) VALUES (7, 2, 2)', @changes, one('SELECT 1', 'DROP TABLE src.h_9') ],
		[ 'CREATE OR REPLACE VIEW src.va AS SELECT id, k, j, v, n, c, f, t, at FROM src.a WHERE v IS DISTINCT FROM ' . small() ],
		[ 'CREATE TABLE src.m_new (LIKE src.m)', 'INSERT INTO src.m_new SELECT * FROM src.m WHERE id % 3 > 0', 'ALTER TABLE src.m RENAME TO m_old',
			'ALTER TABLE src.m_new RENAME TO m', 'DROP VIEW src.vg', 'DROP TABLE src.m_old',
			$VIEW_OF_M, 'GRANT SELECT, TRIGGER ON src.m, src.vg TO author' ],
		[ "CREATE INDEX ON src.$table (j)", 'ANALYZE' ], [ "TRUNCATE src.$table", @changes ]) };
}

sub statement
{
	my $table = one(@TABLES, @TABLES, qw(p_1 h_1));
	my $row = row();
	my $where = one('id % 7 = ' . int rand 7, 'id % 7 = ' . int rand 7, 'k = ' . (1 + int rand 4), 'j IS NULL', "c = 'x'", 'v > 3',
		'id = ' . (1 + int rand 30));
	my $set = one(map({ "$_ = " . small() } qw(k j v)), 'k = j, j = k', 'v = v', "c = upper(c::text)::ext.citext", 'n = n * 1.0',
		'n = ' . one('NULL', qw(1 1.00 2)), "t = 'r'", 'at = ' . time_of(), 'id = id + 100 WHERE id = ' . (1 + int rand 30));

	return "DELETE FROM src.$table WHERE $where" if chance(0.2);
	return "UPDATE src.$table SET $set" . ($set =~ /WHERE/ ? '' : " WHERE $where") if chance(0.35);
	return "TRUNCATE src.$table" if chance(0.005);
	return merge_of($table) if chance(0.1);
	return "INSERT INTO src.$table (id, k, j, v, n, c, f, t, at) SELECT id + 200, k, v, j, n, c, f, t, at FROM src." . one(@TABLES)
	  . " WHERE $where LIMIT 10" . ($table =~ /^[ab]$/ ? ' ON CONFLICT DO NOTHING' : '') if chance(0.08);
	return "INSERT INTO src.$table (id, k, j, v, n, c, f, t, at) VALUES ($row)"
	  . ($table =~ /^[ab]$/ ? one(' ON CONFLICT DO NOTHING', ' ON CONFLICT (id) DO UPDATE SET k = EXCLUDED.k, v = EXCLUDED.v') : '');
}

sub change
{
	my ($self) = @_;
	my @statements = chance(0.06) ? ddl() : map { statement() } 1 .. one(1, 1, 1, 2, 3, 5);

	splice @statements, int rand @statements, 0, 'SAVEPOINT s', statement(), 'ROLLBACK TO s' if chance(0.1);
	my $is_plain = join(' ', @statements) !~ /ALTER|DROP|CREATE|TRUNCATE|CLUSTER/;
	my $prepared = $is_plain && @{ $self->{prepared} } < 2 && chance(0.02) ? 'p' . ++$self->{made_prepared} . "_$self->{seed}" : undef;

	unshift @statements, 'BEGIN';
	push @statements, chance(0.05) ? 'ROLLBACK' : defined $prepared ? "PREPARE TRANSACTION '$prepared'" : 'COMMIT';
	push @{ $self->{prepared} }, $prepared if $statements[-1] =~ /^PREPARE/;
	foreach (@statements)
	{
		$self->note("  $_");
		my (undef, $error) = $self->ask('warehouse', $_);
		next if $error eq '';
		$self->ask('warehouse', 'ROLLBACK');
		pop @{ $self->{prepared} } if $statements[-1] =~ /^PREPARE/;
		last;
	}
	return;
}

sub end_prepared
{
	my ($self) = @_;

	foreach (splice @{ $self->{prepared} }) { $self->note("  end of $_"); $self->must('warehouse', one('COMMIT', 'COMMIT', 'ROLLBACK') . " PREPARED '$_'"); }
	return;
}

# Statements that no transaction block may contain.
sub maintain
{
	my ($self) = @_;
	my $statement = one('VACUUM FULL src.' . one(@TABLES), 'VACUUM src.' . one(@TABLES), 'ANALYZE', 'VACUUM FULL mart.' . (one(sort keys %{ $self->{queries} }) // 'none'));

	$self->end_prepared;
	$self->note("  $statement");
	$self->ask('warehouse', $statement);
	return;
}

# ---- sources: what FROM can have ----

# Transforms of the round that queries may read, with the kinds of their columns.
my %targets;

# The features of the query that is being composed, and the number of aliases given.
my %features;
my $aliases;

sub has { $features{$_} = 1 foreach @_; return; }

sub alias { return 'q' . ++$aliases; }

# A source: its text without the alias, and its columns with their kinds.
my %ALL = (id => 'int', k => 'int', j => 'int', v => 'int', n => 'num', c => 'ci', f => 'ch', t => 'text', at => 'time');

sub base
{
	my $name = one(@TABLES, @TABLES, qw(va vj vg));

	if (%targets && chance(0.1))
	{
		my $target = one(sort keys %targets);

		has('transform');
		return { text => "mart.$target", columns => { %{ $targets{$target} } }, whole => 1 };
	}

	has({ m => 'bag', p => 'partitions', h => 'children' }->{$name}) if $name =~ /^[mph]$/;
	has('view') if $name =~ /^v/;
	return { text => $name, columns => {%ALL}, whole => 1, table => $name };
}

# Aggregates over columns with this prefix, as type and expression.
sub aggregate
{
	my ($columns) = @_;
	my @ints = grep { $columns->{$_} eq 'int' } sort keys %$columns;
	my $i = one(@ints);

	return one([ 'int', 'count(*)::integer' ], [ 'int', "sum($i)::integer" ], [ 'int', "max($i)" ], [ 'int', "min($i)" ],
		[ 'int', "count(DISTINCT $i)::integer" ], [ 'int', "count(*) FILTER (WHERE $i > 2)::integer" =~ s/::integer//r ],
		[ 'int', "(array_agg($i ORDER BY $i DESC))[1]" ]);
}

sub grouped_source
{
	my ($depth) = @_;
	my $inner = source($depth - 1);
	my $x = alias();
	my %columns = map { ("$x.$_" => $inner->{columns}{$_}) } keys %{ $inner->{columns} };
	my @by = TransformProperty::some(2, sort grep { $columns{$_} =~ /int|num|ci|ch/ } keys %columns);
	my %result;
	my @list;

	my %taken;
	foreach my $column (@by)
	{
		my $name = $column =~ s/.*\.//r;

		next if $taken{$name}++;
		push @list, "$column AS $name";
		$result{$name} = $columns{$column};
	}
	my ($type, $expression) = @{ aggregate(\%columns) };
	push @list, "$expression AS agg";
	$result{agg} = 'int';
	has('aggregate of aggregate') if $features{grouped}++;
	return { text => '(SELECT ' . join(', ', @list) . " FROM $inner->{text} AS $x" . maybe_where($inner, $x, 0)
		  . ' GROUP BY ' . join(', ', map { s/ AS .*//r } grep { !/AS agg/ } @list) . one('', ' HAVING count(*) > 1') . ')',
		columns => \%result, grouped => 1 };
}

sub set_source
{
	my ($depth) = @_;
	my ($one, $other) = (base(), base());
	my @names = one([qw(id k)], [qw(k v)], [qw(k n)], [qw(k c)], [qw(id k v)], [qw(k f)]);
	my $list = join ', ', @{ $names[0] };
	my $operation = one('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT', 'EXCEPT ALL');

	has('set operation below');
	return { text => "(SELECT $list FROM $one->{text} AS o1" . maybe_where($one, 'o1', 0) . " $operation SELECT $list FROM $other->{text} AS o2"
		  . maybe_where($other, 'o2', 0) . ')', columns => { map { $_ => $ALL{$_} } @{ $names[0] } } };
}

# The columns of a query over groups, as the query writes them: exact aggregates that follow from
# numbers of the groups, and expressions of them.
sub exact_aggregate
{
	my ($columns) = @_;
	my @ints = grep { $columns->{$_} eq 'int' } sort keys %$columns;
	my ($i, $j) = (one(@ints), one(@ints));
	my $t = column($columns, 'text');
	my $filter = one('', '', '', " FILTER (WHERE $j > 2)");

	if (chance(0.3))
	{
		has('extremes');
		return one("max($i)$filter", "min($i)$filter", defined $t ? "max($t COLLATE \"C\")" : "max($i)", "max($i) - min($j)");
	}
	return one('count(*)', "count($i)$filter", "sum($i)$filter", "avg($i)", "sum($i * $j)", "sum($i) / nullif(count($j), 0)",
		"round(avg($i), 2)", "coalesce(sum($i)$filter, 0) + count(*)", "sum(coalesce($i, 0) + 1)", "count(*) FILTER (WHERE $i IS NULL)");
}

sub ordered_all
{
	my ($x, $columns) = @_;

	return join ', ', map { $columns->{$_} eq 'ci' ? "$x.$_, $x.$_\::text COLLATE \"C\"" : $columns->{$_} eq 'num' ? "$x.$_, $x.$_\::text"
		: $columns->{$_} eq 'text' ? "$x.$_ COLLATE \"C\"" : "$x.$_" } sort keys %$columns;
}

sub shaped_source
{
	my ($depth) = @_;
	my $inner = source($depth - 1);
	my $x = alias();
	my $list = join ', ', map { "$x.$_" } sort keys %{ $inner->{columns} };
	my $by = one(sort grep { $inner->{columns}{$_} eq 'int' } keys %{ $inner->{columns} });
	my $kind = one('plain', 'plain', 'distinct', 'distinct on', 'window', 'limit');
	my $all = ordered_all($x, $inner->{columns});
	my $where = maybe_where($inner, $x, $depth);

	has($kind) if $kind =~ /distinct|window/;
	return { text => "(SELECT DISTINCT $list FROM $inner->{text} AS $x$where)", columns => $inner->{columns} } if $kind eq 'distinct';
	return { text => "(SELECT DISTINCT ON ($x.$by) $list FROM $inner->{text} AS $x$where ORDER BY $x.$by, $all)",
		columns => $inner->{columns} } if $kind eq 'distinct on';
	return { text => "(SELECT $list, row_number() OVER (PARTITION BY $x.$by ORDER BY $all)::integer AS r FROM $inner->{text} AS $x$where)",
		columns => { %{ $inner->{columns} }, r => 'int' } } if $kind eq 'window';
	return { text => "(SELECT $list FROM $inner->{text} AS $x$where ORDER BY $all LIMIT 5)", columns => $inner->{columns} }
	  if $kind eq 'limit' && chance(0.3);
	return { text => "(SELECT $list FROM $inner->{text} AS $x$where)", columns => $inner->{columns} };
}

sub joined_source
{
	my ($depth) = @_;
	my ($from, $columns) = from($depth - 1, 2);
	my %result;
	my @list;

	foreach my $column (sort keys %$columns)
	{
		my $name = $column =~ s/.*\.//r;

		next if $result{$name};
		$result{$name} = $columns->{$column};
		push @list, "$column AS $name";
	}
	return { text => '(SELECT ' . join(', ', @list) . " FROM $from)", columns => \%result };
}

sub source
{
	my ($depth) = @_;

	return base() if $depth <= 0 || chance(0.55);
	return one(\&grouped_source, \&set_source, \&shaped_source, \&joined_source)->($depth);
}

# ---- conditions ----

sub column
{
	my ($columns, $kind) = @_;
	my @found = sort grep { $columns->{$_} eq $kind } keys %$columns;

	return @found ? one(@found) : undef;
}

# A condition between two sides; the kinds of columns are the same.
sub between
{
	my ($left, $right) = @_;
	my $kind = one('int', 'int', 'int', 'int', 'num', 'ci', 'ch');
	my ($x, $y) = (column($left, $kind), column($right, $kind));

	($x, $y) = (column($left, 'int'), column($right, 'int')) if !defined $x || !defined $y;
	has($kind eq 'ci' ? 'citext key' : $kind eq 'ch' ? 'char key' : $kind eq 'num' ? 'numeric key' : 'integer key');
	return one(("$x = $y") x 8, "$x IS NOT DISTINCT FROM $y", "$y = $x") if chance(0.8);
	($x, $y) = (column($left, 'int'), column($right, 'int'));
	my ($z, $w) = (column($left, 'int'), column($right, 'int'));
	return one("coalesce($x, 1) = $y", "$x = coalesce($y, 2)", "$x < $y", "($x = $y OR $z = $w)", "$x + 1 = $y", "$x = $y + $z",
		"coalesce($x, $y) = 2", "($x = $y AND $z IS NOT NULL)", "$x = $y AND $z > $w", "$x IS NULL OR $x = $y");
}

sub alone
{
	my ($columns) = @_;
	my $x = column($columns, 'int') // '1';
	my $t = column($columns, 'text');
	my $at = column($columns, 'time');

	if (defined $at && chance(0.12))
	{
		has('clock');
		return one("$at < now()", "$at <= current_timestamp", "now() < $at", "$at > now() - interval '150 ms'",
			"$at BETWEEN now() - interval '100 ms' AND now() + interval '100 ms'", "NOT ($at >= transaction_timestamp())", "($at < now() OR $x = 2)");
	}
	return one("$x > 1", "$x IS NULL", "$x IS NOT NULL", "$x = 2", "$x <> 3", "coalesce($x, 1) = 1", "$x IN (1, 3)",
		defined $t ? "$t LIKE 's%'" : "$x < 4");
}

# A subquery on other tables that refers to these columns.
sub correlated
{
	my ($columns, $list) = @_;
	my $inner = chance(0.8) ? base() : source(1);
	my $x = alias();
	my %inside = map { ("$x.$_" => $inner->{columns}{$_}) } keys %{ $inner->{columns} };
	my @conditions = between($columns, \%inside);

	push @conditions, alone(\%inside) if chance(0.3);
	push @conditions, alone($columns) if chance(0.15);
	push @conditions, sublink(\%inside, 0) if chance(0.1);
	return "SELECT " . $list->($x, \%inside) . " FROM $inner->{text} AS $x WHERE " . join ' AND ', map { "($_)" } @conditions;
}

sub sublink
{
	my ($columns, $depth) = @_;
	my $kind = one('exists', 'not exists', 'in', 'in', 'not in', 'all', 'scalar', 'or in');
	my $i = column($columns, 'int');
	my $nothing = sub { return '1'; };
	my $int = sub { my ($x, $inside) = @_; return column($inside, 'int'); };

	has($kind eq 'or in' ? 'in' : $kind);
	return 'EXISTS (' . correlated($columns, $nothing) . ')' if $kind eq 'exists';
	return 'NOT EXISTS (' . correlated($columns, $nothing) . ')' if $kind eq 'not exists';
	if ($kind =~ /in$|all/)
	{
		my $plain = base();
		my $x = alias();
		my %inside = map { ("$x.$_" => $plain->{columns}{$_}) } keys %{ $plain->{columns} };
		my $subquery = chance(0.4) ? correlated($columns, $int)
		  : one("SELECT " . column(\%inside, 'int') . " FROM $plain->{text} AS $x" . one('', ' WHERE ' . alone(\%inside)),
			"SELECT $x.k FROM $plain->{text} AS $x GROUP BY $x.k HAVING count(*) > 1", "SELECT max($x.v) FROM $plain->{text} AS $x GROUP BY $x.k");

		return "$i IN ($subquery)" if $kind eq 'in';
		return "$i NOT IN ($subquery)" if $kind eq 'not in';
		return "($i IN ($subquery) OR " . alone($columns) . ')' if $kind eq 'or in';
		return "$i " . one('>', '>=', '<>', '<') . " ALL ($subquery)";
	}
	return "$i " . one('=', '<', '>=') . ' (' . correlated($columns, sub { my ($x, $inside) = @_; return one('max', 'min', 'count') . '('
		. column($inside, 'int') . ')'; }) . ')';
}

sub maybe_where
{
	my ($source, $x, $depth) = @_;
	my %columns = map { ("$x.$_" => $source->{columns}{$_}) } keys %{ $source->{columns} };

	return '' if chance(0.6);
	return ' WHERE ' . ($depth > 0 && chance(0.3) ? sublink(\%columns, 0) : alone(\%columns));
}

# ---- FROM ----

sub from
{
	my ($depth, $most) = @_;
	my $first = source($depth);
	my $x = alias();
	my $text = "$first->{text} AS $x";
	my %columns = map { ("$x.$_" => $first->{columns}{$_}) } keys %{ $first->{columns} };
	my @tables = $first->{table} // ();

	for (2 .. 1 + int rand $most)
	{
		my $y = alias();

		if (chance(0.08))
		{
			my $i = column(\%columns, 'int');
			my $is_series = chance(0.5);

			has($is_series ? 'series' : 'values');
			$text .= $is_series ? " CROSS JOIN LATERAL generate_series(1, $i % 4) AS $y (g)" : one(' JOIN', ' LEFT JOIN') . " (VALUES (1, 10), (2, 20), (2, NULL)) AS $y (g, h) ON $y.g = $i";
			$columns{"$y.g"} = 'int';
			next;
		}
		if (chance(0.15))
		{
			my %seen;
			my $limited = chance(0.5);
			my $subquery = correlated(\%columns, sub { my ($z, $inside) = @_; return join ', ',
				map { %seen = (%seen, s/.*\.//r => $inside->{$_}); $_ } sort keys %$inside; });
			my ($z) = $subquery =~ /SELECT (q\d+)\./;

			has($limited ? 'lateral limit' : 'lateral');
			$subquery .= ' ORDER BY ' . ordered_all($z, \%seen) . ' LIMIT 2' if $limited;
			$text .= one(" CROSS JOIN LATERAL ($subquery) AS $y", " LEFT JOIN LATERAL ($subquery) AS $y ON true");
			%columns = (%columns, map { ("$y.$_" => $seen{$_}) } keys %seen);
			next;
		}
		my $next = source($depth);
		my %new = map { ("$y.$_" => $next->{columns}{$_}) } keys %{ $next->{columns} };
		my $kind = one('JOIN', 'JOIN', 'LEFT JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN');
		my $condition = between(\%columns, \%new);

		if ($kind eq 'FULL JOIN') { $condition = column(\%columns, 'int') . ' = ' . column(\%new, 'int'); has('full join'); }
		else
		{
			$condition .= ' AND ' . alone(chance(0.5) ? \%columns : \%new) if chance(0.25);
			if (chance(0.1)) { $condition .= ' AND ' . sublink({ %columns, %new }, 0); has('sublink in join'); }
		}
		has({ 'JOIN' => 'inner join', 'LEFT JOIN' => 'left join', 'RIGHT JOIN' => 'right join' }->{$kind} // 'full join');
		has('self join') if grep { ($next->{table} // '') eq $_ } @tables;
		has('join of aggregates') if $next->{grouped};
		push @tables, $next->{table} // ();
		if ($kind =~ /LEFT/ && chance(0.2) || $kind eq 'FULL JOIN' && chance(0.6))
		{
			# what is joined is a join itself
			my $z = alias();
			my $third = base();
			my %more = map { ("$z.$_" => $third->{columns}{$_}) } keys %{ $third->{columns} };
			my $inner = one('JOIN', 'LEFT JOIN', 'FULL JOIN');
			my $on = $inner eq 'FULL JOIN' ? column(\%new, 'int') . ' = ' . column(\%more, 'int') : between(\%new, \%more);

			%new = (%new, %more);
			has('full join below') if $inner eq 'FULL JOIN';
			my $kind_of_outer = one('LEFT JOIN', 'JOIN', 'LEFT JOIN');
			$text .= " $kind_of_outer ($next->{text} AS $y $inner $third->{text} AS $z ON $on) ON " . between(\%columns, \%new);
		}
		else { $text .= " $kind $next->{text} AS $y ON $condition"; }
		%columns = (%columns, %new);
	}
	return ($text, \%columns);
}

# ---- queries ----

sub where
{
	my ($columns) = @_;
	my @conditions;

	push @conditions, alone($columns) if chance(0.3);
	push @conditions, sublink($columns, 1) if chance(0.4);
	push @conditions, between($columns, $columns) if chance(0.1);
	return @conditions ? ' WHERE ' . join ' AND ', map { "($_)" } @conditions : '';
}

sub outputs
{
	my ($columns, @more) = @_;
	my @picked = TransformProperty::some(4, sort keys %$columns);
	my @ids = grep { /\.id$/ } sort keys %$columns;
	my $n = 0;

	unshift @picked, one(@ids) if @ids && chance(0.5);
	push @picked, one(map { "coalesce($_, 0)" } grep { $columns->{$_} eq 'int' } sort keys %$columns) if chance(0.2);
	if (chance(0.15))
	{
		has('scalar');
		push @picked, '(' . correlated($columns, sub { my ($x, $inside) = @_; return one('max', 'count', 'sum') . '(' . column($inside, 'int') . ')'; }) . ')';
	}
	return join ', ', map { "$_ AS o" . ++$n } @picked, @more;
}

sub plain
{
	my ($depth) = @_;
	my ($from, $columns) = from($depth, 3);
	my @more;

	if (chance(0.2))
	{
		my $by = one(sort grep { $columns->{$_} eq 'int' } keys %$columns);
		my $i = column($columns, 'int');

		has('window');
		push @more, one("sum($i) OVER (PARTITION BY $by)", "count(*) OVER (PARTITION BY $by, " . column($columns, 'int') . ')', "rank() OVER (PARTITION BY $by ORDER BY $i)");
		return 'SELECT ' . join(', ', "$by AS key", outputs($columns, @more)) . " FROM $from" . where($columns);
	}
	if (chance(0.12)) { has('distinct'); return 'SELECT DISTINCT ' . outputs($columns) . " FROM $from" . where($columns); }
	if (chance(0.1))
	{
		my $by = one(sort grep { $columns->{$_} eq 'int' } keys %$columns);
		my $all = join ', ', map { s/^(q\d+)\.(\w+)$/ordered_all($1, { $2 => $columns->{$_} })/er } sort keys %$columns;

		has('distinct on');
		return "SELECT DISTINCT ON ($by) $by AS key, " . outputs($columns) . " FROM $from" . where($columns) . " ORDER BY $by, $all";
	}
	return 'SELECT ' . outputs($columns) . " FROM $from" . where($columns);
}

sub grouped
{
	my ($depth) = @_;
	my ($from, $columns) = from($depth, 3);
	my @by = TransformProperty::some(2, sort grep { $columns->{$_} =~ /int|num|ci|ch/ } keys %$columns);
	my $exact = chance(0.6);
	my @aggregates = map { $exact ? exact_aggregate($columns) : aggregate($columns)->[1] } 1 .. one(1, 2, 3);
	my $having = '';
	my $n = 0;

	has('group by');
	has('exact aggregates') if $exact;
	if ($exact && chance(0.15))
	{
		has('total');
		@by = ();
	}
	foreach (@by) { has({ ci => 'citext key', ch => 'char key', num => 'numeric key' }->{ $columns->{$_} } // 'integer key'); }
	if (chance(0.3)) { has('having'); $having = ' HAVING ' . one('count(*) > 1', aggregate($columns)->[1] . ' > 2',
		'EXISTS (' . correlated({ map { $_ => $columns->{$_} } grep { $columns->{$_} eq 'int' } @by }, sub { '1' }) . ')') if grep { $columns->{$_} eq 'int' } @by; }
	my $list = join ', ', @by;
	if (chance(0.15) && @by > 1)
	{
		has('grouping sets');
		$list = one("GROUPING SETS (($by[0], $by[1]), ($by[0]))", "$by[0], ROLLUP ($by[1])", "$by[0], CUBE ($by[1])");
		push @aggregates, "grouping($by[1])";
	}
	return 'SELECT ' . join(', ', map { "$_ AS o" . ++$n } @by, @aggregates) . " FROM $from" . where($columns)
	  . (@by ? " GROUP BY $list" : '') . $having;
}

# Tables, or views of one, and inner joins of them: FROM with WHERE, and the columns.
sub simple_from
{
	my @sources = map { my $source = base(); $source = base() while $source->{text} =~ /^v[jg]$/; [ alias(), $source ] } 1 .. one(1, 1, 2, 2, 3);
	my (%columns, @conditions);
	my $text = '';

	foreach (@sources)
	{
		my ($x, $source) = @$_;
		my %new = map { ("$x.$_" => $source->{columns}{$_}) } keys %{ $source->{columns} };

		if (!%columns) { $text = "$source->{text} AS $x"; }
		elsif (chance(0.5)) { $text .= ", $source->{text} AS $x"; push @conditions, between(\%columns, \%new); }
		else { $text .= " JOIN $source->{text} AS $x ON " . between(\%columns, \%new); }
		has('inner join') if %columns;
		%columns = (%columns, %new);
	}
	push @conditions, alone(\%columns) if chance(0.4);
	$text .= ' WHERE ' . join ' AND ', map { "($_)" } @conditions if @conditions;
	return ($text, \%columns);
}

# Queries whose result follows from changed rows, or from numbers of groups.
sub algebraic
{
	my ($text, $columns) = simple_from();
	my ($i, $j) = (column($columns, 'int'), column($columns, 'int'));
	my $n = 0;

	if (chance(0.5))
	{
		my @by = one([], [$i], ["$i + $j"], ["$i IS NULL"], [ $i, $j ]);
		my @list = (chance(0.7) ? @{ $by[0] } : (), map { exact_aggregate($columns) } 1 .. one(1, 2, 3));

		has('exact aggregates', @{ $by[0] } ? 'group by' : 'total');
		return 'SELECT ' . join(', ', map { "$_ AS o" . ++$n } @list) . " FROM $text"
		  . (@{ $by[0] } ? ' GROUP BY ' . join(', ', @{ $by[0] }) : '') . one('', '', ' HAVING count(*) > 1', " HAVING sum($i) > 2");
	}
	return "SELECT $i + $j AS o1 FROM $text" if chance(0.2);
	return 'SELECT ' . join(', ', map { "$_ AS o" . ++$n } TransformProperty::some(4, sort keys %$columns)) . " FROM $text" if chance(0.6);
	my ($other, $others) = simple_from();

	has('union all');
	return "SELECT $i AS o1, $j AS o2 FROM $text UNION ALL SELECT " . column($others, 'int') . ', ' . column($others, 'int') . "::bigint FROM $other";
}

sub combined
{
	my ($depth) = @_;
	my $operation = one('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT', 'EXCEPT ALL');
	my ($one, $columns) = from($depth, 2);
	my ($other, $others) = from($depth, 2);
	my $kind = one('int', 'int', 'num', 'ci');
	my ($x, $y) = (column($columns, $kind) // 'NULL::integer', column($others, $kind) // 'NULL::integer');
	($x, $y) = (column($columns, 'int'), column($others, 'int')) if "$x$y" =~ /NULL/;

	has(lc $operation);
	return "SELECT $x AS o1, " . column($columns, 'int') . " AS o2 FROM $one" . where($columns)
	  . " $operation SELECT $y, " . column($others, 'int') . " FROM $other" . where($others);
}

sub with
{
	my ($depth) = @_;
	my $source = source($depth);
	my ($x, $y) = (alias(), alias());
	my %one = map { ("$x.$_" => $source->{columns}{$_}) } keys %{ $source->{columns} };
	my %other = map { ("$y.$_" => $source->{columns}{$_}) } keys %{ $source->{columns} };
	my $text = $source->{text} =~ /^\(/ ? $source->{text} : "(TABLE $source->{text})";

	has('with');
	return "WITH w AS $text SELECT " . outputs(\%one) . " FROM w AS $x" . where(\%one) if chance(0.4);
	has('with twice');
	return "WITH w AS $text SELECT " . outputs({ %one, %other }) . " FROM w AS $x " . one('', 'LEFT ') . "JOIN w AS $y ON "
	  . between(\%one, \%other) . where(\%one);
}

sub query
{
	my $depth = one(0, 0, 1, 1, 2);

	%features = ();
	$aliases = 0;
	my $query = one(\&plain, \&plain, \&plain, \&grouped, \&grouped, \&combined, \&with, \&algebraic, \&algebraic)->($depth);
	delete $features{grouped};
	return ($query, sort keys %features);
}

# ---- transforms ----

sub create
{
	my ($self) = @_;
	my ($query, @features) = query();
	my $name = 'r' . ++$self->{made};

	$self->note("  $name: $query");
	$self->as_owner;
	my (undef, $impossible) = $self->ask('warehouse', "SELECT count(*) FROM ($query) AS r");
	$self->{count}{'no query'}++ if $impossible ne '';
	$self->{why}{$impossible} = $query if $impossible ne '';
	$self->as_superuser if $impossible ne '';
	return if $impossible ne '';
	my $mode = 'incremental';
	my (undef, $error) = $self->ask('warehouse',
		"SELECT depipe.create_transform('mart.$name', \$query\$$query\$query\$, mode => 'incremental'" . one('', ", key => '{}'") . ')');
	if ($error =~ /cannot be refreshed incrementally/)
	{
		$mode = 'auto';
		$self->{count}{'not incremental'}++;
		$self->{refused}{$_}++ foreach @features;
		if (chance(0.8)) { $self->as_superuser; return; }
		(undef, $error) = $self->ask('warehouse', "SELECT depipe.create_transform('mart.$name', \$query\$$query\$query\$, key => '{}')");
	}
	$self->as_superuser;
	die "failure: create_transform: $error: $query\n" if $error ne '';
	$self->{count}{created}++;
	$self->{queries}{$name} = $query;
	$self->{features}{$name} = [@features];
	$self->{mode}{$name} = $mode;
	$self->{reads}{$name} = [ $query =~ /\bmart\.(r\d+)/g ];
	$self->set_aside($name) if $error eq '' && $query !~ /\bnow\(|_timestamp/ && chance(0.1);
	$self->offer_target($name);
	if (($self->{features}{$name} // []) && grep { $_ eq 'clock' } @features) { $self->refreshed("mart.$name", $name); }
	else { $self->compare($name); }
	return;
}

# Other queries may read the table: the kinds of its columns.
sub offer_target
{
	my ($self, $name) = @_;
	my $columns = $self->must('warehouse', "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'mart.$name'::regclass AND attnum > 0 AND NOT attisdropped");
	my %kinds = (integer => 'int', numeric => 'num', 'ext.citext' => 'ci', citext => 'ci', character => 'ch', text => 'text', 'timestamp with time zone' => 'time');
	my %columns;

	foreach (@$columns)
	{
		my ($column, $type) = split /\|/;

		$columns{$column} = $kinds{$type} if $kinds{$type};
	}
	$targets{$name} = \%columns if grep { $_ eq 'int' } values %columns;
	return;
}

# A constraint sets rows aside; the table has the others.
sub set_aside
{
	my ($self, $name) = @_;
	my $column = one(@{ $self->must('warehouse', "SELECT attname FROM pg_attribute WHERE attrelid = 'mart.$name'::regclass AND attnum > 0 AND atttypid = 'integer'::regtype") });

	return if !defined $column || $self->must('warehouse', "SELECT cardinality(key_columns) FROM depipe.transforms WHERE target = 'mart.$name'")->[0];
	return if $self->must('warehouse', "SELECT count(*) FROM mart.$name WHERE $column = 3")->[0];
	$self->note("  quarantine: $column");
	$self->must('warehouse', "SELECT depipe.add_constraint('mart.$name', depipe.satisfies('$column IS DISTINCT FROM 3'), on_violation => 'quarantine')");
	$self->{condition}{$name} = "$column IS DISTINCT FROM 3";
	$self->{count}{'with quarantine'}++;
	return;
}

# The last transforms that no other one reads.
sub drop
{
	my ($self, $many) = @_;
	my %read = map { $_ => 1 } map { @{ $self->{reads}{$_} // [] } } keys %{ $self->{queries} };
	my @names = grep { !$read{$_} } sort keys %{ $self->{queries} };

	return if keys %{ $self->{queries} } < $many || !@names;
	my $name = one(@names);
	$self->end_prepared;
	$self->note("  drop of $name");
	$self->must('warehouse', "SELECT depipe.drop_transform('mart.$name', drop_table => true)");
	delete $self->{$_}{$name} foreach qw(queries condition reads);
	delete $targets{$name};
	return;
}

# The rows that the query returns to the owner of the transform, now.
sub compare
{
	my ($self, $name) = @_;
	my $query = $self->{queries}{$name};
	my $expected = $self->{condition}{$name} ? "SELECT * FROM ($query) AS c WHERE $self->{condition}{$name}" : "SELECT * FROM ($query) AS c";

	$self->as_owner;
	my $different = $self->must('warehouse', "SELECT count(*) FROM (($expected EXCEPT ALL TABLE mart.$name)"
		. " UNION ALL (TABLE mart.$name EXCEPT ALL $expected)) AS d")->[0];
	$self->as_superuser;
	return if $different eq '0';
	my $strategy = $self->must('warehouse', "SELECT strategy FROM depipe.runs WHERE target = 'mart.$name' ORDER BY run_id DESC LIMIT 1");
	die "failure: mart.$name differs by $different rows after @$strategy: $query\n";
}

# Settings of the session that refreshes, which must not matter.
sub others
{
	my ($self) = @_;
	my @planner = map { "SET enable_$_ = off" } grep { chance(0.15) } qw(hashagg sort hashjoin nestloop mergejoin seqscan indexscan bitmapscan material memoize incremental_sort);

	$self->must('warehouse', join('; ', 'SET search_path = ' . one('pg_catalog', 'src', 'public', 'mart, src'), "SET TimeZone = '" . one('UTC', 'Asia/Tokyo', 'America/New_York') . "'",
		"SET DateStyle = '" . one('ISO, MDY', 'SQL, DMY', 'German') . "'", 'SET plan_cache_mode = ' . one('auto', 'force_generic_plan', 'force_custom_plan'),
		"SET work_mem = '" . one('64kB', '4MB') . "'", 'SET extra_float_digits = ' . one(-1, 0, 1), 'SET jit = ' . one('on', 'off', 'off'), @planner));
	return;
}

# Refresh and compare in one transaction, in which the clock stands still; sometimes after a refresh that is undone.
sub refreshed
{
	my ($self, $pattern, @names) = @_;

	$self->others if chance(0.3);
	$self->must('warehouse', 'BEGIN');
	if (chance(0.1))
	{
		$self->must('warehouse', 'SAVEPOINT undone');
		$self->ask('warehouse', statement()) if chance(0.5) && !@{ $self->{prepared} };
		$self->ask('warehouse', "ROLLBACK TO undone") if chance(0.1);
		$self->ask('warehouse', "SELECT count(*) FROM depipe.refresh('$pattern')");
		$self->must('warehouse', 'ROLLBACK TO undone');
	}
	$self->refresh($pattern);
	$self->mine;
	$self->compare($_) foreach @names;
	if (chance(0.05)) { $self->note('  rolled back'); $self->must('warehouse', 'ROLLBACK'); return $self->refreshed($pattern, @names); }
	$self->must('warehouse', 'COMMIT');
	return;
}

sub refresh
{
	my ($self, $pattern) = @_;
	my $lines = $self->must('warehouse', "SELECT r.target, r.status, r.strategy, translate(r.reason, E'\\n', ' ') FROM depipe.refresh('$pattern') r");
	foreach my $line (@$lines)
	{
		my ($target, $status, $strategy, $reason) = $line =~ /^mart\.(\w+)\|(\w+)\|(\w*)\|(.*)$/ or next;

		if ($status !~ /succeeded|nothing/)
		{
			my $error = $self->must('warehouse', "SELECT translate(error_message, E'\\n', ' ') FROM depipe.runs WHERE target = 'mart.$target' ORDER BY run_id DESC LIMIT 1");
			die "failure: mart.$target $status: $reason: @$error: $self->{queries}{$target}\n";
		}
		$self->{count}{$strategy}++;
		next if $strategy eq 'nothing' || !$self->{features}{$target};
		$self->{served}{$_}{$strategy}++ foreach @{ $self->{features}{$target} };
		$self->{reasons}{$reason}++ if !$ON_CHANGES{$strategy};
	}
	return;
}

# Some transforms wait: many small batches for one are one large batch for the other.
sub check_some
{
	my ($self) = @_;
	my $last = one(0 .. 9);

	$self->refreshed("mart.*$last", grep { /$last$/ } sort keys %{ $self->{queries} });
	return;
}

sub check_all
{
	my ($self) = @_;

	$self->refreshed('mart.*', sort keys %{ $self->{queries} });
	return;
}

# Rights and row security of an input change: what the owner may not read is not refreshed, and not changed.
sub rights
{
	my ($self) = @_;
	my $table = one(qw(a b m p h));
	my ($there, $back) = @{ one([ "REVOKE SELECT ON src.$table FROM author", "GRANT SELECT ON src.$table TO author" ],
		[ "REVOKE TRIGGER ON src.$table FROM author", "GRANT TRIGGER ON src.$table TO author" ],
		[ "CREATE POLICY part ON src.$table USING (id % 2 = 0); ALTER TABLE src.$table ENABLE ROW LEVEL SECURITY", "ALTER TABLE src.$table DISABLE ROW LEVEL SECURITY; DROP POLICY part ON src.$table" ],
		[ "CREATE POLICY part ON src.$table USING (true); ALTER TABLE src.$table ENABLE ROW LEVEL SECURITY", "DROP POLICY part ON src.$table; CREATE POLICY other ON src.$table USING (k > 1)" ]) };

	$self->end_prepared;
	$self->note("  $there");
	$self->must('warehouse', $there);
	$self->change if chance(0.7);
	if ($there =~ /REVOKE SELECT/)
	{
		my $lines = $self->must('warehouse', "SELECT r.target, r.status, translate(r.reason, E'\\n', ' ') FROM depipe.refresh('mart.*') r");

		foreach (@$lines) { die "failure: without rights: $_\n" if /\|failed\|/ && !/permission denied/ || /\|(skipped|running)\|/; }
	}
	else { $self->check_all; }
	$self->change if chance(0.5);
	$self->must('warehouse', $back);
	if ($back =~ /CREATE POLICY other/)
	{
		$self->check_all;
		$self->must('warehouse', "ALTER TABLE src.$table DISABLE ROW LEVEL SECURITY; DROP POLICY other ON src.$table");
	}
	$self->check_all;
	return;
}

sub act
{
	my ($self) = @_;

	return $self->create if chance(0.4);
	return $self->drop(12) if chance(0.12);
	return $self->maintain if chance(0.05);
	return $self->rights if $self->{role} eq 'author' && chance(0.06);
	$self->end_prepared if chance(0.2);
	$self->change for 1 .. one(1, 1, 2, 4);
	return $self->check_some if chance(0.4);
	$self->check_all;
	return;
}

sub round
{
	my (%options) = @_;
	my $self = bless { %options, database => "refreshes_$options{seed}", settings => {}, queries => {}, count => {}, served => {} },
	  __PACKAGE__;

	%targets = ();

	return $self->play(sub { $self->end_prepared; $self->check_all });
}

1;
