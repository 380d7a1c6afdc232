#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# bcachefs, asked for inode by inode: the tree, contents and extended attributes are those that its own tools showed after they had
# replayed the journal; without the journal something else comes out. Each name is found again by its hash, each file is read twice
# in different pieces, and what is said to lie on a device as it is does.
. "${srcdir:-.}/tests/tap.sh"
here=$(cd "${srcdir:-.}" && pwd)
fixtures=${BTRKIT_SHARED:-$here/../shared}/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "no fixtures of bcachefs in ${BTRKIT_SHARED:-../shared}"
need_program xz
tree=${builddir:-$PWD}/tests/tools/sourcetree
LC_ALL=C
export LC_ALL

# Some tools store links with a NUL behind the target, and count it.
links_as_long_as_targets() { awk -F '\t' -v OFS='\t' '$2 == "l" { $6 = length($10) } { print }' "$1" | sort; }

# manifest FOLDER: without what the reference could not enter.
manifest() { grep -Ev '^#|	ERR(DIR)?	' "$1/manifest.txt" >"$scratch/manifest"; links_as_long_as_targets "$scratch/manifest"; }

# shown [OPTION]: what we show, without what the reference could not enter.
shown() {
	"$tree" "$@" "$scratch"/*.img >"$scratch/tree" 2>"$scratch/errors"
	status=$?
	links_as_long_as_targets "$scratch/tree" | awk -F '\t' -v list="$scratch/unentered" '
		BEGIN { while ((getline path <list) > 0) { unentered[path]; n++ } }
		{ for (path in unentered) if ($1 == path || (path ~ "/$" && index($1, path) == 1)) next; print }'
	return "$status"
}

# Long values are cut off in some lists.
list() { cat "$1/list.txt" 2>/dev/null || xz -dc "$1/list.txt.xz"; }
xattrs_listed() { list "$1" | sed -nE 's/^u64s [0-9]+ type xattr ([0-9]+):.* ver [0-9]+: /\1:/p' | cut -c1-100 | sort -u; }
xattrs_shown() { "$tree" --xattrs "$scratch"/*.img | cut -c1-100 | sort -u; }

for folder in "$fixtures"/*/; do
	folder=${folder%/}
	name=${folder##*/}
	rm -f "$scratch"/*.img
	for image in "$folder"/*.img.xz; do
		file=${image##*/}
		xz -dc "$image" | cp --sparse=always /dev/stdin "$scratch/${file%.xz}"
	done
	sha256sum "$scratch"/*.img >"$scratch/before"
	sed -nE -e 's,	ERRDIR	.*,/,p' -e 's,^(.*)	ERR	.*,\1\n\1/,p' "$folder/manifest.txt" >"$scratch/unentered"
	shown >"$scratch/shown"
	is "$name: all is read" "$? $(cat "$scratch/errors")" "0 "
	manifest "$folder" >"$scratch/expected"
	is "$name: the tree is that of the reference" "$(diff "$scratch/expected" "$scratch/shown")" ""
	case $name in
	v11-unclean*) skip "$name: so are extended attributes" "the list was made without the journal" ;;
	v14-clean-basic) skip "$name: so are extended attributes" "the list has no keys" ;;
	*)
		xattrs_listed "$folder" >"$scratch/expected"
		xattrs_shown >"$scratch/shown"
		is "$name: so are extended attributes" "$(diff "$scratch/expected" "$scratch/shown")" ""
		;;
	esac
	case $name in
	*unclean* | *crash* | *pins*)
		manifest "$folder" >"$scratch/expected"
		shown --no-journal >"$scratch/shown"
		not_ok "$name: without its journal it is another" cmp -s "$scratch/expected" "$scratch/shown"
		;;
	esac
	ok "$name: nothing was written" sha256sum --quiet -c "$scratch/before"
done
done_testing
