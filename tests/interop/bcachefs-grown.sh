#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Volumes of bcachefs of a shape that none of the images has: btrees of three levels in small nodes of several bsets, a thousand names
# in one directory, extents from one block to 8 MiB with each kind of checksum and compression, keys in nodes, in the journal or in
# both. Their superblock is that of an image; what is in them is known, as they are made from a tree: check finds nothing wrong, and what
# restore extracts is that tree.
. "${srcdir:-.}/tests/tap.sh"
here=$(cd "${srcdir:-.}" && pwd)
fixtures=${BTRKIT_SHARED:-$here/../shared}/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "no images of bcachefs: BTRKIT_SHARED does not lead to any"
[ "$(id -u)" = 0 ] || skip_all "only root can give files their owners"
need_program python3 xz
grow=${builddir:-$PWD}/tests/tools/bcachefs_grow
config=${builddir:-$PWD}/config.h
manifest=$here/tests/tools/manifest
cd "$scratch" || exit 1
umask 022
for name in v131-clean-source v14-clean-basic; do
	xz -dc "$fixtures/$name/image.img.xz" | dd of="$name" bs=1M conv=sparse iflag=fullblock status=none
done

# --- What they hold -------------------------------------------------------------------------------------------------
python3 "$here/tests/tools/gentree.py" small tree 60
python3 - <<'SOURCE'
import os, random, struct
rng = random.Random(5)
os.mkdir('tree/names')
for i in range(900):
    open('tree/names/name-%d-%s' % (i, 'x' * (i % 150)), 'wb').write(rng.randbytes(i % 3))
deep = 'tree'
for i in range(60):
    deep += '/deep%d' % i
    os.mkdir(deep)
open(deep + '/bottom', 'w').write('here')
noise = rng.randbytes(1 << 20)
with open('tree/large', 'wb') as f:
    for i in range(9):
        f.write(noise[i:] + b'text' * 1000)
    f.seek(2 << 20, 1)
    f.write(b'end')
os.symlink('l' * 4095, 'tree/link')
os.mknod('tree/device', 0o60640, os.makedev(259, 70000))
os.mkfifo('tree/fifo')
os.chown('tree/fifo', 65534, 4000000000)
acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *e) for e in (
    (1, 6, 0xffffffff), (2, 7, 1000), (4, 4, 0xffffffff), (16, 7, 0xffffffff), (32, 4, 0xffffffff)))
os.setxattr('tree/large', 'system.posix_acl_access', acl)
os.setxattr('tree/names', 'system.posix_acl_default', acl)
os.setxattr('tree/large', 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0))
os.setxattr('tree/large', 'trusted.long', rng.randbytes(1900))
for i in range(50):
    os.setxattr('tree/link', 'trusted.%d' % i, b'', follow_symlinks=False) if i < 5 else \
        os.setxattr('tree/names', 'user.%d' % i, b'%d' % i)
for path in ('tree/large', 'tree/link', 'tree/device', 'tree/fifo', 'tree/names', 'tree'):
    os.utime(path, ns=(-5 * 10**9 + 7, 2**33 * 10**9 // 2 + 5), follow_symlinks=False)
SOURCE
"$manifest" --holes tree >wanted

extract() {
	rm -rf out
	"$BTRKIT" restore -q --no-scan "$@" volume out 2>err
}
is_tree() {
	"$manifest" --holes out >found && "$manifest" diff wanted found >differences && return
	diagnose differences 10
	return 1
}

# volume BASE OPTION...
volume() {
	base=$1
	shift
	what="${base%%-*} $*"
	"$grow" "$@" "$base" tree volume >grown 2>err || { fail "$what: made" && diagnose err; return; }
	"$BTRKIT" check --data volume >report 2>err
	is "$what: check finds nothing" "$?:$(head -n 1 err)$(grep -o '0 fatal, 0 errors, 0 warnings' report)" \
		"0:0 fatal, 0 errors, 0 warnings"
	extract
	is "$what: extracted without a loss" "$?:$(head -n 1 err)" "0:"
	ok "$what: is the tree" is_tree
}
built() { grep -q "define HAVE_$1 1" "$config"; }

volume v131-clean-source --node 16384 --bsets 4 --extent 4096
ok "btrees of three levels" grep -q 'level 2 extents, 2 inodes, 2 dirents' grown || diagnose grown
volume v14-clean-basic --node 262144 --csum none --extent 8388608 --bucket 8388608
volume v131-clean-source --node 32768 --csum crc64 --extent 4194304 --bucket 4194304 --bsets 1
volume v131-clean-source --node 65536 --csum xxhash --extent 262144 --journal 40
extract --no-journal
not_ok "without the journal it is another" is_tree
volume v14-clean-basic --journal 100
if built ZSTD; then volume v14-clean-basic --compress zstd --extent 131072 --journal 10; else skip "zstd" "not built in"; fi
if built LZ4; then volume v131-clean-source --compress lz4 --csum crc64 --node 16384; else skip "lz4" "not built in"; fi

# --- A byte of a node, and one of data: both are noticed ---
volume v131-clean-source --node 16384
"$BTRKIT" inspect tree --tree extents --json volume | python3 -c '
import json, sys
places = [(e["sector"] * 512) for line in sys.stdin for e in json.loads(line).get("entries", []) if e["kind"] == "ptr"]
with open("volume", "r+b") as f:
    f.seek(places[len(places) // 2] + 1)
    byte = f.read(1)[0]
    f.seek(-1, 1)
    f.write(bytes([byte ^ 1]))'
"$BTRKIT" check --data volume >report 2>&1
is "a byte of data: check" "$?:$(grep -c bch-data-lost report)" 4:1
extract
is "a byte of data: extracted but for one place" "$?:$(grep -c 'cannot be read' err)" 4:1
done_testing
