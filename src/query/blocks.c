/*-------------------------------------------------------------------------
 *
 * blocks.c
 *		The analysed and rewritten query of a transform as a tree of blocks.
 *
 * The rewriter replaces views by their queries and adds the quals of row
 * security.  Relations are found through the join tree, not through the range
 * table, because in PostgreSQL 15 the range table also contains the OLD and
 * NEW entries of each view.  A WITH query is one block, however often it is
 * referenced; its field "times" counts how often it is read.
 *
 * Invariant: every relation that the executor reads for the query is an
 * occurrence in exactly one block, except the relations that functions read.
 *
 *-------------------------------------------------------------------------
 */
#include "query/blocks.h"

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "core/sqltext.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"

typedef struct SublinkWalk
{
	QueryBlock *block;
	BlockKind kind;
	List *seen; /* of SubLink; range table entries also contain those of policies */
} SublinkWalk;

static QueryBlock *add_block(QueryBlock *parent, BlockKind kind, const char *name, Query *query);

/* ---- FROM ---- */

static void
add_occurrence(QueryBlock *block, Index rtindex, const RangeTblEntry *entry, bool nullable)
{
	Occurrence *occurrence = palloc0(sizeof(Occurrence));

	occurrence->block = block;
	occurrence->rtindex = rtindex;
	occurrence->relid = entry->relid;
	occurrence->relkind = entry->relkind;
	occurrence->alias = entry->eref->aliasname;
	occurrence->children = entry->inh && has_subclass(entry->relid);
	occurrence->nullable = nullable;
	occurrence->row_security = entry->securityQuals != NIL;
	block->occurrences = lappend(block->occurrences, occurrence);
}

static void
add_entry(QueryBlock *block, Index rtindex, BlockKind kind, bool nullable)
{
	RangeTblEntry *entry = rt_fetch(rtindex, block->query->rtable);
	QueryBlock *inner;

	if (entry->rtekind == RTE_RELATION)
		add_occurrence(block, rtindex, entry, nullable);
	else if (entry->rtekind == RTE_CTE)
		block->with_read = lappend(block->with_read, entry);
	if (entry->rtekind != RTE_SUBQUERY)
		return;
	inner = add_block(block, kind, entry->eref->aliasname, entry->subquery);
	inner->lateral = entry->lateral;
	inner->view = view_of_entry_compat(entry);
	if (OidIsValid(inner->view))
		inner->kind = BLOCK_VIEW;
}

static void
add_from(QueryBlock *block, Node *node, bool nullable)
{
	ListCell *cell;

	if (node == NULL)
		return;
	if (IsA(node, FromExpr))
	{
		foreach(cell, ((FromExpr *) node)->fromlist)
			add_from(block, lfirst(cell), nullable);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		add_from(block,
				 join->larg,
				 nullable || join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL);
		add_from(block,
				 join->rarg,
				 nullable || join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL);
	}
	else if (IsA(node, RangeTblRef))
		add_entry(block, ((RangeTblRef *) node)->rtindex, BLOCK_FROM, nullable);
}

/* ---- set operations, WITH ---- */

static void
add_operands(QueryBlock *block, Node *node)
{
	if (node == NULL)
		return;
	if (IsA(node, SetOperationStmt))
	{
		add_operands(block, ((SetOperationStmt *) node)->larg);
		add_operands(block, ((SetOperationStmt *) node)->rarg);
	}
	else if (IsA(node, RangeTblRef))
		add_entry(block, ((RangeTblRef *) node)->rtindex, BLOCK_OPERAND, false);
}

static void
add_with(QueryBlock *block)
{
	ListCell *cell;

	foreach(cell, block->query->cteList)
	{
		CommonTableExpr *with = lfirst(cell);
		QueryBlock *inner;

		/* a WITH query without references is not read */
		if (with->cterefcount == 0)
			continue;
		inner = add_block(block, BLOCK_WITH, with->ctename, castNode(Query, with->ctequery));
		inner->recursive = with->cterecursive;
	}
}

/* ---- sublinks ---- */

static bool
find_sublinks(Node *node, void *context)
{
	SublinkWalk *walk = context;

	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
	{
		SubLink *sublink = (SubLink *) node;
		QueryBlock *inner;

		if (list_member_ptr(walk->seen, sublink))
			return false;
		walk->seen = lappend(walk->seen, sublink);
		inner = add_block(walk->block, walk->kind, NULL, castNode(Query, sublink->subselect));
		inner->sublink = sublink->subLinkType;
		return find_sublinks(sublink->testexpr, walk);
	}
	if (IsA(node, Query))
		return false; /* a query is another level */
	return expression_tree_walker(node, find_sublinks, walk);
}

static void
add_sublinks(QueryBlock *block)
{
	SublinkWalk walk = {.block = block, .kind = BLOCK_POLICY};
	ListCell *cell;

	foreach(cell, block->query->rtable)
		(void) find_sublinks((Node *) ((RangeTblEntry *) lfirst(cell))->securityQuals, &walk);
	walk.kind = BLOCK_SUBLINK;
	(void) query_tree_walker(block->query,
							 find_sublinks,
							 &walk,
							 QTW_IGNORE_RC_SUBQUERIES | QTW_IGNORE_JOINALIASES);
}

/* ---- blocks ---- */

static QueryBlock *
add_block(QueryBlock *parent, BlockKind kind, const char *name, Query *query)
{
	QueryBlock *block = palloc0(sizeof(QueryBlock));

	block->kind = kind;
	block->query = query;
	block->parent = parent;
	block->name = name;
	if (parent != NULL)
		parent->blocks = lappend(parent->blocks, block);
	add_from(block, (Node *) query->jointree, false);
	add_operands(block, query->setOperations);
	add_with(block);
	if (query->hasSubLinks || query->hasRowSecurity)
		add_sublinks(block);
	return block;
}

/* ---- how often a block is read ---- */

/*
 * Returns how often the block itself refers to this WITH query, which is
 * defined "levels" levels up.
 */
static int
count_references(const QueryBlock *block, const QueryBlock *with, int levels)
{
	int count = 0;
	ListCell *cell;

	foreach(cell, block->with_read)
	{
		const RangeTblEntry *entry = lfirst(cell);

		if (entry->ctelevelsup == levels && strcmp(entry->ctename, with->name) == 0)
			count++;
	}
	return count;
}

static void set_times(QueryBlock *block);

/*
 * Returns how often a block and the blocks below it read a WITH query.  The
 * block of the WITH query itself is left out.
 */
static int
count_readings(QueryBlock *block, const QueryBlock *with, int levels)
{
	int own;
	int count = 0;
	ListCell *cell;

	if (block == with)
		return 0;
	own = count_references(block, with, levels);
	if (own > 0)
	{
		set_times(block);
		count = own * block->times;
	}
	foreach(cell, block->blocks)
		count += count_readings(lfirst(cell), with, levels + 1);
	return count;
}

/*
 * Set "times" of a block.  The blocks that read a WITH query are set first.
 * The recursion ends, because WITH queries do not refer to each other in a
 * cycle.
 */
static void
set_times(QueryBlock *block)
{
	if (block->times > 0)
		return;
	if (block->parent == NULL)
		block->times = 1;
	else if (block->kind == BLOCK_WITH)
		block->times = count_readings(block->parent, block, 0);
	else
	{
		set_times(block->parent);
		block->times = block->parent->times;
	}
}

static void
set_all_times(QueryBlock *block)
{
	ListCell *cell;

	set_times(block);
	foreach(cell, block->blocks)
		set_all_times(lfirst(cell));
}

QueryBlock *
blocks_of_query(const Query *query)
{
	List *rewritten = QueryRewrite(copyObject((Query *) query));
	QueryBlock *root;

	if (list_length(rewritten) != 1)
		elog(ERROR, "query was rewritten to %d queries", list_length(rewritten));
	root = add_block(NULL, BLOCK_QUERY, NULL, linitial(rewritten));
	set_all_times(root);
	return root;
}

/* ---- lookups ---- */

List *
blocks_occurrences(QueryBlock *root, Oid relid)
{
	List *found = NIL;
	ListCell *cell;

	foreach(cell, root->occurrences)
		if (!OidIsValid(relid) || ((Occurrence *) lfirst(cell))->relid == relid)
			found = lappend(found, lfirst(cell));
	foreach(cell, root->blocks)
		found = list_concat(found, blocks_occurrences(lfirst(cell), relid));
	return found;
}

Occurrence *
blocks_row_security(QueryBlock *root)
{
	ListCell *cell;

	foreach(cell, blocks_occurrences(root, InvalidOid))
		if (((Occurrence *) lfirst(cell))->row_security)
			return lfirst(cell);
	return NULL;
}

/* ---- descriptions for users ---- */

static const char *
sublink_name(SubLinkType type)
{
	switch (type)
	{
		case EXISTS_SUBLINK:
			return "EXISTS";
		case ANY_SUBLINK:
			return "ANY";
		case ALL_SUBLINK:
			return "ALL";
		case ARRAY_SUBLINK:
			return "ARRAY";
		default:
			return "value";
	}
}

static void
append_head(StringInfo text, const QueryBlock *block)
{
	switch (block->kind)
	{
		case BLOCK_QUERY:
			appendStringInfoString(text, "query");
			break;
		case BLOCK_FROM:
			appendStringInfo(text, "%sFROM %s", block->lateral ? "LATERAL " : "", block->name);
			break;
		case BLOCK_VIEW:
			appendStringInfo(text, "view %s %s", sql_relation(block->view), block->name);
			break;
		case BLOCK_WITH:
			appendStringInfo(text, "WITH %s%s", block->recursive ? "RECURSIVE " : "", block->name);
			break;
		case BLOCK_OPERAND:
			appendStringInfoString(text, "operand");
			break;
		case BLOCK_SUBLINK:
			appendStringInfo(text, "sublink %s", sublink_name(block->sublink));
			break;
		case BLOCK_POLICY:
			appendStringInfo(text, "policy %s", sublink_name(block->sublink));
			break;
	}
	if (block->times > 1)
		appendStringInfo(text, " x%d", block->times);
}

static void
append_block(StringInfo text, const QueryBlock *block, int level)
{
	ListCell *cell;

	appendStringInfo(text, "%s%*s", level > 0 ? "\n" : "", 2 * level, "");
	append_head(text, block);
	foreach(cell, block->occurrences)
	{
		Occurrence *occurrence = lfirst(cell);

		appendStringInfo(text,
						 "%s %s %s%s%s%s",
						 foreach_current_index(cell) == 0 ? ":" : ",",
						 sql_relation(occurrence->relid),
						 occurrence->alias,
						 occurrence->children ? " with children" : "",
						 occurrence->nullable ? " nullable" : "",
						 occurrence->row_security ? " with row security" : "");
	}
	foreach(cell, block->blocks)
		append_block(text, lfirst(cell), level + 1);
}

char *
blocks_text(QueryBlock *root)
{
	StringInfoData text;

	initStringInfo(&text);
	append_block(&text, root, 0);
	return text.data;
}

char *
blocks_why_secured(Oid relid)
{
	return psprintf("Row security of %s applies to the owner", sql_relation(relid));
}
