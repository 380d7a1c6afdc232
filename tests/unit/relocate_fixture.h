/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests of relocation: a filesystem in which no two sectors are alike, so that whatever lands in a wrong place is
 * found, and the states that it goes through. A state is the base's devices and a log of what was written over them
 * since; it is opened as often as wanted, and what is then written makes the next state. Include after cmocka.h.
 */
#ifndef BTRKIT_TESTS_UNIT_RELOCATE_FIXTURE_H
#define BTRKIT_TESTS_UNIT_RELOCATE_FIXTURE_H

#include "check/check.h"
#include "kernel-shared/device/fault_device.h"
#include "kernel-shared/relocate/relocate.h"
#include "tests/unit/layered_fs.h"

#ifndef RELOCATE_FILES
#define RELOCATE_FILES 12
#endif
#define RELOCATE_FILE_BYTES_MAX (1600 * KIB)

struct relocate_state {
	struct txn_fixture base;
	struct record_log log;
	struct fault_list faults; /* cannot be read */
	bool is_missing[TXN_DEVICES_MAX];
	unsigned nr_notes;
};

static inline void must(int err, const struct diag *d)
{
	if (err)
		fail_msg("%s", d->text);
}

/* --- Content ---------------------------------------- */

static inline size_t relocate_file_bytes(unsigned file)
{
	return (size_t)(3000 + file * 4099U) << file % 6;
}

static inline void relocate_fill(u8 *bytes, size_t len, unsigned file)
{
	u64 state = file + 1;

	for (size_t at = 0; at < len; at++) {
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		bytes[at] = (u8)(state >> 56);
	}
}

/* @has_unsummed: every third file is without checksums. */
static inline struct btrkit_content *relocate_content(bool has_unsummed)
{
	struct btrkit_content *content;

	assert_int_equal(btrkit_content_new(&content), 0);
	for (unsigned i = 0; i < RELOCATE_FILES; i++) {
		const struct btrkit_node_attr attr = {
			.mode = S_IFREG | 0644, .inode_flags = has_unsummed && i % 3 == 1 ? BTRKIT_INODE_NODATASUM : 0
		};
		u8 *bytes = malloc(RELOCATE_FILE_BYTES_MAX);
		btrkit_node node;
		char name[16];

		assert_true(relocate_file_bytes(i) <= RELOCATE_FILE_BYTES_MAX);
		relocate_fill(bytes, relocate_file_bytes(i), i);
		snprintf(name, sizeof(name), "file-%u", i);
		assert_int_equal(btrkit_content_add(content, BTRKIT_TOP_NODE, name, strlen(name), &attr, &node, NULL),
				 0);
		assert_int_equal(btrkit_content_set_data(content, node, bytes, relocate_file_bytes(i), 0, NULL), 0);
		free(bytes);
	}
	return content;
}

static inline void assert_content(struct btrkit_fs *fs, const char *what)
{
	static u8 want[RELOCATE_FILE_BYTES_MAX], got[RELOCATE_FILE_BYTES_MAX];
	struct btrkit_error error;

	for (unsigned i = 0; i < RELOCATE_FILES; i++) {
		struct btrkit_inode inode;
		struct btrkit_file *file;
		char name[16];
		size_t len;

		snprintf(name, sizeof(name), "/file-%u", i);
		relocate_fill(want, relocate_file_bytes(i), i);
		if (btrkit_lookup(fs, NULL, name, &inode, &error) != 0)
			fail_msg("%s: %s: %s", what, name, error.text);
		if (btrkit_file_open(fs, &inode, &file, &error) != 0)
			fail_msg("%s: %s: %s", what, name, error.text);
		if (btrkit_file_read(file, 0, got, sizeof(got), &len, &error) != 0)
			fail_msg("%s: %s: %s", what, name, error.text);
		if (len != relocate_file_bytes(i) || memcmp(got, want, len) != 0)
			fail_msg("%s: %s is another one", what, name);
		btrkit_file_close(file);
	}
}

/* --- States ---------------------------------------- */

static inline void state_make(struct relocate_state *s, const struct txn_shape *shape, bool has_unsummed)
{
	*s = (struct relocate_state){ 0 };
	record_log_init(&s->log);
	txn_fixture_make_of(&s->base, shape, relocate_content(has_unsummed));
	txn_fixture_close(&s->base);
}

/* The state as it was made. */
static inline void state_reset(struct relocate_state *s)
{
	record_log_done(&s->log);
	s->log = (struct record_log){ 0 };
	record_log_init(&s->log);
	s->faults.faults.len = 0;
	memset(s->is_missing, 0, sizeof(s->is_missing));
	s->nr_notes = 0;
}

static inline void state_done(struct relocate_state *s)
{
	record_log_done(&s->log);
	array_done(&s->faults.faults);
	txn_fixture_done(&s->base);
}

/* As layered_open(), but of those that are there. */
static inline struct btrkit_fs *state_open_devices(struct relocate_state *s, struct blockdev *devices[TXN_DEVICES_MAX])
{
	const struct fs_options options = { 0 };
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };
	u64 newest = 0;

	assert_int_equal(device_set_new(&set), 0);
	for (unsigned i = 0; i < s->base.nr_devices; i++) {
		struct super_choice choice;
		struct device device;

		if (s->is_missing[i]) {
			blockdev_close(devices[i]);
			continue;
		}
		must(super_read(devices[i], -1, &choice, &d), &d);
		device = device_of_super(&choice.super, devices[i]);
		assert_int_equal(device_set_add(set, &device, NULL), 0);
		if (le64_get(choice.super.generation) >= newest) {
			newest = le64_get(choice.super.generation);
			set->super = choice.super;
			set->super_device = set->devices.len - 1;
			set->super_mirror = choice.mirror;
		}
	}
	must(fs_open_devices(set, &options, &fs, &d), &d);
	return fs;
}

/* The first @nr_records of what was written; of what was not flushed, what @choose wants. Nothing is recorded. */
static inline struct btrkit_fs *state_look(struct relocate_state *s, size_t nr_records, bool (*choose)(void *, size_t),
					   void *ctx)
{
	struct blockdev *devices[TXN_DEVICES_MAX];

	layered_devices(&s->base, NULL, devices);
	assert_int_equal(record_log_replay(&s->log, nr_records, devices, choose, ctx, NULL), 0);
	return state_open_devices(s, devices);
}

/* What is written goes into the log. With @is_changed the filesystem's transaction has begun. */
static inline struct btrkit_fs *state_open(struct relocate_state *s, bool is_changed)
{
	struct blockdev *devices[TXN_DEVICES_MAX];
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	layered_devices(&s->base, NULL, devices);
	assert_int_equal(record_log_replay(&s->log, SIZE_MAX, devices, NULL, NULL, NULL), 0);
	for (unsigned i = 0; i < s->base.nr_devices; i++) {
		assert_int_equal(fault_device_new(devices[i], &s->faults, i, &devices[i]), 0);
		assert_int_equal(record_device_new(devices[i], &s->log, i, &devices[i]), 0);
	}
	fs = state_open_devices(s, devices);
	for (unsigned i = 0; i < s->base.nr_devices; i++)
		fs->may_be_degraded |= s->is_missing[i];
	if (is_changed)
		must(fs_begin_changes(fs, false, &d), &d);
	return fs;
}

/* --- Judging ---------------------------------------- */

/* What is not looked for: superblocks of several devices that are not the same; devices that are missing. */
#define JUDGE_NO_SUPERS 1U
#define JUDGE_DEGRADED 2U

struct state_judge {
	const char *what;
	unsigned left_out, nr_problems;
};

static inline int state_count_problem(void *arg, const struct btrkit_problem *problem)
{
	struct state_judge *judge = arg;

	if (problem->kind->severity < BTRKIT_PROBLEM_WARNING ||
	    ((judge->left_out & JUDGE_NO_SUPERS) && (strcmp(problem->kind->code, "super-generation-differs") == 0 ||
						     strcmp(problem->kind->code, "super-copy-missing") == 0 ||
						     strcmp(problem->kind->code, "super-copy-differs") == 0 ||
						     strcmp(problem->kind->code, "device-items-differ") == 0)) ||
	    ((judge->left_out & JUDGE_DEGRADED) && strcmp(problem->kind->code, "device-missing") == 0))
		return 0;
	fprintf(stderr, "%s: %s: %s\n", judge->what, problem->kind->code, problem->text);
	judge->nr_problems++;
	return 0;
}

/* Sound, every copy of everything, and with the right content. @fs is taken over. */
static inline void assert_sound(struct btrkit_fs *fs, const char *what, unsigned left_out)
{
	struct state_judge judge = { what, left_out, 0 };
	struct btrkit_check_options options;
	struct btrkit_check_result result = { 0 };
	struct diag d = { 0 };

	assert_content(fs, what);
	btrkit_check_options_init(&options);
	options.threads = 1;
	options.do_data = true;
	if (check_run(fs, &options, state_count_problem, &judge, &result, &d) != 0)
		fail_msg("%s: %s", what, d.text);
	if (judge.nr_problems)
		fail_msg("%s: problems were found", what);
}

static inline void assert_state(struct relocate_state *s, const char *what)
{
	assert_sound(state_look(s, SIZE_MAX, NULL, NULL), what, 0);
}

/* --- Work ---------------------------------------- */

static inline void count_note(void *arg, enum diag_severity severity, const char *text)
{
	struct relocate_state *s = arg;

	(void)severity;
	if (getenv("BTRKIT_SHOW_NOTES"))
		fprintf(stderr, "%s\n", text);
	__atomic_fetch_add(&s->nr_notes, 1, __ATOMIC_RELAXED);
}

static inline size_t all_chunks(const struct btrkit_fs *fs, u64 *ret_logical, size_t cap)
{
	size_t nr = chunk_map_count(fs->volume->chunks);

	assert_true(nr <= cap);
	for (size_t i = 0; i < nr; i++)
		ret_logical[i] = chunk_map_at(fs->volume->chunks, i)->logical;
	return nr;
}

/*
 * Every chunk of @types becomes @profile, but for those whose length does not divide; *ret_nr, unless NULL: how many
 * did. The first failure is returned.
 */
static inline int convert_chunks(struct relocate_state *s, struct btrkit_fs *fs, u64 types, u64 profile, bool may_keep,
				 unsigned *ret_nr, struct diag *d)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;
	struct relocate relocate = { .fs = fs };
	u64 logical[64];
	size_t nr = all_chunks(fs, logical, ARRAY_LEN(logical));
	unsigned nr_done = 0;
	int err = 0;

	d->note = count_note;
	d->note_arg = s;
	/* One thread: what happens is the same each time. */
	if (pool_new(s->log.fail_at || !ret_nr ? 1 : 2, NULL, &pool) != 0)
		return -ENOMEM;
	relocate.pool = pool;
	for (u64 type = 1; type <= BLOCK_GROUP_METADATA; type *= 2)
		txn_set_profile(fs->txn, type, profile);
	for (size_t i = 0; i < nr && !err; i++) {
		const struct chunk *chunk = chunk_map_find(fs->volume->chunks, logical[i]);
		struct relocate_step step = { 0 };

		if (!(chunk->type & types))
			continue;
		err = relocate_plan(&relocate, logical[i], profile, may_keep, &step, d);
		if (!err && step.way == RELOCATE_EXTENTS && getenv("BTRKIT_SHOW_NOTES"))
			fprintf(stderr, "chunk %llu: %llu bytes of %s do not suit\n", (unsigned long long)logical[i],
				(unsigned long long)chunk->length, chunk->profile->name);
		if (!err && step.way != RELOCATE_EXTENTS) {
			relocate_step_done(&step);
			err = relocate_group(&relocate, logical[i], profile, may_keep, &step, d);
			nr_done += !err;
		}
		relocate_step_done(&step);
	}
	if (ret_nr)
		*ret_nr = nr_done;
	return err;
}

#define ALL_TYPES ((u64)BLOCK_GROUP_TYPE_MASK)

#endif
