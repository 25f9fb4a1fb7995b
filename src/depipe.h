/*-------------------------------------------------------------------------
 *
 * depipe.h
 *		Definitions shared by all files of depipe: SQLSTATEs, settings, limits.
 *
 * The sources use the terms of the documentation.  A *load* keeps a table
 * equal to a source table.  A *transform* keeps a table equal to the result of
 * a query.  The *target* is the table that a load, a transform or a constraint
 * belongs to.  A *delta* is the set of row changes of one batch.  The *gate*
 * evaluates the constraints of the target inside the transaction that
 * publishes the delta.
 *
 * Dependencies run one way:
 *		worker -> run -> look -> load, transform -> publish -> quality
 *			-> delta, catalog -> core
 * Neither of load and transform includes the other, nor does either of delta
 * and catalog.  test/lint verifies this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_H
#define DEPIPE_H

#include "compat.h"

#ifndef DEPIPE_VERSION
#error "the Makefile passes DEPIPE_VERSION"
#endif
/* The previous SQL version if this library still serves it, else NULL. */
#ifndef DEPIPE_PREVIOUS_VERSION
#define DEPIPE_PREVIOUS_VERSION NULL
#endif
#define DEPIPE_SCHEMA "depipe"

/* The text domain distinguishes errors of depipe from those of the server. */
#undef TEXTDOMAIN
#define TEXTDOMAIN PG_TEXTDOMAIN("depipe")

/* depipe's own SQLSTATEs.  Classes that begin with I-Z are free for extensions. */
#define ERRCODE_DEPIPE_BLOCKED MAKE_SQLSTATE('Q', 'D', '0', '0', '1')
#define ERRCODE_DEPIPE_BREAKER_OPEN MAKE_SQLSTATE('Q', 'D', '0', '0', '2')
#define ERRCODE_DEPIPE_SCHEMA_CHANGE MAKE_SQLSTATE('Q', 'D', '0', '0', '3')
#define ERRCODE_DEPIPE_STALE MAKE_SQLSTATE('Q', 'D', '0', '0', '4')

/* Settings (core/guc.c).  The units are those of their documentation. */
extern bool depipe_allow_blocked_access;
extern bool depipe_allow_target_dml;
extern int depipe_batch_memory; /* kB */
extern int depipe_batch_rows;   /* changes */
extern char *depipe_databases;  /* names; empty: every database that has the extension */
extern bool depipe_enabled;
extern int depipe_audit_retention;      /* seconds, -1: forever */
extern int depipe_history_retention;    /* seconds, -1: forever */
extern int depipe_incident_linger;      /* seconds */
extern int depipe_max_override;         /* seconds */
extern int depipe_max_changes;          /* rows per input */
extern int depipe_max_parked;           /* rows per table */
extern int depipe_quarantine_retention; /* seconds, -1: forever */

extern int depipe_max_workers;
extern int depipe_naptime; /* milliseconds */

/* True if shared_preload_libraries loaded the library at server start (core/guc.c). */
extern bool depipe_is_preloaded;

/* Define the settings.  Called by _PG_init. */
extern void guc_init(void);

#endif /* DEPIPE_H */
