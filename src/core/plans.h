/*-------------------------------------------------------------------------
 *
 * plans.h
 *		Plans of statements whose text is built at run time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CORE_PLANS_H
#define DEPIPE_CORE_PLANS_H

#include "depipe.h"
#include "access/tupdesc.h"
#include "executor/spi.h"
#include "utils/tuplestore.h"

/* Deltas of at most this many rows use kept plans. */
#define PLAN_SMALL_ROWS 64

typedef enum PlanStyle
{
	PLAN_ONCE,          /* for one execution */
	PLAN_ONCE_BY_INDEX, /* for one execution; accesses tables in index order */
	PLAN_ONCE_BY_ROW,   /* for one execution; accesses tables by index, row by row */
	PLAN_KEPT           /* for any execution with few rows; accesses tables by index */
} PlanStyle;

/*
 * The plan of a statement without parameters, as the current user.  The caller
 * has an SPI connection in which the one ephemeral relation that the statement
 * reads is registered; columns describes it.  Settings that influence the
 * planner are in force only during planning.  Raises any error of analysing
 * the statement.
 */
extern SPIPlanPtr plan_statement(const char *sql, TupleDesc columns, PlanStyle style);

/*
 * The plan (PLAN_KEPT) of a query without parameters on several ephemeral
 * relations with few rows each, as the current user.  columns: list of their
 * TupleDesc.  Otherwise like plan_statement().
 */
extern SPIPlanPtr plan_query(const char *sql, List *columns);

/* Returns the columns of the result, which belong to the plan; NULL: it returns no rows. */
extern TupleDesc plan_columns(SPIPlanPtr plan);

/* Release a plan after its execution.  A kept plan stays. */
extern void plan_release(SPIPlanPtr plan);

/*
 * Run a query about one state of the database.  It sees what the active
 * snapshot sees (a fresh one if there is none), and what this transaction has
 * done so far.  SPI's read-only mode alone would not see the latter.  A fresh
 * snapshot for each query would see what others have committed in between.
 *
 * Both return SPI's result code.  receiver gets the rows; if it is NULL, they
 * are in SPI_tuptable.
 */
extern int read_query(const char *sql, int nparameters, Oid *types, Datum *values);
extern int read_plan(SPIPlanPtr plan, DestReceiver *receiver);

/*
 * Run one statement that can run a user's code, as the current user; its rows
 * are in SPI_tuptable.  columns: of the ephemeral relation that it reads, which
 * is planned in this style; NULL: it reads none.  Raises the errors of the
 * statement.
 */
extern void read_statement(const char *sql, TupleDesc columns, PlanStyle style);

/*
 * Make a tuplestore visible to SPI as an ephemeral named relation.  desc and
 * rows must outlive the SPI connection; nrows is for the planner.
 */
extern void register_tuplestore(const char *name, TupleDesc desc, Tuplestorestate *rows,
								uint64 nrows);

#endif /* DEPIPE_CORE_PLANS_H */
