#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The command line of check and fsck.btrkit: exit statuses, JSON, progress, what is refused.
. "${srcdir:-.}/tests/tap.sh"
need_program python3
status() { # NAME WANTED COMMAND...
	tap_name=$1
	wanted=$2
	shift 2
	"$@" >"$scratch/out" 2>"$scratch/err" </dev/null
	got=$?
	is "$tap_name" "$got" "$wanted"
	[ "$got" = "$wanted" ] || diagnose "$scratch/err"
}
one_line() { is "$1: one line says so" "$(wc -l <"$scratch/err" | tr -d ' ')" 1; }

mkdir -p "$scratch/tree/sub" && echo hello >"$scratch/tree/sub/file" && head -c 300000 /dev/urandom >"$scratch/tree/noise"
"$BTRKIT" mkfs -q --rootdir "$scratch/tree" "$scratch/sound"
status "a sound filesystem" 0 "$BTRKIT" check --data "$scratch/sound"
status "the same, quickly" 0 "$BTRKIT" check --quick "$scratch/sound"
status "by the name that fsck(8) calls" 0 "$BTRKIT" fsck -p "$scratch/sound"
status "all of it" 0 "$BTRKIT" fsck -f -C 0 "$scratch/sound"

status "one subvolume, by its id" 0 "$BTRKIT" check --subvol 5 "$scratch/sound"
status "by its path" 0 "$BTRKIT" check --subvol / "$scratch/sound"
status "a subvolume that is not there" 8 "$BTRKIT" check --subvol nowhere "$scratch/sound"
one_line "a subvolume that is not there"

# A byte of file data: only --data sees it, and names the file.
python3 - "$scratch/sound" "$scratch/tree/noise" "$scratch/rotten" <<'PY'
import sys
image = bytearray(open(sys.argv[1], "rb").read())
at = image.find(open(sys.argv[2], "rb").read(4096))
assert at > 0
image[at + 100] ^= 1
open(sys.argv[3], "wb").write(image)
PY
status "rotten data is not looked for" 0 "$BTRKIT" check "$scratch/rotten"
status "rotten data is found" 4 "$BTRKIT" check --data "$scratch/rotten"
ok "and the file is named" grep -q "^  file: /noise$" "$scratch/out"
ok "by its code" grep -q '\[data-lost\]' "$scratch/out"
status "as JSON" 4 "$BTRKIT" check --data --json "$scratch/rotten"
ok "each line is an object" python3 - "$scratch/out" <<'PY'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert lines[-1]["type"] == "summary" and lines[-1]["schema"] == "btrkit-check-1" and lines[-1]["errors"] == 1
assert lines[0]["code"] == "data-lost" and lines[0]["paths"] == ["/noise"] and lines[0]["total_paths"] == 1
PY
is "and nothing is on standard error" "$(cat "$scratch/err")" ""
status "progress as JSON" 0 "$BTRKIT" check --progress json "$scratch/sound"
ok "is an object on each line" python3 -c 'import json, sys; [json.loads(l)["done_bytes"] for l in open(sys.argv[1])]' "$scratch/err"

# A leaf whose copies are all bad: the files that it was about are named.
mkdir -p "$scratch/many" && for i in $(seq 300); do echo "$i" >"$scratch/many/file-$i"; done
"$BTRKIT" mkfs -q -n 4K --rootdir "$scratch/many" "$scratch/leafy"
python3 - "$scratch/leafy" <<'PY'
import sys
image = bytearray(open(sys.argv[1], "rb").read())
name, at, hits = b"file-150", -1, []
while (at := image.find(name, at + 1)) >= 0:
    hits.append(at)
# Of both copies, the leaf with the inode: INODE_REF items have the name right behind a length of 2 bytes.
for at in hits:
    if image[at - 2:at] == b"\x08\x00" and image[at - 3] == 0:
        start = at // 4096 * 4096
        image[start + 200] ^= 255
open(sys.argv[1], "wb").write(image)
PY
status "leaves without a good copy" 4 "$BTRKIT" check "$scratch/leafy"
ok "name their files" grep -q '^  file: /file-[0-9]*$' "$scratch/out"
ok "by their code" grep -q '\[files-behind-block\]' "$scratch/out"

# Two bad superblocks are warned of; with --strict that is a problem.
cp --sparse=always "$scratch/sound" "$scratch/warned"
truncate -s 80M "$scratch/warned"
"$BTRKIT" mkfs -q -b 80M "$scratch/warned.2"
dd if=/dev/zero of="$scratch/warned.2" bs=4096 seek=16384 count=1 conv=notrunc status=none
status "a lost superblock copy is a warning" 0 "$BTRKIT" check "$scratch/warned.2"
ok "which is said" grep -q 'super-copy-missing' "$scratch/out"
status "warnings count if asked" 4 "$BTRKIT" check --strict "$scratch/warned.2"

status "no device" 16 "$BTRKIT" check
one_line "no device"
status "an unknown option" 16 "$BTRKIT" check --frobnicate "$scratch/sound"
status "a file that is not there" 8 "$BTRKIT" check "$scratch/nowhere"
one_line "a file that is not there"
head -c 1000000 /dev/urandom >"$scratch/noise"
status "no Btrfs" 8 "$BTRKIT" check "$scratch/noise"
one_line "no Btrfs"
head -c 400000 "$scratch/sound" >"$scratch/cut"
status "a truncated image" 4 "$BTRKIT" check "$scratch/cut"
status "fsck without a device" 16 "$BTRKIT" fsck
status "fsck: every option that boot scripts give" 0 "$BTRKIT" fsck -a -p -n -y -C 0 "$scratch/sound"
status "fsck: an unknown option" 16 "$BTRKIT" fsck -x "$scratch/sound"
status "fsck: progress to a file that is not open" 16 "$BTRKIT" fsck -C 77 "$scratch/sound"
# Inode 256's size is wrong: only all of the check sees it.
python3 - "$srcdir" "$scratch/sound" "$scratch/sized" <<'PY'
import shutil, sys
sys.dont_write_bytecode = True
sys.path[:0] = [sys.argv[1] + "/tests/tools"]
import treeedit
shutil.copy(sys.argv[2], sys.argv[3])
treeedit.Editor([sys.argv[3]]).patch(5, (256, 1, 0), 16, "Q", 1)
PY
status "fsck: cheap, a wrong size is not looked for" 0 "$BTRKIT" fsck -p "$scratch/sized"
status "fsck: forced, it is found" 4 "$BTRKIT" fsck -f -p "$scratch/sized"
"$BTRKIT" fsck -f -C 5 "$scratch/sound" 5>"$scratch/progress" >/dev/null 2>&1
is "fsck: progress to an open file" \
	"$(grep -vc "^[0-9][0-9]* [0-9][0-9]* [0-9][0-9]* $scratch/sound\$" "$scratch/progress") $(wc -l <"$scratch/progress" | awk '{ print ($1 > 0) }')" "0 1"
# Nobody reads the progress: the check does not die of it.
is "fsck: progress that nobody reads" "$( ("$BTRKIT" fsck -f -C 5 "$scratch/sound" 5>&1 >/dev/null 2>&1; echo $? >"$scratch/status") | true; cat "$scratch/status")" 0

# Ctrl-C while problems are printed and nobody reads: it ends within a second, with what was found.
python3 - "$srcdir" "$scratch/many" "$BTRKIT" >"$scratch/out" 2>&1 <<'PY'
import os, signal, struct, subprocess, sys, time
sys.dont_write_bytecode = True
sys.path[:0] = [sys.argv[1] + "/tests/tools"]
import treeedit
os.mkdir(sys.argv[2] + ".d")
for i in range(4000):
    open("%s.d/%d" % (sys.argv[2], i), "w").close()
subprocess.run([sys.argv[3], "mkfs", "-q", "--rootdir", sys.argv[2] + ".d", sys.argv[2] + ".img"], check=True)
e = treeedit.Editor([sys.argv[2] + ".img"])
e.edit(5, lambda key, data: (key, data[:24] + struct.pack("<Q", 5) + data[32:] if key[1] == 1 and key[0] > 256 else data))
# Without job control, background jobs ignore SIGINT; here it is as in a shell.
child = subprocess.Popen([sys.argv[3], "check", "--data", sys.argv[2] + ".img"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
child.stdout.read(100)
time.sleep(0.3)
began = time.time()
child.send_signal(signal.SIGINT)
rest = child.communicate()[0].decode().splitlines()
print(child.returncode, time.time() - began < 1, any(line.startswith("cancelled: ") for line in rest),
      sum("inode-nbytes-wrong" in line for line in rest) in range(10, 3990))
PY
is "Ctrl-C" "$(cat "$scratch/out")" "32 True True True"
if can_mount; then
	"$BTRKIT" mkfs -q -b 120M "$scratch/mounted"
	btrfs_mount "$scratch/mnt" rw "$scratch/mounted"
	status "a mounted filesystem is refused" 8 "$BTRKIT" check "$loops"
	one_line "a mounted filesystem is refused"
	status "unless forced" 0 "$BTRKIT" check --force "$loops"
	btrfs_umount "$scratch/mnt"
	# What calls it at boot: fsck(8), which finds the kind of a filesystem in its table.
	if command -v fsck >/dev/null && loop_attach "$scratch/sound" "$scratch/sized"; then
		mkdir "$scratch/bin" && printf '#!/bin/sh\nexec "%s" fsck "$@"\n' "$BTRKIT" >"$scratch/bin/fsck.btrkit" && chmod +x "$scratch/bin/fsck.btrkit"
		printf '%s / btrkit defaults 0 1\n' $loops >"$scratch/fstab"
		set -- $loops
		real_fsck() { PATH=$scratch/bin:$PATH LIBMOUNT_FSTAB=$scratch/fstab fsck -T "$@"; }
		status "fsck(8): sound" 0 real_fsck "$1" -- -f -p
		status "fsck(8): problems" 4 real_fsck "$2" -- -f -p
		status "fsck(8): usage" 16 real_fsck "$1" -- -x
		status "fsck(8): all devices, their statuses together" 4 real_fsck -A -p -f
		loop_detach "$@"
	else
		skip "fsck(8)" "needs util-linux's fsck"
	fi
	# Sectors that cannot be read: the check goes on with the other copy, and says what it could not read.
	if command -v dmsetup >/dev/null && [ -e /dev/mapper/control ] && loop_attach "$scratch/mounted"; then
		chunk=$("$BTRKIT" inspect super "$loops" | sed -n 's/.*chunk_root \([0-9]*\).*/\1/p' | head -n 1)
		sector=$((chunk / 512))
		size=$(blockdev --getsz "$loops")
		printf '%s\n' "0 $sector linear $loops 0" "$sector 32 error" "$((sector + 32)) $((size - sector - 32)) linear $loops $((sector + 32))" |
			dmsetup create "btrkit-check-$$" && at_exit "dmsetup remove btrkit-check-$$" &&
			status "unreadable sectors" 4 "$BTRKIT" check --force "/dev/mapper/btrkit-check-$$" &&
			ok "are said" grep -q 'block-copy-bad' "$scratch/out"
		dmsetup remove "btrkit-check-$$" 2>/dev/null
		loop_detach $loops
	else
		skip "unreadable sectors" "needs dmsetup"
	fi
else
	skip "a mounted filesystem is refused" "needs root, loop devices and btrfs in the kernel"
fi
done_testing
