/*-------------------------------------------------------------------------
 *
 * capture_moves.h
 *		Rows that a MERGE moves from one partition to another.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CAPTURE_CAPTURE_MOVES_H
#define DEPIPE_CAPTURE_CAPTURE_MOVES_H

#include "depipe.h"
#include "executor/execdesc.h"

/*
 * Before the triggers at the end of a statement fire: let those of captures see
 * all rows that it has moved.
 */
extern void capture_statement_ends(QueryDesc *query);

#endif /* DEPIPE_CAPTURE_CAPTURE_MOVES_H */
