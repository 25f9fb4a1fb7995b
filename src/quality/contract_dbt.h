/*-------------------------------------------------------------------------
 *
 * contract_dbt.h
 *		Contracts in manifest.json of dbt.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_CONTRACT_DBT_H
#define DEPIPE_QUALITY_CONTRACT_DBT_H

#include "quality/contract_item.h"

extern const ContractFormat contract_dbt;

#endif /* DEPIPE_QUALITY_CONTRACT_DBT_H */
