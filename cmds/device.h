/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the commands about devices. */
#ifndef BTRKIT_CMDS_DEVICE_H
#define BTRKIT_CMDS_DEVICE_H

#include <btrkit/device.h>

#include "cmds/open.h"

#endif
