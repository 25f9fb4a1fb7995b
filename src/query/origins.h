/*-------------------------------------------------------------------------
 *
 * origins.h
 *		The columns of inputs that a query's columns come from.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_ORIGINS_H
#define DEPIPE_QUERY_ORIGINS_H

#include "depipe.h"
#include "access/attnum.h"
#include "nodes/parsenodes.h"

/* The first three say how a value is made; the others how rows are chosen. */
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

/* Does the use make a value? */
#define ORIGIN_IS_DIRECT(use) ((use) <= ORIGIN_AGGREGATION)

typedef struct Origin
{
	Oid relid; /* a base relation; InvalidOid: only a function */
	AttrNumber attnum;
	OriginUse use;
	Oid opaque; /* a function on the way that may read anything; InvalidOid: none */
} Origin;

typedef struct Origins
{
	int ncolumns;
	List **columns; /* of Origin: of each column of the result */
	List *rows;     /* of Origin: of the presence and the order of rows */
} Origins;

/*
 * The origins of an analysed query, through views, WITH queries and set
 * operations.  query: as the rewriter returns it; it is not changed.  The
 * result lives in the current memory context.
 */
extern Origins *origins_of_query(const Query *query);

#endif /* DEPIPE_QUERY_ORIGINS_H */
