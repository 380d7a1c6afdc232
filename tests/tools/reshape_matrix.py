#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Filesystems that Linux has aged go from profile to profile, with `btrkit restripe`, and are judged after each step.

  reshape_matrix.py [--keep FOLDER] --scratch FOLDER quick|all|SHAPE...

quick: a few shapes, each profile once as the old and once as the new one; all: all shapes, every profile to every other, for
data, for metadata and the system chunks. After each step: the profiles are those that were wanted, both checks are content
with all data, `btrkit restore` and Linux show the same files, a scrub finds nothing; and now and then Linux balances a copy.
Prints TAP lines without a plan.
"""
import argparse
import os
import sys
import time

from reshape_fs import BTRKIT, Failure, Filesystem, run

LEAST = {'single': 1, 'dup': 1, 'raid0': 2, 'raid1': 2, 'raid1c3': 3, 'raid1c4': 4, 'raid10': 4, 'raid5': 2, 'raid6': 3}
GROUPS, NO_GROUPS = ['-O', 'block-group-tree'], ['-O', '^block-group-tree']
# Sizes in MiB, how they are made, mount options, how they are aged.
SHAPES = {
    'one': ([1600], ['mkfs.btrfs'], 'compress=zstd', {}),
    'one, 4k, block-group-tree': ([1600], ['btrkit', '-n', '4k', *GROUPS], '', {}),
    'two': ([1500, 1300], ['mkfs.btrfs', '-n', '4096'], '', {}),
    'two, block-group-tree': ([1300, 1500], ['btrkit', *GROUPS], 'compress-force=lzo', {}),
    'three': ([1500, 1300, 1700], ['mkfs.btrfs', '--csum', 'xxhash'], '', {}),
    'four': ([1500, 1300, 1700, 1400], ['btrkit', *GROUPS], 'compress=zstd', {}),
    'four, 4k': ([1400, 1600, 1300, 1500], ['mkfs.btrfs', '-n', '4096', '-d', 'raid1', '-m', 'raid1'], '', {}),
    'five': ([1500, 1300, 1700, 1400, 1250], ['btrkit', '-n', '4k', *NO_GROUPS], '', {}),
    'six': ([1500, 1300, 2700, 1400, 1250, 1800], ['btrkit', *GROUPS, '-d', 'raid0', '-m', 'raid1c3'], '', {}),
    'six, sha256': ([1500, 1300, 1700, 1400, 1250, 1800], ['mkfs.btrfs', '--csum', 'sha256'], 'nodatacow', {}),
    'mixed, one': ([900], ['mkfs.btrfs', '-M', '-n', '4096'], '', {}),
    'mixed, three': ([900, 1000, 800], ['btrkit', '-M', '-n', '4k'], '', {}),
    # Where four copies have no room.
    'full, three': ([700, 900, 800], ['mkfs.btrfs'], '', {'fill_percent': 78, 'profiles': ('single', 'raid0')}),
    'full, four': ([700, 900, 800, 600], ['btrkit', '-n', '4k', '-d', 'raid1', '-m', 'raid1'], '',
                   {'fill_percent': 78, 'profiles': ('raid1', 'raid10', 'raid5')}),
}
QUICK_AGE = {'snapshots': 4, 'operations': 100}
QUICK = {'one, 4k, block-group-tree': 2, 'four': 9, 'mixed, three': 3}


def whole_tour(profiles):
    """From each to each other, once, and back to where it began: a circuit of Euler."""
    left = {a: [b for b in profiles if b != a] for a in profiles}
    path, out = [profiles[0]], []
    while path:
        if left[path[-1]]:
            path.append(left[path[-1]].pop())
        else:
            out.append(path.pop())
    return out[::-1]


def short_tour(profiles, steps):
    return (list(profiles) + [profiles[0]])[:steps + 1]


class Chain:
    def __init__(self, shape, options, steps):
        self.is_quick = steps > 0
        self.shape, self.keep = shape, options.keep
        sizes, self.made, self.mount_options, age = SHAPES[shape]
        self.age = dict(age)
        self.is_mixed = '-M' in self.made
        usable = self.age.pop('profiles', None) or [p for p in LEAST if LEAST[p] <= len(sizes)]
        if self.is_mixed:
            usable = [p for p in usable if p not in ('raid5', 'raid6')]
        tour = short_tour(usable, steps) if steps else whole_tour(usable)
        # Metadata is somewhere else on the same tour.
        shift = 0 if self.is_mixed else len(tour) // 2
        circle = tour[:-1] if tour[0] == tour[-1] else tour
        self.steps = [(data, circle[(i + 1 + shift) % len(circle)]) for i, data in enumerate(tour[1:])]
        self.fs = Filesystem(os.path.join(options.scratch, 'chain'), sizes)

    def command(self, data, metadata, number):
        words = ['restripe', 'start', '-f', '-dconvert=' + data, '-mconvert=' + metadata]
        if number % 3 and not self.is_mixed:
            words.append('-sconvert=' + metadata)  # -m stands for it, too
        return words + [os.path.basename(image) for image in self.fs.images]

    def step(self, number, data, metadata, wanted):
        before = self.fs.copy(os.path.join(self.keep, 'before')) if self.keep else None
        command = self.command(data, metadata, number)
        done = run(BTRKIT, *command, cwd=self.fs.folder, may_fail=True)
        try:
            if done.returncode:
                raise Failure('btrkit %s: exit status %d\n%s' % (' '.join(command), done.returncode, done.stdout[-3000:]))
            got = self.fs.profiles()
            for kind, profile in (('data', data), ('metadata', metadata), ('system', metadata), ('data+metadata', data)):
                if kind in got and got[kind] != {profile}:
                    raise Failure('%s is %s, not %s\n%s' % (kind, got[kind], profile, done.stdout[-2000:]))
            self.fs.judge(wanted)
            if number % 4 == 3 or number + 1 == len(self.steps):
                copy = self.fs.copy(self.fs.folder + '.copy')
                try:
                    copy.judge(wanted, do_balance=True)
                finally:
                    copy.close()
        except Failure:
            if self.keep:
                os.rename(before.folder, os.path.join(self.keep, '%s-%d' % (self.shape.replace(', ', '-'), number)))
            raise

    def run(self):
        """TAP lines; how many are not ok."""
        number, names, began = 0, ('', ''), time.monotonic()
        try:
            self.fs.make(self.made)
            wanted = self.fs.age(3, options='noatime,' + self.mount_options if self.mount_options else 'noatime',
                                 **{'fill_mib': 40, **(QUICK_AGE if self.is_quick else {}), **self.age})
            self.fs.our_check()
            for number, names in enumerate(self.steps):
                self.step(number, *names, wanted)
            print('ok - %s: %d changes of profile, %d lines of manifest, in %.0f s' %
                  (self.shape, len(self.steps), len(wanted.splitlines()), time.monotonic() - began), flush=True)
            return 0
        except (Failure, OSError) as failure:
            print('not ok - %s: change %d of %d, to data %s and metadata %s' %
                  (self.shape, number + 1, len(self.steps), *names))
            print('\n'.join('#   ' + line for line in str(failure).splitlines()[:60]), flush=True)
            return 1
        finally:
            self.fs.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--keep')
    parser.add_argument('--scratch', required=True)
    parser.add_argument('shape', nargs='+')
    options = parser.parse_args()
    if options.shape == ['quick']:
        chosen = QUICK
    else:
        chosen = {shape: 0 for shape in (SHAPES if options.shape == ['all'] else options.shape)}
    return int(sum(Chain(shape, options, steps).run() for shape, steps in chosen.items()) > 0)


if __name__ == '__main__':
    sys.exit(main())
