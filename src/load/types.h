/*-------------------------------------------------------------------------
 *
 * types.h
 *		Types of the source's columns, here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_TYPES_H
#define DEPIPE_LOAD_TYPES_H

#include "load/task.h"

/* Is there a type of this name (as the source writes it) here? */
extern bool type_exists_here(const char *type_name);

/*
 * The type of a column as this database writes it, for a statement; makes an
 * enum type that is missing.  Within SPI.  Raises 42704 for another one.
 */
extern char *type_here(Connection *control, const SourceColumn *column);

/*
 * Would the target's column round or cut values of the source's?  Returns that
 * as a sentence, and the source's type for a statement; NULL when it holds them,
 * or there is no such column.  A type that is missing here is not resolved:
 * nothing is known of it.
 */
extern char *type_too_narrow(LoadTask *task, const char *name, char **source_type);

/* Raise 42804 when a column of the target would round or cut values of the source. */
extern void types_check(LoadTask *task);

/* Raises 42804 when the target takes keys for equal that the source tells apart. */
extern void types_check_key(LoadTask *task);

#endif /* DEPIPE_LOAD_TYPES_H */
