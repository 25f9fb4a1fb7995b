/*-------------------------------------------------------------------------
 *
 * partition.c
 *		Keys by which the result of a query can be recomputed in parts.
 *
 * A column of the result is followed down to an expression of columns of one
 * base relation, the owner (trace.c).  Columns with the same owner form one
 * key: the more selective it is, the fewer rows are recomputed.  If a unique
 * index of the owner consists of some of these columns, the key is reduced to
 * them.  An expression is added to an existing key only if rows are grouped by
 * it.  Otherwise it would make the key longer, but hardly more selective.
 *
 * A key has several owners in two cases: in a set operation, where each
 * operand has one, and where a FULL JOIN merges columns of two relations.
 *
 *-------------------------------------------------------------------------
 */
#include "query/partition.h"

#include "access/genam.h"
#include "access/relation.h"
#include "catalog/pg_statistic.h"
#include "core/sqltext.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "query/trace.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* ---- keys ---- */

static bool
has_owners(const ResultKey *key, List *sources)
{
	ListCell *cell;
	ListCell *other;

	if (list_length(key->owners) != list_length(sources))
		return false;
	forboth(cell, key->owners, other, sources)
		if (((KeyOwner *) lfirst(cell))->node != ((ColumnSource *) lfirst(other))->node)
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
		ColumnSource *source = lfirst(cell);
		KeyOwner *owner = palloc0(sizeof(KeyOwner));

		owner->node = source->node;
		owner->choices = source->choices;
		owner->columns = palloc0(sizeof(Node *) * most);
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
	{
		KeyOwner *owner = lfirst(cell);
		ColumnSource *source = lfirst(other);

		owner->columns[key->natts] = source->expression;
		owner->merges = list_concat(owner->merges, source->merges);
	}
	key->natts++;
}

static ResultKey *
key_of_owners(List *keys, List *sources)
{
	ListCell *cell;

	foreach(cell, keys)
		if (has_owners(lfirst(cell), sources))
			return lfirst(cell);
	return NULL;
}

static bool
is_plain(List *sources)
{
	ListCell *cell;

	foreach(cell, sources)
		if (!IsA(((ColumnSource *) lfirst(cell))->expression, Var))
			return false;
	return true;
}

static void
add_to_keys(List **keys, const Query *query, AttrNumber column, const ColumnTrace *trace)
{
	ResultKey *key = key_of_owners(*keys, trace->sources);

	if (key == NULL)
	{
		key = new_key(query, trace->sources);
		*keys = lappend(*keys, key);
	}
	else if (!is_plain(trace->sources) && !trace->grouped)
		return;
	add_column(key, column, trace->sources);
}

/* ---- indexes and statistics of the owner ---- */

static int
position_in_key(const KeyOwner *owner, int natts, AttrNumber column)
{
	for (int i = 0; i < natts; i++)
		if (IsA(owner->columns[i], Var) && ((Var *) owner->columns[i])->varattno == column)
			return i;
	return -1;
}

/* Does the index begin with a column of the key? */
static bool
begins_with_key(Relation index, const ResultKey *key, const KeyOwner *owner)
{
	AttrNumber first = index->rd_index->indkey.values[0];
	Node *expression;

	if (first != 0)
		return position_in_key(owner, key->natts, first) >= 0;
	/* in index expressions, varno is 1 */
	expression = copyObject(linitial(RelationGetIndexExpressions(index)));
	ChangeVarNodes(expression, 1, owner->node->number, 0);
	for (int i = 0; i < key->natts; i++)
		if (equal(owner->columns[i], expression))
			return true;
	return false;
}

/* Keep only these columns of the key, which are numbered from 0. */
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

/*
 * Returns the columns of the key that make up a unique index of the owner, or
 * NULL if the index has a column or an expression that is not in the key.
 */
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
			key->has_index |= begins_with_key(index, key, owner);
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

/* Returns the estimated number of distinct values of a column, or 1 if there are no statistics. */
static double
distinct_values(Oid relid, const Node *expression, double rows)
{
	AttrNumber column = IsA(expression, Var) ? ((const Var *) expression)->varattno
											 : InvalidAttrNumber;
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

/* ---- keys of a query ---- */

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
explain_none(const ColumnTrace *trace, const char *column, const char **code, char **detail,
			 int *location)
{
	*code = "no_partition_key";
	*detail = psprintf("No column of the result divides the query: \"%s\" does not, because %s.",
					   column,
					   trace->why);
	*location = trace->location;
}

/*
 * Add columns of the result to keys: those that are plain columns, or those
 * that are expressions.
 */
static void
add_columns(List **keys, const Query *query, const ColumnTrace *traces, bool plain)
{
	ListCell *cell;

	foreach(cell, query->targetList)
	{
		const ColumnTrace *trace = &traces[foreach_current_index(cell)];

		if (trace->sources != NIL && is_plain(trace->sources) == plain)
			add_to_keys(keys, query, ((TargetEntry *) lfirst(cell))->resno, trace);
	}
}

List *
partition_keys(const Graph *graph, const char **code, char **detail, int *location)
{
	const Query *query = graph->root->query;
	ColumnTrace *traces = palloc0(sizeof(ColumnTrace) * (list_length(query->targetList) + 1));
	List *keys = NIL;
	ListCell *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst(cell);
		ColumnTrace *trace = &traces[foreach_current_index(cell)];

		if (entry->resjunk || trace_column(graph, entry->resno, trace))
			continue;
		trace->sources = NIL;
		if (*code == NULL)
			explain_none(trace, entry->resname, code, detail, location);
	}
	add_columns(&keys, query, traces, true);
	add_columns(&keys, query, traces, false);
	foreach(cell, keys)
	{
		look_at_owners(lfirst(cell));
		describe_key(lfirst(cell), query);
	}
	list_sort(keys, compare_keys);
	return keys;
}

ResultKey *
partition_of_all(void)
{
	ResultKey *key = palloc0(sizeof(ResultKey));

	key->desc = CreateTemplateTupleDesc(0);
	return key;
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
