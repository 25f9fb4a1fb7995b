/*-------------------------------------------------------------------------
 *
 * row_key.h
 *		The columns that identify a row of a target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_ROW_KEY_H
#define DEPIPE_QUALITY_ROW_KEY_H

#include "depipe.h"

#include "access/attnum.h"
#include "catalog/target.h"

/*
 * The columns that identify a current row of the table: those of its key,
 * without the time of a version.  Like delta_key_attributes().
 */
extern int row_key_attributes(const Target *target, AttrNumber **attnums);

/* The same; without a key, the columns of some unique index. */
extern int row_identity_attributes(const Target *target, AttrNumber **attnums);

#endif /* DEPIPE_QUALITY_ROW_KEY_H */
