/*-------------------------------------------------------------------------
 *
 * capture_require.c
 *		Inputs whose changes can never be captured.
 *
 * A transform with such an input compares its table with its query at each
 * refresh.  A declaration whose mode requires more is refused.
 *
 *-------------------------------------------------------------------------
 */
#include "capture/capture_require.h"

#include "catalog/pg_class.h"
#include "capture/capture.h"
#include "utils/lsyscache.h"

/* Advice for the hint, by the reason codes of capture_look() and captures_find(). */
static const struct
{
	const char *reason_code;
	char relkind; /* '\0': any */
	const char *advice;
} advices[] = {
	{"has_parent", '\0', "Read the parent instead, with a condition that selects these rows"},
	{"no_ordinary_table", RELKIND_FOREIGN_TABLE, "Copy its rows by a load, and read its table"},
	{"no_ordinary_table", RELKIND_MATVIEW, "Make it a transform, and read its table"},
	{"no_trigger_privilege", '\0', "Grant this privilege"},
	{"only", '\0', "Read the table with its children"},
	{"row_security", '\0', "Let a role own the transform that sees all rows of the table"},
	{"subscription", '\0', "Replace the subscription by a load"},
	{"tablesample", '\0', "Leave out TABLESAMPLE"},
	{"virtual_column", '\0', "Make the column a stored one"}};

static const char *
advice_for(const Capture *capture, const char *reason_code)
{
	for (int i = 0; i < lengthof(advices); i++)
		if (strcmp(advices[i].reason_code, reason_code) == 0 &&
			(advices[i].relkind == '\0' || advices[i].relkind == get_rel_relkind(capture->relid)))
			return advices[i].advice;
	return NULL;
}

static void
refuse(const Capture *capture, const char *reason_code, const char *detail, const char *display)
{
	const char *advice = advice_for(capture, reason_code);

	ereport(
		ERROR,
		(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		 errmsg("transform %s cannot be refreshed incrementally", display),
		 errdetail("%s", detail),
		 advice != NULL
			 ? errhint("%s, or use mode \"auto\", which writes only the rows that differ.", advice)
			 : errhint("Use mode \"auto\", which writes only the rows that differ.")));
}

void
captures_require(Shape *shape, Oid owner, const char *display)
{
	Target target = {.owner = owner};
	Transform transform = {.target = &target, .mode = "incremental"};
	ListCell *cell;

	foreach(cell, captures_find(&transform, shape))
	{
		const Capture *capture = lfirst(cell);
		CaptureLook look;

		/* an existing capture may have become useless */
		capture_look(capture->relid, &look);
		if (look.reason_code != NULL)
			refuse(capture, look.reason_code, look.detail, display);
		if (capture->reason_code != NULL && capture->detail != NULL)
			refuse(capture, capture->reason_code, capture->detail, display);
	}
}
