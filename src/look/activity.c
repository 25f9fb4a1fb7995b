/*-------------------------------------------------------------------------
 *
 * activity.c
 *		The activity of a database's stream workers, for views.
 *
 * An idle stream writes nothing.  The time through which it is nevertheless
 * known to be complete is kept in shared memory and disappears with its
 * worker.  The stored time is that of the last batch.
 *
 *-------------------------------------------------------------------------
 */
#include "look/activity.h"

#include "core/message.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(depipe_stream_workers);

char *
stream_held_reason(const StreamPosition *position)
{
	if (position->held_since == 0)
		return NULL;
	return psprintf(
		"the source retains WAL: since %s no synchronous standby has confirmed what is published",
		time_for_reader(position->held_since));
}

/*
 * SQL function stream_workers(): server, pid, applied_lsn, source_lsn, as_of,
 * retained_bytes, safe_wal_size, reason.
 */
Datum
depipe_stream_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	StreamWorker *workers;
	int count;

	InitMaterializedSRF(fcinfo, 0);
	workers = palloc(sizeof(StreamWorker) * WORKER_SLOTS);
	count = stream_workers(workers);
	for (int i = 0; i < count; i++)
	{
		StreamWorker *worker = &workers[i];
		char *reason = stream_held_reason(&worker->position);
		Datum values[8] = {NameGetDatum(&worker->server),
						   Int32GetDatum(worker->pid),
						   LSNGetDatum(worker->position.applied),
						   LSNGetDatum(worker->position.source),
						   TimestampTzGetDatum(worker->position.as_of),
						   Int64GetDatum(worker->position.retained_bytes),
						   Int64GetDatum(worker->position.safe_wal_size),
						   reason == NULL ? (Datum) 0 : CStringGetTextDatum(reason)};
		bool nulls[8] = {false,
						 false,
						 worker->position.applied == 0,
						 worker->position.source == 0,
						 worker->position.as_of == 0,
						 worker->position.retained_bytes < 0,
						 worker->position.safe_wal_size < 0,
						 reason == NULL};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
