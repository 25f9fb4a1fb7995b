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

/* Make the target of a load, or add what it lacks; sets the task's columns. */
extern void layout_prepare_target(Connection *control, LoadTask *task);

/* Add one column of the source to the target.  Within SPI, as its owner. */
extern void layout_add_column(Connection *control, LoadTask *task, const char *column_name);

/* The columns of a load that streams: those recorded, as far as the target has them. */
extern void layout_take_recorded(LoadTask *task);

#endif /* DEPIPE_LOAD_LAYOUT_H */
