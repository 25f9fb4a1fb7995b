/*-------------------------------------------------------------------------
 *
 * publication.c
 *		Which columns of its tables the source is asked to send.
 *
 * What no load takes does not leave the source: the table is published with a
 * list of columns (sources from 15 on).  The list has the columns of the
 * replica identity, without which the source would refuse its own UPDATE and
 * DELETE; under identity FULL that is all of them, and there is no list.
 *
 * A load with expressions or a filter takes what they mention.  That is
 * looked for in the text, which may find too much and never too little: the
 * expressions are analysed over the columns that are sent, and one that needs
 * another is an error.
 *
 * With a list in force a column that is added at the source is not announced
 * by the stream, and its changes pass by until the list has it.  Such a table
 * needs a resync, and says so.
 *
 *-------------------------------------------------------------------------
 */
#include "load/publication.h"

#include "load/evolve.h"
#include "load/projection.h"

#define FIRST_WITH_LISTS 150000

static List *
add_name(List *names, const char *name)
{
	ListCell *cell;

	foreach(cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return names;
	return lappend(names, pstrdup(name));
}

/* A load that streams takes what it was copied with. */
static List *
needed_columns(const LoadTask *task, List *names)
{
	ListCell *cell;

	if (task->load->state == LOAD_STREAMING)
	{
		foreach(cell, evolve_recorded_names(task->load))
			if (projection_needs(task->load, lfirst(cell)) &&
				source_table_column(task->source, lfirst(cell)) != NULL)
				names = add_name(names, lfirst(cell));
		return names;
	}
	foreach(cell, task->source->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (!column->generated && projection_needs(task->load, column->name))
			names = add_name(names, column->name);
	}
	return names;
}

void
publication_choose_columns(LoadSession *session, SourceTable *table, List *tasks)
{
	List *names = NIL;
	int sendable = 0;
	ListCell *cell;

	table->sent = NIL;
	if (session->control->version < FIRST_WITH_LISTS || source_table_full(table))
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
			names = add_name(names, column->name);
		if (!column->generated)
			sendable++;
	}
	if (list_length(names) < sendable)
		table->sent = names;
}

char *
publication_missed_column(LoadSession *session, const LoadTask *task)
{
	List *recorded = evolve_recorded_names(task->load);
	List *sent;
	ListCell *cell;

	if (session->control->version < FIRST_WITH_LISTS || projection_left_out(task->load) == NIL ||
		strcmp(task->load->new_columns, "ignore") == 0)
		return NULL;
	sent = source_publication_columns(session->control, session->stream->publication, task->source);
	foreach(cell, task->source->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (!column->generated && projection_needs(task->load, column->name) &&
			list_length(add_name(list_copy(recorded), column->name)) > list_length(recorded) &&
			list_length(add_name(list_copy(sent), column->name)) > list_length(sent))
			return column->name;
	}
	return NULL;
}
