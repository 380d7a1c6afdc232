/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Btrees are written from their leaves up, each node once, packed by the format that its keys need. What the journal has instead of
 * the nodes are keys as they are; the nodes have others in their place for some of them.
 */
#include "tests/tools/bcachefs_bulk.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "convert/bcachefs/bch_checksum.h"

#define SECTOR BCH_SECTOR_BYTES
#define KEEP_BTREES_MAX 4
#define JOURNAL_SEQ 100000 /* far behind whatever the image has */
#define JSET_BYTES (96 * KIB)
#define NEW_EXTENT_OVERWRITE ((u64)1 << 8)
#define FEATURE_NO_ALLOC_INFO ((u64)1 << 21)
#define COMPAT_ALLOC ((u64)3)
#define FLAG_CLEAN ((u64)2)
#define NODE_SHIFT 12
#define NODE_MASK ((u64)0xffff)

/* Of the image these btrees are kept as they are: there is one subvolume before and after. */
static const u8 kept_btrees[KEEP_BTREES_MAX] = { BCH_SUBVOLUMES, BCH_SNAPSHOTS, BCH_SNAPSHOT_TREES, BCH_LOGGED_OPS };

void bulk_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("bcachefs_grow: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static void must(int err)
{
	if (err < 0)
		bulk_die("out of memory");
}

static void read_at(int fd, u64 physical, void *buf, size_t len)
{
	if (pread(fd, buf, len, (off_t)physical) != (ssize_t)len)
		bulk_die("the image cannot be read at %llu", (unsigned long long)physical);
}

void bulk_write(struct bulk *bulk, u64 physical, const void *data, size_t len_bytes)
{
	for (size_t done = 0; done < len_bytes;) {
		ssize_t n = pwrite(bulk->fd, (const u8 *)data + done, len_bytes - done, (off_t)(physical + done));

		if (n <= 0)
			bulk_die("the volume cannot be written at %llu", (unsigned long long)physical);
		done += (size_t)n;
	}
}

static struct disk_bch_super *super_of(struct bulk *bulk)
{
	return (struct disk_bch_super *)(void *)bulk->super;
}

static u64 magic_of(struct bulk *bulk, u64 kind)
{
	le64 uuid;

	memcpy(&uuid, super_of(bulk)->uuid, sizeof(uuid));
	return le64_get(uuid) ^ kind;
}

static u64 round_up(u64 value, u64 to)
{
	return (value + to - 1) / to * to;
}

/* --- Space ------------------------------------------------------------------------------------------------------ */

u64 bulk_allocate(struct bulk *bulk, u64 want_bytes, u64 *ret_got_bytes)
{
	u64 bucket = bulk->options.bucket_bytes, room = bucket - bulk->at % bucket, at = bulk->at;

	*ret_got_bytes = MIN(round_up(want_bytes, bulk->block_bytes), room);
	bulk->at += *ret_got_bytes;
	return at;
}

/* All of them in one bucket. */
static u64 allocate_whole(struct bulk *bulk, u64 bytes)
{
	u64 bucket = bulk->options.bucket_bytes, got, at;

	if (bucket - bulk->at % bucket < bytes)
		bulk->at = round_up(bulk->at, bucket);
	at = bulk_allocate(bulk, bytes, &got);
	return at;
}

/* --- Keys ------------------------------------------------------------------------------------------------------- */

void bulk_key(struct bulk *bulk, u8 btree, struct bch_pos pos, u32 size_sectors, u8 type, const void *value, size_t value_bytes)
{
	struct bulk_key key = {
		.pos = pos, .size_sectors = size_sectors, .type = type, .value_bytes = (u16)round_up(value_bytes, 8), .value = bulk->values.len
	};

	if (key.value_bytes > BULK_VALUE_BYTES_MAX)
		bulk_die("btree %u: a value of %zu bytes", btree, value_bytes);
	must(array_reserve(&bulk->values, key.value_bytes));
	memset(bulk->values.items + bulk->values.len, 0, key.value_bytes);
	memcpy(bulk->values.items + bulk->values.len, value, value_bytes);
	bulk->values.len += key.value_bytes;
	must(array_push(&bulk->keys[btree], key));
}

static int compare_keys(const void *a, const void *b)
{
	return bch_pos_compare(&((const struct bulk_key *)a)->pos, &((const struct bulk_key *)b)->pos);
}

static struct disk_bch_pos disk_pos(struct bch_pos pos)
{
	struct disk_bch_pos disk;

	le32_put(&disk.snapshot, pos.snapshot);
	le64_put(&disk.offset, pos.offset);
	le64_put(&disk.inode, pos.inode);
	return disk;
}

static size_t put_unpacked(u8 *to, const struct bulk_key *key, const u8 *value)
{
	struct disk_bch_key disk = { .format = BCH_FORMAT_UNPACKED, .type = key->type, .pos = disk_pos(key->pos) };

	disk.u64s = (u8)((sizeof(disk) + key->value_bytes) / 8);
	le32_put(&disk.size, key->size_sectors);
	memcpy(to, &disk, sizeof(disk));
	memcpy(to + sizeof(disk), value, key->value_bytes);
	return sizeof(disk) + key->value_bytes;
}

/* --- Packing ---------------------------------------------------------------------------------------------------- */

/* inode, offset, snapshot, size; versions are 0. */
struct packing {
	u64 min[4], max[4];
	unsigned bits[4], key_u64s;
};

static void fields_of(const struct bulk_key *key, u64 fields[4])
{
	fields[0] = key->pos.inode;
	fields[1] = key->pos.offset;
	fields[2] = key->pos.snapshot;
	fields[3] = key->size_sectors;
}

static void packing_add(struct packing *packing, const struct bulk_key *key, bool is_first)
{
	unsigned bits = 24;
	u64 fields[4];

	fields_of(key, fields);
	for (unsigned i = 0; i < 4; i++) {
		packing->min[i] = is_first ? fields[i] : MIN(packing->min[i], fields[i]);
		packing->max[i] = is_first ? fields[i] : MAX(packing->max[i], fields[i]);
		packing->bits[i] = packing->max[i] == packing->min[i] ? 0 : 64 - (unsigned)__builtin_clzll(packing->max[i] - packing->min[i]);
		bits += packing->bits[i];
	}
	packing->key_u64s = (bits + 63) / 64;
}

/* Fields go down from the highest bit of the words, which are one integer. */
static size_t put_packed(u8 *to, const struct packing *packing, const struct bulk_key *key, const u8 *value)
{
	unsigned high = packing->key_u64s * 64;
	u64 words[5] = { 0 }, fields[4];

	fields_of(key, fields);
	for (unsigned i = 0; i < 4; i++) {
		u64 raw = fields[i] - packing->min[i];
		unsigned low = high - packing->bits[i];

		if (!packing->bits[i])
			continue;
		words[low / 64] |= raw << low % 64;
		if (low % 64 + packing->bits[i] > 64)
			words[low / 64 + 1] |= raw >> (64 - low % 64);
		high = low;
	}
	words[0] |= (packing->key_u64s + key->value_bytes / 8) | (u64)BCH_FORMAT_PACKED << 8 | (u64)key->type << 16;
	for (unsigned i = 0; i < packing->key_u64s; i++) {
		le64 word;

		le64_put(&word, words[i]);
		memcpy(to + 8 * i, &word, sizeof(word));
	}
	memcpy(to + packing->key_u64s * 8, value, key->value_bytes);
	return packing->key_u64s * 8 + key->value_bytes;
}

static struct disk_bch_format format_of(const struct packing *packing)
{
	struct disk_bch_format format = { .key_u64s = (u8)packing->key_u64s, .nr_fields = 6 };

	for (unsigned i = 0; i < 4; i++) {
		format.bits_per_field[i] = (u8)packing->bits[i];
		le64_put(&format.field_offset[i], packing->min[i]);
	}
	return format;
}

/* --- Nodes ------------------------------------------------------------------------------------------------------ */

struct node_plan {
	u8 btree, level;
	const struct bulk_key *keys;
	size_t nr;
	struct bch_pos min, max;
	struct packing packing;
};

static bool is_in_bset(const struct bulk *bulk, size_t nr, unsigned bset)
{
	unsigned of = bulk->options.nr_bsets > 1 && nr % 8 == 7 ? 1 + (unsigned)(nr / 8 % (bulk->options.nr_bsets - 1)) : 0;

	return of == bset;
}

static void put_bset_header(struct disk_bch_bset *bset, u64 seq, size_t at, size_t payload_bytes, u16 version)
{
	le64_put(&bset->seq, seq);
	le64_put(&bset->journal_seq, JOURNAL_SEQ - 1);
	le32_put(&bset->flags, BCH_CSUM_CRC32C_NONZERO | (u32)(at / SECTOR) << 16);
	le16_put(&bset->version, version);
	le16_put(&bset->u64s, (u16)(payload_bytes / 8));
}

static void put_csum(u8 *at, size_t bytes)
{
	struct disk_bch_csum csum = bch_csum_of(BCH_CSUM_CRC32C_NONZERO, at + sizeof(csum), bytes - sizeof(csum));

	memcpy(at, &csum, sizeof(csum));
}

static size_t put_keys(struct bulk *bulk, const struct node_plan *plan, unsigned bset, u8 *to)
{
	size_t bytes = 0;

	for (size_t i = 0; i < plan->nr; i++)
		if (is_in_bset(bulk, i, bset))
			bytes += put_packed(to + bytes, &plan->packing, &plan->keys[i], bulk->values.items + plan->keys[i].value);
	return bytes;
}

static size_t put_first_bset(struct bulk *bulk, const struct node_plan *plan, u64 seq, u8 *node)
{
	struct disk_bch_node header = {
		.min_key = disk_pos(plan->min), .max_key = disk_pos(plan->max), .format = format_of(&plan->packing)
	};
	size_t bytes = put_keys(bulk, plan, 0, node + sizeof(header));

	le64_put(&header.magic, magic_of(bulk, BCH_BSET_MAGIC));
	le64_put(&header.flags, (plan->btree & 15) | (u64)plan->level << 4 | NEW_EXTENT_OVERWRITE | (u64)(plan->btree >> 4) << 9 | seq << 32);
	put_bset_header(&header.bset, seq, 0, bytes, le16_get(super_of(bulk)->version));
	memcpy(node, &header, sizeof(header));
	put_csum(node, sizeof(header) + bytes);
	return sizeof(header) + bytes;
}

static size_t put_further_bset(struct bulk *bulk, const struct node_plan *plan, unsigned bset, u64 seq, u8 *node, size_t at)
{
	struct disk_bch_node_entry header = { 0 };
	size_t bytes = put_keys(bulk, plan, bset, node + at + sizeof(header));

	if (bytes == 0)
		return at;
	put_bset_header(&header.bset, seq, at, bytes, le16_get(super_of(bulk)->version));
	memcpy(node + at, &header, sizeof(header));
	put_csum(node + at, sizeof(header) + bytes);
	return at + sizeof(header) + bytes;
}

/* Write it, and give the key that leads to it. */
static struct bulk_key write_node(struct bulk *bulk, const struct node_plan *plan)
{
	u32 node_bytes = bulk->options.node_bytes;
	u8 *node = calloc(1, 2 * (size_t)node_bytes);
	u64 seq = bulk->node_seq++, physical = allocate_whole(bulk, node_bytes);
	struct {
		struct disk_bch_btree_ptr_v2 ptr;
		le64 pointer;
	} value = { .ptr.min_key = disk_pos(plan->min) };
	struct bulk_key key = { .pos = plan->max, .type = BCH_KEY_BTREE_PTR_V2, .value_bytes = sizeof(value), .value = bulk->values.len };
	size_t at;

	if (!node)
		bulk_die("out of memory");
	at = put_first_bset(bulk, plan, seq, node);
	for (unsigned bset = 1; bset < bulk->options.nr_bsets; bset++)
		at = put_further_bset(bulk, plan, bset, seq, node, round_up(at, bulk->block_bytes));
	at = round_up(at, bulk->block_bytes);
	if (at > node_bytes)
		bulk_die("a node has become too long");
	bulk_write(bulk, physical, node, at);
	free(node);
	bulk->nodes_written[plan->level]++;
	le64_put(&value.ptr.seq, seq);
	le16_put(&value.ptr.sectors_written, (u16)(at / SECTOR));
	le64_put(&value.pointer, 1 | physical / SECTOR << 4);
	must(array_reserve(&bulk->values, sizeof(value)));
	memcpy(bulk->values.items + bulk->values.len, &value, sizeof(value));
	bulk->values.len += sizeof(value);
	return key;
}

/* How many keys the next node takes. */
static size_t plan_node(const struct bulk *bulk, struct node_plan *plan, const struct bulk_key *keys, size_t nr)
{
	size_t room = (size_t)bulk->options.node_bytes * bulk->options.fill_percent / 100, values = sizeof(struct disk_bch_node);
	size_t lost = (bulk->options.nr_bsets - 1) * (size_t)bulk->block_bytes, limit = room > lost ? room - lost : 0;

	plan->keys = keys;
	plan->packing = (struct packing){ .key_u64s = 1 };
	for (plan->nr = 0; plan->nr < nr; plan->nr++) {
		struct packing packing = plan->packing;
		const struct bulk_key *key = &keys[plan->nr];

		packing_add(&packing, key, plan->nr == 0);
		values += key->value_bytes;
		if (plan->nr >= 2 && values + (plan->nr + 1) * packing.key_u64s * 8 > limit)
			break;
		plan->packing = packing;
	}
	return plan->nr;
}

typedef ARRAY(struct bulk_key) key_list;

static key_list write_level(struct bulk *bulk, u8 btree, u8 level, const struct bulk_key *keys, size_t nr)
{
	struct node_plan plan = { .btree = btree, .level = level, .min = BCH_POS_MIN };
	key_list parents = { 0 };

	for (size_t at = 0; at < nr || parents.len == 0; plan.min = bch_pos_successor(plan.max)) {
		at += plan_node(bulk, &plan, keys + at, nr - at);
		plan.max = at == nr ? BCH_POS_MAX : plan.keys[plan.nr - 1].pos;
		must(array_push(&parents, write_node(bulk, &plan)));
	}
	return parents;
}

static struct bulk_key write_btree(struct bulk *bulk, u8 btree, u8 *ret_level)
{
	key_list keys = write_level(bulk, btree, 0, bulk->keys[btree].items, bulk->keys[btree].len);
	struct bulk_key root;

	for (*ret_level = 0; keys.len > 1;) {
		key_list parents = write_level(bulk, btree, ++*ret_level, keys.items, keys.len);

		if (*ret_level >= BCH_LEVEL_MAX)
			bulk_die("btree %u has become too high", btree);
		array_done(&keys);
		keys = parents;
	}
	root = keys.items[0];
	array_done(&keys);
	return root;
}

/* --- Journal ---------------------------------------------------------------------------------------------------- */

static void add_entry(struct bulk *bulk, u8 btree, u8 level, u8 type, const void *payload, size_t bytes)
{
	struct disk_bch_jentry entry = { .btree = btree, .level = level, .type = type };

	le16_put(&entry.u64s, (u16)(bytes / 8));
	must(array_reserve(&bulk->entries, sizeof(entry) + bytes));
	memcpy(bulk->entries.items + bulk->entries.len, &entry, sizeof(entry));
	memcpy(bulk->entries.items + bulk->entries.len + sizeof(entry), payload, bytes);
	bulk->entries.len += sizeof(entry) + bytes;
}

struct jset_writer {
	struct bulk *bulk;
	u64 seq, at; /* at: where the next one goes */
	u8 *bytes;
	size_t len;
};

static void jset_begin(struct jset_writer *writer)
{
	const struct bulk *bulk = writer->bulk;

	writer->len = sizeof(struct disk_bch_jset);
	memcpy(writer->bytes + writer->len, bulk->entries.items, bulk->entries.len);
	writer->len += bulk->entries.len;
}

/* Only the last one was promised to anybody. */
static void jset_end(struct jset_writer *writer, bool is_flush, u64 last_seq)
{
	struct bulk *bulk = writer->bulk;
	struct disk_bch_jset jset = { 0 };
	u64 bucket = bulk->options.bucket_bytes, left = bucket - writer->at % bucket;
	size_t bytes = round_up(writer->len, bulk->block_bytes);

	le64_put(&jset.magic, magic_of(bulk, BCH_JSET_MAGIC));
	le64_put(&jset.seq, writer->seq++);
	le32_put(&jset.version, le16_get(super_of(bulk)->version));
	le32_put(&jset.flags, BCH_CSUM_CRC32C_NONZERO | (is_flush ? 0 : BCH_JSET_NO_FLUSH));
	le32_put(&jset.u64s, (u32)((writer->len - sizeof(jset)) / 8));
	le64_put(&jset.last_seq, is_flush ? last_seq : 0);
	memcpy(writer->bytes, &jset, sizeof(jset));
	put_csum(writer->bytes, writer->len);
	memset(writer->bytes + writer->len, 0, bytes - writer->len);
	if (left < bytes)
		writer->at += left;
	if (writer->at + bytes > (bulk->journal_start + bulk->journal_nr) * bucket)
		bulk_die("the journal has become too long");
	bulk_write(bulk, writer->at, writer->bytes, bytes);
	writer->at += bytes;
}

/* Each key as an entry by itself, as transactions have them. */
static void jset_add_key(struct jset_writer *writer, u8 btree, const struct bulk_key *key)
{
	struct disk_bch_jentry entry = { .btree = btree, .type = BCH_JENTRY_KEYS };
	size_t bytes = sizeof(struct disk_bch_key) + key->value_bytes;

	if (writer->len + sizeof(entry) + bytes > JSET_BYTES) {
		jset_end(writer, false, 0);
		jset_begin(writer);
	}
	le16_put(&entry.u64s, (u16)(bytes / 8));
	memcpy(writer->bytes + writer->len, &entry, sizeof(entry));
	writer->len += sizeof(entry);
	writer->len += put_unpacked(writer->bytes + writer->len, key, writer->bulk->values.items + key->value);
}

static bool is_for_journal(const struct bulk *bulk, const struct bulk_key *key)
{
	u64 hash = (key->pos.inode * 31 + key->pos.offset) * 0x9E3779B97F4A7C15ULL;

	return (hash >> 32) % 100 < bulk->options.journal_percent;
}

typedef struct {
	u8 btree;
	struct bulk_key key;
} journaled_key;
typedef ARRAY(journaled_key) journaled_list;

/*
 * Take those keys away that the journal is to have. In place of every other one the node has one that is no longer true.
 */
static void take_for_journal(struct bulk *bulk, u8 btree, journaled_list *journaled)
{
	static const u8 stale[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f };
	size_t nr = 0, nr_taken = 0;

	for (size_t i = 0; i < bulk->keys[btree].len; i++) {
		struct bulk_key key = bulk->keys[btree].items[i];

		if (is_for_journal(bulk, &key)) {
			must(array_push(journaled, (journaled_key){ btree, key }));
			if (nr_taken++ % 2)
				continue;
			key.type = BCH_KEY_COOKIE;
			key.value_bytes = sizeof(stale);
			key.value = bulk->values.len;
			must(array_reserve(&bulk->values, sizeof(stale)));
			memcpy(bulk->values.items + bulk->values.len, stale, sizeof(stale));
			bulk->values.len += sizeof(stale);
		}
		bulk->keys[btree].items[nr++] = key;
	}
	bulk->keys[btree].len = nr;
}

static void reserve_journal(struct bulk *bulk, const journaled_list *journaled)
{
	u64 bucket = bulk->options.bucket_bytes, per_bucket = bucket / JSET_BYTES, bytes = 0;

	if (per_bucket == 0)
		bulk_die("buckets must have %llu KiB at least", (unsigned long long)JSET_BYTES / KIB);
	array_for_each(journaled, one)
		bytes += sizeof(struct disk_bch_jentry) + sizeof(struct disk_bch_key) + one->key.value_bytes;
	bulk->journal_start = round_up(bulk->at, bucket) / bucket;
	/* In each jset there are roots, and room for one key more. */
	bulk->journal_nr = MAX((u64)8, bytes / (JSET_BYTES - 8 * KIB) / per_bucket + 2);
	bulk->at = (bulk->journal_start + bulk->journal_nr) * bucket;
}

static void write_journal(struct bulk *bulk, const journaled_list *journaled)
{
	struct jset_writer writer = {
		.bulk = bulk, .seq = JOURNAL_SEQ, .at = bulk->journal_start * bulk->options.bucket_bytes, .bytes = calloc(1, 2 * JSET_BYTES)
	};

	if (!writer.bytes)
		bulk_die("out of memory");
	jset_begin(&writer);
	array_for_each(journaled, one)
		jset_add_key(&writer, one->btree, &one->key);
	jset_end(&writer, true, JOURNAL_SEQ);
	free(writer.bytes);
}

/* --- Superblocks ------------------------------------------------------------------------------------------------ */

static struct disk_bch_section *section_of(struct bulk *bulk, unsigned type)
{
	for (size_t at = sizeof(struct disk_bch_super); at < bulk->super_bytes;) {
		struct disk_bch_section *section = (void *)(bulk->super + at);

		if (le32_get(section->type) == type)
			return section;
		at += le32_get(section->u64s) * (size_t)8;
	}
	return NULL;
}

/* In place of a section, one of another length. */
static void replace_section(struct bulk *bulk, unsigned type, const void *payload, size_t bytes)
{
	u8 *section = (u8 *)section_of(bulk, type);
	struct disk_bch_section header = { 0 };
	size_t before = (size_t)(section - bulk->super), old, len = sizeof(header) + round_up(bytes, 8);
	u8 *super;

	if (!section)
		bulk_die("the image's superblock has no section %u", type);
	old = le32_get(((struct disk_bch_section *)(void *)section)->u64s) * (size_t)8;
	super = calloc(1, bulk->super_bytes - old + len);
	if (!super)
		bulk_die("out of memory");
	le32_put(&header.type, type);
	le32_put(&header.u64s, (u32)(len / 8));
	memcpy(super, bulk->super, before);
	memcpy(super + before, &header, sizeof(header));
	memcpy(super + before + sizeof(header), payload, bytes);
	memcpy(super + before + len, section + old, bulk->super_bytes - before - old);
	free(bulk->super);
	bulk->super = super;
	bulk->super_bytes += len - old;
	le32_put(&super_of(bulk)->u64s, (u32)((bulk->super_bytes - sizeof(struct disk_bch_super)) / 8));
}

static void set_member(struct bulk *bulk, unsigned type, size_t at, u64 nr_buckets)
{
	u8 *section = (u8 *)section_of(bulk, type);
	struct disk_bch_member *member = (void *)(section + at);

	if (!section)
		return;
	le64_put(&member->nr_buckets, nr_buckets);
	le16_put(&member->first_bucket, 0);
	le16_put(&member->bucket_sectors, (u16)(bulk->options.bucket_bytes / SECTOR));
}

static void set_flags(struct bulk *bulk)
{
	struct disk_bch_super *super = super_of(bulk);
	u64 flags = le64_get(super->flags[0]), features = le64_get(super->features[0]) | FEATURE_NO_ALLOC_INFO;
	bool is_clean = bulk->options.journal_percent == 0;

	flags &= ~(NODE_MASK << NODE_SHIFT | FLAG_CLEAN);
	flags |= (u64)(bulk->options.node_bytes / SECTOR) << NODE_SHIFT | (is_clean ? FLAG_CLEAN : 0);
	features |= BCH_FEATURE_LZ4 | BCH_FEATURE_ZSTD;
	if (!is_clean)
		features |= BCH_FEATURE_EXTENTS_ABOVE_BTREE_UPDATES | BCH_FEATURE_BTREE_UPDATES_JOURNALLED;
	le64_put(&super->flags[0], flags);
	le64_put(&super->features[0], features);
	le64_put(&super->compat[0], le64_get(super->compat[0]) & ~COMPAT_ALLOC);
	le64_put(&super->seq, le64_get(super->seq) + 1);
}

static void set_clean(struct bulk *bulk)
{
	ARRAY(u8) clean = { 0 };
	le64 seq;

	le64_put(&seq, JOURNAL_SEQ);
	must(array_reserve(&clean, 16 + bulk->entries.len));
	memset(clean.items, 0, 8);
	memcpy(clean.items + 8, &seq, sizeof(seq));
	memcpy(clean.items + 16, bulk->entries.items, bulk->entries.len);
	replace_section(bulk, BCH_SECTION_CLEAN, clean.items, 16 + bulk->entries.len);
	array_done(&clean);
}

static void write_supers(struct bulk *bulk)
{
	u64 bucket = bulk->options.bucket_bytes, nr_buckets, last, place;
	struct disk_bch_bucket_range journal;
	struct disk_bch_super *super;

	le64_put(&journal.start, bulk->journal_start);
	le64_put(&journal.nr, bulk->journal_nr);
	replace_section(bulk, BCH_SECTION_JOURNAL_V2, &journal, sizeof(journal));
	if (bulk->options.journal_percent == 0)
		set_clean(bulk);
	super = super_of(bulk);
	place = (u64)SECTOR << super->layout.size_max_bits;
	nr_buckets = round_up(bulk->at, bucket) / bucket + (place + bucket - 1) / bucket;
	last = nr_buckets * bucket - place;
	le64_put(&super->layout.sector[super->layout.nr_copies - 1], last / SECTOR);
	set_member(bulk, BCH_SECTION_MEMBERS_V1, 8, nr_buckets);
	set_member(bulk, BCH_SECTION_MEMBERS_V2, 16, nr_buckets);
	set_flags(bulk);
	if (bulk->super_bytes > place)
		bulk_die("the superblock has become too long");
	if (ftruncate(bulk->fd, (off_t)(nr_buckets * bucket)) < 0)
		bulk_die("the volume cannot have %llu bytes", (unsigned long long)(nr_buckets * bucket));
	bulk_write(bulk, BCH_LAYOUT_SECTOR * SECTOR, &super->layout, sizeof(super->layout));
	for (unsigned i = 0; i < super->layout.nr_copies; i++) {
		super->sector = super->layout.sector[i];
		put_csum(bulk->super, bulk->super_bytes);
		bulk_write(bulk, le64_get(super->sector) * SECTOR, bulk->super, bulk->super_bytes);
	}
}

/* --- From one volume to the other ------------------------------------------------------------------------------- */

static void read_super(struct bulk *bulk, int fd)
{
	struct disk_bch_super head;

	read_at(fd, BCH_SUPER_SECTOR * SECTOR, &head, sizeof(head));
	bulk->super_bytes = sizeof(head) + le32_get(head.u64s) * (size_t)8;
	if (bulk->super_bytes > MIB || !(bulk->super = malloc(bulk->super_bytes)))
		bulk_die("the image has no superblock");
	read_at(fd, BCH_SUPER_SECTOR * SECTOR, bulk->super, bulk->super_bytes);
	if (BCH_VERSION_MAJOR(le16_get(head.version)) != 1 || le16_get(head.version) > BCH_VERSION_KNOWN || head.nr_devices != 1 ||
	    !(le64_get(head.flags[0]) & FLAG_CLEAN) || (le64_get(head.flags[0]) >> 2 & 63) != BCH_CSUM_CRC32C_NONZERO)
		bulk_die("the image is not of version 1.0 to 1.31, of one device, left cleanly, with crc32c");
	bulk->block_bytes = le16_get(head.block_sectors) * (u32)SECTOR;
	bulk->time_base_ns = (s64)le64_get(head.time_base_lo);
	if (!bulk->options.node_bytes)
		bulk->options.node_bytes = (u32)(le64_get(head.flags[0]) >> NODE_SHIFT & NODE_MASK) * SECTOR;
}

/* Where the image has the root of a btree, which is its only node; NULL: it has none. */
static const u8 *root_of_image(struct bulk *bulk, u8 btree)
{
	u8 *clean = (u8 *)section_of(bulk, BCH_SECTION_CLEAN);
	size_t end = clean ? le32_get(((struct disk_bch_section *)(void *)clean)->u64s) * (size_t)8 : 0;

	for (size_t at = sizeof(struct disk_bch_clean); at < end;) {
		const struct disk_bch_jentry *entry = (void *)(clean + at);

		if (entry->type == BCH_JENTRY_ROOT && entry->btree == btree && entry->level == 0)
			return (const u8 *)(entry + 1);
		at += sizeof(*entry) + le16_get(entry->u64s) * (size_t)8;
	}
	return NULL;
}

static void copy_btree(struct bulk *bulk, int fd, u8 btree)
{
	struct {
		struct disk_bch_key key;
		struct disk_bch_btree_ptr_v2 ptr;
		le64 pointer;
	} root;
	const u8 *found = root_of_image(bulk, btree);
	u64 physical;
	size_t bytes;
	u8 *node;

	if (!found)
		return;
	memcpy(&root, found, sizeof(root));
	bytes = le16_get(root.ptr.sectors_written) * (size_t)SECTOR;
	node = malloc(MAX(bytes, (size_t)1));
	if (bytes > bulk->options.node_bytes || !node)
		bulk_die("nodes must have room for %zu bytes", bytes);
	read_at(fd, (le64_get(root.pointer) >> 4 & (((u64)1 << 44) - 1)) * SECTOR, node, bytes);
	physical = allocate_whole(bulk, bulk->options.node_bytes);
	bulk_write(bulk, physical, node, bytes);
	free(node);
	le64_put(&root.pointer, 1 | physical / SECTOR << 4);
	add_entry(bulk, btree, 0, BCH_JENTRY_ROOT, &root, sizeof(root));
}

void bulk_begin(struct bulk *bulk, const char *base, const char *path, const struct bulk_options *options)
{
	int fd = open(base, O_RDONLY | O_CLOEXEC);
	u64 place;

	*bulk = (struct bulk){ .options = *options, .node_seq = 0x1000 };
	if (fd < 0)
		bulk_die("%s: %m", base);
	bulk->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (bulk->fd < 0)
		bulk_die("%s: %m", path);
	read_super(bulk, fd);
	if (!bulk->options.bucket_bytes)
		bulk->options.bucket_bytes = MAX(bulk->options.node_bytes, 512 * KIB);
	if (bulk->options.node_bytes > bulk->options.bucket_bytes)
		bulk_die("a node must have room in a bucket");
	/* Behind the first superblocks, which lie one behind the other. */
	place = (u64)SECTOR << super_of(bulk)->layout.size_max_bits;
	bulk->at = round_up(BCH_SUPER_SECTOR * SECTOR + place * (super_of(bulk)->layout.nr_copies - 1u), bulk->options.bucket_bytes);
	for (unsigned i = 0; i < KEEP_BTREES_MAX; i++)
		copy_btree(bulk, fd, kept_btrees[i]);
	close(fd);
}

void bulk_finish(struct bulk *bulk)
{
	journaled_list journaled = { 0 };

	for (u8 btree = 0; btree < BCH_BTREES_MAX; btree++) {
		struct {
			struct bulk_key key;
			u8 bytes[2 * sizeof(struct disk_bch_key) + sizeof(struct disk_bch_btree_ptr_v2)];
		} root;
		u8 level;

		array_sort(&bulk->keys[btree], compare_keys);
		if (bulk->keys[btree].len == 0)
			continue;
		for (size_t i = 1; i < bulk->keys[btree].len; i++)
			if (compare_keys(&bulk->keys[btree].items[i - 1], &bulk->keys[btree].items[i]) == 0)
				bulk_die("btree %u: two keys are at one place", btree);
		take_for_journal(bulk, btree, &journaled);
		root.key = write_btree(bulk, btree, &level);
		bulk->root_level[btree] = level;
		add_entry(bulk, btree, level, BCH_JENTRY_ROOT, root.bytes,
			  put_unpacked(root.bytes, &root.key, bulk->values.items + root.key.value));
	}
	reserve_journal(bulk, &journaled);
	write_journal(bulk, &journaled);
	write_supers(bulk);
	if (close(bulk->fd) < 0)
		bulk_die("%m");
	array_done(&journaled);
	array_done(&bulk->values);
	array_done(&bulk->entries);
	for (u8 btree = 0; btree < BCH_BTREES_MAX; btree++)
		array_done(&bulk->keys[btree]);
	free(bulk->super);
}
