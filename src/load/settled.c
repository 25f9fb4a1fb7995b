/*-------------------------------------------------------------------------
 *
 * settled.c
 *		The settled meaning of filters and expressions of a load.
 *
 * A text of a definition is analysed under the search_path of its author once,
 * when the columns that it reads are known.  The resulting meaning is kept and
 * used from then on.  A function or an operator that is created later in one of
 * those schemas, and that would fit better, is never chosen: it would run as
 * the owner of the target.
 *
 * Invariant: a settled text is used only while the columns that it reads have
 * the types that they had at the analysis.  A new definition discards all
 * settled texts.
 *
 *-------------------------------------------------------------------------
 */
#include "load/settled.h"

#include "core/sqltext.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* A column with all properties that the analysis of an expression uses. */
static char *
describe_input(TupleDesc source, int number)
{
	Form_pg_attribute att = TupleDescAttr(source, number);
	char *type = format_type_extended(att->atttypid,
									  att->atttypmod,
									  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
	char *collation = OidIsValid(att->attcollation) ? get_collation_name(att->attcollation) : NULL;

	return psprintf("%s %s%s%s",
					sql_identifier(NameStr(att->attname)),
					type,
					collation == NULL ? "" : " COLLATE ",
					collation == NULL ? "" : sql_identifier(collation));
}

static bool
has_input(TupleDesc source, const char *input)
{
	for (int i = 0; i < source->natts; i++)
		if (strcmp(describe_input(source, i), input) == 0)
			return true;
	return false;
}

/* Stored as one list: of, text, sql, the number of inputs, and the inputs. */
List *
settled_read(List *kept)
{
	List *texts = NIL;
	int next = 0;

	while (next + 3 < list_length(kept))
	{
		SettledText *settled = palloc0(sizeof(SettledText));
		int inputs;

		settled->of = list_nth(kept, next++);
		settled->text = list_nth(kept, next++);
		settled->sql = list_nth(kept, next++);
		inputs = atoi(list_nth(kept, next++));
		for (; inputs > 0 && next < list_length(kept); inputs--)
			settled->inputs = lappend(settled->inputs, list_nth(kept, next++));
		texts = lappend(texts, settled);
	}
	return texts;
}

List *
settled_write(List *texts)
{
	List *kept = NIL;
	ListCell *cell;

	foreach(cell, texts)
	{
		const SettledText *settled = lfirst(cell);

		kept = lappend(kept, pstrdup(settled->of));
		kept = lappend(kept, pstrdup(settled->text));
		kept = lappend(kept, pstrdup(settled->sql));
		kept = lappend(kept, psprintf("%d", list_length(settled->inputs)));
		kept = list_concat(kept, settled->inputs);
	}
	return kept;
}

const SettledText *
settled_find(List *texts, const char *of, const char *text, TupleDesc source)
{
	ListCell *cell;
	ListCell *input;

	foreach(cell, texts)
	{
		const SettledText *settled = lfirst(cell);
		bool same = strcmp(settled->of, of) == 0 && strcmp(settled->text, text) == 0;

		foreach(input, settled->inputs)
			same = same && has_input(source, lfirst(input));
		if (same)
			return settled;
	}
	return NULL;
}

SettledText *
settled_make(const char *of, const char *text, const char *sql, TupleDesc source, Bitmapset *inputs)
{
	SettledText *settled = palloc0(sizeof(SettledText));
	int number = -1;

	settled->of = pstrdup(of);
	settled->text = pstrdup(text);
	settled->sql = pstrdup(sql);
	while ((number = bms_next_member(inputs, number)) >= 0)
		settled->inputs = lappend(settled->inputs, describe_input(source, number));
	return settled;
}
