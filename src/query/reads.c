/*-------------------------------------------------------------------------
 *
 * reads.c
 *		The columns of its inputs that a query reads.
 *
 * The walk begins with the columns of the result and with everything that
 * determines how many rows there are: conditions, grouping, ordering, limits.
 * From there it follows each Var through joins, subqueries, views and WITH
 * queries to the column of a table.  A column that a view returns, but the
 * query does not use, is therefore not read.  Where this is not obvious, as in
 * UNION, all columns are regarded as read.
 *
 * Invariant: two states of a table that differ only in columns that are not
 * read give the same result.
 *
 *-------------------------------------------------------------------------
 */
#include "query/reads.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "compat.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* A query level and the levels that contain it. */
typedef struct Level
{
	Query *query;
	const struct Level *parent;
} Level;

/* The target list entries of a query level that have been followed. */
typedef struct Followed
{
	const Query *query;
	Bitmapset *outputs;
} Followed;

typedef struct ReadsWalk
{
	Oid relid;
	const Level *level; /* level of the expression being walked */
	List *followed;     /* of Followed */
	bool all;
	Bitmapset *columns; /* attribute numbers in relid */
} ReadsWalk;

static bool walk_expression(Node *node, void *context);
static void enter_query(ReadsWalk *walk, const Level *level);

static void
walk_at(ReadsWalk *walk, const Level *level, Node *node)
{
	const Level *saved = walk->level;

	walk->level = level;
	(void) walk_expression(node, walk);
	walk->level = saved;
}

static Level *
make_level(Query *query, const Level *parent)
{
	Level *level = palloc(sizeof(Level));

	level->query = query;
	level->parent = parent;
	return level;
}

static const Level *
level_above(const Level *level, Index levels)
{
	while (levels-- > 0)
		level = level->parent;
	return level;
}

/* ---- columns of range table entries ---- */

static Followed *
find_followed(ReadsWalk *walk, const Query *query)
{
	ListCell *cell;

	foreach(cell, walk->followed)
		if (((Followed *) lfirst(cell))->query == query)
			return lfirst(cell);
	return NULL;
}

/* Follow a column of the result of a query level, or all of them if the number is 0. */
static void
follow_output(ReadsWalk *walk, const Level *level, AttrNumber number)
{
	ListCell *cell;

	enter_query(walk, level);
	foreach(cell, level->query->targetList)
	{
		TargetEntry *entry = lfirst(cell);
		Followed *followed = find_followed(walk, level->query);

		if (entry->resjunk || (number != 0 && entry->resno != number) ||
			bms_is_member(entry->resno, followed->outputs))
			continue;
		followed->outputs = bms_add_member(followed->outputs, entry->resno);
		walk_at(walk, level, (Node *) entry->expr);
	}
}

static void
follow_with(ReadsWalk *walk, const Level *level, const RangeTblEntry *reference, AttrNumber number)
{
	const Level *above = level_above(level, reference->ctelevelsup);
	ListCell *cell;

	foreach(cell, above->query->cteList)
	{
		CommonTableExpr *with = lfirst(cell);

		if (strcmp(with->ctename, reference->ctename) == 0)
			follow_output(walk, make_level(castNode(Query, with->ctequery), above), number);
	}
}

static void
follow_join(ReadsWalk *walk, const Level *level, const RangeTblEntry *join, AttrNumber number)
{
	if (number > 0)
		walk_at(walk, level, list_nth(join->joinaliasvars, number - 1));
	else
		walk_at(walk, level, (Node *) join->joinaliasvars);
}

static void
add_column(ReadsWalk *walk, Oid relid, AttrNumber number)
{
	if (relid != walk->relid)
		return;
	if (number > 0)
		walk->columns = bms_add_member(walk->columns, number);
	else
		walk->all = true;
}

static void
follow_var(ReadsWalk *walk, const Var *var)
{
	const Level *level = level_above(walk->level, var->varlevelsup);
	RangeTblEntry *entry = rt_fetch(var->varno, level->query->rtable);
	List *grouped = group_expressions_compat(entry);

	if (grouped != NIL)
		walk_at(walk, level, list_nth(grouped, var->varattno - 1));
	else if (entry->rtekind == RTE_RELATION)
		add_column(walk, entry->relid, var->varattno);
	else if (entry->rtekind == RTE_SUBQUERY)
		follow_output(walk, make_level(entry->subquery, level), var->varattno);
	else if (entry->rtekind == RTE_CTE)
		follow_with(walk, level, entry, var->varattno);
	else if (entry->rtekind == RTE_JOIN)
		follow_join(walk, level, entry, var->varattno);
	/* functions and VALUES are walked with their level */
}

static bool
walk_expression(Node *node, void *context)
{
	ReadsWalk *walk = context;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
		follow_var(walk, (Var *) node);
	if (IsA(node, SubLink))
	{
		SubLink *sublink = (SubLink *) node;
		Level *level = make_level(castNode(Query, sublink->subselect), walk->level);

		/* EXISTS depends only on whether there are rows */
		if (sublink->subLinkType == EXISTS_SUBLINK)
			enter_query(walk, level);
		else
			follow_output(walk, level, 0);
		return walk_expression(sublink->testexpr, context);
	}
	return expression_tree_walker(node, walk_expression, context);
}

/* ---- what determines the rows of a query level ---- */

static void
enter_entry(ReadsWalk *walk, const Level *level, RangeTblEntry *entry)
{
	walk_at(walk, level, (Node *) entry->securityQuals);
	walk_at(walk, level, (Node *) entry->tablesample);
	walk_at(walk, level, (Node *) entry->functions);
	walk_at(walk, level, (Node *) entry->tablefunc);
	walk_at(walk, level, (Node *) entry->values_lists);
	if (entry->rtekind != RTE_SUBQUERY)
		return;
	enter_query(walk, make_level(entry->subquery, level));
	if (level->query->setOperations != NULL)
		follow_output(walk, make_level(entry->subquery, level), 0);
}

static void
enter_windows(ReadsWalk *walk, const Level *level)
{
	ListCell *cell;

	foreach(cell, level->query->windowClause)
	{
		WindowClause *window = lfirst(cell);

		walk_at(walk, level, window->startOffset);
		walk_at(walk, level, window->endOffset);
	}
}

/*
 * Walk the target list entries by which rows are grouped, sorted or made
 * distinct, and those that return sets.
 */
static void
enter_outputs(ReadsWalk *walk, const Level *level)
{
	ListCell *cell;

	foreach(cell, level->query->targetList)
	{
		TargetEntry *entry = lfirst(cell);

		if (entry->resjunk || entry->ressortgroupref != 0 ||
			expression_returns_set((Node *) entry->expr))
			walk_at(walk, level, (Node *) entry->expr);
	}
}

static void
enter_query(ReadsWalk *walk, const Level *level)
{
	Query *query = level->query;
	Followed *followed;
	ListCell *cell;

	if (find_followed(walk, query) != NULL)
		return;
	followed = palloc0(sizeof(Followed));
	followed->query = query;
	walk->followed = lappend(walk->followed, followed);
	walk_at(walk, level, (Node *) query->jointree);
	walk_at(walk, level, query->havingQual);
	walk_at(walk, level, query->limitOffset);
	walk_at(walk, level, query->limitCount);
	enter_windows(walk, level);
	enter_outputs(walk, level);
	foreach(cell, query->rtable)
		enter_entry(walk, level, lfirst(cell));
	foreach(cell, query->cteList)
		enter_query(
			walk,
			make_level(castNode(Query, ((CommonTableExpr *) lfirst(cell))->ctequery), level));
}

/* ---- sets of columns ---- */

static bool
is_among(const List *names, const char *name)
{
	ListCell *cell;

	foreach(cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

ReadColumns
reads_of_query(QueryBlock *root, Oid relid)
{
	ReadsWalk walk = {.relid = relid};
	ReadColumns reads = {0};
	int number = -1;

	follow_output(&walk, make_level(root->query, NULL), 0);
	reads.all = walk.all;
	while (!walk.all && (number = bms_next_member(walk.columns, number)) > 0)
		reads.names = lappend(reads.names, get_attname(relid, number, false));
	return reads;
}

bool
reads_contain(const ReadColumns *set, const ReadColumns *part)
{
	ListCell *cell;

	if (set->all || part->all)
		return set->all;
	foreach(cell, part->names)
		if (!is_among(set->names, lfirst(cell)))
			return false;
	return true;
}

ReadColumns
reads_union(const ReadColumns *one, const ReadColumns *other)
{
	ReadColumns both = {.all = one->all || other->all};
	ListCell *cell;

	if (both.all)
		return both;
	both.names = list_copy(one->names);
	foreach(cell, other->names)
		if (!is_among(both.names, lfirst(cell)))
			both.names = lappend(both.names, lfirst(cell));
	return both;
}

ReadColumns
reads_existing(const ReadColumns *set, Oid relid)
{
	ReadColumns existing = {.all = set->all};
	ListCell *cell;

	foreach(cell, set->names)
		if (get_attnum(relid, lfirst(cell)) != InvalidAttrNumber)
			existing.names = lappend(existing.names, lfirst(cell));
	return existing;
}

bool *
reads_by_number(const ReadColumns *set, TupleDesc desc)
{
	bool *reads;
	int found = 0;
	int unread = 0;

	if (set->all)
		return NULL;
	reads = palloc0(sizeof(bool) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		reads[i] = is_among(set->names, NameStr(att->attname));
		found += reads[i];
		unread += !reads[i];
	}
	if (unread > 0 && found == list_length(set->names))
		return reads;
	pfree(reads);
	return NULL;
}
