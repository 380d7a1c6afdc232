#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Filesystems that btrfs-convert has converted become again what they were: every block that was in use, by the old filesystem's
# own bitmaps, is as before; also after Linux has used the Btrfs. What cannot be rolled back is refused, and nothing is written.
. "${srcdir:-.}/tests/tap.sh"
need_program python3 btrfs btrfs-convert mkfs.ext4 e2fsck dumpe2fs debugfs
tools=$(realpath "$srcdir/tests/tools")
cd "$scratch" || exit 1

# What goes into the filesystems: small files, links, and data enough to lie about the second superblock.
mkdir -p tree/dir && python3 - <<'PY' || exit 1
import os, random
bits = random.Random(5)
for n in range(300):
    with open('tree/dir/%03d' % n, 'wb') as file:
        file.write(bits.randbytes(bits.choice((0, 10, 3000, 5000, 70000))))
os.symlink('dir/001', 'tree/link')
os.link('tree/dir/002', 'tree/second-name')
with open('tree/sparse', 'wb') as file:
    file.seek(5 << 20)
    file.write(b'end')
with open('tree/large', 'wb') as file:
    for n in range(64):
        file.write(bits.randbytes(1 << 20))
PY

# make NAME BYTES OPTIONS...: an ext filesystem in NAME.ext, and the same converted in NAME.
make() {
	name=$1
	rm -f "$1" "$1.ext"
	truncate -s "$2" "$1.ext"
	shift 2
	mkfs.ext4 -q -F -b 4096 "$@" "$name.ext" >"$scratch/.made" 2>&1 || { cat "$scratch/.made"; return 1; }
	cp --sparse=always "$name.ext" "$name" && btrfs-convert --no-progress $convert_options "$name" >"$scratch/.made" 2>&1 ||
		{ cat "$scratch/.made"; return 1; }
	cmp -s -n 4096 -i 65536 "$name" "$name.ext" && return 1
	return 0
}
convert_options=
# What tells that a file was not written to.
written() { stat -c %y "$1"; }
# told WHAT PATTERN: of the command before
told() {
	cp .out said
	ok "$1" grep -q -e "$2" said
	diagnose said 3
}
# rolls_back WHAT IMAGE [options]: and is what it was.
rolls_back() {
	what=$1
	image=$2
	shift 2
	before=$(written "$image")
	ok "$what: it says that it can be rolled back" "$BTRKIT" convert --rollback --dry-run "$@" "$image"
	is "$what: and has written nothing" "$(written "$image")" "$before"
	ok "$what: rolled back" "$BTRKIT" convert --rollback --yes "$@" "$image"
	ok "$what: every used block is as it was" python3 "$tools/ext_used.py" compare "$image.ext" "$image"
	diagnose .out
	ok "$what: e2fsck finds nothing" e2fsck -fn "$image"
	not_ok "$what: it is Btrfs no more" "$BTRKIT" inspect summary --no-scan "$image"
	is "$what: and nothing else" "$(blkid -p -o value -s TYPE "$image" | sed 's/ext[234]/ext/')" "ext"
}
# refused WHAT IMAGE PATTERN [options]
refused() {
	what=$1
	image=$2
	pattern=$3
	shift 3
	before=$(written "$image")
	not_ok "$what: refused" "$BTRKIT" convert --rollback --yes "$@" "$image"
	told "$what: the reason is told" "$pattern"
	not_ok "$what: also before" "$BTRKIT" convert --rollback --dry-run "$@" "$image"
	is "$what: nothing was written" "$(written "$image")" "$before"
}
used_at_second() { test "$(python3 "$tools/ext_used.py" count "$1" 67108864 67174400)" -gt 0; }

# --- As converted -------------------------------------------------------------------------------------------------------
ok "made: ext4" make plain 256M -d tree
ok "it has data where the second superblock is" used_at_second plain.ext
cp --sparse=always plain converted
cp --sparse=always plain damaged
ok "the plan as JSON" "$BTRKIT" convert --rollback --dry-run --json plain
cp .out plan
is "says what would be lost" "$(python3 -c 'import json; plan = json.load(open("plan"))
print(*(plan[key] for key in ("status", "source", "image_bytes", "relocated_bytes", "lost_data_bytes", "has_changes", "is_verified")))')" \
	"possible ext4 268435456 0 0 False True"
not_ok "nobody to ask" "$BTRKIT" convert --rollback plain
rolls_back "ext4" plain
not_ok "a second time" "$BTRKIT" convert --rollback --yes plain
told "there is no Btrfs any more" 'plain: holds ext, not Btrfs'

ok "made: ext2, 110 MiB and 12 KiB, all but empty" make small $((110 * 1048576 + 12288)) -t ext2 -N 64 -O ^resize_inode -m 0
rolls_back "ext2, with an odd end" small
ok "made: ext3" make third 200M -t ext3 -d tree/dir
rolls_back "ext3" third
ok "made: no metadata_csum, no 64bit, no flex_bg, meta_bg" \
	make features 256M -O ^metadata_csum,^64bit,^flex_bg,meta_bg,^resize_inode -I 128 -d tree
rolls_back "other features" features
convert_options=--no-datasum
ok "made: without checksums" make nosums 200M -d tree/dir
convert_options=
ok "without checksums: it can be rolled back" "$BTRKIT" convert --rollback --dry-run nosums
told "a warning says that they lack" "warning: the image has no checksums"
rolls_back "without checksums" nosums
# The last group, number 2048, begins at the third superblock, and has its bitmaps there.
ok "made: 256 GiB and 64 MiB" make huge $((256 * 1024 + 64))M -N 40000 -O ^flex_bg,^resize_inode,^has_journal -m 0 -d tree/dir
ok "it has data where the third superblock is" \
	test "$(python3 "$tools/ext_used.py" count huge.ext 274877906944 274877972480)" -gt 0
rolls_back_huge() {
	"$BTRKIT" convert --rollback --yes huge && python3 "$tools/ext_used.py" compare huge.ext huge && e2fsck -fn huge
}
ok "256 GiB: rolled back, as it was" rolls_back_huge
rm -f huge huge.ext

# --- Damage ---------------------------------------------------------------------------------------------------------------
block=$(debugfs -R 'bmap /large 100' plain.ext 2>/dev/null)
printf 'changed' | dd of=damaged bs=4096 seek="$block" conv=notrunc status=none
refused "data changed" damaged "checksum"
cp plain.ext damaged.ext
ok "unless it is not compared" "$BTRKIT" convert --rollback --yes --verify none damaged
not_ok "then it is restored as it is" python3 "$tools/ext_used.py" compare damaged.ext damaged
cp --sparse=always converted broken && ln -sf plain.ext broken.ext
root=$(btrfs inspect-internal dump-tree -t 2 broken 2>/dev/null | sed -n 's/^\(leaf\|node\) \([0-9]*\) .*/\2/p' | head -n 1)
printf 'changed' | dd of=broken bs=1 seek=$((root + 200)) conv=notrunc status=none
ok "the extent tree is damaged" "$BTRKIT" convert --rollback --dry-run broken
told "it is told that the losses are not known" "the extent tree cannot be read"
rolls_back "without an extent tree" broken
not_ok "no Btrfs" "$BTRKIT" convert --rollback --yes plain.ext
"$BTRKIT" mkfs -q --rootdir tree/dir made
truncate -s 200M made
refused "never converted" made "there is no subvolume with the id 256"

# --- Used by Linux ---------------------------------------------------------------------------------------------------------
if ! can_mount; then
	skip "after a mount" "needs root, loop devices and btrfs in the kernel"
	done_testing
fi
use() {
	cp -r tree/dir mnt/new && head -c 20000000 /dev/urandom >mnt/random && rm mnt/large && mv mnt/link mnt/dir && btrfs -q subvolume snapshot mnt mnt/snap &&
		btrfs -q subvolume create mnt/sub && echo hello >mnt/sub/file && btrfs filesystem sync mnt
}
cp --sparse=always converted used && ln -sf plain.ext used.ext
ok "mounted and used" btrfs_mount mnt "" "$scratch/used"
ok "with new files, a snapshot, fewer files" use
not_ok "not while it is mounted" "$BTRKIT" convert --rollback --yes used
told "what is in the way is told" mounted
echo fsynced >mnt/fsynced
sync mnt/fsynced
cp --sparse=always used unclean
ln -sf plain.ext unclean.ext
btrfs_umount mnt
ok "the plan after that" "$BTRKIT" convert --rollback --dry-run --json used
cp .out plan
is "something would be lost" "$(python3 -c 'import json; plan = json.load(open("plan"))
print(plan["lost_data_bytes"] >= 20000000, plan["changed_subvolumes"], plan["has_changes"], plan["generation_now"] > plan["generation_converted"])')" \
	"True 3 True True"
rolls_back "used" used
ok "a power cut, with a log" "$BTRKIT" log show unclean
rolls_back "used, with a log" unclean
manifest_of() {
	mkdir -p old && mount -t ext4 -o ro,loop,noload "$1" old && python3 "$tools/manifest" old >"$2" && umount old
}
ok "what Linux shows of the ext4" manifest_of plain.ext wanted
ok "and of that which was rolled back" manifest_of used got
ok "is the same" cmp wanted got

# --- Moved, changed, gone ---------------------------------------------------------------------------------------------------
# after COMMAND...: a copy of the converted filesystem in "changed", after the command in its mount
after() {
	rm -f changed
	cp --sparse=always converted changed && ln -sf plain.ext changed.ext && btrfs_mount mnt "" "$scratch/changed" && "$@"
	status=$?
	btrfs_umount mnt && return $status
}
balance_first() { btrfs balance start -dvrange=1048576..1048577 mnt; }
ok "the first chunk is moved by a balance" after balance_first
cp --sparse=always changed moved
refused "moved" changed "a balance has moved [0-9]* bytes of the image in 1 pieces, the first are the [0-9]* bytes at 1048576"
rolls_back "moved, with --relocate" changed --relocate
take_room() {
	balance_first && head -c 60000000 /dev/urandom >mnt/taken
}
ok "the room is taken" after take_room
refused "no room" changed "where they belong Btrfs has [0-9]* bytes" --relocate
delete_saved() { btrfs -q subvolume delete --commit-after mnt/ext2_saved; }
ok "the subvolume is deleted" after delete_saved
refused "deleted" changed "is gone: "
snapshot_only() { btrfs -q subvolume snapshot mnt/ext2_saved mnt/kept && delete_saved; }
ok "only a snapshot is left" after snapshot_only
refused "a snapshot is not enough" changed "is gone: "
replace_image() {
	cp --reflink=always mnt/ext2_saved/image mnt/copy && btrfs filesystem sync mnt &&
		dd if=/dev/urandom of=mnt/copy bs=4096 seek="$block" count=1 conv=notrunc status=none && mv -f mnt/copy mnt/ext2_saved/image
}
ok "the image is another file" after replace_image
refused "written to" changed "the image was changed after the conversion"
if "$BTRKIT" convert --rollback --dry-run converted 2>&1 | grep -q 'cannot be told'; then
	skip "a hole" "built without libext2fs"
else
	last=$(python3 "$tools/ext_used.py" ranges plain.ext | awk 'END { print $1 + $2 - 4096 }')
	cp --sparse=always converted changed
	ok "the last block in use, and what follows, is replaced by a hole" "$BTRKIT" edit truncate "$last" ext2_saved/image changed
	ok "which is as long" "$BTRKIT" edit truncate 256M ext2_saved/image changed
	refused "a block less" changed "it lacks 4096 bytes that the ext4 in it uses, the first at $last"
	cp --sparse=always converted changed
	ok "the image's end is replaced by a hole" "$BTRKIT" edit truncate 60M ext2_saved/image changed
	ok "as long as before" "$BTRKIT" edit truncate 256M ext2_saved/image changed
	# Which is in its journal, or further on.
	refused "a hole" changed "the image was changed after the conversion: "
fi
cp --sparse=always converted changed
ok "the image is cut short" "$BTRKIT" edit truncate 100M ext2_saved/image changed
refused "cut short" changed "the image has 104857600 bytes, the ext4 in it 268435456"
add_device() {
	truncate -s 300M other && loop_attach "$scratch/other" && added=$loops && btrfs device add -f "$added" mnt
}
ok "a device is added" after add_device
refused "a device more" changed "has 2 devices"
loop_detach $added
done_testing
