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

/* Does the history of the load use a column of this name? */
extern bool history_uses_column(const Load *load, const char *name);

/*
 * Raise an error if the load cannot keep its history: it has no key (42P16), or
 * a column of its own has the name of one of the history's (42701).
 */
extern void history_check_definition(const LoadTask *task);

/*
 * Raise an error if the existing target lacks a column of the history (42703),
 * or has one of another type (42804).
 */
extern void history_check_target(const LoadTask *task);

/* Append the columns, and the part of the key, to CREATE TABLE. */
extern void history_append_columns(StringInfo sql, const LoadTask *task);
extern void history_append_key(StringInfo sql, const LoadTask *task);

/* The statement for what else a new table needs; NULL: nothing. */
extern char *history_index_sql(const LoadTask *task);

/*
 * The statement that adds what an existing table lacks; NULL: nothing.  Raises
 * the errors of history_check_target() for what cannot be added.
 */
extern char *history_missing_sql(const LoadTask *task);

#endif /* DEPIPE_LOAD_HISTORY_H */
