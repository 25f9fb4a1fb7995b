/*-------------------------------------------------------------------------
 *
 * passes.c
 *		Columns that keep the rows of a query level apart.
 *
 * Rows with different values of such a column never share a group, a window
 * partition or a row of DISTINCT at this level.  A condition on the column
 * therefore selects the same rows before and after these steps, and a change
 * of a row affects only rows with the same value.  Two values are the same if
 * the default equality operator of the type says so.  GROUP BY, PARTITION BY
 * and DISTINCT must use this operator.
 *
 *-------------------------------------------------------------------------
 */
#include "query/passes.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "delta/record_image.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_agg.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

/* The limit of the server. */
#define MOST_GROUPING_SETS 4096

Oid
type_equality(Oid type)
{
	return lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
}

/* The expression as an argument of an operator on a binary coercible type. */
static Expr *
as_input(Node *value, Oid input)
{
	if (exprType(value) == input || IsPolymorphicType(input))
		return (Expr *) value;
	return (Expr *)
		makeRelabelType((Expr *) value, input, -1, exprCollation(value), COERCE_IMPLICIT_CAST);
}

OpExpr *
make_equality(Node *one, Node *other, Oid collation)
{
	Oid opno = type_equality(exprType(one));
	Oid left;
	Oid right;
	OpExpr *equality;

	op_input_types(opno, &left, &right);
	equality = (OpExpr *) make_opclause(opno,
										BOOLOID,
										false,
										as_input(one, left),
										as_input(other, right),
										InvalidOid,
										collation);
	set_opfuncid(equality);
	return equality;
}

bool
column_is_never_null(const RangeTblEntry *entry, AttrNumber attnum)
{
	Relation rel;
	bool not_null;

	/* inheritance children may lack the constraint */
	if (entry->relkind == RELKIND_RELATION && entry->inh && has_subclass(entry->relid))
		return false;
	rel = relation_open(entry->relid, NoLock);
	not_null = attribute_is_not_null_compat(RelationGetDescr(rel), attnum);
	relation_close(rel, NoLock);
	return not_null;
}

/* Is the column among these clauses, compared by its default equality? */
static bool
is_among(const TargetEntry *entry, List *clauses)
{
	ListCell *cell;

	if (entry->ressortgroupref == 0)
		return false;
	foreach(cell, clauses)
	{
		SortGroupClause *clause = lfirst(cell);

		if (clause->tleSortGroupRef == entry->ressortgroupref)
			return clause->eqop == type_equality(exprType((Node *) entry->expr));
	}
	return false;
}

static bool
is_clause(const Var *var, List *clauses, const Query *query)
{
	ListCell *cell;

	foreach(cell, clauses)
	{
		TargetEntry *entry = get_sortgroupclause_tle(lfirst(cell), query->targetList);

		if (equal(entry->expr, var) && is_among(entry, clauses))
			return true;
	}
	return false;
}

/*
 * Is the column an expression of columns that are among these clauses?  If
 * equal values of these columns are identical, all rows that the clauses put
 * together have the same value of the expression.
 */
static bool
is_made_of(const TargetEntry *entry, List *clauses, const Query *query)
{
	Node *expression = (Node *) entry->expr;
	List *vars;
	ListCell *cell;

	if (contain_aggs_of_level(expression, 0) || contain_windowfuncs(expression) ||
		checkExprHasSubLink(expression))
		return false;
	vars = pull_vars_of_level(expression, 0);
	foreach(cell, vars)
	{
		const Var *var = lfirst(cell);

		if (!equal_is_same_image(var->vartype, var->varcollid) || !is_clause(var, clauses, query))
			return false;
	}
	return vars != NIL;
}

static bool
is_in_all_sets(const TargetEntry *entry, const Query *query)
{
	ListCell *cell;

	foreach(cell,
			expand_grouping_sets(query->groupingSets, query->groupDistinct, MOST_GROUPING_SETS))
		if (!list_member_int(lfirst(cell), entry->ressortgroupref))
			return false;
	return true;
}

/*
 * Does the column depend on the grouped columns?  A Var outside of aggregates
 * that is not grouped must depend functionally on a grouped primary key.
 */
static bool
depends_on_group(const TargetEntry *entry)
{
	return IsA(entry->expr, Var) && ((Var *) entry->expr)->varlevelsup == 0;
}

bool
block_mixes_all(const GraphBlock *block, const char **why)
{
	const Query *query = block->query;

	*why = NULL;
	if (query->limitCount != NULL || query->limitOffset != NULL)
		*why = "LIMIT and OFFSET count all rows";
	else if (query->groupClause == NIL && query->groupingSets == NIL &&
			 (query->hasAggs || query->havingQual != NULL))
		*why = "aggregates without GROUP BY are of all rows";
	return *why != NULL;
}

static const char *
why_grouping_mixes(const Query *query, const TargetEntry *entry)
{
	if (query->groupClause == NIL && query->groupingSets == NIL)
		return NULL;
	if (!is_among(entry, query->groupClause) &&
		(query->groupingSets != NIL ||
		 (!depends_on_group(entry) && !is_made_of(entry, query->groupClause, query))))
		return "GROUP BY puts rows with different values of it together";
	if (query->groupingSets != NIL && !is_in_all_sets(entry, query))
		return "it is not in all grouping sets";
	return NULL;
}

bool
block_passes(const GraphBlock *block, const TargetEntry *entry, const char **why)
{
	const Query *query = block->query;
	ListCell *cell;

	if (block_mixes_all(block, why))
		return false;
	*why = why_grouping_mixes(query, entry);
	if (*why == NULL && query->distinctClause != NIL && !is_among(entry, query->distinctClause))
		*why = "DISTINCT ON puts rows with different values of it together";
	foreach(cell, query->windowClause)
		if (*why == NULL && !is_among(entry, ((WindowClause *) lfirst(cell))->partitionClause) &&
			!is_made_of(entry, ((WindowClause *) lfirst(cell))->partitionClause, query))
			*why = "a window puts rows with different values of it together";
	return *why == NULL;
}

/* ---- set operations ---- */

static bool
compares_by_default(const Node *node, int column, Oid type)
{
	const SetOperationStmt *operation = (const SetOperationStmt *) node;

	if (!IsA(node, SetOperationStmt))
		return true;
	if (operation->groupClauses != NIL &&
		((SortGroupClause *) list_nth(operation->groupClauses, column - 1))->eqop !=
			type_equality(type))
		return false;
	return compares_by_default(operation->larg, column, type) &&
		   compares_by_default(operation->rarg, column, type);
}

bool
operation_passes(const GraphBlock *block, int column, const TargetEntry *operand, const char **why)
{
	const SetOperationStmt *top = castNode(SetOperationStmt, block->query->setOperations);
	Oid type = list_nth_oid(top->colTypes, column - 1);
	Node *expression = (Node *) operand->expr;

	if (block_mixes_all(block, why))
		return false;
	if (exprType(expression) != type ||
		exprCollation(expression) != list_nth_oid(top->colCollations, column - 1))
		*why = "an operand of a set operation has another type or collation";
	else if (!compares_by_default(block->query->setOperations, column, type))
		*why = "a set operation does not compare by the type's own equality";
	return *why == NULL;
}
