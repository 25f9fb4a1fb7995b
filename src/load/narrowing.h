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
 * Types of this database with their modifiers (-1: none).  False only where a
 * value is known to be rounded, cut, or moved to another time zone on the way;
 * what would raise an error, and types that nothing is known of, are true.
 */
extern bool type_holds(Oid from, int32 from_typmod, Oid into, int32 into_typmod);

/* Are values of the one type that differ never equal as values of the other? */
extern bool type_keeps_apart(Oid from, Oid into);

#endif /* DEPIPE_LOAD_NARROWING_H */
