/*-------------------------------------------------------------------------
 *
 * blocks.h
 *		The analysed and rewritten query of a transform as a tree of blocks.
 *
 * A block is one query level: the query itself, a subquery in FROM, a view
 * that the rewriter has expanded, a WITH query, an operand of a set operation,
 * a sublink, or a sublink of a row security policy.  Each block lists the
 * relations of its own FROM clause, with one occurrence for each range table
 * entry.  A strategy can therefore find out in which blocks an input occurs,
 * and how often.  An input of a WITH query is read once for each reference to
 * the WITH query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_BLOCKS_H
#define DEPIPE_QUERY_BLOCKS_H

#include "depipe.h"
#include "nodes/parsenodes.h"

typedef enum BlockKind
{
	BLOCK_QUERY,
	BLOCK_FROM,
	BLOCK_VIEW,
	BLOCK_WITH,
	BLOCK_OPERAND,
	BLOCK_SUBLINK,
	BLOCK_POLICY /* a sublink of a row security policy */
} BlockKind;

typedef struct QueryBlock
{
	BlockKind kind;
	Query *query;              /* rewritten query of this level */
	struct QueryBlock *parent; /* NULL for the query itself */
	const char *name;          /* alias, or name of the WITH query; NULL if none */
	Oid view;                  /* OID of the view, for BLOCK_VIEW */
	SubLinkType sublink;       /* for BLOCK_SUBLINK and BLOCK_POLICY */
	bool lateral;
	bool recursive;    /* a WITH RECURSIVE query that reads itself */
	int times;         /* how often the whole query reads it; can exceed one only within WITH */
	List *with_read;   /* of RangeTblEntry: references of the block to WITH queries */
	List *occurrences; /* of Occurrence, in the order of FROM */
	List *blocks;      /* of QueryBlock: the levels directly below */
} QueryBlock;

typedef struct Occurrence
{
	QueryBlock *block;
	Index rtindex; /* index in the range table of block->query */
	Oid relid;
	char relkind;
	const char *alias;
	bool children;     /* partitions or inheritance children are also read */
	bool nullable;     /* an outer join can replace its rows with NULLs */
	bool row_security; /* policies apply to the current user */
} Occurrence;

/*
 * Returns the blocks of an analysed query, as the current user runs it.  The
 * query itself is not changed.  The result is allocated in the current memory
 * context.  Takes the locks of the rewriter, and raises its errors.
 */
extern QueryBlock *blocks_of_query(const Query *query);

/*
 * Returns the occurrences of a relation at all levels, or of all relations if
 * relid is InvalidOid.
 */
extern List *blocks_occurrences(QueryBlock *root, Oid relid);

/* Returns the first occurrence to which row security applies, or NULL if there is none. */
extern Occurrence *blocks_row_security(QueryBlock *root);

/* Returns a sentence about such an occurrence for the user, without the final period. */
extern char *blocks_why_secured(Oid relid);

/* Returns a description of the blocks for the user: one line for each block, indented by level. */
extern char *blocks_text(QueryBlock *root);

#endif /* DEPIPE_QUERY_BLOCKS_H */
