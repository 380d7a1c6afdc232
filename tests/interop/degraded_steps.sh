# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by tests of filesystems that lack devices, after tap.sh: in $scratch, disk1, disk2, ... and what is on them in "before".
need_mount
need_program btrfs mkfs.btrfs python3
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
tools=$(realpath "${srcdir:-.}/tests/tools")
cd "$scratch" || exit 1
export PYTHONDONTWRITEBYTECODE=1

# Linux remembers devices that it has seen, also when they are somebody else's by now.
let_go() {
	umount mnt && btrfs device scan --forget $(cat mnt.loops) && loop_detach $(cat mnt.loops)
}
# make_fs PROFILE NR: disk1..diskNR, aged a little, and what is in it in "before".
make_fs() {
	rm -f disk* new*
	for i in $(seq "$2"); do truncate -s 600M "disk$i"; done
	# shellcheck disable=SC2046
	mkfs.btrfs -q -f -m "$1" -d "$1" $(seq -f disk%.0f "$2") >/dev/null 2>&1 && btrfs_mount mnt "compress-force=no" $(seq -f disk%.0f "$2") || return 1
	btrfs -q subvolume create mnt/sub && head -c 9000000 /dev/urandom >mnt/sub/large && cp -r /etc/ssl mnt/sub/ 2>/dev/null
	for i in $(seq 60); do head -c $((i * 777)) /dev/urandom >"mnt/sub/file$i"; done
	btrfs -q subvolume snapshot -r mnt/sub mnt/snap >/dev/null && btrfs filesystem sync mnt
	rm mnt/sub/file1? && fallocate -l 300000 mnt/prealloc && echo more >>mnt/sub/file3
	touch mnt/nocow && chattr +C mnt/nocow && head -c 700000 /dev/urandom >mnt/nocow
	"$tools/manifest" mnt >before && let_go
}
# same FILE...: the same content for Linux.
same() {
	btrfs_mount mnt ro "$@" || return 1
	"$tools/manifest" mnt >after
	same_status=$?
	let_go && [ $same_status = 0 ] && "$tools/manifest" diff before after
}
# scrub OPTIONS FILE...: device by device, for Linux remembers one that was missing when it had this filesystem mounted before, and
# would want to read it.
scrub() {
	btrfs_mount mnt "$@" || return 1
	scrub_status=0
	for scrub_loop in $loops; do
		btrfs scrub start -B "$scrub_loop" >scrubbed 2>&1 && grep -q 'no errors found' scrubbed || { scrub_status=1 && cat scrubbed; }
	done
	let_go && return $scrub_status
}
judge() { # NAME FILE...
	judge_name=$1
	shift
	ok "$judge_name: our check" "$BTRKIT" check --data --no-scan "$@"
	ok "$judge_name: btrfs check" btrfs_check "$@"
	ok "$judge_name: the same content for Linux" same "$@"
	ok "$judge_name: a scrub finds nothing" scrub "" "$@"
}
