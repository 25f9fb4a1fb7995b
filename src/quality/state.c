/*-------------------------------------------------------------------------
 *
 * state.c
 *		Kept state: verdicts about a whole table at the cost of the changes.
 *
 * Counts and sums of a constraint over its whole table are stored as the values
 * of a few terms (quality/terms). A batch adds the effect of its changes.  If
 * nothing is stored, or stored values may be wrong, or the row of an extreme
 * was removed, one scan computes all such terms again.
 *
 * Stored values are used only if the table was not changed directly since, has
 * the same fingerprint (quality/watch), and the term has the same text.  They
 * describe the rows as left by the transaction that stored them: they are
 * written with these rows, or not at all.  So they are correct for every
 * snapshot that sees both.
 *
 * A transaction in REPEATABLE READ or SERIALIZABLE may see an older state of
 * the table than the last published one, and notes of direct changes that were
 * already processed.  It neither uses nor stores values, and counts as a direct
 * change itself.
 *
 * Invariants: after a batch is published, the values stored for its target are
 * correct, or there are none.  This file decides nothing: a scan gives the same
 * measures.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/state.h"

#include "access/xact.h"
#include "catalog/kept_state.h"
#include "catalog/marks.h"
#include "core/identity.h"
#include "core/plans.h"
#include "executor/spi.h"
#include "quality/terms.h"
#include "quality/watch.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* One constraint. */
typedef struct Kept
{
	const DataConstraint *constraint;
	const StateTerms *terms;
	bool believed;
	TermValue *stored; /* if believed */
	bool measured;     /* by the last evaluation */
	TermValue *now;    /* if measured */
} Kept;

struct State
{
	Target *target;
	MemoryContext context;
	char *fingerprint; /* NULL: nothing can be kept */
	List *kept;        /* of Kept */
	bool written;      /* directly, since the values were stored */
	int nstored;       /* number of values that are stored */
};

/* ---- opening ---- */

static void
add_constraints(State *state, List *constraints)
{
	ListCell *cell;

	foreach(cell, constraints)
	{
		const StateTerms *terms = terms_of(state->target, lfirst(cell), state->fingerprint);
		Kept *kept;

		if (terms == NULL)
			continue;
		kept = palloc0(sizeof(Kept));
		kept->constraint = lfirst(cell);
		kept->terms = terms;
		kept->stored = palloc0(sizeof(TermValue) * list_length(terms->terms));
		kept->now = palloc0(sizeof(TermValue) * list_length(terms->terms));
		state->kept = lappend(state->kept, kept);
	}
}

static const KeptTerm *
find_stored(List *stored, int32 constraint_id, int number)
{
	ListCell *cell;

	foreach(cell, stored)
	{
		const KeptTerm *term = lfirst(cell);

		if (term->constraint_id == constraint_id && term->term == number)
			return term;
	}
	return NULL;
}

/* Are all terms of the constraint stored, with values for its present definition? */
static void
take_stored(const State *state, Kept *kept, List *stored)
{
	ListCell *cell;

	kept->believed = !state->written;
	foreach(cell, kept->terms->terms)
	{
		int number = foreach_current_index(cell);
		const KeptTerm *term = find_stored(stored, kept->constraint->row->id, number);

		if (term == NULL || strcmp(term->expression, ((StateTerm *) lfirst(cell))->text) != 0 ||
			strcmp(term->fingerprint, state->fingerprint) != 0)
		{
			kept->believed = false;
			return;
		}
		kept->stored[number].value = term->value;
		kept->stored[number].isnull = term->isnull;
	}
}

static bool
some_may_be_kept(List *constraints)
{
	ListCell *cell;

	foreach(cell, constraints)
		if (terms_may_be_kept(lfirst(cell)))
			return true;
	return false;
}

static State *
make_state(Target *target, List *constraints, List *stored, bool written)
{
	State *state = palloc0(sizeof(State));
	ListCell *cell;

	state->target = target;
	state->context = CurrentMemoryContext;
	state->written = written;
	state->nstored = list_length(stored);
	state->fingerprint = watch_fingerprint(target);
	if (state->fingerprint != NULL)
		add_constraints(state, constraints);
	foreach(cell, state->kept)
		take_stored(state, lfirst(cell), stored);
	return state;
}

State *
state_open(Target *target, List *constraints, uint32 marks)
{
	bool may_be_kept = some_may_be_kept(constraints);
	List *stored;
	bool written;

	if (IsolationUsesXactSnapshot() || (!may_be_kept && (marks & MARK_STATE) == 0))
		return NULL;
	if (may_be_kept)
		watch_begin(target);
	stored = kept_terms(target->id, target->relid, &written);
	return make_state(target, constraints, stored, written);
}

/* ---- evaluation ---- */

typedef struct Evaluation
{
	State *state;
	const Changes *changes; /* NULL: of the whole table */
} Evaluation;

static Kept *
kept_of(const State *state, const Measured *measured)
{
	ListCell *cell;

	foreach(cell, state->kept)
		if (((Kept *) lfirst(cell))->constraint->row->id == measured->constraint->row->id)
			return lfirst(cell);
	return NULL;
}

static char *
evaluation_query(const Evaluation *evaluation, List *measured)
{
	const Changes *changes = evaluation->changes;
	StringInfoData sql;
	ListCell *cell;
	ListCell *term;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT 0");
	foreach(cell, measured)
		foreach(term, kept_of(evaluation->state, lfirst(cell))->terms->terms)
			if (changes != NULL)
				term_append_change(&sql, lfirst(term));
			else
				term_append_whole(&sql, lfirst(term));
	appendStringInfo(&sql,
					 " FROM %s",
					 changes != NULL ? psprintf("%s " CHECK_ROW, changes->name)
									 : target_rows_sql(evaluation->state->target, CHECK_ROW));
	return sql.data;
}

/* The plan over few changes is kept for the session. */
static void
execute(const Evaluation *evaluation, const char *sql)
{
	const Changes *changes = evaluation->changes;

	if (changes == NULL)
		read_statement(sql, NULL, PLAN_ONCE);
	else
		read_statement(sql,
					   changes->desc,
					   changes->nrows <= PLAN_SMALL_ROWS ? PLAN_KEPT : PLAN_ONCE);
}

/* A column of the only row returned by the query, in the memory context of the state. */
static TermValue
take_value(const State *state, int column)
{
	MemoryContext old = MemoryContextSwitchTo(state->context);
	TermValue value;

	value.value =
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &value.isnull);
	if (!value.isnull)
		value.value = datumCopy(value.value, false, -1);
	MemoryContextSwitchTo(old);
	return value;
}

/* The value of a term before the changes; none if they begin with an empty table. */
static TermValue
value_before(const Evaluation *evaluation, const Kept *kept, int number)
{
	const StateTerm *term = list_nth(kept->terms->terms, number);
	TermValue none = {(Datum) 0, true};

	if (!evaluation->changes->cleared)
		return kept->stored[number];
	if (term_columns(term) == 1)
	{
		none.value = DirectFunctionCall1(int4_numeric, Int32GetDatum(0));
		none.isnull = false;
	}
	return none;
}

/* Returns the number of columns taken. *known: whether the values are known. */
static int
take_values(const Evaluation *evaluation, Kept *kept, int column, bool *known)
{
	int taken = 0;
	ListCell *cell;

	*known = true;
	foreach(cell, kept->terms->terms)
	{
		const StateTerm *term = lfirst(cell);
		int number = foreach_current_index(cell);
		TermValue change[2];

		if (evaluation->changes == NULL)
		{
			kept->now[number] = take_value(evaluation->state, column + taken++);
			continue;
		}
		for (int i = 0; i < term_columns(term); i++)
			change[i] = take_value(evaluation->state, column + taken++);
		kept->now[number] = value_before(evaluation, kept, number);
		*known = term_add(term, &kept->now[number], change) && *known;
	}
	return taken;
}

/* Called as the owner, for checks with the same settings. */
static void
evaluate(List *measured, void *arg)
{
	Evaluation *evaluation = arg;
	MemoryContext context = CurrentMemoryContext;
	int column = 2;
	ListCell *cell;

	execute(evaluation, evaluation_query(evaluation, measured));
	MemoryContextSwitchTo(evaluation->state->context);
	foreach(cell, measured)
	{
		Kept *kept = kept_of(evaluation->state, lfirst(cell));

		column += take_values(evaluation, kept, column, &kept->measured);
	}
	foreach(cell, measured)
	{
		Measured *one = lfirst(cell);
		Kept *kept = kept_of(evaluation->state, one);

		if (kept->measured)
			terms_measure(kept->terms, kept->now, &one->measure);
		one->measure.strategy = evaluation->changes != NULL ? "kept state" : "scan";
	}
	MemoryContextSwitchTo(context);
}

/* Evaluate these in one way; returns those whose values are not known afterwards. */
static List *
evaluate_all(Evaluation *evaluation, List *measured)
{
	List *left = NIL;
	ListCell *cell;

	if (measured == NIL)
		return NIL;
	measure_alike(evaluation->state->target, measured, evaluate, evaluation);
	foreach(cell, measured)
	{
		Measured *one = lfirst(cell);
		Kept *kept = kept_of(evaluation->state, one);

		if (one->measure.error_sqlstate != 0)
			kept->measured = false;
		if (kept->measured)
			continue;
		/* evaluated again in another way, which attributes its errors */
		one->measure.error_sqlstate = 0;
		one->measure.error_message = NULL;
		left = lappend(left, one);
	}
	return left;
}

static void
begin_evaluation(State *state)
{
	ListCell *cell;

	foreach(cell, state->kept)
		((Kept *) lfirst(cell))->measured = false;
}

List *
state_measure(State *state, const Changes *changes, List *measured)
{
	Evaluation by_changes = {state, changes};
	Evaluation by_scan = {state, NULL};
	List *believed = NIL;
	List *scanned = NIL;
	List *left = NIL;
	ListCell *cell;

	begin_evaluation(state);
	foreach(cell, measured)
	{
		Kept *kept = kept_of(state, lfirst(cell));

		if (kept == NULL || ((Measured *) lfirst(cell))->measure.error_sqlstate != 0)
			left = lappend(left, lfirst(cell));
		else if (changes->known && (kept->believed || changes->cleared))
			believed = lappend(believed, lfirst(cell));
		else
			scanned = lappend(scanned, lfirst(cell));
	}
	scanned = list_concat(scanned, evaluate_all(&by_changes, believed));
	return list_concat(left, evaluate_all(&by_scan, scanned));
}

/* ---- storing ---- */

static bool
same_value(const TermValue *a, const TermValue *b)
{
	if (a->isnull || b->isnull)
		return a->isnull && b->isnull;
	return datumIsEqual(a->value, b->value, false, -1);
}

/* The values of a constraint. *changed: some of them are not stored yet. */
static List *
values_of(const State *state, const Kept *kept, bool *changed)
{
	List *values = NIL;
	ListCell *cell;

	foreach(cell, kept->terms->terms)
	{
		int number = foreach_current_index(cell);
		KeptTerm *term = palloc(sizeof(KeptTerm));

		term->constraint_id = kept->constraint->row->id;
		term->term = number;
		term->expression = ((StateTerm *) lfirst(cell))->text;
		term->fingerprint = state->fingerprint;
		term->value = kept->now[number].value;
		term->isnull = kept->now[number].isnull;
		*changed |= !kept->believed || !same_value(&kept->now[number], &kept->stored[number]);
		values = lappend(values, term);
	}
	return values;
}

void
state_keep(State *state)
{
	List *values = NIL;
	bool all_believed = !state->written;
	bool changed = false;
	ListCell *cell;

	foreach(cell, state->kept)
	{
		const Kept *kept = lfirst(cell);

		all_believed &= kept->believed;
		if (kept->measured)
			values = list_concat(values, values_of(state, kept, &changed));
	}
	/* the same rows with other values: nothing else was stored */
	if (all_believed && list_length(values) == state->nstored &&
		(!changed || kept_terms_update(values) == (uint64) state->nstored))
		return;
	kept_terms_replace(state->target->id, values);
	watch_forget_notes(state->target->relid);
}

void
state_note_unseen(Target *target)
{
	bool kept;

	if (!IsolationUsesXactSnapshot())
		return;
	PushActiveSnapshot(GetLatestSnapshot());
	kept = kept_state_look(target->id);
	PopActiveSnapshot();
	if (kept)
		watch_note_write(target->relid);
}

void
state_end(Target *target)
{
	kept_terms_replace(target->id, NIL);
	watch_end(target);
}

/* ---- verifying ---- */

static bool
differs(const Kept *kept)
{
	for (int i = 0; i < list_length(kept->terms->terms); i++)
	{
		const TermValue *stored = &kept->stored[i];
		const TermValue *now = &kept->now[i];

		if (stored->isnull != now->isnull ||
			(!now->isnull &&
			 DatumGetInt32(DirectFunctionCall2(numeric_cmp, stored->value, now->value)) != 0))
			return true;
	}
	return false;
}

static bool
note_difference(const State *state, Measured *measured)
{
	const Kept *kept = kept_of(state, measured);

	if (kept == NULL || !kept->measured || !kept->believed || !differs(kept))
		return false;
	measured->measure.detail = pstrdup(XactReadOnly ? "\"kept_state\": \"wrong\""
													: "\"kept_state\": \"repaired\"");
	return true;
}

List *
state_verify(Target *target, List *measured)
{
	State *state;
	Evaluation by_scan = {NULL, NULL};
	List *constraints = NIL;
	List *scanned = NIL;
	List *left = NIL;
	List *stored;
	bool written;
	bool wrong = false;
	ListCell *cell;

	foreach(cell, measured)
		constraints = lappend(constraints, ((Measured *) lfirst(cell))->constraint);
	stored = kept_terms_look(target->id, target->relid, &written);
	if (stored == NIL)
		return measured;
	by_scan.state = state = make_state(target, constraints, stored, written);
	foreach(cell, measured)
	{
		const Kept *kept = kept_of(state, lfirst(cell));

		if (kept != NULL && kept->believed &&
			((Measured *) lfirst(cell))->measure.error_sqlstate == 0)
			scanned = lappend(scanned, lfirst(cell));
		else
			left = lappend(left, lfirst(cell));
	}
	left = list_concat(left, evaluate_all(&by_scan, scanned));
	foreach(cell, measured)
		wrong |= note_difference(state, lfirst(cell));
	/* the next batch computes all values again */
	if (wrong && !XactReadOnly)
		kept_terms_replace(target->id, NIL);
	return left;
}
