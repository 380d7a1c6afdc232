/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests of what is done to whole filesystems by path: a folder with the devices, and one with what they are to be again for
 * each try. Include after cmocka.h.
 */
#ifndef BTRKIT_TESTS_UNIT_RESHAPE_FIXTURE_H
#define BTRKIT_TESTS_UNIT_RESHAPE_FIXTURE_H

#include <btrkit/missing.h>
#include <btrkit/restripe.h>

#ifndef RELOCATE_FILES
#define RELOCATE_FILES 6
#endif
#include "tests/unit/failing_files.h"
#include "tests/unit/failing_malloc.h"
#include "tests/unit/relocate_fixture.h"

#define RESHAPE_FILES_MAX (TXN_DEVICES_MAX + 2)

struct reshape_case;

struct reshape {
	const struct reshape_case *is;
	char folder[64], saved[64];
	char paths[RESHAPE_FILES_MAX][96]; /* devices, then files that are to become some */
	const char *path_list[RESHAPE_FILES_MAX];
	unsigned nr_devices, nr_files;
	unsigned first; /* has a superblock: it is opened by that one */
	bool is_gone[RESHAPE_FILES_MAX]; /* not there when it begins */
	unsigned nr_warnings;
	bool is_damaged; /* copies on one device were spoilt: until it is done, only content is judged */
};

struct reshape_case {
	const char *name;
	struct txn_shape shape;
	u64 new_bytes; /* of a further file; 0: there is none */
	void (*prepare)(struct reshape *r); /* what comes before; may be NULL */
	int (*work)(struct reshape *r, struct btrkit_error *error);
	int (*again)(struct reshape *r, struct btrkit_error *error); /* after an interruption; NULL: the same. 0: it is done */
	bool (*is_done)(struct reshape *r, struct btrkit_fs *fs);
	unsigned first; /* whose superblock to begin with, where it has one */
	unsigned untouched; /* files, as bits, that are never written to */
	bool may_warn; /* what comes after the end, of devices and space that are no longer needed, may fail: it is warned of */
	bool has_all_csums; /* else there are files without checksums, too */
};

/* --- Files ---------------------------------------- */

/* Only what is not a hole. */
static inline void reshape_copy(const char *from, const char *to)
{
	static u8 bytes[MIB];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;

	assert_true(in >= 0 && out >= 0);
	assert_int_equal(fstat(in, &st), 0);
	assert_int_equal(syscall(SYS_ftruncate, out, 0), 0);
	assert_int_equal(syscall(SYS_ftruncate, out, st.st_size), 0);
	for (off_t at = lseek(in, 0, SEEK_DATA); at >= 0; at = lseek(in, at, SEEK_DATA)) {
		off_t end = lseek(in, at, SEEK_HOLE);

		for (ssize_t len; at < end; at += len) {
			len = syscall(SYS_pread64, in, bytes, MIN((size_t)(end - at), sizeof(bytes)), at);
			assert_true(len > 0);
			assert_int_equal(syscall(SYS_pwrite64, out, bytes, len, at), len);
		}
	}
	close(in);
	close(out);
}

static inline void reshape_saved_path(const struct reshape *r, unsigned i, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%s/%u", r->saved, i);
}

static inline bool reshape_has_super(const struct reshape *r, unsigned i)
{
	struct super_choice choice;
	struct blockdev *dev;
	bool has_one;

	if (file_device_open(r->paths[i], 0, 0, 0, &dev, NULL) != 0)
		return false;
	has_one = super_read(dev, -1, &choice, NULL) == 0;
	blockdev_close(dev);
	return has_one;
}

/* Which one to begin with: before something fails. */
static inline void reshape_choose_first(struct reshape *r)
{
	for (unsigned n = 0; n < r->nr_files; n++) {
		unsigned i = (r->is->first + n) % r->nr_files;

		r->first = i;
		if (reshape_has_super(r, i))
			return;
	}
	fail_msg("%s: no superblock is left", r->is->name);
}

/* As it was before. */
static inline void reshape_reset(struct reshape *r)
{
	char saved[96];

	for (unsigned i = 0; i < r->nr_files; i++) {
		reshape_saved_path(r, i, saved, sizeof(saved));
		if (!r->is_gone[i])
			reshape_copy(saved, r->paths[i]);
	}
	reshape_choose_first(r);
}

/* What there is now is what there is at the beginning. */
static inline void reshape_save(struct reshape *r)
{
	char saved[96];

	for (unsigned i = 0; i < r->nr_files; i++) {
		reshape_saved_path(r, i, saved, sizeof(saved));
		if (r->is_gone[i]) {
			unlink(r->paths[i]);
			continue;
		}
		reshape_copy(r->paths[i], saved);
		failing_files_add(i, r->paths[i]);
	}
	failing_files.untouched = r->is->untouched;
}

static inline void reshape_make(struct reshape *r, const struct reshape_case *is)
{
	const char *tmp = getenv("TMPDIR");
	struct relocate_state made;

	*r = (struct reshape){ .is = is, .nr_devices = is->shape.nr_devices };
	r->nr_files = r->nr_devices + (is->new_bytes != 0);
	failing_files_forget();
	snprintf(r->folder, sizeof(r->folder), "%s/btrkit-reshape-XXXXXX", tmp ? tmp : "/tmp");
	snprintf(r->saved, sizeof(r->saved), "%s/btrkit-reshape-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(r->folder));
	assert_non_null(mkdtemp(r->saved));
	state_make(&made, &is->shape, !is->has_all_csums);
	for (unsigned i = 0; i < r->nr_files; i++) {
		snprintf(r->paths[i], sizeof(r->paths[i]), "%s/d%u", r->folder, i + 1);
		r->path_list[i] = r->paths[i];
		if (i < r->nr_devices) {
			assert_int_equal(rename(made.base.paths[i], r->paths[i]), 0);
		} else {
			int fd = open(r->paths[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600);

			assert_true(fd >= 0);
			assert_int_equal(ftruncate(fd, (off_t)is->new_bytes), 0);
			close(fd);
		}
	}
	state_done(&made);
	if (is->prepare)
		is->prepare(r);
	reshape_save(r);
	reshape_choose_first(r);
}

static inline void reshape_done(struct reshape *r)
{
	char saved[96];

	for (unsigned i = 0; i < r->nr_files; i++) {
		reshape_saved_path(r, i, saved, sizeof(saved));
		unlink(saved);
		unlink(r->paths[i]);
	}
	assert_int_equal(rmdir(r->saved), 0);
	assert_int_equal(rmdir(r->folder), 0);
}

/* --- Opening and judging ---------------------------------------- */

static inline void reshape_note(void *arg, enum btrkit_severity severity, const char *text)
{
	struct reshape *r = arg;

	r->nr_warnings += severity >= BTRKIT_WARNING && text[0];
}

static inline struct btrkit_open_options reshape_open_options(struct reshape *r)
{
	struct btrkit_open_options options;

	btrkit_open_options_init(&options);
	options.no_device_scan = true;
	options.scan_dir = r->folder;
	options.note = reshape_note;
	options.note_arg = r;
	return options;
}

static inline struct btrkit_fs *reshape_open(struct reshape *r, const char *what)
{
	struct btrkit_open_options options = reshape_open_options(r);
	struct btrkit_error error;
	struct btrkit_fs *fs;
	const char *path;

	reshape_choose_first(r);
	path = r->paths[r->first];
	options.may_be_degraded = true;
	if (btrkit_fs_open(&path, 1, &options, &fs, &error) != 0)
		fail_msg("%s: %s", what, error.text);
	return fs;
}

static inline bool reshape_is_done(struct reshape *r, const char *what)
{
	struct btrkit_fs *fs = reshape_open(r, what);
	bool is_done = r->is->is_done(r, fs);

	btrkit_fs_close(fs);
	return is_done;
}

/* Sound in the middle of it, or, when it @is_over, in all. */
static inline void reshape_judge(struct reshape *r, const char *what, bool is_over)
{
	unsigned left_out = is_over ? 0 : JUDGE_NO_SUPERS | JUDGE_DEGRADED;
	struct btrkit_fs *fs = reshape_open(r, what);

	if (r->is_damaged && !is_over) {
		assert_content(fs, what);
		btrkit_fs_close(fs);
		return;
	}
	assert_sound(fs, what, left_out);
}

/* --- Faults ---------------------------------------- */

struct reshape_counts {
	unsigned nr_told, nr_overcome; /* failures that ended it, and others */
	unsigned nr_begun; /* of those that ended it: something had been written */
	unsigned nr_complete; /* of those that ended it: all was done */
};

static inline int reshape_work(struct reshape *r, bool is_again, struct btrkit_error *error)
{
	memset(error, 0, sizeof(*error));
	return is_again && r->is->again ? r->is->again(r, error) : r->is->work(r, error);
}

/* Once, with nothing that fails. Returns the number of operations. */
static inline unsigned long reshape_undisturbed(struct reshape *r)
{
	struct btrkit_error error;

	assert_false(reshape_is_done(r, r->is->name));
	failing_files_begin(0, FAIL_ONCE);
	if (reshape_work(r, false, &error) != 0)
		fail_msg("%s: %s", r->is->name, error.text);
	assert_false(failing_files.was_touched);
	reshape_judge(r, r->is->name, true);
	assert_true(reshape_is_done(r, r->is->name));
	return failing_files.nr_operations;
}

/* It has been told of: what there is is sound, and the same comes to its end. */
static inline void reshape_go_on(struct reshape *r, const char *what, struct reshape_counts *counts)
{
	struct btrkit_error error;
	bool was_done;

	assert_false(failing_files.was_touched);
	reshape_judge(r, what, false);
	was_done = reshape_is_done(r, what);
	counts->nr_complete += was_done;
	if (reshape_work(r, true, &error) != 0)
		fail_msg("%s: again: %s", what, error.text);
	/* Nothing more may have been written: then superblocks are as they were left. */
	reshape_judge(r, what, !was_done);
	if (!reshape_is_done(r, what))
		fail_msg("%s: it does not come to its end", what);
}

static inline void reshape_fail_once(struct reshape *r, unsigned long at, enum failing_mode mode,
				     struct reshape_counts *counts)
{
	static const char *const modes[] = { "one fails", "all fail", "no room" };
	struct btrkit_error error;
	unsigned failed;
	char what[96];
	int err;

	snprintf(what, sizeof(what), "%s: operation %lu: %s", r->is->name, at, modes[mode]);
	reshape_reset(r);
	r->nr_warnings = 0;
	failing_files_begin(at, mode);
	err = reshape_work(r, false, &error);
	if (!failing_files_end()) {
		/* With room for writes it is not disturbed. */
		if (err)
			fail_msg("%s: %s", what, error.text);
		return;
	}
	failed = failing_files.failed_kinds;
	if (err == 0) {
		/* What could not be read was read elsewhere; nothing else may be passed over without a word. */
		if ((mode != FAIL_ONCE || failed != 1U << FAILING_READ) && !(r->is->may_warn && r->nr_warnings))
			fail_msg("%s: a success", what);
		counts->nr_overcome++;
		reshape_judge(r, what, true);
		assert_true(reshape_is_done(r, what));
		return;
	}
	if (!error.text[0])
		fail_msg("%s: not a word, but %i", what, err);
	counts->nr_told++;
	reshape_go_on(r, what, counts);
}

/* BTRKIT_CASE: only that one. */
static inline bool reshape_is_chosen(const struct reshape_case *is)
{
	const char *name = getenv("BTRKIT_CASE");

	return !name || strcmp(name, is->name) == 0;
}

/* @wanted of each kind, or, with BTRKIT_LONG, all. */
static inline void reshape_fail(const struct reshape_case *cases, size_t nr, unsigned wanted)
{
	struct reshape_counts counts = { 0 };
	unsigned long nr_operations = 0;

	for (size_t c = 0; c < nr; c++) {
		struct reshape r;
		unsigned long end, step;
		unsigned n = 0;

		if (!reshape_is_chosen(&cases[c]))
			continue;
		reshape_make(&r, &cases[c]);
		end = reshape_undisturbed(&r);
		nr_operations += end;
		step = getenv("BTRKIT_LONG") ? 1 : 1 + end / wanted;
		for (unsigned long at = 1 + c % step; at <= end; at += step, n++)
			for (unsigned mode = 0; mode < FAIL_MODES; mode++)
				if (getenv("BTRKIT_LONG") || mode == (n + c) % FAIL_MODES)
					reshape_fail_once(&r, at, mode, &counts);
		reshape_done(&r);
	}
	print_message("%u failures of devices in %zu changes of %lu operations: %u told of, %u of these after the end, %u overcome\n",
		      counts.nr_told + counts.nr_overcome, nr, nr_operations, counts.nr_told, counts.nr_complete,
		      counts.nr_overcome);
	assert_true(counts.nr_told > 0);
}

static inline void reshape_refuse_memory(const struct reshape_case *cases, size_t nr, unsigned wanted)
{
	struct reshape_counts counts = { 0 };
	unsigned long nr_allocations = 0;

	if (!can_fail_malloc) {
		print_message("[  SKIPPED ] the allocator of this build cannot be made to fail\n");
		skip();
	}
	for (size_t c = 0; c < nr; c++) {
		struct btrkit_error error;
		unsigned long end, step;
		struct reshape r;

		if (!reshape_is_chosen(&cases[c]))
			continue;
		reshape_make(&r, &cases[c]);
		nr_mallocs = 0;
		assert_int_equal(reshape_work(&r, false, &error), 0);
		end = nr_mallocs;
		nr_allocations += end;
		step = getenv("BTRKIT_LONG") ? 1 : 1 + end / wanted;
		for (unsigned long at = 1 + c % step; at <= end; at += step) {
			char what[96];
			int err;

			snprintf(what, sizeof(what), "%s: allocation %lu", r.is->name, at);
			reshape_reset(&r);
			failing_files_begin(0, FAIL_ONCE);
			fail_malloc_at = at;
			err = reshape_work(&r, false, &error);
			fail_malloc_at = 0;
			if (err == 0) {
				counts.nr_overcome++;
				reshape_judge(&r, what, true);
				assert_true(reshape_is_done(&r, what));
				continue;
			}
			if (err != -ENOMEM || !error.text[0])
				fail_msg("%s: %i: %s", what, err, error.text);
			counts.nr_told++;
			reshape_go_on(&r, what, &counts);
		}
		reshape_done(&r);
	}
	print_message("%u of %lu allocations refused in %zu changes: %u told of, %u of these after the end, %u overcome\n",
		      counts.nr_told + counts.nr_overcome, nr_allocations, nr, counts.nr_told, counts.nr_complete,
		      counts.nr_overcome);
	assert_true(counts.nr_told > 0);
}

/* --- Power cuts ---------------------------------------- */

#define CUT_UNIT 4096

/* What stays of what was not flushed. */
enum cut_kind { CUT_ALL, CUT_NONE, CUT_SOME, CUT_KINDS };

static inline bool cut_chance(size_t record, size_t unit)
{
	u32 n = (u32)record * 2654435761U + (u32)unit * 40503U;

	return (n ^ n >> 13) >> 7 & 1;
}

static inline void cut_apply(const struct reshape *r, const struct file_record *record, size_t number, bool is_some)
{
	int fd = open(r->paths[record->file], O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	if (record->kind == FILE_SIZE && !(is_some && cut_chance(number, 0)))
		assert_int_equal(syscall(SYS_ftruncate, fd, record->offset), 0);
	if (record->kind == FILE_HOLE && !(is_some && cut_chance(number, 0)))
		assert_int_equal(syscall(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, record->offset, record->len),
				 0);
	for (size_t at = 0; record->kind == FILE_WRITE && at < record->len; at += CUT_UNIT) {
		size_t len = MIN(record->len - at, (size_t)CUT_UNIT);

		if (!(is_some && cut_chance(number, at / CUT_UNIT)))
			assert_int_equal(syscall(SYS_pwrite64, fd, record->bytes + at, len, record->offset + (off_t)at), len);
	}
	close(fd);
}

/* The power goes after the first @nr records. */
static inline void reshape_cut(struct reshape *r, size_t nr, enum cut_kind kind, struct reshape_counts *counts)
{
	static const char *const kinds[] = { "all", "nothing", "some" };
	char what[96];

	reshape_reset(r);
	for (size_t i = 0; i < nr; i++) {
		bool is_flushed = kind == CUT_ALL || file_record_is_flushed(i, nr);

		if (is_flushed || kind == CUT_SOME)
			cut_apply(r, &failing_files.records[i], i, !is_flushed);
	}
	/* The devices are those of the record: there is no other one to begin with. */
	reshape_choose_first(r);
	failing_files_begin(0, FAIL_ONCE);
	snprintf(what, sizeof(what), "%s: cut after %zu, with %s of what was not flushed", r->is->name, nr, kinds[kind]);
	counts->nr_told++;
	reshape_go_on(r, what, counts);
}

static inline bool cut_is_near_super(size_t nr)
{
	for (size_t i = nr ? nr - 1 : 0; i < MIN(nr + 1, failing_files.nr_records); i++)
		if (failing_files.records[i].kind == FILE_WRITE &&
		    (u64)failing_files.records[i].offset == super_mirror_physical(0))
			return true;
	return false;
}

/* About @wanted moments of each, half of them where superblocks are written; or, with BTRKIT_LONG, all. */
static inline void reshape_cut_power(const struct reshape_case *cases, size_t nr, unsigned wanted)
{
	struct reshape_counts counts = { 0 };
	size_t nr_records = 0;

	for (size_t c = 0; c < nr; c++) {
		struct reshape r;
		size_t end, nr_near = 0, far = 0, near = 0;

		if (!reshape_is_chosen(&cases[c]))
			continue;
		reshape_make(&r, &cases[c]);
		failing_files.is_recording = true;
		(void)reshape_undisturbed(&r);
		failing_files.is_recording = false;
		end = failing_files.nr_records;
		nr_records += end;
		for (size_t n = 0; n <= end; n++)
			nr_near += cut_is_near_super(n);
		for (size_t n = 0; n <= end; n++) {
			bool is_near = cut_is_near_super(n);
			size_t number = is_near ? near++ : far++, of = is_near ? nr_near : end + 1 - nr_near;
			enum cut_kind kind = (enum cut_kind)((number + c) % CUT_KINDS);

			for (enum cut_kind k = 0; k < CUT_KINDS && getenv("BTRKIT_LONG"); k++)
				reshape_cut(&r, n, k, &counts);
			if (!getenv("BTRKIT_LONG") && number % (1 + 2 * of / wanted) == 0)
				reshape_cut(&r, n, kind, &counts);
		}
		file_records_clear();
		reshape_done(&r);
	}
	print_message("%u power cuts in %zu changes of %zu writes and flushes: all whole, and %u of them complete\n", counts.nr_told, nr,
		      nr_records, counts.nr_complete);
	assert_true(getenv("BTRKIT_CASE") || (counts.nr_complete > 0 && counts.nr_complete < counts.nr_told));
}

#endif
