#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# `btrkit device replace`, `lost`, and `remove missing`: what they say, what they refuse, and what an interruption leaves.
. "${srcdir:-.}/tests/tap.sh"
need_program python3
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
cd "$scratch" || exit 1
refused() { # TEXT COMMAND...
	text=$1
	shift
	sum=$(cat a b c 2>/dev/null | cksum)
	not_ok "refused: $text" sh -c '"$@" >said 2>&1' - "$@"
	ok "says so: $text" grep -F -- "$text" said
	is "nothing was changed: $text" "$(cat a b c 2>/dev/null | cksum)" "$sum"
}
sound() { ok "$1: sound" sh -c '"$0" check --data --no-scan "$@"' "$BTRKIT" $2; }
mkdir tree tree/sub
head -c 3000000 /dev/urandom >tree/large
for i in 1 2 3 4 5; do head -c 70000 /dev/urandom >"tree/sub/file$i"; done
# made PROFILE DATA-PROFILE FILE...
made() {
	metadata=$1
	data=$2
	shift 2
	rm -f a b c new* && for file in "$@"; do truncate -s "${size:-200M}" "$file"; done
	"$BTRKIT" mkfs -q -f -m "$metadata" -d "$data" --rootdir tree "$@"
}

# --- replace ----------------------------------------
ok "a filesystem" made raid1 raid1 a b
truncate -s 200M new
truncate -s 150M small
truncate -s 200M taken && "$BTRKIT" mkfs -q taken
refused "no device is missing" "$BTRKIT" device replace --no-scan --device b missing new a
refused "there is no device 7" "$BTRKIT" device replace --no-scan --device b 7 new a
refused "belong to different filesystems" "$BTRKIT" device replace --no-scan --device b taken new a
refused "make that one smaller first" "$BTRKIT" device replace --no-scan b small a
refused "another Btrfs filesystem" "$BTRKIT" device replace --no-scan b taken a
refused "is device 1 of this filesystem already" "$BTRKIT" device replace --no-scan -f b a a
refused "is replaced twice" sh -c 'truncate -s 200M new2 && "$@"' - "$BTRKIT" device replace --no-scan b new 2 new2 a
not_ok "no new device: an error of usage" "$BTRKIT" device replace b
ok "a dry run" sh -c '"$@" >said' - "$BTRKIT" device replace -n --no-scan b new a
ok "says that it can be done" grep -q 'it can be done' said
is "and writes nothing" "$(cksum <new)" "$(truncate -s 200M empty && cksum <empty)"
cp --sparse=always b b.before
ok "a device is replaced, as JSON" sh -c '"$@" >said' - "$BTRKIT" device replace --json --no-scan b new a
is "it is one object, and done" "$(python3 -c 'import json; o = json.load(open("said")); print(o["schema"], o["status"], o["operation"], o["lost_bytes"], [d["path"] for d in o["devices"]])')" \
	"btrkit-device-plan-1 done replace 0 ['a', 'new']"
not_ok "the old one has no superblock" "$BTRKIT" inspect super b
sound "replaced" "a new"
# The power went between the commit and the wiping.
cp --sparse=always b.before b
not_ok "both are not taken for one filesystem" "$BTRKIT" device list --no-scan a b new
ok "the same command again" "$BTRKIT" device replace --no-scan b new a
not_ok "takes away what was left" "$BTRKIT" inspect super b
sound "still" "a new"
# The old device comes back much later: it is stale, and may be replaced by itself.
for i in 1 2 3; do "$BTRKIT" edit mkdir --no-scan "dir$i" a new || fail "a directory"; done
cp --sparse=always b.before b
# Nor is it wiped when it is named first: it may be a backup.
refused "b: is not a device of this filesystem" "$BTRKIT" device replace --no-scan b new a
refused "stale" "$BTRKIT" edit mkdir --no-scan more a b

size=600M
ok "another filesystem" made raid1 raid0 a b
cp --sparse=always b b.before
rm b
truncate -s 600M new
refused "too many of its devices are missing" "$BTRKIT" device replace --no-scan missing new a

refused "there is no device 7" "$BTRKIT" device remove --no-scan 7 a
refused "a device is missing: what is written would not be on it; device 1: is not missing, it is a" "$BTRKIT" device remove --no-scan 1 a
refused "no profile" "$BTRKIT" device remove --no-scan --convert-data raid7 missing a
refused "to a profile that fits" "$BTRKIT" device remove --no-scan missing a
refused "The files that are lost: btrkit device lost" "$BTRKIT" device remove --no-scan --convert-data single --convert-metadata dup missing a
ok "with the command line" grep -qx "  btrkit device lost --no-scan a" said
not_ok "options of missing devices with one that is named by path" "$BTRKIT" device remove --no-scan --accept-loss a a

# --- lost ----------------------------------------
ok "what is lost is listed" sh -c '"$@" >said 2>/dev/null' - "$BTRKIT" device lost --no-scan -b a
ok "with all that there is, or nothing" sh -c 'grep -q " files, .* 1 device is missing" said'
ok "the same as JSON" sh -c '"$@" >json 2>/dev/null' - "$BTRKIT" device lost --no-scan --json a
is "and the same numbers" "$(python3 -c 'import json; o = json.load(open("json")); print(len(o["files"]), "files,", o["lost_bytes"])')" "$(sed -n 's/ lost;.*//p' said)"
is "by path" "$(python3 -c 'import json; print("/large" in [f.get("path") for f in json.load(open("json"))["files"]])')" True

# --- remove ----------------------------------------
ok "what is lost is given up when asked" "$BTRKIT" device remove --no-scan --accept-loss --convert-data single --convert-metadata dup missing a
is "no device is missing then" "$("$BTRKIT" device list --no-scan a 2>&1 | grep -c missing)" 1
not_ok "what is lost cannot be read" sh -c '"$0" cat --no-scan --path large a | cmp - tree/large' "$BTRKIT"
ok "nor does it come back as something else" sh -c '"$0" check --data --no-scan a >said 2>&1; grep -q data-lost said && ! grep -v data-lost said | grep -q "^error"' "$BTRKIT"

# --- What cannot be opened is not called damaged ----------------------------------------
ok "metadata on one device" made single single a b
ok "and that one is the second" "$BTRKIT" restripe start -f -m -s --devices 2 a b
rm b
for command in "restripe start -d" "device resize 100M" "device remove 1"; do
	# shellcheck disable=SC2086
	refused "error: chunk tree: device 2, which holds logical address" "$BTRKIT" $command --no-scan a
	not_ok "$command: no word of damage" grep -q damaged said
done
done_testing
