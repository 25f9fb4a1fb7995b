/*-------------------------------------------------------------------------
 *
 * prepare.h
 *		The beginning of a run: the source, its publication, and its slot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_PREPARE_H
#define DEPIPE_LOAD_PREPARE_H

#include "catalog/instance.h"
#include "load/task.h"

struct LoadSession;

/* What was found, and made, at the beginning of a run. */
typedef struct Prepared
{
	Instance *instance;       /* NULL until prepared */
	char *foreign;            /* why the stream recorded here belongs to another database */
	char *lost;               /* why the stream cannot go on */
	bool made_stream;         /* by this run, not recorded yet */
	bool publication_changed; /* by this run */
	bool making_slot;         /* a failure was that of making the slot */
} Prepared;

/*
 * Connect, look at the source and its tables, make publication and slot where
 * they are missing, check that the stream goes on where it ended.  Raises errors
 * of the whole server; tables that cannot go on are stopped.  Writes
 * nothing; prepare_record() writes what was found.
 */
extern void prepare_session(struct LoadSession *session);
extern void prepare_record(struct LoadSession *session);

/*
 * Connect beside a session that follows the stream: writes nothing there.
 * Returns why that is not possible now, or NULL.
 */
extern char *prepare_beside(struct LoadSession *session);

/*
 * Is each source table whose changes are awaited still there, published, and
 * of the columns that it had?  The stream does not report that a table is
 * dropped, or made again, or that the length of a column changes.
 */
extern bool prepare_tables_are_there(struct LoadSession *session);

#endif /* DEPIPE_LOAD_PREPARE_H */
