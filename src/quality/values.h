/*-------------------------------------------------------------------------
 *
 * values.h
 *		Rules as values of the type depipe.check.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_VALUES_H
#define DEPIPE_QUALITY_VALUES_H

#include "depipe.h"

/*
 * Convert a rule given as text, which must be JSON. Raises 22023, with the
 * correct form for an expression as the hint.
 */
extern Datum check_from_text(char *text);

#endif /* DEPIPE_QUALITY_VALUES_H */
