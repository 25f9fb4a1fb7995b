/*-------------------------------------------------------------------------
 *
 * net.h
 *		Netting: one delta from several terms of signed rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_NET_H
#define DEPIPE_DELTA_NET_H

#include "delta/delta.h"

/* the fixed columns after the weight and the sequence: local rows have no position */
#define NO_POSITION "NULL::pg_catalog.pg_lsn, NULL::pg_catalog.timestamptz, NULL::pg_catalog.int8"

/*
 * Each term (SQL text) is a SELECT that returns a weight (an integer type) and
 * then delta->columns, in their order.  Returns the query for
 * delta_fill_from_query(): one row for each image whose weights do not add up
 * to 0, numbered across all terms.  Keyed: an old image whose key has a new
 * image is "replaced", and stands just before it.
 */
extern char *net_sql(Delta *delta, List *terms);

/* Fill a delta with it.  Old images are included.  columns: see delta_fill_from_query(). */
extern void delta_fill_from_terms(Delta *delta, List *terms, List *columns);

/*
 * A relation (SQL text) of the new images of a registered delta, each as often
 * as its weight says: for key_is_unique().
 */
extern char *net_new_images(Delta *delta);

#endif /* DEPIPE_DELTA_NET_H */
