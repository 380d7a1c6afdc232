#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# btrkit device: what it tells, what it refuses, and what its commands leave behind.
. "${srcdir:-.}/tests/tap.sh"
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
damage=$(realpath "${srcdir:-.}/tests/tools/damage")
export PYTHONDONTWRITEBYTECODE=1
cd "$scratch" || exit 1

# run COMMAND...: output in out.txt, messages in err.txt; the status is the result.
run() { "$BTRKIT" device "$@" >out.txt 2>err.txt; }
# refused DESCRIPTION STATUS TEXT COMMAND...: it fails so, says so, and writes to none of the images.
refused() {
	description=$1 status=$2 text=$3
	shift 3
	before=$(stat -c '%n %s %y' -- *.img)
	run "$@"
	is "$description: the status" $? "$status"
	ok "$description: the reason" grep -qF -- "$text" err.txt
	is "$description: nothing is changed" "$(stat -c '%n %s %y' -- *.img)" "$before"
}
sound() { "$BTRKIT" check --check-data-csum "$@" >check.txt 2>&1; }
# sizes IMAGE: "devid size" of each device.
sizes() { "$BTRKIT" device list --raw --scan . "$1" | sed -nE 's/^devid +([0-9]+)  size +([0-9]+) .*/\1 \2/p' | tr '\n' ' '; }

mkdir tree
head -c 3000000 /dev/urandom >tree/large
for i in 1 2 3 4 5 6 7 8 9; do echo "$i" >"tree/small$i"; done
truncate -s 300M one.img && truncate -s 250M two.img && truncate -s 200M three.img && truncate -s 1M tiny.img
"$BTRKIT" mkfs -q --rootdir tree one.img

# --- What is there ------------------------------------------------------------------------------
ok "list" run list one.img
is "list: the sizes" "$(sizes one.img)" "1 314572800 "
ok "usage" run usage -b one.img
ok "usage: by kind and profile" grep -Eq '^ +metadata, DUP +[0-9]+$' out.txt
for command in list usage; do
	run $command
	is "$command without a device: usage" $? 2
	refused "$command of noise" 1 "no Btrfs" $command tiny.img
done

# --- Adding -------------------------------------------------------------------------------------
sha256sum ./*.img >before.txt
ok "add: a dry run" run add -n two.img one.img
ok "add: it says what would be" grep -q '^devid    2 .*250.00MiB .*two.img  (new)' out.txt
ok "add: a dry run changes nothing" sha256sum --quiet -c before.txt
refused "add: too small" 1 "must have 1114112 at least" add tiny.img one.img
refused "add: twice the same" 1 "are the same device" add two.img ./two.img one.img
refused "add: its own device" 1 "is device 1 of this filesystem already" add -f one.img one.img
refused "add: what is not there" 1 "No such file" add none.img one.img
refused "add: no UUID" 1 "is no UUID" add --device-uuid nonsense two.img one.img
refused "add: a UUID for two" 1 "one new device" add --device-uuid 01234567-0123-0123-0123-0123456789ab two.img three.img one.img
refused "add: too few operands" 2 "no device of the filesystem" add two.img
"$BTRKIT" mkfs -q -L other three.img
refused "add: another filesystem's" 1 "belongs to another Btrfs filesystem" add three.img one.img
refused "add: all are judged before one is taken" 1 "belongs to another" add two.img three.img one.img
ok "add" run add --device-uuid 01234567-0123-0123-0123-0123456789ab two.img one.img
is "add: the sizes" "$(sizes one.img)" "1 314572800 2 262144000 "
ok "add: the UUID" sh -c '"$1" inspect super two.img | grep -q 01234567-0123-0123-0123-0123456789ab' - "$BTRKIT"
refused "a device is missing" 1 "missing" add three.img one.img
# A power cut between the superblocks: the new device has its own, the others are as they were.
truncate -s 150M more.img && mkdir before && cp --sparse=always one.img two.img before/
ok "add: interrupted" run add --device two.img more.img one.img
cp --sparse=always before/one.img before/two.img .
ok "add: once more, unforced" run add --no-scan --device two.img more.img one.img
ok "add: it says why" grep -q "more.img: was being added when that was interrupted" err.txt
ok "add: sound after that" sound --no-scan one.img two.img more.img
"$BTRKIT" edit mkdir --no-scan later one.img two.img more.img || fail "a directory"
cp --sparse=always before/one.img before/two.img .
refused "add: a state that went on" 1 "force it to overwrite that" add --no-scan --device two.img more.img one.img
rm -r before more.img
ok "add, forced, a further device named" run add -f --device two.img three.img one.img
is "add: three" "$(sizes one.img)" "1 314572800 2 262144000 3 209715200 "
ok "add: sound" sound one.img two.img three.img
not_ok "add: nothing is left of the other filesystem" grep -q other three.img

# --- Removing -----------------------------------------------------------------------------------
refused "remove: no such devid" 1 "there is no device 7" remove --scan . 7 one.img
refused "remove: no such path" 1 "is no device of the filesystem" remove --scan . tiny.img one.img
refused "remove: twice" 1 "named twice" remove --scan . 2 two.img one.img
refused "remove: all" 1 "no device would be left" remove --scan . 1 2 3 one.img
refused "remove: too few operands" 2 "no device of the filesystem" remove one.img
sha256sum ./*.img >before.txt
ok "remove: a dry run" run remove -n --scan . 1 two.img
ok "remove: it says what would move" grep -Eq '^  move     metadata, DUP, at [0-9]+: .* in use' out.txt
ok "remove: a dry run changes nothing" sha256sum --quiet -c before.txt
ok "remove" run remove --scan . one.img two.img
is "remove: the others are left" "$(sizes two.img)" "2 262144000 3 209715200 "
ok "remove: sound" sound two.img three.img
refused "remove: its superblocks are gone" 1 "no Btrfs" list one.img
ok "remove: the last but one" run remove --scan . 3 two.img
ok "remove: sound on one device" sound two.img
refused "remove: the last" 1 "no device would be left" remove 2 two.img
"$BTRKIT" restore two.img restored >out.txt 2>err.txt
ok "all files are there" diff -r tree restored

# What profiles need.
truncate -s 300M one.img
"$BTRKIT" mkfs -q -f -d raid1 -m raid1 --rootdir tree one.img three.img
refused "remove: RAID1 of two" 1 "which needs 2 devices; 1 would be left. Convert it first" remove --scan . 2 one.img
# Room.
truncate -s 4M small.img
"$BTRKIT" mkfs -q -f -m single --rootdir tree one.img
run add small.img one.img
refused "remove: no room" 1 "have no room" remove --scan . 1 small.img
ok "remove: the new one again" run remove --scan . small.img one.img

# What has no room as a whole goes extent by extent.
truncate -s 30M small.img
cp --sparse=always one.img from.img
run add small.img from.img
ok "remove: to a smaller one" run remove --no-scan --device from.img from.img small.img
ok "remove: sound on it" sound --no-scan small.img
rm from.img small.img && truncate -s 30M small.img

# Data that cannot be read, and lies nowhere else: what can be done is printed.
cp --sparse=always one.img rot.img
offset=$("$BTRKIT" inspect tree -t chunk rot.img | awk '/\(DATA\)/ { data = 1 } data && /devid 1/ { print $4; exit }')
dd if=/dev/urandom of=rot.img bs=4096 seek=$((offset / 4096)) count=300 conv=notrunc 2>/dev/null
run add small.img rot.img
not_ok "remove: rotten data" run remove --no-scan --device rot.img 1 small.img
ok "remove: it is told" grep -Eq "no copy is good|matches none of 1 copies" err.txt
ok "remove: so is what names the files" grep -q "^  btrkit device lost DEVICE" err.txt
rm rot.img small.img && truncate -s 30M small.img

# A power cut before the superblocks were wiped.
run add small.img one.img
mkdir old && cp small.img old/
run remove --scan . 2 one.img
mv old/small.img small.img
ok "list: what was removed is not a device" test "$(sizes one.img)" = "1 314572800 "
ok "remove: once more wipes what is left" run remove small.img one.img
refused "remove: it is wiped" 1 "no Btrfs" list small.img

# A copy of a device, as a backup is one, is no left-over.
cp --sparse=always one.img backup.img
refused "remove: a copy of a device" 1 "is a copy of device 1, which is a device of the filesystem" remove --no-scan backup.img one.img
ok "remove: the copy is whole" sound --no-scan backup.img
rm backup.img

# --- Resizing -----------------------------------------------------------------------------------
refused "resize: no size" 2 "is not a size" resize huge one.img
refused "resize: no devid" 2 "is no devid" resize x:1G one.img
refused "resize: too few operands" 2 "have to be given" resize 1G
refused "resize: another device" 1 "there is no device 2" resize 2:max one.img
refused "resize: more than there is" 1 "has 314572800 bytes, 1073741824 are wanted" resize 1G one.img
refused "resize: less than anything" 1 "must have 1114112 bytes at least" resize 1M one.img
refused "resize: less than is needed" 1 "the least is" resize 2M one.img
least=$(sed -nE 's/.*the least is ([0-9]+).*/\1/p' err.txt)
refused "resize: one sector less than that" 1 "the least is $least" resize $((least - 4096)) one.img
sha256sum ./*.img >before.txt
ok "resize: a dry run" run resize -n min one.img
ok "resize: a dry run changes nothing" sha256sum --quiet -c before.txt
ok "resize: smaller" run resize -100M one.img
is "resize: the file keeps its size" "$(stat -c %s one.img) $(sizes one.img)" "314572800 1 209715200 "
ok "resize: larger" run resize +10M one.img
is "resize: so much" "$(sizes one.img)" "1 220200960 "
ok "resize: not a multiple of the sector size" run resize 200000001 one.img
is "resize: rounded down" "$(sizes one.img)" "1 199999488 "
ok "resize: all" run resize max one.img
is "resize: all of it" "$(sizes one.img)" "1 314572800 "
ok "resize: to the least" run resize "$least" one.img
is "resize: the least can be reached" "$(sizes one.img)" "1 $least "
ok "resize: sound at its least" sound one.img
ok "resize: max again" run resize max one.img
ok "resize: min" run resize min one.img
ok "resize: min is no more than that" test "$(sizes one.img | cut -d ' ' -f 2)" -le "$least"
ok "resize: and the file" run resize --truncate min one.img
is "resize: it is cut" "1 $(stat -c %s one.img) " "$(sizes one.img)"
ok "resize: sound when cut" sound one.img
ok "resize: data ends where its last byte is, and the least is near what is in use" test "$(stat -c %s one.img)" -lt 90000000
ok "resize: the file and the filesystem grow" run resize --truncate 1:400M one.img
is "resize: both have grown" "$(stat -c %s one.img) $(sizes one.img)" "419430400 1 419430400 "
rm -rf restored
"$BTRKIT" restore one.img restored >out.txt 2>err.txt
ok "resize: all files are there" diff -r tree restored

# --- A damaged filesystem -----------------------------------------------------------------------
if command -v python3 >/dev/null; then
	cp --sparse=always one.img damaged.img
	python3 "$damage" leaves 5 0 0 damaged.img >/dev/null
	refused "resize: damaged" 1 "the filesystem is damaged, nothing was changed" resize min damaged.img
	run resize -f -n min damaged.img
	is "resize: forced" $? 0
	rm damaged.img
else
	skip "a damaged filesystem" "needs python3"
fi

# --- Sizes that do not agree --------------------------------------------------------------------
ok "fix-size: nothing to do" run fix-size one.img
refused "fix-size: too few operands" 2 "one device of the filesystem" fix-size
truncate -s 399M one.img
ok "fix-size: a dry run" run fix-size -n one.img
ok "fix-size: it says what would be" grep -Eq '^devid +1  size +400.00MiB -> +399.00MiB' out.txt
not_ok "fix-size: the check complains before" sound one.img
ok "fix-size: an image that was cut" run fix-size one.img
is "fix-size: so much" "$(sizes one.img)" "1 418381824 "
ok "fix-size: sound" sound one.img
ok "fix-size: as it was before" run resize --truncate 400M one.img

# A device that was cut in chunks that are almost empty: there is no room for another one, and none is needed.
for kind in metadata data; do
	rm -f short.img && truncate -s 300M short.img
	"$BTRKIT" mkfs -q -f --rootdir tree short.img
	[ $kind = metadata ] || "$BTRKIT" restripe start -d short.img >/dev/null
	# In the middle of what lies last, 8 MiB behind its beginning.
	cut=$("$BTRKIT" inspect chunks short.img | awk -v kind=$kind '$3 == kind { last = $1 } END { print last + 8388608 }')
	truncate -s "$cut" short.img
	ok "fix-size: cut in $kind: a dry run" run fix-size -n short.img
	ok "fix-size: cut in $kind: a chunk becomes shorter" grep -q "^  shorten  $kind" out.txt
	ok "fix-size: cut in $kind" run fix-size short.img
	is "fix-size: cut in $kind: so much" "$(sizes short.img)" "1 $cut "
	ok "fix-size: cut in $kind: sound" sound short.img
done
rm short.img

# A device that was cut: what has a copy moves, what has none is told by name.
truncate -s 300M stay.img other.img cut.img
"$BTRKIT" mkfs -q -f -m raid1 -d raid0 --rootdir tree stay.img other.img cut.img
truncate -s 30M cut.img
ok "fix-size: only copies of metadata are cut, nothing is forced" run fix-size --no-scan --device other.img --device cut.img stay.img
ok "fix-size: sound without them" sound --no-scan stay.img other.img cut.img
rm other.img
truncate -s 300M stay.img cut.img
"$BTRKIT" mkfs -q -f -m raid1 -d raid0 --rootdir tree stay.img cut.img
truncate -s 10M cut.img
refused "fix-size: data is lost" 1 "lie behind that and nowhere else" fix-size --no-scan --device cut.img stay.img
ok "fix-size: the file is named" grep -q "warning: /large: [0-9]* bytes lie behind the end" err.txt
not_ok "fix-size: no other one is" grep -q small err.txt
named=$(sed -nE 's/.*large: ([0-9]+) bytes lie.*/\1/p' err.txt)
ok "lost: on a device that was cut" run lost --no-scan -b stay.img cut.img
is "lost: the same file and number" "$(head -n 1 out.txt | tr -s ' ')" " $named /large"
rm stay.img cut.img

# --- JSON ---------------------------------------------------------------------------------------
if "$BTRKIT" device list --json one.img >out.txt 2>/dev/null && command -v python3 >/dev/null; then
	truncate -s 100M new.img
	for line in "list --json one.img" "usage --json one.img" "add -n --json new.img one.img" "resize -n --json min one.img" \
		"resize --json 2M one.img" "remove --json 1 one.img"; do
		# shellcheck disable=SC2086
		run $line
		ok "$line: JSON and nothing else" python3 -c 'import json; json.load(open("out.txt"))["schema"]'
	done
	run resize --json 2M one.img
	is "resize: what a refusal says" \
		"$(python3 -c 'import json; j = json.load(open("out.txt")); print(j["status"], j["minimum_bytes"])')" "refused $least"
	# A dry run counts what will be done, chunk by chunk and extent by extent.
	rm -f new.img && truncate -s 120M new.img other.img
	"$BTRKIT" mkfs -q -f -d raid0 -m raid1 --rootdir tree one.img new.img other.img
	count='import json; j = json.load(open("out.txt")); print([j["moved_bytes"], j["written_bytes"]], [[s[k] for k in ("way", "logical", "used_bytes", "written_bytes")] for s in j["steps"]], [[d["size_after_bytes"], d["allocated_after_bytes"]] for d in j["devices"]])'
	# as_planned DESCRIPTION COMMAND...
	others="--device new.img --device other.img"
	as_planned() {
		description=$1
		shift
		# shellcheck disable=SC2086
		run "$@" -n --json --no-scan $others
		python3 -c "$count" >planned.txt
		# shellcheck disable=SC2086
		ok "$description" run "$@" --json --no-scan $others
		is "$description: what was planned is done" "$(python3 -c "$count")" "$(cat planned.txt)"
	}
	as_planned remove remove 1 one.img
	ok "remove: in both ways" grep -q "'move'.*'extents'\|'extents'.*'move'" planned.txt
	# Block groups for data become shorter, others move, though nothing in use is behind the new end.
	truncate -s 300M one.img new.img other.img
	"$BTRKIT" mkfs -q -f -d raid1 -m raid1 --rootdir tree one.img new.img other.img
	as_planned "resize: through a block group of the system" resize 1:4M one.img
	ok "resize: that one moves" grep -q "'move', 1048576, " planned.txt
	"$BTRKIT" mkfs -q -f -d single -m dup --rootdir tree one.img
	others=
	as_planned "resize: through one for data" resize 40M one.img
	ok "resize: that one becomes shorter" grep -q "'shorten'" planned.txt
	as_planned "resize: as far as can be" resize min one.img
else
	skip "JSON" "needs json-c and python3"
fi
done_testing
