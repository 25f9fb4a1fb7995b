/*-------------------------------------------------------------------------
 *
 * triggers.h
 *		Which triggers fire for rows that depipe writes; a table with rules is no
 *		target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PUBLISH_TRIGGERS_H
#define DEPIPE_PUBLISH_TRIGGERS_H

#include "depipe.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

/* Triggers of foreign keys to leave out, because the caller does their work. */
#define SKIP_NONE 0x0
#define SKIP_REFERENCING 0x1 /* checks of the foreign keys of the table */
#define SKIP_RESTRICTING 0x2 /* NO ACTION and RESTRICT of foreign keys that refer to it */
#define SKIP_REFERENCED 0x4  /* all actions of foreign keys that refer to it */

/*
 * The next statement with this text writes a target.  The text must live until
 * triggers_end(), which must be called unless an error was raised.
 */
extern void triggers_begin(const char *sql, int skip);
extern void triggers_end(void);

/* Does the table have triggers that must fire in another way than usual? */
extern bool triggers_matter(Relation rel, int skip);

/* Raises 42809 if the table has rules: it cannot be a target. */
extern void rules_refuse(Oid relid, const char *display);

/* Does a trigger of a user fire for rows that depipe writes? */
extern bool triggers_fire(const Trigger *trigger);

/* Does the table have triggers that are not depipe's own: of users, or of foreign keys? */
extern bool triggers_of_others(Relation rel);

/*
 * Called by the hooks of the executor when any statement has started, and when
 * it is about to finish.
 */
struct QueryDesc;
extern void triggers_statement_started(struct QueryDesc *query);
extern void triggers_statement_ends(struct QueryDesc *query);

#endif /* DEPIPE_PUBLISH_TRIGGERS_H */
