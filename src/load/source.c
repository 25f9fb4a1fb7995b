/*-------------------------------------------------------------------------
 *
 * source.c
 *		What depipe looks at and makes at a source: tables, publication, slot.
 *
 * Nothing is installed at a source.  Names of slot and publication follow
 * from this database, the server and an id that is a hash of the cluster's
 * system identifier and the database: so what an aborted attempt left is
 * recognized by its name, and another cluster's is never taken for it.
 *
 * What is done at a source cannot be rolled back.  Making happens before
 * anything is written here; removing happens just before the commit of the
 * transaction that forgets the stream, when nothing of a user's can fail any
 * more.
 *
 *-------------------------------------------------------------------------
 */
#include "load/source.h"

#include "access/xlog.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "common/hashfn.h"
#include "core/guarded.h"
#include "core/sqltext.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"

/* times 0.1 s */
#define SLOT_RELEASE_TRIES 30

/* Tables of one question to the source. */
#define DESCRIBE_AT_ONCE 200

/* ---- tables ---- */

static bool
is_true(const char *value)
{
	return value != NULL && value[0] == 't';
}

/* Names of so many tables from the first on, by their position in the lists, as rows of VALUES. */
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
		" (SELECT k.n FROM pg_catalog.pg_index i,"
		"   pg_catalog.unnest(i.indkey) WITH ORDINALITY k(attnum, n)"
		"   WHERE i.indrelid = c.oid AND i.indisprimary AND k.attnum = a.attnum"
		"   AND k.n <= i.indnkeyatts),"
		" CASE c.relreplident WHEN 'f' THEN true WHEN 'n' THEN false"
		"   ELSE EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid"
		"     AND CASE c.relreplident WHEN 'd' THEN i.indisprimary ELSE i.indisreplident END"
		"     AND a.attnum = ANY (i.indkey)) END,"
		" a.atthasmissing,"
		" (a.attmissingval::text::text[])[1], %s, a.attnum, c.relfilenode, %s,"
		/* a constraint that is checked later, or lets NULLs be, does not tell rows apart */
		" (SELECT pg_catalog.string_agg((SELECT pg_catalog.string_agg(k.attnum::text, ' ')"
		"     FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY k(attnum, n)"
		"     WHERE k.n <= i.indnkeyatts), ',')"
		"   FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique"
		"   AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL"
		"   AND (%s OR NOT EXISTS (SELECT FROM pg_catalog.pg_attribute o"
		"     WHERE o.attrelid = c.oid AND o.attnum = ANY (i.indkey) AND NOT o.attnotnull)))"
		" FROM (VALUES %s) v (i, schema_name, table_name)"
		" JOIN pg_catalog.pg_namespace n ON n.nspname = v.schema_name"
		" JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = v.table_name"
		" LEFT JOIN pg_catalog.pg_attribute a"
		"   ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
		" ORDER BY v.i, a.attnum",
		has_generated ? "a.attgenerated <> ''" : "false",
		has_ancestors ? "(SELECT pg_catalog.string_agg(x.relid::oid::text, ' ')"
						" FROM pg_catalog.pg_partition_ancestors(c.oid) x(relid)"
						" WHERE x.relid <> c.oid)"
					  : "NULL",
		has_loose ? "EXISTS (SELECT FROM pg_catalog.pg_collation x"
					" WHERE x.oid = a.attcollation AND NOT x.collisdeterministic)"
				  : "false",
		has_nulls ? "i.indnullsnotdistinct" : "false",
		names);
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
 * A value of type money is a number of the smallest unit, of which only the
 * database's locale knows how many make a whole.
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
	source_command(connection, "SET lc_monetary TO DEFAULT", "ask for the locale of money");
	rows = source_query(connection,
						1,
						"SELECT pg_catalog.scale('1'::pg_catalog.money::pg_catalog.numeric)",
						"ask for the locale of money");
	source_command(connection, "SET lc_monetary = 'C'", "set the locale of money");
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
	column->loose = is_true(row[17]);
	column->not_null = is_true(row[8]);
	column->generated = is_true(row[9]);
	column->primary_key = row[10] == NULL ? 0 : atoi(row[10]);
	column->identity = is_true(row[11]);
	column->has_missing = is_true(row[12]);
	column->missing = row[13];
	column->missing_lost = column->has_missing && lossy;
	return column;
}

/* From the first of its rows, one for each column. */
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

/* So many tables from the first on; what could not be converted is to be told of one table. */
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
		"look at the partitions");
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

/* Do the columns tell the rows apart at each moment? */
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

/* "(a, b) or (c)": what would serve as a key; NULL: nothing. */
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

static char *
names_text(const List *names)
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

		*hint = unique != NULL
					? psprintf("Use a key that has all of %s.", unique)
					: psprintf("At the source: a primary key, or a unique index on columns that are"
							   " NOT NULL; or leave out the key and set REPLICA IDENTITY FULL.");
		return psprintf("key (%s) does not identify a row of %s: it has no unique index on NOT NULL"
						" columns of the key",
						names_text(key),
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

/* ---- slot ---- */

/* Only [a-z0-9_] may stand in the name of a slot. */
static char *
slot_name_part(const char *name, int length)
{
	char *part = pnstrdup(name, length);

	for (char *p = part; *p != '\0'; p++)
	{
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
		else if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9')))
			*p = '_';
	}
	return part;
}

char *
source_object_name(const char *server_name, const char *seed)
{
	char *database = get_database_name(MyDatabaseId);
	char *identity = psprintf("%s/%s", seed, server_name);
	uint32 id = DatumGetUInt32(hash_any((unsigned char *) identity, strlen(identity)));

	return psprintf("depipe_%s_%s_%08x",
					slot_name_part(database, 20),
					slot_name_part(server_name, 24),
					id);
}

static XLogRecPtr
parse_lsn(const char *text)
{
	return text == NULL ? InvalidXLogRecPtr
						: DatumGetLSN(DirectFunctionCall1(pg_lsn_in, CStringGetDatum(text)));
}

static int64
parse_bytes(const char *text)
{
	return text == NULL ? -1 : strtoll(text, NULL, 10);
}

SourceSlot *
source_slot_describe(Connection *connection, const char *slot_name)
{
	SourceSlot *slot = palloc0(sizeof(SourceSlot));
	SourceRows *rows;

	/* columns that not every version has are asked for through their JSON form */
	rows = source_query(
		connection,
		7,
		psprintf("SELECT s.active, s.confirmed_flush_lsn, j->>'wal_status',"
				 " j->>'invalidation_reason', j->>'conflicting', j->>'safe_wal_size',"
				 " pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery()"
				 " THEN pg_catalog.pg_last_wal_replay_lsn()"
				 " ELSE pg_catalog.pg_current_wal_lsn() END, s.restart_lsn)"
				 " FROM pg_catalog.pg_replication_slots s, pg_catalog.to_jsonb(s) j"
				 " WHERE s.slot_name = %s AND s.slot_type = 'logical'",
				 sql_literal(slot_name)),
		"look at the slot");
	slot->retained_bytes = -1;
	slot->safe_wal_size = -1;
	if (rows->count == 0)
		return slot;
	slot->exists = true;
	slot->active = is_true(rows->values[0][0]);
	slot->confirmed = parse_lsn(rows->values[0][1]);
	slot->lost = (rows->values[0][2] != NULL && strcmp(rows->values[0][2], "lost") == 0) ||
				 rows->values[0][3] != NULL || is_true(rows->values[0][4]);
	slot->lost_reason = rows->values[0][3];
	slot->safe_wal_size = parse_bytes(rows->values[0][5]);
	slot->retained_bytes = parse_bytes(rows->values[0][6]);
	return slot;
}

XLogRecPtr
source_slot_create(Connection *connection, const char *slot_name, int wait_ms)
{
	SourceRows *rows;

	source_command(connection, psprintf("SET lock_timeout = %d", wait_ms), "make a slot");
	rows = source_query(
		connection,
		4,
		psprintf("CREATE_REPLICATION_SLOT \"%s\" LOGICAL pgoutput NOEXPORT_SNAPSHOT", slot_name),
		"make a slot");
	source_command(connection, "RESET lock_timeout", "make a slot");
	return DatumGetLSN(DirectFunctionCall1(pg_lsn_in, CStringGetDatum(rows->values[0][1])));
}

/* A walsender that is just ending still holds the slot for a moment. */
void
source_slot_drop(Connection *connection, const char *slot_name)
{
	for (int i = 0; i < SLOT_RELEASE_TRIES; i++)
	{
		if (!source_slot_describe(connection, slot_name)->active)
			break;
		(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 100, PG_WAIT_EXTENSION);
		CHECK_FOR_INTERRUPTS();
	}
	source_command(connection,
				   psprintf("DROP_REPLICATION_SLOT \"%s\"", slot_name),
				   "drop the slot");
}

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
		"look at the source");

	now.position = parse_lsn(rows->values[0][0]);
	now.time = from_unix_microseconds(rows->values[0][1]);
	now.standby = rows->values[0][2][0] == 't';
	now.started = from_unix_microseconds(rows->values[0][3]);
	return now;
}

/* ---- publication ---- */

Oid
source_publication_oid(Connection *connection, const char *name)
{
	SourceRows *rows = source_query(
		connection,
		1,
		psprintf("SELECT oid FROM pg_catalog.pg_publication WHERE pubname = %s", sql_literal(name)),
		"look at the publication");

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
					  "look at the publication");
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

/* Of rows in the order of their OIDs; NULL: it is not there. */
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
	rows = source_query(connection, 2, layouts_sql(tables, publication), "look at the tables");
	foreach(cell, tables)
	{
		SourceTable *table = lfirst(cell);
		char *now = find_layout(rows, table->relid);
		char *described = table_layout(table);

		/* columns that were added are behind the others */
		if (now == NULL || strncmp(now, described, strlen(described)) != 0)
			return false;
	}
	return true;
}

/* A table of the publication, as column_list() and ALTER PUBLICATION write it. */
#define PUBLISHED_TABLE "pg_catalog.format('ONLY %I.%I', n.nspname, c.relname)"
#define PUBLISHED_COLUMNS                                                                        \
	" || COALESCE((SELECT ' (' || pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', '" \
	" ORDER BY a.attname COLLATE \"C\") || ')' FROM pg_catalog.pg_attribute a"                   \
	" WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)), '')"

/* Its tables now, as quoted names in order, and its OID: InvalidOid, it is not there. */
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
		"look at the publication");

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

/* Columns that the publication sends of a table; NIL: it is not in it. */
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
		"look at the publication");
	List *columns = NIL;

	*filter = rows->count > 0 && is_true(rows->values[0][1]);
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
		"look at the publication");

	return rows->count == 0 || is_true(rows->values[0][0]);
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
							 ? " and it must publish via the partition root"
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

/* ---- removing ---- */

typedef struct Removal
{
	char *server_name;
	char *slot_name;
	char *publication; /* NULL: not ours */
	SubTransactionId subid;
} Removal;

static List *removals = NIL;

static bool
removal_work(void *argument)
{
	Removal *removal = argument;
	Connection *connection = connection_open(source_server_open(removal->server_name));

	if (source_slot_describe(connection, removal->slot_name)->exists)
		source_slot_drop(connection, removal->slot_name);
	if (removal->publication != NULL)
		source_command(
			connection,
			psprintf("DROP PUBLICATION IF EXISTS %s", sql_identifier(removal->publication)),
			"drop the publication");
	connection_close(connection);
	return true;
}

/* The error becomes a warning: the local part shall not fail because a source is gone. */
static void
try_removal(Removal *removal)
{
	ErrorData *error = guarded_run(removal_work, removal);

	if (error == NULL)
		return;
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 removal->publication == NULL
				 ? errmsg("slot \"%s\" is left at server \"%s\"",
						  removal->slot_name,
						  removal->server_name)
				 : errmsg("slot \"%s\" and publication \"%s\" are left at server \"%s\"",
						  removal->slot_name,
						  removal->publication,
						  removal->server_name),
			 errdetail("%s", error->message),
			 errhint("The slot retains WAL. Unless another database reads it, at the source:"
					 " SELECT pg_drop_replication_slot(%s);",
					 sql_literal(removal->slot_name))));
}

void
source_keep_slot(const char *slot_name)
{
	ListCell *cell;

	foreach(cell, removals)
		if (strcmp(((Removal *) lfirst(cell))->slot_name, slot_name) == 0)
			removals = foreach_delete_current(removals, cell);
}

static void
removals_at_transaction(XactEvent event, void *arg)
{
	ListCell *cell;

	if (event == XACT_EVENT_PRE_COMMIT)
	{
		foreach(cell, removals)
			try_removal(lfirst(cell));
	}
	if (event != XACT_EVENT_PRE_PREPARE)
		removals = NIL;
	else if (removals != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot prepare a transaction that has removed a source")));
}

static void
removals_at_subtransaction(SubXactEvent event, SubTransactionId subid, SubTransactionId parent,
						   void *arg)
{
	ListCell *cell;

	foreach(cell, removals)
	{
		Removal *removal = lfirst(cell);

		if (removal->subid != subid)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			removal->subid = parent;
		else if (event == SUBXACT_EVENT_ABORT_SUB)
			removals = foreach_delete_current(removals, cell);
	}
}

void
source_remove_at_commit(const char *server_name, const Stream *stream)
{
	static bool registered = false;
	MemoryContext old;
	Removal *removal;

	if (!registered)
	{
		RegisterXactCallback(removals_at_transaction, NULL);
		RegisterSubXactCallback(removals_at_subtransaction, NULL);
		registered = true;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	removal = palloc0(sizeof(Removal));
	removal->server_name = pstrdup(server_name);
	removal->slot_name = pstrdup(stream->slot_name);
	removal->publication = stream->publication_managed ? pstrdup(stream->publication) : NULL;
	removal->subid = GetCurrentSubTransactionId();
	removals = lappend(removals, removal);
	MemoryContextSwitchTo(old);
}
