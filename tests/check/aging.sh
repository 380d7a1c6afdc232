# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced after tests/tap.sh by tests that age a filesystem of several devices under Linux and have it judged between mounts.
seed=${BTRKIT_TEST_SEED:-1}
operations=400
[ -z "$BTRKIT_TEST_ALL" ] || operations=4000
mnt=$scratch/mnt
mkdir "$mnt"

churn() {
	seed=$((seed + 1))
	python3 "$srcdir/tests/tools/churn.py" "$mnt" $seed $operations "$@"
}
# images COUNT: empty ones, with loop devices; $images, $devices. The first $used of them are mounted.
images() {
	images=
	for i in $(seq "$1"); do
		rm -f "$scratch/$i"
		truncate -s 1G "$scratch/$i" && images="$images $scratch/$i"
	done
	loop_attach $images && devices=$loops
}
device() { echo $devices | cut -d' ' -f"$1"; }
# begin COUNT USED OPTIONS mkfs.btrfs...
begin() {
	images "$1" || return 1
	used=$2
	options=$3
	shift 3
	"$@" -q -f $(device "1-$used") >/dev/null 2>&1 && mount_again
}
mount_again() {
	more=$options
	for device in $(device "1-${used}"); do more=$more,device=$device; done
	mount -t btrfs -o "$more" "$(device 1)" "$mnt"
}
end() {
	sync -f "$mnt"
	umount "$mnt"
	loop_detach $devices
}
# judge NAME IMAGE...
judge() {
	name=$1
	shift
	ok "$name: clean" "$BTRKIT" check --strict --data --no-scan "$@"
	ok "$name: btrfs check agrees" btrfs_check "$@"
}
