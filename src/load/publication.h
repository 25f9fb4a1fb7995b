/*-------------------------------------------------------------------------
 *
 * publication.h
 *		The publication of a server at its source.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_PUBLICATION_H
#define DEPIPE_LOAD_PUBLICATION_H

#include "load/source.h"

/* The OID of a publication; InvalidOid if there is none. */
extern Oid source_publication_oid(Connection *connection, const char *name);

/* OIDs of its tables. */
extern List *source_publication_relids(Connection *connection, const char *name);

/*
 * Do all of these tables (of SourceTable) exist, in a publication with this
 * name, with the described columns and types?  Added columns do not count.
 */
extern bool source_tables_are_there(Connection *connection, List *tables, const char *publication);

/* The names of the columns of a table that the publication sends; NIL if the table is not in it. */
extern List *source_publication_columns(Connection *connection, const char *name,
										const SourceTable *table);

/*
 * Let the publication of depipe contain exactly these tables (of SourceTable,
 * no duplicates), with the columns in their sent; it is created if missing.
 * Returns its OID, and whether it was created or changed.
 */
extern Oid source_publication_set(Connection *connection, const char *name, List *tables,
								  bool *changed);

/*
 * The reason why an existing publication does not suffice for these columns
 * (names) of a table, and a hint; NULL if it does.
 */
extern char *source_publication_problem(Connection *connection, const char *name,
										const SourceTable *table, List *columns, char **hint);

#endif /* DEPIPE_LOAD_PUBLICATION_H */
