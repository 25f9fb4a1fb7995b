/*-------------------------------------------------------------------------
 *
 * accepted.c
 *		Rows that no longer count as violations of a constraint.
 *
 * A row is accepted by the image of its key (of the whole row, if it has none) and
 * of the columns that the constraint reads, so that it counts again as soon as one
 * of these changes.
 * Hashes of the images are stored.  The constraint is then about the rows whose
 * hashes are not among them: its filter says so, and everything that evaluates
 * the constraint (gate, counts of the table, searches) agrees.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/accepted.h"

#include "access/table.h"
#include "core/sqltext.h"
#include "quality/row_key.h"
#include "utils/lsyscache.h"

/* A row without a key is identified by all of its columns. */
static List *
identity_names(const Target *target)
{
	AttrNumber *attnums;
	int count = row_identity_attributes(target, &attnums);
	List *names = NIL;
	Relation rel;

	for (int i = 0; i < count; i++)
		names = lappend(names, get_attname(target->relid, attnums[i], false));
	if (count > 0)
		return names;
	rel = table_open(target->relid, AccessShareLock);
	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);

		if (!att->attisdropped && att->attgenerated == '\0')
			names = lappend(names, pstrdup(NameStr(att->attname)));
	}
	table_close(rel, NoLock);
	return names;
}

static bool
has_name(List *names, const char *name)
{
	ListCell *cell;

	foreach(cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

char *
accepted_hash_sql(const Target *target, const DataConstraint *constraint)
{
	List *names = identity_names(target);
	StringInfoData list;
	ListCell *cell;

	foreach(cell, constraint->row->columns)
		if (!has_name(names, lfirst(cell)))
			names = lappend(names, lfirst(cell));
	initStringInfo(&list);
	foreach(cell, names)
		appendStringInfo(&list,
						 "%s" CHECK_ROW ".%s",
						 list.len > 0 ? ", " : "",
						 sql_identifier(lfirst(cell)));
	return psprintf("pg_catalog.sha256(depipe.row_image(ROW(%s)))", list.data);
}

void
accepted_leave_out(const Target *target, DataConstraint *constraint)
{
	ConstraintRow *row;
	StringInfoData hashes;
	ListCell *cell;

	if (constraint->row->accepted == NIL || !OidIsValid(target->relid) ||
		constraint->row->is_aggregate || constraint->compile_sqlstate != 0)
		return;
	initStringInfo(&hashes);
	foreach(cell, constraint->row->accepted)
		appendStringInfo(&hashes, "%s\\\\x%s", hashes.len > 0 ? "," : "", (char *) lfirst(cell));
	row = palloc(sizeof(ConstraintRow));
	*row = *constraint->row;
	row->filter_expression = psprintf(
		"(%s) AND NOT (%s OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.bytea[]))",
		row->filter_expression != NULL ? row->filter_expression : "true",
		accepted_hash_sql(target, constraint),
		sql_literal(psprintf("{%s}", hashes.data)));
	constraint->row = row;
}
