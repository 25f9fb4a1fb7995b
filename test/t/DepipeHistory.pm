# DepipeHistory: what a history of a table must contain, from what triggers at its source wrote down.
#
#	record_changes($source, $warehouse);    # once; the source has track_commit_timestamp = on
#	make_audited('t');                      # a table t (k int PRIMARY KEY, v int, note text)
#	versions_like_source('t', $copied, 'after a crash');    # raw.t, with history scd2
#	deleted_like_source('t', $copied, 'after a crash');     # raw.t, with history soft_delete
#
# $copied is a time at which raw.t was a copy of t.

package DepipeHistory;

use strict;
use warnings;
use DepipeTest;
use Exporter 'import';

our @EXPORT = qw(record_changes make_audited states versions_like_source deleted_like_source overlaps);

my ($source, $warehouse);

sub at_source
{
	return $source->safe_psql('postgres', join(';', @_));
}

sub record_changes
{
	($source, $warehouse) = @_;

	at_source(
		q{CREATE TABLE audit (seq bigint GENERATED ALWAYS AS IDENTITY, name text, xid xid, k int, row text)},
		q{CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
			IF TG_OP IN ('UPDATE', 'DELETE') THEN
				INSERT INTO audit (name, xid, k) VALUES (TG_RELNAME, pg_current_xact_id()::xid, OLD.k);
			END IF;
			IF TG_OP IN ('UPDATE', 'INSERT') THEN
				INSERT INTO audit (name, xid, k, row) VALUES (TG_RELNAME, pg_current_xact_id()::xid, NEW.k, (NEW.k, NEW.v, md5(NEW.note))::text);
			END IF;
			RETURN NULL; END$$},
		q{CREATE FUNCTION note_truncate() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
			EXECUTE format('INSERT INTO audit (name, xid, k) SELECT %L, pg_current_xact_id()::xid, k FROM %I', TG_RELNAME, TG_RELNAME);
			RETURN NULL; END$$});
	return;
}

sub make_audited
{
	my ($name) = @_;

	at_source("CREATE TABLE $name (k int PRIMARY KEY, v int, note text)",
		"ALTER TABLE $name ALTER note SET STORAGE EXTERNAL",
		"CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON $name FOR EACH ROW EXECUTE FUNCTION note()",
		"CREATE TRIGGER note_truncate BEFORE TRUNCATE ON $name EXECUTE FUNCTION note_truncate()",
		"INSERT INTO $name SELECT n, n, repeat(md5(n::text), 80) FROM generate_series(1, 12) n");
	return;
}

# Per key, the changes of what transactions left behind; "row" is NULL where the key had no row. What
# is older than the copy is one state.
sub states
{
	my ($name, $copied) = @_;

	return qq{WITH s AS (SELECT DISTINCT ON (k, xid::text) k, row, seq,
			pg_xact_commit_timestamp(xid) AS at FROM audit WHERE name = '$name' ORDER BY k, xid::text, seq DESC),
		o AS (SELECT k, row, seq, CASE WHEN at <= '$copied' THEN NULL ELSE at END AS at FROM s),
		n AS (SELECT *, row_number() OVER (PARTITION BY k ORDER BY at NULLS FIRST, seq) AS n,
			lead(at) OVER (PARTITION BY k ORDER BY at NULLS FIRST, seq) AS next,
			count(*) OVER (PARTITION BY k) AS c FROM o),
		f AS (SELECT k, row, at, seq FROM n WHERE NOT (at IS NULL AND next IS NULL AND n < c)),
		x AS (SELECT *, lag(row) OVER p AS before FROM f WINDOW p AS (PARTITION BY k ORDER BY at NULLS FIRST, seq)),
		y AS (SELECT k, row, at, seq FROM x WHERE row IS DISTINCT FROM before),
		z AS (SELECT *, lead(at) OVER p AS until, lead(k) OVER p IS NULL AS last FROM y WINDOW p AS (PARTITION BY k ORDER BY at NULLS FIRST, seq)) };
}

sub versions_like_source
{
	my ($name, $copied, $what) = @_;

	return is_same($source, $warehouse, $name, $what,
		source => states($name, $copied)
		  . q{SELECT row, at, until, last FROM z WHERE row IS NOT NULL},
		target => qq{SELECT (k, v, md5(note))::text, CASE WHEN _valid_from > '$copied' THEN _valid_from END,
			_valid_to, _is_current FROM raw.$name});
}

sub deleted_like_source
{
	my ($name, $copied, $what) = @_;

	return is_same($source, $warehouse, $name, $what,
		source => states($name, $copied)
		  . q{SELECT DISTINCT ON (k) row, until FROM z WHERE row IS NOT NULL ORDER BY k, seq DESC},
		target => "SELECT (k, v, md5(note))::text, _deleted_at FROM raw.$name");
}

sub overlaps
{
	my ($name, $what) = @_;

	return is_value($warehouse, qq{SELECT count(*) FROM (SELECT _valid_from, _valid_to, _is_current, lead(_valid_from) OVER (PARTITION BY k ORDER BY _valid_from) AS next FROM raw.$name) v
		WHERE _valid_to <= _valid_from OR _valid_to > next OR _is_current <> (_valid_to IS NULL) OR _is_current AND next IS NOT NULL}, 0, "$what: versions do not overlap");
}

1;
