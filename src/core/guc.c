/*-------------------------------------------------------------------------
 *
 * guc.c
 *		Settings of the library.
 *
 *-------------------------------------------------------------------------
 */
#include "depipe.h"

#include <limits.h>

#include "core/shmem.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/varlena.h"

bool depipe_is_preloaded = false;
bool depipe_allow_blocked_access = false;
bool depipe_allow_target_dml = false;
int depipe_batch_memory = 64 * 1024;
int depipe_batch_rows = 100000;
char *depipe_databases = NULL;
bool depipe_enabled = true;
int depipe_audit_retention = 365 * SECS_PER_DAY;
int depipe_history_retention = 30 * SECS_PER_DAY;
int depipe_incident_linger = 15 * 60;
int depipe_max_changes = 10000000;
int depipe_max_override = 7 * 24 * 3600;
int depipe_max_parked = 10000000;
int depipe_max_workers = 8;
int depipe_naptime = 1000;
int depipe_quarantine_retention = 90 * SECS_PER_DAY;

typedef struct BoolSetting
{
	const char *name;
	const char *description;
	bool *variable;
	bool boot_value;
} BoolSetting;

typedef struct IntSetting
{
	const char *name;
	const char *description;
	int *variable;
	int boot_value;
	int minimum;
	int maximum;
	int flags;
} IntSetting;

/* in alphabetical order; only superusers can set them */
static const BoolSetting bool_settings[] = {
	{"depipe.allow_blocked_access",
	 "Allows access to tables whose open breaker refuses it, and logs it.",
	 &depipe_allow_blocked_access,
	 false},
	{"depipe.allow_target_dml",
	 "Allows direct changes to tables that a transform maintains.",
	 &depipe_allow_target_dml,
	 false},
	{"depipe.enabled",
	 "Enables loads and transforms. Start a cloned cluster with off.",
	 &depipe_enabled,
	 true},
};

static const IntSetting int_settings[] = {
	{"depipe.audit_retention",
	 "Retention of the audit; -1 means forever.",
	 &depipe_audit_retention,
	 365 * SECS_PER_DAY,
	 -1,
	 INT_MAX,
	 GUC_UNIT_S},
	{"depipe.batch_memory",
	 "Memory used by the changes of a batch after which it is published.",
	 &depipe_batch_memory,
	 64 * 1024,
	 64,
	 INT_MAX / 1024,
	 GUC_UNIT_KB},
	{"depipe.batch_rows",
	 "Number of changes after which a batch is published.",
	 &depipe_batch_rows,
	 100000,
	 1,
	 INT_MAX,
	 0},
	{"depipe.history_retention",
	 "Retention of runs, verdicts, closed incidents and events; -1 means forever.",
	 &depipe_history_retention,
	 30 * SECS_PER_DAY,
	 -1,
	 INT_MAX,
	 GUC_UNIT_S},
	{"depipe.incident_linger",
	 "Time after a bad batch during which another one continues the same incident.",
	 &depipe_incident_linger,
	 15 * 60,
	 0,
	 INT_MAX,
	 GUC_UNIT_S},
	{"depipe.max_changes",
	 "Number of changes of one input that are kept for transforms.",
	 &depipe_max_changes,
	 10000000,
	 0,
	 INT_MAX,
	 0},
	{"depipe.max_override",
	 "Longest duration of an override.",
	 &depipe_max_override,
	 7 * 24 * 3600,
	 1,
	 INT_MAX,
	 GUC_UNIT_S},
	{"depipe.max_parked",
	 "Number of rows that can be parked for one table before it needs a resync.",
	 &depipe_max_parked,
	 10000000,
	 0,
	 INT_MAX,
	 0},
	{"depipe.quarantine_retention",
	 "Retention of rows in quarantine; -1 means forever.",
	 &depipe_quarantine_retention,
	 90 * SECS_PER_DAY,
	 -1,
	 INT_MAX,
	 GUC_UNIT_S},
};

/* Settings of the background workers, which apply to the whole server. */
static const IntSetting worker_settings[] = {
	{"depipe.max_workers",
	 "Maximum number of concurrent background workers.",
	 &depipe_max_workers,
	 8,
	 3,
	 WORKER_SLOTS,
	 0},
	{"depipe.naptime",
	 "Minimum time between two passes of the scheduler of a database.",
	 &depipe_naptime,
	 1000,
	 10,
	 INT_MAX / 1000,
	 GUC_UNIT_MS},
};

static bool
check_databases(char **value, void **extra, GucSource source)
{
	List *names;
	char *copy = pstrdup(*value);
	bool valid = SplitIdentifierString(copy, ',', &names);

	if (!valid)
		GUC_check_errdetail("It must be a comma-separated list of database names.");
	return valid;
}

static void
define_worker_settings(void)
{
	DefineCustomStringVariable(
		"depipe.databases",
		"Databases served by background workers. If empty, all that have the extension.",
		NULL,
		&depipe_databases,
		"",
		PGC_SIGHUP,
		GUC_LIST_INPUT,
		check_databases,
		NULL,
		NULL);
	for (int i = 0; i < lengthof(worker_settings); i++)
		DefineCustomIntVariable(worker_settings[i].name,
								worker_settings[i].description,
								NULL,
								worker_settings[i].variable,
								worker_settings[i].boot_value,
								worker_settings[i].minimum,
								worker_settings[i].maximum,
								PGC_SIGHUP,
								worker_settings[i].flags,
								NULL,
								NULL,
								NULL);
}

void
guc_init(void)
{
	for (int i = 0; i < lengthof(bool_settings); i++)
		DefineCustomBoolVariable(bool_settings[i].name,
								 bool_settings[i].description,
								 NULL,
								 bool_settings[i].variable,
								 bool_settings[i].boot_value,
								 PGC_SUSET,
								 0,
								 NULL,
								 NULL,
								 NULL);
	for (int i = 0; i < lengthof(int_settings); i++)
		DefineCustomIntVariable(int_settings[i].name,
								int_settings[i].description,
								NULL,
								int_settings[i].variable,
								int_settings[i].boot_value,
								int_settings[i].minimum,
								int_settings[i].maximum,
								PGC_SUSET,
								int_settings[i].flags,
								NULL,
								NULL,
								NULL);
	define_worker_settings();
	MarkGUCPrefixReserved("depipe");
	depipe_is_preloaded = process_shared_preload_libraries_in_progress;
}
