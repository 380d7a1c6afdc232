# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by tests that reshape filesystems, after tap.sh: images in memory where there is enough.
need_mount
need_program python3 mkfs.btrfs btrfs cmp
tools=$srcdir/tests/tools
export PYTHONDONTWRITEBYTECODE=1
images=$scratch/images
mkdir "$images"
room=$(awk '/MemAvailable/ { print int($2 / 1048576 * 3 / 4) }' /proc/meminfo)
[ "$room" -lt 5 ] || mount -t tmpfs -o size="$room"g none "$images"

# reshape_tap PROGRAM ARGUMENT...: what it prints without numbers, with them.
reshape_tap() {
	reshape_program=$1
	shift
	python3 "$tools/$reshape_program" --scratch "$images" ${BTRKIT_TEST_KEEP:+--keep "$BTRKIT_TEST_KEEP"} "$@" >"$scratch/tap" 2>"$scratch/errors"
	reshape_status=$?
	while IFS= read -r line; do
		case $line in
		"ok - "*) pass "${line#ok - }" ;;
		"not ok - "*) fail "${line#not ok - }" ;;
		*) printf '%s\n' "$line" ;;
		esac
	done <"$scratch/tap"
	is "$reshape_program: errors of its own" "$(tail -n 5 "$scratch/errors")" ""
	ok "$reshape_program: it did something" grep -q '^\(not \)\{0,1\}ok' "$scratch/tap"
	[ $reshape_status = 0 ] || grep -q '^not ok' "$scratch/tap" || fail "$reshape_program: exit status $reshape_status"
}
