#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Damage single structures of one device of a bcachefs volume in turn: each superblock copy, journal entry, node and run of data.

What restore then gives has to equal what the sound volume gives, or the check names the path (or a directory above it). A journal entry
that cannot be read makes things older, which nobody can tell file by file: then the check has to say so.

bcachefs_damage.py BTRKIT EVERY SCRATCH IMAGE... (the first one is damaged in place, and mended again): only each EVERYth piece is taken.
Prints a line for each piece that fails, and a summary."""
import hashlib
import json
import os
import re
import shutil
import stat
import struct
import subprocess
import sys

JSET = 0x245235C1A3625032
BSET = 0x90135C78B99E07F5


def pieces_of(image):
    """(kind, offset, length) of all that is there."""
    size = os.path.getsize(image)
    found = []
    with open(image, "rb") as file:
        file.seek(7 * 512)
        layout = file.read(512)
        supers = [s * 512 for s in struct.unpack_from("<61Q", layout, 24)[:layout[18]]]
        for at in supers:
            file.seek(at)
            head = file.read(752)
            length = 752 + 8 * struct.unpack_from("<I", head, 124)[0]
            found.append(("super", at, length))
        uuid = struct.unpack_from("<Q", head, 40)[0]
        block = struct.unpack_from("<H", head, 120)[0] * 512
        node = (struct.unpack_from("<Q", head, 144)[0] >> 12 & 0xFFFF) * 512
        at = 0
        while at < size:
            # Only what the sparse file has.
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA) // block * block
            except OSError:
                break
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            while at < end:
                inside = [p for p in found if p[1] <= at < p[1] + p[2]]
                if inside:
                    at = (inside[0][1] + inside[0][2] + block - 1) // block * block
                    continue
                file.seek(at)
                data = file.read(block)
                magic, = struct.unpack_from("<Q", data, 16) if len(data) >= 24 else (0,)
                if magic == uuid ^ JSET:
                    found.append(("journal", at, 56 + 8 * struct.unpack_from("<I", data, 40)[0]))
                elif magic == uuid ^ BSET:
                    found.append(("node", at, node))
                elif any(data) and at >= 4096:
                    found.append(("data", at, len(data)))
                at += block
    return found


def joined(pieces):
    """Blocks of data that lie side by side, up to 64 KiB."""
    result = []
    for kind, at, length in sorted(pieces, key=lambda p: p[1]):
        last = result[-1] if result else None
        if kind == "data" and last and last[0] == "data" and last[1] + last[2] == at and last[2] < 65536:
            result[-1] = ("data", last[1], last[2] + length)
        else:
            result.append((kind, at, length))
    return result


def tree_of(top, inodes=None):
    """Path -> all that can be told of it. @inodes: path -> inode, of what has several names."""
    tree = {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = ""
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = hashlib.sha256(file.read()).hexdigest()
            if inodes is not None and status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                inodes["/" + os.path.relpath(path, top)] = status.st_ino
            links = 0 if stat.S_ISDIR(status.st_mode) else status.st_nlink
            xattrs = {n: os.getxattr(path, n, follow_symlinks=False) for n in os.listxattr(path, follow_symlinks=False)}
            tree["/" + os.path.relpath(path, top)] = (status.st_mode, status.st_uid, status.st_gid, links, status.st_rdev,
                                                      content, status.st_mtime_ns, str(sorted(xattrs.items())))
    return tree


class Volume:
    def __init__(self, btrkit, scratch, images):
        self.btrkit, self.images, self.out = btrkit, images, os.path.join(scratch, "out")

    def run(self, *arguments):
        done = subprocess.run([self.btrkit, *arguments], capture_output=True, timeout=60, check=False)
        if done.returncode < 0 or done.returncode > 64:
            raise RuntimeError(f"{arguments[0]} died: {done.returncode} {done.stderr[-300:]}")
        return done

    def has_checksums(self):
        """Without, no reader can tell what is damaged in what is not a structure."""
        return b'"metadata_checksum":"none"' not in re.sub(rb"\s", b"", self.run("inspect", "super", "--json", self.images[0]).stdout)

    def restored(self, inodes=None):
        shutil.rmtree(self.out, ignore_errors=True)
        done = self.run("restore", "-q", *self.images, self.out)
        return (tree_of(self.out, inodes) if os.path.isdir(self.out) else {}), done.returncode

    def checked(self):
        done = self.run("check", "--data", "--json", *self.images)
        return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


def judge(volume, kind, sound, inodes, is_copied, has_checksums):
    """None, or what is wrong."""
    tree, status = volume.restored()
    lines, verdict = volume.checked()
    problems = [line for line in lines if line.get("type") == "problem"]
    codes = {p["code"] for p in problems}
    bad = {p["code"] for p in problems if p["severity"] in ("error", "fatal")}
    paths = {path for p in problems for path in p["paths"]}
    # Of a file with several names, one is said.
    paths |= {path for path, inode in inodes.items() if any(inodes.get(p) == inode for p in paths)}
    # Directories of which an attribute, time or count may follow from a child that is lost are the same otherwise.
    wrong = [path for path in sound if tree.get(path) != sound[path] and not
             any(path == p or path.startswith(p.rstrip("/") + "/") for p in paths)]
    strange = [path for path in tree if path not in sound]
    if kind == "super" and not codes & {"bch-super-copy-bad", "bch-super-copy-differs", "cannot-open"}:
        return "not told"
    if verdict == 8:
        return "the check did not run"
    if not has_checksums:
        return None
    if (wrong or strange) and "cannot-open" not in codes and not any(c.startswith("bch-journal") and c != "bch-journal-laid-over"
                                                                     for c in codes):
        return f"wrong: {wrong[:3]} strange: {strange[:3]} told: {sorted(bad)}"
    if (wrong or len(tree) < len(sound)) and status == 0 and not codes & {"bch-journal-torn"}:
        return f"restore ends with 0, without {[p for p in sound if p not in tree][:3]} and {wrong[:3]}: {sorted(bad)}"
    if is_copied and kind in ("super", "journal", "node") and (tree != sound or status):
        return f"a copy was enough, but status {status}, {[p for p in sound if tree.get(p) != sound[p]][:3]}"
    return None


def main():
    btrkit, every, scratch, *images = sys.argv[1:]
    volume = Volume(btrkit, scratch, images)
    inodes = {}
    has_checksums = volume.has_checksums()
    sound, status = volume.restored(inodes)
    assert sound and status == 0, status
    pieces = [p for kind in ("super", "journal", "node", "data")
              for p in [q for q in joined(pieces_of(images[0])) if q[0] == kind][:: 1 if kind == "super" else int(every)]]
    failed = told = 0
    with open(images[0], "r+b", buffering=0) as file:
        for number, (kind, at, length) in enumerate(pieces):
            # Somewhere in it, or all of it, from a fixed sequence.
            # A journal entry whose header is gone as well was never written, as far as anybody can tell.
            whole = (at + 56, length - 56) if kind == "journal" else (at, length)
            first, count = whole if number % 4 == 3 and length > 56 else (at + (number * 7919 + 40) % length, 1)
            file.seek(first)
            before = file.read(count)
            file.seek(first)
            file.write(bytes(b ^ 0x5A for b in before))
            try:
                why = judge(volume, kind, sound, inodes, len(images) > 1, has_checksums)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                why = str(error)
            file.seek(first)
            file.write(before)
            if why:
                failed += 1
                print(f"{kind} at {at}, {count} bytes from {first}: {why}")
    kinds = {kind: sum(p[0] == kind for p in pieces) for kind, _, _ in pieces}
    print(f"# {len(pieces)} pieces damaged: {kinds}, {failed} failed")
    return failed != 0 or not pieces


sys.exit(main())
