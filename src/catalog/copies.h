/*-------------------------------------------------------------------------
 *
 * copies.h
 *		Copies of tables in depipe's own tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_COPIES_H
#define DEPIPE_CATALOG_COPIES_H

#include "catalog/statement.h"
#include "nodes/pg_list.h"

/* Fourth field of the advisory lock of a copy; the third is the target's id. */
#define COPY_LOCK_SPACE 25714
#define COPY_LOCK_SPACE_TEXT "25714"

/* Pairs of relids, of these, that a foreign key joins. */
extern CatalogRows *foreign_keys_between(List *relids);

/* What loads (ids) that are being copied wait for; NULL: nothing. */
extern void copies_set_reason(List *target_ids, const char *reason);

/*
 * Why a copy that goes on, in this transaction, is not wanted any more, or is
 * to give way to somebody who waits for it; NULL: it is.
 */
extern char *copy_unwanted(int32 target_id);

/* A load that was copied joins the stream at a position; false: it is not wanted any more. */
extern bool copy_join_stream(int32 target_id, XLogRecPtr position);

/*
 * Columns of copies_waiting(): loads of a server that are to be copied and that
 * nobody copies; also those that are not due, for they have failed before.
 */
#define WAITING_TARGET_ID 1
#define WAITING_SCHEMA 2
#define WAITING_TABLE 3
#define WAITING_RELID 4
#define WAITING_FAILURES 5
#define WAITING_IS_DUE 6

extern CatalogRows *copies_waiting(const char *server_name);

/* Of each server: how many loads are due to be copied, and when the first is (or will be). */
#define COPIES_SERVER 1
#define COPIES_COUNT 2
#define COPIES_AT 3

extern CatalogRows *copies_next(void);

#endif /* DEPIPE_CATALOG_COPIES_H */
