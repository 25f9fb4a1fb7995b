/*-------------------------------------------------------------------------
 *
 * kept.h
 *		The kept state of constraints as a companion of batch items.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_KEPT_H
#define DEPIPE_PUBLISH_KEPT_H

#include "publish/companion.h"

extern const Companion kept_companion;

#endif /* DEPIPE_PUBLISH_KEPT_H */
