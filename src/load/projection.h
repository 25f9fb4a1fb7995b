/*-------------------------------------------------------------------------
 *
 * projection.h
 *		Loads with expressions or a filter over the source's rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_PROJECTION_H
#define DEPIPE_LOAD_PROJECTION_H

#include "delta/delta.h"
#include "catalog/loads.h"

typedef struct Projection Projection;

/* Does the load leave this column of the source out? */
extern bool projection_leaves_out(const Load *load, const char *column);

/*
 * Does the load need this column of the source: is it loaded, or mentioned by
 * one of the expressions or the filter?
 */
extern bool projection_needs(const Load *load, const char *column);

/* Names of the columns that the load leaves out. */
extern List *projection_left_out(const Load *load);

/* Is this column of the target computed by an expression? */
extern bool projection_computes(const Load *load, const char *column);

/* Does the load compute columns or filter rows? */
extern bool projection_wanted(const Load *load);

/*
 * Check the arguments columns and row_filter of a definition, as far as that is
 * possible without the source.  Raises 22023 and 42601.
 */
extern void projection_check_definition(const Load *load);

/*
 * Analyse the expressions over rows of the source (its columns with types of
 * this database) as the current identity, which must be the owner of the target
 * under the pinned path.  Raises the errors of the analysis; 42803, 42P20,
 * 0A000 and 42P17 for parts that an expression must not contain; 42804 for a
 * filter that is not boolean; 0A000 for a computed key column.  The result
 * lives in the current memory context.
 */
extern Projection *projection_create(const Load *load, List *key, TupleDesc source);

/* The settled meaning of its texts, in the form of load_state; in the current memory context. */
extern List *projection_settled(const Projection *projection);

/* The columns of the source that it reads. */
extern TupleDesc projection_source(const Projection *projection);

/*
 * Names of the columns of the source that a column of the target, or the
 * filter (name NULL), reads.
 */
extern List *projection_inputs(const Projection *projection, const char *name);

/* Names of the columns of the target, and the type of one as SQL text. */
extern List *projection_names(const Projection *projection);
extern char *projection_type(const Projection *projection, const char *name);
extern char *projection_base_type(const Projection *projection, const char *name);

/*
 * Convert a finished delta of the source's layout into one of the target's,
 * which is empty.  Returns false with a reason if a value that the source did
 * not send is needed to compute another one.
 */
extern bool projection_apply(const Projection *projection, Target *target, Delta *from, Delta *into,
							 char **reason);

/* "SELECT ..." of the columns of desc from a relation of source rows. */
extern char *projection_rows_sql(const Projection *projection, const char *relation,
								 TupleDesc desc);

#endif /* DEPIPE_LOAD_PROJECTION_H */
