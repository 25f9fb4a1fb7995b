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

CREATE SEQUENCE depipe.target_id_seq AS integer;

CREATE TABLE depipe.target (
	target_id integer NOT NULL DEFAULT nextval('depipe.target_id_seq'::regclass),
	schema_name name NOT NULL,
	table_name name NOT NULL,
	kind "char" NOT NULL,
	owner regrole NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT target_pkey PRIMARY KEY (target_id),
	CONSTRAINT target_name_key UNIQUE (schema_name, table_name),
	CONSTRAINT target_kind_check CHECK (kind IN ('t', 'l', 'f'))
);
COMMENT ON TABLE depipe.target IS 'tables known to depipe: maintained by a load (l) or a transform (f), or with constraints only (t)';

CREATE TABLE depipe.load (
	target_id integer NOT NULL,
	server_name name NOT NULL,
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
COMMENT ON TABLE depipe.transform_input IS 'tables that the query of a transform reads; not direct: through a view or as a partition';

CREATE SEQUENCE depipe.constraint_id_seq AS integer;

CREATE TABLE depipe.constraint_definition (
	constraint_id integer NOT NULL DEFAULT nextval('depipe.constraint_id_seq'::regclass),
	target_id integer NOT NULL,
	name name NOT NULL,
	rule jsonb NOT NULL,
	row_expression text,
	on_violation text NOT NULL,
	warn_if text,
	fail_if text,
	scope text NOT NULL DEFAULT 'table',
	min_rows bigint NOT NULL DEFAULT 1000,
	filter text,
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
	CONSTRAINT constraint_definition_pkey PRIMARY KEY (constraint_id),
	CONSTRAINT constraint_definition_name_key UNIQUE (target_id, name),
	CONSTRAINT constraint_definition_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);
COMMENT ON TABLE depipe.constraint_definition IS 'constraints with their policies; row_expression is the analysed form of a row check';

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

-- relid is the table that a target was last bound to: it lets a rename be
-- followed when no table of the old name is left.
CREATE TABLE depipe.target_state (
	target_id integer NOT NULL,
	relid oid,
	paused boolean NOT NULL DEFAULT false,
	pause_reason text,
	paused_until timestamptz,
	data_as_of timestamptz,
	CONSTRAINT target_state_pkey PRIMARY KEY (target_id),
	CONSTRAINT target_state_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);

-- One row per server: the slot, and how far its stream has been taken in.
CREATE TABLE depipe.stream (
	server_name name NOT NULL,
	slot_name name NOT NULL,
	slot_incarnation bigint NOT NULL DEFAULT 1,
	publication name NOT NULL,
	publication_oid oid,
	publication_managed boolean NOT NULL,
	system_identifier text,
	timeline integer,
	local_system_identifier text NOT NULL,
	local_database oid NOT NULL,
	applied_lsn pg_lsn,
	commit_time timestamptz,
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

-- applied_lsn: changes of transactions that committed before it are in the
-- table (or parked): the copy's position, then that of the last batch.
CREATE TABLE depipe.load_state (
	target_id integer NOT NULL,
	state text NOT NULL DEFAULT 'new',
	reason text,
	hint text,
	since timestamptz NOT NULL DEFAULT now(),
	applied_lsn pg_lsn,
	source_relid oid,
	source_columns jsonb,
	source_identity "char",
	made_table boolean NOT NULL DEFAULT false,
	rows_copied bigint,
	CONSTRAINT load_state_pkey PRIMARY KEY (target_id),
	CONSTRAINT load_state_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);

-- query_tree is the analysed query as of its last analysis, written by the
-- server version tree_version: it lets the text follow a rename.
CREATE TABLE depipe.transform_state (
	target_id integer NOT NULL,
	populated boolean NOT NULL DEFAULT false,
	state text NOT NULL DEFAULT 'new',
	reason text,
	since timestamptz NOT NULL DEFAULT now(),
	made_table boolean NOT NULL DEFAULT false,
	query_tree text,
	tree_version integer,
	input_relids oid[],
	CONSTRAINT transform_state_pkey PRIMARY KEY (target_id),
	CONSTRAINT transform_state_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);

-- baseline: violations that were there when the constraint was declared.
CREATE TABLE depipe.constraint_state (
	constraint_id integer NOT NULL,
	outcome text,
	outcome_since timestamptz,
	evaluated_at timestamptz,
	evaluated bigint,
	violations bigint,
	metric text,
	baseline bigint NOT NULL DEFAULT 0,
	dirty boolean NOT NULL DEFAULT true,
	CONSTRAINT constraint_state_pkey PRIMARY KEY (constraint_id),
	CONSTRAINT constraint_state_constraint_fkey FOREIGN KEY (constraint_id)
		REFERENCES depipe.constraint_definition ON DELETE CASCADE
);

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
CREATE INDEX verdict_run_idx ON depipe.verdict (run_id);

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
	CONSTRAINT incident_pkey PRIMARY KEY (incident_id),
	CONSTRAINT incident_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);
CREATE UNIQUE INDEX incident_open_key ON depipe.incident (target_id, constraint_name) WHERE closed_at IS NULL;

-- How the text images of parked and quarantined rows are to be read: images
-- stay readable after the table has changed.
CREATE TABLE depipe.row_layout (
	layout_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
	target_id integer NOT NULL,
	columns text[] NOT NULL,
	types text[] NOT NULL,
	CONSTRAINT row_layout_pkey PRIMARY KEY (layout_id),
	CONSTRAINT row_layout_columns_key UNIQUE (target_id, columns, types),
	CONSTRAINT row_layout_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);

-- Deltas that wait, in source order.  kind: 'row', or 'clear' (TRUNCATE);
-- unknown: columns (by name) that the source did not send; pair: the item that
-- deletes the old key of a key change.
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
	pair bigint,
	parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CONSTRAINT parked_item_pkey PRIMARY KEY (target_id, item),
	CONSTRAINT parked_item_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);

-- Whole rows that a constraint kept out; at most one per key.
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
	CONSTRAINT quarantined_row_pkey PRIMARY KEY (quarantine_id),
	CONSTRAINT quarantined_row_key UNIQUE (target_id, row_key),
	CONSTRAINT quarantined_row_target_fkey FOREIGN KEY (target_id) REFERENCES depipe.target ON DELETE CASCADE
);

CREATE TABLE depipe.event (
	event_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
	happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	target_id integer,
	target text,
	event text NOT NULL,
	state text,
	reason text,
	role_name name NOT NULL DEFAULT session_user,
	CONSTRAINT event_pkey PRIMARY KEY (event_id)
);
COMMENT ON TABLE depipe.event IS 'durable log of state changes; NOTIFY depipe is its doorbell';

-- ---------------------------------------------------------------------
-- 4. checks: the vocabulary of constraints
-- ---------------------------------------------------------------------

-- ---------------------------------------------------------------------
-- 5. sources and loads
-- ---------------------------------------------------------------------

-- ---------------------------------------------------------------------
-- 6. transforms
-- ---------------------------------------------------------------------

CREATE FUNCTION depipe.refuse_dml()
RETURNS trigger
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_refuse_dml';
COMMENT ON FUNCTION depipe.refuse_dml() IS 'trigger of the tables that transforms maintain: refuses direct changes';

CREATE FUNCTION depipe.create_transform(
	target text,
	query text,
	key text[] DEFAULT NULL,
	mode text DEFAULT 'auto',
	target_lag interval DEFAULT NULL,
	on_incomplete text DEFAULT 'publish',
	on_stale text DEFAULT 'publish',
	populate boolean DEFAULT true,
	replace boolean DEFAULT false)
RETURNS text
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_create_transform';
COMMENT ON FUNCTION depipe.create_transform(text, text, text[], text, interval, text, text, boolean, boolean)
IS 'keep a table equal to a query; returns the name of the table';

CREATE FUNCTION depipe.drop_transform(target text, drop_table boolean DEFAULT false)
RETURNS void
LANGUAGE C
AS 'MODULE_PATHNAME', 'depipe_drop_transform';
COMMENT ON FUNCTION depipe.drop_transform(text, boolean) IS 'stop maintaining a table; it stays unless drop_table';

-- each of them checks ownership itself
REVOKE EXECUTE ON FUNCTION
	depipe.refuse_dml(),
	depipe.create_transform(text, text, text[], text, interval, text, text, boolean, boolean),
	depipe.drop_transform(text, boolean)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	depipe.refuse_dml(),
	depipe.create_transform(text, text, text[], text, interval, text, text, boolean, boolean),
	depipe.drop_transform(text, boolean)
TO PUBLIC;

-- ---------------------------------------------------------------------
-- 7. constraints and breakers
-- ---------------------------------------------------------------------

-- ---------------------------------------------------------------------
-- 8. running
-- ---------------------------------------------------------------------

CREATE FUNCTION depipe.refresh(target text, upstream boolean DEFAULT false, wait boolean DEFAULT false,
	OUT target text, OUT kind text, OUT status text, OUT strategy text, OUT reason text,
	OUT rows_in bigint, OUT inserted bigint, OUT updated bigint, OUT deleted bigint,
	OUT quarantined bigint, OUT elapsed interval)
RETURNS SETOF record
LANGUAGE c
AS 'MODULE_PATHNAME', 'depipe_refresh';
COMMENT ON FUNCTION depipe.refresh(text, boolean, boolean) IS
'brings loads and transforms up to date in this transaction; a gate that fails is a row with status blocked, not an error';

CREATE PROCEDURE depipe.run(target text, upstream boolean DEFAULT false)
LANGUAGE c
AS 'MODULE_PATHNAME', 'depipe_run';
COMMENT ON PROCEDURE depipe.run(text, boolean) IS
'brings loads and transforms up to date, committing each batch, and raises QD001 when one is blocked or its error when it failed';

CREATE FUNCTION depipe.assert_ok(target text)
RETURNS void
LANGUAGE c
AS 'MODULE_PATHNAME', 'depipe_assert_ok';
COMMENT ON FUNCTION depipe.assert_ok(text) IS
'raises QD001, QD002 or QD004 unless the last run of the target published and nothing upstream is open or stale';

-- ---------------------------------------------------------------------
-- 9. looking
-- ---------------------------------------------------------------------

-- Views run as their owner: this is what decides which rows a reader gets.
CREATE FUNCTION depipe.may_see(schema_name name, table_name name, owner regrole)
RETURNS boolean
LANGUAGE sql STABLE
SET search_path TO pg_catalog, pg_temp
AS $$
	SELECT COALESCE(
		pg_catalog.pg_has_role(current_user, owner::oid, 'USAGE')
		OR pg_catalog.pg_has_role(current_user, 'depipe_operator', 'USAGE')
		OR pg_catalog.pg_has_role(current_user, 'pg_monitor', 'USAGE'), false)
		OR COALESCE((
			SELECT pg_catalog.has_table_privilege(current_user, c.oid, 'SELECT')
			FROM pg_catalog.pg_class c
			JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
			WHERE n.nspname OPERATOR(pg_catalog.=) may_see.schema_name
				AND c.relname OPERATOR(pg_catalog.=) may_see.table_name), false)
$$;
COMMENT ON FUNCTION depipe.may_see(name, name, regrole) IS
'may the current user see what depipe knows about this table: its owner, its readers, operators and monitors';

CREATE VIEW depipe.runs WITH (security_barrier) AS
SELECT pg_catalog.format('%I.%I', t.schema_name, t.table_name) AS target,
	r.status, r.reason, r.run_id, r.started_by, r.role_name, r.pid, r.started_at, r.finished_at,
	r.finished_at OPERATOR(pg_catalog.-) r.started_at AS elapsed,
	r.strategy, r.rows_in, r.inserted, r.updated, r.deleted, r.quarantined,
	r.read_ms, r.gate_ms, r.apply_ms, r.error_sqlstate, r.error_message, r.error_hint
FROM depipe.run r
JOIN depipe.target t USING (target_id)
WHERE depipe.may_see(t.schema_name, t.table_name, t.owner);
COMMENT ON VIEW depipe.runs IS 'one row per attempt to bring a target up to date';
GRANT SELECT ON depipe.runs TO PUBLIC;

CREATE VIEW depipe.events WITH (security_barrier) AS
SELECT e.target, e.state, e.reason, e.event_id, e.happened_at, e.event, e.role_name
FROM depipe.event e
JOIN depipe.target t USING (target_id)
WHERE depipe.may_see(t.schema_name, t.table_name, t.owner);
COMMENT ON VIEW depipe.events IS 'state changes, oldest first by event_id';
GRANT SELECT ON depipe.events TO PUBLIC;

-- ---------------------------------------------------------------------
-- 10. rights
-- ---------------------------------------------------------------------

-- Tables and views are PUBLIC's only where a view above says so; functions
-- check rights themselves, or are revoked where they are made.
GRANT USAGE ON SCHEMA depipe TO PUBLIC;
