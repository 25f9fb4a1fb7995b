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

/* OID of a publication; InvalidOid when there is none. */
extern Oid source_publication_oid(Connection *connection, const char *name);

/* OIDs of its tables. */
extern List *source_publication_relids(Connection *connection, const char *name);

/*
 * Are all of these tables (of SourceTable) there, with a publication in it, and
 * of the columns and types that were described?  Added columns do not count.
 */
extern bool source_tables_are_there(Connection *connection, List *tables, const char *publication);

/* Names of the columns that the publication sends of a table; NIL: it is not in it. */
extern List *source_publication_columns(Connection *connection, const char *name,
										const SourceTable *table);

/*
 * Make the publication of depipe hold exactly these tables, with the columns
 * in their sent (of SourceTable,
 * no duplicates); creates it when missing.  Returns its OID, and whether
 * it was made or changed.
 */
extern Oid source_publication_set(Connection *connection, const char *name, List *tables,
								  bool *changed);

/*
 * Why a publication that is not ours does not serve for these columns (names)
 * of a table, with what to do about it; NULL when it does.
 */
extern char *source_publication_problem(Connection *connection, const char *name,
										const SourceTable *table, List *columns, char **hint);

#endif /* DEPIPE_LOAD_PUBLICATION_H */
