/*-------------------------------------------------------------------------
 *
 * rowreader.h
 *		Conversion of rows that a source sends into values of a delta's
 *		columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_ROWREADER_H
#define DEPIPE_LOAD_ROWREADER_H

#include "depipe.h"
#include "fmgr.h"
#include "nodes/bitmapset.h"

typedef enum BinaryKind
{
	BINARY_FUNCTION, /* by the type's receive function */
	BINARY_INT2,     /* and others that differ only in the order of bytes */
	BINARY_INT4,
	BINARY_INT8,
	BINARY_BOOL,
	BINARY_TEXT,   /* bytes of a text for the type's input function */
	BINARY_VARLENA /* bytes of a text, used unchanged */
} BinaryKind;

typedef struct ColumnReader
{
	int column; /* in the delta, from 0; -1: not used */
	BinaryKind binary;
	Oid type_parameter;
	int32 typmod;
	FmgrInfo input;
	FmgrInfo receive;
} ColumnReader;

typedef struct RowReader
{
	int nsource; /* columns that the source sends */
	ColumnReader *readers;
	int ncolumns;        /* of the delta */
	int encoding;        /* of texts to be converted; -1: no conversion is needed */
	bool needs_identity; /* input functions may run user code or depend on settings */
	char *reading;       /* name of the column being read, for errors */
	char **names;        /* of the source's columns */
} RowReader;

/*
 * Create a reader for rows with columns of these names (List of char *), which
 * are read into the columns of desc; those that desc lacks are skipped.
 * encoding: that of the texts.  The reader lives in the current memory context.
 */
extern RowReader *rowreader_create(List *names, TupleDesc desc, int encoding);

/* Can values of this type be taken in binary form from any other server? */
extern bool rowreader_binary_safe(Oid type);

/*
 * Read one row of pgoutput; *data is moved past it.  Columns that the source
 * did not send are added to *unknown, unless that is NULL. Values are allocated
 * in the current memory context.  Raises 08P01 if the row is incomplete, and
 * the errors of the input functions.
 */
extern void rowreader_replicated(RowReader *reader, char **data, const char *end, Datum *values,
								 bool *nulls, Bitmapset **unknown);

/*
 * Read one row of COPY, in binary or text form.  Returns false for the trailer.
 * Memory and errors are those of the function above.
 */
extern bool rowreader_copied(RowReader *reader, char *data, int length, bool binary, Datum *values,
							 bool *nulls);

#endif /* DEPIPE_LOAD_ROWREADER_H */
