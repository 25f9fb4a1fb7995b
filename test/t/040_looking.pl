# Observing running workers: the progress of a copy, the reason of a wait, waiting for it, each
# change of a state reported once, and log lines that can be parsed.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use DepipeTest;
use Test::More;

my ($source, $warehouse) = source_and_warehouse(
	warehouse => q{
shared_preload_libraries = 'depipe'
depipe.naptime = 100ms
});

sub at_warehouse
{
	my (@statements) = @_;
	my $result = '';

	$result = $warehouse->safe_psql('postgres', $_) foreach @statements;
	return $result;
}

# A session whose statement runs in the background: output and errors come at its end.
sub start_statement
{
	my ($sql) = @_;
	my ($stdout, $stderr) = ('', '');
	my $process = IPC::Run::start([ 'psql', '-XAtq', '-d', $warehouse->connstr('postgres'), '-v', 'VERBOSITY=verbose', '-c', $sql ],
		'>', \$stdout, '2>', \$stderr);

	return { process => $process, stdout => \$stdout, stderr => \$stderr };
}

sub end_of
{
	my ($statement) = @_;

	$statement->{process}->finish;
	return ${ $statement->{stdout} } . ${ $statement->{stderr} };
}

# ---- a copy that stops in its middle

at_warehouse('CREATE ROLE stranger LOGIN',
	q{CREATE FUNCTION public.passes(int) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		IF $1 = 500 THEN
			PERFORM pg_catalog.pg_advisory_xact_lock_shared(1);
		END IF;
		RETURN true;
	END $$},
	'CREATE DOMAIN public.slow AS int CHECK (public.passes(VALUE))',
	'CREATE TABLE raw.big (id int PRIMARY KEY, n public.slow)');
my $holder = $warehouse->background_psql('postgres');
session_ok($holder, 'SELECT pg_advisory_lock(1)');
$source->safe_psql('postgres', 'CREATE TABLE big (id int PRIMARY KEY, n int)');
$source->safe_psql('postgres', 'INSERT INTO big SELECT i, i FROM generate_series(1, 1000) i');
$source->safe_psql('postgres', 'ANALYZE big');
at_warehouse(q{SELECT depipe.create_load('raw.big', server => 'shop', source => 'public.big')});
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'depipe%' AND wait_event = 'advisory')},
	'the copy waits at row 500');
is_value($warehouse, q{SELECT state, rows_copied, rows_estimated FROM depipe.loads WHERE target = 'raw.big'},
	'copying|400|1000', 'progress of the copy: loads');
is_value($warehouse, q{SELECT phase, rows_copied, rows_estimated FROM depipe.stat_streams}, 'copying|400|1000', 'and its stream');
is_value($warehouse, q{SELECT state, reason FROM depipe.status WHERE target = 'raw.big'}, 'copying|400 of about 1000 rows copied', 'and status');
is_value($warehouse, q{SELECT command, tuples_processed, relid = 'raw.big'::regclass FROM pg_stat_progress_copy}, 'COPY FROM|400|t',
	q{and the server's own view});
is_value($warehouse, q{SET ROLE stranger; SELECT count(*) FROM depipe.copies()}, '0', 'a stranger sees nothing of it');

# ---- waiting for it

my $cancelled = start_statement(q{CALL depipe.wait('raw.big', timeout => '1 hour')});
my $patient = start_statement(q{CALL depipe.wait('raw.*', timeout => '1 hour')});
my $impatient = start_statement(q{CALL depipe.wait('raw.*', timeout => '50 ms')});
like(end_of($impatient), qr/57014: timeout: raw\.big is not streaming yet.*raw\.big is copying: 400 of about 1000/s, 'a timeout names what is not there');
wait_until($warehouse, q{SELECT count(*) = 2 FROM pg_stat_activity WHERE query LIKE 'CALL depipe.wait%' AND state = 'active' AND backend_xmin IS NULL AND backend_xid IS NULL},
	'waiting holds no snapshot');
at_warehouse(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL depipe.wait(''raw.big''%'});
like(end_of($cancelled), qr/57014: canceling statement/, 'waiting can be cancelled');
session_ok($holder, 'SELECT pg_advisory_unlock_all()');
is(end_of($patient), '', 'waiting ends when the copy does');
is_value($warehouse, q{SELECT state, rows_copied, rows_estimated FROM depipe.loads WHERE target = 'raw.big'}, 'streaming|1000|',
	'the copy is done');
is_value($warehouse, 'SELECT count(*) FROM pg_stat_progress_copy', 0, 'and reports nothing any more');
$holder->quit;

# ---- a source that is down

at_warehouse('CREATE SCHEMA mart',
	q{SELECT depipe.create_transform('mart.total', 'SELECT sum(n) AS total FROM raw.big', target_lag => '1 second')});
$source->stop('fast');
wait_until($warehouse, q{SELECT state = 'failed' AND reason ~ 'tried \d+ times, next try at 2' FROM depipe.status WHERE target = 'raw.big'},
	'a source that is down: how often it was tried');
is_value($warehouse, q{SELECT next FROM depipe.status WHERE target = 'raw.big'}, q{SELECT * FROM depipe.check_source('shop')}, 'what to type');
is_value($warehouse, 'SELECT target FROM depipe.status LIMIT 1', 'raw.big', 'the cause stands first');
is_value($warehouse, q{SELECT m.phase, s.reason LIKE m.reason || '%' FROM depipe.stat_streams m, depipe.status s WHERE s.target = 'raw.big'},
	'failed|t', 'and the view of streams says the same');
is_value($warehouse, q{SELECT string_agg(target || ' ' || state, ', ' ORDER BY depth) FROM depipe.why('mart.total')},
	'mart.total ok, raw.big failed', 'why leads to it');
my $as_of = at_warehouse(q{SELECT depipe.as_of('raw.big')});
wait_until($warehouse, q{SELECT lag > '2 seconds' FROM depipe.status WHERE target = 'raw.big'}, 'its lag grows');
is_value($warehouse, q{SELECT depipe.as_of('raw.big')}, $as_of, 'it is as of when the source was last seen');
$source->start;
at_warehouse(q{CALL depipe.wait()});
wait_until($warehouse, "SELECT depipe.as_of('mart.total') > '$as_of'", 'and goes on');
wait_until($warehouse, q{SELECT phase = 'streaming' AND reason IS NULL FROM depipe.stat_streams}, 'the view of streams says so');

# ---- each change of a state is told once

my $listener = $warehouse->background_psql('postgres');
session_ok($listener, 'LISTEN depipe');
my $before = at_warehouse('SELECT max(event_id) FROM depipe.events');
at_warehouse(
	q{SELECT depipe.pause('because', 'raw.big')}, q{SELECT depipe.pause('because', 'raw.big')},
	q{SELECT depipe.resume('raw.big')}, q{SELECT depipe.resume('raw.big')},
	q{SELECT depipe.trip('raw.big', 'because')}, q{SELECT depipe.trip('raw.big', 'because')},
	q{SELECT depipe.override('raw.big', 'because', now() + interval '1 hour')},
	q{SELECT depipe.reset('raw.big', 'because')});
wait_until($warehouse, q{SELECT state = 'closed' FROM depipe.breakers WHERE target = 'raw.big'}, 'the probe closes the breaker');
at_warehouse(
	q{SELECT depipe.add_constraint('raw.big', depipe.satisfies('n < 2000'), name => 'small', on_violation => 'quarantine')});
$source->safe_psql('postgres', 'INSERT INTO big VALUES (2001, 2001), (2002, 2002)');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM depipe.incidents WHERE state = 'open')}, 'an incident opens');
$source->safe_psql('postgres', 'DELETE FROM big WHERE id > 2000');
wait_until($warehouse, q{SELECT EXISTS (SELECT FROM depipe.incidents WHERE state = 'closed')}, 'and closes');
at_warehouse(q{CALL depipe.wait('raw.big')}, q{SELECT depipe.resync('raw.big')});
wait_until($warehouse, q{SELECT count(*) = 2 FROM depipe.events WHERE event_id > } . $before . q{ AND event = 'load' AND state IN ('copying', 'streaming')}, 'a resync');
at_warehouse(q{CALL depipe.wait('raw.big')});
is_value($warehouse, qq{SELECT string_agg(event || ' ' || state, ', ' ORDER BY event_id) FROM depipe.events WHERE target = 'raw.big' AND event_id > $before},
	'pause paused, pause resumed, breaker forced_open, breaker disabled, breaker half_open, breaker closed, '
	  . 'incident open, incident closed, load new, load copying, load streaming',
	'each change is one event');
my $output = session_ok($listener, 'SELECT 1');
my @payloads = $output =~ /Asynchronous notification "depipe" with payload "(.*?)" received/g;
my %told;
$told{$_}++ foreach @payloads;
is(scalar(grep { $_ > 1 } values %told), 0, 'nothing is told twice');
cmp_ok(scalar(@payloads), '>=', 11, 'the doorbell rings');
is(scalar(grep { /big|raw|because|small|2001/ } @payloads), 0, 'and tells no names, no reasons, no values');
like($payloads[0], qr/^\{"event": "pause", "state": "paused", "event_id": \d+, "target_id": \d+\}$/, 'but which event it is');
$listener->quit;

# a stream, and dropped objects
is_value($warehouse, q{SELECT DISTINCT state, server FROM depipe.events WHERE event = 'stream'}, 'streaming|shop', 'a stream has events, too');
at_warehouse(q{SELECT depipe.drop_transform('mart.total')}, q{SELECT depipe.drop_load('raw.big')});
is_value($warehouse, q{SELECT target, state FROM depipe.events WHERE event = 'load' ORDER BY event_id DESC LIMIT 1}, 'raw.big|dropped',
	'a monitor sees events of what is dropped');
is_value($warehouse, q{SELECT state, server FROM depipe.events WHERE event = 'stream' ORDER BY event_id DESC LIMIT 1}, 'removed|shop',
	'the stream is removed');
is_value($warehouse, 'SET ROLE stranger; SELECT count(*) FROM depipe.events', 0, 'a stranger sees none');

# ---- lines of the log

at_warehouse(q{SELECT depipe.create_transform(E'mart."a b=\"\" \n\\\\"', 'SELECT 1 AS one')} =~ s/\\"\\"/""/r);
my $log = PostgreSQL::Test::Utils::slurp_file($warehouse->logfile);
like($log, qr/depipe: run=\d+ target="mart\.\\"a b=\\"\\" \\n\\\\\\"" status=succeeded strategy=full /, 'a name in a line of the log is quoted');

done_testing();
