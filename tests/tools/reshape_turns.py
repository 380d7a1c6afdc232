#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A balance that one side leaves unfinished, and the other one goes on with.

  reshape_turns.py --scratch FOLDER [--rounds N]

Linux begins, pauses and lets go; `btrkit restripe` resumes. `btrkit restripe` begins and is killed, at a moment chosen by chance;
Linux resumes by itself when it mounts. And back and forth. The files stay the same, both checks are content, and in the end
all chunks have the profile that was asked for in the beginning. RECORDER in the environment is tests/tools/recorded_btrkit.
Prints TAP lines without a plan.
"""
import argparse
import os
import random
import subprocess
import sys
import time

from reshape_fs import BTRKIT, Failure, Filesystem, expect_same, manifest, run

RECORDER = os.path.abspath(os.environ.get('RECORDER', 'tests/tools/recorded_btrkit'))
CONVERT = ['-f', '-dconvert=raid1', '-mconvert=raid1']


class Turns:
    def __init__(self, scratch, seed):
        self.rng = random.Random(seed)
        self.fs = Filesystem(os.path.join(scratch, 'turns'), [1500, 1400])
        self.fs.make(['mkfs.btrfs', '-d', 'single', '-m', 'dup', *(['-n', '4096'] if seed % 2 else [])])
        # Chunks are as large as the free space allows: several of them.
        self.wanted = self.fs.age(seed, snapshots=5, fill_mib=350)
        self.names = [os.path.basename(image) for image in self.fs.images]

    def is_done(self):
        found = self.fs.profiles()
        return all(profiles == {'raid1'} for profiles in found.values())

    def linux(self, words, seconds):
        """It mounts; with @words it begins, else what there is goes on; paused after a while, or finished (None)."""
        self.fs.mount()
        try:
            balance = subprocess.Popen(['btrfs', 'balance', 'start', *words, self.fs.mnt], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL) if words else None
            if seconds is None:
                while not run('btrfs', 'balance', 'status', self.fs.mnt, may_fail=True).stdout.startswith('No balance'):
                    time.sleep(0.1)
            else:
                time.sleep(seconds)
                run('btrfs', 'balance', 'pause', self.fs.mnt, may_fail=True)
            if balance:
                balance.wait()
            status = run('btrfs', 'balance', 'status', self.fs.mnt, may_fail=True).stdout
            expect_same(self.wanted, manifest(self.fs.mnt), 'Linux')
        finally:
            self.fs.umount()
        return status

    def killed(self, words):
        """btrkit, killed after so many operations; False: it came to its end before."""
        at = self.rng.choice((200, 500, 1000, 2000, 4000))
        done = subprocess.run([RECORDER, 'restripe', *words, *self.names], cwd=self.fs.folder, stdin=subprocess.DEVNULL,
                              env={**os.environ, 'RECORD_FAIL': 'kill:%d' % at}, capture_output=True, text=True)
        if done.returncode not in (0, -9):
            raise Failure('btrkit restripe %s: exit status %d\n%s' % (' '.join(words), done.returncode, done.stderr))
        self.fs.our_check()
        return done.returncode == -9

    def run(self, what):
        if what == 'Linux begins, btrkit ends':
            status = self.linux(CONVERT, 0.1 + self.rng.random() * 0.3)
            was_left = 'paused' in status
            done = run(BTRKIT, 'restripe', *(['resume'] if was_left else ['start', *CONVERT]), *self.names, cwd=self.fs.folder,
                       may_fail=True)
            if done.returncode:
                raise Failure('btrkit restripe: exit status %d\n%s%s' % (done.returncode, status, done.stdout))
        else:
            was_left = self.killed(['start', *CONVERT])
            self.linux(None, None)
            if not self.is_done():  # it was killed before it had begun
                was_left = False
                run(BTRKIT, 'restripe', 'start', *CONVERT, *self.names, cwd=self.fs.folder)
        if not self.is_done():
            raise Failure('profiles: %s' % self.fs.profiles())
        self.fs.judge(self.wanted)
        return was_left


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--keep')
    parser.add_argument('--scratch', required=True)
    parser.add_argument('--rounds', type=int, default=2)
    options = parser.parse_args()
    failed = left = 0
    for number in range(options.rounds):
        what = ('Linux begins, btrkit ends', 'btrkit is killed, Linux ends')[number % 2]
        turns = None
        try:
            turns = Turns(options.scratch, number)
            was_left = turns.run(what)
            left += was_left
            print('ok - %s, round %d%s' % (what, number, '' if was_left else ': nothing was left'), flush=True)
        except (Failure, OSError) as failure:
            failed += 1
            print('not ok - %s, round %d' % (what, number))
            print('\n'.join('#   ' + line for line in str(failure).splitlines()[:60]), flush=True)
        finally:
            if turns:
                turns.fs.close()
    print('%sok - %d of %d were left in the middle' % ('' if left or failed else 'not ', left, options.rounds))
    return int(failed > 0 or not left)


if __name__ == '__main__':
    sys.exit(main())
