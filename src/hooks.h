/*-------------------------------------------------------------------------
 *
 * hooks.h
 *		Every hook of the server that depipe uses.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_HOOKS_H
#define DEPIPE_HOOKS_H

/* In _PG_init: install them; workers: those that background workers need, too. */
extern void hooks_init(bool workers);

#endif /* DEPIPE_HOOKS_H */
