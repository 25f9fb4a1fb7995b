# bench/lib.sh: what the benchmarks share; source it after test/lib.sh. SCALE and VERBOSE are the
# caller's options.

# scaled N: N times the scale, at least 1.
scaled()
{
	awk -v n="$1" -v s="$SCALE" 'BEGIN { n = int(n * s + 0.5); print n < 1 ? 1 : n }'
}

say()
{
	[ -z "$VERBOSE" ] || echo "$*" >&2
}

# sql SERVER DATABASE [ARGUMENT...]: psql there, bare values; stops at the first error.
sql()
{
	local server=$1 database=$2

	shift 2
	dp_psql "$server" -At -d "$(dp_conninfo "$server") dbname=$database" "$@"
}

# timed SERVER DATABASE STATEMENT: its time in seconds as psql sees it; the rest of the output goes
# to /dev/null.
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

# machine: what the figures were taken on, as text.
machine()
{
	echo "$("$PG_CONFIG" --version), depipe $(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" \
		depipe.control); $(nproc) cores ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo |
		head -1)), $(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GB"
}
