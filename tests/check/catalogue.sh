#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The catalogue of problems: codes are unique, its page is what is made of it, and each has what a user needs.
. "${srcdir:-.}/tests/tap.sh"
need_program python3
"$BTRKIT" check --list-problems --json >"$scratch/catalogue" || skip_all "built without json-c"
is "codes are unique" "$(sed 's/.*"code":"\([^"]*\)".*/\1/' "$scratch/catalogue" | sort | uniq -d)" ""
is "nothing is left empty" "$(grep -c '":""' "$scratch/catalogue")" 0
python3 "$srcdir/tests/tools/problems.py" <"$scratch/catalogue" >"$scratch/page"
ok "Documentation/problems.rst is what the catalogue makes" diff "$srcdir/Documentation/problems.rst" "$scratch/page"
is "every row is used in the code" "$(sed -n 's/^PROBLEM(\([A-Z_0-9]*\),.*/\1/p' "$srcdir/check/problems.def" | while read -r id; do
	grep -q "\(complain([^,]*, \|complain_of([^,]*, \|PROBLEM_\)$id\b" "$srcdir"/check/*.c "$srcdir"/convert/bcachefs/bch_check*.c || echo "$id"
done)" ""
done_testing
