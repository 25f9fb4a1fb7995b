/*-------------------------------------------------------------------------
 *
 * publication.h
 *		Which columns of its tables the source is asked to send.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_PUBLICATION_H
#define DEPIPE_LOAD_PUBLICATION_H

#include "load/session.h"

/*
 * Set sent of the table to the columns that the loads of it need together (of
 * LoadTask); NIL, which is all columns, where a list is not possible or would
 * make the source's own UPDATE and DELETE fail.
 */
extern void publication_choose_columns(LoadSession *session, SourceTable *table, List *tasks);

/*
 * A column that the source has got since the load was copied, that the load
 * would take, and that the publication as it is now does not send; NULL: none.
 * Changes of it have passed by already.
 */
extern char *publication_missed_column(LoadSession *session, const LoadTask *task);

#endif /* DEPIPE_LOAD_PUBLICATION_H */
