/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hashes of facts, their sums, and where on the device a run lies. */
#include "convert/inplace/verify_facts.h"

#include <sys/random.h>
#include <xxhash.h>

void fact_key_init(struct fact_key *key)
{
	/* Early at boot there may be none to have: a filesystem that is wrong by accident does not choose its hashes. */
	if (getrandom(key, sizeof(*key), GRND_NONBLOCK) != (ssize_t)sizeof(*key))
		*key = (struct fact_key){ 0x9E3779B97F4A7C15ULL, { { 0xD1B54A32D192ED03ULL, 0x8CB92BA72F3D8DD7ULL } } };
}

static struct fact_sum hash(const struct fact_key *key, const void *bytes, size_t len)
{
	XXH128_hash_t hashed = XXH3_128bits_withSeed(bytes, len, key->seed);

	return (struct fact_sum){ { hashed.low64, hashed.high64 } };
}

static struct fact_sum hash_inode(const struct fact_key *key, const struct inode_fact *inode)
{
	struct {
		u64 kind;
		struct inode_fact inode;
	} hashed = { FACT_INODE, *inode };

	return hash(key, &hashed, sizeof(hashed));
}

static struct fact_sum hash_run(const struct fact_key *key, const struct fact *fact)
{
	const u64 start[3] = { FACT_RUN, fact->file_offset, fact->physical };
	const u64 end[3] = { FACT_RUN, fact->file_offset + fact->len, fact->physical + fact->len };
	struct fact_sum at_start = hash(key, start, sizeof(start)), at_end = hash(key, end, sizeof(end));

	return (struct fact_sum){ { at_start.lane[0] - at_end.lane[0], at_start.lane[1] - at_end.lane[1] } };
}

/* What has a name, a value, or both. */
static struct fact_sum hash_named(const struct fact_key *key, const struct fact *fact)
{
	bool is_name = fact->kind == FACT_NAME;
	struct fact_sum name = hash(key, fact->name_len ? fact->name : "", fact->name_len);
	struct fact_sum value = hash(key, fact->value_len ? fact->value : "", fact->value_len);
	const u64 all[] = {
		fact->kind,	fact->name_len, name.lane[0], name.lane[1], fact->value_len, value.lane[0], value.lane[1],
		is_name ? fact->child : 0, is_name && fact->is_subvol,
	};

	return hash(key, all, sizeof(all));
}

struct fact_sum fact_hash(const struct fact_key *key, const struct fact *fact)
{
	switch (fact->kind) {
	case FACT_INODE:
		return hash_inode(key, fact->inode);
	case FACT_RUN:
		return hash_run(key, fact);
	case FACT_LINKS:
		return (struct fact_sum){ { key->link.lane[0] * fact->links, key->link.lane[1] * fact->links } };
	default:
		return hash_named(key, fact);
	}
}

/* --- Sums --------------------------------------------------------------------------------------------------------- */

static int add_to_sum(struct fact_sink *sink, u64 ino, const struct fact *fact, struct diag *d)
{
	struct sum_sink *sums = container_of(sink, struct sum_sink, sink);
	struct verify_tree *tree = sums->tree;
	struct fact_sum hashed = fact_hash(sums->key, fact);
	u64 index = ino - FIRST_FREE_OBJECTID;

	if (index >= tree->nr_inos) {
		if (!sums->is_source)
			return diag_fail(d, -EBADMSG, "the new filesystem has an item of inode %lld", (long long)ino);
		atomic_store(&tree->missing_ino, ino);
		return 0;
	}
	if (!sums->is_source && fact->kind == FACT_BYTES)
		__atomic_fetch_or(&tree->has_bytes[index / 64], (u64)1 << index % 64, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < ARRAY_LEN(hashed.lane); i++)
		__atomic_fetch_add(&tree->sums[index].lane[i], sums->is_source ? hashed.lane[i] : -hashed.lane[i],
				   __ATOMIC_RELAXED);
	return 0;
}

void sum_sink_init(struct sum_sink *sums, const struct fact_key *key, struct verify_tree *tree, bool is_source)
{
	*sums = (struct sum_sink){ .sink = { .add = add_to_sum }, .key = key, .tree = tree, .is_source = is_source };
}

/* --- Places ------------------------------------------------------------------------------------------------------- */

int verify_add_logical(const struct verify *v, struct fact_sink *sink, u64 ino, u64 file_offset, u64 logical, u64 len,
		       struct diag *d)
{
	while (len) {
		struct fact fact = { .kind = FACT_RUN, .file_offset = file_offset };
		struct physical_part part;
		int err;

		if (volume_map(v->fs->volume->chunks, logical, len, 1, &part) < 0 || part.len == 0)
			return fact_add_odd(sink, ino, "an extent that no chunk covers", d);
		fact.physical = part.physical;
		fact.len = part.len;
		err = sink->add(sink, ino, &fact, d);
		if (err)
			return err;
		file_offset += part.len;
		logical += part.len;
		len -= part.len;
	}
	return 0;
}

int verify_add_physical(const struct verify *v, struct fact_sink *sink, u64 ino, u64 file_offset, u64 physical, u64 len,
			struct diag *d)
{
	const struct convert_moved *moved = v->input->moved, *end = moved + v->input->nr_moved;
	size_t low = 0, high = v->input->nr_moved;

	/* The first moved range that ends behind @physical. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (moved[middle].physical + moved[middle].len <= physical)
			low = middle + 1;
		else
			high = middle;
	}
	for (moved += low; len; ) {
		struct fact fact = { .kind = FACT_RUN, .file_offset = file_offset, .physical = physical, .len = len };
		int err;

		if (moved < end && moved->physical <= physical) {
			u64 within = physical - moved->physical;

			fact.len = MIN(len, moved->len - within);
			err = verify_add_logical(v, sink, ino, file_offset, moved->logical + within, fact.len, d);
			moved++;
		} else {
			if (moved < end)
				fact.len = MIN(len, moved->physical - physical);
			err = sink->add(sink, ino, &fact, d);
		}
		if (err)
			return err;
		file_offset += fact.len;
		physical += fact.len;
		len -= fact.len;
	}
	return 0;
}
