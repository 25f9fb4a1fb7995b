/*-------------------------------------------------------------------------
 *
 * sent.h
 *		The columns of its tables that the source is asked to send.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_SENT_H
#define DEPIPE_LOAD_SENT_H

#include "load/task.h"

/*
 * Set sent of the table to the columns that the loads of it need together (of
 * LoadTask); NIL, which is all columns, where a list is not possible or would
 * make the source's own UPDATE and DELETE fail.
 */
extern void sent_choose_columns(Connection *control, SourceTable *table, List *tasks);

/*
 * A column that the source has got since the load was copied, that the load
 * would take, and that the publication as it is now does not send; NULL: none.
 * Changes of it have passed by already.
 */
extern char *sent_missed_column(Connection *control, const Stream *stream, const LoadTask *task);

#endif /* DEPIPE_LOAD_SENT_H */
