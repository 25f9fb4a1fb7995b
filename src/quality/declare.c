/*-------------------------------------------------------------------------
 *
 * declare.c
 *		Declaring constraints: add_constraint, alter_constraint,
 *		drop_constraint, and the constraints of contracts.
 *
 * Everything is checked before anything is stored: shape of the rule, policies,
 * analysis against the table, and the existing rows.  Meanwhile the table is
 * locked against concurrent publications, so that the baseline is that of the
 * rows which the gate has not seen.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/declare.h"

#include "access/htup_details.h"
#include "catalog/attempts.h"
#include "catalog/audit.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/table_looks.h"
#include "catalog/transforms.h"
#include "commands/defrem.h"
#include "core/arguments.h"
#include "core/identity.h"
#include "core/settings.h"
#include "core/shmem.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "quality/check_kinds.h"
#include "quality/compile.h"
#include "quality/expression.h"
#include "quality/incident.h"
#include "quality/measure.h"
#include "quality/protect.h"
#include "quality/values.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* places of the arguments that add_constraint and alter_constraint share */
#define ARG_ON_VIOLATION 3
#define ARG_WARN_IF 4
#define ARG_FAIL_IF 5
#define ARG_SCOPE 6
#define ARG_MIN_ROWS 7
#define ARG_FILTER 8
#define ARG_ON_NULL 9
#define ARG_ON_NO_DATA 10
#define ARG_ON_ERROR 11
#define ARG_GRACE 12
#define ARG_EXISTING 13
#define ARG_ENFORCE_FROM 14
#define ARG_CHECK_EVERY 15
#define ARG_OWNER 16
#define ARG_DESCRIPTION 17
#define ARG_REPLACE 18
#define ARG_SETTINGS 19
#define ARG_ALTER_SETTINGS 18

#define DEFAULT_GRACE "00:05:00"

static void
invalid(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", message),
			 hint != NULL ? errhint("%s", hint) : 0));
}

/* ---- the target ---- */

static void
check_relation_kind(Oid relid, const char *display)
{
	char kind = get_rel_relkind(relid);

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_VIEW &&
		kind != RELKIND_MATVIEW && kind != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a table", display),
				 errdetail("Constraints are declared on tables, foreign tables, views and"
						   " materialized views.")));
	if (IsCatalogNamespace(get_rel_namespace(relid)) ||
		get_rel_namespace(relid) == get_namespace_oid(DEPIPE_SCHEMA, true) ||
		get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("constraints on %s are not supported", display),
				 errdetail("The table is a system, extension or temporary table.")));
}

/* The future target for a table that depipe does not know yet. */
static Target *
new_target(const char *name)
{
	Target *target = palloc0(sizeof(Target));
	Oid schema;

	parse_table_name(name, &target->schema_name, &target->table_name);
	target->display = sql_table(target->schema_name, target->table_name);
	schema = get_namespace_oid(target->schema_name, true);
	if (OidIsValid(schema))
		target->relid = get_relname_relid(target->table_name, schema);
	if (!OidIsValid(target->relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s does not exist", target->display),
				 errhint("Create the table, its load or its transform first.")));
	target->kind = TARGET_TABLE;
	target->owner = identity_table_owner(target->relid);
	return target;
}

/* The target of a declaration, after a check of rights, with its table (if any) locked. */
static Target *
declared_target(const char *name)
{
	Target *target = target_find(name, true);

	if (target != NULL && target->taken && target->kind == TARGET_TABLE &&
		!target_has_constraints(target->id))
	{
		target_delete(target->id); /* no declaration remains */
		target = NULL;
	}
	if (target == NULL)
		target = new_target(name);
	if (!OidIsValid(target->relid))
	{
		if (!has_privs_of_role(GetUserId(), target->owner))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("must be owner of table %s", target->display),
					 target->taken
						 ? errdetail("A table of the same name, owned by another role, had"
									 " definitions.")
						 : 0));
		return target;
	}
	identity_check_table_owner(target->relid, target->display);
	check_relation_kind(target->relid, target->display);
	LockRelationOid(target->relid, ShareUpdateExclusiveLock);
	return target;
}

/* ---- policies ---- */

static const char *const scopes[] = {"table", "batch", NULL};
static const char *const null_policies[] = {"pass", "fail", "skip", NULL};
static const char *const no_data_policies[] = {"not_evaluated", "pass", "fail", NULL};
static const char *const error_policies[] = {"fail", "pass", NULL};
static const char *const existing_policies[] = {"baseline", "fail", "ignore", "quarantine", NULL};

/* An argument that is one of several words; NULL keeps the present one. */
static void
take_choice(FunctionCallInfo fcinfo, int number, const char *name, const char *const *names,
			char **value)
{
	char *given = argument_text_or_null(fcinfo, number);

	if (given == NULL)
		return;
	(void) word_choice(given, name, names);
	*value = given;
}

/* Thresholds and texts: NULL keeps the present one, 'none' removes it. */
static void
take_removable(FunctionCallInfo fcinfo, int number, const char *name, char **value)
{
	char *given = argument_text_or_null(fcinfo, number);

	if (given == NULL)
		return;
	if (given[strspn(given, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be empty", name),
				 errhint("Leave the argument out, or use 'none' to remove the declared value.")));
	*value = strcmp(given, "none") == 0 ? NULL : given;
}

static void
take_policies(FunctionCallInfo fcinfo, ConstraintRow *row)
{
	char *interval;

	if (!PG_ARGISNULL(ARG_ON_VIOLATION))
	{
		row->on_violation = argument_text(fcinfo, ARG_ON_VIOLATION, "on_violation");
		(void) action_from_name(row->on_violation);
	}
	take_removable(fcinfo, ARG_WARN_IF, "warn_if", &row->warn_if);
	take_removable(fcinfo, ARG_FAIL_IF, "fail_if", &row->fail_if);
	(void) threshold_parse(row->warn_if, "warn_if");
	(void) threshold_parse(row->fail_if, "fail_if");
	take_choice(fcinfo, ARG_SCOPE, "scope", scopes, &row->scope);
	if (!PG_ARGISNULL(ARG_MIN_ROWS))
		row->min_rows = PG_GETARG_INT64(ARG_MIN_ROWS);
	take_removable(fcinfo, ARG_FILTER, "filter", &row->filter);
	take_choice(fcinfo, ARG_ON_NULL, "on_null", null_policies, &row->on_null);
	take_choice(fcinfo, ARG_ON_NO_DATA, "on_no_data", no_data_policies, &row->on_no_data);
	take_choice(fcinfo, ARG_ON_ERROR, "on_error", error_policies, &row->on_error);
	if ((interval = argument_interval(fcinfo, ARG_GRACE, "grace")) != NULL)
		row->grace = interval;
	take_choice(fcinfo, ARG_EXISTING, "existing", existing_policies, &row->existing);
	if (!PG_ARGISNULL(ARG_ENFORCE_FROM))
		row->enforce_from = argument_time(fcinfo, ARG_ENFORCE_FROM, "enforce_from");
	if ((interval = argument_interval(fcinfo, ARG_CHECK_EVERY, "check_every")) != NULL)
		row->check_every = interval;
	take_removable(fcinfo, ARG_OWNER, "owner", &row->owner);
	take_removable(fcinfo, ARG_DESCRIPTION, "description", &row->description);
}

static void
check_policy(const ConstraintRow *row, const CheckKind *kind)
{
	Action action = action_from_name(row->on_violation);

	if ((kind->policies & (1u << action)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("check %s cannot have on_violation \"%s\"", kind->name, row->on_violation),
				 kind->family == FAMILY_TIME
					 ? errhint("A time check never holds batches: depipe.guard and assert_ok raise"
							   " while it fails.")
					 : errhint("The check is not about single rows.")));
	if (row->is_aggregate && action == ACTION_QUARANTINE)
		invalid("an expression with an aggregate cannot have on_violation \"quarantine\"",
				"The expression is about the table, so there are no rows to set aside.");
	if (action == ACTION_WARN && row->fail_if != NULL)
		invalid("fail_if cannot be used with on_violation \"warn\"",
				"Use warn_if, or another on_violation.");
	if (action == ACTION_QUARANTINE && row->warn_if != NULL)
		invalid("warn_if cannot be used with on_violation \"quarantine\"",
				"Every violating row is set aside, with verdict warn.");
	if ((row->warn_if != NULL || row->fail_if != NULL) &&
		(row->is_aggregate || (kind->family > FAMILY_ROWS && !kind->of_table)))
		invalid("warn_if and fail_if need a check that counts rows",
				"Write the bounds in the expression.");
	if (kind->uncounted && (threshold_parse(row->warn_if, "warn_if").percent ||
							threshold_parse(row->fail_if, "fail_if").percent))
		invalid("a percentage needs a check that knows how many rows it evaluates",
				"Use a number of rows, such as '> 10'.");
	if (kind->of_table && strcmp(row->scope, "batch") == 0)
		invalid("scope \"batch\" needs a check of the rows of a batch",
				"The check is about the whole table.");
	if (row->min_rows < 0)
		invalid("argument \"min_rows\" must not be negative", NULL);
	if (strcmp(row->existing, "quarantine") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("existing => 'quarantine' is not supported"),
				 errhint("See the rows with depipe.violations, or use existing => 'baseline'.")));
}

static bool
is_zero_interval(const char *text)
{
	Interval *interval = DatumGetIntervalP(DirectFunctionCall3(interval_in,
															   CStringGetDatum(text),
															   ObjectIdGetDatum(InvalidOid),
															   Int32GetDatum(-1)));

	return interval->time == 0 && interval->day == 0 && interval->month == 0;
}

/* Two sides that arrive by different ways are never exactly in step. */
static void
settle_grace(Target *target, ConstraintRow *row, const CheckKind *kind)
{
	bool quarantine = strcmp(row->on_violation, "quarantine") == 0;

	if (row->grace == NULL)
	{
		bool apart = row->reference_table != NULL && kind->has_keys && !quarantine &&
					 !same_origin(target->kind == TARGET_TABLE ? 0 : target->id,
								  row->reference_schema,
								  row->reference_table);

		row->grace = pstrdup(apart ? DEFAULT_GRACE : "00:00:00");
	}
	if (is_zero_interval(row->grace))
		return;
	if (row->reference_table == NULL || !kind->has_keys)
		invalid("grace needs a check of rows against another table", NULL);
	if (quarantine)
		invalid("grace cannot be used with on_violation \"quarantine\"",
				"Quarantined rows are tried again when the reference changes.");
}

static void
note_toothless(const ConstraintRow *row)
{
	Action action = action_from_name(row->on_violation);

	if (action >= ACTION_REJECT && row->warn_if != NULL && row->fail_if == NULL)
		ereport(NOTICE,
				(errmsg("constraint \"%s\" only warns, because it has warn_if and no fail_if",
						row->name)));
}

/* ---- rule and analysis ---- */

static CheckRule *
take_rule(FunctionCallInfo fcinfo, int number, ConstraintRow *row)
{
	CheckRule *rule;
	char *reference = NULL;

	argument_not_null(fcinfo, number, "rule");
	rule = check_parse((Jsonb *) PG_DETOAST_DATUM(PG_GETARG_DATUM(number)));
	row->rule = check_canonical(rule);
	row->search_path = pstrdup(namespace_search_path);
	row->reference_schema = row->reference_table = NULL;
	for (int i = 0; rule->kind->arguments[i].name != NULL; i++)
		if (rule->kind->arguments[i].type == ARGUMENT_TABLE)
			reference = check_text(rule, rule->kind->arguments[i].name);
	if (reference != NULL)
		parse_table_name(reference, &row->reference_schema, &row->reference_table);
	return rule;
}

static bool
reference_will_come(const ConstraintRow *row)
{
	Oid schema;
	Target *reference;

	if (row->reference_table == NULL)
		return false;
	schema = get_namespace_oid(row->reference_schema, true);
	if (OidIsValid(schema) && OidIsValid(get_relname_relid(row->reference_table, schema)))
		return false;
	reference = target_find_named(row->reference_schema, row->reference_table);
	return reference != NULL && reference->kind != TARGET_TABLE;
}

static void
analyse(Target *target, ConstraintRow *row, const CheckRule *rule)
{
	row->expression = row->metric = row->filter_expression = NULL;
	row->columns = row->column_types = NIL;
	row->is_aggregate = row->is_late = false;
	if (OidIsValid(target->relid) && !reference_will_come(row))
	{
		constraint_compile(target, row, rule);
		return;
	}
	if (strcmp(rule->kind->name, "satisfies") == 0)
		expression_check_syntax(check_text(rule, "expression"), "expression");
	if (row->filter != NULL)
		expression_check_syntax(row->filter, "filter");
}

/* ---- names ---- */

static void
check_name(const char *name)
{
	if (name[0] == '\0')
		invalid("constraint name must not be empty", NULL);
	if (strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("constraint name is too long"),
				 errdetail("It must be shorter than %d bytes.", NAMEDATALEN)));
}

/* Derive a name as the server does: column, kind, and a number if the name is taken. */
static char *
derive_name(const Target *target, const CheckRule *rule, const ConstraintRow *row)
{
	char *subject = check_subject(rule);

	if (subject == NULL && list_length(row->columns) == 1)
		subject = linitial(row->columns);
	if (subject == NULL)
		subject = target->table_name;
	for (int i = 0;; i++)
	{
		char label[NAMEDATALEN];
		char *name;

		snprintf(label, sizeof(label), i == 0 ? "%s" : "%s%d", rule->kind->name, i);
		name = makeObjectName(subject, NULL, label);
		if (target->id == 0 || constraint_row_find(target->id, name) == NULL)
			return name;
	}
}

static char *
normal_json(const char *text)
{
	Datum value = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));

	return DatumGetCString(DirectFunctionCall1(jsonb_out, value));
}

/* The constraint that this declaration repeats, found by name or else by its rule. */
static ConstraintRow *
find_declared(const Target *target, const ConstraintRow *row)
{
	ListCell *cell;

	if (target->id == 0)
		return NULL;
	if (row->name != NULL)
		return constraint_row_find(target->id, row->name);
	foreach(cell, constraint_rows(target->id))
	{
		ConstraintRow *other = lfirst(cell);

		if (strcmp(other->rule, normal_json(row->rule)) == 0 &&
			same_text(other->filter, row->filter))
			return other;
	}
	return NULL;
}

/* ---- differences ---- */

static void
append_difference(StringInfo buf, const char *name, const char *is, const char *declared)
{
	if (!same_text(is, declared))
		appendStringInfo(buf,
						 "%s%s is %s, declared %s",
						 buf->len > 0 ? "; " : "",
						 name,
						 is != NULL ? is : "not given",
						 declared != NULL ? declared : "not given");
}

static char *
time_text(TimestampTz time)
{
	return time == 0 ? NULL : pstrdup(timestamptz_to_str(time));
}

/* The differences of the stored constraint from the declared one; NULL if there are none. */
static char *
differences(const ConstraintRow *is, const ConstraintRow *declared)
{
	StringInfoData buf;

	initStringInfo(&buf);
	append_difference(&buf, "rule", is->rule, normal_json(declared->rule));
	append_difference(&buf, "filter", is->filter, declared->filter);
	append_difference(&buf, "on_violation", is->on_violation, declared->on_violation);
	append_difference(&buf, "warn_if", is->warn_if, declared->warn_if);
	append_difference(&buf, "fail_if", is->fail_if, declared->fail_if);
	append_difference(&buf, "scope", is->scope, declared->scope);
	append_difference(&buf,
					  "min_rows",
					  psprintf(INT64_FORMAT, is->min_rows),
					  psprintf(INT64_FORMAT, declared->min_rows));
	append_difference(&buf, "on_null", is->on_null, declared->on_null);
	append_difference(&buf, "on_no_data", is->on_no_data, declared->on_no_data);
	append_difference(&buf, "on_error", is->on_error, declared->on_error);
	append_difference(&buf, "grace", is->grace, declared->grace);
	append_difference(&buf, "existing", is->existing, declared->existing);
	append_difference(&buf,
					  "enforce_from",
					  time_text(is->enforce_from),
					  time_text(declared->enforce_from));
	append_difference(&buf, "check_every", is->check_every, declared->check_every);
	append_difference(&buf, "owner", is->owner, declared->owner);
	append_difference(&buf, "description", is->description, declared->description);
	append_difference(&buf,
					  "settings",
					  settings_text(is->settings),
					  settings_text(declared->settings));
	return buf.len > 0 ? buf.data : NULL;
}

/* ---- existing rows ---- */

static Measured *
measure_existing(Target *target, ConstraintRow *row)
{
	MemoryContext context = CurrentMemoryContext;
	Measured *measured = measured_new(constraint_from(target, row));

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	MemoryContextSwitchTo(context); /* the results outlive the connection */
	measure_table(target, list_make1(measured));
	SPI_finish();
	return measured;
}

/* Has it a threshold over the whole table? */
static bool
counts_table(const ConstraintRow *row)
{
	return (row->warn_if != NULL || row->fail_if != NULL) && strcmp(row->scope, "batch") != 0;
}

static void
refuse_existing(const Target *target, const ConstraintRow *row, const Measure *measure)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 row->is_aggregate
				 ? errmsg("constraint \"%s\" does not hold for %s", row->name, target->display)
				 : errmsg("%s violates constraint \"%s\" already", target->display, row->name),
			 row->is_aggregate || measure->evaluated < 0
				 ? 0
				 : errdetail(INT64_FORMAT " of " INT64_FORMAT " rows violate it.",
							 measure->violations,
							 measure->evaluated),
			 errhint("Use existing => 'baseline' to enforce it for changes only.")));
}

static void
notice_existing(const Target *target, const ConstraintRow *row, const Measure *measure)
{
	if (row->is_aggregate || measure->evaluated < 0)
		ereport(NOTICE,
				(errmsg("constraint \"%s\" does not hold for %s now", row->name, target->display)));
	else
		ereport(
			NOTICE,
			(errmsg("%s violates constraint \"%s\" already", target->display, row->name),
			 errdetail(INT64_FORMAT " of " INT64_FORMAT " rows violate it. They are the baseline"
									" and do not count until they change.",
					   measure->violations,
					   measure->evaluated)));
}

/*
 * A threshold says how many violations are tolerated, so those that are there count:
 * more than that at the definition would hold every batch.
 */
static void
refuse_exceeded(const Target *target, const ConstraintRow *row, const Measure *measure)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_CHECK_VIOLATION),
		 errmsg("%s exceeds the threshold of constraint \"%s\" already",
				target->display,
				row->name),
		 measure->evaluated >= 0
			 ? errdetail(INT64_FORMAT " of " INT64_FORMAT " rows violate it; fail_if is \"%s\".",
						 measure->violations,
						 measure->evaluated,
						 row->fail_if)
			 : errdetail("There are " INT64_FORMAT " violations; fail_if is \"%s\".",
						 measure->violations,
						 row->fail_if),
		 errhint("Use a higher threshold, or existing => 'ignore' if these rows shall never"
				 " count.")));
}

/* The same for a constraint with a threshold over the whole table. */
static int64
take_existing_counted(const Target *target, const ConstraintRow *row, const Measured *measured)
{
	const DataConstraint *constraint = measured->constraint;
	const Measure *measure = &measured->measure;

	if (strcmp(row->existing, "ignore") == 0)
		return measure->violations;
	if (threshold_exceeded(&constraint->fail_if, measure->violations, measure->evaluated))
		refuse_exceeded(target, row, measure);
	ereport(NOTICE,
			(errmsg("%s violates constraint \"%s\" already", target->display, row->name),
			 measure->evaluated >= 0
				 ? errdetail(INT64_FORMAT " of " INT64_FORMAT
										  " rows violate it. They count, as the constraint has a"
										  " threshold.",
							 measure->violations,
							 measure->evaluated)
				 : errdetail("There are " INT64_FORMAT
							 " violations. They count, as the constraint has a threshold.",
							 measure->violations)));
	return 0;
}

/* Evaluate the existing rows; returns the baseline. */
static int64
take_existing(Target *target, ConstraintRow *row)
{
	Measured *measured;
	Measure *measure;

	if (!OidIsValid(target->relid) || (row->expression == NULL && row->columns == NIL) ||
		(strcmp(row->existing, "ignore") == 0 && !counts_table(row)))
		return 0;
	measured = measure_existing(target, row);
	measure = &measured->measure;
	if (measure->error_sqlstate != 0)
	{
		ereport(strcmp(row->existing, "fail") == 0 ? ERROR : WARNING,
				(errcode(measure->error_sqlstate),
				 errmsg("constraint \"%s\" cannot be evaluated on the rows of %s: %s",
						row->name,
						target->display,
						measure->error_message)));
		return 0;
	}
	if (measure->violations <= 0 || measure->no_data)
		return 0;
	if (counts_table(row))
		return take_existing_counted(target, row, measured);
	if (strcmp(row->existing, "fail") == 0)
		refuse_existing(target, row, measure);
	notice_existing(target, row, measure);
	return row->is_aggregate ? 0 : measure->violations;
}

/* ---- storing ---- */

/* Held or failed batches may pass now. */
static void
note_change(const Target *target)
{
	breaker_note_change(target->id);
	attempt_end(unit_of_target(target->id));
	attempt_end(unit_of_checks(target->id));
}

static void
store(Target *target, ConstraintRow *row)
{
	int64 baseline = take_existing(target, row);

	if (target->id == 0)
		*target = *target_create(target->schema_name,
								 target->table_name,
								 TARGET_TABLE,
								 target->owner,
								 target->relid);
	row->target_id = target->id;
	constraint_row_put(row);
	table_look_forget(row->id);
	constraint_set_baseline(row->id, baseline);
	note_change(target);
	if (target->is_protected && OidIsValid(target->relid))
		protect_sync(target);
}

static void
set_defaults(ConstraintRow *row, const CheckKind *kind)
{
	row->on_violation = pstrdup(action_name(kind->default_policy));
	row->scope = pstrdup("table");
	row->min_rows = 1000;
	row->on_null = pstrdup("pass");
	row->on_no_data = pstrdup("not_evaluated");
	row->on_error = pstrdup("fail");
	row->existing = pstrdup("baseline");
	row->check_every = pstrdup("00:01:00");
}

/* Rows of what nobody writes through depipe are not set aside. */
static void
check_can_set_aside(const Target *target, const ConstraintRow *row)
{
	char kind = OidIsValid(target->relid) ? get_rel_relkind(target->relid) : RELKIND_RELATION;

	if (strcmp(row->on_violation, "quarantine") != 0 || target->kind != TARGET_TABLE ||
		kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("on_violation \"quarantine\" needs a table"),
			 errdetail("%s is a view or a foreign table: no row can be kept out of it.",
					   target->display),
			 errhint("Use another on_violation, or declare the constraint on the table that is"
					 " written.")));
}

/* All checks of a declaration. */
static void
settle(Target *target, ConstraintRow *row, const CheckRule *rule)
{
	analyse(target, row, rule);
	check_policy(row, rule->kind);
	check_can_set_aside(target, row);
	settle_grace(target, row, rule->kind);
}

/* ---- SQL functions ---- */

AUDITED_FUNCTION(depipe_add_constraint);
AUDITED_FUNCTION(depipe_add_constraint_text);
AUDITED_FUNCTION(depipe_alter_constraint);
AUDITED_FUNCTION(depipe_alter_constraint_text);
AUDITED_FUNCTION(depipe_drop_constraint);

/* What add_constraint and a contract declare, checked in every respect. */
typedef struct Declaration
{
	Target *target;
	ConstraintRow *row;
	CheckRule *rule;
} Declaration;

static Declaration
take_declaration(FunctionCallInfo fcinfo)
{
	Declaration given;
	ConstraintRow *row = palloc0(sizeof(ConstraintRow));

	given.row = row;
	given.target = declared_target(argument_text(fcinfo, 0, "target"));
	given.rule = take_rule(fcinfo, 1, row);
	row->settings = settings_argument(PG_ARGISNULL(ARG_SETTINGS), PG_GETARG_DATUM(ARG_SETTINGS));
	row->name = argument_text_or_null(fcinfo, 2);
	if (row->name != NULL)
		check_name(row->name);
	set_defaults(row, given.rule->kind);
	take_policies(fcinfo, row);
	settle(given.target, row, given.rule);
	return given;
}

/* SQL function add_constraint(target, rule, ...): returns the name of the constraint */
static Datum
depipe_add_constraint_checked(PG_FUNCTION_ARGS)
{
	Target *target;
	ConstraintRow *row;
	Declaration given;
	ConstraintRow *declared;
	bool replace;
	char *difference;

	argument_not_null(fcinfo, ARG_REPLACE, "replace");
	replace = PG_GETARG_BOOL(ARG_REPLACE);
	given = take_declaration(fcinfo);
	target = given.target;
	row = given.row;
	declared = find_declared(target, row);
	if (row->name == NULL)
		row->name = declared != NULL ? declared->name : derive_name(target, given.rule, row);
	difference = declared != NULL ? differences(declared, row) : NULL;
	if (declared != NULL && difference == NULL && !(replace && given.rule->kind->remembers))
	{
		ereport(NOTICE,
				(errmsg("constraint \"%s\" of %s is already declared, skipping",
						row->name,
						target->display)));
		catalog_changed();
		audit_nothing();
		PG_RETURN_TEXT_P(cstring_to_text(row->name));
	}
	if (declared != NULL && difference != NULL && !replace)
		ereport(
			ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("constraint \"%s\" of %s is declared differently", row->name, target->display),
			 errdetail_internal("%s.", difference),
			 errhint("Use replace => true, or depipe.alter_constraint.")));
	row->id = declared != NULL ? declared->id : 0;
	if (row->id != 0)
		accepted_rows_forget(row->id);
	note_toothless(row);
	store(target, row);
	PG_RETURN_TEXT_P(cstring_to_text(row->name));
}

/* ---- contracts ---- */

/*
 * The constraint that a declaration of a contract is about.  Without a name, it is an equal one
 * that no earlier declaration of the contract was about, or else one of this origin with the same
 * rule.
 */
static ConstraintRow *
find_for_contract(const Declaration *given, const char *origin, List *taken)
{
	const ConstraintRow *row = given->row;
	ConstraintRow *similar = NULL;
	ListCell *cell;

	if (given->target->id == 0)
		return NULL;
	if (row->name != NULL)
		return constraint_row_find(given->target->id, row->name);
	foreach(cell, constraint_rows(given->target->id))
	{
		ConstraintRow *other = lfirst(cell);
		bool own = same_text(other->origin, origin);

		if (strcmp(other->rule, normal_json(row->rule)) != 0 ||
			!same_text(other->filter, row->filter))
			continue;
		if (differences(other, row) == NULL && (own || similar == NULL))
			similar = other;
		else if (own && similar == NULL && !list_member_int(taken, other->id))
			similar = other;
	}
	return similar;
}

static void
refuse_others(const Declaration *given, const ConstraintRow *declared, const char *difference)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 declared->origin == NULL
				 ? errmsg("constraint \"%s\" of %s is declared by hand, and differently",
						  declared->name,
						  given->target->display)
				 : errmsg("constraint \"%s\" of %s is declared by the contract \"%s\","
						  " and differently",
						  declared->name,
						  given->target->display,
						  declared->origin),
			 errdetail_internal("%s.", difference),
			 errhint("Drop it, or give the constraint of this contract another name.")));
}

ApplyAction
constraint_apply(FunctionCallInfo fcinfo, const char *origin, List **taken, Applied *applied)
{
	Declaration given = take_declaration(fcinfo);
	ConstraintRow *row = given.row;
	bool named = row->name != NULL;
	ConstraintRow *declared = find_for_contract(&given, origin, *taken);
	char *difference = declared != NULL ? differences(declared, row) : NULL;
	bool own = declared != NULL && same_text(declared->origin, origin);

	if (row->name == NULL)
		row->name = declared != NULL ? declared->name : derive_name(given.target, given.rule, row);
	row->origin = pstrdup(origin);
	applied->target = given.target->display;
	applied->name = row->name;
	applied->reason = difference;
	if (declared != NULL && list_member_int(*taken, declared->id))
	{
		if (named)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("constraint \"%s\" of %s is given twice",
							row->name,
							given.target->display)));
		applied->reason = psprintf("the same as \"%s\"", row->name);
		return APPLY_REPEATED;
	}
	if (declared != NULL && !own && difference != NULL)
		refuse_others(&given, declared, difference);
	if (declared == NULL || difference != NULL)
	{
		row->id = declared != NULL ? declared->id : 0;
		note_toothless(row);
		applied->declared_id = row->id;
		store(given.target, row);
		*taken = lappend_int(*taken, row->id);
		return declared == NULL ? APPLY_ADDED : APPLY_CHANGED;
	}
	if (!own)
		applied->reason = declared->origin == NULL
							  ? pstrdup("declared by hand")
							  : psprintf("declared by the contract \"%s\"", declared->origin);
	*taken = lappend_int(*taken, declared->id);
	return APPLY_UNCHANGED;
}

static ConstraintRow *
constraint_of(const Target *target, const char *name, bool missing_ok)
{
	ConstraintRow *row = target->id == 0 ? NULL : constraint_row_find(target->id, name);

	if (row == NULL && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("constraint \"%s\" of %s does not exist", name, target->display)));
	return row;
}

/* SQL function alter_constraint(target, name, ...): only the given properties change */
static Datum
depipe_alter_constraint_checked(PG_FUNCTION_ARGS)
{
	Target *target = declared_target(argument_text(fcinfo, 0, "target"));
	ConstraintRow *row = constraint_of(target, argument_text(fcinfo, 1, "name"), false);
	ConstraintRow *before = palloc(sizeof(ConstraintRow));
	CheckRule *rule = check_parse_text(row->rule);
	bool renewed = false;

	*before = *row;
	if (!PG_ARGISNULL(2))
		rule = take_rule(fcinfo, 2, row);
	/* a new rule is a new definition */
	if (!PG_ARGISNULL(2) || !PG_ARGISNULL(ARG_ALTER_SETTINGS))
		row->settings = settings_argument(PG_ARGISNULL(ARG_ALTER_SETTINGS),
										  PG_GETARG_DATUM(ARG_ALTER_SETTINGS));
	take_policies(fcinfo, row);
	settle(target, row, rule);
	if (rule->kind->remembers && PG_ARGISNULL(2))
		row->expression = before->expression;
	else
		renewed = rule->kind->remembers;
	if (differences(before, row) == NULL && !renewed)
	{
		ereport(NOTICE,
				(errmsg("constraint \"%s\" of %s is unchanged", row->name, target->display)));
		catalog_changed();
		audit_nothing();
		PG_RETURN_VOID();
	}
	note_toothless(row);
	if (!PG_ARGISNULL(2))
		accepted_rows_forget(row->id); /* of another rule */
	store(target, row);
	(void) quarantine_mark_retries(target->id, row->id, NIL, NULL);
	PG_RETURN_VOID();
}

/* The same with a rule given as text. */
static void
read_rule(FunctionCallInfo fcinfo, int number)
{
	if (!PG_ARGISNULL(number))
		fcinfo->args[number].value = check_from_text(text_to_cstring(PG_GETARG_TEXT_PP(number)));
}

static Datum
depipe_add_constraint_text_checked(PG_FUNCTION_ARGS)
{
	read_rule(fcinfo, 1);
	return depipe_add_constraint_checked(fcinfo);
}

static Datum
depipe_alter_constraint_text_checked(PG_FUNCTION_ARGS)
{
	read_rule(fcinfo, 2);
	return depipe_alter_constraint_checked(fcinfo);
}

/* SQL function drop_constraint(target, name, missing_ok) */
static Datum
depipe_drop_constraint_checked(PG_FUNCTION_ARGS)
{
	Target *target = declared_target(argument_text(fcinfo, 0, "target"));
	char *name = argument_text(fcinfo, 1, "name");
	bool missing_ok = PG_ARGISNULL(2) ? false : PG_GETARG_BOOL(2);
	ConstraintRow *row = constraint_of(target, name, missing_ok);

	if (row == NULL)
	{
		ereport(
			NOTICE,
			(errmsg("constraint \"%s\" of %s does not exist, skipping", name, target->display)));
		catalog_changed();
		audit_nothing();
		PG_RETURN_VOID();
	}
	incident_end(target->id, row->id);
	(void) quarantine_mark_retries(target->id, row->id, NIL, NULL);
	constraint_row_delete(row->id);
	if (!target_forget_if_gone(target))
		note_change(target);
	PG_RETURN_VOID();
}
