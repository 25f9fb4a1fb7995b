/*-------------------------------------------------------------------------
 *
 * net.c
 *		Netting: one delta from several terms of signed rows.
 *
 * The change of a query is a sum of terms, each of which returns rows with a
 * weight.  The same row may come with +1 from one term and -1 from another:
 * weights are added up per image, and what is left over is the delta.  It must
 * be done before the target is touched, for MERGE cannot cancel rows.
 *
 * Rows are added up by their images, so that 1.50 does not cancel 1.5.  Columns
 * whose equality is not equality of images (numeric, json, arrays, ...) are
 * grouped by the image of them; then one row of each group stands for all.
 *
 *-------------------------------------------------------------------------
 */
#include "delta/net.h"

#include "core/sqltext.h"
#include "delta/record_image.h"

/* ---- images ---- */

static bool
all_equalities_are_images(Delta *delta)
{
	for (int i = 0; i < delta->columns->natts; i++)
		if (!column_equal_is_same_image(TupleDescAttr(delta->columns, i)))
			return false;
	return true;
}

/* The columns that must be compared by their images. */
static TupleDesc
image_columns(Delta *delta)
{
	TupleDesc columns;
	int count = 0;

	/* 18 finds attributes by their number, which must not change afterwards */
	for (int i = 0; i < delta->columns->natts; i++)
		if (!column_equal_is_same_image(TupleDescAttr(delta->columns, i)))
			count++;
	columns = CreateTemplateTupleDesc(count);
	count = 0;
	for (int i = 0; i < delta->columns->natts; i++)
		if (!column_equal_is_same_image(TupleDescAttr(delta->columns, i)))
			TupleDescCopyEntry(columns, ++count, delta->columns, i + 1);
	return columns;
}

/* ---- netting ---- */

static const char *
column_name(Delta *delta, int i)
{
	return sql_identifier(NameStr(TupleDescAttr(delta->columns, i)->attname));
}

/* "(term UNION ALL term ...) u (_depipe_weight, columns)" */
static void
append_terms(StringInfo sql, Delta *delta, List *terms)
{
	ListCell *cell;

	appendStringInfoChar(sql, '(');
	foreach(cell, terms)
		appendStringInfo(sql,
						 "%s(%s)",
						 foreach_current_index(cell) > 0 ? " UNION ALL " : "",
						 (char *) lfirst(cell));
	appendStringInfoString(sql, ") u (_depipe_weight, ");
	sql_append_columns(sql, delta->columns, NULL);
	appendStringInfoChar(sql, ')');
}

static void
append_net_by_values(StringInfo sql, Delta *delta, List *terms)
{
	appendStringInfoString(sql,
						   "SELECT pg_catalog.sum(u._depipe_weight)::pg_catalog.int8"
						   " AS _depipe_weight, ");
	sql_append_columns(sql, delta->columns, "u");
	appendStringInfoString(sql, " FROM ");
	append_terms(sql, delta, terms);
	appendStringInfoString(sql, " GROUP BY ");
	sql_append_columns(sql, delta->columns, "u");
	appendStringInfoString(sql,
						   " HAVING pg_catalog.sum(u._depipe_weight) OPERATOR(pg_catalog.<>) 0");
}

static void
append_net_by_images(StringInfo sql, Delta *delta, List *terms)
{
	appendStringInfoString(sql, "SELECT i._depipe_weight, ");
	sql_append_columns(sql, delta->columns, "i");
	appendStringInfoString(sql,
						   " FROM (SELECT (pg_catalog.sum(u._depipe_weight)"
						   " OVER same)::pg_catalog.int8 AS _depipe_weight,"
						   " pg_catalog.row_number() OVER same AS _depipe_number, ");
	sql_append_columns(sql, delta->columns, "u");
	appendStringInfoString(sql, " FROM ");
	append_terms(sql, delta, terms);
	appendStringInfoString(sql, " WINDOW same AS (PARTITION BY ");
	for (int i = 0; i < delta->columns->natts; i++)
		if (column_equal_is_same_image(TupleDescAttr(delta->columns, i)))
			appendStringInfo(sql, "u.%s, ", column_name(delta, i));
	image_append(sql, image_columns(delta), "u");
	appendStringInfoString(sql,
						   ")) i WHERE i._depipe_number OPERATOR(pg_catalog.=) 1"
						   " AND i._depipe_weight OPERATOR(pg_catalog.<>) 0");
}

static void
append_net(StringInfo sql, Delta *delta, List *terms)
{
	if (all_equalities_are_images(delta))
		append_net_by_values(sql, delta, terms);
	else
		append_net_by_images(sql, delta, terms);
}

static void
append_keys(StringInfo sql, Delta *delta)
{
	for (int i = 0; i < delta->nkeys; i++)
		appendStringInfo(sql, "%sg.%s", i > 0 ? ", " : "", column_name(delta, delta->keys[i] - 1));
}

char *
net_sql(Delta *delta, List *terms)
{
	bool keyed = delta->nkeys > 0;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT g._depipe_weight, pg_catalog.row_number() OVER (");
	if (keyed)
	{
		appendStringInfoString(&sql, "ORDER BY ");
		append_keys(&sql, delta);
		appendStringInfoString(&sql, ", g._depipe_weight");
	}
	appendStringInfo(&sql, "), %s, ", NO_POSITION);
	if (keyed)
	{
		appendStringInfoString(&sql,
							   "g._depipe_weight OPERATOR(pg_catalog.<) 0"
							   " AND pg_catalog.bool_or(g._depipe_weight"
							   " OPERATOR(pg_catalog.>) 0) OVER (PARTITION BY ");
		append_keys(&sql, delta);
		appendStringInfoString(&sql, "), ");
	}
	else
		appendStringInfoString(&sql, "false, ");
	appendStringInfoString(&sql, "NULL::pg_catalog.int2, ");
	sql_append_columns(&sql, delta->columns, "g");
	appendStringInfoString(&sql, " FROM (");
	append_net(&sql, delta, terms);
	appendStringInfoString(&sql, keyed ? ") g ORDER BY 2" : ") g");
	return sql.data;
}

void
delta_fill_from_terms(Delta *delta, List *terms, List *columns)
{
	delta_fill_from_query(delta, net_sql(delta, terms), columns);
	delta->old_images = true;
}

char *
net_new_images(Delta *delta)
{
	return psprintf("(SELECT d.* FROM %s d,"
					" LATERAL pg_catalog.generate_series(1, d._depipe_weight) n) i",
					delta->name);
}
