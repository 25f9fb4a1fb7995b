/*-------------------------------------------------------------------------
 *
 * types.h
 *		Types of the source's columns in this database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_TYPES_H
#define DEPIPE_LOAD_TYPES_H

#include "load/task.h"

/* Does a type of this name (as the source writes it) exist here? */
extern bool type_exists_here(const char *type_name);

/*
 * The type of a column as this database writes it, for a statement.  Creates a
 * missing enum type; raises 42704 for any other missing type.  To be called
 * within SPI.
 */
extern char *type_here(Connection *control, const SourceColumn *column);

/*
 * Would the column of the target round or truncate values of the source?
 * Returns that as a sentence, with the source's type for a statement; NULL if
 * it holds them, or if there is no such column.  A type that does not exist
 * here is not resolved: nothing is known about it.
 */
extern char *type_too_narrow(LoadTask *task, const char *name, char **source_type);

/* Raise 42804 if a column of the target would round or truncate values of the source. */
extern void types_check(LoadTask *task);

/* Raise 42804 if the target treats keys as equal that the source distinguishes. */
extern void types_check_key(LoadTask *task);

#endif /* DEPIPE_LOAD_TYPES_H */
