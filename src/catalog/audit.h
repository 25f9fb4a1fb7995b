/*-------------------------------------------------------------------------
 *
 * audit.h
 *		The record of what people change and override.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_AUDIT_H
#define DEPIPE_CATALOG_AUDIT_H

#include "catalog/statement.h"

/*
 * Declare a function as CHECKED_FUNCTION does.  A call that succeeds leaves a row
 * in depipe.audit_entry, in the caller's transaction, with the arguments that are
 * not NULL, but without the values of "keys".  Arguments named target, pattern,
 * server, reason, constraint_name and name have their own columns.
 */
#define AUDITED_FUNCTION(name)                     \
	PG_FUNCTION_INFO_V1(name);                     \
	static Datum name##_checked(PG_FUNCTION_ARGS); \
	Datum name(PG_FUNCTION_ARGS)                   \
	{                                              \
		catalog_check_version();                   \
		return audit_call(name##_checked, fcinfo); \
	}                                              \
	extern Datum name(PG_FUNCTION_ARGS)

/* Call the function and record the call.  Raises what the function raises. */
extern Datum audit_call(PGFunction function, FunctionCallInfo fcinfo);

/* The call that is going on has changed nothing: leave no row. */
extern void audit_nothing(void);

#endif /* DEPIPE_CATALOG_AUDIT_H */
