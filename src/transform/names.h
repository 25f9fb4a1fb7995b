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

/*
 * Called after REASSIGN OWNED: new owners of tables are followed at commit,
 * and definitions whose table is missing are reassigned like the tables of
 * their owner.  An error becomes a WARNING.
 */
extern void names_follow_reassign(struct ReassignOwnedStmt *statement);

#endif /* DEPIPE_TRANSFORM_NAMES_H */
