/*-------------------------------------------------------------------------
 *
 * capture_require.h
 *		Inputs whose changes can never be captured.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CAPTURE_CAPTURE_REQUIRE_H
#define DEPIPE_CAPTURE_CAPTURE_REQUIRE_H

#include "query/shape.h"

/*
 * Raise an error (0A000) if the changes of an input of the query cannot be
 * captured for a transform of this owner.  The caller acts as the owner, and
 * the shape was analysed as the owner.
 *
 * display: the name of the transform for the message.
 */
extern void captures_require(Shape *shape, Oid owner, const char *display);

#endif /* DEPIPE_CAPTURE_CAPTURE_REQUIRE_H */
