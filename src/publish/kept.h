/*-------------------------------------------------------------------------
 *
 * kept.h
 *		The companions of batch items that belong to constraints.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_KEPT_H
#define DEPIPE_PUBLISH_KEPT_H

#include "publish/companion.h"

extern const Companion kept_companion;
extern const Companion checked_companion;

#endif /* DEPIPE_PUBLISH_KEPT_H */
