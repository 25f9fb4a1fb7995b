/*-------------------------------------------------------------------------
 *
 * layout.h
 *		The columns of a target, and the expressions that fill them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_LAYOUT_H
#define DEPIPE_LOAD_LAYOUT_H

#include "load/task.h"

/* Create the target of a load, or add the columns that it lacks; sets the columns of the task. */
extern void layout_prepare_target(Connection *control, LoadTask *task);

/* Add one column of the source to the target.  Within SPI, as its owner. */
extern void layout_add_column(Connection *control, LoadTask *task, const char *column_name);

/*
 * Rows of the source with types of this database (lists of names and names of
 * types).  Raises 42704 for a type that does not exist here.
 */
extern TupleDesc layout_of_source(List *names, List *type_names);

/* The columns of a streaming load: the recorded ones that the target has. */
extern void layout_take_recorded(LoadTask *task);

#endif /* DEPIPE_LOAD_LAYOUT_H */
