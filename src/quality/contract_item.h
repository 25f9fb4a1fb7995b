/*-------------------------------------------------------------------------
 *
 * contract_item.h
 *		Items of contracts: what documents declare, in depipe's own terms.
 *
 * A format (contract_depipe.c, contract_dbt.c, ...) turns a document into a
 * list of items in depipe's own terms: a rule of the vocabulary and arguments
 * of add_constraint.  contract.c makes them true.  A format knows nothing of
 * tables and columns that exist.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_CONTRACT_ITEM_H
#define DEPIPE_QUALITY_CONTRACT_ITEM_H

#include "quality/contract_json.h"

typedef struct ContractArgument
{
	const char *name; /* of an argument of add_constraint */
	char *text;       /* as the input function of its type reads it */
	char *path;
} ContractArgument;

/* A constraint of a document, or something that is not imported. */
typedef struct ContractItem
{
	char *path;
	char *target;     /* as parse_table_name() reads it; NULL: unknown */
	char *rule;       /* JSON text; NULL: not imported */
	char *rule_path;  /* NULL: that of the item */
	char *reason;     /* why it is not imported, or a remark */
	bool about_table; /* an expression with an aggregate: no rows can be set aside */
	List *arguments;  /* of ContractArgument */
} ContractItem;

typedef struct Contract
{
	Json *root;
	Json *schema_map; /* names of the document to names here */
	List *items;
} Contract;

typedef struct ContractFormat
{
	const char *name;
	bool lenient; /* what cannot be declared is not imported; otherwise it is an error */
	bool (*recognise)(const Json *root);
	void (*read)(Contract *contract);
} ContractFormat;

/* ---- for the formats ---- */

/* A new item at this place, appended to the contract. */
extern ContractItem *contract_item(Contract *contract, const Json *place, char *target);

/* Set an argument of add_constraint; NULL: nothing. */
extern void contract_argument(ContractItem *item, const char *name, char *text);

/* It is not imported, for this reason (as of psprintf). */
extern void contract_refuse(ContractItem *item, const char *format, ...) pg_attribute_printf(2, 3);

/* Add a remark about the difference from what the document means. */
extern void contract_remark(ContractItem *item, const char *remark);

/*
 * A rule as JSON text: the kind, then pairs of an argument and its JSON text
 * (NULL: not given), then NULL.
 */
extern char *contract_rule(const char *kind, ...);

/* The rule satisfies(expression). */
extern char *contract_satisfies(const char *expression);

/*
 * The name of a table, quoted, after the schema map: tried for
 * database.schema.table, schema.table, table, then database.schema, schema and
 * database.  database and schema_name may be NULL.
 */
extern char *contract_table(const Contract *contract, const char *database, const char *schema_name,
							const char *table_name);

/* The column as the server folds a name that a user wrote: "Quoted", or folded to lower case. */
extern char *contract_column(const char *written);

/* Is it a plain name, quoted or not (and no expression)? */
extern bool contract_is_name(const char *written);

/* ---- bounds ---- */

typedef enum BoundOperator
{
	BOUND_EQUAL,
	BOUND_NOT_EQUAL,
	BOUND_LESS,
	BOUND_LESS_EQUAL,
	BOUND_GREATER,
	BOUND_GREATER_EQUAL,
	BOUND_BETWEEN,
	BOUND_NOT_BETWEEN
} BoundOperator;

/* What holds for a number. */
typedef struct Bound
{
	BoundOperator op;
	char *low; /* the only one, except for between */
	char *high;
} Bound;

/*
 * The bound on a count of violating rows (or their percentage), as thresholds
 * of the item: fail_if, or warn_if with on_violation "warn".  Refuses the item
 * if depipe has no such threshold.
 */
extern void contract_tolerate(ContractItem *item, const Bound *bound, bool percent, bool warn);

/* SQL: the bound holds for the expression. */
extern char *bound_sql(const Bound *bound, const char *expression);

/* The rule row_count within the bound. */
extern char *bound_row_count(const Bound *bound);

/* 100 * (1 - share), exactly; NULL if it is not a number from 0 to 1. */
extern char *percent_beside(const char *share);

#endif /* DEPIPE_QUALITY_CONTRACT_ITEM_H */
