/*-------------------------------------------------------------------------
 *
 * path.c
 *		The search_path under which the texts of a definition were written.
 *
 * The filters and expressions of a load can be analysed only when the columns
 * of the source are known, and a definition does not wait for them.  Until
 * then the session's search_path is stored with the settings of the
 * definition, as the last of them: "search_path=ops, public".  Only that
 * analysis runs under it; settings_enter() does not know the name.
 *
 * Invariant: a path names schemas that existed when the definition was made.
 * It contains neither "$user" nor a session's temporary schema.  A schema that
 * was dropped since is an error, because the server would silently skip it.
 *
 *-------------------------------------------------------------------------
 */
#include "core/path.h"

#include "catalog/namespace.h"
#include "core/settings.h"
#include "core/sqltext.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#define PREFIX "search_path="

static bool
is_path(const char *text)
{
	return pg_strncasecmp(text, PREFIX, strlen(PREFIX)) == 0;
}

static List *
schemas_of(const char *path)
{
	List *names;

	if (!SplitIdentifierString(pstrdup(path), ',', &names))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("invalid list of schemas in \"" PREFIX "%s\"", path)));
	return names;
}

/* The list of schemas as normalized SQL text; pg_catalog for an empty list. */
static char *
path_text(List *names)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	foreach(cell, names)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", sql_identifier(lfirst(cell)));
	return text.len > 0 ? text.data : pstrdup("pg_catalog");
}

/* The effective search_path of the session, without temporary schemas. */
static char *
path_of_session(void)
{
	List *names = NIL;
	ListCell *cell;

	foreach(cell, fetch_search_path(false))
		if (!isAnyTempNamespace(lfirst_oid(cell)))
			names = lappend(names, get_namespace_name(lfirst_oid(cell)));
	return path_text(names);
}

static char *
path_given(const char *path)
{
	List *names = schemas_of(path);
	ListCell *cell;

	foreach(cell, names)
		(void) get_namespace_oid(lfirst(cell), false);
	return path_text(names);
}

List *
path_leave_out(List *settings)
{
	List *others = NIL;
	ListCell *cell;

	foreach(cell, settings)
		if (!is_path(lfirst(cell)))
			others = lappend(others, lfirst(cell));
	return others;
}

const char *
path_of_settings(List *settings)
{
	ListCell *cell;

	foreach(cell, settings)
		if (is_path(lfirst(cell)))
			return (const char *) lfirst(cell) + strlen(PREFIX);
	return NULL;
}

List *
path_settings_argument(bool isnull, Datum value)
{
	List *given = isnull ? NIL : text_array_to_list(DatumGetArrayTypeP(value), "settings");
	const char *path = path_of_settings(given);
	List *settings;

	path = path == NULL ? path_of_session() : path_given(path);
	if (isnull)
		settings = settings_of_session();
	else
	{
		ArrayType *others = list_to_text_array(path_leave_out(given));

		settings = others == NULL ? NIL : settings_given(others);
	}
	return lappend(settings, psprintf(PREFIX "%s", path));
}

void
path_check(const char *path, Oid role)
{
	ListCell *cell;

	if (path == NULL)
		return;
	foreach(cell, schemas_of(path))
	{
		const char *name = lfirst(cell);
		Oid schema = get_namespace_oid(name, true);

		if (!OidIsValid(schema))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_SCHEMA),
					 errmsg("schema \"%s\" does not exist", name),
					 errdetail("The schema is in the search_path of the definition: %s.", path),
					 errhint("Create the schema, or define the load again with replace => true.")));
		if (schema_aclcheck_compat(schema, role, ACL_USAGE) != ACLCHECK_OK)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for schema %s", name),
					 errdetail(
						 "The schema is in the search_path of the definition, which is evaluated as"
						 " role \"%s\".",
						 GetUserNameFromId(role, false)),
					 errhint("Grant USAGE on the schema, or define the load under another"
							 " search_path.")));
	}
}

/* The temporary schema comes last: otherwise names of temporary types would hide others. */
void
path_enter(const char *path)
{
	settings_set("search_path", psprintf("%s, pg_temp", path));
}
