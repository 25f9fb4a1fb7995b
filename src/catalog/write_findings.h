/*-------------------------------------------------------------------------
 *
 * write_findings.h
 *		What statements that write protected tables have found.
 *
 * Rows are only added, so that writers do not wait for each other.  They
 * become verdicts later.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_WRITE_FINDINGS_H
#define DEPIPE_CATALOG_WRITE_FINDINGS_H

#include "catalog/statement.h"

typedef struct WriteFinding
{
	int32 target_id;
	int32 constraint_id;
	int outcome; /* Outcome and Action of quality/ */
	int action;
	int64 evaluated; /* sums over the statements */
	int64 violations;
	int64 statements;
} WriteFinding;

/* Add the finding of one statement.  Implies catalog_changed(). */
extern void write_finding_put(const WriteFinding *finding);

/* Delete and return all findings, those of one constraint and outcome together. */
extern List *write_findings_take(void);

/*
 * The protected target to which rows of this table belong: the table itself, or
 * the nearest table above it.  0: none.
 */
extern int32 protected_target_id(Oid relid);

/* Protect a target, or end that. */
extern void target_protect(int32 target_id, bool protect);

#endif /* DEPIPE_CATALOG_WRITE_FINDINGS_H */
