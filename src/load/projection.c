/*-------------------------------------------------------------------------
 *
 * projection.c
 *		Loads with expressions or a filter over the source's rows.
 *
 *-------------------------------------------------------------------------
 */
#include "load/projection.h"

#include "utils/jsonb.h"

bool
projection_leaves_out(const Load *load, const char *column)
{
	Jsonb *json;
	JsonbValue value;

	if (load->columns == NULL)
		return false;
	json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(load->columns)));
	return getKeyJsonValueFromContainer(&json->root, column, strlen(column), &value) != NULL &&
		   value.type == jbvNull;
}

void
projection_check_columns(const Load *load)
{
	Jsonb *json;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue value;
	ListCell *cell;

	if (load->row_filter != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("row_filter is not supported in this version")));
	if (load->columns == NULL)
		return;
	json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(load->columns)));
	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"columns\" must be a JSON object"),
				 errhint("For example: {\"email\": \"lower(email)\", \"ssn\": null}.")));
	iterator = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_VALUE && value.type != jbvNull)
			ereport(
				ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("expressions in argument \"columns\" are not supported in this version")));
	foreach(cell, load->key)
		if (projection_leaves_out(load, lfirst(cell)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("key column \"%s\" cannot be left out", (char *) lfirst(cell))));
}
