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
	bool reads_clock;    /* uses now() or a similar expression; implies is_stable */
	bool beyond_clock;   /* something other than the clock makes it stable */
	char *volatile_part; /* first volatile part, such as "calls random()"; NULL if none */
	char *stable_part;   /* first stable part, other than the clock if possible; NULL if none */
} Volatility;

/*
 * Add the volatility of an analysed query.  view is the OID of the view that
 * the query belongs to, or InvalidOid.  Texts are allocated in the current
 * memory context.
 */
extern void volatility_add(Volatility *volatility, Query *query, Oid view);

/*
 * Return the reason why two evaluations, or two transactions, may give
 * different results, as a sentence without the final period.
 */
extern char *volatility_why_volatile(const Volatility *volatility);
extern char *volatility_why_stable(const Volatility *volatility);

/* Is the expression the start of the transaction, such as now() or CURRENT_DATE? */
extern bool volatility_is_clock(const Node *node);

/* May the expression give different results under the settings of the definition? */
extern bool volatility_is_unsettled(Node *node);

/* Add a volatile part, such as "uses TABLESAMPLE without REPEATABLE". */
extern void volatility_add_part(Volatility *volatility, const char *part, Oid view);

#endif /* DEPIPE_QUERY_VOLATILITY_H */
