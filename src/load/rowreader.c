/*-------------------------------------------------------------------------
 *
 * rowreader.c
 *		Conversion of rows that a source sends into values of a delta's
 *		columns.
 *
 * One converter serves the stream and the copy, so that both produce the same
 * values.  It reads in place: to end a text, it overwrites the byte after it
 * with a zero byte during the call, which the buffers of libpq permit.  Values
 * are allocated in the current memory context, which callers reset for each
 * row.
 *
 * Texts arrive in the encoding of the source.  Each is converted separately, so
 * that a text that cannot be converted can be attributed to its column.
 * Receive functions are not used for texts: they convert from the encoding of
 * the session's client, which is unrelated to the source.  If the source has
 * another encoding, no values are sent in binary form.
 *
 *-------------------------------------------------------------------------
 */
#include "load/rowreader.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "core/settings.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#define COPY_SIGNATURE "PGCOPY\n\377\r\n"
#define COPY_SIGNATURE_LENGTH 11 /* with its zero byte */

/* ---- making ---- */

static BinaryKind
binary_kind(Oid type)
{
	switch (type)
	{
		case INT2OID:
			return BINARY_INT2;
		case INT4OID:
		case OIDOID:
		case DATEOID:
		case FLOAT4OID:
			return BINARY_INT4;
		case INT8OID:
		case FLOAT8OID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case TIMEOID:
		case CASHOID:
			return BINARY_INT8;
		case BOOLOID:
			return BINARY_BOOL;
		case TEXTOID:
		case BYTEAOID:
			return BINARY_VARLENA;
		case VARCHAROID:
		case BPCHAROID:
		case JSONOID:
		case XMLOID:
		case NAMEOID:
			return BINARY_TEXT;
		default:
			return BINARY_FUNCTION;
	}
}

/*
 * Built-in types whose binary form has the same meaning everywhere.  This
 * excludes types that name objects by OID, and types made of these or of texts
 * that a receive function would convert from the client's encoding.
 */
bool
rowreader_binary_safe(Oid type)
{
	Oid element;

	if (type >= FirstGenbkiObjectId)
		return false;
	if (binary_kind(type) != BINARY_FUNCTION)
		return true;
	element = get_element_type(type);
	if (OidIsValid(element))
		return rowreader_binary_safe(element) &&
			   (pg_get_client_encoding() == GetDatabaseEncoding() ||
				(binary_kind(element) != BINARY_TEXT && binary_kind(element) != BINARY_VARLENA));
	switch (type)
	{
		case NUMERICOID:
		case UUIDOID:
		case INTERVALOID:
		case TIMETZOID:
		case INETOID:
		case CIDROID:
		case MACADDROID:
		case MACADDR8OID:
		case BITOID:
		case VARBITOID:
		case POINTOID:
		case LSEGOID:
		case PATHOID:
		case BOXOID:
		case POLYGONOID:
		case LINEOID:
		case CIRCLEOID:
		case INT4RANGEOID:
		case INT8RANGEOID:
		case NUMRANGEOID:
		case TSRANGEOID:
		case TSTZRANGEOID:
		case DATERANGEOID:
		case PG_LSNOID:
			return true;
		case JSONBOID:
			return pg_get_client_encoding() == GetDatabaseEncoding();
		default:
			return false;
	}
}

static void
init_reader(RowReader *row, ColumnReader *reader, Form_pg_attribute att, int column)
{
	Oid function;

	reader->column = column;
	reader->typmod = att->atttypmod;
	reader->binary = binary_kind(att->atttypid);
	getTypeInputInfo(att->atttypid, &function, &reader->type_parameter);
	fmgr_info(function, &reader->input);
	if (rowreader_binary_safe(att->atttypid))
	{
		getTypeBinaryInputInfo(att->atttypid, &function, &reader->type_parameter);
		fmgr_info(function, &reader->receive);
	}
	if (settings_matter_to_input(att->atttypid))
		row->needs_identity = true;
}

RowReader *
rowreader_create(List *names, TupleDesc desc, int encoding)
{
	RowReader *row = palloc0(sizeof(RowReader));
	ListCell *cell;
	int i = 0;

	row->nsource = list_length(names);
	row->readers = palloc0(sizeof(ColumnReader) * Max(row->nsource, 1));
	row->names = palloc0(sizeof(char *) * Max(row->nsource, 1));
	row->ncolumns = desc->natts;
	row->encoding = encoding == GetDatabaseEncoding() ? -1 : encoding;
	foreach(cell, names)
	{
		const char *name = lfirst(cell);
		ColumnReader *reader = &row->readers[i];

		row->names[i++] = pstrdup(name);
		reader->column = -1;
		for (int column = 0; column < desc->natts; column++)
			if (strcmp(NameStr(TupleDescAttr(desc, column)->attname), name) == 0)
				init_reader(row, reader, TupleDescAttr(desc, column), column);
	}
	return row;
}

/* ---- values ---- */

static bool
is_ascii(const char *data, int length)
{
	for (int i = 0; i < length; i++)
		if (IS_HIGHBIT_SET(data[i]))
			return false;
	return true;
}

static Datum
read_text(const RowReader *row, ColumnReader *reader, char *data, int length)
{
	char saved = data[length];
	char *text = data;
	Datum value;

	data[length] = '\0';
	if (row->encoding >= 0 && !is_ascii(data, length))
		text = pg_any_to_server(data, length, row->encoding);
	value = InputFunctionCall(&reader->input, text, reader->type_parameter, reader->typmod);
	data[length] = saved;
	return value;
}

static uint64
read_bytes(const char *data, int length, int expected)
{
	uint64 value = 0;

	if (length != expected)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("incorrect binary data format")));
	for (int i = 0; i < length; i++)
		value = (value << 8) | (unsigned char) data[i];
	return value;
}

static Datum
read_binary(const RowReader *row, ColumnReader *reader, char *data, int length)
{
	StringInfoData buffer;

	switch (reader->binary)
	{
		case BINARY_INT2:
			return Int16GetDatum((int16) read_bytes(data, length, 2));
		case BINARY_INT4:
			return Int32GetDatum((int32) read_bytes(data, length, 4));
		case BINARY_INT8:
			return Int64GetDatum((int64) read_bytes(data, length, 8));
		case BINARY_BOOL:
			return BoolGetDatum(read_bytes(data, length, 1) != 0);
		case BINARY_VARLENA:
			return PointerGetDatum(cstring_to_text_with_len(data, length));
		case BINARY_TEXT:
			return read_text(row, reader, data, length);
		case BINARY_FUNCTION:
			break;
	}
	buffer.data = data;
	buffer.len = length;
	buffer.maxlen = length;
	buffer.cursor = 0;
	return ReceiveFunctionCall(&reader->receive, &buffer, reader->type_parameter, reader->typmod);
}

/* ---- rows ---- */

PG_ATTRIBUTE_NORETURN_COMPAT static void
too_short(void)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_PROTOCOL_VIOLATION), errmsg("a row sent by the source is incomplete")));
}

static int
read_int16(char **data, const char *end)
{
	uint16 value;

	if (end - *data < (ptrdiff_t) sizeof(value))
		too_short();
	memcpy(&value, *data, sizeof(value));
	*data += sizeof(value);
	return (int16) pg_ntoh16(value);
}

static int
read_int32(char **data, const char *end)
{
	uint32 value;

	if (end - *data < (ptrdiff_t) sizeof(value))
		too_short();
	memcpy(&value, *data, sizeof(value));
	*data += sizeof(value);
	return (int32) pg_ntoh32(value);
}

/* Read a length and as many bytes; the position is moved past them. */
static char *
read_value(char **data, const char *end, int *length)
{
	char *value;

	*length = read_int32(data, end);
	if (*length < 0)
		return NULL;
	if (end - *data < *length)
		too_short();
	value = *data;
	*data += *length;
	return value;
}

void
rowreader_replicated(RowReader *reader, char **data, const char *end, Datum *values, bool *nulls,
					 Bitmapset **unknown)
{
	int count = read_int16(data, end);

	if (count > reader->nsource)
		too_short();
	memset(nulls, true, reader->ncolumns);
	for (int i = 0; i < count; i++)
	{
		ColumnReader *column = &reader->readers[i];
		char kind;
		char *value;
		int length;

		if (*data >= end)
			too_short();
		kind = *(*data)++;
		if (kind == 'n')
			continue;
		if (kind == 'u')
		{
			if (unknown != NULL && column->column >= 0)
				*unknown = bms_add_member(*unknown, column->column);
			continue;
		}
		value = read_value(data, end, &length);
		if (value == NULL)
			too_short();
		if (column->column < 0)
			continue;
		reader->reading = reader->names[i];
		values[column->column] = kind == 'b' ? read_binary(reader, column, value, length)
											 : read_text(reader, column, value, length);
		nulls[column->column] = false;
	}
	reader->reading = NULL;
}

static bool
copied_binary(RowReader *reader, char *data, int length, Datum *values, bool *nulls)
{
	char *end = data + length;
	int count;

	if (length >= COPY_SIGNATURE_LENGTH && memcmp(data, COPY_SIGNATURE, COPY_SIGNATURE_LENGTH) == 0)
	{
		int extension;

		data += COPY_SIGNATURE_LENGTH + sizeof(uint32);
		extension = read_int32(&data, end);
		data += extension;
		if (data >= end)
			return false;
	}
	count = read_int16(&data, end);
	if (count < 0)
		return false;
	if (count != reader->nsource)
		too_short();
	for (int i = 0; i < count; i++)
	{
		int value_length;
		char *value = read_value(&data, end, &value_length);
		ColumnReader *column = &reader->readers[i];

		if (column->column < 0 || value == NULL)
			continue;
		reader->reading = reader->names[i];
		values[column->column] = read_binary(reader, column, value, value_length);
		nulls[column->column] = false;
	}
	reader->reading = NULL;
	return true;
}

/*
 * Returns the end of the field that begins at data, after replacing its escapes
 * in place; *length is the resulting length.
 */
static char *
unescape_field(char *data, const char *end, int *length)
{
	char *to = data;
	char *from = data;

	while (from < end && *from != '\t')
	{
		char c = *from++;

		if (c == '\\' && from < end)
		{
			static const char letters[] = "bfnrtv";
			static const char bytes[] = "\b\f\n\r\t\v";
			const char *found;

			c = *from++;
			found = strchr(letters, c);
			if (c != '\0' && found != NULL)
				c = bytes[found - letters];
		}
		*to++ = c;
	}
	*length = to - data;
	return from;
}

static bool
copied_text(RowReader *reader, char *data, int length, Datum *values, bool *nulls)
{
	char *end = data + length;

	if (length > 0 && data[length - 1] == '\n')
		end--;
	for (int i = 0; i < reader->nsource; i++)
	{
		ColumnReader *column = &reader->readers[i];
		bool isnull = end - data >= 2 && data[0] == '\\' && data[1] == 'N' &&
					  (data + 2 == end || data[2] == '\t');
		int value_length;
		char *after = unescape_field(data, end, &value_length);

		if (column->column >= 0 && !isnull)
		{
			reader->reading = reader->names[i];
			values[column->column] = read_text(reader, column, data, value_length);
			nulls[column->column] = false;
		}
		if (i < reader->nsource - 1 && after >= end)
			too_short();
		data = after + 1;
	}
	reader->reading = NULL;
	return true;
}

bool
rowreader_copied(RowReader *reader, char *data, int length, bool binary, Datum *values, bool *nulls)
{
	memset(nulls, true, reader->ncolumns);
	return binary ? copied_binary(reader, data, length, values, nulls)
				  : copied_text(reader, data, length, values, nulls);
}
