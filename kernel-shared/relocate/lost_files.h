/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* btrkit_device_lost_files() for who has a filesystem and a place for messages. */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_LOST_FILES_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_LOST_FILES_H

#include <btrkit/missing.h>

#include "kernel-shared/fs/fs.h"

int fs_for_each_lost_file(struct btrkit_fs *fs, btrkit_lost_file_fn fn, void *arg, struct diag *d);

#endif
