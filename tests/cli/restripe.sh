#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# btrkit restripe: what it says, what it refuses, and that a dry run changes nothing. No root is needed.
. "${srcdir:-.}/tests/tap.sh"
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
damage=$(realpath "${srcdir:-.}/tests/tools/damage")
export PYTHONDONTWRITEBYTECODE=1
cd "$scratch" || exit 1
export NO_COLOR=1

mkdir tree && for n in 1 2 3 4 5 6 7 8; do head -c 5000000 /dev/urandom >tree/file$n; done
"$BTRKIT" mkfs -q --size 400M --rootdir tree image || exit 1
truncate -s 400M one two three
"$BTRKIT" mkfs -q -d single -m raid1 --rootdir tree one two three || exit 1
set_of="one two three"

# profiles FILE...: of all chunks, as "data single" lines.
profiles() {
	"$BTRKIT" device usage "$@" | sed -nE 's/^ +(data|metadata|system|data\+metadata), ([A-Za-z0-9]+) .*/\1 \2/p' | sort -u | tr '\n' ';'
}
# allocated MEMBER: numbers of devices in JSON.
allocated() { sed -nE 's/.*"'"$1"'":([0-9]+).*/\1/p' | tr '\n' ' '; }
# Holes are not read.
sums() { tar -cS image one two three | sha256sum; }
is_sound() {
	"$BTRKIT" check --data "$@" >check.txt 2>&1 || { cat check.txt && return 1; }
	rm -rf out
	"$BTRKIT" restore -q "$@" out && diff -r tree out
}
# refuses TEXT ARGUMENT...: fails with 1, says TEXT.
refuses() {
	text=$1
	shift
	"$BTRKIT" restripe "$@" >out.txt 2>errors.txt
	status=$?
	if [ $status = 1 ] && grep -qF -- "$text" errors.txt; then pass "$*: refused"; else
		fail "$*: refused"
		echo "# status $status, looked for: $text"
		diagnose errors.txt
	fi
}

# --- Without a run ------------------------------------------------------------------------------------------------
is "status" "$("$BTRKIT" restripe status image)" "nothing is running or paused"
is "status as JSON" "$("$BTRKIT" restripe status --json image | tr -d ' \n')" \
	'{"schema":"btrkit-restripe-status-1","state":"none"}'
refuses "nothing is interrupted" cancel image
refuses "nothing is interrupted" resume image
refuses "nothing is running" pause image
for command in start status pause resume cancel; do
	"$BTRKIT" restripe $command >/dev/null 2>errors.txt
	is "$command without a device: usage" $? 2
	not_ok "$command of noise fails" "$BTRKIT" restripe $command /dev/zero
done
"$BTRKIT" restripe start --bogus image 2>/dev/null
is "an unknown option: usage" $? 2
for list in "" x 1, 0 1x ,1; do
	"$BTRKIT" restripe start --devices "$list" -d image 2>/dev/null
	is "--devices \"$list\": usage" $? 2
done

# --- What is refused ----------------------------------------------------------------------------------------------
sums >before
refuses '"usage=5x", character 8' start -dusage=5x image
refuses '"profiles=raid1|raid7", character 16' start -mprofiles='raid1|raid7' image
refuses 'need force' start -s image
refuses 'data cannot become raid1: that needs 2 devices, and there is 1' start -dconvert=raid1 image
refuses 'raid6: that needs 3 devices, and there are 2' start -dconvert=raid6 --devices 1,2 $set_of
refuses 'would lose its redundancy' start -mconvert=single $set_of
refuses 'would lose its redundancy' start -mconvert=raid0,soft $set_of
refuses 'there is no device 9' start -d --devices 9 image
refuses 'is missing' start -d --no-scan one two
is "nothing was changed" "$(sums)" "$(cat before)"
truncate -s 300M small && mkdir much && head -c 140000000 /dev/urandom >much/file
"$BTRKIT" mkfs -q --rootdir much -m single small
tar -cS small | sha256sum >before.small
refuses "there is no room" start -dconvert=dup small
ok "the text has the numbers" grep -qE 'there is no room for [0-9]+ of [0-9]+ chunks, .* [0-9]+ bytes in use.* [0-9]+ bytes on device 1' errors.txt
"$BTRKIT" restripe start --json -dconvert=dup small >out.json 2>/dev/null
ok "as JSON" grep -q '"status":"refused"' out.json
ok "what is lacking" grep -qE '"lacking_bytes":[1-9]' out.json
is "nothing was changed by that" "$(tar -cS small | sha256sum)" "$(cat before.small)"

# --- Dry runs -----------------------------------------------------------------------------------------------------
"$BTRKIT" restripe start -n -dconvert=raid1 -mconvert=raid1c3 $set_of >out.txt 2>errors.txt
is "dry run: the status" $? 0
is "dry run: nothing on standard error" "$(cat errors.txt)" ""
ok "dry run: chunks" grep -qE '^chunk [0-9]+, data, .* used: single to raid1, is copied as it is' out.txt
is "dry run: devices" "$(grep -cE '^device [123]: of 400.00MiB are allocated now .*, then .*  (one|two|three)$' out.txt)" 3
ok "--simulate is the same" sh -c '"$1" restripe start --simulate -dconvert=raid1 -mconvert=raid1c3 one two three | cmp - out.txt' - "$BTRKIT"
"$BTRKIT" restripe start -n --json -d -m $set_of >out.json
ok "dry run: JSON" grep -q '"status":"possible"' out.json
ok "a dry run of dropping copies" sh -c '"$1" restripe start -n -f -mconvert=single one two three | grep -q "copies are verified"' - "$BTRKIT"
ok "not with --copy" sh -c '! "$1" restripe start -n -f --copy -mconvert=single one two three | grep -q "copies are verified"' - "$BTRKIT"
ok "soft leaves alone what is done" sh -c '"$1" restripe start -n -mconvert=raid1,soft one two three | grep -q "^0 of"' - "$BTRKIT"
is "dry runs change nothing" "$(sums)" "$(cat before)"

# --- Runs ---------------------------------------------------------------------------------------------------------
is "profiles before" "$(profiles $set_of)" "data single;metadata RAID1;system RAID1;"
"$BTRKIT" restripe start -v -dconvert=raid1 -mconvert=raid1c3 $set_of >out.txt 2>errors.txt
is "a conversion: the status" $? 0
is "nothing on standard error" "$(cat errors.txt)" ""
ok "it tells of chunks" grep -q '^chunk .*, data, .*single to raid1' out.txt
ok "and of the end" grep -qE '^done: [0-9]+ of [0-9]+ chunks; ' out.txt
is "profiles after" "$(profiles $set_of)" "data RAID1;metadata RAID1C3;system RAID1C3;"
ok "it is sound" is_sound $set_of
is "nothing is left of the run" "$("$BTRKIT" restripe status $set_of)" "nothing is running or paused"

# What is emptied makes room only when all of it has been.
"$BTRKIT" restripe start -n --json -d $set_of >out.json
planned=$(allocated allocated_bytes_after <out.json)
"$BTRKIT" restripe start --json -d $set_of >out.json
is "what was planned for devices is done" "$(allocated allocated_bytes_after <out.json)" "$planned"
is "and that is so" "$("$BTRKIT" device list --json $set_of | allocated allocated_bytes)" "$planned"
ok "all was emptied" grep -q '"emptied":[1-9]' out.json

"$BTRKIT" restripe start --json -f -dconvert=single -mconvert=raid1 --devices 2,3 $set_of >out.json
is "to fewer devices: the status" $? 0
ok "as JSON" grep -q '"status":"done"' out.json
is "what it says of devices is so" "$(allocated allocated_bytes_after <out.json)" \
	"$("$BTRKIT" device list --json $set_of | allocated allocated_bytes)"
ok "device 1 is empty" sh -c '"$1" device usage one two three --json | tr -d " \n" | grep -q "\"devid\":1,[^]]*\"allocated_bytes\":0,"' - "$BTRKIT"
is "profiles" "$(profiles $set_of)" "data single;metadata RAID1;system RAID1;"
ok "it is sound again" is_sound $set_of

"$BTRKIT" restripe start -q image 2>/dev/null
"$BTRKIT" restripe start -f -dconvert=dup -mconvert=dup image >/dev/null
full=$(stat -c %b image)
"$BTRKIT" restripe start -f --discard -dconvert=single -mconvert=single image >out.txt 2>errors.txt
is "copies are dropped" "$?;$(profiles image);$(grep -c 'with copies dropped' out.txt)" "0;data single;metadata single;system single;;1"
ok "--discard gives space back (from $full to $(stat -c %b image) blocks)" test "$(stat -c %b image)" -lt $((full * 7 / 10))
ok "all of it is there" is_sound image
ok "superblocks are, too" sh -c '"$1" inspect super --all image >/dev/null 2>&1 || "$1" inspect super image' - "$BTRKIT"

"$BTRKIT" restripe start -n image >/dev/null 2>errors.txt
is "a dry run without filters does not warn" "$(cat errors.txt)" ""

# --- A damaged filesystem -------------------------------------------------------------------------------------------
if command -v python3 >/dev/null; then
	cp --sparse=always image damaged
	python3 "$damage" leaves 5 0 0 damaged >/dev/null
	before=$(sha256sum <damaged)
	"$BTRKIT" restripe start -f -dconvert=dup damaged >out.txt 2>errors.txt
	is "damaged: the status" $? 1
	ok "damaged: it says so" grep -q 'the filesystem is damaged, nothing was changed; with --no-check' errors.txt
	is "damaged: nothing was changed" "$(sha256sum <damaged)" "$before"
	ok "without a check" "$BTRKIT" restripe start --no-check -dconvert=dup damaged
	is "data is what was asked for" "$(profiles damaged)" "data DUP;metadata single;system single;"
else
	skip "a damaged filesystem" "needs python3"
fi

# --- By the name of btrfs-progs -------------------------------------------------------------------------------------
ln -s "$BTRKIT" btrfs
is "btrfs balance" "$(./btrfs balance status image)" "nothing is running or paused"
done_testing
