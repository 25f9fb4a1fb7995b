/*-------------------------------------------------------------------------
 *
 * settings.c
 *		The settings that decide what a definition means.
 *
 * '2026-01-01'::timestamptz, at::date or amount::money mean one thing in one
 * session and another in the next.  So a definition has the settings of the
 * session that made it, as it has its search_path: they are stored with it
 * (only what differs from the base below, so that a definition made anywhere
 * under plain settings is the same text everywhere), dumped and printed with
 * it, and put in force wherever something of it is evaluated, whoever runs it.
 * What belongs to no definition runs under the base.
 *
 * The tables below were made from all settings that a session may change
 * (SELECT name FROM pg_settings WHERE context IN ('user', 'superuser')).  Left
 * out are those that decide how a result is found, how long that may take or
 * what is logged (planner, memory, timeouts, parallelism, statistics), what
 * belongs to objects that are made (default_tablespace and its like), to the
 * role (role, session_authorization) and to the transaction, and:
 *
 *		search_path				pinned by core/identity; constraints record it
 *		check_function_bodies	nothing of a definition makes functions
 *		escape_string_warning	warns only
 *		lc_messages				words of errors; superusers only
 *		session_replication_role which triggers fire: publish/apply decides
 *		synchronize_seqscans	order of rows without ORDER BY: never defined
 *		settings of extensions and of applications (plpgsql.variable_conflict,
 *								myapp.x read by current_setting()): what they
 *								mean is not known here; the README says so
 *
 * Invariant: under the base, texts of values can be exchanged: with sources,
 * whose connections write under the same, and with images kept in depipe's
 * tables.
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

#define MATTERS_TO_LITERALS 1 /* how a literal within SQL text is written */
#define MATTERS_TO_TEXTS 2    /* how a value becomes a text, or is read from it */

typedef struct Setting
{
	const char *name;
	const char *base;
	int flags;
} Setting;

/* Recorded, in this order. */
static const Setting recorded[] = {
	/* what quote_ident() and format('%I') return; and the spelling of settings that follow */
	{"quote_all_identifiers", "off", 0},
	/* what a date is written like, and which of 01/02 is the month */
	{"DateStyle", "ISO, MDY", MATTERS_TO_LITERALS | MATTERS_TO_TEXTS},
	/* what an interval is written like, and what a leading sign is about */
	{"IntervalStyle", "postgres", MATTERS_TO_LITERALS | MATTERS_TO_TEXTS},
	/* which day a moment belongs to, and which moment a day begins with */
	{"TimeZone", "UTC", 0},
	/* IST is Israel's or India's */
	{"timezone_abbreviations", "Default", 0},
	/* bytea::text */
	{"bytea_output", "hex", MATTERS_TO_LITERALS | MATTERS_TO_TEXTS},
	/* to_tsvector(body): words and stop words */
	{"default_text_search_config", "pg_catalog.simple", 0},
	/* float8::text: how many digits */
	{"extra_float_digits", "1", MATTERS_TO_LITERALS | MATTERS_TO_TEXTS},
	/* text and money: the number of decimals, and which sign stands before them */
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
 * The same for all definitions.  refused: a text means something else under
 * another value, and depipe's own SQL needs this one, so that no definition is
 * made under another.
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
	/* which texts are taken: the one that takes all, whatever the client's encoding */
	{"backslash_quote", "on", false},
	/* a GIN index returns some of the rows only */
	{"gin_fuzzy_search_limit", "0", false},
	/* errors about views and foreign tables (not in all minor releases) */
	{"restrict_nonsystem_relation_kind", "", false},
	/* off: an error where rows would be filtered */
	{"row_security", "on", false},
};

/* ---- one setting ---- */

static void
show_setting(void *argument)
{
	errcontext("setting \"%s\" of a definition", (const char *) argument);
}

/* NULL: this server has no such setting. */
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

/* The value within "name=value"; NULL when it is another setting's. */
static const char *
value_of(const char *text, const Setting *setting)
{
	size_t length = strlen(setting->name);

	return strncmp(text, setting->name, length) == 0 && text[length] == '=' ? text + length + 1
																			: NULL;
}

/* ---- in force ---- */

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
		return get_typtype(type) != TYPTYPE_ENUM; /* an enum's is the server's own */
	return type == CASHOID || type == XMLOID || OidIsValid(get_element_type(type));
}

/* ---- of a definition ---- */

static void
refuse_session(const char *name, const char *value)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("a definition cannot be made while %s is %s", name, current_value(name)),
			 errdetail("Its texts would mean something else when it is evaluated."),
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
		/* as SHOW has it: its one spelling */
		char *value = GetConfigOptionByName(recorded[i].name, NULL, true);

		if (value != NULL && strcmp(value, recorded[i].base) != 0)
			settings = lappend(settings, psprintf("%s=%s", recorded[i].name, value));
	}
	return settings;
}

/* Raises unless each names a recorded setting, once. */
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
			ereport(
				ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("\"%s\" is not a setting of definitions", pnstrdup(text, equals - text)),
				 errhint("Settings of definitions are: %s.", names.data)));
	}
}

/* The server reads the values: what it shows then is their one spelling. */
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
 * The settings of this session that a definition would record.  As the default
 * of columns it is needed by upgrades and restored dumps: no check of versions.
 */
PG_FUNCTION_INFO_V1(depipe_session_settings);

Datum
depipe_session_settings(PG_FUNCTION_ARGS)
{
	ArrayType *array = list_to_text_array(settings_of_session());

	PG_RETURN_ARRAYTYPE_P(array != NULL ? array : construct_empty_array(TEXTOID));
}
