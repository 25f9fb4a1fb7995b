/*-------------------------------------------------------------------------
 *
 * compile.c
 *		Compilation of constraints for evaluation.
 *
 * The analysed forms of a rule are stored with it, together with the types of
 * the columns for which they were made.  If a table was dropped and created
 * again with other types, or did not exist before, a comparison of these types
 * detects that, and the rule is compiled again.
 *
 * Compilation can run user code (input functions of types), so it runs as the
 * owner of the target.  Names are resolved under the search_path of the role
 * that declared the constraint, and values are read under its settings.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/compile.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "core/arguments.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/settings.h"
#include "core/sqltext.h"
#include "quality/accepted.h"
#include "quality/check_kinds.h"
#include "quality/expression.h"
#include "utils/lsyscache.h"

static const char *const null_policies[] = {"pass", "fail", "skip", NULL};
static const char *const no_data_policies[] = {"not_evaluated", "pass", "fail", NULL};

/* ---- compiling ---- */

static List *
with_names(List *names, List *more)
{
	ListCell *cell;

	foreach(cell, more)
	{
		ListCell *other;
		bool found = false;

		foreach(other, names)
			found = found || strcmp(lfirst(other), lfirst(cell)) == 0;
		if (!found)
			names = lappend(names, lfirst(cell));
	}
	return names;
}

static List *
types_of(Oid relid, List *columns)
{
	List *types = NIL;
	ListCell *cell;

	foreach(cell, columns)
	{
		AttrNumber attnum = get_attnum(relid, lfirst(cell));
		Oid type;
		int32 modifier;
		Oid collation;

		if (attnum == InvalidAttrNumber)
		{
			types = lappend(types, pstrdup("-"));
			continue;
		}
		get_atttypetypmodcoll(relid, attnum, &type, &modifier, &collation);
		types = lappend(types, sql_type(type, -1));
	}
	return types;
}

static void
take_compiled(ConstraintRow *row, const CompiledCheck *check, const Expression *filter, Oid relid)
{
	row->expression = check->expression;
	row->metric = check->metric;
	row->is_aggregate = check->is_aggregate;
	row->is_late = check->late;
	row->filter_expression = filter == NULL ? NULL : filter->sql;
	row->columns = with_names(check->columns, filter == NULL ? NIL : filter->columns);
	row->column_types = types_of(relid, row->columns);
}

void
constraint_compile(Target *target, ConstraintRow *row, const CheckRule *rule)
{
	Identity identity;
	Relation rel;
	CompiledCheck *check;
	Expression *filter = NULL;

	identity_become_with(target->owner, row->settings, &identity);
	settings_set("search_path", row->search_path);
	rel = table_open(target->relid, AccessShareLock);
	check = check_compile(rule, rel);
	if (row->filter != NULL)
		filter = expression_analyse(rel, row->filter, "filter", false);
	table_close(rel, NoLock);
	identity_restore(&identity);
	take_compiled(row, check, filter, target->relid);
}

/* ---- ready to be evaluated ---- */

static bool
fits_table(const ConstraintRow *row, Oid relid)
{
	List *types;
	ListCell *now;
	ListCell *then;

	if (row->expression == NULL && row->columns == NIL)
		return false;
	types = types_of(relid, row->columns);
	if (list_length(types) != list_length(row->column_types))
		return false;
	forboth(now, types, then, row->column_types)
		if (strcmp(lfirst(now), lfirst(then)) != 0)
			return false;
	return true;
}

typedef struct CompileWork
{
	Target *target;
	DataConstraint *constraint;
} CompileWork;

static bool
compile_work(void *arg)
{
	CompileWork *work = arg;

	constraint_compile(work->target, work->constraint->row, work->constraint->rule);
	constraint_row_put_compiled(work->constraint->row);
	return true;
}

static void
compile_again(Target *target, DataConstraint *constraint)
{
	CompileWork work = {target, constraint};
	ErrorData *error = guarded_run(compile_work, &work);

	if (error == NULL)
		return;
	constraint->compile_sqlstate = error->sqlerrcode;
	constraint->compile_message = error->message;
}

static void
take_policies(DataConstraint *constraint)
{
	ConstraintRow *row = constraint->row;

	constraint->on_violation = action_from_name(row->on_violation);
	constraint->warn_if = threshold_parse(row->warn_if, "warn_if");
	constraint->fail_if = threshold_parse(row->fail_if, "fail_if");
	constraint->batch_scope = strcmp(row->scope, "batch") == 0;
	constraint->on_null = word_choice(row->on_null, "on_null", null_policies);
	constraint->on_no_data = word_choice(row->on_no_data, "on_no_data", no_data_policies);
	constraint->error_passes = strcmp(row->on_error, "pass") == 0;
}

/* The referenced table may have become a history: then only its current rows count. */
static void
refer_to_current_rows(DataConstraint *constraint)
{
	const char *rows = table_rows_sql(constraint->reference, "r");
	char *all = psprintf("%s r", sql_relation(constraint->reference));
	char *before = psprintf("EXISTS (SELECT FROM %s WHERE ", all);
	char *expression = constraint->row->expression;
	char *found;

	if (strcmp(rows, all) == 0 || expression == NULL ||
		(found = strstr(expression, before)) == NULL)
		return;
	constraint->row->expression = psprintf("%.*sEXISTS (SELECT FROM %s WHERE %s",
										   (int) (found - expression),
										   expression,
										   rows,
										   found + strlen(before));
}

DataConstraint *
constraint_from(Target *target, ConstraintRow *row)
{
	DataConstraint *constraint = palloc0(sizeof(DataConstraint));

	constraint->row = row;
	constraint->rule = check_parse_text(row->rule);
	take_policies(constraint);
	if (OidIsValid(target->relid) && !fits_table(row, target->relid))
		compile_again(target, constraint);
	constraint->family = constraint->rule->kind->family;
	if (row->is_aggregate && constraint->family == FAMILY_ROW)
		constraint->family = FAMILY_AGGREGATE;
	if (row->reference_schema != NULL)
	{
		Oid schema = get_namespace_oid(row->reference_schema, true);

		constraint->reference = OidIsValid(schema) ? get_relname_relid(row->reference_table, schema)
												   : InvalidOid;
		if (OidIsValid(constraint->reference))
			refer_to_current_rows(constraint);
	}
	accepted_leave_out(target, constraint);
	return constraint;
}

List *
constraints_load(Target *target)
{
	List *constraints = NIL;
	ListCell *cell;

	foreach(cell, constraint_rows(target->id))
		constraints = lappend(constraints, constraint_from(target, lfirst(cell)));
	return constraints;
}
