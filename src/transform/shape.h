/*-------------------------------------------------------------------------
 *
 * shape.h
 *		What the analysed query of a transform says about itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_SHAPE_H
#define DEPIPE_TRANSFORM_SHAPE_H

#include "depipe.h"
#include "transform/blocks.h"
#include "transform/volatility.h"

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
	List *unique_key;  /* names of columns that identify a row; NIL: none known */
	Volatility volatility;
	QueryBlock *blocks; /* read through shape_blocks() */
} Shape;

/*
 * Analyse a single SELECT with the current identity and search_path.  Raises
 * what parse analysis raises; 22023 when it is no single SELECT or has no
 * columns, 0A000 for row locks, data-modifying WITH, temporary inputs, 42701
 * for two columns of one name, 42P16 for reserved names.  Takes AccessShare
 * locks on the relations that the query names.
 */
extern Shape *shape_analyse(const char *sql);

/*
 * The query's blocks as the current user runs it, made when first asked for,
 * in the current memory context.
 */
extern QueryBlock *shape_blocks(Shape *shape);

/* The query as text with every name qualified (under the pinned search_path). */
extern char *shape_query_sql(const Shape *shape);

/* The tree as text. */
extern char *shape_tree(const Shape *shape);

/* Can a unique index and a hash join be made of values of this type? */
extern bool shape_type_makes_key(Oid type);

/* Raise why not. */
extern void shape_refuse_key(const char *column, Oid type);

/* The relations that the query itself names, as a list of OIDs. */
extern List *shape_direct_relids(const Shape *shape);

#endif /* DEPIPE_TRANSFORM_SHAPE_H */
