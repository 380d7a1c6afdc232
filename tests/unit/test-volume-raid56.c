/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RAID5 and RAID6: the arithmetic of parity, and volumes of 2 to 8 devices of which one or two are gone, in every
 * combination. The sums that both are compared with are done here the long way.
 */
#include "kernel-shared/volume/raid56.h"
#include "tests/unit/memory_volume.h"

#define DEVICES_MAX 8

/* --- Arithmetic, from the definition -------------------------------------------------------------------------- */

/* Product in GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1: multiply as polynomials, then take the remainder. */
static u8 slow_product(u8 a, u8 b)
{
	u32 product = 0;

	for (int bit = 0; bit < 8; bit++)
		if (b >> bit & 1)
			product ^= (u32)a << bit;
	for (int bit = 14; bit >= 8; bit--)
		if (product >> bit & 1)
			product ^= 0x11du << (bit - 8);
	return (u8)product;
}

static u8 slow_p(u8 *const *data, unsigned nr_data, size_t at)
{
	u8 sum = 0;

	for (unsigned s = 0; s < nr_data; s++)
		sum ^= data[s][at];
	return sum;
}

static u8 slow_q(u8 *const *data, unsigned nr_data, size_t at)
{
	u8 sum = 0, weight = 1;

	for (unsigned s = 0; s < nr_data; s++) {
		sum ^= slow_product(weight, data[s][at]);
		weight = slow_product(weight, 2);
	}
	return sum;
}

struct row_buffers {
	u8 *stripe[DEVICES_MAX + 2];
	u8 *copy[DEVICES_MAX + 2];
	size_t len;
};

static void row_make(struct row_buffers *row, unsigned nr_data, size_t len, u64 *seed)
{
	row->len = len;
	for (unsigned s = 0; s < nr_data + 2; s++) {
		row->stripe[s] = malloc(len);
		row->copy[s] = malloc(len);
		for (size_t i = 0; i < len; i++)
			row->stripe[s][i] = (u8)next_number(seed);
	}
}

static void row_remember(struct row_buffers *row, unsigned nr)
{
	for (unsigned s = 0; s < nr; s++)
		memcpy(row->copy[s], row->stripe[s], row->len);
}

static void row_compare(const struct row_buffers *row, unsigned nr)
{
	for (unsigned s = 0; s < nr; s++)
		assert_memory_equal(row->stripe[s], row->copy[s], row->len);
}

static void row_free(struct row_buffers *row, unsigned nr_data)
{
	for (unsigned s = 0; s < nr_data + 2; s++) {
		free(row->stripe[s]);
		free(row->copy[s]);
	}
}

static const size_t lengths[] = { 1, 7, 8, 9, 100, 4096 };

static void parity_is_what_the_definition_says(void **state)
{
	u64 seed = 1;

	(void)state;
	for (unsigned nr_data = 1; nr_data <= DEVICES_MAX; nr_data++)
		for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
			struct row_buffers row;
			u8 *p, *q;

			row_make(&row, nr_data, lengths[l], &seed);
			p = row.stripe[nr_data];
			q = row.stripe[nr_data + 1];
			raid56_generate(row.stripe, nr_data, p, NULL, lengths[l]);
			for (size_t i = 0; i < lengths[l]; i++)
				assert_int_equal(p[i], slow_p(row.stripe, nr_data, i));
			memset(p, 0, lengths[l]);
			raid56_generate(row.stripe, nr_data, p, q, lengths[l]);
			for (size_t i = 0; i < lengths[l]; i++) {
				assert_int_equal(p[i], slow_p(row.stripe, nr_data, i));
				assert_int_equal(q[i], slow_q(row.stripe, nr_data, i));
			}
			row_free(&row, nr_data);
		}
}

/* A row published with the mathematics: the powers of 2 as the only data, one in each stripe. */
static void powers_of_two(void **state)
{
	static const u8 powers[] = { 1, 2, 4, 8, 16, 32, 64, 128, 29, 58, 116, 232, 205, 135, 19, 38 };
	u8 data[ARRAY_LEN(powers)] = { 0 }, p, q;
	u8 *stripes[ARRAY_LEN(powers)];

	(void)state;
	for (unsigned s = 0; s < ARRAY_LEN(powers); s++)
		stripes[s] = &data[s];
	for (unsigned s = 0; s < ARRAY_LEN(powers); s++) {
		data[s] = 1;
		raid56_generate(stripes, ARRAY_LEN(powers), &p, &q, 1);
		assert_int_equal(p, 1);
		assert_int_equal(q, powers[s]);
		data[s] = 0;
	}
}

static void recover_and_compare(struct row_buffers *row, unsigned nr_data, unsigned nr_parity, const unsigned *lost,
				unsigned nr_lost)
{
	for (unsigned i = 0; i < nr_lost; i++)
		memset(row->stripe[lost[i]], 0xa5, row->len);
	assert_true(raid56_recover(row->stripe, nr_data, nr_parity, lost, nr_lost, row->len));
	row_compare(row, nr_data + nr_parity);
}

static void every_loss_is_made_good(void **state)
{
	u64 seed = 2;

	(void)state;
	for (unsigned nr_parity = 1; nr_parity <= 2; nr_parity++)
		for (unsigned nr_data = 1; nr_data + nr_parity <= DEVICES_MAX; nr_data++)
			for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
				unsigned all = nr_data + nr_parity;
				struct row_buffers row;

				row_make(&row, nr_data, lengths[l], &seed);
				raid56_generate(row.stripe, nr_data, row.stripe[nr_data],
						nr_parity > 1 ? row.stripe[nr_data + 1] : NULL, lengths[l]);
				row_remember(&row, all);
				recover_and_compare(&row, nr_data, nr_parity, NULL, 0);
				for (unsigned a = 0; a < all; a++) {
					const unsigned one[] = { a };

					recover_and_compare(&row, nr_data, nr_parity, one, 1);
					for (unsigned b = a + 1; nr_parity == 2 && b < all; b++) {
						const unsigned two[] = { a, b };

						recover_and_compare(&row, nr_data, nr_parity, two, 2);
					}
				}
				row_free(&row, nr_data);
			}
}

/* Many stripes: exponents beyond the order of the group, 255. */
static void many_stripes(void **state)
{
	enum { NR = 300 };
	u8 bytes[NR + 2], copy[NR + 2];
	u8 *stripes[NR + 2];
	u64 seed = 3;

	(void)state;
	for (unsigned s = 0; s < NR + 2; s++) {
		bytes[s] = (u8)next_number(&seed);
		stripes[s] = &bytes[s];
	}
	raid56_generate(stripes, NR, stripes[NR], stripes[NR + 1], 1);
	assert_int_equal(bytes[NR + 1], slow_q(stripes, NR, 0));
	memcpy(copy, bytes, sizeof(bytes));
	for (unsigned a = 0; a < NR; a += 7) {
		const unsigned lost[] = { a, NR };

		bytes[a] = bytes[NR] = 0;
		assert_true(raid56_recover(stripes, NR, 2, lost, 2, 1));
		assert_memory_equal(bytes, copy, sizeof(bytes));
	}
}

static void too_many_losses_are_refused(void **state)
{
	const unsigned lost[] = { 0, 1, 2 };
	struct row_buffers row;
	u64 seed = 4;

	(void)state;
	row_make(&row, 4, 64, &seed);
	row_remember(&row, 6);
	assert_false(raid56_recover(row.stripe, 4, 1, lost, 2, 64));
	assert_false(raid56_recover(row.stripe, 4, 2, lost, 3, 64));
	row_compare(&row, 6);
	row_free(&row, 4);
}

/* --- Volumes ------------------------------------------------------------------------------------------------- */

static const char *const names[] = { NULL, "raid5", "raid6" };

static void make(struct memory_volume *memory, unsigned nr_parity, u16 nr_devices)
{
	/* more rows than devices, so that each device has every part in some row */
	u64 length = (u64)(nr_devices + 1) * (nr_devices - nr_parity) * STRIPE_LEN_BYTES;

	memory_volume_make(memory, names[nr_parity], nr_devices, length);
}

static void read_device(const struct memory_volume *memory, unsigned stripe, u64 row, u8 *cell)
{
	assert_int_equal(blockdev_read(memory_volume_device(memory, stripe),
				       memory->chunk->stripe[stripe].physical + row * STRIPE_LEN_BYTES, cell,
				       STRIPE_LEN_BYTES, NULL), 0);
}

/* What is on the devices: data cells in turn, each row begun one device later, its parity behind them. */
static void check_layout(const struct memory_volume *memory, unsigned nr_parity, unsigned nr_devices)
{
	unsigned nr_data = nr_devices - nr_parity;
	u8 *cells[DEVICES_MAX];
	u64 nr_rows = memory->chunk->stripe_bytes / STRIPE_LEN_BYTES;

	for (unsigned m = 0; m < nr_devices; m++)
		cells[m] = malloc(STRIPE_LEN_BYTES);
	for (u64 row = 0; row < nr_rows; row++) {
		for (unsigned m = 0; m < nr_devices; m++)
			read_device(memory, (unsigned)((row + m) % nr_devices), row, cells[m]);
		for (unsigned m = 0; m < nr_data; m++)
			assert_memory_equal(cells[m], memory->expected + (row * nr_data + m) * STRIPE_LEN_BYTES,
					    STRIPE_LEN_BYTES);
		for (size_t i = 0; i < STRIPE_LEN_BYTES; i += 5) {
			assert_int_equal(cells[nr_data][i], slow_p(cells, nr_data, i));
			if (nr_parity == 2)
				assert_int_equal(cells[nr_data + 1][i], slow_q(cells, nr_data, i));
		}
	}
	for (unsigned m = 0; m < nr_devices; m++)
		free(cells[m]);
}

static void whole_rows_lie_where_they_should(void **state)
{
	u64 seed = 5;

	(void)state;
	for (unsigned nr_parity = 1; nr_parity <= 2; nr_parity++)
		for (unsigned nr = nr_parity + 1; nr <= DEVICES_MAX; nr++) {
			struct memory_volume memory;

			make(&memory, nr_parity, (u16)nr);
			memory_volume_fill(&memory, &seed);
			check_layout(&memory, nr_parity, nr);
			assert_int_equal(volume_nr_mirrors(memory.volume, MEMORY_VOLUME_LOGICAL), nr_parity == 1 ? 2 : nr);
			for (unsigned mirror = 0; mirror <= (nr_parity == 1 ? 2 : nr); mirror++)
				assert_int_equal(memory_volume_compare(&memory, mirror), 0);
			assert_int_equal(memory_volume_compare(&memory, nr_parity == 1 ? 3 : nr + 1), -EINVAL);
			memory_volume_done(&memory);
		}
}

/* Pieces of any size and place, over those that are there already: parity stays right. */
static void small_writes_keep_parity(void **state)
{
	u64 seed = 6;

	(void)state;
	for (unsigned nr_parity = 1; nr_parity <= 2; nr_parity++)
		for (unsigned nr = nr_parity + 1; nr <= DEVICES_MAX; nr += 2) {
			struct memory_volume memory;

			make(&memory, nr_parity, (u16)nr);
			for (unsigned i = 0; i < 40; i++) {
				u64 at = next_number(&seed) % (memory.length / 512) * 512;
				u64 len = (next_number(&seed) % (i % 8 ? 40 : 400) + 1) * 512;

				assert_int_equal(memory_volume_write(&memory, at, MIN(len, memory.length - at), &seed, NULL), 0);
			}
			check_layout(&memory, nr_parity, nr);
			assert_int_equal(memory_volume_compare(&memory, 0), 0);
			assert_int_equal(memory_volume_compare(&memory, nr_parity + 1), 0);
			memory_volume_done(&memory);
		}
}

/* All writers begin each row together and write one piece of it: what the last one makes of parity must have all of them. */
#define WRITERS 4
#define WRITERS_ROWS 60
#define PIECE_BYTES (4 * KIB)

struct writer {
	struct memory_volume *memory;
	pthread_barrier_t *row_begins;
	u64 number;
	int err;
};

static void *write_in_all_rows(void *arg)
{
	struct writer *writer = arg;
	u64 row_bytes = writer->memory->length / WRITERS_ROWS;

	for (u64 row = 0; row < WRITERS_ROWS; row++) {
		u64 at = row * row_bytes + writer->number * row_bytes / WRITERS;
		int err;

		pthread_barrier_wait(writer->row_begins);
		err = volume_write(writer->memory->volume, MEMORY_VOLUME_LOGICAL + at, writer->memory->expected + at, PIECE_BYTES,
				   NULL);
		if (err)
			writer->err = err;
	}
	return NULL;
}

static void writers_of_one_row_do_not_spoil_its_parity(void **state)
{
	u64 seed = 13;

	(void)state;
	for (unsigned nr_parity = 1; nr_parity <= 2; nr_parity++) {
		struct writer writers[WRITERS];
		pthread_t threads[WRITERS];
		pthread_barrier_t row_begins;
		struct memory_volume memory;

		memory_volume_make(&memory, names[nr_parity], 5, WRITERS_ROWS * (5 - nr_parity) * STRIPE_LEN_BYTES);
		for (u64 at = 0; at < memory.length; at += memory.length / WRITERS_ROWS / WRITERS)
			for (u64 i = 0; i < PIECE_BYTES; i++)
				memory.expected[at + i] = (u8)next_number(&seed);
		assert_int_equal(pthread_barrier_init(&row_begins, NULL, WRITERS), 0);
		for (unsigned i = 0; i < WRITERS; i++) {
			writers[i] = (struct writer){ .memory = &memory, .row_begins = &row_begins, .number = i };
			assert_int_equal(pthread_create(&threads[i], NULL, write_in_all_rows, &writers[i]), 0);
		}
		for (unsigned i = 0; i < WRITERS; i++) {
			assert_int_equal(pthread_join(threads[i], NULL), 0);
			assert_int_equal(writers[i].err, 0);
		}
		pthread_barrier_destroy(&row_begins);
		check_layout(&memory, nr_parity, 5);
		memory_volume_done(&memory);
	}
}

static void read_without(struct memory_volume *memory, unsigned nr_parity, unsigned a, unsigned b)
{
	struct blockdev *first = memory_volume_take_away(memory, a);
	struct blockdev *second = a == b ? NULL : memory_volume_take_away(memory, b);

	assert_int_equal(memory_volume_compare(memory, 0), 0);
	assert_int_equal(memory_volume_compare(memory, 1), -EIO);
	/* Cells that are there are rebuilt as if they were not: that is one loss more. */
	for (unsigned mirror = 2; mirror <= nr_parity + 1; mirror++)
		assert_int_equal(memory_volume_compare(memory, mirror), nr_parity == 2 && a == b ? 0 : -EIO);
	memory_volume_give_back(memory, a, first);
	if (second)
		memory_volume_give_back(memory, b, second);
}

static void any_devices_may_be_missing(void **state)
{
	u64 seed = 7;

	(void)state;
	for (unsigned nr_parity = 1; nr_parity <= 2; nr_parity++)
		for (unsigned nr = nr_parity + 1; nr <= DEVICES_MAX; nr++) {
			struct memory_volume memory;

			make(&memory, nr_parity, (u16)nr);
			memory_volume_fill(&memory, &seed);
			for (unsigned a = 0; a < nr; a++)
				for (unsigned b = a; b < (nr_parity == 2 ? nr : a + 1); b++)
					read_without(&memory, nr_parity, a, b);
			memory_volume_done(&memory);
		}
}

static void one_device_too_many_is_missing(void **state)
{
	u64 seed = 8;

	(void)state;
	for (unsigned nr_parity = 1; nr_parity <= 2; nr_parity++) {
		struct memory_volume memory;
		struct diag d = { 0 };
		u8 byte;

		make(&memory, nr_parity, 5);
		memory_volume_fill(&memory, &seed);
		for (unsigned s = 0; s <= nr_parity; s++)
			blockdev_close(memory_volume_take_away(&memory, s));
		for (unsigned mirror = 0; mirror <= nr_parity + 1; mirror++)
			assert_int_equal(volume_read(memory.volume, MEMORY_VOLUME_LOGICAL, &byte, 1, mirror, &d), -EIO);
		assert_non_null(strstr(d.text, "is missing"));
		/* a row whose first device is there is none the less read as it is */
		assert_int_equal(volume_read(memory.volume, MEMORY_VOLUME_LOGICAL + 4 * (5 - nr_parity) * STRIPE_LEN_BYTES,
					     &byte, 1, 0, &d), 0);
		for (unsigned s = 0; s < 5; s++)
			blockdev_close(memory_volume_take_away(&memory, s));
		for (unsigned mirror = 0; mirror <= nr_parity + 1; mirror++)
			assert_int_equal(volume_read(memory.volume, MEMORY_VOLUME_LOGICAL, &byte, 1, mirror, NULL), -EIO);
		memory_volume_done(&memory);
	}
}

/* Devices that end too early, and so fail, count as missing ones do. */
static void failing_devices_are_made_good(void **state)
{
	struct memory_volume memory;
	struct diag d = { 0 };
	u64 seed = 9;
	u8 byte;

	(void)state;
	make(&memory, 2, 6);
	memory_volume_fill(&memory, &seed);
	memory_volume_device(&memory, 1)->size_bytes = stripe_physical(memory.chunk->profile, 1) + 3 * STRIPE_LEN_BYTES - 1;
	memory_volume_device(&memory, 4)->size_bytes = MIB;
	assert_int_equal(memory_volume_compare(&memory, 0), 0);
	memory_volume_device(&memory, 0)->size_bytes = MIB;
	assert_int_equal(volume_read(memory.volume, MEMORY_VOLUME_LOGICAL, &byte, 1, 0, &d), 0);
	memory_volume_device(&memory, 1)->size_bytes = MIB;
	assert_int_equal(volume_read(memory.volume, MEMORY_VOLUME_LOGICAL, &byte, 1, 0, &d), -EIO);
	assert_non_null(strstr(d.text, "memory1"));
	memory_volume_done(&memory);
}

/*
 * Copy 1 is the data itself, 2 comes from P, 3 from Q; a caller that knows checksums can so get around wrong data and wrong
 * parity.
 */
static void corrupt_devices_are_read_around(void **state)
{
	u64 seed = 10;

	(void)state;
	for (unsigned nr_parity = 1; nr_parity <= 2; nr_parity++)
		for (unsigned nr = nr_parity + 2; nr <= DEVICES_MAX; nr += 2)
			for (unsigned bad = 0; bad < nr; bad++) {
				struct memory_volume memory;
				u64 nr_data = nr - nr_parity;

				make(&memory, nr_parity, (u16)nr);
				memory_volume_fill(&memory, &seed);
				memory_volume_corrupt(&memory, bad, 0x5a);
				for (u64 cell = 0; cell < memory.length / STRIPE_LEN_BYTES; cell++) {
					u64 row = cell / nr_data, member = (bad + nr - row % nr) % nr;
					const u8 *expected = memory.expected + cell * STRIPE_LEN_BYTES;
					bool is_itself = member == cell % nr_data;
					u8 got[4096];

					for (unsigned mirror = 1; mirror <= nr_parity + 1; mirror++) {
						bool is_good = mirror == 1 ? !is_itself
							       : is_itself ? true
							       : mirror == 2 ? member == nr_data + 1
									     : member == nr_data;

						assert_int_equal(volume_read(memory.volume,
									     MEMORY_VOLUME_LOGICAL + cell * STRIPE_LEN_BYTES,
									     got, sizeof(got), mirror, NULL), 0);
						assert_int_equal(memcmp(got, expected, sizeof(got)) == 0, is_good);
					}
				}
				memory_volume_done(&memory);
			}
}

/* Two devices hold something else: for each piece there is a way that gets around both. */
static void two_corrupt_devices_are_read_around(void **state)
{
	u64 seed = 12;

	(void)state;
	for (unsigned nr = 3; nr <= DEVICES_MAX; nr++)
		for (unsigned a = 0; a < nr; a++)
			for (unsigned b = a + 1; b < nr; b++) {
				struct memory_volume memory;

				memory_volume_make(&memory, "raid6", (u16)nr, (u64)nr * (nr - 2) * STRIPE_LEN_BYTES);
				memory_volume_fill(&memory, &seed);
				memory_volume_corrupt(&memory, a, 0x5a);
				memory_volume_corrupt(&memory, b, 0xa5);
				for (u64 at = 0; at < memory.length; at += STRIPE_LEN_BYTES) {
					bool is_found = false;
					u8 got[512];

					for (unsigned mirror = 1; mirror <= nr && !is_found; mirror++) {
						assert_int_equal(volume_read(memory.volume, MEMORY_VOLUME_LOGICAL + at, got,
									     sizeof(got), mirror, NULL), 0);
						is_found = memcmp(got, memory.expected + at, sizeof(got)) == 0;
					}
					assert_true(is_found);
				}
				memory_volume_done(&memory);
			}
}

static void writing_needs_all_devices(void **state)
{
	u64 seed = 11;

	(void)state;
	for (unsigned nr_parity = 1; nr_parity <= 2; nr_parity++)
		for (unsigned gone = 0; gone < 4; gone++) {
			struct memory_volume memory;
			struct diag d = { 0 };

			make(&memory, nr_parity, 4);
			memory_volume_fill(&memory, &seed);
			blockdev_close(memory_volume_take_away(&memory, gone));
			assert_int_equal(memory_volume_write(&memory, 0, memory.length, &seed, &d), -EIO);
			assert_int_equal(d.err, -EIO);
			assert_non_null(strstr(d.text, "is missing"));
			memory_volume_done(&memory);
		}
}

/* --- Writes into rows that are not in order ------------------------------------------------------------------------ */

#define SECTOR 512U

/* Who knows what each sector should be, but for those that nobody uses. */
struct knower {
	struct memory_volume memory;
	unsigned nr_parity, nr_devices, nr_data;
	bool *is_used; /* sectors of the chunk */
	unsigned nr_calls, nr_mended;
	int refuse; /* fail with this */
};

/* Copy @mirror of a sector, if it is as it should be. */
static bool has_good_copy(const struct knower *k, u64 sector, unsigned mirror, u8 *buf)
{
	return volume_read(k->memory.volume, MEMORY_VOLUME_LOGICAL + sector * SECTOR, buf, SECTOR, mirror, NULL) == 0 &&
	       memcmp(buf, k->memory.expected + sector * SECTOR, SECTOR) == 0;
}

static int mend_sectors(void *ctx, u64 logical, u8 *buf, size_t len, struct diag *d)
{
	struct knower *k = ctx;
	u64 sector = (logical - MEMORY_VOLUME_LOGICAL) / SECTOR;
	u8 copy[SECTOR];

	k->nr_calls++;
	if (k->refuse)
		return diag_fail(d, k->refuse, "refused, as wanted");
	assert_int_equal(logical % SECTOR, 0);
	assert_int_equal(len % SECTOR, 0);
	for (; len > 0; len -= SECTOR, buf += SECTOR, sector++) {
		if (!k->is_used[sector] || memcmp(buf, k->memory.expected + sector * SECTOR, SECTOR) == 0)
			continue;
		for (unsigned m = 1; m <= volume_nr_mirrors(k->memory.volume, MEMORY_VOLUME_LOGICAL); m++)
			if (has_good_copy(k, sector, m, copy)) {
				memcpy(buf, copy, SECTOR);
				k->nr_mended++;
				break;
			}
	}
	return 0;
}

static void knower_make(struct knower *k, unsigned nr_parity, unsigned nr_devices)
{
	*k = (struct knower){ .nr_parity = nr_parity, .nr_devices = nr_devices, .nr_data = nr_devices - nr_parity };
	make(&k->memory, nr_parity, (u16)nr_devices);
	k->is_used = calloc(k->memory.length / SECTOR, sizeof(*k->is_used));
	k->memory.volume->mend = mend_sectors;
	k->memory.volume->mend_ctx = k;
}

static void knower_done(struct knower *k)
{
	free(k->is_used);
	memory_volume_done(&k->memory);
}

static void knower_write(struct knower *k, u64 at, u64 len, u64 *seed)
{
	assert_int_equal(memory_volume_write(&k->memory, at, len, seed, NULL), 0);
	for (u64 i = at / SECTOR; i < (at + len) / SECTOR; i++)
		k->is_used[i] = true;
}

/* All that is used can be read in some way. */
static void assert_all_there(const struct knower *k)
{
	unsigned nr_mirrors = volume_nr_mirrors(k->memory.volume, MEMORY_VOLUME_LOGICAL), m;
	u8 buf[SECTOR];

	for (u64 i = 0; i < k->memory.length / SECTOR; i++) {
		for (m = 1; k->is_used[i] && m <= nr_mirrors && !has_good_copy(k, i, m, buf);)
			m++;
		assert_true(!k->is_used[i] || m <= nr_mirrors);
	}
}

/* All that is used of a range can be read without any one of the devices, too. */
static void assert_losses_borne(struct knower *k, u64 at, u64 len)
{
	u8 buf[SECTOR];

	for (unsigned stripe = 0; stripe < k->nr_devices; stripe++) {
		struct blockdev *dev = memory_volume_take_away(&k->memory, stripe);

		for (u64 i = at / SECTOR; i < (at + len) / SECTOR; i++)
			assert_true(!k->is_used[i] || has_good_copy(k, i, 0, buf));
		memory_volume_give_back(&k->memory, stripe, dev);
	}
}

/* Rot in no more of each row than its parity can bear: in other members in each row, data and parity alike. */
static void rot_rows(const struct knower *k, u64 *seed)
{
	u8 junk[SECTOR * 5];

	for (u64 row = 0; row < k->memory.chunk->stripe_bytes / STRIPE_LEN_BYTES; row++)
		for (unsigned n = 0; n < k->nr_parity; n++) {
			unsigned stripe = (unsigned)(row * 3 + n * (1 + row % (k->nr_devices - 1))) % k->nr_devices;

			for (unsigned i = 0; i < 6; i++) {
				u64 at = next_number(seed) % (STRIPE_LEN_BYTES / SECTOR - 4) * SECTOR;

				memset(junk, (int)next_number(seed), sizeof(junk));
				assert_int_equal(blockdev_write(memory_volume_device(&k->memory, stripe),
								k->memory.chunk->stripe[stripe].physical +
									row * STRIPE_LEN_BYTES + at,
								junk, sizeof(junk), NULL), 0);
			}
		}
}

/*
 * What was rotten and could be rebuilt can be so after each write beside it; what was written, and what is beside it, can
 * do without a device.
 */
static void rot_beside_a_write_can_be_rebuilt(void **state)
{
	u64 seed = 14;

	(void)state;
	for (unsigned nr_parity = 1; nr_parity <= 2; nr_parity++)
		for (unsigned nr = nr_parity + 2; nr <= 6; nr++) {
			struct knower k;

			knower_make(&k, nr_parity, nr);
			knower_write(&k, 0, k.memory.length, &seed);
			for (unsigned i = 0; i < 30; i++) {
				u64 at = next_number(&seed) % (k.memory.length / SECTOR) * SECTOR;
				u64 len = (next_number(&seed) % (i % 5 ? 40 : 200) + 1) * SECTOR;

				if (i % 10 == 0) {
					/* What was left of the last one is mended, so that it does not become too much. */
					assert_int_equal(memory_volume_write(&k.memory, 0, k.memory.length, &seed, NULL), 0);
					rot_rows(&k, &seed);
					assert_all_there(&k);
				}
				len = MIN(len, k.memory.length - at);
				knower_write(&k, at, len, &seed);
				assert_all_there(&k);
				if (nr_parity == 1)
					assert_losses_borne(&k, at, len);
			}
			assert_true(k.nr_mended > 0);
			knower_done(&k);
		}
}

/* Rows whose parity never fitted, as nothing was written to them: what is written to them can be rebuilt. */
static void rows_of_junk_can_be_written(void **state)
{
	u64 seed = 15;

	(void)state;
	for (unsigned nr_parity = 1; nr_parity <= 2; nr_parity++) {
		struct knower k;

		knower_make(&k, nr_parity, 5);
		for (unsigned stripe = 0; stripe < 5; stripe++)
			memory_volume_corrupt(&k.memory, stripe, (u8)(stripe * 37 + 5));
		for (u64 at = 8 * KIB; at + 48 * KIB < k.memory.length; at += 96 * KIB) {
			knower_write(&k, at, 16 * KIB, &seed);
			knower_write(&k, at + 24 * KIB, 8 * KIB, &seed);
		}
		assert_all_there(&k);
		assert_losses_borne(&k, 0, k.memory.length);
		assert_true(k.nr_calls > 0);
		assert_int_equal(k.nr_mended, 0);
		knower_done(&k);
	}
}

/* A row that is in order is written without a question; whole rows are not even read. */
static void nobody_is_asked_without_need(void **state)
{
	struct knower k;
	u64 seed = 16;

	(void)state;
	knower_make(&k, 1, 4);
	for (unsigned stripe = 0; stripe < 4; stripe++)
		memory_volume_corrupt(&k.memory, stripe, (u8)(stripe + 1));
	knower_write(&k, 0, k.memory.length, &seed);
	for (u64 at = 0; at + 20 * KIB < k.memory.length; at += 50 * KIB)
		knower_write(&k, at, 20 * KIB, &seed);
	assert_int_equal(k.nr_calls, 0);
	check_layout(&k.memory, 1, 4);
	knower_done(&k);
}

/* All that the devices have of the chunk. */
static u8 *everything(const struct knower *k)
{
	u64 each = k->memory.chunk->stripe_bytes;
	u8 *bytes = malloc(each * k->nr_devices);

	for (unsigned i = 0; i < k->nr_devices; i++)
		assert_int_equal(blockdev_read(memory_volume_device(&k->memory, i), k->memory.chunk->stripe[i].physical,
					       bytes + i * each, each, NULL), 0);
	return bytes;
}

/* Where it is not known what is right, and where a device is missing, nothing is changed. */
static void refused_writes_change_nothing(void **state)
{
	u64 seed = 17;

	(void)state;
	for (unsigned nr_parity = 1; nr_parity <= 2; nr_parity++) {
		_free_ u8 *before = NULL;
		struct knower k;
		u8 bytes[8 * KIB] = { 1 };
		unsigned nr_refused = 0;

		knower_make(&k, nr_parity, 5);
		knower_write(&k, 0, k.memory.length, &seed);
		rot_rows(&k, &seed);
		before = everything(&k);
		for (unsigned step = 0; step <= k.nr_devices; step++) {
			struct blockdev *dev = step ? memory_volume_take_away(&k.memory, step - 1) : NULL;
			_free_ u8 *after = NULL;

			/* At first nobody knows; then devices are missing, in turn. */
			k.refuse = step ? 0 : -EUCLEAN;
			for (u64 at = 0; at < k.memory.length; at += 32 * KIB) {
				int err = volume_write(k.memory.volume, MEMORY_VOLUME_LOGICAL + at,
						       step ? bytes : k.memory.expected + at, sizeof(bytes), NULL);

				/* Where the row is in order, the same was written once more. */
				nr_refused += err == -EUCLEAN;
				assert_true(!step || err == -EIO);
			}
			if (dev)
				memory_volume_give_back(&k.memory, step - 1, dev);
			after = everything(&k);
			assert_memory_equal(before, after, k.memory.chunk->stripe_bytes * k.nr_devices);
		}
		assert_true(nr_refused > 0);
		assert_all_there(&k);
		knower_done(&k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parity_is_what_the_definition_says),
		cmocka_unit_test(powers_of_two),
		cmocka_unit_test(every_loss_is_made_good),
		cmocka_unit_test(many_stripes),
		cmocka_unit_test(too_many_losses_are_refused),
		cmocka_unit_test(whole_rows_lie_where_they_should),
		cmocka_unit_test(small_writes_keep_parity),
		cmocka_unit_test(writers_of_one_row_do_not_spoil_its_parity),
		cmocka_unit_test(any_devices_may_be_missing),
		cmocka_unit_test(one_device_too_many_is_missing),
		cmocka_unit_test(failing_devices_are_made_good),
		cmocka_unit_test(corrupt_devices_are_read_around),
		cmocka_unit_test(two_corrupt_devices_are_read_around),
		cmocka_unit_test(writing_needs_all_devices),
		cmocka_unit_test(rot_beside_a_write_can_be_rebuilt),
		cmocka_unit_test(rows_of_junk_can_be_written),
		cmocka_unit_test(nobody_is_asked_without_need),
		cmocka_unit_test(refused_writes_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
