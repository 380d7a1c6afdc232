#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# `btrkit convert` as a command: what it prints and when, what --dry-run leaves alone, and that it can be interrupted.
. "${srcdir:-.}/tests/tap.sh"
[ -x "${builddir:-$PWD}/tests/tools/sourcelist" ] || skip_all "this build has no libext2fs"
need_program mke2fs debugfs python3
cd "$scratch" || exit 1
page=$srcdir/Documentation/btrkit-convert.rst

mkdir -p tree/dir
for i in 1 2 3 4 5 6 7 8; do
	echo "small $i" >tree/dir/small-$i
	head -c 3000000 /dev/urandom >tree/large-$i
done
truncate -s 200M source
mke2fs -q -F -t ext4 -b 4096 -L "a label" -d tree source >mke2fs.out 2>&1 || diagnose mke2fs.out
before=$(sha256sum <source)
unchanged() { is "$1" "$(sha256sum <source)" "$before"; }

# --- Only planned ---
ok "--dry-run" "$BTRKIT" convert --dry-run source
unchanged "--dry-run changes nothing"
"$BTRKIT" convert --dry-run source >plan
for part in '^source: .*ext4 of 200' 'label a label' '^becomes: .*Btrfs ' '^metadata: .*profile dup' '^chunks: ' '^moved: ' \
	'nothing was changed'; do
	ok "the plan says: $part" grep -q "$part" plan
done
chmod 444 source
ok "--dry-run of a file that cannot be written to" "$BTRKIT" convert --dry-run --image source
chmod 644 source

# --- JSON: an object, of the documented keys ---
cat >keys.py <<'END'
import json, re, sys
page = open(sys.argv[1]).read()
table = page[page.index('A conversion:'):page.index('A rollback:')]
documented = set()
for line in table.splitlines():
    found = re.match(r'([a-z_]+(?:, [a-z_]+)*)  +(string|number|boolean|array)', line)
    if found:
        documented.update(found.group(1).split(', '))
lines = open(sys.argv[2]).read().splitlines()
if len(lines) != 1:
    sys.exit('%d lines' % len(lines))
printed = json.loads(lines[0])
if printed['type'] != 'convert' or printed['status'] != sys.argv[3]:
    sys.exit('status %s' % printed['status'])
missing = documented - set(printed) - set(sys.argv[4:])
if set(printed) - documented or missing:
    sys.exit('not documented: %s; not printed: %s' % (sorted(set(printed) - documented), sorted(missing)))
END
keys() { python3 keys.py "$page" "$@"; }
if "$BTRKIT" convert --json --dry-run source >possible 2>json.err; then
	ok "JSON of what is possible has the documented keys" keys possible possible error
	unchanged "--json --dry-run changes nothing"
	ok "JSON of a device that can be read has no losses" sh -c '"$BTRKIT" convert --json --dry-run --skip-unreadable source |
		grep -q "\"unreadable_bytes\": *0,.*\"losses\": *\[ *\]"'
	head -c 8M /dev/zero >nothing
	"$BTRKIT" convert --json nothing >refused 2>/dev/null
	is "status when refused" $? 1
	ok "JSON of a refusal" keys refused refused source source_label source_uuid uuid label checksum features
	has_json=yes
else
	skip "JSON" "needs json-c: $(head -n 1 json.err)"
	has_json=
fi

# --- Little room is told, and only that ---
truncate -s 300M roomy
mke2fs -q -F -t ext4 -b 4096 -N 64 roomy
"$BTRKIT" convert --dry-run roomy >said 2>err
is "a filesystem with room gives no warning" "$(cat err)" ""
not_ok "no word about room that is there" grep -q 'in no chunk' err
not_ok "nor about a few seconds" grep -q '^time:' said
head -c 63M /dev/urandom >large-file
truncate -s 96M little
mke2fs -q -F -t ext4 -b 4096 -m 0 -N 64 -J size=4 little && debugfs -w -R 'write large-file large-file' little >mke2fs.out 2>&1
rm large-file
ok "a filesystem with little room" "$BTRKIT" convert --dry-run little
"$BTRKIT" convert --dry-run little >said 2>err
ok "is warned of" grep -q 'warning: only .*MiB are in no chunk, less than Linux wants for one of data (9\.[0-9]*MiB)' err
is "in one line" "$(grep -c 'in no chunk' err)" 1

# --- Interrupted ---
cat >interrupt.py <<'END'
import hashlib, os, signal, subprocess, sys, time
# Each time a little later, until it is done before: cancelled or converted, and until then all that it has is as it was.
def used(path):
    return hashlib.sha256(subprocess.run(['debugfs', '-R', 'dump /large-1 /dev/stdout', path], capture_output=True).stdout).digest()
cancelled = converted = 0
expected = used('source')
for delay in (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.13, 0.2, 0.4):
    subprocess.run(['cp', '--sparse=always', 'source', 'copy'], check=True)
    run = subprocess.Popen([os.environ['BTRKIT'], 'convert', '--threads', '1', 'copy'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while True: # the handler is there when the device is open
        try:
            if any(os.path.realpath('/proc/%d/fd/%s' % (run.pid, fd)) == os.path.realpath('copy') for fd in os.listdir('/proc/%d/fd' % run.pid)):
                break
        except OSError:
            pass
        if run.poll() is not None:
            break
    time.sleep(delay)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    check = subprocess.run(['e2fsck', '-fn', 'copy'], capture_output=True)
    if run.returncode == 0:
        converted += 1
    elif run.returncode == 1 and b'nothing was changed' in err and check.returncode == 0 and used('copy') == expected:
        cancelled += 1
    else:
        sys.exit('after %s s: status %s, e2fsck %s: %s' % (delay, run.returncode, check.returncode, err))
print('%d cancelled, %d converted' % (cancelled, converted))
sys.exit(0 if cancelled else 'none was cancelled')
END
ok "an interruption changes nothing" python3 interrupt.py
diagnose .out

# --- Done ---
if [ "$has_json" ]; then
	cp source other
	ok "--json and progress as JSON" sh -c '"$BTRKIT" convert --json --progress=json other >converted 2>progress'
	ok "JSON of what was converted has the documented keys" keys converted converted error
	ok "progress is JSON, and never more than all of it" python3 -c '
import json
for line in open("progress"):
    sample = json.loads(line)
    done, total = sample.get("done_bytes", 0), sample.get("total_bytes", 0)
    assert not total or done <= total, line
'
fi
ok "convert" "$BTRKIT" convert --label new source
ok "what came out is sound" "$BTRKIT" check --check-data-csum source
ok "a file of it" sh -c '"$BTRKIT" restore source out >/dev/null 2>&1; cmp out/large-1 tree/large-1 && cmp out/dir/small-8 tree/dir/small-8'
not_ok "not twice" "$BTRKIT" convert source
done_testing
