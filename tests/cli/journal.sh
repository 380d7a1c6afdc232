#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# btrkit journal, on what debugfs writes into the journal of ext4; and what is refused. For bcachefs see
# tests/interop/bcachefs-journal.sh.
. "${srcdir:-.}/tests/tap.sh"
need_program mke2fs debugfs python3
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
cd "$scratch" || exit 1

truncate -s 16M empty
mke2fs -q -F -t ext4 -b 1024 empty
"$BTRKIT" journal list empty >said 2>&1
[ $? = 0 ] || ! grep -q 'no libext2fs' said || skip_all "built without libext2fs"

schema=$srcdir/Documentation/btrkit-journal-1.schema.json
has_schema=false
! "$BTRKIT" journal list --json empty >/dev/null 2>&1 || ! python3 -c 'import jsonschema' 2>/dev/null || has_schema=true
# follow NAME FILE...: its lines are as the schema has them.
follow() {
	tap_name=$1
	shift
	if $has_schema; then
		ok "$tap_name: as the schema has it" python3 "$srcdir/tests/tools/jsonlines.py" "$schema" lines "$@"
	else
		skip "$tap_name: as the schema has it" "needs json-c and Python's jsonschema"
	fi
}

# count TYPE: of the lines of ./list.
count() { grep -c "\"type\":\"$1\"" list; }

# --- Nothing in it ------------------------------------------------------------------------------
ok "an empty journal" grep -q 'state empty' said
is "verified" "$("$BTRKIT" journal verify empty | tail -n 1)" "sound: no entry is needed"

"$BTRKIT" journal list --json empty >list
"$BTRKIT" journal verify --json empty >verified
follow "an empty journal" list verified
# What a schema that allows anything would pass.
if $has_schema; then
	sed 's/"state":"empty"/"state":"else"/' list >else
	not_ok "a state that there is not" python3 "$srcdir/tests/tools/jsonlines.py" "$schema" lines else
	sed 's/"damages":0//; s/,}/}/' verified >else
	not_ok "a verdict without a number" python3 "$srcdir/tests/tools/jsonlines.py" "$schema" lines else
fi

# --- Transactions --------------------------------------------------------------------------------
{ head -c 1024 /dev/urandom; printf '\300\073\071\230'; head -c 3068 /dev/urandom; } >data
for version in none 2 3; do
	cp --sparse=always empty dirty
	opening=jo
	[ $version = none ] || opening="jo -c -v $version"
	printf '%s\njw -b 12000-12003 data\njw -r 12001,12003 data\njw -b 12004-12007 data\njw -b 12001 data\njc\n' "$opening" |
		debugfs -w -f - dirty >debugfs.out 2>&1
	sha256sum dirty >before
	ok "checksums $version: listed" sh -c '"$0" journal list --json dirty >list' "$BTRKIT"
	is "checksums $version: blocks, revocations, commits" "$(count block) $(count revoke) $(count commit)" "9 2 4"
	ok "checksums $version: as a whole" grep -q "\"type\":\"journal\".*\"state\":\"dirty\",\"checksums\":\"$version\".*\"transactions\":4" list
	ok "checksums $version: the second block begins with the magic" grep -q '"block":12001,.*"escaped":true,"good":true' list
	is "checksums $version: in short" "$("$BTRKIT" journal list --json -s dirty | grep -c '"type":"commit".*"blocks":')" 4
	"$BTRKIT" journal list --json -s dirty >short
	"$BTRKIT" journal verify --json dirty >verified
	follow "checksums $version" list short verified
	"$BTRKIT" journal verify dirty >said
	is "checksums $version: verified" "$? $(tail -n 1 said)" "0 sound: 4 entries are needed, all of them are good"
	ok "checksums $version: nothing was written" sha256sum -c --quiet before
	[ $version != none ] || continue
	# The contents of a block that is not revoked: those of 12004.
	where=$(sed -n 's/.*"block":12004,"journal_block":\([0-9]*\).*/\1/p' list)
	place=$(debugfs -R "bmap <8> $where" dirty 2>/dev/null)
	printf 'damage' | dd of=dirty bs=1 seek=$((place * 1024 + 100)) conv=notrunc 2>/dev/null
	"$BTRKIT" journal verify dirty >said
	is "checksums $version: damaged contents" $? 4
	ok "checksums $version: are told" grep -q "^DAMAGE: .*block 12004.*wrong checksum" said
	not_ok "checksums $version: by the list as well" sh -c '"$0" journal list --json dirty >list' "$BTRKIT"
	"$BTRKIT" journal verify --json dirty >verified
	follow "checksums $version: damaged" list verified
	ok "checksums $version: which shows all that is there" grep -q '"block":12004,.*"good":false' list
done

# --- On a device of its own ------------------------------------------------------------------------
truncate -s 8M log
truncate -s 16M outer
mke2fs -q -F -b 1024 -O journal_dev log
mke2fs -q -F -t ext4 -b 1024 -J device="$(realpath log)" outer >said 2>&1 || rm -f outer
if [ -e outer ]; then
	not_ok "a journal elsewhere has to be named" "$BTRKIT" journal list outer
	ok "and then is read" "$BTRKIT" journal list outer log
else
	skip "a journal on a device of its own" "mke2fs wants a block device: $(tail -n 1 said)"
fi

# --- Refused ---------------------------------------------------------------------------------------
for command in list verify; do
	usage=2 failed=1
	[ $command = list ] || usage=16 failed=8
	"$BTRKIT" journal $command >said 2>&1
	is "$command without a device" $? $usage
	"$BTRKIT" journal $command --nonsense empty >said 2>&1
	is "$command with an option that there is not" $? $usage
	"$BTRKIT" journal $command nowhere >said 2>&1
	is "$command of what is not there" $? $failed
	head -c 1M /dev/zero >zeroes
	"$BTRKIT" journal $command zeroes >said 2>&1
	is "$command of zeroes" "$? $(wc -l <said)" "$failed 1"
	mke2fs -q -F -t ext2 zeroes 1M
	"$BTRKIT" journal $command zeroes >said 2>&1
	is "$command of ext2" "$?" $failed
	ok "$command of ext2: says why" grep -q 'zeroes: has no journal' said
	"$BTRKIT" journal $command empty empty empty >said 2>&1
	is "$command of three devices" "$?" $failed
	"$BTRKIT" journal $command --passphrase-file nowhere empty >said 2>&1
	is "$command without its passphrase" "$?" $failed
done
done_testing
