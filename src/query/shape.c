/*-------------------------------------------------------------------------
 *
 * shape.c
 *		Properties of the analysed query of a transform: inputs, volatility,
 *		columns, key.
 *
 * All properties come from the Query that the server's parse analysis returns,
 * never from the text.  Views are inputs themselves.  Their queries are
 * examined too, to determine the order of refreshes.
 *
 *-------------------------------------------------------------------------
 */
#include "query/shape.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "access/tsmapi.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "delta/delta.h"
#include "core/querytext.h"
#include "core/sqltext.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

typedef struct InputWalk
{
	Shape *shape;
	bool direct;
	Oid view;        /* view whose query is walked; InvalidOid for the query itself */
	const char *sql; /* the query */
} InputWalk;

static bool find_inputs(Node *node, InputWalk *walk);

/* ---- inputs ---- */

static ShapeInput *
known_input(Shape *shape, Oid relid)
{
	ListCell *cell;

	foreach(cell, shape->inputs)
	{
		ShapeInput *input = lfirst(cell);

		if (input->relid == relid)
			return input;
	}
	return NULL;
}

static void
look_into_view(Relation rel, InputWalk *walk)
{
	Query *query = get_view_query(rel);
	InputWalk inner = {.shape = walk->shape, .direct = false, .view = RelationGetRelid(rel)};

	volatility_add(&walk->shape->volatility, query, inner.view);
	(void) find_inputs((Node *) query, &inner);
}

/*
 * Add the partitions and inheritance children of a table, because loads of
 * their own may fill them.
 */
static void
add_children(Relation rel, InputWalk *walk)
{
	ListCell *cell;

	foreach(cell, find_all_inheritors(RelationGetRelid(rel), AccessShareLock, NULL))
	{
		ShapeInput *input;

		if (known_input(walk->shape, lfirst_oid(cell)) != NULL)
			continue;
		input = palloc0(sizeof(ShapeInput));
		input->relid = lfirst_oid(cell);
		input->schema_name = get_namespace_name(get_rel_namespace(input->relid));
		input->table_name = get_rel_name(input->relid);
		walk->shape->inputs = lappend(walk->shape->inputs, input);
	}
}

static void
add_input(RangeTblEntry *entry, InputWalk *walk)
{
	ShapeInput *input = known_input(walk->shape, entry->relid);
	Relation rel;

	if (input != NULL)
	{
		input->direct |= walk->direct;
		return;
	}
	rel = relation_open(entry->relid, AccessShareLock);
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a transform cannot read temporary table \"%s\"",
						RelationGetRelationName(rel))));
	input = palloc0(sizeof(ShapeInput));
	input->relid = entry->relid;
	input->schema_name = get_namespace_name(RelationGetNamespace(rel));
	input->table_name = pstrdup(RelationGetRelationName(rel));
	input->direct = walk->direct;
	walk->shape->inputs = lappend(walk->shape->inputs, input);
	if (rel->rd_rel->relkind == RELKIND_VIEW)
		look_into_view(rel, walk);
	else if (entry->inh && has_subclass(entry->relid))
		add_children(rel, walk);
	relation_close(rel, NoLock);
}

static int
location_of_change(const Query *query)
{
	ListCell *cell;

	foreach(cell, query->cteList)
	{
		CommonTableExpr *with = lfirst(cell);

		if (IsA(with->ctequery, Query) && ((Query *) with->ctequery)->commandType != CMD_SELECT)
			return with->location;
	}
	return -1;
}

static void
check_query(Query *query, const char *sql)
{
	if (query->rowMarks != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query of a transform must not lock rows"),
				 errhint("Leave out FOR UPDATE, FOR SHARE and similar clauses.")));
	if (query->hasModifyingCTE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query of a transform must not change data in WITH"),
				 errhint("Change the data in a statement of its own."),
				 querytext_error_at(sql, location_of_change(query))));
}

static bool
find_inputs(Node *node, InputWalk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;

		if (entry->rtekind == RTE_RELATION)
			add_input(entry, walk);
		if (entry->tablesample != NULL && entry->tablesample->repeatable == NULL)
			volatility_add_part(&walk->shape->volatility,
								"uses TABLESAMPLE without REPEATABLE",
								walk->view);
		return false;
	}
	if (IsA(node, Query))
	{
		if (walk->direct)
			check_query((Query *) node, walk->sql);
		return query_tree_walker((Query *) node, find_inputs, walk, QTW_EXAMINE_RTES_BEFORE);
	}
	return expression_tree_walker(node, find_inputs, walk);
}

/* ---- columns ---- */

static TupleDesc
result_columns(Query *query)
{
	TupleDesc columns = CreateTemplateTupleDesc(ExecCleanTargetListLength(query->targetList));
	int count = 0;
	ListCell *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst(cell);
		Node *expression = (Node *) entry->expr;

		if (entry->resjunk)
			continue;
		for (int i = 0; i < count; i++)
			if (strcmp(NameStr(TupleDescAttr(columns, i)->attname), entry->resname) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" specified more than once", entry->resname),
						 errhint("Give each column of the query a name of its own.")));
		if (strncmp(entry->resname, DELTA_COLUMN_PREFIX, strlen(DELTA_COLUMN_PREFIX)) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("column name \"%s\" is reserved", entry->resname),
					 errdetail("Names beginning with \"%s\" are used by depipe.",
							   DELTA_COLUMN_PREFIX)));
		count++;
		TupleDescInitEntry(columns,
						   count,
						   entry->resname,
						   exprType(expression),
						   exprTypmod(expression),
						   0);
		TupleDescInitEntryCollation(columns, count, exprCollation(expression));
	}
	if (count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query of a transform must return at least one column")));
	return columns;
}

/* ---- key ---- */

bool
shape_type_makes_key(Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type,
											  TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR |
												  TYPECACHE_HASH_PROC);

	return OidIsValid(entry->eq_opr) && OidIsValid(entry->lt_opr) && OidIsValid(entry->hash_proc);
}

void
shape_refuse_key(const char *column, Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_HASH_PROC);

	delta_refuse_key(column, type, OidIsValid(entry->eq_opr) && OidIsValid(entry->hash_proc));
}

static bool
append_key(List **key, TargetEntry *entry)
{
	if (entry == NULL || entry->resjunk || !shape_type_makes_key(exprType((Node *) entry->expr)))
		return false;
	*key = lappend(*key, entry->resname);
	return true;
}

/*
 * Returns the names of the columns that these clauses sort or group by, or NIL
 * unless all of them are returned.
 */
static List *
key_of_clauses(List *clauses, List *target_list)
{
	List *key = NIL;
	ListCell *cell;

	foreach(cell, clauses)
	{
		SortGroupClause *clause = lfirst(cell);

		if (!append_key(&key, get_sortgroupclause_tle(clause, target_list)))
			return NIL;
	}
	return key;
}

static List *
key_of_all_columns(List *target_list)
{
	List *key = NIL;
	ListCell *cell;

	foreach(cell, target_list)
		if (!append_key(&key, lfirst(cell)))
			return NIL;
	return key;
}

/*
 * Returns the column of the result that shows this attribute of the only
 * table, or NULL if there is none.
 */
static TargetEntry *
column_of_attribute(List *target_list, int rtindex, AttrNumber attnum)
{
	ListCell *cell;

	foreach(cell, target_list)
	{
		TargetEntry *entry = lfirst(cell);
		Var *var = (Var *) entry->expr;

		if (!entry->resjunk && IsA(var, Var) && var->varlevelsup == 0 && var->varno == rtindex &&
			var->varattno == attnum)
			return entry;
	}
	return NULL;
}

/*
 * Returns the primary key of the table, if the query reads a single table and
 * returns its primary key; otherwise NIL.
 */
static List *
key_of_single_table(Query *query)
{
	RangeTblRef *reference;
	RangeTblEntry *entry;
	Bitmapset *attributes;
	List *key = NIL;
	Oid constraint;
	int attribute = -1;

	if (list_length(query->jointree->fromlist) != 1)
		return NIL;
	reference = linitial(query->jointree->fromlist);
	if (!IsA(reference, RangeTblRef))
		return NIL;
	entry = rt_fetch(reference->rtindex, query->rtable);
	if (entry->rtekind != RTE_RELATION)
		return NIL;
	/* the key of an inheritance parent does not apply to its children */
	if (entry->relkind != RELKIND_PARTITIONED_TABLE && entry->inh && has_subclass(entry->relid))
		return NIL;
	attributes = get_primary_key_attnos(entry->relid, false, &constraint);
	while ((attribute = bms_next_member(attributes, attribute)) >= 0)
	{
		AttrNumber attnum = attribute + FirstLowInvalidHeapAttributeNumber;

		if (!append_key(&key, column_of_attribute(query->targetList, reference->rtindex, attnum)))
			return NIL;
	}
	return key;
}

static List *
infer_key(Query *query)
{
	List *key = NIL;

	if (query->distinctClause != NIL)
		key = key_of_clauses(query->distinctClause, query->targetList);
	else if (query->setOperations != NULL)
	{
		SetOperationStmt *operation = (SetOperationStmt *) query->setOperations;

		if (!operation->all)
			key = key_of_all_columns(query->targetList);
	}
	else if (query->groupingSets != NIL || query->hasTargetSRFs)
		key = NIL;
	else if (query->groupClause != NIL)
		key = key_of_clauses(query->groupClause, query->targetList);
	else if (!query->hasAggs && query->havingQual == NULL)
		key = key_of_single_table(query);
	return list_length(key) > INDEX_MAX_KEYS ? NIL : key;
}

/* ---- analysing ---- */

static Query *
parse_single_select(const char *sql)
{
	ErrorContextCallback callback = {error_context_stack,
									 querytext_show_position,
									 unconstify(char *, sql)};
	List *statements;
	RawStmt *statement;
	Query *query;

	error_context_stack = &callback;
	statements = pg_parse_query(sql);
	if (list_length(statements) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query of a transform must be a single SELECT"),
				 errdetail("It has %d statements.", list_length(statements))));
	statement = linitial(statements);
	if (!IsA(statement->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query of a transform must be a single SELECT")));
	query = parse_analyze_fixedparams(statement, sql, NULL, 0, NULL);
	if (query->commandType != CMD_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query of a transform must be a single SELECT"),
				 errhint("Leave out INTO: the target is named by the transform.")));
	error_context_stack = callback.previous;
	return query;
}

Shape *
shape_analyse(const char *sql)
{
	Shape *shape = palloc0(sizeof(Shape));
	InputWalk walk = {.shape = shape, .direct = true, .sql = sql};

	shape->query = parse_single_select(sql);
	volatility_add(&shape->volatility, shape->query, InvalidOid);
	(void) find_inputs((Node *) shape->query, &walk);
	shape->columns = result_columns(shape->query);
	shape->unique_key = infer_key(shape->query);
	return shape;
}

QueryBlock *
shape_blocks(Shape *shape)
{
	if (shape->blocks == NULL)
		shape->blocks = blocks_of_query(shape->query);
	return shape->blocks;
}

char *
shape_query_sql(const Shape *shape)
{
	char *problem;
	char *sql = querytext_of_query(shape->query, &problem);

	if (sql == NULL)
		querytext_refuse("query of a transform", problem);
	return sql;
}

char *
shape_tree(const Shape *shape)
{
	return nodeToString(shape->query);
}

List *
shape_direct_relids(const Shape *shape)
{
	List *relids = NIL;
	ListCell *cell;

	foreach(cell, shape->inputs)
	{
		ShapeInput *input = lfirst(cell);

		if (input->direct)
			relids = lappend_oid(relids, input->relid);
	}
	return relids;
}
