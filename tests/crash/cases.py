# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scripts are run on a mounted filesystem, and at each cut its images are copied as a power failure would leave them.

A script is a sequence of lines. Those before the first operation say what filesystem it is:

  mkfs OPTIONS            arguments of mkfs.btrfs (default)
  btrkit-mkfs OPTIONS     arguments of btrkit mkfs instead
  devices N               on so many images (1)
  mount OPTIONS
  truth live              after a replay, all must be as it was at the cut: for logs that Linux must not replay
  log old                 at a cut, the log becomes one as Linux before 5.17 wrote it (old_log.py); one device only

Then come operations (operations.py), and among them

  --                      what stands before is committed
  remount                 the same, and Linux has to read all inodes anew
  cut                     the power fails here; there is always a last one at the end

A case is what is known of one cut: the images, what the mount showed then ("live"), what Linux shows of the last commit
("committed"), what it shows after it has replayed the log ("truth"), and what fsync had promised.
"""
import json
import os
import shutil
import subprocess
import time

import machine
import view
from operations import Operations

IMAGE_BYTES = 256 << 20
SUBVOLUME_TOP = 256
TRIES = 20
HEADER = ('mkfs', 'btrkit-mkfs', 'devices', 'mount', 'truth', 'log')


# What a filesystem is made with, and what Linux calls it where it knows it.
NEW_FEATURES = {'squota': 'simple_quota', 'block-group-tree': 'block_group_tree'}


class Unusable(Exception):
    """The script could not be run as it stands."""


class Unknown(Exception):
    """This Linux is too old for the script."""


# --- What fsync promises --------------------------------------------------------------------------

class Tree:
    """Rows of a view by subvolume and inode number, which stay the same when Linux replays a log."""

    def __init__(self, rows):
        self.keys, self.rows, subvolumes = {}, {}, {}
        for row in rows:
            if row.inode == SUBVOLUME_TOP:
                subvolumes[row.device] = row.path.decode('latin1')
        for row in rows:
            key = (subvolumes.get(row.device, row.path.decode('latin1')), row.inode)
            self.keys[row.path] = key
            self.rows.setdefault(key, []).append(row)

    def names(self, key):
        """[(inode of the folder, name)] of all links."""
        return sorted((self.keys[os.path.dirname(row.path) or b'.'][1], os.path.basename(row.path).decode('latin1'))
                      for row in self.rows.get(key, ()))

    def listing(self, key):
        row = self.rows[key][0]
        if row.order is None:
            return None
        prefix = b'' if row.path == b'.' else row.path + b'/'
        return sorted((name.decode('latin1'), self.keys[prefix + name][1]) for name in row.order)


def promises(tree, synced):
    """Of what was fsynced and is still as it was then: (key, attributes, names, listing)."""
    found = []
    for (device, inode), (lasting, changed) in synced.items():
        for key, rows in tree.rows.items():
            if (rows[0].device, rows[0].inode) == (device, inode) and (rows[0].lasting, rows[0].times['c']) == (lasting, changed):
                names = tree.names(key) if inode != SUBVOLUME_TOP else []
                found.append((key, rows[0].lasting, names, tree.listing(key)))
    return found


def broken_promises(tree, promised):
    """
    A line for each promise that a view does not keep. A name that was there at the last commit and was removed before the
    fsync of the file may be there again: fsync promises names that are, and of a folder only that others are not.
    """
    faults = []
    for key, lasting, names, listing in promised:
        rows = tree.rows.get(tuple(key))
        where = 'inode %d of %s' % (key[1], key[0])
        if not rows:
            faults.append('%s was fsynced and is not there' % where)
            continue
        kept = [name for name in tree.names(key) if name in names]
        for what, wanted, got in (('attributes', lasting, rows[0].lasting), ('names', names, kept),
                                  ('listing', listing, tree.listing(key))):
            if json.dumps(wanted) != json.dumps(got):
                faults.append('%s: %s that were fsynced: %s; now: %s' % (where, what, json.dumps(wanted), json.dumps(got)))
    return faults


# --- Cases ----------------------------------------------------------------------------------------

class Case:
    """One cut. Its folder holds images, and as text or JSON everything else."""

    def __init__(self, name, folder, devices):
        self.name, self.folder = name, folder
        self.images = [os.path.join(folder, 'crash.%d' % i) for i in range(devices)]
        self.live, self.committed, self.truth, self.promised, self.kinds = [], [], None, [], None
        self.faults, self.script, self.cut_ns, self.made_by, self.is_live_truth = [], [], 0, '', False

    def has_log(self):
        return self.kinds is not None

    def copies(self, name):
        """Fresh copies of the crashed images."""
        copies = [os.path.join(self.folder, '%s.%d' % (name, i)) for i in range(len(self.images))]
        for image, copy in zip(self.images, copies):
            machine.copy_image(image, copy)
        return copies

    def look(self, images, options, top, flags=machine.MS_NOATIME):
        """The rows that Linux shows of images."""
        with machine.Mounted(images, options, top, flags):
            return view.view(top, self.cut_ns)

    def save(self):
        for name in 'live', 'committed', 'truth':
            rows = getattr(self, name)
            if rows is not None:
                with open(os.path.join(self.folder, name), 'w') as f:
                    f.write(''.join(line + '\n' for line in view.lines(rows)))
        with open(os.path.join(self.folder, 'script'), 'w') as f:
            f.write(''.join(line + '\n' for line in self.script))
        about = {'name': self.name, 'made_by': self.made_by, 'cut_ns': self.cut_ns, 'log_items': self.kinds,
                 'promised': self.promised, 'faults': self.faults}
        with open(os.path.join(self.folder, 'about.json'), 'w') as f:
            json.dump(about, f, indent=1)

    def drop(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def learn(case, top):
    """What Linux makes of a cut. The filesystem that it was taken of must be unmounted by now."""
    try:
        case.kinds = machine.log_kinds(case.images)
    except machine.btrfsread.Damaged as error:
        # A log that cannot be read is none that Linux may be let at.
        case.faults.append('the log cannot be read: %s' % error)
        return []
    copies = case.copies('committed')
    case.committed = case.look(copies, 'rescue=nologreplay', top, machine.MS_RDONLY | machine.MS_NOATIME)
    for copy in copies:
        os.unlink(copy)
    if machine.refuses_linux(case.images):
        return []
    replayed = case.copies('replayed')
    case.truth = case.look(replayed, '', top)
    case.faults += broken_promises(Tree(case.truth), case.promised)
    return replayed


class Session:
    """One filesystem from mkfs to umount; cuts are kept as cases in folders of their own."""

    def __init__(self, name, work, btrkit, is_strict):
        self.name, self.work, self.btrkit, self.is_strict = name, work, btrkit, is_strict
        self.top = os.path.join(work, 'mnt')
        self.header = {'mkfs': '', 'devices': '1', 'mount': ''}
        self.lines, self.synced, self.cases, self.mounted = [], {}, [], None

    def make(self):
        for word, feature in NEW_FEATURES.items():
            if word in self.header.get('btrkit-mkfs', '') and not os.path.exists('/sys/fs/btrfs/features/' + feature):
                raise Unknown('this Linux does not know %s' % word)
        os.makedirs(self.top, exist_ok=True)
        self.images = [os.path.join(self.work, 'live.%d' % i) for i in range(int(self.header['devices']))]
        for image in self.images:
            with open(image, 'wb') as f:
                f.truncate(IMAGE_BYTES)
        if 'btrkit-mkfs' in self.header:
            words = [self.btrkit, 'mkfs', '-q', '-f'] + self.header['btrkit-mkfs'].split()
        else:
            words = ['mkfs.btrfs', '-q', '-f', '-K'] + self.header['mkfs'].split()
        # mkfs.btrfs looks at all loop devices, and fails when one of another process goes away meanwhile.
        for _ in range(TRIES):
            done = subprocess.run(words + self.images, capture_output=True, text=True)
            if not done.returncode or 'cannot check mount status' not in done.stderr:
                break
            time.sleep(.05)
        if done.returncode:
            raise Unusable('%s: %s' % (' '.join(words), done.stderr.strip()))
        self.enter()

    def enter(self):
        options = 'commit=300,' + self.header['mount']
        self.mounted = machine.Mounted(self.images, options.rstrip(','), self.top)
        self.mounted.__enter__()
        self.operations = Operations(self.top)

    def leave(self):
        if self.mounted:
            self.operations.release()
            self.mounted.__exit__()
            self.mounted = None

    def run(self, line):
        """One line of the script; True unless Linux refused it."""
        word = line.split()[0]
        if word in HEADER:
            self.header[word] = line[len(word):].strip()
            self.lines.append(line)
            return True
        if not self.mounted:
            self.make()
        self.lines.append(line)
        if word == 'cut':
            self.cut()
        elif word == 'remount':
            self.leave()
            self.enter()
            self.synced.clear()
        else:
            return self.operate('commit' if word == '--' else line)
        return True

    def operate(self, line):
        try:
            self.operations.run(line)
        except OSError as error:
            if self.is_strict:
                raise Unusable('%s: %s' % (line, error))
            self.lines[-1] = '# %s: %s' % (line, error.strerror)
            return False
        word, *arguments = line.split()
        if word == 'fsync':
            path = os.fsencode(arguments[0])
            row = view.Row(os.fsencode(self.top), path, {}, None)
            self.synced[row.device, row.inode] = row.lasting, row.times['c']
        return True

    def cut(self):
        name = '%s.%d' % (self.name, len(self.cases))
        folder = os.path.join(self.work, name)
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        case = Case(name, folder, len(self.images))
        # A commit that Linux begins by itself must not come in between: then this is not one moment.
        for _ in range(TRIES):
            before = [machine.read_super(image) for image in self.images]
            case.cut_ns = time.time_ns()
            for image, copy in zip(self.images, case.images):
                machine.copy_image(image, copy)
            if before == [machine.read_super(image) for image in self.images]:
                break
        else:
            raise Unusable('Linux commits all the time')
        if 'log' in self.header and machine.log_root_of(machine.read_super(case.images[0])):
            machine.make_log_old(case.images[0])
        case.live = view.view(self.top)
        case.promised = promises(Tree(case.live), self.synced)
        case.script = self.lines[:-1]
        case.is_live_truth = 'truth' in self.header
        self.cases.append(case)

    def end(self):
        self.leave()
        for image in self.images if hasattr(self, 'images') else ():
            if os.path.exists(image):
                os.unlink(image)


def play(name, script, work, btrkit, is_strict=False):
    """Runs a script, or a generator that is told with each line whether Linux refused it; returns the cases."""
    session = Session(name, work, btrkit, is_strict)
    try:
        for line in script:
            session.run(line)
        if not session.lines or session.lines[-1] != 'cut':
            session.run('cut')
    except BaseException:
        session.leave()
        for case in session.cases:
            case.drop()
        raise
    finally:
        session.end()
    return session.cases
