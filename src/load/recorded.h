/*-------------------------------------------------------------------------
 *
 * recorded.h
 *		The recorded columns of a source table, and differences from them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_RECORDED_H
#define DEPIPE_LOAD_RECORDED_H

#include "load/task.h"

typedef struct RecordedColumn
{
	char *name;
	int number; /* 0: not known */
	Oid type;
	char *type_name;
} RecordedColumn;

/* The columns that were recorded for a load, and their names. */
extern List *recorded_columns(const Load *load);
extern List *recorded_names(const Load *load);

/* One of them; NULL: there is none of that name. */
extern RecordedColumn *recorded_find(List *columns, const char *name);

/* A column of the load that the source has dropped and made again; NULL: none. */
extern char *recorded_replaced_column(const LoadTask *task);

/*
 * Length, precision, scale, or type of a column of the load are others than
 * recorded, as a sentence; NULL: none.  The first three are in no message.
 */
extern char *recorded_retyped_column(LoadTask *task);

/*
 * How the names and types of a message contradict the recorded columns that the
 * load takes, as a sentence; NULL: they do not.
 */
extern char *recorded_contradiction(LoadTask *task, List *recorded, List *names, List *types);

/* The names that were not recorded. */
extern List *recorded_added(List *recorded, List *names);

/* Is there a contradiction, or an addition? */
extern bool recorded_differs(LoadTask *task, List *names, List *types);

/* The JSON to record after a change: all columns of the message. */
extern char *recorded_to_json(LoadTask *task, List *recorded, List *names, List *types);

/* What to do about columns that differ, then "SELECT depipe.resync(...);" */
extern char *recorded_hint(const LoadTask *task);

#endif /* DEPIPE_LOAD_RECORDED_H */
