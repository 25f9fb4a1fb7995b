/*-------------------------------------------------------------------------
 *
 * runs.c
 *		Runs: one row for each attempt to refresh one target.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/runs.h"

#include "catalog/pg_type.h"
#include "catalog/loads.h"
#include "core/message.h"
#include "core/sqltext.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* fourth field of the advisory lock; streams and passes use other values */
#define RUN_LOCK_SPACE 0x6472

const char *
run_status_name(RunStatus status)
{
	switch (status)
	{
		case RUN_RUNNING:
			return "running";
		case RUN_SUCCEEDED:
			return "succeeded";
		case RUN_NOTHING:
			return "nothing";
		case RUN_BLOCKED:
			return "blocked";
		case RUN_SKIPPED:
			return "skipped";
		case RUN_FAILED:
			return "failed";
	}
	pg_unreachable();
}

void
run_check_enabled(void)
{
	if (!depipe_enabled)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("depipe is disabled"),
				 errdetail("Nothing connects and nothing runs while depipe.enabled is off."),
				 errhint("Set depipe.enabled to on; in a copy of another database, call"
						 " depipe.adopt for its servers first.")));
}

Run *
run_create(Target *target, const char *started_by)
{
	Run *run = palloc0(sizeof(Run));

	run->target = target;
	run->started_by = started_by;
	run->status = RUN_RUNNING;
	run->started_at = GetCurrentTimestamp();
	return run;
}

/* Takes the same row lock as the check of the foreign key, which would raise an error. */
bool
run_insert(Run *run)
{
	CatalogRows *rows;

	if (run->id != 0)
		return true;
	rows = CATALOG_EXECUTE("INSERT INTO depipe.run"
						   " (target_id, started_by, role_name, pid, started_at, status)"
						   " SELECT target_id, $2, $3::name, $4, $5, 'running'"
						   " FROM depipe.target WHERE target_id OPERATOR(pg_catalog.=) $1"
						   " FOR KEY SHARE RETURNING run_id",
						   ARG_INT4(run->target->id),
						   ARG_TEXT(run->started_by),
						   ARG_TEXT(GetUserNameFromId(GetSessionUserId(), false)),
						   ARG_INT4(MyProcPid),
						   ARG_TIME(run->started_at));
	if (rows->count == 0)
		return false;
	run->id = catalog_int8(rows, 0, 1);
	return true;
}

bool
run_take_target(int32 target_id, bool wait)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, stream_class(), target_id, RUN_LOCK_SPACE);
	return LockAcquire(&tag, ExclusiveLock, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

static char *
copied(const char *text)
{
	return text == NULL ? NULL : pstrdup(text);
}

void
run_copy_texts(Run *run)
{
	run->reason = copied(run->reason);
	run->error_sqlstate = copied(run->error_sqlstate);
	run->error_message = copied(run->error_message);
	run->error_hint = copied(run->error_hint);
	run->error_detail = copied(run->error_detail);
}

void
run_insert_or_fail(Run *run)
{
	if (!run_insert(run))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("target %s was dropped", run->target->display)));
}

Run *
run_begin(Target *target, const char *started_by)
{
	Run *run = run_create(target, started_by);

	run_insert_or_fail(run);
	return run;
}

/* Write one line of key=value pairs to the server log. */
void
run_log(const Run *run)
{
	ereport(
		LOG,
		(errmsg_internal("depipe: run=" INT64_FORMAT " target=%s status=%s strategy=%s"
						 " rows_in=" INT64_FORMAT " inserted=" INT64_FORMAT " updated=" INT64_FORMAT
						 " deleted=" INT64_FORMAT " quarantined=" INT64_FORMAT " ms=%.1f%s%s",
						 run->id,
						 log_value(run->target->display),
						 run_status_name(run->status),
						 run->strategy ? run->strategy : "-",
						 run->rows_in,
						 run->inserted,
						 run->updated,
						 run->deleted,
						 run->quarantined,
						 (run->finished_at - run->started_at) / 1000.0,
						 run->error_sqlstate ? " sqlstate=" : "",
						 run->error_sqlstate ? run->error_sqlstate : ""),
		 errhidestmt(true),
		 errhidecontext(true)));
}

void
run_finish(Run *run)
{
	Assert(run->status != RUN_RUNNING);
	run->finished_at = GetCurrentTimestamp();
	if (!run_insert(run))
		return; /* the target was dropped, so no user will look for the run */
	(void) CATALOG_EXECUTE("UPDATE depipe.run SET finished_at = $2, status = $3, strategy = $4,"
						   " reason = $5, rows_in = $6, inserted = $7, updated = $8, deleted = $9,"
						   " quarantined = $10, read_ms = $11, gate_ms = $12, apply_ms = $13,"
						   " error_sqlstate = $14, error_message = $15, error_hint = $16"
						   " WHERE run_id OPERATOR(pg_catalog.=) $1",
						   ARG_INT8(run->id),
						   ARG_TIME(run->finished_at),
						   ARG_TEXT(run_status_name(run->status)),
						   ARG_TEXT(run->strategy),
						   ARG_TEXT(run->reason),
						   ARG_INT8(run->rows_in),
						   ARG_INT8(run->inserted),
						   ARG_INT8(run->updated),
						   ARG_INT8(run->deleted),
						   ARG_INT8(run->quarantined),
						   ARG_FLOAT8(run->read_ms),
						   ARG_FLOAT8(run->gate_ms),
						   ARG_FLOAT8(run->apply_ms),
						   ARG_TEXT(run->error_sqlstate),
						   ARG_TEXT(run->error_message),
						   ARG_TEXT(run->error_hint));
	run_log(run);
}

static CatalogArg
array_arg(Oid array_type, Oid type, Datum *values, bool *nulls, int count, int length,
		  bool by_value, char align)
{
	int dims[1] = {count};
	int lower[1] = {1};

	return ARG_DATUM(
		array_type,
		PointerGetDatum(
			construct_md_array(values, nulls, 1, dims, lower, type, length, by_value, align)));
}

static CatalogArg
numbers_arg(List *runs, size_t offset)
{
	int count = list_length(runs);
	Datum *values = palloc(sizeof(Datum) * count);

	for (int i = 0; i < count; i++)
		values[i] = Int64GetDatum(*(int64 *) ((char *) list_nth(runs, i) + offset));
	return array_arg(INT8ARRAYOID,
					 INT8OID,
					 values,
					 NULL,
					 count,
					 sizeof(int64),
					 FLOAT8PASSBYVAL,
					 TYPALIGN_DOUBLE);
}

static CatalogArg
times_arg(List *runs, size_t offset)
{
	int count = list_length(runs);
	Datum *values = palloc(sizeof(Datum) * count);

	for (int i = 0; i < count; i++)
		values[i] = Float8GetDatum(*(double *) ((char *) list_nth(runs, i) + offset));
	return array_arg(FLOAT8ARRAYOID,
					 FLOAT8OID,
					 values,
					 NULL,
					 count,
					 sizeof(double),
					 FLOAT8PASSBYVAL,
					 TYPALIGN_DOUBLE);
}

static const char *
status_text(const Run *run)
{
	return run_status_name(run->status);
}

static const char *
strategy_text(const Run *run)
{
	return run->strategy;
}

static const char *
reason_text(const Run *run)
{
	return run->reason;
}

static const char *
sqlstate_text(const Run *run)
{
	return run->error_sqlstate;
}

static const char *
message_text(const Run *run)
{
	return run->error_message;
}

static const char *
hint_text(const Run *run)
{
	return run->error_hint;
}

static CatalogArg
texts_arg(List *runs, const char *(*text_of)(const Run *) )
{
	int count = list_length(runs);
	Datum *values = palloc(sizeof(Datum) * count);
	bool *nulls = palloc(sizeof(bool) * count);

	for (int i = 0; i < count; i++)
	{
		const char *text = text_of(list_nth(runs, i));

		nulls[i] = text == NULL;
		values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(text);
	}
	return array_arg(TEXTARRAYOID, TEXTOID, values, nulls, count, -1, false, TYPALIGN_INT);
}

void
runs_update(List *runs)
{
	if (runs == NIL)
		return;
	(void) CATALOG_EXECUTE(
		"UPDATE depipe.run r SET finished_at = pg_catalog.clock_timestamp(), status = n.status,"
		" strategy = n.strategy, reason = n.reason, rows_in = n.rows_in, inserted = n.inserted,"
		" updated = n.updated, deleted = n.deleted, quarantined = n.quarantined,"
		" gate_ms = n.gate_ms, apply_ms = n.apply_ms, error_sqlstate = n.error_sqlstate,"
		" error_message = n.error_message, error_hint = n.error_hint"
		" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
		" pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6),"
		" pg_catalog.unnest($7), pg_catalog.unnest($8), pg_catalog.unnest($9),"
		" pg_catalog.unnest($10), pg_catalog.unnest($11), pg_catalog.unnest($12),"
		" pg_catalog.unnest($13), pg_catalog.unnest($14)) AS n (run_id, rows_in, inserted,"
		" updated, deleted, quarantined, gate_ms, apply_ms, status, strategy, reason,"
		" error_sqlstate, error_message, error_hint)"
		" WHERE r.run_id OPERATOR(pg_catalog.=) n.run_id",
		numbers_arg(runs, offsetof(Run, id)),
		numbers_arg(runs, offsetof(Run, rows_in)),
		numbers_arg(runs, offsetof(Run, inserted)),
		numbers_arg(runs, offsetof(Run, updated)),
		numbers_arg(runs, offsetof(Run, deleted)),
		numbers_arg(runs, offsetof(Run, quarantined)),
		times_arg(runs, offsetof(Run, gate_ms)),
		times_arg(runs, offsetof(Run, apply_ms)),
		texts_arg(runs, status_text),
		texts_arg(runs, strategy_text),
		texts_arg(runs, reason_text),
		texts_arg(runs, sqlstate_text),
		texts_arg(runs, message_text),
		texts_arg(runs, hint_text));
}

void
run_move_details(int64 from, int64 to)
{
	CatalogArg arguments[] = {ARG_INT8(from), ARG_INT8(to)};

	(void) catalog_execute("UPDATE depipe.verdict SET run_id = $2"
						   " WHERE run_id OPERATOR(pg_catalog.=) $1"
						   " AND recorded_at OPERATOR(pg_catalog.>=) pg_catalog.now()",
						   lengthof(arguments),
						   arguments);
	(void) catalog_execute("UPDATE depipe.quarantined_row SET run_id = $2"
						   " WHERE run_id OPERATOR(pg_catalog.=) $1"
						   " AND quarantined_at OPERATOR(pg_catalog.>=) pg_catalog.now()",
						   lengthof(arguments),
						   arguments);
	(void) catalog_execute("UPDATE depipe.incident SET last_run_id = $2, first_run_id ="
						   " CASE WHEN opened_at OPERATOR(pg_catalog.>=) pg_catalog.now()"
						   " THEN $2 ELSE first_run_id END"
						   " WHERE last_run_id OPERATOR(pg_catalog.=) $1"
						   " AND last_seen OPERATOR(pg_catalog.>=) pg_catalog.now()",
						   lengthof(arguments),
						   arguments);
}

static RunStatus
status_of(const char *name)
{
	RunStatus status = RUN_RUNNING;

	while (status < RUN_FAILED && strcmp(name, run_status_name(status)) != 0)
		status++;
	return status;
}

Run *
run_last_other(const Run *asking, List *reasons)
{
	CatalogRows *rows = CATALOG_EXECUTE(
		"SELECT run_id, status, reason, rows_in, inserted, updated, deleted, quarantined,"
		" error_sqlstate, error_message, error_hint FROM depipe.run"
		" WHERE target_id OPERATOR(pg_catalog.=) $1 AND status NOT IN ('running', 'skipped')"
		" AND finished_at OPERATOR(pg_catalog.>=) $2 AND run_id OPERATOR(pg_catalog.<>) $3"
		" AND COALESCE(reason, '') OPERATOR(pg_catalog.<>) ALL ($4) ORDER BY run_id DESC LIMIT 1",
		ARG_INT4(asking->target->id),
		ARG_TIME(asking->started_at),
		ARG_INT8(asking->id),
		ARG_TEXT_ARRAY(reasons));
	Run *run;

	if (rows->count == 0)
		return NULL;
	run = palloc0(sizeof(Run));
	run->id = catalog_int8(rows, 0, 1);
	run->target = asking->target;
	run->status = status_of(catalog_text(rows, 0, 2));
	run->reason = catalog_text(rows, 0, 3);
	run->rows_in = catalog_int8(rows, 0, 4);
	run->inserted = catalog_int8(rows, 0, 5);
	run->updated = catalog_int8(rows, 0, 6);
	run->deleted = catalog_int8(rows, 0, 7);
	run->quarantined = catalog_int8(rows, 0, 8);
	run->error_sqlstate = catalog_text(rows, 0, 9);
	run->error_message = catalog_text(rows, 0, 10);
	run->error_hint = catalog_text(rows, 0, 11);
	return run;
}

Run *
run_last(Target *target)
{
	CatalogRows *rows;
	Run *run;

	rows = CATALOG_EXECUTE("SELECT run_id, status, reason FROM depipe.run"
						   " WHERE target_id OPERATOR(pg_catalog.=) $1"
						   " AND (status NOT IN ('running', 'skipped') OR status"
						   " OPERATOR(pg_catalog.=) 'skipped' AND started_by IN ('refresh', 'run'))"
						   " ORDER BY run_id DESC LIMIT 1",
						   ARG_INT4(target->id));
	if (rows->count == 0)
		return NULL;
	run = palloc0(sizeof(Run));
	run->id = catalog_int8(rows, 0, 1);
	run->target = target;
	run->reason = catalog_text(rows, 0, 3);
	run->status = status_of(catalog_text(rows, 0, 2));
	return run;
}

void
run_set_error(Run *run, const ErrorData *error)
{
	run->status = RUN_FAILED;
	run->error_sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	run->error_message = message_without_values(error);
	run->error_hint = hint_without_values(error);
	run->error_detail = error->detail;
	if (run->reason == NULL)
		run->reason = run->error_message;
}
