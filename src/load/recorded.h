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

/* The recorded columns of a load, and their names. */
extern List *recorded_columns(const Load *load);
extern List *recorded_names(const Load *load);

/* The one of this name; NULL if there is none. */
extern RecordedColumn *recorded_find(List *columns, const char *name);

/* A column of the load that the source dropped and created again; NULL if there is none. */
extern char *recorded_replaced_column(const LoadTask *task);

/*
 * A difference in length, precision, scale or type of a column of the load from
 * the recorded one, as a sentence; NULL if there is none.  The first three are
 * in no message.
 */
extern char *recorded_retyped_column(LoadTask *task);

/*
 * A contradiction between the names and types of a message and the recorded
 * columns that the load takes, as a sentence; NULL if there is none.
 */
extern char *recorded_contradiction(LoadTask *task, List *recorded, List *names, List *types);

/* The names that were not recorded. */
extern List *recorded_added(List *recorded, List *names);

/* Is there a contradiction, or an addition? */
extern bool recorded_differs(LoadTask *task, List *names, List *types);

/* The JSON to record after a change: all columns of the message. */
extern char *recorded_to_json(LoadTask *task, List *recorded, List *names, List *types);

/* The hint for columns that differ, followed by "SELECT depipe.resync(...);" */
extern char *recorded_hint(const LoadTask *task);

#endif /* DEPIPE_LOAD_RECORDED_H */
