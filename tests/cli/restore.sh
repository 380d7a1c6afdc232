#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# `btrkit restore` from images that btrkit made: what is extracted and where to, what is refused, what is said about damage.
. "${srcdir:-.}/tests/tap.sh"
need_program python3
tools=$srcdir/tests/tools
cd "$scratch" || exit 1
restore() { "$BTRKIT" restore --no-scan "$@"; }
manifest() { python3 "$tools/manifest" "$@"; }
# gives STATUS NAME ARGUMENTS...: the exit status of restore with these; its output in out and err.
gives() {
	expected=$1
	name=$2
	shift 2
	restore "$@" >out 2>err
	got=$?
	is "$name: exit status" $got "$expected"
	[ $got = "$expected" ] || diagnose err
}
# extracted NAME FROM TO: the two folders hold the same.
extracted() {
	manifest "$2" >wanted
	manifest "$3" >found
	ok "$1" python3 "$tools/manifest" diff wanted found
}
said() { ok "$1: it is said" grep -qE "$2" err; }

python3 "$tools/gentree.py" small src 60 2>/dev/null
mkdir -p src/photos/old && echo hello >src/photos/one && ln src/photos/one src/photos/old/two && ln -s ../one src/photos/old/link
mkfifo -m 600 src/pipe
"$BTRKIT" mkfs -q --rootdir src --subvol d3 --subvol ro:d4 image || skip_all "no image could be made"

# --- What goes where ---
gives 0 "everything" image all
extracted "the same files" src all
is "the summary" "$(cat out)" "Restored $(find src -type f -printf '%i\n' | sort -u | wc -l) files ($(sed 's/.*files (\(.*\)), .*/\1/' out)), $(find src -mindepth 1 -type d | wc -l) directories, $(($(find src -type f | wc -l) - $(find src -type f -printf '%i\n' | sort -u | wc -l))) hard links, $(find src ! -type f ! -type d | wc -l) others; 0 errors."
is "hard links stay links" "$(stat -c %i all/photos/one)" "$(stat -c %i all/photos/old/two)"
ok "holes stay holes" test "$(stat -c %b all/sparse)" -lt 2000
mkdir empty && chmod 700 empty
gives 0 "into an empty directory" image empty
extracted "an empty directory becomes the top" src empty
mkdir -m 1777 inhabited && touch -d @1000000000 inhabited/mine inhabited
gives 0 "into a directory with something else in it" image inhabited
is "which stays what it was" "$(stat -c %a inhabited) $(cat inhabited/mine)" "1777 "
is "and gets all files" "$(find inhabited | wc -l)" "$(($(find src | wc -l) + 1))"

gives 0 "--path of a directory" --path photos image photos
extracted "what it holds" src/photos photos
gives 0 "--path of a file, to a new name" --path /photos/one image new
is "its contents" "$(cat new)" hello
mkdir into
gives 0 "--path of a file, into a directory" --path photos/old/two image into
is "its contents there" "$(cat into/two)" hello
gives 0 "--path through a link of directories" --path photos/old/../old/link image into
is "a link is extracted as one" "$(readlink into/link)" ../one
gives 1 "--path of nothing" --path photos/none image none
is "nothing: one line" "$(cat err)" "btrkit restore: error: photos/none: No such file or directory"
gives 1 "--path of a file as a directory" --path photos/one/ image none
is "no directory: one line" "$(cat err)" "btrkit restore: error: photos/one/: Not a directory"
gives 1 "a destination in no directory" --path photos/one image none/here
gives 0 "--subvol" --subvol d3 image d3
extracted "a subvolume" src/d3 d3
gives 0 "--subvol by id" --subvol 256 --path / image by-id
extracted "the subvolume of an id" src/d3 by-id
gives 1 "a subvolume that is not there" --subvol 999 image none
gives 0 "--no-subvolumes" --no-subvolumes image flat
is "subvolumes are left out" "$(ls -d flat/d*)" "$(ls -d src/d* | sed -e 's/src/flat/' -e '/d[34]$/d')"
is "nothing was made for what failed" "$(ls -d none 2>/dev/null)" ""

# --- What is there already ---
rm all/file-0000 && echo mine >all/file-0000 && chmod 600 all/file-0000
cp -a all before
gives 1 "over an earlier one" image all
said "what exists" '^btrkit restore: error: photos: cannot be made: File exists$'
is "a line for each, no more" "$(wc -l <err)" "$(find src -mindepth 1 -maxdepth 1 | wc -l)"
extracted "nothing has changed" before all
# The first name of a file is taken by another one: its second name must not become a link to that.
mkdir taken && echo other >taken/one
restore --path photos image taken >out 2>err
is "a name that is taken leads no other name astray" "$(cat taken/one) $(cat taken/old/two)" "other hello"
gives 0 "--overwrite" --overwrite image all
extracted "all is as in the image" src all
mkdir elsewhere && echo safe >elsewhere/one && rm -r all/photos && ln -s "$scratch/elsewhere" all/photos
rm all/file-0008 && ln -s "$scratch/elsewhere/one" all/file-0008
gives 1 "--overwrite where a link is in the way" --overwrite image all
said "the link" 'error: photos: cannot be opened'
is "links are not followed" "$(cat elsewhere/one) $(ls elsewhere)" "safe one"
ok "a link is replaced by the file" cmp all/file-0008 src/file-0008
mkfifo blocking && mkdir fifo && mv blocking fifo/one
gives 0 "--overwrite of a fifo" --overwrite --path photos/one image fifo
ok "the fifo is replaced" cmp fifo/one src/photos/one

# --- Looking only ---
contents() { find all -printf '%p %i %s %m %T@ %C@\n'; }
contents >was
gives 0 "--dry-run" --dry-run image all
contents >is
ok "--dry-run lists every name" test "$(sort out)" = "$(cd src && find . -mindepth 1 | sed 's|^\./||' | sort)"
ok "--dry-run changes nothing" cmp was is
gives 0 "--dry-run into nowhere" --dry-run image nowhere
is "--dry-run makes no destination" "$(ls -d nowhere 2>/dev/null)" ""
# json NAME EXPRESSION: standard output is one JSON object, of which this holds.
json() { ok "$1" python3 -c "import json, sys; r = json.load(open('out')); sys.exit(not ($2))"; }
gives 0 "--json" --json image js
json "--json: one object" "r['schema'] == 'btrkit-restore-1' and r['errors'] == 0 and r['files'] > 40 and not r['dry_run']"
is "--json: nothing else is said" "$(cat err)" ""
gives 1 "--json with errors" --json image js
json "--json: errors are counted" "r['errors'] == $(wc -l <err)"
gives 0 "--json --dry-run" --json --dry-run image js
json "--json --dry-run" "r['dry_run'] and r['bytes'] == 0"
gives 2 "--json --verbose" --json --verbose image js
gives 0 "--verbose" --verbose image verbose
is "--verbose lists" "$(wc -l <out)" "$(($(find src -mindepth 1 | wc -l) + 1))"
gives 0 "--quiet" --quiet image quiet
is "--quiet says nothing" "$(cat out err)" ""
gives 0 "one thread" --threads 1 image one-thread
extracted "one thread does the same" src one-thread

# --- Damage ---
damage() { python3 "$tools/damage" "$@"; }
python3 - <<'PY'
import os
os.mkdir('data')
for i in range(300):
    with open('data/%s-%03d' % ('n' * 100, i), 'wb') as f:
        f.write(b'%03d' % i * 30)
with open('data/large', 'wb') as f:
    for i in range(40000):
        f.write(b'block %08d ' % i * 30)
PY
cp data/large data/second
"$BTRKIT" mkfs -q --rootdir data -m single -n 4k good || fail "an image of data"
cp good bad && ok "three places of a file are spoilt" damage text "block 00010000 " bad
gives 1 "a file with bad data" bad some
said "which file" 'error: (large|second): [0-9]+ bytes cannot be read: data at [0-9]+: the checksum matches none of 1 copies'
is "a line for each file" "$(grep -c 'error: ' err)" 2
cmp -l data/large some/large | awk '{ print int(($1 - 1) / 4096) }' | sort -u >units
ok "only units with a bad byte are lost" test "$(wc -l <units)" -le 2 -a -s units
rm -f some/large some/second
cp -a data data.1 && rm data.1/large data.1/second && touch -r data data.1 some
extracted "the rest is the same" data.1 some
gives 0 "--ignore-csums" --ignore-csums bad anyhow
is "--ignore-csums: the bad bytes come along" "$(cmp -l data/large anyhow/large | wc -l)" 30
gives 1 "cat of it" bad none.1
"$BTRKIT" cat --no-scan --path large bad >out 2>err
is "cat: exit status" $? 1
ok "cat: what is before the bad place" cmp -n "$(stat -c %s out)" out data/large
is "cat: that is up to its sector" "$(stat -c %s out)" $(($(head -n 1 units) * 4096))

cp good bad && damage leaves 5 18 19 bad >leaves
gives 1 "with bad leaves" bad rest
for leaf in $(cat leaves); do said "leaf $leaf" "block $leaf, copy 1: checksum does not match"; done
said "files may be missing" 'error: /: parts of the directory cannot be read, files may be missing|no inode|checksum does not match'
ok "most files are there" test "$(ls rest | wc -l)" -gt 200
bad_files=0
for file in $(ls rest); do cmp -s "rest/$file" "data/$file" || bad_files=$((bad_files + 1)); done
is "and whole" $bad_files 0
cp good bad && damage leaves 5 0 0 bad >leaves
gives 1 "without the top's own inode" bad orphaned
ok "what its other leaves name is there" test "$(ls orphaned | wc -l)" -gt 200
cp good bad && damage leaves 5 -3 -3 bad >leaves
gives 1 "with a bad leaf of a file's map" bad mapless
ok "the size stays" test "$(stat -c %s mapless/second)" = "$(stat -c %s data/second)"
cp good bad && damage leaves 7 0 -1 bad >leaves
gives 1 "without checksums" bad unverified
gives 0 "without checksums, --ignore-csums" --ignore-csums bad unverified-2
extracted "and without checksums all is there" data unverified-2

# --- Names that lead elsewhere ---
mkdir names && echo evil >names/abcdefgh && echo good >names/other
"$BTRKIT" mkfs -q --rootdir names named
find . -mindepth 1 ! -path './names*' ! -path './out' ! -path './err' | sort >before.list
for evil in '../../ab' '/tmp/abc' 'a/b/../c' '.......'; do
	[ "$evil" != ....... ] || evil=$(printf 'ab\001defgh')
	cp named bad
	name=$evil
	[ ${#evil} = 8 ] || name=abcdefgh
	damage name 96 abcdefgh "$name" bad || fail "a name becomes $evil"
	mkdir -p cage/inner
	restore bad cage/inner/dest >out 2>err
	status=$?
	case $evil in
	*/*) is "a name like $evil: refused" $status 1 && said "a name like $evil" 'error: ' ;;
	esac
	is "nothing outside" "$(find cage -mindepth 1 -maxdepth 2 ! -path cage/inner ! -path 'cage/inner/dest')" ""
	rm -rf cage bad
done
mkdir two && echo evil >two/xy && echo good >two/other && "$BTRKIT" mkfs -q --rootdir two named.2
for type in 96 84 12; do
	cp named.2 bad && damage name $type xy .. bad
	gives 1 "\"..\" in items of type $type" bad dots-$type
	said "\"..\" in items of type $type" '"?\.\."?|hash|name'
done

# --- Depth ---
if python3 - <<'PY'
import os, sys
os.mkdir('deep')
fd = os.open('deep', os.O_RDONLY)
with open('deep/first', 'w') as f:
    f.write('linked')
top = fd
for i in range(3000):
    os.mkdir('dir', dir_fd=fd)
    fd, old = os.open('dir', os.O_RDONLY, dir_fd=fd), fd
    if old != top:
        os.close(old)
os.link('first', 'last', src_dir_fd=top, dst_dir_fd=fd)
PY
then
	ok "a deep tree: image" "$BTRKIT" mkfs -q --rootdir deep deep.img
	gives 0 "a deep tree" deep.img deep.out
	is "a deep tree: all of it" "$(find deep.out -type d | wc -l) $(stat -c %h deep.out/first)" "3001 2"
	"$BTRKIT" ls --no-scan -R deep.img >out 2>err
	is "ls of a deep tree" "$? $(grep -c '^dir$' out)" "0 3000"
fi

# --- Signals ---
# The list goes into a pipe that nobody reads yet: restore waits in the middle of its work when the signal comes. It was
# started by a shell in the background, so that it had SIGINT ignored.
python3 - <<'PY'
import os
os.mkdir('many')
for i in range(1500):
    with open('many/%s-%04d' % ('n' * 150, i), 'w') as f:
        f.write('contents of %d' % i)
PY
"$BTRKIT" mkfs -q --rootdir many many.img || fail "an image of many files"
for signal in INT TERM; do
	mkfifo "pipe-$signal"
	# Once there are more than a batch of files, one batch is whole.
	timeout 60 sh -c 'exec 3<"$1"; until [ "$(ls "stopped-$2" 2>/dev/null | wc -l)" -gt 256 ]; do sleep .1; done
		kill -$2 $(cat pid) && exec cat <&3 >/dev/null' sh "pipe-$signal" $signal &
	reader=$!
	"$BTRKIT" restore --no-scan -v many.img "stopped-$signal" >"pipe-$signal" 2>err &
	echo $! >pid
	wait "$(cat pid)"
	is "SIG$signal: exit status" $? 1
	ok "SIG$signal: it is said" grep -qx 'btrkit restore: error: stopped; what was extracted so far is kept' err
	wait $reader
	bad_files=0
	for file in "stopped-$signal"/*; do cmp -s "$file" "many/${file##*/}" || bad_files=$((bad_files + 1)); done
	is "SIG$signal: what is there is whole" $bad_files 0
	ok "SIG$signal: something is" test "$(ls "stopped-$signal" | wc -l)" -ge 256
	ok "SIG$signal: not everything is" test "$(ls "stopped-$signal" | wc -l)" -lt 1500
done

# --- Who may do what ---
if [ "$(id -u)" != 0 ] || ! command -v setpriv >/dev/null; then
	skip "all kinds of metadata" "needs root and setpriv"
	done_testing
fi
mkdir kinds && echo x >kinds/plain && cp /bin/true kinds/set-id && chmod 6755 kinds/set-id && mkfifo -m 640 kinds/fifo &&
	mknod kinds/null c 1 3 && mkdir -m 2770 kinds/folder && ln -s nowhere kinds/link && chown -h 12:34 kinds/link kinds/fifo &&
	python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("kinds/socket")'
python3 - <<'PY'
import os, struct
acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *e) for e in (
    (1, 6, 0xffffffff), (2, 7, 1000), (4, 4, 0xffffffff), (16, 7, 0xffffffff), (32, 4, 0xffffffff)))
os.setxattr('kinds/plain', 'system.posix_acl_access', acl)
os.setxattr('kinds/folder', 'system.posix_acl_default', acl)
os.setxattr('kinds/plain', 'user.note', b'n')
os.setxattr('kinds/plain', 'trusted.note', b't')
os.setxattr('kinds/link', 'trusted.link', b'l', follow_symlinks=False)
os.setxattr('kinds/set-id', 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0))
os.utime('kinds/link', ns=(1, 10**18 + 1), follow_symlinks=False)
PY
"$BTRKIT" mkfs -q --rootdir kinds kinds.img
gives 0 "all kinds of files" kinds.img kinds.out
is "all kinds of files: without a word" "$(cat err)" ""
extracted "all kinds of files with all their metadata" kinds kinds.out
chmod 755 . && mkdir theirs && chown 65534:65534 theirs
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; }
if as_nobody test -x "$BTRKIT"; then
	as_nobody "$BTRKIT" restore --no-scan kinds.img theirs/out >out 2>err
	is "not as root: only the device is missing" "$? $(grep -c 'error: ' err) $(grep -c 'error: null: cannot be made: Operation not permitted' err)" "1 1 1"
	is "not as root: owners and attributes get a warning each" "$(grep -c 'warning: .*only root can' err) $(wc -l <err)" "2 3"
	is "not as root: the rest is there" "$(ls theirs/out)" "$(ls kinds | grep -v '^null$')"
	is "not as root: nobody lends his rights" "$(stat -c '%a %u' theirs/out/set-id)" "755 65534"
	is "not as root: what can be is restored" "$(getfattr -d --only-values theirs/out/plain 2>/dev/null) $(stat -c %Y theirs/out/plain)" "n $(stat -c %Y kinds/plain)"
else
	skip "restore not as root" "others cannot reach the program"
fi
done_testing
