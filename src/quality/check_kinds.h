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

extern const CheckKind check_kinds[];

/*
 * Validate the shape of a rule.  Raises 22004 for NULL arguments, 22023 for
 * everything else that is wrong with it.
 */
extern CheckRule *check_parse(Jsonb *rule);
extern CheckRule *check_parse_text(const char *rule);

#endif /* DEPIPE_QUALITY_CHECK_KINDS_H */
