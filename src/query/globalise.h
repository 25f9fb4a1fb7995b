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

/* A condition in terms of nodes: varno is the number of a node. */
typedef struct GlobalQual
{
	const GraphQual *qual;
	Node *expression;
	Bitmapset *nodes;
} GlobalQual;

/*
 * While rows of one side of a FULL JOIN are real, the column that it merges
 * (COALESCE of the columns of both sides) is the column of this side.
 */
typedef struct Merge
{
	const GraphBlock *block;
	Node *expression; /* of the block: a CoalesceExpr of two Vars */
	Node *column;     /* in terms of nodes */
} Merge;

/*
 * The conditions that say something about nodes, under a choice of operands
 * (of GraphBlock) of set operations: where one of several queries gives a
 * column, it is that of the chosen one; likewise for merges.  Left out are those that are not about
 * columns of relations (of aggregates, for example), and those that rows which
 * an outer join has filled with NULLs could meet.
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
 * An expression of a block in terms of nodes, as Occurrings: one for each choice
 * of operands, besides the choices that are made, of the set operations that
 * its columns come from.  Returns false when it is made of more than values of
 * columns of one relation, or of values that stand for others.
 */
extern bool global_occurrences(const Graph *graph, const GraphBlock *block, Node *expression,
							   List *choices, List **occurrences);

/*
 * Does the condition equate two expressions as values of the key are compared?
 * key: an expression of its type and collation.  Sets *one and *other.
 */
extern bool qual_equates(const GlobalQual *global, const Node *key, Node **one, Node **other);

/* Is it the same expression in terms of nodes? */
extern bool global_equal(const Node *one, const Node *other);

/* The number of the only node that the expression is made of; 0: none, or several. */
extern int global_node(const Node *expression);

#endif /* DEPIPE_QUERY_GLOBALISE_H */
