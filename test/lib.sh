# test/lib.sh: functions shared by all scripts of this tree. Source it from bash:
#
#	. "$(dirname "$0")/../lib.sh"
#	dp_find_pg_config          # choose the PostgreSQL: sets PG_CONFIG, PG_MAJOR
#	dp_scratch demo            # create an empty directory: $DEPIPE_RUN (= tmp/demo)
#	dp_build                   # compile a copy of the tree: $DEPIPE_BUILD
#	dp_install                 # copy that PostgreSQL and install depipe into it: $PG_BIN
#	dp_cluster_create shop "shared_preload_libraries = 'depipe'"
#	dp_psql shop -c 'CREATE EXTENSION depipe'
#
# Nothing is installed into the system's PostgreSQL, no port is opened, and the servers stop when
# the script ends. Servers refuse to run as root; for root they run as `postgres` (dp_as_user).

unset MAKEFLAGS MAKELEVEL MFLAGS
unset PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGOPTIONS PGDATA PGAPPNAME PGSSLMODE
export LC_ALL=C.UTF-8 PGTZ=UTC
umask 022

DEPIPE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
DEPIPE_TMP=${DEPIPE_TMP:-$DEPIPE_ROOT/tmp}
DEPIPE_AT_EXIT=()

# dp_die MESSAGE...: print the message and end the script.
dp_die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# dp_at_exit COMMAND: run COMMAND when the script ends, for whatever reason, in reverse order of
# registration.
dp_at_exit()
{
	DEPIPE_AT_EXIT=("$1" "${DEPIPE_AT_EXIT[@]}")
	trap dp_run_at_exit EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

dp_run_at_exit()
{
	local status=$? command

	trap - EXIT
	trap '' INT TERM HUP
	for command in "${DEPIPE_AT_EXIT[@]}"; do
		eval "$command" || true
	done
	exit $status
}

# dp_usable_pg_config PG_CONFIG: is this a PostgreSQL 15 to 18 with server and server headers? The
# existence of pg_config and pgxs.mk proves neither, because Debian's client package contains both.
# So look for the headers.
dp_usable_pg_config()
{
	local bindir version pgxs headers

	version=$("$1" --version 2>/dev/null) || return 1
	[[ $version =~ ^PostgreSQL\ (15|16|17|18)([^0-9]|$) ]] || return 1
	bindir=$("$1" --bindir) && pgxs=$("$1" --pgxs) && headers=$("$1" --includedir-server) || return 1
	[ -x "$bindir/postgres" ] && [ -x "$bindir/initdb" ] && [ -e "$pgxs" ] &&
		[ -e "$headers/postgres.h" ]
}

# dp_find_pg_config: set PG_CONFIG and PG_MAJOR. The caller's PG_CONFIG comes first, then the PATH,
# then the newest of Debian's. Returns 1 if there is none.
dp_find_pg_config()
{
	local candidate found=

	if [ -n "${PG_CONFIG:-}" ]; then
		dp_usable_pg_config "$PG_CONFIG" ||
			dp_die "$PG_CONFIG is no PostgreSQL 15 to 18 with server and server headers"
		found=$PG_CONFIG
	else
		for candidate in pg_config /usr/lib/postgresql/{18,17,16,15}/bin/pg_config; do
			if dp_usable_pg_config "$candidate"; then
				found=$candidate
				break
			fi
		done
	fi
	[ -n "$found" ] || return 1
	PG_CONFIG=$(command -v "$found")
	PG_MAJOR=$("$PG_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
	export PG_CONFIG PG_MAJOR
}

# dp_user: the name of the user that runs the servers.
dp_user()
{
	if [ "$(id -u)" -ne 0 ]; then
		id -un
	elif id postgres >/dev/null 2>&1; then
		echo postgres
	else
		id depipe >/dev/null 2>&1 || useradd --system --no-create-home --shell /bin/sh depipe
		echo depipe
	fi
}

# dp_as_user COMMAND...: run COMMAND as dp_user; a plain call unless the script runs as root. Its
# working directory is the current one if that is in the scratch area, else the scratch area.
dp_as_user()
{
	local user

	if [ "$(id -u)" -ne 0 ]; then
		"$@"
		return
	fi
	user=$(dp_user)
	(
		case $(pwd -P)/ in
			"${DEPIPE_RUN:-/}"/* | "${DEPIPE_BUILD:-/}"/*) ;;
			*) cd "${DEPIPE_RUN:-/}" ;;
		esac
		exec setpriv --reuid="$user" --regid="$(id -gn "$user")" --init-groups \
			env HOME="${DEPIPE_RUN:-/}" USER="$user" LOGNAME="$user" "$@"
	)
}

# dp_chown PATH...: make dp_user the owner of PATH.
dp_chown()
{
	[ "$(id -u)" -ne 0 ] || chown -R "$(dp_user):" "$@"
}

# dp_scratch_base: set DEPIPE_TMP to a directory that dp_user can reach: tmp/ in the checkout, or,
# if that user cannot read the checkout, a directory beside the system's temporary files.
dp_scratch_base()
{
	local fallback

	mkdir -p "$DEPIPE_TMP"
	DEPIPE_TMP=$(cd "$DEPIPE_TMP" && pwd -P)
	DEPIPE_RUN=/ dp_as_user test -x "$DEPIPE_TMP" && return
	fallback=/var/tmp/depipe-$(id -u)-$(printf %s "$DEPIPE_ROOT" | cksum | cut -d' ' -f1)
	[ -d "$fallback" ] || mkdir -m 755 "$fallback"
	[ -O "$fallback" ] && [ ! -L "$fallback" ] || dp_die "$fallback belongs to somebody else"
	DEPIPE_TMP=$fallback
}

# dp_scratch NAME: set DEPIPE_RUN to the directory tmp/NAME, which is empty and owned by dp_user.
# Servers below it are stopped when the script ends.
dp_scratch()
{
	dp_scratch_base
	DEPIPE_RUN=$DEPIPE_TMP/$1
	dp_stop_servers "$DEPIPE_RUN"
	dp_at_exit "dp_stop_servers '$DEPIPE_RUN'"
	rm -rf "$DEPIPE_RUN"
	mkdir -p "$DEPIPE_RUN"
	dp_chown "$DEPIPE_RUN"
}

# dp_copy_tree DIRECTORY: make DIRECTORY a copy of the tree's files. Existing object files stay, so
# that only changed files are compiled again.
dp_copy_tree()
{
	local part version parts=()

	version=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$DEPIPE_ROOT/depipe.control")
	mkdir -p "$1"
	find "$1" -type f ! -name '*.o' ! -name '*.d' -delete
	for part in Makefile depipe.control META.json LICENSE README.md CHANGELOG.md .clang-format \
		src sql expected test bench dbt doc .ci; do
		[ ! -e "$DEPIPE_ROOT/$part" ] || parts+=("$part")
	done
	tar -C "$DEPIPE_ROOT" --exclude='*.o' --exclude='*.d' --exclude='*.so' --exclude='*.bc' \
		--exclude="sql/depipe--*$version.sql" --exclude='sql/*.new' -cf - "${parts[@]}" |
		tar -C "$1" --no-same-owner -xf -
}

# dp_build: compile a copy of the tree for PG_CONFIG, with the additional compiler flags in
# DEPIPE_COPT, if set. Sets DEPIPE_BUILD. Prints the compiler's output only if it fails.
dp_build()
{
	local name log

	[ -n "${PG_MAJOR:-}" ] || dp_find_pg_config || dp_die "no PostgreSQL 15 to 18 with headers"
	dp_scratch_base
	name=build-$("$PG_CONFIG" --version | sed 's/^PostgreSQL \([^ ]*\).*/\1/')
	[ -z "${DEPIPE_COPT:-}" ] || name+=-$(printf %s "$DEPIPE_COPT" | cksum | cut -d' ' -f1)
	DEPIPE_BUILD=${DEPIPE_BUILD_BASE:-$DEPIPE_TMP}/$name
	mkdir -p "$DEPIPE_BUILD"
	log=$DEPIPE_BUILD.log
	exec 9>"$DEPIPE_BUILD.lock"
	flock 9
	dp_copy_tree "$DEPIPE_BUILD"
	if ! make -s --no-print-directory -C "$DEPIPE_BUILD" -j2 PG_CONFIG="$PG_CONFIG" \
		COPT="${DEPIPE_COPT:-}" >"$log" 2>&1 </dev/null; then
		cat "$log" >&2
		dp_die "the build failed"
	fi
	exec 9>&-
}

# dp_install: make a private copy of PG_CONFIG's PostgreSQL in $DEPIPE_RUN/pg and install depipe
# into it. Programs are copied, because a server finds its files relative to its program; everything
# else is linked. Sets PG_BIN and puts it first in the PATH.
dp_install()
{
	local prefix=$DEPIPE_RUN/pg bindir libdir sharedir real

	bindir=$("$PG_CONFIG" --bindir)
	libdir=$("$PG_CONFIG" --pkglibdir)
	sharedir=$("$PG_CONFIG" --sharedir)
	PG_BIN=$prefix$bindir
	mkdir -p "$PG_BIN" "$prefix$libdir" "$prefix$sharedir"
	cp -pL "$bindir"/* "$PG_BIN/"
	cp -rs "$libdir/." "$prefix$libdir/"
	cp -rs "$sharedir/." "$prefix$sharedir/"
	rm -f "$prefix$libdir"/depipe.so "$prefix$sharedir"/extension/depipe{.control,--*}
	real=$("$PG_BIN/pg_config" --sharedir)
	[ "$real" = "$prefix$sharedir" ] || dp_die "this PostgreSQL cannot be relocated ($real)"
	exec 9>"$DEPIPE_BUILD.lock"
	flock 9
	make -s -C "$DEPIPE_BUILD" PG_CONFIG="$PG_CONFIG" COPT="${DEPIPE_COPT:-}" \
		DESTDIR="$prefix" install >"$DEPIPE_RUN/install.log" 2>&1 </dev/null ||
		{ cat "$DEPIPE_RUN/install.log" >&2; dp_die "the installation failed"; }
	cp "$DEPIPE_BUILD"/test/upgrade/depipe--*.sql "$prefix$sharedir/extension/"
	exec 9>&-
	export PATH=$PG_BIN:$PATH
}

# dp_cluster_create NAME [SETTING...]: create and start a temporary server in $DEPIPE_RUN/NAME, on a
# unix socket only. Each SETTING is a line of postgresql.conf. It stops when the script ends.
dp_cluster_create()
{
	local dir=$DEPIPE_RUN/$1 name=$1 socket=$DEPIPE_RUN/$1

	shift
	dp_as_user mkdir "$dir"
	if [ ${#socket} -gt 90 ]; then          # the path of a socket has at most 107 bytes
		socket=$(dp_as_user mktemp -d /tmp/depipe.XXXXXX)
		dp_at_exit "rm -rf '$socket'"
	fi
	echo "$socket" >"$dir/socket"
	dp_as_user "$PG_BIN/initdb" -D "$dir/data" -U postgres --auth=trust --no-locale \
		--encoding=UTF8 --no-sync >"$dir/initdb.log" 2>&1 ||
		{ cat "$dir/initdb.log" >&2; dp_die "initdb failed"; }
	{
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$socket'"
		echo "wal_level = logical"
		echo "max_replication_slots = 50"
		echo "max_wal_senders = 50"
		echo "max_worker_processes = 32"
		echo "fsync = off"
		echo "full_page_writes = off"
		echo "log_line_prefix = '%m [%p] %q%a '"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >>"$dir/data/postgresql.conf"
	dp_cluster_start "$name"
}

# dp_cluster_start NAME, dp_cluster_stop NAME [fast|immediate]: start or stop a server. Its log is
# NAME/log.
dp_cluster_start()
{
	local dir=$DEPIPE_RUN/$1

	dp_as_user "$PG_BIN/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 start >/dev/null </dev/null ||
		{ tail -20 "$dir/log" >&2; dp_die "server $1 did not start"; }
}

dp_cluster_stop()
{
	local dir=$DEPIPE_RUN/$1

	[ ! -e "$dir/data/postmaster.pid" ] ||
		dp_as_user "$PG_BIN/pg_ctl" -D "$dir/data" -w -t 60 -m "${2:-fast}" stop >/dev/null 2>&1
}

# dp_stop_servers DIRECTORY: stop immediately every server whose data directory is below DIRECTORY.
dp_stop_servers()
{
	local pidfile pid

	[ -d "$1" ] || return 0
	find "$1" -name postmaster.pid 2>/dev/null | while read -r pidfile; do
		pid=$(head -1 "$pidfile" 2>/dev/null) || continue
		[ "$(readlink "/proc/$pid/cwd")" = "$(dirname "$pidfile")" ] || continue
		kill -QUIT "$pid" || continue
		while [ -e "/proc/$pid/cwd" ]; do sleep 0.1; done
	done
}

# dp_conninfo NAME: the connection string for the server NAME as its superuser.
dp_conninfo()
{
	echo "host=$(cat "$DEPIPE_RUN/$1/socket") port=5432 user=postgres dbname=postgres"
}

# dp_psql NAME [ARGUMENT...]: run psql on the server NAME; stop at the first error.
dp_psql()
{
	local name=$1

	shift
	dp_as_user "$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1 -d "$(dp_conninfo "$name")" "$@"
}

# dp_lint_tools: the directory in which test/prepare installs programs from the Python package
# index.
dp_lint_tools()
{
	echo "${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/depipe/lint-1/bin"
}

# dp_clang_format: the clang-format 14 of this system, or nothing. Releases format slightly
# differently, so only this one is used.
dp_clang_format()
{
	local program

	for program in clang-format-14 clang-format "$(dp_lint_tools)/clang-format"; do
		[[ $("$program" --version 2>/dev/null) != *" version 14."* ]] || { echo "$program"; return; }
	done
}
