/*-------------------------------------------------------------------------
 *
 * expression.c
 *		Boolean SQL expressions over the columns of one table.
 *
 * The text goes through the grammar's entry for a PL/pgSQL expression, which
 * accepts a target list followed by clauses; everything but one target is
 * refused.  It is then analysed as a target list over one namespace item, so
 * that aggregates are recognised in the analysed tree and not by their
 * spelling.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/expression.h"

#include "catalog/pg_type.h"
#include "core/querytext.h"
#include "core/settings.h"
#include "core/sqltext.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

typedef struct Walk
{
	Relation rel;
	const char *what;
	bool is_aggregate;
	bool inside_aggregate;
	List *columns;
} Walk;

typedef struct SourceText
{
	const char *text;
	const char *what;
} SourceText;

static void
show_expression(void *arg)
{
	SourceText *source = arg;

	querytext_show_position(unconstify(char *, source->text));
	errcontext("%s of a check", source->what);
}

static void
refuse(int sqlstate, const char *what, const char *thing, const char *hint)
{
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("%s must not contain %s", what, thing),
			 hint ? errhint("%s", hint) : 0));
}

/* The only expression of the text; all other parts of a SELECT are refused. */
static Node *
parse_text(const char *text, const char *what)
{
	List *statements = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;
	ResTarget *target;

	if (!IsA(select, SelectStmt) || select->distinctClause != NIL || select->fromClause != NIL ||
		select->whereClause != NULL || select->groupClause != NIL || select->havingClause != NULL ||
		select->windowClause != NIL || select->sortClause != NIL || select->limitOffset != NULL ||
		select->limitCount != NULL || select->lockingClause != NIL || select->op != SETOP_NONE ||
		select->intoClause != NULL || select->valuesLists != NIL || select->withClause != NULL ||
		list_length(select->targetList) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s must be one SQL expression", what),
				 errhint("Write only the condition, as in a WHERE clause.")));
	target = linitial_node(ResTarget, select->targetList);
	if (target->name != NULL || target->indirection != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s must be one SQL expression without a name", what)));
	/* "*" is expanded in target lists only; elsewhere the server does not expect it */
	if (IsA(target->val, ColumnRef) && IsA(llast(((ColumnRef *) target->val)->fields), A_Star))
		refuse(ERRCODE_SYNTAX_ERROR, what, "*", NULL);
	return target->val;
}

void
expression_check_syntax(const char *text, const char *what)
{
	SourceText source = {text, what};
	ErrorContextCallback callback = {error_context_stack, show_expression, &source};

	error_context_stack = &callback;
	(void) parse_text(text, what);
	error_context_stack = callback.previous;
}

static void
take_column(Walk *walk, Var *var)
{
	char *name;
	ListCell *cell;

	if (var->varlevelsup != 0)
		return;
	if (var->varattno == 0)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
			   walk->what,
			   "a reference to the whole row",
			   "Name the columns.");
	name = get_attname(RelationGetRelid(walk->rel), var->varattno, false);
	if (var->varattno < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("%s must not contain the system column \"%s\"", walk->what, name)));
	if (walk->is_aggregate && !walk->inside_aggregate)
		ereport(ERROR,
				(errcode(ERRCODE_GROUPING_ERROR),
				 errmsg("column \"%s\" must be used in an aggregate function", name),
				 errdetail("The %s has an aggregate, so it is about the table.", walk->what),
				 errhint("Declare two constraints: one about rows, one about the table.")));
	foreach(cell, walk->columns)
		if (strcmp(lfirst(cell), name) == 0)
			return;
	walk->columns = lappend(walk->columns, name);
}

static bool
walk_expression(Node *node, Walk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		take_column(walk, (Var *) node);
		return false;
	}
	if (IsA(node, GroupingFunc))
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, walk->what, "GROUPING", NULL);
	if (IsA(node, Aggref))
	{
		bool outer = walk->inside_aggregate;
		bool result;

		walk->inside_aggregate = true;
		result = expression_tree_walker(node, walk_expression, walk);
		walk->inside_aggregate = outer;
		return result;
	}
	return expression_tree_walker(node, walk_expression, walk);
}

static void
check_analysed(ParseState *pstate, Node *expr, Walk *walk)
{
	if (pstate->p_hasSubLinks)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
			   walk->what,
			   "a subquery",
			   "Use depipe.relationships for rows that must exist in another table.");
	if (pstate->p_hasWindowFuncs)
		refuse(ERRCODE_WINDOWING_ERROR, walk->what, "a window function", NULL);
	if (pstate->p_hasTargetSRFs)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, walk->what, "a set-returning function", NULL);
	walk->is_aggregate = pstate->p_hasAggs;
	(void) walk_expression(expr, walk);
	if (contain_volatile_functions(expr))
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION,
			   walk->what,
			   "a volatile function",
			   "A check must give the same answer for the same rows within a statement.");
}

/* ---- the text that is kept ---- */

typedef struct KeptText
{
	Relation rel;
	const char *what;
	const char *alias; /* qualifies the columns; NULL: plain names */
	ParseExprKind kind;
	bool boolean;
} KeptText;

static Node *
transform_text(ParseState *pstate, const char *text, const KeptText *kept)
{
	ParseNamespaceItem *item;
	Node *expr;

	pstate->p_sourcetext = text;
	item = addRangeTableEntryForRelation(pstate,
										 kept->rel,
										 AccessShareLock,
										 kept->alias == NULL ? NULL : makeAlias(kept->alias, NIL),
										 false,
										 true);
	addNSItemToQuery(pstate, item, true, true, true);
	expr = transformExpr(pstate, parse_text(text, kept->what), kept->kind);
	if (kept->boolean)
		expr = coerce_to_boolean(pstate, expr, kept->what);
	assign_expr_collations(pstate, expr);
	return expr;
}

static char *
deparse_kept(Node *expr, bool prefixed, void *argument)
{
	KeptText *kept = argument;
	List *context = deparse_context_for(kept->alias == NULL ? RelationGetRelationName(kept->rel)
															: kept->alias,
										RelationGetRelid(kept->rel));

	return deparse_expression(expr, context, kept->alias != NULL, false);
}

static Node *
analyse_kept(const char *sql, void *argument)
{
	ParseState *pstate = make_parsestate(NULL);
	Node *expr = transform_text(pstate, sql, argument);

	free_parsestate(pstate);
	return expr;
}

static char *
deparse(Node *expr, KeptText *kept)
{
	static const TextMethods methods = {deparse_kept, analyse_kept};
	char *problem;
	char *sql = querytext_prove(expr, &methods, kept, &problem);

	if (sql == NULL)
		querytext_refuse(psprintf("%s of a check", kept->what), problem);
	return sql;
}

/* Of "aggregate <op> constant", the side with the aggregate is the metric. */
static Node *
metric_side(Node *expr)
{
	OpExpr *comparison = (OpExpr *) expr;
	Node *left;
	Node *right;

	if (!IsA(expr, OpExpr) || list_length(comparison->args) != 2)
		return NULL;
	left = linitial(comparison->args);
	right = lsecond(comparison->args);
	if (contain_agg_clause(left) && !contain_agg_clause(right))
		return left;
	if (contain_agg_clause(right) && !contain_agg_clause(left))
		return right;
	return NULL;
}

static Expression *
deparse_pinned(Node *expr, const Walk *walk, KeptText *kept)
{
	Expression *expression = palloc0(sizeof(Expression));
	int level = NewGUCNestLevel();

	settings_set("search_path", "pg_catalog, pg_temp");
	settings_pin_literals();
	expression->sql = deparse(expr, kept);
	expression->is_aggregate = walk->is_aggregate;
	expression->columns = walk->columns;
	kept->boolean = false;
	if (walk->is_aggregate && metric_side(expr) != NULL)
		expression->metric = deparse(metric_side(expr), kept);
	AtEOXact_GUC(false, level);
	return expression;
}

/* *type: what the expression yields. */
static Expression *
analyse(const char *text, KeptText *kept, Oid *type)
{
	SourceText source = {text, kept->what};
	ErrorContextCallback callback = {error_context_stack, show_expression, &source};
	ParseState *pstate = make_parsestate(NULL);
	Walk walk = {kept->rel, kept->what, false, false, NIL};
	Node *expr;

	error_context_stack = &callback;
	expr = transform_text(pstate, text, kept);
	check_analysed(pstate, expr, &walk);
	error_context_stack = callback.previous;
	free_parsestate(pstate);
	*type = exprType(expr);
	return deparse_pinned(expr, &walk, kept);
}

Expression *
expression_analyse(Relation rel, const char *text, const char *what, bool allow_aggregate)
{
	KeptText kept = {.rel = rel,
					 .what = what,
					 .kind = allow_aggregate ? EXPR_KIND_SELECT_TARGET : EXPR_KIND_WHERE,
					 .boolean = true};
	Oid type;

	return analyse(text, &kept, &type);
}

Expression *
expression_analyse_value(Relation rel, const char *text, const char *what, Oid *type)
{
	KeptText kept = {.rel = rel, .what = what, .kind = EXPR_KIND_SELECT_TARGET};

	return analyse(text, &kept, type);
}

Expression *
expression_analyse_as(Relation rel, const char *alias, const char *text, const char *what)
{
	KeptText kept = {.rel = rel,
					 .alias = alias,
					 .what = what,
					 .kind = EXPR_KIND_WHERE,
					 .boolean = true};
	Oid type;

	return analyse(text, &kept, &type);
}

/* ---- the old and the new image of a row ---- */

/* Raise an error unless the query has nothing but one boolean expression. */
static void
check_change(const Query *query, Walk *walk)
{
	Node *expr = (Node *) linitial_node(TargetEntry, query->targetList)->expr;

	if (query->hasSubLinks)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, walk->what, "a subquery", NULL);
	if (query->hasAggs)
		refuse(ERRCODE_GROUPING_ERROR, walk->what, "an aggregate function", NULL);
	if (query->hasWindowFuncs)
		refuse(ERRCODE_WINDOWING_ERROR, walk->what, "a window function", NULL);
	if (query->hasTargetSRFs)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, walk->what, "a set-returning function", NULL);
	if (exprType(expr) != BOOLOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("%s must be of type boolean, not type %s",
						walk->what,
						format_type_be(exprType(expr)))));
	if (contain_volatile_functions(expr))
		refuse(ERRCODE_INVALID_OBJECT_DEFINITION,
			   walk->what,
			   "a volatile function",
			   "A check must give the same answer for the same rows within a statement.");
	(void) walk_expression(expr, walk);
}

static char *
query_of_change(Relation rel, const char *expression)
{
	char *table = sql_relation(RelationGetRelid(rel));

	return psprintf("SELECT (%s\n) AS holds FROM %s old, %s new", expression, table, table);
}

static Query *
analyse_change(Relation rel, const char *expression, const char *what)
{
	char *sql = query_of_change(rel, expression);
	SourceText source = {sql, what};
	ErrorContextCallback callback = {error_context_stack, show_expression, &source};
	Query *query;

	error_context_stack = &callback;
	query =
		parse_analyze_fixedparams(linitial(raw_parser(sql, RAW_PARSE_DEFAULT)), sql, NULL, 0, NULL);
	error_context_stack = callback.previous;
	return query;
}

static char *
text_of_change(const Query *query, const char *what)
{
	char *problem;
	char *sql = querytext_of_query(query, &problem);

	if (sql == NULL)
		querytext_refuse(psprintf("%s of a check", what), problem);
	return sql;
}

#define CHANGE_BEFORE "SELECT" /* and a space or a newline */
#define CHANGE_AFTER " AS holds"

/*
 * The expression alone, of the text of its query.  What follows it is the same in the
 * text of any other expression over these two images.
 */
static char *
take_from_query(const char *sql, const char *sql_of_true)
{
	const char *end = strstr(sql_of_true, CHANGE_AFTER);
	size_t length = strlen(sql);
	size_t after = end == NULL ? length : strlen(end);

	if (length <= after + strlen(CHANGE_BEFORE) || strcmp(sql + length - after, end) != 0 ||
		strncmp(sql, CHANGE_BEFORE, strlen(CHANGE_BEFORE)) != 0)
		elog(ERROR, "the text of a check of changes has another form: %s", sql);
	return pnstrdup(sql + strlen(CHANGE_BEFORE) + 1, length - after - strlen(CHANGE_BEFORE) - 1);
}

Expression *
expression_analyse_change(Relation rel, const char *text)
{
	Expression *expression = palloc0(sizeof(Expression));
	Walk walk = {rel, "expression", false, false, NIL};
	Query *query;
	int level;

	expression_check_syntax(text, walk.what);
	query = analyse_change(rel, text, walk.what);
	check_change(query, &walk);
	level = NewGUCNestLevel();
	settings_set("search_path", "pg_catalog, pg_temp");
	settings_pin_literals();
	expression->sql = take_from_query(
		text_of_change(query, walk.what),
		text_of_change(analyse_change(rel, "true", walk.what), walk.what));
	AtEOXact_GUC(false, level);
	expression->columns = walk.columns;
	return expression;
}

Node *
expression_node(Relation rel, const char *sql, bool allow_aggregate)
{
	KeptText kept = {.rel = rel,
					 .what = "expression",
					 .kind = allow_aggregate ? EXPR_KIND_SELECT_TARGET : EXPR_KIND_WHERE};

	return analyse_kept(sql, &kept);
}
