/*-------------------------------------------------------------------------
 *
 * row_test.h
 *		Do all row checks hold for a row?
 *
 * The conjunction of the checks' own conditions (measure.h), compiled once for
 * a statement.  It says nothing but yes or no: who failed is for the gate.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_ROW_TEST_H
#define DEPIPE_QUALITY_ROW_TEST_H

#include "quality/constraint.h"
#include "executor/tuptable.h"
#include "utils/tuplestore.h"

typedef struct RowTest RowTest;

/* Can the check be part of a test?  It is about single rows, and reads nothing else. */
extern bool row_test_fits(const DataConstraint *constraint, Relation rel);

/*
 * Compile the checks for the rows of rel, which is the target or a partition or
 * child of it.  Allocated in context, which must live as long as it is used.
 * Raises the errors of planning the conditions.
 */
extern RowTest *row_test_make(Target *target, Relation rel, List *constraints,
							  MemoryContext context);

/*
 * Do all checks hold, for the row or for all rows?  Evaluated as the owner of
 * the target; raises the errors of the expressions.
 */
extern bool row_test_row(RowTest *test, TupleTableSlot *slot);
extern bool row_test_rows(RowTest *test, Tuplestorestate *rows, TupleDesc desc);

#endif /* DEPIPE_QUALITY_ROW_TEST_H */
