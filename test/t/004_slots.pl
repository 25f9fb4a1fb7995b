# The slot and the publication at the source: lost, dropped, moved, left over, in use, and the
# source itself unavailable. Nothing is skipped silently, and a resync repairs everything.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

# small WAL segments, so that a slot is lost early
my ($source, $warehouse) = source_and_warehouse(
	initdb => ['--wal-segsize=1'],
	source => "min_wal_size = 2MB\nmax_wal_size = 4MB\n");

my $result;
my $slots = q{SELECT count(*) FROM pg_replication_slots WHERE NOT temporary};
my $active = q{SELECT count(*) FROM pg_replication_slots WHERE active};

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub at_warehouse
{
	return $warehouse->safe_psql('postgres', join(';', @_));
}

sub change
{
	my ($text) = @_;

	at_source("UPDATE a SET t = '$text ' || id", "INSERT INTO b SELECT max(id) + 1, '$text' FROM b");
	return;
}

# The loads have state needs_resync, nothing was applied, and resyncs make everything exact again.
sub refused_and_cured
{
	my ($name, $reason) = @_;
	my $before = rows_of($warehouse, 'SELECT * FROM raw.a');
	my $said = is_status($warehouse, 'raw.a', 'failed', $name);

	like($said, $reason, "$name: reason");
	is(state_of($warehouse, 'raw.a'), 'needs_resync', "$name: state of the load");
	is(state_of($warehouse, 'raw.b'), 'needs_resync', "$name: and of the others of that server");
	is(rows_of($warehouse, 'SELECT * FROM raw.a'), $before, "$name: the target is as it was");
	like(
		at_warehouse(q{SELECT next FROM depipe.status WHERE target = 'raw.a'}),
		qr/depipe\.resync/, "$name: status says what to type");
	is_status($warehouse, 'raw.a', 'failed', "$name, once more");
	at_warehouse(q{SELECT depipe.resync('raw.a')}, q{SELECT depipe.resync('raw.b')});
	change("$name resync");
	is(statuses($warehouse, 'raw.*'), 'raw.a=succeeded raw.b=succeeded', "$name, resync");
	change("$name after");
	is_status($warehouse, 'raw.a', 'succeeded', "$name, after");
	is_same($source, $warehouse, $_, $name) foreach qw(a b);
	is_value($source, $slots, 1, "$name: one slot");
	is_value($warehouse, q{SELECT string_agg(DISTINCT state, ' ') FROM depipe.loads},
		'streaming', "$name: streaming again");
	return;
}

# ---- a first run that is rolled back leaves a slot; the next one sweeps it

make_table($source, $warehouse, 'a', 'id int PRIMARY KEY, t text');
make_table($source, $warehouse, 'b', 'id int PRIMARY KEY, t text');
at_source(q{INSERT INTO a SELECT n, 'v' FROM generate_series(1, 100) n}, q{INSERT INTO b VALUES (0, 'b')});
at_warehouse(q{BEGIN; SELECT * FROM depipe.refresh('raw.*'); ROLLBACK});
is_value($warehouse, q{SELECT to_regclass('raw.a') IS NULL}, 't', 'rolled back: no table');
wait_until($source, "SELECT ($active) = 0", 'rolled back: no slot in use');
is(statuses($warehouse, 'raw.*'), 'raw.a=succeeded raw.b=succeeded', 'the next run copies');
is_value($source, $slots, 1, 'and has swept the orphan');
is_same($source, $warehouse, $_, 'first copy') foreach qw(a b);

# ---- errors in the middle of a run

my $session = $warehouse->background_psql('postgres', on_error_stop => 0);
my $blocker = $warehouse->background_psql('postgres', on_error_stop => 0);
change('held');
session_ok($blocker, 'BEGIN; LOCK TABLE raw.a IN ACCESS EXCLUSIVE MODE');
session_ok($session, q{SET statement_timeout = '1s'});
my ($output, $errors) = session_sql($session, q{SELECT status FROM depipe.refresh('raw.a')});
if ($errors ne '')
{
	like($errors, qr/statement timeout/, 'a run that cannot have its table times out');
}
else
{
	like($output, qr/skipped|failed/, 'a run that cannot have its table says so');
}
wait_until($source, "SELECT ($active) = 0", 'after an error the slot is not in use');
session_ok($blocker, 'ROLLBACK');
session_ok($session, 'RESET statement_timeout');
is(session_ok($session, q{SELECT status FROM depipe.refresh('raw.a')}),
	'succeeded', 'the same session goes on');
is_same($source, $warehouse, $_, 'after an error') foreach qw(a b);

# an error of the caller's after the run, and a savepoint around it
change('lost by the caller');
session_sql($session,
	q{BEGIN; SAVEPOINT s; SELECT status FROM depipe.refresh('raw.*'); ROLLBACK TO s; SELECT 1/0; COMMIT});
wait_until($source, "SELECT ($active) = 0", 'after a rollback the slot is not in use');
is_same($source, $warehouse, 'a', 'rolled back', target => q{SELECT id, replace(t, 'held', 'lost by the caller') AS t FROM raw.a});
is(session_ok($session, q{SELECT status FROM depipe.refresh('raw.a')}),
	'succeeded', 'what was rolled back comes again');
is_same($source, $warehouse, $_, 'after a rollback') foreach qw(a b);

# a canceled first copy: nothing of it stays, and another server's slot is untouched
add_server($source, $warehouse, 'other');
make_table($source, $warehouse, 'big', 'id int PRIMARY KEY, t text', server => 'other');
at_source(q{INSERT INTO big SELECT n, 'v' FROM generate_series(1, 1000) n});
my $holder = $source->background_psql('postgres', on_error_stop => 0);
session_ok($holder, 'BEGIN; LOCK TABLE big IN ACCESS EXCLUSIVE MODE');
session_ok($session, q{SET statement_timeout = '1s'});
($output, $errors) = session_sql($session, q{SELECT status FROM depipe.refresh('raw.big')});
like($errors, qr/statement timeout/, 'a copy that waits can be cancelled')
  || diag($output);
session_ok($holder, 'ROLLBACK');
wait_until($source, "SELECT ($active) = 0", 'and leaves no slot in use');
session_ok($session, 'RESET statement_timeout');
is(session_ok($session, q{SELECT status FROM depipe.refresh('raw.big')}),
	'succeeded', 'the copy is made by the next run');
is_same($source, $warehouse, 'big', 'copy after a cancelled one');
is_value($source, $slots, 2, 'a slot for each server');

# two runs at once: the second does not queue
session_ok($session, q{BEGIN; SELECT status FROM depipe.refresh('raw.b')});
change('at once');
is_status($warehouse, 'raw.a', 'skipped', 'another run holds the stream');
session_ok($session, 'COMMIT');
is_status($warehouse, 'raw.a', 'succeeded', 'and when it is over');
is_same($source, $warehouse, $_, 'after two at once') foreach qw(a b);

# ---- the last load of a server takes slot and publication with it

fails_like($warehouse, 'DROP SERVER other', '2BP01', qr/raw\.big|depend/, 'a server with a load');
at_warehouse(q{SELECT depipe.drop_load('raw.big')});
is_value($source, $slots, 1, 'the slot of a server without loads is gone');
is_value($source, q{SELECT count(*) FROM pg_publication WHERE pubname LIKE '%other%'},
	0, 'and its publication');
at_warehouse('DROP SERVER other CASCADE');
is_value($warehouse, 'SELECT count(*) FROM raw.big', 1000, 'the table stays');

# ---- source down and back

change('before');
is_status($warehouse, 'raw.a', 'succeeded', 'before the source goes');
$source->stop('fast');
my $reason = is_status($warehouse, 'raw.a', 'failed', 'source down');
isnt($reason, '', 'source down: there is a reason');
is(state_of($warehouse, 'raw.a'), 'streaming', 'source down: the load is still right');
fails_like($warehouse, q{CALL depipe.run('raw.a')}, '08001', qr/could not|failed/, 'source down, run');
like(
	$warehouse->safe_psql('postgres',
		q{SELECT string_agg(error_sqlstate, ' ') FROM depipe.runs WHERE status = 'failed'
		AND target = 'raw.a' AND error_sqlstate LIKE '08%'}),
	qr/08/, 'source down: the runs say so');
$source->start;
change('back');
is_status($warehouse, 'raw.a', 'succeeded', 'source back');
is_same($source, $warehouse, $_, 'source back') foreach qw(a b);

# a slot in use by another session
my $slot = at_source('SELECT slot_name FROM pg_replication_slots WHERE NOT temporary');

# ---- slot dropped

at_source("SELECT pg_drop_replication_slot('$slot')");
change('unseen');
refused_and_cured('slot dropped', qr/slot/);

# ---- slot ahead of progress

$slot = at_source('SELECT slot_name FROM pg_replication_slots WHERE NOT temporary');
change('skipped');
at_source("SELECT pg_replication_slot_advance('$slot', pg_current_wal_lsn())");
refused_and_cured('slot ahead', qr/ahead|beyond|past|slot/);

# ---- publication dropped, and dropped and made again

my $publication = at_source('SELECT pubname FROM pg_publication');
change('not published');
at_source(qq{DROP PUBLICATION "$publication"});
change('not published either');
refused_and_cured('publication dropped', qr/publication/);

$publication = at_source('SELECT pubname FROM pg_publication');
my $definition = at_source('SELECT string_agg(format($$%I.%I$$, schemaname, tablename), $$, $$)'
	  . ' FROM pg_publication_tables');
change('before it is made again');
at_source(qq{DROP PUBLICATION "$publication"},
	'INSERT INTO a VALUES (1000, $$between$$)',
	qq{CREATE PUBLICATION "$publication" FOR TABLE $definition});
change('after it was made again');
refused_and_cured('publication made again', qr/publication/);

# a table manually removed from the publication
$publication = at_source('SELECT pubname FROM pg_publication');
at_source(qq{ALTER PUBLICATION "$publication" DROP TABLE a});
change('a is out');
$result = refresh($warehouse, 'raw.*');
is($result->{'raw.a'}{status}, 'failed', 'a table out of the publication: failed');
is(state_of($warehouse, 'raw.a'), 'needs_resync', 'a table out of the publication: needs_resync');
is($result->{'raw.b'}{status}, 'succeeded', 'a table out of the publication: the others go on');
at_warehouse(q{SELECT depipe.resync('raw.a')});
ok(converge($warehouse, 'raw.*'), 'a table out of the publication: converges');
is_same($source, $warehouse, $_, 'a table out of the publication') foreach qw(a b);

# ---- slot lost

at_source(q{ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'}, 'SELECT pg_reload_conf()');
change('lost');
for my $attempt (1 .. 20)
{
	at_source(q{SELECT pg_logical_emit_message(false, 'x', repeat('x', 100000)) FROM generate_series(1, 40)},
		'SELECT pg_switch_wal()') ;
	at_source('CHECKPOINT');
	last if at_source('SELECT wal_status FROM pg_replication_slots') eq 'lost';
}
is_value($source, 'SELECT wal_status FROM pg_replication_slots', 'lost', 'the slot is lost');
at_source(q{ALTER SYSTEM RESET max_slot_wal_keep_size}, 'SELECT pg_reload_conf()');
refused_and_cured('slot lost', qr/slot/);

# ---- detach, and the end

at_warehouse(q{SELECT depipe.detach_source('shop')});
is_value($source, $slots, 0, 'detached: no slot');
is_value($source, 'SELECT count(*) FROM pg_publication', 0, 'detached: no publication');
is(state_of($warehouse, 'raw.a'), 'detached', 'detached: state');
at_warehouse(q{SELECT depipe.adopt('shop')});
change('attached');
is(statuses($warehouse, 'raw.*'), 'raw.a=succeeded raw.b=succeeded', 'attached again');
is_same($source, $warehouse, $_, 'attached again') foreach qw(a b);

# the source is unavailable when the last load is dropped: a message names the remaining objects
at_warehouse(q{SELECT depipe.drop_load('raw.b')});
is_value($source, $slots, 1, 'one of two loads dropped: the slot stays');
$source->stop('fast');
my ($rc, $stdout, $stderr) = $warehouse->psql('postgres', q{SELECT depipe.drop_load('raw.a')});
is($rc, 0, 'the last load can be dropped while the source is down');
like($stderr, qr/(WARNING|NOTICE).*slot/s, 'and what is left there is named');
$source->start;

$session->quit;
$blocker->quit;
$holder->quit;
done_testing();
