/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/device/memory_device.h"

#define CELL_BYTES (64 * KIB)

struct memory_device {
	struct blockdev dev;
	pthread_mutex_t lock; /* guards cells */
	u8 **cells; /* NULL: zeroes */
	u64 nr_cells;
};

static struct memory_device *memory_of(struct blockdev *dev)
{
	return container_of(dev, struct memory_device, dev);
}

static int memory_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	struct memory_device *memory = memory_of(dev);
	u8 *to = buf;
	LOCK_SCOPE(&memory->lock);

	(void)d;
	while (len > 0) {
		size_t piece = MIN(len, (size_t)(CELL_BYTES - offset % CELL_BYTES));
		const u8 *cell = memory->cells[offset / CELL_BYTES];

		if (cell)
			memcpy(to, cell + offset % CELL_BYTES, piece);
		else
			memset(to, 0, piece);
		to += piece;
		offset += piece;
		len -= piece;
	}
	return 0;
}

static int memory_write(struct blockdev *dev, u64 offset, const void *buf, size_t len, struct diag *d)
{
	struct memory_device *memory = memory_of(dev);
	const u8 *from = buf;
	LOCK_SCOPE(&memory->lock);

	while (len > 0) {
		size_t piece = MIN(len, (size_t)(CELL_BYTES - offset % CELL_BYTES));
		u8 **cell = &memory->cells[offset / CELL_BYTES];

		if (!*cell)
			*cell = calloc(1, CELL_BYTES);
		if (!*cell)
			return diag_no_memory(d, dev->name);
		memcpy(*cell + offset % CELL_BYTES, from, piece);
		from += piece;
		offset += piece;
		len -= piece;
	}
	return 0;
}

static int memory_flush(struct blockdev *dev, struct diag *d)
{
	(void)dev;
	(void)d;
	return 0;
}

static int memory_discard(struct blockdev *dev, u64 offset, u64 len, struct diag *d)
{
	(void)dev;
	(void)offset;
	(void)len;
	(void)d;
	return 0; /* advisory */
}

static void memory_close(struct blockdev *dev)
{
	struct memory_device *memory = memory_of(dev);

	for (u64 i = 0; i < memory->nr_cells; i++)
		free(memory->cells[i]);
	free(memory->cells);
	pthread_mutex_destroy(&memory->lock);
	free(dev->name);
	free(memory);
}

static const struct blockdev_ops memory_ops = {
	.read = memory_read,
	.write = memory_write,
	.flush = memory_flush,
	.discard = memory_discard,
	.close = memory_close,
};

int memory_device_new(const char *name, u64 size_bytes, struct blockdev **ret_dev)
{
	struct memory_device *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return -ENOMEM;
	memory->nr_cells = size_bytes / CELL_BYTES + 1;
	memory->cells = calloc(memory->nr_cells, sizeof(*memory->cells));
	memory->dev = (struct blockdev){
		.ops = &memory_ops,
		.name = strdup(name),
		.size_bytes = size_bytes,
		.is_writable = true,
	};
	if (!memory->cells || !memory->dev.name) {
		free(memory->cells);
		free(memory->dev.name);
		free(memory);
		return -ENOMEM;
	}
	pthread_mutex_init(&memory->lock, NULL);
	*ret_dev = &memory->dev;
	return 0;
}
