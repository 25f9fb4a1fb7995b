/*-------------------------------------------------------------------------
 *
 * bag.c
 *		Access to the rows of a bag through a hash of the whole row.
 *
 * A bag has no key: a row to be deleted is found by its image, which requires a
 * scan of the whole table for each batch.  For a large table an index on a hash
 * of the row is therefore created when first needed.  Rows with the same hash
 * are compared by their images, so that no row is mistaken for another.
 *
 * The index is not unique, and depends on the extension as the guard does.  It
 * costs every writer a little.  Hence a bag that only grows never receives one,
 * nor does a bag with an index on a column that leads to its rows.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/bag.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "delta/record_image.h"
#include "nodes/primnodes.h"
#include "optimizer/plancat.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* For a smaller table a scan is faster than the creation of an index. */
#ifndef BAG_INDEX_PAGES
#define BAG_INDEX_PAGES 1000
#endif

/* Up to this share of the rows, an index is faster than a scan. */
#ifndef BAG_FEW
#define BAG_FEW 0.05
#endif

/* ---- what is there ---- */

int
bag_column(Relation rel, Delta *delta)
{
	int found = 0;
	ListCell *cell;

	if (delta->nkeys > 0)
		return 0;
	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);
		AttrNumber attnum = index->rd_index->indkey.values[0];

		for (int i = 0; found == 0 && i < delta->columns->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(delta->columns, i);

			/* types of the server only: their "=" holds for identical images */
			if (delta->attnums[i] == attnum && index->rd_rel->relam == BTREE_AM_OID &&
				index->rd_index->indisvalid && RelationGetIndexPredicate(index) == NIL &&
				att->atttypid < FirstNormalObjectId &&
				OidIsValid(lookup_type_cache(att->atttypid, TYPECACHE_EQ_OPR)->eq_opr))
				found = i + 1;
		}
		index_close(index, AccessShareLock);
	}
	return found;
}

/* Is it an index on the hash of a row of exactly these columns, in their order? */
static bool
is_hash_index(Relation index, Delta *delta)
{
	List *expressions = RelationGetIndexExpressions(index);
	FuncExpr *hash = expressions == NIL ? NULL : linitial(expressions);
	List *columns;
	ListCell *cell;

	if (index->rd_rel->relam != BTREE_AM_OID || !index->rd_index->indisvalid ||
		RelationGetIndexPredicate(index) != NIL || index->rd_index->indnkeyatts != 1 ||
		hash == NULL || !IsA(hash, FuncExpr) || hash->funcid != record_hash_function() ||
		!IsA(linitial(hash->args), RowExpr))
		return false;
	columns = ((RowExpr *) linitial(hash->args))->args;
	if (list_length(columns) != delta->columns->natts)
		return false;
	foreach(cell, columns)
	{
		Var *column = lfirst(cell);

		if (!IsA(column, Var) || column->varattno != delta->attnums[foreach_current_index(cell)])
			return false;
	}
	return true;
}

static bool
has_hash_index(Relation rel, Delta *delta)
{
	bool found = false;
	ListCell *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		found |= is_hash_index(index, delta);
		index_close(index, AccessShareLock);
	}
	return found;
}

static void
measure(Oid relid, double *pages, double *rows)
{
	ListCell *cell;

	*pages = *rows = 0;
	foreach(cell, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		Relation rel = table_open(lfirst_oid(cell), NoLock);
		BlockNumber leaf_pages = 0;
		double leaf_rows = 0;
		double all_visible;

		if (rel->rd_rel->relkind == RELKIND_RELATION)
			estimate_rel_size(rel, NULL, &leaf_pages, &leaf_rows, &all_visible);
		*pages += leaf_pages;
		*rows += leaf_rows;
		table_close(rel, NoLock);
	}
}

/* Does the delta delete rows, but only few of a large bag? */
static bool
deletes_few(Oid relid, Delta *delta)
{
	double deleted = delta->nrows - delta->new_images;
	double pages;
	double rows;

	if (delta->nkeys > 0 || delta->clear || deleted == 0 || delta->columns->natts == 0)
		return false;
	measure(relid, &pages, &rows);
	return pages > BAG_INDEX_PAGES && deleted <= BAG_FEW * rows;
}

bool
bag_has_hash(Relation rel, Delta *delta)
{
	return deletes_few(RelationGetRelid(rel), delta) && has_hash_index(rel, delta);
}

/* ---- making and dropping ---- */

/* Of any columns: outdated ones are dropped as well. */
void
bag_drop_indexes(const Target *target)
{
	Relation rel = table_open(target->relid, AccessShareLock);
	List *names = NIL;
	ListCell *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);
		List *expressions = RelationGetIndexExpressions(index);

		if (list_length(expressions) == 1 && IsA(linitial(expressions), FuncExpr) &&
			((FuncExpr *) linitial(expressions))->funcid == record_hash_function())
			names = lappend(names, sql_relation(lfirst_oid(cell)));
		index_close(index, AccessShareLock);
	}
	table_close(rel, NoLock);
	foreach(cell, names)
	{
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql, "DROP INDEX %s", (char *) lfirst(cell));
		execute_as(target->owner, sql.data);
	}
}

typedef struct MakeIndex
{
	const Target *target;
	Delta *delta;
} MakeIndex;

/* The only index on the hash that the table has now. */
static char *
made_index(Oid relid, Delta *delta)
{
	Relation rel = table_open(relid, AccessShareLock);
	char *name = NULL;
	ListCell *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (is_hash_index(index, delta))
			name = sql_relation(lfirst_oid(cell));
		index_close(index, AccessShareLock);
	}
	table_close(rel, NoLock);
	return name;
}

static bool
make_work(void *argument)
{
	MakeIndex *make = argument;
	StringInfoData sql;

	bag_drop_indexes(make->target);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE INDEX ON %s (", make->target->display);
	hash_append(&sql, make->delta->columns, NULL);
	appendStringInfoChar(&sql, ')');
	execute_as(make->target->owner, sql.data);
	resetStringInfo(&sql);
	/* DROP EXTENSION takes it along */
	appendStringInfo(&sql,
					 "ALTER INDEX %s DEPENDS ON EXTENSION depipe",
					 made_index(make->target->relid, make->delta));
	execute_as(make->target->owner, sql.data);
	return true;
}

void
bag_prepare(const Target *target, Delta *delta)
{
	MakeIndex make = {target, delta};
	Relation rel;
	bool needed;

	if (!deletes_few(target->relid, delta))
		return;
	rel = table_open(target->relid, AccessShareLock);
	needed = bag_column(rel, delta) == 0 && !has_hash_index(rel, delta);
	table_close(rel, NoLock);
	if (needed)
		(void) guarded_run(make_work, &make);
}
