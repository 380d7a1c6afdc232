#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# No false alarm: what mkfs.btrfs makes is clean, every two of its profiles, sizes, checksums, features and ways to fill it
# together at least once. A part of that in turn, all with BTRKIT_TEST_ALL=1.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program mkfs.btrfs btrfs python3
stride=9
[ -z "$BTRKIT_TEST_ALL" ] || stride=1
python3 "$srcdir/tests/tools/gentree.py" small "$scratch/tree" 40 || fail "a source"
# mkfs.btrfs writes holes out.
find "$scratch/tree" -type f -size +4M -delete

is_clean() {
	"$BTRKIT" check --strict --data --no-scan $devices && btrfs_check $devices
}
combination() {
	count=${layout%%:*}
	profiles=${layout#*:}
	devices=
	for i in $(seq "$count"); do
		truncate -s 400M "$scratch/$i" && devices="$devices $scratch/$i"
	done
	case $profiles in
	mixed:*) set -- -M -m "${profiles#*:}" -d "${profiles#*:}" ;;
	*) set -- -d "${profiles%:*}" -m "${profiles#*:}" ;;
	esac
	set -- "$@" -s "${sizes%/*}" -n "${sizes#*/}" --csum "$csum" -O "$holes,$extref,$skinny" -R "$space"
	[ "$quota" = none ] || set -- "$@" -R "$space,$quota"
	case $content in
	tree) set -- "$@" -r "$scratch/tree" ;;
	shrunk) set -- "$@" -r "$scratch/tree" --shrink ;;
	esac
	ok "made: $*, on $count" mkfs.btrfs -q -f "$@" $devices
	ok "clean: $*, on $count" is_clean
	rm -f $devices
}

several="2:raid0:raid0 2:raid1:raid1 2:raid5:raid5 3:raid5:raid1 2:raid10:raid10 4:raid10:raid10 3:raid6:raid6 3:raid1c3:raid1c3 4:raid1c4:raid1c4 2:mixed:raid1"
mixed="1:mixed:single 1:mixed:dup 2:mixed:raid1"
# Refused.
set --
for layout in $several; do set -- "$@" not "layout=$layout" content=tree not "layout=$layout" content=shrunk; done
for layout in $mixed; do
	for sizes in 4k/16k 4k/64k 16k/32k; do set -- "$@" not "layout=$layout" "sizes=$sizes"; done
done
python3 "$srcdir/tests/tools/pairwise.py" \
	"layout=1:single:single,1:single:dup,1:dup:dup,1:raid0:raid0,1:mixed:single,1:mixed:dup,$(echo $several | tr ' ' ,)" \
	sizes=4k/4k,4k/16k,4k/64k,16k/16k,16k/32k,64k/64k csum=crc32c,xxhash,sha256,blake2 holes=no-holes,^no-holes \
	extref=extref,^extref skinny=skinny-metadata,^skinny-metadata space=free-space-tree,^free-space-tree quota=none,quota \
	content=none,tree,shrunk "$@" | awk -v stride=$stride 'NR % stride == 1 || stride == 1' >"$scratch/combinations"
while read -r layout sizes csum holes extref skinny space quota content; do
	combination
done <"$scratch/combinations"
[ $tap_count -gt 0 ] || fail "combinations"
done_testing
