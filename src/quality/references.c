/*-------------------------------------------------------------------------
 *
 * references.c
 *		Relationships over time: violations that are pending, and changes of
 *		the reference.
 *
 * A row may refer to a key that its reference does not have yet.  Such keys are
 * remembered (as text, in depipe.pending_key) if the constraint has a grace, or
 * if the reference is known to lack rows: it is held, copying, or has the key
 * in quarantine.  Whenever either side publishes, remembered keys are looked up
 * again, by an index if there is one.  Keys that have arrived, or that no row
 * refers to any longer, are forgotten; the others are pending until their time
 * is over, and violations from then on.
 *
 * Keys that a published reference lost while rows refer to them are remembered
 * as well, so that the constrained table is charged with them until they
 * return: the batch of the reference is never held.
 *
 * Quarantined rows need no grace: they are tried again when the reference
 * gains their key.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/references.h"

#include "access/stratnum.h"
#include "access/table.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/plans.h"
#include "core/settings.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "quality/breaker.h"
#include "quality/check_kinds.h"
#include "quality/compile.h"
#include "quality/incident.h"
#include "quality/record.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Beyond this number, keys are not remembered one by one: they count at once. */
#define MAX_PENDING_KEYS 10000

bool references_differ_in_time = false;

/* A key that rows refer to in vain. */
typedef struct MissingKey
{
	ArrayType *key; /* text[] */
	char *text;     /* the same, for comparison */
	int64 rows;
} MissingKey;

/* ---- SQL ---- */

/* "ARRAY[t.a::text, t.b::text]" */
static char *
key_array(List *columns, const char *alias)
{
	StringInfoData buf;
	ListCell *cell;

	initStringInfo(&buf);
	foreach(cell, columns)
		appendStringInfo(&buf,
						 "%s%s.%s::pg_catalog.text",
						 buf.len > 0 ? ", " : "",
						 alias,
						 sql_identifier(lfirst(cell)));
	return psprintf("ARRAY[%s]", buf.data);
}

/* Violating rows, under alias t, grouped by key with their number. */
static char *
missing_query(const DataConstraint *constraint, Target *target, const char *from,
			  const char *condition, const char *count)
{
	char *key = key_array(check_texts(constraint->rule, "columns"), CHECK_ROW);

	return psprintf("SELECT %s, %s FROM %s WHERE %s AND %s GROUP BY 1 LIMIT %d",
					key,
					count,
					from,
					condition,
					violation_condition(constraint, target),
					MAX_PENDING_KEYS + 1);
}

/* Join of the rows of the table with keys given as $1 text[], each a text[] as text. */
static char *
rows_with_keys(const DataConstraint *constraint, Target *target)
{
	Relation rel = table_open(target->relid, AccessShareLock);
	StringInfoData match;
	ListCell *cell;

	initStringInfo(&match);
	foreach(cell, check_texts(constraint->rule, "columns"))
	{
		Form_pg_attribute att = check_column(rel, lfirst(cell));

		appendStringInfo(&match,
						 "%s" CHECK_ROW ".%s %s (k.key)[%d]::%s",
						 match.len > 0 ? " AND " : "",
						 sql_identifier(NameStr(att->attname)),
						 check_operator(getBaseType(att->atttypid),
										BTEqualStrategyNumber,
										NameStr(att->attname)),
						 foreach_current_index(cell) + 1,
						 sql_type(getBaseType(att->atttypid), -1));
	}
	table_close(rel, NoLock);
	return psprintf("(SELECT x::pg_catalog.text[] AS key FROM pg_catalog.unnest($1) x) k"
					" JOIN %s ON %s",
					target_rows_sql(target, CHECK_ROW),
					match.data);
}

typedef struct MissingWork
{
	Target *target;
	List *settings; /* of the check */
	const char *sql;
	ArrayType *keys; /* of $1; NULL: no parameter */
	bool before;     /* under the active snapshot, without later changes */
	List *missing;   /* result */
	MemoryContext context;
} MissingWork;

static void
take_missing(MissingWork *work)
{
	MemoryContext old = MemoryContextSwitchTo(work->context);

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		MissingKey *missing = palloc0(sizeof(MissingKey));
		HeapTuple tuple = SPI_tuptable->vals[i];
		bool isnull;

		missing->key = DatumGetArrayTypePCopy(
			SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull));
		missing->text = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 1);
		missing->rows = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &isnull));
		work->missing = lappend(work->missing, missing);
	}
	MemoryContextSwitchTo(old);
}

static bool
find_missing_work(void *arg)
{
	MissingWork *work = arg;
	Identity identity;
	Oid types[1] = {TEXTARRAYOID};
	Datum values[1] = {PointerGetDatum(work->keys)};
	int result;

	identity_become_with(work->target->owner, work->settings, &identity);
	settings_pin_literals(); /* for the keys */
	identity_without_jit();
	if (work->before)
		result = SPI_execute(work->sql, true, 0);
	else
		result = read_query(work->sql, work->keys != NULL ? 1 : 0, types, values);
	if (result < 0)
		elog(ERROR, "lookup of references failed: %s", SPI_result_code_string(result));
	take_missing(work);
	identity_restore(&identity);
	return true;
}

/* Run one of these queries as the owner; an error is attributed to the check. */
static List *
run_missing(MissingWork *work, Measure *measure)
{
	ErrorData *error = guarded_run(find_missing_work, work);

	if (error != NULL)
	{
		measure->error_sqlstate = error->sqlerrcode;
		measure->error_message = error->message;
		return NIL;
	}
	return work->missing;
}

static List *
find_missing(Target *target, List *settings, const char *sql, ArrayType *keys, Measure *measure)
{
	MissingWork work = {.target = target,
						.settings = settings,
						.sql = sql,
						.keys = keys,
						.context = CurrentMemoryContext};

	return run_missing(&work, measure);
}

static List *
find_missing_before(Target *target, List *settings, const char *sql, Measure *measure)
{
	MissingWork work = {.target = target,
						.settings = settings,
						.sql = sql,
						.before = true,
						.context = CurrentMemoryContext};

	return run_missing(&work, measure);
}

/* ---- the state of the reference ---- */

static Target *
reference_target(const DataConstraint *constraint)
{
	return target_find_named(constraint->row->reference_schema, constraint->row->reference_table);
}

static bool
is_held(Target *reference, List *held)
{
	if (reference == NULL)
		return false;
	return list_member_int(held, reference->id) || breaker_blocks(reference->id, NULL) ||
		   reference_unsettled(reference->id) != NULL;
}

static ArrayType *
key_texts(List *missing)
{
	List *texts = NIL;
	ListCell *cell;

	foreach(cell, missing)
		texts = lappend(texts, ((MissingKey *) lfirst(cell))->text);
	return list_to_text_array(texts);
}

static List *
key_arrays(List *missing)
{
	List *arrays = NIL;
	ListCell *cell;

	foreach(cell, missing)
		arrays = lappend(arrays, ((MissingKey *) lfirst(cell))->key);
	return arrays;
}

static bool
has_text(List *texts, const char *text)
{
	ListCell *cell;

	foreach(cell, texts)
		if (strcmp(lfirst(cell), text) == 0)
			return true;
	return false;
}

/* ---- pending ---- */

/*
 * Look up all remembered keys again: forget settled ones, and divide the rows
 * of the others into pending ones and violations.
 */
static void
settle_pending(Target *target, Measured *measured, bool held)
{
	DataConstraint *constraint = measured->constraint;
	Measure *measure = &measured->measure;
	Target *reference = reference_target(constraint);
	ArrayType *all = pending_keys(constraint->row->id);
	List *missing;
	List *old;
	List *quarantined = NIL;
	ListCell *cell;

	if (all == NULL)
		return;
	missing = find_missing(target,
						   constraint->row->settings,
						   missing_query(constraint,
										 target,
										 rows_with_keys(constraint, target),
										 "true",
										 "pg_catalog.count(*)"),
						   all,
						   measure);
	if (measure->error_sqlstate != 0)
		return;
	pending_keys_keep(constraint->row->id, key_texts(missing));
	old = pending_keys_older(constraint->row->id, constraint->row->grace_microseconds);
	if (reference != NULL)
		quarantined = quarantine_keys(reference->id,
									  check_texts(constraint->rule, "reference_columns"),
									  key_texts(missing));
	foreach(cell, missing)
	{
		MissingKey *key = lfirst(cell);

		if (held || !has_text(old, key->text) || has_text(quarantined, key->text))
			measure->pending += key->rows;
		else
			measure->violations += key->rows;
	}
}

/* Missing keys that rows of the delta refer to; NIL if there are too many. */
static List *
missing_in_delta(Target *target, Delta *delta, Measured *measured)
{
	char *from = psprintf("%s " CHECK_ROW, sql_identifier(delta->name));
	List *missing = find_missing(target,
								 measured->constraint->row->settings,
								 missing_query(measured->constraint,
											   target,
											   from,
											   CHECK_ROW "._depipe_weight OPERATOR(pg_catalog.>) 0",
											   "pg_catalog.sum(" CHECK_ROW
											   "._depipe_weight)::pg_catalog.int8"),
								 NULL,
								 &measured->measure);

	return list_length(missing) > MAX_PENDING_KEYS ? NIL : missing;
}

/*
 * The same for the whole table; also NIL if keys that were missing at the
 * declaration of the constraint would be among them.
 */
static List *
missing_in_table(Target *target, Measured *measured)
{
	List *missing;

	if (measured->constraint->row->baseline > 0)
		return NIL;
	missing = find_missing(target,
						   measured->constraint->row->settings,
						   missing_query(measured->constraint,
										 target,
										 target_rows_sql(target, CHECK_ROW),
										 "true",
										 "pg_catalog.count(*)"),
						   NULL,
						   &measured->measure);
	return list_length(missing) > MAX_PENDING_KEYS ? NIL : missing;
}

/* Is there a reason to examine keys one by one? */
static bool
may_be_pending(const DataConstraint *constraint, Target *reference, bool held)
{
	if (constraint->row->grace_microseconds > 0 || held)
		return true;
	if (pending_keys_count(constraint->row->id) > 0)
		return true;
	return reference != NULL && quarantine_has_rows(reference->id);
}

void
settle_references(Target *target, Delta *delta, Measured *measured, bool whole_table, List *held)
{
	DataConstraint *constraint = measured->constraint;
	Measure *measure = &measured->measure;
	Target *reference;
	bool reference_held;
	int64 found = measure->violations;

	if (!constraint->rule->kind->has_keys || measure->error_sqlstate != 0 ||
		constraint->on_violation == ACTION_QUARANTINE)
		return;
	reference = reference_target(constraint);
	reference_held = references_differ_in_time || is_held(reference, held);
	if (!may_be_pending(constraint, reference, reference_held))
		return;
	if (found > 0 && (delta == NULL || delta_has_columns(delta, constraint)))
	{
		List *missing = delta == NULL ? missing_in_table(target, measured)
									  : missing_in_delta(target, delta, measured);

		pending_keys_add(constraint->row->id, key_arrays(missing));
		/* they are counted below, with all remembered keys */
		if (missing != NIL && !whole_table)
			measure->violations = 0;
	}
	settle_pending(target, measured, reference_held);
	if (whole_table)
		measure->violations = Max(found - measure->pending, 0);
	if (measure->evaluated == 0)
		measure->evaluated = measure->violations + measure->pending;
}

/* ---- changes of the reference ---- */

typedef struct ReferenceChange
{
	Target *reference;
	Delta *delta;
	Target *child;
	DataConstraint *constraint;
	List *columns; /* of the reference of the constraint */
} ReferenceChange;

static bool
delta_has(const Delta *delta, const char *name, bool in_key)
{
	for (int i = 0; i < delta->columns->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(delta->columns, i)->attname), name) != 0)
			continue;
		if (!in_key)
			return true;
		for (int k = 0; k < delta->nkeys; k++)
			if (delta->keys[k] == i + 1)
				return true;
	}
	return false;
}

static bool
delta_has_all(const Delta *delta, List *names, bool in_key)
{
	ListCell *cell;

	foreach(cell, names)
		if (!delta_has(delta, lfirst(cell), in_key))
			return false;
	return true;
}

/* Does the delta show which keys of the reference it touched? */
static bool
knows_touched(const ReferenceChange *change)
{
	const Delta *delta = change->delta;

	return delta_has_all(delta, change->columns, !delta->old_images) &&
		   (!delta->clear || delta->old_images);
}

/*
 * Rows of the child whose key the delta touched, by old images if they carry
 * the columns.  "true" if the delta does not show it.
 */
static char *
touched_condition(const ReferenceChange *change)
{
	const Delta *delta = change->delta;
	const CheckRule *rule = change->constraint->rule;
	Relation rel;
	StringInfoData match;
	ListCell *column;
	ListCell *other;

	if (!knows_touched(change))
		return pstrdup("true");
	initStringInfo(&match);
	rel = table_open(change->child->relid, AccessShareLock);
	forboth(column, check_texts(rule, "columns"), other, change->columns)
		appendStringInfo(
			&match,
			" AND d.%s %s " CHECK_ROW ".%s",
			sql_identifier(lfirst(other)),
			check_column(rel, lfirst(column))->atttypid ==
					get_atttype(change->reference->relid,
								get_attnum(change->reference->relid, lfirst(other)))
				? check_operator(getBaseType(check_column(rel, lfirst(column))->atttypid),
								 BTEqualStrategyNumber,
								 lfirst(column))
				: "OPERATOR(pg_catalog.=)",
			sql_identifier(lfirst(column)));
	table_close(rel, NoLock);
	return psprintf("EXISTS (SELECT FROM %s d WHERE %s%s)",
					sql_identifier(delta->name),
					check_text(rule, "reference_filter") != NULL
						? "true"
						: "d._depipe_weight OPERATOR(pg_catalog.<) 0",
					match.data);
}

/* Could the delta have removed a key? */
static bool
may_lose_keys(const ReferenceChange *change)
{
	return change->delta->clear || change->delta->nrows > change->delta->new_images ||
		   check_text(change->constraint->rule, "reference_filter") != NULL;
}

/*
 * Rows of the child that violated before may be among those that the delta
 * touched, unless it shows exactly which keys were lost.
 */
static bool
may_touch_baseline(const ReferenceChange *change)
{
	return change->constraint->row->baseline > 0 &&
		   (!knows_touched(change) ||
			check_text(change->constraint->rule, "reference_filter") != NULL);
}

static List *
without_keys(List *missing, List *others)
{
	List *left = NIL;
	List *texts = NIL;
	ListCell *cell;

	foreach(cell, others)
		texts = lappend(texts, ((MissingKey *) lfirst(cell))->text);
	foreach(cell, missing)
		if (!has_text(texts, ((MissingKey *) lfirst(cell))->text))
			left = lappend(left, lfirst(cell));
	return left;
}

/* Remember keys that rows of the child refer to and that no longer exist. */
static void
remember_lost_keys(const ReferenceChange *change, Measured *measured)
{
	List *missing;
	char *sql;

	if (!may_lose_keys(change) || change->constraint->on_violation == ACTION_QUARANTINE)
		return;
	sql = missing_query(change->constraint,
						change->child,
						target_rows_sql(change->child, CHECK_ROW),
						touched_condition(change),
						"pg_catalog.count(*)");
	missing = find_missing(change->child,
						   change->constraint->row->settings,
						   sql,
						   NULL,
						   &measured->measure);
	if (missing != NIL && may_touch_baseline(change))
		missing = without_keys(missing,
							   find_missing_before(change->child,
												   change->constraint->row->settings,
												   sql,
												   &measured->measure));
	if (measured->measure.error_sqlstate == 0)
		pending_keys_add(change->constraint->row->id, key_arrays(missing));
}

/* The keys of the reference among the new images of the delta; NULL: too many. */
static ArrayType *
gained_keys(const ReferenceChange *change, Measure *measure)
{
	List *gained;

	if (!delta_has_all(change->delta, change->columns, false))
		return NULL;
	gained = find_missing(change->child,
						  NIL, /* they are compared with images */
						  psprintf("SELECT %s, 1::pg_catalog.int8 FROM %s d WHERE d._depipe_weight"
								   " OPERATOR(pg_catalog.>) 0 GROUP BY 1 LIMIT %d",
								   key_array(change->columns, "d"),
								   sql_identifier(change->delta->name),
								   MAX_PENDING_KEYS + 1),
						  NULL,
						  measure);
	return list_length(gained) > MAX_PENDING_KEYS ? NULL : key_texts(gained);
}

static bool
same_types(const ReferenceChange *change)
{
	ListCell *column;
	ListCell *other;

	forboth(column, check_texts(change->constraint->rule, "columns"), other, change->columns)
		if (get_atttype(change->child->relid, get_attnum(change->child->relid, lfirst(column))) !=
			get_atttype(change->reference->relid,
						get_attnum(change->reference->relid, lfirst(other))))
			return false;
	return true;
}

/* Mark quarantined rows that failed because of a missing key that exists now. */
static bool
mark_retries(const ReferenceChange *change)
{
	int32 constraint_id = change->constraint->row->id;
	Measure measure = {0};
	ArrayType *keys = NULL;

	if (change->delta->new_images == 0 ||
		quarantine_count_of(change->child->id, constraint_id) == 0)
		return false;
	if (same_types(change))
		keys = gained_keys(change, &measure);
	return quarantine_mark_retries(change->child->id,
								   constraint_id,
								   check_texts(change->constraint->rule, "columns"),
								   keys) > 0;
}

/* Charge the constrained table; its next batch meets the breaker. */
static void
charge_child(const ReferenceChange *change, Measured *measured, bool whole_table)
{
	Verdict *verdict = judge(measured, whole_table);

	verdict->strategy = "reference";
	verdicts_record(0, change->child, list_make1(verdict));
	incidents_settle(change->child);
	if (verdict->action == ACTION_BREAK)
		breaker_charge(change->child,
					   psprintf(verdict->violations == 1 ? "constraint \"%s\": " INT64_FORMAT
														   " row refers to a key that no longer"
														   " exists"
														 : "constraint \"%s\": " INT64_FORMAT
														   " rows refer to keys that no longer"
														   " exist",
								verdict->constraint_name,
								verdict->violations));
}

/*
 * Judge the child by its remembered keys.  A threshold is about the whole
 * table: then all its rows are counted, except pending ones.
 */
static void
judge_remembered(const ReferenceChange *change, Measured *measured, bool held)
{
	Measure *measure = &measured->measure;
	bool whole_table = constraint_counts_table(change->constraint);

	measure->evaluated = measure->violations = 0;
	settle_pending(change->child, measured, held);
	if (measure->error_sqlstate == 0 && whole_table)
	{
		int64 pending = measure->pending;

		measure_table(change->child, list_make1(measured));
		measure->pending = pending;
		if (measure->error_sqlstate == 0)
			measure->violations = Max(measure->violations - pending, 0);
	}
	else if (measure->error_sqlstate == 0)
		/* all settled: a verdict is due although there are no rows */
		measure->evaluated = Max(measure->violations + measure->pending, 1);
	charge_child(change, measured, whole_table);
}

/*
 * This judges the child, whose rows may be newer than the snapshot of publish:
 * a row that refers to a lost key must not be overlooked.  If the lost keys are
 * not known, a newer child would be charged with keys that the reference does
 * not have yet, and the keys that were missing before are not known.
 */
static Snapshot
snapshot_of_child(const ReferenceChange *change)
{
	return knows_touched(change) && !may_touch_baseline(change) ? GetTransactionSnapshot()
																: GetActiveSnapshot();
}

static bool
reference_changed(ReferenceChange *change)
{
	Measured *measured = measured_new(change->constraint);

	remember_lost_keys(change, measured);
	if (measured->measure.error_sqlstate == 0 &&
		pending_keys_count(change->constraint->row->id) > 0)
		judge_remembered(change, measured, false);
	return mark_retries(change);
}

void
settle_pending_keys(Target *child)
{
	ListCell *cell;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	foreach(cell, constraints_load(child))
	{
		ReferenceChange change = {.child = child, .constraint = lfirst(cell)};
		Measured *measured;

		if (!change.constraint->rule->kind->has_keys || change.constraint->compile_sqlstate != 0 ||
			pending_keys_count(change.constraint->row->id) == 0)
			continue;
		measured = measured_new(change.constraint);
		judge_remembered(&change, measured, is_held(reference_target(change.constraint), NIL));
	}
	SPI_finish();
}

bool
gate_references(Target *reference, Delta *delta)
{
	bool marked = false;
	ListCell *cell;

	foreach(cell, constraint_rows_referencing(reference->schema_name, reference->table_name))
	{
		ConstraintRow *row = lfirst(cell);
		ReferenceChange change = {.reference = reference, .delta = delta};

		change.child = target_get(row->target_id);
		if (!OidIsValid(change.child->relid) || !OidIsValid(reference->relid))
			continue;
		change.constraint = constraint_from(change.child, row);
		if (!change.constraint->rule->kind->has_keys || change.constraint->compile_sqlstate != 0)
			continue;
		change.columns = check_texts(change.constraint->rule, "reference_columns");
		PushActiveSnapshot(snapshot_of_child(&change));
		marked |= reference_changed(&change);
		PopActiveSnapshot();
	}
	return marked;
}

/* Would the delta without old images not show which keys were lost? */
static bool
looks_beyond_key(Target *target, const ConstraintRow *row)
{
	CheckRule *rule = check_parse_text(row->rule);
	AttrNumber *attnums;
	int count;
	ListCell *cell;

	if (!rule->kind->has_keys)
		return false;
	if (check_text(rule, "reference_filter") != NULL || !OidIsValid(target->relid))
		return true;
	count = delta_key_attributes(target->relid, NIL, &attnums);
	foreach(cell, check_texts(rule, "reference_columns"))
	{
		bool found = false;

		for (int i = 0; i < count; i++)
			found = found || attnums[i] == get_attnum(target->relid, lfirst(cell));
		if (!found)
			return true;
	}
	return false;
}

bool
gate_wants_old_images(Target *target)
{
	ListCell *cell;

	foreach(cell, constraint_rows_referencing(target->schema_name, target->table_name))
		if (looks_beyond_key(target, lfirst(cell)))
			return true;
	return false;
}
