/*-------------------------------------------------------------------------
 *
 * basis.c
 *		Conditions of a stream that it does not report: publication, partitions.
 *
 * If a table is removed from a publication and added again, or if a publication
 * publishes less for a while, changes are missing although everything looks as
 * before.  But then the row of pg_publication_rel has another OID, and that of
 * pg_publication was written by another transaction.  Both are recorded when a
 * table is copied, and compared when a session begins and at each look.
 *
 * An attached partition brings rows, a detached or dropped one takes rows away,
 * and a partition that is truncated alone loses them: none of this is in a
 * stream that is published via the root.  The partitions are recorded with
 * their files.  A look at them is judged when the stream has reached the
 * position of the source at that time: a TRUNCATE of the whole table gives all
 * partitions new files, and is recognized by its transaction once it arrives.
 *
 * A new partition is harmless if no row in it is older than its place in the
 * tree.
 *
 *-------------------------------------------------------------------------
 */
#include "load/basis.h"

#include "core/sqltext.h"
#include "utils/memutils.h"

#define FIRST_WITH_SCHEMAS 150000

static char *
relids_literal(List *tasks)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	appendStringInfoString(&text, "'{");
	foreach(cell, tasks)
		appendStringInfo(&text,
						 "%s%u",
						 cell == list_head(tasks) ? "" : ",",
						 ((LoadTask *) lfirst(cell))->source->relid);
	appendStringInfoString(&text, "}'::pg_catalog.oid[]");
	return text.data;
}

/* ---- publication ---- */

/*
 * "<publication> <its entries for the table, tables and schemas>": rows in the
 * order of the tasks, with their numbers from 1. The entries are looked up for
 * each table, because there may be thousands of both.
 */
static SourceRows *
published_rows(const Source *source, const Stream *stream, List *tasks)
{
	const char *schemas =
		source->control->version < FIRST_WITH_SCHEMAS
			? ""
			: " UNION ALL SELECT 's' || s.oid FROM pg_catalog.pg_class k"
			  " JOIN pg_catalog.pg_publication_namespace s ON s.pnnspid = k.relnamespace"
			  " WHERE k.oid = a.relid AND s.pnpubid = p.oid";

	return source_query(
		source->control,
		2,
		psprintf("SELECT u.n, p.oid || '/' || p.xmin || '/' || p.puballtables || ' '"
				 " || COALESCE((SELECT pg_catalog.string_agg(e.entry, ',' ORDER BY e.entry)"
				 " FROM (SELECT c.oid UNION"
				 " SELECT t.relid FROM pg_catalog.pg_partition_ancestors(c.oid) t(relid)) a(relid)"
				 " CROSS JOIN LATERAL"
				 " (SELECT r.oid || '/' || pg_catalog.md5(pg_catalog.to_jsonb(r)::text)"
				 " FROM pg_catalog.pg_publication_rel r"
				 " WHERE r.prrelid = a.relid AND r.prpubid = p.oid%s OFFSET 0) e(entry)), '')"
				 " FROM pg_catalog.unnest(%s) WITH ORDINALITY u(oid, n)"
				 " JOIN pg_catalog.pg_class c ON c.oid = u.oid, pg_catalog.pg_publication p"
				 " WHERE p.pubname = %s ORDER BY u.n",
				 schemas,
				 relids_literal(tasks),
				 sql_literal(stream->publication)),
		"read the publication");
}

/* The value of a task, by its number. *row: the first row that may belong to it. */
static char *
next_published(const SourceRows *rows, int number, int *row)
{
	if (*row >= rows->count || atoi(rows->values[*row][0]) != number)
		return NULL;
	return rows->values[(*row)++][1];
}

void
basis_describe_published(const Source *source, const Stream *stream, List *tasks)
{
	SourceRows *rows;
	ListCell *cell;
	int row = 0;

	if (tasks == NIL)
		return;
	rows = published_rows(source, stream, tasks);
	foreach(cell, tasks)
	{
		LoadTask *task = lfirst(cell);

		task->published_as = next_published(rows, foreach_current_index(cell) + 1, &row);
	}
}

char *
basis_published_problem(const Stream *stream, const LoadTask *task)
{
	const char *publication = stream->publication;
	const char *was = task->load->published_as;
	const char *is = task->published_as;
	size_t length;

	if (was == NULL || (is != NULL && strcmp(was, is) == 0))
		return NULL;
	length = strcspn(was, " ");
	if (is == NULL || strncmp(was, is, length + 1) != 0)
		return psprintf(
			"publication \"%s\" of the source was changed, and may have missed changes since",
			publication);
	if (is[length + 1] == '\0')
		return psprintf("the source table was removed from publication \"%s\"", publication);
	return psprintf(
		"the source table was removed from publication \"%s\" and added again, or its columns or"
		" filter there changed",
		publication);
}

bool
basis_is_published(const Source *source, const Stream *stream, List *tasks)
{
	SourceRows *rows;
	ListCell *cell;
	int row = 0;

	if (tasks == NIL)
		return true;
	rows = published_rows(source, stream, tasks);
	foreach(cell, tasks)
	{
		LoadTask *task = lfirst(cell);
		char *now = next_published(rows, foreach_current_index(cell) + 1, &row);

		if (task->published_as != NULL && (now == NULL || strcmp(now, task->published_as) != 0))
			return false;
	}
	return true;
}

/* ---- partitions ---- */

/* A partition in the form of source_leaves(): "oid file transaction schema.name". */
typedef struct Leaf
{
	Oid oid;
	Oid file;
	TransactionId xid; /* the transaction that wrote its row of pg_class */
	const char *name;
} Leaf;

static Leaf
parse_leaf(const char *text)
{
	Leaf leaf;
	char *end;

	leaf.oid = strtoul(text, &end, 10);
	leaf.file = strtoul(end, &end, 10);
	leaf.xid = strtoul(end, &end, 10);
	leaf.name = *end == ' ' ? end + 1 : end;
	return leaf;
}

/* The entry of a leaf in a list; NULL if there is none. */
static const char *
find_leaf(List *leaves, Oid oid)
{
	ListCell *cell;

	foreach(cell, leaves)
		if (strtoul(lfirst(cell), NULL, 10) == oid)
			return lfirst(cell);
	return NULL;
}

static bool
same_leaves(List *a, List *b)
{
	ListCell *left;
	ListCell *right;

	if (list_length(a) != list_length(b))
		return false;
	forboth(left, a, right, b)
	{
		Leaf one = parse_leaf(lfirst(left));
		Leaf other = parse_leaf(lfirst(right));

		if (one.oid != other.oid || one.file != other.file)
			return false;
	}
	return true;
}

bool
basis_files_changed(const LoadTask *task)
{
	ListCell *cell;

	foreach(cell, task->load->leaves)
	{
		Leaf was = parse_leaf(lfirst(cell));
		const char *now = find_leaf(task->source->leaves, was.oid);

		if (now != NULL && parse_leaf(now).file != was.file)
			return true;
	}
	return task->load->leaves == NIL;
}

/* Tasks whose source has partitions. */
static List *
partitioned_tasks(const TaskSet *set)
{
	List *tasks = NIL;
	ListCell *cell;

	foreach(cell, set->tasks)
	{
		LoadTask *task = lfirst(cell);

		if (!task->stopped && task->load->state == LOAD_STREAMING && task->source != NULL &&
			task->source->kind == RELKIND_PARTITIONED_TABLE)
			tasks = lappend(tasks, task);
	}
	return tasks;
}

void
basis_look_at_leaves(SeenLeaves *leaves, const TaskSet *set, const Source *source,
					 XLogRecPtr position)
{
	List *tasks = partitioned_tasks(set);
	MemoryContext old;
	ListCell *cell;

	leaves->position = position;
	if (tasks == NIL)
		return;
	if (leaves->context == NULL)
		leaves->context = AllocSetContextCreate(set->context,
												"depipe source partitions",
												ALLOCSET_SMALL_SIZES);
	MemoryContextReset(leaves->context);
	old = MemoryContextSwitchTo(leaves->context);
	foreach(cell, tasks)
	{
		LoadTask *task = lfirst(cell);

		task->seen_leaves = source_leaves(source->control, task->source->relid);
		task->leaves_seen = true;
	}
	MemoryContextSwitchTo(old);
}

/*
 * Does a new partition have rows that were not published as rows of the root?
 * These are rows written before it had its place in the tree.  If it was
 * created as a partition, only its own transaction can have written them.
 */
static char *
older_rows_sql(const SourceTable *root, const Leaf *leaf)
{
	return psprintf("WITH RECURSIVE place (oid, xid, cid, made) AS (SELECT %u::pg_catalog.oid,"
					" NULL::pg_catalog.xid, NULL::pg_catalog.cid, NULL::boolean"
					" UNION ALL SELECT i.inhparent,"
					" CASE WHEN p.xid IS NULL OR pg_catalog.age(i.xmin) < pg_catalog.age(p.xid)"
					" THEN i.xmin ELSE p.xid END,"
					" CASE WHEN p.xid IS NULL OR pg_catalog.age(i.xmin) < pg_catalog.age(p.xid)"
					" THEN i.cmin ELSE p.cid END,"
					" CASE WHEN p.xid IS NULL THEN EXISTS (SELECT FROM pg_catalog.pg_attribute a"
					"  WHERE a.attrelid = i.inhrelid AND a.attnum = -1 AND a.xmin = i.xmin)"
					" ELSE p.made AND pg_catalog.age(i.xmin) >= pg_catalog.age(p.xid) END"
					" FROM place p JOIN pg_catalog.pg_inherits i ON i.inhrelid = p.oid)"
					" SELECT EXISTS (SELECT FROM ONLY %s x, place p"
					" WHERE p.oid = %u AND p.xid IS NOT NULL AND ("
					" (x.xmin = p.xid AND x.cmin::text::bigint < p.cid::text::bigint)"
					" OR (NOT p.made AND pg_catalog.age(x.xmin) > pg_catalog.age(p.xid))))",
					leaf->oid,
					leaf->name,
					root->relid);
}

static bool
may_be_read(const Source *source, const Leaf *leaf)
{
	SourceRows *rows = source_query(source->control,
									1,
									psprintf("SELECT pg_catalog.has_table_privilege(%u, 'SELECT')"
											 " AND NOT pg_catalog.row_security_active(%u)",
											 leaf->oid,
											 leaf->oid),
									"read a partition");

	return rows->values[0][0] != NULL && rows->values[0][0][0] == 't';
}

static bool
has_older_rows(const Source *source, const LoadTask *task, const Leaf *leaf)
{
	SourceRows *rows;

	if (!may_be_read(source, leaf))
		return true;
	rows = source_query(source->control, 1, older_rows_sql(task->source, leaf), "read a partition");
	return rows->values[0][0][0] == 't';
}

/*
 * A change of the partitions that the stream does not report, as a sentence;
 * NULL if there is none.  For a copy made by an earlier version nothing is
 * known.
 */
static char *
leaves_problem(const Source *source, LoadTask *task)
{
	ListCell *cell;

	foreach(cell, task->load->leaves)
	{
		Leaf was = parse_leaf(lfirst(cell));
		const char *now = find_leaf(task->seen_leaves, was.oid);
		Leaf is;

		if (now == NULL)
			return psprintf("partition %s of the source was detached or dropped", was.name);
		is = parse_leaf(now);
		if (is.file != was.file && is.xid != task->truncated_by)
			return psprintf("partition %s of the source was truncatedor rewritten", is.name);
	}
	foreach(cell, task->seen_leaves)
	{
		Leaf is = parse_leaf(lfirst(cell));

		if (task->load->leaves != NIL && find_leaf(task->load->leaves, is.oid) == NULL &&
			has_older_rows(source, task, &is))
			return psprintf("partition %s of the source was attached with rows", is.name);
	}
	return NULL;
}

static List *
copy_texts(List *texts)
{
	List *copies = NIL;
	ListCell *cell;

	foreach(cell, texts)
		copies = lappend(copies, pstrdup(lfirst(cell)));
	return copies;
}

static void
judge_task(const Source *source, LoadTask *task)
{
	char *problem = leaves_problem(source, task);
	MemoryContext old;

	if (problem != NULL)
	{
		task_stop_for_resync(task, problem);
		return;
	}
	old = MemoryContextSwitchTo(task->set->context);
	load_set_leaves(task->load, copy_texts(task->seen_leaves));
	MemoryContextSwitchTo(old);
}

bool
basis_leaves_differ(const TaskSet *set)
{
	ListCell *cell;

	foreach(cell, partitioned_tasks(set))
	{
		const LoadTask *task = lfirst(cell);

		if (task->leaves_seen && !same_leaves(task->load->leaves, task->seen_leaves))
			return true;
	}
	return false;
}

bool
basis_judge_leaves(const SeenLeaves *leaves, const TaskSet *set, const Source *source,
				   XLogRecPtr reached)
{
	bool all = true;
	ListCell *cell;

	foreach(cell, partitioned_tasks(set))
	{
		LoadTask *task = lfirst(cell);

		if (!task->leaves_seen || same_leaves(task->load->leaves, task->seen_leaves))
			continue;
		if (reached < leaves->position)
			all = false;
		else
			judge_task(source, task);
	}
	return all;
}
