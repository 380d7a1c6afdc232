/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the needed jsets say: keys into a sorted table that only knows where each lies, and roots. Jsets are read one after the other, and
 * none is kept.
 */
#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_journal.h"
#include "convert/bcachefs/bch_key_versions.h"

typedef unsigned long long ull;

/* --- The order of keys --------------------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
	const struct bch_jkey *x = a, *y = b;

	if (x->btree != y->btree)
		return x->btree < y->btree ? -1 : 1;
	if (x->level != y->level)
		return x->level < y->level ? -1 : 1;
	return bch_pos_compare(&x->pos, &y->pos);
}

static int compare_age(const struct bch_jkey *x, const struct bch_jkey *y)
{
	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return x->nr < y->nr ? -1 : x->nr > y->nr;
}

static int compare_records(const void *a, const void *b)
{
	return compare_keys(a, b) ?: compare_age(a, b);
}

static bool is_deletion(const void *record)
{
	return ((const struct bch_jkey *)record)->type == BCH_KEY_DELETED;
}

/* Keys of the accounting btree are differences, to be added up by who wants them: no reader does, and the newest is kept. */
static const struct journal_kind bch_kind = {
	.record_bytes = sizeof(struct bch_jkey),
	.compare_keys = compare_keys,
	.compare = compare_records,
	.is_deletion = is_deletion,
	.keeps_deletions = true,
};

/* --- Gathering ------------------------------------------------------------------------------------------------- */

struct gathering {
	struct bch_journal *journal; /* NULL: only roots are wanted */
	struct bch_root *roots;
	u16 volume, version; /* in the superblock, and of the jset */
	const struct bch_jset *jset;
	const u8 *bytes; /* of it */
	const struct disk_bch_jentry *entry;
	const u8 *payload;
	u32 nr; /* keys so far */
};

static struct bch_written written_by(const struct gathering *gathering, unsigned level)
{
	return (struct bch_written){ gathering->volume, gathering->version, gathering->entry->btree, (u8)level };
}

static int take_key(void *ctx, const struct bch_key *key, size_t offset_bytes, struct diag *d)
{
	struct gathering *gathering = ctx;
	const struct bch_jset *jset = gathering->jset;
	const struct bch_written written = written_by(gathering, gathering->entry->level);
	struct bch_jkey jkey;

	memset(&jkey, 0, sizeof(jkey)); /* it may be written to a file */
	jkey.pos = bch_pos_as_now(&written, key->pos);
	jkey.btree = gathering->entry->btree;
	jkey.level = gathering->entry->level;
	jkey.type = bch_key_type_as_now(&written, key->type);
	jkey.device = jset->device;
	jkey.version = gathering->version;
	jkey.seq = jset->seq;
	jkey.nr = gathering->nr++;
	jkey.physical = jset->physical + (u64)(gathering->payload + offset_bytes - gathering->bytes);
	jkey.jset_physical = jset->physical;
	jkey.jset_bytes = jset->bytes;
	gathering->journal->nr_keys++;
	return journal_overlay_add(gathering->journal->keys, &jkey, d);
}

static int take_root(void *ctx, const struct bch_key *key, size_t offset_bytes, struct diag *d)
{
	struct gathering *gathering = ctx;
	struct bch_root *root = &gathering->roots[gathering->entry->btree];
	const struct bch_written written = written_by(gathering, gathering->entry->level + 1);

	(void)d;
	root->is_there = true;
	root->level = gathering->entry->level;
	root->key_bytes = (u16)(sizeof(struct disk_bch_key) + key->value_bytes);
	memcpy(root->key, gathering->payload + offset_bytes, root->key_bytes);
	bch_unpacked_as_now(&written, root->key, root->key_bytes);
	return 1; /* there is one in an entry */
}

static int take_entry(void *ctx, const struct disk_bch_jentry *entry, const u8 *payload, size_t payload_bytes, struct diag *d)
{
	struct gathering *gathering = ctx;
	int err = 0;

	gathering->entry = entry;
	gathering->payload = payload;
	/* There are no btrees with higher numbers. */
	if (entry->btree >= BCH_BTREES_MAX || entry->level > BCH_LEVEL_MAX)
		return 0;
	if (entry->type == BCH_JENTRY_ROOT)
		err = bch_jentry_keys_for_each(payload, payload_bytes, take_root, gathering, d);
	else if (bch_jentry_is_applied(entry->type) && gathering->journal)
		err = bch_jentry_keys_for_each(payload, payload_bytes, take_key, gathering, d);
	return err < 0 ? err : 0;
}

/* From whichever copy can still be read, which is the one that is used from then on: keys are read from there. */
static int read_any_copy(struct bch_fs *fs, const struct bch_journal *journal, struct bch_jset *jset, u8 **ret_bytes, struct diag *d)
{
	int err = -EUCLEAN;

	for (u32 i = 0; err && i < jset->nr_copies; i++) {
		const struct bch_jset_copy *copy = &journal->copies.items[jset->first_copy + i];

		if (copy->is_bad)
			continue;
		err = bch_jset_read_copy(fs, jset, copy, ret_bytes, d);
		jset->device = copy->device;
		jset->physical = copy->physical;
	}
	return err;
}

/* One that could be read before, and no longer can be, is as one that is damaged. */
static int gather_jset(struct bch_fs *fs, struct gathering *gathering, struct bch_jset *jset, struct diag *d)
{
	struct diag why = { 0 };
	_free_ u8 *bytes = NULL;
	int err = read_any_copy(fs, gathering->journal, jset, &bytes, &why);

	if (err == -ENOMEM)
		return diag_copy(d, &why);
	if (err) {
		jset->has_bad_csum = true;
		diag_note(d, DIAG_WARNING, "%s: what it changed is as it was before", why.text);
		return 0;
	}
	gathering->jset = jset;
	gathering->version = (u16)jset->version;
	gathering->bytes = bytes;
	gathering->nr = 0;
	return bch_jentries_for_each(bytes + sizeof(struct disk_bch_jset),
				     gathering->jset->bytes - sizeof(struct disk_bch_jset), take_entry, gathering, d);
}

static void tell_what_lacks(const struct bch_journal *journal, struct diag *d)
{
	array_for_each(&journal->holes, hole) {
		if (hole->end - hole->start == 1)
			diag_note(d, DIAG_WARNING, "journal entry %llu missing: what it changed is as it was before", (ull)hole->start);
		else
			diag_note(d, DIAG_WARNING, "journal entries %llu-%llu missing: what they changed is as it was before",
				  (ull)hole->start, (ull)hole->end - 1);
	}
	array_for_each(&journal->jsets, jset)
		if (jset->has_bad_csum && jset->state == BCH_JSET_NEEDED)
			diag_note(d, DIAG_WARNING, "journal entry %llu damaged: what it changed is as it was before", (ull)jset->seq);
		else if (jset->is_lost)
			diag_note(d, DIAG_WARNING,
				  "journal entry %llu damaged, and not as one that was being written in the crash: the last changes, those "
				  "behind entry %llu, may be lost",
				  (ull)jset->seq, (ull)journal->newest_seq);
		else if (jset->has_bad_csum && jset->state == BCH_JSET_UNFLUSHED)
			diag_note(d, DIAG_WARNING,
				  "journal entry %llu damaged, behind the last good one: it is left out, as one that was being written in "
				  "the crash",
				  (ull)jset->seq);
}

int bch_journal_gather(struct bch_fs *fs, struct bch_journal *journal, struct spill *spill, size_t memory_bytes,
		       struct bch_root *roots, struct diag *d)
{
	struct gathering gathering = { .journal = journal, .roots = roots, .volume = fs->super->version };
	int err = 0;

	tell_what_lacks(journal, d);
	journal_overlay_free(journal->keys);
	journal->keys = NULL;
	journal->nr_keys = 0;
	if (journal_overlay_new(&bch_kind, spill, memory_bytes, &journal->keys) < 0)
		return diag_no_memory(d, "keys of the journal");
	for (size_t i = 0; i < journal->jsets.len && !err; i++) {
		struct bch_jset *jset = &journal->jsets.items[i];

		if (jset->state == BCH_JSET_NEEDED && !jset->has_bad_csum)
			err = gather_jset(fs, &gathering, jset, d);
	}
	return err ?: journal_overlay_finish(journal->keys, NULL, NULL, d);
}

/* --- The clean section ----------------------------------------------------------------------------------------- */

int bch_clean_roots(const struct bch_fs *fs, struct bch_root *roots, struct diag *d)
{
	const struct bch_super *super = fs->super;
	struct gathering gathering = { .roots = roots, .volume = super->version, .version = super->version };
	int err;

	if (!super->clean || super->clean_bytes < sizeof(*super->clean))
		return diag_fail(d, -EUCLEAN, "superblock: the volume is clean, but there is no section that says where its btrees are");
	err = bch_jentries_for_each((const u8 *)super->clean + sizeof(*super->clean), super->clean_bytes - sizeof(*super->clean),
				    take_entry, &gathering, d);
	return err < 0 ? diag_context(d, err, "superblock: section clean") : 0;
}

static int note_keys(void *ctx, const struct disk_bch_jentry *entry, const u8 *payload, size_t payload_bytes, struct diag *d)
{
	(void)d;
	if (bch_jentry_is_applied(entry->type) && payload_bytes && payload[0])
		*(bool *)ctx = true;
	return 0;
}

static bool is_same_root(const struct bch_root *a, const struct bch_root *b)
{
	if (!a->is_there || !b->is_there)
		return a->is_there == b->is_there;
	return a->level == b->level && a->key_bytes == b->key_bytes && memcmp(a->key, b->key, a->key_bytes) == 0;
}

static int compare_roots(struct bch_fs *fs, const struct bch_jset *newest, struct bch_root *roots,
			 struct bch_clean_check *check, struct diag *d)
{
	struct gathering gathering = { .roots = roots + BCH_BTREES_MAX, .volume = fs->super->version, .version = (u16)newest->version,
				       .jset = newest };
	_free_ u8 *bytes = NULL;
	int err = bch_clean_roots(fs, roots, d);

	if (!err)
		err = bch_jset_read(fs, newest, &bytes, d);
	if (err)
		return err;
	err = bch_jentries_for_each(bytes + sizeof(struct disk_bch_jset), newest->bytes - sizeof(struct disk_bch_jset), note_keys,
				    &check->has_keys, d);
	gathering.bytes = bytes;
	if (!err)
		err = bch_jentries_for_each(bytes + sizeof(struct disk_bch_jset), newest->bytes - sizeof(struct disk_bch_jset),
					    take_entry, &gathering, d);
	for (unsigned i = 0; i < BCH_BTREES_MAX && !err; i++)
		if (!is_same_root(&roots[i], &roots[BCH_BTREES_MAX + i]))
			check->roots_differ |= (u64)1 << i;
	return err;
}

int bch_clean_check(struct bch_fs *fs, const struct bch_journal *journal, struct bch_clean_check *ret_check, struct diag *d)
{
	struct bch_clean_check check = { .is_there = fs->super->clean, .journal_seq = journal->newest_seq };
	_free_ struct bch_root *roots = NULL;
	int err = 0;

	if (check.is_there && fs->super->clean_bytes >= sizeof(*fs->super->clean)) {
		const struct bch_jset *newest = NULL;

		check.seq = le64_get(fs->super->clean->journal_seq);
		array_for_each(&journal->jsets, jset)
			if (jset->seq == journal->newest_seq && !jset->has_bad_csum)
				newest = jset;
		roots = calloc(2 * BCH_BTREES_MAX, sizeof(*roots));
		if (!roots)
			return diag_no_memory(d, "roots of btrees");
		if (newest)
			err = compare_roots(fs, newest, roots, &check, d);
	}
	if (!err)
		*ret_check = check;
	return err;
}

/* --- One key ----------------------------------------------------------------------------------------------------- */

/* The stream of an encrypted jset can be entered at any block of it. */
#define CRYPT_BLOCK_BYTES 64

int bch_jkey_read(struct bch_fs *fs, const struct bch_jkey *jkey, u8 *bytes, struct bch_key *ret_key, struct diag *d)
{
	const struct bch_written written = { fs->super->version, jkey->version, jkey->btree, jkey->level };
	u8 raw[255 * 8 + CRYPT_BLOCK_BYTES];
	u64 at = jkey->physical - jkey->jset_physical, end = jkey->jset_bytes;
	u32 before = fs->crypt ? (u32)((at - BCH_JSET_ENCRYPTED_AT) % CRYPT_BLOCK_BYTES) : 0;
	size_t len;
	int err;

	if (jkey->physical < jkey->jset_physical || at < sizeof(struct disk_bch_jset) || at >= end)
		return diag_fail(d, -EINVAL, "journal entry %llu: no key lies outside of it", (ull)jkey->seq);
	len = (size_t)MIN(end - at, (u64)255 * 8);
	err = bch_device_read(fs, jkey->device, jkey->physical - before, raw, len + before, d);
	if (err)
		return diag_context(d, err, "journal entry %llu", (ull)jkey->seq);
	if (fs->crypt)
		bch_crypt_decrypt(fs->crypt,
				  bch_nonce_add(bch_nonce_of_jset(jkey->seq), (u32)(at - BCH_JSET_ENCRYPTED_AT - before)), raw,
				  len + before);
	memcpy(bytes, raw + before, len);
	bch_unpacked_as_now(&written, bytes, len);
	err = bch_key_get(NULL, bytes, len, ret_key, d);
	if (err < 0)
		return diag_context(d, err, "journal entry %llu", (ull)jkey->seq);
	if (bch_pos_compare(&ret_key->pos, &jkey->pos) != 0 || ret_key->type != jkey->type)
		return diag_fail(d, -EUCLEAN, "journal entry %llu: has become another one while the volume was read", (ull)jkey->seq);
	return 0;
}

/* --- Replay ------------------------------------------------------------------------------------------------------ */

enum replay_rank { RANK_SPACE, RANK_INTERIOR, RANK_LEAF };

/* They can be made anew from all others. */
static bool is_of_space(u8 btree)
{
	const u64 btrees = (u64)1 << BCH_ALLOC | (u64)1 << BCH_LRU | (u64)1 << BCH_FREESPACE | (u64)1 << BCH_NEED_DISCARD |
			   (u64)1 << BCH_BACKPOINTERS | (u64)1 << BCH_BUCKET_GENS | (u64)1 << BCH_ACCOUNTING;

	return btree < 64 && (btrees >> btree & 1);
}

static enum replay_rank rank_of(const struct bch_jkey *jkey)
{
	if (jkey->level > 0)
		return RANK_INTERIOR;
	return is_of_space(jkey->btree) ? RANK_SPACE : RANK_LEAF;
}

/* What its place in the order comes from, and where it is in journal->keys. */
struct replay_step {
	size_t index;
	u64 seq;
	u32 nr;
	u8 rank, level;
};

static int compare_steps(const void *a, const void *b)
{
	const struct replay_step *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	/* Of interior nodes, parents first. */
	if (x->level != y->level)
		return x->level > y->level ? -1 : 1;
	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return x->nr < y->nr ? -1 : x->nr > y->nr;
}

static int read_steps(const struct journal_overlay *keys, struct replay_step *steps, size_t nr, struct diag *d)
{
	_cleanup_(journal_window_done) struct journal_window window = { 0 };
	int err = 0;

	for (size_t i = 0; i < nr && !err; i++) {
		const void *record;

		err = journal_overlay_at(keys, &window, i, &record, d);
		if (!err) {
			const struct bch_jkey *jkey = record;

			steps[i] = (struct replay_step){ i, jkey->seq, jkey->nr, (u8)rank_of(jkey), jkey->level };
		}
	}
	return err;
}

int bch_journal_replay_order(const struct bch_journal *journal, size_t **ret_list, size_t *ret_nr, struct diag *d)
{
	size_t nr = journal->keys ? journal_overlay_count(journal->keys) : 0;
	_free_ struct replay_step *steps = calloc(MAX(nr, (size_t)1), sizeof(*steps));
	_free_ size_t *list = calloc(MAX(nr, (size_t)1), sizeof(*list));
	int err;

	if (!steps || !list)
		return diag_no_memory(d, "the order of keys");
	err = read_steps(journal->keys, steps, nr, d);
	if (err)
		return err;
	qsort(steps, nr, sizeof(*steps), compare_steps);
	for (size_t i = 0; i < nr; i++)
		list[i] = steps[i].index;
	*ret_list = take_ptr(list);
	*ret_nr = nr;
	return 0;
}
