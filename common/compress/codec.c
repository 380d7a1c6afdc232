/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/compress/codec.h"

static const struct codec *const codecs[] = {
	&codec_zlib,
	&codec_lzo,
#if HAVE_ZSTD
	&codec_zstd,
#endif
};

const struct codec *codec_by_type(u8 type)
{
	for (size_t i = 0; i < ARRAY_LEN(codecs); i++)
		if (codecs[i]->type == type)
			return codecs[i];
	return NULL;
}

const struct codec *codec_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(codecs); i++)
		if (strcmp(codecs[i]->name, name) == 0)
			return codecs[i];
	return NULL;
}

const char *codec_type_name(u8 type)
{
	static const char *const names[] = { NULL, "zlib", "lzo", "zstd" };

	return type < ARRAY_LEN(names) ? names[type] : NULL;
}

int codec_workspace_new(const struct codec *codec, int level, u32 sectorsize, lzo_compress_fn lzo_compress,
			struct codec_workspace **ret_ws)
{
	struct codec_workspace *ws = calloc(1, sizeof(*ws));
	int err;

	if (!ws)
		return -ENOMEM;
	*ws = (struct codec_workspace){ codec, level, sectorsize, lzo_compress, NULL };
	ws->state = calloc(1, codec->workspace_bytes);
	err = ws->state ? codec->init(ws) : -ENOMEM;
	if (err) {
		codec_workspace_free(ws);
		return err;
	}
	*ret_ws = ws;
	return 0;
}

void codec_workspace_free(struct codec_workspace *ws)
{
	if (!ws)
		return;
	if (ws->state)
		ws->codec->done(ws);
	free(ws->state);
	free(ws);
}
