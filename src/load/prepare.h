/*-------------------------------------------------------------------------
 *
 * prepare.h
 *		The beginning of a run: the source, its publication, and its slot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_PREPARE_H
#define DEPIPE_LOAD_PREPARE_H

#include "load/session.h"

/*
 * Connect, examine the source and its tables, create publication and slot if
 * they are missing, and check that the stream continues where it ended.  Raises
 * errors of the whole server; tables that cannot continue are stopped.  Writes
 * nothing; prepare_record() writes the results.
 */
extern void prepare_session(LoadSession *session);
extern void prepare_record(LoadSession *session);

/*
 * Connect beside a session that follows the stream; writes nothing there.
 * Returns the reason why that is not possible now, or NULL.
 */
extern char *prepare_beside(LoadSession *session);

/*
 * Does each streaming source table still exist, published and with unchanged
 * columns?  The stream does not report that a table is dropped or created
 * again, or that the length of a column changes.
 */
extern bool prepare_tables_are_there(LoadSession *session);

#endif /* DEPIPE_LOAD_PREPARE_H */
