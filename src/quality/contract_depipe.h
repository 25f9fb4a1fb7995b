/*-------------------------------------------------------------------------
 *
 * contract_depipe.h
 *		Contracts in depipe's own form.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_CONTRACT_DEPIPE_H
#define DEPIPE_QUALITY_CONTRACT_DEPIPE_H

#include "quality/contract_item.h"

extern const ContractFormat contract_depipe;

#endif /* DEPIPE_QUALITY_CONTRACT_DEPIPE_H */
