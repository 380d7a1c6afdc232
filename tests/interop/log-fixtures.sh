#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Crash images of which it is known what Linux's replay made: the plan foretells it, to the last name, time, attribute and byte.
. "${srcdir:-.}/tests/tap.sh"
shared=${BTRKIT_SHARED:-$srcdir/../shared}
[ -d "$shared/fixtures/treelog" ] || skip_all "needs ../shared/fixtures/treelog"
need_program python3 xz
"$BTRKIT" mkfs --help >/dev/null || exit 1
"$BTRKIT" inspect super --json /dev/null 2>&1 | grep -q 'without json-c' && skip_all "built without json-c"

set -- "$shared"/fixtures/treelog/*/ "$shared"/fixtures/treelog-random/*/
# Unpacking takes longest: in two processes.
printf '%s\n' "$@" | awk '{ print > ("'"$scratch"'/half." NR % 2) }'
for half in 0 1; do
	mkdir "$scratch/$half"
	xargs python3 "$srcdir/tests/tools/logplan.py" "$BTRKIT" "$scratch/$half" <"$scratch/half.$half" >"$scratch/result.$half" 2>&1 &
done
wait
cat "$scratch"/result.? >"$scratch/results"
while read -r verdict name rest; do
	case $verdict in
	ok) pass "$name" ;;
	not) fail "$rest" ;;
	*) printf '%s\n' "# $verdict $name $rest" ;;
	esac
done <"$scratch/results"
is "all fixtures" "$(grep -cE '^(not )?ok ' "$scratch/results")" $#

# --- Cleared: what was committed, and nothing else ----------------------------------------------
can_mount || {
	skip "cleared" "needs root, loop devices and btrfs in the kernel"
	done_testing
}
for name in rename-over csum-blake2 mixed-groups two-subvolumes; do
	fixture=$shared/fixtures/treelog/$name
	xz -dc "$fixture/crash.img.xz" | dd of="$scratch/cleared" bs=1M conv=sparse status=none
	ok "$name: clear" "$BTRKIT" log clear --yes "$scratch/cleared"
	if command -v btrfs >/dev/null; then
		ok "$name: btrfs check" btrfs_check "$scratch/cleared"
	else
		skip "$name: btrfs check" "needs btrfs"
	fi
	if btrfs_mount "$scratch/mnt" ro "$scratch/cleared"; then
		"$shared/oracle/fsmanifest" "$scratch/mnt" >"$scratch/manifest"
		ok "$name: what was committed" "$shared/oracle/fsmanifest" diff "$fixture/committed" "$scratch/manifest"
		btrfs_umount "$scratch/mnt"
	else
		fail "$name: can be mounted"
	fi
	rm -f "$scratch/cleared"
done
done_testing
