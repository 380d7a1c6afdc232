#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A restripe that is interrupted here goes on here or under Linux, and a balance that is interrupted under Linux goes on here.
. "${srcdir:-.}/tests/tap.sh"
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
manifest=$(realpath "${srcdir:-.}/tests/tools/manifest")
need_mount
need_program btrfs mkfs.btrfs python3
cd "$scratch" || exit 1
export NO_COLOR=1

# forget DIR: unmount, and let the kernel forget the devices: their copies come under the same names.
forget() {
	umount "$1" || return
	for loop in $(cat "$1.loops"); do
		btrfs device scan --forget "$loop" >/dev/null 2>&1
		losetup -d "$loop"
	done
}
# profiles FILE...
profiles() {
	"$BTRKIT" device usage "$@" | sed -nE 's/^ +(data|metadata|system), ([A-Za-z0-9]+) .*/\1 \2/p' | sort -u | tr '\n' ';'
}
state() {
	"$BTRKIT" restripe status "$@" | sed -n '1p'
}
again() {
	rm -f one two
	cp --sparse=always --reflink=auto first.one one && cp --sparse=always --reflink=auto first.two two
}
# is_same NAME: after all, contents and structure are sound for everybody.
is_same() {
	ok "$1: btrfs check" btrfs_check one two
	ok "$1: our check" sh -c '"$1" check --data one two >check.txt 2>&1 || { cat check.txt && exit 1; }' - "$BTRKIT"
	btrfs_mount mnt skip_balance one two || return
	ok "$1: contents" sh -c '"$1" mnt | cmp - manifest.txt' - "$manifest"
	ok "$1: Linux has no balance" sh -c 'btrfs balance status mnt | grep -q "No balance found"'
	ok "$1: a scrub finds nothing" sh -c 'btrfs scrub start -B mnt >scrub.txt 2>&1 && grep -q "no errors found" scrub.txt'
	forget mnt
}
done_profiles="data RAID1;metadata RAID1;system RAID1;"

truncate -s 2G first.one first.two
mkfs.btrfs -q -d single -m dup first.one first.two >/dev/null 2>&1 || exit 1
btrfs_mount mnt commit=300 first.one first.two || exit 1
for n in 1 2 3 4 5 6 7 8; do
	head -c 60000000 /dev/urandom >mnt/file$n
	mkdir mnt/dir$n && for m in 1 2 3 4 5 6 7 8 9; do echo "$n $m" >mnt/dir$n/$m; done
done
btrfs subvolume snapshot mnt mnt/snapshot >/dev/null
cp --reflink=always mnt/file1 mnt/shared
sync -f mnt
"$manifest" mnt >manifest.txt
forget mnt
convert="-dconvert=raid1 -mconvert=raid1"

# --- Killed here -----------------------------------------------------------------------------------------------------
# timeout would send it to itself and its children, too: to the run twice, and the second signal ends it at once.
# killed SIGNAL: one and two after a run that was ended early, in the middle if the machine is of the usual speed.
killed() {
	for after in 0.6 0.4 0.25 0.15 0.08 0.04 0.02; do
		again
		# shellcheck disable=SC2086
		timeout --foreground -s "$1" $after "$BTRKIT" restripe start $convert one two >killed.out 2>killed.txt
		killed_status=$?
		[ "$(state one two)" != paused ] || return 0
	done
	return 1
}
ok "killed by kill -9" killed KILL
echo "# $("$BTRKIT" restripe status one two | tail -n 1)"
ok "it is sound in between" btrfs_check one two
cp --sparse=always --reflink=auto one half.one && cp --sparse=always --reflink=auto two half.two
ok "resumed here" "$BTRKIT" restripe resume one two
is "and done" "$(state one two);$(profiles one two)" "nothing is running or paused;$done_profiles"
is_same "resumed here"

mv half.one one && mv half.two two
btrfs_mount mnt "" one two || exit 1
tries=0
while [ $tries -lt 600 ] && ! btrfs balance status mnt | grep -q "No balance found"; do sleep 0.1 && tries=$((tries + 1)); done
forget mnt
is "resumed under Linux" "$(state one two);$(profiles one two)" "nothing is running or paused;$done_profiles"
is_same "resumed under Linux"

# --- Paused here -----------------------------------------------------------------------------------------------------
ok "ended by Ctrl-C" killed INT
ok "that is said" grep -q 'paused with [0-9]* of [0-9]* chunks done, and can be resumed or cancelled: interrupted' killed.txt
not_ok "nothing else can be started" "$BTRKIT" restripe start -d one two
ok "cancelled" "$BTRKIT" restripe cancel one two
is "and forgotten" "$(state one two)" "nothing is running or paused"
is_same "cancelled"
again
# shellcheck disable=SC2086
"$BTRKIT" restripe start $convert one two >run.out 2>run.txt &
process=$!
until "$BTRKIT" restripe status one two | grep -q running || [ ! -e /proc/$process/exe ]; do :; done
"$BTRKIT" restripe pause one two >pause.out 2>pause.txt
status=$?
wait $process
if [ $status = 0 ]; then
	is "paused by another process" "$(cat pause.out);$(state one two)" "paused;paused"
else
	ok "too late to pause" grep -q -e 'done before' -e 'nothing is running' pause.txt
	"$BTRKIT" restripe start $convert one two >/dev/null 2>&1
fi
"$BTRKIT" restripe resume one two >/dev/null 2>&1
is "and done after all" "$(profiles one two)" "$done_profiles"

# --- Paused under Linux ----------------------------------------------------------------------------------------------
# shellcheck disable=SC2086
paused_under_linux() {
	for after in 0.5 0.3 0.2 0.1 0; do
		again
		btrfs_mount mnt "" one two || return
		btrfs balance start -dprofiles=single,convert=raid1,soft,vrange=1048576..107374182400 -musage=..99,convert=raid1 --bg "$PWD/mnt" >/dev/null 2>start.txt || cat start.txt
		sleep $after
		btrfs balance pause mnt >/dev/null 2>&1
		btrfs balance status mnt >linux.txt
		forget mnt
		! grep -q paused linux.txt || return 0
	done
	return 1
}
if paused_under_linux; then
	pass "a balance is paused under Linux"
	"$BTRKIT" restripe status one two >status.txt
	is "its state here" "$(head -n 1 status.txt)" paused
	is "its filters" "$(sed -n 's/^  \(data\|metadata\|system\): //p' status.txt | tr '\n' ' ')" \
		"profiles=single,vrange=1048576..107374182400,convert=raid1,soft usage=..99,convert=raid1 usage=..99,convert=raid1 "
	tail -n 1 status.txt | sed 's/^/#/'
	ok "resumed here" "$BTRKIT" restripe resume one two
	is "and done" "$(state one two);$(profiles one two)" "nothing is running or paused;$done_profiles"
	is_same "begun under Linux"
else
	skip "a balance is paused under Linux" "each try was over before it could be paused"
fi

# --- To one device ---------------------------------------------------------------------------------------------------
# allocated: bytes on each device.
allocated() { "$BTRKIT" device list --json one two | sed -nE 's/.*"allocated_bytes":([0-9]+).*/\1/p' | tr '\n' ' '; }
convert="-d -m --devices 2"
if killed INT; then
	"$BTRKIT" restripe status one two >status.txt
	is "the device is recorded" "$(grep -c '^  to devices: 2$' status.txt)" 1
	# Linux reads the record when it mounts, and goes on, up to a pause, without regard to it.
	btrfs_mount mnt skip_balance one two || exit 1
	touch mnt/later && sync -f mnt
	"$manifest" mnt >manifest.txt
	btrfs balance resume mnt >/dev/null 2>&1 &
	sleep 0.2
	btrfs balance pause mnt >/dev/null 2>&1
	wait $!
	btrfs balance status mnt >linux.txt
	forget mnt
	if grep -q paused linux.txt; then
		is "Linux leaves it as it is" "$("$BTRKIT" restripe status one two | grep -c '^  to devices: 2$')" 1
		ok "resumed here" "$BTRKIT" restripe resume one two
		is "nothing is left" "$(state one two)" "nothing is running or paused"
		is "all is on that device" "$(allocated | sed 's/ .*//')" 0
		is_same "to one device"
	else
		skip "Linux leaves it as it is" "Linux was done before it could be paused"
	fi
else
	skip "the device is recorded" "each try was over before it could be interrupted"
fi
done_testing
