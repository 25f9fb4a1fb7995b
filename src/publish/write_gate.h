/*-------------------------------------------------------------------------
 *
 * write_gate.h
 *		The trigger function on protected tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_WRITE_GATE_H
#define DEPIPE_PUBLISH_WRITE_GATE_H

#include "depipe.h"
#include "fmgr.h"

/*
 * SQL function protect_write().  Before a statement it raises QD002 while the
 * breaker is open; after it, QD001 for new rows that violate a constraint.
 * Before a row it returns NULL for one that is set aside.
 */
extern PGDLLEXPORT Datum depipe_protect_write(PG_FUNCTION_ARGS);

#endif /* DEPIPE_PUBLISH_WRITE_GATE_H */
