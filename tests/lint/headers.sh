#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each header compiles alone; the public ones also without our config.h, in standard C and in C++, since strangers include them.
. "${srcdir:-.}/tests/tap.sh"
. "${srcdir:-.}/tests/lint/sources.sh"
: "${CC:=cc}" "${builddir:=$PWD}"
cd "${srcdir:-.}" || exit 1

warnings="-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror"
inside="-std=gnu17 $warnings -I. -Iinclude -I$builddir -D_GNU_SOURCE -include config.h"
# Variable-length command lines with several flags each.
# shellcheck disable=SC2086
compile_alone() { # compile_alone COMPILER-AND-FLAGS HEADER-AS-INCLUDED
	echo "#include \"$2\"" | $1 -fsyntax-only -
}

existing_files | grep -E '^(common|kernel-shared|mkfs|convert|check|cmds)/.*\.h$' >"$scratch/inner"
existing_files | grep -E '^include/btrkit/.*\.h$' | sed 's|^include/||' >"$scratch/public"
ok "there are headers in both places" test -s "$scratch/inner" -a -s "$scratch/public"
ok "config.h is there" test -e "$builddir/config.h"

: >"$scratch/bad"
while IFS= read -r header; do
	compile_alone "$CC $inside -x c" "$header" >"$scratch/why" 2>&1 || head -n 3 "$scratch/why" >>"$scratch/bad"
done <"$scratch/inner"
is "inner headers compile alone ($(grep -c . "$scratch/inner"))" "$(cat "$scratch/bad")" ""

for standard in c99 c17 gnu17; do
	: >"$scratch/bad"
	while IFS= read -r header; do
		compile_alone "$CC -std=$standard $warnings -Wpedantic -Iinclude -x c" "$header" >"$scratch/why" 2>&1 ||
			head -n 3 "$scratch/why" >>"$scratch/bad"
	done <"$scratch/public"
	is "public headers compile alone as $standard" "$(cat "$scratch/bad")" ""
done

cxx=
for candidate in ${CXX:-} c++ g++ clang++; do
	echo 'int main() { return 0; }' | $candidate -x c++ -fsyntax-only - >/dev/null 2>&1 && cxx=$candidate && break
done
if [ -n "$cxx" ]; then
	: >"$scratch/bad"
	while IFS= read -r header; do
		compile_alone "$cxx -std=c++11 -Wall -Wextra -Werror -Iinclude -x c++" "$header" >"$scratch/why" 2>&1 ||
			head -n 3 "$scratch/why" >>"$scratch/bad"
	done <"$scratch/public"
	is "public headers compile alone as C++" "$(cat "$scratch/bad")" ""
	# A declaration outside of extern "C" has another name for the linker.
	while IFS= read -r header; do
		functions=$(grep -oE '\bbtrkit_[a-z0-9_]+\(' "include/$header" | head -n 1)
		[ -z "$functions" ] || grep -q 'extern "C"' "include/$header" || echo "$header"
	done <"$scratch/public" >"$scratch/bad"
	is "public headers declare C linkage for C++" "$(cat "$scratch/bad")" ""
else
	skip "public headers compile alone as C++" "no C++ compiler"
fi

# The umbrella header brings all of them.
: >"$scratch/bad"
while IFS= read -r header; do
	[ "$header" = btrkit/btrkit.h ] || grep -q "[\"<]$header[\">]" include/btrkit/btrkit.h || echo "$header" >>"$scratch/bad"
done <"$scratch/public"
is "btrkit.h includes every public header" "$(cat "$scratch/bad")" ""
done_testing
