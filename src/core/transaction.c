/*-------------------------------------------------------------------------
 *
 * transaction.c
 *		Procedures that commit between steps.
 *
 *-------------------------------------------------------------------------
 */
#include "core/transaction.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

MemoryContext
transaction_begin_procedure(FunctionCallInfo fcinfo, const char *name)
{
	MemoryContext context;

	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("procedure %s cannot run inside a transaction block or a function", name),
				 errhint("Use the function depipe.refresh there.")));
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
	context = AllocSetContextCreate(PortalContext, "depipe procedure", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	return context;
}

void
transaction_commit(void)
{
	MemoryContext context = CurrentMemoryContext;

	PopActiveSnapshot();
	SPI_commit();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
}

void
transaction_commit_and_wait(long milliseconds)
{
	MemoryContext context = CurrentMemoryContext;

	PopActiveSnapshot();
	SPI_commit();
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 milliseconds,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
}

void
transaction_end_procedure(void)
{
	PopActiveSnapshot();
	SPI_finish();
}

void
transaction_begin_worker(MemoryContext context)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* what a procedure's portal would hold lives in there */
	PortalContext = context;
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
}

void
transaction_end_worker(void)
{
	PopActiveSnapshot();
	SPI_finish();
	CommitTransactionCommand();
	PortalContext = NULL;
}
