/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Filesystems with little room, or none at all, are reshaped by path: it is done, or refused, with how much there is or would have to
 * be, and what there is is sound with the same content. BTRKIT_LONG: filled to more levels.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/reshape_fixture.h"

#define DEVICE_BYTES (256 * MIB)

#define SHAPE(profile, nr) { "reshape-full", 4096, profile, profile, nr, DEVICE_BYTES, NULL, false }

/* --- Filling ---------------------------------------- */

static unsigned fill_percent; /* of what can be had */

/* Takes space in pieces, and gives some of it back. The pieces are reserved and not written. */
static void fill(struct reshape *r)
{
	static const struct btrkit_node_attr attr = { .mode = S_IFREG | 0600 };
	struct btrkit_open_options options = reshape_open_options(r);
	struct btrkit_inode files[64];
	struct btrkit_edit *edit;
	struct btrkit_error error;
	struct btrkit_fs *fs;
	u64 bytes = 6 * MIB;
	unsigned nr = 0;
	char name[16];

	options.is_writable = true;
	AGE(btrkit_fs_open(r->path_list, r->nr_devices, &options, &fs, &error));
	AGE(btrkit_edit_new(fs, NULL, &edit, &error));
	for (; nr < ARRAY_LEN(files) && bytes >= 64 * KIB; nr++) {
		int len = snprintf(name, sizeof(name), "fill-%u", nr);
		int err = 0;

		AGE(btrkit_edit_create(edit, &BTRKIT_INODE_TOP, name, (size_t)len, &attr, &files[nr], &error));
		for (u64 at = 0; at < 2 * bytes && !err; at += bytes)
			err = btrkit_edit_preallocate(edit, &files[nr], at, bytes, false, &error);
		assert_true(err == 0 || err == -ENOSPC);
		AGE(btrkit_edit_commit(edit, &error));
		if (err)
			bytes /= 4;
	}
	for (unsigned i = 0; i < nr; i++)
		if (i * 100 / nr >= fill_percent) {
			int len = snprintf(name, sizeof(name), "fill-%u", i);

			AGE(btrkit_edit_unlink(edit, &BTRKIT_INODE_TOP, name, (size_t)len, &error));
		}
	AGE(btrkit_edit_commit(edit, &error));
	btrkit_edit_free(edit);
	btrkit_fs_close(fs);
}

static void fill_and_lose_first(struct reshape *r)
{
	fill(r);
	r->is_gone[0] = true;
}

/* --- What is done ---------------------------------------- */

static struct btrkit_device_options *options_of(struct reshape *r)
{
	static struct btrkit_device_options options;

	btrkit_device_options_init(&options);
	options.open = reshape_open_options(r);
	options.threads = 1;
	return &options;
}

static int remove_second(struct reshape *r, struct btrkit_error *error)
{
	const char *which = "2";

	return btrkit_device_remove(r->path_list, r->nr_devices, options_of(r), &which, 1, NULL, error);
}

static int resize(struct reshape *r, enum btrkit_resize_kind kind, u64 bytes, struct btrkit_error *error)
{
	return btrkit_device_resize(r->path_list, r->nr_devices, options_of(r), 1, kind, bytes, NULL, error);
}

static int shrink(struct reshape *r, struct btrkit_error *error)
{
	return resize(r, BTRKIT_RESIZE_MIN, 0, error);
}

static int shrink_half(struct reshape *r, struct btrkit_error *error)
{
	return resize(r, BTRKIT_RESIZE_TO, DEVICE_BYTES / 2, error);
}

static int shrink_little(struct reshape *r, struct btrkit_error *error)
{
	return resize(r, BTRKIT_RESIZE_BY_LESS, MIB, error);
}

static int restripe(struct reshape *r, const char *filters, struct btrkit_error *error)
{
	const struct btrkit_open_options open = reshape_open_options(r);
	struct btrkit_restripe_options options;

	btrkit_restripe_options_init(&options);
	options.data = options.metadata = filters;
	options.is_forced = true;
	options.threads = 1;
	return btrkit_restripe_start(r->path_list, r->nr_devices, &open, &options, NULL, error);
}

static int to_raid1(struct reshape *r, struct btrkit_error *error)
{
	return restripe(r, "convert=raid1", error);
}

static int to_single(struct reshape *r, struct btrkit_error *error)
{
	return restripe(r, "convert=single", error);
}

static int to_raid5(struct reshape *r, struct btrkit_error *error)
{
	return restripe(r, "convert=raid5", error);
}

static int to_raid0(struct reshape *r, struct btrkit_error *error)
{
	return restripe(r, "convert=raid0", error);
}

static int compact(struct reshape *r, struct btrkit_error *error)
{
	return restripe(r, "usage=100", error);
}

static int move(struct reshape *r, struct btrkit_error *error)
{
	return restripe(r, "", error);
}

static int do_without(struct reshape *r, struct btrkit_error *error)
{
	const char *path = r->paths[1];

	return btrkit_device_remove_missing(&path, 1, options_of(r), NULL, NULL, error);
}

static int replace_missing(struct reshape *r, struct btrkit_error *error)
{
	const struct btrkit_replacement replacement = { "missing", r->paths[r->nr_devices] };
	struct btrkit_replace_options options;
	const char *path = r->paths[1];

	btrkit_replace_options_init(&options);
	options.replacements = &replacement;
	options.nr_replacements = 1;
	return btrkit_device_replace(&path, 1, options_of(r), &options, NULL, error);
}

/* --- The test ---------------------------------------- */

static const struct reshape_case cases[] = {
	{ "remove", SHAPE("raid1", 3), 0, fill, remove_second, .first = 0 },
	{ "remove of single", SHAPE("single", 3), 0, fill, remove_second, .first = 0 },
	{ "shrink", SHAPE("single", 1), 0, fill, shrink, .first = 0 },
	{ "shrink to half", SHAPE("raid1", 2), 0, fill, shrink_half, .first = 0 },
	{ "shrink a little", SHAPE("dup", 1), 0, fill, shrink_little, .first = 0 },
	{ "single to raid1", SHAPE("single", 2), 0, fill, to_raid1, .first = 0 },
	{ "raid1 to single", SHAPE("raid1", 2), 0, fill, to_single, .first = 0 },
	{ "raid1 to raid5", SHAPE("raid1", 3), 0, fill, to_raid5, .first = 0 },
	{ "raid5 to raid0", SHAPE("raid5", 3), 0, fill, to_raid0, .first = 0 },
	{ "compact", SHAPE("single", 1), 0, fill, compact, .first = 0 },
	{ "move", SHAPE("raid1", 2), 0, fill, move, .first = 0 },
	{ "remove missing", SHAPE("raid1", 3), 0, fill_and_lose_first, do_without, .first = 1 },
	{ "replace missing", SHAPE("raid1", 2), DEVICE_BYTES, fill_and_lose_first, replace_missing, .first = 1 },
	{ "replace missing of raid5", SHAPE("raid5", 3), DEVICE_BYTES, fill_and_lose_first, replace_missing, .first = 1 },
};

/* "... 123 bytes ..." */
static bool says_how_much(const char *text)
{
	for (const char *at = strstr(text, " bytes"); at; at = strstr(at + 1, " bytes"))
		if (at > text && at[-1] >= '0' && at[-1] <= '9')
			return true;
	return false;
}

static bool is_missing_one(struct reshape *r)
{
	struct btrkit_fs *fs = reshape_open(r, r->is->name);
	bool is_so = device_set_nr_missing(fs->volume->devices) != 0;

	btrkit_fs_close(fs);
	return is_so;
}

static void with_little_room(void **state)
{
	static const unsigned levels[] = { 40, 100, 20, 60, 80, 95 };
	size_t nr_levels = getenv("BTRKIT_LONG") ? ARRAY_LEN(levels) : 2;
	unsigned nr_done = 0, nr_refused = 0;

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		if (!reshape_is_chosen(&cases[c]))
			continue;
		for (size_t l = 0; l < nr_levels; l++) {
			struct btrkit_error error = { 0 };
			struct reshape r;
			char what[96];
			int err;

			fill_percent = levels[l];
			snprintf(what, sizeof(what), "%s: %u %% of what can be had", cases[c].name, fill_percent);
			reshape_make(&r, &cases[c]);
			err = cases[c].work(&r, &error);
			if (getenv("BTRKIT_SHOW_NOTES"))
				fprintf(stderr, "%s: %i: %s\n", what, err, err ? error.text : "");
			if (err != 0 && (err != -ENOSPC || !says_how_much(error.text)))
				fail_msg("%s: %i: %s", what, err, error.text);
			nr_done += err == 0;
			nr_refused += err != 0;
			reshape_judge(&r, what, !is_missing_one(&r));
			reshape_done(&r);
		}
	}
	print_message("%zu changes with little room: %u done, %u refused with how much is lacking\n", ARRAY_LEN(cases), nr_done,
		      nr_refused);
	assert_true(getenv("BTRKIT_CASE") || (nr_done > 0 && nr_refused > 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_little_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
