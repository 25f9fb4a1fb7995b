/*-------------------------------------------------------------------------
 *
 * watch.h
 *		Noticing changes of a target that publish did not make.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_WATCH_H
#define DEPIPE_QUALITY_WATCH_H

#include "catalog/target.h"

/*
 * Let direct changes of the target's table be noted from now on, if that can be done.
 * The caller has locked it against writers.
 */
extern void watch_begin(Target *target);

/*
 * What the table is: its file, its columns and the triggers that note direct changes.  A
 * text, which differs from an earlier one if anything can have been done to
 * the rows that no trigger has noted.  NULL: this table cannot be watched, or is not.
 */
extern char *watch_fingerprint(const Target *target);

/* The triggers are dropped with the definition that they served, unless the table is in use. */
extern void watch_end(const Target *target);

/*
 * Note that somebody writes the table, for whoever keeps state of it: at once, and
 * without waiting for others who do the same.
 */
extern void watch_note_write(Oid relid);

/* The notes of the table have been heeded and deleted. */
extern void watch_forget_notes(Oid relid);

#endif /* DEPIPE_QUALITY_WATCH_H */
