/*-------------------------------------------------------------------------
 *
 * message.h
 *		Errors that are kept, without the values of rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_MESSAGE_H
#define DEPIPE_MESSAGE_H

#include "depipe.h"

/*
 * The error's message as it may be shown to whoever sees the state of a table
 * without being able to read it; NULL when there is no message.
 */
extern char *message_without_values(const ErrorData *error);

/* Likewise its hint. */
extern char *hint_without_values(const ErrorData *error);

/* Does an error of this class only name objects, connections or limits, never a value? */
extern bool message_class_has_no_values(int sqlstate);

#endif /* DEPIPE_MESSAGE_H */
