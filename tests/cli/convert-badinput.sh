#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Whatever is wrong with what `btrkit convert` is given: exit status 1 (2 for its usage), one line on stderr that says what and where,
# with --json an object that says the same, and not a byte of it changed.
. "${srcdir:-.}/tests/tap.sh"
[ -x "${builddir:-$PWD}/tests/tools/sourcelist" ] || skip_all "this build has no libext2fs"
need_program mke2fs debugfs dumpe2fs python3
cd "$scratch" || exit 1
is_root() { [ "$(id -u)" = 0 ]; }

# make FILE SIZE OPTION...: an ext filesystem of blocks of 4 KiB with a file in it.
echo contents >some-file
make() {
	made=$1
	rm -f "$made"
	truncate -s "$2" "$made"
	shift 2
	mke2fs -q -F -b 4096 "$@" "$made" >mke2fs.out 2>&1 && debugfs -w -R 'write some-file some-file' "$made" >/dev/null 2>&1
}
sum() { [ ! -f "$1" ] || sha256sum <"$1"; }
file_of() {
	for file_name; do :; done
	echo "$file_name"
}

# expect STATUS PATTERN WHAT: of the run whose status, out and err are at hand.
expect() {
	if [ "$status" = "$1" ] && [ "$(wc -l <err)" = 1 ] && grep -qE -- "$2" err && [ ! -s out ]; then
		pass "$3"
	else
		fail "$3"
		printf '# status %s, expected %s and a line like: %s\n' "$status" "$1" "$2"
		diagnose err 5
		diagnose out 5
	fi
}
run() {
	"$BTRKIT" convert "$@" >out 2>err </dev/null
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
	before=$(sum "$(file_of "$@")")
	run "$@"
	expect 1 "$pattern" "refused: $*"
	[ "$before" = "$(sum "$(file_of "$@")")" ] || fail "unchanged: $*"
}

# What is there is said first when there is no room.
no_room() {
	before=$(sum "$1")
	run "$1"
	grep -q '^source: *ext2 of ' out && : >out
	expect 1 'not enough free space: [0-9]+ bytes needed, [0-9]+ there' "no room: $1"
	[ "$before" = "$(sum "$1")" ] || fail "unchanged: $1"
}

# --- Usage ---
make ext 32M -t ext4
usage 'one device'
usage 'one device' ext ext
usage 'unknown option --frobnicate' --frobnicate ext
usage 'half' --verify half ext
usage 'seven' --threads seven ext
usage '--relocate: not without --rollback' --relocate ext
usage '--yes: not without --rollback' --yes ext
usage '--nodesize: not with --rollback' --rollback -N 4096 ext
usage '--skip-unreadable: not with --rollback' --rollback --skip-unreadable ext
usage '--skip-unsupported: not with --rollback' --rollback --skip-unsupported ext

# --- What it is given ---
bad 'No such file' missing
bad '.' "$scratch"
: >empty
bad 'empty' empty
head -c 8M /dev/zero >zeroes
bad 'zeroes: no filesystem that can be converted' zeroes
head -c 8M /dev/urandom >random
bad 'random: no filesystem that can be converted' random
truncate -s 128M btrfs
"$BTRKIT" mkfs btrfs >/dev/null 2>&1
bad 'btrfs: is Btrfs already' btrfs
if command -v mkfs.xfs >/dev/null; then
	truncate -s 320M xfs
	mkfs.xfs -q xfs && bad 'xfs: no filesystem that can be converted' xfs
	rm -f xfs
fi
if command -v mkfs.vfat >/dev/null; then
	truncate -s 32M vfat
	mkfs.vfat vfat >/dev/null && bad 'vfat: no filesystem that can be converted' vfat
fi
bad 'is no image file' --image /dev/null

# --- Options that cannot be had ---
bad 'not a UUID' --uuid nonsense ext
bad 'not a UUID' --uuid 00000000-0000-0000-0000-000000000000 ext
bad '300 bytes long' --label "$(head -c 300 /dev/zero | tr '\0' l)" ext
bad 'one or the other' --label l --copy-label ext
bad 'md5' --csum md5 ext
bad '5000' --nodesize 5000 ext
bad 'RAID1 needs 2 devices' --metadata raid1 ext
bad 'frobnicate' --features frobnicate ext
bad 'mixed' --features mixed-bg -N 4096 ext
bad 'quota' --features quota ext
bad 'cannot be skipped without checksums' --skip-unreadable --no-datasum ext

# --- Filesystems that Btrfs cannot be made of ---
make small-blocks 32M -t ext4
mke2fs -q -F -b 1024 -t ext4 small-blocks
bad 'blocks of 1024 bytes' small-blocks
make short 32M -t ext4
truncate -s 20M short
bad 'short' short
make tiny 1M -t ext2
no_room tiny
make full 40M -t ext2
head -c 60M /dev/zero | tr '\0' x >large
debugfs -w -R 'write large large' full >/dev/null 2>&1
no_room full
rm large
make inline 32M -t ext4 -I 4096 -N 64 -O inline_data
head -c 3960 /dev/zero | tr '\0' i >inline-file
debugfs -w -R 'write inline-file inline-file' inline >/dev/null 2>&1
bad '/inline-file: its 3960 bytes lie in its inode' --verify none -N 4096 inline
ok "with larger nodes it can be had" "$BTRKIT" convert inline
make attributes 32M -t ext4
head -c 4000 /dev/zero | tr '\0' v >value
debugfs -w -R 'ea_set -f value some-file user.long' attributes >/dev/null 2>&1
bad '/some-file: xattr user.long of 4000 bytes does not fit' -N 4096 attributes
debugfs -w -R "symlink link $(head -c 4000 /dev/zero | tr '\0' t)" ext >/dev/null 2>&1
bad '/link: link target of 4000 bytes does not fit' -N 4096 ext

# --- Damage ---
# damage NAME OFFSET BYTES: like ext, with so many bytes of it others.
damage() {
	make "$1" 32M -t ext4 -O metadata_csum
	head -c "$3" /dev/urandom | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
damage in-super $((1024 + 300)) 20
bad 'in-super' in-super
damage in-groups 4096 32
bad 'in-groups' in-groups
make in-inode 32M -t ext4 -O ^metadata_csum
debugfs -w -R 'sif <12> size 0xfffffffffffffff0' in-inode >/dev/null 2>&1
bad '.' --verify none in-inode
# What is wrong with a file is said with its path, in whatever way it is damaged.
make deep 32M -t ext4 -O metadata_csum
{ debugfs -w -R 'mkdir dir' deep && debugfs -w -R 'write some-file dir/file' deep; } >/dev/null 2>&1
named() { # PATTERN DEBUGFS-COMMAND...
	pattern=$1
	shift
	cp deep named
	for command; do debugfs -w -R "$command" named >/dev/null 2>&1; done
	bad "/dir/file: inode [0-9]+.*$pattern" named
}
named 'is no kind of file' 'sif dir/file mode 0170000'
named 'belongs to another file' 'sif dir/file flags 0' 'sif dir/file block[0] 5'
named 'has a name, but is free' 'clri dir/file'
# overwrite IMAGE BLOCK OFFSET: two bytes of it
overwrite() { printf 'zz' | dd of="$1" bs=1 seek=$(($2 * 4096 + $3)) conv=notrunc status=none; }
where=$(debugfs -R 'imap dir/file' deep 2>/dev/null | sed -n 's/.*block \([0-9]*\), offset \(0x[0-9a-f]*\)/\1 \2/p')
cp deep named
overwrite named "${where% *}" $((${where#* } + 40))
bad '/dir/file: inode [0-9]+ has a bad checksum' named
cp deep named
overwrite named "$(debugfs -R 'bmap dir 0' deep 2>/dev/null)" 100
bad '/dir: directory inode [0-9]+: block 0 has a bad checksum' named
block=$(dumpe2fs ext 2>/dev/null | sed -n 's/^ *Block bitmap at \([0-9]*\).*/\1/p' | head -n 1)
damage in-bitmap $((block * 4096)) 64
bad 'bitmap of group 0 has a bad checksum' in-bitmap
# Anything at any place of the structures: an answer, whichever.
make base 8M -t ext4 -O ^metadata_csum -N 64
python3 - >dice.out 2>&1 <<'END'
import os, random, subprocess
random.seed(20260)
base = open('base', 'rb').read()
crashes = 0
for n in range(120):
    data = bytearray(base)
    for _ in range(random.choice((1, 3, 30))):
        at = random.choice((1024 + random.randrange(1024), 4096 + random.randrange(128), random.randrange(64 * 4096)))
        data[at] = random.choice((0, 1, 0xff, 0x80, random.randrange(256)))
    open('dice', 'wb').write(data)
    run = subprocess.run([os.environ['BTRKIT'], 'convert', '--dry-run', 'dice'], capture_output=True, timeout=60)
    if run.returncode not in (0, 1) or (run.returncode == 1 and not run.stderr) or open('dice', 'rb').read() != data:
        crashes += 1
        print(n, run.returncode, run.stderr[-300:])
        open('dice.%d' % n, 'wb').write(data)
print('%d of 120 badly answered' % crashes)
END
is "damage by dice is answered" "$(tail -n 1 dice.out)" "0 of 120 badly answered"

# --- Mounted, or not to be written to ---
if is_root; then
	chmod 444 ext
	chattr +i ext 2>/dev/null && {
		at_exit "chattr -i '$scratch/ext'"
		bad 'ext' ext
		chattr -i ext
	}
	chmod 644 ext
fi
if can_mount ext4; then
	make mounted 32M -t ext4
	mkdir mnt
	loop_attach mounted
	mount -t ext4 "$loops" mnt
	run "$loops"
	expect 1 'mounted|in use|busy' "refused: the device while it is mounted"
	run mounted
	expect 1 'mounted|in use|busy' "refused: the image file while it is mounted"
	run --dry-run mounted
	expect 1 'mounted|in use|busy' "refused: the image file while it is mounted, with --dry-run"
	umount mnt
	run --image "$loops"
	expect 1 'is no image file' "--image refuses a device"
	blockdev --setro "$loops" && {
		run "$loops"
		expect 1 'ermitted|ead-only' "refused: a read-only device"
		ok "a read-only device is enough for --dry-run" "$BTRKIT" convert --dry-run "$loops"
		blockdev --setrw "$loops"
	}
	loop_detach $loops
	ok "no longer mounted it is converted" "$BTRKIT" convert mounted
else
	skip "what is mounted" "needs root, loop devices and ext4"
fi

# --- With --json the reason is there too ---
if "$BTRKIT" convert --json random >json 2>/dev/null; then fail "--json changes nothing about the status"; else
	is "--json says why" "$(python3 -c 'import json; o = json.load(open("json")); print(o["status"], "no filesystem" in o["error"])')" \
		"refused True"
fi
done_testing
