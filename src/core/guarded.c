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
#include "utils/guc.h"
#include "utils/resowner.h"

bool
guarded_is_no_room(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_DISK_FULL || error->sqlerrcode == ERRCODE_OUT_OF_MEMORY;
}

bool
guarded_must_rethrow(const ErrorData *error)
{
	/* it may concern this table only; if not, recording the failure fails as well */
	if (guarded_is_no_room(error))
		return error->elevel >= FATAL;
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
	bool was_writing = depipe_is_writing;
	Oid was_writing_to = depipe_writing_to;

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
		depipe_is_writing = was_writing;
		depipe_writing_to = was_writing_to;
		FlushErrorState();
		/*
		 * roll back before rethrowing as well: the session would be left in an
		 * aborted subtransaction
		 */
		RollbackAndReleaseCurrentSubTransaction();
		if (guarded_must_rethrow(error))
			ReThrowError(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

typedef struct WaitingWork
{
	GuardedWork work;
	void *argument;
	int lock_timeout_ms;
} WaitingWork;

/*
 * Run the work under lock_timeout.  If it fails, the abort of the
 * subtransaction restores the setting.
 */
static bool
waiting_work(void *argument)
{
	WaitingWork *waiting = argument;
	int nest_level = NewGUCNestLevel();
	bool keep;

	(void) set_config_option("lock_timeout",
							 psprintf("%d", waiting->lock_timeout_ms),
							 PGC_USERSET,
							 PGC_S_SESSION,
							 GUC_ACTION_SAVE,
							 true,
							 0,
							 false);
	keep = waiting->work(waiting->argument);
	AtEOXact_GUC(false, nest_level);
	return keep;
}

ErrorData *
guarded_run_waiting(GuardedWork work, void *argument, int lock_timeout_ms)
{
	WaitingWork waiting = {work, argument, lock_timeout_ms};

	return lock_timeout_ms == 0 ? guarded_run(work, argument) : guarded_run(waiting_work, &waiting);
}
