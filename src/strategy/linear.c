/*-------------------------------------------------------------------------
 *
 * linear.c
 *		Strategies "linear" and "join": compute the changed rows of the result
 *		from changed rows of the inputs.
 *
 * If each row of the result comes from one row of each table that the query
 * reads, the change of the result can be computed from the changes of the
 * tables.
 *
 * linear	for selections from one table: runs the query over the changed rows
 * join		for inner joins: runs each term of the join's change (signed_join.c)
 *
 * Both strategies also serve a UNION ALL of such parts.  The resulting rows
 * carry signs.  They are netted to old and new images, or to numbers of copies
 * in a table without a key (signed_delta.c).  No row of the target is
 * recomputed.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/linear.h"

#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "query/idle.h"
#include "strategy/incremental.h"
#include "query/inline.h"
#include "strategy/signed_delta.h"
#include "strategy/signed_terms.h"

/*
 * Number of times that a signed row is charged.  Signed rows are written to
 * memory, netted, and compared with the rows of the target.
 */
#define TIMES_HANDLED 4

/* One operand of UNION ALL, or the whole query. */
typedef struct Part
{
	SignedJoin join;
	List *outputs; /* of TargetEntry: the columns of the result */
} Part;

struct LinearWork
{
	const char *code; /* why the query is not linear or a join, or NULL if it is */
	char *detail;
	List *parts; /* of Part */
	bool joins;  /* some part reads more than one table */
	SignedTerms terms;
	bool planned;
};

/* ---- the query ---- */

static bool
refuse(LinearWork *work, const char *code, const char *sentence)
{
	work->code = code;
	work->detail = pstrdup(sentence);
	return false;
}

static bool
add_part(LinearWork *work, const Query *query, List *operations)
{
	Part *part = palloc0(sizeof(Part));
	ListCell *cell;

	if (query->hasAggs || query->groupClause != NIL || query->groupingSets != NIL ||
		query->havingQual != NULL)
		return refuse(work, "grouped", "The query groups rows.");
	if (!signed_join_of_query(query, &part->join, &work->code, &work->detail))
		return false;
	foreach(cell, part->join.query->targetList)
	{
		TargetEntry *entry = flatCopyTargetEntry(lfirst(cell));
		ListCell *operation;

		/* the column is used only by ORDER BY */
		if (entry->resjunk)
			continue;
		foreach(operation, operations)
			entry->expr = (Expr *) coerce_to_common_type(
				NULL,
				(Node *) entry->expr,
				list_nth_oid(((SetOperationStmt *) lfirst(operation))->colTypes, entry->resno - 1),
				"UNION");
		part->outputs = lappend(part->outputs, entry);
	}
	work->parts = lappend(work->parts, part);
	work->joins |= list_length(part->join.relations) > 1;
	return true;
}

/*
 * Adds the operands below this node.  "operations" are the set operations
 * above it, innermost first.
 */
static bool
add_operands(LinearWork *work, const Query *query, Node *node, List *operations)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;

	if (IsA(node, RangeTblRef))
		return add_part(work,
						rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable)->subquery,
						operations);
	if (operation->op != SETOP_UNION || !operation->all)
		return refuse(work, "set_operation", "The query has UNION, INTERSECT or EXCEPT.");
	operations = lcons(operation, operations);
	return add_operands(work, query, operation->larg, operations) &&
		   add_operands(work, query, operation->rarg, operations);
}

static LinearWork *
analyse(Shape *shape)
{
	LinearWork *work = palloc0(sizeof(LinearWork));
	const Query *query = shape_blocks(shape)->query;

	if (query->setOperations == NULL)
		(void) add_part(work, query, NIL);
	else if (query->limitCount != NULL || query->limitOffset != NULL)
		(void) refuse(work, "not_a_join", "The query has LIMIT.");
	else
	{
		query = inline_with(query);
		(void) add_operands(work, query, query->setOperations, NIL);
	}
	return work;
}

bool
linear_could_serve(Shape *shape)
{
	return idle_query_is_pure(shape) && analyse(shape)->code == NULL;
}

/* ---- the offers ---- */

static bool
may_follow(const StrategyContext *context, StrategyOffer *offer, bool joins)
{
	LinearWork *work = *context->linear;

	if (!incremental_is_allowed(context, offer) || !incremental_is_pure(context, offer))
		return false;
	if (work->code != NULL)
		return incremental_impossible(offer, work->code, work->detail);
	if (work->joins && !joins)
		return incremental_impossible(offer, "joins", pstrdup("The query joins tables."));
	if (!work->joins && joins)
		return incremental_impossible(offer, "no_join", pstrdup("The query joins no tables."));
	return incremental_knows_changes(context, offer) &&
		   incremental_has_columns(context, offer, context->shape->columns);
}

/* Plans the terms of all parts.  Returns false if too many tables have changed. */
static bool
plan_terms(LinearWork *work, const StrategyContext *context)
{
	ListCell *cell;

	foreach(cell, work->parts)
	{
		const Part *part = lfirst(cell);

		/* the terms do not read the changed tables themselves, so check privileges here */
		query_check_privileges_compat(part->join.query);
		if (!signed_terms_add(&work->terms, &part->join, part->outputs, context->changes))
			return false;
	}
	work->planned = true;
	return true;
}

/* Returns the cost of netting the rows, of finding them in the target, and of writing them. */
static double
cost_of_rows(const StrategyContext *context, double rows)
{
	const Estimate *estimate = &context->estimate;
	double handling = cpu_tuple_cost + cpu_operator_cost * context->shape->columns->natts;
	double search = cost_scan(estimate);

	if (context->transform->key != NIL)
		search = Min(rows * random_page_cost, search);
	return TIMES_HANDLED * rows * handling + search + cost_write(estimate, rows / 2, rows / 2);
}

static void
offer_rows(const StrategyContext *context, StrategyOffer *offer, bool joins)
{
	LinearWork *work;

	if (*context->linear == NULL)
		*context->linear = analyse(context->shape);
	work = *context->linear;
	if (!may_follow(context, offer, joins))
		return;
	if (!plan_terms(work, context))
	{
		(void) signed_terms_too_many(&work->terms, offer);
		return;
	}
	offer->possible = true;
	offer->routine = true;
	offer->cost = work->terms.cost + cost_of_rows(context, work->terms.rows);
	offer->reason_code = "changed_rows";
	offer->detail = psprintf("The query is run over changed rows, in %d parts.",
							 list_length(work->terms.queries));
}

static void
linear_offer(const StrategyContext *context, StrategyOffer *offer)
{
	offer_rows(context, offer, false);
}

static void
join_offer(const StrategyContext *context, StrategyOffer *offer)
{
	offer_rows(context, offer, true);
}

/* ---- the delta ---- */

static Delta *
make_rows(const StrategyContext *context)
{
	const LinearWork *work = *context->linear;

	return signed_delta(context,
						signed_desc(context->shape->columns),
						signed_terms_run(&work->terms, context->context));
}

static char *
text_of(const StrategyContext *context, bool joins)
{
	const LinearWork *work = *context->linear;

	return work != NULL && work->planned && work->joins == joins ? signed_terms_text(&work->terms)
																 : NULL;
}

static char *
linear_delta_sql(const StrategyContext *context)
{
	return text_of(context, false);
}

static char *
join_delta_sql(const StrategyContext *context)
{
	return text_of(context, true);
}

const Strategy strategy_linear = {.name = "linear",
								  .whole = false,
								  .offer = linear_offer,
								  .make_delta = make_rows,
								  .delta_sql = linear_delta_sql};

const Strategy strategy_join = {.name = "join",
								.whole = false,
								.offer = join_offer,
								.make_delta = make_rows,
								.delta_sql = join_delta_sql};
