/*-------------------------------------------------------------------------
 *
 * publication.c
 *		The publication of a server at its source.
 *
 * Either depipe creates and maintains it, or the server names an existing one,
 * which then must send the columns that the loads need.
 *
 *-------------------------------------------------------------------------
 */
#include "load/publication.h"

#include "catalog/pg_publication.h"
#include "core/sqltext.h"

Oid
source_publication_oid(Connection *connection, const char *name)
{
	SourceRows *rows = source_query(
		connection,
		1,
		psprintf("SELECT oid FROM pg_catalog.pg_publication WHERE pubname = %s", sql_literal(name)),
		"read the publication");

	return rows->count == 0 ? InvalidOid : strtoul(rows->values[0][0], NULL, 10);
}

/* The OIDs that a query returns. */
static List *
query_oids(Connection *connection, const char *sql, const char *doing)
{
	SourceRows *rows = source_query(connection, 1, sql, doing);
	List *oids = NIL;

	for (int i = 0; i < rows->count; i++)
		oids = lappend_oid(oids, strtoul(rows->values[i][0], NULL, 10));
	return oids;
}

List *
source_publication_relids(Connection *connection, const char *name)
{
	return query_oids(connection,
					  psprintf("SELECT r.prrelid FROM pg_catalog.pg_publication p"
							   " JOIN pg_catalog.pg_publication_rel r"
							   " ON r.prpubid = p.oid WHERE p.pubname = %s",
							   sql_literal(name)),
					  "read the publication");
}

/* Numbers and types of the columns, as layouts_sql() asks for them. */
static char *
table_layout(const SourceTable *table)
{
	StringInfoData layout;
	ListCell *cell;

	initStringInfo(&layout);
	foreach(cell, table->columns)
	{
		SourceColumn *column = lfirst(cell);

		appendStringInfo(&layout, "%d %s,", column->number, column->type_name);
	}
	return layout.data;
}

static char *
layouts_sql(List *tables, const char *publication)
{
	StringInfoData sql;
	ListCell *cell;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "SELECT c.oid, (SELECT pg_catalog.string_agg(a.attnum || ' ' ||"
						   " pg_catalog.format_type(a.atttypid, a.atttypmod) || ',', ''"
						   " ORDER BY a.attnum) FROM pg_catalog.pg_attribute a"
						   " WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"
						   " FROM pg_catalog.pg_class c");
	if (publication != NULL)
		appendStringInfo(
			&sql,
			" JOIN pg_catalog.pg_publication_rel r ON r.prrelid = c.oid"
			" JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid AND p.pubname = %s",
			sql_literal(publication));
	appendStringInfoString(&sql, " WHERE c.oid = ANY ('{");
	foreach(cell, tables)
		appendStringInfo(&sql,
						 "%s%u",
						 cell == list_head(tables) ? "" : ",",
						 ((SourceTable *) lfirst(cell))->relid);
	appendStringInfoString(&sql, "}') ORDER BY c.oid");
	return sql.data;
}

/* The layout of a table in rows ordered by OID; NULL if it is missing. */
static char *
find_layout(const SourceRows *rows, Oid relid)
{
	int low = 0;
	int high = rows->count;

	while (low < high)
	{
		int middle = low + (high - low) / 2;
		Oid found = strtoul(rows->values[middle][0], NULL, 10);

		if (found == relid)
			return rows->values[middle][1] == NULL ? "" : rows->values[middle][1];
		if (found < relid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool
source_tables_are_there(Connection *connection, List *tables, const char *publication)
{
	SourceRows *rows;
	ListCell *cell;

	if (tables == NIL)
		return true;
	rows = source_query(connection,
						2,
						layouts_sql(tables, publication),
						"read the tables of the publication");
	foreach(cell, tables)
	{
		SourceTable *table = lfirst(cell);
		char *now = find_layout(rows, table->relid);
		char *described = table_layout(table);

		/* added columns follow the others */
		if (now == NULL || strncmp(now, described, strlen(described)) != 0)
			return false;
	}
	return true;
}

/* A table of the publication, in the form of column_list() and ALTER PUBLICATION. */
#define PUBLISHED_TABLE "pg_catalog.format('ONLY %I.%I', n.nspname, c.relname)"
#define PUBLISHED_COLUMNS                                                                        \
	" || COALESCE((SELECT ' (' || pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', '" \
	" ORDER BY a.attname COLLATE \"C\") || ')' FROM pg_catalog.pg_attribute a"                   \
	" WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)), '')"

/* Its present tables, as quoted names in order, and its OID (InvalidOid if it does not exist). */
static char *
published_tables(Connection *connection, const char *name, Oid *oid)
{
	SourceRows *rows = source_query(
		connection,
		2,
		psprintf("SELECT pg_catalog.string_agg(%s, ', ' ORDER BY c.oid)"
				 " FILTER (WHERE c.oid IS NOT NULL), p.oid"
				 " FROM pg_catalog.pg_publication p"
				 " LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid"
				 " LEFT JOIN pg_catalog.pg_class c ON c.oid = r.prrelid"
				 " LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
				 " WHERE p.pubname = %s GROUP BY p.oid",
				 connection->version < 150000 ? PUBLISHED_TABLE : PUBLISHED_TABLE PUBLISHED_COLUMNS,
				 sql_literal(name)),
		"read the publication");

	*oid = rows->count == 0 ? InvalidOid : strtoul(rows->values[0][1], NULL, 10);
	return rows->count == 0 || rows->values[0][0] == NULL ? pstrdup("") : rows->values[0][0];
}

static int
compare_relids(const ListCell *a, const ListCell *b)
{
	Oid left = ((SourceTable *) lfirst(a))->relid;
	Oid right = ((SourceTable *) lfirst(b))->relid;

	return (left > right) - (left < right);
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* " (a, b)" in the order of published_tables(); nothing for all columns. */
static char *
column_list(const SourceTable *table)
{
	List *names = list_copy(table->sent);
	StringInfoData list;
	ListCell *cell;

	initStringInfo(&list);
	list_sort(names, compare_names);
	foreach(cell, names)
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : " (", sql_identifier(lfirst(cell)));
	if (names != NIL)
		appendStringInfoChar(&list, ')');
	return list.data;
}

Oid
source_publication_set(Connection *connection, const char *name, List *tables, bool *changed)
{
	List *sorted = list_copy(tables);
	StringInfoData wanted;
	ListCell *cell;
	Oid oid;
	char *published = published_tables(connection, name, &oid);

	list_sort(sorted, compare_relids);
	initStringInfo(&wanted);
	foreach(cell, sorted)
	{
		SourceTable *table = lfirst(cell);

		appendStringInfo(&wanted,
						 "%sONLY %s%s",
						 wanted.len > 0 ? ", " : "",
						 sql_table(table->schema_name, table->table_name),
						 column_list(table));
	}
	*changed = !OidIsValid(oid) || (wanted.len > 0 && strcmp(published, wanted.data) != 0);
	if (!OidIsValid(oid))
	{
		source_command(connection,
					   psprintf("CREATE PUBLICATION %s%s%s%s",
								sql_identifier(name),
								wanted.len > 0 ? " FOR TABLE " : "",
								wanted.data,
								connection->version >= 130000
									? " WITH (publish_via_partition_root = true)"
									: ""),
					   "create the publication");
		return source_publication_oid(connection, name);
	}
	if (*changed)
		source_command(
			connection,
			psprintf("ALTER PUBLICATION %s SET TABLE %s", sql_identifier(name), wanted.data),
			"change the publication");
	return oid;
}

/* The columns of a table that the publication sends; NIL if the table is not in it. */
static List *
published_columns(Connection *connection, const char *name, const SourceTable *table, bool *filter)
{
	bool has_lists = connection->version >= 150000;
	SourceRows *rows = source_query(
		connection,
		2,
		psprintf("SELECT c.name, %s FROM pg_catalog.pg_publication_tables p,"
				 " LATERAL (SELECT %s) c(name)"
				 " WHERE p.pubname = %s AND p.schemaname = %s AND p.tablename = %s",
				 has_lists ? "p.rowfilter IS NOT NULL" : "false",
				 has_lists ? "pg_catalog.unnest(p.attnames)"
						   : psprintf("a.attname FROM pg_catalog.pg_attribute a"
									  " WHERE a.attrelid = %u AND a.attnum > 0",
									  table->relid),
				 sql_literal(name),
				 sql_literal(table->schema_name),
				 sql_literal(table->table_name)),
		"read the publication");
	List *columns = NIL;

	*filter = rows->count > 0 && source_true(rows->values[0][1]);
	for (int i = 0; i < rows->count; i++)
		columns = lappend(columns, rows->values[i][0]);
	return columns;
}

List *
source_publication_columns(Connection *connection, const char *name, const SourceTable *table)
{
	bool filter;

	return published_columns(connection, name, table, &filter);
}

static char *
unpublished_column(List *published, List *columns)
{
	ListCell *cell;

	foreach(cell, columns)
	{
		bool found = false;
		ListCell *other;

		foreach(other, published)
			found |= strcmp(lfirst(cell), lfirst(other)) == 0;
		if (!found)
			return lfirst(cell);
	}
	return NULL;
}

static bool
publishes_everything(Connection *connection, const char *name)
{
	SourceRows *rows = source_query(
		connection,
		1,
		psprintf("SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate"
				 " FROM pg_catalog.pg_publication WHERE pubname = %s",
				 sql_literal(name)),
		"read the publication");

	return rows->count == 0 || source_true(rows->values[0][0]);
}

char *
source_publication_problem(Connection *connection, const char *name, const SourceTable *table,
						   List *columns, char **hint)
{
	char *display = sql_table(table->schema_name, table->table_name);
	bool filter;
	List *published = published_columns(connection, name, table, &filter);
	char *missing = unpublished_column(published, columns);

	if (published == NIL)
	{
		*hint = psprintf("At the source: ALTER PUBLICATION %s ADD TABLE %s;%s",
						 sql_identifier(name),
						 display,
						 table->kind == RELKIND_PARTITIONED_TABLE
							 ? " the publication must have publish_via_partition_root"
							 : "");
		return psprintf("publication \"%s\" of the source does not have the table", name);
	}
	if (!publishes_everything(connection, name))
	{
		*hint = psprintf("At the source: ALTER PUBLICATION %s"
						 " SET (publish = 'insert, update, delete, truncate');",
						 sql_identifier(name));
		return psprintf("publication \"%s\" of the source does not publish all changes", name);
	}
	if (filter)
	{
		*hint = pstrdup("Publish the whole table, and use the argument \"row_filter\" here.");
		return psprintf("publication \"%s\" of the source filters the rows of the table", name);
	}
	if (missing != NULL)
	{
		*hint = pstrdup("Publish the column, or leave it out with the argument \"columns\".");
		return psprintf("publication \"%s\" of the source leaves out column \"%s\"", name, missing);
	}
	return NULL;
}
