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
	sed -nE '/^ *[*`]*-{1,2}[A-Za-z0-9]/p' "$1" | sed -E 's/[*`]//g; s/^ *//' | grep -vE '^-+$' |
		sed -E 's/  .*//' | awk '{
		n = split($0, part, /, */)
		for (i = 1; i <= n; i++)
			if (match(part[i], /^--?[A-Za-z0-9][A-Za-z0-9-]*/))
				print substr(part[i], RSTART, RLENGTH)
	}' | sort -u
}

ok "btrkit --complete names commands" sh -c '[ "$("$1" --complete | grep -c .)" -ge 1 ]' - "$BTRKIT"
for command in $("$BTRKIT" --complete); do
	"$BTRKIT" --complete "$command" | sed 's/=$//' | grep '^-' | sort -u >"$scratch/table"
	"$BTRKIT" "$command" --help >"$scratch/help" 2>&1
	: >"$scratch/bad"
	while IFS= read -r option; do
		grep -qE -- "(^|[ ,])$option([ ,=[]|\$)" "$scratch/help" || echo "$option" >>"$scratch/bad"
	done <"$scratch/table"
	is "$command: --help names all its options" "$(cat "$scratch/bad")" ""
	page=$(page_of "$command")
	if [ -z "$page" ]; then
		skip "$command: page and options agree" "no page of it in Documentation/"
		continue
	fi
	options_of_page "$page" >"$scratch/page"
	is "$command: options that $page lacks" "$(comm -23 "$scratch/table" "$scratch/page" | grep -vx -e --help | tr '\n' ' ')" ""
	is "$command: options that $page makes up" "$(comm -13 "$scratch/table" "$scratch/page" | grep -vx -e --help | tr '\n' ' ')" ""
done
done_testing
