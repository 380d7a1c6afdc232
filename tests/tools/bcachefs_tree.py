#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Compare what `btrkit inspect tree --json` shows of a bcachefs volume with what its own tools listed, key by key with all that both tell.

	bcachefs_tree.py LIST JSON BUCKET_SECTORS [--deleted]

LIST is the text of either generation of tools. Newer ones tell places of extents by bucket, older ones by
sector. --deleted: when it was listed, files had been deleted that had no name any more.
"""
import json
import lzma
import re
import stat
import sys

TREES = ["extents", "inodes", "dirents", "xattrs", "reflink", "subvolumes", "snapshots", "snapshot_trees", "deleted_inodes",
	 "subvolume_children"]
CSUMS = ["none", "crc32c_nonzero", "crc64_nonzero", "chacha20_poly1305_80", "chacha20_poly1305_128", "crc32c", "crc64", "xxhash"]
COMPRESSIONS = ["none", "lz4_old", "gzip", "lz4", "zstd", "incompressible"]
TYPES = {1: "fifo", 2: "chr", 4: "dir", 6: "blk", 8: "reg", 10: "lnk", 12: "sock"}
INODE = ["bi_size", "bi_sectors", "bi_atime", "bi_ctime", "bi_mtime", "bi_otime", "bi_uid", "bi_gid", "bi_nlink", "bi_dev",
	 "bi_project", "bi_dir", "bi_dir_offset", "bi_subvol", "bi_parent_subvol"]


def listed_extent(text, bucket_sectors):
	out = []
	for m in re.finditer(r"crc\d*: c_size (\d+) size (\d+) offset (\d+) nonce (\d+) csum (\S+)(?: (\S+:\S+))? +compress (\S+)|"
			     r"ptr: (?:\S+ )?(\d+):(\d+)(?::(\d+))? gen (\d+)", text):
		if m[1]:
			csum = CSUMS[int(m[5])] if m[5].isdigit() else m[5]
			compress = COMPRESSIONS[int(m[7])] if m[7].isdigit() else m[7]
			out.append(("crc", *m.group(1, 2, 3, 4), csum, m[6], compress))
		else:
			sector = int(m[9]) if m[10] is None else int(m[9]) * bucket_sectors + int(m[10])
			out.append(("ptr", int(m[8]), sector, int(m[11])))
	return tuple(out)


def shown_extent(key):
	out = []
	for entry in key["entries"]:
		if entry["kind"].startswith("crc"):
			out.append(("crc", str(entry["c_size"]), str(entry["size"]), str(entry["offset"]), str(entry["nonce"]),
				    entry["csum"], entry["csum_value"], entry["compress"]))
		elif entry["kind"] == "ptr":
			out.append(("ptr", entry["device"], entry["sector"], entry["gen"]))
	return tuple(out)


def numbers(text, *names):
	return tuple(int(re.search(r"%s[ =:]+(\d+)" % name, text)[1]) for name in names)


def listed_value(kind, text, bucket_sectors):
	if kind == "extent":
		return listed_extent(text, bucket_sectors)
	if kind == "reflink_v":
		return numbers(text, "refcount") + listed_extent(text, bucket_sectors)
	if kind == "reflink_p":
		return numbers(text, "idx", "front_pad", "back_pad")
	if kind == "inline_data":
		return numbers(text, "datalen")
	if kind.startswith("inode"):
		values = dict(re.findall(r"(mode|bi_\w+)[=:] ?(\d+)", text))
		return (values["mode"],) + tuple(int(values.get(name, 0)) for name in INODE)
	if kind == "dirent":
		m = re.fullmatch(r"(.*?) -> (?:(\d+) -> )?(\d+) type (\w+)\s*", text, re.S)
		return (m[1], m[2], m[3], TYPES[int(m[4])] if m[4].isdigit() else m[4])
	if kind == "xattr":
		return text.split("\0")[0].strip()
	if kind == "subvolume":
		return numbers(text, "root", "snapshot id") + (
			numbers(text, "creation_parent", "fs_parent") + (" snapshot" in text.split("fs_parent")[1],)
			if "creation_parent" in text else ())
	if kind == "snapshot":
		m = re.search(r"parent +(\d+) children +(\d+) +(\d+) subvol (\d+) tree (\d+)", text)
		return tuple(int(n) for n in m.groups())
	if kind == "snapshot_tree":
		return numbers(text, "subvol", "root snapshot")
	return None


def shown_value(kind, key):
	if kind == "extent":
		return shown_extent(key)
	if kind == "reflink_v":
		return (key["refcount"],) + shown_extent(key)
	if kind == "reflink_p":
		return (key["idx"], key["front_pad"], key["back_pad"])
	if kind == "inline_data":
		return (key["datalen"],)
	if kind.startswith("inode"):
		return (key["inode"]["mode"],) + tuple(key["inode"][name] for name in INODE)
	if kind == "dirent":
		parent = str(key["parent_subvol"]) if "parent_subvol" in key else None
		return (key["name"], parent, str(key["target"]), key["kind"])
	if kind == "xattr":
		return (key["attribute"] + ":" + key["contents"]).split("\0")[0].strip()
	if kind == "subvolume":
		return (key["root"], key["snapshot_id"], key["creation_parent"], key["fs_parent"], key["is_snapshot"])
	if kind == "snapshot":
		return (key["parent"], *key["children"], key["subvol"], key["tree"])
	if kind == "snapshot_tree":
		return (key["subvol"], key["root_snapshot"])
	return None


def read_list(path, bucket_sectors):
	opener = lzma.open if path.endswith(".xz") else open
	with opener(path, "rt", encoding="utf-8", errors="surrogateescape", newline="") as file:
		text = file.read()
	out, tree, is_old = [], None, False
	for record in re.split(r"(?m)^(?=u64s \d|== )", text):
		m = re.match(r"== (?:btree )?(\w+)\s*", record)
		if m:
			tree = m[1]
			continue
		m = re.match(r"u64s (\d+) type (\w+) (\S+?)(?: snap (\d+))? len (\d+) ver (\d+):? ?(.*)", record, re.S)
		if m and tree in TREES:
			is_old = is_old or m[4] is not None
			pos = "%s:%s" % (m[3], m[4]) if m[4] and ":" in m[3] else m[3]
			out.append((tree, int(m[1]), m[2], pos, int(m[5]), int(m[6]),
				    listed_value(m[2], m[7].rstrip("\n"), bucket_sectors)))
	return out, is_old


UNLINKED = 1 << 7


def without_csums(value):
	"""The old tools do not tell checksums of extents."""
	return tuple(part[:6] + part[7:] if isinstance(part, tuple) and part[0] == "crc" else part for part in value)


CUT_AT = 400


def is_same(listed, shown, is_old):
	if listed[:-1] != shown[:-1]:
		return False
	left, right = listed[-1], shown[-1]
	if is_old and listed[2] == "xattr" and len(left) > CUT_AT: # their lines have an end
		return right.startswith(left)
	if isinstance(left, tuple) and any(isinstance(part, tuple) and part[0] == "crc" and part[6] is None for part in left):
		left, right = without_csums(left), without_csums(right)
	return left == right


def pos_of(key):
	"""Of an inode's key the JSON has its value under the name of the position's first part."""
	return [int(part) if part.isdigit() else -1 for part in key["pos"].split(":")]


def deleted_inodes(keys):
	noted = {pos_of(key)[1] for key in keys if key["btree"] == "deleted_inodes"}
	return {pos_of(key)[1] for key in keys if key["btree"] == "inodes" and pos_of(key)[1] in noted
		and int(key["inode"]["flags"], 16) & UNLINKED and not stat.S_ISDIR(int(key["inode"]["mode"], 8))}


def read_shown(path, do_delete):
	with open(path, encoding="utf-8", errors="surrogateescape") as file:
		keys = [json.loads(line) for line in file]
	keys = [key for key in keys if key.get("btree") in TREES]
	deleted = deleted_inodes(keys) if do_delete else set()
	if do_delete and not deleted:
		sys.exit("no inode is to be deleted")
	out = []
	for key in keys:
		if "lost_from" in key:
			sys.exit("lost: %s" % key)
		number = pos_of(key)[1] if key["btree"] == "inodes" else pos_of(key)[0] if key["btree"] == "extents" else None
		if number in deleted or (do_delete and key["btree"] == "deleted_inodes"):
			continue
		out.append((key["btree"], key["u64s"], key["type"], key["pos"], key["len"], key["ver"], shown_value(key["type"], key)))
	return out


def main():
	args = [arg for arg in sys.argv[1:] if arg != "--deleted"]
	bucket_sectors = int(args[2])
	listed, is_old = read_list(args[0], bucket_sectors)
	shown = read_shown(args[1], "--deleted" in sys.argv)
	if not listed:
		sys.exit("nothing is listed")
	for tree in TREES:
		left = [key for key in listed if key[0] == tree]
		right = [key for key in shown if key[0] == tree]
		if [key[3] for key in left] != [key[3] for key in right]:
			print("%s: %u keys are listed, %u shown" % (tree, len(left), len(right)))
		for a, b in zip(left, right):
			if not is_same(a, b, is_old):
				print("- %r\n+ %r" % (a, b))
				sys.exit(1)
		if len(left) != len(right):
			sys.exit(1)
	print("%u keys" % len(listed))


main()
