#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# From a checkout to a release, to an installed library that others link, and back: `make dist`, a build of the tarball
# outside of its tree (with clang where there is one), `make install`, pkg-config, soname, symbols, `make uninstall`.
. "${srcdir:-.}/tests/tap.sh"
. "${srcdir:-.}/tests/lint/release_tree.sh"
: "${builddir:=$PWD}" "${CC:=cc}" "${BTRKIT:=$builddir/btrkit}"
source=$(realpath "${srcdir:-.}")
prefix=/opt/btrkit
dest=$scratch/dest
build_targets=

# --- The release ----------------------------------------------------------------------------------------------
ok "the release's tree" release_tree "$scratch/release"
if git -C "$source" ls-files >"$scratch/tracked" 2>/dev/null && [ -s "$scratch/tracked" ]; then
	while IFS= read -r file; do
		[ ! -e "$source/$file" ] || [ -e "$scratch/release/$file" ] || echo "$file"
	done <"$scratch/tracked" | grep -vx '\.gitignore' >"$scratch/left"
	is "it holds every file of the project" "$(cat "$scratch/left")" ""
else
	skip "it holds every file of the project" "not in a git checkout"
fi

compiler=$CC
if command -v clang >/dev/null 2>&1; then compiler=clang; fi
build=$scratch/build
build_released() {
	build_in "$build" "$scratch/release" CC="$compiler" CFLAGS=-O2 --enable-werror --enable-compat-names --prefix=$prefix
}
ok "builds with $compiler, warnings being errors" build_released
if grep -q '#define HAVE_CMOCKA 1' "$builddir/config.h"; then
	ok "its unit tests pass" unit_tests_in "$build" check-unit-quick
else
	skip "its unit tests pass" "no cmocka"
fi
list_below() { (cd "$1" && find . ! -type d | sort); }
dist_again() {
	make -s -C "$build" dist >"$scratch/dist.log" 2>&1 || { tail -n 20 "$scratch/dist.log" && return 1; }
	mkdir "$scratch/again" && tar -C "$scratch/again" --strip-components=1 -xf "$build"/btrkit-*.tar.* || return 1
	list_below "$scratch/release" >"$scratch/list.release"
	list_below "$scratch/again" | diff "$scratch/list.release" - && return 0
}
ok "a release makes the same release" dist_again

# --- Installed ------------------------------------------------------------------------------------------------
install_it() { make -s -C "$build" install DESTDIR="$dest" >"$scratch/install.log" 2>&1 || { tail -n 20 "$scratch/install.log" && return 1; }; }
ok "make install" install_it
is "nothing is installed outside of the prefix" "$(find "$dest" ! -type d ! -path "$dest$prefix/*")" ""
installed=$dest$prefix
library=$(find "$installed" -name libbtrkit.so)
LD_LIBRARY_PATH=$(dirname "$library")
export LD_LIBRARY_PATH

: >"$scratch/links"
for command in $("$BTRKIT" --complete); do
	[ "$(readlink "$installed/bin/btrkit-$command")" = btrkit ] && "$installed/bin/btrkit-$command" --help >/dev/null ||
		echo "btrkit-$command" >>"$scratch/links"
done
is "each command is installed under its own name" "$(cat "$scratch/links")" ""
is "and no other" "$(cd "$installed/bin" && ls -d btrkit-* | sed 's/^btrkit-//' | sort | tr '\n' ' ')" \
	"$("$BTRKIT" --complete | sort | tr '\n' ' ')"
is "--enable-compat-names: mkfs.btrfs and btrfs" "$(cd "$installed/bin" && readlink mkfs.btrfs btrfs | tr '\n' ' ')" "btrkit btrkit "
ok "mkfs.btrfs makes a filesystem" "$installed/bin/mkfs.btrfs" -q "$scratch/by-compat-name.img"
ok "btrfs takes commands" "$installed/bin/btrfs" mkfs --help
ok "the completion is installed" test -s "$installed/share/bash-completion/completions/btrkit"
for schema in "$source"/Documentation/*.schema.json; do
	ok "so is the schema ${schema##*/}" test -s "$installed/share/btrkit/${schema##*/}"
done
is "every public header is installed" "$(cd "$installed/include/btrkit" && ls | tr '\n' ' ')" \
	"$(cd "$source/include/btrkit" && ls *.h | tr '\n' ' ')"
if command -v rst2man >/dev/null 2>&1 || command -v rst2man.py >/dev/null 2>&1; then
	for page in "$source"/Documentation/btrkit*.rst; do
		[ -e "$page" ] || continue
		page=${page##*/}
		ok "${page%.rst} is a man page" sh -c 'ls "$1"/share/man/man*/"$2".[1-8]*' - "$installed" "${page%.rst}"
	done
	is "mkfs.btrfs has the page of btrkit-mkfs" "$(cat "$installed/share/man/man8/mkfs.btrfs.8")" ".so man8/btrkit-mkfs.8"
fi

# --- The library ----------------------------------------------------------------------------------------------
if command -v nm >/dev/null 2>&1 && command -v objdump >/dev/null 2>&1; then
	is "the soname" "$(objdump -p "$library" | awk '$1 == "SONAME" { print $2 }')" libbtrkit.so.0
	nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$scratch/exported"
	is "only btrkit_* is exported" "$(grep -v '^btrkit_' "$scratch/exported")" ""
	sed 's|/\*.*||; /^ \*/d; /^#/d' "$installed"/include/btrkit/*.h | grep -v '^static' | grep -oE '\bbtrkit_[a-z0-9_]+\(' |
		tr -d '(' | sort -u >"$scratch/declared"
	is "what is exported is declared in a header" "$(comm -23 "$scratch/exported" "$scratch/declared")" ""
	comm -13 "$scratch/exported" "$scratch/declared" | while IFS= read -r name; do
		# Inline functions and function-like macros live in the headers.
		grep -hqE "(static inline .*\b|#define )$name\(" "$installed"/include/btrkit/*.h || echo "$name"
	done >"$scratch/bad"
	is "what a header declares is exported" "$(cat "$scratch/bad")" ""
else
	skip "soname and symbols" "no nm and objdump"
fi

if command -v pkg-config >/dev/null 2>&1; then
	PKG_CONFIG_PATH=$LD_LIBRARY_PATH/pkgconfig
	export PKG_CONFIG_PATH
	is "pkg-config tells the version" "$(pkg-config --modversion btrkit)" "$("$BTRKIT" --version | sed -n 's/^btrkit //p')"
	flags=$(pkg-config --define-variable=prefix="$installed" --cflags --libs btrkit)
	for example in "$source"/Documentation/examples/*.c; do
		name=$(basename "$example" .c)
		# shellcheck disable=SC2086
		ok "the example $name builds against what is installed" \
			$compiler -Wall -Wextra -Werror "$example" $flags -o "$scratch/$name"
	done
	ok "an example runs with it" "$scratch/make-from-memory" "$scratch/memory.img"
	if "$BTRKIT" --complete | grep -qx ls; then
		ok "and the installed program reads what it made" "$installed/bin/btrkit-ls" -lR "$scratch/memory.img"
	fi
else
	skip "pkg-config and examples" "no pkg-config"
fi

# --- And gone ---------------------------------------------------------------------------------------------------
uninstall_it() {
	make -s -C "$build" uninstall DESTDIR="$dest" >"$scratch/install.log" 2>&1 || { tail -n 20 "$scratch/install.log" && return 1; }
}
ok "make uninstall" uninstall_it
is "nothing stays behind" "$(find "$dest" ! -type d; find "$dest" -type d -name 'btrkit?*')" ""

# --- In place -----------------------------------------------------------------------------------------------------
# The other way of configuring: ./configure in the source folder. Configuring alone costs little.
in_place() {
	cd "$scratch/release" && ./configure --without-archive --disable-dependency-tracking >"$scratch/in-place.log" 2>&1 &&
		make -s -n all >>"$scratch/in-place.log" 2>&1 && make -s config.h common/base/array.lo >>"$scratch/in-place.log" 2>&1 &&
		[ -e common/base/array.lo ] && make -s distclean >>"$scratch/in-place.log" 2>&1 || { tail "$scratch/in-place.log" && return 1; }
	cd "$scratch" && list_below "$scratch/release" | diff "$scratch/list.release" -
}
ok "./configure in place, and make distclean leaves the release as it was" in_place
done_testing
