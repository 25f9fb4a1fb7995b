/*-------------------------------------------------------------------------
 *
 * strategy.c
 *		What the strategies have in common.
 *
 * A strategy runs with the identity of the transform's owner and the slice's
 * snapshot active, inside an SPI connection.
 *
 *-------------------------------------------------------------------------
 */
#include "transform/strategy.h"

#include "core/identity.h"
#include "core/sqltext.h"
#include "delta/difference.h"
#include "executor/spi.h"

static List *
column_names(TupleDesc columns)
{
	List *names = NIL;

	for (int i = 0; i < columns->natts; i++)
		names = lappend(names, pstrdup(NameStr(TupleDescAttr(columns, i)->attname)));
	return names;
}

Delta *
strategy_begin_delta(const StrategyContext *context)
{
	return delta_create(context->transform->target->relid,
						column_names(context->shape->columns),
						context->transform->key,
						FOLD_NONE,
						context->context);
}

void
strategy_refuse_duplicate_keys(const StrategyContext *context, Delta *delta, const char *relation)
{
	StringInfoData columns;
	ListCell *cell;

	if (delta->nkeys == 0 || key_is_unique(delta, relation))
		return;
	initStringInfo(&columns);
	foreach(cell, context->transform->key)
		appendStringInfo(&columns,
						 "%s%s",
						 columns.len > 0 ? ", " : "",
						 sql_identifier(lfirst(cell)));
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("key of transform %s is not unique", context->transform->target->display),
			 errdetail("The query returns more than one row for some value of (%s).", columns.data),
			 errhint("Declare a key that identifies the rows of the query, or an empty one.")));
}

bool
strategy_target_is_empty(const StrategyContext *context)
{
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData sql;
	int level = identity_begin_statement();
	bool empty;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT FROM %s LIMIT 1",
					 target_rows_sql(context->transform->target, NULL));
	if (SPI_execute(sql.data, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look into %s", context->transform->target->display);
	empty = SPI_processed == 0;
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(caller); /* SPI leaves us in its own, which ends with it */
	identity_end_statement(level);
	return empty;
}
