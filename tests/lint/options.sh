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
# The options that begin an entry of the page ("-L LABEL, --label LABEL", perhaps in ** or ``), one a line.
options_of_page() {
	sed -nE '/^ *[*`]*-{1,2}[A-Za-z0-9]/p' "$1" | sed -nE '/^ *[*`]*-(-[a-z]|[A-Za-z0-9]([^A-Za-z0-9-]|$))/p' | sed -E 's/[*`]//g; s/^ *//' | grep -vE '^-+$' |
		sed -E 's/  .*//' | awk '{
		n = split($0, part, /, */)
		for (i = 1; i <= n; i++)
			if (match(part[i], /^--?[A-Za-z0-9][A-Za-z0-9-]*/))
				print substr(part[i], RSTART, RLENGTH)
	}' | sort -u
}

# A command's options, and those of its subcommands.
options_of() {
	"$BTRKIT" --complete "$@" | sed -n 's/^\(-.*[^=]\)=\{0,1\}$/\1/p'
	if [ $# = 1 ]; then
		for member in $("$BTRKIT" --complete "$1" | grep -v '^-'); do options_of "$1" "$member"; done
	fi
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

ok "btrkit --complete names commands" test "$("$BTRKIT" --complete | grep -c .)" -ge 1
for command in $("$BTRKIT" --complete); do
	members=$("$BTRKIT" --complete "$command" | grep -v '^-')
	if [ -z "$members" ]; then
		is "$command: --help and --complete name the same" "$(differs_from_help "$command")" ""
	fi
	for member in $members; do
		is "$command $member: --help and --complete name the same" "$(differs_from_help "$command" "$member")" ""
	done
	page=$(page_of "$command")
	if [ -z "$page" ]; then
		skip "$command: page and options agree" "no page of it in Documentation/"
		continue
	fi
	options_of "$command" | grep -vxe --help | sort -u >"$scratch/table"
	options_of_page "$page" | grep -vxe --help >"$scratch/page"
	is "$command: options that $page lacks" "$(comm -23 "$scratch/table" "$scratch/page" | tr '\n' ' ')" ""
	is "$command: options that $page makes up" "$(comm -13 "$scratch/table" "$scratch/page" | tr '\n' ' ')" ""
	for member in $members; do
		ok "$page tells of $member" grep -qw "$member" "$page"
	done
done
done_testing
