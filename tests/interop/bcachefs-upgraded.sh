#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A volume of bcachefs of 2020 that a newer version had begun to upgrade when it crashed: its superblock is of the new version, and the journal
# and all btrees are as they were, without snapshots in their keys. It is read as before.
. "${srcdir:-.}/tests/tap.sh"
here=$(cd "${srcdir:-.}" && pwd)
fixtures=${BTRKIT_SHARED:-$srcdir/../shared}/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "there are no images of bcachefs (BTRKIT_SHARED)"
need_program xz python3
cd "$scratch" || exit 1

xz -dc "$fixtures/v11-unclean-many/image.img.xz" | cp --sparse=always /dev/stdin old.img
ok "as it was" sh -c '"$0" ls --recursive --long old.img >old.list' "$BTRKIT"
is "it has files" "$([ "$(wc -l <old.list)" -gt 1000 ] && echo yes)" yes
for version in 12 1055; do
	cp --sparse=always old.img new.img
	ok "$version: the upgrade is begun" python3 "$here/tests/tools/bcachefs_change_super.py" new.img version=$version
	ok "$version: names and inodes" sh -c '"$0" ls --recursive --long new.img >new.list' "$BTRKIT"
	ok "$version: are as they were" cmp old.list new.list
	ok "$version: nodes, data and links are right" "$BTRKIT" check --data new.img
done
done_testing
