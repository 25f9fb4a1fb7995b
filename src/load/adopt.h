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

/* The reason of a load that has no slot of its own and no other reason. */
#define DETACHED_REASON "restored from a dump or detached by hand: it has no slot of its own"

/* "SELECT depipe.adopt('shop');" */
extern char *adopt_hint(const char *server_name);

/*
 * Raise 55000 with that hint if a load is detached, or if its stream belongs to
 * another database.
 */
extern void adopt_check_attached(const Load *load);

/*
 * Does the stream belong to this database?  That of another database is never
 * removed at the source.
 */
extern bool adopt_owns_stream(const Stream *stream);

#endif /* DEPIPE_LOAD_ADOPT_H */
