/*-------------------------------------------------------------------------
 *
 * settings.c
 *		The settings that determine the meaning of a definition.
 *
 * '2026-01-01'::timestamptz, at::date or amount::money have one meaning in one
 * session and another in the next.  So a definition has the settings of the
 * session that made it, just as it has its search_path.  They are stored,
 * dumped and printed with it, and are in force whenever a part of it is
 * evaluated, whichever user runs it.  Only values that differ from the base
 * below are stored, so that a definition made under plain settings has the
 * same text everywhere.  Work that belongs to no definition runs under the
 * base.
 *
 * The tables below were derived from all settings that a session may change
 * (SELECT name FROM pg_settings WHERE context IN ('user', 'superuser')).  They
 * leave out settings that affect how a result is found, how long that may take
 * or what is logged (planner, memory, timeouts, parallelism, statistics);
 * settings of new objects (default_tablespace and the like), of the role
 * (role, session_authorization) and of the transaction; and:
 *
 *		search_path				pinned by core/identity; constraints record it
 *		check_function_bodies	no definition creates functions
 *		escape_string_warning	only warns
 *		lc_messages				language of errors; superusers only
 *		session_replication_role which triggers fire: publish/apply decides
 *		synchronize_seqscans	order of rows without ORDER BY: never defined
 *		settings of extensions and of applications (plpgsql.variable_conflict,
 *								myapp.x read by current_setting()): their
 *								meaning is unknown here; see doc/reference.md
 *
 * Invariant: under the base, texts of values can be exchanged with sources,
 * whose connections use the same settings, and with the images kept in
 * depipe's tables.
 *
 *-------------------------------------------------------------------------
 */
#include "core/settings.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "core/sqltext.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#define MATTERS_TO_LITERALS 1 /* format of a literal within SQL text */
#define MATTERS_TO_TEXTS 2    /* conversion of a value to text or back */

typedef struct Setting
{
	const char *name;
	const char *base;
	int flags;
} Setting;

/* The recorded settings, in the order in which they are stored. */
static const Setting recorded[] = {
	/* result of quote_ident() and format('%I'), and the spelling of the settings below */
	{"quote_all_identifiers", "off", 0},
	/* format of a date, and which of 01/02 is the month */
	{"DateStyle", "ISO, MDY", MATTERS_TO_LITERALS | MATTERS_TO_TEXTS},
	/* format of an interval, and the scope of a leading sign */
	{"IntervalStyle", "postgres", MATTERS_TO_LITERALS | MATTERS_TO_TEXTS},
	/* the day that a time belongs to, and the time at which a day begins */
	{"TimeZone", "UTC", 0},
	/* IST means Israel or India */
	{"timezone_abbreviations", "Default", 0},
	/* bytea::text */
	{"bytea_output", "hex", MATTERS_TO_LITERALS | MATTERS_TO_TEXTS},
	/* to_tsvector(body): words and stop words */
	{"default_text_search_config", "pg_catalog.simple", 0},
	/* float8::text: number of digits */
	{"extra_float_digits", "1", MATTERS_TO_LITERALS | MATTERS_TO_TEXTS},
	/* text and money: number of decimals, position of the sign */
	{"lc_monetary", "C", MATTERS_TO_TEXTS},
	/* to_char and to_number: D, G, L */
	{"lc_numeric", "C", 0},
	/* to_char and to_date: TMMonth */
	{"lc_time", "C", 0},
	/* whether x = NULL is x IS NULL */
	{"transform_null_equals", "off", 0},
	/* bytea within XML */
	{"xmlbinary", "base64", 0},
	/* text::xml: a document, or any content */
	{"xmloption", "content", MATTERS_TO_TEXTS},
};

/*
 * The settings with one value for all definitions.  refused: another value
 * changes the meaning of texts, and depipe's own SQL needs this one, so no
 * definition can be made in a session that has another.
 */
static const struct
{
	const char *name;
	const char *value;
	bool refused;
} fixed[] = {
	/* '{NULL}'::text[] */
	{"array_nulls", "on", true},
	/* '\n' in SQL text */
	{"standard_conforming_strings", "on", true},
	/* this value accepts all texts, whatever the client's encoding */
	{"backslash_quote", "on", false},
	/* another value makes a GIN index return only some of the rows */
	{"gin_fuzzy_search_limit", "0", false},
	/* another value raises errors about views and foreign tables (not in all minor releases) */
	{"restrict_nonsystem_relation_kind", "", false},
	/* off raises an error where rows would be filtered */
	{"row_security", "on", false},
};

/* ---- one setting ---- */

static void
show_setting(void *argument)
{
	errcontext("setting \"%s\" of a definition", (const char *) argument);
}

/* NULL if this server has no such setting. */
static const char *
current_value(const char *name)
{
	return GetConfigOption(name, true, false);
}

void
settings_set(const char *name, const char *value)
{
	const char *current = current_value(name);
	ErrorContextCallback callback = {error_context_stack, show_setting, unconstify(char *, name)};

	if (current == NULL || strcmp(current, value) == 0)
		return;
	error_context_stack = &callback;
	(void)
		set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	error_context_stack = callback.previous;
}

void
settings_force(const char *name, const char *value)
{
	(void)
		set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* The value within "name=value"; NULL if the text is about another setting. */
static const char *
value_of(const char *text, const Setting *setting)
{
	size_t length = strlen(setting->name);

	return strncmp(text, setting->name, length) == 0 && text[length] == '=' ? text + length + 1
																			: NULL;
}

/* ---- entering settings ---- */

static void
enter_fixed(void)
{
	for (int i = 0; i < lengthof(fixed); i++)
		settings_set(fixed[i].name, fixed[i].value);
}

void
settings_enter(List *settings)
{
	ListCell *cell = list_head(settings);

	enter_fixed();
	for (int i = 0; i < lengthof(recorded); i++)
	{
		const char *value = cell == NULL ? NULL : value_of(lfirst(cell), &recorded[i]);

		if (value != NULL)
			cell = lnext(settings, cell);
		settings_set(recorded[i].name, value != NULL ? value : recorded[i].base);
	}
}

static void
pin(int flag)
{
	enter_fixed();
	for (int i = 0; i < lengthof(recorded); i++)
		if ((recorded[i].flags & flag) != 0)
			settings_set(recorded[i].name, recorded[i].base);
}

void
settings_pin_exchange(void)
{
	pin(MATTERS_TO_TEXTS);
}

void
settings_pin_literals(void)
{
	pin(MATTERS_TO_LITERALS);
}

uint64
settings_hash(void)
{
	uint64 hash = 0;

	for (int i = 0; i < lengthof(recorded); i++)
	{
		const char *value = current_value(recorded[i].name);

		if (value != NULL)
			hash = hash_combine64(
				hash,
				hash_bytes_extended((const unsigned char *) value, strlen(value), 0));
	}
	return hash;
}

bool
settings_matter_to_input(Oid type)
{
	if (type >= FirstNormalObjectId)
		return get_typtype(type) != TYPTYPE_ENUM; /* enum_in is the server's own */
	return type == CASHOID || type == XMLOID || OidIsValid(get_element_type(type));
}

/* ---- settings of a definition ---- */

static void
refuse_session(const char *name, const char *value)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("a definition cannot be created while %s is %s", name, current_value(name)),
			 errdetail("Its texts would have another meaning at evaluation."),
			 errhint("SET %s = %s;", name, value)));
}

List *
settings_of_session(void)
{
	List *settings = NIL;

	for (int i = 0; i < lengthof(fixed); i++)
		if (fixed[i].refused && strcmp(current_value(fixed[i].name), fixed[i].value) != 0)
			refuse_session(fixed[i].name, fixed[i].value);
	for (int i = 0; i < lengthof(recorded); i++)
	{
		/* the spelling of SHOW, which is canonical */
		char *value = GetConfigOptionByName(recorded[i].name, NULL, true);

		if (value != NULL && strcmp(value, recorded[i].base) != 0)
			settings = lappend(settings, psprintf("%s=%s", recorded[i].name, value));
	}
	return settings;
}

/* Raise 22023 or 42704 unless each text names a recorded setting. */
static void
check_given(List *given)
{
	StringInfoData names;
	ListCell *cell;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(recorded); i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", recorded[i].name);
	foreach(cell, given)
	{
		const char *text = lfirst(cell);
		const char *equals = strchr(text, '=');
		bool found = false;

		if (equals == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid value in argument \"settings\": \"%s\"", text),
					 errhint("Write settings as 'TimeZone=Europe/Berlin'.")));
		for (int i = 0; i < lengthof(recorded); i++)
			found |= strlen(recorded[i].name) == (size_t) (equals - text) &&
					 pg_strncasecmp(recorded[i].name, text, equals - text) == 0;
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("\"%s\" is not a setting that definitions record",
							pnstrdup(text, equals - text)),
					 errhint("Definitions record these settings: %s.", names.data)));
	}
}

/* Set the values in a nest level and read them back: the server's spelling is canonical. */
List *
settings_given(ArrayType *array)
{
	List *given = text_array_to_list(array, "settings");
	List *settings;
	int level;
	ListCell *cell;

	check_given(given);
	level = NewGUCNestLevel();
	settings_enter(NIL);
	foreach(cell, given)
	{
		char *name = pstrdup(lfirst(cell));
		char *equals = strchr(name, '=');

		*equals = '\0';
		settings_set(name, equals + 1);
	}
	settings = settings_of_session();
	AtEOXact_GUC(false, level);
	return settings;
}

List *
settings_argument(bool isnull, Datum value)
{
	return isnull ? settings_of_session() : settings_given(DatumGetArrayTypeP(value));
}

char *
settings_text(List *settings)
{
	Oid output;
	bool is_varlena;

	if (settings == NIL)
		return pstrdup("{}");
	getTypeOutputInfo(TEXTARRAYOID, &output, &is_varlena);
	return OidOutputFunctionCall(output, PointerGetDatum(list_to_text_array(settings)));
}

/*
 * The settings of this session that a definition would record.  It is the
 * default of columns, so upgrades and restored dumps call it: it must not
 * check the version of the extension.
 */
PG_FUNCTION_INFO_V1(depipe_session_settings);

Datum
depipe_session_settings(PG_FUNCTION_ARGS)
{
	ArrayType *array = list_to_text_array(settings_of_session());

	PG_RETURN_ARRAYTYPE_P(array != NULL ? array : construct_empty_array(TEXTOID));
}
