#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Filesystems are reshaped with the power cut at every moment, by devices and memory that fail, and killed.

  reshape_cuts.py [option]... SCENARIO...       SCENARIO `all`: each of them in turn; `list`: say which there are

--cuts N       so many states that a power cut can leave, evenly chosen of all that are tried (0: all of them)
--seeds N      at each moment, that many random parts of what was not flushed (2)
--faults N     so many moments of each kind of failure (0: none)
--once A:B     each of these operations of devices fails once, too
--linux N      Linux goes on with every N-th state, too (0: none)
--keep FOLDER  what fails is kept there

RECORDER in the environment is btrkit with its writes recorded (tests/tools/recorded_io.c), BTRKIT is btrkit. Each state must
open, pass the check with all data, show the same files, and the same command must come to its end from there, after which
all of that holds again. Prints TAP lines without a plan.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import threading
import time
import types

import reshape_fs
from reshape_fs import BTRKIT, Failure, Filesystem, differences, expect_same, manifest, run, summary_of, without_stubs

RECORDER = os.path.abspath(os.environ.get('RECORDER', 'tests/tools/recorded_btrkit'))
WRITE, FLUSH, DISCARD, SIZE = range(4)
UNIT = 4096
SUPERS = {64 << 10, 64 << 20, 256 << 30}
MAGIC = b'_BHRfS_M'
Record = collections.namedtuple('Record', 'kind device offset len at')


# --- What is done ----------------------------------------------------------------------------------------------------------

class Scenario:
    """@sizes of the devices in MiB; @made: how, on the first @nr of them; @command: what is done, in the folder.

    @leaves: the devid of one that goes; when it has gone, its superblocks may still be there; Linux is not shown it then.
    @first: which device to open, of those that have a superblock. @then: commands that are tried in turn to bring an interrupted
    one to its end. @done: does the summary show that it is? @lose: images of devices that are missing when it begins.
    """

    def __init__(self, sizes, made, command, done, first=('d1',), then=(), nr=None, prepare=(), age=(), writes_to=None,
                 leaves=None, lose=()):
        self.sizes, self.made, self.command, self.done, self.first = sizes, made, command, done, first
        self.then = then or (command,)
        self.nr = nr or len(sizes)
        self.prepare, self.age, self.writes_to = prepare, dict(age), writes_to
        self.leaves, self.lose = leaves, lose


def has_profile(**wanted):
    def look(summary):
        found = collections.defaultdict(set)
        for line in summary['allocation']:
            found[line['kind']].add(line['profile'].lower())
        return all(found[kind] == {profile} for kind, profile in wanted.items())
    return look


def has_devices(*devids):
    """One that has left may still look as if it had not, but for having nothing."""
    return lambda summary: ({d['devid'] for d in summary['devices'] if d['devid'] in devids or d['allocated_bytes']} == set(devids)
                            and summary['missing_devices'] == 0)


def is_whole(summary):
    return summary['missing_devices'] == 0


def has_size(devid, most_mib):
    return lambda summary: all(d['size_bytes'] <= most_mib << 20 for d in summary['devices'] if d['devid'] == devid)


def restripe(sizes, data, metadata, to_data, to_metadata, more=(), system=None):
    """@more: as mkfs.btrfs takes them."""
    devices = ['d%d' % (i + 1) for i in range(len(sizes))]
    command = ['restripe', 'start', '-f', '-dconvert=' + to_data, '-mconvert=' + to_metadata, '-sconvert=' + to_metadata] + devices
    return Scenario(sizes, ['mkfs.btrfs', '-d', data, '-m', metadata, *more], command,
                    has_profile(data=to_data, metadata=to_metadata, system=to_metadata),
                    then=(['restripe', 'resume'] + devices, command))


HERE = ['--no-scan', '--scan', '.']
SCENARIOS = {
    'single-to-raid1': lambda: restripe([300, 420], 'single', 'dup', 'raid1', 'raid1'),
    'raid1-to-single': lambda: restripe([420, 300], 'raid1', 'raid1', 'single', 'dup'),
    'raid1-to-raid0': lambda: restripe([300, 400, 350], 'raid1', 'raid1', 'raid0', 'raid0', ['-n', '4096']),
    'raid0-to-raid5': lambda: restripe([350, 300, 400], 'raid0', 'raid1', 'raid5', 'raid1'),
    'raid5-to-raid6': lambda: restripe([350, 300, 400, 320], 'raid5', 'raid5', 'raid6', 'raid6'),
    'raid10-to-raid6': lambda: restripe([300, 400, 350, 320], 'raid10', 'raid10', 'raid6', 'raid1c3'),
    'remove': lambda: Scenario([300, 420, 350], ['mkfs.btrfs', '-d', 'raid1', '-m', 'raid1'],
                               ['device', 'remove', *HERE, '2', 'd1'], has_devices(1, 3), leaves=2),
    'remove-first': lambda: Scenario([440, 400], ['mkfs.btrfs', '-d', 'single', '-m', 'dup'],
                                     ['device', 'remove', *HERE, '1', 'd2'], has_devices(2), first=('d2',), leaves=1),
    'shrink': lambda: Scenario([700], ['mkfs.btrfs', '-n', '4096'], ['device', 'resize', *HERE, '1:min', 'd1'], has_size(1, 200),
                               age={'fill_mib': 8}),
    'add': lambda: Scenario([300, 320], ['mkfs.btrfs'], ['device', 'add', *HERE, 'd2', 'd1'], has_devices(1, 2), nr=1,
                            # What was to be added may know it already, and nobody else.
                            then=(['device', 'add', *HERE, 'd2', 'd1'], ['device', 'add', '-f', *HERE, 'd2', 'd1'])),
    'sprout': lambda: Scenario([300, 400], ['mkfs.btrfs', '-m', 'dup'], ['device', 'sprout', 'd1', 'd2'], has_devices(1, 2),
                               first=('d2', 'd1'), nr=1, prepare=(['device', 'seed', 'set', 'd1'],), writes_to=('d2',)),
    'replace': lambda: Scenario([300, 350, 400], ['mkfs.btrfs', '-d', 'raid1', '-m', 'raid1'],
                                ['device', 'replace', *HERE, '2', 'd3', 'd1'],
                                lambda summary: {os.path.basename(d['path'] or '') for d in summary['devices']} == {'d1', 'd3'},
                                nr=2),
    'replace-missing': lambda: Scenario([300, 350, 400], ['mkfs.btrfs', '-d', 'raid1', '-m', 'raid1'],
                                        ['device', 'replace', *HERE, 'missing', 'd3', 'd2'], is_whole, first=('d2',), nr=2,
                                        lose=('d1',)),
    'replace-missing-raid5': lambda: Scenario([300, 350, 300, 400], ['mkfs.btrfs', '-d', 'raid5', '-m', 'raid5'],
                                              ['device', 'replace', *HERE, 'missing', 'd4', 'd2'], is_whole, first=('d2',), nr=3,
                                              lose=('d1',)),
    'remove-missing': lambda: Scenario([300, 350, 400], ['mkfs.btrfs', '-d', 'raid1', '-m', 'raid1'],
                                       ['device', 'remove', *HERE, 'missing', 'd2'], has_devices(2, 3), first=('d2',), lose=('d1',)),
    'compact': lambda: Scenario([700], ['mkfs.btrfs'], ['restripe', 'start', '-dusage=99', 'd1'], lambda summary: True,
                                then=(['restripe', 'resume', 'd1'], ['restripe', 'start', '-dusage=99', 'd1']),
                                age={'fill_mib': 20}),
}


# --- What a cut leaves -----------------------------------------------------------------------------------------------------

class Log:
    def __init__(self, path):
        self.file = open(path, 'rb')
        self.records, at, size = [], 0, os.path.getsize(path)
        while at < size:
            kind, device, offset, length = struct.unpack('=4Q', os.pread(self.file.fileno(), 32, at))
            at += 32
            self.records.append(Record(kind, device, offset, length, at))
            at += length if kind == WRITE else 0

    def apply(self, record, paths, unit=None):
        """All of it, or one of its units; True: there are more."""
        with open(paths[record.device], 'r+b', buffering=0) as f:
            if record.kind == SIZE:
                f.truncate(record.offset)
            elif record.kind == DISCARD:
                reshape_fs.churn.libc_fallocate(f.fileno(), 3, record.offset, record.len)
            elif record.kind == WRITE:
                begin, end = (0, record.len) if unit is None else (unit * UNIT, min(record.len, (unit + 1) * UNIT))
                while begin < end:
                    block = os.pread(self.file.fileno(), min(end - begin, 1 << 20), record.at + begin)
                    begin += os.pwrite(f.fileno(), block, record.offset + begin)

    def moments(self, seeds):
        """(records, seed): what is lost of what was not flushed: None nothing, -1 all of it, else by chance.

        Moments at which no more is pending than at another one are left out.
        """
        pending = 0
        for n in range(len(self.records) + 1):
            kind = self.records[n - 1].kind if n else None
            ends_here = n == len(self.records) or self.records[n].kind == FLUSH
            pending = sum(1 for _ in self.pending(n)) if kind == FLUSH else pending + 1
            yield n, None
            if pending > 1 and ends_here:
                yield n, -1
            if pending > 1 or (n and kind == WRITE and self.records[n - 1].len > UNIT):
                for seed in range(seeds):
                    yield n, seed

    def pending(self, n):
        flushed = set()
        for i in range(n - 1, -1, -1):
            record = self.records[i]
            if record.kind == FLUSH:
                flushed.add(record.device)
            elif record.device not in flushed:
                yield i

    def touches_super(self, n):
        return any(self.records[i].kind == WRITE and self.records[i].offset in SUPERS
                   for i in range(max(0, n - 2), min(n + 2, len(self.records))))


class Durable:
    """Images with all that is flushed at a moment, which only goes forward."""

    def __init__(self, log, fs, folder):
        self.log, self.folder, self.n, self.fs = log, folder, 0, fs.copy(folder)
        self.paths = sorted(self.fs.images)
        self.done = set()

    def state(self, n, seed, folder):
        pending = set(self.log.pending(n))
        for i in range(self.n, n):
            self.done.discard(i)
        for i in range(n):
            if i not in self.done and i not in pending:
                self.log.apply(self.log.records[i], self.paths)
                self.done.add(i)
        self.n = max(self.n, n)
        state = self.fs.copy(folder)
        paths = sorted(state.images)
        for i in sorted(pending):
            record = self.log.records[i]
            if seed is None:
                self.log.apply(record, paths)
            elif seed >= 0 and (record.kind != WRITE or record.len <= UNIT or record.offset in SUPERS):
                if chance(i, seed, 0):
                    self.log.apply(record, paths)
            elif seed >= 0:
                for unit in range(-(-record.len // UNIT)):
                    if chance(i, seed, unit):
                        self.log.apply(record, paths, unit)
        return state


def chance(record, seed, unit):
    n = (record * 2654435761 + seed * 40503 + unit * 97) & 0xffffffff
    return (n ^ n >> 13) >> 7 & 1


# --- Judging ---------------------------------------------------------------------------------------------------------------

def has_super(path):
    with open(path, 'rb') as f:
        return os.pread(f.fileno(), 8, (64 << 10) + 64) == MAGIC


def super_of(path):
    """Its generation, and how many devices it counts."""
    with open(path, 'rb') as f:
        block = os.pread(f.fileno(), UNIT, 64 << 10)
    return struct.unpack_from('<Q', block, 72)[0], struct.unpack_from('<Q', block, 136)[0]


manifest_module = types.ModuleType('manifest')
with open(os.path.join(reshape_fs.HERE, 'manifest')) as source:
    exec(compile(source.read().replace("if __name__ == '__main__'", 'if False'), 'manifest', 'exec'), manifest_module.__dict__)


def shown(top):
    first, top = {}, os.fsencode(top)
    text = '\n'.join(manifest_module.line(top, p, first, True, True) for p in sorted(manifest_module.paths_below(top, ())))
    return re.sub(r'btrfs\.compression=[0-9a-f]*,?', '', text).replace('\t\t', '\t-\t')


class Judge:
    def __init__(self, scenario, wanted, linux_every, fs):
        self.scenario, self.wanted, self.linux_every = scenario, wanted, linux_every
        self.hashes = {}
        if scenario.writes_to:
            self.untouched = [os.path.basename(i) for i in fs.images if os.path.basename(i) not in scenario.writes_to]
            self.before = {name: digest(os.path.join(fs.folder, name)) for name in self.untouched}
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.linux_lock = threading.Lock()

    def count(self, what):
        with self.lock:
            self.counts[what] += 1
            return self.counts[what]

    def open_by(self, fs):
        names = [name for name in self.scenario.first if has_super(os.path.join(fs.folder, name))]
        if not names:
            raise Failure('no superblock is left')
        return os.path.join(fs.folder, names[0])

    def sound(self, fs, when):
        first = self.open_by(fs)
        how = ['--no-scan', '--scan', fs.folder]
        done = run(BTRKIT, 'check', '--data', *how, first, may_fail=True)
        if done.returncode:
            raise Failure('%s: btrkit check: exit status %d\n%s' % (when, done.returncode, done.stdout[-3000:]))
        out = fs.folder + '.out'
        shutil.rmtree(out, ignore_errors=True)
        try:
            run(BTRKIT, 'restore', '-q', *how, first, out)
            found = differences(self.wanted, shown(out))
        finally:
            shutil.rmtree(out, ignore_errors=True)
        if found:
            raise Failure('%s: %d differences\n%s' % (when, len(found), '\n'.join(line[:300] for line in found[:10])))
        if self.scenario.writes_to:
            for name in self.untouched:
                if digest(os.path.join(fs.folder, name)) != self.before[name]:
                    raise Failure('%s: %s was written to' % (when, name))
        summary = summary_of('--scan', fs.folder, first)
        if summary['missing_devices'] > len(self.scenario.lose):
            raise Failure('%s: %d devices are missing' % (when, summary['missing_devices']))
        return summary

    def finish(self, fs, summary):
        said = ''
        if self.scenario.done(summary):
            self.count('complete')
        for command in self.scenario.then:
            done = run(BTRKIT, *command, may_fail=True, cwd=fs.folder)
            if done.returncode < 0:
                raise Failure('%s: signal %d\n%s' % (' '.join(command), -done.returncode, done.stdout))
            said += '$ btrkit %s\n%s' % (' '.join(command), done.stdout)
            if done.returncode == 0:
                break
        after = self.sound(fs, 'brought to its end\n%s' % said[-2000:])
        if not self.scenario.done(after):
            raise Failure('it does not come to its end\n' + said[-3000:])

    def linux(self, fs):
        """It mounts what is left; a balance goes on there."""
        first = os.path.basename(self.open_by(fs))
        fs.images.sort(key=lambda image: os.path.basename(image) != first)
        devices = summary_of('--scan', fs.folder, os.path.join(fs.folder, first))['devices']
        supers = [super_of(image) for image in fs.images if has_super(image)]
        _, count = max(supers)
        belongs = {os.path.basename(d['path']) for d in devices
                   if d['path'] and (len(devices) <= count or d['devid'] != self.scenario.leaves)}
        fs.images = [image for image in fs.images if os.path.basename(image) in belongs]
        with self.linux_lock:
            fs.mount()
            try:
                for _ in range(600):
                    if run('btrfs', 'balance', 'status', fs.mnt, may_fail=True).stdout.startswith('No balance'):
                        break
                    self.count('balance in Linux')
                    time.sleep(0.1)
                expect_same(without_stubs(self.wanted), without_stubs(manifest(fs.mnt)), 'Linux')
                # Its scrub takes blocks of a seed, which have the seed's UUID, for bad ones.
                if not self.scenario.writes_to:
                    fs.scrub(may_lack_supers=True)
            finally:
                fs.umount()
            fs.their_check()
        self.sound(fs, 'after Linux')
        self.count('Linux')

    def state(self, fs, name, keep):
        """'' or what is wrong."""
        kept = None
        if keep:
            kept = fs.copy(os.path.join(keep, name))
        try:
            summary = self.sound(fs, 'what is left')
            if self.linux_every and is_whole(summary) and self.count('states') % self.linux_every == 0:
                other = fs.copy(fs.folder + '.linux')
                try:
                    self.linux(other)
                finally:
                    other.close()
            self.finish(fs, summary)
            if kept:
                kept.close()
            return ''
        except (Failure, OSError) as failure:
            return '%s: %s' % (name, failure)
        finally:
            fs.close()


def digest(path):
    h = hashlib.sha256()
    with open(path, 'rb', buffering=0) as f:
        size, at = os.fstat(f.fileno()).st_size, 0
        while at < size:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            block = os.pread(f.fileno(), UNIT, at // UNIT * UNIT)
            if block.strip(b'\0'):
                h.update(struct.pack('=Q', at // UNIT) + block)
            at = at // UNIT * UNIT + UNIT
    return h.hexdigest()


# --- Running ---------------------------------------------------------------------------------------------------------------

class Run:
    def __init__(self, name, options, scratch):
        self.name, self.options, self.scratch = name, options, scratch
        self.scenario = SCENARIOS[name]()
        self.number = 0
        self.failures = []

    def folder(self):
        self.number += 1
        return os.path.join(self.scratch, '%s-%d' % (self.name, self.number))

    def make(self):
        scenario = self.scenario
        self.fs = Filesystem(os.path.join(self.scratch, self.name), scenario.sizes)
        all_images = self.fs.images
        self.fs.images = all_images[:scenario.nr]
        self.fs.make(scenario.made)
        age = {'snapshots': 2, 'operations': 60, **scenario.age}
        self.fs.age(7, small=True, **age)
        self.fs.images = all_images
        for command in scenario.prepare:
            run(BTRKIT, *command, cwd=self.fs.folder)
        out = self.fs.folder + '.out'
        run(BTRKIT, 'restore', '-q', '--no-scan', *all_images[:scenario.nr], out)
        self.wanted = shown(out)
        shutil.rmtree(out)
        for name in scenario.lose:
            image = os.path.join(self.fs.folder, name)
            os.unlink(image)
            self.fs.images.remove(image)
        self.judge = Judge(scenario, self.wanted, self.options.linux, self.fs)

    def recorded(self, fs, **more):
        return subprocess.run([RECORDER, *self.scenario.command], cwd=fs.folder, env={**os.environ, **more}, text=True,
                              errors='replace', stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def record(self):
        """One that nothing interrupts."""
        path, counts = os.path.join(self.scratch, self.name + '.log'), os.path.join(self.scratch, self.name + '.counts')
        fs = self.fs.copy(self.folder())
        done = self.recorded(fs, RECORD_TO=path, RECORD_COUNT=counts)
        if done.returncode:
            raise Failure('btrkit %s: exit status %d\n%s' % (' '.join(self.scenario.command), done.returncode, done.stdout))
        self.log = Log(path)
        with open(counts) as f:
            self.nr_operations, self.nr_allocations = map(int, f.read().split())
        # Nothing went past the recorder.
        copy = self.fs.copy(self.folder())
        for record in self.log.records:
            self.log.apply(record, sorted(copy.images))
        for a, b in zip(fs.images, copy.images):
            if run('cmp', a, b, may_fail=True).returncode:
                raise Failure('%s: what was recorded is not what was written' % os.path.basename(a))
        copy.close()
        if not self.scenario.done(self.judge.sound(fs, 'uninterrupted')):
            raise Failure('it is not what it should be\n' + done.stdout)
        fs.close()
        if not self.log.records:
            raise Failure('nothing was written')

    def chosen(self, moments):
        """Those around the writes of superblocks come before others."""
        wanted = self.options.cuts
        if not wanted or len(moments) <= wanted:
            return moments
        near = [m for m in moments if self.log.touches_super(m[0])]
        far = [m for m in moments if not self.log.touches_super(m[0])]
        rng = random.Random(wanted)
        take = set(rng.sample(near, min(len(near), wanted // 2)))
        take |= set(rng.sample(far, min(len(far), wanted - len(take))))
        return [m for m in moments if m in take]

    def judged(self, states):
        """@states: (name, function that makes it); made one after another, judged by as many as there are processors."""
        nr = 0
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            waiting = collections.deque()
            for name, make in states:
                state = make()
                nr += 1
                if isinstance(state, str):
                    self.failures.append(state)
                    continue
                waiting.append(pool.submit(self.judge.state, state, '%s-%s' % (self.name, name), self.options.keep))
                while len(waiting) > 3:
                    self.take(waiting.popleft())
            while waiting:
                self.take(waiting.popleft())
        return nr

    def take(self, future):
        failure = future.result()
        if failure:
            self.failures.append(failure)

    def cuts(self):
        moments = list(self.log.moments(self.options.seeds))
        chosen = self.chosen(moments)
        durable = Durable(self.log, self.fs, self.folder())
        self.judge.counts.clear()
        nr = self.judged(('cut-%d-%s' % (n, seed), lambda n=n, seed=seed: durable.state(n, seed, self.folder()))
                         for n, seed in chosen)
        durable.fs.close()
        counts = self.judge.counts
        flushes = sum(r.kind == FLUSH for r in self.log.records)
        self.report('power cuts', '%d of %d states after %d writes and %d flushes: %d in order, %d of them complete' %
                    (nr, len(moments), len(self.log.records) - flushes, flushes, nr - len(self.failures), counts['complete']) +
                    (', %d used by Linux' % counts['Linux'] if counts['Linux'] else ''))

    def failed(self, kind, at):
        def make():
            fs = self.fs.copy(self.folder())
            done = self.recorded(fs, RECORD_FAIL='%s:%d' % (kind, at))
            if done.returncode not in ((-9,) if kind == 'kill' else (0, 1)):
                fs.close()
                return '%s at %d: exit status %d\n%s' % (kind, at, done.returncode, done.stdout[-2000:])
            self.judge.count('went on' if done.returncode == 0 else 'stopped')
            return fs
        return make

    def faults(self):
        rng = random.Random(self.options.faults)
        self.judge.counts.clear()
        nr = 0
        for kind in 'eio', 'once', 'full', 'kill', 'memory':
            total = self.nr_allocations if kind == 'memory' else self.nr_operations
            places = range(1, total + 1)
            if len(places) > self.options.faults:
                places = sorted(rng.sample(places, self.options.faults))
            nr += self.judged(('%s-%d' % (kind, at), self.failed(kind, at)) for at in places)
        first, last = map(int, self.options.once.split(':'))
        nr += self.judged(('once-%d' % at, self.failed('once', at)) for at in range(first, last + 1))
        self.report('faults', '%d, of devices (%d operations), memory (%d allocations) and killed: %d stopped, %d went on, %d wrong' %
                    (nr, self.nr_operations, self.nr_allocations, self.judge.counts['stopped'], self.judge.counts['went on'],
                     len(self.failures)))

    def report(self, what, text):
        print('%sok - %s: %s: %s' % ('not ' if self.failures else '', self.name, what, text))
        for failure in self.failures[:5]:
            print('\n'.join('#   ' + line for line in failure.splitlines()[:60]))
        sys.stdout.flush()
        self.failed_at_all |= bool(self.failures)
        self.failures = []

    failed_at_all = False

    def all(self):
        try:
            self.make()
            self.record()
            self.cuts()
            if self.options.faults or self.options.once != '1:0':
                self.faults()
        except (Failure, OSError) as failure:
            self.failures = [str(failure)]
            self.report('runs', 'no')
        finally:
            self.fs.close()
        return self.failed_at_all


def main():
    parser = argparse.ArgumentParser()
    for name, default in ('cuts', 0), ('seeds', 2), ('faults', 0), ('linux', 0):
        parser.add_argument('--' + name, type=int, default=default)
    parser.add_argument('--once', default='1:0')
    parser.add_argument('--keep')
    parser.add_argument('--scratch', required=True)
    parser.add_argument('scenario', nargs='+')
    options = parser.parse_args()
    names = list(SCENARIOS) if options.scenario == ['all'] else options.scenario
    if names == ['list']:
        print('\n'.join(SCENARIOS))
        return 0
    return int(any([Run(name, options, options.scratch).all() for name in names]))


if __name__ == '__main__':
    sys.exit(main())
