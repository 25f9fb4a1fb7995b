/*-------------------------------------------------------------------------
 *
 * due.h
 *		Due work, and one pass over it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_RUN_DUE_H
#define DEPIPE_RUN_DUE_H

#include "depipe.h"
#include "load/follow.h"
#include "nodes/pg_list.h"
#include "utils/timestamp.h"

/*
 * These functions, except due_next(), commit and need a non-atomic context
 * (core/transaction.h).
 */

/*
 * Make one pass over all due work that the current user may operate.  No new
 * work begins after the deadline.  is_served: does a worker take care of this
 * server, which is then left out (NULL: no server)?  Returns false if another
 * pass is running.
 */
typedef bool (*ServerIsServed)(const char *server);
extern bool due_pass(const char *started_by, TimestampTz deadline, ServerIsServed is_served);

/*
 * The time at which the next work in this database is due.  A time that is not
 * in the future means now; DT_NOEND means never.  Servers for which is_served
 * (may be NULL) returns true do not count; their workers use
 * server_next_work().
 */
extern TimestampTz due_next(ServerIsServed is_served);

/*
 * The parts of a pass.  Housekeeping: expired pauses and overrides, crashed
 * runs, old history.  Checks: time checks, pending keys, incidents and probes
 * of tables.  Then the loads of one server (ids), and a transform after the
 * transforms that it reads.  done: ids of the transforms that this pass has
 * already tried.
 */
extern void due_housekeeping(void);
extern void due_checks(TimestampTz deadline);
extern void due_run_server(const char *server, List *ids, const char *started_by,
						   TimestampTz deadline);
/*
 * Run the loads of a server as due_run_server() does, but keep following the
 * stream; see load_follow().
 */
extern LoadFollowEnd due_follow_server(const char *server, List *ids, const char *started_by,
									   const char *fingerprint, const LoadFollower *follower);
extern void due_run_transform(int32 target_id, const char *started_by, List **done,
							  TimestampTz deadline);

#endif /* DEPIPE_RUN_DUE_H */
