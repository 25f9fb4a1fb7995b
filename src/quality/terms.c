/*-------------------------------------------------------------------------
 *
 * terms.c
 *		A constraint over the whole table as terms that can be kept.
 *
 * For a constraint about rows, the terms are the number of rows in the
 * denominator and that of violating rows.  For an aggregate expression, each
 * count, sum, avg, min and max becomes terms; the expression is then evaluated
 * with their results in place of the aggregates.  If one of its aggregates
 * cannot be kept, none is.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/terms.h"

#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/settings.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "quality/expression.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/ruleutils.h"

/* An aggregate function, and the terms that determine its result. */
typedef struct TermUse
{
	Aggref *aggregate;
	int count; /* place of the number of values; -1: it is the result */
	int value; /* place of the count, sum or extreme */
	bool mean;
	int scale; /* of the sum of a column of numeric(p, s); -1: as it comes */
} TermUse;

typedef struct TermFormula
{
	Node *holds;  /* boolean */
	Node *metric; /* text, or NULL */
	List *uses;   /* of TermUse */
} TermFormula;

/* ---- what lasts ---- */

static bool
is_users_function(Oid function, void *context)
{
	return function >= FirstNormalObjectId;
}

/* Can the meaning of values of the type change? */
static bool
is_users_type(Oid type)
{
	return getBaseType(type) >= FirstNormalObjectId || type == REGCONFIGOID ||
		   type == REGDICTIONARYOID;
}

static bool
can_change(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_List:
		case T_TargetEntry:
		case T_CaseWhen:
			break;
		case T_Var:
		case T_Const:
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_BoolExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_CollateExpr:
		case T_CaseExpr:
		case T_CaseTestExpr:
		case T_ArrayExpr:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_SubscriptingRef:
		case T_Aggref:
			if (is_users_type(exprType(node)))
				return true;
			break;
		default:
			return true; /* rarely used, and not looked into */
	}
	return check_functions_in_node(node, is_users_function, NULL) ||
		   expression_tree_walker(node, can_change, context);
}

/* Does the expression always have the same value for the same row? */
static bool
lasts(Node *expression)
{
	return !can_change(expression, NULL) && !contain_mutable_functions(expression);
}

/* ---- compiling ---- */

typedef struct Compiling
{
	Target *target;
	const DataConstraint *constraint;
	Relation rel;
	List *terms;
	List *uses;
	const char *where; /* condition of the constraint's filter */
	StateTerms *result;
} Compiling;

/* The place of a term; an existing equal one is used again. */
static int
place_term(Compiling *work, TermKind kind, char *argument, char *condition)
{
	StateTerm *term = palloc(sizeof(StateTerm));
	ListCell *cell;

	term->kind = kind;
	term->argument = argument;
	term->condition = condition;
	term->text = psprintf("%d: %s: %s", kind, argument != NULL ? argument : "", condition);
	foreach(cell, work->terms)
		if (strcmp(((StateTerm *) lfirst(cell))->text, term->text) == 0)
			return foreach_current_index(cell);
	work->terms = lappend(work->terms, term);
	return list_length(work->terms) - 1;
}

static char *
deparse(const Compiling *work, Node *expression)
{
	List *context = deparse_context_for(RelationGetRelationName(work->rel),
										RelationGetRelid(work->rel));

	return deparse_expression(expression, context, false, false);
}

static bool
classify(Oid function, TermKind *kind, bool *mean)
{
	*mean = false;
	switch (function)
	{
		case F_COUNT_:
		case F_COUNT_ANY:
			*kind = TERM_COUNT;
			return true;
		case F_AVG_INT2:
		case F_AVG_INT4:
		case F_AVG_INT8:
		case F_AVG_NUMERIC:
			*mean = true;
			*kind = TERM_SUM;
			return true;
		case F_SUM_INT2:
		case F_SUM_INT4:
		case F_SUM_INT8:
		case F_SUM_NUMERIC:
			*kind = TERM_SUM;
			return true;
		case F_MIN_INT2:
		case F_MIN_INT4:
		case F_MIN_INT8:
		case F_MIN_NUMERIC:
			*kind = TERM_MINIMUM;
			return true;
		case F_MAX_INT2:
		case F_MAX_INT4:
		case F_MAX_INT8:
		case F_MAX_NUMERIC:
			*kind = TERM_MAXIMUM;
			return true;
		default:
			return false;
	}
}

/* Sums of numeric(p, s) have the scale s, for any rows. */
static int
scale_of(Node *argument)
{
	int32 modifier = exprTypmod(argument);

	if (exprType(argument) != NUMERICOID || modifier < (int32) VARHDRSZ)
		return -1;
	return ((modifier - VARHDRSZ) & 0x7ff) >= 1024 ? -1 : (modifier - VARHDRSZ) & 0x7ff;
}

static char *
both_conditions(const char *first, const char *second)
{
	if (strcmp(first, "true") == 0)
		return psprintf("(%s)", second);
	return psprintf("CASE WHEN (%s) THEN (%s) ELSE false END", first, second);
}

static bool
take_aggregate(Compiling *work, Aggref *aggregate)
{
	TermUse *use = palloc0(sizeof(TermUse));
	TermKind kind;
	Node *argument;
	char *text;
	char *condition = pstrdup(work->where);
	char *counted;

	if (!classify(aggregate->aggfnoid, &kind, &use->mean) || aggregate->aggdistinct != NIL ||
		aggregate->aggorder != NIL || aggregate->agglevelsup != 0)
		return false;
	use->aggregate = aggregate;
	use->scale = -1;
	use->count = -1;
	if (aggregate->aggfilter != NULL)
		condition = both_conditions(condition, deparse(work, (Node *) aggregate->aggfilter));
	work->uses = lappend(work->uses, use);
	if (aggregate->args == NIL)
	{
		use->value = place_term(work, TERM_COUNT, NULL, condition);
		return true;
	}
	argument = (Node *) linitial_node(TargetEntry, aggregate->args)->expr;
	text = deparse(work, argument);
	counted = both_conditions(condition, psprintf("(%s) IS DISTINCT FROM NULL", text));
	if (kind == TERM_COUNT)
	{
		use->value = place_term(work, TERM_COUNT, NULL, counted);
		return true;
	}
	use->scale = kind == TERM_SUM ? scale_of(argument) : -1;
	use->count = place_term(work, TERM_COUNT, NULL, counted);
	use->value = place_term(work, kind, text, condition);
	return true;
}

static bool
take_aggregates(Node *node, Compiling *work)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
		return !take_aggregate(work, (Aggref *) node);
	return expression_tree_walker(node, take_aggregates, work);
}

static bool
compile_aggregate(Compiling *work)
{
	const ConstraintRow *row = work->constraint->row;
	TermFormula *formula = palloc0(sizeof(TermFormula));

	formula->holds = expression_node(work->rel, row->expression, true);
	if (row->metric != NULL)
		formula->metric = expression_node(work->rel,
										  psprintf("(%s)::pg_catalog.text", row->metric),
										  true);
	(void) place_term(work, TERM_COUNT, NULL, pstrdup(work->where));
	if (!lasts(formula->holds) || !lasts(formula->metric) ||
		take_aggregates(formula->holds, work) || take_aggregates(formula->metric, work))
		return false;
	formula->uses = work->uses;
	work->result->formula = formula;
	return true;
}

static bool
compile_rows(Compiling *work)
{
	const DataConstraint *constraint = work->constraint;
	char *counted = measure_counted_text(constraint);

	if (!lasts(expression_node(work->rel, constraint->row->expression, false)))
		return false;
	(void) place_term(work, TERM_COUNT, NULL, counted != NULL ? counted : pstrdup("true"));
	(void) place_term(work, TERM_COUNT, NULL, psprintf("NOT %s", measure_holds_text(constraint)));
	/* one term when the two are the same text, which they never are */
	Assert(list_length(work->terms) == 2);
	return true;
}

bool
terms_may_be_kept(const DataConstraint *constraint)
{
	const ConstraintRow *row = constraint->row;

	if (constraint->compile_sqlstate != 0 || row->expression == NULL ||
		constraint->rule->kind->evaluate != NULL)
		return false;
	if (row->is_aggregate)
		return true;
	return constraint_counts_table(constraint) && !row->is_late &&
		   constraint->rule->kind->failing == NULL;
}

/* As the owner, under the settings of the constraint. */
static bool
compile_work(void *argument)
{
	Compiling *work = argument;
	const ConstraintRow *row = work->constraint->row;
	Identity identity;
	bool kept;

	identity_become_with(work->target->owner, row->settings, &identity);
	settings_pin_literals();
	work->rel = table_open(work->target->relid, AccessShareLock);
	work->where = row->filter_expression != NULL ? row->filter_expression : "true";
	kept = row->filter_expression == NULL ||
		   lasts(expression_node(work->rel, row->filter_expression, false));
	kept = kept && (row->is_aggregate ? compile_aggregate(work) : compile_rows(work));
	table_close(work->rel, NoLock);
	identity_restore(&identity);
	work->result->terms = kept ? work->terms : NIL;
	return true;
}

/* ---- what is compiled once a session ---- */

typedef struct KnownTerms
{
	int32 constraint_id; /* hash key */
	char *text;          /* what the terms were made of */
	MemoryContext context;
	StateTerms *terms; /* without terms: it cannot be kept */
} KnownTerms;

static HTAB *known_terms = NULL;

static KnownTerms *
find_known(int32 constraint_id)
{
	HASHCTL control = {0};
	bool found;
	KnownTerms *known;

	if (known_terms == NULL)
	{
		control.keysize = sizeof(int32);
		control.entrysize = sizeof(KnownTerms);
		control.hcxt = TopMemoryContext;
		known_terms = hash_create("depipe terms of constraints",
								  64,
								  &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	known = hash_search(known_terms, &constraint_id, HASH_ENTER, &found);
	if (!found)
	{
		known->text = NULL;
		known->context = NULL;
		known->terms = NULL;
	}
	return known;
}

static char *
what_it_is(const DataConstraint *constraint, const char *fingerprint)
{
	const ConstraintRow *row = constraint->row;

	return psprintf("%s\n%s\n%s\n%s\n%d %d\n%s",
					row->expression,
					row->metric != NULL ? row->metric : "",
					row->filter_expression != NULL ? row->filter_expression : "",
					settings_text(row->settings),
					constraint->on_null,
					row->is_aggregate,
					fingerprint);
}

/* An error must not leave an incomplete entry. */
static void
compile_known(KnownTerms *known, Target *target, const DataConstraint *constraint, const char *text)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "depipe terms",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Compiling work = {.target = target, .constraint = constraint};

	if (known->context != NULL)
		MemoryContextDelete(known->context);
	known->context = context;
	known->text = NULL;
	work.result = palloc0(sizeof(StateTerms));
	known->terms = work.result;
	(void) guarded_run(compile_work, &work);
	known->text = pstrdup(text);
	MemoryContextSwitchTo(old);
}

const StateTerms *
terms_of(Target *target, const DataConstraint *constraint, const char *fingerprint)
{
	KnownTerms *known;
	char *text;

	if (!terms_may_be_kept(constraint))
		return NULL;
	known = find_known(constraint->row->id);
	text = what_it_is(constraint, fingerprint);
	if (known->text == NULL || strcmp(known->text, text) != 0)
		compile_known(known, target, constraint, text);
	return known->terms->terms != NIL ? known->terms : NULL;
}

/* ---- SQL ---- */

static bool
is_extreme(const StateTerm *term)
{
	return term->kind == TERM_MINIMUM || term->kind == TERM_MAXIMUM;
}

int
term_columns(const StateTerm *term)
{
	return is_extreme(term) ? 2 : 1;
}

static const char *
extreme_function(const StateTerm *term)
{
	return term->kind == TERM_MINIMUM ? "min" : "max";
}

void
term_append_whole(StringInfo sql, const StateTerm *term)
{
	if (term->kind == TERM_COUNT)
		appendStringInfo(sql,
						 ", (pg_catalog.count(*) FILTER (WHERE %s))::pg_catalog.numeric",
						 term->condition);
	else if (term->kind == TERM_SUM)
		appendStringInfo(sql,
						 ", COALESCE(pg_catalog.sum((%s)::pg_catalog.numeric)"
						 " FILTER (WHERE %s), 0)",
						 term->argument,
						 term->condition);
	else
		appendStringInfo(sql,
						 ", pg_catalog.%s((%s)::pg_catalog.numeric) FILTER (WHERE %s)",
						 extreme_function(term),
						 term->argument,
						 term->condition);
}

#define WEIGHT CHECK_ROW "." DELTA_COLUMN_PREFIX "weight"

void
term_append_change(StringInfo sql, const StateTerm *term)
{
	if (term->kind == TERM_COUNT)
		appendStringInfo(sql,
						 ", COALESCE(pg_catalog.sum(" WEIGHT
						 ") FILTER (WHERE %s), 0)::pg_catalog.numeric",
						 term->condition);
	else if (term->kind == TERM_SUM)
		appendStringInfo(sql,
						 ", COALESCE(pg_catalog.sum((%s)::pg_catalog.numeric"
						 " OPERATOR(pg_catalog.*) " WEIGHT "::pg_catalog.numeric)"
						 " FILTER (WHERE %s), 0)",
						 term->argument,
						 term->condition);
	else
		for (int came = 1; came >= 0; came--)
			appendStringInfo(
				sql,
				", pg_catalog.%s((%s)::pg_catalog.numeric) FILTER (WHERE CASE WHEN " WEIGHT
				" OPERATOR(pg_catalog.%s) 0 THEN (%s) ELSE false END)",
				extreme_function(term),
				term->argument,
				came ? ">" : "<",
				term->condition);
}

/* ---- values ---- */

static bool
is_special(Datum value)
{
	return numeric_is_nan(DatumGetNumeric(value)) || numeric_is_inf(DatumGetNumeric(value));
}

static int
compare(Datum a, Datum b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, a, b));
}

/* Is the first value at least as extreme as the second? */
static bool
reaches(const StateTerm *term, Datum value, Datum extreme)
{
	int order = compare(value, extreme);

	return term->kind == TERM_MINIMUM ? order <= 0 : order >= 0;
}

static bool
add_extreme(const StateTerm *term, TermValue *value, const TermValue *came, const TermValue *went)
{
	if (!came->isnull && (value->isnull || reaches(term, came->value, value->value)))
		*value = *came;
	else if (!went->isnull && (value->isnull || reaches(term, went->value, value->value)))
		return false;
	return true;
}

bool
term_add(const StateTerm *term, TermValue *value, const TermValue *change)
{
	if (is_extreme(term))
		return add_extreme(term, value, &change[0], &change[1]);
	/* NaN and infinity do not disappear by subtraction */
	if (value->isnull || change->isnull || is_special(value->value) || is_special(change->value))
		return false;
	value->value = DirectFunctionCall2(numeric_add, value->value, change->value);
	/* a negative number of rows: the stored value was wrong */
	return term->kind != TERM_COUNT ||
		   compare(value->value, DirectFunctionCall1(int4_numeric, Int32GetDatum(0))) >= 0;
}

/* ---- results ---- */

static int64
count_of(const TermValue *value)
{
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, value->value));
}

static Datum
as_type(Datum value, Oid type)
{
	switch (type)
	{
		case INT2OID:
			return DirectFunctionCall1(numeric_int2, value);
		case INT4OID:
			return DirectFunctionCall1(numeric_int4, value);
		case INT8OID:
			return DirectFunctionCall1(numeric_int8, value);
		default:
			Assert(type == NUMERICOID);
			return value;
	}
}

static Node *
result_of(const TermUse *use, const TermValue *values)
{
	Oid type = use->aggregate->aggtype;
	bool isnull = use->count >= 0 && count_of(&values[use->count]) == 0;
	Datum value = values[use->value].value;

	if (isnull)
		return (Node *) makeNullConst(type, -1, InvalidOid);
	if (use->scale >= 0)
		value = DirectFunctionCall2(numeric_round, value, Int32GetDatum(use->scale));
	if (use->mean)
		value = DirectFunctionCall2(numeric_div, value, values[use->count].value);
	else
		value = as_type(value, type);
	return (
		Node *) makeConst(type, -1, InvalidOid, get_typlen(type), value, false, get_typbyval(type));
}

typedef struct Putting
{
	const TermFormula *formula;
	const TermValue *values;
} Putting;

static Node *
put_results(Node *node, Putting *putting)
{
	ListCell *cell;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Aggref))
		return expression_tree_mutator(node, put_results, putting);
	foreach(cell, putting->formula->uses)
	{
		const TermUse *use = lfirst(cell);

		if (equal(use->aggregate, node))
			return result_of(use, putting->values);
	}
	elog(ERROR, "an aggregate of a check has no terms");
}

static Datum
evaluate(Node *expression, const TermFormula *formula, const TermValue *values, bool *isnull)
{
	Putting putting = {formula, values};
	EState *estate = CreateExecutorState();
	MemoryContext caller = MemoryContextSwitchTo(estate->es_query_cxt);
	Node *ready = put_results(expression, &putting);
	ExprState *state = ExecPrepareExpr((Expr *) ready, estate);
	Datum result = ExecEvalExpr(state, GetPerTupleExprContext(estate), isnull);

	MemoryContextSwitchTo(caller);
	if (!*isnull)
		result = datumCopy(result,
						   get_typbyval(exprType(expression)),
						   get_typlen(exprType(expression)));
	FreeExecutorState(estate);
	return result;
}

void
terms_measure(const StateTerms *terms, const TermValue *values, Measure *measure)
{
	bool isnull;
	Datum holds;
	Datum metric;

	measure->evaluated = count_of(&values[TERM_EVALUATED]);
	if (terms->formula == NULL)
	{
		measure->violations = count_of(&values[TERM_VIOLATIONS]);
		return;
	}
	holds = evaluate(terms->formula->holds, terms->formula, values, &isnull);
	measure->no_data = isnull;
	measure->violations = isnull ? -1 : DatumGetBool(holds) ? 0 : 1;
	if (terms->formula->metric == NULL)
		return;
	metric = evaluate(terms->formula->metric, terms->formula, values, &isnull);
	measure->metric = isnull ? NULL : TextDatumGetCString(metric);
}
