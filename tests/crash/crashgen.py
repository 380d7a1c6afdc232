#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes Btrfs filesystems whose power failed after an fsync, and judges what replays their logs.

  crashgen.py list                        the names of the scripts in tests/crash/scenarios
  crashgen.py make DIR [WHAT]...          keeps each case in a folder of DIR: images, what Linux shows, the script
  crashgen.py test DIR [WHAT]...          judges each case; DIR is for temporary files. Of each case a line is printed:
                                          "pass", "fail" or "skip", the name and what was found, with tabs between

WHAT:
  --named              the scripts by name, all of them
  --only NAME          this one by name; may be repeated
  --random N           random ones, until N of them had a log
  --seed S             what the random ones grow from (by default, something new)
  --first N            begin with this number instead of 0: case SEED.N.0 is the first cut of script N
  --last N             end with this number
  --cuts N             power failures in each random script (4)
  --jobs N             processes (2)
  --btrkit PATH        the program that is tested; also makes some of the filesystems
  --replay REPLAY      "btrkit", "linux", "null" (judge.py) or a command that gets the images behind it; may be repeated.
                       All but the first one are tried on every eighth case only.
  --plan               compare what btrkit log show says with what Linux's replay does
  --keep DIR           copies of cases that failed go there

Needs root, loop devices, Btrfs in the kernel, mkfs.btrfs and btrfs. Equal seeds give equal scripts; what Linux writes for
them may depend on the moment.
"""
import ctypes
import multiprocessing
import os
import random
import secrets
import shutil
import signal
import sys
import traceback

sys.dont_write_bytecode = True
import machine  # noqa: E402
import view
from cases import HEADER, Unknown, Unusable, learn, play
from judge import Judge
from plan import faults_of_plan
from sampling import WARM_UP, Sampler

PR_SET_PDEATHSIG = 1
OTHERS_EVERY = 8
TRIES = 5


class Options:
    def __init__(self, words):
        self.what, self.folder = words[0], os.path.abspath(words[1])
        self.named, self.random, self.seed = [], 0, '%d' % secrets.randbelow(10**6)
        self.first, self.last, self.cuts, self.jobs = 0, None, 4, 2
        self.btrkit, self.replays, self.plan, self.keep = os.environ.get('BTRKIT', 'btrkit'), [], False, None
        words = iter(words[2:])
        for word in words:
            if word == '--named':
                self.named = list(scenarios())
            elif word == '--only':
                self.named.append(next(words))
            elif word == '--replay':
                self.replays.append(next(words))
            elif word in ('--random', '--first', '--last', '--cuts', '--jobs'):
                setattr(self, word[2:], int(next(words)))
            elif word == '--plan':
                self.plan = True
            elif word in ('--seed', '--btrkit', '--keep'):
                setattr(self, word[2:], next(words))
            else:
                raise SystemExit(__doc__)


def scenarios():
    """{name: lines} of the scripts that have names."""
    found, lines = {}, None
    with open(os.path.join(machine.HERE, 'scenarios')) as f:
        for line in f:
            line = line.strip()
            if line.startswith('== '):
                lines = found.setdefault(line[3:], [])
            elif line and not line.startswith('#'):
                lines.append(line)
    for lines in found.values():
        begin = next(i for i, line in enumerate(lines) if line.split()[0] not in HEADER)
        lines[begin:begin] = WARM_UP
    return found


def short(text):
    return ' '.join(text.split())[:1500]


class Worker:
    """One process: takes scripts by number, plays them, judges the cases and tells about each."""

    def __init__(self, options, number, shared):
        self.options, self.shared = options, shared
        self.work = os.path.join(options.folder, 'work%d' % number)
        self.top = os.path.join(self.work, 'mnt')
        os.makedirs(self.top, exist_ok=True)
        self.judge = Judge(options.btrkit, self.top)

    def tell(self, verdict, name, text):
        self.shared.lines.put('%s\t%s\t%s' % (verdict, name, short(text)))

    def next_script(self):
        """(name, lines, is it one by name), or None at the end."""
        named = self.options.named
        with self.shared.taken.get_lock():
            number = self.shared.taken.value
            self.shared.taken.value += 1
        if number < len(named):
            return named[number], scenarios()[named[number]], True
        number += self.options.first - len(named)
        with self.shared.logged.get_lock():
            enough = self.shared.logged.value >= self.options.random
        if enough if self.options.last is None else number > self.options.last:
            return None
        rng = random.Random('%s/%d' % (self.options.seed, number))
        return '%s.%d' % (self.options.seed, number), Sampler(rng, self.top).script(self.options.cuts), False

    def run(self):
        while True:
            script = self.next_script()
            if not script:
                break
            name, lines, is_named = script
            try:
                cases = self.cases(name, lines, is_named)
            except Unknown as error:
                self.tell('skip', name, str(error))
                continue
            except Unusable as error:
                self.tell('fail', name, 'cannot be run: %s' % error)
                continue
            except OSError:
                self.tell('fail', name, traceback.format_exc()[-1000:])
                continue
            for case in cases:
                try:
                    self.take(case, is_named)
                except (OSError, KeyError, ValueError, machine.btrfsread.Damaged):
                    self.tell('fail', case.name, traceback.format_exc()[-1000:])
                case.drop()

    def cases(self, name, lines, is_named):
        """
        The cases of a script. One that has a name must leave a log: if Linux happened to find no space that is known to be
        free and made a new block group, its fsync became a commit, and the script is played again.
        """
        for _ in range(TRIES):
            cases = play(name, lines, self.work, self.options.btrkit, is_named)
            if not is_named or all(machine.log_root_of(machine.read_super(case.images[0])) for case in cases):
                break
        return cases

    def take(self, case, is_named):
        case.made_by = 'seed %s' % self.options.seed
        replayed = learn(case, self.top)
        if case.has_log() and not is_named:
            with self.shared.logged.get_lock():
                self.shared.logged.value += 1
        if is_named and not case.has_log() and not case.faults:
            case.faults.append('there is no log')
        if self.options.what == 'make':
            for image in replayed:
                os.unlink(image)
            case.save()
            target = os.path.join(self.options.folder, case.name)
            shutil.rmtree(target, ignore_errors=True)
            shutil.move(case.folder, target)
            self.tell('fail' if case.faults else 'pass', case.name, '; '.join(case.faults) or self.about(case))
            return
        faults = case.faults + self.judge.crashed(case)
        if replayed:
            faults += self.judge.replayed_by_linux(replayed)
            for image in replayed:
                os.unlink(image)
        if case.has_log():
            if self.options.plan:
                faults += ['btrkit log show: ' + fault for fault in faults_of_plan(self.options.btrkit, case)]
            faults += self.replays(case)
        self.tell('fail' if faults else 'pass', case.name, '; '.join(faults) or self.about(case))
        if faults and self.options.keep:
            case.faults = faults
            case.save()
            os.makedirs(self.options.keep, exist_ok=True)
            shutil.copytree(case.folder, os.path.join(self.options.keep, case.name), dirs_exist_ok=True,
                            copy_function=lambda a, b: machine.copy_image(a, b) if '.0' <= a[-2:] <= '.9' else shutil.copy(a, b))

    def replays(self, case):
        with self.shared.judged.get_lock():
            self.shared.judged.value += 1
            goes_on = self.shared.judged.value % OTHERS_EVERY == 1
        faults = []
        for replay in self.options.replays if goes_on else self.options.replays[:1]:
            # Only its own reader may be let at what Linux must not replay.
            if replay == 'linux' and case.truth is None:
                continue
            found = self.judge.replay(case, replay, goes_on)
            if replay == 'null':
                found = self.expect_null(case, found)
            faults += ['%s: %s' % (replay, fault) for fault in found]
        return faults

    @staticmethod
    def expect_null(case, found):
        """A replay that does nothing must be noticed wherever there was something to do."""
        if case.truth is None:
            return []
        does_something = view.lines(case.truth) != view.lines(case.committed)
        if does_something and not found:
            return ['a log that was dropped was not noticed']
        return found if found and not does_something else []

    @staticmethod
    def about(case):
        if not case.has_log():
            return 'no log'
        names = {1: 'inodes', 12: 'refs', 13: 'extrefs', 24: 'xattrs', 60: 'old ranges', 72: 'ranges', 84: 'old entries',
                 96: 'entries', 108: 'extents', 128: 'csums'}
        return 'log: ' + ', '.join('%d %s' % (n, names.get(kind, kind)) for kind, n in sorted(case.kinds.items()))


class Shared:
    def __init__(self):
        self.taken, self.logged, self.judged = (multiprocessing.Value('i', 0) for _ in range(3))
        self.lines = multiprocessing.SimpleQueue()


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def work(options, number, shared):
    die_with_parent()
    try:
        Worker(options, number, shared).run()
    except Exception:
        shared.lines.put('fail\tworker %d\t%s' % (number, short(traceback.format_exc())))
    finally:
        shared.lines.put(None)


def run(options):
    shared, failed, cases = Shared(), 0, 0
    os.makedirs(options.folder, exist_ok=True)
    workers = [multiprocessing.Process(target=work, args=(options, i, shared)) for i in range(options.jobs)]
    for worker in workers:
        worker.start()
    try:
        running = options.jobs
        while running:
            line = shared.lines.get()
            if line is None:
                running -= 1
                continue
            cases += 1
            failed += line.startswith('fail')
            print(line, flush=True)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        for i in range(options.jobs):
            shutil.rmtree(os.path.join(options.folder, 'work%d' % i), ignore_errors=True)
    print('sum\t%s\t%d cases, %d random ones with a log, %d failed' % (options.seed, cases, shared.logged.value, failed), flush=True)
    return 1 if failed or not cases else 0


def main(words):
    if words == ['list']:
        print('\n'.join(scenarios()))
        return 0
    if len(words) < 2 or words[0] not in ('make', 'test'):
        print(__doc__, file=sys.stderr)
        return 2
    die_with_parent()
    return run(Options(words))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
