/*-------------------------------------------------------------------------
 *
 * arguments.h
 *		Arguments of SQL functions.
 *
 * The SQL functions are not STRICT: a NULL that makes no sense raises an error
 * instead of returning NULL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CORE_ARGUMENTS_H
#define DEPIPE_CORE_ARGUMENTS_H

#include "depipe.h"
#include "fmgr.h"
#include "utils/timestamp.h"

/* Raise 22004 if the argument is null.  name: for the message. */
extern void argument_not_null(FunctionCallInfo fcinfo, int number, const char *name);

/*
 * The argument as a C string.  The first function raises 22004 for NULL, the
 * second returns NULL.
 */
extern char *argument_text(FunctionCallInfo fcinfo, int number, const char *name);
extern char *argument_text_or_null(FunctionCallInfo fcinfo, int number);

/* The argument as a C string that is not blank.  Raises 22004 for NULL, 22023 for a blank text. */
extern char *argument_reason(FunctionCallInfo fcinfo, int number);

/*
 * The place of a word in a list that ends with NULL.  Raises 22023, with the
 * valid words as a hint, when it is none of them; argument_choice() also 22004.
 */
extern int argument_choice(FunctionCallInfo fcinfo, int number, const char *name,
						   const char *const *words);
extern int word_choice(const char *value, const char *name, const char *const *words);

/* The argument as a time; 0 for NULL.  Raises 22023 for infinity. */
extern TimestampTz argument_time(FunctionCallInfo fcinfo, int number, const char *name);

/* An interval as text, in the same format that the catalog's statements return. */
extern char *interval_text(Datum interval);

/*
 * The argument as text that interval_in accepts; NULL for NULL.  Raises 22023
 * if the interval is negative or longer than 100 years.
 */
extern char *argument_interval(FunctionCallInfo fcinfo, int number, const char *name);

/*
 * The current time plus the interval, which counts as at most one year.
 * Raises 22004 for NULL and 22023 if the interval is negative, or zero unless
 * zero_too.
 */
extern TimestampTz argument_deadline(FunctionCallInfo fcinfo, int number, const char *name,
									 bool zero_too);

#endif /* DEPIPE_CORE_ARGUMENTS_H */
