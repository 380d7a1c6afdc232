#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Encrypted volumes of bcachefs: what ciphers of our own in Python have encrypted is read as before with the passphrase, or with the key
# that lies in the superblock, and refused without; keys are shown to nobody.
. "${srcdir:-.}/tests/tap.sh"
here=$(cd "${srcdir:-.}" && pwd)
fixtures=${BTRKIT_SHARED:-$srcdir/../shared}/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "there are no images of bcachefs (BTRKIT_SHARED)"
need_program xz python3
cd "$scratch" || exit 1
encrypt="python3 $here/tests/tools/bcachefs_encrypt.py"
echo 'open sesame' >passphrase
echo 'open barley' >wrong
xz -dc "$fixtures/v14-unclean-copy/image.img.xz" | cp --sparse=always /dev/stdin probe.img
$encrypt probe.img >/dev/null
"$BTRKIT" ls probe.img 2>&1 | grep -q 'has no libsodium' && skip_all "this build has no libsodium"
rm probe.img

# tree IMAGE INTO [OPTIONS]: all names, and the bytes of all files.
tree() {
	image=$1
	into=$2
	shift 2
	"$BTRKIT" ls --recursive --inode "$@" "$image" >"$into.list" && mkdir "$into" && "$BTRKIT" restore "$@" "$image" "$into" >"$into.log" 2>&1 &&
		(cd "$into" && find . -type f -exec sha256sum {} + | sort) >"$into.sums"
}
for name in v11-unclean-nocsum v131-unclean-pins-zstd; do
	xz -dc "$fixtures/$name/image.img.xz" | cp --sparse=always /dev/stdin plain.img
	cp --sparse=always plain.img phrase.img
	cp --sparse=always plain.img clear.img
	ok "$name: encrypted, with a passphrase" $encrypt phrase.img 'open sesame'
	ok "$name: and with its key in clear" $encrypt clear.img
	ok "$name: as it was" tree plain.img "$name-plain"
	is "$name: has files" "$([ "$(wc -l <"$name-plain.sums")" -gt 20 ] && echo yes)" yes
	ok "$name: opened with the passphrase" tree phrase.img "$name-phrase" --passphrase-file passphrase
	ok "$name: opened with the key in clear" tree clear.img "$name-clear"
	for form in phrase clear; do
		ok "$name: $form: the same names" cmp "$name-plain.list" "$name-$form.list"
		ok "$name: $form: the same contents" cmp "$name-plain.sums" "$name-$form.sums"
	done
	is "$name: refused without one" "$("$BTRKIT" ls phrase.img 2>&1)" \
		"btrkit ls: error: phrase.img: the volume is encrypted, and its passphrase is needed"
	is "$name: refused with a wrong one" "$("$BTRKIT" ls --passphrase-file wrong phrase.img 2>&1)" \
		"btrkit ls: error: phrase.img: the passphrase is wrong"
done

# Data, too: extents of an image that was made for this, some of them in the journal only, with MACs of 80 bits.
encrypted_data() {
	what=$1
	shift
	ok "$what: made" "$grow" "$@" base tree plain.img
	ok "$what: as it was" tree plain.img "$what-plain"
	cp --sparse=always plain.img clear.img
	ok "$what: encrypted" $encrypt clear.img
	is "$what: data, too" "$($encrypt plain.img | sed 's/.* \([0-9]*\) pieces of data/\1/' | grep -c '^[1-9]')" 1
	ok "$what: decrypted" tree clear.img "$what-clear"
	ok "$what: the same names" cmp "$what-plain.list" "$what-clear.list"
	ok "$what: the same contents" cmp "$what-plain.sums" "$what-clear.sums"
	ok "$what: each MAC is right" "$BTRKIT" check --data clear.img
}
grow=${builddir:-$here}/tests/tools/bcachefs_grow
if [ "$(id -u)" = 0 ] && [ -x "$grow" ]; then
	xz -dc "$fixtures/v14-clean-basic/image.img.xz" | cp --sparse=always /dev/stdin base
	mkdir tree
	for name in a b c; do
		seq 1 3000 | sed "s/^/$name /" >"tree/$name"
		head -c 40000 /dev/urandom >"tree/noise-$name"
	done
	encrypted_data smaller --csum crc64 --extent 16384 --journal 40
	encrypted_data compressed --csum xxhash --compress zstd --extent 65536
fi
# The key's bytes are 7 to 38.
"$BTRKIT" inspect super --full --all clear.img >shown
ok "inspect tells that it is encrypted" grep -q 'encrypted yes' shown
ok "and that there is no passphrase" grep -q 'has_passphrase no' shown
not_ok "but not the key" grep -qi '0708090a' shown
done_testing
