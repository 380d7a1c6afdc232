#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Published damaged images: each is reported with the codes that name its damage (fixtures.tsv), and no sound one is.
. "${srcdir:-.}/tests/tap.sh"
shared=${BTRKIT_SHARED:-$srcdir/../shared}
folder=$shared/fixtures/fsck
[ -d "$folder" ] || skip_all "needs ../shared/fixtures/fsck"
need_program btrfs-image python3

# codes FILE: the codes of what is wrong, warnings and notes left out.
codes() {
	python3 - "$1" <<-'PY'
	import json, sys
	found = set()
	for line in open(sys.argv[1]):
	    entry = json.loads(line)
	    if entry["type"] == "problem" and entry["severity"] in ("error", "fatal"):
	        found.add(entry["code"])
	print(" ".join(sorted(found)))
	PY
}

mkdir "$scratch/json"
starved=
while IFS='	' read -r image wanted; do
	case $image in '#'* | '') continue ;; esac
	"$folder/unpack" "$folder/$image" "$scratch/image" >/dev/null 2>&1 || {
		fail "$image: unpacked"
		continue
	}
	timeout 60 "$BTRKIT" check --json --no-scan "$scratch/image" >"$scratch/json/$image" 2>"$scratch/errors"
	status=$?
	found=$(codes "$scratch/json/$image")
	if [ "$wanted" = - ]; then
		is "$image: sound" "$status $found" "0 "
	else
		missing=
		for code in $wanted; do
			case " $found " in *" $code "*) ;; *) missing="$missing $code" ;; esac
		done
		is "$image: $wanted" "$status$missing" "4"
	fi
	"$builddir/tests/check/starve" "$scratch/image" >"$scratch/starve" 2>&1 || starved="$starved $image"
	rm -f "$scratch/image"
done <"$srcdir/tests/check/fixtures.tsv"
is "with next to no memory the same is found" "$starved" ""
if python3 -c 'import jsonschema' 2>/dev/null; then
	ok "what was printed follows the schema" \
		python3 "$srcdir/tests/tools/jsonlines.py" "$srcdir/Documentation/btrkit-check-1.schema.json" check "$scratch"/json/*
else
	skip "what was printed follows the schema" "needs Python's jsonschema"
fi
is "every published image is in the table" \
	"$(ls "$folder" | grep -e -- | while read -r image; do grep -q "^$image	" "$srcdir/tests/check/fixtures.tsv" || echo "$image"; done)" ""
done_testing
