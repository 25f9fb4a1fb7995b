/*-------------------------------------------------------------------------
 *
 * transform.c
 *		Definitions of transforms, as stored in the catalog.
 *
 * A definition contains the query as written, and the query as deparsed after
 * an analysis under the definer's search_path, with every name qualified.  The
 * deparsed text is the one that is run.  Its names are resolved at each
 * refresh.  The analysed tree is stored with it, so that the text can follow a
 * rename (binding.c).  There is no companion view, because it would make DROP
 * and ALTER of the inputs fail, and CASCADE would drop it.
 *
 * The owner of a transform is the owner of its table.
 *
 *-------------------------------------------------------------------------
 */
#include "query/transform.h"

#include "catalog/namespace.h"
#include "catalog/transforms.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

List *
transform_read_inputs(int32 target_id)
{
	CatalogRows *rows = transform_select_inputs(target_id);
	List *inputs = NIL;

	for (uint64 i = 0; i < rows->count; i++)
	{
		TransformInput *input = palloc0(sizeof(TransformInput));

		input->schema_name = catalog_text(rows, i, INPUT_SCHEMA);
		input->table_name = catalog_text(rows, i, INPUT_TABLE);
		input->direct = catalog_bool(rows, i, INPUT_DIRECT);
		input->target_id = catalog_int4(rows, i, INPUT_TARGET_ID);
		inputs = lappend(inputs, input);
	}
	return inputs;
}

Transform *
transform_find(int32 target_id)
{
	CatalogRows *rows = transform_select(target_id);
	Target *target = target_find_id(target_id);
	Transform *transform;

	if (rows->count == 0 || target == NULL)
		return NULL;
	transform = palloc0(sizeof(Transform));
	transform->target = target;
	transform->query_text = catalog_text(rows, 0, TRANSFORM_QUERY_TEXT);
	transform->query_sql = catalog_text(rows, 0, TRANSFORM_QUERY_SQL);
	transform->key = catalog_text_list(rows, 0, TRANSFORM_KEY);
	transform->mode = catalog_text(rows, 0, TRANSFORM_MODE);
	transform->target_lag = catalog_text(rows, 0, TRANSFORM_TARGET_LAG);
	transform->on_incomplete = catalog_text(rows, 0, TRANSFORM_ON_INCOMPLETE);
	transform->on_stale = catalog_text(rows, 0, TRANSFORM_ON_STALE);
	transform->populated = catalog_bool(rows, 0, TRANSFORM_POPULATED);
	transform->made_table = catalog_bool(rows, 0, TRANSFORM_MADE_TABLE);
	transform->rebuild = catalog_bool(rows, 0, TRANSFORM_REBUILD);
	transform->state = catalog_text(rows, 0, TRANSFORM_STATE);
	if (transform->state == NULL)
		transform->state = pstrdup("new"); /* has no state if it was restored from a dump */
	transform->query_tree = catalog_text(rows, 0, TRANSFORM_QUERY_TREE);
	if (transform->query_tree != NULL)
		transform->relids = catalog_oid_list(rows, 0, TRANSFORM_INPUT_RELIDS);
	transform->frontier = transform_frontier(rows, 0);
	transform->inputs = transform_read_inputs(target_id);
	return transform;
}

Transform *
transform_get(int32 target_id)
{
	Transform *transform = transform_find(target_id);

	if (transform == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("%s is not maintained by a transform", target_get(target_id)->display)));
	return transform;
}

Oid
transform_input_relid(const TransformInput *input)
{
	Oid schema = get_namespace_oid(input->schema_name, true);

	return OidIsValid(schema) ? get_relname_relid(input->table_name, schema) : InvalidOid;
}

void
transform_check_owner(const Target *target)
{
	if (!superuser() && !has_privs_of_role(GetUserId(), target->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of target %s", target->display)));
}
