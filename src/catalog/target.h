/*-------------------------------------------------------------------------
 *
 * target.h
 *		Targets and events in depipe's own tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_CATALOG_TARGET_H
#define DEPIPE_CATALOG_TARGET_H

#include "catalog/statement.h"

typedef enum TargetKind
{
	TARGET_TABLE = 't', /* an ordinary table with constraints */
	TARGET_LOAD = 'l',
	TARGET_TRANSFORM = 'f'
} TargetKind;

typedef struct Target
{
	int32 id;
	char *schema_name;
	char *table_name;
	char *display; /* quoted schema.table: for messages and for SQL text */
	TargetKind kind;
	Oid owner;      /* the role its work is done as; InvalidOid: dropped */
	Oid relid;      /* InvalidOid while there is no such table */
	Oid bound;      /* the table that is remembered for it */
	bool taken;     /* there is one, but another role made it: as if it were missing */
	List *settings; /* of its load or transform (core/settings); NIL: the base */
} Target;

/*
 * Find a target by the name a user gave.  A definition stays with its name;
 * only when no table of that name exists is a renamed table followed (the
 * cached OID).  Returns NULL when there is none and missing_ok, else raises
 * 42704 with a hint.
 */
extern Target *target_find(const char *name, bool missing_ok);

/* The same by stored name, or by id (raises 42704 when there is none). */
extern Target *target_find_named(const char *schema_name, const char *table_name);
extern Target *target_get(int32 target_id);

/* NULL when there is none. */
extern Target *target_find_id(int32 target_id);

/* All targets that match a psql-style pattern ('mart.*'), in name order. */
extern List *target_match(const char *pattern);

/* Make a target row; relid may be InvalidOid (the table is made later). */
extern Target *target_create(const char *schema_name, const char *table_name, TargetKind kind,
							 Oid owner, Oid relid);
extern void target_set_kind(Target *target, TargetKind kind);

/* The settings that its load or transform was made under; NIL for an ordinary table. */
extern void target_set_settings(Target *target, List *settings);
extern void target_delete(int32 target_id);

/* Give definitions to the roles that their tables were given to (ALTER TABLE, REASSIGN OWNED). */
extern void targets_follow_owners(void);

/* Give all definitions of a role to another: REASSIGN OWNED has done so with its tables. */
extern void targets_reassign(Oid from, Oid to);

/* Make a role the owner of a definition: that of its table, after checks of the caller's rights. */
extern void target_set_owner(Target *target, Oid owner);

/* A message about a target whose relid is InvalidOid. */
extern char *target_why_missing(const Target *target);

/* Look the table up again (after creating it); sets and returns target->relid. */
extern Oid target_bind(Target *target);

/* "2026-01-01 ..." through which the table is complete; 0 when unknown. */
extern void target_set_data_as_of(int32 target_id, TimestampTz data_as_of);
extern TimestampTz target_data_as_of(int32 target_id);

/* pauses (loads and transforms) */
extern bool target_is_paused(int32 target_id, char **reason);

/* Id and reason of every target that is paused. */
extern CatalogRows *paused_targets(void);
extern void target_set_pause(int32 target_id, bool paused, const char *reason, TimestampTz until);

/* ---- events ---- */

/*
 * A durable state change for depipe.events, with NOTIFY as its doorbell; implies
 * catalog_changed().
 */
extern void event_record(int32 target_id, const char *event, const char *state, const char *reason);

/* The same for the stream of a server. */
extern void event_record_stream(const char *server_name, const char *state, const char *reason);

#endif /* DEPIPE_CATALOG_TARGET_H */
