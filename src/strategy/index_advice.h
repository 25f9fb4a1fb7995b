/*-------------------------------------------------------------------------
 *
 * index_advice.h
 *		Advice on indexes that would save incremental refreshes from reading
 *		whole tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_INDEX_ADVICE_H
#define DEPIPE_STRATEGY_INDEX_ADVICE_H

#include "strategy/keys_analysis.h"

/*
 * Returns sentences that name the indexes on large tables that strategy "keys"
 * lacks, with the statements to create them.  Returns NULL if it lacks none.
 */
extern char *index_advice(const KeysAnalysis *analysis);

#endif /* DEPIPE_STRATEGY_INDEX_ADVICE_H */
