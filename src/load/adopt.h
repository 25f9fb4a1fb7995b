/*-------------------------------------------------------------------------
 *
 * adopt.h
 *		Loads of a database that was restored or copied.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_ADOPT_H
#define DEPIPE_LOAD_ADOPT_H

#include "catalog/loads.h"

/* The reason of a load without a slot of its own that has no other. */
#define DETACHED_REASON "restored from a dump or detached by hand: it has no slot of its own"

/* "SELECT depipe.adopt('shop');" */
extern char *adopt_hint(const char *server_name);

/* Raise 55000 with that hint when a load is detached, or its stream another database's. */
extern void adopt_check_attached(const Load *load);

/* Is the stream this database's own?  Another database's is never removed at the source. */
extern bool adopt_owns_stream(const Stream *stream);

#endif /* DEPIPE_LOAD_ADOPT_H */
