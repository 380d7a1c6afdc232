/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/device/overlay_device.h"

/* What is copied on the first write into it. Cells are found through a table of tables, for devices are large. */
#define CELL_BYTES (16 * KIB)
#define CELLS_PER_TABLE 4096

struct overlay {
	struct blockdev dev;
	struct blockdev *below;
	pthread_mutex_t lock; /* guards the tables and the cells */
	u8 ***tables; /* [cell / CELLS_PER_TABLE][cell % CELLS_PER_TABLE]; NULL: as below */
	u64 nr_tables;
	u64 nr_cells; /* that were copied */
};

static struct overlay *overlay_of(const struct blockdev *dev)
{
	return container_of(dev, struct overlay, dev);
}

static u8 *find_cell(const struct overlay *overlay, u64 cell)
{
	u8 **table = overlay->tables[cell / CELLS_PER_TABLE];

	return table ? table[cell % CELLS_PER_TABLE] : NULL;
}

static size_t cell_bytes(const struct overlay *overlay, u64 cell)
{
	return (size_t)MIN((u64)CELL_BYTES, overlay->dev.size_bytes - cell * CELL_BYTES);
}

/* The cell's copy, made if there is none; @is_whole: all of it is about to be written. */
static int make_cell(struct overlay *overlay, u64 cell, bool is_whole, u8 **ret_cell, struct diag *d)
{
	u8 ***table = &overlay->tables[cell / CELLS_PER_TABLE];
	_free_ u8 *copy = NULL;
	int err;

	if (!*table)
		*table = calloc(CELLS_PER_TABLE, sizeof(**table));
	if (!*table)
		return diag_no_memory(d, overlay->dev.name);
	*ret_cell = (*table)[cell % CELLS_PER_TABLE];
	if (*ret_cell)
		return 0;
	copy = malloc(CELL_BYTES);
	if (!copy)
		return diag_no_memory(d, overlay->dev.name);
	if (!is_whole) {
		err = blockdev_read(overlay->below, cell * CELL_BYTES, copy, cell_bytes(overlay, cell), d);
		if (err)
			return err;
	}
	overlay->nr_cells++;
	*ret_cell = (*table)[cell % CELLS_PER_TABLE] = take_ptr(copy);
	return 0;
}

static int overlay_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	struct overlay *overlay = overlay_of(dev);
	u8 *to = buf;
	LOCK_SCOPE(&overlay->lock);

	while (len > 0) {
		size_t piece = MIN(len, (size_t)(CELL_BYTES - offset % CELL_BYTES));
		const u8 *cell = find_cell(overlay, offset / CELL_BYTES);
		int err = 0;

		/* Cells that are as below are read together. */
		while (!cell && piece < len && !find_cell(overlay, (offset + piece) / CELL_BYTES))
			piece = MIN(len, piece + (size_t)CELL_BYTES);
		if (cell)
			memcpy(to, cell + offset % CELL_BYTES, piece);
		else
			err = blockdev_read(overlay->below, offset, to, piece, d);
		if (err)
			return err;
		to += piece;
		offset += piece;
		len -= piece;
	}
	return 0;
}

static int overlay_write(struct blockdev *dev, u64 offset, const void *buf, size_t len, struct diag *d)
{
	struct overlay *overlay = overlay_of(dev);
	const u8 *from = buf;
	LOCK_SCOPE(&overlay->lock);

	while (len > 0) {
		u64 cell = offset / CELL_BYTES;
		size_t piece = MIN(len, (size_t)(CELL_BYTES - offset % CELL_BYTES));
		u8 *copy;
		int err = make_cell(overlay, cell, piece == cell_bytes(overlay, cell), &copy, d);

		if (err)
			return err;
		memcpy(copy + offset % CELL_BYTES, from, piece);
		from += piece;
		offset += piece;
		len -= piece;
	}
	return 0;
}

static int overlay_flush(struct blockdev *dev, struct diag *d)
{
	(void)dev;
	(void)d;
	return 0; /* nothing of it ever reaches the disk */
}

static int overlay_discard(struct blockdev *dev, u64 offset, u64 len, struct diag *d)
{
	(void)dev;
	(void)offset;
	(void)len;
	(void)d;
	return 0; /* advisory */
}

static void overlay_close(struct blockdev *dev)
{
	struct overlay *overlay = overlay_of(dev);

	for (u64 t = 0; t < overlay->nr_tables; t++) {
		for (u64 i = 0; overlay->tables[t] && i < CELLS_PER_TABLE; i++)
			free(overlay->tables[t][i]);
		free(overlay->tables[t]);
	}
	free(overlay->tables);
	pthread_mutex_destroy(&overlay->lock);
	blockdev_close(overlay->below);
	free(dev->name);
	free(overlay);
}

static const struct blockdev_ops overlay_ops = {
	.read = overlay_read,
	.write = overlay_write,
	.flush = overlay_flush,
	.discard = overlay_discard,
	.close = overlay_close,
};

int overlay_device_new(struct blockdev *below, struct blockdev **ret_dev)
{
	struct overlay *overlay = calloc(1, sizeof(*overlay));

	if (!overlay)
		return -ENOMEM;
	overlay->nr_tables = below->size_bytes / (CELL_BYTES * CELLS_PER_TABLE) + 1;
	overlay->tables = calloc(overlay->nr_tables, sizeof(*overlay->tables));
	overlay->dev = (struct blockdev){
		.ops = &overlay_ops,
		.name = strdup(below->name),
		.size_bytes = below->size_bytes,
		.is_writable = true,
		.is_block_special = below->is_block_special,
	};
	if (!overlay->tables || !overlay->dev.name) {
		free(overlay->tables);
		free(overlay->dev.name);
		free(overlay);
		return -ENOMEM;
	}
	overlay->below = below;
	pthread_mutex_init(&overlay->lock, NULL);
	*ret_dev = &overlay->dev;
	return 0;
}

u64 overlay_device_changed_bytes(const struct blockdev *dev)
{
	return overlay_of(dev)->nr_cells * CELL_BYTES;
}
