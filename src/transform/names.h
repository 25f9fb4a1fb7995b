/*-------------------------------------------------------------------------
 *
 * names.h
 *		Tables that are renamed, dropped or created again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_TRANSFORM_NAMES_H
#define DEPIPE_TRANSFORM_NAMES_H

#include "depipe.h"

struct ReassignOwnedStmt;

/* After REASSIGN OWNED: definitions whose table is missing follow their owner's tables. */
extern void names_follow_reassign(struct ReassignOwnedStmt *statement);

#endif /* DEPIPE_TRANSFORM_NAMES_H */
