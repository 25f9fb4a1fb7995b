/*-------------------------------------------------------------------------
 *
 * settled.h
 *		The settled meaning of filters and expressions of a load.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_SETTLED_H
#define DEPIPE_LOAD_SETTLED_H

#include "depipe.h"
#include "access/tupdesc.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"

/* One text of a definition. */
typedef struct SettledText
{
	const char *of;   /* what it is the text of */
	const char *text; /* as the definition has it */
	const char *sql;  /* the text that runs for it under the pinned path */
	List *inputs;     /* the columns of the source that it reads: "name type", as strings */
} SettledText;

/* Read from load_state; in the current memory context. */
extern List *settled_read(List *kept);

/* The other way round. */
extern List *settled_write(List *texts);

/* The settled form of the text for inputs with the types that source has; or NULL. */
extern const SettledText *settled_find(List *texts, const char *of, const char *text,
									   TupleDesc source);

/* inputs: numbers of the columns of the source, from 0. */
extern SettledText *settled_make(const char *of, const char *text, const char *sql,
								 TupleDesc source, Bitmapset *inputs);

#endif /* DEPIPE_LOAD_SETTLED_H */
