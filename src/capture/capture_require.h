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
 * Raise 0A000 if the changes of an input of the query cannot be captured for a
 * transform of this owner; display: its name in the message.  As the owner,
 * with a shape that was analysed as the owner.
 */
extern void captures_require(Shape *shape, Oid owner, const char *display);

#endif /* DEPIPE_CAPTURE_CAPTURE_REQUIRE_H */
