/*-------------------------------------------------------------------------
 *
 * partition.c
 *		By which columns may the result of a query be recomputed in parts?
 *
 * A column of the result is followed down to a column of one base relation,
 * the owner.  At every level it must be a plain column that keeps the rows
 * apart (passes.c), of an entry of FROM that no outer join replaces by NULLs.
 * Columns with the same owner make a key together: the finer, the fewer rows
 * are recomputed.  When a unique index of the owner has some of them, these
 * are enough.
 *
 * In a set operation the column is followed in every operand.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/partition.h"

#include "access/genam.h"
#include "access/relation.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_statistic.h"
#include "core/sqltext.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "transform/passes.h"
#include "transform/shape.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* Where a column of the result comes from, in one operand. */
typedef struct Source
{
	const GraphNode *node;
	AttrNumber column;
	List *choices;
} Source;

typedef struct Trace
{
	const Graph *graph;
	const char *why; /* a fragment that follows "because" */
	int location;
} Trace;

static bool trace(const GraphBlock *block, int column, List *choices, Trace *walk, List **sources);

/* ---- following a column ---- */

static bool
refuse(Trace *walk, const char *why, const TargetEntry *entry)
{
	walk->why = why;
	walk->location = entry == NULL ? -1 : exprLocation((Node *) entry->expr);
	return false;
}

static bool
trace_operation(const GraphBlock *block, int column, List *choices, Trace *walk, List **sources)
{
	ListCell *cell;

	foreach(cell, block_operands(block))
	{
		GraphBlock *operand = block->blocks[lfirst_int(cell)];
		TargetEntry *entry = get_tle_by_resno(operand->query->targetList, column);
		const char *why;

		if (!operation_passes(block, column, entry, &why))
			return refuse(walk, why, entry);
		if (!trace(operand, column, lappend(list_copy(choices), operand), walk, sources))
			return false;
	}
	return true;
}

static bool
is_virtual(Oid relid, AttrNumber column)
{
	Relation rel = relation_open(relid, NoLock);
	char generated = TupleDescAttr(RelationGetDescr(rel), column - 1)->attgenerated;

	relation_close(rel, NoLock);
	return generated != '\0' && generated != ATTRIBUTE_GENERATED_STORED;
}

static bool
trace_relation(const GraphNode *node, const Var *var, List *choices, List **sources)
{
	Source *source = palloc(sizeof(Source));

	source->node = node;
	source->column = var->varattno;
	source->choices = choices;
	*sources = lappend(*sources, source);
	return true;
}

static bool
trace(const GraphBlock *block, int column, List *choices, Trace *walk, List **sources)
{
	TargetEntry *entry;
	const Var *var;
	const GraphBlock *inner;
	const GraphNode *node;
	const char *why;

	if (block_is_operation(block))
		return trace_operation(block, column, choices, walk, sources);
	entry = get_tle_by_resno(block->query->targetList, column);
	var = (Var *) entry->expr;
	if (block_mixes_all(block, &why))
		return refuse(walk, why, entry);
	if (!IsA(var, Var) || var->varlevelsup > 0 || var->varattno <= 0)
		return refuse(walk, "it is not a plain column", entry);
	if (!block_passes(block, entry, &why))
		return refuse(walk, why, entry);
	inner = block->blocks[var->varno];
	if (inner != NULL)
		return bms_equal(inner->sides, block->sides)
				   ? trace(inner, var->varattno, choices, walk, sources)
				   : refuse(walk, "an outer join can put NULL in its place", entry);
	if (block->nodes[var->varno] == 0)
		return refuse(walk, "it is not a column of a table", entry);
	node = graph_node(walk->graph, block->nodes[var->varno]);
	if (!bms_equal(node->sides, block->sides))
		return refuse(walk, "an outer join can put NULL in its place", entry);
	if (!shape_type_makes_key(var->vartype))
		return refuse(walk, "values of its type cannot be sorted and hashed", entry);
	if (is_virtual(node->entry->relid, var->varattno))
		return refuse(walk, "it is generated when it is read", entry);
	return trace_relation(node, var, choices, sources);
}

/* ---- keys ---- */

static bool
has_owners(const ResultKey *key, List *sources)
{
	ListCell *cell;
	ListCell *other;

	if (list_length(key->owners) != list_length(sources))
		return false;
	forboth(cell, key->owners, other, sources)
		if (((KeyOwner *) lfirst(cell))->node != ((Source *) lfirst(other))->node)
			return false;
	return true;
}

static ResultKey *
new_key(const Query *query, List *sources)
{
	ResultKey *key = palloc0(sizeof(ResultKey));
	int most = list_length(query->targetList);
	ListCell *cell;

	key->columns = palloc0(sizeof(AttrNumber) * most);
	foreach(cell, sources)
	{
		Source *source = lfirst(cell);
		KeyOwner *owner = palloc0(sizeof(KeyOwner));

		owner->node = source->node;
		owner->choices = source->choices;
		owner->columns = palloc0(sizeof(AttrNumber) * most);
		key->owners = lappend(key->owners, owner);
	}
	return key;
}

static void
add_column(ResultKey *key, AttrNumber column, List *sources)
{
	ListCell *cell;
	ListCell *other;

	key->columns[key->natts] = column;
	forboth(cell, key->owners, other, sources)
		((KeyOwner *) lfirst(cell))->columns[key->natts] = ((Source *) lfirst(other))->column;
	key->natts++;
}

static void
add_to_keys(List **keys, const Query *query, AttrNumber column, List *sources)
{
	ResultKey *key = NULL;
	ListCell *cell;

	foreach(cell, *keys)
		if (has_owners(lfirst(cell), sources))
			key = lfirst(cell);
	if (key == NULL)
	{
		key = new_key(query, sources);
		*keys = lappend(*keys, key);
	}
	add_column(key, column, sources);
}

/* ---- what is known of the owner ---- */

static int
position_in_key(const KeyOwner *owner, int natts, AttrNumber column)
{
	for (int i = 0; i < natts; i++)
		if (owner->columns[i] == column)
			return i;
	return -1;
}

/* Keep only these columns (of the key, from 0). */
static void
reduce_key(ResultKey *key, const Bitmapset *kept)
{
	int natts = 0;

	for (int i = 0; i < key->natts; i++)
	{
		ListCell *cell;

		if (!bms_is_member(i, kept))
			continue;
		key->columns[natts] = key->columns[i];
		foreach(cell, key->owners)
			((KeyOwner *) lfirst(cell))->columns[natts] = ((KeyOwner *) lfirst(cell))->columns[i];
		natts++;
	}
	key->natts = natts;
}

/* The columns of the key that a unique index of the owner consists of; NULL: not all. */
static Bitmapset *
covered_by(Relation index, const ResultKey *key, const KeyOwner *owner)
{
	Form_pg_index form = index->rd_index;
	Bitmapset *covered = NULL;

	for (int i = 0; i < form->indnkeyatts; i++)
	{
		int position = position_in_key(owner, key->natts, form->indkey.values[i]);

		if (form->indkey.values[i] == 0 || position < 0)
			return NULL;
		covered = bms_add_member(covered, position);
	}
	return covered;
}

static void
look_at_indexes(ResultKey *key, const KeyOwner *owner)
{
	Relation rel = relation_open(owner->node->entry->relid, NoLock);
	Bitmapset *best = NULL;
	ListCell *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);
		Form_pg_index form = index->rd_index;
		Bitmapset *covered = NULL;

		if (form->indisvalid && RelationGetIndexPredicate(index) == NIL)
		{
			if (position_in_key(owner, key->natts, form->indkey.values[0]) >= 0)
				key->has_index = true;
			if (form->indisunique && form->indimmediate)
				covered = covered_by(index, key, owner);
		}
		if (covered != NULL && (best == NULL || bms_num_members(covered) < bms_num_members(best)))
			best = covered;
		index_close(index, AccessShareLock);
	}
	relation_close(rel, NoLock);
	if (best == NULL)
		return;
	key->is_unique = true;
	if (list_length(key->owners) == 1)
		reduce_key(key, best);
}

/* Estimated number of values in the column of the relation. */
static double
distinct_values(Oid relid, AttrNumber column, double rows)
{
	HeapTuple tuple = SearchSysCache3(STATRELATTINH,
									  ObjectIdGetDatum(relid),
									  Int16GetDatum(column),
									  BoolGetDatum(false));
	double distinct;

	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache3(STATRELATTINH,
								ObjectIdGetDatum(relid),
								Int16GetDatum(column),
								BoolGetDatum(true));
	if (!HeapTupleIsValid(tuple))
		return 1;
	distinct = ((Form_pg_statistic) GETSTRUCT(tuple))->stadistinct;
	ReleaseSysCache(tuple);
	return distinct < 0 ? -distinct * rows : distinct;
}

static void
look_at_owners(ResultKey *key)
{
	ListCell *cell;

	look_at_indexes(key, linitial(key->owners));
	foreach(cell, key->owners)
	{
		KeyOwner *owner = lfirst(cell);
		Relation rel = relation_open(owner->node->entry->relid, NoLock);
		double rows = Max(rel->rd_rel->reltuples, 1);
		double distinct = 1;

		for (int i = 0; i < key->natts; i++)
			distinct *= Max(distinct_values(owner->node->entry->relid, owner->columns[i], rows), 1);
		key->distinct += Min(distinct, rows);
		relation_close(rel, NoLock);
	}
}

static void
describe_key(ResultKey *key, const Query *query)
{
	key->desc = CreateTemplateTupleDesc(key->natts);
	for (int i = 0; i < key->natts; i++)
	{
		TargetEntry *entry = get_tle_by_resno(query->targetList, key->columns[i]);

		TupleDescInitEntry(key->desc, i + 1, entry->resname, exprType((Node *) entry->expr), -1, 0);
		TupleDescInitEntryCollation(key->desc, i + 1, exprCollation((Node *) entry->expr));
	}
}

/* ---- all of it ---- */

static int
compare_keys(const ListCell *a, const ListCell *b)
{
	const ResultKey *one = lfirst(a);
	const ResultKey *other = lfirst(b);

	if (one->is_unique != other->is_unique)
		return one->is_unique ? -1 : 1;
	if (one->has_index != other->has_index)
		return one->has_index ? -1 : 1;
	if (one->distinct != other->distinct)
		return one->distinct > other->distinct ? -1 : 1;
	return one->columns[0] - other->columns[0];
}

static void
explain_none(const Trace *walk, const char *column, const char **code, char **detail, int *location)
{
	*code = "no_partition_key";
	*detail = psprintf("No column of the result divides the query: \"%s\" does not, because %s.",
					   column,
					   walk->why);
	*location = walk->location;
}

List *
partition_keys(const Graph *graph, const char **code, char **detail, int *location)
{
	const Query *query = graph->root->query;
	List *keys = NIL;
	ListCell *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst(cell);
		Trace walk = {.graph = graph, .location = -1};
		List *sources = NIL;

		if (entry->resjunk)
			continue;
		if (trace(graph->root, entry->resno, NIL, &walk, &sources))
			add_to_keys(&keys, query, entry->resno, sources);
		else if (*code == NULL)
			explain_none(&walk, entry->resname, code, detail, location);
	}
	foreach(cell, keys)
	{
		look_at_owners(lfirst(cell));
		describe_key(lfirst(cell), query);
	}
	list_sort(keys, compare_keys);
	return keys;
}

char *
partition_key_text(const ResultKey *key)
{
	const KeyOwner *owner = linitial(key->owners);
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < key->natts; i++)
		appendStringInfo(&text,
						 "%s%s",
						 i == 0 ? "(" : ", ",
						 sql_identifier(NameStr(TupleDescAttr(key->desc, i)->attname)));
	appendStringInfo(&text,
					 ") of %s %s",
					 sql_relation(owner->node->entry->relid),
					 sql_identifier(owner->node->entry->eref->aliasname));
	return text.data;
}
