/*-------------------------------------------------------------------------
 *
 * write_gate.c
 *		The trigger function on protected tables: the gate of statements that
 *		others than depipe run.
 *
 * The row checks of all new images are first tested together (quality/
 * row_test.c), which is all that a good statement costs.  Whatever that does
 * not answer (rows that fail, errors, relationships, uniqueness without an
 * enforcing index) goes as a delta through the same gate as a batch.
 *
 * The function runs in the session of the writer, who needs no rights on what
 * the constraints read: they are evaluated as the owner of the target.  The
 * message of a refusal names keys only if the writer may read them.
 *
 * A refused statement leaves its findings in shared memory (quality/
 * findings.c).  So the breaker opens although everything that the statement
 * wrote is rolled back.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/write_gate.h"

#include "access/xact.h"
#include "catalog/incidents.h"
#include "catalog/write_findings.h"
#include "commands/trigger.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "publish/quarantine.h"
#include "quality/breaker.h"
#include "quality/compile.h"
#include "quality/findings.h"
#include "quality/gate.h"
#include "quality/keys.h"
#include "quality/protect.h"
#include "quality/row_test.h"
#include "replication/logicalworker.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(depipe_protect_write);

/* Number of keys that a refusal names. */
#define NAMED_KEYS 3

/* What one trigger needs, made for its first row or statement. */
typedef struct WriteGate
{
	Target *target; /* NULL: the table is not protected */
	List *constraints;
	List *slow;    /* those of them that the test does not answer */
	RowTest *test; /* NULL: there is nothing to test */
	MemoryContext context;
} WriteGate;

/* The rows that a trigger has to judge: some, or all of a transition table. */
typedef struct NewRows
{
	Relation rel;
	Tuplestorestate *rows; /* NULL: one row */
	TupleTableSlot *slot;
	int64 count;
} NewRows;

/* ---- opening ---- */

/* Does it belong to this trigger?  Before a row, those that set it aside; otherwise all. */
static bool
concerns(const DataConstraint *constraint, Relation rel, bool aside)
{
	ListCell *cell;

	if (!protect_acts(constraint))
		return false;
	if (!aside)
		return true;
	if (constraint->on_violation != ACTION_QUARANTINE || !constraint_is_row(constraint))
		return false;
	/* before the row is written, generated columns have no values */
	foreach(cell, constraint->row->columns)
	{
		AttrNumber number = get_attnum(RelationGetRelid(rel), lfirst(cell));

		if (number > 0 && get_attgenerated(RelationGetRelid(rel), number) != '\0')
			return false;
	}
	return true;
}

/* Is it answered without looking at the rows? */
static bool
is_enforced(const DataConstraint *constraint, Target *target)
{
	return !constraint_is_row(constraint) && unique_is_enforced(constraint, target);
}

typedef struct MakeWork
{
	WriteGate *gate;
	Relation rel;
	List *fast;
} MakeWork;

static bool
make_work(void *argument)
{
	MakeWork *work = argument;

	work->gate->test =
		row_test_make(work->gate->target, work->rel, work->fast, work->gate->context);
	return true;
}

/* Conditions that cannot be compiled alone, or raise an error, are a matter of the gate. */
static void
make_test(WriteGate *gate, Relation rel, List *fast)
{
	MakeWork work = {gate, rel, fast};

	if (guarded_run(make_work, &work) == NULL)
		return;
	gate->test = NULL;
	gate->slow = list_concat(gate->slow, fast);
}

static WriteGate *
write_gate_open(Relation rel, bool aside, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	WriteGate *gate = palloc0(sizeof(WriteGate));
	int32 id = protected_target_id(RelationGetRelid(rel));
	Target *target = id == 0 ? NULL : target_find_id(id);
	List *fast = NIL;
	ListCell *cell;

	gate->context = context;
	if (target != NULL && OidIsValid(target->relid))
		gate->target = target;
	foreach(cell, gate->target != NULL ? constraints_load(target) : NIL)
	{
		DataConstraint *constraint = lfirst(cell);

		if (!concerns(constraint, rel, aside) || is_enforced(constraint, target))
			continue;
		gate->constraints = lappend(gate->constraints, constraint);
		if (row_test_fits(constraint, rel))
			fast = lappend(fast, constraint);
		else
			gate->slow = lappend(gate->slow, constraint);
	}
	if (fast != NIL)
		make_test(gate, rel, fast);
	MemoryContextSwitchTo(old);
	return gate;
}

/* ---- testing ---- */

typedef struct TestWork
{
	WriteGate *gate;
	const NewRows *rows;
	bool holds;
} TestWork;

static bool
test_work(void *argument)
{
	TestWork *work = argument;

	if (work->rows->rows != NULL)
		work->holds = row_test_rows(work->gate->test,
									work->rows->rows,
									RelationGetDescr(work->rows->rel));
	else
		work->holds = row_test_row(work->gate->test, work->rows->slot);
	return true;
}

/* An error is a matter of the gate, which finds out whose it is. */
static bool
test_holds(WriteGate *gate, const NewRows *rows)
{
	TestWork work = {gate, rows, false};

	if (gate->test == NULL)
		return true;
	if (guarded_run(test_work, &work) == NULL)
		return work.holds;
	if (rows->rows != NULL)
		tuplestore_select_read_pointer(rows->rows, 0);
	return false;
}

/* ---- the delta of a statement ---- */

static List *
key_names(const Target *target)
{
	AttrNumber *keys;
	int count = delta_key_attributes(target->relid, NIL, &keys);
	List *names = NIL;

	for (int i = 0; i < count; i++)
		names = lappend(names, get_attname(target->relid, keys[i], false));
	return names;
}

/* The columns of a partition or child may have other numbers than those of the target. */
static void
append_row(Delta *delta, Oid relid, const AttrNumber *numbers, TupleTableSlot *slot)
{
	Datum *values = palloc(sizeof(Datum) * delta->columns->natts);
	bool *nulls = palloc(sizeof(bool) * delta->columns->natts);

	slot_getallattrs(slot);
	for (int i = 0; i < delta->columns->natts; i++)
	{
		nulls[i] = numbers[i] <= 0 || slot->tts_isnull[numbers[i] - 1];
		values[i] = nulls[i] ? (Datum) 0 : slot->tts_values[numbers[i] - 1];
	}
	delta_append(delta, 1, values, nulls);
	pfree(values);
	pfree(nulls);
}

static Delta *
delta_of(const Target *target, const NewRows *rows)
{
	Delta *delta = delta_create(target->relid, NIL, key_names(target), CurrentMemoryContext);
	Oid relid = RelationGetRelid(rows->rel);
	AttrNumber *numbers = palloc(sizeof(AttrNumber) * delta->columns->natts);
	TupleTableSlot *slot;
	int reader;

	for (int i = 0; i < delta->columns->natts; i++)
		numbers[i] = get_attnum(relid, NameStr(TupleDescAttr(delta->columns, i)->attname));
	if (rows->rows == NULL)
	{
		append_row(delta, relid, numbers, rows->slot);
		return delta;
	}
	slot = MakeSingleTupleTableSlot(RelationGetDescr(rows->rel), &TTSOpsMinimalTuple);
	reader = tuplestore_alloc_read_pointer(rows->rows, EXEC_FLAG_REWIND);
	tuplestore_select_read_pointer(rows->rows, reader);
	tuplestore_rescan(rows->rows);
	while (tuplestore_gettupleslot(rows->rows, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		append_row(delta, relid, numbers, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_select_read_pointer(rows->rows, 0);
	return delta;
}

/* ---- the gate ---- */

typedef struct WriteReport
{
	List *verdicts;
	List *held; /* of HeldRow */
	FailedRow *failed;
	int nfailed;
	Action action;
} WriteReport;

static void
add_report(WriteReport *into, const GateReport *report)
{
	into->verdicts = list_concat(into->verdicts, report->verdicts);
	into->held = list_concat(into->held, report->held);
	into->action = Max(into->action, report->action);
	if (report->nfailed_rows > 0)
	{
		into->failed = report->failed_rows;
		into->nfailed = report->nfailed_rows;
	}
}

/* Through the same gate as a batch; the rows are in the table unless the trigger is before them. */
static void
pass_gate(WriteGate *gate, Delta *delta, List *constraints, WriteReport *report)
{
	MemoryContext context = CurrentMemoryContext;
	Gate *rows;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(context); /* the results outlive the connection */
	delta_register(delta);
	CommandCounterIncrement(); /* uniqueness sees the rows of the statement */
	PushActiveSnapshot(GetTransactionSnapshot());
	rows = gate_open_for(gate->target, GetActiveSnapshot(), constraints);
	if (gate_has_row_checks(rows))
		add_report(report, gate_rows(rows, delta));
	add_report(report, gate_table(rows, delta, NULL));
	PopActiveSnapshot();
	delta_unregister(delta);
	SPI_finish();
	MemoryContextSwitchTo(context);
}

/* ---- refusing ---- */

/* May the writer read the key, and so see it in a message? */
static bool
may_read_key(const Target *target)
{
	AttrNumber *keys;
	int count = delta_key_attributes(target->relid, NIL, &keys);

	if (check_enable_rls(target->relid, GetUserId(), true) == RLS_ENABLED)
		return false;
	if (pg_class_aclcheck(target->relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		return count > 0;
	for (int i = 0; i < count; i++)
		if (pg_attribute_aclcheck(target->relid, keys[i], GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			return false;
	return count > 0;
}

static char *
keys_text(const WriteReport *report, int32 constraint_id)
{
	StringInfoData text;
	int count = 0;
	ListCell *cell;

	initStringInfo(&text);
	foreach(cell, report->held)
	{
		const HeldRow *row = lfirst(cell);

		if (row->constraint_id == constraint_id && row->key != NULL && count++ < NAMED_KEYS)
			appendStringInfo(&text, "%s(%s)", text.len > 0 ? ", " : "", row->key);
	}
	return text.data;
}

static const Verdict *
strongest(List *verdicts)
{
	const Verdict *found = NULL;
	ListCell *cell;

	foreach(cell, verdicts)
		if (found == NULL || ((Verdict *) lfirst(cell))->action > found->action)
			found = lfirst(cell);
	return found;
}

static void
refuse(const Target *target, const WriteReport *report)
{
	const Verdict *verdict = strongest(report->verdicts);
	char *keys = may_read_key(target) ? keys_text(report, verdict->constraint_id) : "";

	findings_refuse(report->verdicts);
	ereport(ERROR,
			(errcode(ERRCODE_DEPIPE_BLOCKED),
			 verdict->outcome == OUTCOME_ERROR
				 ? errmsg("constraint \"%s\" of %s cannot be evaluated",
						  verdict->constraint_name,
						  target->display)
				 : errmsg("new rows of %s violate constraint \"%s\"",
						  target->display,
						  verdict->constraint_name),
			 verdict->violations > 0 ? errdetail_plural("%lld row violates it.%s%s%s",
														"%lld rows violate it.%s%s%s",
														(unsigned long) verdict->violations,
														(long long) verdict->violations,
														keys[0] != '\0' ? " Keys: " : "",
														keys,
														keys[0] != '\0' ? "." : "")
									 : 0,
			 errhint("The table is protected by depipe: see depipe.constraints.")));
}

/*
 * A row that should have been set aside and is in the table nevertheless: a
 * column that is generated, or a trigger that came later, has made it bad.
 */
static void
refuse_late(WriteReport *report)
{
	ListCell *cell;

	foreach(cell, report->verdicts)
	{
		Verdict *verdict = lfirst(cell);

		if (verdict->action == ACTION_QUARANTINE)
		{
			verdict->action = ACTION_REJECT;
			report->action = Max(report->action, ACTION_REJECT);
		}
	}
}

/* ---- after the rows ---- */

/* The statement was the probe of the breaker, and has passed. */
static void
record_probe(Target *target)
{
	if (breaker_state(target->id) == BREAKER_HALF_OPEN)
		(void) breaker_record(target, ADMIT_PROBE, ACTION_NONE, ACTION_NONE, NULL);
}

/* The rows are in the table: they replace what quarantine has of the same keys. */
static void
replace_quarantined(Target *target, const NewRows *rows)
{
	Delta *delta;

	if (quarantine_count(target->id) == 0)
		return;
	delta = delta_of(target, rows);
	quarantine_supersede(target, delta, false);
	delta_destroy(delta);
}

static void
judge_rows(WriteGate *gate, const NewRows *rows)
{
	WriteReport report = {NIL};
	bool holds = test_holds(gate, rows);

	if (!holds || gate->slow != NIL)
	{
		Delta *delta = delta_of(gate->target, rows);

		pass_gate(gate, delta, holds ? gate->slow : gate->constraints, &report);
		delta_destroy(delta);
		refuse_late(&report);
		if (breaker_enforce(gate->target, report.action) >= ACTION_REJECT)
			refuse(gate->target, &report);
		findings_note(report.verdicts);
	}
	replace_quarantined(gate->target, rows);
	record_probe(gate->target);
}

/* ---- before the rows ---- */

static void
check_open(Relation rel)
{
	int32 id = protected_target_id(RelationGetRelid(rel));
	Target *target = id == 0 ? NULL : target_find_id(id);
	char *reason;

	if (target == NULL || breaker_admit(target, true, &reason) != ADMIT_NOT)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPIPE_BREAKER_OPEN),
			 errmsg("%s is not written now", target->display),
			 identity_may_inspect(target->owner) ? errdetail_internal("%s", reason) : 0,
			 errhint("The table is protected by depipe: see depipe.breakers. After the wait, the"
					 " next statement is tried.")));
}

/* Set a row aside.  Returns false if it has no place in quarantine and goes on. */
static bool
set_aside(WriteGate *gate, const NewRows *rows)
{
	WriteReport report = {NIL};
	Delta *delta = delta_of(gate->target, rows);
	bool aside;

	pass_gate(gate, delta, gate->constraints, &report);
	/* otherwise it is judged again after the statement */
	aside = report.nfailed > 0 && breaker_enforce(gate->target, ACTION_REJECT) >= ACTION_REJECT;
	if (aside)
	{
		quarantine_supersede(gate->target, delta, false);
		quarantine_store(gate->target, delta, report.failed, report.nfailed, 0);
		findings_note(report.verdicts);
	}
	delta_destroy(delta);
	return aside;
}

static HeapTuple
before_row(FunctionCallInfo fcinfo, TriggerData *trigger)
{
	bool updates = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	HeapTuple tuple = updates ? trigger->tg_newtuple : trigger->tg_trigtuple;
	WriteGate *gate = fcinfo->flinfo->fn_extra;
	NewRows rows = {trigger->tg_relation, NULL, NULL, 1};

	if (gate == NULL)
	{
		gate = write_gate_open(trigger->tg_relation, true, fcinfo->flinfo->fn_mcxt);
		fcinfo->flinfo->fn_extra = gate;
	}
	if (gate->target == NULL || gate->constraints == NIL)
		return tuple;
	rows.slot = updates ? trigger->tg_newslot : trigger->tg_trigslot;
	if (test_holds(gate, &rows) && gate->slow == NIL)
		return tuple;
	return set_aside(gate, &rows) ? NULL : tuple;
}

/* ---- the trigger ---- */

/* A logical replication worker fires no statement triggers: row by row. */
static void
after_row(FunctionCallInfo fcinfo, TriggerData *trigger)
{
	bool updates = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	NewRows rows = {trigger->tg_relation,
					NULL,
					updates ? trigger->tg_newslot : trigger->tg_trigslot,
					1};
	WriteGate *gate = fcinfo->flinfo->fn_extra;

	if (!IsLogicalWorker())
		return;
	if (gate == NULL)
	{
		gate = write_gate_open(trigger->tg_relation, false, fcinfo->flinfo->fn_mcxt);
		fcinfo->flinfo->fn_extra = gate;
	}
	if (gate->target == NULL)
		return;
	check_open(trigger->tg_relation);
	judge_rows(gate, &rows);
}

static void
after_statement(TriggerData *trigger)
{
	NewRows rows = {trigger->tg_relation, trigger->tg_newtable, NULL, 0};
	WriteGate *gate;

	if (trigger->tg_newtable == NULL)
		return;
	rows.count = tuplestore_tuple_count(trigger->tg_newtable);
	if (rows.count == 0)
		return;
	gate = write_gate_open(trigger->tg_relation, false, CurrentMemoryContext);
	if (gate->target != NULL)
		judge_rows(gate, &rows);
}

/* SQL function protect_write(): trigger of protected tables */
Datum
depipe_protect_write(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", "protect_write")));
	if (TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
	{
		if (TRIGGER_FIRED_BEFORE(trigger->tg_event))
			return PointerGetDatum(before_row(fcinfo, trigger));
		after_row(fcinfo, trigger);
	}
	else if (TRIGGER_FIRED_BEFORE(trigger->tg_event))
		check_open(trigger->tg_relation);
	else
		after_statement(trigger);
	return PointerGetDatum(NULL);
}
