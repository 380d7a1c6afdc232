#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What `btrkit mkfs --rootdir` puts into an image, Linux shows again: every name, size, link, time, owner, xattr and hole.
# The sources lie on a Btrfs that mkfs.btrfs made with 64 KiB nodes, for it takes more of all that than other hosts do.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program python3 mkfs.btrfs btrfs setfacl setcap
tools=$srcdir/tests/tools
shared=${BTRKIT_SHARED:-$srcdir/../shared}
src=$scratch/src
image=$scratch/image
truncate -s 20G "$scratch/host"
mkfs.btrfs -q -n 65536 "$scratch/host" >"$scratch/out" &&
	btrfs_mount "$src" noatime "$scratch/host" || skip_all "no Btrfs to put the sources on"

manifest() { python3 "$tools/manifest" --holes "$@"; }
# survives NAME SOURCE options...: made, clean, and the kernel's mount shows what the source shows.
survives() {
	name=$1
	from=$2
	shift 2
	ok "$name: made" "$BTRKIT" mkfs -q -r "$from" "$@" "$image"
	ok "$name: clean" btrfs_check "$image"
	[ -n "$skip_witness" ] || ok "$name: clean for the second witness" python3 "$tools/btrfsread.py" verify "$image"
	ok "$name: mounted" btrfs_mount "$scratch/mnt" ro "$image"
	manifest "$from" >"$scratch/wanted"
	manifest "$scratch/mnt" >"$scratch/got"
	ok "$name: the same tree" python3 "$tools/manifest" diff "$scratch/wanted" "$scratch/got"
	btrfs_umount "$scratch/mnt"
	rm -f "$image"
}
skip_witness=

# Names with every byte but / and NUL, 255-byte names, sizes around every limit, 5 GiB with data at the ends, fifos,
# devices, sockets, times before 1970 and after 2106, ACLs, capabilities, odd owners and modes.
python3 "$tools/gentree.py" edges "$src/edges" || fail "a source"
survives "edges" "$src/edges"
survives "edges in 64 KiB nodes, zstd" "$src/edges" -n 64k --compress zstd
refused() { # NAME PATTERN options...: exit status 1, one line that has PATTERN, no image
	name=$1
	pattern=$2
	shift 2
	"$BTRKIT" mkfs -q "$@" "$image" >"$scratch/out" 2>"$scratch/err"
	is "$name: exit status" $? 1
	is "$name: one line" "$(wc -l <"$scratch/err")" 1
	ok "$name: it says where" grep "$pattern" "$scratch/err"
	is "$name: no image" "$(ls "$image" 2>/dev/null)" ""
}
refused "a link target beyond a node" '/special/link[56]: link target of 40' -r "$src/edges" -n 4k
rm "$src/edges/special/link5" "$src/edges/special/link6"
survives "edges in 4 KiB nodes, with explicit holes, lzo" "$src/edges" -n 4k -O ^no-holes --compress lzo

# Xattrs as large as a node takes, and many; ACLs and capabilities as their own programs set them.
mkdir "$src/xattrs"
python3 - "$src/xattrs" <<'PY'
import os, sys
top = sys.argv[1]
def largest(path, name):
    """The longest value that the host takes."""
    low, high = 0, 65536
    while high - low > 1:
        size = (low + high) // 2
        try:
            os.setxattr(path, name, b'v' * size)
            os.removexattr(path, name)
            low = size
        except OSError:
            high = size
    os.setxattr(path, name, os.urandom(low))
    return low
for i, name in enumerate(('user.x', 'user.' + 'n' * 250, 'trusted.t')):
    path = os.path.join(top, 'large%d' % i)
    open(path, 'w').close()
    assert largest(path, name) > 60000
many = os.path.join(top, 'many')
os.mkdir(many)
for i in range(1000):
    os.setxattr(many, 'user.%d' % i, b'%d' % i * 40)
PY
for name in acl cap "acl dir"; do echo "$name" >"$src/xattrs/$name" && cp /bin/true "$src/xattrs/$name.bin"; done
setfacl -m u:1000:rwx,g:4242:r,m::rw "$src/xattrs/acl" && mkdir "$src/xattrs/with default" &&
	setfacl -m d:u:7:rw,d:g:4242:rx "$src/xattrs/with default" && touch "$src/xattrs/with default/child" &&
	setcap cap_net_raw,cap_sys_admin+ep "$src/xattrs/cap.bin" || fail "a source"
survives "xattrs up to the limit" "$src/xattrs" -n 64k
refused "xattrs beyond a node" '/large[012]: xattr' -r "$src/xattrs"
rm -rf "$src/xattrs"

# Many entries, many links.
python3 "$tools/gentree.py" many "$src/many" 100000 || fail "a source"
survives "100,000 entries in one directory" "$src/many"
rm -rf "$src/many"
mkdir "$scratch/links" && mount -t tmpfs -o size=64m none "$scratch/links" &&
	python3 "$tools/gentree.py" links "$scratch/links/tree" 70000 || fail "a source"
survives "70,000 hard links" "$scratch/links/tree"
umount "$scratch/links"

# More data than one chunk holds, and more than one extent of the largest size.
mkdir "$src/dense"
head -c 64M /dev/urandom >"$scratch/noise"
for i in $(seq 18); do cat "$scratch/noise"; done >"$src/dense/over-one-chunk"
truncate -s 5G "$src/dense/five" && for at in 0 1 1023 1024 1025 4095 5118; do
	dd if="$scratch/noise" of="$src/dense/five" bs=1M seek=$at count=1 conv=notrunc status=none
done
rm "$scratch/noise"
skip_witness=1
survives "a file larger than a chunk, and one of 5 GiB" "$src/dense"
rm -rf "$src/dense"
skip_witness=

# What a machine has anyway.
mkdir "$src/usr"
find /usr/bin /usr/lib /usr/share -xdev -type f -size -256k 2>/dev/null | sort | awk 'NR % 17 == 0' | head -3000 |
	cpio --quiet -pdm "$src/usr" 2>/dev/null
find /usr/bin /usr/lib -xdev -type l 2>/dev/null | sort | head -1000 | cpio --quiet -pdm "$src/usr" 2>/dev/null
survives "a part of /usr" "$src/usr"
rm -rf "$src/usr"

# The corpora beside the checkout, judged by the manifest that belongs to them.
if [ -x "$shared/bench/gentree" ] && [ -x "$shared/oracle/fsmanifest" ]; then
	manifest() { python3 "$shared/oracle/fsmanifest" --map "$@"; }
	python3 "$shared/bench/gentree" "$src/odd" --profile odd >/dev/null 2>&1
	survives "odd tree" "$src/odd"
	python3 "$shared/bench/gentree" "$src/mixed" --files 3000 --dirs 100 >/dev/null
	survives "mixed tree" "$src/mixed"
	python3 "$shared/bench/gentree" "$src/tiny" --files 8000 --dirs 120 --profile tiny >/dev/null
	survives "tiny files" "$src/tiny" -n 4k
else
	skip "the shared corpora" "../shared is not there"
fi
done_testing
