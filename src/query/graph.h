/*-------------------------------------------------------------------------
 *
 * graph.h
 *		The base relations of a query at all its levels, and the conditions that
 *		connect them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_GRAPH_H
#define DEPIPE_QUERY_GRAPH_H

#include "depipe.h"
#include "nodes/parsenodes.h"

/*
 * One query level.  The arrays are indexed by range table index, from 1.  For
 * a subquery, blocks contains its GraphBlock.  For a relation, nodes contains
 * the number of its GraphNode.
 */
typedef struct GraphBlock
{
	Query *query; /* without join alias Vars */
	struct GraphBlock *parent;
	Bitmapset *sides; /* sides that contain it: see GraphNode */
	struct GraphBlock **blocks;
	int *nodes;
} GraphBlock;

/*
 * One occurrence of a relation.  Each nullable side of an outer join has a
 * number.  A side is real in a row if the join has not replaced it by NULLs.
 * The sides of a relation, block or condition are all nullable sides that
 * contain it, at all levels.
 */
typedef struct GraphNode
{
	int number; /* from 1 */
	GraphBlock *block;
	Index rtindex;
	RangeTblEntry *entry;
	Bitmapset *sides;
} GraphNode;

typedef enum QualTest
{
	QUAL_TRUE,      /* it is true for rows that are joined */
	QUAL_NOT_FALSE, /* of IN: it is true or NULL */
	QUAL_NOT_TRUE   /* of ALL: it is false or NULL */
} QualTest;

/*
 * A condition that joined rows must satisfy, provided that all its sides are
 * real and that rows of its unit take part.  The unit is its block, or the
 * sublink that it comes from.
 */
typedef struct GraphQual
{
	Node *expression; /* in terms of its block */
	GraphBlock *block;
	GraphBlock *unit;
	Bitmapset *sides;
	QualTest test;
} GraphQual;

typedef struct Graph
{
	GraphBlock *root;
	List *blocks; /* of GraphBlock, at all levels */
	List *nodes;  /* of GraphNode, in the order of their numbers */
	List *quals;  /* of GraphQual */
	List *hidden; /* OIDs of relations that are read but are not nodes */
	int nsides;
	List *sublinks; /* sublinks that have already been added */
} Graph;

/*
 * Returns the graph of a query whose WITH queries have been inlined.  The
 * query is not changed.  The result is allocated in the current memory
 * context.
 */
extern Graph *graph_of_query(const Query *query);

/* Returns the node of this number, from 1. */
extern GraphNode *graph_node(const Graph *graph, int number);

/* Is the block equal to the outer one, or inside it? */
extern bool block_is_within(const GraphBlock *block, const GraphBlock *outer);

/*
 * Returns the operands of set operations that contain the block, which may be
 * the block itself, as a list of GraphBlock.
 */
extern List *block_choices(const GraphBlock *block);

/* Is the block a set operation? */
extern bool block_is_operation(const GraphBlock *block);

/* Returns the operands of a set operation (range table indexes), from left to right. */
extern List *block_operands(const GraphBlock *block);

#endif /* DEPIPE_QUERY_GRAPH_H */
