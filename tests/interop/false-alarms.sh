#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is sound is read without a word: published odd filesystems, crashed ones, and one that Linux has aged.
. "${srcdir:-.}/tests/tap.sh"
need_program python3
tools=$srcdir/tests/tools
fixtures=${BTRKIT_SHARED:-$srcdir/../shared}/fixtures
cd "$scratch" || exit 1
tab=$(printf '\t')

# quiet COMMAND...: exit status 0, and nothing on stderr but that file data is not in a metadata dump, and that a log was not
# replayed.
quiet() {
	"$@" >out 2>err || { head -n 5 err; return 1; }
	! grep -v -e 'warning: this is a metadata dump: file contents are not in it$' \
		-e 'warning: there is a log that has not been replayed: the newest fsynced changes are not seen$' err | head -n 5 | grep .
}
reads_quietly() { quiet "$BTRKIT" ls --no-scan -lR "$@" && quiet "$BTRKIT" inspect tree --no-scan "$@" && quiet "$BTRKIT" inspect summary --no-scan "$@"; }

# --- Published images ---
if [ -d "$fixtures/fsck" ] && command -v btrfs-image >/dev/null; then
	while IFS=$tab read -r image verdict what; do
		# Of the broken ones, those where only what reading does not need is broken.
		case "$verdict $image" in
		sound*) ;;
		*004-* | *006-* | *014-* | *017-* | *018-* | *028-* | *034-* | *036-* | *038-* | *039-* | *047-* | *051-* | *055-* | *063-* | \
			*064-* | *066-* | *070-*) ;;
		*) continue ;;
		esac
		"$fixtures/fsck/unpack" "$fixtures/fsck/$image" raw >unpacked 2>&1 || { fail "unpack $image" && continue; }
		ok "$image ($what)" reads_quietly raw
		rm -f raw
	done <"$fixtures/fsck/table.tsv"
else
	skip "published images" "there is no ../shared, or no btrfs-image"
fi

# --- Crashed ones: what was committed is read, and the log's trees too ---
crashed() { # FOLDER
	xz -dkc "$1/crash.img.xz" >crashed && rm -rf found && quiet "$BTRKIT" restore --no-scan crashed found &&
		python3 "$fixtures/../oracle/fsmanifest" found >got && cmp got "$1/committed" &&
		quiet "$BTRKIT" inspect tree --no-scan crashed
}
# Every third, or all of them when BTRKIT_TEST_ALL is set.
all_crashed() {
	count=0
	for folder in "$@"; do
		count=$((count + 1))
		[ -n "$BTRKIT_TEST_ALL" ] || [ $((count % 3)) = 1 ] || continue
		crashed "$folder" || { echo "$folder" && return 1; }
	done
	[ $count -gt 30 ]
}
if [ -d "$fixtures/treelog" ]; then
	ok "filesystems with a log: as committed" all_crashed "$fixtures"/treelog/*
	ok "filesystems with a random log: as committed" all_crashed "$fixtures"/treelog-random/*
else
	skip "filesystems with a log" "there is no ../shared"
fi

# --- An aged one ---
churn() {
	python3 - "$1" <<-'PY'
	import os, random, subprocess, sys
	top = sys.argv[1]
	rng = random.Random(11)
	def btrfs(*words):
	    subprocess.run(('btrfs', '-q') + words, check=True, stdout=subprocess.DEVNULL)
	btrfs('subvolume', 'create', top + '/live')
	live = top + '/live'
	snapshots = []
	for step in range(12):
	    files = [os.path.join(f, n) for f, _, names in os.walk(live) for n in names]
	    for _ in range(60):
	        action = rng.random()
	        some = rng.choice(files) if files else None
	        if action < .45 or some is None or not os.path.exists(some):
	            folder = os.path.join(live, 'd%d' % rng.randrange(9))
	            os.makedirs(folder, exist_ok=True)
	            path = os.path.join(folder, 'f%d-%s' % (rng.randrange(300), 'x' * rng.randrange(90)))
	            with open(path, 'ab') as f:
	                f.write(rng.randbytes(rng.randrange(1, 40000)) * rng.randrange(1, 4))
	        elif action < .6:
	            os.unlink(some)
	        elif action < .7:
	            os.truncate(some, rng.randrange(100000))
	        elif action < .8:
	            with open(some, 'r+b') as f:
	                f.seek(rng.randrange(60000))
	                f.write(b'overwritten' * rng.randrange(1, 2000))
	        elif action < .85:
	            os.rename(some, some + '.moved')
	        elif action < .9:
	            os.link(some, some + '.link%d' % step)
	        elif action < .95:
	            os.setxattr(some, 'user.step', b'%d' % step * rng.randrange(1, 200))
	        else:
	            subprocess.run(['cp', '--reflink=always', some, some + '.clone'], check=True)
	    snapshots.append(top + '/s%d' % step)
	    btrfs('subvolume', 'snapshot', *(['-r'] if step % 2 else []), live, snapshots[-1])
	    if step % 3 == 2:
	        btrfs('subvolume', 'delete', snapshots.pop(rng.randrange(len(snapshots))))
	    if step == 4:
	        btrfs('quota', 'enable', top)
	    if step == 7:
	        btrfs('filesystem', 'sync', top)
	        btrfs('balance', 'start', '--full-balance', top)
	    if step == 9:
	        btrfs('filesystem', 'defragment', '-r', '-czstd', live)
	PY
}
aged() { # NAME MOUNT-OPTIONS mkfs options...
	name=$1
	options=$2
	shift 2
	truncate -s 1G aged
	ok "$name: made" mkfs.btrfs -q -f "$@" aged
	btrfs_mount mnt "noatime,$options" "$scratch/aged" && ok "$name: aged" churn mnt
	python3 "$tools/manifest" mnt | sed 's/btrfs\.compression=[0-9a-f]*,\{0,1\}//' >wanted
	btrfs_umount mnt
	ok "$name: read" reads_quietly aged
	rm -rf found
	ok "$name: extracted" quiet "$BTRKIT" restore --no-scan aged found
	python3 "$tools/manifest" found >got
	ok "$name: the same files" python3 "$tools/manifest" diff wanted got
	btrfs inspect-internal dump-tree aged 2>err | python3 "$tools/dumpkeys.py" dump >wanted
	"$BTRKIT" inspect tree --no-scan --json aged | python3 "$tools/dumpkeys.py" json >got
	ok "$name: the same items" cmp wanted got
}
if can_mount && command -v mkfs.btrfs >/dev/null; then
	aged "aged" compress=lzo -n 4096
	aged "aged, of an old format" space_cache=v1 -m single -O ^no-holes,^skinny-metadata -R ^free-space-tree
else
	skip "an aged filesystem" "needs root, loop devices and Btrfs"
fi
done_testing
