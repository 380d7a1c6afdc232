/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/bcachefs/bch_pieces.h"

#define NR_SLOTS 32
#define PIECE_BYTES_MAX (256 * KIB) /* of each that is kept */

struct slot {
	struct bch_replica of;
	u8 *data; /* owned; NULL: empty */
	u64 used; /* when it was last */
};

struct bch_pieces {
	pthread_mutex_t mutex;
	u64 now;
	struct slot slots[NR_SLOTS];
};

struct bch_pieces *bch_pieces_new(void)
{
	struct bch_pieces *pieces = calloc(1, sizeof(*pieces));

	if (pieces)
		pthread_mutex_init(&pieces->mutex, NULL);
	return pieces;
}

void bch_pieces_free(struct bch_pieces *pieces)
{
	if (!pieces)
		return;
	for (unsigned i = 0; i < NR_SLOTS; i++)
		free(pieces->slots[i].data);
	pthread_mutex_destroy(&pieces->mutex);
	free(pieces);
}

/* What is stored at one place in one way is the same for all keys that point there. */
static bool is_same(const struct bch_replica *a, const struct bch_replica *b)
{
	return a->device == b->device && a->physical == b->physical && a->crc.csize_sectors == b->crc.csize_sectors &&
	       a->crc.usize_sectors == b->crc.usize_sectors && a->crc.nonce == b->crc.nonce && a->crc.csum_type == b->crc.csum_type &&
	       a->crc.compression == b->crc.compression && memcmp(&a->crc.csum, &b->crc.csum, sizeof(a->crc.csum)) == 0;
}

static struct slot *find(struct bch_pieces *pieces, const struct bch_replica *replica)
{
	for (unsigned i = 0; i < NR_SLOTS; i++)
		if (pieces->slots[i].data && is_same(&pieces->slots[i].of, replica))
			return &pieces->slots[i];
	return NULL;
}

bool bch_pieces_get(struct bch_pieces *pieces, const struct bch_replica *replica, u32 first, u32 nr, void *buf)
{
	struct slot *slot;

	if (!pieces)
		return false;
	LOCK_SCOPE(&pieces->mutex);
	slot = find(pieces, replica);
	if (!slot)
		return false;
	slot->used = ++pieces->now;
	memcpy(buf, slot->data + (size_t)first * BCH_SECTOR_BYTES, (size_t)nr * BCH_SECTOR_BYTES);
	return true;
}

void bch_pieces_put(struct bch_pieces *pieces, const struct bch_replica *replica, u8 *data)
{
	struct slot *oldest;

	if (!pieces || (u64)replica->crc.usize_sectors * BCH_SECTOR_BYTES > PIECE_BYTES_MAX) {
		free(data);
		return;
	}
	LOCK_SCOPE(&pieces->mutex);
	oldest = &pieces->slots[0];
	for (unsigned i = 1; i < NR_SLOTS && oldest->data; i++)
		if (!pieces->slots[i].data || pieces->slots[i].used < oldest->used)
			oldest = &pieces->slots[i];
	if (find(pieces, replica)) { /* another thread was faster */
		free(data);
		return;
	}
	free(oldest->data);
	*oldest = (struct slot){ *replica, data, ++pieces->now };
}
