/*-------------------------------------------------------------------------
 *
 * constraint.h
 *		Constraints: a check on a target plus the policy when it is violated.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_CONSTRAINT_H
#define DEPIPE_QUALITY_CONSTRAINT_H

#include "quality/check.h"

/* '> 10', '>= 0.5%' */
typedef struct Threshold
{
	bool given;
	bool percent;
	bool inclusive;
	double bound;
} Threshold;

typedef enum NullPolicy
{
	NULL_PASSES,
	NULL_FAILS,
	NULL_SKIPPED /* passes, and is excluded from the denominator */
} NullPolicy;

typedef enum NoDataPolicy
{
	NO_DATA_NOT_EVALUATED,
	NO_DATA_PASSES,
	NO_DATA_FAILS
} NoDataPolicy;

typedef struct DataConstraint
{
	ConstraintRow *row;
	CheckRule *rule;
	CheckFamily family;
	Action on_violation;
	Threshold warn_if;
	Threshold fail_if;
	bool batch_scope;
	NullPolicy on_null;
	NoDataPolicy on_no_data;
	bool error_passes;
	int compile_sqlstate; /* it no longer fits the table; 0 if it does */
	char *compile_message;
	Oid reference; /* relationships: the reference; InvalidOid: none */
} DataConstraint;

/* About each row, by an expression. */
#define constraint_is_row(c) \
	((c)->row->expression != NULL && !(c)->row->is_aggregate && (c)->rule->kind->evaluate == NULL)

#define constraint_has_threshold(c) ((c)->warn_if.given || (c)->fail_if.given)

/* The time from which it acts: before, and while it is waived, it only records. */
#define constraint_acts_from(c) Max((c)->row->enforce_from, (c)->row->waived_until)

/* Counted over the whole table as it is after the batch. */
#define constraint_counts_table(c) (!(c)->batch_scope && constraint_has_threshold(c))

/* Judged by the state of the whole table, however small the batch. */
#define constraint_is_whole(c) \
	((c)->row->is_aggregate || (c)->rule->kind->of_table || constraint_counts_table(c))

/*
 * Parse a threshold; text may be NULL. argument: for messages.  Raises 22023
 * unless it has the form '> 10' or '> 0.5%'.
 */
extern Threshold threshold_parse(const char *text, const char *argument);

/* Does this count, among the evaluated rows, exceed the threshold? */
extern bool threshold_exceeded(const Threshold *threshold, int64 count, int64 evaluated);

/* warn, quarantine, reject, break. Raises 22023 for other names. */
extern Action action_from_name(const char *name);
extern const char *action_name(Action action);

#endif /* DEPIPE_QUALITY_CONSTRAINT_H */
