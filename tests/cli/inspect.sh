#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# `btrkit inspect`: JSON with lasting names, the same as btrfs-progs where these have the same, damage named and left behind.
. "${srcdir:-.}/tests/tap.sh"
need_program python3
tools=$srcdir/tests/tools
shared=${BTRKIT_SHARED:-$srcdir/../shared}
cd "$scratch" || exit 1
inspect() { topic=$1 && shift && "$BTRKIT" inspect "$topic" "$@"; }
keys() { python3 "$tools/dumpkeys.py" "$@"; }

# --- An image with every kind of item that btrkit makes ---
mkdir -p src/folder/sub && echo text >src/file && ln src/file src/folder/again && ln -s file src/link && mkfifo src/fifo &&
	head -c 300000 /dev/urandom >src/noise && head -c 300000 /dev/zero | tr '\0' x >src/text && truncate -s 1M src/hole &&
	python3 -c '
import os
os.setxattr("src/file", "user.note", b"\0\xff\n")
for i in range(400):
    os.link("src/noise", "src/folder/%s-%d" % ("n" * 90, i))
open(b"src/odd\xff\n\\\"<&>", "w").close()'
"$BTRKIT" mkfs -q --rootdir src --subvol folder/sub -O quota --compress zlib -L 'a<b>&"c' -m single -n 4k image ||
	skip_all "no image could be made"

# fields COMMAND ARGUMENTS...: the names in the JSON of this, with their types; those of items under their key's type.
cat >fields.py <<'PY'
import json, sys
found = set()
def look(at, value):
    if isinstance(value, dict):
        if value.keys() == {'objectid', 'type', 'offset', 'text'}:
            found.add(at + ' key')
            return
        if 'key' in value and 'item_size' in value:
            at = 'item ' + value['key']['text'].split()[1]
        for name, inner in value.items():
            look(at + '.' + name, inner)
    elif isinstance(value, list):
        found.add(at + ' array')
        for inner in value:
            look(at + '[]', inner)
    else:
        found.add('%s %s' % (at, {bool: 'boolean', int: 'number', str: 'string', type(None): 'null'}[type(value)]))
text = sys.stdin.read()
values = [json.loads(text)] if sys.argv[1] != 'lines' else [json.loads(line) for line in text.splitlines()]
for value in values:
    look(sys.argv[2], value)
print('\n'.join(sorted(found)))
PY
fields() {
	kind=$1
	shift
	inspect "$@" --json --no-scan image >out 2>err || diagnose err
	python3 fields.py $kind "$1" <out
}
{
	inspect super -f --json image | python3 fields.py one super
	fields one summary
	fields one chunks
	fields lines tree
	fields lines tree --path noise | sed 's/^tree/path/' | grep -v '^item .*\.\(slot\|key\|item_size\)'
	fields lines tree --roots | sed 's/^tree/roots/'
} | sort -u >fields
sed '1i # SPDX-License-Identifier: LGPL-2.1-or-later' fields >golden
if [ -n "$BTRKIT_TEST_UPDATE" ]; then cp golden "$srcdir/tests/cli/inspect.fields"; fi
ok "names and types in the JSON are those of tests/cli/inspect.fields" diff "$srcdir/tests/cli/inspect.fields" golden

# --- The rows of one program in those of the other ---
supers_agree() { # IMAGES: each field of the superblocks that dump-super shows under the same name
	for copy in $(seq 0 "$1"); do btrfs inspect-internal dump-super -f -s "$copy" "$2"; done >dump
	inspect super -fa --json "$2" >json
	python3 - <<-'PY'
	import json, re
	supers = json.load(open('json'))['superblocks']
	blocks = open('dump').read().split('superblock: ')[1:]
	assert len(supers) == len(blocks), (len(supers), len(blocks))
	for s, block in zip(supers, blocks):
	    compared, backups = 0, []
	    assert int(re.match(r'bytenr=(\d+)', block)[1]) == s['physical']
	    for line in block.splitlines()[1:]:
	        words = line.replace('(deprecated)', '').split()
	        if len(words) < 2:
	            continue
	        name, value = words[0].rstrip(':'), words[1]
	        if re.match(r'\t\t(backup|csum_root)', line):
	            backups += [int(w) for w in words if w.isdigit()]
	            continue
	        of = s
	        if name.startswith('dev_item.'):
	            of, name = s['dev_item'], name[9:]
	        if line[0] in ' \t(' or name not in of or name in ('magic', 'label', 'csum'):
	            continue
	        mine = of[name]
	        assert str(mine) == value or int(value, 0) == mine, (name, value, mine)
	        compared += 1
	    assert compared > 35, compared
	    assert s['csum_matches'] and s['magic_matches'] and 'problem' not in s
	    # Those that were never written are not shown by dump-super.
	    flat = [v for backup in s['backup_roots'] for v in backup.values() if backup['tree_root']]
	    assert flat == backups and len(flat) >= 21, (flat, backups)
	PY
}
trees_agree() { # IMAGE...: every block, item and pointer
	btrfs inspect-internal dump-tree "$@" >dump 2>err && keys dump <dump >wanted && inspect tree --json --no-scan "$@" >json &&
		keys json <json >got && [ -s got ] && diff wanted got
}
chunks_agree() { # IMAGE...: stripes, and what is used of each chunk
	btrfs inspect-internal dump-tree "$@" 2>err | keys chunks >wanted
	inspect chunks --json --no-scan "$@" | python3 -c '
import json, sys
kinds = {"data": "DATA", "metadata": "METADATA", "system": "SYSTEM", "data+metadata": "DATA|METADATA"}
rows = []
for device in json.load(sys.stdin)["devices"]:
    end = 0
    for s in device["stripes"]:
        rows.append("%d %d %d %d %s|%s %d" % (device["devid"], s["physical"], s["chunk"], s["chunk_length_bytes"],
                                              kinds[s["kind"]], s["profile"], s["chunk_used_bytes"]))
        assert s["physical"] >= end, "stripes overlap"
        end = s["physical"] + s["length_bytes"]
    assert end <= device["size_bytes"] and sum(s["length_bytes"] for s in device["stripes"]) == device["allocated_bytes"]
print("\n".join(sorted(rows)))' >got && [ -s got ] && diff wanted got
}
agree() { # NAME COPIES IMAGE...
	name=$1
	copies=$2
	shift 2
	if ! command -v btrfs >/dev/null; then
		skip "$name: btrfs-progs show the same" "btrfs-progs are not installed"
		return
	fi
	ok "$name: super" supers_agree "$copies" "$1"
	ok "$name: tree" trees_agree "$@"
	ok "$name: chunks" chunks_agree "$@"
}
agree "made by btrkit" "$(($(stat -c %s image) > 67108864 + 4096))" image
if can_mount && command -v mkfs.btrfs >/dev/null; then
	truncate -s 300M one two three
	mkfs.btrfs -q -d raid5 -m raid1 -n 4096 one two three && btrfs_mount mnt rw "$scratch/one" "$scratch/two" "$scratch/three" &&
		python3 "$tools/genbtrfs.py" mnt && btrfs quota enable mnt && btrfs -q subvolume snapshot mnt mnt/again &&
		setfattr -n user.n -v v mnt/again && btrfs_umount mnt
	agree "made by Linux" 1 one two three
	truncate -s 200M mixed
	mkfs.btrfs -q --mixed -O ^skinny-metadata,^no-holes -R ^free-space-tree mixed && btrfs_mount mnt space_cache=v1 "$scratch/mixed" &&
		python3 "$tools/genbtrfs.py" mnt && btrfs_umount mnt
	agree "of an old format" 1 mixed
else
	skip "made by Linux" "needs root, loop devices and Btrfs"
fi
log=$shared/fixtures/treelog/snapshot-then-write/crash.img.xz
if [ -e "$log" ]; then
	xz -dkc "$log" >log.img
	agree "with a log" 1 log.img
	inspect tree --json -t log log.img | keys json >got
	ok "the log trees alone" grep -q '^18446744073709551610 ROOT_ITEM' got
else
	skip "with a log" "there is no ../shared"
fi
inspect tree -t log image >out 2>err
is "no log" "$? $(cat err)" "1 btrkit inspect tree: error: there is no log"

# --- Pieces ---
inspect tree -t fs --json image >json
is "a tree by its name, and by its id" "$(inspect tree -t 5 --json image | sha256sum)" "$(sha256sum <json)"
root=$(python3 -c 'import json; print(json.loads(open("json").readline())["logical"])')
is "a block and all below it" "$(inspect tree -b "$root" --follow --json image | sha256sum)" "$(sha256sum <json)"
is "a block alone" "$(inspect tree -b "$root" --json image)" "$(head -n 1 json)"
is "a hexadecimal address" "$(inspect tree -b "$(printf '0x%x' "$root")" --json image)" "$(head -n 1 json)"
inspect tree --path noise --json image >path
is "the items of a file are those in its tree" "$(python3 -c '
import json
items = [i for l in open("json") for i in json.loads(l).get("items", [])]
mine = [json.loads(l) for l in open("path")]
ino = mine[0]["key"]["objectid"]
strip = lambda i: {k: v for k, v in i.items() if k not in ("leaf", "item_offset")}
print(len(mine) > 3 and [strip(i) for i in mine] == [strip(i) for i in items if i["key"]["objectid"] == ino])')" True
ok "text has every item too" test "$(inspect tree -t fs image | grep -c '^ *slot [0-9]')" = "$(keys json <json | grep -vc ^block)"
is "odd names in text" "$(inspect tree -t fs image | LC_ALL=C grep -ao '"odd.*"' | LC_ALL=C sort -u)" "$(printf '"odd\377\\x0a\\\\"<&>"')"
for bad in "-t nonsense" "-t 999" "-b 4096" "-b 4097" "-p none" "-t fs -r" "--follow"; do
	# shellcheck disable=SC2086
	inspect tree $bad image >out 2>err
	status=$?
	ok "refused: $bad" test $status -gt 0 -a "$(head -n 1 err | wc -c)" -gt 20 -a ! -s out
done
inspect chunks --svg map.svg image >out
is "with --svg nothing is printed" "$? $(cat out)" "0 "
ok "the picture is well-formed" python3 -c '
import xml.dom.minidom
top = xml.dom.minidom.parse("map.svg").documentElement
assert top.tagName == "svg" and len(top.getElementsByTagName("title")) == 3, len(top.getElementsByTagName("title"))'
inspect chunks --svg - image >out
ok "a picture on standard output" cmp out map.svg
inspect chunks --svg - --json image >out 2>err
is "two things on standard output: refused" $? 2
inspect chunks --svg none/map.svg image >out 2>err
is "a picture that cannot be written" "$? $(cat err)" "1 btrkit inspect chunks: error: none/map.svg: No such file or directory"
inspect chunks image >out
is "the map has every stripe" "$(grep -cE '(data|metadata|system) +(single|DUP)' out)" 3

# --- Damage ---
cp image bad && python3 "$tools/damage" leaves 5 3 5 bad >leaves
inspect tree -t 5 --json bad >json 2>err
is "bad leaves: exit status" $? 1
ok "how many" grep -qx 'btrkit inspect tree: error: 3 blocks cannot be read' err
is "each is shown as damaged" "$(python3 -c 'import json
for l in open("json"):
    b = json.loads(l)
    if b["kind"] == "damaged": print(b["logical"], b["level"], b["problem"])')" \
	"$(sed 's/.*/& 0 block &, copy 1: checksum does not match/' leaves)"
inspect tree -t 5 --json image | grep -vE "^\{\"kind\":\"leaf\",\"logical\":($(paste -sd'|' leaves))," >wanted
grep -v '"kind":"damaged"' json >got
ok "the rest is shown" cmp wanted got
inspect tree bad >out 2>err
is "all trees: exit status" $? 1
ok "all trees: it is said" grep -qx 'btrkit inspect tree: error: 3 blocks cannot be read' err
cp image bad && python3 "$tools/damage" leaves 11 0 -1 bad >leaves
inspect chunks bad >out 2>err
is "without block groups: the chunks are there" "$? $(grep -c '?$' out)" "0 3"
is "without block groups: it is told once" "$(grep -c 'warning: what is used of the chunks cannot be told: ' err)" 1
inspect summary --json bad >out 2>err
ok "without block groups: a summary without what is used" python3 -c '
import json
assert all("used_bytes" not in a for a in json.load(open("out"))["allocation"])'
cp image bad && printf '\1' | dd of=bad bs=1 seek=$((65536 + 0x90)) conv=notrunc status=none
inspect super bad >out 2>err
ok "a superblock with a wrong checksum is shown" grep -q 'csum_matches no' out
ok "and what is wrong with it" grep -q 'problem .*checksum' out
head -c 4096 /dev/zero | dd of=bad bs=64k seek=1 conv=notrunc status=none
inspect super --json bad >out 2>err
is "no superblock: exit status" $? 1
ok "no superblock: it is said" grep -q 'no Btrfs superblock at 65536' err
ok "no superblock: the JSON is empty, but JSON" python3 -c 'import json; assert json.load(open("out"))["superblocks"] == []'
ok "no superblock, forced" inspect super -F bad
done_testing
