#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every option of `btrkit mkfs` does what it says. What is in the images is read by tests/tools/btrfsread.py, which shares
# no code with btrkit; no root, no kernel.
. "${srcdir:-.}/tests/tap.sh"
need_program python3 tar cpio
tools=$srcdir/tests/tools
cd "$scratch" || exit 1
unset SOURCE_DATE_EPOCH
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
reader() { python3 "$tools/btrfsread.py" "$@"; }
# made options...: makes new.img, quietly.
made() {
	rm -f new.img
	"$BTRKIT" mkfs -q "$@" new.img 2>&1 </dev/null
}
# field NAME: of the superblock.
field() { reader super new.img | sed -n "s/^$1 *//p"; }
# shown PATH [IMAGE]: "type mode uid gid nlink size mtime device" of a path. column PATH N: the others.
shown() { column "$1" 2; }
column() { reader manifest new.img | path=$1 awk -F '\t' -v c="$2" '$1 == ENVIRON["path"] { print $c }'; }
json() { # json FILE PYTHON-EXPRESSION of v
	python3 -c 'import json, sys
v = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$1" "$2"
}
sound() { ok "$1: sound" reader verify new.img; }

# --- Help and lists ---
ok "--help" sh -c '"$BTRKIT" mkfs --help | grep -q -- --rootdir'
ok "-V" sh -c '"$BTRKIT" mkfs -V | grep -q "^mkfs.btrfs, part of btrkit"'
"$BTRKIT" mkfs -O list-all >list 2>err
for feature in mixed-bg quota squota extref raid56 skinny-metadata no-holes zoned free-space-tree block-group-tree; do
	ok "-O list-all: $feature" grep -q "^$feature " list
done

# --- Defaults of mkfs.btrfs 6.19 ---
ok "defaults" made -b 300M
sound "defaults"
is "the file is as long as asked" "$(stat -c %s new.img)" $((300 << 20))
is "node size" "$(field nodesize)" 16384
is "sector size" "$(field sectorsize)" 4096
is "checksum" "$(field csum_type)" 0
reader super new.img >super
"$BTRKIT" mkfs --json -b 300M -f new.img >plan.json
is "DUP metadata" "$(json plan.json '[c["profile"] for c in v["chunks"] if c["kind"] == "metadata"]')" "['DUP']"
is "features" "$(json plan.json 'v["features"]')" "extref, skinny-metadata, no-holes, free-space-tree, block-group-tree"
rm -f a.img b.img
"$BTRKIT" mkfs --json a.img b.img >plan.json
is "raid1 metadata on several devices" "$(json plan.json '[c["profile"] for c in v["chunks"]]')" "['RAID1', 'single', 'RAID1']"
ok "several devices: sound" reader verify a.img b.img

# --- Format ---
ok "-n -s --csum -L -U --device-uuid" made -n 32k -s 8k --csum sha256 -L 'A label, ünïcode' \
	-U 11111111-2222-3333-4444-555555555555 --device-uuid 99999999-2222-3333-4444-555555555555
is "-n" "$(field nodesize)" 32768
is "-s" "$(field sectorsize)" 8192
is "--csum" "$(field csum_type)" 2
is "-L" "$(blkid -p -o value -s LABEL new.img)" 'A label, ünïcode'
is "-U" "$(blkid -p -o value -s UUID new.img)" 11111111-2222-3333-4444-555555555555
is "--device-uuid" "$(blkid -p -o value -s UUID_SUB new.img)" 99999999-2222-3333-4444-555555555555
made --label "$(printf '%0255d' 7)"
is "a label of 255 bytes" "$(blkid -p -o value -s LABEL new.img | wc -c)" 256
for kind in crc32c xxhash sha256 blake2; do
	ok "--checksum $kind" made --checksum $kind
	sound "--csum $kind"
done
for profile in single dup; do
	rm -f new.img
	"$BTRKIT" mkfs --json -d $profile -m $profile new.img >plan.json
	is "-d -m $profile" "$(json plan.json 'sorted({c["profile"].lower() for c in v["chunks"]})')" "['$profile']"
done
"$BTRKIT" mkfs -f --json -M new.img >plan.json
is "-M" "$(json plan.json '[c["kind"] for c in v["chunks"]], v["nodesize_bytes"]')" "(['system', 'data+metadata'], 4096)"
ok "-O with a list, and again" made -O ^no-holes,^extref -O quota
"$BTRKIT" mkfs -f --json -O ^no-holes,^extref -O quota new.img >plan.json
is "-O" "$(json plan.json 'v["features"]')" "skinny-metadata, free-space-tree, quota"
sound "-O quota"
"$BTRKIT" mkfs -f --json -R ^free-space-tree new.img >plan.json
is "-R, the old spelling" "$(json plan.json '"free-space-tree" in v["features"]')" False

# --- Sizes ---
mkdir tree tree/sub tree/sub/deep tree/empty
echo one >tree/one
head -c 5M /dev/urandom >tree/sub/noise
head -c 300000 /dev/zero | tr '\000' z >tree/sub/text
ln tree/one tree/sub/again
ln -s one tree/link
chmod 4711 tree/one
chmod 700 tree/sub
mkfifo tree/fifo
ok "--dry-run" sh -c '"$BTRKIT" mkfs --dry-run -r tree dry.img >dry.txt'
is "--dry-run makes nothing" "$(ls dry.img 2>/dev/null)" ""
exact=$(sed -n 's/^Exact fit: *\([0-9]*\) bytes/\1/p' dry.txt)
made -r tree
is "--dry-run tells the exact size" "$(stat -c %s new.img)" "$exact"
sound "exact fit"
truncate -s 400M big.img
"$BTRKIT" mkfs --dry-run --json -r tree big.img >dry.json
is "--dry-run writes nothing to what is there" "$(tr -d '\000' <big.img | wc -c)" 0
is "--dry-run tells the exact size when there is more" "$(json dry.json 'v["needed_bytes"], v["total_bytes"], v["dry_run"]')" \
	"($exact, 419430400, True)"
ok "just large enough" made --size "$exact" -r tree
is "just large enough: size" "$(stat -c %s new.img)" "$exact"
rm new.img
"$BTRKIT" mkfs -q --size $((exact - 4096)) -r tree new.img 2>err
is "a sector too small: exit status" $? 1
ok "a sector too small: the bytes needed" grep -q "$exact bytes needed" err
is "a sector too small: no image" "$(ls new.img 2>/dev/null)" ""
made -r tree --free 50M
free=$(($(stat -c %s new.img) - exact))
ok "--free adds so much, and little more" test $free -ge $((50 << 20)) -a $free -le $((60 << 20))
truncate -s 400M new.img
ok "--shrink of a file that is there" "$BTRKIT" mkfs -q -f --shrink -r tree new.img
is "--shrink cuts it to the exact size" "$(stat -c %s new.img)" "$exact"
is "suffixes" "$(made -b 204800k && stat -c %s new.img) $(made -b 1GiB && stat -c %s new.img)" "209715200 1073741824"
made --size 1G
is "--size" "$(stat -c %s new.img)" 1073741824
head -c 3M /dev/urandom >whole.img
before=$(head -c 1M whole.img | sha256sum)
ok "--offset" "$BTRKIT" mkfs -q --offset 1M -r tree -f whole.img --size 300M
is "--offset: what is before stays" "$(head -c 1M whole.img | sha256sum)" "$before"
is "--offset: the file grows" "$(stat -c %s whole.img)" $((301 << 20))
ok "--offset: sound" reader verify --offset 1048576 whole.img

# --- Output ---
"$BTRKIT" mkfs -f --json -v -L name -r tree --progress never new.img >out.json 2>err
is "--json: valid, and alone on stdout" "$(json out.json 'v["schema"], v["label"], v["files"], v["total_bytes"]')" \
	"('btrkit-mkfs-1', 'name', 3, $(stat -c %s new.img))"
is "--json: of a dry run the same" "$("$BTRKIT" mkfs --json --dry-run --seed a -r tree x.img | sed 's/"dry_run": *true/"dry_run":false/')" \
	"$("$BTRKIT" mkfs --json --seed a -r tree x.img | sed 's/"dry_run": *false/"dry_run":false/')"
rm x.img
is "-q says nothing" "$("$BTRKIT" mkfs -q -f -r tree new.img 2>&1)" ""
ok "without -q it tells" sh -c '"$BTRKIT" mkfs -f -r tree new.img | grep -q "^UUID: "'
"$BTRKIT" mkfs -f -r tree new.img >out
ok "files and subvolumes are counted" grep -q '^Files: *3$' out
not_ok "no subvolumes, no line" grep Subvolumes out
"$BTRKIT" mkfs -f -r tree -u rw:sub -u empty new.img >out
is "and with subvolumes" "$(sed -n 's/^Files: *//p; s/^Subvolumes: *//p' out | tr '\n' ' ')" "4 2 "
"$BTRKIT" mkfs -f -v -r tree new.img >out
ok "-v draws the chunks" grep -q '^ *metadata *DUP *logical' out
"$BTRKIT" mkfs -q -f --progress always -r tree new.img 2>err
is "-q goes before --progress" "$(cat err)" ""
"$BTRKIT" mkfs -f --json --progress always -r tree new.img >out.json 2>err
ok "--progress always draws to stderr" test -s err
ok "and leaves the JSON alone" json out.json 'v["uuid"]'

# --- Overwriting ---
made
is "without -f it refuses" "$("$BTRKIT" mkfs -q new.img 2>&1 | grep -c 'contains btrfs')" 1
ok "with -f it does not" "$BTRKIT" mkfs -q -f new.img
ok "-K" "$BTRKIT" mkfs -q -f -K new.img
sound "-K"

# --- Layers ---
mkdir upper upper/sub && echo two >upper/one && echo new >upper/sub/new && mkdir upper/text && ln -s /nowhere upper/empty
touch -d @1400000000 upper/one upper/sub
made -r tree -r upper
is "the later layer wins" "$(reader manifest new.img | awk -F '\t' '$1 == "one" { print $2 }' | cut -d ' ' -f 1,6)" "f 4"
is "directories merge" "$(shown sub/noise | cut -c 1)$(shown sub/new | cut -c 1)" ff
is "and take the later one's time" "$(shown sub | cut -d ' ' -f 7)" 1400000000000000000
is "a link takes the place of a directory" "$(column empty 3)" /nowhere
is "the other name of what was replaced stays" "$(shown sub/again | cut -d ' ' -f 1,5,6)" "f 1 4"
sound "layers"
made -r tree:/a/b -r upper:/a -r tree/sub:/
is "SRC:/DEST" "$(shown a/b/sub/noise | cut -c 1)$(shown a/one | cut -c 1)$(shown noise | cut -c 1)" fff
sound "SRC:/DEST"
mkdir 'odd:' 'odd:/dir' && echo x >'odd:/dir/file'
made -r 'odd:/dir'
is "a name with :/ that exists is a name" "$(shown file | cut -c 1)" f
tar -C tree -cf tree.tar . && gzip -k tree.tar && (cd tree && find . -print0 | cpio --quiet -0o -H newc) >tree.cpio
made -r tree.tar -r upper:/up
is "an archive and a directory" "$(shown sub/noise | cut -c 1)$(shown up/one | cut -c 1)" ff
made -r tree.tar.gz
is "tar.gz" "$(shown one | cut -d ' ' -f 1,2,5)" "f 4711 2"
made -r tree.cpio
is "cpio" "$(shown one | cut -d ' ' -f 1,2,5,6)" "f 4711 2 4"
rm new.img
ok "standard input" sh -c '"$BTRKIT" mkfs -q -r - new.img <tree.tar.gz'
is "standard input: content" "$(shown one | cut -d ' ' -f 1,2,5)" "f 4711 2"
ok "standard input below a folder" sh -c 'rm new.img; "$BTRKIT" mkfs -q -r tree -r -:/in new.img <tree.tar.gz'
is "standard input below a folder: content" "$(shown in/one | cut -d ' ' -f 1,2,5)" "f 4711 2"

# --- Owners ---
made -r tree --owner 7:8
is "--owner" "$(reader manifest new.img | cut -f 2 | cut -d ' ' -f 3,4 | sort -u)" "7 8"
me=$(id -u) mine=$(id -g)
made -r tree --uid-map "$me:5000:1" --gid-map "$mine:6000:1"
is "--uid-map, --gid-map" "$(shown one | cut -d ' ' -f 3,4)" "5000 6000"
python3 - <<'PY'
import struct, tarfile
with tarfile.open('owners.tar', 'w', format=tarfile.PAX_FORMAT) as t:
    for uid in (0, 1, 999, 1000, 1001, 65534, 4294967294):
        info = tarfile.TarInfo('u%d' % uid)
        info.uid, info.gid = uid, uid
        t.addfile(info)
    info = tarfile.TarInfo('acl')
    info.pax_headers = {'SCHILY.acl.access': 'user::rw-,user:1000:rwx,group::r--,group:1:r-x,mask::rwx,other::---'}
    t.addfile(info)
    info = tarfile.TarInfo('cap')
    info.pax_headers = {'SCHILY.xattr.security.capability': '\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0'}
    t.addfile(info)
PY
made -r owners.tar --uid-map 0:100000:1000 --uid-map 1000:1:1 --gid-map 1:2:1
is "maps: the first that fits" \
	"$(for u in 0 1 999 1000 1001 65534 4294967294; do shown u$u | cut -d ' ' -f 3,4 | tr ' ' :; done | tr '\n' ' ')" \
	"100000:0 100001:2 100999:999 1:1000 1001:1001 65534:65534 4294967294:4294967294 "
column acl 5 >xattrs
ok "maps apply to ACLs" grep 'posix_acl_access=020000000100060.*0200070001000000' xattrs
column cap 5 >xattrs
ok "capabilities come through" grep 'security.capability=0100000200040000' xattrs
if command -v setfacl >/dev/null 2>&1 && setfacl -m u:1000:rwx,g:1:rx tree/one 2>/dev/null; then
	made -r tree --uid-map 1000:1:1 --gid-map 1:2:1
	column one 5 >xattrs
	ok "maps apply to ACLs of directories" grep 'posix_acl_access=.*0200070001000000.*0800050002000000' xattrs
	setfacl -b tree/one
else
	skip "maps apply to ACLs of directories" "no ACLs here"
fi

# --- Manifests ---
cat >override.mtree <<'EOF2'
#mtree
# Only what is said changes.
/set uid=12 gid=34
./one mode=0600
./sub uid=56 time=1300000000.250000000
./a\040b\nc type=file
./with type=file contents=tree/sub/text \
	mode=0640
./dev type=char device=native,5,1 mode=0620 uid=0 gid=5
./new type=dir mode=0750
./new/link type=link link=../\157ne
./gone type=file size=100 optional
./empty flags=nodump,schg
./pipe type=fifo mode=0660
/unset uid
new2 type=dir mode=0711
	inside type=file mode=0400 sha256=0000 uname=nobody
	deeper type=dir
		most type=file
	..
..
beside type=file
./sub/text type=file contents=tree/one
EOF2
made -r tree -r override.mtree
is "a manifest: mode" "$(shown one | cut -d ' ' -f 1,2,3,4,6)" "f 0600 12 34 4"
is "a manifest: what it does not name stays" "$(shown sub/noise | cut -d ' ' -f 3,4)" "$me $mine"
is "a manifest: what it does not say stays" "$(shown sub | cut -d ' ' -f 1,2,3,4,7)" "d 0700 56 34 1300000000250000000"
is "a manifest: a device" "$(shown dev)" "$(echo "c 0620 0 5 1 0 $(shown dev | cut -d ' ' -f 7) 5:1")"
is "a manifest: a directory" "$(shown new | cut -d ' ' -f 1,2,3)" "d 0750 12"
is "a manifest: a link" "$(column new/link 3)" ../one
is "a manifest: contents" "$(shown with | cut -d ' ' -f 1,2,6) $(column with 4)" \
	"f 0640 300000 $(sha256sum <tree/sub/text | cut -d ' ' -f 1)"
is "a manifest: new contents" "$(column sub/text 4)" "$(sha256sum <tree/one | cut -d ' ' -f 1)"
is "a manifest: escapes" "$(shown 'a\x20b\x0ac' | cut -c 1)" f
is "a manifest: a fifo" "$(shown pipe | cut -d ' ' -f 1,2)" "p 0660"
is "a manifest: what is optional may be missing" "$(shown gone)" ""
is "a manifest: names without a slash" \
	"$(for p in new2 new2/inside new2/deeper new2/deeper/most beside; do shown $p | cut -d ' ' -f 1-4; done | tr '\n' ,)" \
	"d 0711 0 34,f 0400 0 34,d 0755 0 34,f 0644 0 34,f 0644 0 34,"
ok "a manifest: flags" sh -c "'$BTRKIT' inspect tree --path empty new.img | grep -q 'IMMUTABLE.*NODUMP'"
sound "a manifest"
rm new.img
gzip -c override.mtree | "$BTRKIT" mkfs -q -r tree -r - new.img
is "a manifest from standard input, compressed" "$(shown one | cut -d ' ' -f 2,3)" "0600 12"
ok "a manifest and an archive" made -r tree.tar -r override.mtree --owner 3:3

# --- Subvolumes ---
ok "--subvol" made -r tree -u sub -u ro:empty -u default:sub/deep
sound "--subvol"
is "a subvolume begins anew" "$(reader manifest --root 257 new.img | cut -f 1 | tr '\n' ' ')" ". again deep noise text "
is "a hard link across subvolumes becomes two files" \
	"$(reader manifest --root 257 new.img | sed -n 's/^again	//p' | cut -d ' ' -f 5,6)" "1 4"
for kind in rw ro default default-ro; do
	ok "--subvol $kind" made -r tree --subvol $kind:sub
	sound "--subvol $kind"
	"$BTRKIT" inspect tree --tree 1 --json new.img >roots.json
	is "--subvol $kind: read-only or not" "$(json roots.json \
		'[i["flags_names"] for i in v["items"] if (i["key"]["objectid"], i["key"]["type"]) == (256, 132)]')" \
		"$(case $kind in *ro) echo "[['RDONLY']]" ;; *) echo '[[]]' ;; esac)"
	is "--subvol $kind: default or not" "$(json roots.json \
		'[e["location"]["objectid"] for i in v["items"] for e in i.get("entries", []) if e["name"] == "default"]')" \
		"$(case $kind in default*) echo '[256]' ;; *) echo '[5]' ;; esac)"
done
ok "--subvol /sub/ with slashes" made -r tree --subvol rw:/sub/

# --- Inode flags, compression ---
made -r tree --compress zlib --inode-flags nodatacow:sub/text
sound "--inode-flags nodatacow"
nocow=$(json_used() { "$BTRKIT" mkfs --json --dry-run -r tree --compress zlib "$@" x.img; }
	json_used --inode-flags nodatacow:sub/text >x.json; json x.json 'v["data_bytes"]')
"$BTRKIT" mkfs --json --dry-run -r tree --compress zlib x.img >x.json
ok "what has nodatacow is not compressed" test "$nocow" -gt $(($(json x.json 'v["data_bytes"]') + 250000))
made -r tree --inode-flags nodatasum:sub
sound "--inode-flags nodatasum"
made -r tree --inode-flags nodatacow,nodatasum:sub
sound "--inode-flags with both"
for algo in zlib zlib:1 zlib:9 lzo zstd zstd:1 zstd:15 no; do
	ok "--compress $algo" made -r tree --compress $algo
	sound "--compress $algo"
	is "--compress $algo: the content" "$(column sub/text 4)" "$(sha256sum <tree/sub/text | cut -d ' ' -f 1)"
done
ok "--tmpdir" made -r tree --compress zstd --tmpdir .
rm new.img
ok "TMPDIR" env TMPDIR=. "$BTRKIT" mkfs -q -r tree.tar new.img
ok "--reflink" made -r tree --reflink
ok "--ignore-unreadable" made -r tree --ignore-unreadable
ok "--threads" made -r tree --threads 3

# --- Times ---
touch -d @2000000000 tree/sub/text
SOURCE_DATE_EPOCH=1500000000 "$BTRKIT" mkfs -q -f -r tree -r upper new.img
is "SOURCE_DATE_EPOCH: later times are cut to it" "$(shown sub/text | cut -d ' ' -f 7)" 1500000000000000000
is "SOURCE_DATE_EPOCH: earlier ones stay" "$(shown sub | cut -d ' ' -f 7)" 1400000000000000000
SOURCE_DATE_EPOCH=1500000000 "$BTRKIT" mkfs -q -f -r tree -r upper:/not/there new.img
is "SOURCE_DATE_EPOCH: for directories that no source has" "$(shown not | cut -d ' ' -f 7)" 1500000000000000000
done_testing
