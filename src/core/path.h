/*-------------------------------------------------------------------------
 *
 * path.h
 *		The search_path under which texts of a definition were written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PATH_H
#define DEPIPE_PATH_H

#include "depipe.h"
#include "nodes/pg_list.h"
#include "utils/array.h"

/*
 * The argument "settings" of a function whose texts are analysed later: what
 * settings_argument() returns and, at its end, "search_path=...", which is that
 * of the session where none is given.  Raises also 42601 and 3F000.
 */
extern List *path_settings_argument(bool isnull, Datum value);

/* The settings without the path. */
extern List *path_leave_out(List *settings);

/* The path among settings, as SQL text; NULL: they have none. */
extern const char *path_of_settings(List *settings);

/*
 * Raise 3F000 or 42501 unless the schemas of the path are there and the role
 * may use them: names would be found in other ones, silently.  NULL is no path.
 */
extern void path_check(const char *path, Oid role);

/* In a GUC nest level that the caller has opened. */
extern void path_enter(const char *path);

#endif /* DEPIPE_PATH_H */
