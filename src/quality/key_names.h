/*-------------------------------------------------------------------------
 *
 * key_names.h
 *		The texts under which quarantined rows are kept and found by their keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_KEY_NAMES_H
#define DEPIPE_QUALITY_KEY_NAMES_H

#include "catalog/target.h"
#include "delta/delta.h"
#include "utils/array.h"

typedef struct KeyNames KeyNames;

/*
 * The names of the keys of a delta's rows; NULL if equal keys of the table have
 * equal texts.  Allocated in the current memory context.  Reads the delta with
 * its own reader.  Raises the errors of the input functions of the columns.
 */
extern KeyNames *key_names_of_delta(Target *target, Delta *delta);

/* The same for one key.  values and nulls are those of delta->columns. */
extern KeyNames *key_names_of_key(Target *target, Delta *delta, const Datum *values,
								  const bool *nulls);

/*
 * The name of a key, a text[] in the current memory context.  Equal keys have the
 * same name: that of an equal key in quarantine, else the text of the first of them.
 * names may be NULL.
 */
extern ArrayType *key_name(KeyNames *names, Delta *delta, const Datum *values, const bool *nulls);

/* The hash by which key_names finds the kept key; returns false if there is none. */
extern bool key_name_hash(const KeyNames *names, const Datum *values, const bool *nulls,
						  int64 *hash);

/*
 * The names of the new images of the delta, as a text[] of array texts; NULL if
 * the delta has no key or no new image.
 */
extern ArrayType *delta_new_keys(Target *target, Delta *delta);

#endif /* DEPIPE_QUALITY_KEY_NAMES_H */
