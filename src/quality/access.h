/*-------------------------------------------------------------------------
 *
 * access.h
 *		Refusal of reads and writes while a breaker is open.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_ACCESS_H
#define DEPIPE_QUALITY_ACCESS_H

#include "depipe.h"
#include "nodes/parsenodes.h"

/*
 * For the hook that checks permissions.  tables: the range table of a statement,
 * permissions: its permission infos (NIL before version 16).  Returns false, or
 * raises QD002 if raises, when the statement reads or writes a table whose open
 * breaker refuses that.
 */
extern bool access_check(List *tables, List *permissions, bool raises);

/* The same for TRUNCATE, which checks no permissions of a range table.  Raises QD002. */
extern void access_check_truncate(const TruncateStmt *statement);

#endif /* DEPIPE_QUALITY_ACCESS_H */
