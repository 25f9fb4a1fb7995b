/*-------------------------------------------------------------------------
 *
 * servers.h
 *		Servers that loads no longer need, or that are dropped, renamed or
 *		altered.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_SERVERS_H
#define DEPIPE_LOAD_SERVERS_H

#include "depipe.h"

/*
 * Forget the stream of a server (or NULL) without loads: slot and publication
 * are dropped as well.  Waits for a run that reads the stream.
 */
extern void servers_forget_unused(const char *server_name);

#endif /* DEPIPE_LOAD_SERVERS_H */
