/*
 * depipe: in-database ELT with quality gates.
 *
 * The complete script of the current version.  Sections:
 *
 *		1. schema, roles
 *		2. definitions (dumped)
 *		3. state (never dumped)
 *		4. checks: the vocabulary of constraints
 *		5. sources and loads
 *		6. transforms
 *		7. constraints and breakers
 *		8. running
 *		9. looking
 *		10. rights
 *		11. statistics
 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION depipe" to load this file. \quit

SET LOCAL search_path TO pg_catalog, pg_temp;

-- ---------------------------------------------------------------------
-- 1. schema, roles
-- ---------------------------------------------------------------------

CREATE SCHEMA depipe;
COMMENT ON SCHEMA depipe IS 'depipe: loads, transforms, constraints and circuit breakers';

-- Roles belong to the cluster: another database may have made it already, and
-- DROP EXTENSION leaves it.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) 'depipe_operator') THEN
		CREATE ROLE depipe_operator NOLOGIN;
	END IF;
END
$$;

-- ---------------------------------------------------------------------
-- 2. definitions (dumped)
-- ---------------------------------------------------------------------

-- A role by OID, dumped by name.  A dropped role is '-', and a dump that names a
-- missing role can be restored: regrole offers neither.
CREATE TYPE depipe.role;

CREATE FUNCTION depipe.role_in(cstring)
RETURNS depipe.role
LANGUAGE C STABLE STRICT
AS 'MODULE_PATHNAME', 'depipe_role_in';
COMMENT ON FUNCTION depipe.role_in(cstring) IS 'input function: takes the name of a role; a missing role becomes -, with a warning';

CREATE FUNCTION depipe.role_out(depipe.role)
RETURNS cstring
LANGUAGE C STABLE STRICT
AS 'MODULE_PATHNAME', 'depipe_role_out';
COMMENT ON FUNCTION depipe.role_out(depipe.role) IS 'output function: the name of a role, quoted where necessary; - for a dropped role';

CREATE TYPE depipe.role (INPUT = depipe.role_in, OUTPUT = depipe.role_out, LIKE = pg_catalog.oid);
COMMENT ON TYPE depipe.role IS 'a role; - stands for a dropped role';

CREATE CAST (depipe.role AS oid) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (oid AS depipe.role) WITHOUT FUNCTION AS ASSIGNMENT;

-- Settings that a definition records from the session that makes it: its meaning depends on them.
CREATE FUNCTION depipe.session_settings()
RETURNS text[]
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_session_settings';
COMMENT ON FUNCTION depipe.session_settings() IS
'settings of this session that affect the meaning of a definition and differ from depipe''s base values';

CREATE SEQUENCE depipe.target_id_seq AS integer;

-- settings: those of the session that made the load or transform, which is
-- evaluated under them, whoever runs it.  For a load with texts, the last one is
-- the search_path under which they are analysed (core/path.c).  The default is for
-- rows of a dump from before the column existed.
CREATE TABLE depipe.target (
	target_id integer NOT NULL DEFAULT nextval('depipe.target_id_seq'::regclass),
	schema_name name NOT NULL,
	table_name name NOT NULL,
	kind "char" NOT NULL,
	owner regrole NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	settings text[] NOT NULL DEFAULT depipe.session_settings(),
	protected boolean NOT NULL DEFAULT false,
	CONSTRAINT target_pkey PRIMARY KEY (target_id),
	CONSTRAINT target_name_key UNIQUE (schema_name, table_name),
	CONSTRAINT target_kind_check CHECK (kind IN ('t', 'l', 'f'))
);
-- a separate statement, because an upgrade copies it
ALTER TABLE depipe.target ALTER COLUMN owner TYPE depipe.role USING owner::oid::depipe.role;
COMMENT ON TABLE depipe.target IS 'tables known to depipe: maintained by a load (l) or a transform (f), or with constraints only (t)';

-- server_name: NULL if the source is in this database.
CREATE TABLE depipe.load (
	target_id integer NOT NULL,
	server_name name,
	source_schema name NOT NULL,
	source_table name NOT NULL,
	mode text NOT NULL,
	key_columns text[],
	columns jsonb,
	row_filter text,
	schema_change text NOT NULL DEFAULT 'safe',
	new_columns text NOT NULL DEFAULT 'load',
	on_truncate text NOT NULL DEFAULT 'apply',
	target_lag interval NOT NULL DEFAULT '1 second',
	history text NOT NULL DEFAULT 'none',
	CONSTRAINT load_pkey PRIMARY KEY (target_id),
	CONSTRAINT load_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);
COMMENT ON TABLE depipe.load IS 'definitions of loads';

CREATE TABLE depipe.transform (
	target_id integer NOT NULL,
	query_text text NOT NULL,
	query_sql text NOT NULL,
	key_columns text[],
	mode text NOT NULL DEFAULT 'auto',
	target_lag interval,
	on_incomplete text NOT NULL DEFAULT 'publish',
	on_stale text NOT NULL DEFAULT 'publish',
	CONSTRAINT transform_pkey PRIMARY KEY (target_id),
	CONSTRAINT transform_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);
COMMENT ON TABLE depipe.transform IS 'definitions of transforms: the query as written and as analysed';

CREATE TABLE depipe.transform_input (
	target_id integer NOT NULL,
	schema_name name NOT NULL,
	table_name name NOT NULL,
	direct boolean NOT NULL DEFAULT true,
	CONSTRAINT transform_input_pkey PRIMARY KEY (target_id, schema_name, table_name),
	CONSTRAINT transform_input_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.transform ON DELETE CASCADE
);
COMMENT ON TABLE depipe.transform_input IS 'tables that the query of a transform reads: directly, through a view, or as a partition';

CREATE SEQUENCE depipe.constraint_id_seq AS integer;

-- rule is in canonical form; expression to column_types are its analysed form, made
-- for columns of these types (NULL while the table does not exist), under the
-- search_path and settings of the session that declared it.
-- origin is the contract that declared it; NULL: declared by hand.
CREATE TABLE depipe.constraint_definition (
	constraint_id integer NOT NULL DEFAULT nextval('depipe.constraint_id_seq'::regclass),
	target_id integer NOT NULL,
	name name NOT NULL,
	rule jsonb NOT NULL,
	search_path text NOT NULL,
	expression text,
	metric text,
	is_aggregate boolean NOT NULL DEFAULT false,
	is_late boolean NOT NULL DEFAULT false,
	filter text,
	filter_expression text,
	columns text[],
	column_types text[],
	reference_schema name,
	reference_table name,
	on_violation text NOT NULL,
	warn_if text,
	fail_if text,
	scope text NOT NULL DEFAULT 'table',
	min_rows bigint NOT NULL DEFAULT 1000,
	on_null text NOT NULL DEFAULT 'pass',
	on_no_data text NOT NULL DEFAULT 'not_evaluated',
	on_error text NOT NULL DEFAULT 'fail',
	grace interval NOT NULL DEFAULT '0',
	existing text NOT NULL DEFAULT 'baseline',
	enforce_from timestamptz,
	check_every interval NOT NULL DEFAULT '1 minute',
	owner text,
	description text,
	created_at timestamptz NOT NULL DEFAULT now(),
	settings text[] NOT NULL DEFAULT depipe.session_settings(),
	origin text,
	CONSTRAINT constraint_definition_pkey PRIMARY KEY (constraint_id),
	CONSTRAINT constraint_definition_name_key UNIQUE (target_id, name),
	CONSTRAINT constraint_definition_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);
CREATE INDEX constraint_definition_reference_idx ON depipe.constraint_definition (reference_schema, reference_table);
COMMENT ON TABLE depipe.constraint_definition IS 'constraints: each rule with its analysed form, and its policies';

CREATE TABLE depipe.breaker_setting (
	target_id integer NOT NULL,
	mode text NOT NULL DEFAULT 'normal',
	on_open text NOT NULL DEFAULT 'serve_last_good',
	bad_runs integer NOT NULL DEFAULT 1,
	of_runs integer NOT NULL DEFAULT 1,
	close_after integer NOT NULL DEFAULT 1,
	retry_wait interval NOT NULL DEFAULT '1 minute',
	max_wait interval NOT NULL DEFAULT '1 hour',
	probe_timeout interval NOT NULL DEFAULT '10 minutes',
	sustain interval NOT NULL DEFAULT '0',
	CONSTRAINT breaker_setting_pkey PRIMARY KEY (target_id),
	CONSTRAINT breaker_setting_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);
COMMENT ON TABLE depipe.breaker_setting IS 'settings of breakers that differ from the defaults';

SELECT pg_catalog.pg_extension_config_dump('depipe.target', '');
SELECT pg_catalog.pg_extension_config_dump('depipe.target_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('depipe.load', '');
SELECT pg_catalog.pg_extension_config_dump('depipe.transform', '');
SELECT pg_catalog.pg_extension_config_dump('depipe.transform_input', '');
SELECT pg_catalog.pg_extension_config_dump('depipe.constraint_definition', '');
SELECT pg_catalog.pg_extension_config_dump('depipe.constraint_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('depipe.breaker_setting', '');

-- ---------------------------------------------------------------------
-- 3. state (never dumped: it means nothing elsewhere)
-- ---------------------------------------------------------------------

-- Texts of keys and names of columns can be longer than an index entry.
CREATE FUNCTION depipe.key_hash(key text[])
RETURNS bytea
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'depipe_key_hash';
COMMENT ON FUNCTION depipe.key_hash(text[]) IS 'SHA-256 of a key, which represents the key in the indexes of depipe';

-- relid is the table that a target was last bound to: through it a rename is
-- followed when no table of the old name is left.  owner_problem is the last
-- result of depipe.owner_problem: changes of roles and of their rights send no
-- notice.  parked, quarantined, retries and discarded count rows of parked_item and
-- quarantined_row; triggers maintain them.
CREATE TABLE depipe.target_state (
	target_id integer NOT NULL,
	relid oid,
	paused boolean NOT NULL DEFAULT false,
	pause_reason text,
	paused_until timestamptz,
	paused_at timestamptz,
	data_as_of timestamptz,
	owner_problem text,
	owner_problem_since timestamptz,
	parked bigint NOT NULL DEFAULT 0,
	quarantined bigint NOT NULL DEFAULT 0,
	retries bigint NOT NULL DEFAULT 0,
	discarded bigint NOT NULL DEFAULT 0,
	CONSTRAINT target_state_pkey PRIMARY KEY (target_id),
	CONSTRAINT target_state_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);

CREATE FUNCTION depipe.row_image(record)
RETURNS bytea
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'depipe_row_image';
COMMENT ON FUNCTION depipe.row_image(record) IS
'the bytes of the values of a row: identical for two rows if and only if the operator *= finds them equal';

CREATE FUNCTION depipe.row_hash(record)
RETURNS bigint
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'depipe_row_hash';
COMMENT ON FUNCTION depipe.row_hash(record) IS
'a hash of row_image: indexes on it find the rows of a table without a key';

CREATE FUNCTION depipe.local_identity(OUT system_identifier text, OUT database_oid oid,
	OUT data_directory bigint, OUT timeline integer)
RETURNS record
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_local_identity';
COMMENT ON FUNCTION depipe.local_identity() IS
'the identity of this database, which differs in a copy of it; timeline is 0 on a standby';

-- One row: the database that made the streams below.  A copy of it has another
-- identity, and leaves the streams to the original.
CREATE TABLE depipe.instance (
	instance_id uuid NOT NULL DEFAULT gen_random_uuid(),
	system_identifier text NOT NULL,
	database_oid oid NOT NULL,
	data_directory bigint NOT NULL,
	timeline integer NOT NULL,
	CONSTRAINT instance_pkey PRIMARY KEY (instance_id)
);
COMMENT ON TABLE depipe.instance IS 'the identity of the database that made the streams; depipe.adopt gives a copy its own';

INSERT INTO depipe.instance (system_identifier, database_oid, data_directory, timeline)
SELECT i.system_identifier, i.database_oid, i.data_directory, i.timeline
FROM depipe.local_identity() i;

-- One row per server: the slot, and the position through which its stream has been applied.
-- commit_*: the last transaction of the stream, which a restarted source must still have.
CREATE TABLE depipe.stream (
	server_name name NOT NULL,
	server_oid oid,
	slot_name name NOT NULL,
	slot_incarnation bigint NOT NULL DEFAULT 1,
	publication name NOT NULL,
	publication_oid oid,
	publication_managed boolean NOT NULL,
	system_identifier text,
	timeline integer,
	instance_id uuid,
	applied_lsn pg_lsn,
	commit_time timestamptz,
	commit_lsn pg_lsn,
	commit_end pg_lsn,
	commit_xid bigint,
	source_started timestamptz,
	batch_number bigint NOT NULL DEFAULT 0,
	state text NOT NULL DEFAULT 'new',
	reason text,
	received_lsn pg_lsn,
	source_lsn pg_lsn,
	retained_bytes bigint,
	safe_wal_size bigint,
	checked_at timestamptz,
	CONSTRAINT stream_pkey PRIMARY KEY (server_name)
);
COMMENT ON TABLE depipe.stream IS 'progress of the stream of each server, written in the transaction of the data';

-- applied_lsn: the position of the copy, then that of the last batch; changes of
-- transactions that committed before it are in the table (or parked).
-- published_as and source_leaves: the entry of the source table in the publication,
-- and its partitions, since the copy (load/basis.c).
-- settled_texts: filter and expressions with their names resolved (load/settled.c).
CREATE TABLE depipe.load_state (
	target_id integer NOT NULL,
	state text NOT NULL DEFAULT 'new',
	reason text,
	hint text,
	since timestamptz NOT NULL DEFAULT now(),
	server_oid oid,
	applied_lsn pg_lsn,
	source_relid oid,
	source_columns jsonb,
	key_columns text[],
	made_table boolean NOT NULL DEFAULT false,
	rows_copied bigint,
	published_as text,
	source_leaves text[],
	settled_texts text[],
	CONSTRAINT load_state_pkey PRIMARY KEY (target_id),
	CONSTRAINT load_state_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);

-- rebuild: the rows of the table belong to another definition, or have no key yet.
-- query_tree is the analysed query as of its last analysis, written by the
-- server version tree_version: it lets the text follow a rename.
-- The frontier marks the changes of the inputs that the transform has taken in: those that
-- frontier_snapshot sees, and of the transaction frontier_xid, which took it, those up to
-- frontier_sequence.  It has no meaning outside this system and database.
-- frontier_captures has the incarnations of the captures that had all changes of their inputs then;
-- frontier_query and frontier_table are hashes of the query, and of the table and its guard: as soon
-- as one differs, the changes of the inputs do not tell what is missing.  frontier_hidden tells which
-- numbers group_state has as of this frontier; 0: none.
-- frontier_time is now() as the query was evaluated with it.
CREATE TABLE depipe.transform_state (
	target_id integer NOT NULL,
	populated boolean NOT NULL DEFAULT false,
	state text NOT NULL DEFAULT 'new',
	reason text,
	since timestamptz NOT NULL DEFAULT now(),
	made_table boolean NOT NULL DEFAULT false,
	rebuild boolean NOT NULL DEFAULT false,
	query_tree text,
	tree_version integer,
	input_relids oid[],
	inputs_seen text,
	frontier_system text,
	frontier_database oid,
	frontier_snapshot pg_snapshot,
	frontier_xid xid8,
	frontier_sequence bigint,
	frontier_captures bigint[],
	frontier_query bigint,
	frontier_table bigint,
	frontier_time timestamptz,
	frontier_hidden bigint NOT NULL DEFAULT 0,
	CONSTRAINT transform_state_pkey PRIMARY KEY (target_id),
	CONSTRAINT transform_state_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);

-- Numbers of the groups of a transform that its table does not have.  key is the image of a group,
-- numbers are the bytes of a row.  The row with an empty key tells that they are there.
CREATE UNLOGGED TABLE depipe.group_state (
	target_id integer NOT NULL,
	hash bigint NOT NULL,
	key bytea NOT NULL,
	numbers bytea NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX group_state_hash ON depipe.group_state (target_id, hash);

-- Inputs whose changes are captured.  The changes are in the tables segment_1 and segment_2, which
-- are members of the extension; writers write to the current one.  columns, members, files and
-- triggers describe the input as of when this incarnation of the capture began: as soon as they
-- differ, changes may be missing.  reason: why the incarnation before ended.  reads: the columns that
-- are captured, NULL: all; what differs in others only is no change.  Within an incarnation columns are
-- added, unless some have been taken away (shrunk).
CREATE SEQUENCE depipe.capture_id_seq;
CREATE TABLE depipe.capture (
	capture_id bigint NOT NULL DEFAULT pg_catalog.nextval('depipe.capture_id_seq'),
	relid oid NOT NULL,
	incarnation bigint NOT NULL DEFAULT pg_catalog.nextval('depipe.capture_id_seq'),
	since timestamptz NOT NULL DEFAULT pg_catalog.now(),
	since_xid xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
	reason text,
	segment_1 oid NOT NULL,
	segment_2 oid NOT NULL,
	current smallint NOT NULL DEFAULT 1,
	columns text NOT NULL,
	members text NOT NULL,
	files text NOT NULL,
	triggers text NOT NULL,
	reads text[],
	shrunk boolean NOT NULL DEFAULT false,
	CONSTRAINT capture_pkey PRIMARY KEY (capture_id),
	CONSTRAINT capture_relid_key UNIQUE (relid)
);

-- Tables with the triggers of a capture: the input itself, its partitions, its children.  The
-- library reads this table and the one above by the numbers of their columns.
CREATE TABLE depipe.capture_member (
	relid oid NOT NULL,
	capture_id bigint NOT NULL,
	CONSTRAINT capture_member_pkey PRIMARY KEY (relid),
	CONSTRAINT capture_member_capture_fkey FOREIGN KEY (capture_id) REFERENCES depipe.capture ON DELETE CASCADE
);

-- The transforms for which an input is captured, with the columns that they read (NULL: all).
CREATE TABLE depipe.capture_use (
	capture_id bigint NOT NULL,
	target_id integer NOT NULL,
	reads text[],
	CONSTRAINT capture_use_pkey PRIMARY KEY (capture_id, target_id),
	CONSTRAINT capture_use_capture_fkey FOREIGN KEY (capture_id) REFERENCES depipe.capture ON DELETE CASCADE,
	CONSTRAINT capture_use_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.transform ON DELETE CASCADE
);

-- Number of batches that depipe has written to a target: shows whether the inputs of a transform
-- have changed.
CREATE TABLE depipe.published (
	target_id integer NOT NULL,
	changes bigint NOT NULL,
	CONSTRAINT published_pkey PRIMARY KEY (target_id),
	CONSTRAINT published_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);

-- baseline: number of violations at the declaration of the constraint.
CREATE TABLE depipe.constraint_state (
	constraint_id integer NOT NULL,
	outcome text,
	outcome_since timestamptz,
	evaluated_at timestamptz,
	evaluated bigint,
	violations bigint,
	metric text,
	baseline bigint NOT NULL DEFAULT 0,
	would_have_blocked bigint NOT NULL DEFAULT 0,
	waived_until timestamptz,
	CONSTRAINT constraint_state_pkey PRIMARY KEY (constraint_id),
	CONSTRAINT constraint_state_constraint_fkey FOREIGN KEY (constraint_id)
		REFERENCES depipe.constraint_definition ON DELETE CASCADE
);

-- The last look at a constraint of a table that depipe does not maintain.  fingerprint: what the
-- constraint reads, as of its last evaluation; as long as it is the same, nothing is to be evaluated.
-- NULL: what it reads cannot be watched.
CREATE TABLE depipe.table_look (
	constraint_id integer NOT NULL,
	looked_at timestamptz NOT NULL,
	fingerprint text,
	CONSTRAINT table_look_pkey PRIMARY KEY (constraint_id),
	CONSTRAINT table_look_constraint_fkey FOREIGN KEY (constraint_id)
		REFERENCES depipe.constraint_definition ON DELETE CASCADE
);

-- Rows that no longer count as violations of a constraint, until they change: hashes of the
-- images of their keys and of the columns that the constraint reads (quality/accepted.c).
CREATE TABLE depipe.accepted_row (
	constraint_id integer NOT NULL,
	image bytea NOT NULL,
	CONSTRAINT accepted_row_pkey PRIMARY KEY (constraint_id, image),
	CONSTRAINT accepted_row_constraint_fkey FOREIGN KEY (constraint_id)
		REFERENCES depipe.constraint_definition ON DELETE CASCADE
);

-- What statements that write protected tables have found, until a verdict is made of it.  outcome,
-- action: their numbers in the library.
CREATE TABLE depipe.write_finding (
	finding_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
	target_id integer NOT NULL,
	constraint_id integer NOT NULL,
	outcome integer NOT NULL,
	action integer NOT NULL,
	evaluated bigint NOT NULL,
	violations bigint NOT NULL,
	CONSTRAINT write_finding_pkey PRIMARY KEY (finding_id)
);

-- Keys that rows refer to and that the reference lacked when the rows arrived:
-- pending until they appear or the grace of the constraint is over.
CREATE TABLE depipe.pending_key (
	constraint_id integer NOT NULL,
	reference_key text[] NOT NULL,
	since timestamptz NOT NULL,
	CONSTRAINT pending_key_constraint_fkey FOREIGN KEY (constraint_id)
		REFERENCES depipe.constraint_definition ON DELETE CASCADE
);
CREATE UNIQUE INDEX pending_key_key ON depipe.pending_key (constraint_id, depipe.key_hash(reference_key));

-- passes: number of successful probes in a row; outcomes: those of the last runs,
-- true is bad; wait: time until the next probe, doubled by each that fails; sets_aside: the next
-- batch sets aside what would hold it; bad_since: all runs since then were bad;
-- shadow_open, would_have_opened: what the breaker would be and have done without metrics_only.
CREATE TABLE depipe.breaker_state (
	target_id integer NOT NULL,
	state text NOT NULL DEFAULT 'closed',
	since timestamptz NOT NULL DEFAULT now(),
	reason text,
	set_by name,
	constraint_name name,
	until timestamptz,
	retry_at timestamptz,
	wait interval,
	changed boolean NOT NULL DEFAULT false,
	passes integer NOT NULL DEFAULT 0,
	outcomes boolean[] NOT NULL DEFAULT '{}',
	probe_started timestamptz,
	sets_aside boolean NOT NULL DEFAULT false,
	bad_since timestamptz,
	shadow_open boolean NOT NULL DEFAULT false,
	would_have_opened bigint NOT NULL DEFAULT 0,
	CONSTRAINT breaker_state_pkey PRIMARY KEY (target_id),
	CONSTRAINT breaker_state_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);

CREATE TABLE depipe.run (
	run_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
	target_id integer NOT NULL,
	started_by text NOT NULL,
	role_name name NOT NULL,
	pid integer NOT NULL,
	started_at timestamptz NOT NULL,
	finished_at timestamptz,
	status text NOT NULL,
	strategy text,
	reason text,
	rows_in bigint NOT NULL DEFAULT 0,
	inserted bigint NOT NULL DEFAULT 0,
	updated bigint NOT NULL DEFAULT 0,
	deleted bigint NOT NULL DEFAULT 0,
	quarantined bigint NOT NULL DEFAULT 0,
	read_ms double precision,
	gate_ms double precision,
	apply_ms double precision,
	error_sqlstate text,
	error_message text,
	error_hint text,
	CONSTRAINT run_pkey PRIMARY KEY (run_id),
	CONSTRAINT run_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);
CREATE INDEX run_target_idx ON depipe.run (target_id, run_id);
CREATE INDEX run_running_idx ON depipe.run (target_id) WHERE status = 'running';

-- The value of each term of a constraint over the whole of its table: counts of
-- violations, sums, extremes.  Each batch adds its changes.  expression says what
-- the value is of, fingerprint which table it was computed of: where they differ
-- now, or where direct_write has a row of the table, it is computed anew.
CREATE TABLE depipe.kept_state (
	constraint_id integer NOT NULL,
	term integer NOT NULL,
	target_id integer NOT NULL,
	expression text NOT NULL,
	fingerprint text NOT NULL,
	value numeric,
	CONSTRAINT kept_state_pkey PRIMARY KEY (constraint_id, term),
	CONSTRAINT kept_state_constraint_fkey FOREIGN KEY (constraint_id) REFERENCES depipe.constraint_definition ON DELETE CASCADE
);
CREATE INDEX kept_state_target_idx ON depipe.kept_state (target_id);
COMMENT ON TABLE depipe.kept_state IS 'state of constraints over whole tables, kept up to date by each batch';

CREATE TABLE depipe.direct_write (
	relid oid NOT NULL,
	written_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX direct_write_idx ON depipe.direct_write (relid);
COMMENT ON TABLE depipe.direct_write IS 'targets that others than depipe have changed since the state of their constraints was computed';

CREATE TABLE depipe.verdict (
	verdict_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
	run_id bigint,
	target_id integer NOT NULL,
	constraint_id integer NOT NULL,
	constraint_name name NOT NULL,
	check_kind text NOT NULL,
	outcome text NOT NULL,
	action text NOT NULL,
	evaluated bigint,
	violations bigint,
	metric text,
	warn_if text,
	fail_if text,
	would_have_blocked boolean NOT NULL DEFAULT false,
	strategy text,
	elapsed_ms double precision,
	detail jsonb,
	recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CONSTRAINT verdict_pkey PRIMARY KEY (verdict_id),
	CONSTRAINT verdict_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);
CREATE INDEX verdict_target_idx ON depipe.verdict (target_id, verdict_id);
CREATE INDEX verdict_run_idx ON depipe.verdict (run_id, constraint_id, verdict_id);

-- published: violating rows went into the table; violations_now: number of violations
-- that are known; accepted, accepted_of: number of violations, and of rows, when the
-- verdict was last good; known_keys: keys of some violating rows of the table, as
-- array texts, at the last look.
CREATE TABLE depipe.incident (
	incident_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
	target_id integer NOT NULL,
	constraint_name name NOT NULL,
	opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	last_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
	closed_at timestamptz,
	outcome text NOT NULL,
	action text NOT NULL,
	occurrences bigint NOT NULL DEFAULT 1,
	violations bigint,
	first_run_id bigint,
	last_run_id bigint,
	published boolean NOT NULL DEFAULT false,
	violations_now bigint,
	accepted bigint,
	accepted_of bigint,
	known_keys text[],
	looked_at timestamptz,
	look_ms double precision,
	look_again boolean NOT NULL DEFAULT false,
	closed_how text,
	acknowledged_by name,
	acknowledged_at timestamptz,
	acknowledge_note text,
	CONSTRAINT incident_pkey PRIMARY KEY (incident_id),
	CONSTRAINT incident_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);
CREATE UNIQUE INDEX incident_open_key ON depipe.incident (target_id, constraint_name) WHERE closed_at IS NULL;

-- Sample of the rows that caused the last batch of a target to be held.
CREATE TABLE depipe.held_row (
	held_row_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
	target_id integer NOT NULL,
	constraint_id integer NOT NULL,
	row_key text,
	image jsonb NOT NULL,
	CONSTRAINT held_row_pkey PRIMARY KEY (held_row_id),
	CONSTRAINT held_row_constraint_fkey FOREIGN KEY (constraint_id)
		REFERENCES depipe.constraint_definition ON DELETE CASCADE
);
CREATE INDEX held_row_target_idx ON depipe.held_row (target_id, constraint_id);

-- Columns and types of the text images of parked and quarantined rows, so that
-- images stay readable after the table has changed.
CREATE TABLE depipe.row_layout (
	layout_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
	target_id integer NOT NULL,
	columns text[] NOT NULL,
	types text[] NOT NULL,
	CONSTRAINT row_layout_pkey PRIMARY KEY (layout_id),
	CONSTRAINT row_layout_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);
CREATE UNIQUE INDEX row_layout_columns_key ON depipe.row_layout (target_id, depipe.key_hash(columns), depipe.key_hash(types));

-- Deltas that wait, in source order.  kind: 'row', or 'clear' (TRUNCATE);
-- batch: the same for all items of one delta; batch_end: the position of the
-- source that its batch leads to, the same for all tables, NULL within a source
-- transaction; unknown: names of columns that the
-- source did not send; base_key: key of the row, as it was before the batch, that
-- has them; pair: the item that deletes the old key of a key change; before: whether
-- the key had a row before the batch (BEFORE_* in delta/delta.h).
CREATE TABLE depipe.parked_item (
	target_id integer NOT NULL,
	item bigint NOT NULL,
	kind text NOT NULL,
	lsn pg_lsn,
	commit_time timestamptz,
	layout_id bigint,
	weight bigint,
	image text[],
	unknown text[],
	base_key text[],
	pair bigint,
	batch bigint,
	before smallint,
	parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	batch_end pg_lsn,
	CONSTRAINT parked_item_pkey PRIMARY KEY (target_id, item),
	CONSTRAINT parked_item_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);

-- Whole rows that a constraint kept out of their table; at most one per key.  row_hash,
-- previous_hash: hashes of the two keys by their types, where equal keys can have
-- different texts (quality/key_names.c); otherwise NULL.  discarded: nobody wants the row, but
-- later changes of its key still meet it here.
CREATE TABLE depipe.quarantined_row (
	quarantine_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
	target_id integer NOT NULL,
	layout_id bigint NOT NULL,
	row_key text[],
	image text[] NOT NULL,
	constraint_ids integer[] NOT NULL,
	reasons text[] NOT NULL,
	lsn pg_lsn,
	commit_time timestamptz,
	previous_key text[],
	run_id bigint,
	retry boolean NOT NULL DEFAULT false,
	quarantined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	row_hash bigint,
	previous_hash bigint,
	discarded boolean NOT NULL DEFAULT false,
	CONSTRAINT quarantined_row_pkey PRIMARY KEY (quarantine_id),
	CONSTRAINT quarantined_row_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);
CREATE UNIQUE INDEX quarantined_row_key ON depipe.quarantined_row (target_id, depipe.key_hash(row_key));
CREATE INDEX quarantined_row_previous_idx ON depipe.quarantined_row (target_id, depipe.key_hash(previous_key))
	WHERE previous_key IS NOT NULL;
CREATE INDEX quarantined_row_hash_idx ON depipe.quarantined_row (target_id, row_hash) WHERE row_hash IS NOT NULL;
CREATE INDEX quarantined_row_previous_hash_idx ON depipe.quarantined_row (target_id, previous_hash)
	WHERE previous_hash IS NOT NULL;
CREATE INDEX quarantined_row_retry_idx ON depipe.quarantined_row (target_id) WHERE retry;

CREATE FUNCTION depipe.count_kept()
RETURNS trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_count_kept';
COMMENT ON FUNCTION depipe.count_kept() IS 'trigger on depipe''s own tables: maintains the counts of parked and quarantined rows';

CREATE TRIGGER parked_item_begin BEFORE INSERT OR UPDATE OR DELETE ON depipe.parked_item
FOR EACH STATEMENT EXECUTE FUNCTION depipe.count_kept();
CREATE TRIGGER parked_item_row AFTER INSERT OR UPDATE OR DELETE ON depipe.parked_item
FOR EACH ROW EXECUTE FUNCTION depipe.count_kept();
CREATE TRIGGER parked_item_end AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON depipe.parked_item
FOR EACH STATEMENT EXECUTE FUNCTION depipe.count_kept();
CREATE TRIGGER quarantined_row_begin BEFORE INSERT OR UPDATE OR DELETE ON depipe.quarantined_row
FOR EACH STATEMENT EXECUTE FUNCTION depipe.count_kept();
CREATE TRIGGER quarantined_row_row AFTER INSERT OR UPDATE OR DELETE ON depipe.quarantined_row
FOR EACH ROW EXECUTE FUNCTION depipe.count_kept();
CREATE TRIGGER quarantined_row_end AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON depipe.quarantined_row
FOR EACH STATEMENT EXECUTE FUNCTION depipe.count_kept();
ALTER TABLE depipe.parked_item ENABLE ALWAYS TRIGGER parked_item_begin;
ALTER TABLE depipe.parked_item ENABLE ALWAYS TRIGGER parked_item_row;
ALTER TABLE depipe.parked_item ENABLE ALWAYS TRIGGER parked_item_end;
ALTER TABLE depipe.quarantined_row ENABLE ALWAYS TRIGGER quarantined_row_begin;
ALTER TABLE depipe.quarantined_row ENABLE ALWAYS TRIGGER quarantined_row_row;
ALTER TABLE depipe.quarantined_row ENABLE ALWAYS TRIGGER quarantined_row_end;

CREATE TABLE depipe.event (
	event_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
	happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	target_id integer,
	target text,
	server_name name,
	event text NOT NULL,
	state text,
	reason text,
	role_name name NOT NULL DEFAULT session_user,
	CONSTRAINT event_pkey PRIMARY KEY (event_id)
);
COMMENT ON TABLE depipe.event IS 'durable log of state changes; NOTIFY depipe announces them';

-- What people changed and overrode.  target_id and owner: those of the target then; a row outlives
-- its target.  arguments: those of the statement that have no column here, without values of rows.
CREATE TABLE depipe.audit_entry (
	audit_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
	happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	target_id integer,
	target text,
	owner depipe.role,
	server_name name,
	action text NOT NULL,
	constraint_name text,
	reason text,
	arguments jsonb NOT NULL,
	session_role name NOT NULL,
	current_role_name name NOT NULL,
	CONSTRAINT audit_entry_pkey PRIMARY KEY (audit_id)
);
COMMENT ON TABLE depipe.audit_entry IS 'statements that changed definitions or overrode a decision, by whom and why';

-- Attempts of the scheduler.  unit: 'server shop', 'target 12', or 'history'.
-- failures: number in a row, counted when an attempt begins; no attempt before retry_at.
CREATE TABLE depipe.attempt (
	unit text NOT NULL,
	started_at timestamptz NOT NULL,
	failures integer NOT NULL,
	retry_at timestamptz,
	CONSTRAINT attempt_pkey PRIMARY KEY (unit)
);
COMMENT ON TABLE depipe.attempt IS 'when the scheduler last tried a server or a target, and when it may try again';

-- Progress of the last backfill of each transform.  since, before and step do not depend on how the
-- arguments were written; definition is a hash of the query and the key.  slices_done is updated in the
-- transaction that publishes a slice.  A session that is at it locks the object (this table, target_id).
CREATE TABLE depipe.backfill (
	target_id integer NOT NULL,
	column_name name NOT NULL,
	since text NOT NULL,
	before text NOT NULL,
	step text NOT NULL,
	time_zone text,
	definition text NOT NULL,
	slices integer NOT NULL,
	slices_done integer NOT NULL DEFAULT 0,
	state text NOT NULL DEFAULT 'running',
	reason text,
	slice_since text,
	slice_before text,
	run_id bigint,
	inserted bigint NOT NULL DEFAULT 0,
	updated bigint NOT NULL DEFAULT 0,
	deleted bigint NOT NULL DEFAULT 0,
	quarantined bigint NOT NULL DEFAULT 0,
	role_name name NOT NULL,
	started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CONSTRAINT backfill_pkey PRIMARY KEY (target_id),
	CONSTRAINT backfill_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.transform ON DELETE CASCADE
);

-- ---------------------------------------------------------------------
-- 4. checks: the vocabulary of constraints
-- ---------------------------------------------------------------------

-- A check is a condition; the table and the policy come with add_constraint.  Its
-- shape is validated there, in C, with better messages than a domain constraint
-- could give.
CREATE DOMAIN depipe.check AS jsonb;
COMMENT ON DOMAIN depipe.check IS
'a condition on a table: {"kind": "...", arguments}; made by depipe.not_null, depipe.satisfies and others';

CREATE FUNCTION depipe.satisfies(expression text)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'satisfies', 'expression', expression)
$$;
COMMENT ON FUNCTION depipe.satisfies(text) IS
'a boolean SQL expression holds for each row or, if it contains an aggregate, for the table';

CREATE FUNCTION depipe.not_null(VARIADIC columns text[])
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'not_null', 'columns', columns)
$$;
COMMENT ON FUNCTION depipe.not_null(text[]) IS 'none of the columns is null';

CREATE FUNCTION depipe.not_null(columns anyarray)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'not_null', 'columns', pg_catalog.to_jsonb(columns))
$$;
COMMENT ON FUNCTION depipe.not_null(anyarray) IS 'none of the columns is null (names given as an array)';

CREATE FUNCTION depipe.unique(VARIADIC columns text[])
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'unique', 'columns', columns)
$$;
COMMENT ON FUNCTION depipe.unique(text[]) IS 'no two rows have the same values in these columns';

CREATE FUNCTION depipe.unique(columns anyarray)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'unique', 'columns', pg_catalog.to_jsonb(columns))
$$;
COMMENT ON FUNCTION depipe.unique(anyarray) IS 'no two rows have the same values in these columns (names given as an array)';

CREATE FUNCTION depipe.unique(columns text[], nulls_equal boolean)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'unique', 'columns', columns,
		'nulls_equal', nulls_equal)
$$;
COMMENT ON FUNCTION depipe.unique(text[], boolean) IS
'no two rows have the same values in these columns; with nulls_equal a null equals a null';

-- values are passed as JSON: their text must not depend on the session
CREATE FUNCTION depipe.accepted_values(column_name text, VARIADIC accepted "any")
RETURNS depipe.check
LANGUAGE C STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
SET datestyle TO 'ISO'
SET intervalstyle TO 'postgres'
SET bytea_output TO 'hex'
SET extra_float_digits TO '1'
AS 'MODULE_PATHNAME', 'depipe_accepted_values';
COMMENT ON FUNCTION depipe.accepted_values(text, "any") IS
'the column has one of these values, which are cast to its type and may be given as an array';

CREATE FUNCTION depipe.rejected_values(column_name text, VARIADIC rejected "any")
RETURNS depipe.check
LANGUAGE C STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
SET datestyle TO 'ISO'
SET intervalstyle TO 'postgres'
SET bytea_output TO 'hex'
SET extra_float_digits TO '1'
AS 'MODULE_PATHNAME', 'depipe_rejected_values';
COMMENT ON FUNCTION depipe.rejected_values(text, "any") IS
'the column has none of these values, which are cast to its type and may be given as an array';

CREATE FUNCTION depipe.in_range(column_name text, minimum anycompatible DEFAULT NULL,
	maximum anycompatible DEFAULT NULL, strict boolean DEFAULT false)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
SET datestyle TO 'ISO'
SET intervalstyle TO 'postgres'
SET bytea_output TO 'hex'
SET extra_float_digits TO '1'
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'in_range', 'column_name', column_name,
		'minimum', pg_catalog.to_jsonb(minimum), 'maximum', pg_catalog.to_jsonb(maximum),
		'strict', strict)
$$;
COMMENT ON FUNCTION depipe.in_range(text, anycompatible, anycompatible, boolean) IS
'the value lies between the bounds, inclusive unless strict';

CREATE FUNCTION depipe.matches(column_name text, pattern text)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'matches', 'column_name', column_name,
		'pattern', pattern)
$$;
COMMENT ON FUNCTION depipe.matches(text, text) IS 'the column matches a regular expression';

CREATE FUNCTION depipe.has_length(column_name text, minimum bigint DEFAULT NULL,
	maximum bigint DEFAULT NULL)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'has_length', 'column_name', column_name,
		'minimum', minimum, 'maximum', maximum)
$$;
COMMENT ON FUNCTION depipe.has_length(text, bigint, bigint) IS
'the number of characters, bytes, bits or array elements lies between the bounds';

-- the input function of the type decides; on 15 in a subtransaction, so no parallel worker may call it
CREATE FUNCTION depipe.parses(value text, type regtype, modifier integer)
RETURNS boolean
LANGUAGE C STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'depipe_parses';
COMMENT ON FUNCTION depipe.parses(text, regtype, integer) IS
'whether a text is one of a value of the type with this modifier; for depipe.parses_as';

CREATE FUNCTION depipe.parses_as(column_name text, type_name text)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'parses_as', 'column_name', column_name,
		'type_name', type_name)
$$;
COMMENT ON FUNCTION depipe.parses_as(text, text) IS 'the text in the column is one of a value of the type';

CREATE FUNCTION depipe.relationships(column_name text, reference text, reference_columns text,
	reference_filter text DEFAULT NULL)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'relationships', 'columns', column_name,
		'reference', reference, 'reference_columns', reference_columns,
		'reference_filter', reference_filter)
$$;
COMMENT ON FUNCTION depipe.relationships(text, text, text, text) IS
'the value exists in a column of the reference, in a row for which the filter holds';

CREATE FUNCTION depipe.relationships(columns text[], reference text, reference_columns text[],
	reference_filter text DEFAULT NULL)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'relationships', 'columns', columns,
		'reference', reference, 'reference_columns', reference_columns,
		'reference_filter', reference_filter)
$$;
COMMENT ON FUNCTION depipe.relationships(text[], text, text[], text) IS
'the combination of values exists in columns of the reference, in a row for which the filter holds';

CREATE FUNCTION depipe.row_count(minimum bigint DEFAULT NULL, maximum bigint DEFAULT NULL)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'row_count', 'minimum', minimum, 'maximum', maximum)
$$;
COMMENT ON FUNCTION depipe.row_count(bigint, bigint) IS 'the number of rows lies between the bounds';

CREATE FUNCTION depipe.metric(expression text, minimum anycompatible DEFAULT NULL,
	maximum anycompatible DEFAULT NULL)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
SET datestyle TO 'ISO'
SET intervalstyle TO 'postgres'
SET bytea_output TO 'hex'
SET extra_float_digits TO '1'
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'metric', 'expression', expression,
		'minimum', pg_catalog.to_jsonb(minimum), 'maximum', pg_catalog.to_jsonb(maximum))
$$;
COMMENT ON FUNCTION depipe.metric(text, anycompatible, anycompatible) IS
'the value of an aggregate expression lies between the bounds';

CREATE FUNCTION depipe.distinct_values(column_name text, accepted "any" DEFAULT NULL,
	contains "any" DEFAULT NULL, equals "any" DEFAULT NULL)
RETURNS depipe.check
LANGUAGE C STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
SET datestyle TO 'ISO'
SET intervalstyle TO 'postgres'
SET bytea_output TO 'hex'
SET extra_float_digits TO '1'
AS 'MODULE_PATHNAME', 'depipe_distinct_values';
COMMENT ON FUNCTION depipe.distinct_values(text, "any", "any", "any") IS
'the column has no other values than the accepted ones, has those that it shall contain, or has exactly these';

CREATE FUNCTION depipe.transition(expression text)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'transition', 'expression', expression)
$$;
COMMENT ON FUNCTION depipe.transition(text) IS
'a boolean SQL expression over old and new holds for each row that a batch changes';

CREATE FUNCTION depipe.change_limit(inserts text DEFAULT NULL, updates text DEFAULT NULL,
	deletes text DEFAULT NULL)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'change_limit', 'inserts', inserts,
		'updates', updates, 'deletes', deletes)
$$;
COMMENT ON FUNCTION depipe.change_limit(text, text, text) IS
'a batch has no more changes of each kind: a number of rows, or a percentage of the rows before it';

CREATE FUNCTION depipe.has_columns(columns text[], types text[] DEFAULT NULL, exact boolean DEFAULT false)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'has_columns', 'columns', columns, 'types', types,
		'exact', exact)
$$;
COMMENT ON FUNCTION depipe.has_columns(text[], text[], boolean) IS
'the table has these columns, of these types; with exact no others, and in this order';

CREATE FUNCTION depipe.schema_unchanged()
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'schema_unchanged')
$$;
COMMENT ON FUNCTION depipe.schema_unchanged() IS
'the columns of the table, their types, order and NOT NULL are what they were at the definition';

CREATE FUNCTION depipe.same_count(reference text, tolerance text DEFAULT NULL)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'same_count', 'reference', reference,
		'tolerance', tolerance)
$$;
COMMENT ON FUNCTION depipe.same_count(text, text) IS
'the table has as many rows as the reference, but for a number or a percentage of them';

CREATE FUNCTION depipe.same_metric(expression text, reference text, tolerance text DEFAULT NULL)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'same_metric', 'expression', expression,
		'reference', reference, 'tolerance', tolerance)
$$;
COMMENT ON FUNCTION depipe.same_metric(text, text, text) IS
'an aggregate expression has the same value over the table and over the reference';

CREATE FUNCTION depipe.same_rows(reference text, columns text[] DEFAULT NULL, tolerance text DEFAULT NULL)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'same_rows',
		CASE WHEN reference OPERATOR(pg_catalog.~*) '^\s*(select|with|values|table)\M|^\s*\(' THEN 'query'
			ELSE 'reference' END, reference, 'columns', columns, 'tolerance', tolerance)
$$;
COMMENT ON FUNCTION depipe.same_rows(text, text[], text) IS
'the table has the same rows as another table or a query, in these columns';

CREATE FUNCTION depipe.no_rows(query text)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'no_rows', 'query', query)
$$;
COMMENT ON FUNCTION depipe.no_rows(text) IS 'a query returns no rows';

CREATE FUNCTION depipe.no_gaps(column_name text, step text DEFAULT '1', partition_by text[] DEFAULT NULL)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'no_gaps', 'column_name', column_name,
		'step', step, 'partition_by', partition_by)
$$;
COMMENT ON FUNCTION depipe.no_gaps(text, text, text[]) IS
'in order, no value is more than a step after the one before it';

CREATE FUNCTION depipe.no_overlap(lower_column text, upper_column text, partition_by text[] DEFAULT NULL)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'no_overlap', 'lower_column', lower_column,
		'upper_column', upper_column, 'partition_by', partition_by)
$$;
COMMENT ON FUNCTION depipe.no_overlap(text, text, text[]) IS
'the ranges from one column to the other, without its value, do not overlap';

CREATE FUNCTION depipe.every_period(column_name text, step interval, since timestamptz DEFAULT NULL)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET intervalstyle TO 'postgres'
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'every_period', 'column_name', column_name,
		'step', pg_catalog.to_jsonb(step), 'since', pg_catalog.to_jsonb(since))
$$;
COMMENT ON FUNCTION depipe.every_period(text, interval, timestamptz) IS
'every period that is over has a row';

CREATE FUNCTION depipe.arrived_by(due_time time, column_name text)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'arrived_by', 'due_time', pg_catalog.to_jsonb(due_time),
		'column_name', column_name)
$$;
COMMENT ON FUNCTION depipe.arrived_by(time, text) IS
'by this time of each day a row of that day, or a later one, is there';

CREATE FUNCTION depipe.freshness(column_name text, max_age interval)
RETURNS depipe.check
LANGUAGE sql STABLE PARALLEL SAFE
SET intervalstyle TO 'postgres'
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.jsonb_build_object('kind', 'freshness', 'column_name', column_name,
		'max_age', pg_catalog.to_jsonb(max_age))
$$;
COMMENT ON FUNCTION depipe.freshness(text, interval) IS
'the newest value of a date or timestamp column is not older than max_age';

-- ---------------------------------------------------------------------
-- 5. sources and loads
-- ---------------------------------------------------------------------

CREATE FUNCTION depipe.validator(options text[], catalog oid)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_validator';
COMMENT ON FUNCTION depipe.validator(text[], oid) IS
'validates the options of servers and user mappings of the foreign data wrapper depipe';

CREATE FOREIGN DATA WRAPPER depipe VALIDATOR depipe.validator;
COMMENT ON FOREIGN DATA WRAPPER depipe IS 'sources of loads: other PostgreSQL databases';

CREATE FUNCTION depipe.check_source(server name,
	OUT item text, OUT ok boolean, OUT detail text, OUT hint text)
RETURNS SETOF record
LANGUAGE C ROWS 20
AS 'MODULE_PATHNAME', 'depipe_check_source';
COMMENT ON FUNCTION depipe.check_source(name) IS
'connects to a source and reports what it has and lacks for the loads of the server';

CREATE FUNCTION depipe.create_load(
	target text,
	server name DEFAULT NULL,
	source text DEFAULT NULL,
	mode text DEFAULT NULL,
	key text[] DEFAULT NULL,
	columns jsonb DEFAULT NULL,
	row_filter text DEFAULT NULL,
	schema_change text DEFAULT 'safe',
	new_columns text DEFAULT 'load',
	on_truncate text DEFAULT 'apply',
	target_lag interval DEFAULT '1 second',
	replace boolean DEFAULT false,
	settings text[] DEFAULT NULL,
	history text DEFAULT 'none')
RETURNS text
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_create_load';
COMMENT ON FUNCTION depipe.create_load(text, name, text, text, text[], jsonb, text, text, text, text, interval, boolean, text[], text)
IS 'declares a load, which keeps a table equal to a table of a source, or a history of it; returns the name of the table. The next run copies the rows';

CREATE FUNCTION depipe.drop_load(target text, drop_table boolean DEFAULT false)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_drop_load';
COMMENT ON FUNCTION depipe.drop_load(text, boolean) IS
'drops a load, and its table if drop_table; with the last load of a server, its slot and publication are dropped';

CREATE FUNCTION depipe.pause(reason text, pattern text DEFAULT '*', server name DEFAULT NULL,
	until timestamptz DEFAULT NULL)
RETURNS integer
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_pause';
COMMENT ON FUNCTION depipe.pause(text, text, name, timestamptz) IS
'pauses loads and transforms; changes of paused loads are kept; returns the number of targets';

CREATE FUNCTION depipe.resume(pattern text DEFAULT '*')
RETURNS integer
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_resume';
COMMENT ON FUNCTION depipe.resume(text) IS 'ends pauses and the waits after failures; returns the number of pauses ended';

CREATE FUNCTION depipe.resync(target text)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_resync';
COMMENT ON FUNCTION depipe.resync(text) IS
'requests that the next run read the whole source table again and write the differences';

CREATE FUNCTION depipe.detach_source(server name)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_detach_source';
COMMENT ON FUNCTION depipe.detach_source(name) IS
'removes slot and publication at the source; the loads of the server remain defined and become detached';

CREATE FUNCTION depipe.adopt(server name, resync text DEFAULT 'auto')
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_adopt';
COMMENT ON FUNCTION depipe.adopt(name, text) IS
'lets loads of a restored or copied database continue with a slot of their own; with resync => ''never'', with the slot of the original, which must no longer run';

CREATE FUNCTION depipe.foreign_streams(OUT server_name name, OUT reason text)
RETURNS SETOF record
LANGUAGE C STABLE ROWS 1
AS 'MODULE_PATHNAME', 'depipe_foreign_streams';
COMMENT ON FUNCTION depipe.foreign_streams() IS
'servers whose recorded stream belongs to the original of this database';

CREATE FUNCTION depipe.server_dropped()
RETURNS event_trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_server_dropped';
COMMENT ON FUNCTION depipe.server_dropped() IS 'event trigger: refuses DROP SERVER while loads use the server';

CREATE EVENT TRIGGER depipe_server_dropped ON sql_drop
WHEN TAG IN ('DROP FOREIGN DATA WRAPPER', 'DROP OWNED', 'DROP SERVER')
EXECUTE FUNCTION depipe.server_dropped();

CREATE FUNCTION depipe.extension_dropped()
RETURNS event_trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_extension_dropped';
COMMENT ON FUNCTION depipe.extension_dropped() IS 'event trigger: names the slots that DROP EXTENSION leaves behind';

CREATE EVENT TRIGGER depipe_extension_dropped ON ddl_command_start
WHEN TAG IN ('DROP EXTENSION')
EXECUTE FUNCTION depipe.extension_dropped();

CREATE FUNCTION depipe.server_altered()
RETURNS event_trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_server_altered';
COMMENT ON FUNCTION depipe.server_altered() IS
'event trigger: lets loads follow renamed servers and ends waits after failures';

CREATE EVENT TRIGGER depipe_server_altered ON ddl_command_end
WHEN TAG IN ('ALTER SERVER', 'ALTER USER MAPPING', 'CREATE USER MAPPING')
EXECUTE FUNCTION depipe.server_altered();

-- ---------------------------------------------------------------------
-- 6. transforms
-- ---------------------------------------------------------------------

CREATE FUNCTION depipe.note_write()
RETURNS trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_note_write';
COMMENT ON FUNCTION depipe.note_write() IS
'trigger on targets whose constraints have kept state: notes that others than depipe change the table';

CREATE FUNCTION depipe.refuse_dml()
RETURNS trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_refuse_dml';
COMMENT ON FUNCTION depipe.refuse_dml() IS 'trigger on the tables that transforms maintain: refuses direct changes';

CREATE FUNCTION depipe.capture_changes()
RETURNS trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_capture_changes';
COMMENT ON FUNCTION depipe.capture_changes() IS
'trigger on the inputs of transforms: keeps the old and new rows of each statement until all transforms have them';

CREATE FUNCTION depipe.subscription_changed()
RETURNS event_trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_subscription_changed';
COMMENT ON FUNCTION depipe.subscription_changed() IS
'event trigger: captured changes are incomplete when a native subscription came or went';

CREATE EVENT TRIGGER depipe_subscription_changed ON ddl_command_end
WHEN TAG IN ('ALTER SUBSCRIPTION', 'CREATE SUBSCRIPTION', 'DROP SUBSCRIPTION')
EXECUTE FUNCTION depipe.subscription_changed();

CREATE FUNCTION depipe.unexpected_row(there boolean)
RETURNS boolean
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_unexpected_row';
COMMENT ON FUNCTION depipe.unexpected_row(boolean) IS 'internal: raises an error in the statement of a batch when a row exists or is missing, contrary to the source';

CREATE FUNCTION depipe.create_transform(
	target text,
	query text,
	key text[] DEFAULT NULL,
	mode text DEFAULT 'auto',
	target_lag interval DEFAULT NULL,
	on_incomplete text DEFAULT 'publish',
	on_stale text DEFAULT 'publish',
	populate boolean DEFAULT true,
	replace boolean DEFAULT false,
	settings text[] DEFAULT NULL)
RETURNS text
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_create_transform';
COMMENT ON FUNCTION depipe.create_transform(text, text, text[], text, interval, text, text, boolean, boolean, text[])
IS 'declares a transform, which keeps a table equal to a query; returns the name of the table';

CREATE FUNCTION depipe.alter_transform(
	target text,
	query text DEFAULT NULL,
	key text[] DEFAULT NULL,
	mode text DEFAULT NULL,
	target_lag interval DEFAULT NULL,
	on_incomplete text DEFAULT NULL,
	on_stale text DEFAULT NULL,
	populate boolean DEFAULT true,
	dry_run boolean DEFAULT false,
	settings text[] DEFAULT NULL)
RETURNS text
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_alter_transform';
COMMENT ON FUNCTION depipe.alter_transform(text, text, text[], text, interval, text, text, boolean, boolean, text[])
IS 'changes the given properties of a transform; returns the effect on the table: nothing, compatible, add columns, rebuild';

CREATE FUNCTION depipe.drop_transform(target text, drop_table boolean DEFAULT false)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_drop_transform';
COMMENT ON FUNCTION depipe.drop_transform(text, boolean) IS 'drops a transform, and its table if drop_table';

CREATE FUNCTION depipe.explain_transform(target text,
	OUT strategy text, OUT possible boolean, OUT chosen boolean, OUT cost double precision,
	OUT reason text, OUT detail text, OUT delta_sql text)
RETURNS SETOF record
LANGUAGE C ROWS 5
AS 'MODULE_PATHNAME', 'depipe_explain_transform';
COMMENT ON FUNCTION depipe.explain_transform(text) IS
'strategies for the next refresh of a transform: which are possible, which one is chosen, and why';

CREATE FUNCTION depipe.verify(target text, depth text DEFAULT 'rows', condition text DEFAULT NULL,
	max_rows integer DEFAULT 100, repair boolean DEFAULT false,
	OUT difference text, OUT key text, OUT expected jsonb, OUT actual jsonb, OUT explained_by text)
RETURNS SETOF record
LANGUAGE C ROWS 10
AS 'MODULE_PATHNAME', 'depipe_verify';
COMMENT ON FUNCTION depipe.verify(text, text, text, integer, boolean) IS
'compares a target with its query or its source under one snapshot, returns the differences, and may repair them; no row means equal';

-- Records that names may have changed; the commit decides the effect on definitions.
CREATE FUNCTION depipe.names_changed()
RETURNS event_trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_names_changed';
COMMENT ON FUNCTION depipe.names_changed() IS 'event trigger: lets definitions follow renamed tables at commit';

CREATE EVENT TRIGGER depipe_names_changed ON ddl_command_end
WHEN TAG IN ('ALTER AGGREGATE', 'ALTER COLLATION', 'ALTER DOMAIN', 'ALTER EXTENSION', 'ALTER FOREIGN TABLE',
	'ALTER FUNCTION', 'ALTER MATERIALIZED VIEW', 'ALTER OPERATOR', 'ALTER PROCEDURE', 'ALTER ROUTINE',
	'ALTER SCHEMA', 'ALTER TABLE', 'ALTER TYPE', 'ALTER VIEW', 'CREATE FOREIGN TABLE',
	'CREATE MATERIALIZED VIEW', 'CREATE SCHEMA', 'CREATE TABLE', 'CREATE TABLE AS', 'CREATE VIEW',
	'DROP FOREIGN TABLE', 'DROP OWNED', 'DROP SCHEMA', 'DROP TABLE', 'IMPORT FOREIGN SCHEMA', 'SELECT INTO')
EXECUTE FUNCTION depipe.names_changed();

-- ---------------------------------------------------------------------
-- 7. constraints and breakers
-- ---------------------------------------------------------------------

CREATE FUNCTION depipe.add_constraint(
	target text,
	rule depipe.check,
	name text DEFAULT NULL,
	on_violation text DEFAULT NULL,
	warn_if text DEFAULT NULL,
	fail_if text DEFAULT NULL,
	scope text DEFAULT 'table',
	min_rows bigint DEFAULT 1000,
	filter text DEFAULT NULL,
	on_null text DEFAULT 'pass',
	on_no_data text DEFAULT 'not_evaluated',
	on_error text DEFAULT 'fail',
	grace interval DEFAULT NULL,
	existing text DEFAULT 'baseline',
	enforce_from timestamptz DEFAULT NULL,
	check_every interval DEFAULT '1 minute',
	owner text DEFAULT NULL,
	description text DEFAULT NULL,
	replace boolean DEFAULT false,
	settings text[] DEFAULT NULL)
RETURNS text
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_add_constraint';
COMMENT ON FUNCTION depipe.add_constraint(text, depipe.check, text, text, text, text, text, bigint,
	text, text, text, text, interval, text, timestamptz, interval, text, text, boolean, text[]) IS
'declares a condition on a table and the policy when it is violated; returns the name of the constraint';

CREATE FUNCTION depipe.add_constraint(
	target text,
	rule text,
	name text DEFAULT NULL,
	on_violation text DEFAULT NULL,
	warn_if text DEFAULT NULL,
	fail_if text DEFAULT NULL,
	scope text DEFAULT 'table',
	min_rows bigint DEFAULT 1000,
	filter text DEFAULT NULL,
	on_null text DEFAULT 'pass',
	on_no_data text DEFAULT 'not_evaluated',
	on_error text DEFAULT 'fail',
	grace interval DEFAULT NULL,
	existing text DEFAULT 'baseline',
	enforce_from timestamptz DEFAULT NULL,
	check_every interval DEFAULT '1 minute',
	owner text DEFAULT NULL,
	description text DEFAULT NULL,
	replace boolean DEFAULT false,
	settings text[] DEFAULT NULL)
RETURNS text
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_add_constraint_text';
COMMENT ON FUNCTION depipe.add_constraint(text, text, text, text, text, text, text, bigint,
	text, text, text, text, interval, text, timestamptz, interval, text, text, boolean, text[]) IS
'the same for a rule given as text, which must be JSON; an error suggests depipe.satisfies(expression) for an expression';

CREATE FUNCTION depipe.alter_constraint(
	target text,
	name text,
	rule depipe.check DEFAULT NULL,
	on_violation text DEFAULT NULL,
	warn_if text DEFAULT NULL,
	fail_if text DEFAULT NULL,
	scope text DEFAULT NULL,
	min_rows bigint DEFAULT NULL,
	filter text DEFAULT NULL,
	on_null text DEFAULT NULL,
	on_no_data text DEFAULT NULL,
	on_error text DEFAULT NULL,
	grace interval DEFAULT NULL,
	existing text DEFAULT NULL,
	enforce_from timestamptz DEFAULT NULL,
	check_every interval DEFAULT NULL,
	owner text DEFAULT NULL,
	description text DEFAULT NULL,
	settings text[] DEFAULT NULL)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_alter_constraint';
COMMENT ON FUNCTION depipe.alter_constraint(text, text, depipe.check, text, text, text, text, bigint,
	text, text, text, text, interval, text, timestamptz, interval, text, text, text[]) IS
'changes the given properties of a constraint; ''none'' removes a threshold, a filter, the owner or the description';

CREATE FUNCTION depipe.alter_constraint(
	target text,
	name text,
	rule text,
	on_violation text DEFAULT NULL,
	warn_if text DEFAULT NULL,
	fail_if text DEFAULT NULL,
	scope text DEFAULT NULL,
	min_rows bigint DEFAULT NULL,
	filter text DEFAULT NULL,
	on_null text DEFAULT NULL,
	on_no_data text DEFAULT NULL,
	on_error text DEFAULT NULL,
	grace interval DEFAULT NULL,
	existing text DEFAULT NULL,
	enforce_from timestamptz DEFAULT NULL,
	check_every interval DEFAULT NULL,
	owner text DEFAULT NULL,
	description text DEFAULT NULL,
	settings text[] DEFAULT NULL)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_alter_constraint_text';
COMMENT ON FUNCTION depipe.alter_constraint(text, text, text, text, text, text, text, bigint,
	text, text, text, text, interval, text, timestamptz, interval, text, text, text[]) IS
'the same for a rule given as text, which must be JSON; an error suggests depipe.satisfies(expression) for an expression';

CREATE FUNCTION depipe.drop_constraint(target text, name text, missing_ok boolean DEFAULT false)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_drop_constraint';
COMMENT ON FUNCTION depipe.drop_constraint(text, text, boolean) IS
'drops a constraint; rows that it kept in quarantine are tried again';

CREATE FUNCTION depipe.export_contract(target text, origin text DEFAULT NULL)
RETURNS jsonb
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_export_contract';
COMMENT ON FUNCTION depipe.export_contract(text, text) IS
'the constraints of a table, or of all that match a pattern, as a contract for depipe.apply_contract';

CREATE FUNCTION depipe.apply_contract(
	contract jsonb,
	origin text,
	on_violation text DEFAULT NULL,
	schema_map jsonb DEFAULT NULL,
	dry_run boolean DEFAULT false,
	format text DEFAULT NULL,
	OUT action text,
	OUT target text,
	OUT constraint_name text,
	OUT reason text,
	OUT path text)
RETURNS SETOF record
LANGUAGE C ROWS 20
AS 'MODULE_PATHNAME', 'depipe_apply_contract';
COMMENT ON FUNCTION depipe.apply_contract(jsonb, text, text, jsonb, boolean, text) IS
'makes the constraints that a document declares those of this origin; returns what it added, changed, dropped and could not import';

CREATE FUNCTION depipe.check_table(
	target text,
	OUT constraint_name text,
	OUT outcome text,
	OUT evaluated bigint,
	OUT violations bigint,
	OUT metric text,
	OUT warn_if text,
	OUT fail_if text,
	OUT detail jsonb,
	OUT elapsed interval)
RETURNS SETOF record
LANGUAGE C ROWS 10
AS 'MODULE_PATHNAME', 'depipe_check_table';
COMMENT ON FUNCTION depipe.check_table(text) IS
'evaluates all constraints of a table on all of its rows now; this affects the breaker only if the table has no load or transform';

CREATE FUNCTION depipe.violations(
	target text,
	constraint_name text DEFAULT NULL,
	max_rows integer DEFAULT 100,
	OUT constraint_name text,
	OUT place text,
	OUT key text,
	OUT "row" jsonb)
RETURNS SETOF record
LANGUAGE C ROWS 100
AS 'MODULE_PATHNAME', 'depipe_violations';
COMMENT ON FUNCTION depipe.violations(text, text, integer) IS
'rows that violate constraints: in the table, in quarantine, parked, or held in the last batch';

CREATE FUNCTION depipe.quarantined(anyelement)
RETURNS SETOF anyelement
LANGUAGE C ROWS 100
AS 'MODULE_PATHNAME', 'depipe_quarantined';
COMMENT ON FUNCTION depipe.quarantined(anyelement) IS
'quarantined rows of a table, with its row type: depipe.quarantined(NULL::schema.table)';

CREATE FUNCTION depipe.trip(target text, reason text, until timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_trip';
COMMENT ON FUNCTION depipe.trip(text, text, timestamptz) IS
'opens the breaker of a table by hand; after until, the next run is a probe';

CREATE FUNCTION depipe.reset(target text, reason text)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_reset';
COMMENT ON FUNCTION depipe.reset(text, text) IS
'makes the next run a probe: held changes go through the gate, and the breaker closes if they pass';

CREATE FUNCTION depipe.override(target text, reason text, until timestamptz)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_override';
COMMENT ON FUNCTION depipe.override(text, text, timestamptz) IS
'publishes regardless of the gate until the given time, within depipe.max_override; verdicts are recorded';

CREATE FUNCTION depipe.release(target text, reason text, keys text[] DEFAULT NULL)
RETURNS bigint
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_release';
COMMENT ON FUNCTION depipe.release(text, text, text[]) IS
'lets quarantined rows go through the gate again with the next run; returns their number';

CREATE FUNCTION depipe.discard(target text, reason text, keys text[] DEFAULT NULL)
RETURNS bigint
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_discard';
COMMENT ON FUNCTION depipe.discard(text, text, text[]) IS
'gives up quarantined rows of a load: they stay out until the source changes them; returns their number';

CREATE FUNCTION depipe.accept(target text, constraint_name text, reason text, keys text[] DEFAULT NULL)
RETURNS bigint
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_accept';
COMMENT ON FUNCTION depipe.accept(text, text, text, text[]) IS
'rows that violate a constraint no longer count until they change, wherever they are; returns their number';

CREATE FUNCTION depipe.set_aside(target text, reason text)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_set_aside';
COMMENT ON FUNCTION depipe.set_aside(text, text) IS
'makes the next run a probe that sets the rows aside for which the batch is held, and publishes the rest';

CREATE FUNCTION depipe.waive(target text, constraint_name text, reason text, until timestamptz)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_waive';
COMMENT ON FUNCTION depipe.waive(text, text, text, timestamptz) IS
'one constraint only warns until the given time, within depipe.max_override; a held batch is tried again';

CREATE FUNCTION depipe.acknowledge(incident_id bigint, note text DEFAULT NULL)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_acknowledge';
COMMENT ON FUNCTION depipe.acknowledge(bigint, text) IS
'records that the user takes care of an open incident';

CREATE FUNCTION depipe.configure_breaker(
	target text,
	mode text DEFAULT NULL,
	on_open text DEFAULT NULL,
	bad_runs integer DEFAULT NULL,
	of_runs integer DEFAULT NULL,
	sustain interval DEFAULT NULL,
	close_after integer DEFAULT NULL,
	retry_wait interval DEFAULT NULL,
	max_wait interval DEFAULT NULL,
	probe_timeout interval DEFAULT NULL)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_configure_breaker';
COMMENT ON FUNCTION depipe.configure_breaker(text, text, text, integer, integer, interval, integer, interval,
	interval, interval) IS
'sets when the breaker of a table opens and how it closes; changes only the given settings';

CREATE FUNCTION depipe.protect_write()
RETURNS trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_protect_write';
COMMENT ON FUNCTION depipe.protect_write() IS
'trigger on protected tables: applies their constraints to what a statement writes';

CREATE FUNCTION depipe.protect(target text)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_protect';
COMMENT ON FUNCTION depipe.protect(text) IS
'makes the constraints of a table that depipe does not maintain act when others write it';

CREATE FUNCTION depipe.unprotect(target text)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_unprotect';
COMMENT ON FUNCTION depipe.unprotect(text) IS
'ends the protection of a table; its constraints are evaluated every check_every';

CREATE FUNCTION depipe.guard(VARIADIC targets text[])
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_guard';
COMMENT ON FUNCTION depipe.guard(text[]) IS
'raises QD001 or QD002 while a table or anything upstream of it is held, QD004 while one of them is stale';

-- ---------------------------------------------------------------------
-- 8. running
-- ---------------------------------------------------------------------

CREATE FUNCTION depipe.refresh(target text, upstream boolean DEFAULT false,
	wait interval DEFAULT '1 minute',
	OUT target text, OUT kind text, OUT status text, OUT strategy text, OUT reason text,
	OUT rows_in bigint, OUT inserted bigint, OUT updated bigint, OUT deleted bigint,
	OUT quarantined bigint, OUT elapsed interval)
RETURNS SETOF record
LANGUAGE c ROWS 10
AS 'MODULE_PATHNAME', 'depipe_refresh';
COMMENT ON FUNCTION depipe.refresh(text, boolean, interval) IS
'brings loads and transforms up to date in this transaction, or waits for the worker that does; a failing gate is a row with status blocked, not an error';

CREATE PROCEDURE depipe.run(target text, upstream boolean DEFAULT false, wait interval DEFAULT '1 hour')
LANGUAGE c
AS 'MODULE_PATHNAME', 'depipe_run';
COMMENT ON PROCEDURE depipe.run(text, boolean, interval) IS
'brings loads and transforms up to date and commits each batch; raises QD001 if one was blocked, and the error of one that failed';

CREATE PROCEDURE depipe.check(pattern text)
LANGUAGE c
AS 'MODULE_PATHNAME', 'depipe_check';
COMMENT ON PROCEDURE depipe.check(text) IS
'evaluates the constraints of the targets that match the pattern on their whole tables now, commits the verdicts, and raises QD001 if one fails: for CI and cron';

CREATE PROCEDURE depipe.check(pattern pg_catalog.unknown)
LANGUAGE c
AS 'MODULE_PATHNAME', 'depipe_check_literal';
COMMENT ON PROCEDURE depipe.check(pg_catalog.unknown) IS
'the same for a literal, which would otherwise be taken for a cast to the domain of that name';

CREATE PROCEDURE depipe.run_due(max_duration interval DEFAULT '1 minute')
LANGUAGE c
AS 'MODULE_PATHNAME', 'depipe_run_due';
COMMENT ON PROCEDURE depipe.run_due(interval) IS
'one pass over everything due: loads and transforms by target_lag, time checks, expiries, crashed runs, history; returns at once while another pass is running';

CREATE PROCEDURE depipe.backfill(target text, column_name text, since text, before text, step text,
	restart boolean DEFAULT false, wait interval DEFAULT '1 hour')
LANGUAGE c
AS 'MODULE_PATHNAME', 'depipe_backfill';
COMMENT ON PROCEDURE depipe.backfill(text, text, text, text, text, boolean, interval) IS
'recomputes a transform range by range, each slice in a transaction of its own; stops at a slice that is not published, and continues when called again with the same arguments; rows with NULL in the column are in no range';

CREATE FUNCTION depipe.assert_ok(target text)
RETURNS void
LANGUAGE c
AS 'MODULE_PATHNAME', 'depipe_assert_ok';
COMMENT ON FUNCTION depipe.assert_ok(text) IS
'raises QD001, QD002 or QD004 unless the last run of the target published and neither it nor anything upstream is open or stale';

-- ---------------------------------------------------------------------
-- 9. looking
-- ---------------------------------------------------------------------

-- Views run as their owner: this function decides which rows a reader gets.
CREATE FUNCTION depipe.may_see(schema_name name, table_name name, owner depipe.role)
RETURNS boolean
LANGUAGE C STABLE
AS 'MODULE_PATHNAME', 'depipe_may_see';
COMMENT ON FUNCTION depipe.may_see(name, name, depipe.role) IS
'whether the current user may see what depipe shows about this table: allowed to its owner, its readers, operators and monitors';

-- State and reason of each target that the reader may see.
CREATE FUNCTION depipe.conditions(OUT target_id integer, OUT target text, OUT kind text,
	OUT rank integer, OUT state text, OUT reason text, OUT since timestamptz,
	OUT data_as_of timestamptz, OUT target_lag interval, OUT incomplete boolean,
	OUT open_incidents bigint, OUT next text, OUT path text)
RETURNS SETOF record
LANGUAGE C STABLE ROWS 100
AS 'MODULE_PATHNAME', 'depipe_conditions';
COMMENT ON FUNCTION depipe.conditions() IS
'state of each target that the current user may see, with the reason and the path from the root cause';

CREATE FUNCTION depipe.column_origins(OUT target text, OUT column_name text, OUT input text,
	OUT input_column text, OUT effect text, OUT use text, OUT through text)
RETURNS SETOF record
LANGUAGE C ROWS 1000
AS 'MODULE_PATHNAME', 'depipe_column_origins';
COMMENT ON FUNCTION depipe.column_origins() IS
'columns of targets that the current user may see, and the columns that they come from';

CREATE FUNCTION depipe.copies(OUT target_id integer, OUT pid integer, OUT rows_copied bigint,
	OUT bytes_copied bigint, OUT rows_estimated bigint)
RETURNS SETOF record
LANGUAGE C STABLE ROWS 1
AS 'MODULE_PATHNAME', 'depipe_copies';
COMMENT ON FUNCTION depipe.copies() IS
'copies in progress for targets that the current user may see';

CREATE FUNCTION depipe.why(target text, OUT depth integer, OUT target text, OUT state text,
	OUT since timestamptz, OUT reason text, OUT next text)
RETURNS SETOF record
LANGUAGE C STABLE ROWS 5
AS 'MODULE_PATHNAME', 'depipe_why';
COMMENT ON FUNCTION depipe.why(text) IS
'the path from a problem of a table to its root cause: one row for each step, with the statement to run next';

CREATE FUNCTION depipe.as_of(target text)
RETURNS timestamptz
LANGUAGE C STABLE
AS 'MODULE_PATHNAME', 'depipe_as_of';
COMMENT ON FUNCTION depipe.as_of(text) IS
'the time at the source through which a table is complete; NULL if unknown';

CREATE PROCEDURE depipe.wait(pattern text DEFAULT '*', until_state text DEFAULT NULL,
	timeout interval DEFAULT '1 minute')
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_wait';
COMMENT ON PROCEDURE depipe.wait(text, text, interval) IS
'waits until targets reach a state, by default up to date; raises an error on timeout or when a person is needed';

CREATE FUNCTION depipe.owner_problem(owner depipe.role, server name)
RETURNS text
LANGUAGE C STABLE
AS 'MODULE_PATHNAME', 'depipe_owner_problem';
COMMENT ON FUNCTION depipe.owner_problem(depipe.role, name) IS
'the reason why loads (of this server) and transforms of a role are ownerless, or NULL';

-- Definitions and reasons name other tables.
CREATE FUNCTION depipe.may_inspect(owner depipe.role)
RETURNS boolean
LANGUAGE C STABLE
AS 'MODULE_PATHNAME', 'depipe_may_inspect';
COMMENT ON FUNCTION depipe.may_inspect(depipe.role) IS
'whether the current user may see reasons and definitions: allowed to the owner, operators and monitors';

CREATE FUNCTION depipe.may_see_definition(target text)
RETURNS boolean
LANGUAGE C STABLE STRICT
AS 'MODULE_PATHNAME', 'depipe_may_see_definition';
COMMENT ON FUNCTION depipe.may_see_definition(text) IS
'whether the current user may see the definition of this target: may_inspect by name of the target';

CREATE FUNCTION depipe.reason_for_reader(owner depipe.role, reason text)
RETURNS text
LANGUAGE C STABLE
AS 'MODULE_PATHNAME', 'depipe_reason_for_reader';
COMMENT ON FUNCTION depipe.reason_for_reader(depipe.role, text) IS
'the part of a reason that the current user may see: all of it, the part about the table''s own constraints, or nothing';

-- The metric of an aggregate may be a value of a row.
CREATE FUNCTION depipe.may_read(schema_name name, table_name name)
RETURNS boolean
LANGUAGE C STABLE STRICT
AS 'MODULE_PATHNAME', 'depipe_may_read';
COMMENT ON FUNCTION depipe.may_read(name, name) IS 'whether the current user may read all rows of this table';

CREATE FUNCTION depipe.stream_workers(OUT server name, OUT pid integer, OUT applied_lsn pg_lsn,
	OUT source_lsn pg_lsn, OUT as_of timestamptz, OUT retained_bytes bigint, OUT safe_wal_size bigint,
	OUT reason text)
RETURNS SETOF record
LANGUAGE c ROWS 2
AS 'MODULE_PATHNAME', 'depipe_stream_workers';
COMMENT ON FUNCTION depipe.stream_workers() IS
'stream workers of this database and their positions';

-- The recorded state of a load; pauses, owners and missing tables are considered elsewhere.
CREATE VIEW depipe.load_now AS
SELECT l.target_id,
	CASE WHEN z.server_name IS NOT NULL THEN 'detached' ELSE COALESCE(s.state, 'detached') END AS state,
	CASE WHEN z.server_name IS NOT NULL THEN z.reason
		WHEN s.target_id IS NULL AND l.server_name IS NULL THEN 'restored from a dump: how far it had come is not known'
		WHEN s.target_id IS NULL THEN 'restored from a dump or detached by hand: it has no slot of its own'
		ELSE s.reason END AS reason
FROM depipe.load l
LEFT JOIN depipe.load_state s USING (target_id)
LEFT JOIN depipe.foreign_streams() z ON z.server_name OPERATOR(pg_catalog.=) l.server_name;
COMMENT ON VIEW depipe.load_now IS 'the state and reason of each load, apart from pauses, owners and missing tables';

-- A state set by hand ends at its time, even if no pass has recorded that yet.
CREATE VIEW depipe.breaker_now AS
SELECT b.target_id,
	CASE WHEN b.state OPERATOR(pg_catalog.=) ANY (ARRAY['forced_open', 'disabled'])
		AND b.until OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp() THEN 'half_open'
		ELSE b.state END AS state
FROM depipe.breaker_state b;
COMMENT ON VIEW depipe.breaker_now IS 'the current state of each breaker; a breaker without a row is closed';

-- An idle stream does not write the time through which its loads are complete; it is read from memory.
CREATE VIEW depipe.live_load AS
SELECT l.target_id, w.as_of, w.applied_lsn, w.source_lsn
FROM depipe.stream_workers() w
JOIN depipe.load l ON l.server_name OPERATOR(pg_catalog.=) w.server
JOIN depipe.load_state s USING (target_id)
JOIN depipe.target t USING (target_id)
LEFT JOIN depipe.target_state g USING (target_id)
WHERE s.state OPERATOR(pg_catalog.=) 'streaming' AND g.paused IS NOT TRUE AND w.as_of IS NOT NULL
	AND depipe.owner_problem(t.owner, l.server_name) IS NULL
	AND COALESCE(g.parked, 0) OPERATOR(pg_catalog.=) 0;
COMMENT ON VIEW depipe.live_load IS 'loads that a worker keeps complete, and the time through which they are complete';

CREATE VIEW depipe.runs WITH (security_barrier) AS
SELECT pg_catalog.format('%I.%I', t.schema_name, t.table_name) AS target,
	r.status, depipe.reason_for_reader(t.owner, r.reason) AS reason, r.run_id, r.started_by, r.role_name, r.pid, r.started_at, r.finished_at,
	r.finished_at OPERATOR(pg_catalog.-) r.started_at AS elapsed,
	r.strategy, r.rows_in, r.inserted, r.updated, r.deleted, r.quarantined,
	r.read_ms, r.gate_ms, r.apply_ms, r.error_sqlstate,
	CASE WHEN depipe.may_inspect(t.owner) THEN r.error_message END AS error_message,
	CASE WHEN depipe.may_inspect(t.owner) THEN r.error_hint END AS error_hint
FROM depipe.run r
JOIN depipe.target t USING (target_id)
WHERE depipe.may_see(t.schema_name, t.table_name, t.owner);
COMMENT ON VIEW depipe.runs IS 'attempts to bring a target up to date, one row each';
GRANT SELECT ON depipe.runs TO PUBLIC;

-- A table whose definitions were dropped no longer has an owner here; operators and monitors may look.
CREATE VIEW depipe.events WITH (security_barrier) AS
SELECT e.target, e.state,
	CASE WHEN e.server_name IS NULL THEN depipe.reason_for_reader(t.owner, e.reason)
		WHEN depipe.may_inspect(NULL) OR EXISTS (SELECT FROM depipe.load l JOIN depipe.target u USING (target_id)
			WHERE l.server_name OPERATOR(pg_catalog.=) e.server_name AND depipe.may_inspect(u.owner))
		THEN e.reason END AS reason,
	e.event_id, e.happened_at, e.event, e.role_name, e.server_name AS server
FROM depipe.event e
LEFT JOIN depipe.target t USING (target_id)
WHERE CASE WHEN e.server_name IS NULL THEN depipe.may_see(t.schema_name, t.table_name, t.owner)
	ELSE EXISTS (SELECT FROM depipe.load l JOIN depipe.target u USING (target_id)
		WHERE l.server_name OPERATOR(pg_catalog.=) e.server_name
			AND depipe.may_see(u.schema_name, u.table_name, u.owner))
		OR depipe.may_see(NULL, NULL, NULL) END;
COMMENT ON VIEW depipe.events IS 'state changes; event_id gives their order';
GRANT SELECT ON depipe.events TO PUBLIC;

-- Reasons and arguments may name other tables.
CREATE VIEW depipe.audit WITH (security_barrier) AS
SELECT a.target, a.action, CASE WHEN x.inspects THEN a.reason END AS reason, a.happened_at,
	a.session_role, a.current_role_name AS acting_role, a.constraint_name, a.server_name AS server,
	CASE WHEN x.inspects THEN a.arguments END AS arguments, a.audit_id
FROM depipe.audit_entry a
LEFT JOIN depipe.target t USING (target_id)
CROSS JOIN LATERAL (SELECT depipe.may_inspect(COALESCE(t.owner, a.owner))
	OR a.current_role_name OPERATOR(pg_catalog.=) CURRENT_USER AS inspects) x
WHERE x.inspects OR t.target_id IS NOT NULL AND depipe.may_see(t.schema_name, t.table_name, t.owner);
COMMENT ON VIEW depipe.audit IS
'statements that changed definitions or overrode a decision: when, by whom, and why';
GRANT SELECT ON depipe.audit TO PUBLIC;

CREATE VIEW depipe.transforms WITH (security_barrier) AS
SELECT c.target COLLATE "C" AS target, c.state, c.reason, c.since, c.data_as_of, f.key_columns, f.mode, f.target_lag,
	f.on_incomplete, f.on_stale, COALESCE(x.populated, false) AS populated, t.owner,
	ARRAY(SELECT CASE WHEN depipe.may_inspect(t.owner) OR depipe.may_read(i.schema_name, i.table_name)
				THEN pg_catalog.format('%I.%I', i.schema_name, i.table_name) ELSE '(hidden)' END
		FROM depipe.transform_input i
		WHERE i.target_id OPERATOR(pg_catalog.=) t.target_id AND i.direct
		ORDER BY i.schema_name, i.table_name) AS inputs,
	CASE WHEN depipe.may_inspect(t.owner) THEN f.query_text END AS query_text,
	CASE WHEN depipe.may_inspect(t.owner) THEN f.query_sql END AS query_sql, t.settings
FROM depipe.conditions() c
JOIN depipe.target t USING (target_id)
JOIN depipe.transform f USING (target_id)
LEFT JOIN depipe.transform_state x USING (target_id);
COMMENT ON VIEW depipe.transforms IS 'tables that are kept equal to a query';
GRANT SELECT ON depipe.transforms TO PUBLIC;

CREATE VIEW depipe.backfills WITH (security_barrier) AS
SELECT b.target, b.state,
	CASE WHEN b.state OPERATOR(pg_catalog.=) 'interrupted' THEN 'the session was canceled or has ended' ELSE b.reason END AS reason,
	b.column_name, b.since, b.before, b.step, b.slices_done, b.slices, b.slice_since, b.slice_before, b.run_id, b.pid,
	b.inserted, b.updated, b.deleted, b.quarantined, b.role_name, b.started_at, b.changed_at,
	CASE WHEN b.state OPERATOR(pg_catalog.=) ANY (ARRAY['stopped', 'interrupted']) THEN
		pg_catalog.format('CALL depipe.backfill(%L, %L, %L, %L, %L)', b.target, b.column_name, b.since, b.before, b.step) END AS next
FROM (
	SELECT pg_catalog.format('%I.%I', t.schema_name, t.table_name) COLLATE "C" AS target,
		CASE WHEN f.state OPERATOR(pg_catalog.=) 'running' AND l.pid IS NULL THEN 'interrupted' ELSE f.state END AS state,
		depipe.reason_for_reader(t.owner, f.reason) AS reason, l.pid,
		f.column_name, f.since, f.before, f.step, f.slices_done, f.slices, f.slice_since, f.slice_before, f.run_id,
		f.inserted, f.updated, f.deleted, f.quarantined, f.role_name, f.started_at, f.changed_at
	FROM depipe.backfill f
	JOIN depipe.target t USING (target_id)
	LEFT JOIN pg_catalog.pg_locks l ON l.locktype OPERATOR(pg_catalog.=) 'object' AND l.granted
		AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d
			WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
		AND l.classid OPERATOR(pg_catalog.=) 'depipe.backfill'::pg_catalog.regclass
		AND l.objid OPERATOR(pg_catalog.=) f.target_id::oid AND l.objsubid OPERATOR(pg_catalog.=) 0
		AND l.mode OPERATOR(pg_catalog.=) 'ExclusiveLock'
	WHERE depipe.may_see(t.schema_name, t.table_name, t.owner)
) b;
COMMENT ON VIEW depipe.backfills IS 'the last backfill of each transform, and its progress';
GRANT SELECT ON depipe.backfills TO PUBLIC;

CREATE FUNCTION depipe.captured_changes(capture_id bigint, OUT changes bigint, OUT bytes bigint)
RETURNS record
LANGUAGE C STRICT
AS 'MODULE_PATHNAME', 'depipe_captured_changes';
COMMENT ON FUNCTION depipe.captured_changes(bigint) IS
'the number and size of the changes that a capture keeps';

CREATE VIEW depipe.captures WITH (security_barrier) AS
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) COLLATE "C" AS input, x.since, x.reason,
	ARRAY(SELECT pg_catalog.format('%I.%I', t.schema_name, t.table_name)
		FROM depipe.capture_use u JOIN depipe.target t USING (target_id)
		WHERE u.capture_id OPERATOR(pg_catalog.=) x.capture_id
			AND depipe.may_see(t.schema_name, t.table_name, t.owner)
		ORDER BY t.schema_name, t.table_name) AS transforms,
	coalesce(x.reads, ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
		WHERE a.attrelid OPERATOR(pg_catalog.=) x.relid AND a.attnum OPERATOR(pg_catalog.>) 0
			AND NOT a.attisdropped ORDER BY a.attnum)) AS columns,
	k.changes, k.bytes
FROM depipe.capture x
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) x.relid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace,
LATERAL depipe.captured_changes(x.capture_id) k
WHERE depipe.may_inspect(c.relowner::depipe.role) OR EXISTS (SELECT FROM depipe.capture_use u JOIN depipe.target t USING (target_id)
	WHERE u.capture_id OPERATOR(pg_catalog.=) x.capture_id AND depipe.may_inspect(t.owner));
COMMENT ON VIEW depipe.captures IS 'inputs of transforms whose changes are captured';
GRANT SELECT ON depipe.captures TO PUBLIC;

CREATE VIEW depipe.lineage WITH (security_barrier) AS
SELECT pg_catalog.format('%I.%I', t.schema_name, t.table_name) AS target,
	CASE WHEN depipe.may_inspect(t.owner) OR depipe.may_read(i.schema_name, i.table_name)
		THEN pg_catalog.format('%I.%I', i.schema_name, i.table_name) ELSE '(hidden)' END AS input,
	CASE WHEN i.direct THEN 'query' ELSE 'view or partition' END AS through,
	CASE r.kind WHEN 'l' THEN 'load' WHEN 'f' THEN 'transform' WHEN 't' THEN 'table' END AS input_kind
FROM depipe.transform_input i
JOIN depipe.target t USING (target_id)
LEFT JOIN depipe.target r ON r.schema_name OPERATOR(pg_catalog.=) i.schema_name
	AND r.table_name OPERATOR(pg_catalog.=) i.table_name
WHERE depipe.may_see(t.schema_name, t.table_name, t.owner)
UNION ALL
SELECT pg_catalog.format('%I.%I', t.schema_name, t.table_name),
	pg_catalog.concat(pg_catalog.quote_ident(l.server_name) || ':', pg_catalog.format('%I.%I', l.source_schema, l.source_table)),
	'load', 'source'
FROM depipe.load l
JOIN depipe.target t USING (target_id)
WHERE depipe.may_see(t.schema_name, t.table_name, t.owner);
COMMENT ON VIEW depipe.lineage IS 'tables and the tables that they are made from: one row for each pair';
GRANT SELECT ON depipe.lineage TO PUBLIC;

CREATE VIEW depipe.column_lineage WITH (security_barrier) AS
SELECT o.target, o.column_name, o.input, o.input_column, o.effect, o.use, o.through
FROM depipe.column_origins() o;
COMMENT ON VIEW depipe.column_lineage IS
'columns and the columns of inputs that they are made from, and columns that choose the rows';
GRANT SELECT ON depipe.column_lineage TO PUBLIC;

CREATE VIEW depipe.status WITH (security_barrier) AS
SELECT c.target COLLATE "C" AS target, c.kind, c.state, c.reason, pg_catalog.date_trunc('second', c.since) AS since,
	pg_catalog.date_trunc('second', c.data_as_of) AS data_as_of,
	pg_catalog.date_trunc('second', GREATEST(pg_catalog.clock_timestamp()
		OPERATOR(pg_catalog.-) c.data_as_of, '0')) AS lag,
	c.target_lag, c.incomplete, c.open_incidents, c.next
FROM depipe.conditions() c
ORDER BY c.rank, c.target COLLATE "C";
COMMENT ON VIEW depipe.status IS
'all targets, those with problems first: state, reason, age, and the statement to run next';
GRANT SELECT ON depipe.status TO PUBLIC;

-- constraints and breakers

CREATE VIEW depipe.constraints WITH (security_barrier) AS
SELECT pg_catalog.format('%I.%I', t.schema_name, t.table_name) AS target,
	COALESCE(s.outcome, 'not_evaluated') AS state,
	CASE WHEN s.outcome OPERATOR(pg_catalog.=) ANY (ARRAY['warn', 'fail']) THEN
		pg_catalog.format('%s of %s', COALESCE(s.violations::text, '?'), COALESCE(s.evaluated::text, '?'))
	END AS reason,
	c.name, c.rule OPERATOR(pg_catalog.->>) 'kind' AS kind,
	CASE WHEN depipe.may_inspect(t.owner) OR (NOT c.rule OPERATOR(pg_catalog.?) 'query'
		AND (c.reference_table IS NULL OR depipe.may_read(c.reference_schema, c.reference_table)))
		THEN c.rule END AS rule,
	c.on_violation, c.warn_if, c.fail_if, c.scope, c.min_rows, c.filter, c.on_null, c.on_no_data, c.on_error, c.grace, c.existing,
	c.enforce_from, c.check_every, c.owner, c.description,
	s.outcome_since AS since, s.evaluated_at, s.evaluated, s.violations,
	CASE WHEN depipe.may_read(t.schema_name, t.table_name) THEN s.metric END AS metric, s.baseline,
	s.would_have_blocked, c.settings, s.waived_until,
	(SELECT pg_catalog.count(*) FROM depipe.accepted_row a
		WHERE a.constraint_id OPERATOR(pg_catalog.=) c.constraint_id) AS accepted, c.origin, t.protected
FROM depipe.constraint_definition c
JOIN depipe.target t USING (target_id)
LEFT JOIN depipe.constraint_state s USING (constraint_id)
WHERE depipe.may_see(t.schema_name, t.table_name, t.owner);
COMMENT ON VIEW depipe.constraints IS 'constraints with their policies and last outcomes';
GRANT SELECT ON depipe.constraints TO PUBLIC;

CREATE VIEW depipe.breakers WITH (security_barrier) AS
SELECT pg_catalog.format('%I.%I', t.schema_name, t.table_name) AS target,
	COALESCE(e.state, 'closed') AS state,
	depipe.reason_for_reader(t.owner, b.reason) AS reason, b.since, b.until, b.retry_at, b.set_by,
	COALESCE(s.mode, 'normal') AS mode,
	COALESCE(s.on_open, 'serve_last_good') AS on_open,
	COALESCE(s.bad_runs, 1) AS bad_runs,
	COALESCE(s.of_runs, 1) AS of_runs,
	COALESCE(s.close_after, 1) AS close_after,
	COALESCE(s.retry_wait, '1 minute'::interval) AS retry_wait,
	COALESCE(s.max_wait, '1 hour'::interval) AS max_wait,
	COALESCE(s.probe_timeout, '10 minutes'::interval) AS probe_timeout,
	COALESCE(p.parked, 0) AS parked,
	COALESCE(s.sustain, '0'::interval) AS sustain, COALESCE(b.would_have_opened, 0) AS would_have_opened
FROM depipe.target t
LEFT JOIN depipe.target_state p USING (target_id)
LEFT JOIN depipe.breaker_state b USING (target_id)
LEFT JOIN depipe.breaker_now e USING (target_id)
LEFT JOIN depipe.breaker_setting s USING (target_id)
WHERE depipe.may_see(t.schema_name, t.table_name, t.owner);
COMMENT ON VIEW depipe.breakers IS 'the breaker of each target: state, reason and settings';
GRANT SELECT ON depipe.breakers TO PUBLIC;

CREATE VIEW depipe.verdicts WITH (security_barrier) AS
SELECT pg_catalog.format('%I.%I', t.schema_name, t.table_name) AS target,
	v.outcome AS state, v.action, v.constraint_name, v.check_kind AS kind, v.evaluated, v.violations,
	CASE WHEN depipe.may_read(t.schema_name, t.table_name) THEN v.metric END AS metric,
	v.warn_if, v.fail_if, v.would_have_blocked, v.strategy, v.elapsed_ms, v.detail,
	v.recorded_at, v.run_id, v.verdict_id
FROM depipe.verdict v
JOIN depipe.target t USING (target_id)
WHERE depipe.may_see(t.schema_name, t.table_name, t.owner);
COMMENT ON VIEW depipe.verdicts IS 'outcomes of constraints: one for each change, and one for each run';
GRANT SELECT ON depipe.verdicts TO PUBLIC;

-- Images are whole rows: visible to those who may read all rows of the table.
CREATE VIEW depipe.quarantine WITH (security_barrier) AS
SELECT pg_catalog.format('%I.%I', t.schema_name, t.table_name) AS target,
	CASE WHEN q.retry THEN 'retry' ELSE 'held' END AS state,
	pg_catalog.array_to_string(q.reasons, ', ') AS reason,
	q.quarantined_at, q.row_key AS key,
	(SELECT pg_catalog.jsonb_object_agg(x.name, CASE WHEN x.image IS NULL THEN 'null'
		WHEN x.type OPERATOR(pg_catalog.~) '^(smallint|integer|bigint|real|double precision|numeric)(\(|$)'
			AND x.image OPERATOR(pg_catalog.!~) '[NI]' THEN x.image::jsonb -- but not NaN and Infinity
		WHEN x.type OPERATOR(pg_catalog.=) 'boolean' THEN pg_catalog.to_jsonb(x.image::boolean)
		ELSE pg_catalog.to_jsonb(x.image) END)
		FROM ROWS FROM (pg_catalog.unnest(l.columns), pg_catalog.unnest(l.types),
			pg_catalog.unnest(q.image)) x (name, type, image)) AS "row",
	q.lsn, q.commit_time, q.run_id, q.quarantine_id
FROM depipe.quarantined_row q
JOIN depipe.target t USING (target_id)
JOIN depipe.row_layout l USING (layout_id)
JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) t.schema_name
JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid
	AND c.relname OPERATOR(pg_catalog.=) t.table_name
	AND c.relowner OPERATOR(pg_catalog.=) t.owner::oid -- not a table that another role made since
WHERE NOT q.discarded AND pg_catalog.has_table_privilege(current_user, c.oid, 'SELECT')
	AND NOT pg_catalog.row_security_active(c.oid);
COMMENT ON VIEW depipe.quarantine IS 'rows that constraints kept out of their tables, with the constraints that they violate';
GRANT SELECT ON depipe.quarantine TO PUBLIC;

CREATE VIEW depipe.incidents WITH (security_barrier) AS
SELECT pg_catalog.format('%I.%I', t.schema_name, t.table_name) AS target,
	CASE WHEN i.closed_at IS NULL THEN 'open' ELSE 'closed' END AS state,
	pg_catalog.format('constraint %I: %s', i.constraint_name, i.outcome) AS reason,
	i.constraint_name, i.outcome, i.action, i.violations, i.occurrences,
	i.opened_at, i.last_seen, i.closed_at, i.first_run_id, i.last_run_id, c.owner, i.incident_id,
	i.opened_at AS first_seen, i.violations_now, i.closed_how, i.acknowledged_by, i.acknowledged_at,
	CASE WHEN depipe.may_inspect(t.owner) THEN i.acknowledge_note END AS acknowledge_note,
	-- its blast radius: what is made from the table, at any depth
	ARRAY(WITH RECURSIVE reader (target_id, schema_name, table_name) AS (
			SELECT t.target_id, t.schema_name, t.table_name
			UNION
			SELECT r.target_id, r.schema_name, r.table_name
			FROM reader d
			JOIN depipe.transform_input n ON n.schema_name OPERATOR(pg_catalog.=) d.schema_name
				AND n.table_name OPERATOR(pg_catalog.=) d.table_name
			JOIN depipe.target r ON r.target_id OPERATOR(pg_catalog.=) n.target_id)
		SELECT CASE WHEN depipe.may_see(u.schema_name, u.table_name, u.owner)
			THEN pg_catalog.format('%I.%I', u.schema_name, u.table_name) ELSE '(hidden)' END
		FROM reader d JOIN depipe.target u USING (target_id)
		WHERE d.target_id OPERATOR(pg_catalog.<>) t.target_id
		ORDER BY u.schema_name, u.table_name) AS downstream
FROM depipe.incident i
JOIN depipe.target t USING (target_id)
LEFT JOIN depipe.constraint_definition c
	ON c.target_id OPERATOR(pg_catalog.=) i.target_id AND c.name OPERATOR(pg_catalog.=) i.constraint_name
WHERE depipe.may_see(t.schema_name, t.table_name, t.owner);
COMMENT ON VIEW depipe.incidents IS 'problems of constraints, from the first bad verdict until no violating row is left and the last verdict is good';
GRANT SELECT ON depipe.incidents TO PUBLIC;
CREATE VIEW depipe.loads WITH (security_barrier) AS
SELECT pg_catalog.format('%I.%I', t.schema_name, t.table_name) AS target,
	CASE WHEN o.problem IS NOT NULL THEN 'ownerless'
		WHEN x.state OPERATOR(pg_catalog.=) 'detached' THEN x.state
		WHEN p.paused AND (p.paused_until IS NULL OR p.paused_until OPERATOR(pg_catalog.>) pg_catalog.now())
			THEN 'paused'
		WHEN c.oid IS NULL AND x.state IN ('streaming', 'needs_resync') THEN 'missing'
		WHEN p.parked OPERATOR(pg_catalog.>) 0 AND x.state OPERATOR(pg_catalog.=) 'streaming' THEN 'parked'
		ELSE x.state END AS state,
	CASE WHEN o.problem IS NOT NULL THEN depipe.reason_for_reader(t.owner, o.problem)
		WHEN x.state OPERATOR(pg_catalog.=) 'detached' THEN x.reason
		WHEN p.paused AND (p.paused_until IS NULL OR p.paused_until OPERATOR(pg_catalog.>) pg_catalog.now())
			THEN p.pause_reason
		ELSE depipe.reason_for_reader(t.owner, x.reason) END AS reason,
	CASE WHEN x.state OPERATOR(pg_catalog.=) 'detached'
			THEN pg_catalog.format('SELECT depipe.' || CASE WHEN l.server_name IS NULL THEN 'resync' ELSE 'adopt' END || '(%L);',
				COALESCE(l.server_name::text, pg_catalog.format('%I.%I', t.schema_name, t.table_name)))
		WHEN depipe.may_inspect(t.owner) THEN s.hint END AS hint,
	s.since, GREATEST(p.data_as_of, v.as_of) AS data_as_of, l.server_name AS server,
	pg_catalog.format('%I.%I', l.source_schema, l.source_table) AS source, l.mode,
	COALESCE(s.key_columns, l.key_columns) AS key,
	CASE WHEN depipe.may_inspect(t.owner) THEN l.columns END AS columns,
	CASE WHEN depipe.may_inspect(t.owner) THEN l.row_filter END AS row_filter, l.schema_change,
	l.new_columns, l.on_truncate, l.target_lag, s.applied_lsn,
	COALESCE(w.rows_copied, s.rows_copied) AS rows_copied, w.rows_estimated,
	COALESCE(p.parked, 0) AS parked, t.owner, t.settings, l.history
FROM depipe.target t
JOIN depipe.load l USING (target_id)
JOIN depipe.load_now x USING (target_id)
LEFT JOIN depipe.load_state s USING (target_id)
LEFT JOIN depipe.target_state p USING (target_id)
LEFT JOIN depipe.live_load v USING (target_id)
LEFT JOIN depipe.copies() w USING (target_id)
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) t.schema_name
LEFT JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid
	AND c.relname OPERATOR(pg_catalog.=) t.table_name
CROSS JOIN LATERAL depipe.owner_problem(t.owner, l.server_name) o (problem)
WHERE depipe.may_see(t.schema_name, t.table_name, t.owner);
COMMENT ON VIEW depipe.loads IS 'tables that are kept equal to tables of a source';
GRANT SELECT ON depipe.loads TO PUBLIC;

-- The view opens no connection: it shows the last look of the worker that has the
-- stream, or of the last run.
CREATE VIEW depipe.stat_streams WITH (security_barrier) AS
SELECT r.server_name AS server,
	CASE WHEN z.server_name IS NOT NULL THEN 'detached'
		WHEN r.state OPERATOR(pg_catalog.<>) 'streaming' THEN r.state
		WHEN f.failing THEN 'failed'
		WHEN g.copying OPERATOR(pg_catalog.>) 0 THEN 'copying'
		WHEN x.taken_lsn OPERATOR(pg_catalog.<) x.source_lsn THEN 'catching up'
		ELSE 'streaming' END AS phase,
	CASE WHEN g.may_inspect THEN COALESCE(z.reason, r.reason, CASE WHEN f.failing THEN f.reason END,
		w.reason) END AS reason, r.slot_name, r.publication, r.applied_lsn, x.source_lsn,
	GREATEST(pg_catalog.pg_wal_lsn_diff(x.source_lsn, x.taken_lsn), 0) AS lag_bytes,
	GREATEST(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()
		OPERATOR(pg_catalog.-) g.data_as_of), 0) AS lag_seconds,
	COALESCE(w.retained_bytes, r.retained_bytes) AS retained_bytes,
	COALESCE(w.safe_wal_size, r.safe_wal_size) AS safe_wal_size, r.commit_time,
	GREATEST(r.checked_at, w.as_of) AS checked_at, g.loads, g.copying,
	g.rows_copied, g.rows_estimated, r.batch_number, r.slot_incarnation, w.pid
FROM depipe.stream r
LEFT JOIN depipe.stream_workers() w ON w.server OPERATOR(pg_catalog.=) r.server_name
CROSS JOIN LATERAL (SELECT GREATEST(r.source_lsn, w.source_lsn) AS source_lsn,
	GREATEST(r.applied_lsn, r.received_lsn, w.applied_lsn) AS taken_lsn) x
LEFT JOIN depipe.foreign_streams() z ON z.server_name OPERATOR(pg_catalog.=) r.server_name
CROSS JOIN LATERAL (
	SELECT pg_catalog.count(*) AS loads,
		pg_catalog.count(*) FILTER (WHERE s.state OPERATOR(pg_catalog.=) 'copying') AS copying,
		pg_catalog.sum(COALESCE(c.rows_copied, s.rows_copied)) AS rows_copied,
		pg_catalog.sum(COALESCE(c.rows_estimated, s.rows_copied)) AS rows_estimated,
		pg_catalog.min(GREATEST(p.data_as_of, v.as_of)) AS data_as_of,
		pg_catalog.bool_or(depipe.may_see(t.schema_name, t.table_name, t.owner)) AS may_see,
		pg_catalog.bool_or(depipe.may_inspect(t.owner)) AS may_inspect
	FROM depipe.load l
	JOIN depipe.target t USING (target_id)
	LEFT JOIN depipe.load_state s USING (target_id)
	LEFT JOIN depipe.target_state p USING (target_id)
	LEFT JOIN depipe.live_load v USING (target_id)
	LEFT JOIN depipe.copies() c USING (target_id)
	WHERE l.server_name OPERATOR(pg_catalog.=) r.server_name) g
-- As in status: several attempts failed, or the last run failed and no attempt succeeded since.
LEFT JOIN depipe.attempt a ON a.unit OPERATOR(pg_catalog.=) ('server ' || r.server_name)
LEFT JOIN LATERAL (
	SELECT u.status, u.reason, u.finished_at, u.error_sqlstate
	FROM depipe.load l
	CROSS JOIN LATERAL (SELECT o.run_id, o.status, o.reason, o.finished_at, o.error_sqlstate FROM depipe.run o
		WHERE o.target_id OPERATOR(pg_catalog.=) l.target_id AND o.status NOT IN ('running', 'skipped')
		ORDER BY o.run_id DESC LIMIT 1) u
	WHERE l.server_name OPERATOR(pg_catalog.=) r.server_name
	ORDER BY u.finished_at DESC, u.run_id DESC LIMIT 1) o ON true
CROSS JOIN LATERAL (SELECT COALESCE(a.failures OPERATOR(pg_catalog.>) 1
		OR o.status OPERATOR(pg_catalog.=) 'failed' AND (
			a.failures OPERATOR(pg_catalog.=) 1 AND o.finished_at OPERATOR(pg_catalog.>=) a.started_at
			OR o.error_sqlstate OPERATOR(pg_catalog.~~) '08%'
				AND (a.unit IS NULL OR o.finished_at OPERATOR(pg_catalog.>) a.started_at)), false) AS failing,
	CASE WHEN o.status OPERATOR(pg_catalog.=) 'failed' THEN o.reason ELSE
		'its worker or session ended before it could report the reason: see the log of the server' END AS reason) f
WHERE g.may_see;
COMMENT ON VIEW depipe.stat_streams IS 'the stream of each server: slot, lag, retained WAL, worker, progress of copies';
GRANT SELECT ON depipe.stat_streams TO PUBLIC;

CREATE FUNCTION depipe.set_owner(target text, owner name)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_set_owner';
COMMENT ON FUNCTION depipe.set_owner(text, name) IS
'assigns the definitions of a missing table to a role; those of an existing table follow ALTER TABLE ... OWNER TO';

-- The statements show nothing that the views hide from the reader.
CREATE FUNCTION depipe.definition(pattern text DEFAULT '*', OUT statement text)
RETURNS SETOF text
LANGUAGE sql STABLE ROWS 100
SET search_path TO pg_catalog, pg_temp
SET intervalstyle TO 'postgres'
SET datestyle TO 'ISO'
SET timezone TO 'UTC'
SET quote_all_identifiers TO off
AS $$
	WITH RECURSIVE level (target, depth) AS (
		SELECT target, 0 FROM depipe.transforms
		UNION ALL
		SELECT l.target, d.depth + 1 FROM depipe.lineage l JOIN level d ON l.input = d.target
	), part (kind, depth, target, name, statement) AS (
		SELECT 1, 0, target, NULL::name,
			'SELECT depipe.create_load(' || quote_literal(target)
			|| array_to_string(ARRAY[
				', server => ' || quote_literal(server),
				', source => ' || quote_literal(source),
				', mode => ' || quote_literal(NULLIF(mode, 'cdc')),
				', key => ' || quote_literal(key::text),
				', columns => ' || quote_literal(columns::text),
				', row_filter => ' || quote_literal(row_filter),
				', schema_change => ' || quote_literal(NULLIF(schema_change, 'safe')),
				', new_columns => ' || quote_literal(NULLIF(new_columns, 'load')),
				', on_truncate => ' || quote_literal(NULLIF(on_truncate, 'apply')),
				', target_lag => ' || quote_literal(NULLIF(target_lag, '1 second')::text),
				', history => ' || quote_literal(NULLIF(history, 'none')),
				', settings => ' || quote_literal((CASE
					WHEN row_filter IS NULL AND jsonb_path_exists(columns, '$.* ? (@ != null)') IS NOT TRUE
						OR EXISTS (SELECT FROM unnest(settings) s WHERE s LIKE 'search_path=%') THEN settings
					-- made before definitions had a path
					ELSE settings || 'search_path=pg_catalog'::text END)::text)], '') || ');'
		FROM depipe.loads
		UNION ALL
		SELECT 2, (SELECT max(depth) FROM level l WHERE l.target = t.target), target, NULL,
			'SELECT depipe.create_transform(' || quote_literal(target)
			|| ', ' || quote_literal(query_sql)
			|| array_to_string(ARRAY[
				', key => ' || quote_literal(key_columns::text),
				', mode => ' || quote_literal(NULLIF(mode, 'auto')),
				', target_lag => ' || quote_literal(target_lag::text),
				', on_incomplete => ' || quote_literal(NULLIF(on_incomplete, 'publish')),
				', on_stale => ' || quote_literal(NULLIF(on_stale, 'publish')),
				', settings => ' || quote_literal(settings::text)], '') || ');'
		FROM depipe.transforms t
		UNION ALL
		SELECT 3, 0, target, name,
			'SELECT depipe.add_constraint(' || quote_literal(target)
			|| ', ' || quote_literal(rule::text)
			|| array_to_string(ARRAY[
				', name => ' || quote_literal(name),
				', on_violation => ' || quote_literal(on_violation),
				', warn_if => ' || quote_literal(warn_if),
				', fail_if => ' || quote_literal(fail_if),
				', scope => ' || quote_literal(NULLIF(scope, 'table')),
				', min_rows => ' || NULLIF(min_rows, 1000)::text,
				', filter => ' || quote_literal(filter),
				', on_null => ' || quote_literal(NULLIF(on_null, 'pass')),
				', on_no_data => ' || quote_literal(NULLIF(on_no_data, 'not_evaluated')),
				', on_error => ' || quote_literal(NULLIF(on_error, 'fail')),
				', grace => ' || quote_literal(grace::text),
				', existing => ' || quote_literal(NULLIF(existing, 'baseline')),
				', enforce_from => ' || quote_literal(enforce_from::text),
				', check_every => ' || quote_literal(NULLIF(check_every, '1 minute')::text),
				', owner => ' || quote_literal(owner),
				', description => ' || quote_literal(description),
				', settings => ' || quote_literal(settings::text)], '') || ');'
		FROM depipe.constraints
		UNION ALL
		SELECT 4, 0, target, NULL,
			'SELECT depipe.configure_breaker(' || quote_literal(target)
			|| ', mode => ' || quote_literal(mode) || ', on_open => ' || quote_literal(on_open)
			|| ', bad_runs => ' || bad_runs || ', of_runs => ' || of_runs
			|| COALESCE(', sustain => ' || quote_literal(NULLIF(sustain, '0')::text), '')
			|| ', close_after => ' || close_after
			|| ', retry_wait => ' || quote_literal(retry_wait::text)
			|| ', max_wait => ' || quote_literal(max_wait::text)
			|| ', probe_timeout => ' || quote_literal(probe_timeout::text) || ');'
		FROM depipe.breakers
		WHERE sustain > '0' OR (mode, on_open, bad_runs, of_runs, close_after, retry_wait, max_wait, probe_timeout)
			<> ('normal', 'serve_last_good', 1, 1, 1, '1 minute'::interval, '1 hour'::interval,
				'10 minutes'::interval)
		UNION ALL
		SELECT DISTINCT 5, 0, target, NULL::name, 'SELECT depipe.protect(' || quote_literal(target) || ');'
		FROM depipe.constraints WHERE protected
	)
	SELECT statement FROM part
	WHERE depipe.may_see_definition(target) AND target ~ ('^(' || replace(replace(
		regexp_replace(CASE WHEN strpos(pattern, '.') > 0 THEN pattern ELSE '*.' || pattern END,
			'([.\\+^$()\[\]{}|])', '\\\1', 'g'), '*', '.*'), '?', '.') || ')$')
	ORDER BY kind, depth, target, name
$$;
COMMENT ON FUNCTION depipe.definition(text) IS
'statements that recreate loads, transforms, constraints and breakers, in an order in which they can be run';

-- ---------------------------------------------------------------------
-- 10. rights
-- ---------------------------------------------------------------------

-- PUBLIC has rights on views where a statement above grants them, and on no table.
-- Functions check rights themselves, or are revoked where they are made.
GRANT USAGE ON SCHEMA depipe TO PUBLIC;

-- ---------------------------------------------------------------------
-- 11. statistics
-- ---------------------------------------------------------------------

-- The planner assumes ten pages for a table that was never analysed. Several such tables, joined
-- by their foreign keys to one that was analysed, are estimated at millions of rows, and then views
-- are compiled just in time.
DO $$
DECLARE
	own regclass;
BEGIN
	FOR own IN SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
		WHERE n.nspname OPERATOR(pg_catalog.=) 'depipe' AND c.relkind OPERATOR(pg_catalog.=) 'r'
	LOOP
		EXECUTE pg_catalog.format('ANALYZE %s', own);
	END LOOP;
END
$$;
