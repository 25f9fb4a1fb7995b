/*-------------------------------------------------------------------------
 *
 * plans.h
 *		Plans of statements whose text is made at run time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_PLANS_H
#define DEPIPE_PLANS_H

#include "depipe.h"
#include "access/tupdesc.h"
#include "executor/spi.h"
#include "utils/tuplestore.h"

/* Deltas up to so many rows are handled by plans that are kept. */
#define PLAN_SMALL_ROWS 64

typedef enum PlanStyle
{
	PLAN_ONCE,          /* for this execution */
	PLAN_ONCE_BY_INDEX, /* the same; rows meet a table in the order of its index */
	PLAN_KEPT           /* for any execution with few rows: they meet tables by their indexes */
} PlanStyle;

/*
 * The plan of a statement without parameters, as the current user, inside an
 * SPI connection that has the one ephemeral relation that it reads, of these
 * columns.  Settings that bend the planner hold for the planning only.  Raises
 * what analysing the statement raises.
 */
extern SPIPlanPtr plan_statement(const char *sql, TupleDesc columns, PlanStyle style);

/* After the execution. */
extern void plan_release(SPIPlanPtr plan);

/*
 * Queries about one state of the database: they see what the active snapshot
 * sees (without one: a fresh one), and what this transaction has done so far.
 * SPI's read-only mode alone would not see the latter, and a fresh snapshot for
 * each of them would see what others have committed since.  They return what
 * SPI returns; receiver: gets the rows, NULL: SPI_tuptable has them.
 */
extern int read_query(const char *sql, int nparameters, Oid *types, Datum *values);
extern int read_plan(SPIPlanPtr plan, DestReceiver *receiver);

/* Make any tuplestore visible as an ephemeral named relation. */
extern void register_tuplestore(const char *name, TupleDesc desc, Tuplestorestate *rows,
								uint64 nrows);

#endif /* DEPIPE_PLANS_H */
