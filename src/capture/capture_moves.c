/*-------------------------------------------------------------------------
 *
 * capture_moves.c
 *		Rows that a MERGE moves from one partition to another.
 *
 * The server puts the old image of such a row among the deleted ones, and the
 * new image among the inserted ones.  But it fires the triggers of a statement
 * only for the actions that the MERGE has.  MERGE with nothing but UPDATE moves
 * a row, and no trigger gets to see it.
 *
 * So, before the triggers fire at the end of the statement, those of captures
 * are queued for the actions that are missing; triggers of others are not.  A
 * hook of the executor does that.  A trigger BEFORE UPDATE on partitioned tables
 * does nothing but load the library, so that the hook is there in time.
 *
 *-------------------------------------------------------------------------
 */
#include "capture/capture_moves.h"

#include "catalog/captures.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"

/* The description of the triggers without those of others; NULL: none is left. */
static TriggerDesc *
only_captures(const TriggerDesc *all)
{
	Oid function = capture_function();
	TriggerDesc *own = palloc(sizeof(TriggerDesc));

	*own = *all;
	own->triggers = palloc(sizeof(Trigger) * all->numtriggers);
	own->numtriggers = 0;
	for (int i = 0; i < all->numtriggers; i++)
		if (all->triggers[i].tgfoid == function)
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
	root->ri_TrigDesc = only_captures(all);
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
