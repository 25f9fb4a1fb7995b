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

/* A rule given as text: JSON; 22023 with the right form for an expression. */
extern Datum check_from_text(char *text);

#endif /* DEPIPE_QUALITY_VALUES_H */
