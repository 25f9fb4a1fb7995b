/*-------------------------------------------------------------------------
 *
 * late.c
 *		Foreign keys that are checked after all tables are written.
 *
 * The server checks foreign keys at the end of each statement, but for some
 * histories no order of statements satisfies them: tables that refer to each
 * other, or unique values that pass from row to row of a referenced table.  In
 * that case the triggers of the foreign keys are left out (triggers.c), and
 * their work is done here:
 *
 *	own foreign keys	the new images are updated to themselves: the server
 *						checks rows that the transaction writes again.
 *	those of others		the rows that the delta removes or replaces were saved.  Rows
 *						elsewhere that refer to one of them, and find no other now,
 *						are dangling: the action of the foreign key deletes or changes
 *						them, or they are an error.
 *
 * All of this is part of the pass, before the gate evaluates the tables.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/late.h"

#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "core/identity.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define DANGLING "_depipe_dangling"

/* ---- saved rows ---- */

void
late_save(ApplyTable *table)
{
	Delta *delta = table->delta;
	StringInfoData sql;
	Identity identity;
	Tuplestorestate *rows;
	TupleDesc desc;
	uint64 count;

	table->saved = psprintf("%s_saved", delta->name);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT t.* FROM %s", target_rows_sql(table->target, "t"));
	if (!delta->clear)
	{
		appendStringInfo(&sql, " JOIN %s d ON NOT d._depipe_replaced AND ", delta->name);
		sql_append_match(&sql, delta->columns, delta->nkeys, delta->keys, "d", "t", true);
	}
	identity_become(table->target->owner, &identity);
	rows = query_to_tuplestore(sql.data, NIL, &desc, &count, CurrentMemoryContext);
	identity_restore(&identity);
	(void) SPI_unregister_relation(table->saved); /* of an earlier pass */
	register_tuplestore(table->saved, desc, rows, count);
}

char *
late_is_saved(ApplyTable *table)
{
	Delta *delta = table->delta;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "EXISTS (SELECT FROM %s s WHERE ", table->saved);
	sql_append_match(&sql, delta->columns, delta->nkeys, delta->keys, "s", "d", true);
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

char *
late_return_sql(ApplyTable *table)
{
	Delta *delta = table->delta;
	Relation rel = table_open(table->target->relid, NoLock);
	StringInfoData columns;
	StringInfoData values;
	StringInfoData sql;

	initStringInfo(&columns);
	initStringInfo(&values);
	initStringInfo(&sql);
	sql_append_columns(&columns, delta->columns, NULL);
	sql_append_columns(&values, delta->columns, "d");
	for (int i = 0; i < rel->rd_att->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(rel->rd_att, i);
		bool own = !att->attisdropped && att->attgenerated == '\0';

		for (int j = 0; own && j < delta->columns->natts; j++)
			own = delta->attnums[j] != att->attnum;
		if (!own)
			continue;
		appendStringInfo(&columns, ", %s", sql_identifier(NameStr(att->attname)));
		appendStringInfo(&values, ", s.%s", sql_identifier(NameStr(att->attname)));
	}
	table_close(rel, NoLock);
	appendStringInfo(
		&sql,
		"INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM %s d JOIN %s s ON ",
		table->target->display,
		columns.data,
		values.data,
		delta->name,
		table->saved);
	sql_append_match(&sql, delta->columns, delta->nkeys, delta->keys, "s", "d", true);
	appendStringInfoString(&sql, " WHERE d._depipe_weight OPERATOR(pg_catalog.>) 0");
	return sql.data;
}

/* ---- own foreign keys ---- */

/* An update that changes nothing makes the server check rows that the transaction has written. */
static void
check_own(ApplyTable *table, Snapshot snapshot)
{
	Delta *delta = table->delta;
	StringInfoData sql;
	const char *column = NULL;

	for (int i = 0; column == NULL && i < delta->columns->natts; i++)
		if (!delta_is_always_identity(delta, i))
			column = sql_identifier(NameStr(TupleDescAttr(delta->columns, i)->attname));
	if (column == NULL || delta->new_images == 0)
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s t SET %s = t.%s", table->target->display, column, column);
	if (delta->nkeys > 0)
	{
		appendStringInfo(&sql,
						 " FROM %s d WHERE d._depipe_weight OPERATOR(pg_catalog.>) 0 AND ",
						 delta->name);
		sql_append_match(&sql, delta->columns, delta->nkeys, delta->keys, "d", "t", true);
	}
	execute_uncounted(table, sql.data, SKIP_NONE, snapshot);
}

/* ---- foreign keys of others ---- */

typedef struct Referencing
{
	char *name;
	char *table;   /* quoted */
	Oid owner;     /* of it */
	char *parent;  /* quoted: the target, or a partition of it */
	char *columns; /* of f, listed */
	char *saved;   /* condition on f and s, a saved row */
	char *now;     /* condition on f (as c) and p, a row of the parent */
	char *same;    /* condition on f and c, a dangling row */
	char action;   /* on deletion */
	char *set;     /* on deletion: "ref = NULL, ..." or "ref = DEFAULT, ..." */
} Referencing;

static char *
text_of(uint64 row, int column)
{
	char *text = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);

	return text == NULL ? NULL : pstrdup(text);
}

/* "s.id OPERATOR(pg_catalog.=) f.ref AND ...": parent side, child side */
#define MATCH(parent, child)                                                                \
	"pg_catalog.string_agg(pg_catalog.format('" parent ".%I OPERATOR(%I.%s) " child ".%I'," \
	" b.attname, n.nspname, o.oprname, a.attname), ' AND ')"
#define EQUALS " OPERATOR(pg_catalog.=) "

static const char referencing_sql[] =
	"SELECT k.conname, k.conrelid::pg_catalog.oid, k.confrelid::pg_catalog.oid, k.confdeltype,"
	" pg_catalog.string_agg(pg_catalog.format('f.%I', a.attname), ', ')," MATCH("s", "f") "," MATCH(
		"p",
		"c") ", pg_catalog.string_agg(pg_catalog.format('f.%I IS NOT DISTINCT FROM c.%I',"
			 " a.attname, a.attname), ' AND '),"
			 " pg_catalog.string_agg(pg_catalog.format('%I', a.attname) OPERATOR(pg_catalog.||)"
			 " CASE k.confdeltype WHEN 'd' THEN ' = DEFAULT' ELSE ' = NULL' END, ', ')"
			 " FILTER (WHERE k.confdelsetcols IS NULL OR a.attnum" EQUALS "ANY (k.confdelsetcols))"
			 " FROM pg_catalog.pg_constraint k,"
			 " LATERAL ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey),"
			 " pg_catalog.unnest(k.conpfeqop)) u(fk, pk, op)"
			 " JOIN pg_catalog.pg_operator o ON o.oid" EQUALS "u.op"
			 " JOIN pg_catalog.pg_namespace n ON n.oid" EQUALS "o.oprnamespace,"
			 " pg_catalog.pg_attribute a, pg_catalog.pg_attribute b"
			 " WHERE k.contype" EQUALS "'f' AND k.conparentid" EQUALS "0"
			 " AND k.confrelid" EQUALS "ANY (ARRAY(SELECT $1 UNION ALL"
			 " SELECT x.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree($1) x))"
			 " AND a.attrelid" EQUALS "k.conrelid AND a.attnum" EQUALS "u.fk"
			 " AND b.attrelid" EQUALS "k.confrelid AND b.attnum" EQUALS "u.pk"
			 " GROUP BY k.oid, k.conname, k.conrelid, k.confrelid, k.confdeltype, k.confdelsetcols";

/* Foreign keys that refer to the target or to a partition of it, as declared. */
static List *
find_referencing(Oid relid)
{
	List *found = NIL;
	MemoryContext context = CurrentMemoryContext;

	if (SPI_execute_with_args(referencing_sql,
							  1,
							  (Oid[]){OIDOID},
							  (Datum[]){ObjectIdGetDatum(relid)},
							  NULL,
							  true,
							  0) != SPI_OK_SELECT)
		elog(ERROR, "could not read foreign keys");
	MemoryContextSwitchTo(context);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		Referencing *one = palloc0(sizeof(Referencing));
		Oid child = atooid(text_of(row, 2));

		one->name = text_of(row, 1);
		one->table = sql_relation(child);
		one->owner = identity_table_owner(child);
		one->parent = sql_relation(atooid(text_of(row, 3)));
		one->action = text_of(row, 4)[0];
		one->columns = text_of(row, 5);
		one->saved = text_of(row, 6);
		one->now = text_of(row, 7);
		one->same = text_of(row, 8);
		one->set = text_of(row, 9);
		found = lappend(found, one);
	}
	return found;
}

/* Run a query as a role; its rows become a relation of the given name. */
static uint64
query_as(Oid role, const char *sql, const char *name)
{
	Identity identity;
	Tuplestorestate *rows;
	TupleDesc desc;
	uint64 count;

	identity_become(role, &identity);
	rows = query_to_tuplestore(sql, NIL, &desc, &count, CurrentMemoryContext);
	identity_restore(&identity);
	(void) SPI_unregister_relation(name);
	register_tuplestore(name, desc, rows, count);
	return count;
}

/* As in the server, this runs as the owner of the referencing table. */
static void
act_on_dangling(const Referencing *one)
{
	bool deletes = one->action == FKCONSTR_ACTION_CASCADE;
	Identity identity;
	int result;

	identity_become(one->owner, &identity);
	result = SPI_execute(
		deletes ? psprintf("DELETE FROM %s f USING " DANGLING " c WHERE %s", one->table, one->same)
				: psprintf("UPDATE %s f SET %s FROM " DANGLING " c WHERE %s",
						   one->table,
						   one->set,
						   one->same),
		false,
		0);
	if (result != (deletes ? SPI_OK_DELETE : SPI_OK_UPDATE))
		elog(ERROR, "could not change rows of %s", one->table);
	identity_restore(&identity);
}

static bool
has_action(const Referencing *one)
{
	return one->action == FKCONSTR_ACTION_CASCADE || one->action == FKCONSTR_ACTION_SETNULL ||
		   one->action == FKCONSTR_ACTION_SETDEFAULT;
}

static void
check_referencing(ApplyTable *table, const Referencing *one)
{
	MemoryContext context = CurrentMemoryContext;

	/* each side is read as its owner, which may lack the right to read the other side */
	if (query_as(one->owner,
				 psprintf("SELECT DISTINCT %s FROM %s f JOIN %s s ON %s",
						  one->columns,
						  one->table,
						  table->saved,
						  one->saved),
				 DANGLING) == 0 ||
		query_as(table->target->owner,
				 psprintf("SELECT c.* FROM " DANGLING " c WHERE NOT EXISTS"
						  " (SELECT FROM %s p WHERE %s)",
						  one->parent,
						  one->now),
				 DANGLING) == 0)
		return;
	if (!has_action(one))
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("update or delete on table %s violates foreign key constraint \"%s\" on"
						" table %s",
						one->parent,
						one->name,
						one->table)));
	act_on_dangling(one);
	MemoryContextSwitchTo(context);
	CommandCounterIncrement();
}

void
late_check(ApplyTable *table, Snapshot snapshot)
{
	ListCell *cell;

	if (table->late)
		check_own(table, snapshot);
	if (table->saved == NULL)
		return;
	foreach(cell, find_referencing(table->target->relid))
		check_referencing(table, lfirst(cell));
	(void) SPI_unregister_relation(DANGLING);
	(void) SPI_unregister_relation(table->saved);
	table->saved = NULL;
}
