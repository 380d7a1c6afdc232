#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The least size of a device, and devices that end too early, under filesystems that Linux has aged.

  reshape_least.py [--keep FOLDER] --scratch FOLDER quick|all

The size that a dry run of `resize min` prints is the one that is reached, in the way and with the numbers that it tells; one unit
less, and one sector less, is refused with that size. A device of which the rest of the file is cut off gets along with what is left
of it by `fix-size`. Both checks, Linux and its scrub find nothing wrong then. Prints TAP lines without a plan.
"""
import argparse
import json
import os
import subprocess

from reshape_fs import BTRKIT, MIB, Failure, Filesystem

UNIT, SECTOR = 65536, 4096
# Sizes in MiB, how they are made, how full, and to what part of it the first device is cut (None: to the least).
SHAPES = {
    'dup': ([500], ['mkfs.btrfs', '-m', 'dup'], 45, None),
    'raid0': ([400, 250], ['mkfs.btrfs', '-d', 'raid0', '-m', 'raid1', '-n', '4096'], 30, None),
    'raid1, cut': ([400, 420, 380], ['mkfs.btrfs', '-d', 'raid1', '-m', 'raid1'], 30, 0.12),
    'single, 4k': ([500], ['mkfs.btrfs', '-m', 'single', '-n', '4096'], 60, None),
    'mixed': ([400], ['mkfs.btrfs', '-M', '-n', '4096'], 0, None),
    'raid1': ([500, 400], ['mkfs.btrfs', '-d', 'raid1', '-m', 'raid1'], 50, None),
    'raid5, cut': ([400, 420, 380, 400], ['mkfs.btrfs', '-d', 'raid5', '-m', 'raid1c3'], 20, 0.1),
    'large': ([1500], ['mkfs.btrfs'], 30, None),
}
QUICK = ('dup', 'raid0', 'raid1, cut')


def device(fs, *words):
    """Its exit status, what it says, and its JSON."""
    others = [word for image in fs.images[1:] for word in ('--device', image)]
    done = subprocess.run([BTRKIT, 'device', *words, '--json', '--no-scan', *others, fs.images[0]], capture_output=True, text=True)
    return done.returncode, done.stderr, json.loads(done.stdout)


def told(plan):
    """Where extents go one by one, how many go how often is an estimate, and where to, but for the device that they leave."""
    is_exact = all(s['way'] != 'extents' for s in plan['steps'])
    return ([plan['moved_bytes'], plan['written_bytes']] if is_exact else [],
            [(s['way'], s['logical'], s['length_bytes']) for s in plan['steps']],
            [(d['devid'], d['size_after_bytes'], d['allocated_after_bytes'] if is_exact or d['devid'] == 1 else 0)
             for d in plan['devices']])


def expect(what, wanted, got):
    if wanted != got:
        raise Failure('%s: %s, and not %s' % (what, got, wanted))


def expect_as_planned(fs, *words):
    status, text, plan = device(fs, *words, '-n')
    expect('%s: a dry run: %s' % (words[0], text), 0, status)
    status, text, done = device(fs, *words)
    expect('%s: %s' % (words[0], text), 0, status)
    if words[0] == 'resize':
        expect('resize: warnings', '', text)
    expect('%s: what was planned' % words[0], told(plan), told(done))
    expect('%s: what there is' % words[0], [(d['devid'], d['size_after_bytes'], d['allocated_after_bytes']) for d in done['devices']],
           [(d['devid'], d['size_bytes'], d['allocated_bytes']) for d in fs.summary()['devices']])
    return sorted({s['way'] for s in plan['steps']})


def shrink(fs):
    status, text, plan = device(fs, 'resize', '1:min', '-n')
    expect('resize: a dry run: %s' % text, 0, status)
    least = plan['minimum_bytes']
    for less in UNIT, SECTOR:
        status, text, refused = device(fs, 'resize', '1:%d' % (least - less))
        expect('resize to %d bytes less' % less, (1, 'refused', least), (status, refused['status'], refused.get('minimum_bytes')))
    ways = expect_as_planned(fs, 'resize', '1:min')
    expect('resize: its size', least, fs.summary()['devices'][0]['size_bytes'])
    return 'the least is %d MiB (%s)' % (least // MIB, ', '.join(ways))


def cut(fs, part):
    os.truncate(fs.images[0], int(os.path.getsize(fs.images[0]) * part) // SECTOR * SECTOR)
    ways = expect_as_planned(fs, 'fix-size')
    expect('fix-size: something is cut', True, len(ways) > 0)
    return 'the end is cut off (%s)' % ', '.join(ways)


def run_shape(name, options):
    sizes, made, percent, part = SHAPES[name]
    fs = Filesystem(os.path.join(options.scratch, 'least'), sizes)
    try:
        fs.make(made)
        wanted = fs.age(8, snapshots=4, operations=60, fill_percent=percent, small=True)
        what = cut(fs, part) if part else shrink(fs)
        fs.our_check()
        fs.their_check()
        fs.linux(wanted)
        print('ok - %s: %s' % (name, what), flush=True)
    except Failure as failure:
        print('not ok - %s' % name)
        print('\n'.join('# ' + line for line in str(failure).splitlines()), flush=True)
        if options.keep:
            fs.copy(os.path.join(options.keep, name.replace(', ', '-')))
    finally:
        fs.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--scratch', required=True)
    parser.add_argument('--keep')
    parser.add_argument('which', choices=('quick', 'all'))
    options = parser.parse_args()
    for name in QUICK if options.which == 'quick' else SHAPES:
        run_shape(name, options)


main()
