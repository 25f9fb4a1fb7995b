/*-------------------------------------------------------------------------
 *
 * owner.h
 *		Owners of definitions: whether one can be run as.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_OWNER_H
#define DEPIPE_CATALOG_OWNER_H

#include "catalog/statement.h"

/* the state of a target for which owner_problem() has something to say */
#define OWNERLESS "ownerless"

/*
 * Why nothing can be run as this role: it was dropped, cannot log in, or (of a
 * load) may not use the server.  server_name NULL: a transform.  NULL: it can.
 */
extern char *owner_problem(Oid owner, const char *server_name);

/*
 * The statement that ends the problem of owner_problem().  display: name of the
 * target; relid: the table of that name, InvalidOid when there is none.
 */
extern char *owner_next(Oid owner, const char *server_name, const char *display, Oid relid);

#endif /* DEPIPE_CATALOG_OWNER_H */
