/*-------------------------------------------------------------------------
 *
 * image.c
 *		Input of the text images of parked and quarantined rows.
 *
 * Columns of images are matched by name: an image may be older than the last
 * change of the table's columns.
 *
 * The input functions of user-defined types run user code (the checks of a
 * domain).  Therefore images are read as the owner of the target, and under the
 * base settings under which they were written.
 *
 *-------------------------------------------------------------------------
 */
#include "publish/image.h"

#include "catalog/pg_type.h"
#include "core/identity.h"
#include "core/settings.h"
#include "fmgr.h"
#include "utils/lsyscache.h"

struct ImageReader
{
	Delta *delta;
	Oid owner;
	bool needs_identity; /* input functions may run user code or depend on settings */
	FmgrInfo *input;
	Oid *io_params;
};

ImageReader *
image_reader(const Target *target, Delta *delta)
{
	int natts = delta->columns->natts;
	ImageReader *reader = palloc(sizeof(ImageReader));

	reader->delta = delta;
	reader->owner = target->owner;
	reader->needs_identity = false;
	reader->input = palloc0(sizeof(FmgrInfo) * Max(natts, 1));
	reader->io_params = palloc(sizeof(Oid) * Max(natts, 1));
	for (int i = 0; i < natts; i++)
	{
		Oid type = TupleDescAttr(delta->columns, i)->atttypid;
		Oid function;

		getTypeInputInfo(type, &function, &reader->io_params[i]);
		fmgr_info(function, &reader->input[i]);
		reader->needs_identity |= settings_matter_to_input(type);
	}
	return reader;
}

static void
begin_reading(const ImageReader *reader, Identity *identity)
{
	if (reader->needs_identity)
		identity_become(reader->owner, identity);
}

static void
end_reading(const ImageReader *reader, const Identity *identity)
{
	if (reader->needs_identity)
		identity_restore(identity);
}

static void
read_column(ImageReader *reader, int column, Datum element, bool isnull, Datum *values, bool *nulls)
{
	nulls[column] = isnull;
	if (!isnull)
		values[column] = InputFunctionCall(
			&reader->input[column],
			TextDatumGetCString(element),
			reader->io_params[column],
			TupleDescAttr(reader->delta->columns, column)->atttypmod);
}

static int
column_number(Delta *delta, const char *name)
{
	for (int i = 0; i < delta->columns->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(delta->columns, i)->attname), name) == 0)
			return i;
	return -1;
}

void
image_read(ImageReader *reader, List *columns, ArrayType *image, Datum *values, bool *nulls,
		   Bitmapset **unknown)
{
	int natts = reader->delta->columns->natts;
	Datum *elements;
	bool *element_nulls;
	int count;
	int i = 0;
	Identity identity;
	ListCell *cell;

	deconstruct_array(image, TEXTOID, -1, false, TYPALIGN_INT, &elements, &element_nulls, &count);
	memset(nulls, true, natts);
	*unknown = bms_add_range(NULL, 0, natts - 1);
	begin_reading(reader, &identity);
	foreach(cell, columns)
	{
		int column = column_number(reader->delta, lfirst(cell));

		if (column >= 0 && i < count)
		{
			read_column(reader, column, elements[i], element_nulls[i], values, nulls);
			*unknown = bms_del_member(*unknown, column);
		}
		i++;
	}
	end_reading(reader, &identity);
	if (bms_is_empty(*unknown))
		*unknown = NULL;
}

void
image_read_key(ImageReader *reader, ArrayType *key, Datum *values, bool *nulls)
{
	Delta *delta = reader->delta;
	Datum *elements;
	bool *element_nulls;
	int count;
	Identity identity;

	deconstruct_array(key, TEXTOID, -1, false, TYPALIGN_INT, &elements, &element_nulls, &count);
	memset(nulls, true, delta->columns->natts);
	begin_reading(reader, &identity);
	for (int i = 0; i < delta->nkeys && i < count; i++)
		read_column(reader, delta->keys[i] - 1, elements[i], element_nulls[i], values, nulls);
	end_reading(reader, &identity);
}
