/*-------------------------------------------------------------------------
 *
 * settled.h
 *		Stable expressions whose value the settings of a definition determine.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_SETTLED_H
#define DEPIPE_QUERY_SETTLED_H

#include "depipe.h"
#include "nodes/primnodes.h"

/*
 * Does the function, operator or cast at the top of the expression depend on
 * nothing but its arguments and the recorded settings?  False for volatile
 * functions, and for stable functions that are not known to be settled.  True
 * for nodes that call no function.
 */
extern bool node_is_settled(Node *node);

/*
 * Returns the node with a call of an immutable function of the same type in
 * place of the settled one.  The result is for contain_mutable_functions() only:
 * it cannot be run.  Changes the node passed in.
 */
extern Node *node_without_settings(Node *node);

/* Does this function in FROM only convert JSON to columns, and is that settled? */
extern bool columns_are_settled(const RangeTblFunction *function);

#endif /* DEPIPE_QUERY_SETTLED_H */
