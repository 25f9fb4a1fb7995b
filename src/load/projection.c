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
