/*-------------------------------------------------------------------------
 *
 * globalise.h
 *		Conditions of any level of a query in terms of its base relations.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_GLOBALISE_H
#define DEPIPE_TRANSFORM_GLOBALISE_H

#include "transform/graph.h"

/* A condition in terms of nodes: varno is the number of a node. */
typedef struct GlobalQual
{
	const GraphQual *qual;
	Node *expression;
	Bitmapset *nodes;
} GlobalQual;

/*
 * The conditions that say something about nodes, under a choice of operands
 * (of GraphBlock) of set operations: where one of several queries gives a
 * column, it is that of the chosen one.  Left out are those that are not about
 * columns of relations (of aggregates, for example), and those that rows which
 * an outer join has filled with NULLs could meet.
 */
extern List *graph_quals(const Graph *graph, List *choices);

/*
 * An expression of a block in terms of nodes, under a choice; NULL: it is made
 * of more than values of columns, or of values that stand for others.
 */
extern Node *global_expression(const GraphBlock *block, Node *expression, List *choices);

/*
 * Does the condition equate two columns as values of the key are compared?
 * key: a column of its type and collation.  Sets *one and *other.
 */
extern bool qual_equates(const GlobalQual *global, const Var *key, Var **one, Var **other);

#endif /* DEPIPE_TRANSFORM_GLOBALISE_H */
