/*-------------------------------------------------------------------------
 *
 * guarded.c
 *		One unit of user work in an internal subtransaction.
 *
 *-------------------------------------------------------------------------
 */
#include "core/guarded.h"

#include "access/xact.h"
#include "core/identity.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

bool
guarded_must_rethrow(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_SYSTEM_ERROR:
			return true;
		default:
			return error->elevel >= FATAL;
	}
}

ErrorData *
guarded_run(GuardedWork work, void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		bool keep = work(argument);

		MemoryContextSwitchTo(context);
		if (keep)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		depipe_is_writing = false;
		FlushErrorState();
		/* also before an error goes on: the session would be left in an aborted block */
		RollbackAndReleaseCurrentSubTransaction();
		if (guarded_must_rethrow(error))
			ReThrowError(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}
