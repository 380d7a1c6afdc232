/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit convert` itself: what is there, what will be, and that it is. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cmds/cmds.h"
#include "cmds/convert.h"
#include "cmds/open.h"
#include "common/cli/json.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

typedef unsigned long long ull;

/* Done, but not all files became what they were. */
#define EXIT_LOSSES 3

static void print_source(const struct btrkit_convert_plan *plan)
{
	char total[SIZE_TEXT_MAX], used[SIZE_TEXT_MAX];

	printf("source:   %s of %s, %s in use by about %llu inodes, blocks of %u bytes", plan->source_type,
	       size_format(plan->total_bytes, total), size_format(plan->used_bytes, used), (ull)plan->nr_inodes,
	       plan->block_bytes);
	if (plan->source_label[0]) {
		printf(", label ");
		print_escaped(stdout, plan->source_label, strlen(plan->source_label));
	}
	putchar('\n');
	if (plan->journal_blocks)
		printf("journal:  was not empty: %llu blocks of it are laid over what is on the device\n",
		       (ull)plan->journal_blocks);
}

static void print_target(const struct btrkit_convert_plan *plan)
{
	char metadata[SIZE_TEXT_MAX], needed[SIZE_TEXT_MAX], available[SIZE_TEXT_MAX], moved[SIZE_TEXT_MAX];

	printf("becomes:  Btrfs %s, nodes of %u bytes, checksums %s\n", plan->fsid, plan->nodesize, plan->csum);
	printf("features: %s\n", plan->features);
	printf("metadata: %s, profile %s; of the free space %s are taken for it and to work with, %s could be\n",
	       size_format(plan->metadata_bytes, metadata), plan->metadata_profile, size_format(plan->needed_bytes, needed),
	       size_format(plan->available_bytes, available));
	printf("chunks:   %llu for data, %llu for metadata, %llu for the system; %llu extents of data\n",
	       (ull)plan->nr_data_chunks, (ull)plan->nr_metadata_chunks, (ull)plan->nr_system_chunks, (ull)plan->nr_extents);
	printf("moved:    %s, which lie where Btrfs has its superblocks\n", size_format(plan->moved_bytes, moved));
}

/* Shorter is not worth a word. */
#define ESTIMATE_SECONDS_MIN 5

static void print_estimate(const struct btrkit_convert_plan *plan)
{
	u64 seconds = plan->estimated_seconds, minutes = (seconds + 30) / 60;
	char speed[SIZE_TEXT_MAX], length[64];

	if (seconds < ESTIMATE_SECONDS_MIN)
		return;
	if (seconds < 90)
		snprintf(length, sizeof(length), "%llu s", (ull)(seconds + 2) / 5 * 5);
	else if (minutes < 90)
		snprintf(length, sizeof(length), "%llu min", (ull)minutes);
	else
		snprintf(length, sizeof(length), "%llu h %llu min", (ull)minutes / 60, (ull)minutes % 60);
	printf("time:     about %s, an estimate from reading a little of it, at %s/s\n", length,
	       size_format(plan->read_bytes_per_second, speed));
}

/* --- What does not come through ---------------------------------------- */

static void take_loss(void *arg, const struct btrkit_convert_loss *loss)
{
	struct convert_command *command = arg;
	struct json *object = json_new_object();

	json_set_bytes(object, "path", loss->path, strlen(loss->path));
	json_set_string(object, "why", loss->why);
	json_set_bool(object, "is_left_out", loss->is_left_out);
	json_set_u64(object, "unreadable_bytes", loss->unreadable_bytes);
	json_set_u64(object, "first_offset", loss->first_offset);
	json_append(command->losses, object);
}

static void print_losses(const struct btrkit_convert_plan *plan)
{
	char bytes[SIZE_TEXT_MAX];

	if (plan->unreadable_bytes)
		printf("lost:     %s cannot be read\n", size_format(plan->unreadable_bytes, bytes));
	if (plan->nr_left_out || plan->nr_unreadable_files)
		printf("lost:     %llu names are left out, %llu files cannot be read in part; each is named in a warning\n",
		       (ull)plan->nr_left_out, (ull)plan->nr_unreadable_files);
}

static bool has_losses(const struct btrkit_convert_plan *plan)
{
	return plan->unreadable_bytes || plan->nr_left_out || plan->nr_unreadable_files;
}

/* --- What is said ---------------------------------------- */

/* What Linux makes a chunk of data: in a filesystem that has less left than one of these, little can be moved. */
#define CHUNK_BYTES_MAX (1024ULL * 1024 * 1024)
#define CHUNK_FRACTION 10

static void warn_of_little_room(const struct btrkit_convert_plan *plan)
{
	u64 wanted = plan->total_bytes / CHUNK_FRACTION < CHUNK_BYTES_MAX ? plan->total_bytes / CHUNK_FRACTION : CHUNK_BYTES_MAX;
	char left[SIZE_TEXT_MAX], chunk[SIZE_TEXT_MAX];

	if (plan->is_finish_only || plan->unallocated_bytes >= wanted)
		return;
	report_warning(convert_option_table.command,
		       "only %s are in no chunk, less than Linux wants for one of data (%s): make room before a balance; deleting ext2_saved frees "
		       "what only the old filesystem has", size_format(plan->unallocated_bytes, left), size_format(wanted, chunk));
}

static void print_json(struct convert_command *command, const struct btrkit_convert_plan *plan, const char *status,
		       const struct btrkit_error *error)
{
	struct json *object = json_new_object();

	json_set_string(object, "type", "convert");
	json_set_string(object, "status", status);
	if (error)
		json_set_string(object, "error", error->text);
	if (plan->source_type[0]) {
		json_set_string(object, "source", plan->source_type);
		json_set_string(object, "source_label", plan->source_label);
		json_set_string(object, "source_uuid", plan->source_uuid);
	}
	if (plan->fsid[0]) {
		json_set_string(object, "uuid", plan->fsid);
		json_set_string(object, "label", plan->label);
		json_set_string(object, "checksum", plan->csum);
		json_set_string(object, "features", plan->features);
	}
	json_set_string(object, "metadata_profile", plan->metadata_profile);
	json_set_u64(object, "block_bytes", plan->block_bytes);
	json_set_u64(object, "nodesize", plan->nodesize);
	json_set_u64(object, "sectorsize", plan->sectorsize);
	json_set_u64(object, "total_bytes", plan->total_bytes);
	json_set_u64(object, "used_bytes", plan->used_bytes);
	json_set_u64(object, "inodes", plan->nr_inodes);
	json_set_u64(object, "journal_blocks", plan->journal_blocks);
	json_set_u64(object, "metadata_bytes", plan->metadata_bytes);
	json_set_u64(object, "needed_bytes", plan->needed_bytes);
	json_set_u64(object, "available_bytes", plan->available_bytes);
	json_set_u64(object, "unallocated_bytes", plan->unallocated_bytes);
	json_set_u64(object, "moved_bytes", plan->moved_bytes);
	json_set_u64(object, "data_chunks", plan->nr_data_chunks);
	json_set_u64(object, "metadata_chunks", plan->nr_metadata_chunks);
	json_set_u64(object, "system_chunks", plan->nr_system_chunks);
	json_set_u64(object, "extents", plan->nr_extents);
	json_set_u64(object, "estimated_seconds", plan->estimated_seconds);
	json_set_u64(object, "bytes_per_second", plan->read_bytes_per_second);
	json_set_u64(object, "unreadable_bytes", plan->unreadable_bytes);
	json_set(object, "losses", command->losses);
	command->losses = NULL;
	json_print(object, stdout, true);
	json_free(object);
}

static int report_failure(struct convert_command *command, const struct btrkit_convert_plan *plan,
			  struct btrkit_error *error)
{
	explain_other(command->path, 0, error->err, error);
	if (command->is_json)
		print_json(command, plan, error->err == -ECANCELED ? "cancelled" : error->err == -EIO ? "failed" : "refused", error);
	else if (error->err == -ENOSPC && plan->source_type[0])
		print_source(plan);
	return report_error(convert_option_table.command, "%s", error->text);
}

static void report(struct convert_command *command, const struct btrkit_convert_plan *plan)
{
	if (command->is_json) {
		print_json(command, plan, command->is_dry_run ? "possible" : plan->is_finish_only ? "finished" : "converted", NULL);
	} else if (plan->is_finish_only) {
		printf(command->is_dry_run ? "%s: a conversion was interrupted at its end; it would be finished\n"
					   : "%s: a conversion was interrupted at its end; now it is finished\n",
		       command->path);
	} else {
		print_source(plan);
		print_target(plan);
		print_estimate(plan);
		print_losses(plan);
		if (command->is_dry_run)
			puts("it can be converted; nothing was changed");
		else
			printf("%s is Btrfs; what it was is kept in ext2_saved, until that is deleted\n", command->path);
	}
}

static void fill_options(struct convert_command *command, struct btrkit_convert_options *options)
{
	btrkit_convert_options_init(options);
	options->path = command->path;
	options->label = command->label;
	options->do_copy_label = command->do_copy_label;
	options->uuid = command->uuid;
	options->fsid = command->fsid;
	options->nodesize = (uint32_t)(command->nodesize > UINT32_MAX ? UINT32_MAX : command->nodesize);
	options->csum = command->csum;
	options->features = command->features;
	options->metadata_profile = command->metadata_profile;
	options->no_datasum = command->no_datasum;
	options->no_xattrs = command->no_xattrs;
	options->no_inline = command->no_inline;
	options->do_skip_unsupported = command->do_skip_unsupported;
	options->do_skip_unreadable = command->do_skip_unreadable;
	options->verify = command->verify;
	options->is_dry_run = command->is_dry_run;
	options->threads = command->threads;
	options->job = command->job;
	options->note = convert_print_note;
	options->note_arg = command;
	if (command->is_json) {
		command->losses = json_new_array();
		options->loss = take_loss;
		options->loss_arg = command;
	}
}

int convert_run(struct convert_command *command)
{
	struct btrkit_convert_plan plan = { 0 };
	struct btrkit_convert_options options;
	struct btrkit_error error = { 0 };
	struct progress_bar *bar;
	struct stat st;
	int err;

	if (command->is_image && (stat(command->path, &st) < 0 || !S_ISREG(st.st_mode)))
		return report_error(convert_option_table.command, "%s: is no image file", command->path);
	fill_options(command, &options);
	bar = convert_start_progress(command);
	err = btrkit_convert(&options, &plan, &error);
	progress_bar_stop(bar);
	if (err < 0)
		return report_failure(command, &plan, &error);
	report(command, &plan);
	warn_of_little_room(&plan);
	return has_losses(&plan) ? EXIT_LOSSES : 0;
}
