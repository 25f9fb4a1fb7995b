/*-------------------------------------------------------------------------
 *
 * instance.h
 *		Which database this is, so that a copy of it is told from the original.
 *
 * A dump does not carry progress.  A copied data directory, a database made
 * from a template and an upgraded cluster do: with it the name of a slot that
 * another database may be reading.  So the row depipe.instance says where the
 * streams recorded here were made, and is compared with where we are: the
 * identifier of the system, the database, and the file PG_VERSION of the data
 * directory (its inode: another one in a copy).  A standby that was promoted
 * has another data directory, too, but also a later timeline: it is the
 * original, which has moved, and the row follows.
 *
 * What cannot be told from the original is a copy of the disk's blocks, and a
 * copy that was recovered to a timeline of its own, as a standby is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_INSTANCE_H
#define DEPIPE_CATALOG_INSTANCE_H

#include "catalog/statement.h"
#include "catalog/loads.h"

typedef struct Instance
{
	char *id;      /* a UUID as text: streams that were made here have it */
	char *foreign; /* why the row is that of another database; NULL: it is ours */
	bool moved;    /* ours, but the row is to follow */
} Instance;

/* Read the row and compare it; writes nothing. */
extern Instance *instance_get(void);

/* Why a stream is not this database's; NULL when it is. */
extern char *instance_foreign_stream(const Instance *instance, const Stream *stream);

/* From now on this is a database of its own: a new id, and where we are.  Sets *instance. */
extern void instance_renew(Instance *instance);

/* The same database somewhere else: the id stays.  Sets instance->moved. */
extern void instance_follow(Instance *instance);

/*
 * Text that differs between this database and any other, as far as it is
 * known: for the names of slots.
 */
extern char *instance_seed(const Instance *instance);

#endif /* DEPIPE_CATALOG_INSTANCE_H */
