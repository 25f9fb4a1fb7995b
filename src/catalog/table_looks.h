/*-------------------------------------------------------------------------
 *
 * table_looks.h
 *		When the constraints of tables that depipe does not maintain were
 *		last looked at, and what the tables looked like.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_TABLE_LOOKS_H
#define DEPIPE_CATALOG_TABLE_LOOKS_H

#include "catalog/constraints.h"

typedef struct TableLook
{
	int32 constraint_id;
	char *fingerprint; /* of the last evaluation; NULL: nothing to compare with */
	bool is_due;       /* its check_every has passed */
	bool is_settled;   /* the last evaluation ended, and not long ago */
} TableLook;

/*
 * The looks at the constraints of a target, except time checks, which have
 * their own times.  Constraints that were never looked at are due.
 */
extern List *table_looks(int32 target_id);

/* Record a look now.  fingerprint: NULL if what the constraint reads cannot be watched. */
extern void table_look_put(int32 constraint_id, const char *fingerprint);

/* The constraint has another definition: it is due. */
extern void table_look_forget(int32 constraint_id);

/* Targets without load or transform that have a constraint to look at now. */
extern List *due_table_looks(void);

/* SQL: the times of the next looks, for a UNION of due times. */
#define TABLE_LOOK_AT                                      \
	"COALESCE(GREATEST(l.looked_at OPERATOR(pg_catalog.+)" \
	" GREATEST(c.check_every, '1 second'), k.retry_at), '-infinity')"
#define TABLE_LOOKS                                                          \
	" FROM depipe.constraint_definition c"                                   \
	" JOIN depipe.target t USING (target_id)"                                \
	" LEFT JOIN depipe.table_look l ON l.constraint_id"                      \
	" OPERATOR(pg_catalog.=) c.constraint_id"                                \
	" AND l.looked_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()"  \
	" LEFT JOIN depipe.attempt k ON k.unit OPERATOR(pg_catalog.=)"           \
	" ('checks ' || c.target_id)"                                            \
	" AND k.started_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()" \
	" WHERE t.kind OPERATOR(pg_catalog.=) 't'"                               \
	" AND NOT " IS_TIME_CHECK

#endif /* DEPIPE_CATALOG_TABLE_LOOKS_H */
