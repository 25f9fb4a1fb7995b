/*-------------------------------------------------------------------------
 *
 * depipe.h
 *		What every file of depipe shares: SQLSTATEs, settings, limits.
 *
 * Words used in the sources are those of the documentation: a *load* keeps a
 * table equal to a source table, a *transform* keeps one equal to a query, a
 * *target* is the table either of them (or a constraint) is about, a *delta*
 * the row changes of one batch, the *gate* the evaluation of the target's
 * constraints inside the transaction that publishes the delta.
 *
 * Dependencies run one way:
 *		worker -> run -> look -> load, transform -> publish -> quality
 *			-> delta, catalog -> core
 * load and transform do not know each other, nor do delta and catalog; test/lint
 * verifies this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_H
#define DEPIPE_H

#include "compat.h"

#ifndef DEPIPE_VERSION
#error "the Makefile passes DEPIPE_VERSION"
#endif
/* The SQL version before, when this library serves it, too; else NULL. */
#ifndef DEPIPE_PREVIOUS_VERSION
#define DEPIPE_PREVIOUS_VERSION NULL
#endif
#define DEPIPE_SCHEMA "depipe"

/* Errors of depipe can be told from the server's by their domain. */
#undef TEXTDOMAIN
#define TEXTDOMAIN PG_TEXTDOMAIN("depipe")

/* SQLSTATEs of our own: classes beginning with I-Z are free to use. */
#define ERRCODE_DEPIPE_BLOCKED MAKE_SQLSTATE('Q', 'D', '0', '0', '1')
#define ERRCODE_DEPIPE_BREAKER_OPEN MAKE_SQLSTATE('Q', 'D', '0', '0', '2')
#define ERRCODE_DEPIPE_SCHEMA_CHANGE MAKE_SQLSTATE('Q', 'D', '0', '0', '3')
#define ERRCODE_DEPIPE_STALE MAKE_SQLSTATE('Q', 'D', '0', '0', '4')

/* Settings (core/guc.c); units as in their documentation. */
extern bool depipe_allow_target_dml;
extern int depipe_batch_memory; /* kB */
extern int depipe_batch_rows;   /* changes */
extern char *depipe_databases;  /* names, empty: all that have the extension */
extern bool depipe_enabled;
extern int depipe_history_retention;    /* seconds, -1: for ever */
extern int depipe_incident_linger;      /* seconds */
extern int depipe_max_override;         /* seconds */
extern int depipe_max_parked;           /* rows per table */
extern int depipe_quarantine_retention; /* seconds, -1: for ever */

extern int depipe_max_workers;
extern int depipe_naptime; /* milliseconds */

/* Loaded with the server, by shared_preload_libraries (core/guc.c). */
extern bool depipe_is_preloaded;

/* In _PG_init: define the settings. */
extern void guc_init(void);

#endif /* DEPIPE_H */
