# SPDX-License-Identifier: LGPL-2.1-or-later
"""Is a crashed filesystem sound, and does a replay of its log give what Linux's own replay gives?

A replay is a command that gets the images as its last arguments, or one of three built in: "btrkit" is btrkit log replay,
"linux" mounts them, and "null" drops the log and so must be found wrong wherever the log holds anything.
"""
import json
import os
import re
import subprocess

import machine
import view
from cases import TRIES, Tree, broken_promises

# What btrfs-progs complains of without saying so in its exit status.
COMPLAINT = re.compile(r'^(ERROR|WARNING)|mismatch|not found in|errors [0-9a-f]+,|There is no free space entry', re.M)
HARMLESS = re.compile(r'^(ERROR: cannot scan|WARNING: adding device \S+ gen \d+ but found an existing device).*$', re.M)
# Warnings of what a power failure may leave: data that Linux had written, but of which the size does not tell yet.
LEFT_BY_FAILURE = ('file-extent-beyond-size',)
# What an older btrfs-progs than the filesystem says: it has no judgement then.
UNKNOWN = 'unsupported option features'


def faults_of_supers(images, generation):
    """What is wrong with superblocks from which a replay has removed a log; @generation: of the crashed one."""
    faults = []
    for image in images:
        for mirror, raw in enumerate(machine.super_mirrors(image)):
            where = '%s: superblock %d' % (os.path.basename(image), mirror)
            if machine.log_root_of(raw) or raw[machine.LOG_LEVEL_AT]:
                faults.append('%s: the log is still there' % where)
            if machine.generation_of(raw) <= generation:
                faults.append('%s: generation %d, before the replay it was %d' % (where, machine.generation_of(raw), generation))
    return faults


def faults_of_btrkit(btrkit, images):
    done = subprocess.run([btrkit, 'check', '--no-scan', '--data', '--json'] + images, capture_output=True, text=True)
    try:
        problems = [json.loads(line) for line in done.stdout.splitlines()]
    except ValueError:
        problems = []
    if not problems or problems[-1].get('type') != 'summary':
        return ['btrkit check: exit status %d: %s' % (done.returncode, done.stderr.strip()[-300:])]
    faults = ['btrkit check: %s: %s' % (p['code'], p['text']) for p in problems[:-1]
              if p['severity'] != 'note' and p['code'] not in LEFT_BY_FAILURE]
    if done.returncode and not faults:
        faults.append('btrkit check: exit status %d' % done.returncode)
    return faults


def faults_of_progs(images):
    """What btrfs check finds. Never of an image with a log: it is not made for that."""
    with machine.Attached(images) as devices:
        # With three devices there is RAID5, whose parity may be older than the data after a power failure.
        words = ['btrfs', 'check', '--readonly'] + ['--check-data-csum'] * (len(images) < 3)
        # It looks at all loop devices, and fails when one of another process goes away meanwhile.
        for _ in range(TRIES):
            done = subprocess.run(words + [devices[0]], capture_output=True, text=True)
            if 'check mount status' not in done.stdout + done.stderr:
                break
    said = HARMLESS.sub('', done.stdout + done.stderr)
    if UNKNOWN in said:
        return []
    if done.returncode or COMPLAINT.search(said):
        lines = [line for line in said.splitlines() if line and not line.startswith(('Opening', 'Checking', 'UUID', '['))]
        return ['btrfs check: exit status %d: %s' % (done.returncode, ' | '.join(lines)[:400])]
    return []


class Judge:
    """@top: an empty folder to mount at."""

    def __init__(self, btrkit, top):
        self.btrkit, self.top = btrkit, top

    def crashed(self, case):
        """The last commit is sound, whatever was being written when the power failed."""
        return ['after the cut: ' + fault for fault in faults_of_btrkit(self.btrkit, case.images)]

    def replayed_by_linux(self, images):
        return ['after the replay of Linux: ' + fault for fault in faults_of_btrkit(self.btrkit, images) + faults_of_progs(images)]

    def run_replay(self, replay, images):
        if replay == 'linux':
            with machine.Mounted(images, '', self.top):
                return []
        if replay == 'null':
            machine.clear_log(images)
            return []
        words = [self.btrkit, 'log', 'replay', '--no-scan'] if replay == 'btrkit' else replay.split()
        done = subprocess.run(words + images, capture_output=True, text=True)
        if done.returncode:
            return ['exit status %d: %s' % (done.returncode, (done.stderr or done.stdout).strip()[-400:])]
        return []

    def shown(self, case, images):
        """Where a replayed image shows Linux something else than it should."""
        rows = case.look(images, '', self.top, machine.MS_RDONLY | machine.MS_NOATIME)
        if case.truth is not None:
            faults = view.difference(view.lines(case.truth), view.lines(rows))
        elif case.is_live_truth:
            faults = view.difference(view.basic_lines(case.live), view.basic_lines(rows))
        else:
            faults = broken_promises(Tree(rows), case.promised)
        return ['differs: ' + fault for fault in faults]

    def writable(self, images):
        """Linux goes on with a replayed filesystem: space that it gives out is free."""
        with machine.Mounted(images, '', self.top) as top:
            with open(os.path.join(top, 'written-after'), 'wb') as f:
                f.write(os.urandom(300000))
        return ['written after the replay: ' + fault for fault in faults_of_progs(images)]

    def replay(self, case, replay, goes_on=False):
        """What is wrong with a replay of a case that has a log."""
        images = case.copies('tested')
        try:
            generation = machine.generation_of(machine.read_super(images[0]))
            faults = self.run_replay(replay, images)
            # With a log left behind, Linux must not be let at it.
            if not faults and replay != 'null':
                faults = faults_of_supers(images, generation)
            if faults or any(machine.log_root_of(machine.read_super(image)) for image in images):
                return faults or ['the log is still there']
            if replay != 'null':
                faults += faults_of_btrkit(self.btrkit, images) + faults_of_progs(images)
            faults += self.shown(case, images)
            if goes_on and not faults:
                faults += self.writable(images)
            return faults
        finally:
            for image in images:
                os.unlink(image)
