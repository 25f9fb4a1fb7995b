/*-------------------------------------------------------------------------
 *
 * index_advice.h
 *		Indexes that would spare incremental refreshes the reading of whole tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_STRATEGY_INDEX_ADVICE_H
#define DEPIPE_STRATEGY_INDEX_ADVICE_H

#include "strategy/keys_analysis.h"

/*
 * The indexes that strategy "keys" lacks on large tables, as sentences with the
 * statements to create them; NULL: it lacks none.
 */
extern char *index_advice(const KeysAnalysis *analysis);

#endif /* DEPIPE_STRATEGY_INDEX_ADVICE_H */
