#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# No #include points upward in the stack, or sideways between commands. The order is the one of
# Documentation/architecture.rst.
. "${srcdir:-.}/tests/tap.sh"
cd "${srcdir:-.}" || exit 1

order="base csum compress work cli"
common_rank() { case $1 in base) echo 1 ;; csum | compress | work) echo 2 ;; cli) echo 3 ;; *) echo 0 ;; esac; }
kernel_rank() {
	case $1 in
	format) echo 1 ;; device) echo 2 ;; volume) echo 3 ;; block) echo 4 ;; tree) echo 5 ;; space) echo 6 ;;
	txn) echo 7 ;; fs) echo 8 ;; build) echo 9 ;; treelog) echo 10 ;; relocate) echo 11 ;; print) echo 12 ;; *) echo 0 ;;
	esac
}

for folder in common/* kernel-shared/*; do
	[ -d "$folder" ] || continue
	bad=
	room=${folder##*/}
	for file in "$folder"/*.[ch]; do
		[ -e "$file" ] || continue
		for header in $(sed -n 's/^#[ \t]*include "\([^"]*\)".*/\1/p' "$file"); do
			to=$(echo "$header" | cut -d/ -f2)
			case $folder:$header in
			common/*:common/*)
				[ "$room" = "$to" ] || [ "$(common_rank "$to")" -lt "$(common_rank "$room")" ] || bad="$bad $file->$header"
				;;
			common/*) bad="$bad $file->$header" ;;
			kernel-shared/*:common/cli/*) bad="$bad $file->$header" ;;
			kernel-shared/*:common/* | kernel-shared/*:btrkit/*) ;;
			kernel-shared/*:kernel-shared/*)
				[ "$(kernel_rank "$to")" -gt 0 ] && [ "$(kernel_rank "$to")" -le "$(kernel_rank "$room")" ] || bad="$bad $file->$header"
				;;
			*) bad="$bad $file->$header" ;;
			esac
		done
	done
	is "includes of $folder point downward" "$bad" ""
done
for folder in mkfs convert check cmds; do
	[ -d "$folder" ] || continue
	bad=$(grep -n '^#[ \t]*include "' "$folder"/*.[ch] 2>/dev/null |
		grep -v "include \"\(common/\|btrkit/\|$folder/\)")
	is "$folder includes only common/, btrkit/ and itself" "$bad" ""
done
done_testing
