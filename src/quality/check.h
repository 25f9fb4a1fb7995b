/*-------------------------------------------------------------------------
 *
 * check.h
 *		The vocabulary of checks.
 *
 * A check is a jsonb object {"kind": "...", arguments...}. Constructors make
 * it, users may write it by hand, and contracts will be translated into it.
 * One table (check_kinds.c) describes the kinds: a name, a family, the
 * applicable policies, the arguments with their types, and the functions that
 * compile and evaluate a rule.  A new member of the vocabulary is a new entry;
 * compile.c, gate.c and the rest know kinds only through this interface.
 *
 * The compilation of a rule for a table results in an expression of one of two
 * forms:
 *
 *	about a row		true, false or NULL for each row; on_null says what NULL
 *					means.  With "late" it looks at other rows or tables and
 *					is evaluated after the whole batch is applied.  The row
 *					that it is about has the alias CHECK_ROW.
 *	about the table	an aggregate expression; NULL is "no data"
 *
 * A kind that fits neither form has an evaluate callback of its own.  Its compiled
 * expression is for that callback alone.  With is_aggregate it is about the table, and
 * holds or does not; with of_table it counts violations of the whole table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_QUALITY_CHECK_H
#define DEPIPE_QUALITY_CHECK_H

#include "catalog/constraints.h"
#include "catalog/target.h"
#include "delta/changes.h"
#include "delta/delta.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

/* The action required by a failing constraint, weakest first. */
typedef enum Action
{
	ACTION_NONE,
	ACTION_WARN,
	ACTION_QUARANTINE,
	ACTION_REJECT,
	ACTION_BREAK
} Action;

/* alias of the relation that an expression is evaluated on */
#define CHECK_ROW "t"

typedef enum CheckFamily
{
	FAMILY_ROW,
	FAMILY_ROWS, /* a row against other rows */
	FAMILY_AGGREGATE,
	FAMILY_CROSS_TABLE,
	FAMILY_TIME,
	FAMILY_SCHEMA,
	FAMILY_CHANGE,
	FAMILY_HISTORY
} CheckFamily;

typedef enum CheckArgumentType
{
	ARGUMENT_TEXT,
	ARGUMENT_TABLE,   /* becomes a qualified, quoted name */
	ARGUMENT_COLUMNS, /* one name or an array of names */
	ARGUMENT_TEXTS,   /* array of strings */
	ARGUMENT_VALUE,   /* string, number or boolean, of the type of the column */
	ARGUMENT_VALUES,  /* array of them */
	ARGUMENT_BOOLEAN,
	ARGUMENT_COUNT, /* integer, not negative */
	ARGUMENT_INTERVAL
} CheckArgumentType;

typedef struct CheckArgument
{
	const char *name;
	CheckArgumentType type;
	bool required;
	const char *alias; /* another accepted name, or NULL */
} CheckArgument;

#define CHECK_MAX_ARGUMENTS 6

typedef struct CheckValue
{
	char *text;
	enum jbvType type; /* jbvString, jbvNumeric, jbvBool */
} CheckValue;

typedef struct CheckGiven
{
	bool given;
	bool is_array;
	int count;
	CheckValue *values;
} CheckGiven;

struct CheckKind;

/* A rule whose shape has been validated. */
typedef struct CheckRule
{
	const struct CheckKind *kind;
	CheckGiven given[CHECK_MAX_ARGUMENTS]; /* places of kind->arguments */
} CheckRule;

/* A rule made ready for one table. */
typedef struct CompiledCheck
{
	CheckFamily family; /* of this rule (satisfies: row or aggregate) */
	char *expression;   /* NULL: the kind evaluates by itself */
	bool is_aggregate;
	bool late;
	char *metric;  /* aggregate expression worth showing, or NULL */
	List *columns; /* the table's columns that it uses */
} CompiledCheck;

/* What an evaluation found. */
typedef struct Measure
{
	int64 evaluated;  /* -1: unknown */
	int64 violations; /* -1: unknown */
	int64 pending;    /* violations within their grace */
	bool no_data;     /* nothing to judge by */
	bool not_here;    /* about changes, and there are none to look at */
	char *metric;
	char *detail; /* JSON object or NULL */
	const char *strategy;
	double elapsed_ms;
	int error_sqlstate;  /* 0: none */
	char *error_message; /* may contain values: shown to the caller only */
} Measure;

struct DataConstraint;

/* The rows that a check with a callback of its own evaluates. */
typedef struct CheckScope
{
	Target *target;
	Delta *delta;           /* NULL: the whole table */
	const Changes *changes; /* of the rows of the table, by this batch; NULL: none to look at */
} CheckScope;

typedef struct CheckKind
{
	const char *name;
	CheckFamily family;
	uint32 policies; /* bits 1 << Action */
	Action default_policy;
	CheckArgument arguments[CHECK_MAX_ARGUMENTS + 1]; /* ended by a NULL name */

	/* raises 22023 for meaningless combinations of arguments; or NULL */
	void (*validate)(CheckRule *rule);

	/* for an existing table, as its owner, under the definer's search_path */
	void (*compile)(const CheckRule *rule, Relation rel, CompiledCheck *check);

	/* as the owner, in an SPI connection with the delta registered; or NULL */
	void (*evaluate)(const struct DataConstraint *constraint, const CheckScope *scope,
					 Measure *measure);

	/* failing rows as SQL on the alias CHECK_ROW, if not those of the row expression */
	char *(*failing)(const struct DataConstraint *constraint, Target *target);

	/* rows of a query (key as text, row as jsonb), if violations are not rows of the table */
	char *(*rows)(const struct DataConstraint *constraint);

	bool of_table;  /* evaluate is about the whole table, whatever the batch */
	bool uncounted; /* violations have no denominator: no percentages */
	bool remembers; /* the compiled form is the table at the definition */
	bool has_keys;  /* about keys of another table, which may come later */
} CheckKind;

/* The place of an argument of a kind, by its name or alias; -1 if there is none. */
extern int check_argument_place(const CheckKind *kind, const char *name);

/* The canonical form of the rule, which is stored and compared. In the current memory context. */
extern char *check_canonical(const CheckRule *rule);

/* Arguments of a rule; NULL, NIL or false if not given. */
extern const CheckGiven *check_given(const CheckRule *rule, const char *argument);
extern char *check_text(const CheckRule *rule, const char *argument);
extern List *check_texts(const CheckRule *rule, const char *argument);
extern bool check_boolean(const CheckRule *rule, const char *argument);

/* "column_column" for derived names; NULL if the rule names no column. */
extern char *check_subject(const CheckRule *rule);

/* Compile a rule for a table. Raises the errors of the kind's compile callback. */
extern CompiledCheck *check_compile(const CheckRule *rule, Relation rel);

/* ---- shared by the kinds ---- */

/* A column of the table by its plain name; raises 42703. */
extern Form_pg_attribute check_column(Relation rel, const char *name);

/* "OPERATOR(schema.name)" of a strategy of the type's btree; raises 42883. */
extern char *check_operator(Oid type, int strategy, const char *column_name);

#endif /* DEPIPE_QUALITY_CHECK_H */
