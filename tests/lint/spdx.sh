#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each file says its licence in its first lines, and all say the same.
. "${srcdir:-.}/tests/tap.sh"
. "${srcdir:-.}/tests/lint/sources.sh"
cd "${srcdir:-.}" || exit 1

# What has no room for comments, is data, or is the licence itself.
has_no_comment() {
	case $1 in
	COPYING | *.fields | *.json | *.svg | *.png | *.md | *.pc.in | .gitignore | .clang-format) true ;;
	*/fixtures/* | */expect/* | */corpus/* | *.xz | *.gz | *.zst | *.img | *.bin | *.hex) true ;;
	*) false ;;
	esac
}

tag='SPDX-License''-Identifier'
existing_files >"$scratch/files"
count=0
: >"$scratch/without"
while IFS= read -r file; do
	has_no_comment "$file" && continue
	count=$((count + 1))
	head -n 4 "$file" | grep -q "$tag: LGPL-2\.1-or-later\( \*/\)\?\$" || echo "$file" >>"$scratch/without"
done <"$scratch/files"
is "files without an SPDX line of LGPL-2.1-or-later" "$(cat "$scratch/without")" ""
ok "there were files to look at ($count)" [ "$count" -gt 100 ]

xargs grep -hoE "$tag: [A-Za-z0-9.-]+" <"$scratch/files" | grep -v ': LGPL-2\.1-or-later$' | sort -u >"$scratch/other"
is "no other licence is named" "$(cat "$scratch/other")" ""
ok "COPYING is the LGPL 2.1" sh -c 'head -n 3 COPYING | grep -q "GNU LESSER GENERAL PUBLIC LICENSE" && grep -q "Version 2.1" COPYING'
done_testing
