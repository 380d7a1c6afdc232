/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entries of a journal of bcachefs, each as an object: what they are for, where they lie, what is in them. */
#include "convert/bcachefs/bch_checksum.h"
#include "convert/show/journal.h"
#include "kernel-shared/print/show.h"

const char *journal_bch_state_name(enum bch_jset_state state)
{
	static const char *const names[] = {
		[BCH_JSET_NEEDED] = "needed",	    [BCH_JSET_OLD] = "old",	    [BCH_JSET_UNFLUSHED] = "unflushed",
		[BCH_JSET_BLACKLISTED] = "blacklisted", [BCH_JSET_IGNORED] = "ignored",
	};

	return names[state];
}

/* --- What is in an entry --------------------------------------------------------------------------------------- */

struct contents {
	printer *to;
};

static int show_key_of_entry(void *ctx, const struct bch_key *key, size_t offset_bytes, struct diag *d)
{
	struct contents *contents = ctx;
	printer *to = contents->to;
	char position[BCH_POS_TEXT_MAX], type[16];

	(void)offset_bytes, (void)d;
	show_begin(to, NULL);
	show_text(to, "type", bch_key_type_name(key->type, type));
	show_text(to, "position", bch_pos_text(&key->pos, position));
	show_u64(to, "inode", key->pos.inode);
	show_u64(to, "offset", key->pos.offset);
	show_u64(to, "snapshot", key->pos.snapshot);
	show_u64(to, "sectors", key->size_sectors);
	show_u64(to, "version", key->version_lo);
	show_u64(to, "words", sizeof(struct disk_bch_key) / 8 + key->value_bytes / 8);
	show_end(to);
	return 0;
}

static u64 word_at(const u8 *payload, size_t payload_bytes, size_t index)
{
	le64 word;

	if (payload_bytes < (index + 1) * sizeof(word))
		return 0;
	memcpy(&word, payload + index * sizeof(word), sizeof(word));
	return le64_get(word);
}

/* Entries that have something else than keys. */
static void show_numbers(printer *to, const struct disk_bch_jentry *entry, const u8 *payload, size_t payload_bytes)
{
	switch (entry->type) {
	case BCH_JENTRY_BLACKLIST:
		show_u64(to, "sequence", word_at(payload, payload_bytes, 0));
		break;
	case BCH_JENTRY_BLACKLIST_V2:
		show_u64(to, "first", word_at(payload, payload_bytes, 0));
		show_u64(to, "last", word_at(payload, payload_bytes, 1));
		break;
	case BCH_JENTRY_USAGE:
		show_u64(to, "of", entry->btree);
		show_u64(to, "value", word_at(payload, payload_bytes, 0));
		break;
	case BCH_JENTRY_DATA_USAGE:
		show_u64(to, "value", word_at(payload, payload_bytes, 0));
		break;
	case BCH_JENTRY_CLOCK:
		show_bool(to, "writes", payload_bytes && payload[0]);
		show_u64(to, "time", word_at(payload, payload_bytes, 1));
		break;
	case BCH_JENTRY_DATETIME:
		show_u64(to, "seconds", word_at(payload, payload_bytes, 0));
		break;
	case BCH_JENTRY_LOG:
		show_name(to, "text", payload, strnlen((const char *)payload, payload_bytes));
		break;
	default:
		show_u64(to, "bytes", payload_bytes);
	}
}

static int show_entry(void *ctx, const struct disk_bch_jentry *entry, const u8 *payload, size_t payload_bytes, struct diag *d)
{
	struct contents *contents = ctx;
	printer *to = contents->to;
	struct diag why = { 0 };
	char name[16];
	int err = 0;

	(void)d;
	/* What fills up a jset. */
	if (payload_bytes == 0)
		return 0;
	show_begin(to, NULL);
	show_text(to, "type", bch_jentry_name(entry->type, name));
	if (bch_jentry_has_keys(entry->type)) {
		show_text(to, "btree", bch_btree_name(entry->btree, name));
		show_u64(to, "level", entry->level);
		show_begin_list(to, "keys");
		err = bch_jentry_keys_for_each(payload, payload_bytes, show_key_of_entry, contents, &why);
		show_end(to);
		/* What is never applied is not checked when the jset is. */
		if (err)
			show_text(to, "problem", why.text);
	} else {
		show_numbers(to, entry, payload, payload_bytes);
	}
	show_end(to);
	return 0;
}

/* --- Entries ----------------------------------------------------------------------------------------------------- */

static void show_copies(printer *to, const struct bch_journal *bch, const struct bch_jset *jset)
{
	show_begin_list(to, "copies");
	for (u32 i = 0; i < jset->nr_copies; i++) {
		const struct bch_jset_copy *copy = &bch->copies.items[jset->first_copy + i];

		show_begin(to, NULL);
		show_u64(to, "device", copy->device);
		show_u64(to, "bucket", copy->bucket);
		show_u64(to, "bucket_offset", copy->bucket_offset_bytes);
		show_u64(to, "physical", copy->physical);
		show_bool(to, "good", !copy->is_bad);
		show_end(to);
	}
	show_end(to);
}

static int show_jset(const struct btrkit_journal *journal, const struct bch_jset *jset, unsigned flags, printer *to)
{
	const struct bch_journal *bch = journal_of_bch(journal);
	struct contents contents = { to };
	_free_ u8 *bytes = NULL;
	struct diag why = { 0 };
	int err = 0;

	show_begin(to, NULL);
	show_text(to, "type", "entry");
	show_u64(to, "sequence", jset->seq);
	show_u64(to, "version", jset->version);
	show_u64(to, "last_sequence", jset->last_seq);
	show_bool(to, "flush", !jset->is_no_flush);
	show_text(to, "state", journal_bch_state_name(jset->state));
	show_bool(to, "good", !jset->has_bad_csum);
	show_bool(to, "lost", jset->is_lost);
	show_u64(to, "bytes", jset->bytes);
	if (!jset->has_bad_csum && !(flags & BTRKIT_JOURNAL_SHORT))
		err = bch_jset_read(journal->bch, jset, &bytes, &why);
	if (err)
		show_text(to, "problem", why.text);
	show_copies(to, bch, jset);
	if (bytes) {
		show_begin_list(to, "entries");
		(void)bch_jentries_for_each(bytes + sizeof(struct disk_bch_jset), jset->bytes - sizeof(struct disk_bch_jset),
					    show_entry, &contents, NULL); /* it has been gone through when it was read */
		show_end(to);
	}
	show_end(to);
	return err || jset->has_bad_csum;
}

static void show_whole(const struct btrkit_journal *journal, printer *to)
{
	const struct bch_journal *bch = journal_of_bch(journal);
	const struct bch_super *super = journal->bch->super;

	show_begin(to, NULL);
	show_text(to, "type", "journal");
	show_text(to, "schema", "btrkit-journal-1");
	show_text(to, "filesystem", "bcachefs");
	show_bool(to, "clean", super->is_clean && !bch->is_clean_wrong);
	show_u64(to, "entries", bch->jsets.len);
	if (bch->newest_seq) {
		show_u64(to, "first_needed", bch->last_seq);
		show_u64(to, "last_needed", bch->newest_seq);
	}
	show_u64(to, "missing_devices", journal->bch->nr_missing);
	show_begin_list(to, "blacklist");
	array_for_each(&super->blacklist, range) {
		show_begin(to, NULL);
		show_u64(to, "first", range->start);
		show_u64(to, "last", range->end - 1);
		show_end(to);
	}
	show_end(to);
	show_begin_list(to, "missing");
	array_for_each(&bch->holes, hole) {
		show_begin(to, NULL);
		show_u64(to, "first", hole->start);
		show_u64(to, "last", hole->end - 1);
		show_end(to);
	}
	show_end(to);
	show_end(to);
}

/* Behind what is needed, but was to be. */
static const struct bch_jset *find_lost(const struct bch_journal *bch)
{
	array_for_each(&bch->jsets, jset)
		if (jset->is_lost)
			return jset;
	return NULL;
}

int journal_bch_show(struct btrkit_journal *journal, unsigned flags, const struct btrkit_printer *to, struct diag *d)
{
	const struct bch_journal *bch = journal_of_bch(journal);
	const struct bch_jset *lost = find_lost(bch);
	u64 nr_bad = 0;

	show_whole(journal, to);
	array_for_each(&bch->jsets, jset)
		if (!(flags & BTRKIT_JOURNAL_NEEDED) || jset->state == BCH_JSET_NEEDED)
			nr_bad += show_jset(journal, jset, flags, to) && jset->state == BCH_JSET_NEEDED;
	if (nr_bad || bch->holes.len)
		return diag_fail(d, -EUCLEAN, "%s: of the entries that are needed, %llu are damaged, and %s are missing",
				 journal->devs.items[0]->name, (unsigned long long)nr_bad, bch->holes.len ? "some" : "none");
	if (lost)
		return diag_fail(d, -EUCLEAN, "%s: entry %llu is damaged: the last changes, those behind entry %llu, may be lost",
				 journal->devs.items[0]->name, (unsigned long long)lost->seq, (unsigned long long)bch->newest_seq);
	return 0;
}
