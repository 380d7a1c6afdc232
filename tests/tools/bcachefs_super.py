#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bcachefs_super.py SUPER.TXT SUPERS.JSON: does `btrkit inspect super --all --json` say what `bcachefs show-super` says?"""
import json
import re
import sys
import time

UNITS = {'': 1, 'B': 1, 'K': 1 << 10, 'KiB': 1 << 10, 'M': 1 << 20, 'MiB': 1 << 20, 'G': 1 << 30, 'GiB': 1 << 30}


def size(text):
    """"64.0 MiB", "4.0K", "2904": (bytes, how exactly)."""
    number, unit = re.fullmatch(r'([0-9.]+) ?([A-Za-z]*)', text).groups()
    digits = len(number.partition('.')[2])
    return float(number) * UNITS[unit], 0.5 * 10 ** -digits * UNITS[unit] if digits else 0


def is_size(text, value):
    wanted, slack = size(text)
    return abs(value - wanted) <= slack


def date(seconds):
    return time.strftime('%a %b %e %H:%M:%S %Y', time.gmtime(seconds)).replace('  ', ' ')


def chosen(text):
    """Of "none [crc32c] crc64" and of "crc32c (1)" the chosen one."""
    match = re.search(r'\[(\S+)\]', text)
    return match.group(1) if match else text.split()[0]


def version(text):
    """2020 wrote minor numbers alone."""
    return text if '.' in text else '0.' + text


def read(path):
    fields, members, member = {}, [], None
    for line in open(path):
        name, colon, value = line.strip().partition(':')
        value = value.strip()
        if re.fullmatch(r'Device \d+', name) or name == 'Device':
            member = {}
            members.append(member)
        elif colon:
            (fields if member is None else member).setdefault(name, value)
    return fields, members


def check(fields, members, block):
    bad = []
    seen = set()

    def say(name, is_right, shown):
        seen.add(name)
        if not is_right:
            bad.append('%s: %r is not what is shown: %r' % (name, fields.get(name), shown))

    def same(name, shown, convert=str):
        if name in fields:
            say(name, convert(fields[name]) == shown, shown)

    same('External UUID', block['uuid'])
    same('Internal UUID', block['internal_uuid'])
    same('Magic number', block['magic'])
    same('Label', block['label'], lambda text: '' if text == '(none)' else text)
    same('Device index', block['dev_idx'], int)
    same('Version', block['version'].split(':')[0], lambda text: version(text).split(':')[0])
    for name, key in (('Version', 'version'), ('Oldest version on disk', 'version_min'),
                      ('Version upgrade complete', 'version_upgrade_complete'),
                      ('Incompatible features in use', 'version_incompat'),
                      ('Incompatible features allowed', 'version_incompat_allowed')):
        if ':' in fields.get(name, ''):
            same(name, block[key], lambda text: text.replace(': (unknown version)', ''))
    for name in ('Sequence number', 'Squence number'):
        same(name, block['seq'], int)
    same('Created', date(int(block['time_base'].split('.')[0])), lambda text: re.sub(' +', ' ', text))
    same('Time of last write', date(block['write_time']), lambda text: re.sub(' +', ' ', text))
    same('Clean', int(block['clean']), int)
    same('Devices', block['nr_devices'], lambda text: int(re.search(r'(\d+)( total)?$', text).group(1)))
    same('Features', block['features_names'], lambda text: [name for name in text.split(',') if name])
    same('Compat features', block['compat_names'], lambda text: [name for name in text.split(',') if name])
    # In show-super's order, which is by type; 2020 called the first version of members just so.
    shown = {section['type'] for section in block['sections']}
    same('Sections', shown, lambda text: {'members_v1' if name == 'members' else name for name in text.split(',')})
    for name, value in (('Superblock size', block['size_bytes']), ('Block_size', block['block_size_bytes']),
                        ('block_size', block['block_size_bytes']), ('Btree node size', block['btree_node_size_bytes']),
                        ('btree_node_size', block['btree_node_size_bytes']),
                        ('encoded_extent_max', block['encoded_extent_max_bytes'])):
        if name in fields:
            say(name, is_size(fields[name].split('/')[0], value), value)
    for names, key in ((('Metadata checksum type', 'metadata_checksum'), 'metadata_checksum'),
                       (('Data checksum type', 'data_checksum'), 'data_checksum'),
                       (('Compression type', 'compression'), 'compression'),
                       (('background_compression',), 'background_compression'),
                       (('String hash type', 'str_hash'), 'str_hash')):
        for name in names:
            same(name, block[key], lambda text: chosen(text).partition(':')[0])
    for name in ('Metadata replicas', 'metadata_replicas'):
        same(name, block['metadata_replicas'], int)
    for name in ('Data replicas', 'data_replicas'):
        same(name, block['data_replicas'], int)
    same('acl', int(block['acl']), int)
    for name in ('32 bit inodes', 'inodes_32bit'):
        same(name, int(block['inodes_32bit']), int)
    if len(seen) < 15:
        bad.append('only %d fields could be compared' % len(seen))
    if len(members) != len(block['members']):
        bad.append('%d members, and %d are shown' % (len(members), len(block['members'])))
    for wanted, member in zip(members, block['members']):
        state = {'readwrite': 'rw', 'readonly': 'ro'}.get(wanted['State'], wanted['State'])
        pairs = [('UUID', wanted['UUID'] == member['uuid']), ('State', state == member['state']),
                 ('Size', is_size(wanted['Size'], member['size_bytes'])),
                 ('Bucket size', is_size(wanted['Bucket size'], member['bucket_size_bytes'])),
                 ('First bucket', int(wanted['First bucket']) == member['first_bucket']),
                 ('Buckets', int(wanted['Buckets']) == member['buckets']),
                 ('Last mount', re.sub(' +', ' ', wanted['Last mount']) == date(member['last_mount'])),
                 ('seq', int(wanted.get('Last superblock write', 0)) == member['seq']),
                 ('errors', all(int(wanted.get('%s errors' % kind, 0)) == member['%s_errors' % kind]
                                for kind in ('read', 'write', 'checksum')))]
        bad += ['member %d: %s differs' % (member['index'], name) for name, is_right in pairs if not is_right]
    return bad


fields, members = read(sys.argv[1])
blocks = json.load(open(sys.argv[2]))['superblocks']
bad = [] if len(blocks) >= 2 else ['there is but one copy']
newest = max(block.get('seq', 0) for block in blocks)
for block in blocks:
    if 'problem' in block:
        bad.append('copy %d: %s' % (block['copy'], block['problem']))
        continue
    if block['sector'] != block['offset_sectors']:
        bad.append('copy %d is at another place' % block['copy'])
    if not block['journal']:
        bad.append('copy %d: no journal' % block['copy'])
    # A crash between two writes leaves copies behind that are one older.
    if block['seq'] == newest - 1:
        continue
    bad += ['copy %d: %s' % (block['copy'], text) for text in check(fields, members, block)]
for text in bad:
    print(text)
sys.exit(bool(bad))
