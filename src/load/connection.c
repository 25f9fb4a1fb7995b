/*-------------------------------------------------------------------------
 *
 * connection.c
 *		Connections to a source, and the options of servers that describe them.
 *
 * A replication connection holds its slot as long as it lives, and nothing in
 * the server closes one after an error.  Therefore every connection is in a
 * list, with the subtransaction that opened it.  Callbacks at the abort of
 * transactions and subtransactions close the connections that belong to them.
 * Connections live in a memory context of their own: they outlive the commits
 * of a procedure.
 *
 * The options of a server are those of libpq, except secrets, options that the
 * walreceiver sets by itself (replication, client_encoding, options), and
 * options that would read other files of the server (service files, password
 * files).  The list is kept here because libpq is not linked.
 *
 * Texts arrive as the bytes of the source, and are converted here: a text that
 * cannot be converted then affects its row, not the connection.
 *
 * A source may vanish silently.  The walreceiver waits forever for a host that
 * accepts the connection and does not answer: connect_timeout is enforced here.
 * Afterwards TCP keepalives detect a lost host.
 *
 *-------------------------------------------------------------------------
 */
#include "load/connection.h"

#include "core/message.h"
#include "catalog/runs.h"
#include "core/sqltext.h"
#include <dlfcn.h>

#include "access/reloptions.h"
#include "catalog/namespace.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/tuplestore.h"

#define WRAPPER_NAME "depipe"
#define APPLICATION_NAME "depipe"

/* Unless the server says otherwise. */
#define CONNECT_TIMEOUT_SECONDS 60
#define KEEPALIVES "keepalives_idle='60' keepalives_interval='10' keepalives_count='6'"

static dlist_head connections = DLIST_STATIC_INIT(connections);
static MemoryContext connection_context = NULL;

/* ---- options ---- */

typedef struct SourceOption
{
	const char *name;
	Oid catalog; /* the catalog that may have it */
	bool libpq;
	bool superuser_only; /* names a file on this server that authenticates */
} SourceOption;

static const SourceOption source_options[] = {
	{"host", ForeignServerRelationId, true, false},
	{"hostaddr", ForeignServerRelationId, true, false},
	{"port", ForeignServerRelationId, true, false},
	{"dbname", ForeignServerRelationId, true, false},
	{"connect_timeout", ForeignServerRelationId, true, false},
	{"application_name", ForeignServerRelationId, true, false},
	{"keepalives", ForeignServerRelationId, true, false},
	{"keepalives_idle", ForeignServerRelationId, true, false},
	{"keepalives_interval", ForeignServerRelationId, true, false},
	{"keepalives_count", ForeignServerRelationId, true, false},
	{"tcp_user_timeout", ForeignServerRelationId, true, false},
	{"sslmode", ForeignServerRelationId, true, false},
	{"sslnegotiation", ForeignServerRelationId, true, false},
	{"sslcompression", ForeignServerRelationId, true, false},
	{"sslrootcert", ForeignServerRelationId, true, false},
	{"sslcrl", ForeignServerRelationId, true, false},
	{"sslcrldir", ForeignServerRelationId, true, false},
	{"sslsni", ForeignServerRelationId, true, false},
	{"ssl_min_protocol_version", ForeignServerRelationId, true, false},
	{"ssl_max_protocol_version", ForeignServerRelationId, true, false},
	{"requirepeer", ForeignServerRelationId, true, false},
	{"require_auth", ForeignServerRelationId, true, false},
	{"channel_binding", ForeignServerRelationId, true, false},
	{"gssencmode", ForeignServerRelationId, true, false},
	{"gsslib", ForeignServerRelationId, true, false},
	{"krbsrvname", ForeignServerRelationId, true, false},
	{"target_session_attrs", ForeignServerRelationId, true, false},
	{"load_balance_hosts", ForeignServerRelationId, true, false},
	{"publication", ForeignServerRelationId, false, false},
	{"user", UserMappingRelationId, true, false},
	{"password", UserMappingRelationId, true, false},
	{"sslcert", UserMappingRelationId, true, true},
	{"sslkey", UserMappingRelationId, true, true},
	{"sslpassword", UserMappingRelationId, true, true},
	{"sslcertmode", UserMappingRelationId, true, false},
};

static const SourceOption *
find_option(const char *name)
{
	for (int i = 0; i < lengthof(source_options); i++)
		if (strcmp(source_options[i].name, name) == 0)
			return &source_options[i];
	return NULL;
}

/* The valid options of a catalog, for a hint. */
static char *
option_names(Oid catalog)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(source_options); i++)
		if (source_options[i].catalog == catalog)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", source_options[i].name);
	return names.data;
}

static void
check_option(DefElem *def, Oid catalog)
{
	const SourceOption *option = find_option(def->defname);

	if (option != NULL && option->catalog == catalog)
	{
		if (option->superuser_only && !superuser())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for option \"%s\"", def->defname),
					 errhint("Only superusers can name files on this server.")));
		if (strcmp(def->defname, "publication") == 0 && defGetString(def)[0] == '\0')
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("option \"publication\" must not be empty")));
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", def->defname),
			 option != NULL && option->catalog == UserMappingRelationId
				 ? errhint("Authentication options belong to the user mapping.")
			 : option != NULL ? errhint("This option belongs to the server.")
			 : catalog == ForeignServerRelationId || catalog == UserMappingRelationId
				 ? errhint("Valid options are: %s.", option_names(catalog))
				 : errhint("There are no valid options in this context.")));
}

PG_FUNCTION_INFO_V1(depipe_validator);

Datum
depipe_validator(PG_FUNCTION_ARGS)
{
	ListCell *cell;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("arguments of the validator must not be null")));
	foreach(cell, untransformRelOptions(PG_GETARG_DATUM(0)))
		check_option(lfirst(cell), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}

/* ---- servers ---- */

ForeignServer *
source_server_find(const char *server_name)
{
	ForeignServer *server = GetForeignServerByName(server_name, true);

	if (server == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("server \"%s\" does not exist", server_name),
			 errhint(
				 "CREATE SERVER %s FOREIGN DATA WRAPPER depipe OPTIONS (host '...', dbname '...').",
				 quote_identifier(server_name))));
	if (strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, WRAPPER_NAME) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not a source of depipe", server_name),
				 errhint("Its foreign data wrapper must be \"%s\".", WRAPPER_NAME)));
	return server;
}

/* keyword='value', quoted for libpq */
static void
append_conninfo(StringInfo conninfo, const char *name, const char *value)
{
	appendStringInfo(conninfo, "%s%s='", conninfo->len > 0 ? " " : "", name);
	for (const char *p = value; *p != '\0'; p++)
	{
		if (*p == '\'' || *p == '\\')
			appendStringInfoChar(conninfo, '\\');
		appendStringInfoChar(conninfo, *p);
	}
	appendStringInfoChar(conninfo, '\'');
}

/* Add the options; returns true if there is a password among them. */
static bool
take_options(SourceServer *server, StringInfo conninfo, List *options, Oid catalog)
{
	bool password = false;
	ListCell *cell;

	foreach(cell, options)
	{
		DefElem *def = lfirst(cell);
		const SourceOption *option = find_option(def->defname);

		if (option == NULL || option->catalog != catalog)
			continue;
		if (option->libpq)
			append_conninfo(conninfo, def->defname, defGetString(def));
		else
			server->publication = pstrdup(defGetString(def));
		if (strcmp(def->defname, "password") == 0 && defGetString(def)[0] != '\0')
			password = true;
		if (strcmp(def->defname, "connect_timeout") == 0 && atoi(defGetString(def)) > 0)
			server->connect_timeout = Min(atoi(defGetString(def)), SECS_PER_DAY);
	}
	return password;
}

static bool
has_mapping(Oid user, Oid server)
{
	return SearchSysCacheExists2(USERMAPPINGUSERSERVER,
								 ObjectIdGetDatum(user),
								 ObjectIdGetDatum(server)) ||
		   SearchSysCacheExists2(USERMAPPINGUSERSERVER,
								 ObjectIdGetDatum(InvalidOid),
								 ObjectIdGetDatum(server));
}

SourceServer *
source_server_open(const char *server_name)
{
	ForeignServer *foreign = source_server_find(server_name);
	SourceServer *server = palloc0(sizeof(SourceServer));
	char *owner = GetUserNameFromId(foreign->owner, false);
	StringInfoData conninfo;

	server->oid = foreign->serverid;
	server->owner = foreign->owner;
	server->name = pstrdup(server_name);
	server->must_use_password = !superuser_arg(foreign->owner);
	if (!has_mapping(foreign->owner, foreign->serverid))
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("role \"%s\" has no user mapping for server \"%s\"", owner, server_name),
			 errdetail("The connection uses the user mapping of the server's owner."),
			 errhint("CREATE USER MAPPING FOR %s SERVER %s OPTIONS (user '...', password '...').",
					 quote_identifier(owner),
					 quote_identifier(server_name))));
	server->connect_timeout = CONNECT_TIMEOUT_SECONDS;
	initStringInfo(&conninfo);
	appendStringInfoString(&conninfo,
						   KEEPALIVES); /* of an option given twice, the last one counts */
	(void) take_options(server, &conninfo, foreign->options, ForeignServerRelationId);
	if (!take_options(server,
					  &conninfo,
					  GetUserMapping(foreign->owner, foreign->serverid)->options,
					  UserMappingRelationId) &&
		server->must_use_password)
		ereport(ERROR,
				(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
				 errmsg("password is required"),
				 errdetail("The owner of server \"%s\" is not a superuser.", server_name),
				 errhint("Set a password in the user mapping of role \"%s\".", owner)));
	server->conninfo = conninfo.data;
	return server;
}

/* ---- opening and closing ---- */

static void
at_transaction_end(XactEvent event, void *arg)
{
	bool abort = (event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT);
	dlist_mutable_iter iter;

	if (!abort && event != XACT_EVENT_COMMIT && event != XACT_EVENT_PREPARE)
		return;
	dlist_foreach_modify(iter, &connections)
	{
		Connection *connection = dlist_container(Connection, node, iter.cur);

		if (abort || !connection->keep)
			connection_close(connection);
		else
			connection->subid = TopSubTransactionId;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent,
					  void *arg)
{
	dlist_mutable_iter iter;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	dlist_foreach_modify(iter, &connections)
	{
		Connection *connection = dlist_container(Connection, node, iter.cur);

		if (connection->subid != subid)
			continue;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			connection_close(connection);
		else
			connection->subid = parent;
	}
}

/* ---- the time limit of connecting ---- */

static TimeoutId connect_timeout;
static volatile sig_atomic_t connect_is_late = false;

/* Only a cancel can end the wait of the walreceiver. */
static void
connect_timeout_handler(void)
{
	connect_is_late = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

/* This is not a cancel by a user: the error reports the time limit. */
static void
connecting_callback(void *argument)
{
	const SourceServer *server = argument;

	if (!connect_is_late || geterrcode() != ERRCODE_QUERY_CANCELED)
		return;
	errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION);
	errmsg("could not connect to server \"%s\": no answer within %d seconds",
		   server->name,
		   server->connect_timeout);
}

/*
 * Returns NULL, and an error text, if the source cannot be reached.  After the
 * time limit, libpq's part of the connection remains as long as the process:
 * only the walreceiver could close it.
 */
static WalReceiverConn *
connect_in_time(const SourceServer *server, char **error)
{
	ErrorContextCallback callback = {error_context_stack, connecting_callback, (void *) server};
	WalReceiverConn *walrcv;

	connect_is_late = false;
	error_context_stack = &callback;
	enable_timeout_after(connect_timeout, server->connect_timeout * 1000);
	walrcv =
		walrcv_connect_compat(server->conninfo, server->must_use_password, APPLICATION_NAME, error);
	disable_timeout(connect_timeout, false);
	if (connect_is_late)
	{
		if (walrcv != NULL)
			walrcv_disconnect(walrcv);
		CHECK_FOR_INTERRUPTS();
	}
	error_context_stack = callback.previous;
	return walrcv;
}

static void
prepare_library(void)
{
	if (connection_context != NULL)
		return;
	load_file("libpqwalreceiver", false);
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	connect_timeout = RegisterTimeout(USER_TIMEOUT, connect_timeout_handler);
	connection_context = AllocSetContextCreate(TopMemoryContext,
											   "depipe connections",
											   ALLOCSET_SMALL_SIZES);
}

#if !WALRCV_CHECKS_PASSWORD
/*
 * Did the source ask for the password?  Only libpq knows.  It was loaded into
 * the process with libpqwalreceiver, whose connection struct begins with that
 * of libpq.
 */
static bool
used_password(WalReceiverConn *walrcv)
{
	typedef int (*used_password_function)(const void *);
	used_password_function function = (used_password_function) dlsym(RTLD_DEFAULT,
																	 "PQconnectionUsedPassword");

	return function != NULL && function(*(void **) walrcv) != 0;
}
#endif

static void
check_password(const SourceServer *server, Connection *connection)
{
#if !WALRCV_CHECKS_PASSWORD
	if (!server->must_use_password || used_password(connection->walrcv))
		return;
	connection_close(connection);
	ereport(
		ERROR,
		(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
		 errmsg("password is required"),
		 errdetail("The owner of server \"%s\" is not a superuser, and the source did not ask for a"
				   " password.",
				   server->name),
		 errhint("Change the authentication method at the source.")));
#endif
}

static const char *
timeouts_off(const Connection *connection)
{
	if (connection->version >= 170000)
		return "SET transaction_timeout = 0; SET statement_timeout = 0;"
			   " SET idle_in_transaction_session_timeout = 0; SET idle_session_timeout = 0;";
	if (connection->version >= 140000)
		return "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
			   " SET idle_session_timeout = 0;";
	return "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;";
}

/*
 * Timeouts set for the role at the source are meant for sessions of people, and
 * are lifted: a copy takes as long as it takes.  Texts of values must have the
 * form that core/settings reads: the walreceiver sets that for dates, intervals
 * and floats, but not for money.  From now on the source converts nothing.
 */
static void
prepare_session(Connection *connection)
{
	SourceRows *rows = source_query(
		connection,
		2,
		psprintf("SET lc_monetary = 'C'; %s"
				 " SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false),"
				 " pg_catalog.getdatabaseencoding()",
				 timeouts_off(connection)),
		"prepare the session");

	connection->encoding = pg_char_to_encoding(rows->values[0][1]);
	if (connection->encoding < 0)
		connection->encoding = PG_SQL_ASCII;
}

Connection *
connection_open(const SourceServer *server)
{
	MemoryContext old;
	Connection *connection;
	char *error = NULL;

	run_check_enabled();
	prepare_library();
	old = MemoryContextSwitchTo(connection_context);
	connection = palloc0(sizeof(Connection));
	connection->server_name = pstrdup(server->name);
	connection->walrcv = connect_in_time(server, &error);
	MemoryContextSwitchTo(old);
	if (connection->walrcv == NULL)
	{
		char *message = pstrdup(error != NULL ? error : "unknown error");

		pfree(connection->server_name);
		pfree(connection);
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to server \"%s\": %s", server->name, message)));
	}
	connection->subid = GetCurrentSubTransactionId();
	dlist_push_tail(&connections, &connection->node);
	check_password(server, connection);
	connection->version = walrcv_server_version(connection->walrcv);
	connection->encoding = GetDatabaseEncoding();
	prepare_session(connection);
	return connection;
}

void
connection_close(Connection *connection)
{
	dlist_delete(&connection->node);
	walrcv_disconnect(connection->walrcv);
	pfree(connection->server_name);
	pfree(connection);
}

/* ---- encodings ---- */

bool
connection_same_encoding(const Connection *connection)
{
	return connection->encoding == GetDatabaseEncoding();
}

static bool
is_ascii(const char *text)
{
	for (; *text != '\0'; text++)
		if (IS_HIGHBIT_SET(*text))
			return false;
	return true;
}

/* NULL if the text is not valid, or has a character that this database lacks. */
static char *
convert(const char *text, int from, int to)
{
	int length = strlen(text);
	Size size = (Size) length * MAX_CONVERSION_GROWTH + 1;
	char *converted;
	Oid function;

	if (from == PG_SQL_ASCII || to == PG_SQL_ASCII)
		return pg_verify_mbstr(to == PG_SQL_ASCII ? from : to, text, length, true) ? pstrdup(text)
																				   : NULL;
	function = FindDefaultConversionProc(from, to);
	if (!OidIsValid(function))
		return NULL;
	converted = palloc(size);
	if (pg_do_encoding_conversion_buf(function,
									  from,
									  to,
									  (unsigned char *) unconstify(char *, text),
									  length,
									  (unsigned char *) converted,
									  size,
									  true) < length)
		return NULL;
	return converted;
}

char *
connection_text(const Connection *connection, const char *text, bool *lossy)
{
	char *converted;

	if (is_ascii(text))
		return pstrdup(text);
	if (connection_same_encoding(connection) && pg_verifymbstr(text, strlen(text), true))
		return pstrdup(text);
	converted = connection_same_encoding(connection)
					? NULL
					: convert(text, connection->encoding, GetDatabaseEncoding());
	if (converted != NULL)
		return converted;
	if (lossy != NULL)
		*lossy = true;
	converted = pstrdup(text);
	for (char *p = converted; *p != '\0'; p++)
		if (IS_HIGHBIT_SET(*p))
			*p = '?';
	return converted;
}

/*
 * A statement in the encoding of the source.  Raises 22P05 if the source lacks
 * one of its characters.
 */
static const char *
source_sql(const Connection *connection, const char *sql)
{
	return connection_same_encoding(connection) || is_ascii(sql)
			   ? sql
			   : pg_server_to_any(sql, strlen(sql), connection->encoding);
}

/* ---- talking ---- */

/*
 * The first line of the message of the source, without "ERROR: ": later lines
 * may contain values.
 */
static char *
first_line(const char *message)
{
	char *line;
	char *end;

	if (message == NULL)
		return pstrdup("unknown error");
	if (strncmp(message, "ERROR:  ", 8) == 0)
		message += 8;
	line = pstrdup(message);
	end = strchr(line, '\n');
	if (end != NULL)
		*end = '\0';
	return line;
}

/*
 * The SQLSTATE for an error of the source.  Its cancels and shutdowns are not
 * ours: they must not look like a cancel of this session.
 */
static int
source_sqlstate(const WalRcvExecResult *result)
{
	if (result->sqlstate == 0 ||
		ERRCODE_TO_CATEGORY(result->sqlstate) == ERRCODE_OPERATOR_INTERVENTION)
		return ERRCODE_CONNECTION_FAILURE;
	return result->sqlstate;
}

PG_ATTRIBUTE_NORETURN_COMPAT static void
raise_source_error(Connection *connection, const WalRcvExecResult *result, const char *doing)
{
	/* messages of the source about a value contain it */
	const char *reason = result->sqlstate == 0 || message_class_has_no_values(result->sqlstate)
							 ? first_line(result->err)
							 : psprintf("SQLSTATE %s", unpack_sql_state(result->sqlstate));

	ereport(ERROR,
			(errcode(source_sqlstate(result)),
			 errmsg("could not %s at server \"%s\": %s",
					doing,
					connection->server_name,
					connection_text(connection, reason, NULL))));
}

static WalRcvExecResult *
execute(Connection *connection, const char *sql, int columns, WalRcvExecStatus expected,
		const char *doing)
{
	Oid types[32] = {0};
	WalRcvExecResult *result;

	Assert(columns <= lengthof(types));
	for (int i = 0; i < columns; i++)
		types[i] = TEXTOID;
	result = walrcv_exec(connection->walrcv, source_sql(connection, sql), columns, types);
	if (result->status != expected)
		raise_source_error(connection, result, doing);
	return result;
}

SourceRows *
source_query(Connection *connection, int columns, const char *sql, const char *doing)
{
	WalRcvExecResult *result = execute(connection, sql, columns, WALRCV_OK_TUPLES, doing);
	SourceRows *rows = palloc0(sizeof(SourceRows));
	TupleTableSlot *slot = MakeSingleTupleTableSlot(result->tupledesc, &TTSOpsMinimalTuple);
	int size = 16;

	rows->columns = columns;
	rows->values = palloc(sizeof(char **) * size);
	while (tuplestore_gettupleslot(result->tuplestore, true, false, slot))
	{
		char **row = palloc(sizeof(char *) * columns);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < columns; i++)
		{
			bool isnull;
			Datum value = slot_getattr(slot, i + 1, &isnull);

			row[i] = isnull ? NULL
							: connection_text(connection, TextDatumGetCString(value), &rows->lossy);
		}
		if (rows->count == size)
			rows->values = repalloc(rows->values, sizeof(char **) * (size *= 2));
		rows->values[rows->count++] = row;
	}
	ExecDropSingleTupleTableSlot(slot);
	walrcv_clear_result(result);
	return rows;
}

void
source_command(Connection *connection, const char *sql, const char *doing)
{
	walrcv_clear_result(execute(connection, sql, 0, WALRCV_OK_COMMAND, doing));
}

void
source_start_copy(Connection *connection, const char *sql, const char *doing)
{
	walrcv_clear_result(execute(connection, sql, 0, WALRCV_OK_COPY_OUT, doing));
}

/* Run a command that needs a slot; it is repeated while the slot is in use. */
static void
execute_on_slot(Connection *connection, const char *sql, int columns, WalRcvExecStatus expected,
				int tries, const char *doing)
{
	Oid types[1] = {TEXTOID};

	Assert(columns <= lengthof(types));
	for (int i = 1;; i++)
	{
		WalRcvExecResult *result =
			walrcv_exec(connection->walrcv, source_sql(connection, sql), columns, types);

		if (result->status == expected)
		{
			walrcv_clear_result(result);
			return;
		}
		if (i >= tries || result->sqlstate != ERRCODE_OBJECT_IN_USE)
			raise_source_error(connection, result, doing);
		walrcv_clear_result(result);
		if (WaitLatch(MyLatch,
					  WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					  100,
					  PG_WAIT_EXTENSION) &
			WL_LATCH_SET)
			ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

void
source_start_stream(Connection *connection, const char *sql, int tries)
{
	execute_on_slot(connection, sql, 0, WALRCV_OK_COPY_BOTH, tries, "start streaming");
}

void
source_advance_slot(Connection *connection, const char *slot_name, XLogRecPtr position, int tries)
{
	execute_on_slot(connection,
					psprintf("SELECT (pg_catalog.pg_replication_slot_advance(%s,"
							 " '%X/%X')).end_lsn::pg_catalog.text",
							 sql_literal(slot_name),
							 LSN_FORMAT_ARGS(position)),
					1,
					WALRCV_OK_TUPLES,
					tries,
					"advance the slot");
}

int
source_receive(Connection *connection, char **buffer, long timeout_ms)
{
	for (;;)
	{
		pgsocket fd = PGINVALID_SOCKET;
		int length;
		int events;

		CHECK_FOR_INTERRUPTS();
		length = walrcv_receive(connection->walrcv, buffer, &fd);
		connection->socket = fd;
		if (length != 0)
			return length;
		if (timeout_ms == 0)
			return 0;
		events = WaitLatchOrSocket(MyLatch,
								   WL_LATCH_SET | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH |
									   (timeout_ms > 0 ? WL_TIMEOUT : 0),
								   fd,
								   timeout_ms,
								   PG_WAIT_EXTENSION);
		if (events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		if (events & WL_TIMEOUT)
			return 0;
	}
}

bool
source_wait(Connection *connection, long timeout_ms)
{
	pgsocket fd = connection == NULL ? PGINVALID_SOCKET : connection->socket;
	int events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;

	if (connection != NULL && fd == PGINVALID_SOCKET)
		return true; /* reading raises the error */
	if (connection != NULL)
		events |= WL_SOCKET_READABLE;
	if (timeout_ms >= 0)
		events |= WL_TIMEOUT;
	events = WaitLatchOrSocket(MyLatch, events, fd, timeout_ms, PG_WAIT_EXTENSION);
	if (events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	return (events & WL_SOCKET_READABLE) != 0;
}

/* ---- values of results ---- */

XLogRecPtr
source_lsn(const char *text)
{
	return text == NULL ? InvalidXLogRecPtr
						: DatumGetLSN(DirectFunctionCall1(pg_lsn_in, CStringGetDatum(text)));
}

bool
source_true(const char *text)
{
	return text != NULL && text[0] == 't';
}
