/*-------------------------------------------------------------------------
 *
 * contract_depipe.c
 *		Contracts in depipe's own form.
 *
 *	{"depipe_contract": 1, "constraints": [
 *		{"target": "raw.orders", "name": "...", "rule": {"kind": "not_null", ...},
 *		 "on_violation": "warn", ...}]}
 *
 * The members of a constraint are the arguments of add_constraint.  An export
 * has all that differ from the defaults, and on_violation and the settings
 * always, so that it means the same in every session.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/contract_depipe.h"

#include "catalog/constraints.h"
#include "catalog/target.h"
#include "core/arguments.h"
#include "core/identity.h"
#include "core/settings.h"
#include "core/sqltext.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#define VERSION_KEY "depipe_contract"
#define VERSION "1"

CHECKED_FUNCTION(depipe_export_contract);

/* ---- reading ---- */

static bool
recognise_depipe(const Json *root)
{
	return json_member(root, VERSION_KEY)->present;
}

static void
refuse_key(const Json *place)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("contract, %s: unknown key", place->path)));
}

/* A scalar as it is, an array of texts as the text of an array. */
static char *
argument_value(const Json *place)
{
	List *texts = NIL;
	char *text = json_scalar(place);
	ListCell *cell;

	if (text != NULL)
		return text;
	if (!json_is_array(place))
		json_refuse(place, "a string, a number or an array of strings");
	foreach(cell, json_elements(place))
		texts = lappend(texts, json_text(lfirst(cell)));
	if (texts == NIL)
		return pstrdup("{}");
	return settings_text(texts);
}

static void
read_constraint(Contract *contract, const Json *place)
{
	ContractItem *item;
	Json *rule = json_member(place, "rule");
	ListCell *cell;

	if (!json_is_object(place))
		json_refuse(place, "an object");
	if (!json_is_object(rule))
		json_refuse(rule, "an object, such as {\"kind\": \"not_null\", \"columns\": [\"id\"]}");
	item = contract_item(contract, place, json_text(json_member(place, "target")));
	item->rule = json_literal(rule);
	item->rule_path = rule->path;
	foreach(cell, json_members(place))
	{
		const Json *member = lfirst(cell);
		ContractArgument *argument;

		if (strcmp(member->key, "target") == 0 || strcmp(member->key, "rule") == 0 ||
			!json_given(member))
			continue;
		contract_argument(item, member->key, argument_value(member));
		argument = llast(item->arguments);
		argument->path = member->path;
	}
}

static void
read_depipe(Contract *contract)
{
	Json *constraints = json_member(contract->root, "constraints");
	Json *version = json_member(contract->root, VERSION_KEY);
	ListCell *cell;

	if (!json_is_number(version) || strcmp(json_scalar(version), VERSION) != 0)
		json_refuse(version, VERSION);
	foreach(cell, json_members(contract->root))
	{
		const Json *member = lfirst(cell);

		if (strcmp(member->key, VERSION_KEY) != 0 && strcmp(member->key, "constraints") != 0)
			refuse_key(member);
	}
	if (!json_is_array(constraints))
		json_refuse(constraints, "an array");
	foreach(cell, json_elements(constraints))
		read_constraint(contract, lfirst(cell));
}

const ContractFormat contract_depipe = {
	.name = "depipe",
	.lenient = false,
	.recognise = recognise_depipe,
	.read = read_depipe,
};

/* ---- writing ---- */

static void
put(StringInfo buf, const char *name, const char *json)
{
	if (json != NULL)
		appendStringInfo(buf, ", %s: %s", json_string(name), json);
}

/* A text that differs from the default. */
static void
put_text(StringInfo buf, const char *name, const char *text, const char *default_text)
{
	if (text != NULL && !same_text(text, default_text))
		put(buf, name, json_string(text));
}

static void
put_constraint(StringInfo buf, const Target *target, const ConstraintRow *row)
{
	appendStringInfo(buf, "{\"target\": %s", json_string(target->display));
	put(buf, "name", json_string(row->name));
	put(buf, "rule", row->rule);
	put_text(buf, "on_violation", row->on_violation, NULL);
	put_text(buf, "warn_if", row->warn_if, NULL);
	put_text(buf, "fail_if", row->fail_if, NULL);
	put_text(buf, "scope", row->scope, "table");
	if (row->min_rows != 1000)
		put(buf, "min_rows", psprintf(INT64_FORMAT, row->min_rows));
	put_text(buf, "filter", row->filter, NULL);
	put_text(buf, "on_null", row->on_null, "pass");
	put_text(buf, "on_no_data", row->on_no_data, "not_evaluated");
	put_text(buf, "on_error", row->on_error, "fail");
	put_text(buf, "grace", row->grace, NULL);
	put_text(buf, "existing", row->existing, "baseline");
	if (row->enforce_from != 0)
		put_text(buf, "enforce_from", timestamptz_to_str(row->enforce_from), NULL);
	put_text(buf, "check_every", row->check_every, "00:01:00");
	put_text(buf, "owner", row->owner, NULL);
	put_text(buf, "description", row->description, NULL);
	put(buf, "settings", json_strings(row->settings));
	appendStringInfoChar(buf, '}');
}

/* As the view of constraints, which shows the rest to all who may see the target. */
static bool
may_export(const Target *target)
{
	return identity_may_inspect(target->owner);
}

static void
refuse_export(const Target *target)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for target %s", target->display)));
}

/* SQL function export_contract(target, origin) */
static Datum
depipe_export_contract_checked(PG_FUNCTION_ARGS)
{
	char *name = argument_text(fcinfo, 0, "target");
	char *origin = argument_text_or_null(fcinfo, 1);
	bool pattern = strpbrk(name, "*?") != NULL;
	List *targets = pattern ? target_match(name) : list_make1(target_find(name, false));
	StringInfoData buf;
	ListCell *cell;
	ListCell *place;
	bool first = true;
	int level = NewGUCNestLevel();

	settings_pin_exchange();
	identity_pin_timezone();
	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"" VERSION_KEY "\": " VERSION ", \"constraints\": [");
	foreach(cell, targets)
	{
		const Target *target = lfirst(cell);

		if (!may_export(target))
		{
			if (!pattern)
				refuse_export(target);
			continue;
		}
		foreach(place, constraint_rows(target->id))
		{
			const ConstraintRow *row = lfirst(place);

			if (origin != NULL && !same_text(row->origin, origin))
				continue;
			appendStringInfoString(&buf, first ? "" : ", ");
			put_constraint(&buf, target, row);
			first = false;
		}
	}
	appendStringInfoString(&buf, "]}");
	AtEOXact_GUC(true, level);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data));
}
