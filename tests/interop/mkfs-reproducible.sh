#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The same content and --seed give the same bytes: again, with any number of threads, from directories whose entries lie
# in another order on another host, from archives, with and without compression. Needs neither root nor a kernel.
. "${srcdir:-.}/tests/tap.sh"
need_program python3 tar cpio setfattr xz
tools=$srcdir/tests/tools
cd "$scratch" || exit 1
unset SOURCE_DATE_EPOCH
sum() {
	sha256sum <"$1" 2>&1
	rm -f "$1"
}
# image NAME options...: sum of what is made.
image() {
	"$BTRKIT" mkfs -q "$@" new.img >out 2>&1 || diagnose out >&2
	sum new.img
}

python3 "$tools/gentree.py" small tree 150 2>/dev/null || fail "a source"
mkfifo tree/fifo && touch -d @1500000000.5 tree/fifo tree
# The same files, made in another order, in directories that are not where they were.
python3 - tree other <<'PY'
import os, random, shutil, sys
source, copy = sys.argv[1:]
names = []
for folder, folders, files in os.walk(source):
    names += [os.path.relpath(os.path.join(folder, n), source) for n in files + folders]
random.Random(3).shuffle(names)
names.sort(key=lambda n: n.count('/'))
first = {}
os.mkdir(copy)
for name in names:
    old, new = os.path.join(source, name), os.path.join(copy, name)
    s = os.lstat(old)
    if os.path.islink(old):
        os.symlink(os.readlink(old), new)
    elif os.path.isdir(old):
        os.mkdir(new)
    elif s.st_ino in first:
        os.link(first[s.st_ino], new)
    elif not os.path.isfile(old):
        os.mkfifo(new)
    else:
        first[s.st_ino] = new
        with open(old, 'rb') as a, open(new, 'wb') as b:
            at = 0
            while at < s.st_size:
                try:
                    at = os.lseek(a.fileno(), at, os.SEEK_DATA)
                except OSError:
                    break
                end = os.lseek(a.fileno(), at, os.SEEK_HOLE)
                os.pwrite(b.fileno(), os.pread(a.fileno(), end - at, at), at)
                at = end
            b.truncate(s.st_size)
for name in names + ['.']:
    old, new = os.path.join(source, name), os.path.join(copy, name)
    shutil.copystat(old, new, follow_symlinks=False)
    s = os.lstat(old)
    if os.geteuid() == 0:
        os.chown(new, s.st_uid, s.st_gid, follow_symlinks=False)
        shutil.copystat(old, new, follow_symlinks=False)
for name in sorted(names + ['.'], reverse=True):
    s = os.lstat(os.path.join(source, name))
    os.utime(os.path.join(copy, name), ns=(s.st_mtime_ns, s.st_mtime_ns), follow_symlinks=False)
PY
ok "both trees are alike" sh -c "python3 '$tools/manifest' --holes tree >a && python3 '$tools/manifest' --holes other >b && cmp a b"

for how in "" "--compress zlib" "--compress zlib:9" "--compress lzo" "--compress zstd" "--compress zstd:15" \
	"-n 4k --csum sha256 -O ^no-holes,quota" "--mixed --compress zstd" "-b 600M -d dup" "--subvol rw:d1 --subvol default-ro:d2"; do
	wanted=$(image --seed one $how --threads 1 -r tree)
	for threads in 1 2 7; do
		is "again, with $threads threads ($how)" "$(image --seed one $how --threads $threads -r tree)" "$wanted"
	done
	is "from the other tree ($how)" "$(image --seed one $how -r other)" "$wanted"
done
plain=$(image --seed one -r tree)
not_ok "another seed, other bytes" test "$(image --seed two -r tree)" = "$plain"
sleep 1.1
is "later" "$(image --seed one -r tree)" "$plain"
is "elsewhere in time and space" "$(TZ=Asia/Tokyo LC_ALL=C TMPDIR=$scratch image --seed one -r "$scratch/./other/")" "$plain"
find tree -type f -exec touch -a {} +
is "after every file was read" "$(image --seed one -r tree)" "$plain"
is "to a file that exists" "$(: >new.img && image --seed one -f -r tree)" "$plain"

# From archives. Their entries have no change times, so the epoch takes the place of these.
export SOURCE_DATE_EPOCH=1600000000
for how in "" "--compress zstd"; do
	wanted=$(image --seed one $how -r tree)
	tar --format=posix --sparse --xattrs --numeric-owner -C other -cf tree.tar . 2>err || diagnose err
	is "from tar ($how)" "$(image --seed one $how -r tree.tar)" "$wanted"
	is "from tar on standard input ($how)" "$("$BTRKIT" mkfs -q --seed one $how -r - new.img <tree.tar && sum new.img)" "$wanted"
	tar --format=posix --sparse --xattrs --sort=name --numeric-owner -C tree -cf - . | xz -0 >tree.tar.xz
	is "from tar.xz ($how)" "$(image --seed one $how -r tree.tar.xz)" "$wanted"
done
# Formats that know less, of a tree that has no more.
mkdir few && cp -a tree/d1 tree/d2 tree/file-00[1-4]* few && ln -P few/d1/file-0010.symbolic few/zz || fail "a source"
find few -type f -exec setfattr -x user.note {} + 2>/dev/null
find few -exec touch -h -d @1500000000 {} +
wanted=$(image --seed one -r few)
for format in newc crc; do
	(cd few && find . -print0 | sort -z | cpio --quiet -0o -H $format) >few.cpio
	is "from cpio ($format)" "$(image --seed one -r few.cpio)" "$wanted"
done
for format in gnu ustar; do
	tar --format=$format --numeric-owner -C few -cf few.tar .
	is "from $format tar" "$(image --seed one -r few.tar)" "$wanted"
done
unset SOURCE_DATE_EPOCH

# Nothing of the clock without a seed when the epoch is given, but for the ids.
export SOURCE_DATE_EPOCH=1234567890
"$BTRKIT" mkfs -q -r tree new.img
if python3 "$tools/btrfsread.py" manifest new.img >got 2>err; then
	newest=$(cut -f2 got | awk '{ if ($7 > max) max = $7 } END { printf "%d", max / 1e9 }')
	ok "no time is later than SOURCE_DATE_EPOCH" test "$newest" -le 1234567890
else
	fail "no time is later than SOURCE_DATE_EPOCH"
	diagnose err
fi
done_testing
