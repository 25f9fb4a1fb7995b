/*-------------------------------------------------------------------------
 *
 * measure.c
 *		Evaluation of checks, with one pass for all that can share it.
 *
 * The row checks of a delta, except those that need another table, become one
 * SELECT. Its WHERE clause finds the rows for which the conjunction of all
 * checks does not hold; its target list shows which checks failed, so that only
 * failing rows cost anything.  Rows go to a receiver one by one; nothing is
 * materialised.
 *
 * On the whole table the same expressions become FILTERs of counts, beside the
 * aggregates, in one scan.  A second scan follows if some of them cannot be
 * evaluated in parallel.
 *
 * Everything is read under the active snapshot, which is that of publish in a
 * gate: a batch is judged by the state that it makes, never by a later one.
 *
 * A filter guards its expression by CASE, because the order of evaluation in a
 * conjunction is not defined.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/measure.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/clauses.h"
#include "optimizer/paths.h"
#include "portability/instr_time.h"
#include "quality/keys.h"
#include "storage/bufmgr.h"
#include "tcop/dest.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/syscache.h"

/* ---- running ---- */

Measured *
measured_new(DataConstraint *constraint)
{
	Measured *measured = palloc0(sizeof(Measured));

	measured->constraint = constraint;
	measured->measure.evaluated = -1;
	measured->measure.violations = -1;
	if (constraint->compile_sqlstate != 0)
	{
		measured->measure.error_sqlstate = constraint->compile_sqlstate;
		measured->measure.error_message = constraint->compile_message;
	}
	return measured;
}

static void
take_error(Measured *measured, const ErrorData *error)
{
	measured->measure.evaluated = -1;
	measured->measure.violations = -1;
	measured->measure.error_sqlstate = error->sqlerrcode;
	measured->measure.error_message = error->message;
}

/* A pass over several checks, or over one at a time to attribute an error. */
typedef struct Pass
{
	Target *target;
	Delta *delta;
	List *measured;
	bool from_table;
	FailingRow failing;
	void *arg;
	void (*body)(struct Pass *pass);
} Pass;

static List *
settings_of(const Measured *measured)
{
	return measured->constraint->row->settings;
}

/* The checks of a pass have the same settings. */
static bool
pass_as_owner(void *arg)
{
	Pass *pass = arg;
	Identity identity;

	identity_become_with(pass->target->owner, settings_of(linitial(pass->measured)), &identity);
	if (pass->delta != NULL)
		identity_without_jit();
	pass->body(pass);
	identity_restore(&identity);
	return true;
}

static void
add_elapsed(List *measured, const instr_time *start)
{
	instr_time now;
	ListCell *cell;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, *start);
	foreach(cell, measured)
		((Measured *) lfirst(cell))->measure.elapsed_ms += INSTR_TIME_GET_MILLISEC(now) /
														   list_length(measured);
}

/* Evaluate one check alone, so that error and time belong to it. */
static void
run_alone(Pass *pass, Measured *measured)
{
	List *alone = list_make1(measured);
	instr_time start;
	ErrorData *error;

	INSTR_TIME_SET_CURRENT(start);
	pass->measured = alone;
	error = guarded_run(pass_as_owner, pass);
	if (error != NULL)
		take_error(measured, error);
	add_elapsed(alone, &start);
}

static void
run_pass_alike(Pass *pass)
{
	instr_time start;
	List *all = pass->measured;
	ListCell *cell;

	if (all == NIL)
		return;
	if (list_length(all) == 1)
	{
		run_alone(pass, linitial(all));
		return;
	}
	INSTR_TIME_SET_CURRENT(start);
	if (guarded_run(pass_as_owner, pass) == NULL)
		add_elapsed(all, &start);
	else
		foreach(cell, all)
			run_alone(pass, lfirst(cell));
	pass->measured = all;
}

/* One pass for each group of checks whose expressions have the same settings. */
static void
run_pass(Pass *pass)
{
	List *left = pass->measured;

	while (left != NIL)
	{
		List *settings = settings_of(linitial(left));
		List *others = NIL;
		ListCell *cell;

		pass->measured = NIL;
		foreach(cell, left)
		{
			if (equal_texts(settings_of(lfirst(cell)), settings))
				pass->measured = lappend(pass->measured, lfirst(cell));
			else
				others = lappend(others, lfirst(cell));
		}
		run_pass_alike(pass);
		left = others;
	}
}

/* ---- expressions ---- */

char *
measure_holds_text(const DataConstraint *constraint)
{
	const ConstraintRow *row = constraint->row;
	char *holds = psprintf("(%s) %s",
						   row->expression,
						   constraint->on_null == NULL_FAILS ? "IS TRUE" : "IS NOT FALSE");

	if (row->filter_expression == NULL)
		return psprintf("(%s)", holds);
	return psprintf("CASE WHEN (%s) THEN %s ELSE true END", row->filter_expression, holds);
}

char *
measure_counted_text(const DataConstraint *constraint)
{
	const ConstraintRow *row = constraint->row;
	bool skip = constraint->on_null == NULL_SKIPPED;

	if (row->filter_expression == NULL)
		return skip ? psprintf("(%s) IS NOT NULL", row->expression) : NULL;
	return psprintf("CASE WHEN (%s) THEN %s ELSE false END",
					row->filter_expression,
					skip ? psprintf("(%s) IS NOT NULL", row->expression) : "true");
}

/* The same for one row of a delta, except rows that are left out. */
static char *
without_left_out(const Measured *measured, char *text)
{
	if (measured->left_out == NULL || text == NULL)
		return text;
	return psprintf("CASE WHEN " CHECK_ROW "._depipe_sequence OPERATOR(pg_catalog.=)"
					" ANY (%s::pg_catalog.int8[]) THEN true ELSE %s END",
					sql_literal(measured->left_out),
					text);
}

/* Are the failing rows found by a join? Such a check has a pass of its own. */
static bool
fails_as_set(const DataConstraint *constraint)
{
	return constraint_is_row(constraint) && constraint->rule->kind->failing != NULL;
}

char *
violation_condition(const DataConstraint *constraint, Target *target)
{
	const CheckKind *kind = constraint->rule->kind;

	if (kind->failing != NULL)
		return kind->failing(constraint, target);
	if (!constraint_is_row(constraint))
		return NULL;
	return psprintf("NOT %s", measure_holds_text(constraint));
}

bool
delta_has_columns(const Delta *delta, const DataConstraint *constraint)
{
	ListCell *cell;

	foreach(cell, constraint->row->columns)
	{
		bool found = false;

		for (int i = 0; i < delta->columns->natts; i++)
			if (strcmp(NameStr(TupleDescAttr(delta->columns, i)->attname), lfirst(cell)) == 0)
				found = true;
		if (!found)
			return false;
	}
	return true;
}

/* ---- row checks on a delta ---- */

typedef struct FailingReceiver
{
	DestReceiver pub;
	Pass *pass;
} FailingReceiver;

/* Columns: sequence, weight, then one boolean per check. */
static bool
receive_failing(TupleTableSlot *slot, DestReceiver *self)
{
	Pass *pass = ((FailingReceiver *) self)->pass;
	int64 sequence;
	int64 weight;
	int column = 3;
	ListCell *cell;

	slot_getallattrs(slot);
	sequence = DatumGetInt64(slot->tts_values[0]);
	weight = DatumGetInt64(slot->tts_values[1]);
	foreach(cell, pass->measured)
	{
		Measured *measured = lfirst(cell);

		if (DatumGetBool(slot->tts_values[column++ - 1]))
			continue;
		measured->measure.violations += weight;
		pass->failing(pass->arg, measured, sequence, weight);
	}
	return true;
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
receiver_end(DestReceiver *self)
{
}

static void
execute_query(const char *sql)
{
	MemoryContext context = CurrentMemoryContext;
	int level = identity_begin_statement();
	int result = read_query(sql, 0, NULL, NULL);

	identity_end_statement(level);
	MemoryContextSwitchTo(context); /* SPI leaves us in its own, which ends with it */
	if (result < 0)
		elog(ERROR, "evaluation of checks failed: %s", SPI_result_code_string(result));
}

/* A kept plan serves few rows only. */
static PlanStyle
small_style(const Delta *delta)
{
	return delta->nrows <= PLAN_SMALL_ROWS ? PLAN_KEPT : PLAN_ONCE;
}

/* Run a query whose cost is proportional to the rows of the delta. */
static void
execute_on_delta(const Delta *delta, const char *sql, PlanStyle style, DestReceiver *receiver)
{
	MemoryContext context = CurrentMemoryContext;
	int level = identity_begin_statement();
	SPIPlanPtr plan = plan_statement(sql, delta->desc, style);
	int result = read_plan(plan, receiver);

	identity_end_statement(level);
	MemoryContextSwitchTo(context);
	if (result < 0)
		elog(ERROR, "evaluation of checks failed: %s", SPI_result_code_string(result));
	plan_release(plan);
}

/* The rows to evaluate, with sequence and weight, under the alias CHECK_ROW. */
static char *
delta_rows_text(const Pass *pass)
{
	const Delta *delta = pass->delta;
	AttrNumber *all;
	StringInfoData match;

	if (!pass->from_table)
		return psprintf("%s " CHECK_ROW, sql_identifier(delta->name));
	all = palloc(sizeof(AttrNumber) * (delta->columns->natts + 1));
	for (int i = 0; i < delta->columns->natts; i++)
		all[i] = i + 1;
	initStringInfo(&match);
	sql_append_match(&match,
					 delta->columns,
					 delta->nkeys > 0 ? delta->nkeys : delta->columns->natts,
					 delta->nkeys > 0 ? delta->keys : all,
					 "d",
					 "r",
					 delta_key_is_not_null(delta));
	return psprintf("(SELECT d._depipe_sequence, d._depipe_weight, r.* FROM %s d JOIN %s ON %s)"
					" " CHECK_ROW,
					sql_identifier(delta->name),
					target_rows_sql(pass->target, "r"),
					match.data);
}

static char *
failing_query(const Pass *pass)
{
	const DataConstraint *first = ((Measured *) linitial(pass->measured))->constraint;
	StringInfoData list;
	StringInfoData condition;
	ListCell *cell;

	if (fails_as_set(first))
		return psprintf("SELECT " CHECK_ROW "._depipe_sequence, " CHECK_ROW "._depipe_weight, false"
						" FROM %s WHERE " CHECK_ROW "._depipe_weight OPERATOR(pg_catalog.>) 0"
						" AND %s",
						delta_rows_text(pass),
						violation_condition(first, pass->target));
	initStringInfo(&list);
	initStringInfo(&condition);
	foreach(cell, pass->measured)
	{
		const Measured *measured = lfirst(cell);
		char *holds = without_left_out(measured, measure_holds_text(measured->constraint));

		appendStringInfo(&list, ", %s", holds);
		appendStringInfo(&condition, "%s%s", condition.len > 0 ? " AND " : "", holds);
	}
	return psprintf("SELECT " CHECK_ROW "._depipe_sequence, " CHECK_ROW "._depipe_weight%s"
					" FROM %s WHERE " CHECK_ROW "._depipe_weight OPERATOR(pg_catalog.>) 0"
					" AND NOT (%s)",
					list.data,
					delta_rows_text(pass),
					condition.data);
}

static int64
result_int8(int column)
{
	bool isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/* Denominators: another pass, only if they differ from the number of rows. */
static void
count_evaluated(Pass *pass)
{
	StringInfoData sql;
	bool needed = pass->delta->nkeys == 0;
	int column = 1;
	ListCell *cell;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.sum(t._depipe_weight)::pg_catalog.int8");
	foreach(cell, pass->measured)
	{
		const Measured *measured = lfirst(cell);
		char *counted = without_left_out(measured, measure_counted_text(measured->constraint));

		if (counted == NULL)
			continue;
		needed = true;
		appendStringInfo(&sql,
						 ", pg_catalog.sum(t._depipe_weight) FILTER (WHERE %s)::pg_catalog.int8",
						 counted);
	}
	if (needed)
	{
		appendStringInfo(&sql,
						 " FROM %s WHERE t._depipe_weight OPERATOR(pg_catalog.>) 0",
						 delta_rows_text(pass));
		execute_on_delta(pass->delta, sql.data, small_style(pass->delta), NULL);
	}
	foreach(cell, pass->measured)
	{
		Measured *measured = lfirst(cell);
		bool own = measure_counted_text(measured->constraint) != NULL;

		measured->measure.evaluated = !needed ? pass->delta->new_images
											  : result_int8(own ? ++column : 1);
	}
}

static void
delta_pass(Pass *pass)
{
	FailingReceiver receiver = {
		{receive_failing, receiver_startup, receiver_end, receiver_end, DestNone},
		pass};
	const DataConstraint *first;
	ListCell *cell;

	foreach(cell, pass->measured)
	{
		Measured *measured = lfirst(cell);

		measured->measure.evaluated = 0;
		measured->measure.violations = 0;
		measured->measure.strategy = pass->from_table ? "table rows of the delta" : "delta";
	}
	if (pass->delta->new_images == 0)
		return;
	first = ((Measured *) linitial(pass->measured))->constraint;
	execute_on_delta(pass->delta,
					 failing_query(pass),
					 fails_as_set(first) ? relationships_style(first, pass->delta->nrows)
										 : small_style(pass->delta),
					 &receiver.pub);
	count_evaluated(pass);
}

static List *
without_errors(List *measured)
{
	List *sound = NIL;
	ListCell *cell;

	foreach(cell, measured)
		if (((Measured *) lfirst(cell))->measure.error_sqlstate == 0)
			sound = lappend(sound, lfirst(cell));
	return sound;
}

void
measure_delta(Target *target, Delta *delta, List *measured, bool from_table, FailingRow failing,
			  void *arg)
{
	Pass pass = {target, delta, NIL, from_table, failing, arg, delta_pass};
	List *shared = NIL;
	ListCell *cell;

	foreach(cell, without_errors(measured))
	{
		if (!fails_as_set(((Measured *) lfirst(cell))->constraint))
		{
			shared = lappend(shared, lfirst(cell));
			continue;
		}
		pass.measured = list_make1(lfirst(cell));
		run_pass(&pass);
	}
	pass.measured = shared;
	run_pass(&pass);
}

/* ---- the whole table ---- */

/* Three columns for each check: rows in the denominator, violations, metric. */
static void
append_table_columns(StringInfo sql, const DataConstraint *constraint)
{
	const ConstraintRow *row = constraint->row;
	char *counted;

	if (row->is_aggregate)
	{
		appendStringInfo(sql,
						 ", pg_catalog.count(*), CASE WHEN (%s) THEN 0 ELSE 1 END::pg_catalog.int8,"
						 " (%s)::pg_catalog.text, (%s) IS NULL",
						 row->expression,
						 row->metric != NULL ? row->metric : "NULL",
						 row->expression);
		return;
	}
	counted = measure_counted_text(constraint);
	appendStringInfo(sql,
					 ", pg_catalog.count(*)%s%s%s, pg_catalog.count(*) FILTER (WHERE NOT %s),"
					 " NULL::pg_catalog.text, false",
					 counted != NULL ? " FILTER (WHERE " : "",
					 counted != NULL ? counted : "",
					 counted != NULL ? ")" : "",
					 measure_holds_text(constraint));
}

static void
table_pass(Pass *pass)
{
	StringInfoData sql;
	const DataConstraint *first = ((Measured *) linitial(pass->measured))->constraint;
	int column = 1;
	ListCell *cell;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT 0");
	foreach(cell, pass->measured)
		append_table_columns(&sql, ((Measured *) lfirst(cell))->constraint);
	appendStringInfo(&sql, " FROM %s", target_rows_sql(pass->target, CHECK_ROW));
	if (first->row->is_aggregate && first->row->filter_expression != NULL)
		appendStringInfo(&sql, " WHERE %s", first->row->filter_expression);
	execute_query(sql.data);
	foreach(cell, pass->measured)
	{
		Measure *measure = &((Measured *) lfirst(cell))->measure;
		bool isnull;

		measure->evaluated = result_int8(++column);
		measure->violations = result_int8(++column);
		measure->metric = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, ++column);
		measure->no_data = DatumGetBool(
			SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, ++column, &isnull));
		if (measure->no_data)
			measure->violations = -1;
		measure->strategy = "scan";
	}
}

/* The number of rows in the denominator and of those that an anti-join finds. */
static void
set_pass(Pass *pass)
{
	Measured *measured = linitial(pass->measured);
	char *counted = measure_counted_text(measured->constraint);

	execute_query(psprintf("SELECT pg_catalog.count(*) FROM %s%s%s",
						   target_rows_sql(pass->target, CHECK_ROW),
						   counted != NULL ? " WHERE " : "",
						   counted != NULL ? counted : ""));
	measured->measure.evaluated = result_int8(1);
	execute_query(psprintf("SELECT pg_catalog.count(*) FROM %s WHERE %s",
						   target_rows_sql(pass->target, CHECK_ROW),
						   violation_condition(measured->constraint, pass->target)));
	measured->measure.violations = result_int8(1);
	measured->measure.strategy = "anti-join";
}

typedef struct Alike
{
	MeasureBody body;
	void *arg;
} Alike;

static void
alike_pass(Pass *pass)
{
	Alike *alike = pass->arg;

	alike->body(pass->measured, alike->arg);
}

void
measure_alike(Target *target, List *measured, MeasureBody body, void *arg)
{
	Alike alike = {body, arg};
	Pass pass = {target, NULL, measured, false, NULL, &alike, alike_pass};

	run_pass(&pass);
}

static void
alone_pass(Pass *pass)
{
	Measured *measured = linitial(pass->measured);
	CheckScope scope = {pass->target, pass->delta, pass->arg};

	measured->constraint->rule->kind->evaluate(measured->constraint, &scope, &measured->measure);
}

void
measure_alone(Target *target, Delta *delta, const Changes *changes, Measured *measured)
{
	Pass pass = {target,
				 delta,
				 without_errors(list_make1(measured)),
				 false,
				 NULL,
				 unconstify(Changes *, changes),
				 alone_pass};

	run_pass(&pass);
}

/* Can it share a scan? The filter of an aggregate belongs in WHERE. */
static bool
shares_scan(const DataConstraint *constraint)
{
	const ConstraintRow *row = constraint->row;

	return !row->is_aggregate || row->filter_expression == NULL;
}

/* Would the server scan the table in parallel? */
static bool
worth_parallel(const Target *target)
{
	Relation rel;
	bool large;

	if (max_parallel_workers_per_gather == 0)
		return false;
	rel = relation_open(target->relid, AccessShareLock);
	large = rel->rd_rel->relkind != RELKIND_RELATION ||
			RelationGetNumberOfBlocks(rel) >= (BlockNumber) min_parallel_table_scan_size;
	relation_close(rel, NoLock);
	return large;
}

static bool
is_serial_aggregate(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
	{
		Aggref *aggregate = (Aggref *) node;
		HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate->aggfnoid));
		Form_pg_aggregate form;
		bool serial;

		if (!HeapTupleIsValid(tuple))
			return true;
		form = (Form_pg_aggregate) GETSTRUCT(tuple);
		serial = aggregate->aggdistinct != NIL || aggregate->aggorder != NIL ||
				 form->aggkind != AGGKIND_NORMAL || !OidIsValid(form->aggcombinefn) ||
				 (form->aggtranstype == INTERNALOID && !OidIsValid(form->aggserialfn));
		ReleaseSysCache(tuple);
		return serial;
	}
	return expression_tree_walker(node, is_serial_aggregate, context);
}

typedef struct Question
{
	const Target *target;
	const DataConstraint *constraint;
	bool serial;
} Question;

static bool
ask_serial(void *arg)
{
	Question *question = arg;
	Identity identity;
	StringInfoData sql;
	SPIPlanPtr plan;
	CachedPlanSource *source;
	Query *query;

	identity_become_with(question->target->owner, question->constraint->row->settings, &identity);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT 0");
	append_table_columns(&sql, question->constraint);
	appendStringInfo(&sql, " FROM %s", target_rows_sql(question->target, CHECK_ROW));
	plan = SPI_prepare(sql.data, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	source = linitial(SPI_plan_get_plan_sources(plan));
	query = linitial_node(Query, source->query_list);
	question->serial = max_parallel_hazard(query) != PROPARALLEL_SAFE ||
					   is_serial_aggregate((Node *) query->targetList, NULL);
	SPI_freeplan(plan);
	identity_restore(&identity);
	return true;
}

/*
 * A check that cannot run in parallel would slow all others of its scan.  An
 * error is met again by the pass, and attributed there.
 */
static bool
is_serial(const Target *target, const DataConstraint *constraint)
{
	Question question = {target, constraint, false};

	(void) guarded_run(ask_serial, &question);
	return question.serial;
}

void
measure_table(Target *target, List *measured)
{
	List *shared = NIL;
	List *serial = NIL;
	ListCell *cell;
	Pass pass = {target, NULL, NIL, false, NULL, NULL, table_pass};
	Pass set = {target, NULL, NIL, false, NULL, NULL, set_pass};
	bool splits = worth_parallel(target);

	foreach(cell, without_errors(measured))
	{
		Measured *one = lfirst(cell);

		if (one->constraint->rule->kind->evaluate != NULL)
			measure_alone(target, NULL, NULL, one);
		else if (fails_as_set(one->constraint))
		{
			set.measured = list_make1(one);
			run_pass(&set);
		}
		else if (shares_scan(one->constraint) && splits && is_serial(target, one->constraint))
			serial = lappend(serial, one);
		else if (shares_scan(one->constraint))
			shared = lappend(shared, one);
		else
		{
			pass.measured = list_make1(one);
			run_pass(&pass);
		}
	}
	pass.measured = shared;
	run_pass(&pass);
	pass.measured = serial;
	run_pass(&pass);
}
