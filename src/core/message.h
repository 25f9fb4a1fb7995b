/*-------------------------------------------------------------------------
 *
 * message.h
 *		Stored error messages, without values of rows, and times in reasons.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CORE_MESSAGE_H
#define DEPIPE_CORE_MESSAGE_H

#include "depipe.h"
#include "utils/timestamp.h"

/*
 * The error's message in a form that may be shown to users who see the state
 * of a table but may not read it.  Palloc'd.  NULL if the error has no
 * message.
 */
extern char *message_without_values(const ErrorData *error);

/* The error's hint in the same form.  NULL if there is none, or if it may contain values. */
extern char *hint_without_values(const ErrorData *error);

/* Do errors of this SQLSTATE's class name only objects, connections or limits, never a value? */
extern bool message_class_has_no_values(int sqlstate);

/* A time for use in reasons, without fractions of a second.  Palloc'd. */
extern char *time_for_reader(TimestampTz time);

#endif /* DEPIPE_CORE_MESSAGE_H */
