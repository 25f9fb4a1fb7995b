/*-------------------------------------------------------------------------
 *
 * image.h
 *		Input of the text images of parked and quarantined rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_IMAGE_H
#define DEPIPE_PUBLISH_IMAGE_H

#include "catalog/target.h"
#include "delta/delta.h"

/*
 * A reader for one delta, with the input functions of its columns, in the
 * current memory context.
 */
typedef struct ImageReader ImageReader;

/*
 * Create a reader of images of a target into the columns of the delta, in the
 * current memory context.  Raises the errors of the lookup of the input
 * functions.
 */
extern ImageReader *image_reader(const Target *target, Delta *delta);

/*
 * Read the values of delta->columns from a text image with columns of these
 * names.  Columns that the image lacks are returned as unknown.  Raises the
 * errors of the types' input functions.
 */
extern void image_read(ImageReader *reader, List *columns, ArrayType *image, Datum *values,
					   bool *nulls, Bitmapset **unknown);

/* Read the values of the key columns of the delta from a text key; the others are NULL. */
extern void image_read_key(ImageReader *reader, ArrayType *key, Datum *values, bool *nulls);

#endif /* DEPIPE_PUBLISH_IMAGE_H */
