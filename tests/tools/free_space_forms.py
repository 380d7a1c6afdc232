#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Has each block group's free space the form that its number of runs asks for?

  free_space_forms.py one|all <NOTES

NOTES: blocks of what `btrkit inspect tree -t free_space --json` prints, each behind a line `step NAME`. A group with more runs
than its bitmaps would take as items has bitmaps, one with fewer by more than a hundred has runs, and between the two it has
what it had one step before. `one`: only the group that ever has the most runs is judged. Prints a line for
each step that has another form, and last how often forms changed and the numbers of runs at that.
"""
import json
import sys

BITMAP_SECTORS = 2048
SECTORSIZE = 4096


def groups_of(lines):
    """The block groups: {(logical, length): (number of runs, has bitmaps)}"""
    found = {}
    for line in lines:
        for item in json.loads(line).get('items', ()):
            if item['key']['type'] == 198:
                found[item['key']['objectid'], item['key']['offset']] = item['extent_count'], item['is_bitmap']
    return found


def steps_of(stream):
    name, lines = None, []
    for line in stream:
        if line.startswith('step '):
            if name:
                yield name, groups_of(lines)
            name, lines = line[5:].strip(), []
        else:
            lines.append(line)
    if name:
        yield name, groups_of(lines)


def most_runs(length):
    return -(-length // (SECTORSIZE * BITMAP_SECTORS)) * (256 + 25) // 25


def main():
    which = sys.argv[1]
    steps = list(steps_of(sys.stdin))
    crowded = max((count, key) for _, groups in steps for key, (count, _) in groups.items())[1]
    before, changes = {}, []
    for name, groups in steps:
        for key, (count, is_bitmap) in sorted(groups.items()):
            if which == 'one' and key != crowded:
                continue
            most = most_runs(key[1])
            had = before.get(key, is_bitmap)
            wanted = count + 100 >= most if had else count > most
            if is_bitmap != wanted:
                print(f'{name}: group {key[0]} of {key[1]} bytes, {count} runs, limit {most}: '
                      f'{"bitmaps" if is_bitmap else "runs"}, after {"bitmaps" if had else "runs"}')
            if is_bitmap != had:
                changes.append(f'{"bitmaps" if is_bitmap else "runs"} at {count} of {most}')
            before[key] = is_bitmap
    print(f'changes: {", ".join(changes) or "none"}')


main()
