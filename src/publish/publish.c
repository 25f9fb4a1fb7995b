/*-------------------------------------------------------------------------
 *
 * publish.c
 *		The one path.
 *
 * The order of the steps is in publish.h.  An item is decided when its status
 * is set; undecided items take part in the next pass.  A pass applies all
 * undecided items and gates them in one internal subtransaction.  If one of
 * them fails, or rows must be set aside, the pass is rolled back and repeated
 * without them: savepoints are last-in-first-out, failures are rare, and they
 * pay for the second pass.  A published item is recorded in its pass, so that
 * it is complete or absent.  An unpublished item is recorded outside of the
 * pass, so that its verdicts survive the rollback.  Every step is a guarded
 * unit that is attributed to one table.
 *
 * Invariants: at the end every item is decided, its delta is in the target,
 * parked or dropped, and nothing remains of a failed pass.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/publish.h"

#include "access/xact.h"
#include "catalog/marks.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/published.h"
#include "core/covered.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "delta/record_image.h"
#include "executor/spi.h"
#include "publish/apply.h"
#include "publish/bag.h"
#include "publish/collect.h"
#include "publish/companion.h"
#include "publish/complete.h"
#include "publish/park.h"
#include "publish/quarantine.h"
#include "quality/gate.h"
#include "quality/incident.h"
#include "quality/record.h"
#include "quality/references.h"
#include "quality/state.h"
#include "quality/time_checks.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Maximum number of passes for a batch whose rows must repeatedly be set aside. */
#define MAX_PASSES 20

typedef struct ItemState
{
	PublishItem *item;
	uint32 marks;           /* of the target: which records exist */
	ApplyTable table;       /* its delta is the item's */
	List *companions;       /* of Companion */
	Collection *collection; /* of a pass, while it applies */
	Changes *changes;       /* made by a pass; NULL: not wanted */
	bool decided;
	List *row_verdicts;
	List *table_verdicts;
	List *held;            /* of HeldRow: rows that prevent its publication */
	List *set_aside;       /* of SetAside */
	Delta *netting;        /* being filled from the delta of the item, or NULL */
	int64 was_quarantined; /* of the run, before this item */
	Action action;         /* the strongest, as enforced */
	Action asked;          /* the strongest that a constraint asked for */
} ItemState;

/* Rows that one evaluation kept out, with the reasons. */
typedef struct SetAside
{
	Delta *rows;
	GateReport *report;
} SetAside;

typedef struct Pass
{
	List *states; /* undecided ItemStates, in the order of apply */
	Snapshot snapshot;
	ApplyTable *current; /* for the attribution of an error */
	ItemState *gating;
	bool clean;    /* nothing failed, nothing fell out */
	bool retries;  /* rows of some target can be tried again */
	List *reports; /* of GateReport, like states */
} Pass;

/* ---- locks ---- */

static int
compare_relids(const ListCell *a, const ListCell *b)
{
	Oid left = ((Target *) lfirst(a))->relid;
	Oid right = ((Target *) lfirst(b))->relid;

	return (left > right) - (left < right);
}

/* Does the name still denote the locked table? */
bool
publish_lock_target(Target *target)
{
	for (;;)
	{
		Oid relid = target->relid;

		if (!OidIsValid(relid))
			return false;
		LockRelationOid(relid, ShareRowExclusiveLock);
		if (target_bind(target) == relid)
			return true;
		UnlockRelationOid(relid, ShareRowExclusiveLock);
	}
}

int
publish_lock_free(List *targets)
{
	ListCell *cell;

	foreach(cell, targets)
	{
		const Target *target = lfirst(cell);

		if (!OidIsValid(target->relid) ||
			!ConditionalLockRelationOid(target->relid, ShareRowExclusiveLock))
			return foreach_current_index(cell);
	}
	return list_length(targets);
}

void
publish_unlock(const Target *target)
{
	UnlockRelationOid(target->relid, ShareRowExclusiveLock);
}

List *
publish_in_order(List *targets)
{
	List *sorted = list_copy(targets);

	list_sort(sorted, compare_relids);
	return sorted;
}

/* ---- deciding ---- */

static void
decide(ItemState *state, PublishStatus status, const char *reason)
{
	state->decided = true;
	state->item->status = status;
	if (reason != NULL)
		state->item->reason = pstrdup(reason);
}

static void
decide_error(ItemState *state, ErrorData *error)
{
	run_set_error(state->item->run, error);
	decide(state, PUBLISH_ERROR, state->item->run->reason);
	state->action = ACTION_REJECT;
}

/* Apply REJECT or BREAK as far as the breaker allows; returns true if that decides the item. */
static bool
decide_report(ItemState *state, GateReport *report)
{
	Action action = breaker_enforce(state->item->target, report->action);

	state->asked = Max(state->asked, report->action);
	if (action > state->action)
		state->action = action;
	if (action < ACTION_REJECT)
		return false;
	state->held = report->held;
	decide(state, action == ACTION_BREAK ? PUBLISH_BROKEN : PUBLISH_REJECTED, report->reason);
	return true;
}

/* ---- before the passes ---- */

/* Bags: sum the weights of equal images; a row is never taken for another. */
static void
net_bag(ItemState *state)
{
	Delta *delta = state->item->delta;
	Delta *netted;
	ResourceOwner owner = CurrentResourceOwner;
	StringInfoData sql;
	Identity identity;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "SELECT x._depipe_net::pg_catalog.int8, x._depipe_sequence,"
						   " x._depipe_lsn, x._depipe_time, NULL::pg_catalog.int8, false,"
						   " NULL::pg_catalog.int2, ");
	sql_append_columns(&sql, delta->columns, "x");
	appendStringInfo(&sql,
					 " FROM (SELECT d.*, pg_catalog.sum(d._depipe_weight) OVER p AS _depipe_net,"
					 " pg_catalog.row_number() OVER (p ORDER BY d._depipe_sequence DESC)"
					 " AS _depipe_n FROM %s d WHERE NOT d._depipe_replaced"
					 " WINDOW p AS (PARTITION BY ",
					 delta->name);
	image_append(&sql, delta->columns, "d");
	appendStringInfoString(&sql,
						   ")) x WHERE x._depipe_n OPERATOR(pg_catalog.=) 1"
						   " AND x._depipe_net OPERATOR(pg_catalog.<>) 0");
	/* it outlives the guarded unit in which it is made */
	CurrentResourceOwner = delta->owner;
	netted = delta_create(delta->relid,
						  delta_column_names(delta),
						  NIL,
						  MemoryContextGetParent(delta->context));
	CurrentResourceOwner = owner;
	state->netting = netted;
	identity_become(state->item->target->owner, &identity);
	delta_register(delta);
	delta_fill_from_query(netted, sql.data, NIL);
	delta_unregister(delta);
	identity_restore(&identity);
	netted->clear = delta->clear;
	netted->batch_end = delta->batch_end;
	delta_destroy(delta);
	state->item->delta = netted;
	state->netting = NULL;
}

typedef struct RowGate
{
	ItemState *state;
	GateReport *report;
} RowGate;

static bool
gate_rows_work(void *argument)
{
	RowGate *work = argument;

	work->report = gate_rows(work->state->item->gate, work->state->item->delta);
	return true;
}

/* Remove the failed rows from the delta of the item. */
static void
set_rows_aside(ItemState *state, GateReport *report)
{
	SetAside *aside = palloc(sizeof(SetAside));
	int64 *sequences = palloc(sizeof(int64) * report->nfailed_rows);

	for (int i = 0; i < report->nfailed_rows; i++)
		sequences[i] = report->failed_rows[i].sequence;
	aside->rows = delta_split(state->item->delta, sequences, report->nfailed_rows);
	aside->report = report;
	state->set_aside = lappend(state->set_aside, aside);
}

static void
gate_item_rows(ItemState *state)
{
	RowGate work = {state, NULL};
	ErrorData *error;

	if (state->item->gate == NULL || !gate_has_row_checks(state->item->gate) ||
		state->item->delta->new_images == 0)
		return;
	error = guarded_run_waiting(gate_rows_work, &work, state->item->lock_timeout_ms);
	if (error != NULL)
	{
		decide_error(state, error);
		return;
	}
	state->row_verdicts = work.report->verdicts;
	state->item->run->gate_ms += work.report->elapsed_ms;
	if (decide_report(state, work.report) || work.report->nfailed_rows == 0)
		return;
	delta_unregister(state->item->delta);
	set_rows_aside(state, work.report);
	delta_register(state->item->delta);
}

typedef struct Preparation
{
	ItemState *state;
	bool complete;
	char *reason;
} Preparation;

static bool
prepare_work(void *argument)
{
	Preparation *work = argument;
	PublishItem *item = work->state->item;
	uint32 marks = work->state->marks;

	if (item->delta->nkeys == 0 && item->delta->nrows > item->delta->new_images)
	{
		net_bag(work->state);
		if ((marks & MARK_QUARANTINED) != 0 && !item->settled &&
			quarantine_cancel(item->target, item->delta))
			net_bag(work->state);
	}
	work->complete = delta_complete(item->target, item->delta, &work->reason);
	if (work->complete && (marks & MARK_REFERENCED) != 0 && gate_wants_old_images(item->target))
	{
		delta_register(item->delta);
		delta_complete_old(item->target, item->delta);
		delta_unregister(item->delta);
	}
	if ((marks & MARK_CONSTRAINED) != 0)
		item->gate = gate_open(item->target, GetActiveSnapshot(), marks);
	work->state->companions = companions_of(item);
	return true;
}

/*
 * Delete the rows that superseded rows left in the target.  The superseded rows
 * themselves are deleted when the item is published (false: that is rolled back
 * here).
 */
static bool
look_at_quarantine(void *argument)
{
	ItemState *state = argument;
	ListCell *cell;

	quarantine_forget_claims(state->item->target, state->item->delta);
	foreach(cell, state->set_aside)
		quarantine_forget_claims(state->item->target, ((SetAside *) lfirst(cell))->rows);
	quarantine_supersede(state->item->target, state->item->delta, true);
	return false;
}

static void
prepare_item(ItemState *state)
{
	PublishItem *item = state->item;
	Preparation work = {state, false, NULL};
	ErrorData *error;

	error = guarded_run_waiting(prepare_work, &work, item->lock_timeout_ms);
	if (error != NULL)
	{
		if (state->netting != NULL)
			delta_destroy(state->netting);
		decide_error(state, error);
		return;
	}
	if (!work.complete)
	{
		decide(state, PUBLISH_BASE_LOST, work.reason);
		return;
	}
	bag_prepare(item->target, item->delta);
	delta_register(item->delta);
	gate_item_rows(state);
	if (state->decided || (state->marks & MARK_QUARANTINED) == 0)
		return;
	delta_unregister(item->delta);
	error = guarded_run(look_at_quarantine, state);
	delta_register(item->delta);
	if (error != NULL)
		decide_error(state, error);
}

/* ---- a pass ---- */

static List *
apply_tables(List *states, ApplyTable **current)
{
	List *tables = NIL;
	ListCell *cell;

	foreach(cell, states)
	{
		ItemState *state = lfirst(cell);

		state->table.target = state->item->target;
		state->table.delta = state->item->delta;
		state->table.run = state->item->run;
		*current = &state->table;
		apply_prepare(&state->table);
		tables = lappend(tables, &state->table);
	}
	*current = NULL;
	return apply_order(tables);
}

static void
reset_counts(List *states)
{
	ListCell *cell;

	foreach(cell, states)
	{
		ItemState *state = lfirst(cell);

		state->item->run->inserted = state->item->run->updated = state->item->run->deleted = 0;
		state->item->run->quarantined = state->was_quarantined;
	}
}

/* Act on the results of the table checks: decide, set rows aside. */
static void
handle_reports(Pass *pass)
{
	ListCell *cell;
	ListCell *report_cell;

	forboth(cell, pass->states, report_cell, pass->reports)
	{
		ItemState *state = lfirst(cell);
		GateReport *report = lfirst(report_cell);

		if (report == NULL)
			continue;
		if (decide_report(state, report))
		{
			state->table_verdicts = report->verdicts;
			continue;
		}
		if (report->nfailed_rows > 0)
		{
			/* verdicts of an earlier evaluation stay: the next one no longer has these rows */
			state->row_verdicts = list_concat(state->row_verdicts, report->verdicts);
			delta_unregister(state->item->delta);
			set_rows_aside(state, report);
			delta_register(state->item->delta);
		}
		else
			state->table_verdicts = report->verdicts;
	}
}

/* ---- companions ---- */

static bool
wants_collection(const ItemState *state)
{
	ListCell *cell;

	foreach(cell, state->companions)
		if (!((const Companion *) lfirst(cell))->blind)
			return true;
	return false;
}

static bool
wants_before(const ItemState *state)
{
	ListCell *cell;

	foreach(cell, state->companions)
		if (((const Companion *) lfirst(cell))->before)
			return true;
	return false;
}

static void
begin_collecting(Pass *pass)
{
	ListCell *cell;

	foreach(cell, pass->states)
	{
		ItemState *state = lfirst(cell);

		if (!wants_collection(state))
			continue;
		/* an error has ended an earlier pass */
		if (state->changes != NULL)
			changes_unregister(state->changes);
		state->changes = NULL;
		pass->current = &state->table;
		state->collection = collect_begin(&state->table, wants_before(state));
	}
	pass->current = NULL;
}

static void
end_collecting(Pass *pass)
{
	ListCell *cell;

	foreach(cell, pass->states)
	{
		ItemState *state = lfirst(cell);

		if (!wants_collection(state))
			continue;
		pass->current = &state->table;
		state->changes = collect_end(state->collection);
		changes_register(state->changes);
	}
	pass->current = NULL;
}

static void
apply_companions(Pass *pass, ItemState *state)
{
	ListCell *cell;

	foreach(cell, state->companions)
		((const Companion *) lfirst(cell))->apply(state->item, state->changes, pass->snapshot);
}

/* They end with the subtransaction that they were collected in. */
static void
end_changes(Pass *pass)
{
	ListCell *cell;

	foreach(cell, pass->states)
	{
		ItemState *state = lfirst(cell);

		if (state->changes != NULL)
			changes_end(state->changes);
		state->changes = NULL;
	}
}

/* ---- what is published ---- */

static void
store_quarantine(ItemState *state)
{
	PublishItem *item = state->item;
	ListCell *cell;

	foreach(cell, state->set_aside)
	{
		SetAside *aside = lfirst(cell);

		quarantine_store(item->target,
						 aside->rows,
						 aside->report->failed_rows,
						 aside->report->nfailed_rows,
						 item->run->id);
		item->run->quarantined += aside->report->nfailed_rows;
	}
}

/* The gate was evaluated, but there was no row to write. */
static bool
published_nothing(const PublishItem *item)
{
	return item->delta->nrows == 0 && !item->delta->clear && item->run->quarantined == 0;
}

static void
finish_run(ItemState *state)
{
	PublishItem *item = state->item;
	Run *run = item->run;

	if (run->reason == NULL && item->reason != NULL)
		run->reason = item->reason;
	switch (item->status)
	{
		case PUBLISH_DONE:
			run->status = published_nothing(item) ? RUN_NOTHING : RUN_SUCCEEDED;
			break;
		case PUBLISH_NOTHING:
			if (run->status == RUN_RUNNING)
				run->status = RUN_NOTHING;
			break;
		case PUBLISH_REJECTED:
		case PUBLISH_BROKEN:
		case PUBLISH_BLOCKED:
			run->status = RUN_BLOCKED;
			break;
		case PUBLISH_ERROR:
		case PUBLISH_BASE_LOST:
		case PUBLISH_DIVERGED:
			run->status = RUN_FAILED;
			break;
	}
}

static void
record_verdicts(ItemState *state)
{
	PublishItem *item = state->item;

	verdicts_record(item->run->id,
					item->target,
					list_concat_copy(state->row_verdicts, state->table_verdicts));
	/* for a good run, a closed breaker without counts has nothing to record */
	if ((state->marks & MARK_BREAKER) != 0 || item->admission == ADMIT_PROBE ||
		state->action == ACTION_BREAK)
		(void) breaker_record(item->target,
							  item->admission,
							  state->action,
							  state->asked,
							  item->reason);
}

/*
 * Runs within the pass that applied the item.  An item that cannot be recorded
 * is not published; the error belongs to this table.
 */
static void
record_published(Pass *pass, ItemState *state)
{
	PublishItem *item = state->item;

	if ((state->marks & MARK_QUARANTINED) != 0)
	{
		delta_unregister(item->delta);
		quarantine_supersede(item->target, item->delta, false);
		delta_register(item->delta);
	}
	state_note_unseen(item->target);
	record_verdicts(state);
	store_quarantine(state);
	if (state->item->gate != NULL && gate_has_time_checks(state->item->gate))
		time_checks_follow(item->target, item->run->id);
	if ((state->marks & MARK_HELD) != 0)
		held_rows_put(item->target->id, NIL);
	/* a breaker that this batch opened does not count as good */
	if (state->item->gate != NULL && (state->marks & MARK_INCIDENT) != 0)
		incidents_settle(item->target);
	if ((state->marks & MARK_REFERENCED) != 0)
		pass->retries |= gate_references(item->target, item->delta);
	finish_run(state);
}

static void
publish_pass(Pass *pass)
{
	ListCell *cell;

	handle_reports(pass);
	foreach(cell, pass->states)
	{
		ItemState *state = lfirst(cell);

		pass->gating = state;
		/* a probe may have to pass several times before it is published */
		state->item->status = PUBLISH_DONE;
		apply_companions(pass, state);
		record_published(pass, state);
	}
	pass->gating = NULL;
}

/*
 * A row that is set aside is not written, but the implication of its change for
 * its key must hold.  Deltas of one table share a name: if this check fails,
 * the item is decided and SQL no longer reads its delta.
 */
static void
check_set_aside(Pass *pass)
{
	ListCell *cell;
	ListCell *aside;

	foreach(cell, pass->states)
	{
		ItemState *state = lfirst(cell);

		if (state->set_aside == NIL)
			continue;
		pass->current = &state->table;
		delta_unregister(state->item->delta);
		foreach(aside, state->set_aside)
			apply_check_keys(state->item->target,
							 ((SetAside *) lfirst(aside))->rows,
							 pass->snapshot);
		delta_register(state->item->delta);
	}
	pass->current = NULL;
}

static bool
pass_work(void *argument)
{
	Pass *pass = argument;
	List *tables;
	ListCell *cell;

	(void) apply_unexpected();
	check_set_aside(pass);
	tables = apply_tables(pass->states, &pass->current);
	begin_collecting(pass);
	apply_all(tables, pass->snapshot, &pass->current);
	CommandCounterIncrement();
	end_collecting(pass);

	pass->clean = true;
	foreach(cell, pass->states)
	{
		ItemState *state = lfirst(cell);
		GateReport *report = NULL;

		pass->gating = state;
		if (state->item->gate != NULL && gate_has_table_checks(state->item->gate))
		{
			report = gate_table(state->item->gate, state->item->delta, state->changes);
			state->item->run->gate_ms += report->elapsed_ms;
			if (report->nfailed_rows > 0 ||
				breaker_enforce(state->item->target, report->action) >= ACTION_REJECT)
				pass->clean = false;
		}
		pass->reports = lappend(pass->reports, report);
	}
	pass->gating = NULL;
	if (pass->clean)
		publish_pass(pass);
	end_changes(pass);
	return pass->clean;
}

static ItemState *
state_of(List *states, ApplyTable *table)
{
	ListCell *cell;

	foreach(cell, states)
		if (&((ItemState *) lfirst(cell))->table == table)
			return lfirst(cell);
	return NULL;
}

/* Is there another way to write the table? */
static bool
try_otherwise(ApplyTable *table, int sqlerrcode)
{
	switch (sqlerrcode)
	{
		case ERRCODE_UNIQUE_VIOLATION:
		case ERRCODE_EXCLUSION_VIOLATION:
		case ERRCODE_GENERATED_ALWAYS:
			if (table->mode == APPLY_REPLACE || table->delta->nkeys == 0 || table->delta->clear ||
				table->target->history != HISTORY_NONE)
				return false;
			table->mode = APPLY_REPLACE;
			return true;
		case ERRCODE_FOREIGN_KEY_VIOLATION:
		case ERRCODE_RESTRICT_VIOLATION:
			if (table->late)
				return false;
			table->late = true;
			return true;
		default:
			return false;
	}
}

/* Attribute the error to a table, and determine whether another way can be tried. */
static void
handle_error(Pass *pass, ErrorData *error)
{
	ItemState *state = pass->gating;
	const char *diverged;

	if (state == NULL && pass->current != NULL)
		state = state_of(pass->states, pass->current);
	if (state == NULL)
		ReThrowError(error);
	diverged = apply_unexpected();
	if (pass->gating == NULL && diverged != NULL)
	{
		run_set_error(state->item->run, error);
		decide(state, PUBLISH_DIVERGED, diverged);
	}
	else if (pass->gating == NULL && try_otherwise(&state->table, error->sqlerrcode))
		return;
	else
		decide_error(state, error);
}

static List *
undecided(List *states)
{
	List *result = NIL;
	ListCell *cell;

	foreach(cell, states)
		if (!((ItemState *) lfirst(cell))->decided)
			result = lappend(result, lfirst(cell));
	return result;
}

/* Rows that refer to a table that is left out are pending, not wrong. */
static void
note_held(List *states)
{
	ListCell *cell;
	ListCell *other;

	foreach(cell, undecided(states))
	{
		ItemState *state = lfirst(cell);

		foreach(other, states)
		{
			ItemState *left_out = lfirst(other);

			if (state->item->gate != NULL && left_out->decided &&
				left_out->item->status != PUBLISH_NOTHING)
				gate_note_held(state->item->gate, left_out->item->target->id);
		}
	}
}

/* Returns true if rows of some target can be tried again. */
static bool
run_passes(List *states, Snapshot snapshot)
{
	for (int passes = 0;; passes++)
	{
		Pass pass = {0};
		ErrorData *error;
		ListCell *cell;

		pass.states = undecided(states);
		pass.snapshot = snapshot;
		if (pass.states == NIL)
			return false;
		note_held(states);
		if (passes == MAX_PASSES)
		{
			foreach(cell, pass.states)
			{
				((ItemState *) lfirst(cell))->action = ACTION_REJECT;
				decide(lfirst(cell),
					   PUBLISH_REJECTED,
					   "more rows failed each time after others were set aside");
			}
			return false;
		}
		reset_counts(pass.states);
		/* all items of a session have the same */
		error = guarded_run_waiting(pass_work,
									&pass,
									((ItemState *) linitial(pass.states))->item->lock_timeout_ms);
		if (error != NULL)
		{
			reset_counts(pass.states);
			handle_error(&pass, error);
			continue;
		}
		if (pass.clean)
		{
			foreach(cell, pass.states)
				decide(lfirst(cell), PUBLISH_DONE, NULL);
			return pass.retries;
		}
		handle_reports(&pass);
		reset_counts(pass.states);
	}
}

/* ---- after the passes ---- */

/* It cannot be parked: the table needs a resync. */
static bool
is_lost(const PublishItem *item)
{
	return item->status == PUBLISH_BASE_LOST || item->status == PUBLISH_DIVERGED;
}

/* Park an unpublished delta: rows that were set aside are held with the rest. */
static void
hold(ItemState *state)
{
	PublishItem *item = state->item;
	const char *problem;
	ListCell *cell;

	if (!item->park)
		return;
	if (is_lost(item))
	{
		park_discard(item->target->id);
		return;
	}
	problem = park_append(item->target, item->delta);
	foreach(cell, state->set_aside)
		if (problem == NULL)
			problem = park_append(item->target, ((SetAside *) lfirst(cell))->rows);
	if (problem == NULL)
		return;
	item->status = PUBLISH_BASE_LOST;
	item->reason = pstrdup(problem); /* whatever they were held for */
}

/* Record that the item is not published, with the reason. */
static bool
record_work(void *argument)
{
	ItemState *state = argument;
	PublishItem *item = state->item;

	if (item->status != PUBLISH_BLOCKED && !is_lost(item))
		record_verdicts(state);
	if (state->held != NIL)
		held_rows_put(item->target->id, state->held);
	hold(state);
	return true;
}

/* If it cannot be parked it is lost; that error also belongs to this table. */
static void
record(ItemState *state)
{
	PublishItem *item = state->item;
	ErrorData *error;

	if (item->status == PUBLISH_DONE)
		return;
	if (item->status == PUBLISH_NOTHING)
	{
		if ((state->marks & MARK_CONSTRAINED) != 0)
			time_checks_follow(item->target, 0);
		finish_run(state);
		return;
	}
	error = guarded_run(record_work, state);
	if (error != NULL)
	{
		/*
		 * space will be available again, and the source keeps the changes until
		 * they are confirmed
		 */
		if (guarded_is_no_room(error))
			ReThrowError(error);
		run_set_error(item->run, error);
		item->status = item->park ? PUBLISH_BASE_LOST : PUBLISH_ERROR;
		item->reason = item->run->reason;
	}
	finish_run(state);
}

/* Notify the readers of these tables. */
static void
note_published(List *states)
{
	List *ids = NIL;
	ListCell *cell;

	foreach(cell, states)
	{
		const PublishItem *item = ((ItemState *) lfirst(cell))->item;
		const Run *run = item->run;

		if (item->status == PUBLISH_DONE && run->inserted + run->updated + run->deleted > 0)
			ids = lappend_int(ids, item->target->id);
	}
	published_note(ids);
}

static void
record_all(List *states)
{
	ListCell *cell;

	foreach(cell, states)
		record(lfirst(cell));
	note_published(states);
}

typedef struct Locking
{
	PublishItem *item;
	bool there;
} Locking;

static bool
lock_work(void *argument)
{
	Locking *locking = argument;

	locking->there = publish_lock_target(locking->item->target);
	/* the transaction's own snapshot may be older than a change of the table */
	if (locking->there)
		covered_check_transaction(locking->item->target->relid);
	return true;
}

/* A stream does not wait forever for one locked table. */
static void
lock_item(ItemState *state)
{
	PublishItem *item = state->item;
	Locking locking = {item, false};
	Oid relid = item->target->relid;
	ErrorData *error = guarded_run_waiting(lock_work, &locking, item->lock_timeout_ms);

	/* another table may have taken the name, and the wait was for that one */
	if (item->target->relid != relid)
		item->marks_are_known = false;

	if (error != NULL)
		decide_error(state, error);
	else if (!locking.there)
	{
		item->run->error_sqlstate = pstrdup(unpack_sql_state(ERRCODE_UNDEFINED_TABLE));
		decide(state, PUBLISH_ERROR, target_why_missing(item->target));
	}
}

/* Is there anything to publish? If not, decides the item; otherwise takes the lock. */
static void
admit_item(ItemState *state)
{
	PublishItem *item = state->item;

	item->run->rows_in += item->delta->changes;
	if (item->admission == ADMIT_NOT)
		decide(state, PUBLISH_BLOCKED, item->reason);
	else if (item->delta->nrows == 0 && item->delta->partial == NIL && !item->delta->clear &&
			 !item->always_gate && item->hidden == NULL)
		decide(state, PUBLISH_NOTHING, NULL);
	else
		lock_item(state);
}

/* After the locks: constraints declared before apply to this batch. */
static void
mark_states(List *states)
{
	List *targets = NIL;
	uint32 *marks;
	ListCell *cell;
	int n = 0;

	foreach(cell, states)
	{
		const PublishItem *item = ((ItemState *) lfirst(cell))->item;

		if (!item->marks_are_known)
			targets = lappend(targets, item->target);
	}
	marks = targets_marks(targets);
	foreach(cell, states)
	{
		ItemState *state = lfirst(cell);

		if (!state->item->marks_are_known)
			state->item->marks = marks[n++];
		state->marks = state->item->marks;
	}
}

/*
 * Locks first, then the snapshot: the old images and bases read here must not
 * be older than the lock.
 */
static bool
publish_states(List *states, Snapshot snapshot)
{
	ListCell *cell;
	bool retries;

	foreach(cell, states)
		admit_item(lfirst(cell));
	mark_states(states);
	PushActiveSnapshot(snapshot != NULL ? snapshot : GetTransactionSnapshot());
	foreach(cell, states)
	{
		ItemState *state = lfirst(cell);

		if (!state->decided)
			prepare_item(state);
	}
	retries = run_passes(states, snapshot);
	record_all(states);
	PopActiveSnapshot();
	return retries;
}

/* They are stored by now; their files must not outlive the transaction. */
static void
forget_set_aside(List *states)
{
	ListCell *cell;
	ListCell *other;

	foreach(cell, states)
	{
		ItemState *state = lfirst(cell);

		foreach(other, state->set_aside)
			delta_destroy(((SetAside *) lfirst(other))->rows);
		state->set_aside = NIL;
	}
}

/* Every SPI call ends in SPI's own memory context; the texts about an item outlive it. */
static void
keep_results(List *items, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ListCell *cell;

	foreach(cell, items)
	{
		PublishItem *item = lfirst(cell);

		if (item->reason != NULL)
			item->reason = pstrdup(item->reason);
		run_copy_texts(item->run);
	}
	MemoryContextSwitchTo(old);
}

bool
publish(List *items, Snapshot snapshot)
{
	MemoryContext context = CurrentMemoryContext;
	List *states = NIL;
	ListCell *cell;
	bool retries;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(context); /* reasons outlive the connection */
	foreach(cell, items)
	{
		ItemState *state = palloc0(sizeof(ItemState));

		state->item = lfirst(cell);
		state->item->gate = NULL;
		state->was_quarantined = state->item->run->quarantined;
		states = lappend(states, state);
	}
	retries = publish_states(states, snapshot);
	keep_results(items, context);
	forget_set_aside(states);
	SPI_finish();
	return retries;
}
