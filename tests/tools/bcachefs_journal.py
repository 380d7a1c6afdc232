#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare `btrkit journal list --json` with what the tools of bcachefs print of the same journal.

	bcachefs_journal.py JOURNAL.txt LIST.json

Each entry that is in the text has to be in the list, with the same numbers, places, keys and roots in the same order. Prints what
differs, and last how many entries and keys were compared.
"""
import json
import re
import sys

KEY = re.compile(r"^\s*(\w+): btree=(\S+) l(?:evel)?=(\d+) u64s (\d+) type (\S+) (\S+) len (\d+) ver (\d+)")
OLD_KEY = re.compile(r"^btree (\w+) l (\d+): u64s (\d+) type (\w+) (\S+) snap (\d+) len (\d+) ver (\d+)")
PLACE = re.compile(r"(\d+):(\d+):(\d+) \(sector (\d+)\)")
POSITIONS = {"POS_MIN": (0, 0, 0), "POS_MAX": (2**64 - 1, 2**64 - 1, 0), "SPOS_MAX": (2**64 - 1, 2**64 - 1, 2**32 - 1)}
MAX = {"U64_MAX": 2**64 - 1, "U32_MAX": 2**32 - 1}


def position(text, snapshot=None):
    """(inode, offset, snapshot) of "4096:8:U32_MAX", or of what the tools of 2020 print apart."""
    if text in POSITIONS:
        found = POSITIONS[text]
        return found if snapshot is None else (found[0], found[1], snapshot)
    parts = [MAX[part] if part in MAX else int(part) for part in text.split(":")]
    return tuple(parts) if snapshot is None else (parts[0], parts[1], snapshot)


def read_text(path):
    """By sequence: number fields, places, keys with what they are for."""
    entries = {}
    entry = None
    for line in open(path, errors="replace"):
        words = line.split()
        match = KEY.match(line)
        old = OLD_KEY.match(line)
        if line.startswith("journal entry "):
            entry = entries.setdefault(int(words[2]), {"keys": [], "places": [], "logs": []})
        elif entry is None:
            continue
        elif match:
            kind, btree, level, u64s, what, pos, size, version = match.groups()
            entry["keys"].append((kind, btree, int(level), what, position(pos), int(size), int(version), int(u64s)))
        elif old:
            btree, level, u64s, what, pos, snapshot, size, version = old.groups()
            entry["keys"].append((None, btree, int(level), what, position(pos, int(snapshot)), int(size), int(version), int(u64s)))
        elif words[:1] == ["version"] and "version" not in entry:
            entry["version"] = int(words[1])
        elif words[:2] == ["last", "seq"]:
            entry["last_seq"] = int(words[2])
        elif words[:1] == ["flush"] and "flush" not in entry:
            entry["flush"] = words[1] == "1"
        elif words[:2] == ["written", "at"]:
            entry["places"] = [(int(device), int(offset), int(sector)) for device, _, offset, sector in PLACE.findall(line)]
        elif words[:1] == ["log:"]:
            entry["logs"].append(line.split("log:", 1)[1].strip())
    return entries


def keys_of(entry, kinds):
    for item in entry["entries"]:
        if item["type"] not in kinds:
            continue
        for key in item["keys"]:
            yield (item["type"], item["btree"], item["level"], key["type"], (key["inode"], key["offset"], key["snapshot"]),
                   key["sectors"], key["version"], key["words"])


def compare_keys(sequence, expected, entry):
    # The tools of 2020 do not say which are roots, nor print these.
    is_old = entry["version"] < 1024
    if is_old:
        found = [(None,) + key[1:] for key in keys_of(entry, ("btree_keys",))]
    else:
        found = list(keys_of(entry, ("btree_keys", "btree_root", "overwrite", "log_bkey", "write_buffer_keys")))
    for i, (a, b) in enumerate(zip(expected, found)):
        if a != b:
            print(f"entry {sequence}, key {i}: {a} is shown as {b}")
            return len(expected)
    if len(expected) != len(found):
        print(f"entry {sequence}: {len(expected)} keys, {len(found)} shown; first: {(expected + found)[min(len(expected), len(found))]}")
    return len(expected)


def main():
    expected = read_text(sys.argv[1])
    found = {}
    for line in open(sys.argv[2]):
        value = json.loads(line)
        if value["type"] == "entry":
            found[value["sequence"]] = value
    nr_keys = nr_places = 0
    for sequence, text in sorted(expected.items()):
        entry = found.get(sequence)
        if not entry or not entry["good"]:
            print(f"entry {sequence} is not there, or not good")
            continue
        numbers = {"version": entry["version"], "last_seq": entry["last_sequence"], "flush": entry["flush"]}
        for name, number in numbers.items():
            if name in text and text[name] != number:
                print(f"entry {sequence}: {name} {text[name]}, shown as {number}")
        places = [(copy["device"], copy["bucket_offset"] // 512, copy["physical"] // 512) for copy in entry["copies"] if copy["good"]]
        if text["places"] and sorted(text["places"]) != sorted(places):
            print(f"entry {sequence}: written at {text['places']}, shown as {places}")
        logs = [item["text"].strip() for item in entry["entries"] if item["type"] == "log"]
        if text["logs"] and text["logs"] != logs:
            print(f"entry {sequence}: messages {text['logs'][:3]}..., shown as {logs[:3]}...")
        nr_places += len(text["places"])
        nr_keys += compare_keys(sequence, text["keys"], entry)
    print(f"{len(expected)} entries, {nr_places} places, {nr_keys} keys compared")


main()
