#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What --json prints follows Documentation/btrkit-check-1.schema.json, however the check ends; fixtures.sh does the same for all
# published images.
. "${srcdir:-.}/tests/tap.sh"
need_program python3
"$BTRKIT" check --list-problems --json >"$scratch/catalogue" || skip_all "built without json-c"
schema=$srcdir/Documentation/btrkit-check-1.schema.json
python3 "$srcdir/tests/tools/schema.py" <"$scratch/catalogue" >"$scratch/schema"
ok "the schema is what the catalogue makes" diff "$schema" "$scratch/schema"
python3 -c 'import jsonschema' 2>/dev/null || {
	skip "what is printed follows it" "needs Python's jsonschema"
	done_testing
}
lines() { python3 "$srcdir/tests/tools/jsonlines.py" "$schema" "$@"; }
mkdir "$scratch/out"
printed() { # NAME STATUS ARGUMENTS...: check them, and keep the lines
	tap_name=$1
	wanted=$2
	shift 2
	"$BTRKIT" check --json --no-scan "$@" >"$scratch/out/$tap_name" 2>"$scratch/errors"
	is "$tap_name: exit status" $? "$wanted"
}

mkdir -p "$scratch/tree/sub" && head -c 16000000 /dev/urandom >"$scratch/tree/sub/noise" && echo hello >"$scratch/tree/file"
"$BTRKIT" mkfs -q --rootdir "$scratch/tree" "$scratch/sound"
printed "a sound filesystem" 0 "$scratch/sound"
printed "with data" 0 --data "$scratch/sound"
printed "quickly" 0 --quick "$scratch/sound"
printed "one copy" 0 --mirror first --subvol 5 "$scratch/sound"

# Every second sector is rotten, more than a pipe takes.
python3 - "$scratch/sound" "$scratch/tree/sub/noise" "$scratch/rotten" <<'PY'
import sys
image = bytearray(open(sys.argv[1], "rb").read())
at = image.find(open(sys.argv[2], "rb").read(4096))
assert at > 0
for sector in range(at, at + 15000000, 8192):
    image[sector + 100] ^= 1
open(sys.argv[3], "wb").write(image)
PY
printed "rotten data" 4 --data "$scratch/rotten"
mkfifo "$scratch/pipe"
"$BTRKIT" check --json --no-scan --data --threads 1 "$scratch/rotten" >"$scratch/pipe" 2>/dev/null &
running=$!
exec 3<"$scratch/pipe"
dd bs=1 count=1 <&3 >"$scratch/out/cancelled" 2>/dev/null # it is printing, and stands still when the pipe is full
kill -TERM $running
cat <&3 >>"$scratch/out/cancelled"
exec 3<&-
wait $running
is "cancelled: exit status" $? 32
is "cancelled: the verdict" "$(tail -n 1 "$scratch/out/cancelled" | sed 's/.*"verdict":"\([a-z]*\)".*/\1/')" cancelled
ok "cancelled: not all was looked at" test "$(wc -l <"$scratch/out/cancelled")" -lt "$(wc -l <"$scratch/out/rotten data")"

for tree in 5 2 7; do
	cp --sparse=always "$scratch/sound" "$scratch/damaged"
	python3 "$srcdir/tests/tools/damage" leaves $tree 0 0 "$scratch/damaged" >/dev/null
	printed "a leaf of tree $tree" 4 --data "$scratch/damaged"
done
for stripe in 0 1; do python3 "$srcdir/tests/tools/damage" stripe $stripe "$scratch/damaged"; done
printed "no tree can be found" 4 "$scratch/damaged"
head -c 1000000 "$scratch/sound" >"$scratch/cut"
printed "cut short" 4 "$scratch/cut"

ok "all of that follows the schema" lines check "$scratch"/out/*

# What is no Btrfs has no summary: the check did not run.
head -c 1000000 /dev/urandom >"$scratch/noise"
"$BTRKIT" check --json --no-scan "$scratch/noise" >"$scratch/lines" 2>"$scratch/errors"
is "no Btrfs: exit status, and lines" "$? $(cat "$scratch/lines")" "8 "

"$BTRKIT" check --progress json --no-scan --data "$scratch/sound" >/dev/null 2>"$scratch/progress"
ok "so do the catalogue and progress" lines lines "$scratch/catalogue" "$scratch/progress"
done_testing
