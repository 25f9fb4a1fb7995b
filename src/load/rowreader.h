/*-------------------------------------------------------------------------
 *
 * rowreader.h
 *		Rows as a source sends them, made into values of a delta's columns.
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
	BINARY_INT2,     /* and others whose bytes are only in another order */
	BINARY_INT4,
	BINARY_INT8,
	BINARY_BOOL,
	BINARY_TEXT,   /* bytes of a text, taken by the type's input function */
	BINARY_VARLENA /* bytes of a text, taken as they are */
} BinaryKind;

typedef struct ColumnReader
{
	int column; /* in the delta, from 0; -1: not taken */
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
	int encoding;        /* of texts that are to be converted; -1: they are as here */
	bool needs_identity; /* input functions may run a user's code, or depend on settings */
	char *reading;       /* name of the column that is being read, for errors */
	char **names;        /* of the source's columns */
} RowReader;

/*
 * Reads rows whose columns have these names (List of char *) into the columns
 * of desc; those that desc does not have are passed over.  Texts are in this
 * encoding.  Lives in the current context.
 */
extern RowReader *rowreader_create(List *names, TupleDesc desc, int encoding);

/* May values of this type come in binary form from any other server? */
extern bool rowreader_binary_safe(Oid type);

/*
 * One row of pgoutput; *data is moved behind it.  Columns that the source did
 * not send are added to *unknown, if that is not NULL.
 */
extern void rowreader_replicated(RowReader *reader, char **data, const char *end, Datum *values,
								 bool *nulls, Bitmapset **unknown);

/* One row of COPY, in binary or text form.  Returns false for the trailer. */
extern bool rowreader_copied(RowReader *reader, char *data, int length, bool binary, Datum *values,
							 bool *nulls);

#endif /* DEPIPE_LOAD_ROWREADER_H */
