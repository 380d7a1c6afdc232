#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Contents of small files are kept in a temporary file while a directory is scanned. The image is the same when there can
# be none, and each file is read when its turn comes.
. "${srcdir:-.}/tests/tap.sh"
cd "$scratch" || exit 1
python3 "$srcdir/tests/tools/gentree.py" tiny tree 3000 2>/dev/null
# One folder with more than a block of small files, whose names sort unlike the order they are made in; sizes around
# the limit; links; holes.
mkdir tree/wide
python3 - <<'END'
import os
for i in range(1200):
    with open('tree/wide/%03x-%d' % (i * 7919 % 4096, i), 'wb') as f:
        f.write(bytes([i % 251 + 1]) * (2040 + i % 12))
for i in range(100):
    os.link('tree/wide/%03x-%d' % (i * 7919 % 4096, i), 'tree/wide/z%d' % i)
for size in (0, 1, 2047, 2048, 2049):
    with open('tree/hole%d' % size, 'wb') as f:
        f.truncate(size)
END

# image TMPDIR ARGS...
image() {
	image_tmpdir=$1
	shift
	rm -f image
	TMPDIR=$image_tmpdir "$BTRKIT" mkfs -q --seed s --rootdir tree "$@" image 2>err || echo "failed ($image_tmpdir $*): $(cat err)"
	[ ! -e image ] || sha256sum <image
}

mkdir tmp
for threads in 1 4; do
	is "with and without a temporary file, $threads threads" "$(image "$scratch/tmp" --threads $threads)" \
		"$(image "$scratch/none" --threads $threads)"
done
is "nothing is left behind" "$(ls -A tmp)" ""
if witness=$(python3 "$srcdir/tests/tools/btrfsread.py" verify image 2>&1); then
	pass "the image is sound"
else
	fail "the image is sound"
	echo "$witness" >err
	diagnose err
fi

# In a temporary folder with room for some of them.
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=600k none small 2>err; then
	is "with a full temporary folder" "$(image "$scratch/small")" "$(image "$scratch/tmp")"
	umount small
else
	skip "with a full temporary folder" "cannot mount a tmpfs: $(cat err)"
fi

# A small file that cannot be opened is named, and left out when that is wanted.
chmod 000 tree/wide/000-0
if [ "$(id -u)" = 0 ]; then
	chmod 755 "$scratch"
	chmod -R o+rwX tree tmp
	chmod 000 tree/wide/000-0
	as_user="setpriv --reuid 65534 --regid 65534 --clear-groups"
else
	as_user=
fi
if $as_user true 2>/dev/null && $as_user "$BTRKIT" mkfs --version >/dev/null 2>&1; then
	# shellcheck disable=SC2086
	$as_user "$BTRKIT" mkfs -q --rootdir tree tmp/image 2>err && fail "an unreadable small file is an error" ||
		is "an unreadable small file is an error" "$(grep -c 'wide/000-0: cannot open\|wide/000-0: cannot read' err)" 1
	chmod 777 tmp
	# shellcheck disable=SC2086
	$as_user "$BTRKIT" mkfs -q --ignore-unreadable --rootdir tree tmp/image 2>err
	is "an unreadable small file is left out" "$(grep -c 'wide/000-0.*left out' err)" 1
else
	skip "an unreadable small file" "cannot become another user, or the program cannot be run as one"
fi
done_testing
