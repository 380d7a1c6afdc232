#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What README.md and the pages of Documentation/ show is what happens: their console examples are run, and what they
# print is compared. tests/tools/console.py says how examples are written, and with --update writes what has changed.
. "${srcdir:-.}/tests/tap.sh"
need_program python3
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
case $("$BTRKIT" --version) in
*zlib*zstd*lzo*libgcrypt*libarchive*json-c*) ;;
*) skip_all "needs a build with all optional libraries" ;;
esac
mkdir "$scratch/bin"
ln -s "$BTRKIT" "$scratch/bin/btrkit"
PATH=$scratch/bin:$PATH
TMPDIR=$scratch
export PATH TMPDIR
cd "${srcdir:-.}" || exit 1

tab=$(printf '\t')
for page in README.md Documentation/*.rst; do
	python3 tests/tools/console.py "$page" >"$scratch/results" 2>"$scratch/errors" || echo "not ok$tab$page: console.py" >>"$scratch/results"
	cat "$scratch/errors" >>"$scratch/results"
	while IFS= read -r line; do
		case $line in
		"ok$tab"*) pass "${line#*"$tab"}" ;;
		"not ok$tab"*) fail "${line#*"$tab"}" ;;
		*) echo "# printed: ${line#"$tab"}" ;;
		esac
	done <"$scratch/results"
done
# Examples in C compile as they stand, each for itself.
: "${CC:=cc}"
mkdir "$scratch/c"
for page in README.md Documentation/*.rst; do
	awk -v stem="$scratch/c/$(basename "$page" | tr . -)" '
		/^```c$/ || /^\.\. code-block:: c$/ { file = stem "-" ++n ".c"; is_md = /^`/; next }
		file && (is_md ? /^```$/ : /^[^ \t]/) { file = "" }
		file { sub(/^    /, ""); print > file }' "$page"
done
for file in "$scratch"/c/*.c; do
	[ -e "$file" ] || continue
	ok "${file##*/} compiles" "$CC" -std=gnu17 -Wall -Wextra -Werror -Iinclude -c "$file" -o "$scratch/example.o"
done
# Every member of what --json prints is in the command's page.
keys() {
	python3 -c '
import json, sys
def walk(value):
    if isinstance(value, dict):
        for key in value:
            print(key)
            walk(value[key])
    elif isinstance(value, list):
        for inner in value:
            walk(inner)
text = sys.stdin.read()
try:
    walk(json.loads(text))
except ValueError:
    for line in text.splitlines():
        walk(json.loads(line))' | sort -u
}
# undocumented PAGE COMMAND...: members that the page does not name; "flags_names" goes without saying where "flags" is.
undocumented() {
	undocumented_page=Documentation/$1.rst
	shift
	"$@" >"$scratch/json" || { echo "fails: $*" && return; }
	keys <"$scratch/json" >"$scratch/keys" && [ -s "$scratch/keys" ] || echo "no JSON: $*"
	while IFS= read -r key; do
		for part in "$key" "${key%_names}" "${key%_gen}" "${key%_level}"; do
			grep -qwe "$part" "$undocumented_page" && continue 2
		done
		echo "$key"
	done <"$scratch/keys"
}
mkdir -p "$scratch/tree/sub"
ln -s nowhere "$scratch/tree/link"
mkfifo "$scratch/tree/pipe"
head -c 300000 /dev/zero >"$scratch/tree/zeroes"
for name in a b; do echo $name >"$scratch/tree/sub/$name"; done
image=$scratch/one.img
is "mkfs --json" "$(undocumented btrkit-mkfs btrkit mkfs --json --rootdir "$scratch/tree" --subvol sub --features quota "$image")" ""
is "ls --json" "$(undocumented btrkit-ls btrkit ls --json -lR "$image")" ""
is "restore --json" "$(undocumented btrkit-restore btrkit restore --json "$image" "$scratch/out")" ""
is "inspect summary --json" "$(undocumented btrkit-inspect btrkit inspect summary --json "$image")" ""
is "inspect chunks --json" "$(undocumented btrkit-inspect btrkit inspect chunks --json "$image")" ""
is "inspect super --json" "$(undocumented btrkit-inspect btrkit inspect super --json --full "$image")" ""
is "inspect tree --json" "$(undocumented btrkit-inspect btrkit inspect tree --json "$image")" ""
is "inspect tree --roots --json" "$(undocumented btrkit-inspect btrkit inspect tree --roots --json "$image")" ""
is "inspect tree --path --json" "$(undocumented btrkit-inspect btrkit inspect tree --path zeroes --json "$image")" ""
head -c 100000 /dev/zero | tr '\0' x >"$scratch/tree/many"
btrkit mkfs -q --force --shrink --rootdir "$scratch/tree" "$image"
is "check --json" "$(undocumented btrkit-check btrkit check --json "$image")" ""
place=$(grep -obUa -m 1 xxxxxxxx "$image" | head -n 1 | cut -d : -f 1)
printf y | dd of="$image" bs=1 seek=$((place + 50000)) conv=notrunc status=none
is "check --json of what is damaged" "$(undocumented btrkit-check sh -c 'btrkit check --data --json "$1"; [ $? = 4 ]' - "$image")" ""
is "check --list-problems --json" "$(undocumented btrkit-check btrkit check --list-problems --json)" ""
# What pages link to is there.
for page in README.md Documentation/*.rst; do
	sed -nE -e 's/.*\]\(([A-Za-z][^):]*)\).*/\1/p' -e 's/.*<([a-z-]+\.rst)>`_.*/\1/p' "$page" | while IFS= read -r link; do
		[ -e "$(dirname "$page")/$link" ] || echo "$page: $link"
	done
done >"$scratch/broken"
is "what pages link to is there" "$(cat "$scratch/broken")" ""
# The pages are sound reStructuredText.
for rst2man in rst2man rst2man.py rst2man3 ''; do
	[ -z "$rst2man" ] || ! command -v "$rst2man" >/dev/null 2>&1 || break
done
for page in Documentation/*.rst; do
	if [ -z "$rst2man" ]; then skip "$page is sound" "no rst2man" && continue; fi
	ok "$page is sound" "$rst2man" --report=warning --halt=warning --syntax-highlight=none "$page" "$scratch/page"
done
ok "there are examples ($tap_count)" [ "$tap_count" -gt 0 ]
done_testing
