/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands of the multi-call program. Each gets its own argv, with argv[0] its name, and returns an exit status. */
#ifndef BTRKIT_CMDS_CMDS_H
#define BTRKIT_CMDS_CMDS_H

int cmd_mkfs(int argc, char **argv);

struct option_table;
/* The options of each command, for completion. */
extern const struct option_table mkfs_option_table;

#endif
