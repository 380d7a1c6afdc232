#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# ext4 as a power cut leaves it, with a journal that was not replayed, becomes Btrfs: its files are those that a mount of the old
# filesystem would have shown. It is rolled back to what it was, byte for byte, with its journal, which can be replayed then.
# What is in use is what the journal says: blocks that it frees are no longer kept.
. "${srcdir:-.}/tests/tap.sh"
need_mount ext4
need_mount btrfs
need_program mke2fs dumpe2fs debugfs python3 btrfs e2fsck fallocate
. "$srcdir/tests/interop/conversion_steps.sh"

# crash OPTIONS MKE2FS-OPTIONS...: a copy of a mounted filesystem in cut.ext, in the midst of what is done to it; after Linux has
# replayed it, what it shows in "replayed".
crash() {
	options=$1
	shift
	make_ext live 200m "$@" || return 1
	mount -o "loop,commit=300,$options" live ext || return 1
	python3 "$tools/ext_fill.py" all ext 300 2>.err || diagnose .err
	sync -f ext
	mkdir ext/later
	for i in 1 2 3 4 5; do echo "after $i" >"ext/later/$i"; rm -f "ext/time-$i"; done
	mv ext/size-300000 ext/later/moved
	ln ext/size-60 ext/later/linked
	rm -r ext/many
	# Open, but deleted: a mount lets it go.
	exec 9>ext/deleted
	head -c 200000 /dev/urandom >&9
	sync -f ext
	rm ext/deleted
	dd if=/dev/urandom of=ext/size-49153 bs=4096 seek=3 count=20 conv=notrunc 2>/dev/null
	truncate -s 1000000 ext/size-5000000
	head -c 3000000 /dev/urandom >ext/later/written
	python3 -c 'import os
for path in ("ext/later", "ext/size-49153", "ext/later/written"): os.fsync(os.open(path, os.O_RDONLY))'
	# and what no one has waited for
	head -c 3000000 /dev/urandom >ext/later/lost
	rm ext/fragments
	cp --sparse=always live cut.ext
	exec 9>&-
	umount ext
	cp --sparse=always cut.ext using
	e2fsck -E journal_only -fy using >.fsck 2>&1
	replay cut.ext replayed
}
# replay IMAGE LIST
replay() {
	cp --sparse=always "$1" copy
	mount -o loop copy ext && umount ext && list_ext copy "$2"
}
journal_is_needed() { dumpe2fs -h "$1" 2>/dev/null | grep -q needs_recovery; }
rolls_back() {
	ok "$1: it says that it can be rolled back" "$BTRKIT" convert --rollback --dry-run cut
	ok "$1: rolled back" "$BTRKIT" convert --rollback --yes cut
	ok "$1: every used block is as it was" python3 "$tools/ext_used.py" compare cut.ext cut using
	ok "$1: the journal is still needed" journal_is_needed cut
	ok "$1: Linux replays it" replay cut after
	ok "$1: and shows the same" same_list replayed after
	e2fsck -fy cut >.fsck 2>&1
	ok "$1: e2fsck replays it, too, and finds no more" e2fsck -fn cut
	ok "$1: and what it leaves is the same" list_ext cut after
	ok "$1: to the last" same_list replayed after
}
cut() {
	name=$1
	shift
	ok "$name: a crash" crash "$@"
	ok "$name: its journal is needed" journal_is_needed cut.ext
	cp --sparse=always cut.ext cut
	ok "$name: converted" "$BTRKIT" convert cut
	cp .out said
	ok "$name: the journal was read" grep -q '^journal: ' said
	ok "$name: what came last is there" grep -q '^later/5' replayed
	ok "$name: its files are those after the replay" shows cut replayed
	ok "$name: nothing is wrong" clean cut
	cp --sparse=always cut converted
	rolls_back "$name"
	cp --sparse=always converted cut
	ok "$name: Linux uses it" used_a_little cut
	rolls_back "$name, used"
}
used_a_little() {
	btrfs_mount mnt "" "$scratch/$1" || return 1
	scrubbed && python3 "$tools/ext_fill.py" unflagged mnt && rm -rf mnt/names mnt/size-5000000 mnt/later/moved &&
		head -c 9000000 /dev/urandom >mnt/written && btrfs -q subvolume snapshot mnt mnt/snapshot
	little_status=$?
	btrfs_umount mnt && return $little_status
}
cut "ordered data" data=ordered -t ext4
cut "journaled data" data=journal -t ext4
[ -n "$BTRKIT_TEST_ALL" ] || done_testing
cut "ext3" data=ordered -t ext3
cut "ext3, journaled data" data=journal -t ext3
cut "written back" data=writeback -t ext4
cut "orphan_file" data=ordered -t ext4 -O orphan_file
cut "no checksums" data=journal -t ext4 -O ^metadata_csum,^64bit
cut "checksums of the journal" data=ordered,journal_checksum -t ext4 -O ^metadata_csum
cut "inline data" data=journal -t ext4 -O inline_data
ok "fast commits: a crash" crash data=ordered -t ext4 -O fast_commit
cp --sparse=always cut.ext cut
not_ok "fast commits: refused" "$BTRKIT" convert cut
cp .out said
ok "fast commits: with the reason" grep -q 'only Linux and e2fsck replay' said
ok "fast commits: nothing was changed" cmp cut.ext cut
cut "bigalloc" data=ordered -t ext4 -O bigalloc
done_testing
