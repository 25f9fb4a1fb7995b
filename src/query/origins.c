/*-------------------------------------------------------------------------
 *
 * origins.c
 *		The columns of inputs that the columns of a query come from.
 *
 * Columns are followed through the rewritten query.  A column of a subquery
 * has the origins of the expression that computes it, and so on down to base
 * relations.  Uses are combined: a value computed from an aggregate is an
 * aggregation, and a column that is used only in a filter remains a filter.
 *
 * Functions in languages other than C and internal may read tables that the
 * query does not name.  Such functions are opaque.  Each is recorded by
 * itself, and with the origins of its arguments.
 *
 * Invariant: a subquery in FROM or a WITH query is followed once.  A recursive
 * WITH query that reads itself adds nothing the second time.
 *
 *-------------------------------------------------------------------------
 */
#include "query/origins.h"

#include "access/relation.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "query/inline.h"
#include "utils/rel.h"
#include "utils/syscache.h"

const char *const origin_use_names[] =
	{"identity", "transformation", "aggregation", "filter", "join", "group", "sort", "window"};

/* One query level. */
typedef struct Level
{
	Query *query;
	struct Level *parent;
	Origins **entries; /* by range table index, of subqueries; NULL if not followed yet */
	List *with;        /* of WithOrigins */
} Level;

typedef struct WithOrigins
{
	const char *name;
	Origins *origins;
} WithOrigins;

/* State of the walk through an expression. */
typedef struct Walk
{
	Level *level;
	OriginUse use;
	Oid opaque;
	List **found;
} Walk;

static Origins *origins_of_level(Query *query, Level *parent, Origins *origins);
static bool follow(Node *node, void *context);

/* ---- collecting ---- */

static void
add(List **found, Origin origin)
{
	ListCell *cell;
	Origin *copy;

	foreach(cell, *found)
	{
		const Origin *known = lfirst(cell);

		if (known->relid == origin.relid && known->attnum == origin.attnum &&
			known->use == origin.use && known->opaque == origin.opaque)
			return;
	}
	copy = palloc(sizeof(Origin));
	*copy = origin;
	*found = lappend(*found, copy);
}

/* Combine the use of a column in an expression with the use of that expression. */
static OriginUse
combine(OriginUse inner, OriginUse outer)
{
	if (!ORIGIN_IS_DIRECT(inner))
		return inner;
	return Max(inner, outer);
}

static void
add_all(Walk *walk, const List *origins)
{
	ListCell *cell;

	foreach(cell, origins)
	{
		Origin origin = *(Origin *) lfirst(cell);

		origin.use = combine(origin.use, walk->use);
		if (!OidIsValid(origin.opaque))
			origin.opaque = walk->opaque;
		add(walk->found, origin);
	}
}

static void
follow_as(Walk *walk, Node *node, OriginUse use)
{
	Walk inner = *walk;

	inner.use = combine(walk->use, use);
	(void) follow(node, &inner);
}

/* Follow an expression of this level. */
static void
follow_in(Level *level, Node *node, OriginUse use, List **found)
{
	Walk walk = {.level = level, .use = use, .found = found};

	(void) follow(node, &walk);
}

/* ---- functions ---- */

/* Can the function read tables that the query does not name? */
static bool
is_opaque(Oid function)
{
	HeapTuple tuple;
	Oid language;

	if (function < FirstUnpinnedObjectId)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return false;
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	ReleaseSysCache(tuple);
	return language != INTERNALlanguageId && language != ClanguageId;
}

typedef struct OpaqueSearch
{
	Oid found;
} OpaqueSearch;

static bool
check_function(Oid function, void *context)
{
	OpaqueSearch *search = context;

	if (!is_opaque(function))
		return false;
	search->found = function;
	return true;
}

/* Returns the opaque function that this node itself calls, or InvalidOid if there is none. */
static Oid
opaque_function(Node *node)
{
	OpaqueSearch search = {InvalidOid};

	if (IsA(node, WindowFunc))
		(void) check_function(((WindowFunc *) node)->winfnoid, &search);
	else
		(void) check_functions_in_node(node, check_function, &search);
	return search.found;
}

/* ---- columns ---- */

static void
add_column(Walk *walk, Oid relid, AttrNumber attnum)
{
	Origin origin = {relid, attnum, walk->use, walk->opaque};

	add(walk->found, origin);
}

static void
add_row(Walk *walk, Oid relid)
{
	Relation rel = relation_open(relid, NoLock);
	TupleDesc desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			add_column(walk, relid, i + 1);
	relation_close(rel, NoLock);
}

static void
add_result(Walk *walk, const Origins *origins, AttrNumber attnum)
{
	for (int i = 0; i < origins->ncolumns; i++)
		if (attnum == InvalidAttrNumber || attnum == i + 1)
			add_all(walk, origins->columns[i]);
}

/*
 * Returns the origins of a WITH query.  The references that inline_with()
 * leaves are to recursive WITH queries.
 */
static const Origins *
origins_of_with(Level *level, const RangeTblEntry *entry)
{
	ListCell *cell;
	WithOrigins *with;

	for (Index i = 0; i < entry->ctelevelsup; i++)
		level = level->parent;
	foreach(cell, level->with)
		if (strcmp(((WithOrigins *) lfirst(cell))->name, entry->ctename) == 0)
			return ((WithOrigins *) lfirst(cell))->origins;
	foreach(cell, level->query->cteList)
	{
		CommonTableExpr *definition = lfirst(cell);

		if (strcmp(definition->ctename, entry->ctename) != 0)
			continue;
		with = palloc(sizeof(WithOrigins));
		with->name = definition->ctename;
		with->origins = palloc0(sizeof(Origins));
		level->with = lappend(level->with, with); /* before its reference to itself is followed */
		return origins_of_level(castNode(Query, definition->ctequery), level, with->origins);
	}
	elog(ERROR, "WITH query \"%s\" not found", entry->ctename);
}

static const Origins *
origins_of_entry(Level *level, Index rtindex)
{
	RangeTblEntry *entry = rt_fetch(rtindex, level->query->rtable);

	if (entry->rtekind == RTE_CTE)
		return origins_of_with(level, entry);
	if (level->entries[rtindex] == NULL)
	{
		level->entries[rtindex] = palloc0(sizeof(Origins));
		(void) origins_of_level(entry->subquery, level, level->entries[rtindex]);
	}
	return level->entries[rtindex];
}

static void
follow_values(Walk *walk, const RangeTblEntry *entry, AttrNumber attnum)
{
	ListCell *cell;

	foreach(cell, entry->values_lists)
	{
		List *row = lfirst(cell);

		if (attnum == InvalidAttrNumber)
			(void) follow((Node *) row, walk);
		else
			(void) follow(list_nth(row, attnum - 1), walk);
	}
}

static void
follow_var(const Walk *caller, const Var *var)
{
	Walk walk = *caller;
	RangeTblEntry *entry;

	for (Index i = 0; i < var->varlevelsup; i++)
		walk.level = walk.level->parent;
	entry = rt_fetch(var->varno, walk.level->query->rtable);
	if (var->varattno == InvalidAttrNumber)
		walk.use = combine(walk.use, ORIGIN_TRANSFORMATION);
	switch (entry->rtekind)
	{
		case RTE_RELATION:
			if (var->varattno == InvalidAttrNumber)
				add_row(&walk, entry->relid);
			else
				add_column(&walk, entry->relid, var->varattno);
			break;
		case RTE_SUBQUERY:
		case RTE_CTE:
			add_result(&walk, origins_of_entry(walk.level, var->varno), var->varattno);
			break;
		case RTE_FUNCTION:
			follow_as(&walk, (Node *) entry->functions, ORIGIN_TRANSFORMATION);
			break;
		case RTE_TABLEFUNC:
			follow_as(&walk, (Node *) entry->tablefunc, ORIGIN_TRANSFORMATION);
			break;
		case RTE_VALUES:
			follow_values(&walk, entry, var->varattno);
			break;
		default:
			break;
	}
}

/* ---- expressions ---- */

static void
follow_sublink(Walk *walk, const SubLink *sublink)
{
	Origins *origins = palloc0(sizeof(Origins));
	Walk inner = *walk;

	(void) origins_of_level(castNode(Query, sublink->subselect), walk->level, origins);
	inner.use = combine(walk->use, ORIGIN_TRANSFORMATION);
	(void) follow(sublink->testexpr, &inner);
	if (sublink->subLinkType != EXISTS_SUBLINK)
		add_result(&inner, origins, InvalidAttrNumber);
	add_all(walk, origins->rows);
}

static void
follow_aggregate(Walk *walk, const Aggref *aggregate)
{
	follow_as(walk, (Node *) aggregate->aggdirectargs, ORIGIN_AGGREGATION);
	follow_as(walk, (Node *) aggregate->args, ORIGIN_AGGREGATION);
	follow_as(walk, (Node *) aggregate->aggfilter, ORIGIN_FILTER);
}

static void
follow_clauses(Walk *walk, List *clauses, OriginUse use)
{
	ListCell *cell;

	foreach(cell, clauses)
		follow_as(walk,
				  get_sortgroupclause_expr(lfirst(cell), walk->level->query->targetList),
				  use);
}

static void
follow_window(Walk *walk, const WindowFunc *function)
{
	ListCell *cell;

	follow_as(walk,
			  (Node *) function->args,
			  function->winagg ? ORIGIN_AGGREGATION : ORIGIN_TRANSFORMATION);
	follow_as(walk, (Node *) function->aggfilter, ORIGIN_FILTER);
	foreach(cell, walk->level->query->windowClause)
	{
		WindowClause *window = lfirst(cell);

		if (window->winref != function->winref)
			continue;
		follow_clauses(walk, window->partitionClause, ORIGIN_WINDOW);
		follow_clauses(walk, window->orderClause, ORIGIN_WINDOW);
		follow_as(walk, window->startOffset, ORIGIN_WINDOW);
		follow_as(walk, window->endOffset, ORIGIN_WINDOW);
	}
}

/* Does the node return the value of its argument unchanged? */
static bool
is_transparent(Node *node)
{
	switch (nodeTag(node))
	{
		case T_RelabelType:
		case T_CollateExpr:
		case T_CoerceToDomain:
		case T_TargetEntry:
		case T_List:
			return true;
		default:
			return false;
	}
}

static bool
follow(Node *node, void *context)
{
	Walk walk;
	Oid opaque;

	if (node == NULL)
		return false;
	walk = *(Walk *) context;
	opaque = opaque_function(node);
	if (OidIsValid(opaque))
	{
		walk.opaque = opaque;
		walk.use = combine(walk.use, ORIGIN_TRANSFORMATION);
		add_column(&walk, InvalidOid, InvalidAttrNumber);
	}
	if (IsA(node, Var))
		follow_var(&walk, (Var *) node);
	else if (IsA(node, SubLink))
		follow_sublink(&walk, (SubLink *) node);
	else if (IsA(node, Aggref))
		follow_aggregate(&walk, (Aggref *) node);
	else if (IsA(node, WindowFunc))
		follow_window(&walk, (WindowFunc *) node);
	else
	{
		if (!is_transparent(node))
			walk.use = combine(walk.use, ORIGIN_TRANSFORMATION);
		return expression_tree_walker(node, follow, &walk);
	}
	return false;
}

/* ---- rows ---- */

/* Does the condition reference several range table entries of its own level? */
static bool
connects(Node *condition)
{
	return bms_membership(pull_varnos(NULL, condition)) == BMS_MULTIPLE;
}

static void
follow_condition(Level *level, Node *condition, bool of_join, List **rows)
{
	ListCell *cell;

	if (condition == NULL)
		return;
	if (IsA(condition, List) || is_andclause(condition))
	{
		List *parts = IsA(condition, List) ? (List *) condition : ((BoolExpr *) condition)->args;

		foreach(cell, parts)
			follow_condition(level, lfirst(cell), of_join, rows);
		return;
	}
	follow_in(level, condition, of_join || connects(condition) ? ORIGIN_JOIN : ORIGIN_FILTER, rows);
}

static void
follow_entry_rows(Level *level, Index rtindex, List **rows)
{
	RangeTblEntry *entry = rt_fetch(rtindex, level->query->rtable);
	Walk walk = {.level = level, .use = ORIGIN_IDENTITY, .found = rows};

	follow_condition(level, (Node *) entry->securityQuals, false, rows);
	if (entry->rtekind == RTE_SUBQUERY || entry->rtekind == RTE_CTE)
		add_all(&walk, origins_of_entry(level, rtindex)->rows);
	else if (entry->rtekind == RTE_FUNCTION)
		follow_in(level, (Node *) entry->functions, ORIGIN_FILTER, rows);
	else if (entry->rtekind == RTE_TABLEFUNC)
		follow_in(level, (Node *) entry->tablefunc, ORIGIN_FILTER, rows);
}

static void
follow_from(Level *level, Node *node, List **rows)
{
	ListCell *cell;

	if (node == NULL)
		return;
	if (IsA(node, FromExpr))
	{
		foreach(cell, ((FromExpr *) node)->fromlist)
			follow_from(level, lfirst(cell), rows);
		follow_condition(level, ((FromExpr *) node)->quals, false, rows);
	}
	else if (IsA(node, JoinExpr))
	{
		follow_from(level, ((JoinExpr *) node)->larg, rows);
		follow_from(level, ((JoinExpr *) node)->rarg, rows);
		follow_condition(level, ((JoinExpr *) node)->quals, true, rows);
	}
	else
		follow_entry_rows(level, castNode(RangeTblRef, node)->rtindex, rows);
}

static void
follow_rows(Level *level, List **rows)
{
	Query *query = level->query;
	Walk walk = {.level = level, .use = ORIGIN_IDENTITY, .found = rows};

	follow_from(level, (Node *) query->jointree, rows);
	follow_in(level, query->havingQual, ORIGIN_FILTER, rows);
	follow_in(level, query->limitCount, ORIGIN_FILTER, rows);
	follow_in(level, query->limitOffset, ORIGIN_FILTER, rows);
	if (query->setOperations != NULL)
		return; /* clauses refer to columns of the set operation */
	follow_clauses(&walk, query->groupClause, ORIGIN_GROUP);
	follow_clauses(&walk, query->distinctClause, ORIGIN_GROUP);
	follow_clauses(&walk, query->sortClause, ORIGIN_SORT);
}

/* ---- set operations ---- */

/*
 * Follow the operands of a set operation.  Their columns correspond by
 * position.  The columns of the right operand of EXCEPT only filter rows.
 */
static void
follow_operation(Level *level, Node *node, bool removes, Origins *origins)
{
	const Origins *operand;

	if (IsA(node, SetOperationStmt))
	{
		SetOperationStmt *operation = (SetOperationStmt *) node;

		follow_operation(level, operation->larg, removes, origins);
		follow_operation(level, operation->rarg, removes || operation->op == SETOP_EXCEPT, origins);
		return;
	}
	operand = origins_of_entry(level, castNode(RangeTblRef, node)->rtindex);
	follow_entry_rows(level, castNode(RangeTblRef, node)->rtindex, &origins->rows);
	for (int i = 0; i < Min(origins->ncolumns, operand->ncolumns); i++)
	{
		Walk walk = {.level = level,
					 .use = removes ? ORIGIN_FILTER : ORIGIN_IDENTITY,
					 .found = removes ? &origins->rows : &origins->columns[i]};

		add_all(&walk, operand->columns[i]);
	}
}

/*
 * Add the columns as origins of the rows.  INTERSECT filters rows by all
 * columns; other operations group equal rows, except UNION ALL.  The topmost
 * operation determines the use for all nested ones.
 */
static void
follow_operation_rows(Level *level, Origins *origins)
{
	SetOperationStmt *operation = castNode(SetOperationStmt, level->query->setOperations);
	OriginUse use = operation->op == SETOP_INTERSECT ? ORIGIN_FILTER : ORIGIN_GROUP;
	Walk walk = {.level = level, .use = use, .found = &origins->rows};

	if (operation->op == SETOP_UNION && operation->all)
		return;
	for (int i = 0; i < origins->ncolumns; i++)
		add_all(&walk, origins->columns[i]);
}

/* ---- levels ---- */

static void
follow_columns(Level *level, Origins *origins)
{
	int column = 0;
	ListCell *cell;

	foreach(cell, level->query->targetList)
	{
		TargetEntry *entry = lfirst(cell);

		if (entry->resjunk)
			continue;
		follow_in(level, (Node *) entry->expr, ORIGIN_IDENTITY, &origins->columns[column++]);
	}
}

/* Fill the given origins, which references to the level may already use, and return them. */
static Origins *
origins_of_level(Query *query, Level *parent, Origins *origins)
{
	Level *level = palloc0(sizeof(Level));

	level->query = query;
	level->parent = parent;
	level->entries = palloc0(sizeof(Origins *) * (list_length(query->rtable) + 1));
	origins->ncolumns = count_nonjunk_tlist_entries(query->targetList);
	origins->columns = palloc0(sizeof(List *) * (origins->ncolumns + 1));
	if (query->setOperations != NULL)
	{
		follow_operation(level, query->setOperations, false, origins);
		follow_operation_rows(level, origins);
	}
	else
		follow_columns(level, origins);
	follow_rows(level, &origins->rows);
	return origins;
}

Origins *
origins_of_query(const Query *query)
{
	Query *copy = inline_with(query);

	inline_aliases(copy);
	return origins_of_level(copy, NULL, palloc0(sizeof(Origins)));
}
