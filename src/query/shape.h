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
	bool direct; /* named by the query itself, not by a view that it reads */
} ShapeInput;

typedef struct Shape
{
	Query *query;      /* analysed, not rewritten */
	TupleDesc columns; /* of the result */
	List *inputs;      /* of ShapeInput, each relation once */
	List *unique_key;  /* names of columns that identify a row; NIL: not known */
	Volatility volatility;
	QueryBlock *blocks; /* read through shape_blocks() */
} Shape;

/*
 * Analyse a single SELECT with the current identity and search_path.  Raises
 * the errors of parse analysis; 22023 if the text is not a single SELECT or has
 * no columns; 0A000 for row locks, data-modifying WITH and temporary inputs;
 * 42701 for two columns of one name; 42P16 for reserved names.  Takes
 * AccessShare locks on the relations that the query names.
 */
extern Shape *shape_analyse(const char *sql);

/*
 * The blocks of the query as the current user runs it.  They are made at the
 * first call, in the current memory context.
 */
extern QueryBlock *shape_blocks(Shape *shape);

/* The query as text with every name qualified (under the pinned search_path). */
extern char *shape_query_sql(const Shape *shape);

/* The tree as text. */
extern char *shape_tree(const Shape *shape);

/* Do values of this type support a unique index and a hash join? */
extern bool shape_type_makes_key(Oid type);

/* Raise why not. */
extern void shape_refuse_key(const char *column, Oid type);

/* The relations that the query itself names, as a list of OIDs. */
extern List *shape_direct_relids(const Shape *shape);

#endif /* DEPIPE_QUERY_SHAPE_H */
