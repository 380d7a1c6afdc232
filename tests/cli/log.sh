#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# btrkit log, on a log that the kernel leaves behind: shown, exported, and thrown away.
. "${srcdir:-.}/tests/tap.sh"
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
srcdir=$(cd "${srcdir:-.}" && pwd)
cd "$scratch" || exit 1

# --- Without a log ------------------------------------------------------------------------------
mkdir tree && echo hello >tree/greeting
"$BTRKIT" mkfs -q --rootdir tree sound
cp sound before
is "show" "$("$BTRKIT" log show sound 2>&1)" "there is no log"
is "export" "$("$BTRKIT" log export out sound 2>&1)" "there is no log"
is "replay" "$("$BTRKIT" log replay sound 2>&1)" "there is no log"
is "clear" "$("$BTRKIT" log clear --yes sound 2>&1)" "there is no log"
ok "nothing was written" cmp sound before
for command in show replay clear "export out"; do
	# shellcheck disable=SC2086
	not_ok "$command of noise fails" "$BTRKIT" log $command /dev/zero
	# shellcheck disable=SC2086
	"$BTRKIT" log $command >out.txt 2>&1
	is "$command without a device: usage" $? 2
done

# --- With one -----------------------------------------------------------------------------------
can_mount && command -v mkfs.btrfs >/dev/null && command -v python3 >/dev/null || {
	skip "a log" "needs root, loop devices, btrfs in the kernel, mkfs.btrfs and python3"
	done_testing
}
truncate -s 256M image
mkfs.btrfs -q image
btrfs_mount mnt commit=300 image || exit 1
mkdir mnt/dir
head -c 100000 /dev/urandom >mnt/dir/large
echo old >mnt/old
echo gone >mnt/dir/gone
sync -f mnt
# What is committed so far stays; the rest is in the log alone.
python3 - <<'PY'
import os
def write(path, offset, data):
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    os.pwrite(fd, data, offset)
    os.fsync(fd)
    os.close(fd)
write('mnt/dir/large', 8192, b'x' * 4096)
write(b'mnt/new \n\xe9', 0, b'new' * 20000)
os.rename('mnt/old', 'mnt/renamed')
os.unlink('mnt/dir/gone')
os.link('mnt/renamed', 'mnt/dir/linked')
os.setxattr('mnt/renamed', 'user.name', b'value')
write('mnt/renamed', 0, b'OLD')
fd = os.open('mnt/dir', os.O_RDONLY)
os.fsync(fd)
PY
cp --sparse=always image crash
cp mnt/dir/large large && cp mnt/new* new && cp mnt/renamed renamed
btrfs_umount mnt
"$BTRKIT" log show crash >show.txt 2>errors.txt
is "show: the status" $? 0
is "show: nothing on standard error" "$(cat errors.txt)" ""
for line in 'created  /new \x0a' '/old -> /' 'removed  /dir/gone' 'changed  /dir/large' '         data from 8192 to 12288' \
	'+ /dir/linked' 'attribute set: user.name'; do
	ok "show: $line" grep -qF "$line" show.txt
done
ok "show --steps" sh -c '"$1" log show --steps crash | grep -q "^unlink 5:.* \"gone\""' - "$BTRKIT"

"$BTRKIT" log export out crash >out.txt 2>errors.txt
is "export: the status" $? 0
is "export: three files" "$(find out -type f -printf x)" xxx
ok "export: old contents and new together" cmp out/5/dir/large large
ok "export: a new file" cmp out/5/new* new
ok "export: a renamed file, under one of its names" cmp "$(find out -name renamed -o -name linked)" renamed
is "export: permissions" "$(stat -c %a out/5/new*)" 640
not_ok "export: nothing is overwritten" "$BTRKIT" log export out crash
ok "export: only what is logged" "$BTRKIT" log export --logged-only sparse crash
is "export: the rest of it is a hole" "$(stat -c '%s %b' sparse/5/dir/large)" "100000 8"
ok "export: the logged part" cmp -i 8192 -n 4096 sparse/5/dir/large large
mkdir evil && ln -s / evil/5
not_ok "export: not through a link" "$BTRKIT" log export evil crash

if "$BTRKIT" log show --json crash >lines 2>/dev/null && python3 -c 'import jsonschema' 2>/dev/null; then
	"$BTRKIT" log show --json sound >>lines
	cat >follows.py <<-'PY'
	import json, jsonschema, sys
	schema = json.load(open(sys.argv[1]))
	for line in open('lines'):
	    jsonschema.validate(json.loads(line), schema)
	PY
	ok "JSON follows its schema" python3 follows.py "$srcdir/Documentation/btrkit-log-1.schema.json"
else
	skip "JSON follows its schema" "needs json-c and Python's jsonschema"
fi

# --- Damage -------------------------------------------------------------------------------------
cp --sparse=always crash damaged
at=$("$BTRKIT" inspect tree --roots damaged 2>/dev/null | sed -n 's/^ *-6 .*offset 5 .*root //p')
python3 - "$at" <<'PY'
import subprocess, sys
data = open('damaged', 'rb').read()
with open('damaged', 'r+b') as image:
    at = 0
    found = 0
    # Each copy of the block says its own address, 48 bytes in.
    while (at := data.find(int(sys.argv[1]).to_bytes(8, 'little'), at + 1)) >= 0:
        if at % 4096 == 48:
            image.seek(at + 1000)
            image.write(b'\xff' * 8)
            found += 1
    assert found
PY
"$BTRKIT" log show damaged >show.txt 2>&1
is "a damaged log: the status" $? 1
ok "a damaged log: which block" grep -q "^lost: subvolume 5: block $at: " show.txt
not_ok "a damaged log: export tells" "$BTRKIT" log export damaged.out damaged

# --- Replaying ----------------------------------------------------------------------------------
cp --sparse=always crash replayed
"$BTRKIT" log replay --dry-run replayed >out.txt 2>errors.txt
is "replay --dry-run: the status" $? 0
ok "replay --dry-run: says what would be done" grep -qF '/old -> /' out.txt
ok "replay --dry-run: nothing was written" cmp crash replayed
loop_attach replayed
mkdir -p mnt
mount -t btrfs -o ro,rescue=nologreplay "$loops" mnt
not_ok "replay: not while it is mounted" "$BTRKIT" log replay replayed
umount mnt
loop_detach $loops
ok "replay: nothing was written then, either" cmp crash replayed
"$BTRKIT" log replay replayed >out.txt 2>errors.txt
is "replay: the status" $? 0
is "replay: nothing on standard error" "$(cat errors.txt)" ""
is "replay: there is no log any more" "$("$BTRKIT" log show replayed 2>&1)" "there is no log"
ok "replay: btrkit check" "$BTRKIT" check --strict --data replayed
if command -v btrfs >/dev/null; then ok "replay: btrfs check" btrfs_check replayed; else skip "replay: btrfs check" "needs btrfs"; fi
btrfs_mount mnt ro replayed
ok "replay: old contents and new together" cmp mnt/dir/large large
ok "replay: a new file" cmp mnt/new* new
ok "replay: a renamed file" cmp mnt/renamed renamed
not_ok "replay: a removed file" test -e mnt/dir/gone
btrfs_umount mnt
cp --sparse=always damaged untouched
"$BTRKIT" log replay damaged >out.txt 2>errors.txt
is "replay: a damaged log is refused" $? 1
ok "replay: what is damaged" grep -q "block $at" errors.txt
ok "replay: nothing was written then" cmp damaged untouched
ok "replay --skip-bad" "$BTRKIT" log replay --skip-bad damaged
is "replay --skip-bad: no log any more" "$("$BTRKIT" log show damaged 2>&1)" "there is no log"
ok "replay --skip-bad: btrkit check" "$BTRKIT" check damaged
cp untouched damaged

# --- Clearing -----------------------------------------------------------------------------------
cp --sparse=always crash cleared
"$BTRKIT" log clear cleared >out.txt 2>&1 </dev/null
is "clear: not without being told" $? 1
ok "clear: lists what is lost" grep -qF 'created  /new' out.txt
ok "clear --dry-run" "$BTRKIT" log clear --dry-run cleared
ok "clear: nothing was written so far" cmp crash cleared
loop_attach cleared
mkdir -p mnt
mount -t btrfs -o ro,rescue=nologreplay "$loops" mnt
not_ok "clear: not while it is mounted" "$BTRKIT" log clear --yes cleared
umount mnt
loop_detach $loops
ok "clear: nothing was written then, either" cmp crash cleared
ok "clear --yes" "$BTRKIT" log clear --yes cleared
is "clear: there is no log any more" "$("$BTRKIT" log show cleared 2>&1)" "there is no log"
# The mirrors had no log, and are the same again.
is "clear: the superblock was written, and nothing else" \
	"$(cmp -l crash cleared | awk '{ print int(($1 - 1) / 4096) * 4096 }' | sort -un | tr '\n' ' ')" "65536 "
ok "clear: btrkit check" "$BTRKIT" check cleared
if command -v btrfs >/dev/null; then ok "clear: btrfs check" btrfs_check cleared; else skip "clear: btrfs check" "needs btrfs"; fi
btrfs_mount mnt ro cleared
is "clear: the last commit" "$(cd mnt && find . -type f | sort | tr '\n' ' ')$(cat mnt/old)" "./dir/gone ./dir/large ./old old"
btrfs_umount mnt

# Where no tree can be read.
python3 - <<'PY'
import os, shutil
shutil.copy('damaged', 'broken')
with open('broken', 'r+b') as image:
    image.seek(22020096)
    image.write(b'\xff' * 1048576 * 20)
PY
"$BTRKIT" log clear --yes broken >out.txt 2>errors.txt
is "clear: superblocks are enough" $? 0
ok "clear: says that it does not know" grep -q 'what would be lost cannot be told' errors.txt
done_testing
