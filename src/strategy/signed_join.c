/*-------------------------------------------------------------------------
 *
 * signed_join.c
 *		Exact change of a join of tables, as a sum of signed joins.
 *
 * Let dR be the signed images of a changed table R, and let all tables be as
 * they are after the change.  The change of R1 x .. x Rn is a sum over all
 * nonempty sets of changed tables.  The term of a set is the join in which the
 * tables of the set are replaced by their images.  Its weight is the product
 * of the weights of the images and of the sign (-1)^(size of the set + 1).
 * The state before the change is never needed.  One changed table yields one
 * join, two yield three, three yield seven, and four yield fifteen.  A table
 * that occurs twice counts twice.
 *
 * Rows of different joins may cancel each other out, so the caller must sum
 * the weights before it uses the rows.
 *
 *-------------------------------------------------------------------------
 */
#include "strategy/signed_join.h"

#include "access/attnum.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "query/inline.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* ---- recognizing joins ---- */

static bool
refuse(const char *reason_code, const char *sentence, const char **code, char **detail)
{
	*code = reason_code;
	*detail = pstrdup(sentence);
	return false;
}

static bool
entry_is_table(const RangeTblEntry *entry)
{
	return entry->rtekind == RTE_RELATION && entry->inh && entry->tablesample == NULL &&
		   entry->securityQuals == NIL &&
		   (entry->relkind == RELKIND_RELATION || entry->relkind == RELKIND_PARTITIONED_TABLE);
}

/* ---- subqueries that only select and join ---- */

/* A subquery in FROM that was merged into the level above. */
typedef struct Merged
{
	int rtindex;
	List *targets; /* target list of the subquery, over the range table of the level above */
} Merged;

/*
 * Returns whether the subquery only selects and joins.  Views often are such
 * subqueries.  ORDER BY is ignored because the order of the rows has no
 * effect.
 */
static bool
entry_is_simple(const RangeTblEntry *entry)
{
	const Query *query = entry->subquery;

	return entry->rtekind == RTE_SUBQUERY && !entry->lateral && !entry->security_barrier &&
		   query->commandType == CMD_SELECT && query->setOperations == NULL && !query->hasAggs &&
		   query->groupClause == NIL && query->groupingSets == NIL && query->havingQual == NULL &&
		   !query->hasWindowFuncs && !query->hasTargetSRFs && !query->hasSubLinks &&
		   query->distinctClause == NIL && query->limitCount == NULL &&
		   query->limitOffset == NULL && query->cteList == NIL && query->rowMarks == NIL &&
		   query->jointree->fromlist != NIL;
}

static bool collect(Node *node, SignedJoin *join, List **quals, List **merged);

static bool
merge(int rtindex, SignedJoin *join, List **quals, List **merged)
{
	Query *copy = copyObject(rt_fetch(rtindex, join->query->rtable)->subquery);
	Merged *one = palloc(sizeof(Merged));
	ListCell *cell;

	OffsetVarNodes((Node *) copy->targetList, list_length(join->query->rtable), 0);
	OffsetVarNodes((Node *) copy->jointree, list_length(join->query->rtable), 0);
	foreach(cell, copy->rtable)
		query_add_entry_compat(join->query, copy, (RangeTblEntry *) lfirst(cell));
	one->rtindex = rtindex;
	one->targets = copy->targetList;
	*merged = lappend(*merged, one);
	return collect((Node *) copy->jointree, join, quals, merged);
}

/* Replaces columns of merged subqueries with the expressions that they stand for. */
static Node *
replace_merged(Node *node, void *context)
{
	ListCell *cell;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varattno > 0)
		foreach(cell, (List *) context)
		{
			const Merged *one = lfirst(cell);

			if (one->rtindex == ((Var *) node)->varno)
				return replace_merged(
					(Node *) get_tle_by_resno(one->targets, ((Var *) node)->varattno)->expr,
					context);
		}
	return expression_tree_mutator(node, replace_merged, context);
}

/* ---- the join tree ---- */

/*
 * Collects the tables and conditions of a join tree.  Returns false if it has
 * anything other than inner joins of tables.
 */
static bool
collect(Node *node, SignedJoin *join, List **quals, List **merged)
{
	ListCell *cell;

	if (IsA(node, RangeTblRef))
	{
		int rtindex = ((RangeTblRef *) node)->rtindex;
		const RangeTblEntry *entry = rt_fetch(rtindex, join->query->rtable);

		if (entry_is_simple(entry))
			return merge(rtindex, join, quals, merged);
		join->relations = lappend_int(join->relations, rtindex);
		return entry_is_table(entry);
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr *expression = (JoinExpr *) node;

		if (expression->quals != NULL)
			*quals = lappend(*quals, expression->quals);
		return expression->jointype == JOIN_INNER &&
			   collect(expression->larg, join, quals, merged) &&
			   collect(expression->rarg, join, quals, merged);
	}
	if (((FromExpr *) node)->quals != NULL)
		*quals = lappend(*quals, ((FromExpr *) node)->quals);
	foreach(cell, ((FromExpr *) node)->fromlist)
		if (!collect(lfirst(cell), join, quals, merged))
			return false;
	return true;
}

static bool
has_unusual_var(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varlevelsup > 0 || ((Var *) node)->varattno <= 0;
	return expression_tree_walker(node, has_unusual_var, context);
}

bool
signed_join_of_query(const Query *query, SignedJoin *join, const char **code, char **detail)
{
	List *quals = NIL;
	List *merged = NIL;

	memset(join, 0, sizeof(SignedJoin));
	if (query->setOperations != NULL)
		return refuse("set_operation", "The query is a set operation.", code, detail);
	if (query->hasSubLinks)
		return refuse("subquery", "The query has subqueries in expressions.", code, detail);
	if (query->hasWindowFuncs || query->hasTargetSRFs || query->distinctClause != NIL ||
		query->limitCount != NULL || query->limitOffset != NULL)
		return refuse("not_a_join",
					  "The query has window functions, set-returning functions, DISTINCT or LIMIT.",
					  code,
					  detail);
	join->query = inline_with(query);
	inline_aliases(join->query);
	if (!collect((Node *) join->query->jointree, join, &quals, &merged))
		return refuse("not_a_join",
					  "FROM has outer joins, or something else than tables.",
					  code,
					  detail);
	if (join->relations == NIL)
		return refuse("not_a_join", "The query reads no table.", code, detail);
	join->quals = replace_merged((Node *) quals, merged);
	join->query->targetList = (List *) replace_merged((Node *) join->query->targetList, merged);
	join->query->havingQual = replace_merged(join->query->havingQual, merged);
	if (has_unusual_var(join->quals, NULL) ||
		has_unusual_var((Node *) join->query->targetList, NULL) ||
		has_unusual_var(join->query->havingQual, NULL))
		return refuse("whole_row", "The query uses whole rows or system columns.", code, detail);
	return true;
}

List *
signed_join_occurrences(const SignedJoin *join, Oid relid)
{
	List *found = NIL;
	ListCell *cell;

	foreach(cell, join->relations)
		if (rt_fetch(lfirst_int(cell), join->query->rtable)->relid == relid)
			found = lappend_int(found, lfirst_int(cell));
	return found;
}

/* ---- one term ---- */

/* Maps range table entries of the original query to those of a term. */
typedef struct TermMap
{
	const Query *query; /* the original query */
	Index *entries;     /* by original index: index in the term */
	bool *replaced;     /* by original index: the table is replaced by its images */
} TermMap;

/* Returns the position of a column among the columns that are not dropped. */
static AttrNumber
position_of(Oid relid, AttrNumber attnum)
{
	AttrNumber position = 0;

	for (AttrNumber i = 1; i <= attnum; i++)
	{
		HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(i));

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for attribute %d of relation %u", i, relid);
		if (!((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped)
			position++;
		ReleaseSysCache(tuple);
	}
	return position;
}

static Node *
map_vars(Node *node, void *context)
{
	const TermMap *map = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var *var = copyObject((Var *) node);
		Index old = var->varno;

		if (map->replaced[old])
			var->varattno = position_of(rt_fetch(old, map->query->rtable)->relid, var->varattno);
		var->varno = map->entries[old];
		var->varnosyn = 0;
		var->varattnosyn = 0;
		return (Node *) var;
	}
	return expression_tree_mutator(node, map_vars, context);
}

static Node *
weight_product(List *weights, int16 sign)
{
	Node *product = (Node *)
		makeConst(INT2OID, -1, InvalidOid, sizeof(int16), Int16GetDatum(sign), false, true);
	ListCell *cell;

	foreach(cell, weights)
		product = (Node *) makeFuncExpr(F_INT2MUL,
										INT2OID,
										list_make2(product, lfirst(cell)),
										InvalidOid,
										InvalidOid,
										COERCE_EXPLICIT_CALL);
	return product;
}

static const TreeRelation *
images_of(List *replaced, int rtindex)
{
	ListCell *cell;

	foreach(cell, replaced)
	{
		const SignedJoinChange *change = lfirst(cell);

		if (change->rtindex == rtindex)
			return change->images;
	}
	return NULL;
}

/*
 * Adds a table, or its images, to FROM of a term.  Appends the weight column
 * of the images to *weights.
 */
static void
add_relation(Query *term, const Query *from, int rtindex, const TreeRelation *images,
			 List **weights)
{
	RangeTblEntry *entry = rt_fetch(rtindex, from->rtable);
	RangeTblRef *reference = makeNode(RangeTblRef);

	if (images == NULL)
		query_add_entry_compat(term, from, entry);
	else
		term->rtable = lappend(term->rtable, tree_entry(images, entry->eref->aliasname));
	reference->rtindex = list_length(term->rtable);
	term->jointree->fromlist = lappend(term->jointree->fromlist, reference);
	if (images != NULL)
		*weights = lappend(
			*weights,
			makeVar(reference->rtindex, images->desc->natts, INT2OID, -1, InvalidOid, 0));
}

/* Returns the sign of a term.  Without replaced tables, all rows of the join have weight 1. */
static int16
sign_of(int nreplaced)
{
	return nreplaced == 0 || nreplaced % 2 == 1 ? 1 : -1;
}

/*
 * Makes one term.  "replaced" lists the changes (SignedJoinChange) whose
 * tables are replaced by their images.
 */
static Query *
make_term(const SignedJoin *join, List *outputs, List *replaced)
{
	int size = list_length(join->query->rtable) + 1;
	TermMap map = {.query = join->query,
				   .entries = palloc0(sizeof(Index) * size),
				   .replaced = palloc0(sizeof(bool) * size)};
	Query *term = makeNode(Query);
	List *weights = NIL;
	ListCell *cell;

	term->commandType = CMD_SELECT;
	term->canSetTag = true;
	term->jointree = makeFromExpr(NIL, NULL);
	foreach(cell, join->relations)
	{
		int rtindex = lfirst_int(cell);
		const TreeRelation *images = images_of(replaced, rtindex);

		add_relation(term, join->query, rtindex, images, &weights);
		map.entries[rtindex] = list_length(term->rtable);
		map.replaced[rtindex] = images != NULL;
	}
	term->jointree->quals = (Node *) make_ands_explicit((List *) map_vars(join->quals, &map));
	term->targetList = (List *) map_vars((Node *) outputs, &map);
	term->targetList = lappend(
		term->targetList,
		makeTargetEntry((Expr *) weight_product(weights, sign_of(list_length(replaced))),
						list_length(outputs) + 1,
						pstrdup(SIGNED_JOIN_WEIGHT),
						false));
	return term;
}

List *
signed_join_terms(const SignedJoin *join, List *outputs, List *changed)
{
	List *terms = NIL;
	int sets = 1 << list_length(changed);

	Assert(list_length(changed) <= SIGNED_JOIN_MOST_CHANGED);
	for (int set = 1; set < sets; set++)
	{
		List *replaced = NIL;
		ListCell *cell;

		foreach(cell, changed)
			if (set & (1 << foreach_current_index(cell)))
				replaced = lappend(replaced, lfirst(cell));
		terms = lappend(terms, make_term(join, outputs, replaced));
	}
	return terms;
}

Query *
signed_join_rows(const SignedJoin *join, List *outputs)
{
	return make_term(join, outputs, NIL);
}
