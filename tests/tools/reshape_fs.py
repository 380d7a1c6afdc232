# SPDX-License-Identifier: LGPL-2.1-or-later
"""Filesystems on several devices of unequal sizes, aged by Linux, and what there is to judge them: for tests that reshape them.

    fs = Filesystem(folder, [600, 700])         images d1, d2, ... in a folder of their own
    fs.make(['-d', 'raid1', '-m', 'raid1'])     made by mkfs.btrfs or btrkit, whichever is named first
    wanted = fs.age(seed, snapshots=20)         what it shows then
    fs.judge(wanted)                            raises Failure
"""
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import churn  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
BTRKIT = os.environ.get('BTRKIT', './btrkit')
MIB = 1 << 20


class Failure(Exception):
    pass


def run(*words, may_fail=False, **more):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors='replace', **more)
    if done.returncode and not may_fail:
        raise Failure('%s: exit status %d\n%s' % (' '.join(words), done.returncode, done.stdout[-3000:]))
    return done if may_fail else done.stdout


def summary_of(*words):
    """As btrkit tells it; devices that are not of one age are no error."""
    done = subprocess.run([BTRKIT, 'inspect', 'summary', '--json', '--no-scan', *words], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    if done.returncode:
        raise Failure('btrkit inspect summary: %s' % done.stderr)
    return json.loads(done.stdout)


def copy_sparse(source, to):
    """Only what is not a hole; cp asks the same more often."""
    with open(source, 'rb', buffering=0) as a, open(to, 'wb', buffering=0) as b:
        size, at = os.fstat(a.fileno()).st_size, 0
        b.truncate(size)
        while at < size:
            try:
                at = os.lseek(a.fileno(), at, os.SEEK_DATA)
                end = os.lseek(a.fileno(), at, os.SEEK_HOLE)
            except OSError:
                break
            while at < end:
                block = os.pread(a.fileno(), min(end - at, 4 * MIB), at)
                at += os.pwrite(b.fileno(), block, at)


def manifest(top):
    """What a directory shows, but for what another host cannot have: properties of Btrfs."""
    text = run(sys.executable, os.path.join(HERE, 'manifest'), '--holes', top)
    return re.sub(r'btrfs\.compression=[0-9a-f]*,?', '', text).replace('\t\t', '\t-\t')


def differences(wanted, got):
    a, b = wanted.splitlines(), got.splitlines()
    in_a, in_b = set(a), set(b)
    return ['- ' + line for line in a if line not in in_b] + ['+ ' + line for line in b if line not in in_a]


def expect_same(wanted, got, when):
    found = differences(wanted, got)
    if found:
        raise Failure('%s: %d differences\n%s' % (when, len(found), '\n'.join(line[:300] for line in found[:20])))


class Filesystem:
    def __init__(self, folder, sizes_mib):
        self.folder = folder
        self.mnt = folder + '.mnt'
        os.makedirs(folder, exist_ok=True)
        os.makedirs(self.mnt, exist_ok=True)
        self.images = [os.path.join(folder, 'd%d' % (i + 1)) for i in range(len(sizes_mib))]
        self.loops = []
        for image, mib in zip(self.images, sizes_mib):
            with open(image, 'wb') as f:
                f.truncate(int(mib * MIB))

    def make(self, words, images=None):
        program = [BTRKIT, 'mkfs'] if words[0] == 'btrkit' else words[:1]
        run(*program, '-q', '-f', *words[1:], *(images or self.images))

    def copy(self, folder):
        other = Filesystem.__new__(Filesystem)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        other.folder, other.mnt, other.loops = folder, folder + '.mnt', []
        os.makedirs(other.mnt, exist_ok=True)
        other.images = [os.path.join(folder, os.path.basename(image)) for image in self.images]
        for a, b in zip(self.images, other.images):
            copy_sparse(a, b)
        return other

    # --- Linux -----------------------------------------------------------------------------------------------------------

    def attach(self):
        for image in self.images:
            for pause in (0.1, 0.5, 2, None):
                done = run('losetup', '-f', '--show', image, may_fail=pause is not None)
                if pause is None or done.returncode == 0:
                    break
                time.sleep(pause)
            self.loops.append((done if isinstance(done, str) else done.stdout).strip())

    def detach(self):
        for loop in self.loops:
            run('btrfs', 'device', 'scan', '--forget', loop, may_fail=True)
            run('losetup', '-d', loop, may_fail=True)
        self.loops = []

    def mount(self, options='noatime', images=None):
        if images:
            self.images = images
        self.attach()
        options = ','.join([options] + ['device=' + loop for loop in self.loops])
        run('mount', '-t', 'btrfs', '-o', options, self.loops[0], self.mnt)

    def umount(self):
        for _ in range(100):
            if not os.path.ismount(self.mnt) or run('umount', self.mnt, may_fail=True).returncode == 0:
                break
            time.sleep(0.2)  # whoever looks at new mounts has it open
        else:
            raise Failure('%s cannot be unmounted' % self.mnt)
        self.detach()

    def close(self):
        self.umount()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.mnt, ignore_errors=True)

    def age(self, seed, snapshots=20, operations=150, fill_percent=0, options='noatime', fill_mib=0, small=False):
        """Subvolumes, snapshots of snapshots, shared, compressed, reserved and not checksummed ranges; what it shows then."""
        rng = random.Random(seed)
        self.mount(options)
        try:
            main = os.path.join(self.mnt, 'main')
            run('btrfs', '-q', 'subvolume', 'create', main)
            run(sys.executable, os.path.join(HERE, 'gentree.py'), 'small', os.path.join(main, 'tree'),
                '20' if small else '60')
            work = churn.Churn(main, seed, ['snapshot', 'subvol', 'drop', 'special'])
            work.run(operations)
            self.special_files(main, rng)
            self.base_bytes = MIB if small else 4 * MIB
            for i in range(snapshots):
                work.run(max(3, operations // 10))
                self.rewrite(main, rng, i)
                run('btrfs', '-q', 'subvolume', 'snapshot', *(['-r'] if i % 3 == 0 else []), main,
                    os.path.join(self.mnt, 'snap%02d' % i))
            self.fill(rng, fill_percent, fill_mib)
            run('sync', '-f', self.mnt)
            return manifest(self.mnt)
        finally:
            self.umount()

    def special_files(self, main, rng):
        for name, flag in (('nocow', '+C'), ('compressed', '+c')):
            folder = os.path.join(main, name)
            os.mkdir(folder)
            run('chattr', flag, folder)
            for i in range(4):
                with open(os.path.join(folder, 'f%d' % i), 'wb') as f:
                    f.write(rng.randbytes(300000) if flag == '+C' else (b'%d text ' % i) * 60000)
        run('fallocate', '-l', '3M', os.path.join(main, 'reserved'))
        with open(os.path.join(main, 'reserved'), 'r+b') as f:
            for at in (0, 100000, 2000000):
                os.pwrite(f.fileno(), rng.randbytes(50000), at)

    def rewrite(self, main, rng, i):
        base = os.path.join(main, 'base')
        if i == 0:
            with open(base, 'wb') as f:
                f.write(rng.randbytes(self.base_bytes))
            run('sync', '-f', self.mnt)
        with open(base, 'r+b') as f:
            for _ in range(5):
                os.pwrite(f.fileno(), rng.randbytes(20000), rng.randrange(self.base_bytes))
        run('cp', '--reflink=always', base, os.path.join(main, 'clone%d' % (i % 4)))
        with open(os.path.join(main, 'nocow', 'f%d' % (i % 4)), 'r+b') as f:
            os.pwrite(f.fileno(), rng.randbytes(9000), rng.randrange(290000))

    def fill(self, rng, percent, mib):
        """Up to that much of what can be had, of which some is then taken out again, so that what is free is in pieces."""
        folder = os.path.join(self.mnt, 'fill')
        os.mkdir(folder)
        names, written = [], 0
        while True:
            st = os.statvfs(self.mnt)
            if 100 * (st.f_blocks - st.f_bavail) / st.f_blocks >= percent and written >= mib * MIB:
                break
            try:
                names.append(os.path.join(folder, '%04d' % len(names)))
                with open(names[-1], 'wb') as f:
                    written += f.write(rng.randbytes(rng.choice((70000, 400000, MIB, 3 * MIB))))
                if len(names) % 20 == 0:
                    run('sync', '-f', self.mnt)
            except OSError:
                break
        run('sync', '-f', self.mnt)
        for name in names[::7]:
            os.unlink(name)

    # --- Judging ---------------------------------------------------------------------------------------------------------

    def summary(self, images=None):
        return summary_of(*(images or self.images))

    def profiles(self, images=None):
        """{'data': {'raid1'}, ...}"""
        found = {}
        for line in self.summary(images)['allocation']:
            found.setdefault(line['kind'], set()).add(line['profile'].lower())
        return found

    def our_check(self):
        run(BTRKIT, 'check', '--data', '--no-scan', *self.images)

    def our_restore(self, wanted):
        out = self.folder + '.out'
        shutil.rmtree(out, ignore_errors=True)
        try:
            run(BTRKIT, 'restore', '-q', '--no-scan', *self.images, out)
            expect_same(without_stubs(wanted), without_stubs(manifest(out)), 'btrkit restore')
        finally:
            shutil.rmtree(out, ignore_errors=True)

    def their_check(self):
        self.attach()
        try:
            done = run('btrfs', 'check', '--readonly', '--check-data-csum', self.loops[0], may_fail=True)
            # btrfs-progs 6.2 computes some sectors wrongly from the parity of RAID5, on what Linux wrote on two devices, too. That
            # parity is right our check and the scrub of Linux tell.
            if done.returncode and self.profiles().get('data', set()) & {'raid5', 'raid6'} and \
                    not re.search('^mirror 1 ', done.stdout, re.M):
                done = run('btrfs', 'check', '--readonly', self.loops[0], may_fail=True)
            said = [line for line in done.stdout.splitlines() if 'cannot scan' not in line and
                    re.search(r'^(ERROR|WARNING)|mismatch|not found in|errors [0-9a-f]+,|There is no free space entry', line) and
                    'adding device' not in line]
            if done.returncode or said:
                raise Failure('btrfs check: exit status %d\n%s' % (done.returncode, done.stdout[-3000:]))
        finally:
            self.detach()

    def scrub(self, may_lack_supers=False):
        said = run('btrfs', 'scrub', 'start', '-B', self.mnt, may_fail=True)
        if may_lack_supers and re.search(r'^Error summary: *super=\d+$', said.stdout, re.M):
            return
        if said.returncode or 'no errors found' not in said.stdout:
            raise Failure('scrub: %s' % said.stdout)

    def linux(self, wanted, do_balance=False):
        """It mounts it and shows what is wanted, finds no bad checksums, and can go on with it."""
        self.mount()
        try:
            expect_same(wanted, manifest(self.mnt), 'Linux')
            self.scrub()
            if do_balance:
                run('btrfs', '-q', 'balance', 'start', '--full-balance', self.mnt)
                self.scrub()
                expect_same(wanted, manifest(self.mnt), 'after a balance of Linux')
        finally:
            self.umount()

    def judge(self, wanted, with_linux=True, do_balance=False):
        self.our_check()
        self.our_restore(wanted)
        if with_linux:
            self.their_check()
            self.linux(wanted, do_balance)
            if do_balance:
                self.our_check()
                self.their_check()


def without_stubs(text):
    """Where a snapshot has no subvolume that the original has, Linux shows a directory with the time of the day."""
    return '\n'.join(re.sub(r'^(\S+\td \S+ \S+ \S+ - - )\S+', r'\1now', line) for line in text.splitlines())
