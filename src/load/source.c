/*-------------------------------------------------------------------------
 *
 * source.c
 *		The source of a run, and its tables.
 *
 * Nothing is installed at a source.  This file only reads there; publication
 * and slot are created in publication.c and slot.c.
 *
 *-------------------------------------------------------------------------
 */
#include "load/source.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "core/sqltext.h"
#include "replication/walreceiver.h"
#include "utils/json.h"

/* Number of tables in one query to the source. */
#define DESCRIBE_AT_ONCE 200

/* ---- tables ---- */

/* Positions and names of count tables of the lists, beginning with first, as rows of VALUES. */
static char *
names_sql(List *schemas, List *tables, int first, int count)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = first; i < first + count; i++)
		appendStringInfo(&sql,
						 "%s(%d, %s, %s)",
						 i > first ? ", " : "",
						 i,
						 sql_literal(list_nth(schemas, i)),
						 sql_literal(list_nth(tables, i)));
	return sql.data;
}

static char *
describe_sql(Connection *connection, const char *names)
{
	bool has_generated = connection->version >= 120000;
	bool has_ancestors = connection->version >= 120000;
	bool has_loose = connection->version >= 120000;
	bool has_nulls = connection->version >= 150000;

	return psprintf(
		"SELECT v.i, c.oid, c.relkind, c.relpersistence, c.relreplident, a.attname, a.atttypid,"
		" pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, %s,"
		" pg_catalog.array_position(t.primary_key, a.attnum),"
		" CASE c.relreplident WHEN 'f' THEN true WHEN 'n' THEN false"
		"   ELSE (a.attnum = ANY (t.identity)) IS TRUE END,"
		" a.atthasmissing,"
		" (a.attmissingval::text::text[])[1], t.ancestors, a.attnum, c.relfilenode, %s,"
		" t.uniques FROM (VALUES %s) v (i, schema_name, table_name)"
		" JOIN pg_catalog.pg_namespace n ON n.nspname = v.schema_name"
		" JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = v.table_name"
		/* once for each table; OFFSET 0 keeps it from being evaluated for each column */
		" CROSS JOIN LATERAL (SELECT %s AS ancestors,"
		"   (SELECT pg_catalog.array_agg(k.attnum ORDER BY k.n) FROM pg_catalog.pg_index i,"
		"     pg_catalog.unnest(i.indkey) WITH ORDINALITY k(attnum, n)"
		"     WHERE i.indrelid = c.oid AND i.indisprimary AND k.n <= i.indnkeyatts) AS primary_key,"
		"   (SELECT i.indkey::int2[] FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid"
		"     AND CASE c.relreplident WHEN 'd' THEN i.indisprimary ELSE i.indisreplident END)"
		"     AS identity,"
		/* a deferred constraint, or one that ignores NULLs, does not identify rows */
		"   (SELECT pg_catalog.string_agg((SELECT pg_catalog.string_agg(k.attnum::text, ' ')"
		"       FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY k(attnum, n)"
		"       WHERE k.n <= i.indnkeyatts), ',')"
		"     FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique"
		"     AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL"
		"     AND (%s OR NOT EXISTS (SELECT FROM pg_catalog.pg_attribute o"
		"       WHERE o.attrelid = c.oid AND o.attnum = ANY (i.indkey) AND NOT o.attnotnull)))"
		"     AS uniques OFFSET 0) t"
		" LEFT JOIN pg_catalog.pg_attribute a"
		"   ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
		" ORDER BY v.i, a.attnum",
		has_generated ? "a.attgenerated <> ''" : "false",
		has_loose ? "EXISTS (SELECT FROM pg_catalog.pg_collation x"
					" WHERE x.oid = a.attcollation AND NOT x.collisdeterministic)"
				  : "false",
		names,
		has_ancestors ? "(SELECT pg_catalog.string_agg(x.relid::oid::text, ' ')"
						" FROM pg_catalog.pg_partition_ancestors(c.oid) x(relid)"
						" WHERE x.relid <> c.oid)"
					  : "NULL::text",
		has_nulls ? "i.indnullsnotdistinct" : "false");
}

/* "1 2 3" */
static List *
oid_list(const char *text)
{
	List *oids = NIL;

	while (text != NULL && *text != '\0')
	{
		char *end;

		oids = lappend_oid(oids, strtoul(text, &end, 10));
		text = *end == ' ' ? end + 1 : NULL;
	}
	return oids;
}

/* "1 2,3" */
static List *
lists_of_numbers(const char *text)
{
	List *lists = NIL;
	List *numbers = NIL;

	while (text != NULL && *text != '\0')
	{
		char *end;

		numbers = lappend_int(numbers, strtol(text, &end, 10));
		if (*end != ' ')
		{
			lists = lappend(lists, numbers);
			numbers = NIL;
		}
		text = *end == '\0' ? NULL : end + 1;
	}
	return lists;
}

/*
 * A value of type money is a number of the smallest units; only the locale of
 * the database determines how many make a whole.
 */
static int
money_digits(Connection *connection, const SourceTable *table)
{
	bool has_money = false;
	SourceRows *rows;
	ListCell *cell;

	foreach(cell, table->columns)
		has_money |= source_column_is_money(lfirst(cell));
	if (!has_money)
		return -1;
	source_command(connection, "SET lc_monetary TO DEFAULT", "read lc_monetary");
	rows = source_query(connection,
						1,
						"SELECT pg_catalog.scale('1'::pg_catalog.money::pg_catalog.numeric)",
						"read lc_monetary");
	source_command(connection, "SET lc_monetary = 'C'", "set lc_monetary");
	return atoi(rows->values[0][0]);
}

bool
source_column_is_money(const SourceColumn *column)
{
	return column->type == CASHOID || column->type == MONEYARRAYOID;
}

static SourceColumn *
describe_column(char **row, bool lossy)
{
	SourceColumn *column = palloc0(sizeof(SourceColumn));

	column->name = row[5];
	column->number = row[15] == NULL ? 0 : atoi(row[15]);
	column->type = strtoul(row[6], NULL, 10);
	column->type_name = row[7];
	column->user_type = column->type >= FirstGenbkiObjectId;
	column->loose = source_true(row[17]);
	column->not_null = source_true(row[8]);
	column->generated = source_true(row[9]);
	column->primary_key = row[10] == NULL ? 0 : atoi(row[10]);
	column->identity = source_true(row[11]);
	column->has_missing = source_true(row[12]);
	column->missing = row[13];
	column->missing_lost = column->has_missing && lossy;
	return column;
}

/* Build a table from its rows, beginning with the first; there is one for each column. */
static SourceTable *
describe_table(Connection *connection, const char *schema_name, const char *table_name,
			   const SourceRows *rows, int first)
{
	SourceTable *table = palloc0(sizeof(SourceTable));
	char **row = rows->values[first];

	table->schema_name = pstrdup(schema_name);
	table->table_name = pstrdup(table_name);
	table->relid = strtoul(row[1], NULL, 10);
	table->kind = row[2][0];
	table->persistence = row[3][0];
	table->identity = row[4][0];
	table->ancestors = oid_list(row[14]);
	table->unique = lists_of_numbers(row[18]);
	for (int i = first; i < rows->count && strcmp(rows->values[i][0], row[0]) == 0; i++)
		if (rows->values[i][5] != NULL)
			table->columns = lappend(table->columns, describe_column(rows->values[i], rows->lossy));
	if (table->kind == RELKIND_PARTITIONED_TABLE)
		table->leaves = source_leaves(connection, table->relid);
	else
		table->leaves = list_make1(
			psprintf("%u %s 0 %s", table->relid, row[16], sql_table(schema_name, table_name)));
	table->money_digits = money_digits(connection, table);
	return table;
}

/* Describe count tables, beginning with first; one by one if a text could not be converted. */
static List *
describe_some(Connection *connection, List *schemas, List *tables, int first, int count)
{
	List *described = NIL;
	int row = 0;
	SourceRows *rows = source_query(
		connection,
		19,
		describe_sql(connection, names_sql(schemas, tables, first, count)),
		"describe tables");

	if (rows->lossy && count > 1)
	{
		for (int i = 0; i < count; i++)
			described = list_concat(described,
									describe_some(connection, schemas, tables, first + i, 1));
		return described;
	}
	for (int i = first; i < first + count; i++)
	{
		SourceTable *table = NULL;

		if (row < rows->count && atoi(rows->values[row][0]) == i)
			table =
				describe_table(connection, list_nth(schemas, i), list_nth(tables, i), rows, row);
		described = lappend(described, table);
		while (row < rows->count && atoi(rows->values[row][0]) == i)
			row++;
	}
	return described;
}

List *
source_tables_describe(Connection *connection, List *schemas, List *tables)
{
	List *described = NIL;
	int all = list_length(tables);

	for (int first = 0; first < all; first += DESCRIBE_AT_ONCE)
		described = list_concat(
			described,
			describe_some(connection, schemas, tables, first, Min(DESCRIBE_AT_ONCE, all - first)));
	return described;
}

SourceTable *
source_table_describe(Connection *connection, const char *schema_name, const char *table_name)
{
	return linitial(source_tables_describe(connection,
										   list_make1(unconstify(char *, schema_name)),
										   list_make1(unconstify(char *, table_name))));
}

List *
source_leaves(Connection *connection, Oid relid)
{
	SourceRows *rows = source_query(
		connection,
		1,
		psprintf("WITH RECURSIVE part (oid) AS (SELECT %u::pg_catalog.oid UNION ALL"
				 " SELECT i.inhrelid FROM part p JOIN pg_catalog.pg_inherits i"
				 " ON i.inhparent = p.oid)"
				 " SELECT pg_catalog.concat_ws(' ', c.oid,"
				 " CASE WHEN c.oid = %u THEN 0 ELSE c.relfilenode END, c.xmin,"
				 " pg_catalog.format('%%I.%%I', n.nspname, c.relname))"
				 " FROM part p JOIN pg_catalog.pg_class c ON c.oid = p.oid"
				 " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
				 " WHERE c.relkind <> 'p' OR c.oid = %u ORDER BY c.oid <> %u, c.oid",
				 relid,
				 relid,
				 relid,
				 relid),
		"read the list of partitions");
	List *leaves = NIL;

	for (int i = 0; i < rows->count; i++)
		leaves = lappend(leaves, rows->values[i][0]);
	return leaves;
}

SourceColumn *
source_table_column(const SourceTable *table, const char *name)
{
	ListCell *cell;

	foreach(cell, table->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (strcmp(column->name, name) == 0)
			return column;
	}
	return NULL;
}

int64
source_table_estimate(Connection *connection, const SourceTable *table)
{
	SourceRows *rows = source_query(
		connection,
		1,
		psprintf("WITH RECURSIVE part (oid) AS (SELECT %u::pg_catalog.oid UNION ALL"
				 " SELECT i.inhrelid FROM part p JOIN pg_catalog.pg_inherits i"
				 " ON i.inhparent = p.oid WHERE %s)"
				 " SELECT pg_catalog.sum(c.reltuples)::bigint FROM part p"
				 " JOIN pg_catalog.pg_class c ON c.oid = p.oid"
				 " WHERE c.relkind <> 'p' AND c.reltuples >= 0",
				 table->relid,
				 table->kind == RELKIND_PARTITIONED_TABLE ? "true" : "false"),
		"estimate the rows of a table");

	return rows->values[0][0] == NULL ? -1 : strtoll(rows->values[0][0], NULL, 10);
}

bool
source_table_full(const SourceTable *table)
{
	return table->identity == REPLICA_IDENTITY_FULL;
}

static List *
primary_key(const SourceTable *table)
{
	List *names = NIL;

	for (int position = 1;; position++)
	{
		ListCell *cell;
		bool found = false;

		foreach(cell, table->columns)
		{
			SourceColumn *column = lfirst(cell);

			if (column->primary_key != position)
				continue;
			names = lappend(names, column->name);
			found = true;
		}
		if (!found)
			return names;
	}
}

static bool
all_in_identity(const SourceTable *table, const List *names)
{
	ListCell *cell;

	foreach(cell, names)
	{
		SourceColumn *column = source_table_column(table, lfirst(cell));

		if (column == NULL || !column->identity)
			return false;
	}
	return true;
}

/* Do the columns identify one row at all times? */
static bool
is_unique(const SourceTable *table, const List *key)
{
	ListCell *cell;

	foreach(cell, table->unique)
	{
		List *left = list_copy(lfirst(cell));
		ListCell *name;

		foreach(name, key)
			left = list_delete_int(left, source_table_column(table, lfirst(name))->number);
		if (left == NIL)
			return true;
	}
	return false;
}

/* "(a, b) or (c)": the columns that can be a key; NULL if there are none. */
static char *
unique_texts(const SourceTable *table)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	foreach(cell, table->unique)
	{
		ListCell *number;
		const char *separator = text.len > 0 ? " or (" : "(";

		foreach(number, (List *) lfirst(cell))
		{
			ListCell *column;

			foreach(column, table->columns)
				if (((SourceColumn *) lfirst(column))->number == lfirst_int(number))
					appendStringInfo(&text,
									 "%s%s",
									 separator,
									 sql_identifier(((SourceColumn *) lfirst(column))->name));
			separator = ", ";
		}
		appendStringInfoChar(&text, ')');
	}
	return text.len > 0 ? text.data : NULL;
}

/* "a, \"B\"" for a statement. */
static char *
quoted_names(const List *names)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	foreach(cell, names)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", sql_identifier(lfirst(cell)));
	return text.data;
}

List *
source_table_key(const SourceTable *table, const List *wanted)
{
	List *names = NIL;
	ListCell *cell;

	if (wanted != NIL)
		return list_copy(wanted);
	names = primary_key(table);
	if (names != NIL && all_in_identity(table, names) && is_unique(table, names))
		return names;
	if (source_table_full(table))
		return NIL;
	names = NIL;
	foreach(cell, table->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (column->identity)
			names = lappend(names, column->name);
	}
	return names;
}

static char *
key_problem(const SourceTable *table, const List *key, char **hint)
{
	char *display = sql_table(table->schema_name, table->table_name);
	ListCell *cell;

	foreach(cell, key)
	{
		SourceColumn *column = source_table_column(table, lfirst(cell));

		if (column == NULL || column->generated)
			return psprintf("key column \"%s\" does not exist in source table %s",
							(char *) lfirst(cell),
							display);
		if (!column->identity)
		{
			*hint = psprintf("At the source: ALTER TABLE %s REPLICA IDENTITY FULL;", display);
			return psprintf("key column \"%s\" is not part of the replica identity of %s",
							column->name,
							display);
		}
	}
	if (key != NIL && !is_unique(table, key))
	{
		char *unique = unique_texts(table);

		*hint =
			unique != NULL
				? psprintf("Use a key that includes all of %s.", unique)
				: psprintf(
					  "At the source: add a primary key, or a unique index on NOT NULL columns; or"
					  " leave out the key and set REPLICA IDENTITY FULL.");
		return psprintf("key (%s) does not identify a row of %s: it has no unique index on NOT NULL"
						" columns of the key",
						quoted_names(key),
						display);
	}
	return NULL;
}

char *
source_table_problem(const SourceTable *table, const List *key, char **hint)
{
	char *display = sql_table(table->schema_name, table->table_name);

	*hint = NULL;
	if (table->kind != RELKIND_RELATION && table->kind != RELKIND_PARTITIONED_TABLE)
		return psprintf("%s of the source is not a table", display);
	if (table->persistence != RELPERSISTENCE_PERMANENT)
		return psprintf("source table %s is not logged", display);
	if (!source_table_full(table) && key_problem(table, NIL, hint) == NULL)
	{
		ListCell *cell;
		bool any = false;

		foreach(cell, table->columns)
			any |= ((SourceColumn *) lfirst(cell))->identity;
		if (!any)
		{
			*hint = psprintf("At the source: ALTER TABLE %s ADD PRIMARY KEY (...);"
							 " or ALTER TABLE %s REPLICA IDENTITY FULL;",
							 display,
							 display);
			return psprintf("source table %s has no primary key or other replica identity",
							display);
		}
	}
	return key_problem(table, key, hint);
}

char *
source_columns_to_json(const SourceTable *table)
{
	StringInfoData json;
	ListCell *cell;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	foreach(cell, table->columns)
	{
		SourceColumn *column = lfirst(cell);

		if (column->generated)
			continue;
		if (json.len > 1)
			appendStringInfoChar(&json, ',');
		appendStringInfoString(&json, "{\"name\":");
		escape_json(&json, column->name);
		appendStringInfo(&json,
						 ",\"number\":%d,\"type\":%u,\"type_name\":",
						 column->number,
						 column->type);
		escape_json(&json, column->type_name);
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoChar(&json, ']');
	return json.data;
}

/* ---- the source itself ---- */

static TimestampTz
from_unix_microseconds(const char *text)
{
	return (TimestampTz) (strtoll(text, NULL, 10) -
						  (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY);
}

SourceNow
source_now(Connection *connection)
{
	SourceNow now;
	SourceRows *rows = source_query(
		connection,
		4,
		"SELECT CASE WHEN pg_catalog.pg_is_in_recovery()"
		" THEN pg_catalog.pg_last_wal_replay_lsn()"
		" ELSE pg_catalog.pg_current_wal_flush_lsn() END,"
		" (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint,"
		" pg_catalog.pg_is_in_recovery(),"
		" (extract(epoch FROM pg_catalog.pg_postmaster_start_time())"
		" * 1000000)::bigint",
		"read the catalogs");

	now.position = source_lsn(rows->values[0][0]);
	now.time = from_unix_microseconds(rows->values[0][1]);
	now.standby = rows->values[0][2][0] == 't';
	now.started = from_unix_microseconds(rows->values[0][3]);
	return now;
}

void
source_connect(Source *source, const char *server_name, bool keep)
{
	TimeLineID timeline;

	source->server = source_server_open(server_name);
	source->control = connection_open(source->server);
	source->control->keep = keep;
	source->system_identifier = walrcv_identify_system(source->control->walrcv, &timeline);
	source->timeline = timeline;
	source->same_cluster = strcmp(source->system_identifier,
								  psprintf(UINT64_FORMAT, GetSystemIdentifier())) == 0;
}

void
source_disconnect(Source *source)
{
	if (source->control != NULL)
		connection_close(source->control);
	source->control = NULL;
}
