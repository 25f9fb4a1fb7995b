/*-------------------------------------------------------------------------
 *
 * sent.c
 *		The columns that the source is asked to send.
 *
 * A column that no load takes does not leave the source: the table is published
 * with a list of columns (sources from 15 on).  The list includes the columns of
 * the replica identity, without which the source would refuse its own UPDATE
 * and DELETE. Under identity FULL these are all columns, and there is no list.
 *
 * A load with expressions or a filter takes the columns that they mention.  The
 * search for these in the text may find too many but never too few: the
 * expressions are analysed over the columns that are sent, and one that needs
 * another column is an error.
 *
 * While a list is in force, the stream does not announce a column that is added
 * at the source, and its changes pass by until the list includes it.  Such a
 * table needs a resync, and reports that.
 *
 *-------------------------------------------------------------------------
 */
#include "load/sent.h"

#include "load/names.h"
#include "load/publication.h"
#include "load/recorded.h"

#define FIRST_WITH_LISTS 150000

/* A streaming load takes the columns of its copy. */
static List *
needed_columns(const LoadTask *task, List *names)
{
	ListCell *cell;

	if (task->load->state == LOAD_STREAMING)
	{
		foreach(cell, recorded_names(task->load))
			if (projection_needs(task->load, lfirst(cell)) &&
				source_table_column(task->source, lfirst(cell)) != NULL)
				names = names_add(names, lfirst(cell));
		return names;
	}
	foreach(cell, task->source->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (!column->generated && projection_needs(task->load, column->name))
			names = names_add(names, column->name);
	}
	return names;
}

void
sent_choose_columns(Connection *control, SourceTable *table, List *tasks)
{
	List *names = NIL;
	int sendable = 0;
	ListCell *cell;

	table->sent = NIL;
	if (control->version < FIRST_WITH_LISTS || source_table_full(table))
		return;
	foreach(cell, tasks)
	{
		const LoadTask *task = lfirst(cell);

		if (projection_left_out(task->load) == NIL)
			return;
		names = needed_columns(task, names);
	}
	foreach(cell, table->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (column->identity || column->primary_key > 0)
			names = names_add(names, column->name);
		if (!column->generated)
			sendable++;
	}
	if (list_length(names) < sendable)
		table->sent = names;
}

char *
sent_missed_column(Connection *control, const Stream *stream, const LoadTask *task)
{
	List *recorded = recorded_names(task->load);
	List *sent;
	ListCell *cell;

	if (control->version < FIRST_WITH_LISTS || projection_left_out(task->load) == NIL ||
		task->load->new_columns == NEW_COLUMNS_IGNORE)
		return NULL;
	sent = source_publication_columns(control, stream->publication, task->source);
	foreach(cell, task->source->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (!column->generated && projection_needs(task->load, column->name) &&
			!names_contain(recorded, column->name) && !names_contain(sent, column->name))
			return column->name;
	}
	return NULL;
}
