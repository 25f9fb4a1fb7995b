# test/debian.sh: minimal Debian systems in directories, for scripts that need another system than
# this one. Source it after test/lib.sh. Requires root, and a machine on which root may mount.
#
#	dp_may_mount                           # ends the script where root may not
#	dp_debootstrap bookworm DIRECTORY      # a minimal Debian with nothing but its packages' defaults
#	dp_enter DIRECTORY COMMAND...          # runs COMMAND in there
#
# The systems are kept in DEPIPE_CACHE (/var/cache/depipe). DEPIPE_MIRROR names a Debian mirror; the
# default is the mirror that apt uses on this machine.

CACHE=${DEPIPE_CACHE:-/var/cache/depipe}

dp_may_mount()
{
	unshare --mount true 2>/dev/null ||
		dp_die "root may not mount here (a container needs the capability SYS_ADMIN)"
}

# dp_enter ROOT COMMAND...: run COMMAND as root of ROOT, in its own name spaces. Its mounts and
# processes end with it.
dp_enter()
{
	unshare --mount --pid --fork --kill-child --propagation private sh -c '
		mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
			exec chroot "$@"' sh "$@"
}

# dp_mirror: the mirror that this machine uses.
dp_mirror()
{
	local uri

	if [ -n "${DEPIPE_MIRROR:-}" ]; then
		echo "$DEPIPE_MIRROR"
		return
	fi
	[ -n "$(dp_debian_uris)" ] || apt-get -q update >/dev/null
	uri=$(dp_debian_uris | head -1)
	[ -n "$uri" ] || dp_die "no Debian mirror in apt's configuration; set DEPIPE_MIRROR"
	echo "$uri"
}

dp_debian_uris()
{
	apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
		sed -n 's|^Debian Debian \(https\?://.*\)$|\1|p'
}

# dp_debootstrap SUITE DIRECTORY: make DIRECTORY a minimal Debian of that release. Accepts old
# snapshots of a mirror, and lets no package start a service.
dp_debootstrap()
{
	local proxy=

	test/prepare matrix
	echo "making $2 from Debian $1" >&2
	rm -rf "$2"
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	[ -z "$proxy" ] || export http_proxy=$proxy
	PATH=$PATH:/usr/sbin:/sbin debootstrap --variant=minbase "$1" "$2" "$(dp_mirror)" </dev/null ||
		dp_die "debootstrap failed"
	echo 'Acquire::Check-Valid-Until "false";' >"$2/etc/apt/apt.conf.d/99depipe"
	[ -z "$proxy" ] || echo "Acquire::http::Proxy \"$proxy\";" >>"$2/etc/apt/apt.conf.d/99depipe"
	printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d"
	chmod +x "$2/usr/sbin/policy-rc.d"
}
