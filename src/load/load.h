/*-------------------------------------------------------------------------
 *
 * load.h
 *		Definitions of loads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_LOAD_H
#define DEPIPE_LOAD_LOAD_H

#include "catalog/loads.h"

/*
 * Let the next run copy the source of a load again.  Raises 42501 unless the
 * current user may operate it, 55000 if it is detached.
 */
extern void load_request_resync(Load *load);

/* The name of the server of a load; NULL if it has none. */
extern char *load_server(int32 target_id);

#endif /* DEPIPE_LOAD_LOAD_H */
