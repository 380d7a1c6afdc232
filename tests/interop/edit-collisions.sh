#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Names, links, attributes and references to an extent that have one hash: what we have made of them, Linux finds and takes apart, and
# we take the rest.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program python3 btrfs fallocate
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
maker=$(realpath "${builddir:-.}/tests/model/test-edit-collisions")
manifest=$(realpath "${srcdir:-.}/tests/tools/manifest")
[ -x "$maker" ] || skip_all "tests/model/test-edit-collisions is not built"
cd "$scratch" || exit 1
seed=${BTRKIT_SEED:-$(date +%s)}
echo "# seed $seed; the same again: BTRKIT_SEED=$seed"

sound() {
	ok "$1: our check" "$BTRKIT" check --data image
	ok "$1: btrfs check" btrfs_check image
}
items() { # items KEYWORD: how many there are of these
	"$BTRKIT" inspect tree --json image | grep -o "\"text\":\"([0-9]* $1 " | grep -c .
}
read_far() { # what "far" has at each place, as Linux reads it
	python3 -c '
import os, sys
fd = os.open("mnt/far", os.O_RDONLY)
for line in open(sys.argv[1]):
    if not line.startswith("#"):
        place, wanted = map(int, line.split())
        print(place, (os.pread(fd, 8192, place) or b"\0")[-1])' places
}
# The names have one hash, and bytes that a shell would take for its own. Every second one goes; the rest is for a batch.
linux_removes() {
	python3 -c '
import os, re, subprocess, sys
keep = re.compile(r"hub|data|\d{6}-f*")
names = sorted(name for name in os.listdir("mnt/names") if not keep.fullmatch(name))
xattrs = sorted(os.listxattr("mnt/names/hub"))
places = [line.split()[0] for line in open("places") if line.endswith(" 7\n")]
for name in names[::2]:
    os.unlink("mnt/names/" + name)
for name in xattrs[::2]:
    os.removexattr("mnt/names/hub", name)
for place in places[::2]:
    subprocess.run(["fallocate", "-p", "-o", place, "-l", "8192", "mnt/far"], check=True)
with open("batch", "w") as batch:
    for name in names[1::2]:
        print(f"rm \x27names/{name}\x27", file=batch)
    for name in xattrs[1::2]:
        print(f"rmxattr \x27{name}\x27 names/hub", file=batch)
    print("rm far", file=batch)'
}
for shape in 4k 16k; do
	ok "$shape: changes" sh -c '"$@" >places 2>&1 || { cat places >&2; exit 1; }' - "$maker" "$shape" "$seed" image
	ok "$shape: there are references of their own" sh -c 'test "$1" -ge 4' - "$(items EXTENT_DATA_REF)"
	[ $shape != 4k ] || ok "$shape: there are extended references" sh -c 'test "$1" -ge 1' - "$(items INODE_EXTREF)"
	sound "$shape: as we leave it"
	ok "$shape: restore" "$BTRKIT" restore -q --path names image restored
	ok "$shape: Linux mounts it" btrfs_mount "$scratch/mnt" "" image
	"$manifest" mnt/names >linux.txt
	"$manifest" restored >ours.txt
	is "$shape: Linux sees the same names and attributes ($(grep -c . linux.txt))" "$(diff ours.txt linux.txt | head -n 20)" ""
	is "$shape: and the same data" "$(read_far | diff - places | grep '^[<>] [0-9]')" ""
	ok "$shape: Linux removes some" linux_removes
	btrfs_umount "$scratch/mnt"
	sound "$shape: as Linux leaves it"
	ok "$shape: we remove the rest ($(grep -c . batch))" "$BTRKIT" edit batch batch image
	is "$shape: no attribute is left" "$(items XATTR_ITEM)" 0
	sound "$shape: in the end"
	rm -rf image restored batch
done
done_testing
