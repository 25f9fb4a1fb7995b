/*-------------------------------------------------------------------------
 *
 * activity.h
 *		The activity of a database's stream workers, for views.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOOK_ACTIVITY_H
#define DEPIPE_LOOK_ACTIVITY_H

#include "core/shmem.h"

/* The reason why the source gets no confirmation, for users.  NULL: it gets it. */
extern char *stream_held_reason(const StreamPosition *position);

#endif /* DEPIPE_LOOK_ACTIVITY_H */
