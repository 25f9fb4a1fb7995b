/*-------------------------------------------------------------------------
 *
 * column_lineage.c
 *		The rows of the view column_lineage.
 *
 * The query of each transform is analysed as its owner, and its columns are
 * followed to those of its inputs (query/origins).  The columns of a load
 * are followed to those of its source, as they were recorded.  Each target is
 * guarded: a query that cannot be analysed now is one row of use "unknown".
 *
 * A user sees the targets that the view lineage shows, with "(hidden)" for an
 * input that the user may not read.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "core/guarded.h"
#include "core/identity.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "load/layout.h"
#include "load/names.h"
#include "load/projection.h"
#include "load/recorded.h"
#include "miscadmin.h"
#include "query/binding.h"
#include "query/dag.h"
#include "query/origins.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Limit for the locks of an analysis. */
#define LONGEST_WAIT_MS 3000

#define USE_UNKNOWN "unknown"

CHECKED_FUNCTION(depipe_column_origins);

/* One target while it is examined. */
typedef struct Examined
{
	const DagNode *node;
	ReturnSetInfo *result;
	MemoryContext context; /* for what outlives the analysis */
	Target *target;
	Origins *origins;       /* of a transform */
	List *names;            /* of its columns, or those of the load */
	Projection *projection; /* of a load; NULL: its columns are those of the source */
	bool inspects;          /* the user may see definitions of the owner */
} Examined;

static void
put(const Examined *examined, const char *column, const char *input, const char *input_column,
	const char *effect, const char *use, const char *through)
{
	const char *texts[] =
		{examined->node->display, column, input, input_column, effect, use, through};
	Datum values[lengthof(texts)];
	bool nulls[lengthof(texts)];

	for (int i = 0; i < lengthof(texts); i++)
	{
		nulls[i] = texts[i] == NULL;
		values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(texts[i]);
	}
	tuplestore_putvalues(examined->result->setResult, examined->result->setDesc, values, nulls);
}

/* ---- transforms ---- */

static char *
function_name(Oid function)
{
	return psprintf("%s.%s",
					sql_identifier(get_namespace_name(get_func_namespace(function))),
					sql_identifier(get_func_name(function)));
}

static void
put_origin(const Examined *examined, const char *column, const Origin *origin)
{
	bool readable = examined->inspects || !OidIsValid(origin->relid) ||
					pg_class_aclcheck(origin->relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
	const char *input = NULL;
	const char *input_column = NULL;
	const char *through = NULL;

	if (!readable)
		input = DAG_HIDDEN;
	else if (OidIsValid(origin->relid))
	{
		input = sql_relation(origin->relid);
		input_column = get_attname(origin->relid, origin->attnum, true);
	}
	if (OidIsValid(origin->opaque))
		through = examined->inspects ? function_name(origin->opaque) : DAG_HIDDEN;
	put(examined,
		column,
		input,
		input_column,
		ORIGIN_IS_DIRECT(origin->use) ? "direct" : "indirect",
		origin_use_names[origin->use],
		through);
}

static bool
examine_transform(void *argument)
{
	Examined *examined = argument;
	Transform *transform = transform_get(examined->node->id);
	Identity identity;
	Shape *shape;
	MemoryContext old;

	identity_become_with(transform->target->owner, transform->target->settings, &identity);
	shape = transform_analyse(transform);
	old = MemoryContextSwitchTo(examined->context);
	examined->origins = origins_of_query(shape_blocks(shape)->query);
	examined->names = NIL;
	for (int i = 0; i < shape->columns->natts; i++)
		examined->names = lappend(examined->names,
								  pstrdup(NameStr(TupleDescAttr(shape->columns, i)->attname)));
	MemoryContextSwitchTo(old);
	identity_restore(&identity);
	return true;
}

static void
put_transform(const Examined *examined)
{
	ListCell *name;
	ListCell *cell;

	foreach(name, examined->names)
		foreach(cell, examined->origins->columns[foreach_current_index(name)])
			put_origin(examined, lfirst(name), lfirst(cell));
	foreach(cell, examined->origins->rows)
		put_origin(examined, NULL, lfirst(cell));
}

/* ---- loads ---- */

static List *
names_of_types(List *recorded)
{
	List *names = NIL;
	ListCell *cell;

	foreach(cell, recorded)
		names = lappend(names, ((RecordedColumn *) lfirst(cell))->type_name);
	return names;
}

static bool
examine_load(void *argument)
{
	Examined *examined = argument;
	MemoryContext old = MemoryContextSwitchTo(examined->context);
	Load *load = load_get(examined->node->id);
	List *recorded = recorded_columns(load);
	Identity identity;
	ListCell *cell;

	examined->names = NIL;
	if (projection_wanted(load) && recorded != NIL)
	{
		identity_become_with(load->target->owner, load->target->settings, &identity);
		examined->projection = projection_create(
			load,
			load->key,
			layout_of_source(recorded_names(load), names_of_types(recorded)));
		examined->names = projection_names(examined->projection);
		identity_restore(&identity);
	}
	else
		foreach(cell, recorded_names(load))
			if (!projection_leaves_out(load, lfirst(cell)))
				examined->names = lappend(examined->names, lfirst(cell));
	MemoryContextSwitchTo(old);
	return true;
}

static char *
source_display(const Load *load)
{
	char *table = sql_table(load->source_schema, load->source_table);

	if (load->server_name == NULL)
		return table;
	return psprintf("%s:%s", sql_identifier(load->server_name), table);
}

static void
put_load(const Examined *examined)
{
	Load *load = load_get(examined->node->id);
	char *source = source_display(load);
	ListCell *cell;
	ListCell *input;

	foreach(cell, examined->names)
	{
		const char *name = lfirst(cell);
		bool computed = projection_computes(load, name);

		if (get_attnum(examined->target->relid, name) == InvalidAttrNumber)
			continue;
		if (!computed)
			put(examined, name, source, name, "direct", origin_use_names[ORIGIN_IDENTITY], NULL);
		else
			foreach(input, projection_inputs(examined->projection, name))
				put(examined,
					name,
					source,
					lfirst(input),
					"direct",
					origin_use_names[ORIGIN_TRANSFORMATION],
					NULL);
	}
	if (examined->projection != NULL)
		foreach(input, projection_inputs(examined->projection, NULL))
			put(examined,
				NULL,
				source,
				lfirst(input),
				"indirect",
				origin_use_names[ORIGIN_FILTER],
				NULL);
}

/* ---- all targets ---- */

static void
examine(Examined *examined)
{
	bool transform = examined->node->kind == TARGET_TRANSFORM;
	ErrorData *error;

	examined->target = target_find_id(examined->node->id);
	if (examined->target == NULL || !OidIsValid(examined->target->relid) ||
		!identity_may_see(examined->target->owner, examined->target->relid))
		return;
	examined->inspects = identity_may_inspect(examined->target->owner);
	error = guarded_run_waiting(transform ? examine_transform : examine_load,
								examined,
								LONGEST_WAIT_MS);
	if (error != NULL)
		put(examined, NULL, NULL, NULL, NULL, USE_UNKNOWN, NULL);
	else if (transform)
		put_transform(examined);
	else
		put_load(examined);
}

/* SQL function column_origins(): the rows of the view column_lineage. */
static Datum
depipe_column_origins_checked(PG_FUNCTION_ARGS)
{
	Dag *dag;

	InitMaterializedSRF(fcinfo, 0);
	dag = dag_load();
	for (int i = 0; i < dag->nnodes; i++)
	{
		Examined examined = {.node = &dag->nodes[i],
							 .result = (ReturnSetInfo *) fcinfo->resultinfo,
							 .context = CurrentMemoryContext};

		if (examined.node->kind != TARGET_TABLE)
			examine(&examined);
	}
	return (Datum) 0;
}
