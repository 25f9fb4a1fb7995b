/*-------------------------------------------------------------------------
 *
 * statements.h
 *		The SQL texts that write a delta to its target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_STATEMENTS_H
#define DEPIPE_PUBLISH_STATEMENTS_H

#include "publish/execute.h"

/* MERGE of the new images of a keyed delta or, with with_deletions, of all of it. */
extern char *merge_sql(ApplyTable *table, bool with_deletions);

/* MERGE that writes nothing: it verifies that the keys of the target agree with the changes. */
extern char *check_sql(Target *target, Delta *delta);

/* Deletions of a keyed delta or, with all_keys, of every key of it. */
extern char *delete_sql(Target *target, Delta *delta, bool all_keys);

/* Insert new images whose key has no row in the target. */
extern char *insert_sql(ApplyTable *table);

/* Delete as many copies of each image of a bag as the delta removes. */
extern char *delete_copies_sql(const ApplyTable *table);

/*
 * The rows that the target holds of the keys of a keyed delta, or with new_only of its
 * new images, as rows of Changes with this weight.
 */
extern char *images_sql(const ApplyTable *table, TupleDesc changes, int weight, bool new_only);

/* Join condition of target t and delta d; also hashable if keys may be null. */
extern void statement_append_key_match(StringInfo sql, Delta *delta);

/*
 * "name = d.name, ..." for the columns that an update of a row sets, after the
 * separator.  Returns false if there are none.
 */
extern bool statement_append_assignments(StringInfo sql, Delta *delta, const char *separator);

/* ORDER BY of delta d, by these numbers of columns; nothing for NIL. */
extern void statement_append_order(StringInfo sql, const Delta *delta, const List *key_order);

/* Returns a row if a new image changes this column (from 0) of an existing row. */
extern char *changed_values_sql(const ApplyTable *table, int column);

#endif /* DEPIPE_PUBLISH_STATEMENTS_H */
