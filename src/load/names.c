/*-------------------------------------------------------------------------
 *
 * names.c
 *		Lists of names of columns.
 *
 *-------------------------------------------------------------------------
 */
#include "load/names.h"

#include "lib/stringinfo.h"

bool
names_contain(const List *names, const char *name)
{
	ListCell *cell;

	foreach(cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

List *
names_add(List *names, const char *name)
{
	return names_contain(names, name) ? names : lappend(names, pstrdup(name));
}

char *
names_text(const List *names)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	foreach(cell, names)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", (char *) lfirst(cell));
	return text.data;
}
