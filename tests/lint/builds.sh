#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The project without its optional libraries: it builds without a warning, its unit tests pass, and what is not built in
# is said in words.
. "${srcdir:-.}/tests/tap.sh"
. "${srcdir:-.}/tests/lint/release_tree.sh"
: "${builddir:=$PWD}" "${CC:=cc}" "${BTRKIT:=$builddir/btrkit}"
build_targets=

ok "the release's tree" release_tree "$scratch/release"
bare=$scratch/bare
ok "builds without the optional libraries" build_in "$bare" "$scratch/release" CC="$CC" CFLAGS=-O1 --enable-werror \
	--without-isal --without-zstd --without-gcrypt --without-ext2fs --without-lz4 --without-sodium --without-archive --without-json --without-lzo
if grep -q '#define HAVE_CMOCKA 1' "$builddir/config.h"; then
	ok "its unit tests pass" unit_tests_in "$bare" check-unit-quick
else
	skip "its unit tests pass" "no cmocka"
fi
is "the version tells what is built in" "$("$bare/btrkit" --version | sed -n 's/^built with: //p')" "zlib"
if command -v ldd >/dev/null 2>&1; then
	is "it links none of them" \
		"$(ldd "$bare/btrkit" | grep -oE 'lib(isal|zstd|gcrypt|archive|json-c|lzo2)\.' | sort -u | tr '\n' ' ')" ""
fi

# --- What is not there is named ---------------------------------------------------------------------------
mkdir "$scratch/tree"
yes 'some text that compresses' | head -n 2000 >"$scratch/tree/file"
tar -C "$scratch/tree" -cf "$scratch/tree.tar" .
# lacks STATUS WORD ARGS...: the bare program fails with one line that names WORD, and leaves no image.
lacks() {
	lacks_expected=$1
	lacks_word=$2
	shift 2
	"$bare/btrkit" "$@" >"$scratch/out" 2>"$scratch/err"
	lacks_status=$?
	cat "$scratch/out" "$scratch/err"
	[ $lacks_status = $lacks_expected ] && [ "$(wc -l <"$scratch/err")" = 1 ] && grep -q "$lacks_word" "$scratch/err" &&
		grep -qiE 'built (in|without)' "$scratch/err" && [ ! -s "$scratch/out" ] && [ ! -e "$scratch/new.img" ]
}
for kind in sha256 blake2; do
	ok "mkfs --csum $kind says that it is not built in" lacks 1 $kind mkfs --csum $kind "$scratch/new.img"
done
for algorithm in zstd lzo; do
	ok "mkfs --compress $algorithm says that it is not built in" \
		lacks 1 $algorithm mkfs --compress $algorithm --rootdir "$scratch/tree" "$scratch/new.img"
done
ok "an archive says that libarchive is not built in" lacks 1 libarchive mkfs --rootdir "$scratch/tree.tar" "$scratch/new.img"
ok "mkfs --json says that json-c is not built in" lacks 1 json-c mkfs --json "$scratch/new.img"
# The same of what it reads.
if "$bare/btrkit" --complete | grep -qx cat; then
	if "$BTRKIT" mkfs -q --csum sha256 "$scratch/sha256.img"; then
		ok "an image with sha256 says that it is not built in" lacks 1 sha256 ls "$scratch/sha256.img"
	else
		skip "an image with sha256" "not built in here either"
	fi
	if "$BTRKIT" mkfs -q --compress zstd --rootdir "$scratch/tree" "$scratch/zstd.img"; then
		ok "a file in zstd says that it is not built in" lacks 1 zstd cat --path /file "$scratch/zstd.img"
	else
		skip "a file in zstd" "not built in here either"
	fi
fi

# --- What is there works ----------------------------------------------------------------------------------
for options in "--csum crc32c" "--csum xxhash" "--compress zlib"; do
	# shellcheck disable=SC2086
	"$bare/btrkit" mkfs -q --seed one --rootdir "$scratch/tree" $options "$scratch/bare.img"
	# shellcheck disable=SC2086
	"$BTRKIT" mkfs -q --seed one --rootdir "$scratch/tree" $options "$scratch/full.img"
	ok "mkfs $options makes the same bytes with and without the libraries" cmp "$scratch/bare.img" "$scratch/full.img"
	rm -f "$scratch/bare.img" "$scratch/full.img"
done
done_testing
