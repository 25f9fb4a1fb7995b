/*-------------------------------------------------------------------------
 *
 * connection.h
 *		Connections to a source.
 *
 * They are replication connections of the server's own libpqwalreceiver, so
 * that depipe does not link libpq.  They also accept SQL.
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
	int encoding;    /* of its database: the encoding of texts in both directions */
	pgsocket socket; /* of a COPY or a stream, after a wait without a message */
} Connection;

/* The result of a query at the source: texts, NULL for SQL NULL. */
typedef struct SourceRows
{
	int count;
	int columns;
	bool lossy; /* a text could not be converted: its non-ASCII bytes are question marks */
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
 * Look up a server of depipe.  Raises 42704 if it does not exist, 42809 if it
 * belongs to another foreign data wrapper.
 */
extern ForeignServer *source_server_find(const char *server_name);

/*
 * Its settings and the user mapping of its owner, in the current memory
 * context.  Raises 42704 if there is no mapping.
 */
extern SourceServer *source_server_open(const char *server_name);

/*
 * Connect.  The connection is closed by connection_close(), by the abort of the
 * (sub)transaction that opened it, or by a commit, unless it is kept.  Raises
 * 08001 if the source cannot be reached, 28000 if a required password was not
 * used.
 */
extern Connection *connection_open(const SourceServer *server);
extern void connection_close(Connection *connection);

/*
 * Run a query that returns the given number of columns.  doing: completes
 * "could not ..." in the error.  Raises the SQLSTATE of the source.  The result
 * is allocated in the current memory context.
 */
extern SourceRows *source_query(Connection *connection, int columns, const char *sql,
								const char *doing);

/* Parse a position of the source's WAL; InvalidXLogRecPtr for NULL. */
extern XLogRecPtr source_lsn(const char *text);

/* Is the text of a boolean (or NULL) true? */
extern bool source_true(const char *text);

/*
 * Convert a text of the source to the encoding of this database.  Bytes that
 * cannot be converted are replaced (and *lossy is set, unless it is NULL): for
 * names.
 */
extern char *connection_text(const Connection *connection, const char *text, bool *lossy);

/* Do texts have the same bytes there and here? */
extern bool connection_same_encoding(const Connection *connection);

/* Run a command without a result. */
extern void source_command(Connection *connection, const char *sql, const char *doing);

/*
 * Start COPY TO STDOUT, or streaming.  While the slot is in use this is
 * repeated, tries times at intervals of 0.1 s, before 55006 is raised.
 */
extern void source_start_copy(Connection *connection, const char *sql, const char *doing);
extern void source_start_stream(Connection *connection, const char *sql, int tries);

/* Let the source forget everything before the position, with repetitions as above. */
extern void source_advance_slot(Connection *connection, const char *slot_name, XLogRecPtr position,
								int tries);

/*
 * Receive the next message of a COPY or of a stream.  Returns its length, 0 if
 * nothing arrived within timeout_ms, or -1 at the end.  The buffer is valid
 * until the next call, may be written to, and is followed by a zero byte.
 */
extern int source_receive(Connection *connection, char **buffer, long timeout_ms);

/*
 * Wait until there is something to receive (true), the latch is set, or the
 * time is over (negative: no limit).  To be called only after source_receive()
 * returned 0. Without a connection: wait for the latch and the time.
 */
extern bool source_wait(Connection *connection, long timeout_ms);

#endif /* DEPIPE_LOAD_CONNECTION_H */
