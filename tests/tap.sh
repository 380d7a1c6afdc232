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
tap_tmp=${TMPDIR:-/var/tmp}
scratch=$(mktemp -d "$tap_tmp/btrkit-test.$$.XXXXXX")
tap_cleanups=

# tap_release FOLDER: unmount what is mounted below it, and detach loop devices whose files lie in it.
tap_release() {
	[ "$(id -u)" = 0 ] || return 0
	sed -n "s|^[^ ]* \($1/[^ ]*\) .*|\1|p" /proc/mounts | sort -r | while IFS= read -r tap_mount; do
		tap_mount=$(printf '%b' "$tap_mount")
		umount "$tap_mount" 2>/dev/null || umount -l "$tap_mount"
	done
	for tap_backing in /sys/block/loop*/loop/backing_file; do
		case $(cat "$tap_backing" 2>/dev/null) in
		"$1"/*)
			tap_loop=${tap_backing#/sys/block/}
			losetup -d "/dev/${tap_loop%%/*}"
			;;
		esac
	done
}

# What earlier runs left behind when they were killed: their process is gone, their scratch folder is not.
for tap_old in "$tap_tmp"/btrkit-test.*.*; do
	tap_pid=${tap_old#"$tap_tmp"/btrkit-test.}
	tap_pid=${tap_pid%%.*}
	case $tap_pid in *[!0-9]*) continue ;; esac
	# Another user's processes cannot be asked by a signal.
	{ [ -e "/proc/$tap_pid" ] || kill -0 "$tap_pid" 2>/dev/null; } && continue
	[ -O "$tap_old" ] || continue
	tap_release "$tap_old" >/dev/null 2>&1
	rm -rf --one-file-system "$tap_old" 2>/dev/null || rm -rf "$tap_old"
done

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
	tap_release "$scratch" >/dev/null 2>&1
	# Folders that a test has closed, for who is not root.
	rm -rf "$scratch" 2>/dev/null || { chmod -R u+rwX "$scratch" && rm -rf "$scratch"; }
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
# Whatever is mounted below $scratch, and loop devices of files in it, are let go at exit.
can_mount() {
	[ "$(id -u)" = 0 ] && [ -e /dev/loop-control ] || return 1
	grep -qw "${1:-btrfs}" /proc/filesystems || modprobe "${1:-btrfs}" 2>/dev/null || return 1
	tap_probe=$scratch/.probe
	truncate -s 1M "$tap_probe" && tap_loop=$(losetup -f --show "$tap_probe" 2>/dev/null) && losetup -d "$tap_loop"
}
need_mount() { can_mount "${1:-btrfs}" || skip_all "needs root, loop devices and ${1:-btrfs} in the kernel"; }
need_program() {
	for tap_program in "$@"; do
		command -v "$tap_program" >/dev/null 2>&1 || skip_all "needs $tap_program"
	done
}

# loop_attach FILE...: the loop devices of the files, which must be in $scratch, in order, in $loops.
loop_attach() {
	loops=
	for tap_file in "$@"; do
		# Another process may take the free device first.
		tap_loop=$(losetup -f --show "$tap_file" 2>/dev/null) || tap_loop=$(sleep 1 && losetup -f --show "$tap_file") ||
			return 1
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
	echo "$loops" >"$tap_dir.loops"
	for tap_loop in $loops; do tap_options="$tap_options,device=$tap_loop"; done
	mount -t btrfs -o "${tap_options#,}" "${loops%% *}" "$tap_dir" && return 0
	tap_status=$?
	loop_detach $loops
	return $tap_status
}
# btrfs_umount DIR: unmount what btrfs_mount mounted, and let its loop devices go.
btrfs_umount() {
	umount "$1" && loop_detach $(cat "$1.loops")
}
# btrfs_check FILE...: is it clean for btrfs-progs?
btrfs_check() {
	loop_attach "$@" || return 1
	tap_status=0
	btrfs check --readonly --check-data-csum "${loops%% *}" >"$scratch/.check" 2>&1 || tap_status=$?
	# Some complaints do not change its exit status; that devices of somebody else's went away, or are there twice, is none.
	grep -v -e '^ERROR: cannot scan' -e '^WARNING: adding device' "$scratch/.check" |
		grep -qiE '^(ERROR|WARNING)|mismatch|not found in|errors [0-9a-f]+,|There is no free space entry' &&
		tap_status=1
	[ $tap_status = 0 ] || cat "$scratch/.check"
	loop_detach $loops
	return $tap_status
}
