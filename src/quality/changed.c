/*-------------------------------------------------------------------------
 *
 * changed.c
 *		Has anything changed that a constraint reads?
 *
 * Tables are compared by their file, the version of their definition, and the
 * counters of the cumulative statistics.  A session reports its counts after
 * its commit, so counters are never ahead of the rows that a later snapshot
 * sees.  They may be behind it: then the table is evaluated once more.  The
 * counters begin anew after a crash, which the time of the last reset shows.
 *
 * A view is what it reads, with the text of its query.  Foreign tables, and
 * whatever a function that is not immutable computes, cannot be watched.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/changed.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "common/hashfn.h"
#include "core/guarded.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "pgstat.h"
#include "quality/measure.h"
#include "rewrite/prs2lock.h"
#include "utils/fmgrprotos.h"
#include "utils/plancache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

typedef struct Reading
{
	List *relids; /* done */
	StringInfoData text;
	bool unknown; /* something cannot be watched */
} Reading;

static void read_relation(Reading *reading, Oid relid);

/* ---- views ---- */

/* For expression_tree_walker: read the relations that a query reads. */
static bool
read_query_tree(Node *node, void *context)
{
	Reading *reading = context;
	ListCell *cell;

	if (node == NULL || reading->unknown)
		return reading->unknown;
	if (!IsA(node, Query))
		return expression_tree_walker(node, read_query_tree, context);
	foreach(cell, ((Query *) node)->rtable)
	{
		RangeTblEntry *entry = lfirst(cell);

		if (entry->rtekind == RTE_RELATION)
			read_relation(reading, entry->relid);
	}
	return query_tree_walker((Query *) node, read_query_tree, context, 0);
}

static void
read_view(Reading *reading, Relation rel)
{
	Query *query;
	char *text;

	if (rel->rd_rules == NULL || rel->rd_rules->numLocks == 0)
	{
		reading->unknown = true;
		return;
	}
	query = linitial_node(Query, rel->rd_rules->rules[0]->actions);
	text = nodeToString(query);
	appendStringInfo(&reading->text,
					 " view " UINT64_FORMAT,
					 hash_bytes_extended((unsigned char *) text, (int) strlen(text), 0));
	pfree(text);
	if (contain_mutable_functions((Node *) query))
		reading->unknown = true;
	else
		(void) read_query_tree((Node *) query, reading);
}

/* ---- tables ---- */

static int64
counter(PGFunction function, Oid relid)
{
	return DatumGetInt64(DirectFunctionCall1(function, ObjectIdGetDatum(relid)));
}

/* The version of its row in pg_class. */
static TransactionId
version_of(Oid relid)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	TransactionId version = InvalidTransactionId;

	if (HeapTupleIsValid(tuple))
	{
		version = HeapTupleHeaderGetRawXmin(tuple->t_data);
		ReleaseSysCache(tuple);
	}
	return version;
}

static void
read_table(Reading *reading, Relation rel)
{
	Oid relid = RelationGetRelid(rel);

	appendStringInfo(&reading->text,
					 " %u/%u/%u:" INT64_FORMAT "/" INT64_FORMAT "/" INT64_FORMAT,
					 relid,
					 relation_file_compat(rel),
					 version_of(relid),
					 counter(pg_stat_get_tuples_inserted, relid),
					 counter(pg_stat_get_tuples_updated, relid),
					 counter(pg_stat_get_tuples_deleted, relid));
}

static void
read_members(Reading *reading, Oid relid)
{
	ListCell *cell;

	foreach(cell, find_inheritance_children(relid, AccessShareLock))
		read_relation(reading, lfirst_oid(cell));
}

static void
read_relation(Reading *reading, Oid relid)
{
	Relation rel;

	if (reading->unknown || list_member_oid(reading->relids, relid))
		return;
	reading->relids = lappend_oid(reading->relids, relid);
	rel = try_relation_open(relid, AccessShareLock);
	if (rel == NULL)
	{
		reading->unknown = true;
		return;
	}
	switch (rel->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			read_table(reading, rel);
			read_members(reading, relid);
			break;
		case RELKIND_MATVIEW:
			read_table(reading, rel);
			break;
		case RELKIND_VIEW:
			read_view(reading, rel);
			break;
		default:
			reading->unknown = true;
	}
	/* rows that a policy hides may depend on anything */
	if (rel->rd_rel->relrowsecurity)
		reading->unknown = true;
	relation_close(rel, AccessShareLock);
}

/* ---- the constraint itself ---- */

typedef struct Asked
{
	const Target *target;
	const DataConstraint *constraint;
	bool is_immutable;
} Asked;

static bool
ask_immutable(void *arg)
{
	Asked *asked = arg;
	const ConstraintRow *row = asked->constraint->row;
	MemoryContext context = CurrentMemoryContext;
	Identity identity;
	SPIPlanPtr plan;
	CachedPlanSource *source;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	identity_become_with(asked->target->owner, row->settings, &identity);
	plan = SPI_prepare(psprintf("SELECT (%s), (%s) FROM %s",
								row->expression != NULL ? row->expression : "NULL",
								row->filter_expression != NULL ? row->filter_expression : "NULL",
								target_rows_sql(asked->target, CHECK_ROW)),
					   0,
					   NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	source = linitial(SPI_plan_get_plan_sources(plan));
	asked->is_immutable = !contain_mutable_functions(
		(Node *) linitial_node(Query, source->query_list)->targetList);
	identity_restore(&identity);
	SPI_finish();
	MemoryContextSwitchTo(context);
	return true;
}

/* Does the verdict follow from the rows of the target and of the reference alone? */
static bool
depends_on_rows(const Target *target, const DataConstraint *constraint)
{
	Asked asked = {target, constraint, false};

	if (constraint->compile_sqlstate != 0 || constraint->family > FAMILY_AGGREGATE ||
		(constraint->rule->kind->evaluate != NULL &&
		 strcmp(constraint->rule->kind->name, "unique") != 0) ||
		(constraint->row->reference_table != NULL && !OidIsValid(constraint->reference)) ||
		constraint->row->enforce_from != 0)
		return false;
	return guarded_run(ask_immutable, &asked) == NULL && asked.is_immutable;
}

/* When the counters of this database were last reset; 0: never. */
static int64
database_reset(void)
{
	PgStat_StatDBEntry *database = pgstat_fetch_stat_dbentry(MyDatabaseId);

	return database == NULL ? 0 : (int64) database->stat_reset_timestamp;
}

char *
changed_fingerprint(Target *target, const DataConstraint *constraint)
{
	Reading reading = {NIL};

	if (!pgstat_track_counts || !depends_on_rows(target, constraint))
		return NULL;
	pgstat_clear_snapshot();
	initStringInfo(&reading.text);
	appendStringInfo(&reading.text,
					 INT64_FORMAT " " INT64_FORMAT,
					 (int64) pgstat_fetch_stat_bgwriter()->stat_reset_timestamp,
					 database_reset());
	read_relation(&reading, target->relid);
	if (OidIsValid(constraint->reference))
		read_relation(&reading, constraint->reference);
	return reading.unknown ? NULL : reading.text.data;
}
