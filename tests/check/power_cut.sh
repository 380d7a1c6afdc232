# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by tests that cut the power, after tap.sh. The devices are parts of one file on another Btrfs filesystem, and the
# power cut is a reflink of it: one moment for all devices. BTRKIT_TEST_ALL=1 cuts much more often; BTRKIT_TEST_SEED chooses
# what is done.
churn=$srcdir/tests/tools/churn.py
seed=${BTRKIT_TEST_SEED:-1}
cuts=4
pause=0.1
[ -z "$BTRKIT_TEST_ALL" ] || cuts=40 pause=0.05
mnt=$scratch/mnt
host=$scratch/host
mkdir "$mnt" "$scratch/memory"
# What lies in the other goes first: a loop device whose file is out of sight would keep all of it in memory.
at_exit 'umount "$mnt"; tap_release "$host"; umount "$host"; tap_release "$scratch/memory"; umount "$scratch/memory"'
# In memory, where there is enough: there are many commits.
[ "$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)" -ge 6 ] && mount -t tmpfs -o size=4g none "$scratch/memory"
truncate -s 8G "$scratch/memory/host"
"$BTRKIT" mkfs -q "$scratch/memory/host" && btrfs_mount "$host" nodatasum "$scratch/memory/host" || skip_all "no room for images"

# parts FILE [losetup option]: loop devices of the parts of a file, in $loops.
parts() {
	loops=
	for part in $(seq 0 $((count - 1))); do
		loops="$loops $(losetup -f --show $2 -o $((part * 1048576 * size)) --sizelimit $((1048576 * size)) "$1")" || return 1
	done
}
# begin COUNT MIB MOUNT-OPTIONS DEVICES-USED mkfs.btrfs...: a mounted filesystem.
begin() {
	count=$1
	size=$2
	options=$3
	used=$4
	shift 4
	truncate -s $((count * size))M "$host/devices" && parts "$host/devices" && devices=$loops &&
		"$@" -q -f $(echo $loops | cut -d' ' -f"1-$used") >"$scratch/made" 2>&1 || return 1
	for part in $(echo $loops | cut -d' ' -f"1-$used"); do options=$options,device=$part; done
	mount -t btrfs -o "$options" $(echo $loops | cut -d' ' -f1) "$mnt"
}
end() {
	umount "$mnt" && losetup -d $devices && rm "$host/devices"
}
nr_cuts=0
cut_off() {
	nr_cuts=$((nr_cuts + 1))
	cp --reflink=always "$host/devices" "$host/cut.$nr_cuts"
}
cut_often() {
	for at in $(seq $((cuts * ${1:-1}))); do
		sleep $pause
		cut_off
	done
}
# While COMMAND... runs in the background.
cut_during() {
	"$@" >/dev/null 2>&1 &
	during=$!
	cut_often
	{ kill $during && wait $during; } 2>/dev/null
}

# replace DEVID DEVICE: begins in the background, as $replacing; and it has begun.
replace() {
	python3 "$srcdir/tests/tools/replace_ctl.py" "$1" "$2" "$mnt" &
	replacing=$!
	while btrfs replace status -1 "$mnt" | grep -q -e '^Never' -e cancel; do kill -0 $replacing || return 1; done
}
# with_super DEVICE...: those that are part of a filesystem, not of none yet, or no longer.
with_super() {
	for part in "$@"; do
		[ "$(dd if="$part" bs=8 skip=8200 count=1 status=none)" != _BHRfS_M ] || echo "$part"
	done
}

# judge NAME [PATTERN...]: all that was cut off is clean, and says nothing but of logs, of what is unfinished, and of data that
# was written before the size of its file was, and of superblocks of which only some devices have the newest. Whether the moment
# when the root tree has PATTERN was caught is a matter of luck, so it is told.
judge() {
	name=$1
	shift
	for at in $(seq $nr_cuts); do
		parts "$host/cut.$at" -r
		members=$(with_super $loops)
		timeout 200 "$BTRKIT" check --data --no-scan $members >"$scratch/checked" 2>&1
		status=$?
		"$BTRKIT" inspect tree --tree root --no-scan $members >>"$scratch/roots" 2>/dev/null
		losetup -d $loops
		grep -v -e '\[log-present\]$' -e '\[log-replayed\]$' -e '\[unfinished\]$' -e '\[free-space-without-group\]$' -e '\[quota-inconsistent\]$' -e '\[file-extent-beyond-size\]$' \
			-e '\[super-generation-differs\]$' "$scratch/checked" | grep '^\(note\|warning\|error\|fatal\)' >"$scratch/said"
		[ $status = 0 ] && [ ! -s "$scratch/said" ] || {
			echo "cut $at, exit status $status:" && head -n 5 "$scratch/said" && grep '^btrkit' "$scratch/checked"
			[ -z "$BTRKIT_TEST_KEEP" ] || cp --sparse=always "$host/cut.$at" "$BTRKIT_TEST_KEEP/$name.$at"
		} >>"$scratch/bad"
		rm "$host/cut.$at"
	done
	is "$name: $nr_cuts cuts, all clean" "$(cat "$scratch/bad" 2>/dev/null)" ""
	for pattern in "$@"; do
		if grep -q "$pattern" "$scratch/roots"; then
			pass "$name: with $pattern"
		else
			skip "$name: with $pattern" "not caught this time"
		fi
	done
	rm -f "$scratch/bad" "$scratch/roots"
	nr_cuts=0
}
