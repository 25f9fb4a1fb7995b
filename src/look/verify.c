/*-------------------------------------------------------------------------
 *
 * verify.c
 *		SQL function verify(): does a target contain the right rows?
 *
 * A transform is compared with the result of its query, and both sides are
 * read under one snapshot.  A load is compared with its source as of the
 * position that the load has applied; the target is read afterwards.  The
 * comparison is that of full_diff, so that verify and refresh agree on what a
 * difference is.  Differences are explained by pending changes: rows that are
 * quarantined or parked, or a batch that is held.
 *
 * Everything of a user's is evaluated as the owner of the target, and only for
 * users who may act as the owner, because the result shows rows.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "access/htup_details.h"
#include "core/covered.h"
#include "catalog/transforms.h"
#include "core/arguments.h"
#include "core/identity.h"
#include "delta/reader.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "load/load.h"
#include "load/modes.h"
#include "catalog/runs.h"
#include "miscadmin.h"
#include "quality/breaker.h"
#include "storage/lmgr.h"
#include "quality/expression.h"
#include "delta/difference.h"
#include "query/binding.h"
#include "query/clock.h"
#include "capture/frontier.h"
#include "transform/refresh.h"
#include "query/runtree.h"
#include "query/table.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"
#include "core/plans.h"

CHECKED_FUNCTION(depipe_verify);

#define EXPECTED "_depipe_expected"

typedef enum Depth
{
	DEPTH_COUNTS,
	DEPTH_CHECKSUMS,
	DEPTH_ROWS
} Depth;

typedef struct Verification
{
	Target *target;
	Depth depth;
	bool repair;
	char *condition;
	int max_rows;
	List *key;
	Tuplestorestate *expected; /* in the columns of the target */
	TupleDesc desc;
	uint64 nexpected;
	Snapshot snapshot; /* NULL until the expected rows of a load are read */
	ReturnSetInfo *result;
	int returned;
	bool wrong; /* a difference was found that no pending change explains */
} Verification;

/* ---- arguments ---- */

static void
read_arguments(FunctionCallInfo fcinfo, Verification *verification)
{
	static const char *const depths[] = {"counts", "checksums", "rows", NULL};

	verification->target = target_find(argument_text(fcinfo, 0, "target"), false);
	verification->depth = (Depth) argument_choice(fcinfo, 1, "depth", depths);
	argument_not_null(fcinfo, 3, "max_rows");
	argument_not_null(fcinfo, 4, "repair");
	verification->repair = PG_GETARG_BOOL(4);
	if (!PG_ARGISNULL(2))
	{
		verification->condition = text_to_cstring(PG_GETARG_TEXT_PP(2));
		expression_check_syntax(verification->condition, "condition");
	}
	verification->max_rows = PG_GETARG_INT32(3);
	if (verification->max_rows < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", "max_rows")));
}

static void
check_target(Target *target)
{
	if (target->kind == TARGET_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s has neither a load nor a transform", target->display),
				 errhint("Use depipe.check_table to evaluate its constraints.")));
	if (!OidIsValid(target->relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("%s", target_why_missing(target))));
	transform_check_owner(target);
}

/* ---- expected rows ---- */

static void
take_snapshot(Verification *verification)
{
	CommandCounterIncrement();
	verification->snapshot = RegisterSnapshot(GetTransactionSnapshot());
}

static void
push_snapshot(Verification *verification)
{
	PushCopiedSnapshot(verification->snapshot);
	UpdateActiveSnapshotCommandId();
}

/* A query that reads the clock is evaluated as of the time of the last refresh. */
static void
evaluate_query(Verification *verification, const Transform *transform, Shape *shape)
{
	const StoredFrontier *frontier = transform->frontier;
	Query *query;

	if (!shape->volatility.reads_clock || frontier == NULL || frontier->taken_at == 0 ||
		!frontier_is_local(frontier))
	{
		verification->expected = query_to_tuplestore(transform->query_sql,
													 NIL,
													 &verification->desc,
													 &verification->nexpected,
													 CurrentMemoryContext);
		return;
	}
	query = castNode(Query, clock_at((Node *) shape_blocks(shape)->query, frontier->taken_at));
	verification->desc = shape->columns;
	verification->expected = tuplestore_begin_heap(true, false, work_mem);
	tree_run(tree_plan(query), NIL, verification->expected);
	verification->nexpected = tuplestore_tuple_count(verification->expected);
}

static void
expect_query(Verification *verification)
{
	Transform *transform = transform_get(verification->target->id);
	Shape *shape = transform_analyse(transform); /* locks the inputs */
	ListCell *cell;

	table_check_columns(transform, shape);
	if (shape->volatility.is_volatile)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("transform %s cannot be verified", verification->target->display),
				 errdetail("Its query may return a different result at each evaluation.")));
	verification->key = transform->key;
	take_snapshot(verification);
	push_snapshot(verification);
	foreach(cell, shape->inputs)
		covered_check(((ShapeInput *) lfirst(cell))->relid, GetActiveSnapshot());
	evaluate_query(verification, transform, shape);
	PopActiveSnapshot();
}

static List *
table_key(Oid relid)
{
	AttrNumber *attnums;
	int count = delta_key_attributes(relid, NIL, &attnums);
	List *names = NIL;

	for (int i = 0; i < count; i++)
		names = lappend(names, get_attname(relid, attnums[i], false));
	return names;
}

/*
 * Read the expected rows of a load.  To reach a common position with the
 * source, the load may apply changes to the target.
 */
static void
expect_source(Verification *verification)
{
	Target *target = verification->target;
	char *reason = NULL;

	verification->key = verify_load_key(target->id);
	if (verification->key == NIL)
		verification->key = table_key(target->relid);
	if (!load_read_source(target,
						  &verification->expected,
						  &verification->desc,
						  &verification->nexpected,
						  &reason))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("load %s cannot be verified now", target->display),
				 reason ? errdetail("%s", reason) : 0));
	take_snapshot(verification);
}

/* ---- results ---- */

static void
return_row(Verification *verification, const char *difference, const char *key, Jsonb *expected,
		   Jsonb *actual, const char *explained_by)
{
	Datum values[5] = {0};
	bool nulls[5] = {false, key == NULL, expected == NULL, actual == NULL, explained_by == NULL};

	verification->wrong |= explained_by == NULL;
	if (verification->returned == verification->max_rows)
		return;
	values[0] = CStringGetTextDatum(difference);
	if (key != NULL)
		values[1] = CStringGetTextDatum(key);
	values[2] = JsonbPGetDatum(expected);
	values[3] = JsonbPGetDatum(actual);
	if (explained_by != NULL)
		values[4] = CStringGetTextDatum(explained_by);
	tuplestore_putvalues(verification->result->setResult,
						 verification->result->setDesc,
						 values,
						 nulls);
	verification->returned++;
}

/* A row as a JSON object.  May call casts of users' types. */
static char *
row_json(TupleDesc desc, const Datum *values, const bool *nulls)
{
	HeapTuple tuple = heap_form_tuple(desc, unconstify(Datum *, values), unconstify(bool *, nulls));
	Datum json = OidFunctionCall1(F_ROW_TO_JSON_RECORD, HeapTupleGetDatum(tuple));

	return TextDatumGetCString(json);
}

static Jsonb *
parse_jsonb(char *json)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
}

typedef struct DifferenceReport
{
	Delta *delta;
	TupleDesc row_desc;
	TupleDesc key_desc;
	const char *held; /* explanation of all other differences, or NULL */
} DifferenceReport;

static char *
key_json(DifferenceReport *report, DeltaReader *reader)
{
	Delta *delta = report->delta;
	Datum values[INDEX_MAX_KEYS];
	bool nulls[INDEX_MAX_KEYS];

	if (delta->nkeys == 0)
		return NULL;
	for (int i = 0; i < delta->nkeys; i++)
	{
		values[i] = reader->values[delta->keys[i] - 1];
		nulls[i] = reader->nulls[delta->keys[i] - 1];
	}
	return row_json(report->key_desc, values, nulls);
}

static const char *
explain_row(Verification *verification, DifferenceReport *report, DeltaReader *reader)
{
	Delta *delta = report->delta;
	char *explanation = verify_explanation(
		verification->target->id,
		verification->key,
		delta->nkeys == 0 ? NULL : delta_row_key(delta, reader->values, reader->nulls),
		delta_row_image(delta, reader->values, reader->nulls));

	return explanation != NULL ? explanation : report->held;
}

/* Are more differences wanted: as results, or to decide about a repair? */
static bool
wants_more(const Verification *verification)
{
	return verification->returned < verification->max_rows ||
		   (verification->repair && !verification->wrong);
}

/* Return the differences.  The old and the new image of a key are adjacent. */
static void
return_differences(Verification *verification, DifferenceReport *report)
{
	DeltaReader *reader = delta_read(report->delta);
	Jsonb *actual = NULL;

	while (wants_more(verification) && delta_read_next(reader))
	{
		Jsonb *row = parse_jsonb(row_json(report->row_desc, reader->values, reader->nulls));
		char *key;
		const char *explanation;
		int64 copies = reader->weight < 0 ? -reader->weight : reader->weight;

		if (reader->replaced)
		{
			actual = row;
			continue;
		}
		key = key_json(report, reader);
		explanation = explain_row(verification, report, reader);
		for (; copies > 0 && wants_more(verification); copies--)
		{
			CHECK_FOR_INTERRUPTS();
			if (reader->weight < 0)
				return_row(verification, "unexpected", key, NULL, row, explanation);
			else if (actual != NULL)
				return_row(verification, "different", key, row, actual, explanation);
			else
				return_row(verification, "missing", key, row, NULL, explanation);
		}
		actual = NULL;
	}
	delta_read_end(reader);
}

/* ---- comparison ---- */

static char *
filtered(Verification *verification, const char *relation, Delta *delta)
{
	StringInfoData sql;

	if (verification->condition == NULL)
		return pstrdup(relation);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "(SELECT ");
	sql_append_columns(&sql, delta->columns, NULL);
	appendStringInfo(&sql, " FROM %s WHERE (%s\n)) f", relation, verification->condition);
	return sql.data;
}

static List *
column_names(TupleDesc desc)
{
	List *names = NIL;

	for (int i = 0; i < desc->natts; i++)
		names = lappend(names, NameStr(TupleDescAttr(desc, i)->attname));
	return names;
}

static TupleDesc
key_columns(Delta *delta)
{
	TupleDesc desc = CreateTemplateTupleDesc(delta->nkeys);

	for (int i = 0; i < delta->nkeys; i++)
		TupleDescCopyEntry(desc, i + 1, delta->columns, delta->keys[i]);
	return BlessTupleDesc(desc);
}

static void
compare_rows(Verification *verification)
{
	Target *target = verification->target;
	DifferenceReport report = {0};
	char *reason = NULL;
	Delta *delta = delta_create(target->relid,
								column_names(verification->desc),
								verification->key,
								CurrentMemoryContext);
	char *expected = filtered(verification, EXPECTED, delta);
	char *duplicates = delta->nkeys == 0 ? NULL : key_duplicates(delta, expected, 3);

	if (duplicates != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("key of %s is not unique", target->display),
				 errdetail("More than one of the expected rows has %s.", duplicates)));
	delta_fill_from_difference(delta,
							   expected,
							   filtered(verification, target_rows_sql(target, NULL), delta),
							   NIL);
	report.delta = delta;
	report.row_desc = BlessTupleDesc(CreateTupleDescCopy(delta->columns));
	report.key_desc = key_columns(delta);
	/* the held rows of a load are parked one by one, but a transform recomputes its held batch */
	if (target->kind == TARGET_TRANSFORM && breaker_blocks(target->id, &reason))
		report.held = "held";
	return_differences(verification, &report);
	delta_destroy(delta);
}

/* ---- totals ---- */

/* Of one side: its number of rows, and the sum of the hashes of their images. */
typedef struct Totals
{
	int64 rows;
	char *checksum; /* NULL: only rows are counted */
} Totals;

static void
read_totals(const Verification *verification, const char *relation, TupleDesc columns,
			Totals *totals)
{
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData sql;
	int level = identity_begin_statement();
	bool isnull;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.count(*)");
	if (verification->depth == DEPTH_CHECKSUMS)
	{
		appendStringInfoString(&sql, ", pg_catalog.sum(depipe.row_hash(ROW(");
		sql_append_columns(&sql, columns, "r");
		appendStringInfoString(&sql, ")))");
	}
	appendStringInfo(&sql, " FROM %s", relation);
	if (verification->condition != NULL)
		appendStringInfo(&sql, " WHERE (%s\n)", verification->condition);
	if (SPI_execute(sql.data, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the totals of %s", relation);
	MemoryContextSwitchTo(caller); /* SPI leaves its own context current */
	identity_end_statement(level);
	totals->rows = DatumGetInt64(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (verification->depth == DEPTH_CHECKSUMS)
		totals->checksum = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
}

static Jsonb *
totals_json(const Totals *totals)
{
	if (totals->checksum == NULL)
		return parse_jsonb(psprintf("{\"rows\": " INT64_FORMAT "}", totals->rows));
	return parse_jsonb(
		psprintf("{\"rows\": " INT64_FORMAT ", \"checksum\": %s}", totals->rows, totals->checksum));
}

static void
compare_totals(Verification *verification)
{
	Target *target = verification->target;
	TupleDesc columns =
		delta_create(target->relid, column_names(verification->desc), NIL, CurrentMemoryContext)
			->columns;
	Totals expected = {0};
	Totals actual = {0};
	char *reason = NULL;
	const char *explanation = NULL;

	read_totals(verification, EXPECTED " r", columns, &expected);
	read_totals(verification, target_rows_sql(target, "r"), columns, &actual);
	if (expected.rows == actual.rows && (expected.checksum == NULL) == (actual.checksum == NULL) &&
		(expected.checksum == NULL || strcmp(expected.checksum, actual.checksum) == 0))
		return;
	/*
	 * a quarantined update leaves the earlier version of its row in the table,
	 * so not every quarantined row is missing
	 */
	if (expected.rows > actual.rows &&
		expected.rows - actual.rows <= verify_quarantined(target->id))
		explanation = "quarantined";
	else if (target->kind == TARGET_TRANSFORM && breaker_blocks(target->id, &reason))
		explanation = "held";
	return_row(verification,
			   "different",
			   NULL,
			   totals_json(&expected),
			   totals_json(&actual),
			   explanation);
}

/* ---- repair ---- */

/* Totals do not tell rows in quarantine from others: compare rows, without returning them. */
static void
explain_totals(Verification *verification)
{
	if (!verification->repair || !verification->wrong)
		return;
	verification->wrong = false;
	verification->max_rows = verification->returned;
	compare_rows(verification);
}

/*
 * Publish the differences of a transform: a refresh that counts on no captured
 * change compares the query with the table, and its delta passes the gate.
 */
static void
repair_transform(Target *target)
{
	Run *run = run_create(target, "verify");

	run_check_enabled();
	transform_forget_captures(target->id);
	if (!run_insert(run))
		return;
	transform_refresh(list_make1(target), list_make1(run));
	if (run->status != RUN_SUCCEEDED && run->status != RUN_NOTHING)
		ereport(WARNING,
				(errmsg("%s was not repaired: its refresh is %s",
						target->display,
						run_status_name(run->status)),
				 run->reason ? errdetail("%s", run->reason) : 0));
}

static void
repair(const Verification *verification)
{
	Target *target = verification->target;

	if (!verification->repair || !verification->wrong)
		return;
	if (target->kind == TARGET_TRANSFORM)
		repair_transform(target);
	else
	{
		load_request_resync(load_get(target->id));
		ereport(
			NOTICE,
			(errmsg("the next run of load %s copies the source again and writes the differences",
					target->display)));
	}
}

/*
 * SQL function verify(target, depth, condition, max_rows, repair): the
 * differences.  No row means that the target contains the right rows.
 */
static Datum
depipe_verify_checked(PG_FUNCTION_ARGS)
{
	Verification verification = {0};
	MemoryContext context = CurrentMemoryContext;
	Identity identity;

	read_arguments(fcinfo, &verification);
	check_target(verification.target);
	InitMaterializedSRF(fcinfo, 0);
	verification.result = (ReturnSetInfo *) fcinfo->resultinfo;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(context);

	LockRelationOid(verification.target->relid, AccessShareLock);
	if (verification.target->kind == TARGET_LOAD)
		expect_source(&verification);
	identity_become_with(verification.target->owner, verification.target->settings, &identity);
	if (verification.target->kind == TARGET_TRANSFORM)
		expect_query(&verification);
	push_snapshot(&verification);
	covered_check(verification.target->relid, GetActiveSnapshot());
	register_tuplestore(EXPECTED, verification.desc, verification.expected, verification.nexpected);
	if (verification.depth == DEPTH_ROWS)
		compare_rows(&verification);
	else
	{
		compare_totals(&verification);
		explain_totals(&verification);
	}
	(void) SPI_unregister_relation(EXPECTED);
	PopActiveSnapshot();
	identity_restore(&identity);
	tuplestore_end(verification.expected);
	UnregisterSnapshot(verification.snapshot);
	SPI_finish();
	repair(&verification);
	return (Datum) 0;
}
