/*-------------------------------------------------------------------------
 *
 * guard.h
 *		The guard: can a reader rely on a table now?
 *
 * A table is unfit while its breaker, or that of anything upstream of it, is
 * open, half_open or forced_open, and stale while a time check of it or of
 * anything upstream fails.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_GUARD_H
#define DEPIPE_QUALITY_GUARD_H

#include "catalog/target.h"

/*
 * Raise QD002 if the breaker of the target or of anything upstream blocks,
 * QD004 if a time check of them fails.  Tables that the current user may not
 * read are not named.
 */
extern void guard_check(Target *target);

#endif /* DEPIPE_QUALITY_GUARD_H */
