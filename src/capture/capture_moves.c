/*-------------------------------------------------------------------------
 *
 * capture_moves.c
 *		Rows that MERGE moves from one partition to another.
 *
 * When MERGE moves a row, the server puts the old image into the transition
 * table of deleted rows, and the new image into that of inserted rows.  But it
 * fires statement-level triggers only for the actions that the MERGE contains.
 * A MERGE that contains only UPDATE moves a row, and no trigger sees it.
 *
 * Therefore an executor hook queues the triggers of captures, and of protected
 * tables (quality/protect.h), for the missing
 * actions before the triggers fire at the end of the statement.  It does not
 * queue triggers of others.  The BEFORE UPDATE trigger on partitioned tables
 * only loads the library, so that the hook is installed in time.
 *
 *-------------------------------------------------------------------------
 */
#include "capture/capture_moves.h"

#include "catalog/captures.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"

/*
 * Returns a copy of the description with only the triggers of captures and
 * protected tables, or NULL if there are none.
 */
static TriggerDesc *
only_own(const TriggerDesc *all)
{
	Oid captures = capture_function();
	Oid protects = trigger_function("protect_write");
	TriggerDesc *own = palloc(sizeof(TriggerDesc));

	*own = *all;
	own->triggers = palloc(sizeof(Trigger) * all->numtriggers);
	own->numtriggers = 0;
	for (int i = 0; i < all->numtriggers; i++)
		if (all->triggers[i].tgfoid == captures || all->triggers[i].tgfoid == protects)
			own->triggers[own->numtriggers++] = all->triggers[i];
	return own->numtriggers == 0 ? NULL : own;
}

static void
queue_missing(EState *estate, const ModifyTableState *state)
{
	ResultRelInfo *root = state->rootResultRelInfo;
	TriggerDesc *all = root->ri_TrigDesc;
	MemoryContext old;

	if (state->operation != CMD_MERGE || state->mt_partition_tuple_routing == NULL ||
		state->mt_transition_capture == NULL || all == NULL)
		return;
	old = MemoryContextSwitchTo(estate->es_query_cxt);
	root->ri_TrigDesc = only_own(all);
	if (root->ri_TrigDesc != NULL && (state->mt_merge_subcommands & MERGE_DELETE) == 0)
		ExecASDeleteTriggers(estate, root, state->mt_transition_capture);
	if (root->ri_TrigDesc != NULL && (state->mt_merge_subcommands & MERGE_INSERT) == 0)
		ExecASInsertTriggers(estate, root, state->mt_transition_capture);
	root->ri_TrigDesc = all;
	MemoryContextSwitchTo(old);
}

void
capture_statement_ends(QueryDesc *query)
{
	EState *estate = query->estate;
	ListCell *cell;

	if (estate->es_top_eflags & EXEC_FLAG_SKIP_TRIGGERS)
		return;
	if (query->planstate != NULL && IsA(query->planstate, ModifyTableState))
		queue_missing(estate, (ModifyTableState *) query->planstate);
	foreach(cell, estate->es_auxmodifytables)
		if (lfirst(cell) != query->planstate)
			queue_missing(estate, lfirst_node(ModifyTableState, cell));
}
