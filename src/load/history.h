/*-------------------------------------------------------------------------
 *
 * history.h
 *		The columns that a history adds to the target of a load.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_HISTORY_H
#define DEPIPE_LOAD_HISTORY_H

#include "load/task.h"

/* Returns true if the history of the load uses a column of this name. */
extern bool history_uses_column(const Load *load, const char *name);

/*
 * Raise an error if the load cannot keep its history: it has no key (42P16),
 * or one of its columns has the name of a history column (42701).
 */
extern void history_check_definition(const LoadTask *task);

/*
 * Raise an error if the existing target lacks a history column (42703), or has
 * one of another type (42804).
 */
extern void history_check_target(const LoadTask *task);

/* Append the history columns, or the history's part of the key, to CREATE TABLE. */
extern void history_append_columns(StringInfo sql, const LoadTask *task);
extern void history_append_key(StringInfo sql, const LoadTask *task);

/* Returns the statement that creates the index that a new table needs, or NULL if it needs none. */
extern char *history_index_sql(const LoadTask *task);

/*
 * Returns the statement that adds the history columns that an existing table
 * lacks, or NULL if it lacks none.  Raises the errors of
 * history_check_target() if a column cannot be added.
 */
extern char *history_missing_sql(const LoadTask *task);

#endif /* DEPIPE_LOAD_HISTORY_H */
