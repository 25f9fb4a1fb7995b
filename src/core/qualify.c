/*-------------------------------------------------------------------------
 *
 * qualify.c
 *		Analysed trees whose text does not depend on names in scope.
 *
 * Some SQL constructs use an operator that their syntax does not name: JOIN
 * USING, CASE x WHEN y, NULLIF, IS DISTINCT FROM, comparisons of rows, and
 * comparisons of a row with those of a subquery.  When the text is analysed
 * again under another search_path, such a construct may get another operator;
 * for example, citext's = becomes that of text.  This file replaces them by
 * their definition, written with OpExprs, whose syntax is
 * OPERATOR(schema.name).
 *
 * The replacement evaluates some expressions twice, so these must not be
 * volatile; and window functions cannot move into a subquery.  Constructs of
 * these kinds stay as they are, and the comparison of the text with the tree
 * will detect any difference.
 *
 *-------------------------------------------------------------------------
 */
#include "core/qualify.h"

#include "access/stratnum.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static Node *qualify_mutator(Node *node, void *context);

/* ---- operators ---- */

static Oid
operator_schema(Oid opno)
{
	HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	Oid schema;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", opno);
	schema = ((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace;
	ReleaseSysCache(tuple);
	return schema;
}

static bool
is_plain(Oid opno)
{
	return operator_schema(opno) == PG_CATALOG_NAMESPACE;
}

static bool
are_plain(List *opnos)
{
	ListCell *cell;

	foreach(cell, opnos)
		if (!is_plain(lfirst_oid(cell)))
			return false;
	return true;
}

static Node *
operation(Oid opno, Oid collation, Node *left, Node *right)
{
	OpExpr *operation = (OpExpr *)
		make_opclause(opno, BOOLOID, false, (Expr *) left, (Expr *) right, InvalidOid, collation);

	set_opfuncid(operation);
	return (Node *) operation;
}

static Node *
when(Node *condition, Node *result)
{
	CaseWhen *clause = makeNode(CaseWhen);

	clause->expr = (Expr *) condition;
	clause->result = (Expr *) result;
	clause->location = -1;
	return (Node *) clause;
}

static Node *
searched_case(Oid type, Oid collation, List *whens, Node *otherwise)
{
	CaseExpr *expression = makeNode(CaseExpr);

	expression->casetype = type;
	expression->casecollid = collation;
	expression->args = whens;
	expression->defresult = (Expr *) otherwise;
	expression->location = -1;
	return (Node *) expression;
}

/* ---- CASE, NULLIF, IS DISTINCT FROM ---- */

typedef struct CaseTest
{
	Node *replacement;
} CaseTest;

/*
 * Replace the CaseTestExpr below any casts.  Those of a nested CASE or array
 * cast belong to that construct.
 */
static Node *
replace_case_test(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, CaseTestExpr))
		return copyObject(((CaseTest *) context)->replacement);
	if (IsA(node, ArrayCoerceExpr))
	{
		ArrayCoerceExpr *cast = copyObject((ArrayCoerceExpr *) node);

		cast->arg = (Expr *) replace_case_test((Node *) cast->arg, context);
		return (Node *) cast;
	}
	if (IsA(node, CaseExpr))
		return node;
	return expression_tree_mutator(node, replace_case_test, context);
}

static bool
case_is_plain(const CaseExpr *expression)
{
	ListCell *cell;

	foreach(cell, expression->args)
	{
		OpExpr *test = (OpExpr *) ((CaseWhen *) lfirst(cell))->expr;

		if (IsA(test, OpExpr) && !is_plain(test->opno))
			return false;
	}
	return true;
}

static Node *
qualify_case(CaseExpr *expression)
{
	CaseTest test = {(Node *) expression->arg};
	ListCell *cell;

	if (expression->arg == NULL || case_is_plain(expression) ||
		contain_volatile_functions((Node *) expression->arg))
		return (Node *) expression;
	foreach(cell, expression->args)
	{
		OpExpr *comparison = (OpExpr *) ((CaseWhen *) lfirst(cell))->expr;

		if (!IsA(comparison, OpExpr) || list_length(comparison->args) != 2)
			return (Node *) expression;
		linitial(comparison->args) = replace_case_test(linitial(comparison->args), &test);
	}
	expression->arg = NULL;
	return (Node *) expression;
}

static Node *
qualify_nullif(NullIfExpr *expression)
{
	Node *left = linitial(expression->args);
	Node *right = lsecond(expression->args);
	Oid type = exprType(left);

	if (is_plain(expression->opno) || contain_volatile_functions(left))
		return (Node *) expression;
	return searched_case(
		type,
		exprCollation(left),
		list_make1(when(operation(expression->opno, expression->inputcollid, left, right),
						(Node *) makeNullConst(type, -1, get_typcollation(type)))),
		copyObject(left));
}

static Node *
null_test(Node *argument, NullTestType type)
{
	NullTest *test = makeNode(NullTest);

	test->arg = copyObject((Expr *) argument);
	test->nulltesttype = type;
	test->argisrow = false; /* IS NULL must not be true for a row of null fields */
	test->location = -1;
	return (Node *) test;
}

static Node *
qualify_distinct(DistinctExpr *expression)
{
	Node *left = linitial(expression->args);
	Node *right = lsecond(expression->args);
	Node *equals;

	if (is_plain(expression->opno) || contain_volatile_functions((Node *) expression->args))
		return (Node *) expression;
	equals = operation(expression->opno, expression->inputcollid, left, right);
	return searched_case(BOOLOID,
						 InvalidOid,
						 list_make2(when(null_test(left, IS_NULL), null_test(right, IS_NOT_NULL)),
									when(null_test(right, IS_NULL), makeBoolConst(true, false))),
						 (Node *) makeBoolExpr(NOT_EXPR, list_make1(equals), -1));
}

/* ---- rows ---- */

/*
 * Expand a comparison of rows from the given column on.  For (a, b) < (c, d):
 * if the first columns are equal, the second ones decide.  Otherwise the first
 * ones decide, even if their comparison is unknown.
 */
static Node *
compare_from(RowCompareExpr *rows, int column)
{
	Oid opno = list_nth_oid(rows->opnos, column);
	Oid collation = list_nth_oid(rows->inputcollids, column);
	Node *left = list_nth(rows->largs, column);
	Node *right = list_nth(rows->rargs, column);
	Oid left_type;
	Oid right_type;
	Oid equals;

	if (column == list_length(rows->opnos) - 1)
		return operation(opno, collation, left, right);
	op_input_types(opno, &left_type, &right_type);
	equals = get_opfamily_member(list_nth_oid(rows->opfamilies, column),
								 left_type,
								 right_type,
								 BTEqualStrategyNumber);
	return searched_case(
		BOOLOID,
		InvalidOid,
		list_make1(when(operation(equals, collation, left, right), compare_from(rows, column + 1))),
		operation(opno, collation, copyObject(left), copyObject(right)));
}

static Node *
qualify_row_compare(RowCompareExpr *rows)
{
	if (are_plain(rows->opnos) || contain_volatile_functions((Node *) rows))
		return (Node *) rows;
	return compare_from(rows, 0);
}

/* Does the syntax of a comparison with a subquery's rows show its operators? */
static bool
shows_operators(Node *test)
{
	Oid schema = InvalidOid;
	ListCell *cell;

	if (test == NULL || IsA(test, OpExpr))
		return true;
	if (IsA(test, RowCompareExpr))
		return are_plain(((RowCompareExpr *) test)->opnos);
	if (!IsA(test, BoolExpr))
		return true;
	foreach(cell, ((BoolExpr *) test)->args)
	{
		OpExpr *comparison = lfirst(cell);
		Oid its_schema;

		if (!IsA(comparison, OpExpr))
			return true;
		its_schema = operator_schema(comparison->opno);
		if (OidIsValid(schema) && its_schema != schema)
			return false;
		schema = its_schema;
	}
	return true;
}

/* Replace the parameters that stand for columns of the subquery by those columns. */
static Node *
replace_parameters(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_SUBLINK)
	{
		Param *param = (Param *) node;

		return (Node *)
			makeVar(1, param->paramid, param->paramtype, param->paramtypmod, param->paramcollid, 0);
	}
	if (IsA(node, SubLink)) /* its parameters belong to itself */
		return node;
	return expression_tree_mutator(node, replace_parameters, context);
}

/* The range table entry of FROM (subquery) s(c1, c2, ...). */
static RangeTblEntry *
subquery_entry(Query *subquery)
{
	RangeTblEntry *entry = makeNode(RangeTblEntry);
	List *names = NIL;
	ListCell *cell;

	foreach(cell, subquery->targetList)
		if (!((TargetEntry *) lfirst(cell))->resjunk)
			names = lappend(names, makeString(psprintf("c%d", list_length(names) + 1)));
	entry->rtekind = RTE_SUBQUERY;
	entry->subquery = subquery;
	entry->alias = makeAlias("s", names);
	entry->eref = makeAlias("s", copyObject(names));
	entry->inFromCl = true;
	return entry;
}

/* A SELECT over the rows of a copy of the subquery, which moves one level down. */
static Query *
select_over(Query *subquery, Node *column, Node *condition)
{
	Query *query = makeNode(Query);
	RangeTblRef *reference = makeNode(RangeTblRef);

	subquery = copyObject(subquery);
	IncrementVarSublevelsUp((Node *) subquery, 1, 1);
	reference->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->rtable = list_make1(subquery_entry(subquery));
	query->jointree = makeFromExpr(list_make1(reference), condition);
	if (column != NULL)
		query->targetList = list_make1(makeTargetEntry((Expr *) column, 1, NULL, false));
	query->hasSubLinks = checkExprHasSubLink(column) || checkExprHasSubLink(condition);
	if (column != NULL)
		((TargetEntry *) linitial(query->targetList))->resname = pstrdup("matches");
	return query;
}

/* The comparison as an expression over the row of the subquery. */
static Node *
comparison_of(const SubLink *link)
{
	Node *test = copyObject(link->testexpr);

	IncrementVarSublevelsUp(test, 1, 0);
	return replace_parameters(test, NULL);
}

static bool
needs_select(const SubLink *link)
{
	return !shows_operators(link->testexpr) && !contain_volatile_functions(link->testexpr) &&
		   !contain_windowfuncs(link->testexpr) && !expression_returns_set(link->testexpr);
}

/*
 * Move a comparison of rows into the subquery.  (a, b) = ANY (SELECT ...)
 * becomes true = ANY (SELECT a = s.c1 AND b = s.c2 FROM (SELECT ...) s).  The
 * treatment of nulls is the same.
 */
static SubLink *
compare_inside(const SubLink *link)
{
	SubLink *result = makeNode(SubLink);
	Param *matches = makeNode(Param);

	result->subselect = (Node *) select_over((Query *) link->subselect, comparison_of(link), NULL);
	result->location = -1;
	if (link->subLinkType == ROWCOMPARE_SUBLINK)
	{
		result->subLinkType = EXPR_SUBLINK;
		return result;
	}
	matches->paramkind = PARAM_SUBLINK;
	matches->paramid = 1;
	matches->paramtype = BOOLOID;
	matches->paramtypmod = -1;
	matches->location = -1;
	result->subLinkType = link->subLinkType;
	result->testexpr =
		operation(BooleanEqualOperator, InvalidOid, makeBoolConst(true, false), (Node *) matches);
	return result;
}

static Node *
qualify_sublink(SubLink *link, void *context)
{
	SubLink *result;
	Node *test = link->testexpr;

	if (needs_select(link))
		return qualify_mutator((Node *) compare_inside(link), context);
	/* leave the row comparison itself as it is, and process only what is inside */
	if (test == NULL || !IsA(test, RowCompareExpr))
		return expression_tree_mutator((Node *) link, qualify_mutator, context);
	result = copyObject(link);
	result->testexpr = expression_tree_mutator(test, qualify_mutator, context);
	result->subselect = qualify_mutator(link->subselect, context);
	return (Node *) result;
}

/*
 * Replace = ANY (SELECT ...) at the top level of WHERE by EXISTS.  WHERE makes
 * no difference between false and unknown, and EXISTS can be planned as a
 * join.
 */
static Node *
where_as_exists(Node *quals)
{
	List *conjuncts = make_ands_implicit((Expr *) quals);
	ListCell *cell;

	foreach(cell, conjuncts)
	{
		SubLink *link = lfirst(cell);
		SubLink *exists;

		if (!IsA(link, SubLink) || link->subLinkType != ANY_SUBLINK || !needs_select(link))
			continue;
		exists = makeNode(SubLink);
		exists->subLinkType = EXISTS_SUBLINK;
		exists->subselect = (Node *) select_over((Query *) link->subselect,
												 NULL,
												 comparison_of(link));
		exists->location = -1;
		lfirst(cell) = exists;
	}
	if (conjuncts == NIL)
		return NULL;
	return (Node *) (list_length(conjuncts) == 1 ? linitial(conjuncts)
												 : makeBoolExpr(AND_EXPR, conjuncts, -1));
}

/* ---- joins ---- */

static Node *
flatten_in(Node *node, void *query)
{
	return flatten_join_alias_vars_compat((Query *) query, node);
}

Query *
qualify_flatten(Query *query)
{
	query = query_tree_mutator(query, flatten_in, query, QTW_IGNORE_JOINALIASES);
	query_flatten_groups_compat(query);
	return query;
}

/* Make columns refer to the table that has them, not to the join. */
static bool
forget_syntax(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		((Var *) node)->varnosyn = ((Var *) node)->varno;
		((Var *) node)->varattnosyn = ((Var *) node)->varattno;
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, forget_syntax, context, 0);
	return expression_tree_walker(node, forget_syntax, context);
}

/* Append the columns of one side to those of a join: their numbers, references and names. */
static void
append_side(const Query *query, int rtindex, RangeTblEntry *join, List **numbers)
{
	RangeTblEntry *side = rt_fetch(rtindex, query->rtable);
	int number = 0;
	ListCell *cell;

	foreach(cell, side->eref->colnames)
	{
		number++;
		if (strVal(lfirst(cell))[0] == '\0') /* dropped */
			continue;
		*numbers = lappend_int(*numbers, number);
		/* nothing refers to it, so its type does not matter */
		join->joinaliasvars = lappend(join->joinaliasvars,
									  makeVar(rtindex, number, INT4OID, -1, InvalidOid, 0));
		join->eref->colnames = lappend(join->eref->colnames, copyObject(lfirst(cell)));
	}
}

static int
side_index(Node *side)
{
	return IsA(side, JoinExpr) ? ((JoinExpr *) side)->rtindex : ((RangeTblRef *) side)->rtindex;
}

/* Turn the joins below the node into joins that could be written with ON. */
static void
plain_join(Query *query, Node *node)
{
	JoinExpr *join = (JoinExpr *) node;
	RangeTblEntry *entry;

	if (!IsA(node, JoinExpr))
		return;
	plain_join(query, join->larg);
	plain_join(query, join->rarg);
	join->isNatural = false;
	join->usingClause = NIL;
	join->join_using_alias = NULL;
	join->alias = NULL;
	entry = rt_fetch(join->rtindex, query->rtable);
	entry->alias = NULL;
	entry->join_using_alias = NULL;
	entry->joinmergedcols = 0;
	entry->joinaliasvars = entry->joinleftcols = entry->joinrightcols = NIL;
	entry->eref = makeAlias("unnamed_join", NIL);
	append_side(query, side_index(join->larg), entry, &entry->joinleftcols);
	append_side(query, side_index(join->rarg), entry, &entry->joinrightcols);
}

/*
 * Remove column aliases over a table.  They count the columns by position, and
 * would rename the wrong ones after a column was dropped.
 */
static void
plain_columns(RangeTblEntry *entry)
{
	int count;

	if (entry->rtekind != RTE_RELATION || entry->alias == NULL || entry->alias->colnames == NIL)
		return;
	count = list_length(entry->eref->colnames);
	entry->alias = makeAlias(entry->alias->aliasname, NIL);
	entry->eref = makeAlias(entry->alias->aliasname, NIL);
	for (int i = 1; i <= count; i++)
	{
		HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(entry->relid), Int16GetDatum(i));
		char *name = "";

		if (HeapTupleIsValid(tuple))
		{
			Form_pg_attribute att = (Form_pg_attribute) GETSTRUCT(tuple);

			if (!att->attisdropped)
				name = pstrdup(NameStr(att->attname));
			ReleaseSysCache(tuple);
		}
		entry->eref->colnames = lappend(entry->eref->colnames, makeString(name));
	}
}

/* ---- duplicate output columns ---- */

static void
replace_reference(List *clauses, Index from, Index to)
{
	ListCell *cell;

	foreach(cell, clauses)
	{
		SortGroupClause *clause = lfirst(cell);

		if (clause->tleSortGroupRef == from)
			clause->tleSortGroupRef = to;
	}
}

/* The clauses without those whose column an earlier clause already has. */
static List *
without_repetition(List *clauses)
{
	List *result = NIL;
	ListCell *cell;
	ListCell *other;

	foreach(cell, clauses)
	{
		SortGroupClause *clause = lfirst(cell);
		bool repeated = false;

		foreach(other, result)
			repeated |= ((SortGroupClause *) lfirst(other))->tleSortGroupRef ==
						clause->tleSortGroupRef;
		if (!repeated)
			result = lappend(result, clause);
	}
	return result;
}

static void
merge_references(Query *query, TargetEntry *first, TargetEntry *entry)
{
	Index from = entry->ressortgroupref;
	ListCell *cell;

	entry->ressortgroupref = 0;
	if (first->ressortgroupref == 0)
	{
		first->ressortgroupref = from;
		return;
	}
	replace_reference(query->groupClause, from, first->ressortgroupref);
	replace_reference(query->sortClause, from, first->ressortgroupref);
	replace_reference(query->distinctClause, from, first->ressortgroupref);
	foreach(cell, query->windowClause)
	{
		WindowClause *window = lfirst(cell);

		replace_reference(window->partitionClause, from, first->ressortgroupref);
		replace_reference(window->orderClause, from, first->ressortgroupref);
	}
	query->groupClause = without_repetition(query->groupClause);
	query->sortClause = without_repetition(query->sortClause);
	query->distinctClause = without_repetition(query->distinctClause);
}

/*
 * Make clauses refer to the first of several equal output columns.  In SELECT
 * a AS x, a AS y ... ORDER BY y, analysing the text again finds the first
 * equal column.
 */
static void
merge_equal_columns(Query *query)
{
	ListCell *cell;
	ListCell *other;

	if (query->groupingSets != NIL || query->setOperations != NULL ||
		(query->distinctClause != NIL && !query->hasDistinctOn))
		return;
	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst(cell);

		if (entry->ressortgroupref == 0 || contain_volatile_functions((Node *) entry->expr))
			continue;
		foreach(other, query->targetList)
		{
			TargetEntry *first = lfirst(other);

			if (first == entry)
				break;
			if (!equal(first->expr, entry->expr))
				continue;
			merge_references(query, first, entry);
			break;
		}
	}
}

static Query *
qualify_query(Query *query, void *context)
{
	ListCell *cell;

	query = copyObject(qualify_flatten(query));
	(void) query_tree_walker(query, forget_syntax, NULL, QTW_IGNORE_JOINALIASES);
	merge_equal_columns(query);
	query->jointree->quals = where_as_exists(query->jointree->quals);
	foreach(cell, query->rtable)
		plain_columns(lfirst(cell));
	foreach(cell, query->jointree->fromlist)
		plain_join(query, lfirst(cell));
	return query_tree_mutator(query, qualify_mutator, context, QTW_IGNORE_JOINALIASES);
}

/* ---- whole trees ---- */

static Node *
qualify_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) qualify_query((Query *) node, context);
	if (IsA(node, SubLink))
		return qualify_sublink((SubLink *) node, context);
	node = expression_tree_mutator(node, qualify_mutator, context);
	switch (nodeTag(node))
	{
		case T_CaseExpr:
			return qualify_case((CaseExpr *) node);
		case T_NullIfExpr:
			return qualify_nullif((NullIfExpr *) node);
		case T_DistinctExpr:
			return qualify_distinct((DistinctExpr *) node);
		case T_RowCompareExpr:
			return qualify_row_compare((RowCompareExpr *) node);
		default:
			return node;
	}
}

Node *
qualify_tree(Node *tree)
{
	return qualify_mutator(copyObject(tree), NULL);
}

/* ---- casts ---- */

Node *
qualify_array_cast(ArrayCoerceExpr *cast)
{
	ArrayExpr *array = (ArrayExpr *) cast->arg;
	ArrayExpr *result;
	ListCell *cell;

	if (!IsA(array, ArrayExpr) || array->multidims)
		return (Node *) cast;
	result = makeNode(ArrayExpr);
	result->array_typeid = cast->resulttype;
	result->array_collid = cast->resultcollid;
	result->element_typeid = get_element_type(cast->resulttype);
	result->location = -1;
	foreach(cell, array->elements)
	{
		CaseTest test = {lfirst(cell)};

		result->elements = lappend(result->elements,
								   replace_case_test((Node *) cast->elemexpr, &test));
	}
	return (Node *) result;
}

static void
show_cast(CoercionForm *form)
{
	if (*form == COERCE_IMPLICIT_CAST)
		*form = COERCE_EXPLICIT_CAST;
}

static bool
show_casts(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, show_casts, context, 0);
	if (IsA(node, FuncExpr) && !exprIsLengthCoercion(node, NULL))
		show_cast(&((FuncExpr *) node)->funcformat);
	else if (IsA(node, RelabelType))
		show_cast(&((RelabelType *) node)->relabelformat);
	else if (IsA(node, CoerceViaIO))
		show_cast(&((CoerceViaIO *) node)->coerceformat);
	else if (IsA(node, ArrayCoerceExpr))
		show_cast(&((ArrayCoerceExpr *) node)->coerceformat);
	else if (IsA(node, ConvertRowtypeExpr))
		show_cast(&((ConvertRowtypeExpr *) node)->convertformat);
	else if (IsA(node, CoerceToDomain))
		show_cast(&((CoerceToDomain *) node)->coercionformat);
	return expression_tree_walker(node, show_casts, context);
}

Node *
qualify_casts(Node *tree)
{
	tree = copyObject(tree);
	(void) show_casts(tree, NULL);
	return tree;
}
