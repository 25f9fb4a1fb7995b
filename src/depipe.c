/*-------------------------------------------------------------------------
 *
 * depipe.c
 *		Library initialization.
 *
 * The library also works without shared_preload_libraries: the first call of
 * any of its functions loads it.  There are no background workers in that
 * case.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include "fmgr.h"
#include "hooks.h"
#include "publish/kept.h"
#include "miscadmin.h"
#include "strategy/hidden.h"
#include "worker/launcher.h"

PG_MODULE_MAGIC;

void _PG_init(void);

void
_PG_init(void)
{
	/* during pg_upgrade the catalogs are incomplete */
	bool workers = process_shared_preload_libraries_in_progress && !IsBinaryUpgrade;

	guc_init();
	hooks_init(workers);
	companion_register(&kept_companion);
	companion_register(&checked_companion);
	companion_register(&hidden_companion);
	if (workers)
		launcher_init();
}
