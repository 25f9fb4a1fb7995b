/*-------------------------------------------------------------------------
 *
 * instance.h
 *		The identity of this database, which distinguishes a copy from the
 *		original.
 *
 * A dump does not contain the progress of streams.  A copied data directory, a
 * database created from a template and an upgraded cluster do contain it, and
 * with it the name of a slot that another database may be reading.  So the row
 * depipe.instance records where the streams in this database were created: the
 * system identifier, the database OID, and the inode of the data directory's
 * file PG_VERSION, which differs in a copy.  It is compared with the present
 * values.  A promoted standby has another data directory as well, but also a
 * later timeline: it is the original at a new place, and the row is updated.
 *
 * Two kinds of copies cannot be distinguished from the original: a block-level
 * copy of the disk, and a copy that was recovered to a timeline of its own, as
 * a standby is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_INSTANCE_H
#define DEPIPE_CATALOG_INSTANCE_H

#include "catalog/statement.h"
#include "catalog/loads.h"

typedef struct Instance
{
	char *id;      /* a UUID as text; streams created here have it */
	char *foreign; /* why the row belongs to another database; NULL: it is ours */
	bool moved;    /* ours, but the row must be updated */
} Instance;

/* Read the row and compare it with the present identity.  Writes nothing. */
extern Instance *instance_get(void);

/* The reason why a stream does not belong to this database; NULL if it does. */
extern char *instance_foreign_stream(const Instance *instance, const Stream *stream);

/* Make this a database of its own: store a new id and the present identity.  Sets *instance. */
extern void instance_renew(Instance *instance);

/*
 * Store the present identity of a database that has moved, and keep its id.
 * Clears instance->moved.
 */
extern void instance_follow(Instance *instance);

/*
 * A text that differs between this database and any other, as far as possible.
 * It goes into the names of slots.
 */
extern char *instance_seed(const Instance *instance);

#endif /* DEPIPE_CATALOG_INSTANCE_H */
