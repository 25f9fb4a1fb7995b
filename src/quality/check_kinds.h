/*-------------------------------------------------------------------------
 *
 * check_kinds.h
 *		The table of the kinds of checks, and the shape of rules.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_CHECK_KINDS_H
#define DEPIPE_QUALITY_CHECK_KINDS_H

#include "quality/check.h"

/* The table of kinds, ended by an entry with a NULL name. */
extern const CheckKind check_kinds[];

/*
 * Validate the shape of a rule.  Raises 22004 for NULL arguments, 22023 for all
 * other errors.  The result is allocated in the current memory context.
 */
extern CheckRule *check_parse(Jsonb *rule);
extern CheckRule *check_parse_text(const char *rule);

#endif /* DEPIPE_QUALITY_CHECK_KINDS_H */
