/*-------------------------------------------------------------------------
 *
 * idle.h
 *		Transforms whose inputs have not changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_IDLE_H
#define DEPIPE_QUERY_IDLE_H

#include "query/shape.h"

/*
 * Does the result of the query depend on its inputs alone, and not on time,
 * random values or functions that can be replaced?
 */
extern bool idle_query_is_pure(const Shape *shape);

/* The reason, as a sentence for the user, if the query calls a function that can be replaced. */
#define CALLS_USERS_FUNCTION "The query calls a function that may be replaced without notice."

/* Does the query, or a view that it reads, call such a function? */
extern bool idle_calls_users_functions(const Shape *shape);

#endif /* DEPIPE_QUERY_IDLE_H */
