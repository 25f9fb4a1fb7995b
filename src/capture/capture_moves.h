/*-------------------------------------------------------------------------
 *
 * capture_moves.h
 *		Rows that MERGE moves from one partition to another.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CAPTURE_CAPTURE_MOVES_H
#define DEPIPE_CAPTURE_CAPTURE_MOVES_H

#include "depipe.h"
#include "executor/execdesc.h"

/*
 * Called before the AFTER triggers of a statement fire: queue triggers of
 * captures that the server would not fire for moved rows.
 */
extern void capture_statement_ends(QueryDesc *query);

#endif /* DEPIPE_CAPTURE_CAPTURE_MOVES_H */
