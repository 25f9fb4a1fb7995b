/*-------------------------------------------------------------------------
 *
 * narrowing.c
 *		Can a column hold every value of another type as it is?
 *
 * Values arrive from a source as text or in binary form, and are read as values
 * of the target's columns.  If the type of a column is narrower, the server
 * silently rounds or truncates them: 1.2345 becomes 1.23 in a numeric(10,2), a
 * timestamp becomes a date.  Therefore the types are compared before a copy.
 *
 * Texts in a column of another kind lose their spelling: '007' becomes 7. That
 * is not the case if the text is kept (json, xml), is one of a list (an enum),
 * or has the same meaning in any spelling (uuid, jsonb).  A length of the target
 * that the source lacks is intended: longer values are errors.  Domains are
 * resolved; arrays and ranges are compared by their elements.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "load/narrowing.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* ---- numbers ---- */

/* Digits before and after the point; false if there is no limit, or for a float. */
static bool
number_digits(Oid type, int32 typmod, int *before, int *behind)
{
	*behind = 0;
	switch (type)
	{
		case INT2OID:
			*before = 5;
			return true;
		case INT4OID:
			*before = 10;
			return true;
		case INT8OID:
			*before = 19;
			return true;
		case NUMERICOID:
			if (typmod < (int32) VARHDRSZ)
				return false;
			/* like numeric_typmod_scale() of numeric.c: eleven bits with a sign */
			*behind = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
			*before = (((typmod - VARHDRSZ) >> 16) & 0xffff) - *behind;
			return true;
		default:
			return false;
	}
}

static bool
is_number(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID ||
		   type == FLOAT4OID || type == FLOAT8OID;
}

/* The number of decimal digits that survive in a float. */
static bool
float_holds(Oid from, int32 typmod, int most_digits)
{
	int before;
	int behind;

	return number_digits(from, typmod, &before, &behind) && before >= 0 && behind >= 0 &&
		   before + behind <= most_digits;
}

/*
 * An integer of a smaller type fits; otherwise the number of digits that every
 * value of the type has room for.
 */
static bool
integer_holds(Oid from, int32 typmod, Oid into)
{
	int digits = into == INT2OID ? 4 : into == INT4OID ? 9 : 18;
	int before;
	int behind;

	if (!number_digits(from, typmod, &before, &behind))
		return false;
	if (from != NUMERICOID)
		return get_typlen(from) <= get_typlen(into);
	return behind <= 0 && before <= digits;
}

static bool
number_holds(Oid from, int32 from_typmod, Oid into, int32 into_typmod)
{
	int before;
	int behind;
	int into_before;
	int into_behind;

	switch (into)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return integer_holds(from, from_typmod, into);
		case FLOAT4OID:
			return from == FLOAT4OID || float_holds(from, from_typmod, 6);
		case FLOAT8OID:
			return from == FLOAT4OID || from == FLOAT8OID || float_holds(from, from_typmod, 15);
		case CASHOID:
			return from == INT2OID || from == INT4OID;
		case NUMERICOID:
			if (!number_digits(into, into_typmod, &into_before, &into_behind))
				return true;
			return number_digits(from, from_typmod, &before, &behind) && into_behind >= behind &&
				   into_before >= before;
		default:
			return true;
	}
}

/* ---- dates and times ---- */

static bool
is_time(Oid type)
{
	return type == DATEOID || type == TIMEOID || type == TIMETZOID || type == TIMESTAMPOID ||
		   type == TIMESTAMPTZOID || type == INTERVALOID;
}

/* The digits of seconds. */
static int
time_precision(Oid type, int32 typmod)
{
	if (type == DATEOID)
		return 0;
	if (type == INTERVALOID && typmod >= 0)
		typmod = INTERVAL_PRECISION(typmod);
	if (typmod < 0 || typmod > MAX_TIMESTAMP_PRECISION)
		return MAX_TIMESTAMP_PRECISION;
	return typmod;
}

/* The fields of an interval. */
static int
interval_fields(Oid type, int32 typmod)
{
	return type != INTERVALOID || typmod < 0 ? INTERVAL_FULL_RANGE : INTERVAL_RANGE(typmod);
}

static bool
time_holds(Oid from, int32 from_typmod, Oid into, int32 into_typmod)
{
	int fields = interval_fields(into, into_typmod);

	if (from != into && !(from == DATEOID && into == TIMESTAMPOID) &&
		!(from == TIMEOID && into == INTERVALOID))
		return false;
	return time_precision(into, into_typmod) >= time_precision(from, from_typmod) &&
		   (fields == INTERVAL_FULL_RANGE || fields == interval_fields(from, from_typmod));
}

/* ---- texts ---- */

static bool
is_text(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID || type == NAMEOID ||
		   type == CHAROID;
}

/* The maximum number of characters, from the modifier of a varchar; -1: no limit. */
static int32
text_length(Oid type, int32 typmod)
{
	if (type == NAMEOID)
		return NAMEDATALEN - 1 + VARHDRSZ;
	if (type == CHAROID)
		return 1 + VARHDRSZ;
	return type == TEXTOID ? -1 : typmod;
}

static bool
text_holds(Oid from, int32 from_typmod, Oid into, int32 into_typmod)
{
	int32 most = text_length(into, into_typmod);
	int32 length = text_length(from, from_typmod);

	if (into == NAMEOID || into == CHAROID)
		return from == into; /* they cut without an error */
	if (is_text(into))
		return most < 0 || length < 0 || length <= most;
	return into == JSONOID || into == JSONBOID || into == UUIDOID || into == XMLOID ||
		   into >= FirstNormalObjectId || type_is_enum(into);
}

/* ---- all ---- */

static bool
parts_hold(Oid from, int32 from_typmod, Oid into, int32 into_typmod)
{
	if (OidIsValid(get_multirange_range(from)) && OidIsValid(get_multirange_range(into)))
		return parts_hold(get_multirange_range(from), -1, get_multirange_range(into), -1);
	if (OidIsValid(get_range_subtype(from)) && OidIsValid(get_range_subtype(into)))
		return type_holds(get_range_subtype(from), -1, get_range_subtype(into), -1);
	if (OidIsValid(get_element_type(from)) && OidIsValid(get_element_type(into)))
		return type_holds(get_element_type(from), from_typmod, get_element_type(into), into_typmod);
	return true;
}

bool
type_holds(Oid from, int32 from_typmod, Oid into, int32 into_typmod)
{
	from = getBaseTypeAndTypmod(from, &from_typmod);
	into = getBaseTypeAndTypmod(into, &into_typmod);
	if (from == into && (into_typmod < 0 || into_typmod == from_typmod))
		return true;
	if (is_text(from))
		return text_holds(from, from_typmod, into, into_typmod);
	if (is_number(from))
		return number_holds(from, from_typmod, into, into_typmod);
	if (is_time(from) && is_time(into))
		return time_holds(from, from_typmod, into, into_typmod);
	return parts_hold(from, from_typmod, into, into_typmod);
}

/*
 * The types hold the values (type_holds).  The question here is whether
 * different texts can be equal as values of the other type: trailing blanks in
 * a char(n), upper and lower case in a citext or a uuid, spaces in a jsonb.
 */
bool
type_keeps_apart(Oid from, Oid into)
{
	from = getBaseType(from);
	into = getBaseType(into);
	if (from == into)
		return true;
	if (is_text(from))
		return into == TEXTOID || into == VARCHAROID || into == NAMEOID || type_is_enum(into);
	if (OidIsValid(get_element_type(from)) && OidIsValid(get_element_type(into)))
		return type_keeps_apart(get_element_type(from), get_element_type(into));
	if (OidIsValid(get_range_subtype(from)) && OidIsValid(get_range_subtype(into)))
		return type_keeps_apart(get_range_subtype(from), get_range_subtype(into));
	return into < FirstNormalObjectId || from >= FirstNormalObjectId || type_is_enum(into);
}
