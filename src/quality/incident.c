/*-------------------------------------------------------------------------
 *
 * incident.c
 *		Incidents: the open problem of one constraint of one target.
 *
 * An incident opens with the first bad verdict.  One cause is one incident:
 * while violating rows are in the table or in quarantine it stays open, however
 * many clean batches follow.  What ends it depends on the scope of the last
 * good verdict:
 *
 *		of an aggregate, or of time		that verdict
 *		with a threshold of the table	that verdict, when its count is back at what
 *										it was before the incident
 *		with a threshold of batches		that verdict, depipe.incident_linger after
 *										the last bad one
 *		of rows							rows that were published are looked at again
 *
 * The examination of a large table is bounded.  Some of the violating rows are
 * remembered by key.  While one of them still violates, no more needs to be
 * known, and an index finds them.  Only if none does is the table read.  If
 * that takes long, it is not repeated before LOOK_PAUSE times as long, and then
 * by the scheduler or run_due(), not in the batch of a stream.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/incident.h"

#include "access/stratnum.h"
#include "access/table.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/plans.h"
#include "core/settings.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "portability/instr_time.h"
#include "quality/compile.h"
#include "quality/row_key.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* as in catalog/incidents.c */
#define LOOK_PAUSE 20

/* Examinations that take no longer than this are done at once. */
#define LOOK_MS 100

/* Number of keys of violating rows that are remembered. */
#define MAX_KNOWN_KEYS 100

static void
close_incident(int32 target_id, const IncidentRow *incident, const char *how)
{
	incident_close(incident->id, how);
	event_record(target_id,
				 "incident",
				 "closed",
				 psprintf("constraint \"%s\" %s", incident->constraint_name, how));
}

/* ---- looking at the table ---- */

typedef struct Look
{
	Target *target;
	const DataConstraint *constraint;
	ArrayType *known; /* examine these keys only; NULL: the whole table */
	int64 violations;
	ArrayType *keys; /* of some of them */
	MemoryContext context;
} Look;

/* "ARRAY[t.a::text]::text", and the match of t with the key k. Returns false if there is no key. */
static bool
key_texts(const Target *target, StringInfo list, StringInfo match)
{
	AttrNumber *attnums;
	int count = row_key_attributes(target, &attnums);
	Relation rel = table_open(target->relid, AccessShareLock);

	for (int i = 0; i < count; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attnums[i] - 1);
		const char *name = sql_identifier(NameStr(att->attname));
		char *type = sql_type(att->atttypid, att->atttypmod);

		appendStringInfo(list, "%s" CHECK_ROW ".%s::pg_catalog.text", i > 0 ? ", " : "", name);
		appendStringInfo(match,
						 "%s" CHECK_ROW ".%s %s (k.key)[%d]::%s",
						 i > 0 ? " AND " : "",
						 name,
						 check_operator(getBaseType(att->atttypid), BTEqualStrategyNumber, name),
						 i + 1,
						 type);
	}
	table_close(rel, NoLock);
	return count > 0;
}

static void
run(const char *sql, ArrayType *keys)
{
	Oid types[1] = {TEXTARRAYOID};
	Datum values[1] = {PointerGetDatum(keys)};
	int level = identity_begin_statement();

	if (read_query(sql, keys != NULL ? 1 : 0, types, values) != SPI_OK_SELECT)
		elog(ERROR, "search for violations failed");
	identity_end_statement(level);
}

static int64
first_int8(void)
{
	bool isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static void
take_keys(Look *look)
{
	bool isnull;
	Datum keys = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	MemoryContext old;

	if (isnull)
		return;
	old = MemoryContextSwitchTo(look->context);
	look->keys = DatumGetArrayTypePCopy(keys);
	MemoryContextSwitchTo(old);
}

static void
look_at_rows(Look *look)
{
	const char *rows = target_rows_sql(look->target, CHECK_ROW);
	char *condition = violation_condition(look->constraint, look->target);
	StringInfoData list;
	StringInfoData match;

	if (condition == NULL)
		return;
	initStringInfo(&list);
	initStringInfo(&match);
	if (!key_texts(look->target, &list, &match) && look->known != NULL)
		return;
	if (look->known != NULL)
	{
		run(psprintf("SELECT pg_catalog.count(*) FROM (SELECT x::pg_catalog.text[] AS key"
					 " FROM pg_catalog.unnest($1) x) k JOIN %s ON %s WHERE %s",
					 rows,
					 match.data,
					 condition),
			look->known);
		look->violations = first_int8();
		return;
	}
	run(psprintf("SELECT pg_catalog.count(*) FROM %s WHERE %s", rows, condition), NULL);
	look->violations = first_int8();
	if (look->violations == 0 || list.len == 0 || !constraint_is_row(look->constraint))
		return;
	run(psprintf("SELECT pg_catalog.array_agg(x.key) FROM (SELECT ARRAY[%s]::pg_catalog.text"
				 " AS key FROM %s WHERE %s LIMIT %d) x",
				 list.data,
				 rows,
				 condition,
				 MAX_KNOWN_KEYS),
		NULL);
	take_keys(look);
}

static bool
look_as_owner(void *argument)
{
	Look *look = argument;
	Identity identity;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	identity_become_with(look->target->owner, look->constraint->row->settings, &identity);
	settings_pin_literals(); /* for the keys */
	look_at_rows(look);
	identity_restore(&identity);
	SPI_finish();
	return true;
}

/* Number of violating rows; -1 if it cannot be determined. */
static int64
take_look(Look *look)
{
	return guarded_run(look_as_owner, look) == NULL ? look->violations : -1;
}

static bool
may_look_now(const IncidentRow *incident)
{
	return incident->looked_at == 0 || incident->look_ms <= LOOK_MS ||
		   GetCurrentTimestamp() - incident->looked_at >=
			   (TimestampTz) (incident->look_ms * LOOK_PAUSE * 1000);
}

/* Does the table still have violating rows, more than at the beginning? */
static bool
rows_are_left(Target *target, const IncidentRow *incident, const DataConstraint *constraint)
{
	int64 baseline = constraint->row->baseline;
	Look look = {.target = target, .constraint = constraint, .context = CurrentMemoryContext};
	instr_time start;
	instr_time end;

	if (incident->known_keys != NULL && baseline == 0)
	{
		look.known = incident->known_keys;
		if (take_look(&look) > 0)
			return true;
		look.known = NULL;
	}
	if (!may_look_now(incident))
	{
		incident_look_again(incident->id);
		return true;
	}
	INSTR_TIME_SET_CURRENT(start);
	if (take_look(&look) < 0)
		return true;
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	incident_put_look(incident->id,
					  Max(look.violations - baseline, 0),
					  look.keys,
					  INSTR_TIME_GET_MILLISEC(end));
	return look.violations > baseline;
}

/* ---- what ends an incident ---- */

static bool
is_good(const IncidentRow *incident)
{
	return incident->outcome != NULL && (strcmp(incident->outcome, "pass") == 0 ||
										 strcmp(incident->outcome, "not_evaluated") == 0);
}

static bool
has_lingered(const IncidentRow *incident)
{
	return GetCurrentTimestamp() - incident->last_seen >=
		   (TimestampTz) depipe_incident_linger * USECS_PER_SEC;
}

static void
settle_one(Target *target, const IncidentRow *incident, const DataConstraint *constraint)
{
	bool thresholds = constraint->warn_if.given || constraint->fail_if.given;
	int64 quarantined;

	if (constraint->row->is_aggregate || constraint->family == FAMILY_TIME)
		return; /* the verdict itself ends it */
	if (constraint->family == FAMILY_CHANGE || (thresholds && constraint->batch_scope))
	{
		if (strcmp(incident->outcome, "pass") == 0 && has_lingered(incident))
			close_incident(target->id, incident, "passes");
		return;
	}
	if (thresholds)
	{
		/* likewise, but rows may have left the quarantine since it counted the table */
		if (incident->violations_now <= incident->accepted &&
			strcmp(incident->outcome, "pass") == 0 &&
			quarantine_count_of(target->id, incident->constraint_id) == 0)
			close_incident(target->id, incident, "passes");
		return;
	}
	quarantined = quarantine_count_of(target->id, incident->constraint_id);
	if (quarantined > 0)
	{
		if (!incident->published)
			incident_put_violations(incident->id, quarantined);
		return;
	}
	if (incident->published &&
		(constraint->compile_sqlstate != 0 || rows_are_left(target, incident, constraint)))
		return;
	close_incident(target->id,
				   incident,
				   strcmp(incident->outcome, "pass") == 0 ? "passes"
														  : "has no row left that violates it");
}

void
incidents_settle(Target *target)
{
	ListCell *cell;

	if (!OidIsValid(target->relid))
		return;
	foreach(cell, incident_rows(target->id, 0))
	{
		IncidentRow *incident = lfirst(cell);

		if (!is_good(incident))
			continue;
		settle_one(
			target,
			incident,
			constraint_from(target, constraint_row_find(target->id, incident->constraint_name)));
	}
}

/* No verdict will say so: the last one is about rows that are gone. */
void
incidents_end_discarded(Target *target)
{
	ListCell *cell;

	foreach(cell, incident_rows(target->id, 0))
	{
		IncidentRow *incident = lfirst(cell);
		ConstraintRow *row = constraint_row_find(target->id, incident->constraint_name);

		if (strcmp(row->on_violation, "quarantine") == 0 && !incident->published &&
			quarantine_count_of(target->id, incident->constraint_id) == 0)
			close_incident(target->id, incident, "has no row left that was not discarded");
	}
}

void
incident_end(int32 target_id, int32 constraint_id)
{
	ListCell *cell;

	foreach(cell, incident_rows(target_id, constraint_id))
		close_incident(target_id, lfirst(cell), "was dropped");
}

/* Is the count, or the share, back at its earlier value? */
static bool
is_back(const Verdict *verdict, const IncidentRow *incident)
{
	if (verdict->percent && incident->accepted_of > 0)
		return (double) verdict->violations * (double) incident->accepted_of <=
			   (double) incident->accepted * (double) verdict->evaluated;
	return verdict->violations <= incident->accepted;
}

/* A good verdict of the table itself, or of a batch that left no rows to examine. */
static void
note_good(const Verdict *verdict)
{
	ListCell *cell;

	foreach(cell, incident_rows(verdict->target_id, verdict->constraint_id))
	{
		IncidentRow *incident = lfirst(cell);
		bool over;

		if (verdict->scope == VERDICT_OF_BATCH)
			over = has_lingered(incident);
		else
			over = verdict->scope != VERDICT_OF_ROWS &&
				   (verdict->scope != VERDICT_OF_COUNT || is_back(verdict, incident));
		if (verdict->scope == VERDICT_OF_COUNT)
			incident_put_violations(incident->id, verdict->violations);
		if (over && quarantine_count_of(verdict->target_id, verdict->constraint_id) == 0)
			close_incident(verdict->target_id, incident, "passes");
	}
}

void
incident_note(const Verdict *verdict, const VerdictRow *row, bool open, bool held)
{
	switch (verdict->outcome)
	{
		case OUTCOME_WARN:
		case OUTCOME_FAIL:
		case OUTCOME_ERROR:
			if (incident_seen(row, !held && verdict->action != ACTION_QUARANTINE))
				event_record(verdict->target_id,
							 "incident",
							 "open",
							 psprintf("constraint \"%s\": %s", row->constraint_name, row->outcome));
			return;
		case OUTCOME_PASS:
			if (open && !held)
				note_good(verdict);
			return;
		case OUTCOME_NOT_EVALUATED:
		case OUTCOME_PENDING:
			return;
	}
}
