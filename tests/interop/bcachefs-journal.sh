#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Journals of bcachefs, of three generations, clean and crashed: listed, they are what the tools of bcachefs print, entry by entry and
# key by key; and nothing that is damaged in them goes unnoticed.
. "${srcdir:-.}/tests/tap.sh"
need_program python3 xz
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
tools=$(realpath "${srcdir:-.}/tests/tools")
schema=$(realpath "${srcdir:-.}/Documentation/btrkit-journal-1.schema.json")
shared=${BTRKIT_SHARED:-$(realpath "${srcdir:-.}/..")/shared}
fixtures=$shared/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "no images of bcachefs beside the checkout"
cd "$scratch" || exit 1

# follow NAME FILE...: its lines are as the schema has them.
follow() {
	tap_name=$1
	shift
	if python3 -c 'import jsonschema' 2>/dev/null; then
		ok "$tap_name: as the schema has it" python3 "$tools/jsonlines.py" "$schema" lines "$@"
	else
		skip "$tap_name: as the schema has it" "needs Python's jsonschema"
	fi
}

for folder in "$fixtures"/*/; do
	name=$(basename "$folder")
	rm -f ./*.img journal.txt
	for image in "$folder"*.img.xz; do
		xz -dc "$image" | cp --sparse=always /dev/stdin "$(basename "$image" .xz)"
	done
	xz -dcf "$folder"journal.txt* >journal.txt
	sha256sum ./*.img >before
	ok "$name: listed" sh -c '"$0" journal list --json ./*.img >list' "$BTRKIT"
	python3 "$tools/bcachefs_journal.py" journal.txt list >differences 2>&1
	is "$name: as its own tools print it" "$(grep -v ' keys compared$' differences)" ""
	ok "$name: entries were compared" grep -q '^[1-9].* keys compared$' differences
	is "$name: only what is needed" "$("$BTRKIT" journal list --json --needed ./*.img | grep -c '"type":"entry"')" \
		"$("$BTRKIT" journal verify --json ./*.img | sed -n 's/.*"type":"verdict".*"good":\([0-9]*\).*/\1/p')"
	ok "$name: sound" "$BTRKIT" journal verify ./*.img
	case $name in
	v11-unclean-copy | *-2dev-r2)
		"$BTRKIT" journal verify --json ./*.img >verified
		"$BTRKIT" journal list --json -s ./*.img >short
		follow "$name" list short verified
		;;
	esac
	ok "$name: as text" sh -c '"$0" journal list ./*.img >text' "$BTRKIT"
	ok "$name: the devices are as they were" sha256sum -c --quiet before
	# What the tools themselves would replay.
	replayed=$(sed -n 's/.*journal read done, replaying entries \([0-9]*\)-\([0-9]*\).*/\1 \2/p' journal.txt | head -n 1)
	case $name:$replayed in
	*:) ;;
	*-clean-*:*) is "$name: nothing is needed" "$(grep -c '"state":"needed"' list)" 0 ;;
	*) is "$name: what is needed" \
		"$(sed -n 's/.*"first_needed":\([0-9]*\),"last_needed":\([0-9]*\).*/\1 \2/p' list)" "$replayed" ;;
	esac
	case ${BTRKIT_TEST_ALL:-}:$name in
	1:* | *:v11-unclean-copy | *:v131-unclean-2dev-r2 | *:v14-crash2-gzip)
		python3 "$tools/bcachefs_journal_damage.py" "$BTRKIT" ./*.img >damaged 2>&1
		is "$name: each damage is told" "$(grep -v '^[0-9]* damaged$' damaged)" ""
		ok "$name: there was some" grep -q '^[1-9][0-9]* damaged$' damaged
		ok "$name: and is mended" sha256sum -c --quiet before
		;;
	esac
done

# --- One device of two ----------------------------------------------------------------------------
for i in 1 2; do
	xz -dc "$fixtures/v131-unclean-2dev-r2/image$i.img.xz" | cp --sparse=always /dev/stdin "two$i"
done
"$BTRKIT" journal list --json two1 two2 | grep '"type":"entry"' | sed 's/"copies":\[[^]]*\]//' >both
for i in 1 2; do
	"$BTRKIT" journal list --json two$i 2>said | grep '"type":"entry"' | sed 's/"copies":\[[^]]*\]//' >one
	ok "device $i alone has the same entries" cmp both one
	ok "that the other is missing is told" grep -q 'warning: .*missing' said
done

# Two copies of each entry are wanted, so that one device has all of them. Where one copy is, the last may be on the other.
is "all entries are known: the status" "$("$BTRKIT" ls two1 >/dev/null 2>said; echo $?)" 0
not_ok "nothing is said of the end" grep -q 'last entries' said
python3 "$tools/bcachefs_change_super.py" two1 replicas=1
is "the last may be on what is missing: the status" "$("$BTRKIT" ls two1 >/dev/null 2>said; echo $?)" 4
ok "which is told" grep -q 'the last entries of the journal may be on what is missing alone' said

# --- A device that is cut off within the journal: what is before is read ---
xz -dc "$fixtures/v14-unclean-copy/image.img.xz" | cp --sparse=always /dev/stdin whole
cp --sparse=always whole cut
truncate -s 3M cut
"$BTRKIT" journal list --json whole | grep '"type":"entry"' >both
"$BTRKIT" journal list --json cut 2>said | grep '"type":"entry"' >one
ok "a journal that is cut off has the entries that are there" cmp both one
is "and is not sound" "$("$BTRKIT" journal verify cut >verified 2>&1; echo $?)" 4
ok "which is told" grep -q 'bytes of the journal cannot be read' verified

# --- A hole --------------------------------------------------------------------------------------
# The second of the entries that are needed is no more.
xz -dc "$fixtures/v14-crash2-gzip/image.img.xz" | cp --sparse=always /dev/stdin hole
start=$("$BTRKIT" journal list --json hole | python3 -c '
import json, sys
for line in sys.stdin:
    entry = json.loads(line)
    if entry.get("sequence") == 8:
        print(entry["copies"][0]["physical"])')
dd if=/dev/zero of=hole bs=4096 seek=$((start / 4096)) count=1 conv=notrunc 2>/dev/null
"$BTRKIT" journal verify hole >said
is "a hole: status" $? 4
ok "a hole: told" grep -q '^DAMAGE: journal entry 8 missing' said
not_ok "a hole: the list tells it, too" "$BTRKIT" journal list hole
# --- The newest --------------------------------------------------------------------------------------
# newest FILE: copied from a sound one, and *place* and *length* are of the newest entry that is needed.
newest() {
	xz -dc "$fixtures/v14-unclean-copy/image.img.xz" | cp --sparse=always /dev/stdin "$1"
	"$BTRKIT" journal list --json -s --needed "$1" | sed -n '$s/.*"bytes":\([0-9]*\).*"physical":\([0-9]*\).*/\1 \2/p' >place
	read -r length place <place
}
newest rotten
printf 'x' | dd of=rotten bs=1 seek=$((place + length - 3)) conv=notrunc 2>/dev/null
"$BTRKIT" journal verify rotten >said
is "the newest entry has a byte that is wrong: status" $? 4
"$BTRKIT" journal verify --json rotten >verified
"$BTRKIT" journal list --json -s rotten >list 2>/dev/null
follow "the newest entry has a byte that is wrong" list verified
is "the newest entry has a byte that is wrong: it is the one that is lost" "$(sed -n 's/.*"sequence":\([0-9]*\).*"lost":true.*/\1/p' list)" 10
ok "the newest entry has a byte that is wrong: what it means" grep -q '^DAMAGE: entry 10: .*the last changes, those behind entry 8, may be lost' said
not_ok "the newest entry has a byte that is wrong: list" "$BTRKIT" journal list rotten
for command in "ls rotten" "restore rotten rotten.out" "check rotten"; do
	# shellcheck disable=SC2086
	"$BTRKIT" $command >said 2>&1
	is "the newest entry has a byte that is wrong: status of ${command%% *}" $? 4
	ok "the newest entry has a byte that is wrong: ${command%% *} tells what it means" grep -q 'entry 10 .*after entry 8 may be lost\|entry 10 .*behind entry 8, may be lost' said
done
newest torn
dd if=/dev/zero of=torn bs=512 seek=$((place / 512 + 2)) count=$(((length + 511) / 512 - 2)) conv=notrunc 2>/dev/null
for command in "ls torn" "restore torn torn.out"; do
	# shellcheck disable=SC2086
	"$BTRKIT" $command >said 2>&1
	is "the newest entry is not there to its end: status of ${command%% *}" $? 0
	ok "the newest entry is not there to its end: ${command%% *} tells it" grep -q 'warning: journal entry 10 damaged.*being written' said
done
"$BTRKIT" check torn >said 2>&1
ok "the newest entry is not there to its end: check tells it" grep -q 'bch-journal-torn' said
not_ok "and nothing else of it" grep -q 'bch-journal-last-lost' said

# --- A hole, seen by others -------------------------------------------------------------------------
for command in "ls hole" "restore hole out"; do
	# shellcheck disable=SC2086
	"$BTRKIT" $command >said 2>&1
	is "a hole: status of ${command%% *}" $? 4
	ok "a hole: ${command%% *} tells it" grep -q 'warning: journal entry 8 missing' said
done
done_testing
