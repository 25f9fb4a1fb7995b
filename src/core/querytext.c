/*-------------------------------------------------------------------------
 *
 * querytext.c
 *		SQL text of analysed trees, proved to have the same meaning.
 *
 * A user's query or expression is analysed once, under the session's
 * search_path.  What depipe keeps and runs is a text, under a pinned
 * search_path.  The server's deparsed text usually means the same as the tree,
 * but not always: a column in ORDER BY can become an output column of the same
 * name, and an operator that no syntax names (JOIN USING, IN over rows,
 * NULLIF, ...) is chosen again.  So each text is analysed again, under the
 * settings that will be in force when it runs.  It is accepted only if equal()
 * finds the original tree.  The candidates are:
 *
 *		first, the text as the server deparses it,
 *		then that of the tree rewritten by qualify.c, with qualified columns,
 *		then the same with every cast of the parser made explicit.
 *
 * The comparison covers everything that decides the result.  It ignores names
 * of tables and columns inside the query, privileges and positions.
 * References through joins are replaced by what they refer to.  Names of a
 * record's fields are compared, because functions such as row_to_json show
 * them.
 *
 * A text must keep its meaning when columns of the tables that it names are
 * added or dropped.  So it has no USING, and no list of column aliases over a
 * table or a join, since such lists count columns.
 *
 *-------------------------------------------------------------------------
 */
#include "core/querytext.h"

#include "catalog/pg_type.h"
#include "core/guarded.h"
#include "core/qualify.h"
#include "core/settings.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parsetree.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/ruleutils.h"

/* ---- comparison ---- */

static Node *flatten_mutator(Node *node, void *context);

static Query *
flatten_query(Query *query)
{
	query = query_tree_mutator(query, flatten_mutator, NULL, QTW_IGNORE_JOINALIASES);
	return qualify_flatten(query);
}

/*
 * Merge nested ANDs and ORs.  The analysed BETWEEN is an AND of its own; in
 * the text it becomes part of the surrounding AND.
 */
static Node *
flatten_bool(BoolExpr *expression)
{
	List *args = NIL;
	ListCell *cell;

	if (expression->boolop == NOT_EXPR)
		return (Node *) expression;
	foreach(cell, expression->args)
	{
		BoolExpr *inner = lfirst(cell);

		if (IsA(inner, BoolExpr) && inner->boolop == expression->boolop)
			args = list_concat_copy(args, inner->args);
		else
			args = lappend(args, inner);
	}
	return (Node *) makeBoolExpr(expression->boolop, args, -1);
}

static Node *
flatten_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) flatten_query((Query *) node);
	node = expression_tree_mutator(node, flatten_mutator, context);
	if (IsA(node, BoolExpr))
		return flatten_bool((BoolExpr *) node);
	return IsA(node, ArrayCoerceExpr) ? qualify_array_cast((ArrayCoerceExpr *) node) : node;
}

typedef struct StripWalk
{
	List *queries; /* from the outermost inwards */
	List *records; /* tables used as whole rows, whose column names count */
	bool top;      /* the next query is the outermost */
} StripWalk;

/* Remove marks for nulls made by outer joins.  They follow from the position of the column. */
static bool
forget_nulling(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, forget_nulling, context, 0);
	if (IsA(node, Var))
	{
		var_forget_nulling_compat((Var *) node);
		return false;
	}
	return expression_tree_walker(node, forget_nulling, context);
}

static bool
find_records(Node *node, void *context)
{
	StripWalk *walk = context;
	bool result;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		walk->queries = lappend(walk->queries, node);
		result = query_tree_walker((Query *) node, find_records, context, QTW_IGNORE_JOINALIASES);
		walk->queries = list_truncate(walk->queries, list_length(walk->queries) - 1);
		return result;
	}
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;
		int level = list_length(walk->queries) - 1 - (int) var->varlevelsup;

		if (var->varattno == InvalidAttrNumber && var->vartype == RECORDOID && level >= 0)
			walk->records = lappend(
				walk->records,
				rt_fetch(var->varno, ((Query *) list_nth(walk->queries, level))->rtable));
		return false;
	}
	return expression_tree_walker(node, find_records, context);
}

static void
strip_entry(RangeTblEntry *entry, const StripWalk *walk)
{
	entry->alias = NULL;
	if (list_member_ptr(walk->records, entry))
		entry->eref = makeAlias("", entry->eref->colnames);
	else
		entry->eref = NULL;
	rte_forget_privileges_compat(entry);
	entry->joinmergedcols = 0;
	entry->joinaliasvars = entry->joinleftcols = entry->joinrightcols = NIL;
	entry->join_using_alias = NULL;
}

static void
renumber_clauses(List *clauses, List *target_list)
{
	ListCell *cell;

	foreach(cell, clauses)
	{
		SortGroupClause *clause = lfirst(cell);

		clause->tleSortGroupRef = get_sortgroupclause_tle(clause, target_list)->resno;
	}
}

/*
 * Renumber the references of clauses to output columns.  The parser numbers
 * them in order of appearance; here they become the numbers of the columns.
 */
static void
renumber(Query *query)
{
	ListCell *cell;

	if (query->groupingSets != NIL)
		return;
	renumber_clauses(query->groupClause, query->targetList);
	renumber_clauses(query->sortClause, query->targetList);
	renumber_clauses(query->distinctClause, query->targetList);
	foreach(cell, query->windowClause)
	{
		renumber_clauses(((WindowClause *) lfirst(cell))->partitionClause, query->targetList);
		renumber_clauses(((WindowClause *) lfirst(cell))->orderClause, query->targetList);
	}
	foreach(cell, query->targetList)
		((TargetEntry *) lfirst(cell))->ressortgroupref = 0;
}

static void
strip_query(Query *query, StripWalk *walk)
{
	ListCell *cell;

	query->queryId = 0;
	query->stmt_location = -1;
	query->stmt_len = 0;
	query_forget_privileges_compat(query);
	renumber(query);
	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst(cell);

		entry->resorigtbl = InvalidOid;
		entry->resorigcol = 0;
		if (!walk->top || entry->resjunk)
			entry->resname = NULL;
	}
	walk->top = false;
}

static bool
strip(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Query:
			strip_query((Query *) node, context);
			return query_tree_walker((Query *) node, strip, context, QTW_EXAMINE_RTES_BEFORE);
		case T_RangeTblEntry:
			strip_entry((RangeTblEntry *) node, context);
			return false;
		case T_JoinExpr:
		{
			JoinExpr *join = (JoinExpr *) node;

			join->isNatural = false;
			join->usingClause = NIL;
			join->join_using_alias = NULL;
			join->alias = NULL;
			break;
		}
		case T_SubLink:
			((SubLink *) node)->operName = NIL; /* its operators are in testexpr */
			break;
		default:
			break;
	}
	return expression_tree_walker(node, strip, context);
}

/* A copy of the tree that contains only what decides the result. */
static Node *
stripped(const Node *tree)
{
	StripWalk walk = {.top = IsA(tree, Query)};
	Node *copy = copyObject(unconstify(Node *, tree));

	(void) forget_nulling(copy, NULL);
	copy = copyObject(flatten_mutator(copy, NULL));
	(void) find_records(copy, &walk);
	(void) strip(copy, &walk);
	return copy;
}

bool
querytext_same(const Node *one, const Node *other)
{
	return equal(stripped(one), stripped(other));
}

/* ---- stability ---- */

/* Does the tree contain column aliases assigned by position, or USING? */
static bool
counts_columns(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, counts_columns, context, QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;

		if (entry->rtekind == RTE_RELATION)
			return entry->alias != NULL && entry->alias->colnames != NIL;
		return entry->rtekind == RTE_JOIN && (entry->alias != NULL || entry->joinmergedcols > 0);
	}
	return expression_tree_walker(node, counts_columns, context);
}

/* ---- describing differences ---- */

static const char *
differing_clause(const Query *one, const Query *other)
{
	if (!equal(one->cteList, other->cteList))
		return "WITH";
	if (!equal(one->rtable, other->rtable) || !equal(one->jointree, other->jointree))
		return "FROM or WHERE";
	if (!equal(one->groupClause, other->groupClause) ||
		!equal(one->groupingSets, other->groupingSets))
		return "GROUP BY";
	if (!equal(one->havingQual, other->havingQual))
		return "HAVING";
	if (!equal(one->windowClause, other->windowClause))
		return "a window";
	if (!equal(one->distinctClause, other->distinctClause))
		return "DISTINCT";
	if (!equal(one->sortClause, other->sortClause))
		return "ORDER BY";
	if (!equal(one->targetList, other->targetList))
		return "the columns that it returns";
	return "one of its clauses";
}

static char *
describe_difference(const Node *tree, const Node *again)
{
	if (!IsA(tree, Query))
		return pstrdup("The text would use other operators, functions or casts.");
	return psprintf(
		"The text would have another meaning in %s.",
		differing_clause((const Query *) stripped(tree), (const Query *) stripped(again)));
}

/* ---- proof ---- */

typedef struct Proof
{
	const TextMethods *methods;
	void *argument;
	Node *tree;
	bool prefixed;
	char *sql;     /* deparsed; NULL unless proved */
	char *problem; /* a sentence, unless an error was raised */
} Proof;

static bool
prove_work(void *argument)
{
	Proof *proof = argument;
	char *sql = proof->methods->deparse(copyObject(proof->tree), proof->prefixed, proof->argument);
	Node *again = proof->methods->analyse(sql, proof->argument);

	if (!querytext_same(proof->tree, again))
		proof->problem = describe_difference(proof->tree, again);
	else if (counts_columns(again, NULL))
		proof->problem = pstrdup("The text would name columns by their position.");
	else
		proof->sql = sql;
	return true;
}

/* Try one candidate.  Any error is one that its text would raise. */
static char *
attempt(Proof *proof, Node *tree, bool prefixed)
{
	ErrorData *error;

	proof->tree = tree;
	proof->prefixed = prefixed;
	proof->sql = NULL;
	error = guarded_run(prove_work, proof);
	if (error != NULL)
		proof->problem = psprintf("The text would fail: %s.", error->message);
	return proof->sql;
}

char *
querytext_prove(Node *tree, const TextMethods *methods, void *argument, char **problem)
{
	Proof proof = {.methods = methods, .argument = argument};
	Node *qualified;
	char *sql = attempt(&proof, tree, false);

	if (sql == NULL)
	{
		qualified = qualify_tree(tree);
		sql = attempt(&proof, qualified, true);
		if (sql == NULL)
			sql = attempt(&proof, qualify_casts(qualified), true);
	}
	*problem = proof.problem;
	return sql;
}

void
querytext_refuse(const char *what, const char *problem)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		 errmsg("%s cannot be kept as a text that means the same in every session", what),
		 errdetail_internal("%s", problem),
		 errhint("Write operators as OPERATOR(schema.name), cast their operands, and give output"
				 " columns names that no input column has.")));
}

/* ---- positions ---- */

void
querytext_show_position(void *text)
{
	int position = geterrposition();

	if (position <= 0)
		return;
	errposition(0);
	internalerrposition(position);
	internalerrquery(text);
}

int
querytext_error_at(const char *text, int location)
{
	if (location < 0)
		return 0;
	internalerrquery(text);
	return internalerrposition(pg_mbstrlen_with_len(text, location) + 1);
}

/* ---- queries ---- */

/*
 * Add a second entry to the range table.  With more than one table in scope
 * the server qualifies every column.
 */
static void
add_scope(Query *query)
{
	RangeTblEntry *entry = makeNode(RangeTblEntry);

	entry->rtekind = RTE_RESULT;
	entry->eref = makeAlias("nothing", NIL);
	query->rtable = lappend(query->rtable, entry);
}

/*
 * Deparse the query with literals that every session reads the same way.
 * Skips the leading blank of the text.
 */
static char *
deparse_query(Node *tree, bool prefixed, void *argument)
{
	int level = NewGUCNestLevel();
	char *sql;

	settings_pin_literals();
	if (prefixed)
		add_scope((Query *) tree);
	sql = pg_get_querydef((Query *) tree, false);
	AtEOXact_GUC(false, level);
	return sql + strspn(sql, " \n");
}

static Node *
analyse_query(const char *sql, void *argument)
{
	List *statements = pg_parse_query(sql);

	if (list_length(statements) != 1)
		elog(ERROR, "a deparsed query has %d statements", list_length(statements));
	return (Node *) parse_analyze_fixedparams(linitial(statements), sql, NULL, 0, NULL);
}

static const TextMethods query_methods = {deparse_query, analyse_query};

char *
querytext_of_query(const Query *query, char **problem)
{
	return querytext_prove((Node *) unconstify(Query *, query), &query_methods, NULL, problem);
}
