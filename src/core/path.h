/*-------------------------------------------------------------------------
 *
 * path.h
 *		The search_path under which the texts of a definition were written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CORE_PATH_H
#define DEPIPE_CORE_PATH_H

#include "depipe.h"
#include "nodes/pg_list.h"
#include "utils/array.h"

/*
 * The argument "settings" of a function whose texts are analysed later.
 * Returns the list that settings_argument() returns, with "search_path=..." at
 * its end: the path given, or else the session's.  Raises the errors of
 * settings_argument(), 42601 and 3F000.
 */
extern List *path_settings_argument(bool isnull, Datum value);

/* The settings without the path. */
extern List *path_leave_out(List *settings);

/* The path among the settings, as SQL text; NULL if there is none. */
extern const char *path_of_settings(List *settings);

/*
 * Raise 3F000 unless the schemas of the path exist, and 42501 unless the role
 * may use them.  Otherwise names would silently be found in other schemas.
 * NULL stands for no path.
 */
extern void path_check(const char *path, Oid role);

/* Set search_path to the path.  Needs a GUC nest level opened by the caller. */
extern void path_enter(const char *path);

#endif /* DEPIPE_CORE_PATH_H */
