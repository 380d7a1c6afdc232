#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The options that a command takes and the options that its page names are the same.
. "${srcdir:-.}/tests/tap.sh"
: "${BTRKIT:=./btrkit}"
BTRKIT=$(realpath "$BTRKIT")
cd "${srcdir:-.}" || exit 1

page_of() {
	for page in "Documentation/btrkit-$1.rst" "Documentation/$1.rst"; do
		[ ! -e "$page" ] || { echo "$page" && return; }
	done
}
# section PAGE TITLE: what stands under this heading, up to the next one that is underlined with the same character.
section() {
	awk -v title="$2" '
		NR > 1 && /^(=+|-+)$/ && length($0) >= length(before) && before ~ /^[A-Za-z]/ {
			mark = substr($0, 1, 1)
			if (is_in && mark == level) is_in = 0
			if (before == title) { is_in = 1; level = mark }
		}
		is_in { print before }
		{ before = $0 }
		END { if (is_in) print before }' "$1"
}
# The options that begin an entry of a page ("``-L LABEL``, ``--label LABEL``"), one a line; examples are left out.
options_of_page() {
	awk '/^\.\. code-block::/ { skip = 1; next } skip && /^[^ ]/ { skip = 0 } !skip' | sed -nE '/^ *[*`]*-{1,2}[A-Za-z0-9]/p' |
		sed -E 's/[*`]//g; s/^ *//; s/  .*//' | awk '{
		n = split($0, part, /, */)
		for (i = 1; i <= n; i++)
			if (match(part[i], /^--?[A-Za-z0-9][A-Za-z0-9-]*/))
				print substr(part[i], RSTART, RLENGTH)
	}' | sort -u
}

options_of() {
	"$BTRKIT" --complete "$@" | sed -n 's/^\(-.*[^=]\)=\{0,1\}$/\1/p'
}
# The options that --help names and --complete does not, and the other way round.
differs_from_help() {
	options_of "$@" | sort -u >"$scratch/names"
	"$BTRKIT" "$@" --help >"$scratch/help" 2>&1 || echo "--help fails"
	while IFS= read -r option; do
		grep -qE -- "(^|[ ,])$option([ ,=[]|\$)" "$scratch/help" || echo "$option"
	done <"$scratch/names"
	sed -nE 's/^ {2,6}(-[A-Za-z0-9], )?(-{1,2}[A-Za-z0-9][A-Za-z0-9-]*).*/\2/p' "$scratch/help" | while IFS= read -r option; do
		grep -qxe "$option" "$scratch/names" || echo "$option"
	done
}
# check_command PAGE COMMAND...: what its page says of its options is in $scratch/page.
check_command() {
	page=$1
	shift
	is "$*: --help and --complete name the same" "$(differs_from_help "$@")" ""
	if [ -z "$page" ]; then
		fail "$*: has a page in Documentation/"
		return
	fi
	options_of "$@" | grep -vxe --help | sort -u >"$scratch/table"
	grep -vxe --help "$scratch/page" >"$scratch/named"
	is "$*: options that $page lacks" "$(comm -23 "$scratch/table" "$scratch/named" | tr '\n' ' ')" ""
	is "$*: options that $page makes up" "$(comm -13 "$scratch/table" "$scratch/named" | tr '\n' ' ')" ""
}

ok "btrkit --complete names commands" test "$("$BTRKIT" --complete | grep -c .)" -ge 1
for command in $("$BTRKIT" --complete); do
	page=$(page_of "$command")
	members=$("$BTRKIT" --complete "$command" | grep -v '^-')
	if [ -z "$members" ]; then
		[ -z "$page" ] || options_of_page <"$page" >"$scratch/page"
		check_command "$page" "$command"
	fi
	# A group's page has a section for each of its commands, and one for the options of all that open a filesystem, or change devices.
	for member in $members; do
		[ -z "$page" ] || { section "$page" "btrkit $command $member"; section "$page" "OPTIONS OF BOTH"; } |
			options_of_page >"$scratch/page"
		if [ -n "$page" ] && options_of "$command" "$member" | grep -qxe --no-scan; then
			section "$page" "FINDING THE FILESYSTEM" | options_of_page >>"$scratch/page"
			! options_of "$command" "$member" | grep -qxe --device ||
				section "$page" "COMMON OPTIONS" | options_of_page >>"$scratch/page"
			sort -u -o "$scratch/page" "$scratch/page"
		fi
		check_command "$page" "$command" "$member"
	done
done
for command in $("$BTRKIT" --complete); do
	ok "btrkit.rst names $command" grep -qF "**btrkit-$command**" Documentation/btrkit.rst
done
done_testing
