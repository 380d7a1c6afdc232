#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Filesystems that Linux has filled lose devices, or have rotten ones: these are replaced, or removed, and for Linux all content is as
# it was. BTRKIT_TEST_ALL=1 takes every profile.
. "${srcdir:-.}/tests/tap.sh"
. "${srcdir:-.}/tests/interop/degraded_steps.sh"

# rot FILE: every tenth sector or so from 1 MiB on is overwritten, but not the superblocks.
rot() {
	python3 - "$1" <<'PY'
import os, random, sys
random.seed(1)
with open(sys.argv[1], 'r+b') as f:
    at, size = 1 << 20, os.path.getsize(sys.argv[1])
    while at + 4096 < size:
        if not (64 << 20) - 4096 < at < (64 << 20) + 65536:
            f.seek(at)
            if f.read(4096).strip(b'\0'):
                f.seek(at)
                f.write(random.randbytes(4096))
        at += random.randrange(1, 20) * 4096
PY
}

shapes="raid1:2:1 raid1c3:4:2 raid5:3:1 raid6:4:2"
[ -z "$BTRKIT_TEST_ALL" ] || shapes="$shapes raid1:3:1 raid1c3:3:2 raid1c4:4:3 raid10:4:1 raid5:4:1"
for shape in $shapes; do
	profile=${shape%%:*}
	missing=${shape##*:}
	nr=${shape#*:}
	nr=${nr%:*}
	make_fs "$profile" "$nr" || { fail "$shape: Linux makes it"; continue; }
	rest= pairs= whole=
	for i in $(seq "$nr"); do
		whole="$whole disk$i"
		[ "$i" -gt "$missing" ] && [ "$i" -lt "$nr" ] && rest="$rest --device disk$i"
		[ "$i" -gt "$missing" ] || { mkdir -p gone && mv "disk$i" gone/ && truncate -s 600M "new$i" && pairs="$pairs $i new$i"; }
	done
	# shellcheck disable=SC2086
	{
		ok "$shape: missing ones are replaced, planned" "$BTRKIT" device replace -n --no-scan $rest $pairs "disk$nr"
		ok "$shape: missing ones are replaced" "$BTRKIT" device replace --no-scan --no-progress $rest $pairs "disk$nr"
		for i in $(seq "$missing"); do mv "new$i" "disk$i"; done
		judge "$shape, replaced" $whole
		rot disk1
		truncate -s 700M new1
		# Of files without checksums, nothing tells which copy is right: -r takes the one on the other devices.
		ok "$shape: a rotten one is replaced" "$BTRKIT" device replace -r --no-scan --no-progress $(printf -- '--device %s ' ${whole# disk1}) disk1 new1
		not_ok "$shape: it is no device any more" "$BTRKIT" device list --no-scan disk1
		mv new1 disk1
		judge "$shape, after rot" $whole
		rm -rf gone
	}
done

# --- Without them ----------------------------------------
removals="raid1:3:1: raid1:2:1:--convert-data=single,--convert-metadata=dup raid6:4:2:--convert-data=raid1,--convert-metadata=raid1"
[ -z "$BTRKIT_TEST_ALL" ] || removals="$removals raid1c3:4:1: raid1c4:4:3:--convert-data=dup,--convert-metadata=dup raid10:4:1:--convert-data=raid1,--convert-metadata=raid1"
for removal in $removals; do
	profile=${removal%%:*}
	options=$(echo "${removal##*:}" | tr , ' ')
	nr=$(echo "$removal" | cut -d: -f2)
	missing=$(echo "$removal" | cut -d: -f3)
	name="$profile, $missing of $nr missing"
	make_fs "$profile" "$nr" || { fail "$name: Linux makes it"; continue; }
	left= devices=
	for i in $(seq "$nr"); do
		[ "$i" -gt "$missing" ] && left="$left disk$i" && [ "$i" -lt "$nr" ] && devices="$devices --device disk$i"
		[ "$i" -gt "$missing" ] || rm "disk$i"
	done
	# shellcheck disable=SC2086
	{
		if [ "$nr" = 2 ] || [ "$profile" = raid6 ]; then
			not_ok "$name: too few for the profile" sh -c '"$@" >said 2>&1' - "$BTRKIT" device remove --no-scan $devices missing "disk$nr"
			ok "$name: says so" grep -q 'convert .* to a profile that fits' said
		fi
		ok "$name: removed, planned" "$BTRKIT" device remove -n --no-scan $devices $options missing "disk$nr"
		ok "$name: removed" "$BTRKIT" device remove --no-scan --no-progress $devices $options missing "disk$nr"
		judge "$name, removed" $left
	}
done
done_testing
