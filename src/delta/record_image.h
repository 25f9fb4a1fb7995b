/*-------------------------------------------------------------------------
 *
 * record_image.h
 *		Rows as images: equal when every byte is, whatever their types say.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_DELTA_RECORD_IMAGE_H
#define DEPIPE_DELTA_RECORD_IMAGE_H

#include "depipe.h"
#include "access/tupdesc.h"
#include "lib/stringinfo.h"

/* For SQL text: the image of these columns of an alias; bytea. */
extern void image_append(StringInfo sql, TupleDesc columns, const char *alias);

#endif /* DEPIPE_DELTA_RECORD_IMAGE_H */
