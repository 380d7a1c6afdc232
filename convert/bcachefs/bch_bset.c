/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A node is a header with a first bset, and further ones that were added to it, each at a block boundary. Keys ascend within a bset;
 * of equal positions the later bset's is right, and a deleted one hides those before. All bsets of a node have the same seq: one of
 * another is what is left of a node that was there before.
 */
#include "convert/bcachefs/bch_bset.h"

#include "common/base/checked.h"
#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_key_versions.h"

typedef unsigned long long ull;

#define BSET_CSUM_TYPE(flags) ((flags) & 15)
#define BSET_BIG_ENDIAN (1u << 4)
#define BSET_SEPARATE_WHITEOUTS (1u << 5)
#define BSET_SECTOR(flags) ((flags) >> 16)

#define NODE_LEVEL(flags) ((unsigned)((flags) >> 4) & 15)
#define NODE_BTREE(flags) ((unsigned)((flags) & 15) | (unsigned)((flags) >> 9 & 0xffff) << 4)
#define NODE_NEW_EXTENT_OVERWRITE ((u64)1 << 8)

/* Encrypted in the first bset beside its keys; 64 bytes are one step of the nonce. */
#define NODE_ENCRYPTED_AT offsetof(struct disk_bch_node, flags)
#define NODE_ENCRYPTED_BYTES (offsetof(struct disk_bch_node, bset) - NODE_ENCRYPTED_AT)
#define NODE_NONCE_BYTES 128

typedef ARRAY(struct bch_key) key_array;

static void key_array_done(key_array *keys)
{
	array_done(keys);
}

struct reading {
	const struct bch_fs *fs;
	const struct bch_node_ptr *ptr;
	struct bch_node *node;
	struct disk_bch_format format;
	u64 seq;
	size_t at; /* of the bset that comes next */
	size_t end; /* of what is there to be read */
	ARRAY(struct {
		size_t at;
		u16 version;
	}) used; /* bsets whose keys count */
};

/* A bset, wherever in the node it begins; the checksum is before it or before the node's header. */
struct bset_place {
	size_t at; /* of the checksum */
	size_t bset_at; /* of its header */
	struct disk_bch_bset bset;
	u32 flags;
	size_t payload_bytes;
};

/* --- One bset -------------------------------------------------------------------------------------------------- */

static struct bset_place place_of(const struct reading *reading, size_t at)
{
	struct bset_place place = { .at = at };

	place.bset_at = at + (at == 0 ? offsetof(struct disk_bch_node, bset) : offsetof(struct disk_bch_node_entry, bset));
	memcpy(&place.bset, reading->node->raw + place.bset_at, sizeof(place.bset));
	place.flags = le32_get(place.bset.flags);
	place.payload_bytes = le16_get(place.bset.u64s) * (size_t)8;
	return place;
}

static size_t payload_at(const struct bset_place *place)
{
	return place->bset_at + sizeof(struct disk_bch_bset);
}

static size_t place_end(const struct bset_place *place)
{
	return payload_at(place) + place->payload_bytes;
}

static int check_csum(const struct reading *reading, const struct bset_place *place, struct diag *d)
{
	const u8 *data = reading->node->raw + place->at;
	size_t bytes = place_end(place) - place->at - sizeof(struct disk_bch_csum);
	unsigned type = BSET_CSUM_TYPE(place->flags);
	struct disk_bch_csum stored, computed;

	memcpy(&stored, data, sizeof(stored));
	data += sizeof(stored);
	if (!bch_csum_name(type))
		return diag_fail(d, -EUCLEAN, "bset at %zu: checksum type %u is unknown", place->at, type);
	if (bch_csum_is_encrypted(type) && !reading->fs->crypt)
		return diag_fail(d, -EUCLEAN, "bset at %zu: is encrypted, though the volume is not", place->at);
	computed = bch_csum_is_encrypted(type) ? bch_crypt_mac(reading->fs->crypt, type,
							       bch_nonce_of_bset(&place->bset, (u32)place->at), data, bytes) :
						 bch_csum_of(type, data, bytes);
	if (memcmp(&stored, &computed, bch_csum_bytes(type)) != 0)
		return diag_fail(d, -EUCLEAN, "bset at %zu: checksum (%s) does not match", place->at, bch_csum_name(type));
	return 0;
}

static void decrypt(const struct reading *reading, const struct bset_place *place)
{
	struct bch_nonce nonce = bch_nonce_of_bset(&place->bset, (u32)place->at);
	u8 *raw = reading->node->raw;

	if (!bch_csum_is_encrypted(BSET_CSUM_TYPE(place->flags)))
		return;
	if (place->at == 0) {
		bch_crypt_decrypt(reading->fs->crypt, nonce, raw + NODE_ENCRYPTED_AT, NODE_ENCRYPTED_BYTES);
		nonce = bch_nonce_add(nonce, NODE_NONCE_BYTES);
	}
	bch_crypt_decrypt(reading->fs->crypt, nonce, raw + payload_at(place), place->payload_bytes);
}

/* Lengths, checksum and what the header says of itself. Then it is decrypted. */
static int open_bset(const struct reading *reading, const struct bset_place *place, struct diag *d)
{
	unsigned version = le16_get(place->bset.version), sector = BSET_SECTOR(place->flags);
	int err;

	if (!range_fits(payload_at(place), place->payload_bytes, reading->end))
		return diag_fail(d, -EUCLEAN, "bset at %zu: ends at %zu, limit %zu", place->at, place_end(place), reading->end);
	err = check_csum(reading, place, d);
	if (err)
		return err;
	if (place->flags & BSET_BIG_ENDIAN)
		return diag_fail(d, -EUCLEAN, "bset at %zu: is big-endian", place->at);
	if (place->flags & BSET_SEPARATE_WHITEOUTS)
		return diag_fail(d, -EOPNOTSUPP, "bset at %zu: whiteouts are apart from keys, as before 2019", place->at);
	if (version < BCH_VERSION_MIN)
		return diag_fail(d, -EUCLEAN, "bset at %zu: version %u.%u, at least 0.9 is possible", place->at,
				 BCH_VERSION_MAJOR(version), BCH_VERSION_MINOR(version));
	if (sector != 0 && sector != place->at / BCH_SECTOR_BYTES)
		return diag_fail(d, -EUCLEAN, "bset at %zu: says that it is at sector %u", place->at, sector);
	decrypt(reading, place);
	return 0;
}

/* Was it written ahead of a journal entry that never was? */
static bool is_never_journaled(const struct bch_fs *fs, u64 journal_seq)
{
	if (bch_super_is_blacklisted(fs->super, journal_seq))
		return true;
	return fs->journal && (fs->uses_journal || !fs->super->is_clean) && fs->journal->newest_seq != 0 &&
	       journal_seq > fs->journal->newest_seq;
}

/* --- The node's header ----------------------------------------------------------------------------------------- */

static struct bch_written written(const struct reading *reading, u16 version)
{
	return (struct bch_written){ reading->fs->super->version, version, reading->node->btree, reading->node->level };
}

/* The last position of a node, of which every btree's is one of all snapshots. */
static struct bch_pos max_as_now(const struct reading *reading, u16 version, struct bch_pos max)
{
	const struct bch_written by = written(reading, version);

	max = bch_pos_as_now(&by, max);
	if (bch_is_before_snapshots(&by))
		max.snapshot = UINT32_MAX;
	return max;
}

/* Such a node may begin elsewhere than a pointer says that a newer version has written. */
static bool is_of_before(const struct reading *reading, u16 version)
{
	const struct bch_written by = written(reading, version);

	return version < BCH_VERSION(0, 11) || bch_is_before_snapshots(&by);
}

static int check_range(const struct reading *reading, const struct disk_bch_node *header, struct diag *d)
{
	const struct bch_node_ptr *ptr = reading->ptr;
	struct bch_pos min = bch_pos_get(&header->min_key), max = bch_pos_get(&header->max_key);
	u16 version = le16_get(header->bset.version);
	char found[BCH_POS_TEXT_MAX], expected[BCH_POS_TEXT_MAX];

	reading->node->min = ptr->has_min ? ptr->min : min;
	reading->node->max = ptr->max;
	if (ptr->is_range_updated)
		return 0;
	if (ptr->has_min && bch_pos_compare(&min, &ptr->min) != 0 && !is_of_before(reading, version))
		return diag_fail(d, -EUCLEAN, "node begins at %s, expected %s", bch_pos_text(&min, found),
				 bch_pos_text(&ptr->min, expected));
	if (bch_pos_compare(&max, &ptr->max) != 0) {
		max = max_as_now(reading, version, max);
		if (bch_pos_compare(&max, &ptr->max) != 0)
			return diag_fail(d, -EUCLEAN, "node ends at %s, expected %s", bch_pos_text(&max, found),
					 bch_pos_text(&ptr->max, expected));
	}
	return 0;
}

static u64 node_magic(const struct bch_super *super)
{
	le64 uuid;

	memcpy(&uuid, super->uuid, sizeof(uuid));
	return le64_get(uuid) ^ BCH_BSET_MAGIC;
}

static int read_header(struct reading *reading, struct diag *d)
{
	const struct bch_node *node = reading->node;
	struct disk_bch_node header;
	struct bset_place place;
	u64 flags;
	int err;

	if (reading->end < sizeof(header))
		return diag_fail(d, -EUCLEAN, "node: %zu bytes are too few for one", reading->end);
	memcpy(&header, node->raw, sizeof(header));
	if (le64_get(header.magic) != node_magic(reading->fs->super))
		return diag_fail(d, -EUCLEAN, "bad magic: no node of this volume is there");
	reading->seq = le64_get(header.bset.seq);
	if (reading->ptr->has_seq && reading->seq != reading->ptr->seq)
		return diag_fail(d, -EUCLEAN, "another node is there: seq %llx, expected %llx", (ull)reading->seq,
				 (ull)reading->ptr->seq);
	place = place_of(reading, 0);
	err = open_bset(reading, &place, d);
	if (err)
		return err;
	memcpy(&header, node->raw, sizeof(header)); /* decrypted now */
	flags = le64_get(header.flags);
	if (NODE_BTREE(flags) != node->btree || NODE_LEVEL(flags) != node->level)
		return diag_fail(d, -EUCLEAN, "node is of btree %u, level %u; expected %u, %u", NODE_BTREE(flags),
				 NODE_LEVEL(flags), node->btree, node->level);
	reading->format = header.format;
	err = bch_format_check(&reading->format, d);
	return err ? err : check_range(reading, &header, d);
}

/* --- All bsets -------------------------------------------------------------------------------------------------- */

static int use_bset(struct reading *reading, const struct bset_place *place, struct diag *d)
{
	struct bch_node *node = reading->node;

	node->nr_bsets++;
	reading->at = round_up_u64(place_end(place), reading->fs->super->block_bytes);
	/* The first is never ignored: without it there would be no node, and its pointer would not have been journaled. */
	if (place->at != 0 && is_never_journaled(reading->fs, le64_get(place->bset.journal_seq))) {
		node->nr_ignored_bsets++;
		return 0;
	}
	if (array_reserve(&reading->used, 1) < 0)
		return diag_no_memory(d, "bsets of a node");
	reading->used.items[reading->used.len].at = place->at;
	reading->used.items[reading->used.len++].version = le16_get(place->bset.version);
	return 0;
}

/* Where the pointer does not say how much of a node was written: there must be nothing of it behind its last bset. */
static int check_rest(const struct reading *reading, struct diag *d)
{
	size_t step = reading->fs->super->block_bytes;

	for (size_t at = reading->at; range_fits(at, sizeof(struct disk_bch_node_entry), reading->end); at += step) {
		struct bset_place place = place_of(reading, at);

		if (le64_get(place.bset.seq) == reading->seq &&
		    !is_never_journaled(reading->fs, le64_get(place.bset.journal_seq)))
			return diag_fail(d, -EUCLEAN, "a bset at %zu, behind the last one that ends at %zu", at, reading->at);
	}
	return 0;
}

static int read_further(struct reading *reading, struct diag *d)
{
	bool is_end_known = reading->ptr->bytes_written != 0;

	while (range_fits(reading->at, sizeof(struct disk_bch_node_entry), reading->end)) {
		struct bset_place place = place_of(reading, reading->at);
		int err;

		if (le64_get(place.bset.seq) != reading->seq) {
			if (!is_end_known)
				return check_rest(reading, d);
			return diag_fail(d, -EUCLEAN, "bset at %zu is missing: %zu bytes were written", reading->at, reading->end);
		}
		err = open_bset(reading, &place, d);
		if (!err)
			err = use_bset(reading, &place, d);
		if (err)
			return err;
	}
	if (is_end_known && reading->at != reading->end)
		return diag_fail(d, -EUCLEAN, "bsets end at %zu, but %zu bytes were written", reading->at, reading->end);
	return 0;
}

/* --- Keys --------------------------------------------------------------------------------------------------------- */

static int add_key(struct reading *reading, u16 version, const struct bch_key *from, key_array *keys, struct diag *d)
{
	const struct bch_node *node = reading->node;
	struct bch_key key = *from;
	char at[BCH_POS_TEXT_MAX], before[BCH_POS_TEXT_MAX];
	int order;

	if (version < BCH_VERSION(0, 12)) {
		const struct bch_written by = written(reading, version);

		key.pos = bch_pos_as_now(&by, key.pos);
		key.type = bch_key_type_as_now(&by, key.type);
		bch_value_as_now(&by, key.type, reading->node->raw + (key.value - reading->node->raw), key.value_bytes);
	}
	if (bch_pos_compare(&key.pos, &node->min) < 0 || bch_pos_compare(&key.pos, &node->max) > 0) {
		if (reading->ptr->is_range_updated)
			return 0;
		return diag_fail(d, -EUCLEAN, "key at %s is not in the node's range", bch_pos_text(&key.pos, at));
	}
	order = keys->len == 0 ? -1 : bch_pos_compare(&keys->items[keys->len - 1].pos, &key.pos);
	if (order > 0)
		return diag_fail(d, -EUCLEAN, "key at %s comes after %s", bch_pos_text(&key.pos, at),
				 bch_pos_text(&keys->items[keys->len - 1].pos, before));
	if (order == 0)
		keys->len--; /* one that was deleted, and is there again */
	return array_push(keys, key) < 0 ? diag_no_memory(d, "keys of a node") : 0;
}

static int read_keys(struct reading *reading, size_t bset_at, u16 version, key_array *ret_keys, struct diag *d)
{
	struct bset_place place = place_of(reading, bset_at);
	const u8 *payload = reading->node->raw + payload_at(&place);

	for (size_t at = 0; at < place.payload_bytes;) {
		struct bch_key key;
		int bytes = bch_key_get(&reading->format, payload + at, place.payload_bytes - at, &key, d), err;

		err = bytes < 0 ? bytes : add_key(reading, version, &key, ret_keys, d);
		if (err)
			return diag_context(d, err, "bset at %zu, byte %zu", bset_at, payload_at(&place) + at);
		at += (size_t)bytes;
	}
	return 0;
}

/* @older becomes both of them; deleted keys stay. */
static int merge(key_array *older, const key_array *newer, struct diag *d)
{
	_cleanup_(key_array_done) key_array merged = { 0 };
	size_t i = 0, j = 0;

	if (array_reserve(&merged, older->len + newer->len) < 0)
		return diag_no_memory(d, "keys of a node");
	while (i < older->len || j < newer->len) {
		int order = i == older->len ? 1 : j == newer->len ? -1 :
				bch_pos_compare(&older->items[i].pos, &newer->items[j].pos);

		merged.items[merged.len++] = order < 0 ? older->items[i] : newer->items[j];
		i += order <= 0;
		j += order >= 0;
	}
	array_done(older);
	*older = merged;
	memset(&merged, 0, sizeof(merged));
	return 0;
}

static int take_keys(struct reading *reading, key_array *keys, struct diag *d)
{
	for (size_t i = 0; i < reading->used.len; i++) {
		_cleanup_(key_array_done) key_array more = { 0 };
		int err = read_keys(reading, reading->used.items[i].at, reading->used.items[i].version, i == 0 ? keys : &more, d);

		if (!err && i > 0 && more.len > 0)
			err = merge(keys, &more, d);
		if (err)
			return err;
	}
	return 0;
}

static void drop_deleted(key_array *keys)
{
	size_t nr = 0;

	array_for_each(keys, key)
		if (key->type != BCH_KEY_DELETED)
			keys->items[nr++] = *key;
	keys->len = nr;
}

/* Give back what lies behind the last bset: of a node that is hardly filled that is most of it. Keys must not point there yet. */
static void trim(struct reading *reading)
{
	u8 *raw;

	reading->end = MIN(reading->at, reading->end);
	raw = realloc(reading->node->raw, reading->end);
	if (!raw)
		return; /* it stays as it is */
	reading->node->raw = raw;
	reading->node->raw_bytes = reading->end;
}

/*
 * Before spring 2020 an extent that was overwritten in part stayed as it was in an older bset, and readers cut it. Nobody has such
 * nodes any more but with one bset only, in which there is nothing to cut.
 */
static int check_extents(const struct reading *reading, struct diag *d)
{
	struct disk_bch_node header;

	memcpy(&header, reading->node->raw, sizeof(header));
	if ((le64_get(header.flags) & NODE_NEW_EXTENT_OVERWRITE) || reading->used.len < 2 || reading->node->level > 0 ||
	    (reading->node->btree != BCH_EXTENTS && reading->node->btree != BCH_REFLINK))
		return 0;
	return diag_fail(d, -EOPNOTSUPP, "extents overwritten as before 2020");
}

static int read_all(struct reading *reading, struct diag *d)
{
	_cleanup_(key_array_done) key_array keys = { 0 };
	struct bset_place first;
	int err = read_header(reading, d);

	if (err)
		return err;
	first = place_of(reading, 0);
	err = use_bset(reading, &first, d);
	if (!err)
		err = read_further(reading, d);
	if (!err)
		err = check_extents(reading, d);
	if (err)
		return err;
	trim(reading);
	err = take_keys(reading, &keys, d);
	if (err)
		return err;
	drop_deleted(&keys);
	reading->node->keys.items = keys.items;
	reading->node->keys.len = keys.len;
	reading->node->keys.cap = keys.cap;
	memset(&keys, 0, sizeof(keys));
	return 0;
}

int bch_bsets_read(const struct bch_fs *fs, const struct bch_node_ptr *ptr, struct bch_node *node, struct diag *d)
{
	struct reading reading = { .fs = fs, .ptr = ptr, .node = node, .end = node->raw_bytes };
	int err = read_all(&reading, d);

	array_done(&reading.used);
	return err;
}
