/*-------------------------------------------------------------------------
 *
 * globalise.h
 *		Conditions of any level of a query in terms of its base relations.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_GLOBALISE_H
#define DEPIPE_QUERY_GLOBALISE_H

#include "query/graph.h"

/* A condition in terms of nodes: varno is the number of a node, not a range table index. */
typedef struct GlobalQual
{
	const GraphQual *qual;
	Node *expression;
	Bitmapset *nodes;
} GlobalQual;

/*
 * A column that a FULL JOIN merges (COALESCE of the columns of both sides),
 * seen from one side.  If the row of this side is real (not filled with
 * NULLs), the merged column equals the column of this side.
 */
typedef struct Merge
{
	const GraphBlock *block;
	Node *expression; /* in terms of the block: a CoalesceExpr of two Vars */
	Node *column;     /* column of this side, in terms of nodes */
} Merge;

/*
 * Returns the conditions on nodes as a list of GlobalQual, allocated in the
 * current memory context.
 *
 * choices is a list of GraphBlock, the chosen operands of set operations.  A
 * column of a set operation is replaced by that of the chosen operand.  merges
 * is a list of Merge.  A merged column of a FULL JOIN is replaced by the
 * column of the real side.
 *
 * The result leaves out conditions that do not depend on columns of relations
 * alone (conditions on aggregates, for example), and conditions that rows
 * filled with NULLs by an outer join could satisfy.
 */
extern List *graph_quals(const Graph *graph, List *choices, List *merges);

/* An expression in terms of one node, under a choice of operands. */
typedef struct Occurring
{
	const GraphNode *node;
	Node *expression;
	List *choices;
} Occurring;

/*
 * Find the occurrences of an expression of a block, which are its forms in
 * terms of nodes.  choices contains the operands of set operations that have
 * already been chosen.  *occurrences is a list of Occurring, with one element
 * for each choice of operands of the other set operations that the columns of
 * the expression come from.  Returns false if the expression does not depend
 * on columns of one relation alone, or if it depends on values that stand for
 * others that are equal, but not identical.
 */
extern bool global_occurrences(const Graph *graph, const GraphBlock *block, Node *expression,
							   List *choices, List **occurrences);

/*
 * Does the condition equate two expressions by the equality of the key?  key
 * is an expression of the type and collation of the key.  Sets *one and *other
 * to the two expressions.
 */
extern bool qual_equates(const GlobalQual *global, const Node *key, Node **one, Node **other);

/* Are these expressions in terms of nodes equal?  Type modifiers of columns are ignored. */
extern bool global_equal(const Node *one, const Node *other);

/*
 * Returns the number of the only node that the expression depends on, or 0 if
 * it depends on none or on several.
 */
extern int global_node(const Node *expression);

#endif /* DEPIPE_QUERY_GLOBALISE_H */
