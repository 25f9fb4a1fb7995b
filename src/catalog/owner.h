/*-------------------------------------------------------------------------
 *
 * owner.h
 *		Owners of definitions: whether a definition can run as its owner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_OWNER_H
#define DEPIPE_CATALOG_OWNER_H

#include "catalog/statement.h"

/* the state of a target for which owner_problem() returns a reason */
#define OWNERLESS "ownerless"

/*
 * The reason why nothing can run as this role: it was dropped, cannot log in,
 * or (for a load) may not use the server.  server_name is NULL for a
 * transform.  NULL: there is none.
 */
extern char *owner_problem(Oid owner, const char *server_name);

/*
 * The statement that solves the problem of owner_problem().  display: name of
 * the target; relid: the table of that name, InvalidOid if there is none.
 */
extern char *owner_next(Oid owner, const char *server_name, const char *display, Oid relid);

#endif /* DEPIPE_CATALOG_OWNER_H */
