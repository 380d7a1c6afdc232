#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each copy of each entry of a journal of bcachefs damaged in turn: `btrkit journal verify` has to say so.

	bcachefs_journal_damage.py BTRKIT IMAGE...

Images are changed in place, and back. Prints what was not noticed, and last how many were damaged. Bytes are chosen by
BTRKIT_TEST_SEED.
"""
import json
import os
import random
import subprocess
import sys

btrkit, images = sys.argv[1], sys.argv[2:]
random.seed(int(os.environ.get("BTRKIT_TEST_SEED", "1")))


def run(*words):
    done = subprocess.run([btrkit, "journal", *words, *images], capture_output=True, text=True)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1 << random.randrange(8)]))
        return byte


def put_back(path, at, byte):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(byte)


def names(findings, sequence):
    """What is said of @sequence that is not good."""
    return [f for f in findings if f["type"] == "finding" and f["severity"] != "good" and f["first"] <= sequence <= f["last"]]


def judge(entry, copy, where, at):
    """A byte of a copy is wrong. None: it was said as it should be."""
    path = images[copy["device"]]
    byte = flip(path, at)
    status, findings, said = run("verify", "--json")
    put_back(path, at, byte)
    sequence = entry["sequence"]
    told = names(findings, sequence)
    if status not in (0, 4):
        return f"status {status}, {said}"
    # A wrong number may make it anything.
    if not told and (where != "sequence" or not any(f.get("severity", "good") != "good" for f in findings)):
        return f"not told: {findings[-1]}"
    needed = entry["state"] == "needed"
    if needed and status != 4:
        return f"needed, and damaged, but the status is {status}"
    return None


def main():
    status, lines, said = run("list", "--json")
    if status != 0:
        sys.exit(f"cannot be listed: {said}")
    nr = 0
    for entry in lines[1:]:
        if not entry["good"]:
            continue
        for copy in entry["copies"]:
            start = copy["physical"]
            places = {"checksum": random.randrange(4), "magic": 16 + random.randrange(8), "sequence": 24 + random.randrange(4),
                      "length": 40 + random.randrange(4), "payload": random.randrange(56, max(entry["bytes"], 57))}
            with open(images[copy["device"]], "rb") as file:
                file.seek(start + 36)
                has_csum = file.read(1)[0] & 15
            for where, place in places.items():
                # Without checksums only the magic is there to be compared.
                if not has_csum and where != "magic" or place >= entry["bytes"]:
                    continue
                nr += 1
                why = judge(entry, copy, where, start + place)
                if why:
                    print(f"entry {entry['sequence']} ({entry['state']}), {where}, byte {place}: {why}")
    print(f"{nr} damaged")


main()
