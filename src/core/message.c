/*-------------------------------------------------------------------------
 *
 * message.c
 *		Stored error messages, without values of rows, and times in reasons.
 *
 * Runs and states are visible to users who may not read the table.  The
 * server's messages quote values in any class of errors ('x'::regclass is an
 * undefined table), in the language of lc_messages.  So a message is kept
 * verbatim only if it is known to name objects: messages of depipe itself, and
 * those of the server's parser, privilege checks and constraint checks.  Of
 * any other message only the format is shown, in English and without the
 * values inserted into it.
 *
 * A message that points into the text of a statement concerns what its author
 * wrote, and is kept.  A user's function may raise any text, so nothing of it
 * is shown.
 *
 *-------------------------------------------------------------------------
 */
#include "core/message.h"

#include <ctype.h>

#include "lib/stringinfo.h"

/* Source files of the server whose errors name objects, never values. */
static const char *const files_about_names[] = {
	"aclchk.c",       "analyze.c",
	"domains.c",      "execIndexing.c",
	"execMain.c",     "heap.c",
	"heapam.c",       "index.c",
	"indexcmds.c",    "lmgr.c",
	"nbtinsert.c",    "parse_agg.c",
	"parse_clause.c", "parse_coerce.c",
	"parse_expr.c",   "parse_func.c",
	"parse_oper.c",   "parse_relation.c",
	"parse_target.c", "rewriteHandler.c",
	"ri_triggers.c",  "spi.c",
	"tablecmds.c",    "trigger.c",
	"tuplesort.c",    "tuplesortvariants.c",
};

/*
 * Beginnings of texts that follow the colon in libpqwalreceiver's messages:
 * errors of the connection to a source, or of its server about the stream.
 * Other texts may quote a value.
 */
static const char *const connection_texts[] = {
	"server closed the connection",
	"could not receive data from server",
	"could not send data to server",
	"no connection to the server",
	"SSL ",
	"terminating connection due to",
	"terminating walsender",
	"canceling statement due to",
	"requested WAL segment",
	"publication \"",
	"replication slot \"",
	"can no longer get changes from replication slot",
	"cannot read from logical replication slot",
	"no such replication slot",
	"could not write to",
	"could not open file",
	"could not read file",
	"the database system is",
	"out of memory",
};

/* Did a user's function raise the error, under whatever SQLSTATE? */
static bool
is_users_own(const ErrorData *error)
{
	static const char *const raisers[] = {"exec_stmt_raise", "PLy_", "plperl_", "pltcl_"};

	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_PLPGSQL_ERROR)
		return true;
	for (int i = 0; error->funcname != NULL && i < lengthof(raisers); i++)
		if (strncmp(error->funcname, raisers[i], strlen(raisers[i])) == 0)
			return true;
	return false;
}

static bool
is_own(const ErrorData *error)
{
	return error->domain != NULL && strcmp(error->domain, TEXTDOMAIN) == 0;
}

/* "could not receive data from WAL stream: " with its cause, if the cause contains no values. */
static char *
connection_message(const ErrorData *error)
{
	const char *cause = error->message == NULL ? NULL : strstr(error->message, ": ");
	const char *file = error->filename == NULL ? NULL
											   : strstr(error->filename, "libpqwalreceiver.c");

	if (file == NULL || cause == NULL)
		return NULL;
	cause += 2;
	if (strncmp(cause, "ERROR:  ", 8) == 0 || strncmp(cause, "FATAL:  ", 8) == 0)
		cause += 8;
	for (int i = 0; i < lengthof(connection_texts); i++)
		if (strncmp(cause, connection_texts[i], strlen(connection_texts[i])) == 0)
			return pnstrdup(error->message, strcspn(error->message, "\n"));
	return NULL;
}

/*
 * Does the error point into a statement?  A statement that a function built
 * from values would have a context.
 */
static bool
points_into_statement(const ErrorData *error)
{
	return (error->cursorpos > 0 || error->internalpos > 0) && error->context == NULL;
}

static bool
names_objects(const ErrorData *error)
{
	const char *file;

	if (is_own(error) || points_into_statement(error))
		return true;
	/* dynamic SQL in a function can use values as names */
	if (error->filename == NULL ||
		(error->context != NULL && strstr(error->context, "PL/") != NULL))
		return false;
	file = strrchr(error->filename, '/');
	file = file == NULL ? error->filename : file + 1;
	for (int i = 0; i < lengthof(files_about_names); i++)
		if (strcmp(file, files_about_names[i]) == 0)
			return true;
	return false;
}

bool
message_class_has_no_values(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
			return true;
		default:
			return false;
	}
}

/* The end of the conversion specification that begins at p with a percent sign. */
static const char *
skip_conversion(const char *p)
{
	p++;
	p += strspn(p, "0123456789.*-+ #$lhzjt");
	return *p == '\0' ? p : p + 1;
}

/*
 * In "invalid input syntax for type ..." the name of the type precedes the
 * value and is worth keeping.  Returns the length of that name in the message,
 * or 0 if it is not there because the message is a translation.
 */
static size_t
length_of_type(const char *format, const char *conversion, const char *message)
{
	size_t before = conversion - format;
	const char *behind = skip_conversion(conversion);
	char *between = pnstrdup(behind, strcspn(behind, "%"));
	const char *end;

	if (before < 5 || strncmp(conversion - 5, "type ", 5) != 0 || between[0] == '\0' ||
		strncmp(message, format, before) != 0)
		return 0;
	end = strstr(message + before, between);
	return end == NULL ? 0 : end - (message + before);
}

static char *
format_of(const ErrorData *error)
{
	StringInfoData buf;
	const char *format = error->message_id;
	bool words = false;
	bool first = true;

	initStringInfo(&buf);
	for (const char *p = format; p != NULL && *p != '\0';)
	{
		size_t type_length;

		if (*p != '%')
		{
			words = words || isalpha((unsigned char) *p);
			appendStringInfoChar(&buf, *p++);
			continue;
		}
		type_length = first ? length_of_type(format, p, error->message) : 0;
		if (type_length > 0)
			appendBinaryStringInfo(&buf, error->message + (p - format), type_length);
		else
			appendStringInfoString(&buf, "...");
		first = false;
		p = skip_conversion(p);
	}
	return words ? buf.data : NULL;
}

char *
message_without_values(const ErrorData *error)
{
	char *format;

	if (error->message == NULL)
		return NULL;
	if (is_users_own(error))
		return psprintf("a function raised an exception (%s)", unpack_sql_state(error->sqlerrcode));
	if (names_objects(error))
		return pstrdup(error->message);
	format = connection_message(error);
	if (format == NULL)
		format = format_of(error);
	if (format != NULL)
		return format;
	return psprintf("an error was raised (%s)", unpack_sql_state(error->sqlerrcode));
}

char *
hint_without_values(const ErrorData *error)
{
	if (error->hint == NULL || is_users_own(error) || !names_objects(error))
		return NULL;
	return pstrdup(error->hint);
}

char *
time_for_reader(TimestampTz time)
{
	return pstrdup(timestamptz_to_str(time - time % USECS_PER_SEC));
}
