#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each kind of damage that has been met in the field is named; what only looks odd is not (known_damage.py has the table).
. "${srcdir:-.}/tests/tap.sh"
need_program python3
tree=$scratch/tree
mkdir -p "$tree/d" "$tree/s/dir/below/deep" "$tree/t" || exit 1
for i in $(seq 400); do echo "$i" >"$tree/d/file-$i"; done
head -c 100000 /dev/urandom >"$tree/s/file"
head -c 30000 /dev/urandom >"$tree/noise"
seq 60000 >"$tree/s/text"
echo small >"$tree/s/small"
echo alpha >"$tree/s/dir/alpha"
echo beta >"$tree/s/dir/beta"
ln -s small "$tree/s/link"
echo hard >"$tree/s/hard1"
ln "$tree/s/hard1" "$tree/s/hard2"
mkfifo "$tree/s/fifo"
made() { # NAME OPTIONS...
	base=$1
	shift
	"$BTRKIT" mkfs -q --rootdir "$tree" --subvol rw:s --subvol rw:t --compress zlib "$@" || echo "Bail out! $base cannot be made"
}
made modern --free 4M "$scratch/modern.1"
made old -O ^no-holes,^skinny-metadata,^free-space-tree,^block-group-tree --free 4M "$scratch/old.1"
for profile in raid1:2 raid10:4 raid5:3 raid6:4; do
	count=${profile#*:}
	profile=${profile%:*}
	images=
	for i in $(seq "$count"); do images="$images $scratch/$profile.$i"; done
	made $profile -b 128M -d $profile -m $profile $images
done
# Two names with one hash, found by the many.
mkdir "$scratch/names"
python3 - "$srcdir/tests/tools" "$scratch/names" <<'PY'
import sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import btrfsread as b
seen, i = {}, 0
# A common beginning is hashed once.
start = b.crc32c_raw(0xfffffffe, b"n")
while True:
    name = b"%06x" % i
    h = b.crc32c_raw(start, name)
    if h in seen:
        break
    seen[h] = name
    i += 7919
for n in (name, seen[h]):
    open("%s/n%s" % (sys.argv[2], n.decode()), "w").close()
PY
"$BTRKIT" mkfs -q --rootdir "$scratch/names" --free 1M "$scratch/collision.1"
touch "$scratch/names/attribute"
if setfattr -n user.key -v value "$scratch/names/attribute" 2>/dev/null; then
	"$BTRKIT" mkfs -q --rootdir "$scratch/names" --free 1M "$scratch/attributes.1"
fi
# Linux leaves backup roots.
if can_mount; then
	"$BTRKIT" mkfs -q -b 130M "$scratch/backup.1" && btrfs_mount "$scratch/mnt" rw "$scratch/backup.1"
	for i in 1 2 3 4 5; do mkdir "$scratch/mnt/$i" && sync -f "$scratch/mnt"; done
	btrfs_umount "$scratch/mnt"
fi
python3 "$srcdir/tests/check/known_damage.py" "$BTRKIT" "$scratch" "$@"
