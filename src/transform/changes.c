/*-------------------------------------------------------------------------
 *
 * changes.c
 *		The changes of the inputs of a transform since its frontier.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/changes.h"

InputChanges *
changes_of(List *changes, Oid relid)
{
	ListCell *cell;

	foreach(cell, changes)
	{
		InputChanges *input = lfirst(cell);

		if (input->relid == relid)
			return input;
	}
	return NULL;
}

InputChanges *
changes_first_unknown(List *changes)
{
	ListCell *cell;

	foreach(cell, changes)
	{
		InputChanges *input = lfirst(cell);

		if (input->reason_code != NULL)
			return input;
	}
	return NULL;
}
