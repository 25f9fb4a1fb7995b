/*-------------------------------------------------------------------------
 *
 * projection.c
 *		Loads with expressions or a filter over the source's rows.
 *
 * Expressions are evaluated here, never at the source: they are a user's text,
 * and the connection has the rights of the server's owner.  Changes are folded
 * in the layout of the source.  One statement then computes the rows of the
 * target from the delta, set by set, as the owner of the target.  A new image
 * that does not pass the filter becomes the deletion of its key: the row has
 * left the target, or was never in it.
 *
 * A row with columns that were not sent is computed as far as possible: a
 * column computed only from unchanged columns is unchanged itself.  A column
 * that needs both kinds cannot be known, nor can a filter that uses an
 * unchanged column.
 *
 * Texts belong to the user, with the search_path of their author.  They are
 * analysed under it when the columns of the source are known.  The text that
 * runs, under the pinned path, is made from that analysis, is proved to have
 * the same meaning (core/querytext), and is kept from then on (settled.c).  A
 * definition without a path is older than recorded paths: its texts have their
 * meaning under the pinned path, and run unchanged.
 *
 *-------------------------------------------------------------------------
 */
#include "load/projection.h"

#include "access/sysattr.h"
#include "core/identity.h"
#include "core/path.h"
#include "core/querytext.h"
#include "core/settings.h"
#include "core/sqltext.h"
#include "executor/spi.h"
#include "load/names.h"
#include "load/settled.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "quality/expression.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

/* the relation that expressions see */
#define SOURCE_NAME "source"

typedef struct ProjectedColumn
{
	char *name;
	char *sql;
	Bitmapset *inputs; /* columns of the source, from 0 */
	int plain;         /* the column of the source, from 0; -1: computed */
	Oid type;
	int32 typmod;
} ProjectedColumn;

struct Projection
{
	TupleDesc source;
	const char *path;  /* of the definition; NULL: the pinned one */
	List *was_settled; /* of SettledText: before this analysis */
	List *settled;     /* since */
	int ncolumns;
	ProjectedColumn *columns;
	char *filter; /* NULL: none */
	Bitmapset *filter_inputs;
};

/* ---- definitions ---- */

static Jsonb *
columns_json(const Load *load)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(load->columns)));
}

/* The entry of a column in the definition; false if there is none. */
static bool
column_entry(const Load *load, const char *column, JsonbValue *value)
{
	return load->columns != NULL &&
		   getKeyJsonValueFromContainer(&columns_json(load)->root, column, strlen(column), value) !=
			   NULL;
}

bool
projection_leaves_out(const Load *load, const char *column)
{
	JsonbValue value;

	return column_entry(load, column, &value) && value.type == jbvNull;
}

/* Names of the columns that have an entry of this kind: an expression, or null. */
static List *
names_with(const Load *load, enum jbvType type)
{
	List *names = NIL;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue value;
	char *name = NULL;

	if (load->columns == NULL)
		return NIL;
	iterator = JsonbIteratorInit(&columns_json(load)->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE && value.type == type)
			names = lappend(names, name);
	}
	return names;
}

static List *
computed_names(const Load *load)
{
	return names_with(load, jbvString);
}

List *
projection_left_out(const Load *load)
{
	return names_with(load, jbvNull);
}

static char *
expression_text(const Load *load, const char *column)
{
	JsonbValue value;

	if (!column_entry(load, column, &value) || value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

bool
projection_computes(const Load *load, const char *column)
{
	return expression_text(load, column) != NULL;
}

static bool
mentions(const char *text, const char *column)
{
	size_t length = strlen(column);

	for (; text != NULL && *text != '\0'; text++)
		if (pg_strncasecmp(text, column, length) == 0)
			return true;
	return false;
}

bool
projection_needs(const Load *load, const char *column)
{
	ListCell *cell;

	if (!projection_leaves_out(load, column) || mentions(load->row_filter, column))
		return true;
	foreach(cell, computed_names(load))
		if (mentions(expression_text(load, lfirst(cell)), column))
			return true;
	return false;
}

bool
projection_wanted(const Load *load)
{
	return load->row_filter != NULL || computed_names(load) != NIL;
}

static char *
describe_column(const char *name)
{
	return psprintf("expression of column \"%s\"", name);
}

static void
check_columns_shape(const Load *load)
{
	Jsonb *json = columns_json(load);
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue value;

	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"columns\" must be a JSON object"),
				 errhint("For example: {\"email\": \"lower(email)\", \"ssn\": null}.")));
	iterator = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY && (value.val.string.len == 0 || value.val.string.len >= NAMEDATALEN))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("argument \"columns\" has a key that cannot be the name of a column")));
		if (token == WJB_VALUE && value.type != jbvNull && value.type != jbvString)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("values in argument \"columns\" must be SQL expressions or null"),
					 errhint("For example: {\"email\": \"lower(email)\", \"ssn\": null}.")));
	}
}

void
projection_check_definition(const Load *load)
{
	ListCell *cell;

	if (load->row_filter != NULL)
		expression_check_syntax(load->row_filter, "row_filter");
	if (load->columns == NULL)
		return;
	check_columns_shape(load);
	foreach(cell, computed_names(load))
		expression_check_syntax(expression_text(load, lfirst(cell)), describe_column(lfirst(cell)));
	foreach(cell, load->key)
		if (projection_leaves_out(load, lfirst(cell)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("key column \"%s\" cannot be left out", (char *) lfirst(cell))));
}

/* ---- analysis ---- */

static void
refuse(const char *what, int sqlstate, const char *thing)
{
	ereport(ERROR, (errcode(sqlstate), errmsg("%s must not contain %s", what, thing)));
}

static ParseState *
source_parsestate(TupleDesc source)
{
	ParseState *pstate = make_parsestate(NULL);
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));
	ParseNamespaceItem *item;

	relation->md.name = pstrdup(SOURCE_NAME);
	relation->md.tupdesc = source;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	pstate->p_queryEnv = create_queryEnv();
	register_ENR(pstate->p_queryEnv, relation);
	item = addRangeTableEntryForENR(pstate, makeRangeVar(NULL, pstrdup(SOURCE_NAME), -1), true);
	addNSItemToQuery(pstate, item, true, true, true);
	return pstate;
}

static void
check_expression(ParseState *pstate, Node *expr, const char *what)
{
	if (pstate->p_hasAggs)
		refuse(what, ERRCODE_GROUPING_ERROR, "an aggregate");
	if (pstate->p_hasWindowFuncs)
		refuse(what, ERRCODE_WINDOWING_ERROR, "a window function");
	if (pstate->p_hasSubLinks)
		refuse(what, ERRCODE_FEATURE_NOT_SUPPORTED, "a subquery");
	if (pstate->p_hasTargetSRFs)
		refuse(what, ERRCODE_FEATURE_NOT_SUPPORTED, "a set-returning function");
	if (contain_volatile_functions(expr))
		refuse(what, ERRCODE_INVALID_OBJECT_DEFINITION, "a volatile function");
}

/* Columns of the source that an expression uses, from 0. */
static Bitmapset *
inputs_of(Node *expr, const char *what)
{
	Bitmapset *attributes = NULL;
	Bitmapset *inputs = NULL;
	int member = -1;

	pull_varattnos(expr, 1, &attributes);
	while ((member = bms_next_member(attributes, member)) >= 0)
	{
		AttrNumber attnum = member + FirstLowInvalidHeapAttributeNumber;

		if (attnum <= 0)
			refuse(what, ERRCODE_FEATURE_NOT_SUPPORTED, "a reference to the whole row");
		inputs = bms_add_member(inputs, attnum - 1);
	}
	return inputs;
}

typedef struct SourceText
{
	TupleDesc source;
	const char *what;
	bool boolean;
	RangeTblEntry *entry; /* of the source's rows, since the last analysis */
	Bitmapset *inputs;
} SourceText;

/* Under the path that is in force. */
static Node *
analyse(const char *text, void *argument)
{
	SourceText *of = argument;
	ParseState *pstate = source_parsestate(of->source);
	List *statements = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;
	Node *expr;

	pstate->p_sourcetext = text;
	expr = transformExpr(pstate,
						 linitial_node(ResTarget, select->targetList)->val,
						 EXPR_KIND_SELECT_TARGET);
	if (of->boolean)
		expr = coerce_to_boolean(pstate, expr, of->what);
	else if (exprType(expr) == UNKNOWNOID)
		expr = coerce_type(pstate,
						   expr,
						   UNKNOWNOID,
						   TEXTOID,
						   -1,
						   COERCION_IMPLICIT,
						   COERCE_IMPLICIT_CAST,
						   -1);
	assign_expr_collations(pstate, expr);
	check_expression(pstate, expr, of->what);
	of->inputs = inputs_of(expr, of->what);
	of->entry = linitial(pstate->p_rtable);
	free_parsestate(pstate);
	return expr;
}

/* Literals in a form that any settings read; columns always qualified by their relation. */
static char *
deparse(Node *expr, bool prefixed, void *argument)
{
	SourceText *of = argument;
	PlannedStmt *scope = makeNode(PlannedStmt);
	int level = NewGUCNestLevel();
	char *sql;

	settings_pin_literals();
	scope->rtable = list_make1(of->entry);
	sql = deparse_expression(expr,
							 deparse_context_for_plan_tree(scope, list_make1(pstrdup(SOURCE_NAME))),
							 true,
							 false);
	AtEOXact_GUC(false, level);
	return sql;
}

/* The analysis of a text under the path of its definition, and the text that runs for it. */
static Node *
settle(const char *path, const char *text, SourceText *of, char **sql)
{
	static const TextMethods methods = {deparse, analyse};
	int level = NewGUCNestLevel();
	Bitmapset *inputs;
	char *problem;
	Node *expr;

	path_check(path, GetUserId());
	path_enter(path);
	expr = analyse(text, of);
	inputs = of->inputs;
	AtEOXact_GUC(false, level);
	*sql = querytext_prove(expr, &methods, of, &problem);
	if (*sql == NULL)
		querytext_refuse(of->what, problem);
	of->inputs = inputs;
	return expr;
}

/* The text that runs for the text of a definition, in parentheses. expr: its analysis. */
static char *
text_to_run(Projection *projection, const char *text, SourceText *of, Node **expr)
{
	const SettledText *settled =
		settled_find(projection->was_settled, of->what, text, projection->source);
	char *sql;

	if (projection->path == NULL)
	{
		*expr = analyse(text, of);
		return psprintf("(%s\n)", text); /* it may end with a comment */
	}
	if (settled != NULL)
		*expr = analyse(settled->sql, of);
	else
	{
		*expr = settle(projection->path, text, of, &sql);
		settled = settled_make(of->what, text, sql, projection->source, of->inputs);
	}
	projection->settled = lappend(projection->settled, unconstify(SettledText *, settled));
	return psprintf("(%s)", settled->sql);
}

static void
add_plain(Projection *projection, int number)
{
	Form_pg_attribute att = TupleDescAttr(projection->source, number);
	ProjectedColumn *column = &projection->columns[projection->ncolumns++];

	column->name = pstrdup(NameStr(att->attname));
	column->sql = psprintf(SOURCE_NAME ".%s", sql_identifier(column->name));
	column->inputs = bms_make_singleton(number);
	column->plain = number;
	column->type = att->atttypid;
	column->typmod = att->atttypmod;
}

static void
add_computed(Projection *projection, const char *name, const char *text)
{
	ProjectedColumn *column = &projection->columns[projection->ncolumns++];
	SourceText of = {.source = projection->source, .what = describe_column(name)};
	Node *expr;

	column->name = pstrdup(name);
	column->sql = text_to_run(projection, text, &of, &expr);
	column->inputs = of.inputs;
	column->plain = -1;
	column->type = exprType(expr);
	column->typmod = exprTypmod(expr);
}

static void
add_filter(Projection *projection, const char *text)
{
	SourceText of = {.source = projection->source, .what = "row_filter", .boolean = true};
	Node *expr;

	projection->filter = text_to_run(projection, text, &of, &expr);
	projection->filter_inputs = of.inputs;
}

static bool
has_attribute(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return true;
	return false;
}

Projection *
projection_create(const Load *load, List *key, TupleDesc source)
{
	Projection *projection = palloc0(sizeof(Projection));
	List *computed = computed_names(load);
	ListCell *cell;

	projection->source = CreateTupleDescCopy(source);
	projection->path = path_of_settings(load->target->settings);
	projection->was_settled = settled_read(load->settled);
	projection->columns = palloc0(sizeof(ProjectedColumn) *
								  (source->natts + list_length(computed) + 1));
	for (int i = 0; i < source->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(source, i)->attname);

		if (names_contain(computed, name) && names_contain(key, name))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("key column \"%s\" cannot be computed", name)));
		if (names_contain(computed, name))
			add_computed(projection, name, expression_text(load, name));
		else if (!projection_leaves_out(load, name))
			add_plain(projection, i);
	}
	foreach(cell, computed)
		if (!has_attribute(source, lfirst(cell)))
			add_computed(projection, lfirst(cell), expression_text(load, lfirst(cell)));
	if (load->row_filter != NULL)
		add_filter(projection, load->row_filter);
	return projection;
}

List *
projection_settled(const Projection *projection)
{
	return settled_write(projection->settled);
}

TupleDesc
projection_source(const Projection *projection)
{
	return projection->source;
}

List *
projection_names(const Projection *projection)
{
	List *names = NIL;

	for (int i = 0; i < projection->ncolumns; i++)
		names = lappend(names, pstrdup(projection->columns[i].name));
	return names;
}

static const ProjectedColumn *
look_for_column(const Projection *projection, const char *name)
{
	for (int i = 0; i < projection->ncolumns; i++)
		if (strcmp(projection->columns[i].name, name) == 0)
			return &projection->columns[i];
	return NULL;
}

static const ProjectedColumn *
find_column(const Projection *projection, const char *name)
{
	const ProjectedColumn *column = look_for_column(projection, name);

	if (column == NULL)
		elog(ERROR, "column \"%s\" is not projected", name);
	return column;
}

List *
projection_inputs(const Projection *projection, const char *name)
{
	const Bitmapset *inputs = name == NULL ? projection->filter_inputs
										   : find_column(projection, name)->inputs;
	List *names = NIL;
	int number = -1;

	while ((number = bms_next_member(inputs, number)) >= 0)
		names = lappend(names, NameStr(TupleDescAttr(projection->source, number)->attname));
	return names;
}

char *
projection_type(const Projection *projection, const char *name)
{
	const ProjectedColumn *column = find_column(projection, name);

	return sql_type(column->type, column->typmod);
}

/* Without its modifier. */
char *
projection_base_type(const Projection *projection, const char *name)
{
	return format_type_be_qualified(find_column(projection, name)->type);
}

/* ---- statements ---- */

/* ", expression::type" for each column of desc. guarded: evaluated only if this condition holds. */
static void
append_columns(StringInfo sql, const Projection *projection, TupleDesc desc, const char *guard)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const ProjectedColumn *column = look_for_column(projection, NameStr(att->attname));
		bool whole = guard == NULL || column == NULL || column->plain >= 0;

		appendStringInfo(sql,
						 "%s%s%s%s::%s",
						 sql->len > 0 ? ", " : "",
						 whole ? "" : psprintf("(CASE WHEN %s THEN ", guard),
						 column == NULL ? "NULL"
										: column->sql, /* the source no longer has such a column */
						 whole ? "" : " END)",
						 sql_type(att->atttypid, att->atttypmod));
	}
}

char *
projection_rows_sql(const Projection *projection, const char *relation, TupleDesc desc)
{
	StringInfoData columns;

	initStringInfo(&columns);
	append_columns(&columns, projection, desc, NULL);
	return psprintf("SELECT %s FROM %s " SOURCE_NAME "%s%s",
					columns.data,
					sql_identifier(relation),
					projection->filter != NULL ? " WHERE " : "",
					projection->filter != NULL ? projection->filter : "");
}

/*
 * With a key: a new image that does not pass the filter deletes its key.  The
 * filter may have excluded the earlier row of the key as well
 * (filtered_before).  Bags: new and old images that do not pass are ignored.
 */
static char *
delta_sql(const Projection *projection, Delta *from, Delta *into)
{
	const char *filter = projection->filter != NULL ? projection->filter : "true";
	bool keyed = from->nkeys > 0;
	StringInfoData columns;

	initStringInfo(&columns);
	append_columns(&columns,
				   projection,
				   into->columns,
				   keyed ? SOURCE_NAME "._depipe_passes" : NULL);
	return psprintf("SELECT %s, " SOURCE_NAME "._depipe_sequence, " SOURCE_NAME
					"._depipe_lsn, " SOURCE_NAME "._depipe_time, " SOURCE_NAME
					"._depipe_pair, " SOURCE_NAME "._depipe_replaced, %s, %s FROM"
					" (SELECT " SOURCE_NAME ".*, (CASE WHEN %s THEN %s ELSE false END) IS TRUE"
					" AS _depipe_passes FROM %s " SOURCE_NAME ") " SOURCE_NAME "%s",
					keyed ? "CASE WHEN " SOURCE_NAME "._depipe_passes THEN " SOURCE_NAME
							"._depipe_weight ELSE (-1)::pg_catalog.int8 END"
						  : SOURCE_NAME "._depipe_weight",
					projection->filter == NULL
						? SOURCE_NAME "._depipe_before"
						: "(CASE WHEN " SOURCE_NAME "._depipe_before OPERATOR(pg_catalog.=) 0"
						  " THEN 0 WHEN " SOURCE_NAME "._depipe_before OPERATOR(pg_catalog.>) 1"
						  " THEN 3 END)::pg_catalog.int2",
					columns.data,
					keyed ? SOURCE_NAME "._depipe_weight OPERATOR(pg_catalog.>) 0" : "true",
					filter,
					from->name,
					keyed ? "" : " WHERE " SOURCE_NAME "._depipe_passes");
}

static void
project(const Projection *projection, Target *target, Delta *from, Delta *into)
{
	Identity identity;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	delta_register(from);
	identity_become_with(target->owner, target->settings, &identity);
	PushActiveSnapshot(GetTransactionSnapshot());
	delta_fill_from_query(into, delta_sql(projection, from, into), NIL);
	PopActiveSnapshot();
	identity_restore(&identity);
	delta_unregister(from);
	SPI_finish();
}

/* ---- rows that are not whole ---- */

/* The columns of the target that stay unknown; false if that cannot be determined. */
static bool
map_unknown(const Projection *projection, const PartialRow *row, Delta *into, Bitmapset **unknown,
			char **reason)
{
	*unknown = NULL;
	if (bms_overlap(projection->filter_inputs, row->unknown))
	{
		*reason = pstrdup("row_filter needs a value that the source did not send");
		return false;
	}
	for (int i = 0; i < into->columns->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(into->columns, i)->attname);
		const ProjectedColumn *column = find_column(projection, name);

		if (!bms_overlap(column->inputs, row->unknown))
			continue;
		if (!bms_is_subset(column->inputs, row->unknown))
		{
			*reason = psprintf("column \"%s\" needs a value that the source did not send", name);
			return false;
		}
		*unknown = bms_add_member(*unknown, i);
	}
	return true;
}

/* The partial rows as whole rows, numbered in order; unknown columns are null. */
static Delta *
partial_rows(Delta *from)
{
	Delta *rows = delta_create_for_columns(from->columns,
										   NIL,
										   MemoryContextGetParent(from->context));
	bool *nulls = palloc(sizeof(bool) * from->columns->natts);
	ListCell *cell;

	foreach(cell, from->partial)
	{
		PartialRow *row = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < from->columns->natts; i++)
			nulls[i] = row->nulls[i] || bms_is_member(i, row->unknown);
		delta_append(rows, 1, row->values, nulls);
	}
	rows->nkeys = from->nkeys; /* so that a row that the filter drops is a deletion */
	return rows;
}

/* The base is identified by key columns, which are plain and of the same type. */
static void
map_base(const Projection *projection, const PartialRow *row, Delta *into, PartialRow *mapped)
{
	for (int i = 0; i < into->columns->natts; i++)
	{
		const ProjectedColumn *column = find_column(
			projection,
			NameStr(TupleDescAttr(into->columns, i)->attname));
		Form_pg_attribute att = TupleDescAttr(into->columns, i);

		mapped->base_nulls[i] = true;
		if (column->plain < 0 || row->base_nulls[column->plain])
			continue;
		mapped->base_nulls[i] = false;
		mapped->base_values[i] = datumCopy(row->base_values[column->plain],
										   att->attbyval,
										   att->attlen);
	}
}

/* The filter may have excluded the earlier row of the key. */
static int
filtered_before(int before)
{
	switch (before)
	{
		case BEFORE_NONE:
			return BEFORE_NONE;
		case BEFORE_OTHER:
		case BEFORE_GONE:
			return BEFORE_GONE;
		default:
			return BEFORE_UNKNOWN;
	}
}

/* In into's context, current. */
static PartialRow *
map_partial(const Projection *projection, const PartialRow *row, Delta *into, TupleTableSlot *slot,
			Bitmapset *unknown)
{
	int natts = into->columns->natts;
	PartialRow *mapped = palloc0(sizeof(PartialRow));

	*mapped = *row;
	if (projection->filter != NULL)
		mapped->before = filtered_before(row->before);
	mapped->unknown = bms_copy(unknown);
	mapped->values = palloc0(sizeof(Datum) * natts);
	mapped->nulls = palloc0(sizeof(bool) * natts);
	mapped->base_values = palloc0(sizeof(Datum) * natts);
	mapped->base_nulls = palloc0(sizeof(bool) * natts);
	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(into->columns, i);
		Datum value = slot_getattr(slot, DELTA_FIXED + i + 1, &mapped->nulls[i]);

		if (!mapped->nulls[i])
			mapped->values[i] = datumCopy(value, att->attbyval, att->attlen);
	}
	map_base(projection, row, into, mapped);
	return mapped;
}

/* One projected partial row: a deletion, a whole row, or a partial one again. */
static void
take_partial(const Projection *projection, const PartialRow *row, Delta *into, TupleTableSlot *slot,
			 Bitmapset *unknown)
{
	bool isnull;
	int64 weight = DatumGetInt64(slot_getattr(slot, DELTA_WEIGHT, &isnull));

	into->lsn = row->lsn;
	into->time = row->time;
	if (weight > 0 && unknown != NULL)
		into->partial = lappend(into->partial, map_partial(projection, row, into, slot, unknown));
	else
	{
		slot_getallattrs(slot);
		delta_append(into, weight, slot->tts_values + DELTA_FIXED, slot->tts_isnull + DELTA_FIXED);
	}
}

static bool
project_partial(const Projection *projection, Target *target, Delta *from, Delta *into,
				char **reason)
{
	Delta *rows = partial_rows(from);
	Delta *projected = delta_create_like(into);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(into->desc, &TTSOpsMinimalTuple);
	MemoryContext old = MemoryContextSwitchTo(into->context);
	bool done = true;

	projected->next_sequence = 1; /* numbers of partial rows */
	project(projection, target, rows, projected);
	delta_rewind(projected);
	while (done && delta_next(projected, slot))
	{
		bool isnull;
		int64 number = DatumGetInt64(slot_getattr(slot, DELTA_SEQUENCE, &isnull));
		PartialRow *row = list_nth(from->partial, number - 1);
		Bitmapset *unknown;

		done = map_unknown(projection, row, into, &unknown, reason);
		if (done)
			take_partial(projection, row, into, slot, unknown);
	}
	MemoryContextSwitchTo(old);
	ExecDropSingleTupleTableSlot(slot);
	delta_destroy(projected);
	delta_destroy(rows);
	return done;
}

bool
projection_apply(const Projection *projection, Target *target, Delta *from, Delta *into,
				 char **reason)
{
	int64 changes = from->changes;

	project(projection, target, from, into);
	into->clear = from->clear;
	into->time = from->time;
	into->checked = from->checked;
	into->next_sequence = Max(into->next_sequence, from->next_sequence);
	if (from->partial != NIL && !project_partial(projection, target, from, into, reason))
		return false;
	into->changes = changes;
	return true;
}
