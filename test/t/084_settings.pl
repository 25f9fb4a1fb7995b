# Values arrive from a source unchanged, whatever the settings of either end and of the session that
# runs the load. Expressions of a load keep the meaning that they had where the load was created.
# Under another locale, money has another number of decimals; then its table is refused.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use File::Temp qw(tempdir);
use Test::More;

# Locales created here, because machines have different ones.
my $locales = tempdir(CLEANUP => 1);
chmod 0755, $locales;
my $have_locales = 1;
foreach my $locale (qw(de_DE en_US ja_JP))
{
	# warnings are no failure
	system("localedef -c -i $locale -f UTF-8 $locales/$locale.utf8 >/dev/null 2>&1");
	$have_locales &&= -e "$locales/$locale.utf8/LC_MONETARY";
}
local $ENV{LOCPATH} = $locales if $have_locales;

my ($source, $warehouse) = source_and_warehouse();

# Settings that affect how texts are read and written, with unusual values.
my $strange = q{SET timezone = 'Asia/Tokyo'; SET datestyle = 'German, DMY'; SET intervalstyle = 'sql_standard';
	SET extra_float_digits = -10; SET bytea_output = 'escape'; SET array_nulls = off; SET xmloption = 'document';
	SET transform_null_equals = on; SET quote_all_identifiers = on};

sub in_strange_session
{
	my ($sql) = @_;

	return $warehouse->safe_psql('postgres', "$strange; $sql");
}

my $columns = 'id, i::text, a, x::text, f, b, at, d';
$source->safe_psql('postgres', q{
	CREATE TABLE odd (id int PRIMARY KEY, i interval, a text[], x xml, f float8, b bytea, at timestamptz, d date);
	INSERT INTO odd VALUES (1, '-1 year -2 mons +3 days -04:05:06', '{NULL,"NULL",null}', '<a/>text', 1.0/3, '\x00ff5c',
		'2026-01-01 23:30:00+00', '2026-02-03')});
$warehouse->safe_psql('postgres', q{
	SET timezone = 'Europe/Berlin';
	SELECT depipe.create_load('raw.odd', server => 'shop', source => 'public.odd');
	SELECT depipe.create_load('raw.days', server => 'shop', source => 'public.odd',
		columns => '{"i": null, "a": null, "x": null, "f": "f::text", "b": null, "d": "at::date"}',
		row_filter => $$at::text LIKE '%+0_' AND id <> 13 AND at >= '2026-01-01'$$)});
in_strange_session(q{SELECT depipe.refresh('raw.*')});
$source->safe_psql('postgres', q{
	INSERT INTO odd SELECT id + 1, i, a, x, f / 7, b, at + '1 day', d + 1 FROM odd;
	INSERT INTO odd SELECT id + 3, i, a, x, f / 7, b, '2025-12-31 22:59:59+00', d + 1 FROM odd WHERE id = 1});
in_strange_session(q{SELECT depipe.refresh('raw.*')});
is_same($source, $warehouse, 'odd', 'read by a session with other settings',
	source => "SELECT $columns FROM odd", target => "SELECT $columns FROM raw.odd");
is_value($warehouse, q{SELECT string_agg(id || ' ' || d, ', ' ORDER BY id) FROM raw.days}, '1 2026-01-02, 2 2026-01-03',
	'days are those of where the load was made');
is_value($warehouse, q{SELECT count(*) FROM raw.days WHERE f::float8 = (SELECT f FROM raw.odd o WHERE o.id = days.id)}, 2,
	'floats have all their digits');
is(in_strange_session(q{SELECT count(*) FROM depipe.verify('raw.odd')}), 0, 'verify finds no difference there');
is(in_strange_session(q{SELECT count(*) FROM depipe.verify('raw.days')}), 0, 'nor in what is computed');

# parked and quarantined rows
$warehouse->safe_psql('postgres', q{
	SELECT depipe.add_constraint('raw.odd', depipe.satisfies('id <> 5'), name => 'five', on_violation => 'quarantine');
	SELECT depipe.pause('test', 'raw.odd')});
$source->safe_psql('postgres', q{INSERT INTO odd SELECT id + 4, i, a, x, f / 3, b, at, d FROM odd WHERE id < 3});
in_strange_session(q{SELECT depipe.refresh('raw.days')});
$warehouse->safe_psql('postgres', q{SELECT depipe.resume('raw.odd')});
in_strange_session(q{SELECT depipe.refresh('raw.odd')});
is_value($warehouse, q{SELECT string_agg(id::text, ',') FROM depipe.quarantined(NULL::raw.odd)}, '5', 'a row is in quarantine');
$warehouse->safe_psql('postgres', q{SELECT depipe.drop_constraint('raw.odd', 'five')});
in_strange_session(q{SELECT depipe.refresh('raw.odd')});
is_same($source, $warehouse, 'odd', 'parked and quarantined rows',
	source => "SELECT $columns FROM odd", target => "SELECT $columns FROM raw.odd");

SKIP:
{
	skip 'no locales can be made here', 6 unless $have_locales;

	# the same number of decimals, another point
	$source->safe_psql('postgres', q{ALTER DATABASE postgres SET lc_monetary = 'de_DE.utf8'});
	$warehouse->safe_psql('postgres', q{ALTER DATABASE postgres SET lc_monetary = 'en_US.utf8'});
	$source->safe_psql('postgres', q{CREATE TABLE price (id int PRIMARY KEY, m money, many money[]);
		INSERT INTO price VALUES (1, '1234,56', '{"19,99",NULL}')});
	like($source->safe_psql('postgres', 'SELECT m FROM price'), qr/1\.234,56/, 'the source writes it in its way');
	$warehouse->safe_psql('postgres',
		q{SELECT depipe.create_load('raw.price', server => 'shop', source => 'public.price')});
	refresh($warehouse, 'raw.*');
	$source->safe_psql('postgres', q{INSERT INTO price VALUES (2, '19,99', '{"0,01"}')});
	refresh($warehouse, 'raw.*');
	is_same($source, $warehouse, 'price', 'money under another locale',
		source => 'SELECT id, m::numeric, many[1]::numeric FROM price',
		target => 'SELECT id, m::numeric, many[1]::numeric FROM raw.price');
	is_value($warehouse, q{SELECT count(*) FROM depipe.verify('raw.price')}, 0, 'verify agrees');

	# another number of decimals
	$source->safe_psql('postgres', q{ALTER DATABASE postgres SET lc_monetary = 'ja_JP.utf8'});
	$source->safe_psql('postgres', q{CREATE TABLE yen (id int PRIMARY KEY, m money); INSERT INTO yen VALUES (1, '1999')});
	$warehouse->safe_psql('postgres',
		q{SELECT depipe.create_load('raw.yen', server => 'shop', source => 'public.yen')});
	refresh($warehouse, 'raw.*');
	like($warehouse->safe_psql('postgres', q{SELECT reason FROM depipe.loads WHERE target = 'raw.yen'}),
		qr/column "m" is of type money, which has 0 decimals at the source and 2 here/, 'other decimals are refused');
	$source->safe_psql('postgres', q{INSERT INTO odd SELECT id + 20, i, a, x, f, b, at, d FROM odd WHERE id = 1});
	refresh($warehouse, 'raw.*');
	is_value($warehouse, q{SELECT count(*) FROM raw.odd WHERE id = 21}, 1, 'other tables go on');
	$warehouse->safe_psql('postgres', q{SELECT depipe.create_load('raw.yen', server => 'shop', source => 'public.yen',
		settings => '{lc_monetary=ja_JP.utf8}', replace => true)});
	refresh($warehouse, 'raw.*');
	$source->safe_psql('postgres', q{INSERT INTO yen VALUES (2, '5')});
	refresh($warehouse, 'raw.*');
	is_value($warehouse, q{SET lc_monetary = 'ja_JP.utf8'; SELECT string_agg(m::numeric::text, ',' ORDER BY id) FROM raw.yen},
		'1999,5', 'the same locale serves');
	is_value($warehouse, q{SELECT count(*) FROM depipe.verify('raw.yen')}, 0, 'and verify agrees');
}

done_testing();
