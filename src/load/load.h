/*-------------------------------------------------------------------------
 *
 * load.h
 *		Definitions of loads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_LOAD_H
#define DEPIPE_LOAD_LOAD_H

#include "depipe.h"

/* The name of the server of a load; NULL if it has none. */
extern char *load_server(int32 target_id);

#endif /* DEPIPE_LOAD_LOAD_H */
