/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mkfs/lzo2.h"

#if HAVE_LZO
#include <lzo/lzo1x.h>

_Static_assert(LZO1X_1_MEM_COMPRESS <= LZO_COMPRESS_MEMORY, "memory of the lzo compressor");

int lzo2_compress(const void *src, size_t len, void *dst, size_t *ret_len, void *memory)
{
	lzo_uint out_len = 0;

	if (lzo1x_1_compress(src, len, dst, &out_len, memory) != LZO_E_OK)
		return -EIO;
	*ret_len = out_len;
	return 0;
}
#endif
