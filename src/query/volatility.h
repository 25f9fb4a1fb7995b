/*-------------------------------------------------------------------------
 *
 * volatility.h
 *		Dependence of the result of a query on anything but its inputs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUERY_VOLATILITY_H
#define DEPIPE_QUERY_VOLATILITY_H

#include "depipe.h"
#include "nodes/parsenodes.h"

typedef struct Volatility
{
	bool is_volatile;    /* two evaluations may differ */
	bool is_stable;      /* the result may differ between transactions with the same inputs */
	bool reads_clock;    /* now() and the like: so it is stable */
	bool beyond_clock;   /* something else makes it stable as well */
	char *volatile_part; /* the first such part: "calls random()"; NULL unless is_volatile */
	char *stable_part;   /* likewise; NULL unless is_stable; the clock if nothing else is */
} Volatility;

/*
 * Add the volatility of an analysed query.  view: the view that it belongs to,
 * or InvalidOid.  Texts are allocated in the current memory context.
 */
extern void volatility_add(Volatility *volatility, Query *query, Oid view);

/* Why two evaluations may differ, and why transactions may, without the final period. */
extern char *volatility_why_volatile(const Volatility *volatility);
extern char *volatility_why_stable(const Volatility *volatility);

/* Is the expression the start of the transaction: now(), CURRENT_DATE and the like? */
extern bool volatility_is_clock(const Node *node);

/* May the result of the expression differ, other than with the settings of the definition? */
extern bool volatility_is_unsettled(Node *node);

/* Add one part, such as "uses TABLESAMPLE without REPEATABLE". */
extern void volatility_add_part(Volatility *volatility, const char *part, Oid view);

#endif /* DEPIPE_QUERY_VOLATILITY_H */
