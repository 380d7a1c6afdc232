/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/device/record_device.h"

struct recorder {
	struct blockdev dev;
	struct blockdev *below;
	struct record_log *log;
	unsigned number;
};

static struct recorder *recorder_of(struct blockdev *dev)
{
	return container_of(dev, struct recorder, dev);
}

void record_log_init(struct record_log *log)
{
	pthread_mutex_init(&log->lock, NULL);
}

void record_log_done(struct record_log *log)
{
	array_for_each(&log->records, record)
		free(record->bytes);
	array_done(&log->records);
	pthread_mutex_destroy(&log->lock);
}

/* Count an operation; -EIO when it is to fail. With the lock held. */
static int count(const struct recorder *recorder, const char *verb, u64 offset, struct diag *d)
{
	struct record_log *log = recorder->log;

	log->nr_operations++;
	if (log->fail_at == 0 || log->nr_operations < log->fail_at)
		return 0;
	return diag_fail(d, -EIO, "%s: cannot %s at %llu: %s", recorder->dev.name, verb, (unsigned long long)offset,
			 strerror(EIO));
}

static int keep(struct recorder *recorder, enum record_kind kind, u64 offset, const void *buf, size_t len,
		struct diag *d)
{
	struct record record = { .kind = kind, .device = recorder->number, .offset = offset, .len = len };

	if (len) {
		record.bytes = malloc(len);
		if (!record.bytes)
			return diag_no_memory(d, "the record of writes");
		memcpy(record.bytes, buf, len);
	}
	if (array_push(&recorder->log->records, record) == 0)
		return 0;
	free(record.bytes);
	return diag_no_memory(d, "the record of writes");
}

/* A write that fails may have been done in part: a replay has to make what a reader finds now. */
static void note_what_is_there(struct recorder *recorder, u64 offset, size_t len)
{
	struct record *record = &recorder->log->records.items[recorder->log->records.len - 1];

	if (len)
		(void)blockdev_read(recorder->below, offset, record->bytes, len, NULL); /* there is a failure to tell of */
}

static int recorder_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	struct recorder *recorder = recorder_of(dev);
	int err;

	pthread_mutex_lock(&recorder->log->lock);
	err = count(recorder, "read", offset, d);
	pthread_mutex_unlock(&recorder->log->lock);
	return err ? err : blockdev_read(recorder->below, offset, buf, len, d);
}

/* The lock is held across the write below, so that the order in the log is the order on the disk. */
static int recorder_write(struct blockdev *dev, u64 offset, const void *buf, size_t len, struct diag *d)
{
	struct recorder *recorder = recorder_of(dev);
	int err;
	LOCK_SCOPE(&recorder->log->lock);

	err = count(recorder, "write", offset, d);
	if (!err)
		err = keep(recorder, RECORD_WRITE, offset, buf, len, d);
	if (err)
		return err;
	err = blockdev_write(recorder->below, offset, buf, len, d);
	if (err)
		note_what_is_there(recorder, offset, len);
	return err;
}

static int recorder_flush(struct blockdev *dev, struct diag *d)
{
	struct recorder *recorder = recorder_of(dev);
	int err;
	LOCK_SCOPE(&recorder->log->lock);

	err = count(recorder, "flush", 0, d);
	if (!err)
		err = keep(recorder, RECORD_FLUSH, 0, NULL, 0, d);
	return err ? err : blockdev_flush(recorder->below, d);
}

static int recorder_discard(struct blockdev *dev, u64 offset, u64 len, struct diag *d)
{
	(void)dev;
	(void)offset;
	(void)len;
	(void)d;
	return 0; /* advisory; nothing may depend on it */
}

static void recorder_close(struct blockdev *dev)
{
	struct recorder *recorder = recorder_of(dev);

	blockdev_close(recorder->below);
	free(dev->name);
	free(recorder);
}

static const struct blockdev_ops recorder_ops = {
	.read = recorder_read,
	.write = recorder_write,
	.flush = recorder_flush,
	.discard = recorder_discard,
	.close = recorder_close,
};

int record_device_new(struct blockdev *below, struct record_log *log, unsigned device, struct blockdev **ret_dev)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));

	if (!recorder)
		return -ENOMEM;
	recorder->dev = *below;
	recorder->dev.ops = &recorder_ops;
	recorder->dev.name = strdup(below->name);
	if (!recorder->dev.name) {
		free(recorder);
		return -ENOMEM;
	}
	recorder->below = below;
	recorder->log = log;
	recorder->number = device;
	*ret_dev = &recorder->dev;
	return 0;
}

/* Was the device flushed after record @index, within the first @nr? */
static bool is_flushed(const struct record_log *log, size_t index, size_t nr)
{
	for (size_t i = index + 1; i < nr; i++)
		if (log->records.items[i].kind == RECORD_FLUSH && log->records.items[i].device == log->records.items[index].device)
			return true;
	return false;
}

int record_log_replay(const struct record_log *log, size_t nr_records, struct blockdev *const *devices,
		      bool (*choose)(void *ctx, size_t record), void *ctx, struct diag *d)
{
	for (size_t i = 0; i < nr_records && i < log->records.len; i++) {
		const struct record *record = &log->records.items[i];
		int err;

		if (record->kind != RECORD_WRITE || (choose && !is_flushed(log, i, nr_records) && !choose(ctx, i)))
			continue;
		err = blockdev_write(devices[record->device], record->offset, record->bytes, record->len, d);
		if (err)
			return err;
	}
	return 0;
}
