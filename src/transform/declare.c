/*-------------------------------------------------------------------------
 *
 * declare.c
 *		create_transform, alter_transform, drop_transform.
 *
 * All checks of a declaration that require no change come first.  Then the
 * table, the definition, its first contents and its key are created in the
 * transaction of the caller.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "access/htup_details.h"
#include "catalog/audit.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "core/arguments.h"
#include "catalog/transforms.h"
#include "catalog/attempts.h"
#include "core/identity.h"
#include "core/settings.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "publish/triggers.h"
#include "quality/state.h"
#include "strategy/aggregate_offer.h"
#include "query/binding.h"
#include "capture/capture.h"
#include "capture/capture_require.h"
#include "query/dag.h"
#include "strategy/keys.h"
#include "strategy/linear.h"
#include "transform/refresh.h"
#include "query/shape.h"
#include "query/table.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

AUDITED_FUNCTION(depipe_alter_transform);
AUDITED_FUNCTION(depipe_create_transform);
AUDITED_FUNCTION(depipe_drop_transform);

/* ---- create_transform: arguments ---- */

typedef struct CreateArguments
{
	char *schema_name;
	char *table_name;
	char *display;
	char *query;
	bool has_key;
	List *key;
	char *mode;
	CatalogArg target_lag;
	char *target_lag_text;
	char *on_incomplete;
	char *on_stale;
	bool populate;
	bool replace;
	List *settings;
	Shape *shape; /* analysis of the query */
	char *query_sql;
} CreateArguments;

static const char *const modes[] = {"auto", "incremental", "full", NULL};
static const char *const policies[] = {"publish", "block", NULL};

static Datum
required(FunctionCallInfo fcinfo, int number, const char *name)
{
	argument_not_null(fcinfo, number, name);
	return PG_GETARG_DATUM(number);
}

static char *
one_of(FunctionCallInfo fcinfo, int number, const char *name, const char *const *words)
{
	return pstrdup(words[argument_choice(fcinfo, number, name, words)]);
}

static void
read_lag(FunctionCallInfo fcinfo, int number, CreateArguments *arguments)
{
	Interval zero = {0};
	Datum lag;

	arguments->target_lag = ARG_NULL(INTERVALOID);
	if (PG_ARGISNULL(number))
		return;
	lag = PG_GETARG_DATUM(number);
	if (DatumGetBool(DirectFunctionCall2(interval_lt, lag, IntervalPGetDatum(&zero))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", "target_lag")));
	arguments->target_lag = ARG_DATUM(INTERVALOID, lag);
	arguments->target_lag_text = interval_text(lag);
}

static void
read_arguments(FunctionCallInfo fcinfo, CreateArguments *arguments)
{
	parse_table_name(argument_text(fcinfo, 0, "target"),
					 &arguments->schema_name,
					 &arguments->table_name);
	arguments->display = sql_table(arguments->schema_name, arguments->table_name);
	arguments->query = argument_text(fcinfo, 1, "query");
	arguments->has_key = !PG_ARGISNULL(2);
	if (arguments->has_key)
		arguments->key = text_array_to_list(PG_GETARG_ARRAYTYPE_P(2), "key");
	arguments->mode = one_of(fcinfo, 3, "mode", modes);
	read_lag(fcinfo, 4, arguments);
	arguments->on_incomplete = one_of(fcinfo, 5, "on_incomplete", policies);
	arguments->on_stale = one_of(fcinfo, 6, "on_stale", policies);
	arguments->populate = DatumGetBool(required(fcinfo, 7, "populate"));
	arguments->replace = DatumGetBool(required(fcinfo, 8, "replace"));
	arguments->settings = settings_argument(PG_ARGISNULL(9), PG_GETARG_DATUM(9));
}

/* ---- create_transform: checks ---- */

static void
check_name(const CreateArguments *arguments)
{
	Oid schema = get_namespace_oid(arguments->schema_name, false);

	if (isAnyTempNamespace(schema))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("target of a transform must not be a temporary table")));
	if (IsCatalogNamespace(schema) || strcmp(arguments->schema_name, DEPIPE_SCHEMA) == 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_SCHEMA_NAME),
			 errmsg("target of a transform must not be in schema \"%s\"", arguments->schema_name)));
}

static void
check_key(List *key, TupleDesc columns)
{
	ListCell *cell;

	if (list_length(key) > INDEX_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("key has more than %d columns", INDEX_MAX_KEYS)));
	foreach(cell, key)
	{
		char *name = lfirst(cell);
		int found = -1;
		ListCell *other;

		for (int i = 0; i < columns->natts; i++)
			if (strcmp(NameStr(TupleDescAttr(columns, i)->attname), name) == 0)
				found = i;
		if (found < 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("key column \"%s\" does not exist", name),
					 errdetail("The query returns no column of that name.")));
		if (!shape_type_makes_key(TupleDescAttr(columns, found)->atttypid))
			shape_refuse_key(name, TupleDescAttr(columns, found)->atttypid);
		for_each_cell(other, key, lnext(key, cell))
			if (strcmp(lfirst(other), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("key column \"%s\" specified more than once", name)));
	}
}

/* Raises an error if the mode is incremental, but only full refreshes are possible. */
static void
check_mode(const CreateArguments *arguments, Shape *shape)
{
	if (strcmp(arguments->mode, "incremental") == 0 && !linear_could_serve(shape) &&
		!aggregate_could_serve(shape, arguments->key))
		keys_require(shape, arguments->query, arguments->display);
}

/*
 * Raises an error if the owner may not read an input, or if the text has
 * another meaning for the owner.
 */
static void
check_runs_as(Oid owner, List *settings, const char *query_sql)
{
	StringInfoData sql;
	Identity identity;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT FROM (%s) q LIMIT 0", query_sql);
	identity_become_with(owner, settings, &identity);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(sql.data, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not run the query of the transform");
	SPI_finish();
	identity_restore(&identity);
}

/*
 * Raises an error if the mode is incremental, but changes of an input cannot
 * be captured.  The query is analysed as the owner, because row security
 * depends on the reader.
 */
static void
check_inputs(const CreateArguments *arguments, Oid owner)
{
	Identity identity;

	if (strcmp(arguments->mode, "incremental") != 0)
		return;
	identity_become_with(owner, arguments->settings, &identity);
	captures_require(shape_analyse(arguments->query_sql), owner, arguments->display);
	identity_restore(&identity);
}

static void
check_table_kind(Oid relid, const char *display)
{
	char kind = get_rel_relkind(relid);

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("%s is not a table", display)));
}

/* ---- create_transform: steps ---- */

/*
 * Returns the existing target, which is an ordinary table or a transform, or
 * NULL if there is none.  Raises an error if it is a load, or if the caller
 * does not own it.
 */
static Target *
find_declared(const CreateArguments *arguments)
{
	Target *target = target_find_named(arguments->schema_name, arguments->table_name);

	if (target != NULL && target->kind == TARGET_LOAD)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("%s is already maintained by a load", target->display),
				 errhint("Drop the load first, or choose another target.")));
	if (target != NULL)
		transform_check_owner(target);
	return target;
}

/* Returns a list of names as text: "a, b, c", or "none" for NIL. */
static char *
name_list(List *names)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	foreach(cell, names)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", (char *) lfirst(cell));
	return text.len == 0 ? pstrdup("none") : text.data;
}

static void
append_changed(StringInfo changed, const char *what, const char *declared, const char *wanted)
{
	declared = declared == NULL ? "none" : declared;
	wanted = wanted == NULL ? "none" : wanted;
	if (strcmp(declared, wanted) != 0)
		appendStringInfo(changed,
						 "%s%s is %s, not %s.",
						 changed->len > 0 ? " " : "",
						 what,
						 declared,
						 wanted);
}

/*
 * Describes the differences from the declared transform.  Returns an empty
 * string if there are none.
 */
static char *
declared_difference(const Transform *declared, const CreateArguments *arguments,
					const char *query_sql)
{
	StringInfoData changed;

	initStringInfo(&changed);
	append_changed(&changed, "Query", declared->query_sql, query_sql);
	append_changed(&changed, "Key", name_list(declared->key), name_list(arguments->key));
	append_changed(&changed, "Mode", declared->mode, arguments->mode);
	append_changed(&changed, "Target lag", declared->target_lag, arguments->target_lag_text);
	append_changed(&changed, "On incomplete", declared->on_incomplete, arguments->on_incomplete);
	append_changed(&changed, "On stale", declared->on_stale, arguments->on_stale);
	append_changed(&changed,
				   "Settings",
				   settings_text(declared->target->settings),
				   settings_text(arguments->settings));
	return changed.data;
}

/*
 * Returns true if the same transform is declared already and has its table.
 * Raises an error if a different one is declared and "replace" is false.
 */
static bool
is_declared_already(Target *target, const CreateArguments *arguments, const char *query_sql)
{
	char *difference;

	if (target == NULL || target->kind != TARGET_TRANSFORM)
		return false;
	difference = declared_difference(transform_get(target->id), arguments, query_sql);
	if (difference[0] == '\0')
	{
		/* same as declared, but its table is missing and has to be created */
		if (!OidIsValid(target->relid))
			return false;
		audit_nothing();
		ereport(NOTICE,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("transform %s already exists, skipping", target->display)));
		return true;
	}
	if (!arguments->replace)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("transform %s already exists with a different definition", target->display),
				 errdetail("%s", difference),
				 errhint("Use replace => true to change it.")));
	return false;
}

/* Find or create the table.  Sets *made to true if it was created. */
static Oid
provide_table(const CreateArguments *arguments, const Shape *shape, Target *declared, bool *made)
{
	Oid schema = get_namespace_oid(arguments->schema_name, false);
	Oid relid = get_relname_relid(arguments->table_name, schema);
	char *difference;

	*made = !OidIsValid(relid);
	if (*made)
	{
		table_make(arguments->schema_name,
				   arguments->table_name,
				   shape->columns,
				   declared == NULL ? GetUserId() : declared->owner);
		return get_relname_relid(arguments->table_name, schema);
	}
	check_table_kind(relid, arguments->display);
	identity_check_table_owner(relid, arguments->display);
	rules_refuse(relid, arguments->display);
	difference = table_difference(relid, shape->columns);
	if (difference != NULL && !(declared != NULL && declared->kind == TARGET_TRANSFORM))
		ereport(
			ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("table %s and the query do not have the same columns", arguments->display),
			 errdetail("%s", difference),
			 errhint(
				 "Give the columns of the query the names that they have in the table, or drop the"
				 " table.")));
	return relid;
}

static Target *
provide_target(const CreateArguments *arguments, Target *declared, Oid relid)
{
	if (declared == NULL)
		return target_create(arguments->schema_name,
							 arguments->table_name,
							 TARGET_TRANSFORM,
							 identity_table_owner(relid),
							 relid);
	if (declared->owner != identity_table_owner(relid)) /* the caller may act as both */
		target_set_owner(declared, identity_table_owner(relid));
	(void) target_bind(declared);
	if (declared->kind == TARGET_TABLE)
		target_set_kind(declared, TARGET_TRANSFORM);
	return declared;
}

static void
store_definition(Target *target, const CreateArguments *arguments, const Shape *shape,
				 const char *query_sql, bool made_table)
{
	TransformDefinition definition = {.target_id = target->id,
									  .query_text = arguments->query,
									  .query_sql = query_sql,
									  .key = arguments->key,
									  .mode = arguments->mode,
									  .target_lag = arguments->target_lag,
									  .on_incomplete = arguments->on_incomplete,
									  .on_stale = arguments->on_stale};
	Transform *transform;

	transform_store(&definition, made_table);
	target_set_settings(target, arguments->settings);
	attempt_end(unit_of_target(target->id));
	transform = transform_get(target->id);
	transform->query_tree = NULL; /* the query is new */
	(void) transform_rebind(transform, shape);
}

/* Raise the error of the first refresh as an error of the caller's command. */
static void
raise_failure(const Run *run, const Target *target)
{
	const char *state = run->error_sqlstate;

	ereport(
		ERROR,
		(errcode(state == NULL ? ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
							   : MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])),
		 errmsg("%s", run->error_message ? run->error_message : run->reason),
		 errcontext("first refresh of transform %s", target->display),
		 run->error_detail ? errdetail_internal("%s", run->error_detail) : 0,
		 run->error_hint ? errhint("%s", run->error_hint) : 0));
}

/*
 * Run the first refresh.
 *
 * must_publish: the key or the columns of the table change, so it must not
 * remain without new contents.  Raises an error if the refresh is blocked or
 * skipped.
 */
static void
populate(Target *target, bool must_publish)
{
	Run *run;

	run_check_enabled();
	run = run_begin(target, "create");
	transform_refresh(list_make1(target), list_make1(run));
	if (run->status == RUN_FAILED)
		raise_failure(run, target);
	if (run->status != RUN_BLOCKED && run->status != RUN_SKIPPED)
		return;
	if (must_publish)
		ereport(ERROR,
				(errcode(ERRCODE_DEPIPE_BLOCKED),
				 errmsg("transform %s cannot be rebuilt now", target->display),
				 errdetail("%s.", run->reason ? run->reason : "The run was held back")));
	ereport(NOTICE,
			(errmsg("transform %s is not populated yet", target->display),
			 errdetail("%s.", run->reason ? run->reason : "The run was held back")));
}

/*
 * Give the table the columns of the definition, its first contents and its
 * key.  The present rows may contain duplicates of the key: the refresh
 * replaces them, and the unique index is created afterwards.
 */
static void
fill_table(Target *target, const CreateArguments *arguments, const Shape *shape, bool replacing)
{
	bool other_columns = table_difference(target->relid, shape->columns) != NULL;
	bool rebuild = other_columns || !table_has_key(target, arguments->key);

	if (replacing && rebuild && !arguments->populate)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("transform %s cannot be replaced without populating it", target->display),
				 errdetail("The columns or the key change."),
				 errhint("Use populate => true.")));
	if (other_columns)
	{
		table_change_columns(target, shape->columns);
		/* rows that keep their key are updated */
		if (arguments->key == NIL || !table_has_key(target, arguments->key))
			transform_set_rebuild(target->id);
	}
	if (arguments->populate)
		populate(target, replacing && rebuild);
	table_make_key(target, arguments->key);
}

/* Drop the key of the replaced declaration, unless it remains the key. */
static void
drop_other_key(Target *target, List *key)
{
	List *declared = transform_get(target->id)->key;

	/* the index was dropped with the table */
	if (!OidIsValid(target->relid))
		return;
	if (strcmp(name_list(declared), name_list(key)) != 0)
		table_drop_key(target, declared);
}

/* ---- SQL functions ---- */

/*
 * Perform the part of a declaration that requires no change.  A stored query
 * is analysed as its owner.  A query that the caller gives is analysed as the
 * caller, under the caller's search_path.  Both are analysed under the
 * settings of the definition.
 */
static void
analyse_declaration(CreateArguments *arguments, Oid stored_owner)
{
	Identity identity;
	int level = NewGUCNestLevel();

	settings_enter(arguments->settings);
	if (!OidIsValid(stored_owner))
		arguments->shape = shape_analyse(arguments->query);
	AtEOXact_GUC(false, level);
	identity_become_with(OidIsValid(stored_owner) ? stored_owner : GetUserId(),
						 arguments->settings,
						 &identity);
	if (OidIsValid(stored_owner))
		arguments->shape = shape_analyse(arguments->query);
	/*
	 * analyse it again under the pinned search_path: so the stored query is
	 * bound to the objects that it will run with
	 */
	arguments->query_sql = shape_query_sql(arguments->shape);
	arguments->shape = shape_analyse(arguments->query_sql);
	identity_restore(&identity);
	if (!arguments->has_key)
		arguments->key = arguments->shape->unique_key;
	check_key(arguments->key, arguments->shape->columns);
	check_mode(arguments, arguments->shape);
	dag_check_cycle(arguments->schema_name, arguments->table_name, arguments->shape->inputs);
}

/* Put the declaration into effect.  target: the existing target, or NULL.  Returns the target. */
static Target *
declare(const CreateArguments *arguments, Target *target)
{
	bool replacing = target != NULL && target->kind == TARGET_TRANSFORM;
	bool made;
	Oid relid = provide_table(arguments, arguments->shape, target, &made);

	check_runs_as(identity_table_owner(relid), arguments->settings, arguments->query_sql);
	check_inputs(arguments, identity_table_owner(relid));
	if (replacing)
		drop_other_key(target, arguments->key);
	target = provide_target(arguments, target, relid);
	identity_check_login(target->owner);
	store_definition(target, arguments, arguments->shape, arguments->query_sql, made);
	event_record(target->id, "transform", replacing ? "replaced" : "created", NULL);
	table_ensure_guard(target);
	if (made)
		table_make_key(target, arguments->key);
	fill_table(target, arguments, arguments->shape, replacing);
	return target;
}

static Datum
depipe_create_transform_checked(PG_FUNCTION_ARGS)
{
	CreateArguments arguments = {0};
	Target *target;

	read_arguments(fcinfo, &arguments);
	check_name(&arguments);
	analyse_declaration(&arguments, InvalidOid);
	target = find_declared(&arguments);
	if (!is_declared_already(target, &arguments, arguments.query_sql))
	{
		target = declare(&arguments, target);
		captures_sweep(false);
	}
	PG_RETURN_TEXT_P(cstring_to_text(target->display));
}

/* ---- alter_transform ---- */

/*
 * Read the arguments of alter_transform().  The declared value replaces an
 * argument that is NULL.
 */
static void
read_alterations(FunctionCallInfo fcinfo, const Transform *declared, CreateArguments *arguments)
{
	Target *target = declared->target;

	arguments->schema_name = target->schema_name;
	arguments->table_name = target->table_name;
	arguments->display = target->display;
	arguments->query = PG_ARGISNULL(1) ? declared->query_sql : argument_text(fcinfo, 1, "query");
	arguments->has_key = !PG_ARGISNULL(2) || PG_ARGISNULL(1);
	arguments->key = PG_ARGISNULL(2) ? declared->key
									 : text_array_to_list(PG_GETARG_ARRAYTYPE_P(2), "key");
	arguments->mode = PG_ARGISNULL(3) ? declared->mode : one_of(fcinfo, 3, "mode", modes);
	read_lag(fcinfo, 4, arguments);
	if (PG_ARGISNULL(4))
	{
		arguments->target_lag_text = declared->target_lag;
		arguments->target_lag = transform_target_lag(target->id);
	}
	arguments->on_incomplete = PG_ARGISNULL(5) ? declared->on_incomplete
											   : one_of(fcinfo, 5, "on_incomplete", policies);
	arguments->on_stale = PG_ARGISNULL(6) ? declared->on_stale
										  : one_of(fcinfo, 6, "on_stale", policies);
	arguments->populate = DatumGetBool(required(fcinfo, 7, "populate"));
	/* a new query does not inherit the settings */
	if (PG_ARGISNULL(1) && PG_ARGISNULL(9))
		arguments->settings = target->settings;
	else
		arguments->settings = settings_argument(PG_ARGISNULL(9), PG_GETARG_DATUM(9));
	arguments->replace = true;
}

/*
 * Returns the effect of the alteration on the table: "nothing", "compatible",
 * "add columns" or "rebuild".
 */
static const char *
name_alteration(const Transform *declared, const CreateArguments *arguments)
{
	bool same_columns = !OidIsValid(declared->target->relid) ||
						table_difference(declared->target->relid, arguments->shape->columns) ==
							NULL;

	if (same_columns && declared_difference(declared, arguments, arguments->query_sql)[0] == '\0')
		return "nothing";
	if (strcmp(name_list(declared->key), name_list(arguments->key)) != 0)
		return "rebuild";
	if (same_columns)
		return "compatible";
	return table_only_adds(declared->target->relid, arguments->shape->columns) ? "add columns"
																			   : "rebuild";
}

/* SQL function alter_transform(target, ...): returns what it did or, with dry_run, would do. */
static Datum
depipe_alter_transform_checked(PG_FUNCTION_ARGS)
{
	CreateArguments arguments = {0};
	Transform *declared;
	const char *alteration;
	bool dry_run;

	declared = transform_get(target_find(argument_text(fcinfo, 0, "target"), false)->id);
	transform_check_owner(declared->target);
	read_alterations(fcinfo, declared, &arguments);
	dry_run = DatumGetBool(required(fcinfo, 8, "dry_run"));
	analyse_declaration(&arguments, PG_ARGISNULL(1) ? declared->target->owner : InvalidOid);
	/* keep the query text as it was written */
	if (PG_ARGISNULL(1))
		arguments.query = declared->query_text;
	alteration = name_alteration(declared, &arguments);
	if (!dry_run && strcmp(alteration, "nothing") != 0)
	{
		(void) declare(&arguments, declared->target);
		captures_sweep(false);
	}
	PG_RETURN_TEXT_P(cstring_to_text(alteration));
}

/* ---- drop_transform ---- */

static Datum
depipe_drop_transform_checked(PG_FUNCTION_ARGS)
{
	Target *target = target_find(argument_text(fcinfo, 0, "target"), false);
	bool drop_table = DatumGetBool(required(fcinfo, 1, "drop_table"));
	List *readers;

	(void) transform_get(target->id);
	transform_check_owner(target);
	readers = dag_readers(target->id);
	if (readers != NIL && drop_table)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop table %s because transforms read it", target->display),
				 errdetail("It is read by %s.", name_list(readers)),
				 errhint("Drop these first, or keep the table.")));
	if (readers != NIL)
		ereport(
			NOTICE,
			(errmsg("transforms will continue to read %s as an ordinary table", target->display),
			 errdetail("It is read by %s.", name_list(readers))));
	if (OidIsValid(target->relid))
		table_drop_guard(target);
	state_end(target);
	event_record(target->id, "transform", "dropped", NULL);
	transform_delete(target->id);
	if (OidIsValid(target->relid) && !drop_table && target_has_constraints(target->id))
	{
		target_set_kind(target, TARGET_TABLE);
		target_set_settings(target, NIL);
	}
	else
		target_delete(target->id);
	if (OidIsValid(target->relid) && drop_table)
		table_drop(target);
	captures_sweep(false);
	PG_RETURN_VOID();
}
