#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The unit tests, and the script tests that SANITIZED_TESTS names ("all": all; by default those that try the most kinds of
# input for their time), with a program that looks for bad memory accesses, leaks and undefined behaviour. A build with
# --enable-sanitizers runs all tests that way by itself.
. "${srcdir:-.}/tests/tap.sh"
. "${srcdir:-.}/tests/lint/release_tree.sh"
: "${builddir:=$PWD}" "${CC:=cc}"
grep -q '^SANITIZE_CFLAGS = .*-fsanitize' "$builddir/Makefile" && skip_all "this build has sanitizers already"
# With clang, both sanitizers write their reports to files; with gcc, one of them knows only stderr.
echo 'int main(void) { return 0; }' >"$scratch/probe.c"
compiler=
for candidate in clang "$CC"; do
	$candidate -fsanitize=address,undefined "$scratch/probe.c" -o "$scratch/probe" 2>"$scratch/probe.err" && "$scratch/probe" &&
		compiler=$candidate && break
done
[ -n "$compiler" ] || skip_all "no compiler here has the sanitizers"

: "${SANITIZED_TESTS:=cli/check cli/completion cli/convert cli/examples cli/mkfs-badinput cli/mkfs-build cli/mkfs-small-files interop/reader interop/used-ranges}"
if [ "$SANITIZED_TESTS" = all ]; then
	SANITIZED_TESTS=$(cd "$srcdir/tests" && ls cli/*.sh interop/*.sh | sed 's/\.sh$//')
fi

build_targets=
build=$scratch/build
ok "the release's tree" release_tree "$scratch/release"
ok "builds with sanitizers ($compiler)" build_in "$build" "$scratch/release" CC="$compiler" CFLAGS='-O1 -g1' --enable-sanitizers

# A report must not pass for an error that a test waits for: reports go to files, and none may be there in the end.
mkdir "$scratch/reports"
chmod 1777 "$scratch/reports"
ASAN_OPTIONS=exitcode=99:detect_leaks=1:detect_stack_use_after_return=1:log_path=$scratch/reports/address
UBSAN_OPTIONS=exitcode=99:print_stacktrace=1:log_path=$scratch/reports/undefined
export ASAN_OPTIONS UBSAN_OPTIONS
silent() {
	! grep -B 2 -A 20 -E 'runtime error:|(Address|Leak)Sanitizer:' "$scratch/test.out" "$build/check.out" 2>/dev/null || return 1
	[ -z "$(ls "$scratch/reports")" ] || {
		for report in "$scratch/reports"/*; do head -n 25 "$report"; done | head -n 60
		rm -f "$scratch/reports"/*
		return 1
	}
}

# They do look: without this, a flag that gets lost would let everything pass.
cat >"$scratch/access.c" <<'SOURCE'
#include <stdlib.h>
int main(int argc, char **argv)
{
	char *bytes = malloc(16);

	return bytes[15 + argc] + argv[0][0];
}
SOURCE
cat >"$scratch/overflow.c" <<'SOURCE'
#include <limits.h>
int main(int argc, char **argv)
{
	(void)argv;
	return (INT_MAX - 1 + argc + argc) & 64;
}
SOURCE
sanitize_flags=$(sed -n 's/^SANITIZE_CFLAGS = //p' "$build/Makefile")
for fault in access overflow; do
	# shellcheck disable=SC2086
	$compiler $sanitize_flags "$scratch/$fault.c" -o "$scratch/$fault" 2>/dev/null
	"$scratch/$fault" >"$scratch/test.out" 2>&1
	is "a bad $fault ends the program" $? 99
	not_ok "and is reported" silent
done

if grep -q '#define HAVE_CMOCKA 1' "$builddir/config.h"; then
	ok "the unit tests pass" unit_tests_in "$build"
	ok "without a report" silent
else
	skip "the unit tests pass" "no cmocka"
fi

# Damage at random, the more the better here.
for source in "$scratch"/release/tests/fuzz/fuzz-*.c; do
	name=tests/fuzz/$(basename "$source" .c)
	make -C "$build" -s -j"$(nproc)" "$name" >"$scratch/test.out" 2>&1 && (cd "$build" && timeout 300 "$name") >"$scratch/test.out" 2>&1
	is "$name passes" $? 0
	ok "$name: without a report" silent
done

for name in $SANITIZED_TESTS; do
	name=tests/$name.sh
	(cd "$build" && BTRKIT=$build/btrkit builddir=$build srcdir=$scratch/release timeout 600 sh "$scratch/release/$name") \
		>"$scratch/test.out" 2>&1 </dev/null
	status=$?
	if [ $status = 0 ]; then pass "$name passes"; else
		fail "$name passes"
		echo "# exit status $status"
		grep -A 12 '^not ok' "$scratch/test.out" | head -n 60 | sed 's/^/# /'
	fi
	ok "$name: without a report" silent
done
done_testing
