/*-------------------------------------------------------------------------
 *
 * record_image.h
 *		Rows as images: equal when every byte is, whatever their types say.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_RECORD_IMAGE_H
#define DEPIPE_RECORD_IMAGE_H

#include "depipe.h"
#include "access/tupdesc.h"
#include "lib/stringinfo.h"

/*
 * For SQL text: these columns of an alias as a record.  Two of them are the
 * same image when they are equal by OPERATOR(pg_catalog.*=).
 */
extern void image_append_row(StringInfo sql, TupleDesc columns, const char *alias);

/*
 * For SQL text: "OVER (...)" with all rows of the same image as the frame.
 * hash and row name columns made by image_append_hash() and image_append_row().
 */
extern void image_append_same(StringInfo sql, const char *hash, const char *row);

/* For SQL text: a hash of that record; bigint. */
extern void image_append_hash(StringInfo sql, TupleDesc columns, const char *alias);

#endif /* DEPIPE_RECORD_IMAGE_H */
