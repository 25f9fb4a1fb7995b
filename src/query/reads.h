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
 * Returns the columns of a relation on which the result of the query depends,
 * by name, in the order of the relation.  If the query refers to whole rows or
 * system columns of the relation, all columns are read.  The result is
 * palloc'd.
 */
extern ReadColumns reads_of_query(QueryBlock *root, Oid relid);

/* Does the set contain all columns of the part? */
extern bool reads_contain(const ReadColumns *set, const ReadColumns *part);

/* Returns the columns of both sets.  The names are shared with the arguments. */
extern ReadColumns reads_union(const ReadColumns *one, const ReadColumns *other);

/*
 * Returns those columns of the set that the relation still has.  The names are
 * shared with the argument.
 */
extern ReadColumns reads_existing(const ReadColumns *set, Oid relid);

/*
 * Returns which columns of a relation are in the set, as a palloc'd array
 * indexed by attribute number minus one.  Returns NULL if all columns that are
 * not dropped are regarded as read: because all of them are in the set, or
 * because the set contains a name that the relation does not have.
 */
extern bool *reads_by_number(const ReadColumns *set, TupleDesc desc);

#endif /* DEPIPE_QUERY_READS_H */
