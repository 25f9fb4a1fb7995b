/*-------------------------------------------------------------------------
 *
 * sent.h
 *		The columns that the source is asked to send.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_SENT_H
#define DEPIPE_LOAD_SENT_H

#include "load/task.h"

/*
 * Set sent of the table to the columns that its loads (of LoadTask) need
 * together.  It is NIL, which means all columns, if a list is not possible or
 * would make the source's own UPDATE and DELETE fail.
 */
extern void sent_choose_columns(Connection *control, SourceTable *table, List *tasks);

/*
 * A column that was added at the source after the copy of the load, that the
 * load would take, and that the present publication does not send; NULL if
 * there is none.  Changes of it have passed by already.
 */
extern char *sent_missed_column(Connection *control, const Stream *stream, const LoadTask *task);

#endif /* DEPIPE_LOAD_SENT_H */
