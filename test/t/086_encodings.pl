# Sources and warehouses in other encodings. A text that cannot be converted affects only its own
# table: the others continue, and once the row is gone, that table does as well.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse(initdb => ['--encoding=SQL_ASCII']);

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

# ---- a SQL_ASCII source: whatever bytes

make_table($source, $warehouse, $_, 'id int PRIMARY KEY, t text, a text[]') foreach qw(a b);
make_table($source, $warehouse, 'ä', 'id int PRIMARY KEY, ö text');
at_source(q{INSERT INTO a VALUES (1, 'äöü €', '{ä}')}, q{INSERT INTO b VALUES (1, 'x')}, q{INSERT INTO ä VALUES (1, 'ß')});
is(statuses($warehouse, 'raw.*'), 'raw."ä"=succeeded raw.a=succeeded raw.b=succeeded', 'copy');
is_value($warehouse, q{SELECT t || a[1] FROM raw.a}, 'äöü €ä', 'texts of the copy');
at_source(q{INSERT INTO a VALUES (2, 'ÄÖÜ', '{Ä}')}, q{UPDATE ä SET ö = 'ẞ'});
is_status($warehouse, 'raw.a', 'succeeded', 'stream');
is_value($warehouse, q{SELECT string_agg(t || a[1], ' ' ORDER BY id) FROM raw.a}, 'äöü €ä ÄÖÜÄ', 'texts of the stream');
is_value($warehouse, q{SELECT ö FROM raw.ä}, 'ẞ', 'names that are not ASCII');

at_source(q{INSERT INTO a VALUES (3, E'bad \\xe4', NULL)}, q{INSERT INTO b VALUES (3, 'after it')});
refresh($warehouse, 'raw.*');
is(state_of($warehouse, 'raw.a'), 'needs_resync', 'a byte that is nothing: its table stops');
like(at_warehouse(q{SELECT reason FROM depipe.loads WHERE target = 'raw.a'}),
	qr/column "t" of the source cannot be read here \(22021\)/, 'and says why');
is_value($warehouse, q{SELECT t FROM raw.b WHERE id = 3}, 'after it', 'the others go on');
at_warehouse(q{SELECT depipe.resync('raw.a')});
like(is_status($warehouse, 'raw.a', 'failed', 'a resync with the row'), qr/column "t"/, 'says why, too');
at_source(q{DELETE FROM a WHERE id = 3}, q{INSERT INTO b VALUES (4, 'more')});
is(statuses($warehouse, 'raw.*'), 'raw."ä"=nothing raw.a=succeeded raw.b=succeeded', 'the row is gone: a resync succeeds');
at_source(q{INSERT INTO a VALUES (4, 'on', NULL)});
is_status($warehouse, 'raw.a', 'succeeded', 'and it streams');

# in bulk
at_source(q{INSERT INTO b SELECT n, repeat('y', 300) FROM generate_series(100, 20000) n},
	q{INSERT INTO a VALUES (5, E'\\xff', NULL)}, q{INSERT INTO b VALUES (50, 'after it')});
$warehouse->psql('postgres', q{CALL depipe.run('raw.*')});
is(state_of($warehouse, 'raw.a'), 'needs_resync', 'in bulk: its table stops');
is_value($warehouse, q{SELECT count(*) FROM raw.b WHERE t IN ('after it', repeat('y', 300))}, 19903, 'in bulk: the others go on');

# ---- a LATIN1 warehouse of a UTF8 source, and the reverse

at_source(q{CREATE DATABASE utf ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0});
at_warehouse(q{CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});

sub other_warehouse
{
	my ($node, $database, $server_node, $server_database) = @_;
	my ($host, $port) = ($server_node->host, $server_node->port);

	$node->safe_psql($database, qq{
		CREATE EXTENSION depipe; CREATE SCHEMA raw;
		CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (host '$host', port '$port', dbname '$server_database');
		CREATE USER MAPPING FOR CURRENT_USER SERVER shop;
		SELECT depipe.create_load('raw.' || t, server => 'shop', source => 'public.' || t) FROM unnest('{l,m}'::text[]) t;});
	return;
}

my $tables = q{CREATE TABLE l (id int PRIMARY KEY, "größe" text); CREATE TABLE m (id int PRIMARY KEY, t text)};

$source->safe_psql('utf', $tables . q{; INSERT INTO l VALUES (1, 'größer')});
other_warehouse($warehouse, 'latin', $source, 'utf');
my $show = q{SET client_encoding = 'UTF8'; SELECT string_agg("größe", ' ' ORDER BY id) FROM raw.l};
my $latin = sub { return $warehouse->safe_psql('latin', "SET client_encoding = 'UTF8'; $_[0]") };
$latin->(q{SELECT count(*) FROM depipe.refresh('raw.*')});
is($latin->($show), 'größer', 'UTF8 to LATIN1: copy');
$source->safe_psql('utf', q{INSERT INTO l VALUES (2, 'am größten')});
$latin->(q{SELECT count(*) FROM depipe.refresh('raw.*')});
is($latin->($show), 'größer am größten', 'UTF8 to LATIN1: stream');
$source->safe_psql('utf', q{INSERT INTO l VALUES (3, '5 €'); INSERT INTO m VALUES (1, 'x')});
$latin->(q{SELECT count(*) FROM depipe.refresh('raw.*')});
is($latin->(q{SELECT string_agg(target || ' ' || state, ', ' ORDER BY target) FROM depipe.loads}),
	'raw.l needs_resync, raw.m streaming', 'a character that is not in LATIN1');
like($latin->(q{SELECT reason FROM depipe.loads WHERE target = 'raw.l'}), qr/column "größe" .* \(22P05\)/, 'names the column');
is($latin->(q{SELECT t FROM raw.m}), 'x', 'the others go on');

# one query describes all source tables: only the one with the default stops
$latin->(q{SELECT depipe.resync('raw.l')});
$source->safe_psql('utf', q{DELETE FROM l WHERE id = 3});
$latin->(q{SELECT count(*) FROM depipe.refresh('raw.*')});
$source->safe_psql('utf', q{ALTER TABLE l ADD COLUMN c text DEFAULT 'ü'; ALTER TABLE m ADD COLUMN c text DEFAULT '€';
	INSERT INTO l (id) VALUES (4); INSERT INTO m (id) VALUES (4)});
$latin->(q{SELECT count(*) FROM depipe.refresh('raw.*')});
is($latin->(q{SELECT string_agg(target || ' ' || state || coalesce(': ' || reason, ''), ', ' ORDER BY target) FROM depipe.loads}),
	'raw.l streaming, raw.m paused: the default of the new column "c" cannot be read here', 'a default that is not in LATIN1');
is($latin->(q{SELECT string_agg(c, ' ' ORDER BY id) FROM raw.l}), 'ü ü ü', 'the default of the other table');

$source->safe_psql('postgres', q{CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
$source->safe_psql('latin', "SET client_encoding = 'UTF8'; $tables" . q{; INSERT INTO l VALUES (1, 'größer')});
$warehouse->safe_psql('postgres', q{CREATE DATABASE utf ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0});
other_warehouse($warehouse, 'utf', $source, 'latin');
$warehouse->safe_psql('utf', q{SELECT count(*) FROM depipe.refresh('raw.*')});
$source->safe_psql('latin', q{SET client_encoding = 'UTF8'; INSERT INTO l VALUES (2, 'am größten')});
$warehouse->safe_psql('utf', q{SELECT count(*) FROM depipe.refresh('raw.*')});
is($warehouse->safe_psql('utf', $show), 'größer am größten', 'LATIN1 to UTF8: copy and stream');
done_testing();
