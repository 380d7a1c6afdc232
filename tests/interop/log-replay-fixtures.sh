#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Crash images of which it is known what Linux's replay made: their logs are replayed, both checkers find nothing, and Linux shows
# that very tree, to the last time and byte. Every third one, another third each day; BTRKIT_TEST_ALL=1: all.
. "${srcdir:-.}/tests/tap.sh"
shared=${BTRKIT_SHARED:-$srcdir/../shared}
[ -d "$shared/fixtures/treelog" ] || skip_all "needs ../shared/fixtures/treelog"
need_program python3 xz btrfs
need_mount

third=$(($(date +%s) / 86400 % 3))
[ -n "$BTRKIT_TEST_ALL" ] || echo "# third $third"
set -- "$shared"/fixtures/treelog/*/ "$shared"/fixtures/treelog-random/*/

# judge FIXTURE FOLDER: nothing, or what is wrong.
judge() {
	image=$2/image
	rm -f "$image"
	xz -dc "$1/crash.img.xz" | dd of="$image" bs=1M conv=sparse status=none
	"$BTRKIT" log replay "$image" >"$2/said" 2>&1 || { echo "replay fails"; cat "$2/said"; }
	[ "$("$BTRKIT" inspect super "$image" 2>/dev/null | grep -o ' log_root [0-9]*' | cut -d' ' -f3)" = 0 ] || echo "log_root is not 0"
	"$BTRKIT" check --strict --data "$image" >"$2/said" 2>&1 || { echo "btrkit check fails"; cat "$2/said"; }
	btrfs check --readonly --check-data-csum "$image" >"$2/said" 2>&1 || { echo "btrfs check fails"; cat "$2/said"; }
	grep -iE '^(ERROR|WARNING)|mismatch|not found in|errors [0-9a-f]+,|There is no free space entry' "$2/said"
	btrfs_mount "$2/mnt" ro "$image" || { echo "cannot be mounted"; return; }
	"$shared/oracle/fsmanifest" "$2/mnt" >"$2/manifest"
	btrfs_umount "$2/mnt"
	"$shared/oracle/fsmanifest" diff "$1/truth" "$2/manifest" || echo "is not what Linux made"
}

judge_half() {
	number=0
	mkdir "$scratch/$1"
	half=$1
	shift
	for fixture; do
		number=$((number + 1))
		[ $((number % 2)) = "$half" ] || continue
		[ -n "$BTRKIT_TEST_ALL" ] || [ $((number / 2 % 3)) = "$third" ] || continue
		judge "$fixture" "$scratch/$half" >"$scratch/$half.faults" 2>&1
		fixture=${fixture%/}
		if [ -s "$scratch/$half.faults" ]; then
			echo "fail ${fixture##*/}"
			sed 's/^/# /' "$scratch/$half.faults" | head -n 20
		else
			echo "pass ${fixture##*/}"
		fi
	done
}
for half in 0 1; do judge_half $half "$@" >"$scratch/result.$half" & done
wait
cat "$scratch"/result.? >"$scratch/results"
while read -r verdict name; do
	case $verdict in
	pass | fail) $verdict "$name" ;;
	*) printf '%s\n' "$verdict $name" ;;
	esac
done <"$scratch/results"
expected=0 number=0
for fixture; do
	number=$((number + 1))
	[ -z "$BTRKIT_TEST_ALL" ] && [ $((number / 2 % 3)) != "$third" ] || expected=$((expected + 1))
done
is "all of them were judged" "$(grep -cE '^(pass|fail) ' "$scratch/results")" $expected
# What is compared does tell a replay from none.
"$shared/oracle/fsmanifest" diff "$shared/fixtures/treelog/append/truth" "$shared/fixtures/treelog/append/committed" >/dev/null
is "a dropped log would be noticed" $? 1
done_testing
