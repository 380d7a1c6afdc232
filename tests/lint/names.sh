#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the library must not call or keep, seen in its objects; and what files must not be called or hold.
. "${srcdir:-.}/tests/tap.sh"
. "${srcdir:-.}/tests/lint/sources.sh"
: "${builddir:=$PWD}"
library=$builddir/.libs/library.a
[ -e "$library" ] || library=$builddir/library.a
cd "${srcdir:-.}" || exit 1

# --- Objects ------------------------------------------------------------------------------------------
# A library does not speak, end the process, ask the environment or keep hidden state: that is for its caller.
speaks='printf|vprintf|fprintf|vfprintf|dprintf|vdprintf|puts|fputs|putchar|putc|fputc|_IO_putc|fwrite|perror|psignal|stdout|stderr|stdin|syslog|vsyslog|err|errx|verr|verrx|warn|warnx|vwarn|vwarnx|error|error_at_line'
ends='exit|_exit|_Exit|quick_exit|abort|__assert|__assert_fail|__assert_perror_fail|raise|kill|longjmp|_longjmp|siglongjmp|__longjmp_chk'
asks='getenv|secure_getenv|__secure_getenv|setenv|putenv|unsetenv|environ|chdir|fchdir|umask|setlocale|signal|sigaction|system|popen|fork|vfork|execv|execve|execvp|sync'
hides='strtok|rand|srand|random|srandom|drand48|localtime|gmtime|ctime|asctime|readdir64_r|tmpnam|mktemp|getpwnam|getpwuid|getgrnam|getgrgid|ttyname|inet_ntoa|basename|dirname|getopt|getopt_long'
if command -v nm >/dev/null 2>&1 && [ -e "$library" ]; then
	nm -A "$library" >"$scratch/symbols" 2>/dev/null
	ok "the library has objects" grep -q 'btrkit_' "$scratch/symbols"
	for kind in speaks ends asks hides; do
		eval "names=\$$kind"
		# glibc's fortified variants are __name_chk; large-file variants end in 64.
		awk '$(NF-1) == "U" { sub(/@.*/, "", $NF); sub(/^.*library\.a:/, "", $1); print $1, $NF }' "$scratch/symbols" |
			grep -E " (__)?($names)(64)?(_chk)?\$" | sort -u >"$scratch/bad"
		is "no library object $kind" "$(cat "$scratch/bad")" ""
	done

	# Written data is b, B, d, D or C, unless it lies among what is read-only after relocation. A lock that guards a
	# table which is computed once is the one exception.
	nm -A -f sysv "$library" 2>/dev/null | tr -d ' ' | awk -F'|' '$3 ~ /^[bBdDC]$/ && $NF !~ /\.rel\.ro/ { print $1 }' |
		sed 's/^.*library\.a:*//; s/\[\(.*\)\]:*/\1:/' | grep -vE '__(a|ub|t)san|\.[A-Za-z]*(UBSAN|ASAN)|^[^:]*:(\.L|\*\.L)' |
		grep -vE ':once(\.[0-9]+)?$' >"$scratch/bad"
	if nm "$library" 2>/dev/null | grep -qE '__(asan|ubsan|tsan)_'; then
		skip "no library object keeps written data" "sanitizers put their own there"
	else
		is "no library object keeps written data" "$(cat "$scratch/bad")" ""
	fi
else
	skip "what library objects refer to" "no nm or no library.a"
fi

# --- Files --------------------------------------------------------------------------------------------
existing_files | grep -v '^COPYING$' >"$scratch/files"
grep -E '\.(c|h|sh|py|rst|md|am|mk|ac)$' "$scratch/files" >"$scratch/texts"
ok "there are files" test -s "$scratch/texts"

grep -E '\.(c|h)$' "$scratch/files" | xargs wc -l | awk '$2 != "total" && $1 > 800 { print $2, $1 }' >"$scratch/bad"
is "no C file is longer than 800 lines" "$(cat "$scratch/bad")" ""

grep -E '\.(c|h)$' "$scratch/texts" | xargs awk 'length($0) > 140 { print FILENAME ":" FNR ": " length($0) " bytes" }' |
	head -n 20 >"$scratch/bad"
is "no line of C is longer than 140 bytes" "$(cat "$scratch/bad")" ""

words="TO""DO|FIX""ME|X""XX|HA""CK"
xargs grep -nE "\\b($words)\\b" <"$scratch/texts" | head -n 20 >"$scratch/bad"
is "nothing is left to do in the text" "$(cat "$scratch/bad")" ""

grep -iE '(^|/)(utils?|misc|helpers?|common|stuff|tools?_?lib)\.[ch]$' "$scratch/files" >"$scratch/bad"
is "no file has a name that says nothing" "$(cat "$scratch/bad")" ""

grep -E '^(common|kernel-shared|mkfs|cmds|include)/' "$scratch/files" | sed 's|.*/||' | grep -vE '^[a-z0-9_]+\.(c|h|mk|map)$' >"$scratch/bad"
is "sources are in lower case, with underscores" "$(cat "$scratch/bad")" ""

# Scripts that are listed as tests run by name.
: >"$scratch/bad"
grep -E '^tests/.*\.sh$' "$scratch/files" | while IFS= read -r file; do
	head -c 2 "$file" | grep -q '#!' || continue
	[ -x "$file" ] || echo "$file"
done >"$scratch/bad"
is "test scripts are executable" "$(cat "$scratch/bad")" ""

cat local.mk */local.mk */*/local.mk */*/*/local.mk 2>/dev/null >"$scratch/lists"
: >"$scratch/bad"
grep -E '^tests/[^/]+/[^/]+\.sh$' "$scratch/files" | while IFS= read -r file; do
	head -c 2 "$file" | grep -q '#!' || continue
	name=${file#tests/}
	grep -qE "(tests|%D%)/$name|(^|[[:space:]]|/)${file##*/}" "$scratch/lists" || echo "$file"
done >"$scratch/bad"
is "every test script is listed in a local.mk" "$(cat "$scratch/bad")" ""
done_testing
