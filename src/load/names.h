/*-------------------------------------------------------------------------
 *
 * names.h
 *		Lists of names of columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_NAMES_H
#define DEPIPE_LOAD_NAMES_H

#include "depipe.h"
#include "nodes/pg_list.h"

/* All of these are lists of C strings. */
extern bool names_contain(const List *names, const char *name);

/* Append a copy of the name to the list, unless it is there. */
extern List *names_add(List *names, const char *name);

/* "a, b, c"; "" for NIL. */
extern char *names_text(const List *names);

#endif /* DEPIPE_LOAD_NAMES_H */
