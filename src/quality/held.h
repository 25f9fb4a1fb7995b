/*-------------------------------------------------------------------------
 *
 * held.h
 *		Rows for which a batch was not published: some of them are kept, so that
 *		violations() can show them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_HELD_H
#define DEPIPE_QUALITY_HELD_H

#include "quality/measure.h"

/*
 * Rows of the delta (with whole_table: of the table) that violate a constraint,
 * or on which it raises its error: a list of HeldRow, in the current memory
 * context.  To be called inside the SPI connection and subtransaction of the
 * gate.
 */
extern List *held_find(Target *target, Delta *delta, const Measured *measured, bool whole_table);

/*
 * Sequence numbers (int64 pointers) of rows of the delta on which a row check
 * raises an error.  complete: set if there are no other such rows.
 */
extern List *held_find_errors(Target *target, Delta *delta, const Measured *measured,
							  bool *complete);

/* "a, b" of the columns that identify a row, as one text expression on the alias CHECK_ROW. */
extern char *held_key_text(const Target *target);

#endif /* DEPIPE_QUALITY_HELD_H */
