/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>

#include "common/cli/json.h"
#include "common/cli/report.h"
#include "common/cli/size.h"
#include "mkfs/options.h"

#define AT(member) offsetof(struct mkfs_command, member)
#define CALL(letter, name, value, help) { letter, name, value, OPTION_CALL, 0, help, false }

static const struct option_row rows[] = {
	{ 0, NULL, NULL, OPTION_HEADING, 0, "Content", false },
	CALL('r', "rootdir", "SRC[:/DEST]", "put a directory or an archive (tar, cpio, mtree; - for\n"
					    "standard input) into the filesystem; may be repeated,\n"
					    "later ones win"),
	CALL('u', "subvol", "TYPE:PATH", "make the directory PATH a subvolume; TYPE is rw\n"
					 "(default), ro, default or default-ro"),
	CALL(0, "inode-flags", "FLAGS:PATH", "nodatacow and/or nodatasum for PATH and all below"),
	{ 0, "compress", "ALGO[:LEVEL]", OPTION_STRING, AT(compress), "compress files: zlib, lzo, zstd or no", false },
	CALL(0, "owner", "UID:GID", "everything belongs to these"),
	CALL(0, "uid-map", "FROM:TO:COUNT", "map a range of user ids; may be repeated"),
	CALL(0, "gid-map", "FROM:TO:COUNT", "map a range of group ids; may be repeated"),
	{ 0, "ignore-unreadable", NULL, OPTION_FLAG, AT(ignore_unreadable),
	  "leave out files that cannot be read, naming each", false },
	{ 0, "reflink", NULL, OPTION_FLAG, AT(use_reflink), "share file data with the source where the host can", false },
	{ 0, NULL, NULL, OPTION_HEADING, 0, "Size", false },
	{ 'b', "byte-count", "SIZE", OPTION_SIZE, AT(byte_count), "size of the filesystem on each device", false },
	{ 0, "size", "SIZE", OPTION_SIZE, AT(size), "the same; fails at once when the content does not fit", false },
	{ 0, "shrink", NULL, OPTION_FLAG, AT(is_shrink), "make it exactly as large as the content needs", false },
	CALL(0, "free", "SIZE", "with an exact fit: room for so much more"),
	{ 0, "offset", "BYTES", OPTION_SIZE, AT(offset), "begin so far within the image or device", false },
	{ 0, NULL, NULL, OPTION_HEADING, 0, "Format", false },
	{ 'd', "data", "PROFILE", OPTION_STRING, AT(data_profile),
	  "data profile: raid0, raid1, raid1c3, raid1c4, raid5,\nraid6, raid10, dup or single", false },
	{ 'm', "metadata", "PROFILE", OPTION_STRING, AT(metadata_profile), "metadata profile, as above", false },
	{ 'M', "mixed", NULL, OPTION_FLAG, AT(is_mixed), "data and metadata in the same block groups", false },
	{ 'n', "nodesize", "SIZE", OPTION_SIZE, AT(nodesize), "size of tree blocks (16K)", false },
	{ 's', "sectorsize", "SIZE", OPTION_SIZE, AT(sectorsize), "size of data blocks (4K)", false },
	{ 0, "csum", "KIND", OPTION_STRING, AT(csum), "checksums: crc32c, xxhash, sha256 or blake2", false },
	{ 0, "checksum", "KIND", OPTION_STRING, AT(csum), NULL, false },
	CALL('O', "features", "LIST", "features to set, or with ^ to clear; list-all names them"),
	CALL('R', "runtime-features", "LIST", NULL),
	{ 'L', "label", "LABEL", OPTION_STRING, AT(label), "name of the filesystem, at most 255 bytes", false },
	{ 'U', "uuid", "UUID", OPTION_STRING, AT(fsid), "UUID of the filesystem", false },
	{ 0, "device-uuid", "UUID", OPTION_STRING, AT(device_uuid), "UUID of the only device", false },
	{ 0, "seed", "STRING", OPTION_STRING, AT(seed), "derive every id from it: equal input, equal bytes", false },
	{ 0, NULL, NULL, OPTION_HEADING, 0, "Behaviour", false },
	{ 'f', "force", NULL, OPTION_FLAG, AT(is_forced), "overwrite what the devices hold", false },
	{ 'K', "nodiscard", NULL, OPTION_FLAG, AT(no_discard), "do not discard the devices first", false },
	{ 0, "dry-run", NULL, OPTION_FLAG, AT(is_dry_run), "say what would be made, write nothing", false },
	{ 0, "json", NULL, OPTION_FLAG, AT(is_json), "print the result as JSON", false },
	CALL(0, "progress", "WHEN", "draw progress: auto, always or never"),
	{ 0, "threads", "N", OPTION_UNSIGNED, AT(threads), "work in N threads (all CPUs); the bytes do not change", false },
	{ 0, "tmpdir", "DIR", OPTION_STRING, AT(tmpdir), "where temporary files go (TMPDIR, else /var/tmp)", false },
	{ 'q', "quiet", NULL, OPTION_FLAG, AT(is_quiet), "say nothing but errors", false },
	CALL('v', "verbose", NULL, "say more"),
	{ 'V', "version", NULL, OPTION_FLAG, AT(do_version), "print the version and exit", false },
};

static int take_subvol(struct mkfs_command *command, const char *value, struct diag *d)
{
	static const struct {
		const char *type;
		unsigned flags;
	} types[] = {
		{ "rw", 0 },
		{ "ro", BTRKIT_SUBVOL_RDONLY },
		{ "default", BTRKIT_SUBVOL_DEFAULT },
		{ "default-ro", BTRKIT_SUBVOL_DEFAULT | BTRKIT_SUBVOL_RDONLY },
	};
	const char *colon = strchr(value, ':');
	struct subvol_request request = { value, 0 };

	for (size_t i = 0; colon && i < ARRAY_LEN(types); i++) {
		size_t len = strlen(types[i].type);

		if ((size_t)(colon - value) == len && memcmp(value, types[i].type, len) == 0)
			request = (struct subvol_request){ colon + 1, types[i].flags };
	}
	if (colon && request.path == value)
		return diag_fail(d, -EINVAL, "\"%s\": the type must be rw, ro, default or default-ro", value);
	while (request.path[0] == '/')
		request.path++;
	if (!request.path[0])
		return diag_fail(d, -EINVAL, "\"%s\" names no directory", value);
	return array_push(&command->subvols, request) < 0 ? diag_no_memory(d, "options") : 0;
}

static int take_inode_flags(struct mkfs_command *command, const char *value, struct diag *d)
{
	const char *colon = strchr(value, ':');
	struct inode_flags_request request = { colon ? colon + 1 : "", 0 };

	if (!colon)
		return diag_fail(d, -EINVAL, "\"%s\" is not FLAGS:PATH", value);
	for (const char *at = value; at < colon;) {
		size_t len = MIN(strcspn(at, ","), (size_t)(colon - at));

		if (len == 9 && memcmp(at, "nodatacow", 9) == 0)
			request.flags |= BTRKIT_INODE_NODATACOW | BTRKIT_INODE_NODATASUM;
		else if (len == 9 && memcmp(at, "nodatasum", 9) == 0)
			request.flags |= BTRKIT_INODE_NODATASUM;
		else
			return diag_fail(d, -EINVAL, "\"%.*s\" is neither nodatacow nor nodatasum", (int)len, at);
		at += len + (at + len < colon);
	}
	while (request.path[0] == '/')
		request.path++;
	return array_push(&command->inode_flags, request) < 0 ? diag_no_memory(d, "options") : 0;
}

/* @count numbers separated by colons. */
static int parse_ids(const char *value, u32 *ret_ids, unsigned count, struct diag *d)
{
	const char *at = value;

	for (unsigned i = 0; i < count; i++) {
		char *end;
		unsigned long long id = strtoull(at, &end, 10);

		if (at[0] < '0' || at[0] > '9' || id > UINT32_MAX || *end != (i + 1 < count ? ':' : '\0'))
			return diag_fail(d, -EINVAL, "\"%s\" is not %s", value, count == 2 ? "UID:GID" : "FROM:TO:COUNT");
		ret_ids[i] = (u32)id;
		at = end + 1;
	}
	return 0;
}

static int take_id_map(struct mkfs_command *command, bool is_uid, const char *value, struct diag *d)
{
	u32 ids[3] = { 0 };
	int err = parse_ids(value, ids, 3, d);
	struct id_map map;

	if (err)
		return err;
	map = (struct id_map){ ids[0], ids[1], ids[2] };
	if ((u64)map.from + map.count > 1ULL << 32 || (u64)map.to + map.count > 1ULL << 32)
		return diag_fail(d, -ERANGE, "\"%s\" leaves the range of ids", value);
	err = is_uid ? array_push(&command->owners.uid_maps, map) : array_push(&command->owners.gid_maps, map);
	return err ? diag_no_memory(d, "options") : 0;
}

static int take_features(struct mkfs_command *command, const char *value, struct diag *d)
{
	size_t used = strlen(command->features);

	if (strcmp(value, "list-all") == 0) {
		command->do_list_features = true;
		return 0;
	}
	if (used + strlen(value) + 2 > sizeof(command->features))
		return diag_fail(d, -EINVAL, "too many features");
	snprintf(command->features + used, sizeof(command->features) - used, "%s%s", used ? "," : "", value);
	return 0;
}

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	struct mkfs_command *command = target;
	u32 ids[2] = { 0 };
	int err;

	if (strcmp(row->name, "rootdir") == 0)
		return array_push(&command->rootdirs, value) < 0 ? diag_no_memory(d, "options") : 0;
	if (strcmp(row->name, "subvol") == 0)
		return take_subvol(command, value, d);
	if (strcmp(row->name, "inode-flags") == 0)
		return take_inode_flags(command, value, d);
	if (strcmp(row->name, "uid-map") == 0 || strcmp(row->name, "gid-map") == 0)
		return take_id_map(command, row->name[0] == 'u', value, d);
	if (strcmp(row->name, "progress") == 0)
		return progress_mode_parse(value, &command->progress, d);
	if (strcmp(row->name, "free") == 0) {
		command->has_free = true;
		return size_parse(value, &command->free_bytes, d);
	}
	if (strcmp(row->name, "verbose") == 0) {
		command->verbosity++;
		return 0;
	}
	if (strcmp(row->name, "owner") == 0) {
		err = parse_ids(value, ids, 2, d);
		if (!err) {
			command->owners.has_owner = true;
			command->owners.uid = ids[0];
			command->owners.gid = ids[1];
		}
		return err;
	}
	return take_features(command, value, d);
}

const struct option_table mkfs_option_table = {
	.command = "btrkit mkfs",
	.usage = "[options] DEVICE [DEVICE...]",
	.summary = "Make a Btrfs filesystem on image files or devices, empty or with the content of directories\n"
		   "and archives. A file that does not exist is made, exactly as large as it must be.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
	.epilogue = "Sizes take the suffixes K, M, G, T (powers of 1024). SOURCE_DATE_EPOCH limits all times.\n",
};

static enum options_result check(struct mkfs_command *command, int nr_devices)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	const struct option_table *table = &mkfs_option_table;

	if (nr_devices == 0 && !command->do_list_features && !command->do_version) {
		usage_error(table, "no device or image file given");
		return OPTIONS_BAD;
	}
	if (command->byte_count && command->size && command->byte_count != command->size) {
		usage_error(table, "--byte-count and --size disagree");
		return OPTIONS_BAD;
	}
	command->size = command->size ? command->size : command->byte_count;
	if (command->size && (command->is_shrink || command->has_free)) {
		usage_error(table, "a size cannot be given together with %s", command->is_shrink ? "--shrink" : "--free");
		return OPTIONS_BAD;
	}
	if (command->nodesize > UINT32_MAX || command->sectorsize > UINT32_MAX) {
		usage_error(table, "nodesize or sectorsize out of range");
		return OPTIONS_BAD;
	}
	if (command->device_uuid && nr_devices > 1) {
		usage_error(table, "--device-uuid is for a single device");
		return OPTIONS_BAD;
	}
	if (epoch && epoch[0]) {
		char *end;

		command->epoch_sec = strtoll(epoch, &end, 10);
		if (*end) {
			usage_error(table, "SOURCE_DATE_EPOCH=%s is not a number", epoch);
			return OPTIONS_BAD;
		}
		command->has_epoch = true;
	}
	if (command->is_json && !json_is_available()) {
		report_error(table->command, "--json: built without json-c");
		return OPTIONS_FAILED;
	}
	return OPTIONS_RUN;
}

enum options_result mkfs_options_parse(int argc, char **argv, struct mkfs_command *command, int *ret_first_device)
{
	enum options_result result;

	*command = (struct mkfs_command){ 0 };
	result = options_parse(&mkfs_option_table, argc, argv, command, ret_first_device);
	return result == OPTIONS_RUN ? check(command, argc - *ret_first_device) : result;
}

void mkfs_command_done(struct mkfs_command *command)
{
	array_done(&command->rootdirs);
	array_done(&command->subvols);
	array_done(&command->inode_flags);
	array_done(&command->owners.uid_maps);
	array_done(&command->owners.gid_maps);
}
