#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A device that has the filesystem's id and a device's number, but is not that device: as one has that was removed, and whose
# number another device got. It is told of, not read, and nothing else suffers.
. "${srcdir:-.}/tests/tap.sh"
cd "$scratch" || exit 1

mkdir tree && seq 60000 >tree/numbers
make_pair() { # make_pair PROFILE FIRST SECOND: always of the same id, the devices' own ids are random
	truncate -s 200M "$2" "$3" &&
		"$BTRKIT" mkfs -q -U 11111111-2222-3333-4444-555555555555 -d "$1" -m raid1 --rootdir tree "$2" "$3"
}
ok "two copies of all" make_pair raid1 a b
ok "two devices of the same numbers" make_pair raid1 x y
ok "one copy of data" make_pair raid0 s t

reads() { "$BTRKIT" cat --no-scan "$@" --path numbers >got 2>said && cmp got tree/numbers; }
ok "both devices: read" reads a b
is "and nothing said" "$(cat said)" ""
ok "another in place of the second: read from the first" reads a y
is "and told" "$(sed 's/^btrkit cat: //' said)" "warning: y: says that it is device 2, but has another uuid: it is left out
warning: device 2 is missing"
not_ok "data that is only there: not read" reads s y
ok "and told" grep -q "y: says that it is device 2" said
is "no half of a lie: what was read is right" "$(head -c "$(wc -c <got)" tree/numbers | cksum)" "$(cksum <got)"
done_testing
