/*-------------------------------------------------------------------------
 *
 * modes.c
 *		The modes of loads: their requirements and functions.
 *
 * Code that runs a load finds its mode in the table.  Only the functions named
 * there know how a mode reads rows.
 *
 *-------------------------------------------------------------------------
 */
#include "load/modes.h"

#include "core/guarded.h"
#include "load/projection.h"

static const LoadModeKind load_modes[] = {
	{
		.mode = LOAD_BY_CDC,
		.needs_server = true,
		.check_definition = projection_check_definition,
		.refresh = refresh_by_stream,
		.follow = follow_stream,
		.read_source = read_source_by_stream,
	},
};

const LoadModeKind *
load_mode_find(LoadMode mode)
{
	for (int i = 0; i < lengthof(load_modes); i++)
		if (load_modes[i].mode == mode)
			return &load_modes[i];
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("mode \"%s\" is not supported in this version", load_mode_names[mode]),
			 errhint("Use a server and mode \"cdc\".")));
}

/* The load of a target, which has one. */
static Load *
load_of(const Target *target)
{
	Load *load = load_get(target->id);

	if (load == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("target %d has no load", target->id)));
	return load;
}

typedef struct Finding
{
	LoadMode mode;
	const LoadModeKind *kind;
} Finding;

static bool
find_work(void *argument)
{
	Finding *finding = argument;

	finding->kind = load_mode_find(finding->mode);
	return true;
}

/* A definition of another version must not end the runs of others. */
static void
fail(List *runs, const ErrorData *error, const LoadRefreshOptions *options)
{
	ListCell *cell;

	if (options->server_failed != NULL)
		*options->server_failed = true;
	foreach(cell, runs)
	{
		Run *run = lfirst(cell);

		run_set_error(run, error);
		if (!options->quiet || run->id != 0)
			run_finish(run);
	}
}

void
load_refresh(List *targets, List *runs, const LoadRefreshOptions *options)
{
	Load *load = load_of(linitial(targets));
	Finding finding = {load->mode, NULL};
	ErrorData *error = guarded_run(find_work, &finding);

	if (error != NULL)
		fail(runs, error, options);
	else
		finding.kind->refresh(load->server_name, targets, runs, options);
}

LoadFollowEnd
load_follow(List *targets, List *runs, const char *fingerprint, const LoadFollower *follower)
{
	Load *load = load_of(linitial(targets));

	return load_mode_find(load->mode)
		->follow(load->server_name, targets, runs, fingerprint, follower);
}

bool
load_read_source(Target *target, Tuplestorestate **rows, TupleDesc *desc, uint64 *nrows,
				 char **reason)
{
	Load *load = load_of(target);

	return load_mode_find(load->mode)
		->read_source(load->server_name, target, rows, desc, nrows, reason);
}
