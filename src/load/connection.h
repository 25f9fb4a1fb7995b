/*-------------------------------------------------------------------------
 *
 * connection.h
 *		Connections to a source.
 *
 * They are replication connections of the server's own libpqwalreceiver, so
 * that depipe does not link libpq; they take SQL as well.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DEPIPE_LOAD_CONNECTION_H
#define DEPIPE_LOAD_CONNECTION_H

#include "depipe.h"
#include "access/xact.h"
#include "access/xlogdefs.h"
#include "foreign/foreign.h"
#include "lib/ilist.h"
#include "nodes/pg_list.h"

typedef struct Connection
{
	dlist_node node;
	WalReceiverConn *walrcv;
	SubTransactionId subid; /* closed when this subtransaction aborts */
	bool keep;              /* not closed by a commit */
	char *server_name;
	int version;     /* of the source, as server_version_num */
	int encoding;    /* of its database, in which it sends and takes texts */
	pgsocket socket; /* of a COPY or a stream, when the last message was awaited in vain */
} Connection;

/* The result of a query at the source: texts, NULL for SQL NULL. */
typedef struct SourceRows
{
	int count;
	int columns;
	bool lossy; /* a text could not be converted: its bytes that are not ASCII are question marks */
	char ***values;
} SourceRows;

/* Everything needed to connect, resolved once per run. */
typedef struct SourceServer
{
	Oid oid;
	Oid owner;
	char *name;
	char *conninfo;
	char *publication; /* an existing one to use, or NULL */
	bool must_use_password;
	int connect_timeout; /* in seconds */
} SourceServer;

/*
 * Look up a server of depipe's.  Raises 42704 when there is none, 42809 when
 * it belongs to another foreign data wrapper.
 */
extern ForeignServer *source_server_find(const char *server_name);

/* Its settings and the user mapping of its owner; raises 42704 without one. */
extern SourceServer *source_server_open(const char *server_name);

/*
 * Connect.  The connection is closed by connection_close(), by the abort of the
 * (sub)transaction that opened it, or by a commit, unless it is kept.
 * Raises 08001 when the source cannot be reached, 28000 when a password was
 * not used where it must be.
 */
extern Connection *connection_open(const SourceServer *server);
extern void connection_close(Connection *connection);

/*
 * Run a query that returns so many columns; doing completes "could not ..."
 * in the error.  Raises the SQLSTATE of the source.
 */
extern SourceRows *source_query(Connection *connection, int columns, const char *sql,
								const char *doing);

/* A position of the source's log as text; InvalidXLogRecPtr for NULL. */
extern XLogRecPtr source_lsn(const char *text);

/* Is a text of a boolean (or NULL) true? */
extern bool source_true(const char *text);

/*
 * A text as the source sends it, in the encoding of this database.  Bytes that cannot
 * be converted are replaced (and *lossy set, if that is not NULL): for names.
 */
extern char *connection_text(const Connection *connection, const char *text, bool *lossy);

/* Are bytes of texts the same there and here? */
extern bool connection_same_encoding(const Connection *connection);

/* Run a command without a result. */
extern void source_command(Connection *connection, const char *sql, const char *doing);

/*
 * Start COPY TO STDOUT, or streaming; while the slot is in use that is tried
 * so often, at intervals of 0.1 s, before 55006 is raised.
 */
extern void source_start_copy(Connection *connection, const char *sql, const char *doing);
extern void source_start_stream(Connection *connection, const char *sql, int tries);

/* Let the source forget everything before the position; tried again as above. */
extern void source_advance_slot(Connection *connection, const char *slot_name, XLogRecPtr position,
								int tries);

/*
 * The next message of a COPY or of a stream: its length, or 0 when nothing came
 * within timeout_ms, or -1 at the end.  The buffer is valid until the next
 * call, may be written to, and is followed by a zero byte.
 */
extern int source_receive(Connection *connection, char **buffer, long timeout_ms);

/*
 * Wait until there is something to receive (true), the latch is set, or the
 * time is over (negative: no limit).  Only after source_receive() returned 0.
 * Without a connection: for the latch and the time.
 */
extern bool source_wait(Connection *connection, long timeout_ms);

#endif /* DEPIPE_LOAD_CONNECTION_H */
