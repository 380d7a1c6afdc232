#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# `btrkit edit`: what commands do, what they refuse, that they take effect as a whole, and that Linux agrees.
. "${srcdir:-.}/tests/tap.sh"
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
manifest=$(realpath "${srcdir:-.}/tests/tools/manifest")
cd "$scratch" || exit 1

edit() { "$BTRKIT" edit "$@" image; }
try() { # try STATUS TEXT ARGS...: fails with a message that has TEXT
	try_status=$1 try_text=$2
	shift 2
	"$BTRKIT" edit "$@" image >out.txt 2>err.txt
	is "$*: fails" $? "$try_status"
	ok "$*: tells why" grep -qF -- "$try_text" err.txt
}
sound() { ok "$1: the check finds nothing" sh -c '"$1" check --data image >check.txt 2>&1 || { cat check.txt >&2; exit 1; }' - "$BTRKIT"; }
list() { "$BTRKIT" ls -R "$@" image; }

mkdir -p tree/sub/deep
echo one >tree/one
ln tree/one tree/sub/two
ln -s ../one tree/sub/link
head -c 3000000 /dev/urandom >tree/big
truncate -s 5000000 tree/sparse
head -c 5000 /dev/urandom | dd of=tree/sparse bs=4096 seek=1000 conv=notrunc status=none
mkfifo tree/fifo
touch -d '2020-02-02 02:02:02.123456789Z' tree/big tree/sub
"$BTRKIT" mkfs -q --size 256M image

# --- put and get ------------------------------------------------------------------------------------------
ok "put -r" edit put -r tree /
sound "after put -r"
for file in one big sparse sub/two; do
	ok "$file: the same bytes" sh -c '"$1" edit get "/tree/$2" - image | cmp - "tree/$2"' - "$BTRKIT" $file
done
ok "restore" "$BTRKIT" restore -q --path tree image restored
"$manifest" tree >expected.txt
"$manifest" restored >got.txt
is "restored as it was put, with times, links and the like" "$(diff expected.txt got.txt)" ""
ok "holes are kept" sh -c '"$1" inspect tree --path tree/sparse image | grep -qw "nbytes 8192"' - "$BTRKIT"
ok "put from standard input" sh -c 'echo text | "$1" edit put --mode 600 --owner 5:6 - /tree/in image' - "$BTRKIT"
is "its attributes" "$("$BTRKIT" ls -l --path tree/in image | cut -c 1-37)" "-rw-------   1     5     6          5"
ok "put over a file" sh -c 'echo longer text | "$1" edit put - /tree/in image' - "$BTRKIT"
is "other contents, the same owner" "$("$BTRKIT" ls -l --path tree/in image | cut -c 1-37)" "-rw-------   1     5     6         12"
ok "get to a file" edit get /tree/in got
is "what was got" "$(cat got)" "longer text"

# --- Names ------------------------------------------------------------------------------------------------
ok "mkdir -p" edit mkdir -p /a/b/c
ok "mkdir -p again" edit mkdir -p /a/b/c
try 1 "exists" mkdir /a/b
try 1 "No such file" mkdir /x/y
ok "mv into a directory" edit mv /tree/in /a
ok "mv to a name" edit mv /a/in /a/text
ok "mv over a file" edit mv /a/text /tree/one
is "the other name has the old contents" "$("$BTRKIT" edit get /tree/sub/two - image)" one
try 1 "exists" mv --no-replace /tree/one /tree/big
ok "mv --exchange" edit mv --exchange /tree/one /tree/sub/two
is "exchanged" "$("$BTRKIT" edit get /tree/one - image)" one
try 1 "within itself" mv /a /a/b/c
ok "cp" edit cp /tree/big /a
is "the data is shared" "$("$BTRKIT" inspect tree --path a/big image | grep -c disk_bytenr)" \
	"$("$BTRKIT" inspect tree --path a/big image | grep -o 'disk_bytenr [0-9]*' | while read -r x; do
		"$BTRKIT" inspect tree --path tree/big image | grep -o "$x "; done | wc -l)"
ok "cp -r" edit cp -r /tree /copy
try 1 "itself" cp -r /copy /copy/sub
is "a copy is the same" "$("$BTRKIT" ls -R --path copy image | sed 's/copy/tree/')" "$("$BTRKIT" ls -R --path tree image)"
ok "ln" edit ln /tree/big /a/big2
is "two names" "$("$BTRKIT" ls -l --path a/big2 image | cut -c 12-14)" "  2"
ok "symlink" edit symlink nowhere /a/link
ok "mknod" edit mknod --device 7:300 /a/device b
ok "a device" sh -c '"$1" ls -l --path a/device image | grep -q "^brw-r--r-- .* 7, 300"' - "$BTRKIT"
try 1 "is no directory" rmdir /tree/big
try 1 "not empty" rmdir /tree
try 1 "-r removes it" rm /tree
ok "rm" edit rm /a/big2
ok "rmdir" edit rmdir /a/b/c
ok "rm -r" edit rm -r /copy
is "it is gone" "$(list | grep -c copy)" 0
sound "after names"

# --- Attributes -------------------------------------------------------------------------------------------
ok "chmod -R" edit chmod -R 750 /a
ok "chown" edit chown 10:20 /a/big
is "mode and owner" "$("$BTRKIT" ls -l --path a/big image | cut -c 1-26)" "-rwxr-x---   1    10    20"
ok "touch -d" edit touch -d '2001-02-03 04:05:06' /a/big
ok "the time" sh -c '"$1" ls -l --path a/big image | grep -q "2001-02-03 04:05:06"' - "$BTRKIT"
ok "touch makes a file" edit touch -d @1.5 /a/new
ok "SOURCE_DATE_EPOCH" env SOURCE_DATE_EPOCH=86400 "$BTRKIT" edit mkdir /a/epoch image
is "is the time of day" "$("$BTRKIT" ls -ld --path a/epoch image | cut -c 38-57)" " 1970-01-02 00:00:00"
not_ok "if it is a number" env SOURCE_DATE_EPOCH=now "$BTRKIT" edit mkdir /a/epoch2 image
ok "truncate" edit truncate 100 /tree/big
is "it is cut" "$("$BTRKIT" edit get /tree/big - image | cksum)" "$(head -c 100 tree/big | cksum)"
is "its copy is not" "$("$BTRKIT" edit get /a/big - image | cksum)" "$(cksum <tree/big)"
ok "setxattr" edit setxattr user.colour 0x0aff /a/big
ok "rmxattr" edit rmxattr user.colour /a/big
try 1 "no attribute" rmxattr user.colour /a/big
try 1 "is no mode" chmod u+x /a
try 1 "is no owner" chown root /a
try 1 "is no date" touch -d yesterday /a
sound "after attributes"

# --- Subvolumes -------------------------------------------------------------------------------------------
ok "subvol create" edit subvol create /sv
ok "a file in it" edit cp /a/big /sv
ok "snapshot" edit snapshot --read-only /sv /snap
try 1 "read-only" rm /snap/big
ok "rm --force" edit rm --force /snap/big
ok "the source keeps it" edit get /sv/big got
try 1 "is a subvolume" rm -r /sv
ok "a subvolume moves" edit mv /snap /sv
try 1 "in it" subvol delete /sv
ok "set-writable" edit subvol set-writable /sv/snap
ok "set-default" edit subvol set-default /sv/snap
try 1 "default" subvol delete /sv/snap
ok "the top is the default" edit subvol set-default 5
ok "subvol delete" edit subvol delete /sv/snap
ok "label" edit label "a new label"
ok "it has it" sh -c '"$1" inspect summary image | grep -q "a new label"' - "$BTRKIT"
try 1 "unknown action" subvol remove /sv
sound "after subvolumes"

# --- All or nothing ---------------------------------------------------------------------------------------
cksum <image >sum
ok "a dry run of put" edit put -n -r tree /dry
is "has written nothing" "$(cksum <image)" "$(cat sum)"
cat >batch <<'END'
# comments and empty lines are left out

mkdir -m 700 "with blanks"
symlink 'a "target"' with\ blanks/link
touch -d @0 "with blanks/\x41\n"
mv /a/new "/with blanks/moved"
subvol create inner
touch inner/file
snapshot -r inner inner-snap
END
ok "batch" edit batch batch
is "what it did" "$("$BTRKIT" ls --path "with blanks" image)" "A\\x0a
link
moved"
is "in a new subvolume, too" "$("$BTRKIT" ls --path inner-snap image)" file
cksum <image >sum
"$BTRKIT" ls -lR image >listed
printf 'mkdir new\nrm /new2\n' >batch
try 1 "batch:2: " batch batch
printf 'mkdir "new\n' >batch
try 1 "batch:1: a quote" batch batch
printf 'mkdir -n new\n' >batch
try 1 "whole batch" batch batch
printf 'frobnicate x\n' >batch
try 1 "unknown command" batch batch
is "a batch that fails has changed nothing" "$("$BTRKIT" ls -lR image)" "$(cat listed)"
sound "after batches"
is "too few operands" "$("$BTRKIT" edit mv image 2>&1 >/dev/null | head -n 1)" "btrkit edit mv: too few operands (see btrkit edit mv --help)"
head -c 400000000 /dev/zero | tr '\0' x >huge
try 1 "" put huge /huge
is "no space: nothing has changed" "$("$BTRKIT" ls -lR image)" "$(cat listed)"
sound "after no space"
rm -f huge

# --- Linux ------------------------------------------------------------------------------------------------
if [ "$(id -u)" != 0 ] || ! grep -qw btrfs /proc/filesystems; then
	skip "Linux sees the same" "needs root and Btrfs in the kernel"
	done_testing
	exit
fi
mkdir mnt
if command -v btrfs >/dev/null; then
	ok "btrfs check" sh -c 'btrfs check --readonly --check-data-csum image >progs.txt 2>&1'
fi
ok "Linux mounts it" mount -o loop image mnt
ok "and writes to it" sh -c 'echo x >mnt/written && sync -f mnt && rm mnt/written'
"$manifest" --no-times mnt >linux.txt
umount mnt
rm -rf restored
"$BTRKIT" restore -q image restored
"$manifest" --no-times restored >ours.txt
is "Linux sees the same" "$(diff ours.txt linux.txt)" ""
sound "after Linux"
done_testing
