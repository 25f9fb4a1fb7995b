/*-------------------------------------------------------------------------
 *
 * slot.h
 *		The replication slot of a server at its source.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_SLOT_H
#define DEPIPE_LOAD_SLOT_H

#include "catalog/loads.h"
#include "load/source.h"

/* State of a slot at the source. */
typedef struct SourceSlot
{
	bool exists;
	bool active;
	bool lost;
	char *lost_reason;
	XLogRecPtr confirmed;
	int64 retained_bytes; /* -1: unknown */
	int64 safe_wal_size;  /* -1: no limit */
} SourceSlot;

/*
 * The name of slot and publication of a server:
 * depipe_<database>_<server>_<id>. The id depends only on the seed
 * (instance_seed) and the name of the server: leftovers of an aborted attempt
 * are found again.
 */
extern char *source_object_name(const char *server_name, const char *seed);

/*
 * The state of a slot at the source, never NULL (see exists), in the current
 * memory context.  Raises the errors of source_query().
 */
extern SourceSlot *source_slot_describe(Connection *connection, const char *slot_name);
/*
 * Create a permanent slot and return its position.  Raises 55P03 if the wait
 * for a transaction lasts longer than wait_ms (0: no limit).
 */
extern XLogRecPtr source_slot_create(Connection *connection, const char *slot_name, int wait_ms);

/*
 * Raise 55000 if a slot cannot be created now: if the source is this cluster,
 * and this transaction has written, the source would wait for it forever.
 */
extern void source_check_slot_possible(const Source *source);
extern void source_slot_drop(Connection *connection, const char *slot_name);

/*
 * Remove slot and publication of a server when this transaction commits.  If
 * that fails, a WARNING reports the leftovers.
 */
extern void source_remove_at_commit(const char *server_name, const Stream *stream);

/* The slot is created again in this transaction: keep it. */
extern void source_keep_slot(const char *slot_name);

#endif /* DEPIPE_LOAD_SLOT_H */
