/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inodes whose sums differ: the facts of both sides, listed and compared, and the first difference of each said in words. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "convert/inplace/verify_facts.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

#define DETAILED_INODES_MAX 10
#define WORDS_MAX 600
#define PATH_TEXT_MAX 320

/* --- Keeping facts ------------------------------------------------------------------------------------------------------ */

struct kept {
	u64 ino;
	struct fact fact; /* points to what follows */
	struct inode_fact inode;
	char *bytes; /* of name and value; owned */
};

/* Where the source has an inode, if the new filesystem does not. */
struct known_name {
	u64 dir;
	char name[NAME_LEN_MAX + 1];
};

struct keeper {
	struct fact_sink sink;
	const u64 *inos;
	size_t nr_inos;
	struct known_name *names; /* of each of inos, where known */
	pthread_mutex_t lock; /* guards what follows */
	ARRAY(struct kept) facts;
};

static size_t kept_index(const struct keeper *keeper, u64 ino)
{
	size_t i = 0;

	while (i < keeper->nr_inos && keeper->inos[i] != ino)
		i++;
	return i;
}

static bool keeper_wants(struct fact_sink *sink, u64 ino)
{
	struct keeper *keeper = container_of(sink, struct keeper, sink);

	return kept_index(keeper, ino) < keeper->nr_inos;
}

static void learn_name(struct keeper *keeper, u64 dir, const struct fact *fact)
{
	size_t index = fact->is_subvol ? keeper->nr_inos : kept_index(keeper, fact->child);

	if (index == keeper->nr_inos || keeper->names[index].dir)
		return;
	keeper->names[index].dir = dir;
	snprintf(keeper->names[index].name, sizeof(keeper->names[index].name), "%.*s", (int)fact->name_len,
		 (const char *)fact->name);
}

static int keep(struct fact_sink *sink, u64 ino, const struct fact *fact, struct diag *d)
{
	struct keeper *keeper = container_of(sink, struct keeper, sink);
	LOCK_SCOPE(&keeper->lock);
	struct kept kept = { .ino = ino, .fact = *fact };

	if (fact->kind == FACT_NAME)
		learn_name(keeper, ino, fact);
	if (!keeper_wants(sink, ino))
		return 0;
	kept.bytes = malloc(fact->name_len + fact->value_len + 1);
	if (!kept.bytes)
		return diag_no_memory(d, "facts about inodes");
	if (fact->name_len)
		memcpy(kept.bytes, fact->name, fact->name_len);
	if (fact->value_len)
		memcpy(kept.bytes + fact->name_len, fact->value, fact->value_len);
	kept.fact.name = kept.bytes;
	kept.fact.value = kept.bytes + fact->name_len;
	if (fact->kind == FACT_INODE)
		kept.inode = *fact->inode;
	if (array_push(&keeper->facts, kept) < 0) {
		free(kept.bytes);
		return diag_no_memory(d, "facts about inodes");
	}
	return 0;
}

static void keeper_init(struct keeper *keeper, const u64 *inos, size_t nr_inos, struct known_name *names)
{
	*keeper = (struct keeper){
		.sink = { .add = keep, .wants = keeper_wants, .wants_all_names = true },
		.inos = inos, .nr_inos = nr_inos, .names = names,
	};
	pthread_mutex_init(&keeper->lock, NULL);
}

static void keeper_done(struct keeper *keeper)
{
	array_for_each(&keeper->facts, kept)
		free(kept->bytes);
	array_done(&keeper->facts);
	pthread_mutex_destroy(&keeper->lock);
}

static int compare_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
	int order = memcmp(a, b, MIN(a_len, b_len));

	return order ? order : a_len < b_len ? -1 : a_len > b_len;
}

/* By inode and kind; runs by where they lie in the file, the rest by name. */
static int by_place_in_inode(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->fact.kind != y->fact.kind)
		return x->fact.kind < y->fact.kind ? -1 : 1;
	if (x->fact.kind == FACT_RUN)
		return x->fact.file_offset < y->fact.file_offset ? -1 : x->fact.file_offset > y->fact.file_offset;
	return compare_bytes(x->fact.name, x->fact.name_len, y->fact.name, y->fact.name_len);
}

/* Facts of one inode and kind: an array within the keeper's. */
struct facts {
	const struct kept *first;
	size_t nr;
};

static struct facts facts_of(const struct keeper *keeper, u64 ino, enum fact_kind kind)
{
	size_t first = array_lower_bound(&keeper->facts, it,
					 it->ino < ino || (it->ino == ino && it->fact.kind < kind));
	size_t end = array_lower_bound(&keeper->facts, it, it->ino < ino || (it->ino == ino && it->fact.kind <= kind));

	return (struct facts){ keeper->facts.items + first, end - first };
}

/* --- Comparing ----------------------------------------------------------------------------------------------------------- */

struct comparison {
	struct verify *v;
	u64 ino;
	const char *source; /* its type */
	const struct keeper *found, *expected;
	char words[WORDS_MAX];
};

__attribute__((format(printf, 2, 3))) static bool say(struct comparison *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->words, sizeof(c->words), format, args);
	va_end(args);
	return true;
}

static bool say_existence(struct comparison *c)
{
	bool is_found = facts_of(c->found, c->ino, FACT_LINKS).nr > 0;
	bool is_expected = facts_of(c->expected, c->ino, FACT_LINKS).nr || facts_of(c->expected, c->ino, FACT_INODE).nr;

	if (is_found && !is_expected)
		return say(c, "is not in the %s filesystem", c->source);
	if (!is_found && is_expected)
		return say(c, "is missing");
	return false;
}

static bool say_odd(struct comparison *c)
{
	const struct keeper *sides[] = { c->found, c->expected };

	for (unsigned i = 0; i < ARRAY_LEN(sides); i++) {
		struct facts odd = facts_of(sides[i], c->ino, FACT_ODD);

		if (odd.nr)
			return say(c, "has %.*s", (int)odd.first->fact.name_len, (const char *)odd.first->fact.name);
	}
	return false;
}

static bool say_number(struct comparison *c, const char *what, const char *format, u64 found, u64 expected)
{
	char numbers[2][32];

	if (found == expected)
		return false;
	for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
		u64 n = i ? expected : found;

		if (*format == 'o')
			snprintf(numbers[i], sizeof(numbers[i]), "0%llo", (ull)n);
		else if (*format == 'x')
			snprintf(numbers[i], sizeof(numbers[i]), "0x%llx", (ull)n);
		else
			snprintf(numbers[i], sizeof(numbers[i]), "%llu", (ull)n);
	}
	return say(c, "%s is %s, not %s as in the %s filesystem", what, numbers[0], numbers[1], c->source);
}

static bool say_inode(struct comparison *c)
{
	static const char *const times[] = { "access time", "modification time", "change time", "birth time" };
	struct facts found = facts_of(c->found, c->ino, FACT_INODE), expected = facts_of(c->expected, c->ino, FACT_INODE);
	const struct inode_fact *f = &found.first->inode, *e = &expected.first->inode;

	if (found.nr != 1 || expected.nr != 1)
		return found.nr != expected.nr &&
		       say(c, "stands for %zu inodes of the %s filesystem", expected.nr, c->source);
	if (say_number(c, "mode", "o", f->mode, e->mode) || say_number(c, "owner", "u", f->uid, e->uid) ||
	    say_number(c, "group", "u", f->gid, e->gid) || say_number(c, "size", "u", f->size, e->size) ||
	    say_number(c, "flags", "x", f->flags, e->flags) ||
	    say_number(c, "major device number", "u", f->rdev_major, e->rdev_major) ||
	    say_number(c, "minor device number", "u", f->rdev_minor, e->rdev_minor))
		return true;
	for (unsigned i = 0; i < ARRAY_LEN(times); i++)
		if (f->time[i].sec != e->time[i].sec || f->time[i].nsec != e->time[i].nsec)
			return say(c, "%s is %lld.%09llu, not %lld.%09llu as in the %s filesystem", times[i],
				   (long long)f->time[i].sec, (ull)f->time[i].nsec, (long long)e->time[i].sec,
				   (ull)e->time[i].nsec, c->source);
	return false;
}

static bool say_bytes(struct comparison *c)
{
	struct facts found = facts_of(c->found, c->ino, FACT_BYTES), expected = facts_of(c->expected, c->ino, FACT_BYTES);
	struct facts inode = facts_of(c->expected, c->ino, FACT_INODE);
	bool is_link = inode.nr && S_ISLNK(inode.first->inode.mode);
	const struct fact *f = &found.first->fact, *e = &expected.first->fact;
	size_t at = 0;

	if (found.nr != expected.nr)
		return say(c, "has %zu %s in the inode, not %zu as it has to by the %s filesystem", found.nr,
			   is_link ? "link targets" : "pieces of data", expected.nr, c->source);
	if (!found.nr || compare_bytes(f->value, f->value_len, e->value, e->value_len) == 0)
		return false;
	if (is_link)
		return say(c, "link target is \"%.*s\", not \"%.*s\" as in the %s filesystem", (int)MIN(f->value_len, (size_t)200),
			   (const char *)f->value, (int)MIN(e->value_len, (size_t)200), (const char *)e->value, c->source);
	while (at < f->value_len && at < e->value_len && ((const u8 *)f->value)[at] == ((const u8 *)e->value)[at])
		at++;
	if (at == f->value_len || at == e->value_len)
		return say(c, "contents have %zu bytes, not %zu as in the %s filesystem", f->value_len, e->value_len, c->source);
	return say(c, "byte %zu of the contents is 0x%02x, not 0x%02x as in the %s filesystem", at, ((const u8 *)f->value)[at],
		   ((const u8 *)e->value)[at], c->source);
}

/* --- Runs ------------------------------------------------------------------------------------------------------------------ */

/* The run that begins with @runs->first, with those that go on from it; *runs is what is left. */
static bool next_run(struct facts *runs, struct fact *ret)
{
	if (!runs->nr)
		return false;
	*ret = runs->first->fact;
	for (runs->first++, runs->nr--; runs->nr; runs->first++, runs->nr--) {
		const struct fact *next = &runs->first->fact;

		if (next->file_offset != ret->file_offset + ret->len || next->physical != ret->physical + ret->len)
			break;
		ret->len += next->len;
	}
	return true;
}

static const struct fact *run_at(struct facts runs, u64 at)
{
	for (size_t i = 0; i < runs.nr; i++) {
		const struct fact *run = &runs.first[i].fact;

		if (run->file_offset <= at && at - run->file_offset < run->len)
			return run;
	}
	return NULL;
}

static bool say_place(struct comparison *c, struct facts found, struct facts expected, u64 at)
{
	const struct fact *f = run_at(found, at), *e = run_at(expected, at);
	u64 f_physical = f ? f->physical + (at - f->file_offset) : 0;
	u64 e_physical = e ? e->physical + (at - e->file_offset) : 0;

	if (f && e && f_physical != e_physical)
		return say(c, "byte %llu is at %llu of the device, not at %llu as in the %s filesystem", (ull)at, (ull)f_physical,
			   (ull)e_physical, c->source);
	if (f && !e)
		return say(c, "byte %llu is at %llu of the device, where the %s filesystem has a hole", (ull)at, (ull)f_physical,
			   c->source);
	if (!f && e)
		return say(c, "byte %llu is in a hole, not at %llu of the device as in the %s filesystem", (ull)at,
			   (ull)e_physical, c->source);
	return say(c, "extents overlap around byte %llu", (ull)at);
}

static bool say_runs(struct comparison *c)
{
	const struct facts all_found = facts_of(c->found, c->ino, FACT_RUN);
	const struct facts all_expected = facts_of(c->expected, c->ino, FACT_RUN);
	struct facts found = all_found, expected = all_expected;

	for (;;) {
		struct fact f = { 0 }, e = { 0 };
		bool has_found = next_run(&found, &f), has_expected = next_run(&expected, &e);
		u64 at;

		if (!has_found && !has_expected)
			return false;
		if (!has_found || !has_expected)
			at = has_found ? f.file_offset : e.file_offset;
		else if (f.file_offset != e.file_offset)
			at = MIN(f.file_offset, e.file_offset);
		else if (f.physical != e.physical)
			at = f.file_offset;
		else if (f.len != e.len)
			at = f.file_offset + MIN(f.len, e.len);
		else
			continue;
		return say_place(c, all_found, all_expected, at);
	}
}

/* --- Names and attributes --------------------------------------------------------------------------------------------------- */

static bool say_named(struct comparison *c, const struct fact *f, const struct fact *e)
{
	const struct fact *either = f ? f : e;
	const char *what = either->kind == FACT_NAME ? "entry" : "attribute";
	int len = (int)either->name_len;
	const char *name = either->name;

	if (!f)
		return say(c, "%s \"%.*s\" is missing", what, len, name);
	if (!e)
		return say(c, "%s \"%.*s\" is not in the %s filesystem", what, len, name, c->source);
	if (f->kind == FACT_NAME && (f->child != e->child || f->is_subvol != e->is_subvol))
		return say(c, "entry \"%.*s\" leads to %s %llu, not to %s %llu", len, name, f->is_subvol ? "subvolume" : "inode",
			   (ull)f->child, e->is_subvol ? "subvolume" : "inode", (ull)e->child);
	if (compare_bytes(f->value, f->value_len, e->value, e->value_len) != 0)
		return say(c, "attribute \"%.*s\" has another value (%zu bytes) than in the %s filesystem (%zu bytes)", len, name,
			   f->value_len, c->source, e->value_len);
	return false;
}

/* Both sides are sorted by name. */
static bool say_all_named(struct comparison *c, enum fact_kind kind)
{
	struct facts found = facts_of(c->found, c->ino, kind), expected = facts_of(c->expected, c->ino, kind);
	size_t i = 0, j = 0;

	while (i < found.nr || j < expected.nr) {
		const struct fact *f = i < found.nr ? &found.first[i].fact : NULL;
		const struct fact *e = j < expected.nr ? &expected.first[j].fact : NULL;
		int order = !f ? 1 : !e ? -1 : compare_bytes(f->name, f->name_len, e->name, e->name_len);

		if (say_named(c, order <= 0 ? f : NULL, order >= 0 ? e : NULL))
			return true;
		i += order <= 0;
		j += order >= 0;
	}
	return false;
}

static bool say_links(struct comparison *c)
{
	struct facts found = facts_of(c->found, c->ino, FACT_LINKS), expected = facts_of(c->expected, c->ino, FACT_LINKS);
	u64 links = 0, names = 0;

	for (size_t i = 0; i < found.nr; i++)
		links += found.first[i].fact.links;
	for (size_t i = 0; i < expected.nr; i++)
		names += expected.first[i].fact.links;
	return links != names &&
	       say(c, "link count is %llu, but the %s filesystem has %llu names for it", (ull)links, c->source, (ull)names);
}

static void say_difference(struct comparison *c)
{
	if (say_existence(c) || say_odd(c) || say_inode(c) || say_bytes(c) || say_runs(c) || say_all_named(c, FACT_XATTR) ||
	    say_all_named(c, FACT_NAME) || say_links(c))
		return;
	say(c, "is not the same when it is read again");
}

/* --- Paths -------------------------------------------------------------------------------------------------------------- */

const char *verify_path(const struct verify *v, u64 subvol, u64 ino, char *buf, size_t cap)
{
	const struct btrkit_inode inode = { subvol, ino };

	if (inode_path(v->fs, &inode, buf, cap, NULL) < 0)
		snprintf(buf, cap, "inode %llu", (ull)ino);
	return buf;
}

/* In the new filesystem; where it is not there, as the source has it. */
static const char *path_of(const struct verify *v, const struct verify_tree *tree, u64 ino, const struct known_name *name,
			   char *buf, size_t cap)
{
	const struct btrkit_inode inode = { tree->tree.id, ino };
	size_t len;

	if (!name->dir || inode_path(v->fs, &inode, buf, cap, NULL) == 0)
		return verify_path(v, tree->tree.id, ino, buf, cap);
	verify_path(v, tree->tree.id, name->dir, buf, cap);
	len = strlen(buf);
	snprintf(buf + len, cap - len, "%s%s", len && buf[len - 1] == '/' ? "" : "/", name->name);
	return buf;
}

/* --- What differs -------------------------------------------------------------------------------------------------------- */

static u64 find_differing(const struct verify_tree *tree, u64 inos[DETAILED_INODES_MAX], size_t *ret_nr)
{
	u64 total = 0, missing = atomic_load(&tree->missing_ino);

	*ret_nr = 0;
	for (u64 i = 0; i < tree->nr_inos; i++) {
		if (!tree->sums[i].lane[0] && !tree->sums[i].lane[1])
			continue;
		if (*ret_nr < DETAILED_INODES_MAX)
			inos[(*ret_nr)++] = FIRST_FREE_OBJECTID + i;
		total++;
	}
	if (missing && *ret_nr < DETAILED_INODES_MAX)
		inos[(*ret_nr)++] = missing;
	return total + (missing != 0);
}

static int tell(struct comparison *c, const struct verify_tree *tree, size_t nr, u64 total, struct diag *d)
{
	char first[DIAG_TEXT_MAX - 64];

	for (size_t i = 0; i < nr; i++) {
		char path[PATH_TEXT_MAX];

		c->ino = c->found->inos[i];
		say_difference(c);
		path_of(c->v, tree, c->ino, &c->found->names[i], path, sizeof(path));
		if (i)
			diag_note(d, DIAG_WARNING, "%s: %s", path, c->words);
		else
			snprintf(first, sizeof(first), "%s: %s", path, c->words);
	}
	if (total > 1)
		return diag_fail(d, -EBADMSG, "%s; %llu inodes differ in all", first, (ull)total);
	return diag_fail(d, -EBADMSG, "%s", first);
}

int verify_judge_sums(struct verify *v, struct verify_tree *tree, struct diag *d)
{
	struct known_name names[DETAILED_INODES_MAX] = { 0 };
	struct keeper found, expected;
	struct comparison c = { .v = v, .source = v->input->source->info.type, .found = &found, .expected = &expected };
	u64 inos[DETAILED_INODES_MAX], total;
	size_t nr;
	int err = 0;

	total = find_differing(tree, inos, &nr);
	if (!total)
		return 0;
	keeper_init(&found, inos, nr, names);
	keeper_init(&expected, inos, nr, names);
	for (size_t i = 0; i < nr && !err; i++)
		err = verify_tree_inode(v, tree, inos[i], &found.sink, d);
	if (!err)
		err = tree->expect(v, &expected.sink, true, d);
	if (!err) {
		array_sort(&found.facts, by_place_in_inode);
		array_sort(&expected.facts, by_place_in_inode);
		err = tell(&c, tree, nr, total, d);
	}
	keeper_done(&found);
	keeper_done(&expected);
	return err;
}
