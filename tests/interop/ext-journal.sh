#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Journals of ext as debugfs and Linux write them, laid over the filesystem by us: the same blocks as after e2fsck's replay, and
# the same tree as after Linux's.
. "${srcdir:-.}/tests/tap.sh"
need_program mke2fs e2fsck debugfs python3
journal=$(realpath "${builddir:-.}/tests/tools/extjournal")
manifest=$(realpath "${srcdir:-.}/tests/tools/manifest")
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
"$journal" >/dev/null 2>&1
[ $? != 77 ] || skip_all "built without libext2fs"
cd "$scratch" || exit 1

# has FACT...: what the journal of ./dirty is must have these lines.
has() {
	for fact in "$@"; do grep -qx "$fact" facts || { echo "expected: $fact"; cat facts; return 1; }; done
}
# Superblocks apart from what e2fsck notes: that there is nothing to recover, when it wrote, how much, the checksum.
same_superblocks() {
	python3 - "$1" "$2" <<-'END'
		import sys
		a, b = (open(path, 'rb').read(2048)[1024:] for path in sys.argv[1:])
		noted = {*range(0x30, 0x34), 0x60, *range(0x178, 0x180), 0x275, *range(0x3fc, 0x400)}
		wrong = [hex(i) for i in range(1024) if a[i] != b[i] and i not in noted]
		sys.exit(f'superblocks differ at {wrong}' if wrong else 0)
	END
}
# judge NAME FACT...: ./dirty as we replay it and as e2fsck does.
judge() {
	judged=$1
	shift
	cp --sparse=always dirty ours && cp --sparse=always dirty theirs
	ok "$judged: is read" sh -c '"$@" >facts' - "$journal" apply ours
	ok "$judged: is what it should be" has "$@"
	e2fsck -y -E journal_only theirs >said 2>&1
	ok "$judged: e2fsck replays it, too" grep -q 'recovering journal' said
	ok "$judged: the same blocks" "$journal" compare theirs ours
	ok "$judged: the same superblock" same_superblocks theirs ours
	not_ok "$judged: which are not what they were" "$journal" compare theirs dirty
}

# --- debugfs -----------------------------------------------------------------------------------------------
# Formats that Linux does not write any more. A line that begins with the magic is escaped.
{ head -c 1024 /dev/urandom; printf '\300\073\071\230'; head -c 3068 /dev/urandom; } >data
for version in none 2 3; do
	for wide in 64bit ^64bit; do
		rm -f dirty
		truncate -s 16M dirty
		case $version in
		none) features=^metadata_csum,$wide opening="jo" bits=0 ;;
		2) features=metadata_csum,$wide opening="jo -c -v 2" bits=8 ;;
		3) features=metadata_csum,$wide opening="jo -c -v 3" bits=16 ;;
		esac
		[ $wide = ^64bit ] || bits=$((bits + 2))
		mke2fs -q -F -t ext4 -b 1024 -O "$features" dirty
		printf '%s\njw -b 12000-12003 data\njw -r 12001,12003 data\njw -b 12004-12007 data\njw -b 12001 data\njw -b 12002 -c data\njc\n' \
			"$opening" | debugfs -w -f - dirty >said 2>&1
		judge "debugfs, checksums $version, $wide" "state: dirty" "incompat: $(printf '%#x' $((bits + 1)))" \
			"transactions: 4" "revocations: 2" "blocks: 7"
	done
done

# --- Linux -------------------------------------------------------------------------------------------------
if ! can_mount ext4; then
	skip "journals that Linux wrote" "needs root, loop devices and ext4 in the kernel"
	done_testing
fi
# ext_mount OPTIONS FILE [JOURNAL]: at ./mnt.
ext_mount() {
	mkdir -p mnt
	loop_attach $3 "$2" || return 1
	echo "$loops" >mnt.loops
	mount -t ext4 -o "$1${3:+,journal_path=${loops%% *}}" "${loops##* }" mnt && return 0
	loop_detach $loops
	return 1
}
ext_umount() { umount mnt && loop_detach $(cat mnt.loops); }
# Linux's replay of ./dirty, and ours, both mounted.
same_tree() {
	cp --sparse=always dirty linux
	jdev=
	[ ! -e jdirty ] || { cp jdirty jlinux && jdev=yes; }
	ext_mount defaults linux ${jdev:+jlinux} && python3 "$manifest" mnt >linux.manifest && ext_umount || return 1
	ext_mount ro,noload ours ${jdev:+jdirty} && python3 "$manifest" mnt >ours.manifest && ext_umount || return 1
	python3 "$manifest" diff linux.manifest ours.manifest && [ "$(wc -l <ours.manifest)" -gt 50 ]
}
# A round of a workload whose blocks are written again, freed, and used for something else. The fsync of one file commits all, and
# writes no metadata to its place, as syncfs() would; that an attribute is new does not fit into a fast commit.
work() {
	rm -rf "mnt/d$(($1 - 2))"
	mkdir "mnt/d$1" "mnt/d$1/s"
	for number in $(seq 30); do
		printf '\300\073\071\230round %s file %s' "$1" "$number" >"mnt/d$1/f$number"
		mkdir "mnt/d$1/s/s$number"
	done
	python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.round", b"x")' "mnt/d$1/f30"
	sync "mnt/d$1/f30"
}
# crash MKFS-OPTIONS MOUNT-OPTIONS ROUNDS: ./dirty is a filesystem whose power failed.
crash() {
	rm -f fs
	truncate -s 48M fs
	mke2fs -q -F -t ext4 -b 1024 $1 fs && ext_mount "commit=300,$2" fs $jfs || return 1
	for round in $(seq "$3"); do work "$round"; done
	echo "not committed" >mnt/lost
	cp --sparse=always fs dirty
	[ -z "$jfs" ] || cp jfs jdirty
	ext_umount
}
jfs=
while IFS='|' read -r name mkfs mount rounds facts; do
	ok "$name: Linux writes it" crash "$mkfs" "$mount" "$rounds"
	IFS=,
	# shellcheck disable=SC2086
	judge "$name" "state: dirty" $facts
	unset IFS
	ok "$name: the same tree as Linux sees" same_tree
done <<END
no checksums|-O ^64bit,^metadata_csum|defaults|3|incompat: 0,compat: 0
version 1|-O ^metadata_csum|journal_checksum|3|incompat: 0x2,compat: 0x1
version 1, asynchronous|-O ^metadata_csum|journal_async_commit,data=writeback|3|incompat: 0x6,compat: 0x1
version 3, asynchronous|-O metadata_csum|journal_async_commit,data=writeback|3|incompat: 0x16,compat: 0
contents of files|-O metadata_csum|data=journal|3|compat: 0
version 3, several laps|-J size=1|defaults|24|incompat: 0x13,log: 1-1024
END

# On a device of its own. e2fsck does not only replay such a journal, but goes on to a whole check.
rm -f jfs
truncate -s 8M jfs && mke2fs -q -F -b 1024 -O journal_dev jfs
jfs=jfs
loop_attach jfs
jloop=$loops
ok "own device: Linux writes it" crash "-J device=$jloop" defaults 6
loop_detach $jloop
cp --sparse=always dirty ours
ok "own device: is read" sh -c '"$@" >facts' - "$journal" apply ours jdirty
ok "own device: is what it should be" has "state: dirty" "log: 3-8192"
ok "own device: the same tree as Linux sees" same_tree
ok "own device: e2fsck finds nothing" e2fsck -fn -j jdirty ours
rm -f jdirty
jfs=

# A log that goes round in front of a place for fast commits: e2fsck 1.47.0 goes on into that place, and loses what comes then. Linux
# does not.
wrapped() {
	rm -f fs
	truncate -s 48M fs
	mke2fs -q -F -t ext4 -b 1024 -O fast_commit -J size=1,fast_commit_size=256 fs && ext_mount commit=300 fs || return 1
	start=0 end=0
	for round in $(seq 60); do
		work "$round"
		cp --sparse=always fs dirty
		"$journal" show dirty >facts || break
		start=$(sed -n 's/^start: //p' facts)
		end=$(sed -n 's/^end: block \([0-9]*\) .*/\1/p' facts)
		[ "$round" -lt 10 ] || [ "$end" -ge "$start" ] || break
	done
	ext_umount
	echo "start $start, end $end" && [ "$end" -lt "$start" ]
}
ok "beside fast commits: Linux writes it" wrapped
cp --sparse=always dirty ours
ok "beside fast commits: is read" sh -c '"$@" >facts' - "$journal" apply ours
ok "beside fast commits: is what it should be" has "state: dirty" "log: 1-1024" "fast commits: 0"
ok "beside fast commits: the same tree as Linux sees" same_tree
cp --sparse=always dirty theirs
ok "beside fast commits: Linux replays it" ext_mount ro theirs
ext_umount
ok "beside fast commits: the same blocks as Linux writes" "$journal" compare theirs ours

# Fast commits are told, for they cannot be laid over.
fast_commit() {
	rm -f fs
	truncate -s 48M fs
	mke2fs -q -F -t ext4 -b 1024 -O fast_commit fs && ext_mount commit=300 fs || return 1
	work 1
	echo text >mnt/fast && sync mnt/fast
	cp --sparse=always fs dirty
	ext_umount
}
ok "fast commits: Linux writes one" fast_commit
ok "fast commits: is read" sh -c '"$@" >facts' - "$journal" show dirty
ok "fast commits: is told" has "state: fast commits" "fast commits: 1"

# --- In the middle of work ----------------------------------------------------------------------------------
# A copy by reflink is the file at one moment, whatever is being written.
cuts() { # NAME MKFS-OPTIONS MOUNT-OPTIONS
	truncate -s 48M host/fs && mke2fs -q -F -t ext4 $2 host/fs && ext_mount "commit=1,$3" host/fs || return 1
	(for round in $(seq 1000); do [ -e host/stop ] || work "$round"; done) &
	worker=$!
	for cut in 1 2 3; do
		sleep 0.6
		cp --reflink=always host/fs "host/cut$cut"
	done
	touch host/stop
	wait $worker
	ext_umount
	rm -f host/stop
	for cut in 1 2 3; do
		mv "host/cut$cut" dirty
		cp --sparse=always dirty ours && cp --sparse=always dirty theirs
		ok "$1, cut $cut: is read" sh -c '"$@" >facts' - "$journal" apply ours
		echo "# $(grep ^transactions facts)"
		e2fsck -y -E journal_only theirs >said 2>&1
		ok "$1, cut $cut: the same blocks" "$journal" compare theirs ours
		ok "$1, cut $cut: e2fsck finds nothing" e2fsck -fn ours
		rm -f dirty
	done
}
truncate -s 1G host.img
if can_mount btrfs && "$BTRKIT" mkfs -q host.img && btrfs_mount "$scratch/host" defaults host.img; then
	cuts "blocks of 4 KiB" "-b 4096 -J size=4" defaults
	cuts "contents of files" "-J size=4" data=journal
	btrfs_umount "$scratch/host"
else
	skip "in the middle of work" "needs btrfs in the kernel"
fi
done_testing
