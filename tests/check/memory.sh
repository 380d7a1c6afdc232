#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The check's memory: it stays below what was allowed, and what is found does not depend on it.
. "${srcdir:-.}/tests/tap.sh"
need_program python3
measure=$builddir/tests/bench/measure
starve=$builddir/tests/check/starve

# Two of these files fill a leaf of 4 KiB.
head -c 1500 /dev/zero | tr '\0' x >"$scratch/content"
awk -v content="$scratch/content" 'BEGIN {
	print "#mtree\n/set uid=0 gid=0 mode=0644 time=1700000000.0\n. type=dir mode=0755"
	for (i = 0; i < 120000; i++) {
		if (i % 1000 == 0) printf "./d%d type=dir mode=0755\n", i / 1000
		printf "./d%d/%d type=file contents=%s\n", i / 1000, i, content
	}
}' >"$scratch/tree.mtree"
"$BTRKIT" mkfs -q -n 4K -m single --rootdir "$scratch/tree.mtree" --free 64M "$scratch/image"

# report NAME IMAGE OPTION...: what is found, sorted, to NAME.problems, and the summary without what memory changes.
report() {
	name=$1 image=$2
	shift 2
	"$BTRKIT" check --no-scan --json "$@" "$image" >"$scratch/$name.json" 2>"$scratch/$name.errors"
	echo $? >"$scratch/$name.status"
	python3 - "$scratch/$name.json" "$scratch/$name.problems" <<-'PY'
	import json, sys
	lines = [json.loads(line) for line in open(sys.argv[1])]
	summary = lines.pop()
	memory = {field: summary.pop(field, None) for field in ("memory_bytes", "spilled_bytes", "spill_dir")}
	with open(sys.argv[2], "w") as out:
	    for line in sorted(json.dumps(line, sort_keys=True) for line in lines) + [json.dumps(summary, sort_keys=True)]:
	        print(line, file=out)
	print(memory["memory_bytes"], memory["spilled_bytes"], memory["spill_dir"])
	PY
}

# --- A sound filesystem --------------------------------------------------------------------------------------
is "enough memory: nothing is written" "$(report roomy "$scratch/image" --memory 1G --tmpdir /nonexistent)" "1073741824 0 None"
small=$(report small "$scratch/image" --memory 16M --tmpdir "$scratch")
is "little memory: it is clean all the same" "$(cat "$scratch/small.status")" 0
is "some is written, and it is said where" "$(echo "$small" | sed 's/ [1-9][0-9]* / N /')" "16777216 N $scratch"
is "in words, too" "$(sed 's/[1-9][0-9.]*[KM]iB went/N went/' "$scratch/small.errors")" \
	"btrkit check: tables did not fit into 16.00MiB: N went through temporary files in $scratch"
is "no file is left there" "$(find "$scratch" -mindepth 1 -name 'btrkit-*')" ""
is "the same numbers" "$(cat "$scratch/small.problems")" "$(cat "$scratch/roomy.problems")"
is "TMPDIR is used, too" "$(TMPDIR=$scratch "$BTRKIT" check --no-scan --memory 16M "$scratch/image" 2>&1 >/dev/null | sed 's/.* in //')" \
	"$scratch"
peak() { "$measure" "$BTRKIT" check --no-scan --memory "$1" "$scratch/image" 2>/dev/null | awk '{print $4}'; }
roomy=$(peak 1G) small=$(peak 16M)
ok "memory stays below what is allowed and 64 MiB ($small KiB)" [ "$small" -lt $(((16 + 64) * 1024)) ]
ok "and below what is taken when there is enough ($roomy KiB)" [ "$small" -lt "$roomy" ]

# --- What cannot be ------------------------------------------------------------------------------------------------
status() { "$BTRKIT" check --no-scan "$@" "$scratch/image" >/dev/null 2>"$scratch/errors" || echo $?; }
is "too little is a usage error" "$(status --memory 1M) $(cat "$scratch/errors")" \
	"16 btrkit check: --memory: 1M is too little: the tables need 16.00MiB at least (see btrkit check --help)"
is "a directory that is not there" "$(status --memory 16M --tmpdir /nonexistent) $(cat "$scratch/errors")" \
	"8 btrkit check: error: /nonexistent: cannot make a temporary file: No such file or directory"
mkdir "$scratch/full"
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=256k none "$scratch/full" 2>/dev/null; then
	is "a full directory" "$(status --memory 16M --tmpdir "$scratch/full") $(cat "$scratch/errors")" \
		"8 btrkit check: error: $scratch/full: cannot write to a temporary file: No space left on device"
	umount "$scratch/full"
else
	skip "a full directory" "cannot mount a tmpfs"
fi

# --- Damage ----------------------------------------------------------------------------------------------------------
# damage SEED: 40 sectors all over the metadata are overwritten.
damage() {
	cp "$scratch/image" "$scratch/damaged"
	python3 - "$scratch/damaged" "$1" <<-'PY'
	import os, random, sys
	random.seed(int(sys.argv[2]))
	with open(sys.argv[1], "r+b") as image:
	    size = os.path.getsize(sys.argv[1])
	    done = 0
	    while done < 40:
	        at = random.randrange(32 << 20, size) // 4096 * 4096 + 1024
	        image.seek(at)
	        if any(image.read(512)):
	            image.seek(at)
	            image.write(random.randbytes(512))
	            done += 1
	PY
}
for seed in 1 2; do
	damage $seed
	report roomy "$scratch/damaged" --memory 1G >/dev/null
	report small "$scratch/damaged" --memory 16M --tmpdir "$scratch" >/dev/null
	is "damage $seed is found" "$(cat "$scratch/small.status")" 4
	ok "the same with little memory" cmp "$scratch/small.problems" "$scratch/roomy.problems"
	"$starve" "$scratch/damaged" >"$scratch/starved" 2>&1
	is "and with none" "$? $(grep -c 'the same; [1-9]' "$scratch/starved")" "0 1"
	grep -v 'the same; [1-9]' "$scratch/starved" | sed 's/^/# /'
done
rm -f "$scratch/damaged" "$scratch/image"

# --- Shared blocks -----------------------------------------------------------------------------------------------------
if can_mount; then
	snapshots() {
		btrfs_mount "$scratch/mnt" defaults "$1" && btrfs -q subvolume create "$scratch/mnt/s" || return 1
		for i in $(seq 1500); do echo "$i" >"$scratch/mnt/s/file$i"; done
		head -c 300000 /dev/urandom >"$scratch/mnt/s/big"
		for round in 1 2 3 4 5 6; do
			btrfs -q subvolume snapshot "$scratch/mnt/s" "$scratch/mnt/snap$round" || return 1
			for i in $(seq 20); do echo changed >"$scratch/mnt/s/file$((round * 200 + i * 7))"; done
			cp --reflink=always "$scratch/mnt/s/big" "$scratch/mnt/snap$round/clone"
		done
		# Blocks of a subvolume that is gone have their references by address.
		btrfs -q subvolume delete "$scratch/mnt/s" && btrfs subvolume sync "$scratch/mnt" >/dev/null &&
			btrfs -q quota enable "$scratch/mnt" && btrfs -q quota rescan -w "$scratch/mnt" && sync -f "$scratch/mnt" &&
			btrfs_umount "$scratch/mnt"
	}
	"$BTRKIT" mkfs -q -n 4K -b 300M "$scratch/shared"
	ok "Linux makes snapshots" snapshots "$scratch/shared"
	"$starve" "$scratch/shared" >"$scratch/starved" 2>&1
	is "snapshots: the same with no memory" "$? $(grep -c 'the same; [1-9]' "$scratch/starved")" "0 1"
	grep -v 'the same; [1-9]' "$scratch/starved" | sed 's/^/# /'
	cp "$scratch/shared" "$scratch/image"
	for seed in 3 4 5; do
		damage $seed
		"$starve" "$scratch/damaged" >"$scratch/starved" 2>&1
		is "damaged snapshots $seed: the same with no memory" "$? $(grep -c 'the same; [1-9]' "$scratch/starved")" "0 1"
		grep -v 'the same; [1-9]' "$scratch/starved" | sed 's/^/# /'
	done
else
	skip "snapshots: the same with no memory" "needs root, loop devices and btrfs in the kernel"
fi
done_testing
