/*-------------------------------------------------------------------------
 *
 * depipe.c
 *		Loading the library.
 *
 * The library works without shared_preload_libraries: every function loads it
 * on its first call.  Then there are no workers.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "fmgr.h"
#include "hooks.h"
#include "miscadmin.h"
#include "worker/launcher.h"

PG_MODULE_MAGIC;

void _PG_init(void);

void
_PG_init(void)
{
	/* pg_upgrade runs the server on catalogs that are half made */
	bool workers = process_shared_preload_libraries_in_progress && !IsBinaryUpgrade;

	guc_init();
	hooks_init(workers);
	if (workers)
		launcher_init();
}
