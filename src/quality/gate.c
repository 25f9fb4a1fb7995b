/*-------------------------------------------------------------------------
 *
 * gate.c
 *		The gate: evaluation of a target's constraints inside the transaction
 *		that publishes a delta.
 *
 * Where a constraint is evaluated:
 *
 *		gate_rows	about a row, of columns that the delta has
 *		gate_table	about a row, with a lookup (relationships) or of columns
 *					that only the table has: on the delta's rows
 *					with a callback of its own (unique): on the delta's keys
 *					aggregates, and whatever counts the whole table: from
 *					kept state (state.h), or by one scan
 *
 * A quarantine with a threshold over the whole table takes part in both: its
 * rows are set aside before apply, and counted afterwards together with what
 * is in the table and in quarantine already.
 *
 * Invariant: a row is in set_aside once for each constraint that it failed,
 * however often the batch is applied and gated again.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/gate.h"

#include "catalog/marks.h"
#include "quality/breaker.h"
#include "quality/compile.h"
#include "quality/held.h"
#include "quality/key_names.h"
#include "quality/references.h"
#include "quality/state.h"
#include "quality/verdict.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef struct FailedKey
{
	int64 sequence;
	int64 constraint_id; /* wide, so that the key has no padding */
} FailedKey;

struct Gate
{
	Target *target;
	Snapshot snapshot; /* of all reads */
	MemoryContext context;
	List *constraints; /* of DataConstraint */
	State *state;      /* NULL: none is kept */
	List *held;        /* ids of targets that the batch does not publish */
	HTAB *set_aside;   /* of FailedKey */
	List *failed;      /* of FailedRow, in the evaluation that is going on */
	bool rows_done;    /* gate_rows has been called */
	bool has_keys;     /* keys is known */
	ArrayType *keys;   /* of all new images, before rows were set aside */
};

/* ---- opening ---- */

static HTAB *
make_set(MemoryContext context)
{
	HASHCTL control = {0};

	control.keysize = sizeof(FailedKey);
	control.entrysize = sizeof(FailedKey);
	control.hcxt = context;
	return hash_create("depipe rows set aside",
					   64,
					   &control,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Asked for by depipe.set_aside: checks of single rows hold no batch. */
static void
set_aside_what_holds(List *constraints)
{
	ListCell *cell;

	foreach(cell, constraints)
	{
		DataConstraint *constraint = lfirst(cell);

		if (!constraint_is_row(constraint) || constraint->on_violation < ACTION_QUARANTINE)
			continue;
		constraint->on_violation = ACTION_QUARANTINE;
		constraint->warn_if.given = false;
		constraint->fail_if.given = false;
	}
}

Gate *
gate_open_for(Target *target, Snapshot snapshot, List *constraints)
{
	Gate *gate = palloc0(sizeof(Gate));

	gate->target = target;
	gate->context = CurrentMemoryContext;
	gate->snapshot = snapshot;
	gate->constraints = constraints;
	gate->set_aside = make_set(gate->context);
	return gate;
}

Gate *
gate_open(Target *target, Snapshot snapshot, uint32 marks)
{
	Gate *gate;
	List *constraints;

	if (!OidIsValid(target->relid))
		return NULL;
	constraints = constraints_load(target);
	if (constraints == NIL)
		return NULL;
	if ((marks & MARK_BREAKER) != 0 && breaker_sets_aside(target->id))
		set_aside_what_holds(constraints);
	gate = gate_open_for(target, snapshot, constraints);
	gate->state = state_open(target, constraints, marks);
	return gate;
}

bool
gate_keeps_state(const Gate *gate)
{
	return gate->state != NULL;
}

void
gate_keep(Gate *gate)
{
	state_keep(gate->state);
}

bool
gate_checks_changes(const Gate *gate)
{
	ListCell *cell;

	foreach(cell, gate->constraints)
		if (((DataConstraint *) lfirst(cell))->family == FAMILY_CHANGE)
			return true;
	return false;
}

void
gate_note_held(Gate *gate, int32 target_id)
{
	MemoryContext old = MemoryContextSwitchTo(gate->context);

	gate->held = list_append_unique_int(gate->held, target_id);
	MemoryContextSwitchTo(old);
}

bool
gate_has_row_checks(const Gate *gate)
{
	ListCell *cell;

	foreach(cell, gate->constraints)
	{
		DataConstraint *constraint = lfirst(cell);

		if (constraint_is_row(constraint) && !constraint->row->is_late)
			return true;
	}
	return false;
}

bool
gate_has_time_checks(const Gate *gate)
{
	ListCell *cell;

	foreach(cell, gate->constraints)
		if (((DataConstraint *) lfirst(cell))->family == FAMILY_TIME)
			return true;
	return false;
}

/*
 * Whether a row check has to wait for the table depends on the columns of
 * the delta, so any constraint may turn out to be a table check.
 */
bool
gate_has_table_checks(const Gate *gate)
{
	return gate->constraints != NIL;
}

/* ---- rows that fail ---- */

static bool
is_enforced(const DataConstraint *constraint)
{
	return constraint_acts_from(constraint) <= GetCurrentTimestamp();
}

static bool
sets_aside(const DataConstraint *constraint)
{
	return constraint->on_violation == ACTION_QUARANTINE && is_enforced(constraint);
}

static void
note_failing(void *arg, Measured *measured, int64 sequence, int64 weight)
{
	Gate *gate = arg;
	FailedKey key = {sequence, measured->constraint->row->id};
	FailedRow *row;
	MemoryContext old;

	if (!sets_aside(measured->constraint))
		return;
	old = MemoryContextSwitchTo(gate->context); /* called from inside a query */
	(void) hash_search(gate->set_aside, &key, HASH_ENTER, NULL);
	/* a row that fails several checks comes once, for all of them */
	row = gate->failed != NIL ? llast(gate->failed) : NULL;
	if (row == NULL || row->sequence != sequence)
	{
		row = palloc0(sizeof(FailedRow));
		row->sequence = sequence;
		gate->failed = lappend(gate->failed, row);
	}
	row->constraint_ids = lappend_int(row->constraint_ids, measured->constraint->row->id);
	MemoryContextSwitchTo(old);
}

/* A check that could not be evaluated to the end has found nothing. */
static void
forget_failing(Gate *gate, int32 constraint_id)
{
	HASH_SEQ_STATUS scan;
	FailedKey *key;
	ListCell *cell;

	foreach(cell, gate->failed)
	{
		FailedRow *row = lfirst(cell);

		row->constraint_ids = list_delete_int(row->constraint_ids, constraint_id);
	}
	hash_seq_init(&scan, gate->set_aside);
	while ((key = hash_seq_search(&scan)) != NULL)
		if (key->constraint_id == constraint_id)
			(void) hash_search(gate->set_aside, key, HASH_REMOVE, NULL);
}

static int64
count_set_aside(const Gate *gate, int32 constraint_id)
{
	HASH_SEQ_STATUS scan;
	FailedKey *key;
	int64 count = 0;

	hash_seq_init(&scan, gate->set_aside);
	while ((key = hash_seq_search(&scan)) != NULL)
		if (key->constraint_id == constraint_id)
			count++;
	return count;
}

static int
compare_failed(const void *a, const void *b)
{
	int64 left = ((const FailedRow *) a)->sequence;
	int64 right = ((const FailedRow *) b)->sequence;

	return (left > right) - (left < right);
}

/* Rows found by several passes, sorted and each once. */
static void
take_failed(Gate *gate, GateReport *report)
{
	FailedRow *rows = palloc(sizeof(FailedRow) * Max(list_length(gate->failed), 1));
	int count = 0;
	int kept = 0;
	ListCell *cell;

	foreach(cell, gate->failed)
		rows[count++] = *(FailedRow *) lfirst(cell);
	qsort(rows, count, sizeof(FailedRow), compare_failed);
	for (int i = 0; i < count; i++)
	{
		if (kept > 0 && rows[kept - 1].sequence == rows[i].sequence)
			rows[kept - 1].constraint_ids = list_concat_unique_int(rows[kept - 1].constraint_ids,
																   rows[i].constraint_ids);
		else if (rows[i].constraint_ids != NIL)
			rows[kept++] = rows[i];
	}
	report->failed_rows = rows;
	report->nfailed_rows = kept;
	gate->failed = NIL;
}

/* ---- reports ---- */

static void
add_verdict(Gate *gate, GateReport *report, Delta *delta, const Measured *measured,
			bool whole_table)
{
	Verdict *verdict = judge(measured, whole_table);
	Action action = verdict->action == ACTION_QUARANTINE ? ACTION_WARN : verdict->action;

	if (measured->measure.error_sqlstate != 0)
		forget_failing(gate, verdict->constraint_id);
	if (action >= ACTION_REJECT)
		report->held = list_concat(report->held,
								   held_find(gate->target, delta, measured, whole_table));
	report->verdicts = lappend(report->verdicts, verdict);
	report->elapsed_ms += verdict->elapsed_ms;
	if (action > report->action && action >= ACTION_REJECT)
		report->reason = verdict_reason(verdict);
	report->action = Max(report->action, action);
}

/* ---- before apply ---- */

/* A limit of a quarantine needs to know which of its rows come again. */
static void
note_keys(Gate *gate, Delta *delta)
{
	ListCell *cell;

	foreach(cell, gate->constraints)
	{
		DataConstraint *constraint = lfirst(cell);
		MemoryContext old;

		if (gate->has_keys || !sets_aside(constraint) || !constraint_counts_table(constraint) ||
			quarantine_count_of(gate->target->id, constraint->row->id) == 0)
			continue;
		old = MemoryContextSwitchTo(gate->context);
		gate->keys = delta_new_keys(gate->target, delta);
		gate->has_keys = true;
		MemoryContextSwitchTo(old);
	}
}

static bool
belongs_to_rows(const DataConstraint *constraint, const Delta *delta)
{
	return constraint->compile_sqlstate == 0 && constraint_is_row(constraint) &&
		   !constraint->row->is_late && delta_has_columns(delta, constraint) &&
		   (sets_aside(constraint) || !constraint_counts_table(constraint));
}

/*
 * A check has raised an error.  Where that is a matter of some rows, the others
 * are evaluated without them: quarantine sets those rows aside, and on_error =>
 * 'pass' lets them through.
 */
static void
measure_without_errors(Gate *gate, Delta *delta, Measured *measured)
{
	Measured again = {.constraint = measured->constraint};
	StringInfoData left_out;
	bool complete;
	List *sequences;
	ListCell *cell;

	if (measured->measure.error_sqlstate == 0 || delta->nkeys == 0 ||
		(!sets_aside(measured->constraint) && !measured->constraint->error_passes))
		return;
	sequences = held_find_errors(gate->target, delta, measured, &complete);
	if (sequences == NIL || !complete)
		return;
	initStringInfo(&left_out);
	foreach(cell, sequences)
		appendStringInfo(&left_out,
						 "%s" INT64_FORMAT,
						 left_out.len > 0 ? "," : "",
						 *(int64 *) lfirst(cell));
	again.left_out = psprintf("{%s}", left_out.data);
	forget_failing(gate, measured->constraint->row->id);
	measure_delta(gate->target, delta, list_make1(&again), false, note_failing, gate);
	if (again.measure.error_sqlstate != 0)
		return;
	again.measure.detail = psprintf("\"errors\": %d", list_length(sequences));
	/* what was not evaluated never reads as passed */
	if (measured->constraint->error_passes && again.measure.violations == 0)
		again.measure.error_sqlstate = measured->measure.error_sqlstate;
	foreach(cell, sequences)
	{
		if (measured->constraint->error_passes)
			break;
		again.measure.violations++;
		note_failing(gate, &again, *(int64 *) lfirst(cell), 1);
	}
	*measured = again;
}

GateReport *
gate_rows(Gate *gate, Delta *delta)
{
	GateReport *report = palloc0(sizeof(GateReport));
	List *measured = NIL;
	ListCell *cell;

	PushActiveSnapshot(gate->snapshot);
	note_keys(gate, delta);
	gate->rows_done = true;
	foreach(cell, gate->constraints)
		if (belongs_to_rows(lfirst(cell), delta))
			measured = lappend(measured, measured_new(lfirst(cell)));
	gate->failed = NIL;
	measure_delta(gate->target, delta, measured, false, note_failing, gate);
	foreach(cell, measured)
		measure_without_errors(gate, delta, lfirst(cell));
	foreach(cell, measured)
		add_verdict(gate, report, delta, lfirst(cell), false);
	take_failed(gate, report);
	PopActiveSnapshot();
	return report;
}

/* ---- after apply ---- */

/*
 * Rows that are set aside belong to the numbers.  Over a batch: those of
 * earlier evaluations.  Over the table: those that were out of it when this
 * evaluation began, and what is in quarantine from before and not in this
 * batch.  A row that is set aside leaves its previous version in the table,
 * so that the denominator is a little large.
 */
static void
add_set_aside(const Gate *gate, Measured *measured, bool whole_table)
{
	const ConstraintRow *row = measured->constraint->row;
	int64 rows;

	if (!sets_aside(measured->constraint) || measured->measure.violations < 0)
		return;
	if (whole_table)
		rows = measured->set_aside + quarantine_count_beside(row->target_id, row->id, gate->keys);
	else
		rows = count_set_aside(gate, row->id) - measured->measure.violations;
	if (rows <= 0)
		return;
	measured->measure.violations += rows;
	measured->measure.evaluated += rows;
}

/*
 * The reference's table does not exist yet: it is behind, as far as one can
 * be.  Anything else that cannot be compiled is an error of the check.
 */
static bool
reference_is_missing(const DataConstraint *constraint)
{
	return constraint->row->reference_table != NULL && !OidIsValid(constraint->reference) &&
		   target_find_named(constraint->row->reference_schema, constraint->row->reference_table) !=
			   NULL;
}

typedef struct TableWork
{
	List *on_delta;      /* rows, with lookups */
	List *on_table_rows; /* rows, of columns that the delta does not have */
	List *alone;
	List *on_table;
	List *unfit; /* cannot be compiled */
} TableWork;

/* Rows that it looks at after apply. */
static void
sort_row_check(const Delta *delta, TableWork *work, Measured *measured)
{
	if (!delta_has_columns(delta, measured->constraint))
		work->on_table_rows = lappend(work->on_table_rows, measured);
	else if (measured->constraint->row->is_late)
		work->on_delta = lappend(work->on_delta, measured);
}

static void
sort_out(const Gate *gate, const Delta *delta, TableWork *work)
{
	ListCell *cell;

	foreach(cell, gate->constraints)
	{
		DataConstraint *constraint = lfirst(cell);
		Measured *measured;

		if (constraint->family == FAMILY_TIME)
			continue;
		measured = measured_new(constraint);
		if (constraint->compile_sqlstate != 0)
			work->unfit = lappend(work->unfit, measured);
		else if (constraint_is_whole(constraint))
		{
			measured->set_aside = count_set_aside(gate, constraint->row->id);
			work->on_table = lappend(work->on_table, measured);
			if (sets_aside(constraint) && constraint_is_row(constraint))
				sort_row_check(delta, work, measured_new(constraint));
		}
		else if (!constraint_is_row(constraint))
			work->alone = lappend(work->alone, measured);
		else
			sort_row_check(delta, work, measured);
	}
}

static void
report_batch(Gate *gate, GateReport *report, Delta *delta, List *measured)
{
	ListCell *cell;

	foreach(cell, measured)
	{
		settle_references(gate->target, delta, lfirst(cell), false, gate->held);
		add_set_aside(gate, lfirst(cell), false);
		add_verdict(gate, report, delta, lfirst(cell), false);
	}
}

static void
report_table(Gate *gate, GateReport *report, Delta *delta, List *measured)
{
	ListCell *cell;

	foreach(cell, measured)
	{
		settle_references(gate->target, delta, lfirst(cell), true, gate->held);
		add_set_aside(gate, lfirst(cell), true);
		add_verdict(gate, report, delta, lfirst(cell), true);
	}
}

static void
report_unfit(Gate *gate, GateReport *report, Delta *delta, List *measured)
{
	ListCell *cell;

	foreach(cell, measured)
	{
		Measured *one = lfirst(cell);

		if (reference_is_missing(one->constraint))
		{
			one->measure.error_sqlstate = 0;
			one->measure.pending = 1;
			one->measure.detail = pstrdup("\"reference\": \"missing\"");
		}
		add_verdict(gate, report, delta, one, false);
	}
}

/*
 * A batch without new images has not been through gate_rows.  Constraints that
 * were bad say so: their incidents close when their rows have left quarantine.
 */
static void
report_unseen(Gate *gate, GateReport *report, Delta *delta)
{
	ListCell *cell;

	foreach(cell, gate->constraints)
	{
		DataConstraint *constraint = lfirst(cell);
		Measured *measured;

		if (!belongs_to_rows(constraint, delta) || constraint_counts_table(constraint) ||
			constraint->row->outcome == NULL || strcmp(constraint->row->outcome, "pass") == 0)
			continue;
		measured = measured_new(constraint);
		measured->measure.evaluated = 0;
		measured->measure.violations = 0;
		add_verdict(gate, report, delta, measured, false);
	}
}

/* From kept state what can be; the rest by looking at the table. */
static void
measure_whole(Gate *gate, const Changes *changes, List *measured)
{
	if (gate->state != NULL)
		measured = state_measure(gate->state, changes, measured);
	measure_table(gate->target, measured);
}

GateReport *
gate_table(Gate *gate, Delta *delta, const Changes *changes)
{
	GateReport *report = palloc0(sizeof(GateReport));
	TableWork work = {NIL, NIL, NIL, NIL, NIL};
	ListCell *cell;

	PushActiveSnapshot(gate->snapshot);
	note_keys(gate, delta);
	sort_out(gate, delta, &work);
	gate->failed = NIL;
	measure_delta(gate->target, delta, work.on_delta, false, note_failing, gate);
	measure_delta(gate->target, delta, work.on_table_rows, true, note_failing, gate);
	foreach(cell, work.alone)
		measure_alone(gate->target, delta, changes, lfirst(cell));
	measure_whole(gate, changes, work.on_table);
	report_batch(gate, report, delta, work.on_delta);
	report_batch(gate, report, delta, work.on_table_rows);
	report_batch(gate, report, delta, work.alone);
	report_table(gate, report, delta, work.on_table);
	report_unfit(gate, report, delta, work.unfit);
	if (!gate->rows_done)
		report_unseen(gate, report, delta);
	take_failed(gate, report);
	PopActiveSnapshot();
	return report;
}
