/*-------------------------------------------------------------------------
 *
 * reads.h
 *		The columns of its inputs that a query reads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_READS_H
#define DEPIPE_QUERY_READS_H

#include "catalog/captures.h"
#include "query/blocks.h"

/*
 * The columns of a relation on which the result of the query depends, by name,
 * in the order of the relation; all of them if the query refers to whole rows
 * of it.  Palloc'd.
 */
extern ReadColumns reads_of_query(QueryBlock *root, Oid relid);

/* Are all columns of one set in the other one? */
extern bool reads_contain(const ReadColumns *set, const ReadColumns *part);

/* The columns of both sets. */
extern ReadColumns reads_union(const ReadColumns *one, const ReadColumns *other);

/* Those columns of the set that the relation still has. */
extern ReadColumns reads_existing(const ReadColumns *set, Oid relid);

/*
 * Which columns of a relation are in the set: an array by attribute number,
 * from 1, palloc'd; NULL: all that are not dropped.  A name of the set that the
 * relation does not have makes it all of them.
 */
extern bool *reads_by_number(const ReadColumns *set, TupleDesc desc);

#endif /* DEPIPE_QUERY_READS_H */
