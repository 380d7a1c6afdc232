#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Whatever is wrong with what `btrkit mkfs` is given: exit status 1 (2 for its usage), one line on stderr that says what and
# where, nothing on stdout, no half-made image, and on a device the old filesystem's superblock.
. "${srcdir:-.}/tests/tap.sh"
need_program python3
cd "$scratch" || exit 1
unset SOURCE_DATE_EPOCH
is_root() { [ "$(id -u)" = 0 ]; }

# expect STATUS PATTERN WHAT: of the run whose status, out and err are at hand.
expect() {
	if [ "$status" = "$1" ] && [ "$(wc -l <err)" = 1 ] && grep -qE -- "$2" err && [ ! -s out ] && [ ! -e new.img ]; then
		pass "$3"
	else
		fail "$3"
		printf '# status %s, expected %s and a line like: %s\n' "$status" "$1" "$2"
		diagnose err 5
		diagnose out 5
		ls new.img 2>/dev/null | sed 's/^/# is there: /'
	fi
	rm -f new.img
}
run() {
	"$BTRKIT" mkfs "$@" >out 2>err </dev/null
	status=$?
}
usage() {
	pattern=$1
	shift
	run "$@"
	expect 2 "$pattern" "usage: $*"
}
bad() {
	pattern=$1
	shift
	run "$@"
	expect 1 "$pattern" "refused: $*"
}

# --- Usage ---
usage 'no device'
usage 'unknown option --frobnicate' --frobnicate new.img
usage 'unknown option -Z' -Z new.img
usage 'label needs a value' new.img --label
usage 'abc' -b abc new.img
usage '12Q' --size 12Q new.img
usage '-5' --free -5 new.img
usage '99999999999T' -b 99999999999T new.img
usage 'seven' --threads seven new.img
usage 'sometimes' --progress sometimes new.img
usage 'type must be' --subvol odd:dir new.img
usage 'names no directory' --subvol rw:/ new.img
usage 'neither nodatacow nor' --inode-flags nocow:dir new.img
usage 'FLAGS:PATH' --inode-flags nodatacow new.img
usage 'UID:GID' --owner root new.img
usage 'UID:GID' --owner 1:2:3 new.img
usage 'UID:GID' --owner 1:4294967296 new.img
usage 'FROM:TO:COUNT' --uid-map 1:2 new.img
usage 'range of ids' --gid-map 0:4294967295:2 new.img
usage 'disagree' -b 300M --size 400M new.img
usage 'together' --size 300M --shrink new.img
usage 'together' --size 300M --free 1M new.img
usage 'single device' --device-uuid 01234567-89ab-cdef-0123-456789abcdef new.img new2.img
SOURCE_DATE_EPOCH=yesterday
export SOURCE_DATE_EPOCH
usage 'SOURCE_DATE_EPOCH=yesterday' new.img
unset SOURCE_DATE_EPOCH

# --- Impossible combinations, said before anything is looked at ---
bad 'node size 12345' -n 12345 new.img
bad 'node size 131072' -n 128k new.img
bad 'sector size 2048' -s 2048 new.img
bad 'smaller than the sector size' -s 16k -n 4k new.img
bad 'mixed' -M -n 16k new.img
bad 'one profile' -M -d dup -m single new.img
bad 'raid1.* needs 2 devices, 1 given|RAID1 needs 2' -d raid1 new.img
bad 'needs 4 devices' -m raid1c4 new.img new2.img
bad '"raid7"' -m raid7 new.img
bad '"sums"' --csum sums new.img
bad '"nonsense"' -O nonsense new.img
bad 'zoned' -O zoned new.img
bad 'raid-stripe-tree' -O raid-stripe-tree new.img
bad 'block-group-tree needs' -O ^no-holes,block-group-tree new.img
bad 'exclude each other' -O quota,squota new.img
bad 'squota needs skinny-metadata' -O ^skinny-metadata,squota new.img
bad 'rar' --compress rar new.img
bad 'no level "16"' --compress zstd:16 new.img
bad 'no level "1"' --compress lzo:1 new.img
bad 'not a UUID' -U 1234 new.img
bad '256 bytes' -L "$(printf '%0256d' 0)" new.img
bad 'multiple of 4096' --offset 1000 new.img
bad 'the same device|same file' -d raid1 new.img ./new.img

# --- Devices ---
bad 'does not fit: [0-9]+ bytes needed, 1048576 there' --size 1M new.img
truncate -s 1M small.img
bad 'small.img: does not fit: [0-9]+ bytes needed' small.img
is "a file that is too small stays as it was" "$(stat -c %s small.img) $(tr -d '\000' <small.img | wc -c)" "1048576 0"
bad 'nowhere/new.img: .*No such file' nowhere/new.img
bad 'new2.img: .*does not fit|does not fit' --size 9M -d raid1 -m raid1 new.img new2.img
ls new2.img >/dev/null 2>&1 && fail "no second image is left"
mkdir folder
bad 'folder: ' folder
bad '/dev/null: ' /dev/null
ln -s loop.img loop.img
bad 'loop.img: .*symbolic links' loop.img
truncate -s 300M old.img
for type in ext4 swap btrfs gpt; do
	case $type in
	ext4) mkfs.ext4 -q -F old.img >/dev/null 2>&1 ;;
	swap) mkswap old.img >/dev/null 2>&1 ;;
	btrfs) "$BTRKIT" mkfs -q old.img ;;
	gpt) echo 'label: gpt' | sfdisk -q old.img >/dev/null 2>&1 ;;
	esac
	if [ $? != 0 ]; then
		skip "contains $type" "cannot be made here"
		continue
	fi
	before=$(sha256sum <old.img)
	bad "old.img: contains $type" old.img
	is "what contains $type is untouched" "$(sha256sum <old.img)" "$before"
	"$BTRKIT" mkfs -q -f old.img || fail "-f overwrites $type"
	is "with -f, nothing of $type is left" "$(blkid -p -o value -s TYPE old.img; blkid -p -o value -s PTTYPE old.img)" btrfs
	rm old.img
	truncate -s 300M old.img
done
"$BTRKIT" mkfs new.img >/dev/full 2>err
status=$?
: >out
rm -f new.img
expect 1 'standard output: No space' "a full standard output"

# --- Sources ---
mkdir tree tree/sub
echo one >tree/one
head -c 3M /dev/urandom >tree/sub/large
bad 'missing: No such file' -r missing new.img
bad 'tree/sub/nothing: No such file' -r tree -r tree/sub/nothing:/x new.img
bad 'subvol: .*nodir.*not in the content' -r tree --subvol rw:nodir new.img
bad 'one: not a directory' -r tree --subvol rw:one new.img
bad 'inode-flags: nofile' -r tree --inode-flags nodatacow:nofile new.img
mkdir tree/sub2
bad 'default subvolumes' -r tree --subvol default:sub --subvol default:sub2 new.img
bad 'is not a directory' -r tree -r tree:/one/below new.img
bad 'nodir: .*temporary file' -r tree --compress zstd --tmpdir nodir new.img

# What changes between being listed and being read: the archive that comes second is a pipe, and it is opened in between.
run_while() { # COMMAND options...
	command=$1
	shift
	rm -rf live pipe && cp -a tree live && mkfifo pipe && mkdir -p nothing
	{
		exec 3>pipe
		eval "$command"
		tar -C nothing -cf - . >&3
		exec 3>&-
	} &
	run -r live -r pipe:/other "$@" new.img
	# If it never opened the pipe, the job would wait for ever.
	exec 4<>pipe
	wait
	exec 4<&-
}
while_listed() { # PATTERN NAME COMMAND options...
	pattern=$1
	name=$2
	shift 2
	run_while "$@"
	shift
	expect 1 "$pattern" "$name ($*)"
}
# A small file is read when it is listed: the image has it as it was then, whatever becomes of it.
while_listed_kept() { # NAME COMMAND options...
	name=$1
	shift
	run_while "$@"
	shift
	is "$name: exit status ($*)" "$status" 0
	is "$name: as it was listed ($*)" "$(python3 "$srcdir/tests/tools/btrfsread.py" manifest new.img | grep '^one')" "$listed"
	rm -f new.img
}
run -r tree new.img
listed=$(python3 "$srcdir/tests/tools/btrfsread.py" manifest new.img | grep '^one')
rm -f new.img
is "a small file is in the manifest" "$(echo "$listed" | wc -l)$(echo "$listed" | cut -c 1-3)" "1one"
for how in "" "--compress zstd" "--threads 1"; do
	while_listed 'live/sub/large: .*No such file' "a file that vanished" 'rm live/sub/large' $how
	while_listed 'live/sub/?.*: .*No such file' "a folder that vanished" 'rm -r live/sub' $how
	while_listed_kept "a small file that vanished" 'rm live/one' $how
	while_listed 'live/sub/large: (became shorter|changed)' "a file that became shorter" 'truncate -s 1M live/sub/large' $how
	while_listed 'live/sub/large: (became shorter|changed)' "a file that became empty" ': >live/sub/large' $how
	while_listed 'live/sub/large: changed' "a file that grew" 'echo more >>live/sub/large' $how
	while_listed 'live/sub/large: changed' "a file that was rewritten" 'head -c 3M /dev/zero >live/sub/large' $how
	while_listed_kept "a small file that was rewritten" 'echo two >live/one' $how
	while_listed 'live/sub/large: ' "a file that became a link" 'rm live/sub/large; ln -s ../one live/sub/large' $how
done

# A file that was there is as long as before, and what came first in it stays.
for bytes in 0 5000 30000000; do
	rm -rf live pipe && cp -a tree live && mkfifo pipe
	head -c $bytes /dev/zero | tr '\000' x >there.img
	{ exec 3>pipe; rm live/sub/large; tar -C nothing -cf - . >&3; exec 3>&-; } &
	run -f --json -r live -r pipe:/other --size 300M there.img
	wait
	expect 1 'large: .*No such file' "a failure on a file of $bytes bytes"
	is "which is as long as before" "$(stat -c %s there.img)" $bytes
	is "and begins as before" "$(head -c 5000 there.img | tr -d x | wc -c)" 0
done

# --- Archives ---
tar -C tree -cf good.tar .
gzip -c good.tar >good.tar.gz
head -c 1000000 good.tar >cut.tar
head -c 1000000 good.tar.gz >cut.tar.gz
{ head -c 700000 good.tar.gz && printf 'damage' && tail -c +700007 good.tar.gz; } >flipped.tar.gz
head -c 1M /dev/urandom >noise.tar
bad 'cut.tar: ' -r cut.tar new.img
bad 'cut.tar.gz: ' -r cut.tar.gz new.img
bad 'flipped.tar.gz: ' -r flipped.tar.gz new.img
bad 'noise.tar: ' -r noise.tar new.img
for program in xz bzip2 zstd; do
	command -v $program >/dev/null || continue
	$program -c <good.tar >whole
	{ head -c 700000 whole && printf 'damage' && tail -c +700007 whole; } >flipped.tar
	bad 'flipped.tar: ' -r flipped.tar new.img
	head -c -100 whole >cut.tar
	bad 'cut.tar: ' -r cut.tar new.img
done
head -c 1000000 good.tar >cut.tar
# The archive itself is whole: only the checksum behind it says that it is not what was packed.
{ head -c -8 good.tar.gz && printf 'damage!!'; } >sum.tar.gz
bad 'sum.tar.gz: .*data check' -r sum.tar.gz new.img
head -c -4 good.tar.gz >end.tar.gz
bad 'end.tar.gz: ends too early' -r end.tar.gz new.img
"$BTRKIT" mkfs -r - new.img <cut.tar >out 2>err
status=$?
expect 1 '^btrkit mkfs: error: .*(standard input|-): ' "a cut archive on standard input"
python3 - <<'PY'
import io, tarfile
def tar(name, *entries):
    with tarfile.open(name, 'w', format=tarfile.PAX_FORMAT) as t:
        for path, options in entries:
            info = tarfile.TarInfo(path)
            for key, value in options.items():
                setattr(info, key, value)
            t.addfile(info, io.BytesIO(b'x' * info.size))
tar('out.tar', ('a/../../b', {}))
tar('long.tar', ('d/' + 'n' * 256, {}))
tar('xattr.tar', ('file', {'pax_headers': {'SCHILY.xattr.user.big': 'v' * 70000}}))
tar('xattr16.tar', ('file', {'pax_headers': {'SCHILY.xattr.user.big': 'v' * 17000}}))
tar('nolink.tar', ('name', {'type': tarfile.LNKTYPE, 'linkname': 'not-there'}))
tar('emptylink.tar', ('name', {'type': tarfile.SYMTYPE, 'linkname': ''}))
tar('below.tar', ('file', {}), ('file/below', {}))
PY
bad 'out.tar: "a/../../b" leads out' -r out.tar new.img
bad 'long.tar: .*256 bytes, limit 255' -r long.tar new.img
bad 'file: xattr user.big: 70000 bytes, limit' -r xattr.tar new.img
bad 'file: xattr user.big of 17000 bytes does not fit' -r xattr16.tar new.img
bad 'nolink.tar: hard link to "not-there"' -r nolink.tar new.img
bad 'emptylink.tar|name: ' -r emptylink.tar new.img
bad 'below.tar: .*is not a directory' -r below.tar new.img
# manifest PATTERN LINE...: a manifest with these lines is refused with the number of the last one.
manifest() {
	pattern=$1
	shift
	printf '%s\n' '#mtree' "$@" >bad.mtree
	run -r tree -r bad.mtree new.img
	expect 1 "bad.mtree: line $(($# + 1)): .*$pattern" "a manifest: $*"
}
manifest 'not-there.*No such file' './file type=file contents=not-there'
manifest '"sub": not a regular file|tree/sub.*not a regular file' './file type=file contents=tree/sub'
manifest 'not there, and no contents' '# all is well' '' './one mode=0600' './file type=file size=5'
manifest 'no type to be made' './missing uid=5'
manifest 'is not a type' './file type=nonsense'
manifest 'is not a keyword' './one moed=0600'
manifest 'needs a value' './one mode'
manifest '"9" is not a number' './one mode=9'
manifest '10000' './one mode=10000'
manifest '4294967296' './one uid=4294967296'
manifest '-1' './one gid=-1'
manifest 'not a time' './one time=1.9999999999'
manifest 'not a flag' './one flags=schg,shiny'
manifest 'without link=' './new type=link'
manifest 'without device=' './new type=char'
manifest 'not a device' './new type=char device=native,5'
manifest 'escape' './on\8e type=file'
manifest 'leads out' './a/../../b type=file'
manifest 'is not a directory' './one/below type=file'
manifest 'must be a directory' './ type=file'
manifest '256 bytes' "./$(printf '%0256d' 0) type=file"
printf '#mtree\n./file type=file\0\n' >nul.mtree
bad 'nul.mtree: .*NUL' -r nul.mtree new.img
printf '# no magic\n/set type=file\n./file uid=3\n' >late.mtree
bad 'late.mtree: ' -r late.mtree new.img

# --- Without root: what may not be read ---
if is_root; then
	if command -v setpriv >/dev/null; then
		as_user() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
	else
		as_user() { false; }
	fi
	chmod 755 "$scratch"
else
	as_user() { "$@"; }
fi
if as_user test -x "$BTRKIT"; then
	mkdir closed closed/dir closed/open && echo secret >closed/secret && echo open >closed/open/file && mkdir given
	chmod 000 closed/secret closed/dir
	! is_root || chown -R 65534 given
	chmod 777 given
	as_user "$BTRKIT" mkfs -r closed given/new.img >out 2>err
	status=$?
	expect 1 'closed/(secret|dir): .*Permission denied' "an unreadable source"
	is "and no image" "$(ls given)" ""
	as_user "$BTRKIT" mkfs -q -r closed --ignore-unreadable given/new.img >out 2>err
	is "--ignore-unreadable: exit status" $? 0
	is "--ignore-unreadable: a warning for each" "$(grep -cE 'warning: .*closed/(secret|dir): .*left out' err)" 2
	is "--ignore-unreadable: and no more" "$(wc -l <err)" 2
	is "--ignore-unreadable: the rest is there" "$("$BTRKIT" cat --path open/file given/new.img)" open
	mkdir shut && chmod 555 shut
	as_user "$BTRKIT" mkfs shut/new.img >out 2>err
	status=$?
	expect 1 'new.img: .*Permission denied' "a folder that may not be written to"
else
	skip "unreadable sources" "no other user can run the program here"
fi

# --- Interrupted ---
mkdir many && for i in $(seq 12); do head -c 128M /dev/zero | tr '\000' "\\$(printf %o $((i + 64)))" >"many/$i"; done
for signal in INT TERM HUP; do
	for stage in scan write; do
		rm -f pipe && mkfifo pipe
		# Without job control, background jobs ignore SIGINT; Python gives it back.
		python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$BTRKIT" mkfs -r many -r pipe:/other new.img >out 2>err &
		job=$!
		exec 4>pipe
		if [ $stage = write ]; then
			tar -C nothing -cf - . >&4
			exec 4>&-
			while [ ! -s new.img ] && kill -0 $job 2>/dev/null; do :; done
		fi
		kill -$signal $job
		wait $job 2>/dev/null
		status=$?
		[ $stage = write ] || exec 4>&-
		ok "SIG$signal during $stage: it did not succeed" test $status != 0
		is "SIG$signal during $stage: no image is left" "$(ls new.img 2>/dev/null)" ""
		ok "SIG$signal during $stage: one line at most" test "$(wc -l <err)" -le 1
		rm -f new.img
	done
done
rm -r many

# --- With root ---
if ! can_mount ext4 || ! can_mount btrfs; then
	skip "mounted and full devices" "needs root, loop devices, ext4 and btrfs in the kernel"
	done_testing
fi
# A full host.
truncate -s 40M host.img && mkfs.ext4 -q -F host.img >/dev/null 2>&1 && mkdir host && loop_attach "$scratch/host.img" &&
	mount "$loops" host && rm -rf host/lost+found
mkdir heavy && head -c 60M /dev/urandom >heavy/noise
bad 'host/new.img: .*No space left' -r heavy host/new.img
is "a full host: nothing is left" "$(ls host)" ""
bad 'host/b.img: .*No space left|host/a.img: .*No space left' -r heavy -d raid1 host/a.img host/b.img
is "a full host: no image of several is left" "$(ls host)" ""
truncate -s 100M host/existing.img
bad 'host/existing.img: .*No space left' -r heavy host/existing.img
is "a full host: a file that was there stays" "$(ls host) $(stat -c %s host/existing.img)" "existing.img 104857600"
rm host/existing.img
head -c 60M /dev/zero | tr '\000' a >heavy/noise
head -c 50M /dev/urandom | od -An -tx1 | head -c 90M >heavy/text
bad 'host: .*No space left|temporary file: No space left' -r heavy --compress zstd:1 --tmpdir host new.img
tar -C heavy -cf heavy.tar .
bad 'heavy.tar: .*temporary file: No space left' -r heavy.tar --tmpdir host new.img
umount host

# Mounted, also as the second device of a filesystem, also by the file behind the loop device.
truncate -s 300M a.img && truncate -s 300M b.img && "$BTRKIT" mkfs -q -d raid1 a.img b.img &&
	btrfs_mount "$scratch/mnt" rw "$scratch/a.img" "$scratch/b.img" || fail "a filesystem on two devices"
for device in $(cat mnt.loops) "$scratch/a.img" "$scratch/b.img"; do
	run -f "$device"
	case $device in /dev/*) what="a device" ;; *) what="a file behind a device" ;; esac
	expect 1 ': (mounted at|in use)' "$what of a mounted filesystem, even with -f"
done
ok "which is none the worse" btrfs scrub start -B mnt
btrfs_umount "$scratch/mnt"

# A device keeps its superblock until the last write.
loop_attach "$scratch/a.img"
device=$loops
head -c 65536 /dev/urandom | dd of="$device" bs=64k conv=notrunc status=none
super() { dd if="$device" bs=4096 skip=16 count=1 status=none | sha256sum; }
before=$(super)
rm -rf live pipe && cp -a tree live && mkfifo pipe
{ exec 3>pipe; rm live/sub/large; tar -C nothing -cf - . >&3; exec 3>&-; } &
run -f -r live -r pipe:/other "$device"
wait
expect 1 'large: .*No such file' "a failure on a device"
is "the device keeps its superblock" "$(super)" "$before"
bad "$device: .*does not fit: [0-9]+ bytes needed" -f -r heavy --mixed -m dup -d dup --size 300M "$device"
bad 'bytes, 419430400 wanted' -f --size 400M "$device"
bad 'same device' -f -d raid1 "$device" "$device"
is "still" "$(super)" "$before"
loop_detach "$device"
done_testing
