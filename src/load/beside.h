/*-------------------------------------------------------------------------
 *
 * beside.h
 *		Copies beside the stream that another process follows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_BESIDE_H
#define DEPIPE_LOAD_BESIDE_H

#include "depipe.h"

/*
 * Copy some of the waiting tables of a server beside the stream that another
 * process follows, and let them join it.  Runs in a transaction of
 * transaction_begin_worker(), which is committed on the way.  must_end() is
 * called outside of any work on a table.  Returns false if nothing (more) can
 * be done now.
 */
extern bool load_copy_beside(const char *server, bool (*must_end)(void));

#endif /* DEPIPE_LOAD_BESIDE_H */
