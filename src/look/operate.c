/*-------------------------------------------------------------------------
 *
 * operate.c
 *		What a person does about rows that violate constraints: release, discard,
 *		accept, set_aside, waive, acknowledge.
 *
 * Each of these overrides a machine: it needs the right to operate on the
 * target, and a reason, and is in depipe.audit.  None of them writes to the
 * target: the next run does, through the gate.
 *
 * Keys are texts, as depipe.quarantine or depipe.violations show them.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "catalog/attempts.h"
#include "catalog/audit.h"
#include "catalog/constraints.h"
#include "catalog/incidents.h"
#include "catalog/pg_type.h"
#include "catalog/target.h"
#include "core/arguments.h"
#include "core/identity.h"
#include "core/plans.h"
#include "core/shmem.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "quality/accepted.h"
#include "quality/breaker.h"
#include "quality/compile.h"
#include "quality/held.h"
#include "quality/incident.h"
#include "utils/array.h"
#include "utils/builtins.h"

AUDITED_FUNCTION(depipe_accept);
AUDITED_FUNCTION(depipe_acknowledge);
AUDITED_FUNCTION(depipe_discard);
AUDITED_FUNCTION(depipe_release);
AUDITED_FUNCTION(depipe_set_aside);
AUDITED_FUNCTION(depipe_waive);

/* ---- arguments ---- */

static Target *
operated_target(FunctionCallInfo fcinfo)
{
	Target *target = target_find(argument_text(fcinfo, 0, "target"), false);

	identity_check_operate(target->owner, target->display);
	return target;
}

static ConstraintRow *
named_constraint(FunctionCallInfo fcinfo, const Target *target)
{
	char *name = argument_text(fcinfo, 1, "constraint_name");
	ConstraintRow *row = constraint_row_find(target->id, name);

	if (row == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("constraint \"%s\" of %s does not exist", name, target->display)));
	return row;
}

/* NIL for NULL: all rows. */
static List *
keys_argument(FunctionCallInfo fcinfo, int number)
{
	List *keys;

	if (PG_ARGISNULL(number))
		return NIL;
	keys = text_array_to_list(PG_GETARG_ARRAYTYPE_P(number), "keys");
	if (keys == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"keys\" must not be empty"),
				 errhint("Leave it out for all rows.")));
	return keys;
}

/* A key is no part of the message: it is a value of a column. */
static void
refuse_unknown_keys(const Target *target, int64 found, int64 given)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg(INT64_FORMAT " of " INT64_FORMAT " keys match no row of %s",
					given - found,
					given,
					target->display),
			 errhint("Write keys as depipe.quarantine and depipe.violations show them.")));
}

static int64
number_of_picked(const Target *target, List *keys)
{
	int64 keys_found;
	int64 rows = quarantine_matches(target->id, 0, keys, &keys_found);

	if (keys != NIL && keys_found < list_length(keys))
		refuse_unknown_keys(target, keys_found, list_length(keys));
	if (rows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("%s has no row in quarantine", target->display)));
	return rows;
}

/* ---- release and discard ---- */

/* SQL function release(target, reason, keys): quarantined rows are tried again. */
static Datum
depipe_release_checked(PG_FUNCTION_ARGS)
{
	Target *target = operated_target(fcinfo);
	char *reason = argument_reason(fcinfo, 1);
	List *keys = keys_argument(fcinfo, 2);
	int64 count;

	if (target->kind == TARGET_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("rows of %s cannot be released", target->display),
				 errdetail("depipe does not write to the table."),
				 errhint("Write them again, corrected, or use depipe.discard.")));
	count = number_of_picked(target, keys);
	quarantine_release(target->id, 0, keys);
	breaker_note_change(target->id);
	attempt_end(unit_of_target(target->id));
	event_record(target->id, "quarantine", "released", reason);
	PG_RETURN_INT64(count);
}

/* SQL function discard(target, reason, keys): quarantined rows of a load are given up. */
static Datum
depipe_discard_checked(PG_FUNCTION_ARGS)
{
	Target *target = operated_target(fcinfo);
	char *reason = argument_reason(fcinfo, 1);
	List *keys = keys_argument(fcinfo, 2);
	int64 count;

	if (target->kind == TARGET_TRANSFORM)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("rows of transform %s cannot be discarded", target->display),
				 errdetail("Its query returns them again."),
				 errhint("Use depipe.accept, or change the query.")));
	count = number_of_picked(target, keys);
	quarantine_discard(target->id, keys);
	incidents_end_discarded(target);
	event_record(target->id, "quarantine", "discarded", reason);
	PG_RETURN_INT64(count);
}

/* ---- accept ---- */

typedef struct Acceptance
{
	Target *target;
	DataConstraint *constraint;
	List *keys;   /* texts; NIL: all */
	List *hashes; /* found so far, in hexadecimal */
	List *found;  /* the keys of these rows; NULL for rows without */
	MemoryContext context;
} Acceptance;

static void
take_hashes(Acceptance *work)
{
	MemoryContext old = MemoryContextSwitchTo(work->context);

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char *hash = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		char *key = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2);

		work->hashes = lappend(work->hashes, hash);
		work->found = lappend(work->found, key);
	}
	MemoryContextSwitchTo(old);
	if (list_length(work->hashes) > MAX_ACCEPTED_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("more than %d rows cannot be accepted", MAX_ACCEPTED_ROWS),
				 errhint("Change the rule or its filter, or use depipe.waive.")));
}

/* Rows of the table (objects is NULL), or rows that are kept out of it. */
static void
find_rows(Acceptance *work, const char *condition, ArrayType *objects)
{
	Target *target = work->target;
	ArrayType *keys = list_to_text_array(work->keys);
	Oid types[2] = {TEXTARRAYOID, JSONBARRAYOID};
	Datum values[2] = {PointerGetDatum(keys), PointerGetDatum(objects)};
	char *from = target_rows_sql(target, CHECK_ROW);
	Identity identity;

	if (objects != NULL)
		from = psprintf("(SELECT r.* FROM pg_catalog.unnest($2) x,"
						" LATERAL pg_catalog.jsonb_populate_record(NULL::%s, x) r) " CHECK_ROW,
						target->display);
	identity_become_with(target->owner, work->constraint->row->settings, &identity);
	identity_pin_output();
	if (read_query(psprintf("SELECT pg_catalog.encode(%s, 'hex'), %s FROM %s WHERE (%s)%s LIMIT %d",
							accepted_hash_sql(target, work->constraint),
							held_key_text(target),
							from,
							condition,
							work->keys == NIL ? ""
											  : psprintf(" AND %s OPERATOR(pg_catalog.=) ANY ($1)",
														 held_key_text(target)),
							MAX_ACCEPTED_ROWS + 1),
				   objects != NULL ? 2 : (work->keys != NIL ? 1 : 0),
				   types,
				   values) != SPI_OK_SELECT)
		elog(ERROR, "search for violations failed");
	identity_restore(&identity);
	take_hashes(work);
}

static void
check_found(const Acceptance *work)
{
	int64 found = 0;
	ListCell *key;
	ListCell *row;

	if (work->hashes == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("no row of %s%s violates constraint \"%s\"",
						work->target->display,
						work->keys != NIL ? " with one of these keys" : "",
						work->constraint->row->name)));
	foreach(key, work->keys)
	{
		bool matches = false;

		foreach(row, work->found)
			matches |= lfirst(row) != NULL && strcmp(lfirst(row), lfirst(key)) == 0;
		found += matches;
	}
	if (found < list_length(work->keys))
		refuse_unknown_keys(work->target, found, list_length(work->keys));
}

static void
find_acceptable(Acceptance *work)
{
	char *condition = violation_condition(work->constraint, work->target);
	ArrayType *quarantined = quarantined_images(work->target->id, work->constraint->row->id);
	ArrayType *held = parked_images(work->target->id);

	if (held == NULL) /* the rows of a transform are not kept, but for some */
		held = held_images(work->target->id, work->constraint->row->id);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	find_rows(work, condition, NULL);
	if (quarantined != NULL)
		find_rows(work, "true", quarantined);
	if (held != NULL && constraint_is_row(work->constraint))
		find_rows(work, condition, held);
	SPI_finish();
}

/* SQL function accept(target, constraint_name, reason, keys): these rows no longer count. */
static Datum
depipe_accept_checked(PG_FUNCTION_ARGS)
{
	Target *target = operated_target(fcinfo);
	ConstraintRow *row = named_constraint(fcinfo, target);
	char *reason = argument_reason(fcinfo, 2);
	List *keys = keys_argument(fcinfo, 3);
	Acceptance work = {.target = target, .keys = keys, .context = CurrentMemoryContext};

	if (!OidIsValid(target->relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("%s", target_why_missing(target))));
	work.constraint = constraint_from(target, row);
	if (work.constraint->row->is_aggregate || work.constraint->compile_sqlstate != 0 ||
		work.constraint->family > FAMILY_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("constraint \"%s\" is not about single rows", row->name),
				 errhint("Use depipe.waive.")));
	find_acceptable(&work);
	check_found(&work);
	accepted_rows_add(row->id, work.hashes);
	if (list_length(constraint_row_find(target->id, row->name)->accepted) > MAX_ACCEPTED_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("more than %d rows cannot be accepted", MAX_ACCEPTED_ROWS),
				 errhint("Change the rule or its filter, or use depipe.waive.")));
	quarantine_release(target->id, row->id, keys);
	breaker_probe_next(target, reason);
	incidents_settle(target);
	PG_RETURN_INT64(list_length(work.hashes));
}

/* ---- set_aside and waive ---- */

/* SQL function set_aside(target, reason): the next batch sets its violating rows aside. */
static Datum
depipe_set_aside_checked(PG_FUNCTION_ARGS)
{
	Target *target = operated_target(fcinfo);
	char *reason = argument_reason(fcinfo, 1);
	char *name = holding_table_check(target->id);

	if (target->kind == TARGET_TABLE)
		ereport(
			ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("%s has no load or transform, so no batch of it is held", target->display)));
	if (name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("constraint \"%s\" is not about single rows", name),
				 errdetail("No rows can be set aside so that it holds."),
				 errhint("Use depipe.waive or depipe.override.")));
	if (!breaker_blocks(target->id, NULL) && rejecting_constraint(target->id) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no batch of %s is held", target->display)));
	breaker_set_aside(target, reason);
	attempt_end(unit_of_target(target->id));
	catalog_changed();
	PG_RETURN_VOID();
}

/* SQL function waive(target, constraint_name, reason, until): it only warns until then. */
static Datum
depipe_waive_checked(PG_FUNCTION_ARGS)
{
	Target *target = operated_target(fcinfo);
	ConstraintRow *row = named_constraint(fcinfo, target);
	char *reason = argument_reason(fcinfo, 2);
	TimestampTz until;

	argument_not_null(fcinfo, 3, "until");
	until = argument_time(fcinfo, 3, "until");
	breaker_check_override(until);
	constraint_waive(row->id, until);
	breaker_probe_next(target, reason);
	PG_RETURN_VOID();
}

/* SQL function acknowledge(incident_id, note): somebody takes care of it. */
static Datum
depipe_acknowledge_checked(PG_FUNCTION_ARGS)
{
	int64 incident_id;
	char *note;
	int32 target_id;
	Target *target;

	argument_not_null(fcinfo, 0, "incident_id");
	incident_id = PG_GETARG_INT64(0);
	note = argument_text_or_null(fcinfo, 1);
	target_id = incident_target(incident_id);
	if (target_id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("incident " INT64_FORMAT " does not exist", incident_id)));
	if (target_id < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("incident " INT64_FORMAT " is closed", incident_id)));
	target = target_get(target_id);
	identity_check_operate(target->owner, target->display);
	incident_acknowledge(incident_id, note);
	PG_RETURN_VOID();
}
