/* Weak definitions that keep the library loadable until every module is here. */
#include "load/load.h"
#include "transform/transform.h"
#include "utils/tuplestore.h"
#define WEAK __attribute__((weak))
#define NOT_HERE ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("not built in")))
WEAK void
load_refresh(List *targets, List *runs, const LoadRefreshOptions *options)
{
	NOT_HERE;
}
WEAK char *
load_server(int32 target_id)
{
	NOT_HERE;
	return NULL;
}
WEAK bool
load_read_source(Target *target, Tuplestorestate **rows, TupleDesc *desc, uint64 *nrows,
				 char **reason)
{
	NOT_HERE;
	return false;
}
WEAK List *
dag_upstream(List *targets)
{
	return targets;
}
WEAK void
transform_refresh(List *targets, List *runs)
{
	NOT_HERE;
}
