/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/txn/delayed_refs.h"

/* References of one extent that are looked through for an equal one; further ones meet when they are sorted. */
#define LOOK_THROUGH 16

void delayed_refs_done(struct delayed_refs *delayed)
{
	array_done(&delayed->heads);
	array_done(&delayed->refs);
	free(delayed->slots);
	delayed->slots = NULL;
	delayed->nr_slots = 0;
}

static size_t slot_of(const struct delayed_refs *delayed, u64 logical)
{
	size_t at = (size_t)((logical >> 12) * 0x9E3779B97F4A7C15ULL >> 32) & (delayed->nr_slots - 1);

	while (delayed->slots[at] && delayed->heads.items[delayed->slots[at] - 1].logical != logical)
		at = (at + 1) & (delayed->nr_slots - 1);
	return at;
}

struct delayed_head *delayed_refs_find(const struct delayed_refs *delayed, u64 logical)
{
	u32 slot;

	if (delayed->nr_slots == 0)
		return NULL;
	slot = delayed->slots[slot_of(delayed, logical)];
	return slot ? &delayed->heads.items[slot - 1] : NULL;
}

static int grow(struct delayed_refs *delayed)
{
	size_t wanted = delayed->nr_slots ? delayed->nr_slots * 2 : 256;
	u32 *slots = calloc(wanted, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	free(delayed->slots);
	delayed->slots = slots;
	delayed->nr_slots = wanted;
	for (size_t i = 0; i < delayed->heads.len; i++)
		slots[slot_of(delayed, delayed->heads.items[i].logical)] = (u32)i + 1;
	return 0;
}

struct delayed_head *delayed_refs_get(struct delayed_refs *delayed, u64 logical, u64 len, u8 level, bool is_data)
{
	struct delayed_head *head = delayed_refs_find(delayed, logical);
	const struct delayed_head new = { .logical = logical, .len = len, .level = level, .is_data = is_data };

	if (head && !head->is_dead)
		return head;
	if (head) {
		*head = new;
		return head;
	}
	if (delayed->heads.len >= UINT32_MAX / 2 ||
	    (2 * delayed->heads.len >= delayed->nr_slots && grow(delayed) < 0) || array_push(&delayed->heads, new) < 0)
		return NULL;
	delayed->slots[slot_of(delayed, logical)] = (u32)delayed->heads.len;
	return &delayed->heads.items[delayed->heads.len - 1];
}

int delayed_refs_add(struct delayed_refs *delayed, struct delayed_head *head, const struct extent_ref *ref, s64 delta)
{
	unsigned looked = 0;

	for (u32 at = head->first; at && looked < LOOK_THROUGH; looked++) {
		struct delayed_ref *there = &delayed->refs.items[at - 1];

		if (extent_ref_compare(&there->change.ref, ref) == 0) {
			there->change.delta += delta;
			head->delta += delta;
			return 0;
		}
		at = there->next;
	}
	if (delayed->refs.len >= UINT32_MAX / 2 ||
	    array_push(&delayed->refs, (struct delayed_ref){ { *ref, delta }, 0 }) < 0)
		return -ENOMEM;
	if (head->last)
		delayed->refs.items[head->last - 1].next = (u32)delayed->refs.len;
	else
		head->first = (u32)delayed->refs.len;
	head->last = (u32)delayed->refs.len;
	head->delta += delta;
	return 0;
}

static int by_logical(const void *a, const void *b)
{
	const struct delayed_head *x = a, *y = b;

	return x->logical < y->logical ? -1 : x->logical > y->logical;
}

void delayed_refs_sort(struct delayed_refs *delayed)
{
	array_sort(&delayed->heads, by_logical);
	free(delayed->slots);
	delayed->slots = NULL;
	delayed->nr_slots = 0;
}

static int by_ref(const void *a, const void *b)
{
	const struct ref_change *x = a, *y = b;

	return extent_ref_compare(&x->ref, &y->ref);
}

int delayed_refs_of(const struct delayed_refs *delayed, const struct delayed_head *head, struct ref_changes *changes)
{
	size_t kept = 0;

	changes->list.len = 0;
	for (u32 at = head->first; at; at = delayed->refs.items[at - 1].next)
		if (array_push(&changes->list, delayed->refs.items[at - 1].change) < 0)
			return -ENOMEM;
	array_sort(&changes->list, by_ref);
	for (size_t i = 0; i < changes->list.len; i++) {
		const struct ref_change *change = &changes->list.items[i];

		if (kept && extent_ref_compare(&changes->list.items[kept - 1].ref, &change->ref) == 0)
			changes->list.items[kept - 1].delta += change->delta;
		else
			changes->list.items[kept++] = *change;
	}
	changes->list.len = kept;
	return 0;
}
