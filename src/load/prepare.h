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

/* The results of the beginning of a run. */
typedef struct Prepared
{
	Instance *instance;       /* NULL until prepared */
	char *foreign;            /* the reason why the recorded stream belongs to another database */
	char *lost;               /* why the stream cannot go on */
	bool made_stream;         /* by this run, not recorded yet */
	bool publication_changed; /* by this run */
	bool making_slot;         /* the creation of the slot failed */
} Prepared;

/*
 * Connect, examine the source and its tables, create publication and slot if
 * they are missing, and check that the stream continues where it ended.  Raises
 * errors of the whole server; tables that cannot continue are stopped.  Writes
 * nothing; prepare_record() writes the results.
 */
extern void prepare_session(struct LoadSession *session);
extern void prepare_record(struct LoadSession *session);

/*
 * Connect beside a session that follows the stream; writes nothing there.
 * Returns the reason why that is not possible now, or NULL.
 */
extern char *prepare_beside(struct LoadSession *session);

/*
 * Does each streaming source table still exist, published and with unchanged
 * columns?  The stream does not report that a table is dropped or created
 * again, or that the length of a column changes.
 */
extern bool prepare_tables_are_there(struct LoadSession *session);

#endif /* DEPIPE_LOAD_PREPARE_H */
