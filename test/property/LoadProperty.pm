# LoadProperty: random changes of a source, random actions in a warehouse, and exact comparisons.
#
#	my $failure = LoadProperty::round(source => NODE, warehouse => NODE, seed => 7, steps => 120,
#		psql => PATH, log => HANDLE);
#
# A NODE is { host, port, user, crash => sub {...} }; crash stops the server immediately and starts
# it again. A round creates its own database on each server. The same seed takes the same steps. The
# result is empty, or a description of the failure.
#
# Whenever a load reports that it is up to date, each row of the source must be identical in the
# target, or its newest image must be in quarantine; and the target must have no other rows, except
# those that a quarantined change of key left in place. Some loads keep a history: this holds for
# their current rows, and their versions must not overlap. At any time, each row of the target must
# have been committed at the source once. In the end, with no constraint violated, source and target
# must contain the same rows, compared by the texts of all columns.

package LoadProperty;

use strict;
use warnings;
use parent -norequire, 'RandomRound';
use RandomRound qw(one chance);
use Time::HiRes qw(time sleep);

# ---- settings of sessions ----

# The settings of the session that runs something must not affect the data. Settings with which a
# comparison is read are reset.
my %STRANGE = (
	TimeZone => [ 'Asia/Tokyo', 'America/St_Johns', 'Africa/Abidjan' ],
	DateStyle => [ 'SQL, DMY', 'German', 'Postgres, MDY' ],
	IntervalStyle => [ 'sql_standard', 'iso_8601', 'postgres_verbose' ],
	extra_float_digits => [ -15, 0, 3 ],
	bytea_output => ['escape'],
	array_nulls => ['off'],
	standard_conforming_strings => ['off'],
	transform_null_equals => ['on'],
	search_path => [ 'raw, public', 'pg_catalog', 'mart' ],
	quote_all_identifiers => ['on'],
	session_replication_role => ['replica'],
	row_security => ['off'],
	xmlbinary => ['hex'],
	jit_above_cost => [0],
	enable_hashjoin => ['off'],
	plan_cache_mode => [ 'force_generic_plan', 'force_custom_plan' ]);
my %PLAIN = (TimeZone => 'UTC', extra_float_digits => 1);

# The statement, sometimes under unusual settings.
sub strangely
{
	my ($sql) = @_;

	return $sql if chance(0.6);
	my %set = map { $_ => one(@{ $STRANGE{$_} }) } map { one(sort keys %STRANGE) } 1 .. 3;
	return join('; ', (map { "SET $_ = " . ($_ eq 'search_path' ? $set{$_} : "'$set{$_}'") } sort keys %set),
		$sql, map { defined $PLAIN{$_} ? "SET $_ = '$PLAIN{$_}'" : "RESET $_" } sort keys %set);
}

# ---- tables and values ----

my @TEXTS = (
	q{''}, q{'a'}, q{E'a\\\\b'}, q{E'tab\\tnew\\nline'}, q{U&'\\00E9'}, q{U&'e\\0301'},
	q{U&'\\+01F600'}, q{'"quoted"'}, q{'it''s'}, q{'NULL'}, q{'{}'}, q{U&'\\200b'}, q{'x, y'},
	q{E'\\\\N'}, q{' lead and trail '}, q{repeat('m', 150)});

my %VALUES = (
	n => sub { chance(0.12) ? one('-1', '-1.50') : one('NULL', '0', '0.00', '1.1', '1.10', '7',
			'12345678901234567890.0123456789', q{'NaN'}, '1e40') },
	s => sub { chance(0.1) ? 'NULL' : one(@TEXTS) },
	big => sub { chance(0.15) ? 'NULL' : chance(0.2) ? one(@TEXTS) : 'big(' . int(rand 1000) . ')' },
	comp => sub { chance(0.15) ? 'NULL' : chance(0.2) ? one(@TEXTS) : 'comp(' . int(rand 1000) . ')' },
	j => sub { one('NULL', q{'null'}, q{'{}'}, q{'{"a": 1.0}'}, q{'{"a": 1.00}'}, q{'[1, null, "x"]'},
			'jsonb_build_object(\'k\', big(' . int(rand 100) . '))') },
	a => sub { one('NULL', q{'{}'}, q{'{NULL,1}'}, q{'[2:3]={1,2}'}, q{'{{1,2},{3,4}}'}) },
	ta => sub { one('NULL', q{'{}'}, 'ARRAY[' . one(@TEXTS) . ',' . one(@TEXTS) . ']') },
	e => sub { one('NULL', q{'sad'}, q{'ok'}, q{'it''s, "fine"'}) },
	ts => sub { one('NULL', q{'infinity'}, q{'2026-02-28 23:59:59.999999+14'}, q{'0044-03-15 12:00+00 BC'}) },
	by => sub { one('NULL', q{''}, q{'\\x00ff00'}, q{convert_to(comp(3), 'UTF8')}) },
	f => sub { one('NULL', q{'-0'}, q{'0'}, q{'NaN'}, '0.1', '1e-300') },
	iv => sub { one('NULL', q{'1 day'}, q{'24 hours'}, q{'1 mon -1 day'}) },
	c => sub { one('NULL', q{'ab'}, q{'ab  '}, q{''}) },
	parent => sub { chance(0.4) ? 'NULL' : int(1 + rand 12) },
	u => sub { chance(0.5) ? 'NULL' : int(rand 12) },
	fav => sub { chance(0.3) ? 'NULL' : '(SELECT max(id) FROM t_child WHERE id <= ' . int(rand 12) . ')' },
	ref => sub { chance(0.2) ? 'NULL' : '(SELECT min(id) FROM t_parent WHERE id >= ' . int(rand 12) . ')' },
	boss => sub { chance(0.4) ? 'NULL' : '(SELECT max(id) FROM t_child WHERE id <= ' . int(rand 12) . ')' });

my @COLUMNS = qw(n s big comp j a ta e ts by f iv c parent u);
my $DEFINITIONS = 'n numeric, s text, big text, comp text, j jsonb, a int[], ta text[], e mood,'
  . ' ts timestamptz, by bytea, f float8, iv interval, c char(5), parent int, u int';

sub int_key { return [ int(1 + rand 10) ]; }

# A table t_NAME with a key of that type, and the values that its key can have.
sub key_table
{
	my ($name, $type, @values) = @_;

	return ("t_$name" => { key => ['k'], make => "k $type PRIMARY KEY, n numeric, s text, big text, u int",
			columns => [qw(n s big u)], value => sub { [ one(@values) ] } });
}

my %TABLES = (
	t_default => { key => ['id'], make => "id int PRIMARY KEY, $DEFINITIONS", value => \&int_key },
	t_full => { key => ['id'], make => "id bigint PRIMARY KEY, $DEFINITIONS, UNIQUE (u)",
		after => 'ALTER TABLE %s REPLICA IDENTITY FULL', value => \&int_key, unique => 'u' },
	t_index => { key => ['id'], make => "id uuid NOT NULL CONSTRAINT t_index_key UNIQUE, $DEFINITIONS",
		after => 'ALTER TABLE %s REPLICA IDENTITY USING INDEX t_index_key',
		value => sub { [ sprintf "'%08d-0000-0000-0000-00000000000a'", rand 9 ] } },
	t_pair => { key => [ 'k1', 'k2' ], make => "x0 int, k2 text, k1 int, $DEFINITIONS, PRIMARY KEY (k1, k2)",
		value => sub { [ int(rand 3), one(q{'a'}, q{'A'}, q{'a '}, q{''}) ] } },
	t_text => { key => ['k'], make => "k text PRIMARY KEY, $DEFINITIONS",
		value => sub { [ one(@TEXTS[ 0 .. 9 ]) ] } },
	t_numeric => { key => ['k'], make => "$DEFINITIONS, k numeric PRIMARY KEY",
		value => sub { [ one(qw(1 1.0 1.00 2 2.0 -0.5 100 1e2)) ] } },
	t_part => { key => ['id'], make => "id int PRIMARY KEY, $DEFINITIONS",
		partition => 1, value => \&int_key },
	# keys whose equality differs from that of their texts, or whose texts are unusual
	key_table('citext', 'citext', q{'a'}, q{'A'}, q{'b'}, q{U&'\\00C9'}, q{U&'\\00E9'}, q{''}),
	key_table('char', 'char(4)', q{'a'}, q{'a '}, q{'A'}, q{'it''s'}, q{''}),
	key_table('interval', 'interval', q{'1 day'}, q{'24 hours'}, q{'1 mon'}, q{'30 days'}, q{'-1 s'}),
	key_table('float', 'float8', q{'0'}, q{'-0'}, q{'NaN'}, q{'0.1'}, q{'1e-300'}, q{'Infinity'}),
	key_table('time', 'timestamptz', q{'2026-02-28 23:59:59.999999+14'}, q{'infinity'},
		q{'0044-03-15 12:00+00 BC'}, q{'2026-01-01'}),
	key_table('jsonb', 'jsonb', q{'1.0'}, q{'1.00'}, q{'"a"'}, q{'{}'}, q{'[null, "x, y"]'}),
	key_table('array', 'int[]', q{'{}'}, q{'{1,NULL}'}, q{'[2:3]={1,2}'}, q{'{1,2}'}),
	key_table('bytes', 'bytea', q{''}, q{'\\x00ff'}, (map { "convert_to(left(big($_), 1700), 'UTF8')" } 1 .. 4)),
	key_table('collated', 'text COLLATE loose', q{'a'}, q{'A'}, q{U&'e\\0301'}, q{U&'\\00E9'}, q{'b'}),
	# foreign keys in a circle, in some rounds between targets as well
	t_parent => { key => ['id'], make => 'id int PRIMARY KEY, n numeric, s text, big text, fav int, u int UNIQUE',
		columns => [qw(n s big fav u)], value => \&int_key, related => 1 },
	t_child => { key => ['id'], make => 'id int PRIMARY KEY, n numeric, s text, big text,'
		  . ' ref int REFERENCES t_parent ON DELETE CASCADE ON UPDATE CASCADE,'
		  . ' boss int REFERENCES t_child ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED',
		columns => [qw(n s big ref boss)], value => \&int_key, related => 1 },
	t_bag => { key => [], make => "id int, n numeric, s text, big text, parent int",
		after => 'ALTER TABLE %s REPLICA IDENTITY FULL',
		columns => [qw(id n s big parent)], value => sub { [] } });

# Loads: table of the source, and differences in the target.
my %LOADS = (
	(map { $_ => { table => $_ } } keys %TABLES),
	p_full => { table => 't_full', columns => { s => 'upper(s)', by => 'length(comp)', comp => undef },
		filter => 'coalesce(n, 0) <> 1.1' },
	p_default => { table => 't_default', columns => { s => q{coalesce(s, '') || coalesce(e::text, '?')}, j => undef },
		filter => q{e is distinct from 'ok'} });

my %TRANSFORMS = (
	totals => q{SELECT s, count(*) AS rows, sum(n) AS n, max(ts) AS ts FROM raw.t_default GROUP BY s},
	joined => q{SELECT p.k1, p.k2, p.comp, p.f, p.iv, d.id, d.big, d.n FROM raw.t_pair p LEFT JOIN raw.t_default d ON d.id = p.parent},
	daily => q{SELECT ts::date AS day, count(*) AS rows, min(iv::text) AS iv FROM raw.t_default GROUP BY 1},
	plain => q{SELECT k, n, s, big, f, iv, c, j FROM raw.t_numeric WHERE f IS DISTINCT FROM 0.1});

sub columns_of
{
	my ($table) = @_;

	return @{ $TABLES{$table}{columns} || [ @COLUMNS ] };
}

# ---- preparing a round ----

# Not where other tables of the round have foreign keys or unique indexes that a history cannot have.
sub draw_history
{
	my ($load) = @_;
	my $t = $TABLES{ $LOADS{$load}{table} };

	return 'none' if !@{ $t->{key} } || $t->{related} || $t->{unique} || chance(0.6);
	return one('soft_delete', 'scd2');
}

# The rows of a load that must be those of the source.
sub current_rows
{
	my ($self, $load) = @_;
	my $condition = { soft_delete => '_deleted_at IS NULL', scd2 => '_is_current' }->{ $self->{history}{$load} }
	  or return "raw.$load";

	return "(SELECT * FROM raw.$load WHERE $condition) $load";
}

# Each version ends before the next one begins, and only the last one is current.
sub check_versions
{
	my ($self, $load) = @_;
	my $key = join(', ', @{ $TABLES{ $LOADS{$load}{table} }{key} });

	return if $self->{history}{$load} ne 'scd2';
	my $wrong = $self->must('warehouse', qq{SELECT count(*) FROM (SELECT _valid_from, _valid_to, _is_current,
			lead(_valid_from) OVER (PARTITION BY $key ORDER BY _valid_from) AS next FROM raw.$load) v
		WHERE _valid_to <= _valid_from OR _valid_to > next OR _is_current <> (_valid_to IS NULL) OR _is_current AND next IS NOT NULL});
	die "failure: $load: $wrong->[0] versions overlap\n" if $wrong->[0];
	return;
}

sub create_load
{
	my ($self, $load) = @_;
	my $l = $LOADS{$load};
	my $history = $self->{history}{$load} ||= draw_history($load);
	my $more = ", history => '$history'";

	if ($l->{columns})
	{
		my %c = %{ $l->{columns} };

		$more .= ', columns => $j${' . join(', ', map { "\"$_\": " . (defined $c{$_} ? "\"$c{$_}\"" : 'null') } sort keys %c)
		  . '}$j$';
		$more .= ", row_filter => \$f\$$l->{filter}\$f\$";
	}
	return "SELECT depipe.create_load('raw.$load', server => 'shop', source => 'public.$l->{table}'$more)";
}

# Tables that exist before their loads.
sub make_targets
{
	my ($self) = @_;
	my $columns = 'id int PRIMARY KEY, n numeric, s text, big text';

	if (chance(0.3))
	{
		$self->must('warehouse', "CREATE TABLE raw.t_parent ($columns, fav int, u int) PARTITION BY HASH (id);
			CREATE TABLE raw.t_parent_0 PARTITION OF raw.t_parent FOR VALUES WITH (MODULUS 2, REMAINDER 0);
			CREATE TABLE raw.t_parent_1 PARTITION OF raw.t_parent FOR VALUES WITH (MODULUS 2, REMAINDER 1)");
	}
	if (chance(0.3))
	{
		$self->must('warehouse', "CREATE TABLE raw.t_child ($columns, ref int, boss int,
			own int GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT now())");
		$self->{own}{'raw.t_child'} = 2;
	}
	return;
}

# Foreign keys between targets, and triggers. Only the triggers for replication may fire.
sub trouble_targets
{
	my ($self) = @_;
	my $action = sub { one('', 'ON DELETE CASCADE', 'ON DELETE SET NULL', 'ON DELETE NO ACTION')
		  . one('', ' DEFERRABLE', ' DEFERRABLE INITIALLY DEFERRED') };

	if (chance(0.5))
	{
		$self->must('warehouse', "ALTER TABLE raw.t_child ADD FOREIGN KEY (ref) REFERENCES raw.t_parent " . $action->());
		$self->must('warehouse', "ALTER TABLE raw.t_child ADD FOREIGN KEY (boss) REFERENCES raw.t_child " . $action->());
		$self->must('warehouse', "ALTER TABLE raw.t_parent ADD FOREIGN KEY (fav) REFERENCES raw.t_child " . $action->())
		  if chance(0.5);
	}
	$self->must('warehouse', q{CREATE TABLE public.seen (n bigint);
		CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS
		$$BEGIN NEW.s := 'meddled'; RETURN NEW; END$$;
		CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS
		$$BEGIN INSERT INTO public.seen VALUES (1); RETURN NULL; END$$});
	foreach my $load (grep { chance(0.3) } sort keys %LOADS)
	{
		$self->must('warehouse', "CREATE TRIGGER meddle BEFORE INSERT OR UPDATE ON raw.$load
			FOR EACH ROW EXECUTE FUNCTION public.meddle()");
		$self->must('warehouse', "CREATE TRIGGER see AFTER INSERT OR UPDATE OR DELETE ON raw.$load
			FOR EACH ROW EXECUTE FUNCTION public.see(); ALTER TABLE raw.$load ENABLE ALWAYS TRIGGER see") if chance(0.3);
	}
	return;
}

sub make
{
	my ($self) = @_;
	my $name = $self->{database};
	my $source = $self->{source};

	foreach my $node (qw(source warehouse))
	{
		local $self->{database} = 'postgres';
		$self->must($node, "DROP DATABASE IF EXISTS $name");
		$self->must($node, "CREATE DATABASE $name");
		$self->close_session($node);
	}
	$self->must($_, q{CREATE EXTENSION citext;
		CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)})
	  foreach qw(source warehouse);
	$self->must('source', q{
		CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s, "fine"');
		CREATE DOMAIN positive AS int DEFAULT 5 CHECK (VALUE > 0);
		CREATE FUNCTION big(n int) RETURNS text IMMUTABLE LANGUAGE sql AS
		$$ SELECT string_agg(md5(n::text || '.' || i::text), '') FROM generate_series(1, 330) i $$;
		CREATE FUNCTION comp(n int) RETURNS text IMMUTABLE LANGUAGE sql AS
		$$ SELECT repeat(left(public.big(n), 3000), 5) $$});
	foreach my $table (sort { $b =~ /parent/ <=> $a =~ /parent/ || $a cmp $b } keys %TABLES)
	{
		my $t = $TABLES{$table};
		my $make = $t->{make};

		$self->must('source', "CREATE TABLE $table ($make)" . ($t->{partition} ? ' PARTITION BY RANGE (id)' : ''));
		$self->must('source', "CREATE TABLE ${table}_1 PARTITION OF $table FOR VALUES FROM (0) TO (6);"
			  . "CREATE TABLE ${table}_2 PARTITION OF $table FOR VALUES FROM (6) TO (600)") if $t->{partition};
		foreach my $part ($t->{partition} ? ("${table}_1", "${table}_2") : $table)
		{
			$self->must('source', "ALTER TABLE $part ALTER big SET STORAGE EXTERNAL");
			$self->must('source', sprintf($t->{after}, $part)) if $t->{after};
		}
	}
	$self->must('source', 'ALTER TABLE t_parent ADD FOREIGN KEY (fav) REFERENCES t_child ON DELETE SET NULL'
		  . ' DEFERRABLE INITIALLY DEFERRED');
	$self->must('warehouse', "CREATE EXTENSION depipe; CREATE DOMAIN positive AS int; CREATE SCHEMA raw; CREATE SCHEMA mart;
		CREATE SERVER shop FOREIGN DATA WRAPPER depipe
			OPTIONS (host '$source->{host}', port '$source->{port}', dbname '$name');
		CREATE USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (user '$source->{user}')");
	$self->source_transaction for 1 .. 5;
	$self->make_targets;
	$self->must('warehouse', $self->create_load($_)) foreach sort keys %LOADS;
	$self->must('warehouse', q{CALL depipe.run('raw.*')});
	foreach my $load (sort keys %LOADS)
	{
		my $unique = $TABLES{ $LOADS{$load}{table} }{unique} or next;

		$self->must('warehouse', "CREATE UNIQUE INDEX ON raw.$load ($unique)");
	}
	$self->trouble_targets;
	foreach my $transform (sort keys %TRANSFORMS)
	{
		$self->must('warehouse', "SELECT depipe.create_transform('mart.$transform', \$q\$$TRANSFORMS{$transform}\$q\$)");
		$self->must('warehouse', "SELECT depipe.configure_breaker('mart.$transform', retry_wait => '1 ms')") if chance(0.5);
	}
	foreach my $load (sort keys %LOADS)
	{
		$self->must('warehouse', "SELECT depipe.configure_breaker('raw.$load', retry_wait => '1 ms')") if chance(0.5);
		$self->must('warehouse', "SELECT depipe.configure_breaker('raw.$load', close_after => 2)") if chance(0.1);
	}
	return;
}

# ---- changes of the source ----

sub where_key
{
	my ($t, $key) = @_;

	return join(' AND ', map { "$t->{key}[$_] = $key->[$_]" } 0 .. $#$key);
}

sub some_columns
{
	my ($table) = @_;
	my @columns = columns_of($table);
	my %chosen;

	$chosen{ one(@columns) } = 1 for 1 .. int(1 + rand 3);
	return sort keys %chosen;
}

sub insert_statement
{
	my ($table, $key) = @_;
	my $t = $TABLES{$table};
	my @columns = columns_of($table);
	my $conflict = @{ $t->{key} } ? ' ON CONFLICT DO NOTHING' : '';

	return "INSERT INTO $table (" . join(', ', @{ $t->{key} }, @columns) . ') VALUES ('
	  . join(', ', @$key, map { $_ eq 'id' ? int(rand 4) : $VALUES{$_}->() } @columns) . ")$conflict";
}

sub assignments
{
	my ($table) = @_;

	return join(', ', map { "$_ = " . ($_ eq 'id' ? int(rand 4) : $VALUES{$_}->()) } some_columns($table));
}

sub bag_statement
{
	my ($table) = @_;
	my $which = one('id = ' . int(rand 4), "ctid = (SELECT ctid FROM $table ORDER BY id, n, s LIMIT 1)", 'n < 0');
	my $choice = rand;

	return "INSERT INTO $table SELECT * FROM $table WHERE $which LIMIT 5" if $choice < 0.2;
	return "DELETE FROM $table WHERE $which" if $choice < 0.4;
	return "UPDATE $table SET " . assignments($table) . " WHERE $which" if $choice < 0.65;
	return "INSERT INTO $table VALUES (" . int(rand 3) . ", " . one('1', '1.0', '-1') . ", 'same', NULL, NULL)" if $choice < 0.8;
	return insert_statement($table, []);
}

sub swap_statements
{
	my ($table, $key) = @_;
	my $t = $TABLES{$table};
	my $other = $t->{value}->();
	my @temporary = map { /^'.{8}-/ ? "'99999999-0000-0000-0000-000000000000'" : /'/ ? "'temporary'" : '77' } @$key;
	my $set = sub { my ($to) = @_; join(', ', map { "$t->{key}[$_] = $to->[$_]" } 0 .. $#$to) };

	return ("UPDATE $table SET " . $set->(\@temporary) . ' WHERE ' . where_key($t, $key),
		"UPDATE $table SET " . $set->($key) . (chance(0.3) ? ', ' . assignments($table) : '') . ' WHERE ' . where_key($t, $other),
		"UPDATE $table SET " . $set->($other) . (chance(0.3) ? ', ' . assignments($table) : '') . ' WHERE ' . where_key($t, \@temporary));
}

sub statements
{
	my ($self, $table) = @_;
	my $t = $TABLES{$table};
	my $key = $t->{value}->();
	my $where = where_key($t, $key);
	my $choice = rand;

	return bag_statement($table) if !@{ $t->{key} };
	return insert_statement($table, $key) if $choice < 0.35;
	return "UPDATE $table SET " . assignments($table) . " WHERE $where" if $choice < 0.6;
	return "DELETE FROM $table WHERE $where" if $choice < 0.7;
	return ("DELETE FROM $table WHERE $where", insert_statement($table, $key)) if $choice < 0.77;
	return swap_statements($table, $key) if $choice < 0.82;
	return "UPDATE $table SET " . assignments($table) if $choice < 0.84;
	return "DELETE FROM $table WHERE n < 0" if $choice < 0.85;

	# a change of the key, if the new one is free
	my $new = $t->{value}->();
	my $set = join(', ', map { "$t->{key}[$_] = $new->[$_]" } 0 .. $#$new);
	my $free = where_key($t, $new);

	$set .= ', ' . assignments($table) if chance(0.4);
	return "DELETE FROM $table WHERE $free AND NOT ($where)", "UPDATE $table SET $set WHERE $where" if chance(0.3);
	return "UPDATE $table SET $set WHERE $where AND NOT EXISTS (SELECT FROM $table x WHERE $free)";
}

sub source_transaction
{
	my ($self) = @_;
	my @tables = sort keys %TABLES;
	my (@sql, %touched);
	my $open = 0;

	@tables = (one(@tables), one(@tables)) if chance(0.7);
	for (1 .. one(1, 1, 2, 3, 5, 12))
	{
		my $table = one(@tables);

		$touched{$table} = 1;
		if (chance(0.06)) { push @sql, 'SAVEPOINT s'; $open++; }
		push @sql, chance(0.012) ? "TRUNCATE $table" : $self->statements($table);
		if ($open && chance(0.3)) { push @sql, one('ROLLBACK TO s', 'ROLLBACK TO s', 'RELEASE s'); $open = 0; }
	}
	my $sql = @sql == 1 ? $sql[0] : join(";\n  ", 'BEGIN', @sql, chance(0.06) ? 'ROLLBACK' : 'COMMIT');
	$self->note("  source: $sql");
	$self->ask('source', $sql);
	$self->remember(sort keys %touched);
	return;
}

sub add_column
{
	my ($self) = @_;
	my $table = one(grep { $_ ne 't_bag' || chance(0.3) } sort keys %TABLES);
	my $name = 'x' . ++$self->{added_columns};
	my $type = one('int', 'text', 'int DEFAULT 7', q{text NOT NULL DEFAULT 'it''s'}, 'numeric(6,2) DEFAULT 1.5',
		q{jsonb DEFAULT '{"a": [1]}'}, q{timestamptz DEFAULT '2026-01-01'}, q{int[] DEFAULT '{1,2}'},
		q{mood DEFAULT 'sad'}, 'int DEFAULT random() * 100', 'int GENERATED ALWAYS AS IDENTITY', 'positive');

	$self->note("  source: ALTER TABLE $table ADD COLUMN $name $type");
	my (undef, $error) = $self->ask('source', "ALTER TABLE $table ADD COLUMN $name $type");
	$self->{grown}{$table} = 1;
	return;
}

# Attach and detach partitions with rows, which no stream contains.
sub partition
{
	my ($self) = @_;
	my $last = @{ $self->{partitions} ||= [] };
	my $choice = rand;

	if ($choice < 0.5 || !$last)
	{
		my $n = ++$self->{partitions_made};
		my ($from, $to) = (600 + 10 * $n, 610 + 10 * $n);

		push @{ $self->{partitions} }, "t_part_x$n";
		$self->source_sql("CREATE TABLE t_part_x$n (LIKE t_part INCLUDING ALL);"
			  . "INSERT INTO t_part_x$n (id, n, s) SELECT i, 1, 'attached' FROM generate_series($from, $from + 3) i;"
			  . "ALTER TABLE t_part ATTACH PARTITION t_part_x$n FOR VALUES FROM ($from) TO ($to)");
	}
	elsif ($choice < 0.65)
	{
		$self->source_sql("TRUNCATE $self->{partitions}[0]");
	}
	else
	{
		my $gone = shift @{ $self->{partitions} };

		$self->source_sql(one("ALTER TABLE t_part DETACH PARTITION $gone", "DROP TABLE $gone"));
	}
	$self->{unseen} = 1;
	$self->remember('t_part');
	return;
}

sub source_sql
{
	my ($self, $sql) = @_;

	$self->note("  source: $sql");
	return $self->ask('source', $sql);
}

# ---- reading rows ----

sub digest_query
{
	my ($from, $key, $columns, $where) = @_;
	my $k = @$key ? "encode(convert_to(concat_ws('|', " . join(', ', map { "($_)::text" } @$key) . "), 'UTF8'), 'hex')" : "'-'";

	return "SELECT $k, md5(ROW(" . join(', ', map { "($_)::text" } @$columns) . ")::text) FROM $from"
	  . ($where ? " WHERE $where" : '');
}

# { key => [digest ...] }
sub rows
{
	my ($self, $node, $sql) = @_;
	my %rows;

	foreach my $line (@{ $self->must($node, $sql) })
	{
		my ($key, $digest) = split /\|/, $line;
		push @{ $rows{$key} }, $digest;
	}
	return \%rows;
}

# The columns of a load, as expressions over the source and as names in the target.
sub load_columns
{
	my ($load, @names) = @_;
	my $l = $LOADS{$load};
	my %c = %{ $l->{columns} || {} };
	my @target = grep { !(exists $c{$_} && !defined $c{$_}) } @names;

	return ([ map { defined $c{$_} ? "($c{$_})" : $_ } @target ], \@target);
}

sub base_columns
{
	my ($load) = @_;
	my $table = $LOADS{$load}{table};

	return load_columns($load, @{ $TABLES{$table}{key} }, columns_of($table));
}

sub loads_of { my ($table) = @_; return grep { $LOADS{$_}{table} eq $table } sort keys %LOADS; }

# Everything that the source has ever committed.
sub remember
{
	my ($self, @tables) = @_;

	foreach my $load (map { loads_of($_) } @tables)
	{
		my $l = $LOADS{$load};
		my ($columns) = base_columns($load);
		my $rows = $self->rows('source',
			digest_query($l->{table}, $TABLES{ $l->{table} }{key}, $columns, $l->{filter}));

		foreach my $key (keys %$rows)
		{
			$self->{ever}{$load}{$key}{$_} = 1 foreach @{ $rows->{$key} };
		}
	}
	return;
}

# ---- comparisons ----

sub complain
{
	my ($self, $load, $what, $key) = @_;
	my $where = '';
	my $l = $LOADS{$load};
	my @key = @{ $TABLES{ $l->{table} }{key} };

	$self->note("complaint: $load: $what, key $key");
	if (@key && defined $key)
	{
		my $k = "encode(convert_to(concat_ws('|', " . join(', ', map { "($_)::text" } @key) . "), 'UTF8'), 'hex')";
		my ($source, $target) = base_columns($load);
		foreach my $side ([ source => $l->{table}, $source ], [ warehouse => "raw.$load", $target ])
		{
			my $list = join(', ', map { "'$_ ' || coalesce(left(md5(($_)::text), 6) || ':' || translate(left(($_)::text, 20), E'\\n', ' '), 'NULL')" } @{ $side->[2] });
			$list =~ s/'(\(.*?)' \|\| coalesce/"'e ' || coalesce"/ge;
			$self->note("    $side->[0]: $_") foreach @{ $self->ask($side->[0], "SELECT concat_ws(' | ', $list) FROM $side->[1] WHERE $k = '$key'") };
		}
		$self->note("    quarantine: $_") foreach @{ $self->ask('warehouse', qq{SELECT row_key, previous_key, reasons, retry, lsn FROM depipe.quarantined_row q JOIN depipe.target t USING (target_id) WHERE t.table_name = '$load'}) };
	}
	die "failure: $load: $what, key " . pack('H*', $key // '') . "\n";
}

sub same_rows
{
	my ($self, $load, $expected, $actual, $what) = @_;

	foreach my $key (sort keys %{ { %$expected, %$actual } })
	{
		my $left = join(' ', sort @{ $expected->{$key} || [] });
		my $right = join(' ', sort @{ $actual->{$key} || [] });

		$self->complain($load, "$what: " . ($left eq '' ? 'surplus' : $right eq '' ? 'missing' : 'different') . ' row', $key)
		  if $left ne $right;
	}
	return;
}

sub shared_columns
{
	my ($self, $load) = @_;
	my $q = sub { qq{SELECT attname FROM pg_attribute WHERE attrelid = '$_[0]'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname} };
	my %target = map { $_ => 1 } @{ $self->must('warehouse', $q->("raw.$load")) };
	my @source = @{ $self->must('source', $q->($LOADS{$load}{table})) };
	my ($expected) = load_columns($load, @source);

	return ([ load_columns($load, grep { $target{$_} } @source) ],
		scalar(@$expected) + ($self->{own}{"raw.$load"} || 0)
		  + { none => 0, soft_delete => 1, scd2 => 3 }->{ $self->{history}{$load} } == scalar(keys %target));
}

# A load that reports to be up to date.
sub check_exact
{
	my ($self, $load, $no_quarantine) = @_;
	my $l = $LOADS{$load};
	my @key = @{ $TABLES{ $l->{table} }{key} };
	my ($columns, $complete) = $self->shared_columns($load);
	my $source = $self->rows('source', digest_query($l->{table}, \@key, $columns->[0], $l->{filter}));
	my $target = $self->rows('warehouse', digest_query($self->current_rows($load), \@key, $columns->[1]));
	my ($base_source, $base_target) = base_columns($load);

	# quarantined() shows a JSON null as NULL
	($base_source, $base_target) = ([ grep { $_ ne 'j' } @$base_source ], [ grep { $_ ne 'j' } @$base_target ]);
	my $quarantined = $self->rows('warehouse', digest_query("depipe.quarantined(NULL::raw.$load)", \@key, $base_target));
	my %left = map { $_ => 1 } @{ $self->must('warehouse', qq{SELECT encode(convert_to(array_to_string(q.previous_key, '|'), 'UTF8'), 'hex')
		FROM depipe.quarantined_row q JOIN depipe.target t USING (target_id) WHERE t.table_name = '$load' AND q.previous_key IS NOT NULL}) };

	die "failure: $load: columns differ\n" if $no_quarantine && !$complete;
	if ($no_quarantine)
	{
		die "failure: $load: rows in quarantine at the end\n" if %$quarantined;
	}
	elsif (%$quarantined)
	{
		my $base = $self->rows('source', digest_query($l->{table}, \@key, $base_source, $l->{filter}));
		if (!@key)
		{
			my $all = $self->rows('warehouse', digest_query("raw.$load", \@key, $base_target));
			$self->same_rows($load, $base, { '-' => [ @{ $all->{'-'} || [] }, @{ $quarantined->{'-'} || [] } ] }, 'with quarantine');
			return;
		}
		foreach my $key (sort keys %$quarantined)
		{
			$self->complain($load, 'quarantined row is not the newest image', $key)
			  if !$base->{$key} || $base->{$key}[0] ne $quarantined->{$key}[0];
			delete $source->{$key};
			delete $target->{$key};
		}
		foreach my $key (keys %left)
		{
			delete $target->{$key} if !$source->{$key};
		}
	}
	$self->same_rows($load, $source, $target, 'up to date');
	$self->check_versions($load);
	return;
}

# Any load: its rows were committed once.
sub check_known
{
	my ($self, $load) = @_;
	my $l = $LOADS{$load};
	my (undef, $columns) = base_columns($load);
	my ($rows, $error) = $self->ask('warehouse', digest_query("raw.$load", $TABLES{ $l->{table} }{key}, $columns));

	return if $error ne '';
	foreach (@$rows)
	{
		my ($key, $digest) = split /\|/;
		next if $self->{ever}{$load}{$key}{$digest};
		# rows that a foreign key changed at the source were not recorded before
		my $now = $self->rows('source', digest_query($l->{table}, $TABLES{ $l->{table} }{key}, (base_columns($load))[0], $l->{filter}));
		next if ($now->{$key} && $now->{$key}[0] eq $digest);
		$self->complain($load, 'row that was never committed', $key);
	}
	return;
}

sub loads_up_to_date
{
	my ($self) = @_;

	return { map { $_ => 1 } @{ $self->must('warehouse', q{SELECT l.table_name FROM depipe.target l JOIN depipe.load_state s USING (target_id)
		WHERE s.state = 'streaming' AND NOT EXISTS (SELECT FROM depipe.parked_item p WHERE p.target_id = l.target_id)
		AND NOT EXISTS (SELECT FROM depipe.quarantined_row p WHERE p.target_id = l.target_id AND p.retry)}) } };
}

# The lines that refresh() returns.
sub check_refresh
{
	my ($self, $lines) = @_;
	my $fine = $self->loads_up_to_date;

	foreach my $line (@$lines)
	{
		my ($schema, $name, $status, $reason) = $line =~ /^(raw|mart)\.(\w+)\|(\w+)\|(.*)$/ or next;

		$self->{count}{"$schema $status"}++;
		$self->{reasons}{"$status: $reason"}++ if $status !~ /succeeded|nothing/;
		next if $schema ne 'raw';
		if ($status =~ /succeeded|nothing/ && $fine->{$name}) { $self->check_exact($name); }
		else { $self->check_known($name); }
	}
	foreach my $line (@$lines)
	{
		my ($name, $status) = $line =~ /^mart\.(\w+)\|(\w+)\|/ or next;

		$self->check_transform($name) if $status =~ /succeeded|nothing/;
	}
	return;
}

sub check_transform
{
	my ($self, $name) = @_;
	my $sum = sub { "SELECT count(*) || ' ' || coalesce(string_agg(md5(x::text), ' ' ORDER BY md5(x::text)), '') FROM ($_[0]) x" };
	my $expected = $self->must('warehouse', $sum->($TRANSFORMS{$name}))->[0];
	my $actual = $self->must('warehouse', $sum->("SELECT * FROM mart.$name"))->[0];

	die "failure: mart.$name is not its query\n" if $expected ne $actual;
	return;
}

my $REFRESH = q{SELECT r.target, r.status, translate(r.reason, E'\n', ' ') FROM depipe.refresh('%s'%s) r};

sub refresh
{
	my ($self, $pattern, $more) = @_;
	my ($lines, $error) = $self->ask('warehouse', strangely(sprintf($REFRESH, $pattern, $more || '')));

	$self->note("    $_") foreach @$lines;
	die "failure: refresh: $error\n" if $error ne '';
	$self->{unseen} = 0 if $pattern eq 'raw.*';
	$self->check_refresh($lines);
	return $lines;
}

# ---- actions in the warehouse ----

sub crash
{
	my ($self, $node) = @_;

	$self->close_session($node);
	$self->close_session('warehouse');
	$self->{$node}{crash}->();
	return;
}

sub kill_a_run
{
	my ($self) = @_;
	my $pid = $self->must('warehouse', 'SELECT pg_backend_pid()')->[0];

	local $self->{killing} = 1;
	$self->start('warehouse', q{CALL depipe.run('raw.*')});
	sleep(rand 0.08);
	kill 'KILL', $pid;
	my (undef, $error) = $self->finish('warehouse');
	$self->note("    killed: $error");
	$self->close_session('warehouse');
	for (1 .. 200)
	{
		sleep 0.1;
		my ($lines, $failed) = $self->ask('warehouse', 'SELECT 1');
		return if $failed eq '' && @$lines;
		$self->close_session('warehouse');
	}
	die "failure: the warehouse did not come back\n";
}

# The source continues during a run.
sub overlap
{
	my ($self) = @_;
	my $error;

	$self->open_session('warehouse') if !$self->{sessions}{warehouse};
	$self->start('warehouse', strangely(q{CALL depipe.run('raw.*')}));
	$self->source_transaction for 1 .. one(2, 5, 9);
	(undef, $error) = $self->finish('warehouse');
	$self->note("    $error") if $error ne '';
	die "failure: $error\n" if $error =~ /: XX\d\d\d:|connection lost|PANIC/;
	return;
}

sub run_all
{
	my ($self, $pattern) = @_;

	$self->ask('warehouse', strangely("CALL depipe.run('$pattern')"));
	$self->check_known($_) foreach sort keys %LOADS;
	return;
}

sub load_target { return 'raw.' . one(sort keys %LOADS); }

sub add_constraint
{
	my ($self) = @_;
	my $target = load_target();
	my $rule = one(q{depipe.satisfies('n >= 0')}, q{depipe.satisfies('n >= 0')}, q{depipe.not_null('s')},
		q{depipe.relationships('parent', 'raw.t_default', 'id')}, q{depipe.unique('parent')}, q{depipe.row_count(0, 20)});
	my $policy = one('warn', 'quarantine', 'quarantine', 'quarantine', 'reject', 'break');
	my $name = 'c' . ++$self->{constraints_made};

	$policy = one('reject', 'break') if $policy eq 'quarantine' && $rule =~ /unique|row_count/;
	my $more = chance(0.1) && $policy ne 'warn' ? ", fail_if => '> 3'" : '';
	$self->note("  warehouse: add_constraint $target $rule $policy$more");
	my (undef, $error) = $self->ask('warehouse',
		"SELECT depipe.add_constraint('$target', $rule, name => '$name', on_violation => '$policy'$more)");
	$self->{constraints}{$name} = $target if $error eq '';
	return;
}

sub drop_constraint
{
	my ($self, $name) = @_;

	$self->note("  warehouse: drop_constraint $self->{constraints}{$name} $name");
	my (undef, $error) = $self->ask('warehouse', "SELECT depipe.drop_constraint('$self->{constraints}{$name}', '$name')");
	delete $self->{constraints}{$name};
	return;
}

sub statement
{
	my ($self, $sql) = @_;

	$self->note("  warehouse: $sql");
	return $self->ask('warehouse', strangely($sql));
}

sub again
{
	my ($self) = @_;
	my $load = one(sort keys %LOADS);

	$self->statement("SELECT depipe.drop_load('raw.$load', drop_table => " . one('true', 'false') . ')');
	# a table that depipe makes has no columns of its own
	delete $self->{own}{"raw.$load"} if !$self->must('warehouse', "SELECT to_regclass('raw.$load')")->[0];
	$self->source_transaction for 1 .. one(0, 2);
	my $statement = 'SET array_nulls = on; SET standard_conforming_strings = on; ' . $self->create_load($load); # else none is made
	$self->note("  warehouse: $statement");
	$self->ask('warehouse', $statement);
	return;
}

# A transaction that is rolled back leaves nothing behind.
sub rolled_back
{
	my ($self) = @_;
	my ($lines) = $self->statement("BEGIN; " . sprintf($REFRESH, 'raw.*', '')
		  . (chance(0.3) ? "; SELECT depipe.reset('" . load_target() . "', 'test')" : '') . "; ROLLBACK");

	$self->check_known($_) foreach sort keys %LOADS;
	return;
}

sub set_batches
{
	my ($self) = @_;

	$self->{settings}{'depipe.batch_rows'} = one(1, 1, 2, 7, 100, 1000, 100000);
	$self->{settings}{'depipe.batch_memory'} = one('64kB', '1MB', '64MB', '64MB');
	$self->{settings}{'work_mem'} = one('64kB', '4MB');
	my $sql = $self->settings;
	$sql =~ s/^; //;
	my (undef, $error) = $self->statement($sql);
	return;
}

sub verify
{
	my ($self) = @_;
	my $target = load_target();
	my ($lines, $error) = $self->statement("SELECT difference, key, coalesce(explained_by, '-') FROM depipe.verify('$target') WHERE explained_by IS NULL");

	$self->{verified} += $error eq '';
	return if $error ne '';
	$self->note("    verify: $_") foreach @$lines;
	# until the next look nothing but verify() knows that partitions were attached or dropped
	return if $target eq 'raw.t_part' && $self->{unseen};
	my $state = $self->must('warehouse', "SELECT state FROM depipe.loads WHERE target = '$target'")->[0];
	die "failure: verify of $target finds differences that nothing explains\n" if @$lines && $state eq 'streaming';
	return;
}

my @ACTIONS = (
	[ 45, sub { $_[0]->source_transaction } ],
	[ 6, sub { $_[0]->source_transaction for 1 .. 6 } ],
	[ 14, sub { $_[0]->note('  warehouse: refresh raw.*'); $_[0]->refresh('raw.*') } ],
	[ 6, sub { $_[0]->note('  warehouse: run raw.*'); $_[0]->run_all('raw.*') } ],
	[ 3, sub { my $t = load_target(); $_[0]->note("  warehouse: refresh $t"); $_[0]->refresh($t) } ],
	[ 3, sub { $_[0]->note('  warehouse: refresh mart.*'); $_[0]->refresh('mart.*', ', upstream => true') } ],
	[ 2, sub { $_[0]->note('  warehouse: rolled back'); $_[0]->rolled_back } ],
	[ 4, sub { $_[0]->note('  overlap'); $_[0]->overlap } ],
	[ 3, sub { $_[0]->set_batches } ],
	[ 1.5, sub { $_[0]->statement("SELECT depipe.trip('" . load_target() . "', 'test')") } ],
	[ 4, sub { $_[0]->statement("SELECT depipe.reset(target, 'test') FROM depipe.breakers WHERE state NOT IN ('closed', 'disabled')") } ],
	[ 1, sub { $_[0]->statement("SELECT depipe.override('" . load_target() . "', 'test', now() + interval '1 hour')") } ],
	[ 5, sub { $_[0]->add_constraint } ],
	[ 4, sub { my ($n) = sort keys %{ $_[0]{constraints} }; $_[0]->drop_constraint($n) if $n } ],
	[ 1.5, sub { $_[0]->statement("SELECT depipe.pause('test', '" . load_target() . "')") } ],
	[ 2, sub { $_[0]->statement("SELECT depipe.resume('*')") } ],
	[ 1, sub { $_[0]->statement("SELECT depipe.resync('" . load_target() . "')") } ],
	[ 0.8, sub { $_[0]->again } ],
	[ 0.5, sub { $_[0]->note('  kill'); $_[0]->kill_a_run } ],
	[ 0.5, sub { $_[0]->note('  crash of the warehouse'); $_[0]->crash('warehouse') } ],
	[ 0.3, sub { $_[0]->note('  crash of the source'); $_[0]->crash('source') } ],
	[ 1, sub { $_[0]->add_column } ],
	[ 0.7, sub { $_[0]->partition } ],
	[ 1.5, sub { $_[0]->verify } ],
	[ 0.6, sub { $_[0]->converge(0) } ]);

sub act
{
	my ($self) = @_;

	$self->act_one_of(@ACTIONS);
	return;
}

# ---- convergence ----

sub correct_source
{
	my ($self) = @_;

	foreach my $table (sort keys %TABLES)
	{
		foreach my $change ('n = abs(n) WHERE n < 0', "s = 'corrected' WHERE s IS NULL", 'parent = NULL WHERE parent IS NOT NULL')
		{
			$self->ask('source', "UPDATE $table SET $change");
			$self->remember($table);
		}
	}
	return;
}

# Added columns arrive with the next change of the table.
sub touch
{
	my ($self) = @_;

	foreach my $table (sort keys %TABLES)
	{
		my $t = $TABLES{$table};
		my $key = $t->{value}->();

		$self->ask('source', "BEGIN; DELETE FROM $table WHERE " . (where_key($t, $key) || 'id = 0') . '; '
			. insert_statement($table, $key) . '; COMMIT');
		$self->remember($table);
		$self->ask('source', "UPDATE $table SET n = n"); # where that was refused
	}
	$self->correct_source;
	return;
}

sub until_quiet
{
	my ($self) = @_;
	my $last;

	for (1 .. 12)
	{
		$self->statement("SELECT depipe.resume('*')");
		$self->statement("SELECT depipe.reset(target, 'test') FROM depipe.breakers WHERE state NOT IN ('closed')");
		my $lost = $self->must('warehouse', "SELECT target, reason FROM depipe.loads WHERE state IN ('needs_resync', 'paused')");
		foreach (@$lost)
		{
			my ($target, $reason) = split /\|/;
			$self->{reasons}{"needs_resync: $target $reason"}++;
			$self->note("    needs resync: $target $reason");
			$self->statement("SELECT depipe.resync('$target')");
		}
		$self->ask('warehouse', q{CALL depipe.run('raw.*')});
		$last = $self->refresh('raw.*');
		return if !grep { !/\|nothing\|/ } @$last;
	}
	die "failure: no end of changes: " . join(', ', @$last) . "\n";
}

sub converge
{
	my ($self, $last) = @_;

	$self->note('  converge');
	$self->touch if $last;
	if ($last && chance(0.5))
	{
		$self->note('  source corrected, constraints stay');
		$self->drop_constraint($_) foreach grep { $self->{constraints}{$_} =~ /p_/ } sort keys %{ $self->{constraints} };
		my $kept = $self->must('warehouse', q{SELECT target || ' ' || name FROM depipe.constraints WHERE rule::text ~ 'unique|row_count'});
		foreach (@$kept) { my (undef, $name) = split / /; $self->drop_constraint($name) if $self->{constraints}{$name}; }
	}
	else
	{
		$self->drop_constraint($_) foreach sort keys %{ $self->{constraints} };
	}
	$self->correct_source if $last;
	$self->until_quiet;
	if (!$last)
	{
		$self->check_exact($_, 0) foreach sort keys %LOADS;
		return;
	}
	$self->check_exact($_, 1) foreach sort keys %LOADS;
	my $lines = $self->refresh('mart.*', ', upstream => true');
	foreach my $load (sort keys %LOADS)
	{
		my $found = $self->must('warehouse', "SELECT difference, key, coalesce(explained_by, '-') FROM depipe.verify('raw.$load')");
		die "failure: verify of raw.$load: $found->[0]\n" if @$found;
	}
	return;
}

# ---- a round ----

sub round
{
	my (%options) = @_;
	my $self = bless { %options, database => "property_$options{seed}", settings => {}, constraints => {} }, __PACKAGE__;

	return $self->play(sub { $self->note('the end'); $self->converge(1) });
}

# Forget the databases of a successful round.
sub clean
{
	my ($self) = @_;

	local $self->{database} = 'postgres';
	my $name = "property_$self->{seed}";
	$self->ask('warehouse', "DROP DATABASE $name WITH (FORCE)");
	$self->ask('source', "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '$name'; DROP DATABASE $name WITH (FORCE)");
	$self->close_session($_) foreach keys %{ $self->{sessions} };
	return;
}

1;
