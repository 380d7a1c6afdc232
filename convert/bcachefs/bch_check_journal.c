/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal: is everything there that is needed, in how many copies, and can it be read? Of a clean volume: does the superblock say
 * the same as the newest entry?
 */
#include <stdio.h>

#include "convert/bcachefs/bch_check.h"

typedef unsigned long long ull;

static int accept_entry(void *ctx, const struct disk_bch_jentry *entry, const u8 *payload, size_t payload_bytes, struct diag *d)
{
	(void)ctx, (void)entry, (void)payload, (void)payload_bytes, (void)d;
	return 0;
}

/* Does it hold what can be taken apart, to its end? */
static void judge_contents(struct bch_check *check, const struct bch_jset *jset, bch_jentry_fn fn, void *ctx)
{
	struct diag why = { 0 };
	u8 *bytes = NULL;
	int err = bch_jset_read(check->fs, jset, &bytes, &why);

	if (!err) {
		check->result->metadata_bytes += jset->bytes;
		err = bch_jentries_for_each(bytes + sizeof(struct disk_bch_jset), jset->bytes - sizeof(struct disk_bch_jset), fn, ctx,
					    &why);
	}
	if (err < 0)
		complain(check, BCH_JOURNAL_ENTRY_BAD, AT(.devid = jset->device, .physical = jset->physical), (ull)jset->seq, why.text);
	free(bytes);
}

static void judge_needed(struct bch_check *check, const struct bch_jset *jset)
{
	const struct place *place = AT(.devid = jset->device, .physical = jset->physical);

	if (jset->has_bad_csum) {
		complain(check, BCH_JOURNAL_ENTRY_BAD, place, (ull)jset->seq, "the checksum is wrong");
		return;
	}
	if (jset->nr_bad_copies)
		complain(check, BCH_JOURNAL_COPY_BAD, place, (ull)jset->seq, (unsigned)jset->nr_bad_copies,
			 (unsigned)jset->nr_copies);
	judge_contents(check, jset, accept_entry, NULL);
}

/* --- A clean volume ------------------------------------------------------------------------------------------------ */

struct newest_entries {
	struct bch_check *check;
	const struct bch_root *clean;
	u64 nr_keys;
	bool has_other_root;
};

static int look_at_newest(void *ctx, const struct disk_bch_jentry *entry, const u8 *payload, size_t payload_bytes, struct diag *d)
{
	struct newest_entries *newest = ctx;

	(void)d;
	if (entry->type == BCH_JENTRY_KEYS || entry->type == BCH_JENTRY_WRITE_BUFFER_KEYS)
		newest->nr_keys += payload_bytes >= sizeof(struct disk_bch_key);
	if (entry->type == BCH_JENTRY_ROOT && entry->btree < BCH_BTREES_MAX && payload_bytes >= sizeof(struct disk_bch_key)) {
		const struct bch_root *root = &newest->clean[entry->btree];

		if (!root->is_there || root->level != entry->level || root->key_bytes > payload_bytes ||
		    memcmp(root->key, payload, root->key_bytes) != 0)
			newest->has_other_root = true;
	}
	return 0;
}

static void judge_clean(struct bch_check *check)
{
	const struct bch_journal *journal = check->fs->journal;
	const struct disk_bch_clean *clean = check->fs->super->clean;
	struct newest_entries newest = { .check = check, .clean = check->fs->roots };
	const struct bch_jset *last = NULL;
	char text[128];
	u64 seq;

	if (!clean) {
		complain(check, BCH_CLEAN_WRONG, AT(0), "the superblock does not say where its btrees are");
		return;
	}
	seq = le64_get(clean->journal_seq);
	array_for_each(&journal->jsets, jset)
		if (!jset->has_bad_csum)
			last = jset;
	if (!last)
		return;
	if (last->seq > seq) {
		snprintf(text, sizeof(text), "its last journal entry was %llu, and there is %llu", (ull)seq, (ull)last->seq);
		complain(check, BCH_CLEAN_WRONG, AT(0), text);
	}
	if (last->seq != seq)
		return;
	judge_contents(check, last, look_at_newest, &newest);
	if (newest.nr_keys)
		complain(check, BCH_CLEAN_WRONG, AT(0), "the last journal entry holds keys");
	if (newest.has_other_root)
		complain(check, BCH_CLEAN_WRONG, AT(0), "the last journal entry has other roots of btrees than the superblock");
}

/* --- All of it ------------------------------------------------------------------------------------------------------ */

int bch_pass_journal(struct bch_check *check, struct diag *d)
{
	const struct bch_journal *journal = check->fs->journal;

	if (!journal)
		return 0;
	if (!check->fs->uses_journal) {
		if (check->fs->super->is_clean)
			judge_clean(check);
		return 0;
	}
	if (check->fs->super->is_clean)
		complain(check, BCH_CLEAN_WRONG, AT(0), "its journal was written after that");
	array_for_each(&journal->jsets, jset) {
		if (bch_check_is_cancelled(check))
			return diag_fail(d, -ECANCELED, "cancelled");
		if (jset->state == BCH_JSET_NEEDED)
			judge_needed(check, jset);
		else if (jset->is_lost)
			complain(check, BCH_JOURNAL_LAST_LOST, AT(.devid = jset->device, .physical = jset->physical), (ull)jset->seq,
				 (ull)journal->newest_seq);
		else if (jset->state == BCH_JSET_UNFLUSHED && jset->has_bad_csum)
			complain(check, BCH_JOURNAL_TORN, AT(.devid = jset->device, .physical = jset->physical), (ull)jset->seq);
	}
	array_for_each(&journal->holes, hole)
		complain(check, BCH_JOURNAL_MISSING, AT(0), (ull)hole->start, (ull)hole->end - 1);
	complain(check, BCH_JOURNAL_LAID_OVER, AT(0), (ull)journal->nr_keys, (ull)journal->last_seq, (ull)journal->newest_seq);
	return 0;
}
