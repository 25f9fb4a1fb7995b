/*-------------------------------------------------------------------------
 *
 * compat.h
 *		Differences between the server versions that depipe supports.
 *
 * Only this file may test PG_VERSION_NUM. Every other file is written against
 * the newest server and calls the *_compat macros below where an older one
 * differs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_COMPAT_H
#define DEPIPE_COMPAT_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/objectaddress.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "parser/parse_relation.h"
#include "replication/walreceiver.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/regproc.h"
#include "utils/varlena.h"

#if PG_VERSION_NUM < 150000
#error "depipe needs PostgreSQL 15 or later"
#endif

#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_namespace.h"

/*
 * In 18 this attribute goes before the return type, like a keyword.  Earlier
 * versions write it after the declarator.
 */
#if PG_VERSION_NUM < 180000
#define PG_ATTRIBUTE_NORETURN_COMPAT pg_attribute_noreturn()
#else
#define PG_ATTRIBUTE_NORETURN_COMPAT pg_noreturn
#endif

/*
 * PostgreSQL 16 replaced the ownership and privilege checks of each object
 * class by general functions.
 */
#if PG_VERSION_NUM < 160000
#define table_ownercheck_compat(relid, role) pg_class_ownercheck((relid), (role))
#define schema_aclcheck_compat(nspid, role, mode) pg_namespace_aclcheck((nspid), (role), (mode))
#define server_aclcheck_compat(srvid, role, mode) \
	pg_foreign_server_aclcheck((srvid), (role), (mode))
#define server_ownercheck_compat(srvid, role) pg_foreign_server_ownercheck((srvid), (role))
#define database_ownercheck_compat(dbid, role) pg_database_ownercheck((dbid), (role))
#else
#define table_ownercheck_compat(relid, role) object_ownercheck(RelationRelationId, (relid), (role))
#define schema_aclcheck_compat(nspid, role, mode) \
	object_aclcheck(NamespaceRelationId, (nspid), (role), (mode))
#define server_aclcheck_compat(srvid, role, mode) \
	object_aclcheck(ForeignServerRelationId, (srvid), (role), (mode))
#define server_ownercheck_compat(srvid, role) \
	object_ownercheck(ForeignServerRelationId, (srvid), (role))
#define database_ownercheck_compat(dbid, role) object_ownercheck(DatabaseRelationId, (dbid), (role))
#endif

/* PostgreSQL 16 introduced soft errors.  These macros raise an error on every version. */
#if PG_VERSION_NUM < 160000
#define string_to_name_list_compat(string) stringToQualifiedNameList(string)
#else
#define string_to_name_list_compat(string) stringToQualifiedNameList((string), NULL)
#endif

/* Is the text valid input?  Only for input functions that report errors softly. */
#if PG_VERSION_NUM < 160000
#define HAS_SOFT_ERRORS_COMPAT false
#define input_is_valid_compat(function, text, parameter, modifier) \
	(InputFunctionCall((function), (text), (parameter), (modifier)), true)
#else
#include "fmgr.h"
#include "nodes/miscnodes.h"
#define HAS_SOFT_ERRORS_COMPAT true

static inline bool
input_is_valid_compat(FmgrInfo *function, char *text, Oid parameter, int32 modifier)
{
	ErrorSaveContext errors = {T_ErrorSaveContext};
	Datum value;

	return InputFunctionCallSafe(function, text, parameter, modifier, (Node *) &errors, &value);
}
#endif

#if PG_VERSION_NUM < 160000
#define parse_type_compat(string, type, typmod) parseTypeString((string), (type), (typmod), false)
#define type_string_to_name_compat(string) typeStringToTypeName(string)
#else
#define parse_type_compat(string, type, typmod) \
	((void) parseTypeString((string), (type), (typmod), NULL))
#define type_string_to_name_compat(string) typeStringToTypeName((string), NULL)
#endif

/* May the role assume the other role's identity with SET ROLE? */
#if PG_VERSION_NUM < 160000
#define member_can_set_role_compat(member, role) is_member_of_role((member), (role))
#else
#define member_can_set_role_compat(member, role) member_can_set_role((member), (role))
#endif

/*
 * walrcv_connect: 15 has no must_use_password argument, and 17 distinguishes
 * physical replication from logical.
 */
#if PG_VERSION_NUM < 160000
#define walrcv_connect_compat(conninfo, must_use_password, appname, err) \
	walrcv_connect((conninfo), true, (appname), (err))
#elif PG_VERSION_NUM < 170000
#define walrcv_connect_compat(conninfo, must_use_password, appname, err) \
	walrcv_connect((conninfo), true, (must_use_password), (appname), (err))
#else
#define walrcv_connect_compat(conninfo, must_use_password, appname, err) \
	walrcv_connect((conninfo), true, true, (must_use_password), (appname), (err))
#endif

/* Since 16, walrcv_connect itself refuses a connection that needs no password. */
#define WALRCV_CHECKS_PASSWORD (PG_VERSION_NUM >= 160000)

/*
 * Write a small WAL record and flush it.  This makes every earlier commit
 * durable, including those made with synchronous_commit = off.
 */
#if PG_VERSION_NUM < 170000
#define log_logical_message_compat(prefix, message, size) \
	LogLogicalMessage((prefix), (message), (size), false)
#else
#define log_logical_message_compat(prefix, message, size) \
	LogLogicalMessage((prefix), (message), (size), false, false)
#endif

/*
 * The view whose query the rewriter has put into a range table entry;
 * InvalidOid: none.  16 and later keep its OID there; before, the query's
 * first entry is OLD, which is the view.
 */
#if PG_VERSION_NUM < 160000
static inline Oid
view_of_entry_compat(const RangeTblEntry *entry)
{
	const RangeTblEntry *old = entry->rtekind == RTE_SUBQUERY && entry->subquery->rtable != NIL
								   ? linitial(entry->subquery->rtable)
								   : NULL;

	return old != NULL && old->rtekind == RTE_RELATION && old->relkind == RELKIND_VIEW ? old->relid
																					   : InvalidOid;
}
#else
#define view_of_entry_compat(entry)                                                        \
	((entry)->rtekind == RTE_SUBQUERY && (entry)->relkind == RELKIND_VIEW ? (entry)->relid \
																		  : InvalidOid)
#endif

/* In 18 a caller can ask for a deferrable primary key as well. */
#if PG_VERSION_NUM < 180000
#define RelationGetPrimaryKeyIndex_compat(rel) RelationGetPrimaryKeyIndex(rel)
#else
#define RelationGetPrimaryKeyIndex_compat(rel) RelationGetPrimaryKeyIndex((rel), false)
#endif

/* In 18 a caller can reserve space in front of a minimal tuple. */
#if PG_VERSION_NUM < 180000
#define heap_form_minimal_tuple_compat(desc, values, nulls) \
	heap_form_minimal_tuple((desc), (values), (nulls))
#define heap_copy_minimal_tuple_compat(tuple) heap_copy_minimal_tuple(tuple)
#else
#define heap_form_minimal_tuple_compat(desc, values, nulls) \
	heap_form_minimal_tuple((desc), (values), (nulls), 0)
#define heap_copy_minimal_tuple_compat(tuple) heap_copy_minimal_tuple((tuple), 0)
#endif

/* Since 18 a NOT NULL constraint may hold for new rows only. */
#if PG_VERSION_NUM < 180000
#define attribute_is_not_null_compat(desc, attnum) (TupleDescAttr((desc), (attnum) -1)->attnotnull)
#else
#define attribute_is_not_null_compat(desc, attnum) \
	(TupleDescCompactAttr((desc), (attnum) -1)->attnullability == ATTNULLABLE_VALID)
#endif

/* Since 18 an index scan can count its work for EXPLAIN. */
#if PG_VERSION_NUM < 180000
#define index_beginscan_compat(rel, index, snapshot, nkeys, norderbys) \
	index_beginscan((rel), (index), (snapshot), (nkeys), (norderbys))
#else
#define index_beginscan_compat(rel, index, snapshot, nkeys, norderbys) \
	index_beginscan((rel), (index), (snapshot), NULL, (nkeys), (norderbys))
#endif

/* In 18 the executor itself knows that a plan runs once. */
#if PG_VERSION_NUM < 180000
#define executor_run_all_compat(query) ExecutorRun((query), ForwardScanDirection, 0, true)
#else
#define executor_run_all_compat(query) ExecutorRun((query), ForwardScanDirection, 0)
#endif

/*
 * Copy a range table entry of a query, with the privileges that it needs, to
 * the end of the range table of another one.
 */
#if PG_VERSION_NUM < 160000
#define query_add_entry_compat(to, from, entry) \
	((void) (from), (to)->rtable = lappend((to)->rtable, copyObject(entry)))
#else
#define query_add_entry_compat(to, from, entry)                                   \
	do                                                                            \
	{                                                                             \
		RangeTblEntry *copy_ = copyObject(entry);                                 \
		if (copy_->perminfoindex != 0)                                            \
		{                                                                         \
			(to)->rteperminfos = lappend(                                         \
				(to)->rteperminfos,                                               \
				copyObject(getRTEPermissionInfo((from)->rteperminfos, (entry)))); \
			copy_->perminfoindex = list_length((to)->rteperminfos);               \
		}                                                                         \
		(to)->rtable = lappend((to)->rtable, copy_);                              \
	} while (0)
#endif

/*
 * PostgreSQL 16 moved the privileges that a query needs out of its range table
 * entries.  It also marks columns that an outer join can make null.
 */
#if PG_VERSION_NUM < 160000
#define flatten_join_alias_vars_compat(query, node) flatten_join_alias_vars((query), (node))
#define var_forget_nulling_compat(var) ((void) (var))
#define query_forget_privileges_compat(query) ((void) (query))
#define rte_forget_privileges_compat(entry)                                 \
	((entry)->requiredPerms = 0,                                            \
	 (entry)->checkAsUser = InvalidOid,                                     \
	 (entry)->selectedCols = (entry)->insertedCols = (entry)->updatedCols = \
		 (entry)->extraUpdatedCols = NULL)
#else
#define flatten_join_alias_vars_compat(query, node) flatten_join_alias_vars(NULL, (query), (node))
#define var_forget_nulling_compat(var) ((var)->varnullingrels = NULL)
#define query_forget_privileges_compat(query) ((query)->rteperminfos = NIL)
#define rte_forget_privileges_compat(entry) ((entry)->perminfoindex = 0)
#endif

/*
 * Since 18 the grouping expressions of a query form a range table entry of
 * their own, the last one.
 */
#if PG_VERSION_NUM < 180000
#define query_flatten_groups_compat(query) ((void) (query))
#define group_expressions_compat(entry) NIL
#else
#define group_expressions_compat(entry) ((entry)->rtekind == RTE_GROUP ? (entry)->groupexprs : NIL)
#define query_flatten_groups_compat(query)                                                    \
	do                                                                                        \
	{                                                                                         \
		if ((query)->hasGroupRTE)                                                             \
		{                                                                                     \
			(query)->targetList = (List *) flatten_group_exprs(NULL,                          \
															   (query),                       \
															   (Node *) (query)->targetList); \
			(query)->havingQual = flatten_group_exprs(NULL, (query), (query)->havingQual);    \
			(query)->rtable = list_delete_last((query)->rtable);                              \
			(query)->hasGroupRTE = false;                                                     \
		}                                                                                     \
	} while (0)
#endif

/* The number of the file of a relation, and the local number of the transaction. */
#if PG_VERSION_NUM < 160000
#define relation_file_compat(rel) ((rel)->rd_node.relNode)
#else
#define relation_file_compat(rel) ((rel)->rd_locator.relNumber)
#endif
#if PG_VERSION_NUM < 170000
#define local_transaction_compat() (MyProc->lxid)
#else
#define local_transaction_compat() (MyProc->vxid.lxid)
#endif

/* Raises 42501 unless the current user may read what the query, of one level, reads. */
#if PG_VERSION_NUM < 160000
#define query_check_privileges_compat(query) ((void) ExecCheckRTPerms((query)->rtable, true))
#else
#define query_check_privileges_compat(query) \
	((void) ExecCheckPermissions((query)->rtable, (query)->rteperminfos, true))
#endif

/* Stable functions for query/settled.c that 15 or 16 does not have yet. */
#if PG_VERSION_NUM < 160000
#define JSON_AGGREGATES_COMPAT
#define TIME_ZONE_FUNCTIONS_COMPAT
#else
#define JSON_AGGREGATES_COMPAT                                                                 \
	F_JSON_AGG_STRICT, F_JSONB_AGG_STRICT, F_JSON_OBJECT_AGG_STRICT, F_JSON_OBJECT_AGG_UNIQUE, \
		F_JSON_OBJECT_AGG_UNIQUE_STRICT,
#if PG_VERSION_NUM < 170000
#define TIME_ZONE_FUNCTIONS_COMPAT \
	F_DATE_ADD_TIMESTAMPTZ_INTERVAL, F_DATE_SUBTRACT_TIMESTAMPTZ_INTERVAL,
#else
#define TIME_ZONE_FUNCTIONS_COMPAT                                                                 \
	F_DATE_ADD_TIMESTAMPTZ_INTERVAL, F_DATE_SUBTRACT_TIMESTAMPTZ_INTERVAL, F_TIMEZONE_TIMESTAMPTZ, \
		F_TIMEZONE_TIMESTAMP,
#endif
#endif

/*
 * Is the node a JSON constructor such as JSON_OBJECT()?  Sets *arguments to the
 * values that it converts.
 */
#if PG_VERSION_NUM < 160000
#define json_arguments_compat(node, arguments) ((void) (node), *(arguments) = NIL, false)
#else
static inline bool
json_arguments_compat(Node *node, List **arguments)
{
	const JsonConstructorExpr *constructor = (const JsonConstructorExpr *) node;

	if (!IsA(node, JsonConstructorExpr))
		return false;
	*arguments = constructor->func == NULL
					 ? constructor->args
					 : lappend(list_copy(constructor->args), constructor->func);
	return true;
}
#endif

/*
 * The hook that checks permissions: 16 moved them out of the entries of the range
 * table.
 */
#if PG_VERSION_NUM < 160000
#define CHECK_PERMISSIONS_PARAMETERS_COMPAT List *tables, bool raises
#define CHECK_PERMISSIONS_ARGUMENTS_COMPAT tables, raises
#define CHECK_PERMISSIONS_INFOS_COMPAT NIL
#define rte_permissions_compat(rte, infos) ((rte)->requiredPerms)
#else
#define CHECK_PERMISSIONS_PARAMETERS_COMPAT List *tables, List *infos, bool raises
#define CHECK_PERMISSIONS_ARGUMENTS_COMPAT tables, infos, raises
#define CHECK_PERMISSIONS_INFOS_COMPAT infos
#define rte_permissions_compat(rte, infos) \
	((rte)->perminfoindex == 0 ? 0 : getRTEPermissionInfo((infos), (rte))->requiredPerms)
#endif

#endif /* DEPIPE_COMPAT_H */
