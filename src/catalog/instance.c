/*-------------------------------------------------------------------------
 *
 * instance.c
 *		The identity of this database: the row depipe.instance.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog/instance.h"

#include <sys/stat.h>

#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"

PG_FUNCTION_INFO_V1(depipe_local_identity);
PG_FUNCTION_INFO_V1(depipe_foreign_streams);

/* ---- the present identity ---- */

/*
 * The inode of a file that is never rewritten.  The device and the host name
 * do not serve: they can change when a machine restarts.  The result is 0 on
 * systems without inodes; there a copied directory is not detected.
 */
static int64
data_directory_identity(void)
{
	struct stat buffer;

	if (stat("PG_VERSION", &buffer) != 0)
		ereport(
			ERROR,
			(errcode_for_file_access(), errmsg("could not stat file \"%s\": %m", "PG_VERSION")));
	return (int64) buffer.st_ino;
}

/* 0 on a standby, whose timeline is that of another server */
static int32
local_timeline(void)
{
	return RecoveryInProgress() ? 0 : (int32) GetWALInsertionTimeLine();
}

static char *
local_system_identifier(void)
{
	return psprintf(UINT64_FORMAT, GetSystemIdentifier());
}

/*
 * SQL function local_identity(): the values that the extension's script stores
 * and that this file compares.
 */
Datum
depipe_local_identity(PG_FUNCTION_ARGS)
{
	TupleDesc desc;
	Datum values[4];
	bool nulls[4] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(local_system_identifier());
	values[1] = ObjectIdGetDatum(MyDatabaseId);
	values[2] = Int64GetDatum(data_directory_identity());
	values[3] = Int32GetDatum(local_timeline());
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* ---- the row ---- */

Instance *
instance_get(void)
{
	Instance *instance = palloc0(sizeof(Instance));
	CatalogRows *rows = CATALOG_EXECUTE0("SELECT instance_id::text, system_identifier,"
										 " database_oid, data_directory, timeline"
										 " FROM depipe.instance");
	int32 timeline = local_timeline();

	if (rows->count == 0)
	{
		instance->id = pstrdup("");
		instance->foreign = pstrdup("this database may be a copy of another");
		return instance;
	}
	instance->id = catalog_text(rows, 0, 1);
	if (strcmp(catalog_text(rows, 0, 2), local_system_identifier()) != 0)
		instance->foreign = pstrdup("this database system was restored or upgraded from another");
	else if (catalog_oid(rows, 0, 3) != MyDatabaseId)
		instance->foreign = pstrdup("this database was copied from a template");
	else if (timeline != 0 && catalog_int4(rows, 0, 5) != timeline)
		instance->moved = true;
	else if (timeline != 0 && catalog_int8(rows, 0, 4) != data_directory_identity())
		instance->foreign = pstrdup("the data directory was copied from another");
	return instance;
}

char *
instance_foreign_stream(const Instance *instance, const Stream *stream)
{
	const char *foreign = instance->foreign;

	if (foreign == NULL &&
		(stream->instance_id == NULL || strcmp(stream->instance_id, instance->id) != 0))
		foreign = "this database is a copy of another";
	return foreign == NULL ? NULL : psprintf("%s, to which the slot belongs", foreign);
}

void
instance_renew(Instance *instance)
{
	(void) CATALOG_EXECUTE0("DELETE FROM depipe.instance");
	(void) CATALOG_EXECUTE0("INSERT INTO depipe.instance (system_identifier, database_oid,"
							" data_directory, timeline) SELECT * FROM depipe.local_identity()");
	*instance = *instance_get();
}

void
instance_follow(Instance *instance)
{
	(void) CATALOG_EXECUTE0("UPDATE depipe.instance i SET data_directory = n.data_directory,"
							" timeline = n.timeline FROM depipe.local_identity() n");
	instance->moved = false;
}

char *
instance_seed(const Instance *instance)
{
	return psprintf("%s/%u/" INT64_FORMAT "/%s",
					local_system_identifier(),
					MyDatabaseId,
					data_directory_identity(),
					instance->id);
}

/* ---- for the views ---- */

/*
 * SQL function foreign_streams(): servers whose stream belongs to another
 * database, with the reason.
 */
Datum
depipe_foreign_streams(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	CatalogRows *streams = streams_select();
	Instance *instance;

	InitMaterializedSRF(fcinfo, 0);
	if (streams->count == 0)
		return (Datum) 0;
	instance = instance_get();
	for (uint64 i = 0; i < streams->count; i++)
	{
		char *server_name = catalog_text(streams, i, 1);
		char *reason = instance_foreign_stream(instance, stream_get(server_name));
		Datum values[2];
		bool nulls[2] = {false};

		if (reason == NULL)
			continue;
		values[0] = DirectFunctionCall1(namein, CStringGetDatum(server_name));
		values[1] = CStringGetTextDatum(reason);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
