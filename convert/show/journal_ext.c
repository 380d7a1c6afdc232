/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The journal of ext3 and ext4 (jbd2), block by block. */
#include <inttypes.h>
#include <stdio.h>

#include "convert/ext/ext_journal.h"
#include "convert/show/journal.h"
#include "kernel-shared/print/show.h"

typedef unsigned long long ull;

static int look(struct btrkit_journal *journal, const struct jbd2_watcher *watcher, struct jbd2_info *ret_info, struct diag *d)
{
	return ext_journal_look(journal->devs.items[0], journal->devs.len > 1 ? journal->devs.items[1] : NULL, watcher, ret_info, d);
}

int journal_ext_open(struct btrkit_journal *journal, struct diag *d)
{
	struct jbd2_info info;
	int err;

	diag_clear(d);
	err = look(journal, NULL, &info, d);
	if (err < 0 && err != -EUCLEAN)
		return err;
	if (err == 0 && journal->devs.len > 2)
		return diag_fail(d, -EINVAL, "%s: ext has one device, and one for its journal", journal->devs.items[2]->name);
	return err == 1 ? 1 : 0;
}

/* --- Shown --------------------------------------------------------------------------------------------------------- */

struct shown {
	printer *to;
	bool is_short;
	u64 nr_contents, nr_revocations; /* of the transaction */
};

static int show_contents(void *ctx, u32 sequence, u64 block, u32 where, bool is_escaped, bool is_good, struct diag *d)
{
	struct shown *shown = ctx;
	printer *to = shown->to;

	(void)d;
	shown->nr_contents++;
	if (shown->is_short)
		return 0;
	show_begin(to, NULL);
	show_text(to, "type", "block");
	show_u64(to, "transaction", sequence);
	show_u64(to, "block", block);
	show_u64(to, "journal_block", where);
	show_bool(to, "escaped", is_escaped);
	show_bool(to, "good", is_good);
	show_end(to);
	return 0;
}

static int show_revocation(void *ctx, u32 sequence, u64 block, u32 where, struct diag *d)
{
	struct shown *shown = ctx;
	printer *to = shown->to;

	(void)d;
	shown->nr_revocations++;
	if (shown->is_short)
		return 0;
	show_begin(to, NULL);
	show_text(to, "type", "revoke");
	show_u64(to, "transaction", sequence);
	show_u64(to, "block", block);
	show_u64(to, "journal_block", where);
	show_end(to);
	return 0;
}

static int show_commit(void *ctx, u32 sequence, u32 where, u64 seconds, u32 nanoseconds, bool is_good, struct diag *d)
{
	struct shown *shown = ctx;
	printer *to = shown->to;
	char text[48];

	(void)d;
	snprintf(text, sizeof(text), "%" PRIu64 ".%09u", seconds, nanoseconds);
	show_begin(to, NULL);
	show_text(to, "type", "commit");
	show_u64(to, "transaction", sequence);
	show_u64(to, "journal_block", where);
	show_u64(to, "blocks", shown->nr_contents);
	show_u64(to, "revoked", shown->nr_revocations);
	show_text(to, "time", text);
	show_bool(to, "good", is_good);
	show_end(to);
	shown->nr_contents = shown->nr_revocations = 0;
	return 0;
}

static const char *checksums_of(const struct jbd2_info *info)
{
	if (info->incompat & JBD2_INCOMPAT_CSUM_V3)
		return "3";
	if (info->incompat & JBD2_INCOMPAT_CSUM_V2)
		return "2";
	return info->compat & JBD2_COMPAT_CHECKSUM ? "1" : "none";
}

static const char *state_of(const struct jbd2_info *info)
{
	static const char *const states[] = {
		[JBD2_EMPTY] = "empty",
		[JBD2_DIRTY] = "dirty",
		[JBD2_FAST_COMMITS] = "fast commits",
		[JBD2_NOT_WANTED] = "not wanted",
	};

	return states[info->state];
}

static void show_whole(const struct jbd2_info *info, const char *state, printer *to)
{
	show_begin(to, NULL);
	show_text(to, "type", "journal");
	show_text(to, "schema", "btrkit-journal-1");
	show_text(to, "filesystem", "ext");
	show_text(to, "state", state);
	show_text(to, "checksums", checksums_of(info));
	show_u64(to, "compat", info->compat);
	show_u64(to, "incompat", info->incompat);
	show_u64(to, "first_block", info->first_block);
	show_u64(to, "end_block", info->end_block);
	show_u64(to, "start_block", info->start_block);
	show_u64(to, "start_transaction", info->start_sequence);
	show_u64(to, "transactions", info->nr_transactions);
	show_u64(to, "contents", info->nr_journalled);
	show_u64(to, "revocations", info->nr_revocations);
	show_u64(to, "blocks", info->nr_blocks);
	show_u64(to, "fast_commits", info->nr_fast_commits);
	if (info->end_reason[0])
		show_text(to, "end", info->end_reason);
	show_end(to);
}

/* What it is as a whole is known when it has been gone through, and told first. */
int journal_ext_show(struct btrkit_journal *journal, unsigned flags, const struct btrkit_printer *to, struct diag *d)
{
	struct shown shown = { .to = to, .is_short = flags & BTRKIT_JOURNAL_SHORT };
	const struct jbd2_watcher watcher = { &shown, show_contents, show_revocation, show_commit };
	struct jbd2_info info;
	int err = look(journal, NULL, &info, d);

	if (err && err != -EUCLEAN)
		return err;
	show_whole(&info, err ? "damaged" : state_of(&info), to);
	diag_clear(d);
	return look(journal, &watcher, &info, d);
}

/* --- Verified ------------------------------------------------------------------------------------------------------ */

struct verified {
	struct journal_findings *findings;
	u64 nr_contents, nr_bad_contents, nr_revocations;
};

static int verify_contents(void *ctx, u32 sequence, u64 block, u32 where, bool is_escaped, bool is_good, struct diag *d)
{
	struct verified *verified = ctx;

	(void)is_escaped, (void)d;
	verified->nr_contents++;
	if (is_good)
		return 0;
	verified->nr_bad_contents++;
	/* Of a transaction that is complete, and a block that is not revoked, it is damage: jbd2_open() knows. */
	return journal_find(verified->findings, BTRKIT_JOURNAL_ODD, "log", sequence, sequence,
			    "transaction %u: contents of block %llu, in block %u of the journal, do not match their checksum", sequence,
			    (ull)block, where);
}

static int verify_revocation(void *ctx, u32 sequence, u64 block, u32 where, struct diag *d)
{
	(void)sequence, (void)block, (void)where, (void)d;
	((struct verified *)ctx)->nr_revocations++;
	return 0;
}

/* One that is bad may be left over from an earlier lap; jbd2_open() knows, and says so if it is damage. */
static int verify_commit(void *ctx, u32 sequence, u32 where, u64 seconds, u32 nanoseconds, bool is_good, struct diag *d)
{
	struct verified *verified = ctx;
	struct journal_findings *findings = verified->findings;
	bool has_bad = verified->nr_bad_contents;
	u64 nr = verified->nr_contents, nr_revocations = verified->nr_revocations;

	(void)where, (void)seconds, (void)nanoseconds, (void)d;
	verified->nr_contents = verified->nr_revocations = verified->nr_bad_contents = 0;
	if (!is_good)
		return 0;
	findings->verdict.nr_good += !has_bad;
	findings->verdict.nr_bad += has_bad;
	return has_bad ? 0 :
			 journal_find(findings, BTRKIT_JOURNAL_GOOD, "needed", sequence, sequence,
				      "transaction %u: needed, and good: %llu blocks, %llu revoked", sequence, (ull)nr, (ull)nr_revocations);
}

static int find_end(struct journal_findings *findings, const struct jbd2_info *info)
{
	if (info->state == JBD2_NOT_WANTED)
		return journal_find(findings, BTRKIT_JOURNAL_DAMAGED, "log", 0, 0,
				    "the journal is not empty, but the superblock does not want it replayed");
	if (info->state == JBD2_FAST_COMMITS)
		return journal_find(findings, BTRKIT_JOURNAL_ODD, "log", info->next_sequence, info->next_sequence,
				    "%u fast commits behind the last transaction, which only Linux and e2fsck replay", info->nr_fast_commits);
	return journal_find(findings, BTRKIT_JOURNAL_GOOD, "log", 0, 0, "%s%s", info->start_block ? "the journal ends: " : "",
			    info->end_reason);
}

int journal_ext_verify(struct btrkit_journal *journal, struct journal_findings *findings, struct diag *d)
{
	struct verified verified = { .findings = findings };
	const struct jbd2_watcher watcher = { &verified, verify_contents, verify_revocation, verify_commit };
	struct jbd2_info info;
	int err = look(journal, &watcher, &info, d);

	if (err < 0 && err != -EUCLEAN)
		return err;
	if (err == -EUCLEAN) {
		err = journal_find(findings, BTRKIT_JOURNAL_DAMAGED, "log", 0, 0, "%s", d->text);
		diag_clear(d);
	}
	if (!err && findings->verdict.nr_good + findings->verdict.nr_bad) {
		findings->verdict.first = info.start_sequence;
		findings->verdict.last = (u32)(info.start_sequence + findings->verdict.nr_good + findings->verdict.nr_bad - 1);
	}
	if (!err && info.abort_errno)
		err = journal_find(findings, BTRKIT_JOURNAL_DAMAGED, "log", 0, 0, "Linux gave the journal up with error %u",
				   info.abort_errno);
	if (err || findings->verdict.nr_damages)
		return err;
	return find_end(findings, &info);
}
