/*-------------------------------------------------------------------------
 *
 * narrowing.h
 *		Can a column hold every value of another type as it is?
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_NARROWING_H
#define DEPIPE_LOAD_NARROWING_H

/*
 * Types of this database with their modifiers (-1: none).  Returns false only if
 * values are known to be rounded, truncated, or moved to another time zone.
 * Types whose conversion would raise an error, and unknown types, return true.
 */
extern bool type_holds(Oid from, int32 from_typmod, Oid into, int32 into_typmod);

/* Are different values of the first type always different as values of the second? */
extern bool type_keeps_apart(Oid from, Oid into);

#endif /* DEPIPE_LOAD_NARROWING_H */
