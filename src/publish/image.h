/*-------------------------------------------------------------------------
 *
 * image.h
 *		Reading back the text images of parked and quarantined rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_IMAGE_H
#define DEPIPE_PUBLISH_IMAGE_H

#include "delta/delta.h"
#include "catalog/target.h"

/* A reader for one delta: input functions of its columns. */
typedef struct ImageReader ImageReader;

extern ImageReader *image_reader(const Target *target, Delta *delta);

/*
 * Values of delta->columns from a text image whose columns have these names.
 * Columns that the image does not have are returned as unknown.  Raises what
 * the types' input functions raise.
 */
extern void image_read(ImageReader *reader, List *columns, ArrayType *image, Datum *values,
					   bool *nulls, Bitmapset **unknown);

/* Values of the delta's key columns from a text key; the others are NULL. */
extern void image_read_key(ImageReader *reader, ArrayType *key, Datum *values, bool *nulls);

#endif /* DEPIPE_PUBLISH_IMAGE_H */
