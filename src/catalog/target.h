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

/* What a target keeps of deleted rows and earlier versions. */
typedef enum HistoryMode
{
	HISTORY_NONE,
	HISTORY_SOFT_DELETE, /* deleted rows stay, with the time of their deletion */
	HISTORY_SCD2         /* each version of a row is a row */
} HistoryMode;

/* The words of SQL for these, by value, and NULL at the end. */
extern const char *const history_names[];

/* The columns that a history adds to its table. */
#define HISTORY_DELETED_AT "_deleted_at"
#define HISTORY_VALID_FROM "_valid_from"
#define HISTORY_VALID_TO "_valid_to"
#define HISTORY_IS_CURRENT "_is_current"

typedef struct Target
{
	int32 id;
	char *schema_name;
	char *table_name;
	char *display; /* quoted schema.table, for messages and SQL text */
	TargetKind kind;
	Oid owner;      /* the role that its work runs as; InvalidOid: dropped */
	Oid relid;      /* InvalidOid while there is no such table */
	Oid bound;      /* the table stored in target_state */
	bool taken;     /* another role created the table, which counts as missing */
	List *settings; /* of its load or transform (core/settings); NIL: the base */
	HistoryMode history;
	bool is_protected; /* its constraints act when others write it (quality/protect) */
} Target;

/*
 * Find a target by the name that a user gave.  If there is none, returns NULL
 * if missing_ok; otherwise raises 42704, or 42P01 if there is no such table
 * either, with a hint.
 */
extern Target *target_find(const char *name, bool missing_ok);

/*
 * Find a target by its stored name (NULL if there is none) or by its id
 * (raises 42704 if there is none).
 */
extern Target *target_find_named(const char *schema_name, const char *table_name);
extern Target *target_get(int32 target_id);

/* Find a target by its id; NULL if there is none. */
extern Target *target_find_id(int32 target_id);

/* All targets that match a psql-style pattern ('mart.*'), in the order of their names. */
extern List *target_match(const char *pattern);

/* Insert a target.  relid is InvalidOid if the table will be created later. */
extern Target *target_create(const char *schema_name, const char *table_name, TargetKind kind,
							 Oid owner, Oid relid);

/* Change the kind of a target, in the table and in the struct. */
extern void target_set_kind(Target *target, TargetKind kind);

/* Store the settings of its load or transform; NIL for an ordinary table. */
extern void target_set_settings(Target *target, List *settings);

/* Delete a target and everything that depends on it. */
extern void target_delete(int32 target_id);

/*
 * Make definitions follow the owners of their tables after ALTER TABLE ...
 * OWNER TO or REASSIGN OWNED.
 */
extern void targets_follow_owners(void);

/* Give all definitions of a role to another, as REASSIGN OWNED did with its tables. */
extern void targets_reassign(Oid from, Oid to);

/*
 * Store the owner of a definition.  The caller has checked that it is the
 * owner of the table, and the user's privileges.
 */
extern void target_set_owner(Target *target, Oid owner);

/* A message for a target whose relid is InvalidOid, palloc'd. */
extern char *target_why_missing(const Target *target);

/* Look up the table again, for example after creating it.  Sets and returns target->relid. */
extern Oid target_bind(Target *target);

/*
 * The current rows of the target's table, as an item of FROM with this alias
 * (NULL: the name of the table): under a history, neither deleted rows nor
 * earlier versions.  Everything that reads rows of a target reads these.
 */
extern char *target_rows_sql(const Target *target, const char *alias);

/*
 * The same with all rows.  Only what writes a history, or its table as a whole,
 * needs them.
 */
extern char *target_all_rows_sql(const Target *target, const char *alias);

/* The current rows of any table, which need not be a target. */
extern char *table_rows_sql(Oid relid, const char *alias);

/*
 * The condition that holds for current rows; NULL if all rows are current, or
 * the table does not have the columns of the history yet.
 */
extern char *target_current_sql(const Target *target);

/* Store or read the source's time through which the table is complete; 0: unknown. */
extern void target_set_data_as_of(int32 target_id, TimestampTz data_as_of);
extern TimestampTz target_data_as_of(int32 target_id);

/* Pauses of loads and transforms.  *reason gets the reason; it may be NULL. */
extern bool target_is_paused(int32 target_id, char **reason);

/*
 * Begin or end a pause.  until: the time at which it ends by itself, 0: none.
 */
extern void target_set_pause(int32 target_id, bool paused, const char *reason, TimestampTz until);

/* ---- events ---- */

/*
 * Record a state change in depipe.events, and send a NOTIFY.  Implies
 * catalog_changed().
 */
extern void event_record(int32 target_id, const char *event, const char *state, const char *reason);

/* Record a state change of a server's stream in the same way. */
extern void event_record_stream(const char *server_name, const char *state, const char *reason);

#endif /* DEPIPE_CATALOG_TARGET_H */
