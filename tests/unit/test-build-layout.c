/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel-shared/build/layout: chunks of every profile on equal, unequal and endless devices. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "kernel-shared/build/layout.h"
#include "kernel-shared/device/super.h"
#include "kernel-shared/volume/volume.h"

#define DEVICES_MAX 6

static void make_devices(struct layout_device *devices, size_t nr, const u64 *limits)
{
	for (size_t i = 0; i < nr; i++) {
		devices[i] = (struct layout_device){ .devid = i + 1, .limit_bytes = limits[i] };
		memset(devices[i].uuid, (int)(i + 1), UUID_SIZE);
	}
}

/* What must hold for every layout, whatever was asked for. */
static void check_layout(const struct layout *layout, const struct layout_device *asked)
{
	u64 end_logical = 0;

	for (size_t c = 0; c < chunk_map_count(layout->chunks); c++) {
		const struct chunk *chunk = chunk_map_at(layout->chunks, c);

		assert_true(profile_stripe_count_is_valid(chunk->profile, chunk->num_stripes));
		assert_true(profile_length_is_valid(chunk->profile, chunk->num_stripes, chunk->length));
		assert_int_equal(chunk->logical % STRIPE_LEN_BYTES, 0);
		assert_int_equal(chunk->stripe_bytes % STRIPE_LEN_BYTES, 0);
		assert_true(chunk->logical >= MAX(end_logical, MIB));
		end_logical = chunk->logical + chunk->length;
		for (u16 s = 0; s < chunk->num_stripes; s++) {
			u64 end = chunk->stripe[s].physical + chunk->stripe_bytes;
			u64 devid = chunk->stripe[s].devid;

			assert_true(chunk->stripe[s].physical >= DEVICE_RANGE_RESERVED_BYTES);
			assert_true(end <= asked[devid - 1].limit_bytes);
			assert_true(end <= layout->devices[devid - 1].end_physical);
			assert_int_equal(chunk->stripe[s].dev_uuid[0], devid);
			for (size_t c2 = 0; c2 <= c; c2++) { /* stripes never overlap */
				const struct chunk *other = chunk_map_at(layout->chunks, c2);

				for (u16 t = 0; t < (c2 == c ? s : other->num_stripes); t++)
					assert_true(other->stripe[t].devid != devid ||
						    other->stripe[t].physical >= end ||
						    other->stripe[t].physical + other->stripe_bytes <=
							    chunk->stripe[s].physical);
			}
		}
	}
}

/* No byte of a space lies on a superblock mirror of any device. */
static void check_space(const struct layout *layout, const struct linear_space *space)
{
	u64 linear = 0;

	array_for_each(&space->pieces, piece) {
		assert_int_equal(piece->linear, linear);
		assert_int_equal(piece->len % STRIPE_LEN_BYTES, 0);
		linear += piece->len;
		assert_ptr_equal(chunk_map_find(layout->chunks, piece->logical),
				 chunk_map_find(layout->chunks, piece->logical + piece->len - 1));
		for (u64 at = piece->logical; at < piece->logical + piece->len; at += STRIPE_LEN_BYTES) {
			const struct chunk *chunk = chunk_map_find(layout->chunks, at);

			for (unsigned mirror = 1; mirror <= chunk->profile->copies; mirror++) {
				struct physical_part part;

				assert_int_equal(volume_map(layout->chunks, at, STRIPE_LEN_BYTES, mirror, &part), 0);
				for (unsigned m = 0; m < SUPER_MIRROR_MAX; m++)
					assert_true(part.physical + part.len <= super_mirror_physical(m) ||
						    part.physical >= super_mirror_physical(m) + STRIPE_LEN_BYTES);
			}
		}
	}
	assert_int_equal(linear, space->total_bytes);
}

static void every_profile_holds_what_is_asked(void **state)
{
	static const u64 amounts[] = { 0, 1, 16 * KIB, 64 * KIB, 100 * KIB, 5 * MIB, 70 * MIB, 300 * MIB };
	const u64 endless[DEVICES_MAX] = { LAYOUT_NO_LIMIT, LAYOUT_NO_LIMIT, LAYOUT_NO_LIMIT,
					   LAYOUT_NO_LIMIT, LAYOUT_NO_LIMIT, LAYOUT_NO_LIMIT };
	const u64 equal[DEVICES_MAX] = { 2 * GIB, 2 * GIB, 2 * GIB, 2 * GIB, 2 * GIB, 2 * GIB };
	const u64 unequal[DEVICES_MAX] = { 900 * MIB, 5 * GIB, 2 * GIB + 12345, 3 * GIB, 1200 * MIB, 2 * GIB };
	const u64 *const limits[] = { endless, equal, unequal };

	(void)state;
	for (size_t p = 0; p < profiles_count; p++)
		for (size_t nr = profiles[p].devs_min; nr <= DEVICES_MAX; nr++)
			for (size_t a = 0; a < ARRAY_LEN(amounts); a++)
				for (size_t l = 0; l < ARRAY_LEN(limits) * 2; l++) {
					struct layout_needs needs = {
						.data_profile = &profiles[p],
						.metadata_profile = &profiles[p],
						.system_profile = &profiles[p],
						.style = l % 2 ? LAYOUT_EXACT : LAYOUT_ROOMY,
						.data_bytes = amounts[a],
						.metadata_bytes = 10 * MIB,
						.system_bytes = 100 * KIB,
					};
					struct layout_device devices[DEVICES_MAX];
					struct layout layout;

					if (limits[l / 2] == endless && l % 2 == 0)
						continue;
					make_devices(devices, nr, limits[l / 2]);
					/* Large data chunks may leave no room for metadata; the planner then goes for an exact fit. */
					if (layout_make(devices, nr, &needs, &layout, NULL) == -ENOSPC) {
						assert_int_equal(needs.style, LAYOUT_ROOMY);
						assert_ptr_equal(limits[l / 2], unequal);
						continue;
					}
					assert_true(layout.data.total_bytes >= amounts[a]);
					assert_true(layout.metadata.total_bytes >= 10 * MIB);
					assert_true(layout.system.total_bytes >= 100 * KIB);
					check_layout(&layout, devices);
					check_space(&layout, &layout.data);
					check_space(&layout, &layout.metadata);
					layout_done(&layout);
				}
}

static void an_exact_fit_wastes_less_than_a_row(void **state)
{
	const u64 endless[DEVICES_MAX] = { LAYOUT_NO_LIMIT };
	struct layout_device device;
	struct layout layout;

	(void)state;
	make_devices(&device, 1, endless);
	for (u64 bytes = 64 * KIB; bytes < 3 * GIB; bytes += (bytes < 200 * MIB ? 7 : 700) * MIB + 4096) {
		struct layout_needs needs = {
			.data_profile = profile_by_name("single"),
			.metadata_profile = profile_by_name("dup"),
			.system_profile = profile_by_name("dup"),
			.style = LAYOUT_EXACT,
			.data_bytes = bytes,
			.metadata_bytes = bytes,
			.system_bytes = 64 * KIB,
		};

		assert_int_equal(layout_make(&device, 1, &needs, &layout, NULL), 0);
		check_space(&layout, &layout.data);
		check_layout(&layout, &device);
		assert_true(layout.data.total_bytes - bytes < STRIPE_LEN_BYTES);
		assert_true(layout.metadata.total_bytes - bytes < STRIPE_LEN_BYTES);
		assert_int_equal(layout.system.total_bytes, 64 * KIB);
		/* 1 MiB, two of the system chunk, the data, two of the metadata, and what the 64 MiB mirror takes of each */
		assert_true(layout_end_bytes(&layout) <= MIB + 128 * KIB + 3 * bytes + 6 * STRIPE_LEN_BYTES);
		layout_done(&layout);
	}
}

/* As with Linux, what striping gains makes the stripes shorter, not the chunk longer: a balance must find room. */
static void a_chunk_takes_a_tenth_at_most(void **state)
{
	static const char *const names[] = { "single", "raid0", "raid10", "raid5", "raid6" };
	const u64 equal[DEVICES_MAX] = { 4 * GIB, 4 * GIB, 4 * GIB, 4 * GIB };

	(void)state;
	for (size_t p = 0; p < ARRAY_LEN(names); p++) {
		struct layout_needs needs = {
			.data_profile = profile_by_name(names[p]),
			.metadata_profile = profile_by_name(names[p]),
			.system_profile = profile_by_name(names[p]),
			.style = LAYOUT_ROOMY,
			.data_bytes = MIB,
			.metadata_bytes = MIB,
			.system_bytes = 64 * KIB,
		};
		struct layout_device devices[4];
		struct layout layout;

		make_devices(devices, 4, equal);
		assert_int_equal(layout_make(devices, 4, &needs, &layout, NULL), 0);
		check_layout(&layout, devices);
		assert_int_equal(chunk_map_count(layout.chunks), 3);
		for (size_t c = 0; c < 3; c++)
			assert_true(chunk_map_at(layout.chunks, c)->length <= 16 * GIB / 10 + 4 * MIB);
		assert_true(chunk_map_at(layout.chunks, 2)->length <= 256 * MIB + 4 * MIB);
		layout_done(&layout);
	}
}

static void too_small_and_too_few_devices_are_refused(void **state)
{
	const u64 small[DEVICES_MAX] = { 20 * MIB, 20 * MIB, 20 * MIB };
	struct layout_device devices[DEVICES_MAX];
	struct layout layout;
	struct diag d = { 0 };
	struct layout_needs needs = {
		.data_profile = profile_by_name("single"),
		.metadata_profile = profile_by_name("raid1c3"),
		.system_profile = profile_by_name("raid1c3"),
		.style = LAYOUT_EXACT,
		.data_bytes = 3 * MIB,
		.metadata_bytes = 15 * MIB,
		.system_bytes = 64 * KIB,
	};

	(void)state;
	make_devices(devices, 3, small);
	assert_int_equal(layout_make(devices, 3, &needs, &layout, &d), 0);
	layout_done(&layout);
	needs.metadata_bytes = 19 * MIB;
	assert_int_equal(layout_make(devices, 3, &needs, &layout, &d), -ENOSPC);
	needs.metadata_bytes = MIB;
	assert_int_equal(layout_make(devices, 2, &needs, &layout, &d), -ENOSPC);
	assert_int_equal(d.err, -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_profile_holds_what_is_asked),
		cmocka_unit_test(an_exact_fit_wastes_less_than_a_row),
		cmocka_unit_test(a_chunk_takes_a_tenth_at_most),
		cmocka_unit_test(too_small_and_too_few_devices_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
