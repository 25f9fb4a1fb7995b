/*-------------------------------------------------------------------------
 *
 * due.h
 *		What is due, and one pass of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_RUN_DUE_H
#define DEPIPE_RUN_DUE_H

#include "depipe.h"
#include "load/follow.h"
#include "nodes/pg_list.h"
#include "utils/timestamp.h"

/* All of these commit, and need a non-atomic context (core/transaction.h). */

/*
 * One pass of everything that the current user may operate; nothing more is
 * begun after the deadline.  Servers that somebody else takes care of are left
 * out (is_served may be NULL).  Returns false when another pass runs.
 */
typedef bool (*ServerIsServed)(const char *server);
extern bool due_pass(const char *started_by, TimestampTz deadline, ServerIsServed is_served);

/*
 * When the next thing becomes due in this database; a time that is not in the
 * future: now; DT_NOEND: nothing will.  Servers that are served (is_served may
 * be NULL) do not count: server_next_work() is for whoever has their stream.
 */
extern TimestampTz due_next(ServerIsServed is_served);

/*
 * Its parts: expiries, crashed runs, history; what time alone brings (time
 * checks, the end of the grace of keys); the loads of one
 * server (ids); a transform, after what it reads.  done: ids of transforms
 * that this pass has had.
 */
extern void due_housekeeping(void);
extern void due_checks(TimestampTz deadline);
extern void due_run_server(const char *server, List *ids, const char *started_by,
						   TimestampTz deadline);
/* As due_run_server(), but goes on: see load_follow(). */
extern LoadFollowEnd due_follow_server(const char *server, List *ids, const char *started_by,
									   const char *fingerprint, const LoadFollower *follower);
extern void due_run_transform(int32 target_id, const char *started_by, List **done,
							  TimestampTz deadline);

#endif /* DEPIPE_RUN_DUE_H */
