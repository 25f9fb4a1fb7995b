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
 * One query level.  blocks and nodes are indexed by the entries of its range
 * table, from 1: what a subquery is analysed as, and the number of a relation.
 */
typedef struct GraphBlock
{
	Query *query; /* without aliases of joins */
	struct GraphBlock *parent;
	Bitmapset *sides; /* that it stands in: see GraphNode */
	struct GraphBlock **blocks;
	int *nodes;
} GraphBlock;

/*
 * One occurrence of a relation.  Each side of an outer join that may be
 * replaced by NULLs has a number; a relation, a block or a condition stands in
 * all sides that contain it, at all levels.
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
	QUAL_TRUE,      /* rows that meet have it true */
	QUAL_NOT_FALSE, /* of IN, where NULL counts */
	QUAL_NOT_TRUE   /* of ALL */
} QualTest;

/*
 * A condition that must hold for rows to meet, once all sides that it stands
 * in are real, and rows of the unit (its block, or the sublink it comes from)
 * are looked at.
 */
typedef struct GraphQual
{
	Node *expression; /* as it stands in its block */
	GraphBlock *block;
	GraphBlock *unit;
	Bitmapset *sides;
	QualTest test;
} GraphQual;

typedef struct Graph
{
	GraphBlock *root;
	List *blocks; /* of GraphBlock: all */
	List *nodes;  /* of GraphNode, in the order of their numbers */
	List *quals;  /* of GraphQual */
	List *hidden; /* OIDs of relations that no condition can reach */
	int nsides;
	List *sublinks; /* those that have been looked at */
} Graph;

/* The graph of a query without WITH, which is not changed. */
extern Graph *graph_of_query(const Query *query);

extern GraphNode *graph_node(const Graph *graph, int number);

/* Is the block this one, or inside it? */
extern bool block_is_within(const GraphBlock *block, const GraphBlock *outer);

/* The operands of a set operation that a block is inside of, as GraphBlocks. */
extern List *block_choices(const GraphBlock *block);

/* Is the block a set operation? */
extern bool block_is_operation(const GraphBlock *block);

/* The operands (numbers of range table entries) of a set operation, from left to right. */
extern List *block_operands(const GraphBlock *block);

#endif /* DEPIPE_QUERY_GRAPH_H */
