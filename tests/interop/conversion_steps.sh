# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by tests that convert: ext filesystems filled by Linux, and what Linux shows before and after. Work is done in $scratch.
[ -x "${builddir:-$PWD}/tests/tools/sourcelist" ] || skip_all "this build has no libext2fs"
tools=$(realpath "$srcdir/tests/tools")
cd "$scratch" || exit 1
mkdir -p ext mnt

# Paths and all that belongs to them, but for inode numbers (in their place the first path of the inode) and access times.
normal_list() {
	python3 "$tools/kernellist.py" "$1" | LC_ALL=C sort | LC_ALL=C awk -F '\t' -v OFS='\t' '
	{
		if ($1 == "ext2_saved" || $1 ~ /^ext2_saved\//) next
		split($2, f, " ")
		if (!(f[9] in first)) first[f[9]] = $1
		$2 = f[1] " " f[2] " " f[3] " " f[4] " " f[5] " " f[6] " " f[7] " " f[8] " " first[f[9]] " " f[11] " " f[12] " " f[13]
		print
	}'
}

# list_ext IMAGE LIST [options]: what Linux shows of it. Nothing is replayed with noload.
list_ext() {
	mount -t "${ext_type:-ext4}" -o "loop,ro${3:+,$3}" "$1" ext || return 1
	normal_list ext >"$2"
	umount ext && test -s "$2"
}

# make_ext IMAGE BYTES OPTIONS...
make_ext() {
	rm -f "$1"
	truncate -s "$2" "$1"
	made=$1
	shift 2
	mke2fs -q -F -b 4096 "$@" "$made" 2>.err || { diagnose .err; return 1; }
}

# fill_ext IMAGE WHAT...: as ext_fill.py does, by Linux
fill_ext() {
	mount -t "${ext_type:-ext4}" -o "loop${mount_options:+,$mount_options}" "$1" ext 2>.err || { diagnose .err; return 1; }
	what=$2
	shift 2
	python3 "$tools/ext_fill.py" "$what" ext "$@" 2>.err
	filled=$?
	umount ext || return 1
	[ $filled = 0 ] || diagnose .err
	return $filled
}

same_list() {
	diff "$1" "$2" >.differences && return
	cut -c1-300 .differences | head -n 12
	return 1
}
# shows IMAGE LIST: does Linux show of the Btrfs what is in the list?
shows() {
	btrfs_mount mnt ro "$1" || return 1
	normal_list mnt >.shown
	btrfs_umount mnt || return 1
	same_list "$2" .shown
}

clean() {
	btrfs_check "$1" && "$BTRKIT" check --data "$1"
}

# saved IMAGE LIST: the saved image can be mounted as what it was, and has all used blocks of IMAGE.ext.
saved() {
	btrfs_mount mnt ro "$1" || return 1
	saved_status=0
	python3 "$tools/ext_used.py" compare "$1.ext" mnt/ext2_saved/image || saved_status=1
	list_ext mnt/ext2_saved/image .saved "$3" || saved_status=1
	btrfs_umount mnt || return 1
	[ $saved_status = 0 ] && same_list "$2" .saved
}

# scrubbed: the mounted one, all of it, without an error
scrubbed() {
	btrfs scrub start -B -R mnt >.scrub 2>&1 || { cat .scrub; return 1; }
	grep -q 'data_extents_scrubbed: [1-9]' .scrub && ! grep -E '(_errors|no_csum): [1-9]' .scrub | grep -v no_csum
}
# used_by_linux IMAGE: files deleted and written, a snapshot, a scrub, a balance, another scrub.
used_by_linux() {
	btrfs_mount mnt "" "$scratch/$1" || return 1
	use_it
	use_status=$?
	btrfs_umount mnt && return $use_status
}
use_it() {
	scrubbed || return 1
	btrfs -q subvolume snapshot mnt mnt/snapshot &&
		python3 "$tools/ext_fill.py" unflagged mnt && rm -rf mnt/names mnt/fragments mnt/deep mnt/many/*5 &&
		cp -r mnt/snapshot/names mnt/snapshot/size-300000 mnt/ && echo more >>mnt/size-49153 &&
		head -c 9000000 /dev/urandom >mnt/written && btrfs filesystem sync mnt &&
		btrfs -q balance start --full-balance mnt && scrubbed
}
