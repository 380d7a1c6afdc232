/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is all of a journal of bcachefs there that is needed, and does the superblock agree with it? */
#include <inttypes.h>
#include <stdio.h>

#include "convert/show/journal.h"

typedef unsigned long long ull;

/* "entry 7", "entries 7-9" */
static const char *range_text(u64 first, u64 last, char buf[64])
{
	if (first == last)
		snprintf(buf, 64, "entry %" PRIu64, first);
	else
		snprintf(buf, 64, "entries %" PRIu64 "-%" PRIu64, first, last);
	return buf;
}

/* Neighbours of which the same is to be said. */
struct run {
	u64 first, last, nr, nr_no_flush;
	enum bch_jset_state state;
};

static int find_run(struct journal_findings *findings, const struct run *run)
{
	static const char *const why[] = {
		[BCH_JSET_NEEDED] = "needed, and good",
		[BCH_JSET_OLD] = "old: what they say is in the btrees",
		[BCH_JSET_UNFLUSHED] = "behind the last flushed one: never promised to anybody, and left out",
		[BCH_JSET_BLACKLISTED] = "blacklisted: left out",
		[BCH_JSET_IGNORED] = "not needed, as the volume is clean",
	};
	char range[64], no_flush[64] = "";

	if (run->nr == 0)
		return 0;
	if (run->nr_no_flush)
		snprintf(no_flush, sizeof(no_flush), " (%" PRIu64 " no_flush)", run->nr_no_flush);
	return journal_find(findings, BTRKIT_JOURNAL_GOOD, journal_bch_state_name(run->state), run->first, run->last, "%s: %s%s",
			    range_text(run->first, run->last, range), why[run->state], no_flush);
}

/* One that was torn in an earlier crash has been blacklisted since. Of others not even the number can be relied on. */
static int find_bad(struct journal_findings *findings, const struct btrkit_journal *journal, const struct bch_jset *jset)
{
	const struct bch_journal *bch = journal_of_bch(journal);
	const char *state = journal_bch_state_name(jset->state);
	bool is_blacklisted = bch_super_is_blacklisted(journal->bch->super, jset->seq);

	switch (jset->state) {
	case BCH_JSET_NEEDED:
		findings->verdict.nr_bad++;
		return journal_find(findings, BTRKIT_JOURNAL_DAMAGED, state, jset->seq, jset->seq,
				    "entry %llu: needed, and damaged: what it changed is as it was before", (ull)jset->seq);
	case BCH_JSET_UNFLUSHED:
		if (jset->is_lost)
			return journal_find(findings, BTRKIT_JOURNAL_DAMAGED, state, jset->seq, jset->seq,
					    "entry %llu: damaged, and not as one that was being written in the crash: the last changes, "
					    "those behind entry %llu, may be lost",
					    (ull)jset->seq, (ull)bch->newest_seq);
		return journal_find(findings, jset->is_no_flush ? BTRKIT_JOURNAL_ODD : BTRKIT_JOURNAL_DAMAGED, state, jset->seq, jset->seq,
				    "entry %llu: damaged, behind the last good one: left out, as one that was being written in the crash",
				    (ull)jset->seq);
	case BCH_JSET_IGNORED:
		/* The last one is what the superblock is compared with. */
		return journal_find(findings, jset->seq > bch->newest_seq ? BTRKIT_JOURNAL_DAMAGED : BTRKIT_JOURNAL_ODD, state, jset->seq,
				    jset->seq, "entry %llu: damaged; not needed, as the volume is clean", (ull)jset->seq);
	default:
		return journal_find(findings, is_blacklisted ? BTRKIT_JOURNAL_ODD : BTRKIT_JOURNAL_DAMAGED, state, jset->seq, jset->seq,
				    "entry %llu: damaged; %s, and not needed%s", (ull)jset->seq, is_blacklisted ? "blacklisted" : state,
				    is_blacklisted ? "" : ", if its number is right");
	}
}

/* Then the number of one of them is wrong: it may be that of any other. */
static bool has_two_on_a_device(const struct bch_journal *bch, const struct bch_jset *jset)
{
	u64 seen = 0;

	for (u32 i = 0; i < jset->nr_copies; i++) {
		u64 bit = (u64)1 << bch->copies.items[jset->first_copy + i].device % 64;

		if (seen & bit)
			return true;
		seen |= bit;
	}
	return false;
}

/* Not all copies are good, or some are not there. */
static int find_copies(struct journal_findings *findings, const struct bch_journal *bch, const struct bch_jset *jset,
		       u32 nr_expected)
{
	const char *state = journal_bch_state_name(jset->state);
	bool is_damage = jset->state == BCH_JSET_NEEDED || (jset->state != BCH_JSET_IGNORED && has_two_on_a_device(bch, jset));

	if (jset->nr_bad_copies)
		return journal_find(findings, is_damage ? BTRKIT_JOURNAL_DAMAGED : BTRKIT_JOURNAL_ODD, state, jset->seq, jset->seq,
				    "entry %llu: %u of %u copies damaged; a good one is used", (ull)jset->seq, jset->nr_bad_copies,
				    jset->nr_copies);
	if (jset->state == BCH_JSET_NEEDED && jset->nr_copies < nr_expected)
		return journal_find(findings, BTRKIT_JOURNAL_ODD, state, jset->seq, jset->seq,
				    "entry %llu: %u copies, where others have %u", (ull)jset->seq, jset->nr_copies, nr_expected);
	return 0;
}

static int find_holes_before(struct journal_findings *findings, const struct bch_journal *bch, u64 seq, size_t *next)
{
	char range[64];
	int err = 0;

	for (; *next < bch->holes.len && bch->holes.items[*next].start < seq && !err; ++*next) {
		const struct bch_seq_range *hole = &bch->holes.items[*next];

		findings->verdict.nr_missing += hole->end - hole->start;
		err = journal_find(findings, BTRKIT_JOURNAL_DAMAGED, "missing", hole->start, hole->end - 1,
				   "journal %s missing: needed, and what they changed is as it was before",
				   range_text(hole->start, hole->end - 1, range));
	}
	return err;
}

static bool goes_on(const struct run *run, const struct bch_jset *jset)
{
	return run->nr && run->state == jset->state && run->last + 1 == jset->seq;
}

static int verify_jsets(const struct btrkit_journal *journal, struct journal_findings *findings)
{
	const struct bch_journal *bch = journal_of_bch(journal);
	struct run run = { 0 };
	u32 nr_copies = 0;
	size_t next_hole = 0;
	int err = 0;

	array_for_each(&bch->jsets, jset)
		if (jset->state == BCH_JSET_NEEDED)
			nr_copies = MAX(nr_copies, jset->nr_copies);
	array_for_each(&bch->jsets, jset) {
		bool is_good = !jset->has_bad_csum;

		if (!is_good || !goes_on(&run, jset)) {
			err = err ?: find_run(findings, &run);
			run = (struct run){ .first = jset->seq, .state = jset->state };
			err = err ?: find_holes_before(findings, bch, jset->seq, &next_hole);
		}
		if (is_good) {
			run.last = jset->seq;
			run.nr++;
			run.nr_no_flush += jset->is_no_flush;
			findings->verdict.nr_good += jset->state == BCH_JSET_NEEDED;
			err = err ?: find_copies(findings, bch, jset, nr_copies);
		} else {
			err = err ?: find_bad(findings, journal, jset);
		}
	}
	return err ?: find_run(findings, &run);
}

static int verify_blacklist(const struct bch_super *super, struct journal_findings *findings)
{
	char range[64];
	int err = 0;

	array_for_each(&super->blacklist, burnt)
		err = err ?: journal_find(findings, BTRKIT_JOURNAL_GOOD, "blacklisted", burnt->start, burnt->end - 1,
					  "%s: blacklisted by the superblock", range_text(burnt->start, burnt->end - 1, range));
	return err;
}

/* A superblock says where the journal ended when the volume was last left cleanly. */
static int verify_clean(struct btrkit_journal *journal, struct journal_findings *findings, struct diag *d)
{
	const struct bch_journal *bch = journal_of_bch(journal);
	const struct bch_super *super = journal->bch->super;
	struct bch_clean_check check;
	int err;

	if (bch->is_clean_wrong)
		return journal_find(findings, BTRKIT_JOURNAL_DAMAGED, "clean", bch->newest_seq, bch->newest_seq,
				    "the superblock says that the volume is clean, but entry %llu has keys: it was in use afterwards",
				    (ull)bch->newest_seq);
	if (!super->is_clean)
		return journal_find(findings, BTRKIT_JOURNAL_GOOD, "clean", 0, 0,
				    super->clean ? "clean section of the superblock: stale, as the volume was not left cleanly" :
						   "clean section of the superblock: none, as the volume was not left cleanly");
	if (!super->clean)
		return journal_find(findings, BTRKIT_JOURNAL_DAMAGED, "clean", 0, 0,
				    "clean section of the superblock: none, though the volume is clean");
	err = bch_clean_check(journal->bch, bch, &check, d);
	if (err < 0 && err != -EUCLEAN)
		return err;
	if (err) {
		err = journal_find(findings, BTRKIT_JOURNAL_DAMAGED, "clean", 0, 0, "%s", d->text);
		diag_clear(d);
		return err;
	}
	if (check.seq != check.journal_seq)
		return journal_find(findings, BTRKIT_JOURNAL_DAMAGED, "clean", check.seq, check.journal_seq,
				    "clean section of the superblock: is of entry %llu, but the last in the journal is %llu",
				    (ull)check.seq, (ull)check.journal_seq);
	for (unsigned i = 0; i < BCH_BTREES_MAX; i++) {
		char name[16];

		if (check.roots_differ >> i & 1)
			return journal_find(findings, BTRKIT_JOURNAL_DAMAGED, "clean", check.seq, check.seq,
					    "clean section of the superblock: root of btree %s is not the journal's",
					    bch_btree_name((u8)i, name));
	}
	return journal_find(findings, BTRKIT_JOURNAL_GOOD, "clean", check.seq, check.seq,
			    "clean section of the superblock: as entry %llu has it", (ull)check.seq);
}

static int verify_whole(struct btrkit_journal *journal, struct journal_findings *findings)
{
	const struct bch_journal *bch = journal_of_bch(journal);
	int err = 0;

	if (bch->nr_unreadable_bytes)
		err = journal_find(findings, BTRKIT_JOURNAL_DAMAGED, "log", 0, 0, "%llu bytes of the journal cannot be read",
				   (ull)bch->nr_unreadable_bytes);
	if (journal->bch->nr_missing && !err)
		err = journal_find(findings, BTRKIT_JOURNAL_ODD, "log", 0, 0,
				   "%u devices are missing: entries that only they have are not seen", journal->bch->nr_missing);
	if (bch->newest_seq == 0 && !journal->bch->super->is_clean && !err)
		err = journal_find(findings, BTRKIT_JOURNAL_DAMAGED, "log", 0, 0,
				   "the volume was not left cleanly, and no entry of its journal can be used");
	return err;
}

int journal_bch_verify(struct btrkit_journal *journal, struct journal_findings *findings, struct diag *d)
{
	const struct bch_journal *bch = journal_of_bch(journal);
	bool is_clean = journal->bch->super->is_clean && !bch->is_clean_wrong;
	int err;

	if (!is_clean) {
		findings->verdict.first = bch->last_seq;
		findings->verdict.last = bch->newest_seq;
	}
	err = verify_whole(journal, findings);
	if (!err)
		err = verify_blacklist(journal->bch->super, findings);
	if (!err)
		err = verify_jsets(journal, findings);
	return err ?: verify_clean(journal, findings, d);
}
