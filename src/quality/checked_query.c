/*-------------------------------------------------------------------------
 *
 * checked_query.c
 *		Queries of users as parts of checks.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/checked_query.h"

#include "core/querytext.h"
#include "core/settings.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"

static RawStmt *
parse(const char *text)
{
	List *statements = pg_parse_query(text);
	RawStmt *statement = list_length(statements) == 1 ? linitial(statements) : NULL;

	if (statement == NULL || !IsA(statement->stmt, SelectStmt) ||
		((SelectStmt *) statement->stmt)->intoClause != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query of a check must be a single SELECT")));
	return statement;
}

void
checked_query_syntax(const char *text)
{
	(void) parse(text);
}

static void
check_query(Query *query)
{
	if (query->hasModifyingCTE || query->rowMarks != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query of a check must not write or lock rows")));
	if (contain_volatile_functions((Node *) query))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("query of a check must not contain a volatile function"),
				 errhint("A check must give the same answer for the same rows within a"
						 " statement.")));
}

static List *
result_columns(const Query *query)
{
	List *columns = NIL;
	ListCell *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst(cell);
		QueryColumn *column;

		if (entry->resjunk)
			continue;
		column = palloc(sizeof(QueryColumn));
		column->name = pstrdup(entry->resname);
		column->type = exprType((Node *) entry->expr);
		column->collation = exprCollation((Node *) entry->expr);
		columns = lappend(columns, column);
	}
	return columns;
}

char *
checked_query(const char *text, List **columns)
{
	Query *query = parse_analyze_fixedparams(parse(text), text, NULL, 0, NULL);
	int level;
	char *problem;
	char *sql;

	check_query(query);
	*columns = result_columns(query);
	level = NewGUCNestLevel();
	settings_set("search_path", "pg_catalog, pg_temp");
	settings_pin_literals();
	sql = querytext_of_query(query, &problem);
	AtEOXact_GUC(false, level);
	if (sql == NULL)
		querytext_refuse("query of a check", problem);
	return sql;
}
