/*-------------------------------------------------------------------------
 *
 * blocks.h
 *		The analysed and rewritten query of a transform as a tree of blocks.
 *
 * A block is one query level: the query itself, a subquery in FROM, a view that
 * the rewriter has expanded, a WITH query, an operand of a set operation, a
 * sublink, or a sublink of a row security policy.  Each block lists the
 * relations of its own FROM, one occurrence for each range table entry.  A
 * strategy can therefore ask in which blocks an input occurs, and how often.
 * An input of a WITH query is read once for each reference to the WITH query.
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
	BLOCK_POLICY /* a sublink of row security */
} BlockKind;

typedef struct QueryBlock
{
	BlockKind kind;
	Query *query;              /* rewritten; of its own level */
	struct QueryBlock *parent; /* NULL: the query itself */
	const char *name;          /* alias or name of WITH; NULL: none */
	Oid view;                  /* BLOCK_VIEW: its OID */
	SubLinkType sublink;       /* BLOCK_SUBLINK and BLOCK_POLICY */
	bool lateral;
	bool recursive;    /* WITH RECURSIVE that reads itself */
	int times;         /* number of readings by the whole query: more than one within WITH */
	List *with_read;   /* of RangeTblEntry: WITH queries that it reads, one for each reference */
	List *occurrences; /* of Occurrence, in the order of FROM */
	List *blocks;      /* of QueryBlock: the levels directly below */
} QueryBlock;

typedef struct Occurrence
{
	QueryBlock *block;
	Index rtindex; /* in block->query's range table */
	Oid relid;
	char relkind;
	const char *alias;
	bool children;     /* partitions and inheritance children are read as well */
	bool nullable;     /* an outer join can replace its rows with NULLs */
	bool row_security; /* policies apply to the current user */
} Occurrence;

/*
 * The blocks of an analysed query, as the current user runs it.  The query is
 * not changed.  Takes the locks of the rewriter, and raises its errors.
 */
extern QueryBlock *blocks_of_query(const Query *query);

/* The occurrences of a relation at any level; InvalidOid: of all relations. */
extern List *blocks_occurrences(QueryBlock *root, Oid relid);

/* The first occurrence to which row security applies; NULL: none. */
extern Occurrence *blocks_row_security(QueryBlock *root);

/* What such an occurrence means, for people, without the final period. */
extern char *blocks_why_secured(Oid relid);

/* A description for people: one line for each block, indented by level. */
extern char *blocks_text(QueryBlock *root);

#endif /* DEPIPE_QUERY_BLOCKS_H */
