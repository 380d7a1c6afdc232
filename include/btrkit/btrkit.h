/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libbtrkit: Btrfs filesystems offline, in user space. This header brings all of it; each topic has its own.
 *
 * The library prints nothing, never ends the process, installs no signal handlers and has no global state: any number
 * of filesystems may be open, each used by any number of threads where its header says so.
 */
#ifndef BTRKIT_BTRKIT_H
#define BTRKIT_BTRKIT_H

#include <btrkit/check.h>
#include <btrkit/content.h>
#include <btrkit/convert.h>
#include <btrkit/device.h>
#include <btrkit/edit.h>
#include <btrkit/error.h>
#include <btrkit/extents.h>
#include <btrkit/file.h>
#include <btrkit/fs.h>
#include <btrkit/inspect.h>
#include <btrkit/job.h>
#include <btrkit/journal.h>
#include <btrkit/log.h>
#include <btrkit/missing.h>
#include <btrkit/mkfs.h>
#include <btrkit/restripe.h>
#include <btrkit/source.h>
#include <btrkit/subvol.h>
#include <btrkit/time.h>
#include <btrkit/version.h>

#endif
