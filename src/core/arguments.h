/*-------------------------------------------------------------------------
 *
 * arguments.h
 *		Arguments of SQL functions.
 *
 * Functions are not STRICT: a NULL that makes no sense is an error of its
 * own, not a NULL result.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_ARGUMENTS_H
#define DEPIPE_ARGUMENTS_H

#include "depipe.h"
#include "fmgr.h"
#include "utils/timestamp.h"

/* Raise 22004: argument "name" must not be null. */
extern void argument_not_null(FunctionCallInfo fcinfo, int number, const char *name);

/* A text; the second form returns NULL for NULL. */
extern char *argument_text(FunctionCallInfo fcinfo, int number, const char *name);
extern char *argument_text_or_null(FunctionCallInfo fcinfo, int number);

/* A text that says something; raises 22023 when it is empty. */
extern char *argument_reason(FunctionCallInfo fcinfo, int number);

/* 0 for NULL; raises 22023 for infinity. */
extern TimestampTz argument_time(FunctionCallInfo fcinfo, int number, const char *name);

/* An interval in the spelling that the catalog's statements return. */
extern char *interval_text(Datum interval);

/* As text that interval_in reads back; NULL for NULL; raises 22023 when negative or longer
 * than 100 years. */
extern char *argument_interval(FunctionCallInfo fcinfo, int number, const char *name);

/*
 * An interval as the time when it is over, from now on.  Raises 22004 for NULL,
 * 22023 when it is negative, or zero where that makes no sense.
 */
extern TimestampTz argument_deadline(FunctionCallInfo fcinfo, int number, const char *name,
									 bool zero_too);

#endif /* DEPIPE_ARGUMENTS_H */
