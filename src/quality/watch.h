/*-------------------------------------------------------------------------
 *
 * watch.h
 *		Detection of changes of a target that publish did not make.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_WATCH_H
#define DEPIPE_QUALITY_WATCH_H

#include "catalog/target.h"

/*
 * Note direct changes of the target's table from now on, if possible.  The
 * caller has locked it against writers.
 */
extern void watch_begin(Target *target);

/*
 * The fingerprint of the table: its file, its columns and the triggers that
 * note direct changes.  It is a text that differs from an earlier one if rows
 * may have changed without a note by a trigger.  NULL if this table cannot be
 * watched, or is not.
 */
extern char *watch_fingerprint(const Target *target);

/* Drop the triggers with the definition that they served, unless the table is in use. */
extern void watch_end(const Target *target);

/*
 * Note that a session writes the table, for its kept state: at once, and
 * without waiting for other sessions that do the same.
 */
extern void watch_note_write(Oid relid);

/* Delete the notes of the table: they were processed. */
extern void watch_forget_notes(Oid relid);

#endif /* DEPIPE_QUALITY_WATCH_H */
