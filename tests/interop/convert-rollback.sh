#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What was converted with each option, and used by Linux, becomes again what it was: every block that was in use, and every file.
. "${srcdir:-.}/tests/tap.sh"
need_mount ext4
need_mount btrfs
need_program mke2fs dumpe2fs debugfs python3 btrfs e2fsck fallocate
. "$srcdir/tests/interop/conversion_steps.sh"

comes_back() { # WHAT
	ok "$1: rolled back" "$BTRKIT" convert --rollback --yes fs
	ok "$1: every used block is as it was" python3 "$tools/ext_used.py" compare fs.ext fs
	ok "$1: e2fsck finds nothing" e2fsck -fn fs
	ok "$1: Linux shows the same" list_ext fs after
	ok "$1: to the last" same_list before after
}
write_some() {
	btrfs_mount mnt "" "$scratch/fs" || return 1
	rm -rf mnt/size-5000000 mnt/deep && head -c 3000000 /dev/urandom >mnt/written && cp -r mnt/removed-from mnt/copy &&
		btrfs -q subvolume snapshot mnt mnt/snapshot
	written_status=$?
	btrfs_umount mnt && return $written_status
}
source_of() { make_ext fs.ext "$@" && fill_ext fs.ext all 300 && list_ext fs.ext before; }
# there_and_back OPTIONS...
there_and_back() {
	cp --sparse=always fs.ext fs
	ok "$*: converted" "$BTRKIT" convert "$@" fs
	case " $* " in *" -i "*) ;; *) ok "$*: every file is as it was" shows fs before ;; esac
	ok "$*: nothing is wrong" clean fs
	ok "$*: used" write_some
	ok "$*: nothing is wrong after that" clean fs
	comes_back "$*"
}
ok "made" source_of 200m -t ext4 -L name
there_and_back --no-datasum --no-inline
there_and_back -N 65536 --csum sha256 -O ^block-group-tree,^free-space-tree --uuid copy -L
there_and_back -m single --csum blake2 --verify meta --uuid 01234567-89ab-cdef-0123-456789abcdef -l label
# Targets that do not fit into a leaf of 4 KiB.
long_links() {
	mount -o loop fs.ext ext && find ext -type l -size +3000c -delete
	umount ext && list_ext fs.ext before
}
cp --sparse=always fs.ext fs
not_ok "nodes of 4 KiB: refused for long link targets" "$BTRKIT" convert -i -N 4096 fs
ok "nothing was changed" cmp fs.ext fs
ok "without these" long_links
there_and_back -i -N 4096 --csum xxhash -O ^no-holes
is "the UUID is kept by a rollback" "$(blkid -p -o value -s UUID fs)" "$(blkid -p -o value -s UUID fs.ext)"

small() { make_ext fs.ext 48m -t ext4 -O ^has_journal -N 1000 && mount -o loop fs.ext ext && cp -r /usr/share/doc/bash* ext/ &&
	head -c 3000000 /dev/urandom >ext/data; umount ext && list_ext fs.ext before; }
ok "smaller than where the second superblock would be" small
cp --sparse=always fs.ext fs
ok "small: converted" "$BTRKIT" convert fs
ok "small: every file is as it was" shows fs before
ok "small: nothing is wrong" clean fs
comes_back small

# Threads change nothing; the time and random UUIDs do.
ok "one thread" sh -c 'cp --sparse=always fs.ext a && "$BTRKIT" convert --threads 1 a'
ok "four threads" sh -c 'cp --sparse=always fs.ext b && "$BTRKIT" convert --threads 4 b'
layout_of() { btrfs inspect-internal dump-tree -t chunk "$1" | grep -E 'item|stripe [0-9]|length' ; btrfs inspect-internal dump-tree -t fs "$1" | grep 'item '; }
layout_of a >a.layout 2>/dev/null
layout_of b >b.layout 2>/dev/null
ok "there is a layout" test -s a.layout
ok "both are laid out alike" cmp a.layout b.layout
done_testing
