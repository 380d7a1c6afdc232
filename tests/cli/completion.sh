#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What bash offers when Tab is pressed.
. "${srcdir:-.}/tests/tap.sh"
need_program bash
mkdir "$scratch/bin" "$scratch/work"
ln -s "$(realpath "${BTRKIT:-./btrkit}")" "$scratch/bin/btrkit"
ln -s btrkit "$scratch/bin/btrkit-mkfs"
touch "$scratch/work/one file.img"
completion=$(realpath "${srcdir:-.}/completion/btrkit")

cat >"$scratch/offer.bash" <<'SCRIPT'
. "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_btrkit
printf '%s\n' "${COMPREPLY[@]}"
SCRIPT
offers() { (cd "$scratch/work" && PATH=$scratch/bin:$PATH bash "$scratch/offer.bash" "$completion" "$@"); }
registers() { PATH=$scratch/bin:$PATH bash -c '. "$1"; complete -p btrkit && complete -p btrkit-mkfs' - "$completion"; }

ok "the program and its commands' names are registered" registers
is "commands by their beginning" "$(offers btrkit mk)" "mkfs "
is "every command" "$(offers btrkit '' | grep -v -e '^-' -e '^help')" "$(offers btrkit help '')"
is "options that take a value end in =" "$(offers btrkit mkfs --lab)" "--label="
is "options that take none end in a space" "$(offers btrkit mkfs --shr)" "--shrink "
is "the same by the command's own name" "$(offers btrkit-mkfs --shr)" "--shrink "
is "the same by a path" "$(offers "$scratch/bin/btrkit-mkfs" --shr)" "--shrink "
is "a value is a file" "$(offers btrkit mkfs --rootdir = o)" "one file.img"
is "a value just begun is a file" "$(offers btrkit mkfs --rootdir =)" "one file.img"
is "a value as a word of its own is a file" "$(offers btrkit mkfs --rootdir '')" "one file.img"
is "an operand is a file" "$(offers btrkit mkfs --force on)" "one file.img"
is "no options of an unknown command" "$(offers btrkit nothing --)" ""
done_testing
