#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# tests/tools/btrfsread.py is itself shown to work: what Linux wrote is clean for it and shows the same files, and
# damage of each sort is found.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program python3 mkfs.btrfs
tools=$srcdir/tests/tools
read_it() { python3 "$tools/btrfsread.py" "$@"; }

# Files, links, snapshots, reflinks, preallocation and holes, written by Linux.
populate() {
	python3 "$tools/gentree.py" small "$1/tree" 60 &&
		btrfs -q subvolume create "$1/sub" && cp -a "$1/tree" "$1/sub/copy" &&
		btrfs -q subvolume snapshot "$1/sub" "$1/snap" &&
		btrfs -q subvolume snapshot -r "$1/sub" "$1/snap-ro" &&
		rm -r "$1"/snap/copy/d1 && echo more >>"$1/snap/copy/file-0008" &&
		head -c 400000 /dev/urandom >"$1/noise" && cp --reflink=always "$1/noise" "$1/clone" &&
		head -c 9000 /dev/urandom | dd of="$1/clone" bs=1000 seek=50 conv=notrunc status=none &&
		fallocate -l 1M "$1/reserved" && mkdir "$1/names" &&
		for i in $(seq 400); do ln "$1/noise" "$1/names/$(printf '%0100d' "$i")"; done
}

make_image() { # NAME MOUNT-OPTIONS DEVICES mkfs options...: images in $images
	name=$1
	options=$2
	count=$3
	shift 3
	images=
	for i in $(seq "$count"); do
		truncate -s 300M "$scratch/$name.$i" && images="$images $scratch/$name.$i"
	done
	mkfs.btrfs -q -f "$@" $images && btrfs_mount "$scratch/mnt" "$options" $images && populate "$scratch/mnt" &&
		sync -f "$scratch/mnt" && python3 "$tools/manifest" "$scratch/mnt" >"$scratch/$name.wanted" &&
		btrfs_umount "$scratch/mnt"
}

agrees() { # NAME ...
	ok "$1: Linux makes it" make_image "$@"
	ok "$1: nothing to complain about" read_it verify --lenient $images
	read_it manifest $images >"$scratch/$1.got"
	ok "$1: the same files" python3 "$tools/manifest" diff "$scratch/$1.wanted" "$scratch/$1.got"
}

agrees defaults rw 1
plain_image=$images
agrees zlib compress-force=zlib 1 --csum xxhash -n 4096
agrees raid1 rw 2 -d raid1 -m raid1 --csum sha256
agrees raid10 compress-force=zstd 4 -d raid10 -m raid10 -n 65536
agrees raid5 rw 3 -d raid5 -m raid5 --csum blake2
raid5_images=$images
agrees raid6 rw 4 -d raid6 -m raid1c3
raid6_images=$images
agrees old space_cache=v1 3 -d raid0 -m dup -O ^no-holes,^skinny-metadata -R ^free-space-tree
agrees mixed rw 1 --mixed -d dup -m dup

# physical FILES KIND: where the first data extent ("data"), the root of the top tree ("block") or a parity stripe of a
# used row ("p", "q") lies: "DEVICE-INDEX OFFSET".
physical() {
	python3 - "$tools" "$@" <<-'PY'
	import sys
	sys.path.insert(0, sys.argv[1])
	sys.dont_write_bytecode = True
	import btrfsread as b
	paths, kind = sys.argv[2:-1], sys.argv[-1]
	v = b.Verifier(paths)
	v.load_extents_flags()
	logical = v.super.root if kind == 'block' else min(a for a, e in v.extents.items() if e[3] & 1)
	chunk = v.chunk_of(logical)
	index, at = chunk.places(logical)[0][-1]
	if kind in 'pq':
	    row = (logical - chunk.start) // (chunk.data_stripes * b.STRIPE)
	    index = (chunk.data_stripes + (kind == 'q') + row) % len(chunk.stripes)
	    at = chunk.stripes[index][1] + row * b.STRIPE
	device = v.devices[chunk.stripes[index][0]]
	print(paths.index(device.path), at)
	PY
}
# finds NAME PATTERN KIND FILES...: a byte is changed there, verify says so, and the byte is put back.
finds() {
	name=$1
	pattern=$2
	kind=$3
	shift 3
	where=$(PYTHONDONTWRITEBYTECODE=1 physical "$@" "$kind")
	shift "${where% *}"
	at=$((${where#* } + 200))
	dd if="$1" of="$scratch/kept" bs=1 skip=$at count=1 status=none
	tr '\000-\377' '\200-\377\000-\177' <"$scratch/kept" | dd of="$1" bs=1 seek=$at conv=notrunc status=none
	read_it verify --lenient $finds_images >"$scratch/found"
	found=$?
	dd if="$scratch/kept" of="$1" bs=1 seek=$at conv=notrunc status=none
	is "$name: exit status" $found 1
	ok "$name: is named" grep -E "$pattern" "$scratch/found"
}
finds_images=$plain_image
finds "a changed byte of data" 'data [0-9]+ copy 0: checksum' data $plain_image
finds "a changed byte in one copy of a tree block" 'block [0-9]+ copy 1: checksum' block $plain_image
finds_images=$raid5_images
finds "a changed byte of parity" 'row [0-9]+: P is wrong' p $raid5_images
finds_images=$raid6_images
finds "a changed byte of the second parity" 'row [0-9]+: Q is wrong' q $raid6_images

# A superblock that is sound in itself but tells a wrong number.
python3 - "$tools" $plain_image <<'PY'
import struct, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import btrfsread as b
with open(sys.argv[2], 'r+b') as f:
    for at in b.SUPER_AT[:2]:
        f.seek(at)
        raw = bytearray(f.read(4096))
        struct.pack_into('<Q', raw, 0x78, struct.unpack_from('<Q', raw, 0x78)[0] + 4096)
        raw[:4] = b.checksum_of(0)[0](raw[32:])
        f.seek(at)
        f.write(raw)
PY
read_it verify --lenient $plain_image >"$scratch/found"
is "a wrong bytes_used: exit status" $? 1
ok "a wrong bytes_used: is named" grep 'bytes used, extents have' "$scratch/found"
done_testing
