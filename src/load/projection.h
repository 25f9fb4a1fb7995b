/*-------------------------------------------------------------------------
 *
 * projection.h
 *		Loads with expressions or a filter over the source's rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_PROJECTION_H
#define DEPIPE_LOAD_PROJECTION_H

#include "core/batch.h"
#include "core/catalog_load.h"

typedef struct Projection Projection;

/* Does the load leave this column of the source out? */
extern bool projection_leaves_out(const Load *load, const char *column);

/*
 * Check the arguments columns and row_filter of a definition, as far as that is
 * possible without the source: raises 22023, 0A000.
 */
extern void projection_check_columns(const Load *load);

#endif /* DEPIPE_LOAD_PROJECTION_H */
