/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs of any kind are replayed in memory, and what comes of it is checked. */
#ifndef BTRKIT_TESTS_FUZZ_REPLAY_JUDGE_H
#define BTRKIT_TESTS_FUZZ_REPLAY_JUDGE_H

#include "kernel-shared/fs/fs.h"

/* Put overlays over all devices of @set. */
void replay_overlay(struct device_set *set);

/*
 * Replay the log of @fs, which is taken over and whose devices are under overlays: with @do_skip_bad whatever it has lost. Nothing
 * may be written unless it succeeds; and if @is_sound, what was a sound filesystem without its log must be one with it. Whether it
 * was replayed.
 */
bool replay_and_judge(struct btrkit_fs *fs, bool do_skip_bad, bool is_sound);

#endif
