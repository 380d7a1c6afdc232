#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Building images through the library: equal bytes, exact sizes, refusals, what is left of earlier filesystems. No root.
. "${srcdir:-.}/tests/tap.sh"
mkimage=${builddir:-.}/tests/tools/mkimage
example=${builddir:-.}/Documentation/examples/make-from-memory
cd "$scratch" || exit 1
sum() { sha256sum <"$1"; }
# says TEXT ARGS...: mkimage fails with a line that has TEXT, and leaves no new.img.
says() {
	text=$1
	shift
	"$mkimage" "$@" >out 2>err && { fail "refused: $*"; return; }
	if grep -qF -- "$text" err && [ "$(wc -l <err)" = 1 ] && [ ! -e new.img ]; then
		pass "refused: $*"
	else
		fail "refused: $*"
		diagnose err
	fi
}
content="files=2000 file-bytes=9000 dirs=7 subvols=2"

# --- The same input gives the same bytes ---
for how in "" "compress=zlib" "features=quota data=raid1 metadata=raid1" "mixed=1"; do
	for threads in 1 2 5; do
		# shellcheck disable=SC2086
		"$mkimage" seed=s epoch=1500000000 threads=$threads $how $content t$threads.img t$threads.2.img >/dev/null 2>err || diagnose err
	done
	is "bytes do not depend on threads ($how)" "$(sum t1.img; sum t1.2.img)" "$(sum t2.img; sum t2.2.img)"
	is "bytes do not depend on threads ($how), 5" "$(sum t1.img; sum t1.2.img)" "$(sum t5.img; sum t5.2.img)"
	rm -f t*.img
done
"$mkimage" seed=a epoch=1 a.img >/dev/null
"$mkimage" seed=b epoch=1 b.img >/dev/null
is "another seed gives another filesystem" "$(cmp -s a.img b.img && echo same)" ""
"$mkimage" a.img force=1 size=40m >/dev/null
"$mkimage" a.img force=1 seed=a epoch=1 shrink=1 >/dev/null
"$mkimage" a2.img seed=a epoch=1 shrink=1 >/dev/null
is "over an older filesystem the bytes are the same" "$(sum a.img)" "$(sum a2.img)"
rm -f a.img a2.img b.img

# --- Exact fit ---
# shellcheck disable=SC2086
for how in "" "nodesize=4k" "mixed=1" "data=dup metadata=single" "sectorsize=16k"; do
	"$mkimage" $how $content new.img >out 2>err || diagnose err
	need=$(sed -n 's/^needed_bytes //p' out)
	is "the file is as long as the plan says ($how)" "$(stat -c %s new.img)" "$need"
	rm new.img
	ok "fits into exactly so much ($how)" "$mkimage" $how $content size="$need" new.img
	rm -f new.img
	says "does not fit: $need bytes needed, $((need - 65536)) there" $how $content size=$((need - 65536)) new.img
done
"$mkimage" dry-run=1 $content size=1g new.img >out
ok "a dry run says what would be needed" grep -q '^needed_bytes [1-9]' out
is "and makes nothing" "$(ls new.img 2>/dev/null)" ""

# --- Refusals, before anything is written ---
says "node size 5000 is not" nodesize=5000 new.img
says "is smaller than the sector size" nodesize=4k sectorsize=8k new.img
says "mixed block groups need equal" mixed=1 nodesize=16k new.img
says "mixed block groups have one profile" mixed=1 data=dup metadata=single new.img
says "needs 2 devices, 1 given" data=raid1 new.img
says "needs 4 devices, 3 given" metadata=raid1c4 new.img new2.img new3.img
says 'profile "raid7" is not known' data=raid7 new.img
says 'feature "nonsense" is not known' features=nonsense new.img
says "zoned is not supported" features=zoned new.img
says "block-group-tree needs" features=^free-space-tree,block-group-tree new.img
says "exclude each other" features=quota,squota new.img
says "squota needs skinny-metadata" features=squota,^skinny-metadata new.img
says 'checksum "md5" is not known' csum=md5 new.img
says 'compression "rar" is not known' compress=rar new.img
says 'has no level "99"' compress=zlib:99 new.img
says "is not a UUID" fsid=123 new.img
says "single device only" device-uuid=01234567-89ab-cdef-0123-456789abcdef new.img new2.img
says "is not a multiple of 4096" offset=100 new.img
says "are the same device" new.img new.img
says "are the same device" new.img ./new.img
says "cannot open" nowhere/new.img
says "neither a block device nor a regular file" .
says "the label is 256 bytes long" label="$(printf '%0256d' 0)" new.img

# --- What was there before ---
truncate -s 300M old.img
"$mkimage" old.img >/dev/null
before=$(sum old.img)
says "contains btrfs" old.img
is "a refused target keeps its bytes" "$(sum old.img)" "$before"
"$mkimage" force=1 size=40m old.img >/dev/null
is "no superblock is left behind the new end" "$(tail -c +$((64 * 1024 * 1024 + 1)) old.img | head -c 4096 | tr -d '\000' | wc -c)" 0
is "a file is not cut without being asked" "$(stat -c %s old.img)" $((300 * 1024 * 1024))
"$mkimage" force=1 shrink=1 old.img >out
is "it is with shrink" "$(stat -c %s old.img)" "$(sed -n 's/^total_bytes //p' out)"

# --- A full disk ---
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=20m none small 2>/dev/null; then
	not_ok "a full disk is an error" "$mkimage" $content file-bytes=20000 small/new.img
	is "and leaves nothing" "$(ls small)" ""
	umount small
else
	skip "a full disk" "needs root and tmpfs"
fi

# --- The example ---
ok "example make-from-memory" "$example" example.img
if command -v btrfs >/dev/null; then
	ok "its image is sound" btrfs check --readonly --check-data-csum example.img
else
	skip "its image is sound" "btrfs-progs are not installed"
fi
done_testing
