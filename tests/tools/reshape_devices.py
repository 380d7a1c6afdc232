#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices come, go, are replaced, shrink and get lost, under filesystems that Linux has aged.

  reshape_devices.py [--keep FOLDER] --scratch FOLDER quick|all|CHAIN...

A chain is a filesystem and what happens to it with `btrkit device`, one after another; after each step both checks are content
with all data, `btrkit restore` and Linux show the same files, and a scrub finds nothing. Prints TAP lines without a plan.
"""
import argparse
import os
import sys
import time

from reshape_fs import BTRKIT, MIB, Failure, Filesystem, run

GROUPS = ['-O', 'block-group-tree']
# Sizes in MiB, how they are made, and what happens:
#   add MIB, remove DEVID, resize DEVID MIB|max|min, replace DEVID MIB, and of devices without which it can be read,
#   lose DEVID... (all that are missing are removed at once), lose-by-devid DEVID..., lose-replace DEVID MIB (replaced)
CHAINS = {
    'single': ([900, 800], ['mkfs.btrfs', '-d', 'single', '-m', 'dup', '-n', '4096'],
               ['add 1000', 'remove 1', 'resize 2 500', 'replace 3 1100', 'remove 2', 'resize 3 min', 'resize 3 max']),
    'raid1': ([1000, 800, 900], ['mkfs.btrfs', '-d', 'raid1', '-m', 'raid1'],
              ['remove 2', 'add 1200', 'lose-replace 3 1000', 'add 900', 'lose 1', 'resize 4 600']),
    # On less, a balance of Linux (of what mkfs.btrfs made, too) can give all space to data, and then has none for metadata.
    'raid1c3': ([1700, 1500, 1600, 1650, 1570], ['btrkit', *GROUPS, '-n', '4k', '-d', 'raid1c3', '-m', 'raid1c3'],
                ['lose 1 3', 'add 1700', 'remove 4']),
    'raid1c4': ([1000, 800, 900, 950, 870, 910, 1000], ['btrkit', *GROUPS, '-d', 'raid1c3', '-m', 'raid1c4'],
                ['lose-by-devid 1 3', 'remove 2']),
    'raid10': ([1000, 800, 900, 950, 1000], ['mkfs.btrfs', '-d', 'raid10', '-m', 'raid10'],
               ['remove 3', 'lose-replace 1 1000', 'add 700', 'lose 5']),
    'raid5': ([1000, 800, 900, 950], ['btrkit', *GROUPS, '-d', 'raid5', '-m', 'raid1'],
              ['remove 3', 'lose-replace 1 1000', 'add 1000', 'lose 4']),
    'raid6': ([1000, 800, 900, 950, 1000, 1100], ['mkfs.btrfs', '-d', 'raid6', '-m', 'raid1c3', '-n', '4096'],
              ['lose 2 5', 'add 1000', 'lose-replace 3 1000']),
    'raid0': ([1000, 800, 900], ['mkfs.btrfs', '-d', 'raid0', '-m', 'raid1'],
              ['remove 2', 'replace 1 1100', 'add 800', 'resize 1 700']),
    'mixed': ([700, 800], ['mkfs.btrfs', '-M', '-d', 'single', '-m', 'single', '-n', '4096'],
              ['remove 1', 'resize 2 450', 'add 600', 'replace 2 800']),
}
QUICK = ('single', 'raid1')


class Chain:
    def __init__(self, name, options):
        self.name, self.options = name, options
        sizes, self.made, self.steps = CHAINS[name]
        self.fs = Filesystem(os.path.join(options.scratch, 'devices'), sizes)
        self.number = len(sizes)

    def where(self):
        return os.path.basename(self.fs.images[0])

    def btrkit(self, *words):
        done = run(BTRKIT, *words[:2], '--no-scan', '--scan', '.', *words[2:], cwd=self.fs.folder, may_fail=True)
        if done.returncode:
            raise Failure('btrkit %s: exit status %d\n%s' % (' '.join(words), done.returncode, done.stdout[-3000:]))

    def by_devid(self):
        found = {d['devid']: os.path.basename(d['path']) for d in self.fs.summary()['devices'] if d['path']}
        return {devid: os.path.join(self.fs.folder, name) for devid, name in found.items()}

    def new_image(self, mib):
        self.number += 1
        path = os.path.join(self.fs.folder, 'd%d' % self.number)
        with open(path, 'wb') as f:
            f.truncate(int(mib) * MIB)
        return path

    def forget(self, path):
        self.fs.images.remove(path)
        os.unlink(path)

    def do_add(self, mib):
        new = self.new_image(mib)
        self.btrkit('device', 'add', os.path.basename(new), self.where())
        self.fs.images.append(new)

    def do_remove(self, devid):
        path = self.by_devid()[int(devid)]
        stays = next(image for image in self.fs.images if image != path)
        self.btrkit('device', 'remove', devid, os.path.basename(stays))
        self.forget(path)

    def do_resize(self, devid, size):
        self.btrkit('device', 'resize', '%s:%s' % (devid, size if size in ('min', 'max') else size + 'M'), self.where())

    def do_replace(self, devid, mib):
        old, new = self.by_devid().get(int(devid)), self.new_image(mib)
        stays = next(image for image in self.fs.images if image != old)
        self.btrkit('device', 'replace', devid, os.path.basename(new), os.path.basename(stays))
        if old:
            self.forget(old)
        self.fs.images.append(new)

    def lose(self, devids):
        found = self.by_devid()
        for devid in devids:
            self.forget(found[int(devid)])

    def do_lose(self, *devids):
        self.lose(devids)
        self.btrkit('device', 'remove', 'missing', self.where())

    def do_lose_by_devid(self, *devids):
        self.lose(devids)
        self.btrkit('device', 'remove', *devids, self.where())

    def do_lose_replace(self, devid, mib):
        self.forget(self.by_devid()[int(devid)])
        self.do_replace(devid, mib)

    def run(self):
        step, wanted, began = 'make', '', time.monotonic()
        try:
            self.fs.make(self.made)
            wanted = self.fs.age(4, snapshots=8, fill_mib=30)
            for step in self.steps:
                if self.options.keep:
                    self.fs.copy(os.path.join(self.options.keep, self.name))
                kind, *words = step.split()
                getattr(self, 'do_' + kind.replace('-', '_'))(*words)
                self.fs.judge(wanted, do_balance=step == self.steps[-1])
            print('ok - %s: %s, in %.0f s' % (self.name, ', '.join(self.steps), time.monotonic() - began), flush=True)
            return 0
        except (Failure, OSError) as failure:
            print('not ok - %s: %s' % (self.name, step))
            print('\n'.join('#   ' + line for line in str(failure).splitlines()[:60]), flush=True)
            return 1
        finally:
            self.fs.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--keep')
    parser.add_argument('--scratch', required=True)
    parser.add_argument('chain', nargs='+')
    options = parser.parse_args()
    chosen = {'quick': QUICK, 'all': list(CHAINS)}.get(options.chain[0], options.chain)
    return int(sum(Chain(name, options).run() for name in chosen) > 0)


if __name__ == '__main__':
    sys.exit(main())
