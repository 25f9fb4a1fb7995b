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
 * Name for slot and publication of a server: depipe_<database>_<server>_<id>.
 * The id depends on the seed (instance_seed) and the server's name alone: what
 * an aborted attempt has left is found again.
 */
extern char *source_object_name(const char *server_name, const char *seed);

/*
 * The state of a slot at the source, never NULL (see exists), in the current
 * memory context.  Raises the errors of source_query().
 */
extern SourceSlot *source_slot_describe(Connection *connection, const char *slot_name);
/* Of a permanent slot its position; 55P03 when a transaction is waited for longer (0: no limit). */
extern XLogRecPtr source_slot_create(Connection *connection, const char *slot_name, int wait_ms);

/*
 * Raise 55000 when a slot cannot be made now: on this same cluster, in a
 * transaction that has written, the source would wait for us for ever.
 */
extern void source_check_slot_possible(const Source *source);
extern void source_slot_drop(Connection *connection, const char *slot_name);

/*
 * Remove slot and publication of a server when this transaction commits; reports
 * the remainders in a WARNING when that fails.
 */
extern void source_remove_at_commit(const char *server_name, const Stream *stream);

/* The slot is made again in this transaction: it stays. */
extern void source_keep_slot(const char *slot_name);

#endif /* DEPIPE_LOAD_SLOT_H */
