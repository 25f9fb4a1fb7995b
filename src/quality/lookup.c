/*-------------------------------------------------------------------------
 *
 * lookup.c
 *		How the rows of a delta are met by those of a large table.
 *
 * The planner knows nothing of a delta but its number of rows, and thinks that each
 * row found by an index costs a random page.  So it would read a whole table for
 * a thousand rows, and the work would be that of the table instead of the delta.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/lookup.h"

#include "access/genam.h"
#include "access/relation.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

/* A page of the table takes as long as so many rows that are looked up. */
#define ROWS_PER_PAGE 2

/* Does a valid index of all rows begin with one of the columns? */
static bool
has_index(Relation rel, List *columns)
{
	bool found = false;
	ListCell *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);
		AttrNumber first = index->rd_index->indkey.values[0];
		ListCell *column;

		foreach(column, columns)
			found = found || (index->rd_index->indisvalid && first > 0 &&
							  index->rd_rel->relam == BTREE_AM_OID &&
							  RelationGetIndexPredicate(index) == NIL &&
							  get_attnum(RelationGetRelid(rel), lfirst(column)) == first);
		index_close(index, NoLock);
	}
	return found;
}

static bool
is_large_for(Relation rel, int64 nrows)
{
	return rel->rd_rel->relkind == RELKIND_RELATION &&
		   nrows <= (int64) RelationGetNumberOfBlocks(rel) * ROWS_PER_PAGE;
}

PlanStyle
lookup_style(Oid relid, List *columns, int64 nrows)
{
	Relation rel = try_relation_open(relid, AccessShareLock);
	PlanStyle style = PLAN_ONCE;

	if (rel == NULL)
		return style;
	if ((rel->rd_rel->relkind == RELKIND_RELATION ||
		 rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) &&
		has_index(rel, columns))
		style = nrows <= PLAN_SMALL_ROWS   ? PLAN_KEPT
				: is_large_for(rel, nrows) ? PLAN_ONCE_BY_ROW
										   : PLAN_ONCE;
	relation_close(rel, NoLock);
	return style;
}
