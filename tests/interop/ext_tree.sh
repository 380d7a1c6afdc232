# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by tests that read ext2, ext3 and ext4: what is put into them.

# fill DIR: one of everything, a directory with an index, fragments and holes.
fill() {
	python3 - "$1" <<'END' || return
import os, sys
os.chdir(sys.argv[1])
os.mkdir('dir'); os.mkdir('dir/deep')
for i in range(700):
    open('dir/%s%d' % ('name-that-is-long-' * 3, i), 'w').close()
for i in range(0, 700, 3):
    os.unlink('dir/%s%d' % ('name-that-is-long-' * 3, i))
for size in (1, 59, 60, 61, 100, 159, 160, 161, 4095, 4096, 4097, 12 * 4096, 12 * 4096 + 1, 300000, 5000000):
    with open('size-%d' % size, 'wb') as f:
        f.write(os.urandom(size))
    os.symlink('t' * min(size, 4000), 'link-%d' % size)
with open('sparse', 'wb') as f:
    for at in (0, 50000, 3 << 20, 1 << 30, 5 << 30):
        f.seek(at); f.write(b'data at %d' % at)
with open('allocated', 'wb') as f:
    try:
        os.posix_fallocate(f.fileno(), 0, 200000)
    except OSError:
        pass
    f.seek(70000); f.write(b'x' * 9000)
with open('fragments', 'wb') as f, open('between', 'wb') as g:
    for i in range(400):
        f.seek(i * 8192 * 3); f.write(os.urandom(4096)); f.flush()
        if i % 4 == 0:
            os.fsync(f.fileno())
        g.write(os.urandom(4096)); g.flush()
os.mkfifo('fifo'); os.mknod('sock', 0o140755)
os.mknod('old-device', 0o060640, os.makedev(8, 17)); os.mknod('new-device', 0o020600, os.makedev(300, 70000))
os.link('size-61', 'dir/deep/linked')
os.chown('size-60', 70000, 4000000000); os.chmod('size-60', 0o6755); os.chmod('dir', 0o1777)
for name in ('size-1', 'dir', 'dir/deep'):
    for i in range(3):
        os.setxattr(name, 'user.a%d' % i, b'v' * (i * 40))
os.setxattr('size-4096', 'user.large', b'w' * 3000); os.setxattr('size-4095', 'trusted.x', bytes(range(256)))
try:
    os.setxattr('size-100', 'user.huge', bytes(range(250)) * 100)
except OSError:
    pass # larger than a block: only with ea_inode
for i in range(5):
    open('same-%d' % i, 'w').close()
    os.setxattr('same-%d' % i, 'user.shared', b's' * 300)
os.setxattr('link-159', 'trusted.of-link', b'l', follow_symlinks=False)
for n, time in enumerate((-2 ** 31, -1, 2 ** 31 - 1, 2 ** 31, 2 ** 33)):
    open('time-%d' % n, 'w').close()
    try:
        os.utime('time-%d' % n, ns=(time * 10 ** 9 + 123456789, time * 10 ** 9 + 987654321))
    except OSError:
        pass
END
	command -v setfacl >/dev/null && setfacl -m u:1000:rwx,g:33:r "$1/size-59" && setfacl -d -m u:5:rx "$1/dir"
	command -v chattr >/dev/null && { chattr +dA "$1/size-159"; chattr +SD "$1/dir/deep"; chattr +a "$1/size-160"; chattr +i "$1/size-161"; }
	true
}
