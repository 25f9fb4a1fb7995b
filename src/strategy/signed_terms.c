/*-------------------------------------------------------------------------
 *
 * signed_terms.c
 *		Signed rows of a change: planning, execution, and display.
 *
 * This file applies the queries made by signed_join.c to the captured changes.
 * Different terms may return the same row with opposite signs, so the caller
 * must sum the weights before it uses the rows.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/signed_terms.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "capture/changes.h"
#include "strategy/incremental.h"

/* Returns the relation with the changes of an input.  Each input has one relation. */
static TreeRelation *
images_of(SignedTerms *terms, const InputChanges *input)
{
	TreeRelation *images;
	ListCell *cell;

	foreach(cell, terms->relations)
		if (((TreeRelation *) lfirst(cell))->rows == input->rows)
			return lfirst(cell);
	images = palloc0(sizeof(TreeRelation));
	images->name = psprintf("_depipe_changes_%d", list_length(terms->relations) + 1);
	images->desc = input->desc;
	images->rows = input->rows;
	images->count = input->count;
	terms->relations = lappend(terms->relations, images);
	return images;
}

/* Returns the occurrences of changed inputs as a list of SignedJoinChange. */
static List *
changed_occurrences(SignedTerms *terms, const SignedJoin *join, List *changes)
{
	List *changed = NIL;
	ListCell *cell;
	ListCell *occurrence;

	foreach(cell, changes)
	{
		const InputChanges *input = lfirst(cell);

		if (input->count == 0)
			continue;
		foreach(occurrence, signed_join_occurrences(join, input->relid))
		{
			SignedJoinChange *change = palloc(sizeof(SignedJoinChange));

			change->rtindex = lfirst_int(occurrence);
			change->images = images_of(terms, input);
			changed = lappend(changed, change);
		}
	}
	return changed;
}

bool
signed_terms_add(SignedTerms *terms, const SignedJoin *join, List *outputs, List *changes)
{
	List *changed = changed_occurrences(terms, join, changes);
	ListCell *cell;

	terms->changed = Max(terms->changed, list_length(changed));
	if (list_length(changed) > SIGNED_JOIN_MOST_CHANGED)
		return false;
	foreach(cell, signed_join_terms(join, outputs, changed))
	{
		PlannedStmt *plan = tree_plan(lfirst(cell));

		if (terms->desc == NULL)
			terms->desc = ExecCleanTypeFromTL(((Query *) lfirst(cell))->targetList);
		terms->queries = lappend(terms->queries, lfirst(cell));
		terms->plans = lappend(terms->plans, plan);
		terms->cost += plan->planTree->total_cost;
		terms->rows += plan->planTree->plan_rows;
	}
	return true;
}

Tuplestorestate *
signed_terms_run(const SignedTerms *terms, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	ListCell *cell;

	MemoryContextSwitchTo(old);
	foreach(cell, terms->plans)
		tree_run(lfirst(cell), terms->relations, rows);
	return rows;
}

char *
signed_terms_text(const SignedTerms *terms)
{
	StringInfoData text;
	ListCell *cell;

	if (terms->queries == NIL)
		return NULL;
	initStringInfo(&text);
	foreach(cell, terms->queries)
		appendStringInfo(&text,
						 "%s%s",
						 foreach_current_index(cell) > 0 ? "\nUNION ALL\n" : "",
						 tree_text(lfirst(cell)));
	return text.data;
}

bool
signed_terms_too_many(const SignedTerms *terms, StrategyOffer *offer)
{
	return incremental_impossible(offer,
								  "many_inputs",
								  psprintf("%d tables of the join have changed.", terms->changed));
}
