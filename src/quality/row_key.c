/*-------------------------------------------------------------------------
 *
 * row_key.c
 *		The columns that identify a row of a target.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/row_key.h"

#include "access/genam.h"
#include "access/table.h"
#include "delta/delta.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"

/* The columns of some unique index, if there is no primary key. */
static int
unique_attributes(Oid relid, AttrNumber *attnums)
{
	Relation rel = table_open(relid, AccessShareLock);
	int count = 0;
	ListCell *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		if (count == 0 && index->rd_index->indisunique && index->rd_index->indisvalid &&
			RelationGetIndexPredicate(index) == NIL && RelationGetIndexExpressions(index) == NIL)
			for (int i = 0; i < index->rd_index->indnkeyatts; i++)
				attnums[count++] = index->rd_index->indkey.values[i];
		index_close(index, NoLock);
	}
	table_close(rel, NoLock);
	return count;
}

int
row_key_attributes(const Target *target, AttrNumber **attnums)
{
	int count = delta_key_attributes(target->relid, NIL, attnums);

	/* among the current versions the rest of the key is unique */
	if (target->history == HISTORY_SCD2 && count > 1 &&
		(*attnums)[count - 1] == get_attnum(target->relid, HISTORY_VALID_FROM))
		count--;
	return count;
}

int
row_identity_attributes(const Target *target, AttrNumber **attnums)
{
	int count = row_key_attributes(target, attnums);

	return count > 0 ? count : unique_attributes(target->relid, *attnums);
}
