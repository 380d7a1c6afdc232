#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The chunks that filters choose here are those that Linux relocates: of a filesystem that it has filled, on a copy for each try.
. "${srcdir:-.}/tests/tap.sh"
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
need_mount
need_program btrfs mkfs.btrfs awk
cd "$scratch" || exit 1
export NO_COLOR=1

# chunks FILE...: of all chunks, the logical address, length and where the stripes are: a new one may get the address of one that went.
chunks() {
	"$BTRKIT" inspect tree -t chunk "$@" | awk '
		/key \(/ { if (at != "") print at; at = "" }
		/CHUNK_ITEM/ { match($0, /CHUNK_ITEM [0-9]+/); at = substr($0, RSTART + 11, RLENGTH - 11) }
		at != "" && match($0, /  length [0-9]+/) { at = at " " substr($0, RSTART + 9, RLENGTH - 9) }
		at != "" && /^ *devid / { at = at " " $2 ":" $4 }
		END { if (at != "") print at }' | sort
}

# forget DIR: unmount, and let the kernel forget the devices: their copies come under the same names.
forget() {
	umount "$1" || return
	for loop in $(cat "$1.loops"); do
		btrfs device scan --forget "$loop" >/dev/null 2>&1
		losetup -d "$loop"
	done
}

# --- Chunks of several profiles, more and less full ---------------------------------------------------------------
truncate -s 1500M one two three
mkfs.btrfs -q -d single -m raid1 one two three >/dev/null 2>&1 || exit 1
btrfs_mount mnt commit=300 one two three || exit 1
for n in $(seq 100 189); do fallocate -l 20M mnt/large$n; done
sync -f mnt
# Of the first ones less stays than of the last ones.
for n in $(seq 100 189); do [ $((n % 10)) -lt $(((n - 80) / 13)) ] || rm mnt/large$n; done
head -c 5000000 /dev/urandom >mnt/file
sync -f mnt
btrfs balance start -dlimit=1,convert=raid1 mnt >/dev/null 2>&1
btrfs balance start -dlimit=1,profiles=single,convert=raid0 mnt >/dev/null 2>&1
btrfs filesystem df mnt >df.txt
forget mnt
diagnose df.txt
# Empty chunks would go by themselves when Linux mounts it: let them.
btrfs_mount mnt "" one two three && sleep 1 && sync -f mnt && forget mnt
chunks one two three >before
echo "# $(wc -l <before) chunks"
ok "there are chunks enough to choose from" test "$(wc -l <before)" -ge 7
middle=$(sed -n '4s/ .*//p' before)
# shellcheck disable=SC2046
set -- $("$BTRKIT" inspect tree -t device one two three | sed -nE 's/.*key \(1 DEV_EXTENT ([0-9]+)\).*/\1/p')
physical=$2

# ours FILTERS...: what is chosen here.
ours() {
	"$BTRKIT" restripe start --dry-run --json "$@" one two three >plan.json 2>plan.err || { cat plan.err && return; }
	sed -nE 's/.*"logical":([0-9]+).*/\1/p' plan.json | sort
}
# kernels FILTERS...: what has gone after Linux has done it, on a copy.
kernels() {
	for file in one two three; do cp --sparse=always --reflink=auto $file copy.$file; done
	btrfs_mount mnt skip_balance copy.one copy.two copy.three || return
	btrfs balance start --full-balance "$@" mnt >balance.txt 2>&1 || sed 's/^/failed /' balance.txt
	forget mnt
	chunks copy.one copy.two copy.three >after
	comm -23 before after | sed 's/ .*//'
}
# same FILTERS...
nr_tried=0 nr_some=0
same() {
	ours "$@" >ours.txt
	kernels "$@" >kernels.txt
	nr_tried=$((nr_tried + 1))
	[ ! -s kernels.txt ] || cmp -s kernels.txt before || nr_some=$((nr_some + 1))
	is "$*: $(wc -l <kernels.txt) chunks" "$(tr '\n' ' ' <ours.txt)" "$(tr '\n' ' ' <kernels.txt)"
}

# The limits of a single chunk. Linux looks at the others only when what it moves may have gone there already.
"$BTRKIT" restripe start --dry-run --json -d one two three | tr -d ' \n' | tr '{' '\n' |
	sed -nE "s/^\"logical\":$middle,\"length\":([0-9]+),\"used_bytes\":([0-9]+),.*/\1 \2/p" >size
read -r length used <size
percent=$((used * 100 / length))
echo "# chunk $middle: $used of $length, $percent %"
only=vrange=$middle..$((middle + 1))
same -d$only,usage=$percent
same -d$only,usage=$((percent + 1))
same -d$only,usage=$percent..$((percent + 1))
same -d$only,usage=$((percent + 1))..
same -dusage=50,limit=1
same -dprofiles='raid1|raid0' -mprofiles=raid1
same -dstripes=2..3
same -ddevid=2 -mdevid=3
same -ddevid=1,drange="$physical..$((physical + 1))" -mdevid=1,drange="$physical..$((physical + 1))"
same -dvrange="$middle..$((middle + 1))" -mvrange="$((middle - 1)).."
same -dlimit=1..3,profiles='single|raid1'
same -dlimit=9..10
same -dlimit=$(($(wc -l <before) - 1))
same -dconvert=raid1,soft,limit=2
same -f -s

# Random ones, that can be tried again.
seed=${BTRKIT_SEED:-$(date +%s)}
echo "# seed $seed; the same again: BTRKIT_SEED=$seed"
for round in 1 2; do
	filters=$(awk -v seed=$((seed + round * 7919)) -v middle="$middle" 'BEGIN {
		srand(seed)
		n = split("profiles=" (rand() < .5 ? "single|raid1" : "raid0|raid1c3") ";devid=" 1 + int(rand() * 3) \
			";vrange=" sprintf("%.0f..%.0f", rand() * middle, middle * (1 + rand())) ";limit=.." 1 + int(rand() * 4) ";stripes=1.." \
			1 + int(rand() * 3), part, ";")
		for (i = 1; i <= n; i++) if (rand() < .45) out = out (out == "" ? "" : ",") part[i]
		print out == "" ? part[1] : out
	}')
	same "-d$filters" "-m$filters"
done
ok "most of these choose some and leave others ($nr_some of $nr_tried)" test $nr_some -gt $((nr_tried / 2))

# --- Data and metadata together -----------------------------------------------------------------------------------
rm -f copy.* one two three
truncate -s 1G mixed
mkfs.btrfs -q -M mixed >/dev/null 2>&1 || exit 1
btrfs_mount mnt "" mixed && for n in 1 2 3; do fallocate -l 110M mnt/large$n && sync -f mnt; done
forget mnt
same_mixed() {
	cp --sparse=always mixed copy
	chunks mixed >before
	"$BTRKIT" restripe start --dry-run --json "$@" mixed >plan.json 2>plan.err || cat plan.err
	sed -nE 's/.*"logical":([0-9]+).*/\1/p' plan.json | sort >ours.txt
	btrfs_mount mnt skip_balance copy
	btrfs balance start "$@" mnt >balance.txt 2>&1 || cat balance.txt
	forget mnt
	chunks copy >after
	is "mixed, $*" "$(tr '\n' ' ' <ours.txt)" "$(comm -23 before after | sed 's/ .*//' | tr '\n' ' ')"
}
same_mixed -dusage=60 -musage=60
same_mixed -dlimit=1 -mlimit=1
same_mixed -dlimit=..1 -mlimit=..1
not_ok "mixed: different filters are refused" "$BTRKIT" restripe start -n -dusage=1 -musage=2 mixed
not_ok "mixed: so is one kind alone" "$BTRKIT" restripe start -n -m mixed
done_testing
