#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Conversions of what is seldom met: directories that do not tell upper from lower case, a UUID that an old Btrfs on the device had, and
# what --json prints of conversions that were cancelled, or finished later.
. "${srcdir:-.}/tests/tap.sh"
[ -x "${builddir:-$PWD}/tests/tools/sourcelist" ] || skip_all "this build has no libext2fs"
need_program mke2fs debugfs e2fsck python3
cd "$scratch" || exit 1
echo contents >file

# --- Casefold ---
truncate -s 200M casefold
ok "made, with casefold" mke2fs -q -F -t ext4 -b 4096 -O casefold -E encoding=utf8 casefold
for command in 'mkdir plain' 'mkdir folded' 'write file plain/file' 'write file folded/file' 'mkdir folded/below' 'write file folded/below/file' \
	'write file file' 'ln plain/file folded/second-name' 'sif folded flags 0x40080000'; do
	debugfs -w -R "$command" casefold >/dev/null 2>&1
done
before=$(sha256sum <casefold)
"$BTRKIT" convert casefold >out 2>err
is "refused" $? 1
ok "with its path" grep -q '/folded does not tell upper from lower case' err
is "unchanged" "$(sha256sum <casefold)" "$before"
"$BTRKIT" convert --skip-unsupported casefold >out 2>err
is "status when something is left out" $? 3
is "what is left out is named once" "$(grep -c 'warning: /folded (inode [0-9]*) does not tell upper from lower case and is left out' err)" 1
ok "what only it leads to is counted" grep -q '3 inodes that only what is left out leads to' err
ok "the summary says how many names" grep -q '^lost: *1 names are left out' out
ok "what came out is sound" "$BTRKIT" check --data casefold
is "all else is there" "$("$BTRKIT" ls casefold | sort | tr '\n' ' ')" "ext2_saved file lost+found plain "
is "and below" "$("$BTRKIT" cat --path plain/file casefold)" contents
ok "rolled back" "$BTRKIT" convert --rollback --yes casefold
is "the old filesystem has it" "$(debugfs -R 'cat folded/below/file' casefold 2>/dev/null)" contents

# --- A UUID that is there already, in what remains of another Btrfs ---
fsid=01234567-89ab-cdef-0123-456789abcdef
truncate -s 200M stale
ok "a Btrfs before" "$BTRKIT" mkfs --uuid $fsid stale
ok "becomes ext4" mke2fs -q -F -t ext4 -b 4096 stale
debugfs -w -R 'write file file' stale >/dev/null 2>&1
# mke2fs leaves the second superblock, at 64 MiB, or not; so that there is one:
truncate -s 200M other && "$BTRKIT" mkfs --uuid $fsid other >/dev/null 2>&1
dd if=other of=stale bs=4096 skip=16384 seek=16384 count=1 conv=notrunc status=none
ok "becomes Btrfs with the same UUID" "$BTRKIT" convert --uuid $fsid stale
ok "which is sound" "$BTRKIT" check --data stale
is "and has the file" "$("$BTRKIT" cat --path file stale)" contents
ok "is rolled back" "$BTRKIT" convert --rollback --yes stale
is "to what it was" "$(debugfs -R 'cat file' stale 2>/dev/null)" contents
ok "and converted once more with that UUID" "$BTRKIT" convert --uuid $fsid stale
ok "which is sound again" "$BTRKIT" check --data stale

# --- JSON of what was cancelled, and of what was finished ---
truncate -s 200M source
mke2fs -q -F -t ext4 -b 4096 source && debugfs -w -R 'write file file' source >/dev/null 2>&1
if "$BTRKIT" convert --json --dry-run source >json 2>/dev/null; then
	status_of() { python3 -c 'import json; o = json.load(open("json")); print(o["status"], "error" in o)'; }
	cp --sparse=always source flipped
	ok "converted" "$BTRKIT" convert flipped
	# As if the power had failed before the old magic bytes went.
	dd if=source of=flipped bs=1 skip=1080 seek=1080 count=2 conv=notrunc status=none
	"$BTRKIT" convert --json --dry-run flipped >json
	is "what is to be finished can be" "$(status_of)" "possible False"
	"$BTRKIT" convert --json flipped >json
	is "and is finished" "$? $(status_of)" "0 finished False"
	ok "which is sound" "$BTRKIT" check --data flipped
	python3 - >cancelled 2>&1 <<'END'
import json, os, signal, subprocess
# Stopped before it can be done, and told when it goes on.
seen = None
for attempt in range(20):
    subprocess.run(['cp', '--sparse=always', 'source', 'copy'], check=True)
    run = subprocess.Popen([os.environ['BTRKIT'], 'convert', '--json', '--threads', '1', 'copy'], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
    while run.poll() is None:
        try:
            if any(os.path.realpath('/proc/%d/fd/%s' % (run.pid, fd)) == os.path.realpath('copy') for fd in os.listdir('/proc/%d/fd' % run.pid)):
                break
        except OSError:
            pass
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    if run.returncode == 0:
        continue
    seen = json.loads(out)
    print(run.returncode, seen['status'], 'nothing was changed' in seen['error'], subprocess.run(['e2fsck', '-fn', 'copy'], capture_output=True).returncode == 0)
    break
END
	is "JSON of what was cancelled" "$(cut -c1-200 cancelled)" "1 cancelled True True"
else
	skip "JSON" "needs json-c"
fi
done_testing
