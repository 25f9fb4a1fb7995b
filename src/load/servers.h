/*-------------------------------------------------------------------------
 *
 * servers.h
 *		Servers that loads need no more, or that are dropped, renamed or altered.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_SERVERS_H
#define DEPIPE_LOAD_SERVERS_H

#include "depipe.h"

/*
 * Forget the stream of a server (or NULL) that has no loads any more: slot and
 * publication go as well.  Waits for a run that reads the stream.
 */
extern void servers_forget_unused(const char *server_name);

#endif /* DEPIPE_LOAD_SERVERS_H */
