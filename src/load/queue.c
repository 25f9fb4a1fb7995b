/*-------------------------------------------------------------------------
 *
 * queue.c
 *		The order in which tables are copied, and the groups that are copied
 *		together.
 *
 * Each table is copied in a transaction of its own, so that its locks are held
 * no longer than its copy, and its rows are visible as soon as they are copied.
 * Only tables that foreign keys of this database connect are copied together,
 * from one snapshot: then a child is not an orphan, whichever comes first.
 *
 * Small tables come first: one query to the source reports the sizes of all
 * waiting tables.
 *
 *-------------------------------------------------------------------------
 */
#include "load/queue.h"

#include "catalog/copies.h"
#include "core/sqltext.h"

/* Number of tables in one query to the source. */
#define ASK_AT_ONCE 1000

/* ---- sizes ---- */

/* Sizes of tables, by their position in the list, with all partitions. */
static char *
sizes_sql(List *candidates, int first)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "WITH RECURSIVE part (n, oid) AS (SELECT v.n, c.oid FROM (VALUES");
	for (int i = first; i < list_length(candidates) && i < first + ASK_AT_ONCE; i++)
	{
		CopyCandidate *candidate = list_nth(candidates, i);

		appendStringInfo(&sql,
						 "%s (%d, %s, %s)",
						 i > first ? "," : "",
						 i,
						 sql_literal(candidate->source_schema),
						 sql_literal(candidate->source_table));
	}
	appendStringInfoString(
		&sql,
		") v (n, s, t) JOIN pg_catalog.pg_namespace x ON x.nspname = v.s"
		" JOIN pg_catalog.pg_class c ON c.relnamespace = x.oid AND c.relname = v.t"
		" UNION ALL SELECT p.n, i.inhrelid FROM part p"
		" JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid)"
		" SELECT p.n::text, pg_catalog.sum(pg_catalog.pg_relation_size(p.oid))::bigint::text"
		" FROM part p GROUP BY p.n");
	return sql.data;
}

void
queue_ask_sizes(Connection *connection, List *candidates)
{
	for (int first = 0; first < list_length(candidates); first += ASK_AT_ONCE)
	{
		SourceRows *rows =
			source_query(connection, 2, sizes_sql(candidates, first), "read the sizes of tables");

		for (int i = 0; i < rows->count; i++)
		{
			CopyCandidate *candidate = list_nth(candidates, atoi(rows->values[i][0]));

			if (rows->values[i][1] != NULL)
				candidate->size = strtoll(rows->values[i][1], NULL, 10);
		}
	}
}

/* ---- groups ---- */

/* The first member of the group, found by the links to earlier members. */
static int
first_of_group(const int *links, int member)
{
	while (links[member] != member)
		member = links[member];
	return member;
}

static int
find_candidate(List *candidates, Oid relid)
{
	ListCell *cell;

	foreach(cell, candidates)
		if (((CopyCandidate *) lfirst(cell))->relid == relid)
			return foreach_current_index(cell);
	return -1;
}

static void
link_foreign_keys(List *candidates, int *links)
{
	CatalogRows *rows;
	List *relids = NIL;
	ListCell *cell;

	foreach(cell, candidates)
		if (OidIsValid(((CopyCandidate *) lfirst(cell))->relid))
			relids = lappend_oid(relids, ((CopyCandidate *) lfirst(cell))->relid);
	if (list_length(relids) < 2)
		return;
	rows = foreign_keys_between(relids);
	for (uint64 i = 0; i < rows->count; i++)
	{
		int one = first_of_group(links, find_candidate(candidates, catalog_oid(rows, i, 1)));
		int other = first_of_group(links, find_candidate(candidates, catalog_oid(rows, i, 2)));

		links[Max(one, other)] = Min(one, other);
	}
}

static int64
group_size(const List *group)
{
	int64 size = 0;
	ListCell *cell;

	foreach(cell, group)
		size += ((CopyCandidate *) lfirst(cell))->size;
	return size;
}

static int
compare_groups(const ListCell *a, const ListCell *b)
{
	int64 size_a = group_size(lfirst(a));
	int64 size_b = group_size(lfirst(b));

	return size_a < size_b ? -1 : size_a > size_b ? 1 : 0;
}

List *
queue_groups(List *candidates)
{
	int count = list_length(candidates);
	int *links = palloc(sizeof(int) * Max(count, 1));
	List **groups = palloc0(sizeof(List *) * Max(count, 1));
	List *result = NIL;

	for (int i = 0; i < count; i++)
		links[i] = i;
	link_foreign_keys(candidates, links);
	for (int i = 0; i < count; i++)
	{
		int group = first_of_group(links, i);

		groups[group] = lappend(groups[group], list_nth(candidates, i));
	}
	for (int i = 0; i < count; i++)
		if (groups[i] != NIL)
			result = lappend(result, groups[i]);
	list_sort(result, compare_groups);
	return result;
}
