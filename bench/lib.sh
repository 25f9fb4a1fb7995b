# bench/lib.sh: functions shared by the benchmarks. Source it after test/lib.sh. SCALE and VERBOSE
# are options of the caller.

# scaled N: N times the scale, at least 1.
scaled()
{
	awk -v n="$1" -v s="$SCALE" 'BEGIN { n = int(n * s + 0.5); print n < 1 ? 1 : n }'
}

say()
{
	[ -z "$VERBOSE" ] || echo "$*" >&2
}

# sql SERVER DATABASE [ARGUMENT...]: run psql there with unaligned values; stop at the first error.
sql()
{
	local server=$1 database=$2

	shift 2
	dp_psql "$server" -At -d "$(dp_conninfo "$server") dbname=$database" "$@"
}

# timed SERVER DATABASE STATEMENT: its time in seconds as psql measures it. Other output goes to
# /dev/null.
timed()
{
	sql "$1" "$2" -c '\timing on' -c '\o /dev/null' -c "$3" </dev/null |
		awk '/^Time:/ { printf "%.4f\n", $2 / 1000; found = 1 } END { exit !found }'
}

# elapsed COMMAND...: its wall-clock time in seconds.
elapsed()
{
	local since=$EPOCHREALTIME

	"$@" >/dev/null
	awk -v a="$since" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.4f\n", b - a }'
}

# other_tree DIRECTORY: builds and installs another checkout of depipe in $DEPIPE_RUN/other; prints where
# its programs are: PG_BIN=$(other_tree DIRECTORY) dp_cluster_create before
other_tree()
(
	DEPIPE_ROOT=$1
	DEPIPE_BUILD_BASE=$DEPIPE_TMP/before
	DEPIPE_RUN=$DEPIPE_RUN/other
	mkdir -p "$DEPIPE_BUILD_BASE" "$DEPIPE_RUN"
	dp_build >&2
	dp_install >&2
	echo "$PG_BIN"
)

# cpu SERVER PATTERN: CPU ticks used by the server's running processes whose title matches.
cpu()
{
	local postmaster

	postmaster=$(head -1 "$DEPIPE_RUN/$1/data/postmaster.pid")
	# processes may end meanwhile
	{ grep -lE "$2" /proc/[0-9]*/cmdline 2>/dev/null || true; } | sed 's/cmdline/stat/' |
		{ xargs -r cat 2>/dev/null || true; } | sed 's/.*) //' |
		awk -v parent="$postmaster" '$2 == parent { sum += $12 + $13 } END { print sum + 0 }'
}

# cpu_of_ended SERVER: CPU ticks of the server's processes that have ended.
cpu_of_ended()
{
	sed 's/.*) //' "/proc/$(head -1 "$DEPIPE_RUN/$1/data/postmaster.pid")/stat" |
		awk '{ print $14 + $15 }'
}

# share TICKS SINCE UNTIL: the ticks in percent of one core.
share()
{
	awk -v ticks="$1" -v since="$2" -v until="$3" -v hz="$(getconf CLK_TCK)" \
		'BEGIN { printf "%.2f\n", 100 * ticks / hz / (until - since) }'
}

# machine: a description of the machine that produced the figures.
machine()
{
	echo "$("$PG_CONFIG" --version), depipe $(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" \
		depipe.control); $(nproc) cores ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo |
		head -1)), $(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GB"
}
