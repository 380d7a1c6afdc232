#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# No #include points upward in the stack, or sideways between commands. The order is that of the table in
# Documentation/architecture.rst: rows of a folder, a number (or "door" for commands), and what the folder knows.
. "${srcdir:-.}/tests/tap.sh"
cd "${srcdir:-.}" || exit 1

sed -nE 's/^((common|kernel-shared|convert)\/[a-z0-9_]+|[a-z0-9_-]+)\/ +([0-9]+|door) .*/\1 \3/p' Documentation/architecture.rst >"$scratch/table"
# number FOLDER: nothing if it is not in the table.
number() { sed -n "s|^$1 ||p" "$scratch/table"; }

ok "the table has layers" sh -c '[ "$(grep -c " [0-9]" "$1")" -gt 5 ] && [ "$(grep -c " door" "$1")" -gt 1 ]' - "$scratch/table"
is "no folder stands in it twice" "$(cut -d ' ' -f 1 "$scratch/table" | sort | uniq -d)" ""
is "all its folders exist" "$(while read -r folder number; do [ -d "$folder" ] || echo "$folder $number"; done <"$scratch/table")" ""
for folder in common/* kernel-shared/* convert/* mkfs check cmds; do
	for file in "$folder"/*.[ch]; do
		[ ! -e "$file" ] || [ -n "$(number "$folder")" ] || echo "$folder"
	done
done | sort -u >"$scratch/unknown"
is "all folders with sources are in it" "$(cat "$scratch/unknown")" ""

# goes_down FOLDER HEADER: may the folder's files include it?
goes_down() {
	from=$1
	to=${2%/*}
	[ "$from" != "$to" ] || return 0
	case $from:$2 in
	common/*:common/*) ;;
	common/*) return 1 ;;
	kernel-shared/*:btrkit/*) return 0 ;;
	kernel-shared/*:common/* | kernel-shared/*:kernel-shared/*) ;;
	kernel-shared/*) return 1 ;;
	check:btrkit/*) return 0 ;;
	check:common/* | check:kernel-shared/*) ;;
	convert/*:btrkit/*) return 0 ;;
	convert/*:common/* | convert/*:kernel-shared/* | convert/*:check/* | convert/*:convert/*) ;;
	*:common/* | *:btrkit/*) return 0 ;;
	*) return 1 ;;
	esac
	[ -n "$(number "$to")" ] && [ "$(number "$to")" -lt "$(number "$from")" ]
}
while read -r folder number; do
	for file in "$folder"/*.[ch]; do
		for header in $(sed -nE -e 's/^#[ \t]*include "([^"]*)".*/\1/p' \
			-e 's/^#[ \t]*include <((btrkit|common|kernel-shared|convert)\/[^>]*)>.*/\1/p' "$file"); do
			goes_down "$folder" "$header" || echo "$file -> $header"
		done
	done >"$scratch/bad"
	is "includes of $folder point downward" "$(cat "$scratch/bad")" ""
done <"$scratch/table"

# The test itself can tell.
ok "downward is allowed" goes_down kernel-shared/tree kernel-shared/block/block_cache.h
not_ok "upward is not" goes_down kernel-shared/block kernel-shared/tree/tree.h
not_ok "the library does not know the commands' part of common/" goes_down kernel-shared/print common/cli/json.h
not_ok "common/ knows nothing of Btrfs" goes_down common/cli kernel-shared/format/key.h
not_ok "not even the public door" goes_down common/work btrkit/job.h
not_ok "commands do not know each other" goes_down cmds mkfs/options.h
not_ok "commands do not see inside the library" goes_down mkfs kernel-shared/format/key.h
done_testing
