/*-------------------------------------------------------------------------
 *
 * compile_row.h
 *		Kinds of checks about rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_COMPILE_ROW_H
#define DEPIPE_QUALITY_COMPILE_ROW_H

#include "quality/check.h"

extern void compile_satisfies(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void compile_not_null(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void compile_accepted_values(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void validate_in_range(CheckRule *rule);
extern void compile_in_range(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void validate_matches(CheckRule *rule);
extern void compile_matches(const CheckRule *rule, Relation rel, CompiledCheck *check);
extern void validate_row_count(CheckRule *rule);
extern void compile_row_count(const CheckRule *rule, Relation rel, CompiledCheck *check);

#endif /* DEPIPE_QUALITY_COMPILE_ROW_H */
