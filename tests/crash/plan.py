# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does btrkit log show tell of a log what Linux makes of it? Its lines are compared with the truth, inode by inode."""
import json
import stat
import subprocess

from cases import SUBVOLUME_TOP, Tree


def nanoseconds(time):
    return time['sec'] * 10**9 + time['nsec']


def expected_fields(row):
    """{name: value} of an inode as Linux shows it after its replay."""
    s = row.stat
    fields = {'mode': stat.S_IMODE(s.st_mode), 'nlink': s.st_nlink, 'uid': s.st_uid, 'gid': s.st_gid, 'size_bytes': s.st_size,
              'mtime': s.st_mtime_ns, 'atime': row.times['a'], 'otime': row.times['b'], 'ctime': row.times['c']}
    if ' c=replay ' in row.deep:
        del fields['ctime']
    return fields


def planned_fields(line):
    fields = dict(line['after'])
    return dict(fields, **{name: nanoseconds(fields[name]) for name in ('atime', 'mtime', 'ctime', 'otime')})


def subvolume_keys(lines):
    """{id: path as Tree has it} of the subvolumes that have a log."""
    return {line['subvolume']: line['path'].strip('/') or '.' for line in lines if line['type'] == 'subvolume' and 'path' in line}


def faults_of_inode(line, key, tree):
    rows, where = tree.rows.get(key), 'inode %d of %s' % (key[1], key[0])
    if line['verdict'] == 'removed':
        return ['%s is removed, says the plan' % where] if rows else []
    if not rows:
        return ['%s is %s, says the plan' % (where, line['verdict'])] if 'path_after' in line else []
    faults = []
    paths = ['/' if row.path == b'.' else '/' + row.path.decode('latin1') for row in rows]
    if line.get('path_after') not in paths:
        faults.append('%s: the plan says that it is %s' % (where, line.get('path_after')))
    planned = planned_fields(line)
    for name, value in expected_fields(rows[0]).items():
        if planned[name] != value:
            faults.append('%s: %s is %s, the plan says %s' % (where, name, value, planned[name]))
    return faults


def faults_of_plan(btrkit, case):
    """What of a plan is not as the truth is. Without a truth, only that there is a plan, and no loss in it."""
    done = subprocess.run([btrkit, 'log', 'show', '--no-scan', '--json'] + case.images, capture_output=True, text=True)
    if done.returncode:
        return ['exit status %d: %s' % (done.returncode, done.stderr.strip()[-300:])]
    lines = [json.loads(text) for text in done.stdout.splitlines()]
    faults = ['a loss: %s' % line['text'] for line in lines if line['type'] == 'loss']
    if not lines[-1].get('has_log'):
        faults.append('no log, it says')
    truth = case.live if case.truth is None and case.is_live_truth else case.truth
    if truth is None:
        return faults
    subvolumes, told = subvolume_keys(lines), set()
    before, after = Tree(case.committed), Tree(truth)
    for line in lines:
        if line['type'] == 'inode':
            key = (subvolumes[line['subvolume']], line['inode'])
            told.add(key)
            faults += faults_of_inode(line, key, after)
    for key in sorted(set(before.rows) | set(after.rows)):
        # A folder that stands for a subvolume of another one is no inode.
        if key in told or key[1] < SUBVOLUME_TOP:
            continue
        sides = [tree.rows[key][0].of_inode() if key in tree.rows else None for tree in (before, after)]
        if sides[0] != sides[1]:
            faults.append('inode %d of %s changes, and the plan does not say so: %s' % (key[1], key[0], sides))
    return faults
