#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The example programs of the library do what they say.
. "${srcdir:-.}/tests/tap.sh"
: "${builddir:=$PWD}"
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
examples=$(realpath "$builddir")/Documentation/examples
cd "$scratch" || exit 1

is "make-from-memory tells what it made" "$("$examples/make-from-memory" memory.img | sed 's/[0-9]* bytes/N bytes/')" \
	"memory.img: N bytes, UUID 0f84a982-94b3-51d7-b5dd-7420f560b215"
"$examples/make-from-memory" again.img >/dev/null
ok "twice the same bytes" cmp memory.img again.img
not_ok "make-from-memory does not overwrite" "$examples/make-from-memory" memory.img
is "list-files lists them" "$("$examples/list-files" memory.img)" "greetings
  hello.txt 13
  large.bin 300000"
not_ok "list-files says that there is no filesystem" "$examples/list-files" /dev/null

"$examples/used-ranges" memory.img >ranges
ok "used-ranges has the superblock first" grep -qx '65536 4096 superblock' ranges
is "data is as large as the file, in sectors" "$(awk '/ data$/ { sum += $2 } END { print sum }' ranges)" 303104
# What it names is all that is needed: a copy of that, and nothing else, is the same filesystem.
truncate -s "$(stat -c %s memory.img)" copy.img
while read -r begin len kind; do
	[ "$len" != of ] || continue # the sum
	dd if=memory.img of=copy.img bs=4096 skip=$((begin / 4096)) seek=$((begin / 4096)) count=$((len / 4096)) conv=notrunc status=none
done <ranges
is "a copy of the used ranges has the same files" "$("$examples/list-files" copy.img)" "$("$examples/list-files" memory.img)"
for file in hello.txt large.bin; do
	"$BTRKIT" cat --path "greetings/$file" memory.img >"original.$file"
	ok "and the same $file" sh -c '"$1" cat --path "greetings/$2" copy.img | cmp - "original.$2"' - "$BTRKIT" "$file"
done
is "large.bin is what was made" "$(tr -d x <original.large.bin | wc -c) $(wc -c <original.large.bin)" "0 300000"
done_testing
