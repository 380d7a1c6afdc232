/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/bcachefs/bch_node.h"

#include <stdio.h>

#include "convert/bcachefs/bch_bset.h"
#include "convert/bcachefs/bch_fs.h"

/* --- Pointers -------------------------------------------------------------------------------------------------- */

/* Entries of a value are of the type that is the index of the lowest bit set. Those beside pointers have 8 bytes each. */
enum { ENTRY_PTR = 0, ENTRY_STRIPE_PTR = 4, ENTRY_RECONCILE_BP = 8 };

#define PTR_CACHED(word) ((word) >> 1 & 1)
#define PTR_SECTOR(word) ((word) >> 4 & (((u64)1 << 44) - 1))
#define PTR_DEVICE(word) ((u8)((word) >> 48))
#define BTREE_PTR_RANGE_UPDATED 1

static int add_replica(u64 word, struct bch_node_ptr *ptr, struct diag *d)
{
	unsigned type = word == 0 ? 64 : (unsigned)__builtin_ctzll(word);

	if (type >= ENTRY_STRIPE_PTR && type <= ENTRY_RECONCILE_BP)
		return 0;
	if (type != ENTRY_PTR)
		return diag_fail(d, -EUCLEAN, "pointer to a node: entry of type %u", type);
	if (PTR_CACHED(word) || PTR_DEVICE(word) == BCH_NO_DEVICE)
		return 0;
	if (ptr->nr_replicas == ARRAY_LEN(ptr->replica))
		return diag_fail(d, -EUCLEAN, "pointer to a node: more than %zu replicas", ARRAY_LEN(ptr->replica));
	ptr->replica[ptr->nr_replicas].device = PTR_DEVICE(word);
	ptr->replica[ptr->nr_replicas++].physical = PTR_SECTOR(word) * BCH_SECTOR_BYTES;
	return 0;
}

static int get_v2(const struct bch_fs *fs, const struct bch_key *key, struct bch_node_ptr *ptr, struct diag *d)
{
	const struct bch_super *super = fs->super;
	struct disk_bch_btree_ptr_v2 disk;

	if (key->value_bytes < sizeof(disk))
		return diag_fail(d, -EUCLEAN, "pointer to a node: %u bytes, at least %zu are needed", key->value_bytes, sizeof(disk));
	memcpy(&disk, key->value, sizeof(disk));
	ptr->min = bch_pos_get(&disk.min_key);
	ptr->seq = le64_get(disk.seq);
	ptr->has_min = ptr->has_seq = true;
	/* Before 0.14 nobody kept it up to date. */
	if (super->version >= BCH_VERSION(0, 14))
		ptr->bytes_written = le16_get(disk.sectors_written) * (u32)BCH_SECTOR_BYTES;
	/* In 2020 the flags were something else. */
	ptr->is_range_updated = super->version >= BCH_VERSION(0, 12) && (le16_get(disk.flags) & BTREE_PTR_RANGE_UPDATED);
	if (ptr->bytes_written > super->node_bytes || ptr->bytes_written % super->block_bytes != 0)
		return diag_fail(d, -EUCLEAN, "pointer to a node: %u bytes were written, of %u in blocks of %u", ptr->bytes_written,
				 super->node_bytes, super->block_bytes);
	if (bch_pos_compare(&ptr->min, &key->pos) > 0)
		return diag_fail(d, -EUCLEAN, "pointer to a node: begins behind its end");
	return 0;
}

int bch_node_ptr_get(const struct bch_fs *fs, const struct bch_key *key, struct bch_node_ptr *ret_ptr, struct diag *d)
{
	struct bch_node_ptr ptr = { .max = key->pos };
	size_t at = 0;
	int err = 0;

	if (key->type == BCH_KEY_BTREE_PTR_V2) {
		err = get_v2(fs, key, &ptr, d);
		at = sizeof(struct disk_bch_btree_ptr_v2);
	} else if (key->type != BCH_KEY_BTREE_PTR) {
		err = diag_fail(d, -EUCLEAN, "pointer to a node: is a key of type %u", key->type);
	}
	for (; !err && at < key->value_bytes; at += sizeof(le64)) {
		le64 word;

		memcpy(&word, key->value + at, sizeof(word));
		err = add_replica(le64_get(word), &ptr, d);
	}
	if (!err)
		*ret_ptr = ptr;
	return err;
}

/* --- Nodes ------------------------------------------------------------------------------------------------------ */

void bch_node_free(struct bch_node *node)
{
	if (!node)
		return;
	free(node->raw);
	array_done(&node->keys);
	free(node);
}

static int read_replica(struct bch_fs *fs, u8 btree, u8 level, const struct bch_node_ptr *ptr, unsigned nr, struct bch_node **ret_node,
			struct diag *d)
{
	_cleanup_(bch_node_freep) struct bch_node *node = calloc(1, sizeof(*node));
	size_t bytes = ptr->bytes_written ? ptr->bytes_written : fs->super->node_bytes;
	int err;

	if (!node || !(node->raw = malloc(bytes)))
		return diag_no_memory(d, "a node of a btree");
	node->raw_bytes = bytes;
	node->btree = btree;
	node->level = level;
	err = bch_device_read(fs, ptr->replica[nr].device, ptr->replica[nr].physical, node->raw, bytes, d);
	if (!err)
		err = bch_bsets_read(fs, ptr, node, d);
	if (err)
		return diag_context(d, err, "device %u at byte %llu", ptr->replica[nr].device,
				    (unsigned long long)ptr->replica[nr].physical);
	*ret_node = take_ptr(node);
	return 0;
}

struct place_text {
	char text[2 * BCH_POS_TEXT_MAX + 64];
};

static struct place_text place_text(u8 btree, u8 level, const struct bch_node_ptr *ptr)
{
	char name[16], from[BCH_POS_TEXT_MAX], to[BCH_POS_TEXT_MAX];
	struct place_text place;

	snprintf(place.text, sizeof(place.text), "btree %s, level %u, node %s%s%s", bch_btree_name(btree, name), level,
		 ptr->has_min ? bch_pos_text(&ptr->min, from) : "", ptr->has_min ? " to " : "up to ", bch_pos_text(&ptr->max, to));
	return place;
}

static bool is_missing(const struct bch_fs *fs, unsigned device)
{
	return device < BCH_DEVICES_MAX && !fs->devices[device].dev;
}

/*
 * A device that is missing has been told when the volume was opened: not here again for each node, and what is wrong with those that
 * are there is of more interest.
 */
int bch_node_read(struct bch_fs *fs, u8 btree, u8 level, const struct bch_node_ptr *ptr, int only, struct bch_node **ret_node,
		  struct diag *d)
{
	struct place_text place = place_text(btree, level, ptr);
	struct diag bad = { 0 }, missing = { 0 }, *first_of;
	unsigned first = only < 0 ? 0 : (unsigned)only, end = only < 0 ? ptr->nr_replicas : first + 1;

	if (first >= ptr->nr_replicas)
		return diag_fail(d, only < 0 ? -EIO : -EINVAL, "%s: no replica%s", place.text,
				 only < 0 ? " of it is left" : " of this number");
	for (unsigned i = first; i < end; i++) {
		struct diag why = { .note = d ? d->note : NULL, .note_arg = d ? d->note_arg : NULL };
		int err = read_replica(fs, btree, level, ptr, i, ret_node, &why);

		if (err == 0) {
			if (bad.err)
				diag_note(d, DIAG_WARNING, "%s: %s; another replica is good", place.text, bad.text);
			return 0;
		}
		first_of = is_missing(fs, ptr->replica[i].device) ? &missing : &bad;
		if (err != -EUCLEAN && err != -EIO) {
			diag_copy(d, &why);
			return diag_context(d, err, "%s", place.text);
		}
		if (!first_of->err)
			diag_copy(first_of, &why);
	}
	first_of = bad.err ? &bad : &missing;
	diag_copy(d, first_of);
	return diag_context(d, first_of->err, "%s", place.text);
}
