/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/cli/json.h"

#if HAVE_JSON

#include <json-c/json.h>

/* Values are json-c's own objects under our name. */
static struct json_object *inner(struct json *json)
{
	return (struct json_object *)json;
}

static struct json *outer(struct json_object *object)
{
	return (struct json *)object;
}

bool json_is_available(void)
{
	return true;
}

struct json *json_new_object(void)
{
	return outer(json_object_new_object());
}

struct json *json_new_array(void)
{
	return outer(json_object_new_array());
}

void json_free(struct json *json)
{
	json_object_put(inner(json));
}

void json_set(struct json *object, const char *key, struct json *value)
{
	if (object)
		json_object_object_add(inner(object), key, inner(value));
	else
		json_free(value);
}

void json_append(struct json *array, struct json *value)
{
	if (array)
		json_object_array_add(inner(array), inner(value));
	else
		json_free(value);
}

/* Length of the UTF-8 sequence at @at, 0 if there is none. */
static size_t utf8_len(const u8 *at, size_t left)
{
	size_t len = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
									  : at[0] >= 0xf0 && at[0] < 0xf5 ? 4 : 0;

	if (len == 0 || len > left)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] >= 0xa0) || (at[0] == 0xf0 && at[1] < 0x90) ||
	    (at[0] == 0xf4 && at[1] >= 0x90))
		return 0; /* overlong, a surrogate, or beyond Unicode */
	return len;
}

/* A surrogate is printed as its three bytes by json-c; json_print() turns these into an escape. */
struct json *json_from_bytes(const char *bytes, size_t len)
{
	_free_ u8 *text = malloc(3 * len + 1);
	size_t out = 0;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len;) {
		size_t n = utf8_len((const u8 *)bytes + i, len - i);

		if (n) {
			memcpy(text + out, bytes + i, n);
			out += n;
			i += n;
		} else {
			unsigned point = 0xdc00 + (u8)bytes[i++];

			text[out++] = (u8)(0xe0 | point >> 12);
			text[out++] = (u8)(0x80 | (point >> 6 & 0x3f));
			text[out++] = (u8)(0x80 | (point & 0x3f));
		}
	}
	return outer(json_object_new_string_len((const char *)text, (int)out));
}

struct json *json_from_u64(u64 value)
{
	return outer(json_object_new_uint64(value));
}

struct json *json_from_s64(s64 value)
{
	return outer(json_object_new_int64(value));
}

struct json *json_from_bool(bool value)
{
	return outer(json_object_new_boolean(value));
}

void json_print(const struct json *json, FILE *file, bool is_one_line)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE | (is_one_line ? JSON_C_TO_STRING_PLAIN : JSON_C_TO_STRING_PRETTY);
	const char *text = json_object_to_json_string_ext(inner((struct json *)(uintptr_t)json), flags);

	for (; *text; text++) {
		const u8 *at = (const u8 *)text;

		if (at[0] == 0xed && at[1] >= 0xa0) {
			fprintf(file, "\\ud%x%02x", 0x8 + (at[1] >> 2 & 7), (at[1] & 3) << 6 | (at[2] & 0x3f));
			text += 2;
		} else {
			fputc(*at, file);
		}
	}
	fputc('\n', file);
}

#else

bool json_is_available(void)
{
	return false;
}
struct json *json_new_object(void)
{
	return NULL;
}
struct json *json_new_array(void)
{
	return NULL;
}
void json_free(struct json *json)
{
	(void)json;
}
void json_set(struct json *object, const char *key, struct json *value)
{
	(void)object, (void)key, (void)value;
}
void json_append(struct json *array, struct json *value)
{
	(void)array, (void)value;
}
struct json *json_from_bytes(const char *bytes, size_t len)
{
	(void)bytes, (void)len;
	return NULL;
}
struct json *json_from_u64(u64 value)
{
	(void)value;
	return NULL;
}
struct json *json_from_s64(s64 value)
{
	(void)value;
	return NULL;
}
struct json *json_from_bool(bool value)
{
	(void)value;
	return NULL;
}
void json_print(const struct json *json, FILE *file, bool is_one_line)
{
	(void)json, (void)file, (void)is_one_line;
}

#endif

void json_set_bytes(struct json *object, const char *key, const char *bytes, size_t len)
{
	json_set(object, key, json_from_bytes(bytes, len));
}

void json_set_string(struct json *object, const char *key, const char *text)
{
	json_set(object, key, text ? json_from_bytes(text, strlen(text)) : NULL);
}

void json_set_u64(struct json *object, const char *key, u64 value)
{
	json_set(object, key, json_from_u64(value));
}

void json_set_s64(struct json *object, const char *key, s64 value)
{
	json_set(object, key, json_from_s64(value));
}

void json_set_bool(struct json *object, const char *key, bool value)
{
	json_set(object, key, json_from_bool(value));
}

void json_append_string(struct json *array, const char *text)
{
	json_append(array, json_from_bytes(text, strlen(text)));
}
