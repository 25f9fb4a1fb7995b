# Owners without superuser, from the first statement to the last: the source requires passwords, and
# workers do everything. Then owners that were dropped or lost a privilege, while the stream
# continues; and dumps with such owners.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use PostgreSQL::Test::Utils;
use Test::More;

my ($source, $warehouse) = source_and_warehouse(
	warehouse => q{
shared_preload_libraries = 'depipe'
depipe.databases = 'postgres'
depipe.naptime = '100ms'
});
my $superuser = $source->safe_psql('postgres', 'SELECT current_user');
my ($host, $port) = ($source->host, $source->port);

# Run as a role of the warehouse. Returns the output.
sub by
{
	my ($role, @statements) = @_;
	my ($status, $stdout, $stderr) =
	  $warehouse->psql('postgres', join(";\n", @statements), extra_params => [ '-U', $role ]);

	die "$stderr\n" . join(";\n", @statements) if $status != 0;
	return $stdout;
}

sub refused
{
	my ($role, $statement, $pattern, $name) = @_;
	my ($status, $stdout, $stderr) = $warehouse->psql('postgres', $statement, extra_params => [ '-U', $role ]);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($stderr, $pattern, $name);
	return;
}

sub arrives
{
	my ($table, $condition, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($warehouse, qq{SELECT to_regclass('$table') IS NOT NULL}, "$name: the table");
	wait_until($warehouse, "SELECT EXISTS (SELECT FROM $table WHERE $condition)", $name);
	return;
}

# Write pg_hba.conf of the source, with this method for all roles except its superuser.
sub ask_for
{
	my ($method) = @_;

	unlink($source->data_dir . '/pg_hba.conf');
	$source->append_conf('pg_hba.conf', qq{
local all $superuser trust
local replication $superuser trust
local all all $method
local replication all $method
});
	$source->reload;
	return;
}

# ---- the roles

$source->safe_psql('postgres', q{CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'swordfish';
	GRANT CREATE ON DATABASE postgres TO replicator;
	CREATE SCHEMA app AUTHORIZATION replicator;
	SET ROLE replicator;
	CREATE TABLE app.customers (id int PRIMARY KEY, name text);
	CREATE TABLE app.orders (id int PRIMARY KEY, customer int, amount int);
	INSERT INTO app.customers VALUES (1, 'ada');
	INSERT INTO app.orders VALUES (1, 1, 10), (2, 1, 20)});
$warehouse->safe_psql('postgres', q{DROP SERVER shop CASCADE; CREATE ROLE etl LOGIN;
	GRANT CREATE ON DATABASE postgres TO etl;
	GRANT USAGE ON FOREIGN DATA WRAPPER depipe TO etl;
	CREATE ROLE other LOGIN; CREATE ROLE keeper LOGIN; CREATE ROLE people NOLOGIN; GRANT other, people TO etl;
	GRANT CREATE ON DATABASE postgres TO other});
is_value($warehouse, q{SELECT count(*) FROM pg_auth_members WHERE member = 'depipe_operator'::regrole OR roleid = 'depipe_operator'::regrole},
	0, 'there are no operators');

# ---- a connection without a password is refused, whoever let it in

by('etl', qq{CREATE SERVER shop FOREIGN DATA WRAPPER depipe OPTIONS (host '$host', port '$port', dbname 'postgres')},
	q{CREATE USER MAPPING FOR etl SERVER shop OPTIONS (user 'replicator')});
is(by('etl', q{SELECT ok, detail FROM depipe.check_source('shop') WHERE item = 'connection'}), 'f|password is required',
	'a user mapping without a password');
by('etl', q{ALTER USER MAPPING FOR etl SERVER shop OPTIONS (ADD password 'swordfish')});
ask_for('trust');
like(by('etl', q{SELECT ok, detail FROM depipe.check_source('shop') WHERE item = 'connection'}), qr/^f\|.*password/,
	'a source that asks for no password');
ask_for('scram-sha-256');
by('etl', q{ALTER USER MAPPING FOR etl SERVER shop OPTIONS (SET password 'sword')});
like(by('etl', q{SELECT ok, detail FROM depipe.check_source('shop') WHERE item = 'connection'}), qr/^f\|.*authentication failed/,
	'a wrong password');
by('etl', q{ALTER USER MAPPING FOR etl SERVER shop OPTIONS (SET password 'swordfish')});
is(by('etl', q{SELECT bool_and(ok) FROM depipe.check_source('shop')}), 't', 'the source is ready');
refused('other', q{SELECT * FROM depipe.check_source('shop')}, qr/permission denied for foreign server shop/, 'another role');

# ---- everything as a plain role

by('etl', 'CREATE SCHEMA lake', 'CREATE SCHEMA mart',
	q{SELECT depipe.create_load('lake.customers', server => 'shop', source => 'app.customers')},
	q{SELECT depipe.create_load('lake.orders', server => 'shop', source => 'app.orders')},
	q{SELECT depipe.add_constraint('lake.orders', depipe.satisfies('amount >= 0'), name => 'amount', on_violation => 'quarantine')});
arrives('lake.orders', 'id = 2', 'a worker copies');
by('etl', q{SELECT depipe.create_transform('mart.totals',
	'SELECT customer, sum(amount) AS total FROM lake.orders GROUP BY customer', target_lag => '100 ms')});
$source->safe_psql('postgres', q{INSERT INTO app.orders VALUES (3, 1, 70), (4, 1, -1)});
arrives('lake.orders', 'id = 3', 'a worker follows the stream');
arrives('mart.totals', 'total = 100', 'a worker refreshes');
is(by('etl', q{SELECT key, reason FROM depipe.quarantine}), '{4}|amount', 'quarantine');
is_value($warehouse, q{SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname IN ('lake', 'mart')}, 'etl',
	'the tables are the owner\'s');
by('etl', q{SELECT depipe.pause('a test', 'lake.*')}, q{SELECT depipe.resume('lake.*')},
	q{SELECT depipe.trip('lake.orders', 'a test')}, q{SELECT depipe.reset('lake.orders', 'a test')},
	q{SELECT depipe.configure_breaker('lake.orders', retry_wait => '1 second')},
	q{SELECT depipe.override('lake.orders', 'a test', now() + interval '1 second')}, q{CALL depipe.run_due()},
	q{SELECT * FROM depipe.refresh('*')});
wait_until($warehouse, q{SELECT state = 'closed' FROM depipe.breakers WHERE target = 'lake.orders'}, 'the breaker closes again');
is(by('etl', q{SELECT count(*) FROM depipe.check_table('lake.orders')}), '1', 'check_table');
is(by('etl', q{SELECT count(*) FROM depipe.verify('mart.totals')}), '0', 'verify');
like(by('etl', q{SELECT depipe.definition('*')}), qr/create_load.*create_load.*create_transform.*add_constraint/s, 'definition');
is(by('other', q{SELECT (SELECT count(*) FROM depipe.status) + (SELECT count(*) FROM depipe.quarantine)}), '0', 'nothing of it is another\'s');

# ---- an owner that may not log in any more: the stream of the others goes on

$warehouse->safe_psql('postgres', 'ALTER TABLE lake.customers OWNER TO people');
wait_until($warehouse, q{SELECT state = 'ownerless' FROM depipe.status WHERE target = 'lake.customers'}, 'given to a group: ownerless');
$source->safe_psql('postgres', q{INSERT INTO app.customers VALUES (2, 'bob'); INSERT INTO app.orders VALUES (5, 1, 5)});
arrives('lake.orders', 'id = 5', 'others go on');
is_value($warehouse, 'SELECT count(*) FROM lake.customers', 1, 'nothing is published as the group');
is_value($warehouse, q{SELECT parked > 0 FROM depipe.loads WHERE target = 'lake.customers'}, 't', 'changes are kept');
$warehouse->safe_psql('postgres', 'ALTER TABLE lake.customers OWNER TO etl');
arrives('lake.customers', 'id = 2', 'given back');
$warehouse->safe_psql('postgres', 'ALTER ROLE etl NOLOGIN');
$source->safe_psql('postgres', q{INSERT INTO app.orders VALUES (6, 1, 6)});
wait_until($warehouse, q{SELECT bool_and(state = 'ownerless') FROM depipe.status}, 'a role that is locked out stops all of its own');
wait_until($warehouse, q{SELECT parked > 0 FROM depipe.loads WHERE target = 'lake.orders'}, 'and the stream goes on');
$warehouse->safe_psql('postgres', 'ALTER ROLE etl LOGIN');
arrives('lake.orders', 'id = 6', 'let in again');
wait_until($warehouse, q{SELECT state = 'owned' FROM depipe.events WHERE target = 'lake.orders' AND event = 'owner'
	ORDER BY event_id DESC LIMIT 1}, 'put down, too');
arrives('mart.totals', 'total = 111', 'and its transforms');

# ---- REASSIGN OWNED

$warehouse->safe_psql('postgres', q{GRANT USAGE ON FOREIGN SERVER shop TO other});
by('etl', q{SELECT depipe.create_load('lake.later', server => 'shop', source => 'app.later')});
$warehouse->safe_psql('postgres', 'REASSIGN OWNED BY etl TO other; CREATE USER MAPPING FOR other SERVER shop OPTIONS (user \'replicator\', password \'swordfish\')');
is_value($warehouse, q{SELECT string_agg(DISTINCT owner::text, ',') FROM depipe.loads}, 'other', 'loads go along, also without a table');
$source->safe_psql('postgres', q{INSERT INTO app.orders VALUES (7, 1, 7)});
arrives('lake.orders', 'id = 7', 'and go on as the new owner');
is_value($warehouse, q{SELECT count(*) FROM depipe.status WHERE state = 'ownerless'}, 0, 'nothing is ownerless');
$warehouse->safe_psql('postgres', 'DROP OWNED BY etl; DROP ROLE etl');

# ---- rights that are taken, and given back: the server, what is read, where tables are made

$warehouse->safe_psql('postgres', q{CREATE USER MAPPING FOR keeper SERVER shop OPTIONS (user 'replicator', password 'swordfish');
	GRANT USAGE ON FOREIGN DATA WRAPPER depipe TO keeper; ALTER SERVER shop OWNER TO keeper;
	REVOKE USAGE ON FOREIGN SERVER shop FROM other});
$source->safe_psql('postgres', q{INSERT INTO app.orders VALUES (20, 1, 1)});
wait_until($warehouse, q{SELECT state = 'ownerless' AND next = 'GRANT USAGE ON FOREIGN SERVER shop TO other'
	FROM depipe.status WHERE target = 'lake.orders'}, 'a server that may not be used');
wait_until($warehouse, q{SELECT parked > 0 FROM depipe.loads WHERE target = 'lake.orders'}, 'nothing of it is published');
is_value($warehouse, q{SELECT reason FROM depipe.why('mart.totals') ORDER BY depth DESC LIMIT 1},
	'its owner "other" may not use server "shop"', 'what reads it says why');
$warehouse->safe_psql('postgres', q{GRANT USAGE ON FOREIGN SERVER shop TO other});
arrives('lake.orders', 'id = 20', 'may be used again');

$warehouse->safe_psql('postgres', q{CREATE TABLE base AS SELECT 1 AS id; GRANT SELECT ON base TO other});
by('other', q{SELECT depipe.create_transform('mart.reads', 'SELECT id FROM public.base', target_lag => '100 ms')});
arrives('mart.reads', 'id = 1', 'reads a table of others');
$warehouse->safe_psql('postgres', q{REVOKE SELECT ON base FROM other; INSERT INTO base VALUES (2)});
wait_until($warehouse, q{SELECT state = 'failed' AND reason ~ 'permission denied' FROM depipe.status WHERE target = 'mart.reads'},
	'may not read it any more: failed');
is_value($warehouse, q{SELECT count(*) FROM mart.reads}, 1, 'nobody else reads it for the owner');
$warehouse->safe_psql('postgres', q{GRANT SELECT ON base TO other});
arrives('mart.reads', 'id = 2', 'may read it again');
by('other', q{SELECT depipe.drop_transform('mart.reads', true)});

$warehouse->safe_psql('postgres', 'CREATE SCHEMA closed; GRANT CREATE, USAGE ON SCHEMA closed TO other');
by('other', q{SELECT depipe.pause('not yet', 'lake.*')},
	q{SELECT depipe.create_load('closed.customers', server => 'shop', source => 'app.customers')},
	q{SELECT depipe.resume('lake.*')});
arrives('closed.customers', 'id = 1', 'makes its table');
by('other', q{DROP TABLE closed.customers});
$warehouse->safe_psql('postgres', 'REVOKE CREATE ON SCHEMA closed FROM other');
by('other', q{SELECT depipe.resync('closed.customers')});
wait_until($warehouse, q{SELECT reason ~ 'permission denied for schema closed' FROM depipe.status WHERE target = 'closed.customers'},
	'may not make it again: says why');
$warehouse->safe_psql('postgres', 'GRANT CREATE ON SCHEMA closed TO other');
arrives('closed.customers', 'id = 1', 'makes it when it may');
by('other', q{SELECT depipe.drop_load('closed.customers', true)});

# ---- a role that is dropped, and dumps

by('other', q{SELECT depipe.create_transform('mart.gone', 'SELECT id FROM lake.orders', target_lag => '100 ms')});
$warehouse->safe_psql('postgres', q{CREATE ROLE leaver LOGIN; GRANT USAGE ON SCHEMA lake TO leaver; GRANT CREATE, USAGE ON SCHEMA mart TO leaver;
	GRANT SELECT ON lake.orders TO leaver});
by('leaver', q{SELECT depipe.create_transform('mart.leftover', 'SELECT id FROM lake.orders', target_lag => '100 ms')},
	'DROP TABLE mart.leftover');
$warehouse->safe_psql('postgres', q{DROP OWNED BY leaver; DROP ROLE leaver});
is_value($warehouse, q{SELECT state FROM depipe.status WHERE target = 'mart.leftover'}, 'ownerless', 'its definition stays');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM depipe.events WHERE target = 'mart.leftover' AND event = 'owner'
	AND state = 'ownerless' AND reason = 'its owner was dropped')}, 'and it is put down');
my $log_before = -s $warehouse->logfile;
$source->safe_psql('postgres', q{INSERT INTO app.orders VALUES (8, 1, 8)});
arrives('mart.gone', 'id = 8', 'everything else goes on');
unlike(substr(slurp_file($warehouse->logfile), $log_before), qr/ERROR|FATAL|exited with exit code [1-9]/, 'no worker fails because of it');

my $dump = $warehouse->backup_dir . '/dump.sql';
mkdir $warehouse->backup_dir;
command_ok([ 'pg_dump', '--no-sync', '-f', $dump, '-d', $warehouse->connstr('postgres') ], 'dump');
like(slurp_file($dump), qr/^\d+\tmart\tleftover\tf\t-\t/m, 'an owner that is gone has no number in it');
$warehouse->safe_psql('postgres', q{CREATE DATABASE copy; CREATE ROLE heir LOGIN});
$warehouse->safe_psql('postgres', q{ALTER ROLE other RENAME TO another});
my ($status, $stdout, $stderr) = $warehouse->psql('copy', slurp_file($dump), on_error_stop => 0);
like($stderr, qr/WARNING:  role "other" does not exist/, 'restore where a role is missing');
is($warehouse->safe_psql('copy', q{SELECT count(*) FROM depipe.target}), $warehouse->safe_psql('postgres', q{SELECT count(*) FROM depipe.target}),
	'all definitions are there');
is($warehouse->safe_psql('copy', q{SELECT DISTINCT state FROM depipe.status WHERE target = 'mart.totals'}), 'ownerless', 'and say that nobody owns them');
is($warehouse->safe_psql('copy', q{SELECT string_agg(DISTINCT l.state || '|' || s.state, ' ') FROM depipe.loads l JOIN depipe.status s USING (target)}),
	'ownerless|ownerless', 'so do its loads, everywhere');
$warehouse->safe_psql('copy', q{GRANT ALL ON SCHEMA mart, lake TO heir; GRANT SELECT ON ALL TABLES IN SCHEMA lake TO heir;
	ALTER TABLE mart.totals OWNER TO heir; SELECT depipe.set_owner('mart.totals', 'heir')});
is($warehouse->safe_psql('copy', q{SELECT state FROM depipe.status WHERE target = 'mart.totals'}) eq 'ownerless' ? 'ownerless' : 'owned', 'owned', 'until they are given to one');

# ---- the end, as the owner

$warehouse->safe_psql('postgres', q{ALTER ROLE another RENAME TO other; SELECT depipe.drop_transform('mart.leftover')});
by('other', q{SELECT depipe.drop_transform(target, true) FROM depipe.transforms WHERE target IN ('mart.gone', 'mart.totals')},
	q{SELECT depipe.drop_load(target, true) FROM depipe.loads});
is_value($source, q{SELECT count(*) FROM pg_replication_slots}, 0, 'the slot is gone');
is_value($source, q{SELECT count(*) FROM pg_publication}, 0, 'the publication is gone');
by('keeper', 'DROP SERVER shop CASCADE');

done_testing();
