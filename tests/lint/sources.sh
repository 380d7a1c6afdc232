# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by the lint scripts, after tap.sh.

# project_files: every file that people wrote, one a line: what git knows in a checkout, and in an unpacked release
# everything that is neither a build folder nor made by autoreconf.
project_files() {
	if [ -e .git ] && git ls-files --cached --others --exclude-standard 2>/dev/null; then return; fi
	find . -mindepth 1 \( -type d \( -exec test -e {}/config.status \; -o -name build-aux -o -name m4 -o -name .git -o \
		-name autom4te.cache -o -name __pycache__ -o -name .deps -o -name .libs \) -prune \) -o -type f \
		! -name Makefile ! -name Makefile.in ! -name configure ! -name aclocal.m4 ! -name 'config.*' ! -name stamp-h1 \
		! -name libtool ! -name '*.o' ! -name '*.lo' ! -name '*.la' ! -name '*.log' ! -name '*.trs' ! -name '*.[1-8]' \
		-print | sed 's|^\./||' | while IFS= read -r file; do
		# Programs, in a tree that was built in place.
		case $(head -c 4 "$file" | tr -d '\0') in ?ELF) ;; *) echo "$file" ;; esac
	done
}
existing_files() {
	project_files | sort -u | while IFS= read -r file; do [ ! -f "$file" ] || echo "$file"; done
}
