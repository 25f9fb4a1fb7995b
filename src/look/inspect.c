/*-------------------------------------------------------------------------
 *
 * inspect.c
 *		SQL functions about constraints: check_table, violations, quarantined.
 *
 * Expressions are evaluated as the target's owner.  Their results are for
 * users who may read the whole table, which excludes users restricted by row
 * security.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/guard.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "core/arguments.h"
#include "catalog/incidents.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/plans.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "quality/compile.h"
#include "quality/held.h"
#include "quality/record.h"
#include "quality/table_checks.h"
#include "quality/verdict.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"
#include "utils/rls.h"

CHECKED_FUNCTION(depipe_check_table);
CHECKED_FUNCTION(depipe_violations);
CHECKED_FUNCTION(depipe_quarantined);

/* ---- privileges ---- */

/* Raise 42501 unless the current user may read every row of the table. */
static void
check_may_read(Oid relid, const char *display)
{
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, display);
	if (check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("rows of table %s are restricted by row security", display)));
}

static Target *
readable_target(FunctionCallInfo fcinfo)
{
	Target *target = target_find(argument_text(fcinfo, 0, "target"), false);

	if (!OidIsValid(target->relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("%s", target_why_missing(target))));
	check_may_read(target->relid, target->display);
	return target;
}

/* ---- check_table ---- */

static void
put_verdict(ReturnSetInfo *result, const Verdict *verdict)
{
	Datum values[9];
	bool nulls[9] = {false};

	values[0] = CStringGetTextDatum(verdict->constraint_name);
	values[1] = CStringGetTextDatum(outcome_name(verdict->outcome));
	values[2] = Int64GetDatum(verdict->evaluated);
	nulls[2] = verdict->evaluated < 0;
	values[3] = Int64GetDatum(verdict->violations);
	nulls[3] = verdict->violations < 0;
	nulls[4] = verdict->metric == NULL;
	values[4] = nulls[4] ? 0 : CStringGetTextDatum(verdict->metric);
	nulls[5] = verdict->warn_if == NULL;
	values[5] = nulls[5] ? 0 : CStringGetTextDatum(verdict->warn_if);
	nulls[6] = verdict->fail_if == NULL;
	values[6] = nulls[6] ? 0 : CStringGetTextDatum(verdict->fail_if);
	nulls[7] = verdict->detail == NULL;
	values[7] = nulls[7] ? 0 : DirectFunctionCall1(jsonb_in, CStringGetDatum(verdict->detail));
	values[8] = DirectFunctionCall7(make_interval,
									Int32GetDatum(0),
									Int32GetDatum(0),
									Int32GetDatum(0),
									Int32GetDatum(0),
									Int32GetDatum(0),
									Int32GetDatum(0),
									Float8GetDatum(verdict->elapsed_ms / 1000.0));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * Add the error message to the detail, but only for the owner.  It may quote
 * other tables that the owner's expressions read.  Other readers of the table
 * get only the SQLSTATE.
 */
static void
show_error(const Target *target, Measure *measure)
{
	StringInfoData buf;

	if (measure->error_sqlstate == 0 || measure->error_message == NULL ||
		!has_privs_of_role(GetUserId(), target->owner))
		return;
	initStringInfo(&buf);
	appendStringInfoString(&buf, "\"message\": ");
	escape_json(&buf, measure->error_message);
	measure->detail = buf.data;
}

/* SQL function check_table(target): evaluate all constraints on the whole table now. */
static Datum
depipe_check_table_checked(PG_FUNCTION_ARGS)
{
	Target *target = readable_target(fcinfo);
	bool maintained = target->kind != TARGET_TABLE;
	List *verdicts = NIL;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, table_checks_measure(target))
	{
		Measured *measured = lfirst(cell);

		if (!maintained || measured->constraint->family == FAMILY_TIME)
			verdicts = lappend(verdicts, judge(measured, true));
		show_error(target, &measured->measure);
		put_verdict((ReturnSetInfo *) fcinfo->resultinfo, judge(measured, true));
	}
	if (XactReadOnly)
		return (Datum) 0;
	/* batches decide about a load or transform, except for time checks */
	if (maintained)
		verdicts_record(0, target, verdicts);
	else
		table_checks_record(target, 0, verdicts);
	return (Datum) 0;
}

/* ---- violations ---- */

typedef struct Search
{
	Target *target;
	ReturnSetInfo *result;
	int64 left; /* number of rows that may still be returned */
} Search;

static void
put_violations(Search *search, const char *constraint_name, const char *place)
{
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple tuple = SPI_tuptable->vals[i];
		TupleDesc desc = SPI_tuptable->tupdesc;
		Datum values[4];
		bool nulls[4] = {false};

		values[0] = CStringGetTextDatum(constraint_name);
		values[1] = CStringGetTextDatum(place);
		values[2] = SPI_getbinval(tuple, desc, 1, &nulls[2]);
		values[3] = SPI_getbinval(tuple, desc, 2, &nulls[3]);
		tuplestore_putvalues(search->result->setResult, search->result->setDesc, values, nulls);
	}
	search->left -= SPI_processed;
}

/*
 * Find rows that violate the condition: rows of the table, or (objects) rows
 * that are kept out of it.
 */
static void
find_violations(Search *search, const ConstraintRow *row, const char *condition, const char *place,
				ArrayType *objects)
{
	Target *target = search->target;
	Oid types[1] = {JSONBARRAYOID};
	Datum values[1] = {PointerGetDatum(objects)};
	Identity identity;
	char *from = target_rows_sql(target, CHECK_ROW);
	int result;

	if (search->left <= 0)
		return;
	if (objects != NULL)
		from = psprintf("(SELECT r.* FROM pg_catalog.unnest($1) x,"
						" LATERAL pg_catalog.jsonb_populate_record(NULL::%s, x) r) " CHECK_ROW,
						target->display);
	identity_become_with(target->owner, row->settings, &identity);
	if (objects != NULL)
		identity_pin_output(); /* images are texts */
	result = read_query(psprintf("SELECT %s, pg_catalog.to_jsonb(" CHECK_ROW ") FROM %s"
								 " WHERE %s LIMIT " INT64_FORMAT,
								 held_key_text(target),
								 from,
								 condition,
								 search->left),
						objects != NULL ? 1 : 0,
						types,
						values);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "search for violations failed: %s", SPI_result_code_string(result));
	identity_restore(&identity);
	put_violations(search, row->name, place);
}

/* Rows of a query, which can show tables that others may not read. */
static void
find_rows_of_query(Search *search, const DataConstraint *constraint)
{
	Identity identity;

	if (search->left <= 0 || !has_privs_of_role(GetUserId(), search->target->owner))
		return;
	identity_become_with(search->target->owner, constraint->row->settings, &identity);
	if (read_query(psprintf("%s LIMIT " INT64_FORMAT,
							constraint->rule->kind->rows(constraint),
							search->left),
				   0,
				   NULL,
				   NULL) != SPI_OK_SELECT)
		elog(ERROR, "search for violations failed");
	identity_restore(&identity);
	put_violations(search, constraint->row->name, "query");
}

/* Return rows that kept the last batch from being published. */
static void
put_held(Search *search, const DataConstraint *constraint)
{
	ListCell *cell;

	foreach(cell, held_rows(search->target->id, constraint->row->id))
	{
		HeldRow *row = lfirst(cell);
		Datum values[4];
		bool nulls[4] = {false};

		if (search->left <= 0)
			return;
		values[0] = CStringGetTextDatum(constraint->row->name);
		values[1] = CStringGetTextDatum("held");
		nulls[2] = row->key == NULL;
		values[2] = nulls[2] ? 0 : CStringGetTextDatum(row->key);
		values[3] = DirectFunctionCall1(jsonb_in, CStringGetDatum(row->row));
		tuplestore_putvalues(search->result->setResult, search->result->setDesc, values, nulls);
		search->left--;
	}
}

typedef struct Finding
{
	Search *search;
	const DataConstraint *constraint;
	const char *condition;
	const char *place;
	ArrayType *objects;
} Finding;

static bool
find_work(void *argument)
{
	Finding *finding = argument;

	if (finding->condition == NULL)
		find_rows_of_query(finding->search, finding->constraint);
	else
		find_violations(finding->search,
						finding->constraint->row,
						finding->condition,
						finding->place,
						finding->objects);
	return true;
}

/*
 * Find violations in a subtransaction, so that a constraint that cannot be
 * evaluated does not hide the results of others.
 */
static bool
find_guarded(Finding *finding)
{
	ErrorData *error = guarded_run(find_work, finding);

	if (error != NULL)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("constraint \"%s\" cannot be evaluated on all rows of %s",
						finding->constraint->row->name,
						finding->search->target->display),
				 has_privs_of_role(GetUserId(), finding->search->target->owner)
					 ? errdetail_internal("%s", error->message)
					 : 0));
	return error == NULL;
}

static void
violations_of(Search *search, const DataConstraint *constraint)
{
	Finding finding = {.search = search, .constraint = constraint, .place = "table"};
	ArrayType *quarantined = quarantined_images(search->target->id, constraint->row->id);

	if (quarantined != NULL)
		find_violations(search, constraint->row, "true", "quarantine", quarantined);
	if (constraint->compile_sqlstate != 0)
		ereport(ERROR,
				(errcode(constraint->compile_sqlstate),
				 errmsg("constraint \"%s\" does not fit table %s",
						constraint->row->name,
						search->target->display),
				 has_privs_of_role(GetUserId(), search->target->owner)
					 ? errdetail_internal("%s", constraint->compile_message)
					 : 0));
	finding.condition = violation_condition(constraint, search->target);
	if (finding.condition == NULL && constraint->rule->kind->rows == NULL)
		return;
	(void) find_guarded(&finding);
	if (finding.condition == NULL)
		return;
	finding.place = "parked";
	finding.objects = constraint_is_row(constraint) ? parked_images(search->target->id) : NULL;
	/* parked rows are more accurate than the rows kept of the batch */
	if (finding.objects == NULL || !find_guarded(&finding))
		put_held(search, constraint);
}

/* SQL function violations(target, constraint_name, max_rows). */
static Datum
depipe_violations_checked(PG_FUNCTION_ARGS)
{
	Target *target = readable_target(fcinfo);
	char *name = argument_text_or_null(fcinfo, 1);
	Search search = {target, (ReturnSetInfo *) fcinfo->resultinfo, 0};
	bool found = name == NULL;
	ListCell *cell;

	argument_not_null(fcinfo, 2, "max_rows");
	search.left = PG_GETARG_INT32(2);
	if (search.left < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"max_rows\" must not be negative")));
	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	foreach(cell, constraints_load(target))
	{
		DataConstraint *constraint = lfirst(cell);

		if (name != NULL && strcmp(constraint->row->name, name) != 0)
			continue;
		found = true;
		violations_of(&search, constraint);
	}
	SPI_finish();
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("constraint \"%s\" of %s does not exist", name, target->display)));
	return (Datum) 0;
}

/* ---- quarantined ---- */

/* The table whose row type the argument has.  Raises 42804 if there is none. */
static Oid
table_of_argument(FunctionCallInfo fcinfo)
{
	Oid type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	Oid relid = OidIsValid(type) ? get_typ_typrelid(type) : InvalidOid;
	char kind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("argument of depipe.quarantined must be of a table's row type"),
				 errhint("Write depipe.quarantined(NULL::schema.table).")));
	return relid;
}

static void
put_quarantined(ReturnSetInfo *result)
{
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool isnull;
		Datum value = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);
		HeapTupleHeader header = DatumGetHeapTupleHeader(value);
		HeapTupleData tuple = {0};

		tuple.t_len = HeapTupleHeaderGetDatumLength(header);
		ItemPointerSetInvalid(&tuple.t_self);
		tuple.t_tableOid = InvalidOid;
		tuple.t_data = header;
		tuplestore_puttuple(result->setResult, &tuple);
	}
}

/*
 * SQL function quarantined(NULL::schema.table): the quarantined rows of the
 * table, in its row type.
 */
static Datum
depipe_quarantined_checked(PG_FUNCTION_ARGS)
{
	Oid relid = table_of_argument(fcinfo);
	char *display = sql_relation(relid);
	Target *target;
	ArrayType *objects = NULL;
	Oid types[1] = {JSONBARRAYOID};
	Datum values[1];
	Identity identity;

	check_may_read(relid, display);
	target = target_find_named(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (target != NULL && target->relid == relid) /* not one that another role made since */
		objects = quarantined_images(target->id, 0);
	if (objects == NULL)
		return (Datum) 0;
	values[0] = PointerGetDatum(objects);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	identity_become(target->owner, &identity); /* images are written under the base settings */
	if (SPI_execute_with_args(psprintf("SELECT pg_catalog.jsonb_populate_record(NULL::%s, x)"
									   " FROM pg_catalog.unnest($1) x",
									   display),
							  1,
							  types,
							  values,
							  NULL,
							  false,
							  0) != SPI_OK_SELECT)
		elog(ERROR, "could not read rows in quarantine");
	identity_restore(&identity);
	put_quarantined((ReturnSetInfo *) fcinfo->resultinfo);
	SPI_finish();
	return (Datum) 0;
}
