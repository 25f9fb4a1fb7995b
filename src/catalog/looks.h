/*-------------------------------------------------------------------------
 *
 * looks.h
 *		Data for users about targets, from depipe's own tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_LOOKS_H
#define DEPIPE_CATALOG_LOOKS_H

#include "catalog/transforms.h"

/* columns of conditions_select(), after those of NODE_COLUMNS */
#define CONDITION_CREATED_AT (NODE_COUNT + 1)
#define CONDITION_PAUSED_AT (NODE_COUNT + 2)
#define CONDITION_DATA_AS_OF (NODE_COUNT + 3)
#define CONDITION_TARGET_LAG (NODE_COUNT + 4) /* interval; NULL: on demand */
#define CONDITION_LATE (NODE_COUNT + 5)       /* older than target_lag allows, by a wide margin */
#define CONDITION_LOAD_SINCE (NODE_COUNT + 6)
#define CONDITION_HINT (NODE_COUNT + 7)
#define CONDITION_SERVER (NODE_COUNT + 8)
#define CONDITION_TRANSFORM_SINCE (NODE_COUNT + 9)
#define CONDITION_WAITS_COMPLETE (NODE_COUNT + 10) /* on_incomplete is block */
#define CONDITION_WAITS_FRESH (NODE_COUNT + 11)    /* on_stale is block */
#define CONDITION_BREAKER (NODE_COUNT + 12)        /* its state; NULL: closed */
#define CONDITION_BREAKER_SINCE (NODE_COUNT + 13)
#define CONDITION_BREAKER_UNTIL (NODE_COUNT + 14)
#define CONDITION_FAILING (NODE_COUNT + 15) /* last run failed, and no attempt succeeded since */
#define CONDITION_RUN_REASON (NODE_COUNT + 16)
#define CONDITION_RUN_AT (NODE_COUNT + 17)
#define CONDITION_SERVER_FAILING (NODE_COUNT + 18) /* so did the attempts of its server */
#define CONDITION_TRIES (NODE_COUNT + 19)
#define CONDITION_RETRY_AT (NODE_COUNT + 20)
#define CONDITION_TRIED_AT (NODE_COUNT + 21)
#define CONDITION_PARKED (NODE_COUNT + 22)
#define CONDITION_QUARANTINE (NODE_COUNT + 23) /* it has quarantined rows */
#define CONDITION_STALE_BY (NODE_COUNT + 24)   /* a time check that fails; NULL: none */
#define CONDITION_STALE_SINCE (NODE_COUNT + 25)
#define CONDITION_INCIDENTS (NODE_COUNT + 26)
#define CONDITION_MISSING_INPUT (NODE_COUNT + 27) /* no target and no table */
#define CONDITION_PAUSED_UNTIL (NODE_COUNT + 28)
#define CONDITION_COPIED (NODE_COUNT + 29) /* rows so far; NULL: no copy is running */
#define CONDITION_COPY_ESTIMATE (NODE_COUNT + 30)
#define CONDITION_OWNERLESS_SINCE (NODE_COUNT + 31) /* NULL: not recorded yet */

/* The time through which a target is known to be complete; 0: unknown. */
extern TimestampTz target_as_of(int32 target_id);

/*
 * Parameters of a copy's progress in addition to those of COPY: the id of its
 * target, and the source's estimate of the rows.
 */
#define PROGRESS_COPY_TARGET 18
#define PROGRESS_COPY_ESTIMATE 19

/* The running copies in this database: target, pid, rows, bytes, estimated rows. */
extern CatalogRows *copies_select(void);

/* One row per target, in the order of their names. */
extern CatalogRows *conditions_select(void);

#endif /* DEPIPE_CATALOG_LOOKS_H */
