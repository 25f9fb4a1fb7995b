/*-------------------------------------------------------------------------
 *
 * contract_gx.h
 *		Contracts in suites of Great Expectations.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_CONTRACT_GX_H
#define DEPIPE_QUALITY_CONTRACT_GX_H

#include "quality/contract_item.h"

extern const ContractFormat contract_gx;

#endif /* DEPIPE_QUALITY_CONTRACT_GX_H */
