#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Who reads a filesystem with a log is told that the newest changes are not seen.
. "${srcdir:-.}/tests/tap.sh"
need_program python3
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
cd "$scratch" || exit 1

mkdir tree
echo hello >tree/greeting
"$BTRKIT" mkfs -q --rootdir tree image
is "no log, no word of it" "$("$BTRKIT" ls image 2>&1)" greeting
# A superblock that has a log, at the root tree's address: nothing here reads it.
python3 - <<'PY'
import struct
with open('image', 'r+b') as image:
    image.seek(65536)
    block = bytearray(image.read(4096))
    root, = struct.unpack_from('<Q', block, 80)
    struct.pack_into('<Q', block, 96, root)
    crc = 0xffffffff
    for byte in block[32:]:
        crc ^= byte
        for bit in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    struct.pack_into('<I', block, 0, crc ^ 0xffffffff)
    image.seek(65536)
    image.write(block)
PY
for command in "ls image" "cat --path greeting image" "restore -q image out" "inspect summary image" "inspect tree --tree fs image"; do
	# shellcheck disable=SC2086
	"$BTRKIT" $command >out.txt 2>err.txt
	is "${command% image*}: the status" $? 0
	ok "${command% image*}: a warning" grep -q 'warning: there is a log that has not been replayed' err.txt
done
cksum <image >before.txt
"$BTRKIT" edit mkdir /new image >out.txt 2>err.txt
is "edit: the status" $? 1
ok "edit: is refused, and why" grep -q 'error: there is a log that has not been replayed' err.txt
is "nothing was written" "$(cksum <image)" "$(cat before.txt)"
is "what was committed is there" "$(cat out/greeting)" hello
ok "inspect summary tells" sh -c '"$1" inspect summary image 2>/dev/null | grep -q "^Log:  *not replayed"' - "$BTRKIT"
done_testing
