#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Filesystems whose power failed after an fsync: the last commit is sound, log show says of the log what Linux makes of it,
# the log is replayed as Linux replays it, and what was fsynced is there. A script by name for each thing that a log can say, and random ones from a seed that is
# printed: BTRKIT_TEST_SEED=S chooses it, BTRKIT_TEST_ALL=1 makes 1000 of them.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program python3 mkfs.btrfs btrfs
crashgen=$srcdir/tests/crash/crashgen.py
seed=${BTRKIT_TEST_SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
count=60
[ -z "$BTRKIT_TEST_ALL" ] || count=1000

images=$scratch/images
mkdir "$images"
# In memory, where there is enough.
[ "$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)" -ge 4 ] && mount -t tmpfs -o size=2g none "$images"

# Linux's own replay must be found right, and none at all must be found wrong: else nothing is shown by the rest.
replays="--replay null --replay linux"
if "$BTRKIT" log --help 2>/dev/null | grep -q '^ *replay '; then
	replays="--replay btrkit $replays"
else
	skip "btrkit log replay" "this btrkit has none"
fi

echo "# seed $seed"
python3 "$crashgen" test "$images" --named --random $count --plan --seed "$seed" --btrkit "$BTRKIT" $replays >"$scratch/said" 2>"$scratch/err" &
# A signal ends it before its mounts are looked for.
generator=$!
at_exit "kill $generator; while grep -q '^State:.[^Z]' /proc/$generator/status; do sleep 0.1; done"
wait $generator
status=$?
tab=$(printf '\t')
while IFS=$tab read -r verdict name text; do
	case $verdict in
	pass | fail)
		$verdict "$name"
		[ "$verdict" = pass ] || echo "# $text"
		;;
	skip) skip "$name" "$text" ;;
	sum) echo "# $text" ;;
	esac
done <"$scratch/said"
is "all cases were judged" "$status $(grep -c '^sum' "$scratch/said") $(cat "$scratch/err")" "0 1 "
logged=$(sed -n 's/^sum.* \([0-9]*\) random ones with a log.*/\1/p' "$scratch/said")
ok "at least $count random ones had a log ($logged)" [ "$logged" -ge $count ]
done_testing
