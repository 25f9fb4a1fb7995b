# Loads from another cluster: copy, stream, TRUNCATE, values that a source did not send, columns
# that are added and dropped, pauses, objects created and removed at the source, and changes that
# must not be skipped.

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = PostgreSQL::Test::Cluster->new('source');
$source->init(allows_streaming => 'logical');
$source->append_conf('postgresql.conf', 'max_slot_wal_keep_size = -1');
$source->start;
my $warehouse = PostgreSQL::Test::Cluster->new('warehouse');
$warehouse->init(allows_streaming => 'logical');
$warehouse->start;

my $user = $source->safe_psql('postgres', 'SELECT current_user');
my $server_options = sprintf "host '%s', port '%s', dbname 'postgres'", $source->host, $source->port;

sub at_source
{
	return $source->safe_psql('postgres', $_[0]);
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', $_[0]);
}

# the status of a refresh, one line per target
sub refresh
{
	my ($pattern) = @_;

	return at_warehouse("SELECT target || ' ' || status FROM depipe.refresh('$pattern')");
}

# the table is the same on both sides, by its rows and by verify
sub same
{
	my ($table, $what) = @_;
	my $sql = "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) FROM shop.$table t";

	is(at_warehouse($sql), at_source($sql), "$what: same rows in $table");
	is(at_warehouse("SELECT * FROM depipe.verify('shop.$table')"), '', "$what: $table verified");
}

sub slots
{
	return at_source("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'depipe%' AND NOT temporary");
}

at_source(<<'SQL');
CREATE SCHEMA shop;
CREATE TYPE shop.mood AS ENUM ('sad', 'happy');
CREATE TABLE shop.plain (id int PRIMARY KEY, big text, small int);
CREATE TABLE shop.whole (id int PRIMARY KEY, big text, small int);
ALTER TABLE shop.whole REPLICA IDENTITY FULL;
CREATE TABLE shop.indexed (id int, code text NOT NULL UNIQUE, big text, small int);
ALTER TABLE shop.indexed REPLICA IDENTITY USING INDEX indexed_code_key;
CREATE TABLE shop.bag (a int, b text);
ALTER TABLE shop.bag REPLICA IDENTITY FULL;
CREATE TABLE shop.no_key (a int);
CREATE TABLE shop.parted (id int, at date, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE shop.parted_1 PARTITION OF shop.parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE shop.parted_2 PARTITION OF shop.parted FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE TABLE shop.types (id bigint PRIMARY KEY, mood shop.mood, moods shop.mood[], n numeric, j jsonb,
	ts timestamptz, d date, i interval, u uuid, bytes bytea, numbers int[], texts text[],
	v varchar(10), c char(5), ok boolean, f4 real, f8 double precision, ip inet, r int4range,
	class regclass, "odd ""name" text, x xml);
ALTER TABLE shop.plain ALTER big SET STORAGE external;
ALTER TABLE shop.whole ALTER big SET STORAGE external;
ALTER TABLE shop.indexed ALTER big SET STORAGE external;
INSERT INTO shop.plain SELECT i, repeat('p' || i, 4000), i FROM generate_series(1, 9) i;
INSERT INTO shop.whole SELECT i, repeat('w' || i, 4000), i FROM generate_series(1, 9) i;
INSERT INTO shop.indexed SELECT i, 'c' || i, repeat('i' || i, 4000), i FROM generate_series(1, 9) i;
INSERT INTO shop.bag VALUES (1, 'x'), (1, 'x'), (2, NULL);
INSERT INTO shop.parted VALUES (1, '2020-05-05', 'a'), (2, '2021-05-05', 'b');
INSERT INTO shop.types VALUES (1, 'sad', '{sad,happy}', 1.50, '{"a": 1}', '2020-01-01 00:00+02',
	'2020-02-03', '1 day -2 hours', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\x00ff', '{1,2,NULL}',
	ARRAY['a,b', '"q"', NULL, E'tab\tnl\nbs\\'], 'vc', 'ab', true, 1.1, 2.2, '10.0.0.1', '[1,5)',
	'pg_class', E'quote''"\\\t\n', '<a/>');
SQL
at_warehouse(<<"SQL");
CREATE EXTENSION depipe;
CREATE SCHEMA shop;
CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS ($server_options);
CREATE USER MAPPING FOR $user SERVER shop OPTIONS (user '$user');
SQL

# ---- before anything is there ----

is(at_warehouse("SELECT count(*) FROM depipe.check_source('shop') WHERE NOT ok"),
	'0', 'check_source finds nothing wrong');
at_warehouse("SELECT depipe.create_load('shop.' || t, server => 'shop') FROM unnest(ARRAY['plain',"
	  . " 'whole', 'indexed', 'bag', 'no_key', 'parted', 'types']) t");
is(slots(), '0', 'create_load makes nothing at the source');

# an attempt that is rolled back leaves a slot, which the next run sweeps
at_warehouse("BEGIN; SELECT * FROM depipe.refresh('shop.plain'); ROLLBACK");
is(slots(), '1', 'a rolled back run leaves its slot');
is(at_warehouse("SELECT count(*) FROM depipe.stream"), '0', 'and no trace here');

is( refresh('shop.*'),
	"shop.bag succeeded\nshop.indexed succeeded\nshop.no_key failed\nshop.parted succeeded\n"
	  . "shop.plain succeeded\nshop.types succeeded\nshop.whole succeeded",
	'copies');
is(slots(), '1', 'the slot that was left over is swept');
is(at_source("SELECT count(*) FROM pg_replication_slots WHERE active"),
	'0', 'no slot stays active');
same($_, 'copy') for qw(plain whole indexed bag parted types);
is( at_warehouse("SELECT state, reason IS NOT NULL, hint IS NOT NULL FROM depipe.loads"
		  . " WHERE target = 'shop.no_key'"),
	'new|t|t',
	'a table without a key is refused with a hint');
is(at_source("SELECT count(*) FROM pg_publication_tables WHERE tablename = 'no_key'"),
	'0', 'and not published, so that its updates stay legal at the source');
at_warehouse("SELECT depipe.drop_load('shop.no_key')");

# ---- what a source does not send ----

for my $table (qw(plain whole indexed))
{
	at_source("INSERT INTO shop.$table (id, big, small"
		  . ($table eq 'indexed' ? ', code' : '')
		  . ") VALUES (10, repeat('n', 9000), 1"
		  . ($table eq 'indexed' ? ", 'c10'" : '')
		  . "); UPDATE shop.$table SET small = 2 WHERE id = 10");
	at_source("UPDATE shop.$table SET small = 99 WHERE id = 1");
	at_source("UPDATE shop.$table SET big = repeat('changed', 3000) WHERE id = 2;"
		  . " UPDATE shop.$table SET small = 98 WHERE id = 2");
	at_source("UPDATE shop.$table SET big = NULL WHERE id = 8; UPDATE shop.$table SET small = 97 WHERE id = 8");
}
at_source("UPDATE shop.plain SET id = 100 WHERE id = 3; UPDATE shop.whole SET id = 100 WHERE id = 3;"
	  . " UPDATE shop.indexed SET code = 'moved' WHERE id = 3; UPDATE shop.indexed SET id = 77 WHERE id = 9");
at_source("BEGIN; UPDATE shop.plain SET id = 200 WHERE id = 4; UPDATE shop.plain SET id = 201, small = 1"
	  . " WHERE id = 200; COMMIT");
for my $table (qw(plain whole indexed))
{
	my $columns = $table eq 'indexed' ? 'id, big, small, code' : 'id, big, small';
	my $values = "5, repeat('again', 3000), 7" . ($table eq 'indexed' ? ", 'c5'" : '');

	at_source("BEGIN; DELETE FROM shop.$table WHERE id = 5; INSERT INTO shop.$table ($columns)"
		  . " VALUES ($values); UPDATE shop.$table SET small = 8 WHERE id = 5; COMMIT");
	at_source("BEGIN; INSERT INTO shop.$table ($columns) VALUES (11, repeat('z', 9000), 1"
		  . ($table eq 'indexed' ? ", 'c11'" : '')
		  . "); DELETE FROM shop.$table WHERE id = 11; COMMIT");
}
# two keys that swap places
at_source("BEGIN; UPDATE shop.plain SET id = -6 WHERE id = 6; UPDATE shop.plain SET id = 6 WHERE id = 7;"
	  . " UPDATE shop.plain SET id = 7 WHERE id = -6; COMMIT");
at_source("INSERT INTO shop.bag VALUES (1, 'x'); DELETE FROM shop.bag WHERE b IS NULL;"
	  . " UPDATE shop.bag SET b = 'u' WHERE ctid = (SELECT ctid FROM shop.bag WHERE a = 1 LIMIT 1)");
at_source("INSERT INTO shop.parted VALUES (3, '2020-06-06', 'c'); UPDATE shop.parted SET at = '2021-06-06' WHERE id = 1;"
	  . " DELETE FROM shop.parted WHERE id = 2");
at_source("UPDATE shop.types SET mood = 'happy', n = 'NaN', ts = 'infinity', moods = NULL, f8 = '-Infinity',"
	  . " j = '{\"b\": [1, 2]}' WHERE id = 1; INSERT INTO shop.types (id, mood) VALUES (2, 'sad')");
like(refresh('shop.*'), qr/^(shop\.\w+ succeeded\n?){6}$/, 'streams');
same($_, 'stream') for qw(plain whole indexed bag parted types);
is( refresh('shop.plain'), 'shop.plain nothing', 'nothing to do');

# ---- TRUNCATE ----

at_source("INSERT INTO shop.bag VALUES (5, 'gone'); TRUNCATE shop.bag, shop.plain; INSERT INTO shop.plain VALUES (1, 'new', 1)");
at_warehouse("CALL depipe.run('shop.*')");
same($_, 'TRUNCATE') for qw(plain bag);

# ---- what the source may forget ----

my $position = "SELECT s.applied_lsn FROM depipe.stream s";
my $confirmed = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name LIKE 'depipe%' AND NOT temporary";

is(at_source($confirmed), at_warehouse($position), 'a procedure confirms what it committed');
at_source("INSERT INTO shop.plain SELECT i, 'x', i FROM generate_series(1000, 1100) i");
my $before = at_source($confirmed);
at_warehouse("BEGIN; SELECT * FROM depipe.refresh('shop.*'); SELECT * FROM depipe.refresh('shop.*'); ROLLBACK");
is(at_source($confirmed), $before, 'what is rolled back was never confirmed');
refresh('shop.*');
is(at_source($confirmed), $before, 'what a function applied is not confirmed by it');
refresh('shop.*');
is(at_source($confirmed), at_warehouse($position), 'but by the next run');
same('plain', 'rolled back and done again');

# ---- columns that come and go ----

at_source(<<'SQL');
UPDATE shop.plain SET small = 5 WHERE id = 1;
BEGIN;
INSERT INTO shop.plain VALUES (2, 'old layout', 1);
ALTER TABLE shop.plain ADD added int DEFAULT 7;
INSERT INTO shop.plain VALUES (3, 'new layout', 1, 8);
INSERT INTO shop.bag VALUES (9, 'same transaction');
ALTER TABLE shop.plain ADD at timestamptz NOT NULL DEFAULT '2020-01-01', ADD note text;
UPDATE shop.plain SET note = 'n' WHERE id = 3;
COMMIT;
SQL
like(refresh('shop.*'), qr/shop.plain succeeded/, 'added columns flow in');
same($_, 'added columns') for qw(plain bag);

at_source("ALTER TABLE shop.whole RENAME small TO little; UPDATE shop.whole SET little = 0 WHERE id = 1;"
	  . " INSERT INTO shop.bag VALUES (10, 'goes on')");
like(refresh('shop.*'), qr/shop.whole failed/, 'a renamed column stops its table');
is( at_warehouse("SELECT error_sqlstate FROM depipe.runs WHERE target = 'shop.whole' ORDER BY run_id DESC LIMIT 1"),
	'QD003',
	'with QD003');
same('bag', 'beside a table that stopped');
at_warehouse("ALTER TABLE shop.whole RENAME small TO little; SELECT depipe.resync('shop.whole')");
like(refresh('shop.whole'), qr/shop.whole succeeded/, 'and is read again on request');
same('whole', 'resync');

# ---- pauses ----

at_warehouse("SELECT depipe.pause('moving house', 'shop.plain')");
like(refresh('shop.plain'), qr/shop.plain blocked/, 'a paused table is blocked without a change, too');
is(at_warehouse(q{SELECT reason FROM depipe.runs WHERE target = 'shop.plain' ORDER BY run_id DESC LIMIT 1}),
	'paused: moving house', 'and says why');
is(at_warehouse('SELECT phase, lag_bytes FROM depipe.stat_streams'), 'streaming|0', 'a stream that is read to its end');
at_source("INSERT INTO shop.plain (id, big) VALUES (20, 'paused'); UPDATE shop.plain SET small = -1 WHERE id = 1;"
	  . " INSERT INTO shop.bag VALUES (11, 'goes on')");
like(refresh('shop.*'), qr/shop.plain blocked/, 'a paused table is blocked');
same('bag', 'beside a paused table');
at_source("DELETE FROM shop.plain WHERE id = 20; INSERT INTO shop.plain (id, big) VALUES (21, 'paused, too')");
refresh('shop.*');
is( at_warehouse("SELECT state, parked > 0 FROM depipe.loads WHERE target = 'shop.plain'"),
	'paused|t', 'its changes are parked');
at_warehouse("SELECT depipe.resume('shop.plain')");
refresh('shop.*');
same('plain', 'resumed');
is(at_warehouse("SELECT state, parked FROM depipe.loads WHERE target = 'shop.plain'"),
	'streaming|0', 'nothing is parked any more');

# ---- the source is not there ----

$source->stop;
is(refresh('shop.plain'), 'shop.plain failed', 'a source that is down fails the run');
like(
	at_warehouse("SELECT error_sqlstate FROM depipe.runs WHERE target = 'shop.plain' ORDER BY run_id DESC LIMIT 1"),
	qr/^08/, 'with an SQLSTATE of its class');
is(at_warehouse("SELECT ok FROM depipe.check_source('shop') WHERE item = 'connection'"),
	'f', 'and check_source says so');
$source->start;
at_source("INSERT INTO shop.plain (id) VALUES (30)");
is(refresh('shop.plain'), 'shop.plain succeeded', 'and goes on when it is back');
same('plain', 'source back');

# ---- never skip silently ----

# all loads need a resync, report why, and are correct after it
sub lost
{
	my ($what, $reason) = @_;

	like(refresh('shop.plain'), qr/failed/, "$what: fails");
	like(
		at_warehouse("SELECT string_agg(DISTINCT state || ' ' || reason, ',') FROM depipe.loads"),
		qr/^needs_resync $reason/, "$what: says so");
	at_warehouse("SELECT depipe.resync(target) FROM depipe.loads");
	like(refresh('shop.*'), qr/^(shop\.\w+ (succeeded|nothing)\n?){6}$/, "$what: resync");
	same($_, $what) for qw(plain bag);
	is(slots(), '1', "$what: one slot");
}

my $slot = at_warehouse("SELECT slot_name FROM depipe.stream");
at_source("SELECT pg_drop_replication_slot('$slot'); INSERT INTO shop.plain (id) VALUES (31)");
lost('slot dropped', qr/slot .* is gone/);

at_source("INSERT INTO shop.plain (id) VALUES (32)");
at_source("SELECT pg_replication_slot_advance('$slot', pg_current_wal_lsn())");
lost('slot advanced', qr/slot .* is at .*, ahead of/);

at_source("INSERT INTO shop.plain (id) VALUES (33); DROP PUBLICATION $slot; INSERT INTO shop.plain (id) VALUES (34)");
lost('publication dropped', qr/publication .* was dropped or recreated/);

at_source("CREATE TABLE shop.copy AS SELECT * FROM shop.plain; DROP TABLE shop.plain;"
	  . " ALTER TABLE shop.copy RENAME TO plain; ALTER TABLE shop.plain ADD PRIMARY KEY (id);"
	  . " INSERT INTO shop.plain (id) VALUES (35)");
like(refresh('shop.*'), qr/shop.plain failed/, 'a table that was made again needs a resync');
at_warehouse("SELECT depipe.resync('shop.plain')");
like(refresh('shop.*'), qr/shop.plain succeeded/, 'and gets it');
same('plain', 'table made again');

at_warehouse("CREATE TABLE shop.elsewhere (LIKE shop.bag); DROP TABLE shop.bag");
like(refresh('shop.bag'), qr/shop.bag failed/, 'a target that is gone fails');
is(at_warehouse("SELECT state FROM depipe.loads WHERE target = 'shop.bag'"), 'missing', 'and is missing');
at_warehouse("SELECT depipe.resync('shop.bag')");
is(refresh('shop.bag'), 'shop.bag succeeded', 'and is made again on request');
same('bag', 'target made again');

# ---- another reader, another transaction ----

my $holder = $warehouse->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT * FROM depipe.refresh('shop.plain')");
is(refresh('shop.plain'), 'shop.plain skipped', 'two runs do not read one stream');
my $skipped = "SELECT count(*) FROM depipe.runs WHERE target = 'shop.plain' AND status = 'skipped'";
my $skipped_before = at_warehouse($skipped);
my (undef, undef, $stderr) = $warehouse->psql('postgres', "CALL depipe.run('shop.plain', wait => '2 s')",
	extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($stderr, qr/ERROR:  55006: refreshing shop\.plain was skipped/, 'a procedure waits for the other, and says so in the end');
is(at_warehouse($skipped) - $skipped_before, 1, 'and has tried once, not all the time');
$holder->query_safe("COMMIT");
$holder->quit;

at_source("INSERT INTO shop.plain (id) VALUES (40)");
is( at_warehouse("BEGIN ISOLATION LEVEL SERIALIZABLE; CREATE TABLE scratch (); SELECT status FROM depipe.refresh('shop.plain'); COMMIT"),
	'succeeded',
	'in a serializable transaction that has written');
same('plain', 'serializable');

# ---- a source in the same cluster ----

$warehouse->safe_psql('postgres', 'CREATE DATABASE near');
$warehouse->safe_psql('near', 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
at_warehouse(sprintf "CREATE SERVER near FOREIGN DATA WRAPPER depipe OPTIONS (host '%s', port '%s', dbname 'near');"
	  . " CREATE USER MAPPING FOR $user SERVER near OPTIONS (user '$user');"
	  . " SELECT depipe.create_load('near_t', server => 'near', source => 't')",
	$warehouse->host, $warehouse->port);
like(
	at_warehouse("BEGIN; CREATE TABLE scratch2 (); SELECT status, reason FROM depipe.refresh('near_t'); COMMIT"),
	qr/^failed\|cannot create a slot in this transaction/,
	'a slot on the same cluster is refused in a transaction that has written');
at_warehouse("CALL depipe.run('near_t')");
is(at_warehouse('SELECT * FROM near_t'), '1', 'and made by a procedure');

# ---- a publication of the source's own ----

at_source("CREATE TABLE shop.given (id int PRIMARY KEY, a text, b text); INSERT INTO shop.given VALUES (1, 'a', 'b');"
	  . " CREATE PUBLICATION given FOR TABLE shop.given (id, a) WHERE (id > 0)");
at_warehouse("CREATE SERVER given FOREIGN DATA WRAPPER depipe OPTIONS ($server_options, publication 'given');"
	  . " CREATE USER MAPPING FOR $user SERVER given OPTIONS (user '$user');"
	  . " SELECT depipe.create_load('shop.given', server => 'given')");

sub reason_of_given
{
	return at_warehouse("SELECT reason FROM depipe.refresh('shop.given')");
}

like(reason_of_given(), qr/filters the rows/, 'a filtered publication is refused');
at_source("ALTER PUBLICATION given SET TABLE shop.given (id, a)");
like(reason_of_given(), qr/leaves out column "b"/, 'a publication without a column is refused');
at_source("ALTER PUBLICATION given SET (publish = 'insert')");
like(reason_of_given(), qr/does not publish all changes/, 'a publication of inserts only is refused');
at_source("ALTER PUBLICATION given SET (publish = 'insert, update, delete, truncate'); ALTER PUBLICATION given SET TABLE shop.plain");
like(reason_of_given(), qr/does not have the table/, 'a publication without the table is refused');
at_source("ALTER PUBLICATION given SET TABLE shop.given");
is(refresh('shop.given'), 'shop.given succeeded', 'a whole one serves');
at_source("UPDATE shop.given SET a = 'changed'; INSERT INTO shop.given VALUES (2)");
is(refresh('shop.given'), 'shop.given succeeded', 'and streams');
same('given', 'a publication of the source');
at_warehouse("BEGIN; SELECT depipe.drop_load('shop.given'); SELECT depipe.create_load('shop.given', server => 'given');"
	  . " SELECT * FROM depipe.refresh('shop.given'); COMMIT");
at_source("INSERT INTO shop.given VALUES (3)");
is(refresh('shop.given'), 'shop.given succeeded', 'dropped and created again in one transaction');
at_warehouse("DROP USER MAPPING FOR $user SERVER given");
my ($given_result, $given_out, $given_err) =
  $warehouse->psql('postgres', "SELECT depipe.drop_load('shop.given', drop_table => true)");
is($given_result, 0, 'drop_load works without a user mapping');
like($given_err, qr/WARNING:  slot .* is left at server "given"/, 'and says what it left');
at_source("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE '%given%'");

# ---- an owner who is no superuser ----

at_source("CREATE ROLE puller LOGIN SUPERUSER PASSWORD 'secret'");
at_warehouse("CREATE ROLE plain_owner LOGIN; GRANT ALL ON SCHEMA shop TO plain_owner;"
	  . " GRANT USAGE ON FOREIGN DATA WRAPPER depipe TO plain_owner; SET ROLE plain_owner;"
	  . " CREATE SERVER plain FOREIGN DATA WRAPPER depipe OPTIONS ($server_options);"
	  . " CREATE USER MAPPING FOR plain_owner SERVER plain OPTIONS (user 'puller');"
	  . " SELECT depipe.create_load('shop.of_plain_owner', server => 'plain', source => 'shop.given')");
my $as_plain = "SET ROLE plain_owner; SELECT status || ': ' || COALESCE(reason, '') FROM depipe.refresh('shop.of_plain_owner')";
like(at_warehouse($as_plain), qr/failed: password is required/, 'a password is required of him');
at_warehouse("ALTER USER MAPPING FOR plain_owner SERVER plain OPTIONS (ADD password 'secret')");
like(at_warehouse($as_plain), qr/failed: .*password/is, 'and the source must ask for it');
my $hba = slurp_file($source->data_dir . '/pg_hba.conf');
append_to_file($source->data_dir . '/pg_hba.new', "local all puller scram-sha-256\nlocal replication puller scram-sha-256\n$hba");
rename $source->data_dir . '/pg_hba.new', $source->data_dir . '/pg_hba.conf';
$source->reload;
at_warehouse("ALTER USER MAPPING FOR plain_owner SERVER plain OPTIONS (SET password 'wrong')");
like(at_warehouse($as_plain), qr/failed: could not connect/, 'a wrong password does not do');
at_warehouse("ALTER USER MAPPING FOR plain_owner SERVER plain OPTIONS (SET password 'secret')");
is(at_warehouse($as_plain), 'succeeded: ', 'the right one does');
at_warehouse("SET ROLE plain_owner; SELECT depipe.drop_load('shop.of_plain_owner', drop_table => true); DROP SERVER plain CASCADE");

# ---- removing ----

my ($result, $out, $err) = $warehouse->psql('postgres', 'DROP SERVER near CASCADE');
like($err, qr/cannot drop server "near" because loads use it/, 'DROP SERVER is refused');
at_warehouse('ALTER SERVER near RENAME TO nearer');
is(at_warehouse("SELECT server FROM depipe.loads WHERE target = 'public.near_t'"),
	'nearer', 'a renamed server is followed');
at_warehouse("BEGIN; SELECT depipe.drop_load('near_t'); ROLLBACK");
is(at_warehouse("SELECT count(*) FROM pg_replication_slots"), '1', 'drop_load rolled back leaves the slot');
at_warehouse("SELECT depipe.drop_load('near_t')");
is(at_warehouse("SELECT count(*) FROM pg_replication_slots"), '0', 'the last load takes the slot with it');
is($warehouse->safe_psql('near', "SELECT count(*) FROM pg_publication"), '0', 'and the publication');
at_warehouse('DROP SERVER nearer CASCADE');

at_warehouse("SELECT depipe.detach_source('shop')");
is(slots(), '0', 'detach_source removes the slot');
is(at_warehouse("SELECT DISTINCT state FROM depipe.loads"), 'detached', 'its loads are detached');
like(refresh('shop.plain'), qr/failed/, 'and do not connect');
at_warehouse("SELECT depipe.adopt('shop')");
is(refresh('shop.plain'), 'shop.plain succeeded', 'until they are adopted');
same('plain', 'attached again');
$source->stop;
($result, $out, $err) = $warehouse->psql('postgres',
	"SELECT depipe.drop_load(target) FROM depipe.loads");
is($result, 0, 'loads are dropped also when the source is down');
like($err, qr/WARNING:  slot .* left at server "shop"/, 'and what is left there is said');

$warehouse->stop;
done_testing();
