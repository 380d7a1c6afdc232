# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by script tests: TAP output, a scratch folder, mounts and loop devices that go away on every path out.
#
#	. "${srcdir:-.}/tests/tap.sh"
#	ok "what holds" command args...        # passes when the command exits 0
#	not_ok "what must fail" command...     # passes when it exits non-zero
#	skip "what" "why"
#	done_testing
tap_count=0
tap_failed=0
scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/btrkit-test.XXXXXX")
tap_cleanups=

# at_exit COMMAND: run when the script ends, last one first.
at_exit() {
	tap_cleanups="$1
$tap_cleanups"
}
tap_finish() {
	status=$?
	trap - EXIT
	cd /
	printf '%s' "$tap_cleanups" | while IFS= read -r line; do [ -z "$line" ] || eval "$line" >/dev/null 2>&1; done
	rm -rf "$scratch"
	exit $status
}
trap tap_finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

diagnose() { sed 's/^/# /' "$1" | head -n "${2:-40}"; }
pass() {
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s\n' $tap_count "$1"
}
fail() {
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	printf 'not ok %d - %s\n' $tap_count "$1"
}
skip() {
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s # SKIP %s\n' $tap_count "$1" "$2"
}
ok() {
	tap_name=$1
	shift
	if "$@" >"$scratch/.out" 2>&1 </dev/null; then pass "$tap_name"; else
		tap_status=$?
		fail "$tap_name"
		echo "# exit status $tap_status of: $*"
		diagnose "$scratch/.out"
	fi
}
not_ok() {
	tap_name=$1
	shift
	if "$@" >"$scratch/.out" 2>&1 </dev/null; then
		fail "$tap_name"
		echo "# unexpected success of: $*"
		diagnose "$scratch/.out"
	else pass "$tap_name"; fi
}
is() { # is NAME GOT EXPECTED
	if [ "$2" = "$3" ]; then pass "$1"; else
		fail "$1"
		printf '%s\n' "got:      $2" "expected: $3" | sed 's/^/# /'
	fi
}
skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}
done_testing() {
	echo "1..$tap_count"
	[ $tap_failed -eq 0 ]
	exit
}

# --- Mounting -----------------------------------------------------------------------------------
can_mount() { [ "$(id -u)" = 0 ] && [ -e /dev/loop-control ] && grep -qw "${1:-btrfs}" /proc/filesystems; }

# loop_attach FILE...: the loop devices of the files, in order, in $loops; detached at exit.
loop_attach() {
	loops=
	for tap_file in "$@"; do
		tap_loop=$(losetup -f --show "$tap_file") || return 1
		at_exit "losetup -d $tap_loop"
		loops="${loops:+$loops }$tap_loop"
	done
}
loop_detach() {
	for tap_loop in "$@"; do losetup -d "$tap_loop"; done
}

# btrfs_mount DIR OPTIONS FILE...: mount the filesystem on these image files at DIR through loop devices.
btrfs_mount() {
	tap_dir=$1
	tap_options=$2
	shift 2
	mkdir -p "$tap_dir"
	loop_attach "$@" || return 1
	for tap_loop in $loops; do tap_options="$tap_options,device=$tap_loop"; done
	at_exit "umount '$tap_dir'"
	mount -t btrfs -o "${tap_options#,}" "${loops%% *}" "$tap_dir"
}
# btrfs_umount DIR: unmount what btrfs_mount mounted, and let its loop devices go.
btrfs_umount() {
	umount "$1" && loop_detach $loops
}
