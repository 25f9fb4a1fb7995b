/*-------------------------------------------------------------------------
 *
 * hooks.h
 *		All server hooks that depipe installs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_HOOKS_H
#define DEPIPE_HOOKS_H

/*
 * Install the hooks.  Called by _PG_init.  workers: include the shared memory
 * that background workers need.
 */
extern void hooks_init(bool workers);

#endif /* DEPIPE_HOOKS_H */
