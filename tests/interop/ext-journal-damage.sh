#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Journals that Linux wrote and that are damaged at each place: what Linux refuses we refuse, and what it replays we replay to the same
# blocks, unless it overlooks that something is lost.
. "${srcdir:-.}/tests/tap.sh"
need_program mke2fs debugfs python3
need_mount ext4
journal=$(realpath "${builddir:-.}/tests/tools/extjournal")
damage=$(realpath "${srcdir:-.}/tests/tools/journal_damage.py")
"$journal" >/dev/null 2>&1
[ $? != 77 ] || skip_all "built without libext2fs"
cd "$scratch" || exit 1

# crash FEATURES: ./dirty has three transactions, the last ones with revocations. Commits are a second apart, or Linux would take the
# time of one for that of another.
crash() {
	rm -f fs
	truncate -s 32M fs
	mkdir -p mnt
	mke2fs -q -F -t ext4 -b 1024 -J size=2 -O "$1" fs && loop_attach fs && mount -t ext4 -o commit=300 "$loops" mnt || return 1
	for round in 1 2 3; do
		rm -rf "mnt/d$((round - 1))"
		mkdir -p "mnt/d$round/s"
		for number in $(seq 20); do mkdir "mnt/d$round/s/s$number"; done
		echo "$round" >"mnt/d$round/f"
		sync "mnt/d$round/f"
		sleep 1.1
	done
	cp --sparse=always fs dirty
	umount mnt && loop_detach "$loops"
}
for features in metadata_csum ^metadata_csum; do
	ok "$features: Linux writes it" crash $features
	mkdir -p damaged
	ok "$features: damage is judged as Linux does" sh -c '"$@" >counts || { cat counts; false; }' - \
		python3 "$damage" "$journal" dirty damaged
	echo "# $(tail -n 1 counts)"
	case $features in
	metadata_csum) ok "$features: there were all kinds" grep -qE '^refused [1-9][0-9]+, replayed [1-9][0-9]*, refused by us [1-9]' counts ;;
	*) ok "$features: there were all kinds" grep -qE '^refused 0, replayed [1-9][0-9]+, refused by us [1-9]' counts ;;
	esac
done
done_testing
