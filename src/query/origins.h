/*-------------------------------------------------------------------------
 *
 * origins.h
 *		The columns of inputs that the columns of a query come from.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_ORIGINS_H
#define DEPIPE_QUERY_ORIGINS_H

#include "depipe.h"
#include "access/attnum.h"
#include "nodes/parsenodes.h"

/*
 * Uses of a column.  The first three compute a value; the others determine
 * which rows there are, and their order.
 */
typedef enum OriginUse
{
	ORIGIN_IDENTITY,
	ORIGIN_TRANSFORMATION,
	ORIGIN_AGGREGATION,
	ORIGIN_FILTER,
	ORIGIN_JOIN,
	ORIGIN_GROUP,
	ORIGIN_SORT,
	ORIGIN_WINDOW
} OriginUse;

/* The names of the uses, as in the view column_lineage. */
extern const char *const origin_use_names[];

/* Does the use compute a value? */
#define ORIGIN_IS_DIRECT(use) ((use) <= ORIGIN_AGGREGATION)

typedef struct Origin
{
	Oid relid; /* base relation; InvalidOid if the origin is only a function */
	AttrNumber attnum;
	OriginUse use;
	Oid opaque; /* opaque function on the way; InvalidOid if none */
} Origin;

typedef struct Origins
{
	int ncolumns;
	List **columns; /* for each column of the result, a list of Origin */
	List *rows;     /* of Origin: what determines the rows and their order */
} Origins;

/*
 * Returns the origins of a query, through views, WITH queries and set
 * operations.  The query must be as the rewriter returns it; it is not
 * changed.  The result is allocated in the current memory context.
 */
extern Origins *origins_of_query(const Query *query);

#endif /* DEPIPE_QUERY_ORIGINS_H */
