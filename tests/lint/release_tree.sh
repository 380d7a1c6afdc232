# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced, after tap.sh, by tests that configure and build the project anew.

# release_tree DIR: the sources as a release would hold them.
release_tree() {
	[ -e "$builddir/Makefile" ] || skip_all "needs a configured build folder"
	# This make is not the one that runs the tests: it gets no jobs and no variables from it.
	unset MAKEFLAGS MAKELEVEL MFLAGS TESTS TEST_LOGS
	make -s -C "$builddir" distdir distdir="$1" am__remove_distdir=: >"$scratch/distdir.log" 2>&1 || {
		tail -n 20 "$scratch/distdir.log" >&2
		return 1
	}
	[ -e "$1/configure" ]
}

# build_in DIR SOURCE OPTIONS...: configure and build; what went wrong is on stdout.
build_in() {
	build_dir=$1
	build_source=$2
	shift 2
	mkdir -p "$build_dir"
	(cd "$build_dir" && "$build_source/configure" "$@" >configure.out 2>&1) || {
		tail -n 20 "$build_dir/configure.out"
		return 1
	}
	make -s -C "$build_dir" -j2 all $build_targets >"$build_dir/make.out" 2>&1 || {
		grep -vE '^  (CC|CCLD|GEN) ' "$build_dir/make.out" | head -n 40
		return 1
	}
	! grep -iE 'warning:' "$build_dir/make.out"
}

# unit_tests_in DIR [TARGET]: run them there: all (check-unit), or check-unit-quick.
unit_tests_in() {
	make -s -C "$1" -j2 "${2:-check-unit}" >"$1/check.out" 2>&1 && return 0
	grep -E '^(FAIL|ERROR|XPASS)|error:' "$1/check.out" | head -n 20
	find "$1/tests" -name '*.trs' -exec grep -l 'test-result: \(FAIL\|ERROR\)' {} + | sed 's/trs$/log/' | sort -u |
		xargs grep -hvE '^(ok|PASS:) ' /dev/null | head -n 60
	return 1
}
