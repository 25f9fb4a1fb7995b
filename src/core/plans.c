/*-------------------------------------------------------------------------
 *
 * plans.c
 *		Plans of statements whose text is built at run time.
 *
 * Small batches are frequent, and processing one takes less time than planning
 * its statements.  So their plans are kept for the session.  The key consists
 * of the text, the user, the settings under which literals were read, and the
 * columns of the batch.  The server replans when a table or a function in a
 * plan changes, but it does not notice changes of a batch's columns.
 *
 * A kept plan stays in use while its tables grow or shrink.  It is made so
 * that this does not matter: the few rows of the delta are joined to a table
 * row by row, through an index wherever there is one.
 *
 * Invariant: there are at most KEPT_MOST plans.  The least recently used one
 * makes room.
 *
 *-------------------------------------------------------------------------
 */
#include "core/plans.h"

#include "common/hashfn.h"
#include "core/identity.h"
#include "core/settings.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#define KEPT_MOST 1000

typedef struct KeptPlan
{
	uint64 hash; /* key: hash of text, user, settings and columns */
	char *sql;
	Oid user;
	SPIPlanPtr plan;
	uint64 used; /* value of use_clock at the last use */
} KeptPlan;

static HTAB *kept_plans = NULL;
static uint64 use_clock = 0;

/* ---- planning ---- */

static CachedPlanSource *
source_of(SPIPlanPtr plan)
{
	return linitial(SPI_plan_get_plan_sources(plan));
}

static void
plan_now(SPIPlanPtr plan, PlanStyle style)
{
	int level = NewGUCNestLevel();
	CachedPlan *cached;

	settings_force("jit", "off");
	if (style != PLAN_ONCE)
	{
		settings_force("enable_hashjoin", "off");
		/* rows adjacent in key order share pages */
		settings_force("random_page_cost", "1");
	}
	if (style == PLAN_KEPT || style == PLAN_ONCE_BY_ROW)
	{
		settings_force("enable_mergejoin", "off");
		settings_force("enable_seqscan", "off");
	}
	cached = SPI_plan_get_cached_plan(plan);
	AtEOXact_GUC(false, level);
	if (cached != NULL)
		ReleaseCachedPlan(cached, source_of(plan)->is_saved ? CurrentResourceOwner : NULL);
}

static SPIPlanPtr
prepare(const char *sql)
{
	MemoryContext caller = CurrentMemoryContext;
	SPIPlanPtr plan = SPI_prepare(sql, 0, NULL);

	MemoryContextSwitchTo(caller); /* SPI_prepare leaves SPI's own context current */
	if (plan == NULL)
		elog(ERROR, "could not prepare statement: %s", SPI_result_code_string(SPI_result));
	return plan;
}

/* ---- plans that are kept ---- */

static bool
is_planned(SPIPlanPtr plan)
{
	const CachedPlanSource *source = source_of(plan);

	return source->is_valid && source->gplan != NULL && source->gplan->is_valid;
}

static void
forget(KeptPlan *kept)
{
	SPIPlanPtr plan = kept->plan;
	char *sql = kept->sql;

	(void) hash_search(kept_plans, &kept->hash, HASH_REMOVE, NULL);
	SPI_freeplan(plan);
	pfree(sql);
}

static void
make_room(void)
{
	HASH_SEQ_STATUS scan;
	KeptPlan *kept;
	KeptPlan *oldest = NULL;

	if (hash_get_num_entries(kept_plans) < KEPT_MOST)
		return;
	hash_seq_init(&scan, kept_plans);
	while ((kept = hash_seq_search(&scan)) != NULL)
		if (oldest == NULL || kept->used < oldest->used)
			oldest = kept;
	forget(oldest);
}

static void
make_table(void)
{
	HASHCTL control = {0};

	control.keysize = sizeof(uint64);
	control.entrysize = sizeof(KeptPlan);
	control.hcxt = TopMemoryContext;
	kept_plans =
		hash_create("depipe kept plans", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static KeptPlan *
keep(uint64 hash, const char *sql)
{
	SPIPlanPtr plan = prepare(sql);
	char *copy = MemoryContextStrdup(TopMemoryContext, sql);
	KeptPlan *kept;

	make_room();
	kept = hash_search(kept_plans, &hash, HASH_ENTER, NULL);
	kept->sql = copy;
	kept->user = GetUserId();
	kept->plan = plan;
	/* saved last: nothing can fail after this */
	SPI_keepplan(plan);
	return kept;
}

/*
 * Hash of the names and types of the columns.  A text need not name all of
 * them, but a plan refers to them by their positions.
 */
static uint64
hash_columns(TupleDesc columns)
{
	uint64 hash = columns->natts;

	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(columns, i);

		hash = hash_combine64(
			hash,
			hash_bytes((unsigned char *) NameStr(att->attname), strlen(NameStr(att->attname))));
		hash = hash_combine64(hash, att->atttypid);
		hash = hash_combine64(hash, (uint32) att->atttypmod);
		hash = hash_combine64(hash, att->attcollation);
	}
	return hash;
}

/* columns_hash: of the columns of the relations that the statement reads. */
static SPIPlanPtr
kept_plan(const char *sql, uint64 columns_hash)
{
	uint64 hash = hash_bytes_extended(
		(const unsigned char *) sql,
		strlen(sql),
		hash_combine64(hash_combine64(columns_hash, settings_hash()), GetUserId()));
	KeptPlan *kept;

	if (kept_plans == NULL)
		make_table();
	kept = hash_search(kept_plans, &hash, HASH_FIND, NULL);
	if (kept != NULL && (kept->user != GetUserId() || strcmp(kept->sql, sql) != 0))
	{
		forget(kept);
		kept = NULL;
	}
	if (kept == NULL)
		kept = keep(hash, sql);
	kept->used = ++use_clock;
	if (!is_planned(kept->plan))
		plan_now(kept->plan, PLAN_KEPT);
	return kept->plan;
}

/* ---- the interface ---- */

SPIPlanPtr
plan_statement(const char *sql, TupleDesc columns, PlanStyle style)
{
	SPIPlanPtr plan;

	if (style == PLAN_KEPT)
		return kept_plan(sql, hash_columns(columns));
	plan = prepare(sql);
	plan_now(plan, style);
	return plan;
}

SPIPlanPtr
plan_query(const char *sql, List *columns)
{
	uint64 hash = list_length(columns);
	ListCell *cell;

	foreach(cell, columns)
		hash = hash_combine64(hash, hash_columns(lfirst(cell)));
	return kept_plan(sql, hash);
}

TupleDesc
plan_columns(SPIPlanPtr plan)
{
	return source_of(plan)->resultDesc;
}

void
plan_release(SPIPlanPtr plan)
{
	if (!source_of(plan)->is_saved)
		(void) SPI_freeplan(plan);
}

/* ---- queries about one state ---- */

static void
push_snapshot(void)
{
	PushCopiedSnapshot(ActiveSnapshotSet() ? GetActiveSnapshot() : GetTransactionSnapshot());
	CommandCounterIncrement();
	UpdateActiveSnapshotCommandId();
}

int
read_query(const char *sql, int nparameters, Oid *types, Datum *values)
{
	int result;

	push_snapshot();
	result = nparameters > 0 ? SPI_execute_with_args(sql, nparameters, types, values, NULL, true, 0)
							 : SPI_execute(sql, true, 0);
	PopActiveSnapshot();
	return result;
}

int
read_plan(SPIPlanPtr plan, DestReceiver *receiver)
{
	SPIExecuteOptions options = {0};
	int result;

	options.must_return_tuples = true;
	options.read_only = true;
	options.dest = receiver;
	push_snapshot();
	result = SPI_execute_plan_extended(plan, &options);
	PopActiveSnapshot();
	return result;
}

/* ---- ephemeral relations ---- */

void
read_statement(const char *sql, TupleDesc columns, PlanStyle style)
{
	MemoryContext caller = CurrentMemoryContext;
	int level = identity_begin_statement();
	int result;

	if (columns == NULL)
		result = read_query(sql, 0, NULL, NULL);
	else
	{
		SPIPlanPtr plan = plan_statement(sql, columns, style);

		result = read_plan(plan, NULL);
		plan_release(plan);
	}
	identity_end_statement(level);
	MemoryContextSwitchTo(caller); /* SPI switched to a context of its own */
	if (result < 0)
		elog(ERROR, "evaluation of a statement failed: %s", SPI_result_code_string(result));
}

void
register_tuplestore(const char *name, TupleDesc desc, Tuplestorestate *rows, uint64 nrows)
{
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));
	int result;

	relation->md.name = pstrdup(name);
	relation->md.reliddesc = InvalidOid;
	relation->md.tupdesc = desc;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = nrows;
	relation->reldata = rows;
	result = SPI_register_relation(relation);
	if (result != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register relation %s: %s", name, SPI_result_code_string(result));
}
