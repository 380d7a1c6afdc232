/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Building and printing JSON, over json-c. Without json-c nothing can be built: json_is_available() says so, and
 * commands then refuse --json.
 *
 * File names are bytes, JSON strings are Unicode: a name that is not UTF-8 is written with each odd byte as the code
 * point U+DC00 + byte (an escaped lone surrogate), as Python's "surrogateescape" reads it back.
 */
#ifndef BTRKIT_COMMON_CLI_JSON_H
#define BTRKIT_COMMON_CLI_JSON_H

#include <stdio.h>

#include "common/base/types.h"

struct json; /* a value */

bool json_is_available(void);

/* An empty object or array. Out of memory gives NULL, which every function accepts. */
struct json *json_new_object(void);
struct json *json_new_array(void);
void json_free(struct json *json);

/* A single value. */
struct json *json_from_u64(u64 value);
struct json *json_from_s64(s64 value);
struct json *json_from_bool(bool value);
struct json *json_from_bytes(const char *bytes, size_t len);

/* Set @key of an object; json_set() and json_append() take @value over. */
void json_set(struct json *object, const char *key, struct json *value);
void json_set_string(struct json *object, const char *key, const char *text);
void json_set_bytes(struct json *object, const char *key, const char *bytes, size_t len);
void json_set_u64(struct json *object, const char *key, u64 value);
void json_set_s64(struct json *object, const char *key, s64 value);
void json_set_bool(struct json *object, const char *key, bool value);
void json_append(struct json *array, struct json *value);
void json_append_string(struct json *array, const char *text);

/* Print on @file: indented, or on one line; with a newline behind. */
void json_print(const struct json *json, FILE *file, bool is_one_line);

#endif
