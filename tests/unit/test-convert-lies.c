/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A real ext4, built as Btrfs and verified against a source that tells one thing of its files otherwise: each lie is found. Any
 * fact of any file may be the one, chosen at random; BTRKIT_TEST_SEED repeats a choice.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "convert/inplace/conversion.h"
#include "convert/inplace/sources.h"
#include "convert/inplace/verify.h"
#include "tests/unit/ext_image.h"

#define NR_LIES 400

static struct ext_image image;
static u32 seed;

static u32 random_below(u32 limit)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % limit;
}

/* --- A source that lies ----------------------------------------------------------------------------------------------- */

struct liar {
	struct source_sink sink;
	struct source_sink *to;
	u64 countdown; /* facts until the lie */
	u64 nr_facts;
	char lie[200];
};

static const struct source_ops *honest;
static struct liar liar;

static bool is_time(void)
{
	liar.nr_facts++;
	return liar.countdown && --liar.countdown == 0;
}

static void lie_about_inode(struct source_inode *inode)
{
	switch (random_below(12)) {
	case 0: inode->mode ^= 1U << random_below(12); break;
	case 1: inode->uid ^= 1U << random_below(32); break;
	case 2: inode->gid ^= 1U << random_below(32); break;
	case 3: inode->inode_flags ^= BTRKIT_INODE_NODUMP; break;
	case 4: inode->atime.sec ^= 1LL << random_below(40); break;
	case 5: inode->atime.nsec ^= 1U << random_below(20); break;
	case 6: inode->mtime.sec ^= 1LL << random_below(40); break;
	case 7: inode->mtime.nsec ^= 1U << random_below(20); break;
	case 8: inode->ctime.sec ^= 1LL << random_below(40); break;
	case 9: inode->ctime.nsec ^= 1U << random_below(20); break;
	case 10: inode->otime.sec ^= 1LL << random_below(40); break;
	default: inode->otime.nsec ^= 1U << random_below(20); break;
	}
}

static int tell_inode(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	struct source_inode told = *inode;

	(void)sink;
	if (is_time()) {
		lie_about_inode(&told);
		snprintf(liar.lie, sizeof(liar.lie), "inode %llu", (unsigned long long)inode->ino);
	}
	return liar.to->inode(liar.to, &told, d);
}

static int tell_xattr(struct source_sink *sink, u64 ino, const char *name, const void *value, size_t len, struct diag *d)
{
	u8 told[4096] = { 0 };

	(void)sink;
	memcpy(told, value, MIN(len, sizeof(told)));
	if (is_time() && len < sizeof(told)) {
		snprintf(liar.lie, sizeof(liar.lie), "attribute %s", name);
		if (random_below(2))
			return 0;
		told[random_below((u32)len + 1)] ^= 1;
		return liar.to->xattr(liar.to, ino, name, told, len + (memcmp(told, value, len) == 0), d);
	}
	return liar.to->xattr(liar.to, ino, name, value, len, d);
}

static int tell_symlink(struct source_sink *sink, u64 ino, const char *target, size_t len, struct diag *d)
{
	(void)sink;
	if (is_time()) {
		snprintf(liar.lie, sizeof(liar.lie), "link %s", target);
		len--;
	}
	return liar.to->symlink(liar.to, ino, target, len, d);
}

static int tell_runs(struct source_sink *sink, u64 ino, const struct source_run *runs, size_t nr, struct diag *d)
{
	_free_ struct source_run *told = malloc(nr * sizeof(*told));

	(void)sink;
	assert_non_null(told);
	memcpy(told, runs, nr * sizeof(*told));
	if (is_time()) {
		struct source_run *run = &told[random_below((u32)nr)];

		snprintf(liar.lie, sizeof(liar.lie), "runs of %llu at %llu", (unsigned long long)ino,
			 (unsigned long long)run->file_offset);
		switch (random_below(2)) {
		case 0: run->physical += run->physical > MIB * 4 ? -4 * MIB : 4 * MIB; break;
		default: *run = told[--nr]; break;
		}
	}
	return nr ? liar.to->runs(liar.to, ino, told, nr, d) : 0;
}

static int tell_bytes(struct source_sink *sink, u64 ino, const void *data, size_t len, struct diag *d)
{
	(void)sink;
	if (is_time()) {
		snprintf(liar.lie, sizeof(liar.lie), "bytes of %llu", (unsigned long long)ino);
		len--;
	}
	return liar.to->bytes(liar.to, ino, data, len, d);
}

static int tell_entry(struct source_sink *sink, u64 dir_ino, const char *name, size_t name_len, u64 child_ino, struct diag *d)
{
	char told[256];

	(void)sink;
	memcpy(told, name, name_len);
	if (is_time()) {
		snprintf(liar.lie, sizeof(liar.lie), "name %.*s", (int)name_len, name);
		switch (random_below(3)) {
		case 0: return 0;
		case 1: told[random_below((u32)name_len)] ^= 1; break;
		default: child_ino = dir_ino; break;
		}
	}
	return liar.to->entry(liar.to, dir_ino, told, name_len, child_ino, d);
}

static int tell_all(struct source *source, struct source_sink *sink, struct progress *progress, struct diag *d)
{
	liar.sink = (struct source_sink){ tell_inode, tell_xattr, tell_symlink, tell_runs, tell_bytes, tell_entry, NULL };
	liar.to = sink;
	liar.nr_facts = 0;
	return honest->scan(source, &liar.sink, progress, d);
}

/* The detail pass is told the same lie. */
static u64 lie_at;
static u32 lie_seed;
static int tell_again(struct source *source, struct source_sink *sink, struct progress *progress, struct diag *d)
{
	liar.countdown = lie_at;
	seed = lie_seed;
	return tell_all(source, sink, progress, d);
}

/* --- The conversion -------------------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
	const char *given = getenv("BTRKIT_TEST_SEED");

	(void)state;
	seed = given ? (u32)atol(given) : (u32)time(NULL);
	ext_image_make(&image,
		       "mkdir -p d/e && for i in 1 2 3 4 5 6 7 8 9; do echo content $i >d/small-$i; head -c ${i}0000 /dev/urandom >d/e/large-$i;"
		       " ln -s target/of/$i d/link-$i; done && ln d/small-1 d/e/hard && ln d/e/large-1 another && mkfifo fifo &&"
		       " truncate -s 1000000 sparse && echo end >>sparse &&"
		       " { setfattr -n user.one -v value d/small-1 && setfattr -n user.two -v other d || :; } 2>/dev/null",
		       "64M", "-O inline_data -I 512");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return ext_image_remove(&image);
}

static u64 btrfs_ino(void *ctx, u64 source_ino)
{
	const struct conversion *c = ctx;
	u32 node = gathered_node(&c->gathered, source_ino);

	return node == CONTENT_NONE || c->gathered.content->nodes.items[node].ino == CONTENT_NONE
		       ? 0
		       : content_ino(&c->gathered.content->nodes.items[node]);
}

static int verify_built(struct conversion *c, struct btrkit_fs *fs, struct diag *d)
{
	struct convert_moved moved[64];
	struct verify_input input = {
		.source = c->source, .dev = c->dev, .fs = fs, .btrfs_ino = btrfs_ino, .ctx = c, .moved = moved,
		.saved_name = c->saved_name, .has_csums = true, .threads = 1, .pool = c->pool,
	};

	array_for_each(&c->placed.moves, move) {
		assert_true(input.nr_moved < ARRAY_LEN(moved));
		if (move->is_in_image)
			moved[input.nr_moved++] = (struct convert_moved){ move->physical, move->len, move->logical };
	}
	return convert_verify(&input, d);
}

/* As btrkit_convert() does it, on an overlay in memory. */
static void build(struct conversion *c, struct diag *d)
{
	const struct source_options options = { 0 };

	c->dev = open_unchanged(image.path);
	assert_non_null(c->dev);
	if (sources_open(c->dev, &options, &c->source, d) != 0 || pool_new(1, NULL, &c->pool) != 0 || conversion_read_options(c, d) != 0 ||
	    conversion_make_plan(c, d) != 0 || conversion_build(c, d) != 0)
		fail_msg("%s", d->text);
}

static void test_lies_are_found(void **state)
{
	struct btrkit_convert_options options;
	struct conversion c = { .options = &options };
	struct source_ops lying;
	struct btrkit_fs *fs = NULL;
	struct diag d = { 0 };
	unsigned nr_believed = 0;
	u64 nr_facts;

	(void)state;
	btrkit_convert_options_init(&options);
	ext_image_need(&image);
	options.path = image.path;
	build(&c, &d);
	if (conversion_open_built(&c, &fs, &d) != 0)
		fail_msg("%s", d.text);
	honest = c.source->ops;
	lying = *honest;
	c.source->ops = &lying;
	lying.scan = tell_all;
	if (verify_built(&c, fs, &d) != 0)
		fail_msg("the truth: %s", d.text);
	nr_facts = liar.nr_facts;
	lying.scan = tell_again;
	print_message("%llu facts, seed %u\n", (unsigned long long)nr_facts, seed);
	for (unsigned i = 0; i < NR_LIES; i++) {
		int err;

		lie_at = 1 + random_below((u32)nr_facts);
		lie_seed = seed;
		err = verify_built(&c, fs, &d);
		if (err == -EBADMSG)
			continue;
		nr_believed++;
		print_error("%s: %d %s\n", liar.lie, err, err ? d.text : "");
	}
	btrkit_fs_close(fs);
	c.source->ops = honest;
	conversion_done(&c);
	blockdev_close(c.dev);
	assert_int_equal(nr_believed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lies_are_found) };

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
