/*-------------------------------------------------------------------------
 *
 * lookup.h
 *		How the rows of a delta are met by those of a large table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_LOOKUP_H
#define DEPIPE_QUALITY_LOOKUP_H

#include "core/plans.h"

/*
 * The plan for so many rows that are looked up in the table by these columns: row by
 * row, where an index finds them and they are few beside the table; else as the
 * planner thinks.  Takes AccessShareLock on the table, if it is there, and keeps it.
 */
extern PlanStyle lookup_style(Oid relid, List *columns, int64 nrows);

#endif /* DEPIPE_QUALITY_LOOKUP_H */
