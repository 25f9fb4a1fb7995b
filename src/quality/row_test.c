/*-------------------------------------------------------------------------
 *
 * row_test.c
 *		Do all row checks hold for a row?
 *
 * The checks of one definition's settings form a group.  Each group is
 * analysed, planned and evaluated under its settings, as the owner.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/row_test.h"

#include "catalog/pg_attribute.h"
#include "core/identity.h"
#include "core/settings.h"
#include "core/sqltext.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "quality/measure.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"

/* Checks with the same settings */
typedef struct TestGroup
{
	List *settings;
	StringInfoData text;
	ExprState *state;
} TestGroup;

struct RowTest
{
	Target *target;
	List *groups;
	ExprContext *econtext;
	MemoryContext context;
};

bool
row_test_fits(const DataConstraint *constraint, Relation rel)
{
	ListCell *cell;

	if (constraint->compile_sqlstate != 0 || !constraint_is_row(constraint) ||
		constraint->row->is_late)
		return false;
	/* a virtual column has no value in a tuple */
	foreach(cell, constraint->row->columns)
	{
		AttrNumber number = get_attnum(RelationGetRelid(rel), lfirst(cell));

		if (number <= 0 || get_attgenerated(RelationGetRelid(rel), number) == 'v')
			return false;
	}
	return true;
}

/* ---- making ---- */

static TestGroup *
group_of(RowTest *test, List *settings)
{
	TestGroup *group;
	ListCell *cell;

	foreach(cell, test->groups)
	{
		group = lfirst(cell);
		if (equal_texts(group->settings, settings))
			return group;
	}
	group = palloc0(sizeof(TestGroup));
	group->settings = settings;
	initStringInfo(&group->text);
	test->groups = lappend(test->groups, group);
	return group;
}

/* The analysed conjunction, in the current memory context. */
static Node *
analysed(const TestGroup *group, Relation rel)
{
	MemoryContext context = CurrentMemoryContext;
	SPIPlanPtr plan;
	CachedPlanSource *source;
	TargetEntry *entry;
	Node *condition;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = SPI_prepare(psprintf("SELECT %s FROM ONLY %s " CHECK_ROW,
								group->text.data,
								sql_relation(RelationGetRelid(rel))),
					   0,
					   NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	source = linitial(SPI_plan_get_plan_sources(plan));
	entry = linitial(linitial_node(Query, source->query_list)->targetList);
	MemoryContextSwitchTo(context);
	condition = copyObject((Node *) entry->expr);
	SPI_finish();
	MemoryContextSwitchTo(context);
	return condition;
}

static void
compile_group(RowTest *test, TestGroup *group, Relation rel)
{
	Identity identity;

	identity_become_with(test->target->owner, group->settings, &identity);
	group->state = ExecInitExpr(expression_planner((Expr *) analysed(group, rel)), NULL);
	identity_restore(&identity);
}

RowTest *
row_test_make(Target *target, Relation rel, List *constraints, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	RowTest *test = palloc0(sizeof(RowTest));
	ListCell *cell;

	test->target = target;
	test->context = context;
	test->econtext = CreateStandaloneExprContext();
	foreach(cell, constraints)
	{
		const DataConstraint *constraint = lfirst(cell);
		TestGroup *group = group_of(test, constraint->row->settings);

		appendStringInfo(&group->text,
						 "%s%s",
						 group->text.len > 0 ? " AND " : "",
						 measure_holds_text(constraint));
	}
	foreach(cell, test->groups)
		compile_group(test, lfirst(cell), rel);
	MemoryContextSwitchTo(old);
	return test;
}

/* ---- testing ---- */

static bool
holds(RowTest *test, TestGroup *group, TupleTableSlot *slot)
{
	bool isnull;
	Datum value;

	ResetExprContext(test->econtext);
	test->econtext->ecxt_scantuple = slot;
	value = ExecEvalExprSwitchContext(group->state, test->econtext, &isnull);
	return !isnull && DatumGetBool(value);
}

bool
row_test_row(RowTest *test, TupleTableSlot *slot)
{
	bool all = true;
	ListCell *cell;

	foreach(cell, test->groups)
	{
		TestGroup *group = lfirst(cell);
		Identity identity;

		identity_become_with(test->target->owner, group->settings, &identity);
		all = all && holds(test, group, slot);
		identity_restore(&identity);
	}
	return all;
}

/* With a read pointer of its own, because other triggers may read the same rows. */
static bool
group_holds(RowTest *test, TestGroup *group, Tuplestorestate *rows, int reader,
			TupleTableSlot *slot)
{
	bool all = true;

	tuplestore_select_read_pointer(rows, reader);
	tuplestore_rescan(rows);
	while (all && tuplestore_gettupleslot(rows, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		all = holds(test, group, slot);
		/* a function of the user may have read the same rows */
		tuplestore_select_read_pointer(rows, reader);
	}
	ExecClearTuple(slot);
	tuplestore_select_read_pointer(rows, 0);
	return all;
}

bool
row_test_rows(RowTest *test, Tuplestorestate *rows, TupleDesc desc)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	int reader = tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND);
	bool all = true;
	ListCell *cell;

	foreach(cell, test->groups)
	{
		TestGroup *group = lfirst(cell);
		Identity identity;

		identity_become_with(test->target->owner, group->settings, &identity);
		all = all && group_holds(test, group, rows, reader, slot);
		identity_restore(&identity);
	}
	ExecDropSingleTupleTableSlot(slot);
	return all;
}
