/*-------------------------------------------------------------------------
 *
 * contract.c
 *		apply_contract: makes the constraints that a document declares true.
 *
 * Everything happens in one internal subtransaction, which a dry run rolls
 * back.  Each item is declared in a subtransaction of its own, so that an
 * error gets the item's path.  In depipe's own form it ends the whole; what a
 * document of another tool declares and depipe cannot have is listed, with the
 * error as the reason, and the rest is applied.
 *
 * The arguments of an item go through add_constraint's own argument list, by
 * their names: a contract can say whatever a statement can.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/contract_item.h"

#include "access/htup_details.h"
#include "catalog/audit.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/target.h"
#include "core/arguments.h"
#include "core/guarded.h"
#include "core/settings.h"
#include "core/shmem.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "quality/check_kinds.h"
#include "quality/contract_dbt.h"
#include "quality/contract_depipe.h"
#include "quality/contract_gx.h"
#include "quality/declare.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

CHECKED_FUNCTION(depipe_apply_contract);

static const ContractFormat *const formats[] = {&contract_depipe,
												&contract_dbt,
												&contract_gx,
												NULL};

/* add_constraint(target, rule depipe.check, ...), and drop_constraint */
typedef struct Signature
{
	Oid function;
	Oid drop;
	int count;
	char **names;
	Oid *types;
} Signature;

/* A call of apply_contract. */
typedef struct Application
{
	Contract contract;
	const ContractFormat *format;
	Signature signature;
	char *origin;
	char *on_violation; /* NULL: each one's own, or the default of its check */
	bool dry_run;
	List *taken; /* ids of the constraints that the contract is about */
	List *lines; /* what was done, of Line */
} Application;

typedef struct Line
{
	const char *action;
	char *target;
	char *name;
	char *reason;
	char *path;
} Line;

/* ---- the signature ---- */

static Signature
signature_of_add_constraint(void)
{
	const Oid drop_types[] = {TEXTOID, TEXTOID, BOOLOID};
	Signature signature = {InvalidOid};
	Oid schema = get_namespace_oid(DEPIPE_SCHEMA, false);
	CatCList *list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum("add_constraint"));

	for (int i = 0; i < list->n_members; i++)
	{
		HeapTuple tuple = &list->members[i]->tuple;
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
		char *modes;

		if (form->pronamespace != schema || form->proargtypes.values[1] == TEXTOID)
			continue;
		signature.function = form->oid;
		signature.count = get_func_arg_info(tuple, &signature.types, &signature.names, &modes);
	}
	ReleaseSysCacheList(list);
	signature.drop = LookupFuncName(
		list_make2(makeString(DEPIPE_SCHEMA), makeString("drop_constraint")),
		lengthof(drop_types),
		drop_types,
		false);
	if (!OidIsValid(signature.function))
		elog(ERROR, "depipe.add_constraint does not exist");
	return signature;
}

static int
argument_place(const Signature *signature, const char *name)
{
	for (int i = 2; i < signature->count; i++)
		if (strcmp(signature->names[i], name) == 0)
			return i;
	return -1;
}

/* ---- one item ---- */

typedef struct Step
{
	Application *application;
	ContractItem *item;
	char *path; /* of what is looked at, for errors */
	Applied applied;
	ApplyAction action;
	char *remark;
} Step;

static void
take_argument(Step *step, FunctionCallInfo call, const ContractArgument *argument)
{
	const Signature *signature = &step->application->signature;
	int place = argument_place(signature, argument->name);
	Oid input;
	Oid io_parameter;

	step->path = argument->path;
	if (strcmp(argument->name, "warn_if") == 0 || strcmp(argument->name, "fail_if") == 0)
		(void) threshold_parse(argument->text, argument->name);
	if (strcmp(argument->name, "on_violation") == 0)
		(void) action_from_name(argument->text);
	if (place < 0 || strcmp(argument->name, "replace") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown key"),
				 errhint("The keys of a constraint are target, rule and the arguments of"
						 " depipe.add_constraint.")));
	getTypeInputInfo(signature->types[place], &input, &io_parameter);
	call->args[place].value = OidInputFunctionCall(input, argument->text, io_parameter, -1);
	call->args[place].isnull = false;
}

/* The policy that apply_contract was told, where the check can have it. */
static void
take_policy(Step *step, FunctionCallInfo call, const CheckRule *rule)
{
	const char *wanted = step->application->on_violation;
	const Signature *signature = &step->application->signature;
	int place = argument_place(signature, "on_violation");
	int warn_if = argument_place(signature, "warn_if");
	bool quarantine;

	if (wanted == NULL || !call->args[place].isnull)
		return;
	quarantine = strcmp(wanted, "quarantine") == 0;
	if ((rule->kind->policies & (1u << action_from_name(wanted))) == 0 ||
		(quarantine && step->item->about_table) ||
		(strcmp(wanted, "warn") == 0 && !call->args[argument_place(signature, "fail_if")].isnull))
	{
		step->remark = psprintf("it cannot have on_violation \"%s\" and has the default", wanted);
		return;
	}
	call->args[place].value = CStringGetTextDatum(wanted);
	call->args[place].isnull = false;
	/* quarantine warns about each row */
	if (quarantine && step->application->format->lenient)
		call->args[warn_if].isnull = true;
}

/* The call of add_constraint, for the audit. */
static Datum
declare_step(PG_FUNCTION_ARGS)
{
	Step *step = fcinfo->flinfo->fn_extra;
	Application *application = step->application;

	step->action =
		constraint_apply(fcinfo, application->origin, &application->taken, &step->applied);
	if (step->action != APPLY_ADDED && step->action != APPLY_CHANGED)
		audit_nothing();
	PG_RETURN_TEXT_P(cstring_to_text(step->applied.name));
}

/* Declare the item. */
static bool
step_work(void *arg)
{
	Step *step = arg;
	Application *application = step->application;
	ContractItem *item = step->item;
	const Signature *signature = &application->signature;
	LOCAL_FCINFO(call, FUNC_MAX_ARGS);
	FmgrInfo function;
	CheckRule *rule;
	ListCell *cell;
	int level = NewGUCNestLevel();

	settings_pin_exchange(); /* for the texts of arguments */
	fmgr_info(signature->function, &function);
	InitFunctionCallInfoData(*call, &function, signature->count, InvalidOid, NULL, NULL);
	for (int i = 0; i < signature->count; i++)
		call->args[i].isnull = true;
	step->path = item->rule_path != NULL ? item->rule_path : item->path;
	call->args[1].value = DirectFunctionCall1(jsonb_in, CStringGetDatum(item->rule));
	call->args[1].isnull = false;
	rule = check_parse(DatumGetJsonbP(call->args[1].value));
	foreach(cell, item->arguments)
		take_argument(step, call, lfirst(cell));
	take_policy(step, call, rule);
	AtEOXact_GUC(true, level);
	step->path = item->path;
	call->args[0].value = CStringGetTextDatum(item->target);
	call->args[0].isnull = false;
	call->args[argument_place(signature, "replace")].isnull = false;
	call->args[argument_place(signature, "replace")].value = BoolGetDatum(false);
	function.fn_extra = step;
	(void) audit_call(declare_step, call);
	return true;
}

static void
add_line(Application *application, const char *action, const Applied *applied, char *reason,
		 char *path)
{
	Line *line = palloc0(sizeof(Line));

	line->action = action;
	line->target = applied->target;
	line->name = applied->name;
	line->reason = reason;
	line->path = path;
	application->lines = lappend(application->lines, line);
}

static char *
joined(const char *first, const char *second)
{
	if (first == NULL || second == NULL)
		return first != NULL ? pstrdup(first) : second != NULL ? pstrdup(second) : NULL;
	return psprintf("%s; %s", first, second);
}

static void
not_imported(Application *application, const ContractItem *item, const char *reason)
{
	Applied applied = {item->target};

	add_line(application, "not imported", &applied, pstrdup(reason), item->path);
}

/* Rights are never skipped: what would be left out is a gate. */
static void
failed(Application *application, const Step *step, const ErrorData *error)
{
	if (application->format->lenient && error->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE)
	{
		/* the constraint that it should have changed stays as it is */
		if (step->applied.declared_id != 0)
			application->taken = lappend_int(application->taken, step->applied.declared_id);
		not_imported(application, step->item, error->message);
		return;
	}
	ereport(ERROR,
			(errcode(error->sqlerrcode),
			 errmsg("contract, %s: %s", step->path, error->message),
			 error->detail != NULL ? errdetail_internal("%s", error->detail) : 0,
			 error->hint != NULL ? errhint("%s", error->hint) : 0));
}

static void
apply_item(Application *application, ContractItem *item)
{
	static const char *const actions[] = {"added", "changed", "unchanged", "not imported"};
	Step step = {application, item, item->path};
	ErrorData *error;

	CHECK_FOR_INTERRUPTS();
	if (item->rule == NULL)
	{
		not_imported(application, item, item->reason);
		return;
	}
	error = guarded_run(step_work, &step);
	if (error != NULL)
	{
		failed(application, &step, error);
		return;
	}
	add_line(application,
			 actions[step.action],
			 &step.applied,
			 joined(step.applied.reason, joined(item->reason, step.remark)),
			 item->path);
}

/* ---- the whole ---- */

/* Constraints of this origin that the contract no longer has, on tables of the caller. */
static void
drop_others(Application *application)
{
	ListCell *cell;

	foreach(cell, constraint_rows_of_origin(application->origin))
	{
		const ConstraintRow *row = lfirst(cell);
		Target *target;
		Applied applied;

		if (list_member_int(application->taken, row->id))
			continue;
		target = target_get(row->target_id);
		if (!has_privs_of_role(GetUserId(), target->owner))
			continue;
		applied = (Applied){target->display, row->name, NULL};
		(void) OidFunctionCall3(application->signature.drop,
								CStringGetTextDatum(target->display),
								CStringGetTextDatum(row->name),
								BoolGetDatum(false));
		add_line(application, "dropped", &applied, NULL, NULL);
	}
}

static bool
application_work(void *arg)
{
	Application *application = arg;
	ListCell *cell;

	foreach(cell, application->contract.items)
		apply_item(application, lfirst(cell));
	drop_others(application);
	return !application->dry_run;
}

static const ContractFormat *
format_of(const Json *root, const char *name)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; formats[i] != NULL; i++)
	{
		if (name != NULL ? strcmp(formats[i]->name, name) == 0 : formats[i]->recognise(root))
			return formats[i];
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", formats[i]->name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 name != NULL ? errmsg("invalid value for argument \"format\": \"%s\"", name)
						  : errmsg("contract, $: the format is not recognized"),
			 errhint("The formats are: %s.", names.data)));
}

static Jsonb *
argument_json(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	return PG_GETARG_JSONB_P(number);
}

/* Values must be texts, whether or not the document needs them. */
static Json *
take_schema_map(FunctionCallInfo fcinfo, int number)
{
	Json *map = json_root(argument_json(fcinfo, number, "schema_map"));
	bool sound = json_is_object(map);
	ListCell *cell;

	foreach(cell, json_members(map))
		sound = sound && json_is_text(lfirst(cell)) && json_text(lfirst(cell))[0] != '\0';
	if (!sound)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"schema_map\" must be an object whose values are names")));
	return map;
}

static void
put_lines(FunctionCallInfo fcinfo, List *lines)
{
	ReturnSetInfo *result;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	foreach(cell, lines)
	{
		const Line *line = lfirst(cell);
		const char *texts[] = {line->action, line->target, line->name, line->reason, line->path};
		Datum values[lengthof(texts)];
		bool nulls[lengthof(texts)];

		for (size_t i = 0; i < lengthof(texts); i++)
		{
			nulls[i] = texts[i] == NULL;
			values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(texts[i]);
		}
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

/*
 * SQL function apply_contract(contract, origin, on_violation, schema_map, dry_run, format)
 */
static Datum
depipe_apply_contract_checked(PG_FUNCTION_ARGS)
{
	Application application = {{0}};
	ErrorData *error;

	argument_not_null(fcinfo, 0, "contract");
	application.contract.root = json_root(PG_GETARG_JSONB_P(0));
	application.origin = argument_text(fcinfo, 1, "origin");
	application.on_violation = argument_text_or_null(fcinfo, 2);
	application.contract.schema_map = take_schema_map(fcinfo, 3);
	argument_not_null(fcinfo, 4, "dry_run");
	application.dry_run = PG_GETARG_BOOL(4);
	if (application.origin[strspn(application.origin, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"origin\" must not be empty")));
	if (application.on_violation != NULL)
		(void) action_from_name(application.on_violation);
	application.format = format_of(application.contract.root, argument_text_or_null(fcinfo, 5));
	if (!json_is_object(application.contract.root))
		json_refuse(application.contract.root, "an object");
	application.signature = signature_of_add_constraint();
	application.format->read(&application.contract);
	error = guarded_run(application_work, &application);
	if (error != NULL)
		ReThrowError(error);
	catalog_changed();
	put_lines(fcinfo, application.lines);
	return (Datum) 0;
}
