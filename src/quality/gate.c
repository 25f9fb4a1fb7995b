/*-------------------------------------------------------------------------
 *
 * gate.c
 *		The gate: evaluation of a target's constraints.
 *
 *-------------------------------------------------------------------------
 */
#include "quality/gate.h"

Gate *
gate_open(Target *target)
{
	return NULL;
}

bool
gate_has_row_checks(const Gate *gate)
{
	return false;
}

bool
gate_has_table_checks(const Gate *gate)
{
	return false;
}

bool
gate_wants_old_images(Target *target)
{
	return false;
}

GateReport *
gate_rows(Gate *gate, Delta *delta)
{
	return palloc0(sizeof(GateReport));
}

GateReport *
gate_table(Gate *gate, Delta *delta)
{
	return palloc0(sizeof(GateReport));
}

bool
gate_references(Target *reference, Delta *delta)
{
	return false;
}
