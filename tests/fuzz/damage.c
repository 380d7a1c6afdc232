/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/fuzz/damage.h"

#include "kernel-shared/format/leaf.h"

struct record {
	le16 piece;
	u8 op; /* WHERE_* and DO_* */
	u8 within;
	le16 where;
	u8 count;
	u8 unused;
	u8 value[8];
} __attribute__((packed));
_Static_assert(sizeof(struct record) == 16, "record");

enum {
	WHERE_RAW = 0, /* at byte "where" */
	WHERE_DATA = 1, /* in the data of item "where", at byte "within" */
	WHERE_ITEM = 2, /* in the item or key pointer number "where", at byte "within" */
	WHERE_HEADER = 3, /* at byte "within" of the header */
	WHERE_MASK = 3,
	DO_SET = 0,
	DO_XOR = 4,
	DO_ADD = 8, /* as a little-endian number */
	DO_MASK = 12,
};

static u8 *bytes_of(struct damage *damage, const struct fuzz_piece *piece)
{
	size_t i = 0;

	while (i < damage->nr_changed && damage->changed[i].piece != piece)
		i++;
	if (i == damage->nr_changed) {
		damage->nr_changed++;
		damage->changed[i].piece = piece;
		damage->changed[i].bytes = malloc(piece->len);
		fuzz_require(damage->changed[i].bytes);
		fuzz_piece_read(damage->image, piece, damage->changed[i].bytes);
	}
	return damage->changed[i].bytes;
}

/* Where in the piece the record's bytes go; the block may be changed already, so nothing in it is trusted. */
static u32 place_of(const struct record *record, const struct fuzz_piece *piece, const u8 *bytes)
{
	u32 where = le16_get(record->where), nr;

	if (piece->kind != FUZZ_BLOCK || (record->op & WHERE_MASK) == WHERE_RAW)
		return where % piece->len;
	nr = MIN(block_nritems(bytes), (piece->len - (u32)sizeof(struct disk_header)) / (u32)sizeof(struct disk_item));
	where = nr ? where % nr : 0;
	switch (record->op & WHERE_MASK) {
	case WHERE_HEADER:
		return record->within % sizeof(struct disk_header);
	case WHERE_DATA:
		if (nr && block_level(bytes) == 0)
			return (u32)(sizeof(struct disk_header) + le32_get(leaf_item(bytes, where)->offset) +
				     record->within % MAX(leaf_item_bytes(bytes, where), 1U)) % piece->len;
		/* fallthrough */
	default:
		nr = block_level(bytes) ? sizeof(struct disk_key_ptr) : sizeof(struct disk_item);
		return (u32)(sizeof(struct disk_header) + where * nr + record->within % nr) % piece->len;
	}
}

static void apply(struct damage *damage, const struct record *record)
{
	const struct fuzz_piece *piece = &damage->image->pieces.items[le16_get(record->piece) % damage->image->pieces.len];
	u8 *bytes = bytes_of(damage, piece);
	u32 at = place_of(record, piece, bytes), count = MIN(1U + record->count % 8, piece->len - at);
	unsigned carry = 0;

	for (u32 i = 0; i < count; i++) {
		u8 *to = bytes + at + i;

		switch (record->op & DO_MASK) {
		case DO_XOR:
			*to ^= record->value[i];
			break;
		case DO_ADD:
			carry += *to + record->value[i];
			*to = (u8)carry;
			carry >>= 8;
			break;
		default:
			*to = record->value[i];
			break;
		}
	}
}

static void fix_csum(const struct damage *damage, const struct fuzz_piece *piece, u8 *bytes)
{
	struct disk_super *super = (struct disk_super *)bytes;
	const struct csum_kind *csum = damage->image->fs->csum;

	if (piece->kind == FUZZ_BLOCK)
		block_finish(bytes, piece->len, csum);
	else if (piece->kind == FUZZ_SUPER && csum_kind_by_type(le16_get(super->csum_type)))
		super_finish(super, csum_kind_by_type(le16_get(super->csum_type)), le64_get(super->bytenr));
}

void damage_take(const uint8_t *data, size_t size, struct damage *damage)
{
	struct fuzz_input input = { data, size };
	u8 image = fuzz_take_u8(&input);

	*damage = (struct damage){ .image = fuzz_image(image % FUZZ_IMAGES), .has_flag = image & DAMAGE_FLAG };
	damage->how = fuzz_take_u8(&input);
	for (unsigned n = 0; n < RECORDS_MAX && input.left; n++) {
		struct record record;

		fuzz_take(&input, &record, sizeof(record));
		apply(damage, &record);
	}
	for (size_t i = 0; i < damage->nr_changed; i++) {
		if (!(damage->how & HOW_BAD_CSUM))
			fix_csum(damage, damage->changed[i].piece, damage->changed[i].bytes);
		fuzz_patch_piece(&damage->patches, damage->image, damage->changed[i].piece, damage->changed[i].bytes,
				 damage->how & HOW_FIRST_COPY);
	}
}

void damage_done(struct damage *damage)
{
	for (size_t i = 0; i < damage->nr_changed; i++)
		free(damage->changed[i].bytes);
	array_done(&damage->patches.list);
}

static unsigned missing_device(const struct damage *damage)
{
	return damage->how & HOW_MISSING ? damage->image->nr_devices - 1 : FUZZ_NONE_MISSING;
}

int damage_devices(const struct damage *damage, struct device_set **ret_set, struct diag *d)
{
	return fuzz_image_devices(damage->image, &damage->patches, missing_device(damage), ret_set, d);
}

bool damage_is_none(const struct damage *damage)
{
	return damage->nr_changed == 0 && missing_device(damage) == FUZZ_NONE_MISSING;
}

void damage_seeds(fuzz_add_fn add, void *ctx, const u8 *hows, size_t nr_hows, u8 how_of_data)
{
	struct {
		u8 image, how;
		struct record records[2];
	} __attribute__((packed)) seed = { 0 };
	u32 n = 1;

	for (unsigned i = 0; i < FUZZ_IMAGES; i++) {
		seed.image = (u8)(i | DAMAGE_FLAG);
		seed.how = 0;
		add(ctx, &seed, 2);
		seed.image = (u8)i;
		for (size_t h = 0; h < nr_hows; h++) {
			seed.how = hows[h];
			add(ctx, &seed, 2);
		}
		for (size_t piece = 0; piece < fuzz_image(i)->pieces.len; piece++) {
			bool is_data = fuzz_image(i)->pieces.items[piece].kind == FUZZ_DATA;

			if (is_data && piece % 4)
				continue;
			for (unsigned r = 0; r < ARRAY_LEN(seed.records); r++) {
				struct record *record = &seed.records[r];

				le16_put(&record->piece, (u16)piece);
				n = n * 1664525 + 1013904223;
				record->op = (u8)(n >> 28);
				record->within = (u8)(n >> 20);
				le16_put(&record->where, (u16)(n >> 4));
				record->count = (u8)(n >> 9 & 1);
				record->value[0] = (u8)(n >> 13);
			}
			seed.image = (u8)(i | (!is_data && piece % 4 == 1 ? DAMAGE_FLAG : 0));
			seed.how = is_data ? how_of_data : hows[piece % nr_hows];
			add(ctx, &seed, sizeof(seed));
		}
	}
}
