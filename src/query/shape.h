/*-------------------------------------------------------------------------
 *
 * shape.h
 *		Properties of the analysed query of a transform.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_SHAPE_H
#define DEPIPE_QUERY_SHAPE_H

#include "depipe.h"
#include "query/blocks.h"
#include "query/volatility.h"

typedef struct ShapeInput
{
	Oid relid;
	char *schema_name;
	char *table_name;
	bool direct; /* the query itself names it, not only a view that it reads */
} ShapeInput;

typedef struct Shape
{
	Query *query;      /* analysed, not rewritten */
	TupleDesc columns; /* of the result */
	List *inputs;      /* of ShapeInput, one for each relation */
	List *unique_key;  /* columns that identify a row; NIL if not known */
	Volatility volatility;
	QueryBlock *blocks; /* access through shape_blocks() */
} Shape;

/*
 * Analyse a single SELECT under the current identity and search_path.  The
 * result is allocated in the current memory context.  Raises the errors of
 * parse analysis; 22023 if the text is not a single SELECT or has no columns;
 * 0A000 for row locks, data-modifying WITH and temporary inputs; 42701 for two
 * columns of one name; 42P16 for reserved names.  Takes ACCESS SHARE locks on
 * the relations that the query reads.
 */
extern Shape *shape_analyse(const char *sql);

/*
 * Returns the blocks of the query, as the current user runs it.  They are
 * built by the first call, in the current memory context.
 */
extern QueryBlock *shape_blocks(Shape *shape);

/*
 * Returns the query as text with every name qualified, under the pinned
 * search_path.  Raises 0A000 if no text has the same meaning.
 */
extern char *shape_query_sql(const Shape *shape);

/* Returns the analysed tree as text. */
extern char *shape_tree(const Shape *shape);

/* Does this type support a unique index and a hash join? */
extern bool shape_type_makes_key(Oid type);

/* Raise the error that says why this type cannot be used in a key. */
extern void shape_refuse_key(const char *column, Oid type);

/* Returns the relations that the query itself names, as a list of OIDs. */
extern List *shape_direct_relids(const Shape *shape);

#endif /* DEPIPE_QUERY_SHAPE_H */
