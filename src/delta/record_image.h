/*-------------------------------------------------------------------------
 *
 * record_image.h
 *		Images of rows: equal if and only if all bytes are equal.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_RECORD_IMAGE_H
#define DEPIPE_DELTA_RECORD_IMAGE_H

#include "depipe.h"
#include "access/tupdesc.h"
#include "lib/stringinfo.h"

/* Append the SQL expression, of type bytea, for the image of these columns of an alias. */
extern void image_append(StringInfo sql, TupleDesc columns, const char *alias);

/* The same, of type int8, for a hash of the image.  alias NULL: bare columns, as in an index. */
extern void hash_append(StringInfo sql, TupleDesc columns, const char *alias);

/* depipe.row_hash(record); InvalidOid while the extension lacks it. */
extern Oid record_hash_function(void);

/*
 * Are any two equal values of a type, with this collation, the same image?  False
 * for char(n), whose values may differ in trailing blanks, and where no collation is
 * known.
 */
extern bool equal_is_same_image(Oid type, Oid collation);

/* The same for a column (Form_pg_attribute). */
#define column_equal_is_same_image(att) equal_is_same_image((att)->atttypid, (att)->attcollation)

#endif /* DEPIPE_DELTA_RECORD_IMAGE_H */
