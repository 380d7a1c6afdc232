/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands of the multi-call program. Each gets its own argv, with argv[0] its name, and returns an exit status. */
#ifndef BTRKIT_CMDS_CMDS_H
#define BTRKIT_CMDS_CMDS_H

int cmd_mkfs(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_fsck(int argc, char **argv);
/* The same as cmd_check(), with progress in the lines of fsck(8) on @progress_fd, unless that is 0. */
int check_for_fsck(int argc, char **argv, int progress_fd);
int cmd_ls(int argc, char **argv);
int cmd_cat(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_edit(int argc, char **argv); /* the one that argv[0] names */
int cmd_edit_batch(int argc, char **argv);
int cmd_device_add(int argc, char **argv);
int cmd_device_fix_size(int argc, char **argv);
int cmd_device_list(int argc, char **argv);
int cmd_device_lost(int argc, char **argv);
int cmd_device_remove(int argc, char **argv);
int cmd_device_replace(int argc, char **argv);
int cmd_device_resize(int argc, char **argv);
int cmd_device_seed(int argc, char **argv);
int cmd_device_sprout(int argc, char **argv);
int cmd_device_usage(int argc, char **argv);
int cmd_inspect_chunks(int argc, char **argv);
int cmd_inspect_journal(int argc, char **argv);
int cmd_inspect_summary(int argc, char **argv);
int cmd_inspect_super(int argc, char **argv);
int cmd_inspect_tree(int argc, char **argv);
int cmd_journal_list(int argc, char **argv);
int cmd_journal_verify(int argc, char **argv);
int cmd_log_clear(int argc, char **argv);
int cmd_log_export(int argc, char **argv);
int cmd_log_replay(int argc, char **argv);
int cmd_log_show(int argc, char **argv);
int cmd_restripe_cancel(int argc, char **argv);
int cmd_restripe_pause(int argc, char **argv);
int cmd_restripe_resume(int argc, char **argv);
int cmd_restripe_start(int argc, char **argv);
int cmd_restripe_status(int argc, char **argv);

struct option_table;
/* The options of each command, for completion. */
extern const struct option_table mkfs_option_table;
extern const struct option_table check_option_table;
extern const struct option_table convert_option_table;
extern const struct option_table fsck_option_table;
extern const struct option_table ls_option_table;
extern const struct option_table cat_option_table;
extern const struct option_table restore_option_table;
extern const struct option_table edit_put_option_table;
extern const struct option_table edit_get_option_table;
extern const struct option_table edit_rm_option_table;
extern const struct option_table edit_rmdir_option_table;
extern const struct option_table edit_mv_option_table;
extern const struct option_table edit_cp_option_table;
extern const struct option_table edit_mkdir_option_table;
extern const struct option_table edit_mknod_option_table;
extern const struct option_table edit_ln_option_table;
extern const struct option_table edit_symlink_option_table;
extern const struct option_table edit_touch_option_table;
extern const struct option_table edit_truncate_option_table;
extern const struct option_table edit_chmod_option_table;
extern const struct option_table edit_chown_option_table;
extern const struct option_table edit_setxattr_option_table;
extern const struct option_table edit_rmxattr_option_table;
extern const struct option_table edit_subvol_option_table;
extern const struct option_table edit_snapshot_option_table;
extern const struct option_table edit_label_option_table;
extern const struct option_table edit_batch_option_table;
extern const struct option_table device_add_option_table;
extern const struct option_table device_fix_size_option_table;
extern const struct option_table device_list_option_table;
extern const struct option_table device_lost_option_table;
extern const struct option_table device_remove_option_table;
extern const struct option_table device_replace_option_table;
extern const struct option_table device_resize_option_table;
extern const struct option_table device_seed_option_table;
extern const struct option_table device_sprout_option_table;
extern const struct option_table device_usage_option_table;
extern const struct option_table inspect_chunks_option_table;
extern const struct option_table inspect_journal_option_table;
extern const struct option_table inspect_summary_option_table;
extern const struct option_table inspect_super_option_table;
extern const struct option_table inspect_tree_option_table;
extern const struct option_table journal_list_option_table;
extern const struct option_table journal_verify_option_table;
extern const struct option_table log_clear_option_table;
extern const struct option_table log_export_option_table;
extern const struct option_table log_replay_option_table;
extern const struct option_table log_show_option_table;
extern const struct option_table restripe_cancel_option_table;
extern const struct option_table restripe_pause_option_table;
extern const struct option_table restripe_resume_option_table;
extern const struct option_table restripe_start_option_table;
extern const struct option_table restripe_status_option_table;

#endif
