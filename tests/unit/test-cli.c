/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* common/cli: sizes, option tables, JSON, the progress line, messages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cli/json.h"
#include "common/cli/options.h"
#include "common/cli/progress_bar.h"
#include "common/cli/report.h"
#include "common/cli/size.h"
#include "tests/unit/failing_malloc.h"

/* --- Catching what is printed ------------------------------------------------------------------------------ */

static FILE *caught;
static int saved_fd[3];

static void catch_output(int fd)
{
	fflush(NULL);
	if (!caught)
		caught = tmpfile();
	assert_non_null(caught);
	saved_fd[fd] = dup(fd);
	dup2(fileno(caught), fd);
}

/* What was printed since, in a static buffer. */
static const char *end_of_output(int fd)
{
	static char text[8192];
	size_t len;

	fflush(NULL);
	dup2(saved_fd[fd], fd);
	close(saved_fd[fd]);
	rewind(caught);
	len = fread(text, 1, sizeof(text) - 1, caught);
	text[len] = '\0';
	rewind(caught);
	assert_int_equal(ftruncate(fileno(caught), 0), 0);
	return text;
}

/* --- Sizes --------------------------------------------------------------------------------------------------- */

static void sizes_are_read_as_people_write_them(void **state)
{
	static const struct {
		const char *text;
		u64 bytes;
	} good[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "007", 7 },
		{ "4096", 4096 },
		{ "12b", 12 },
		{ "12B", 12 },
		{ "1k", KIB },
		{ "1K", KIB },
		{ "16kb", 16 * KIB },
		{ "16KiB", 16 * KIB },
		{ "3m", 3 * MIB },
		{ "10GiB", 10 * GIB },
		{ "2T", 2 * TIB },
		{ "5p", 5 * 1024 * TIB },
		{ "15E", 15ULL << 60 },
		{ "18446744073709551615", UINT64_MAX },
		{ "17179869183G", 17179869183ULL << 30 },
		{ "0e", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct diag d = { 0 };
		u64 bytes = 42;

		if (size_parse(good[i].text, &bytes, &d) != 0)
			fail_msg("%s: %s", good[i].text, d.text);
		assert_int_equal(bytes, good[i].bytes);
	}
}

static void what_is_no_size_is_refused_and_quoted(void **state)
{
	static const struct {
		const char *text;
		int err;
	} bad[] = {
		{ "", -EINVAL },	  { "k", -EINVAL },	 { "-1", -EINVAL },	 { "+1", -EINVAL },
		{ " 1", -EINVAL },	  { "1 ", -EINVAL },	 { "1x", -EINVAL },	 { "0x10", -EINVAL },
		{ "1.5G", -EINVAL },	  { "1,5G", -EINVAL },	 { "1kk", -EINVAL },	 { "1ki", -EINVAL },
		{ "1kib ", -EINVAL },	  { "1bb", -EINVAL },	 { "1biB", -EINVAL },	 { "1e5", -EINVAL },
		{ "1\xc2\xb5", -EINVAL }, { "1\xff", -EINVAL },	 { "1z", -EINVAL },	 { "nan", -EINVAL },
		{ "16E", -ERANGE },	  { "16384P", -ERANGE }, { "18446744073709551616", -ERANGE },
		{ "17179869184G", -ERANGE }, { "99999999999999999999999999999999999999", -ERANGE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct diag d = { 0 };
		u64 bytes = 42;

		assert_int_equal(size_parse(bad[i].text, &bytes, &d), bad[i].err);
		assert_int_equal(d.err, bad[i].err);
		assert_non_null(strstr(d.text, bad[i].text));
		assert_int_equal(bytes, 42); /* untouched */
		assert_int_equal(size_parse(bad[i].text, &bytes, NULL), bad[i].err);
	}
}

static void sizes_are_shown_with_two_decimals(void **state)
{
	static const struct {
		u64 bytes;
		const char *text;
	} rows[] = {
		{ 0, "0B" },
		{ 1023, "1023B" },
		{ 1024, "1.00KiB" },
		{ 1536, "1.50KiB" },
		{ MIB - 1, "1023.99KiB" },
		{ MIB, "1.00MiB" },
		{ 3 * GIB / 2, "1.50GiB" },
		{ UINT64_MAX, "15.99EiB" },
	};
	char buf[SIZE_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(size_format(rows[i].bytes, buf), rows[i].text);
}

/* --- Options -------------------------------------------------------------------------------------------------- */

struct target {
	bool is_forced;
	bool is_quiet;
	const char *label;
	u64 size;
	unsigned threads;
	const char *attached;
	char calls[200];
};

static int on_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	struct target *t = target;
	size_t used = strlen(t->calls);

	if (value && strcmp(value, "huge") == 0)
		return diag_no_memory(d, "what is huge");
	if (value && strcmp(value, "bad") == 0)
		return diag_fail(d, -EINVAL, "\"bad\" is what it says");
	snprintf(t->calls + used, sizeof(t->calls) - used, "%s=%s;", row->name, value ? value : "(none)");
	return 0;
}

static const struct option_row rows[] = {
	{ 0, NULL, NULL, OPTION_HEADING, 0, "What to do", false },
	{ 'f', "force", NULL, OPTION_FLAG, offsetof(struct target, is_forced), "do it anyway", false },
	{ 'q', NULL, NULL, OPTION_FLAG, offsetof(struct target, is_quiet), "say nothing", false },
	{ 'L', "label", "TEXT", OPTION_STRING, offsetof(struct target, label), "how it is called", false },
	{ 's', "size", "SIZE", OPTION_SIZE, offsetof(struct target, size), "first line\nsecond line", false },
	{ 0, "threads", "N", OPTION_UNSIGNED, offsetof(struct target, threads), NULL, false },
	{ 'c', "compress", "KIND", OPTION_CALL, 0, "make it smaller", true },
	{ 'd', "data", "FILTERS", OPTION_ATTACHED, offsetof(struct target, attached), "some of it", true },
	{ 0, "a-name-that-needs-a-line-of-its-own", "VALUE", OPTION_CALL, 0, "long", false },
};

static const struct option_table table = {
	.command = "tool verb",
	.usage = "[options] DEVICE...",
	.summary = "Does something.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = on_call,
	.epilogue = "And that is all.\n",
};

struct parsed {
	enum options_result result;
	struct target target;
	int first, argc;
	char *argv[16];
	const char *said; /* on stderr */
};

/* Parse words that are separated by single spaces; "_" stands for an empty word. */
static struct parsed parse(const char *words)
{
	static char copy[512];
	struct parsed p = { .argc = 0 };

	snprintf(copy, sizeof(copy), "verb %s", words);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		p.argv[p.argc++] = strcmp(word, "_") == 0 ? word + 1 : word;
	catch_output(STDERR_FILENO);
	p.result = options_parse(&table, p.argc, p.argv, &p.target, &p.first);
	p.said = end_of_output(STDERR_FILENO);
	return p;
}

static void options_reach_their_targets(void **state)
{
	struct parsed p = parse("-f -L name --size=16k --threads 3 dev");

	(void)state;
	assert_int_equal(p.result, OPTIONS_RUN);
	assert_string_equal(p.said, "");
	assert_true(p.target.is_forced);
	assert_false(p.target.is_quiet);
	assert_string_equal(p.target.label, "name");
	assert_int_equal(p.target.size, 16384);
	assert_int_equal(p.target.threads, 3);
	assert_int_equal(p.first, p.argc - 1);

	p = parse("-fqLname -s1m --label= --threads 4294967295");
	assert_int_equal(p.result, OPTIONS_RUN);
	assert_true(p.target.is_forced && p.target.is_quiet);
	assert_string_equal(p.target.label, ""); /* the last one counts */
	assert_int_equal(p.target.size, MIB);
	assert_int_equal(p.target.threads, UINT32_MAX);
	assert_int_equal(p.first, p.argc);

	p = parse("--forc --lab x"); /* what is unambiguous may be cut short */
	assert_int_equal(p.result, OPTIONS_RUN);
	assert_true(p.target.is_forced);
	assert_string_equal(p.target.label, "x");
}

static void operands_are_found_wherever_they_stand(void **state)
{
	struct parsed p = parse("one -f two --size 1 three");

	(void)state;
	assert_int_equal(p.result, OPTIONS_RUN);
	assert_int_equal(p.argc - p.first, 3);
	assert_string_equal(p.argv[p.first], "one");
	assert_string_equal(p.argv[p.first + 2], "three");

	p = parse("-- -f --size");
	assert_int_equal(p.result, OPTIONS_RUN);
	assert_false(p.target.is_forced);
	assert_int_equal(p.argc - p.first, 2);
	assert_string_equal(p.argv[p.first], "-f");

	p = parse("- _"); /* standard input, and an empty word, are operands */
	assert_int_equal(p.result, OPTIONS_RUN);
	assert_int_equal(p.argc - p.first, 2);
}

static void optional_values_are_only_taken_behind_an_equals_sign(void **state)
{
	struct parsed p = parse("--compress --compress=zstd:3 -c --compress= zlib");

	(void)state;
	assert_int_equal(p.result, OPTIONS_RUN);
	assert_string_equal(p.target.calls, "compress=(none);compress=zstd:3;compress=(none);compress=;");
	assert_int_equal(p.argc - p.first, 1);
	assert_string_equal(p.argv[p.first], "zlib");
}

static void attached_values_follow_their_letter(void **state)
{
	struct parsed p = parse("-f");

	(void)state;
	assert_null(p.target.attached);
	p = parse("-dusage=5 x");
	assert_int_equal(p.result, OPTIONS_RUN);
	assert_string_equal(p.target.attached, "usage=5");
	p = parse("-d x");
	assert_string_equal(p.target.attached, "");
	assert_int_equal(p.argc - p.first, 1);
	p = parse("-fd x");
	assert_string_equal(p.target.attached, "");
	p = parse("--data=usage=5 x");
	assert_string_equal(p.target.attached, "usage=5");
	p = parse("--data x");
	assert_string_equal(p.target.attached, "");
	assert_int_equal(p.argc - p.first, 1);
}

static void wrong_command_lines_are_explained(void **state)
{
	static const struct {
		const char *words, *said;
	} bad[] = {
		{ "--bogus", "tool verb: unknown option --bogus (see tool verb --help)\n" },
		{ "--bogus=3 dev", "tool verb: unknown option --bogus=3 (see tool verb --help)\n" },
		{ "-x", "tool verb: unknown option -x (see tool verb --help)\n" },
		{ "-fx", "tool verb: unknown option -x (see tool verb --help)\n" },
		{ "dev --size", "tool verb: option --size needs a value (see tool verb --help)\n" },
		{ "-fs", "tool verb: option -s needs a value (see tool verb --help)\n" },
		{ "--force=yes", "tool verb: option --force takes no value (see tool verb --help)\n" },
		{ "--help=me", "tool verb: option --help takes no value (see tool verb --help)\n" },
		{ "-s 1x", "tool verb: --size: \"1x\": unknown suffix \"x\" (use K, M, G, T, P or E) (see tool verb --help)\n" },
		{ "--threads=", "tool verb: --threads: \"\" is not a number (see tool verb --help)\n" },
		{ "--threads=-1", "tool verb: --threads: \"-1\" is not a number (see tool verb --help)\n" },
		{ "--threads=4294967296", "tool verb: --threads: \"4294967296\" is not a number (see tool verb --help)\n" },
		{ "--threads=1k", "tool verb: --threads: \"1k\" is not a number (see tool verb --help)\n" },
		{ "--compress=bad", "tool verb: --compress: \"bad\" is what it says (see tool verb --help)\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct parsed p = parse(bad[i].words);

		assert_string_equal(p.said, bad[i].said);
		assert_int_equal(p.result, OPTIONS_BAD);
	}
}

static void no_memory_is_no_bad_option(void **state)
{
	struct parsed p = parse("--compress=huge");

	(void)state;
	assert_string_equal(p.said, "tool verb: error: out of memory for what is huge\n");
	assert_int_equal(p.result, OPTIONS_FAILED);
	for (unsigned at = 1; at <= 2 && can_fail_malloc; at++) {
		char word[] = "verb", option[] = "--bogus";
		char *argv[] = { word, option, NULL };
		struct target target = { 0 };
		enum options_result result;
		int first;

		catch_output(STDERR_FILENO);
		fail_malloc_at = at;
		result = options_parse(&table, 2, argv, &target, &first);
		fail_malloc_at = 0;
		assert_string_equal(end_of_output(STDERR_FILENO), "tool verb: error: out of memory\n");
		assert_int_equal(result, OPTIONS_FAILED);
	}
	assert_int_equal(options_exit_status(OPTIONS_DONE), 0);
	assert_int_equal(options_exit_status(OPTIONS_BAD), 2);
	assert_int_equal(options_exit_status(OPTIONS_FAILED), 1);
	assert_int_equal(options_checker_status(OPTIONS_DONE), 0);
	assert_int_equal(options_checker_status(OPTIONS_BAD), 16);
	assert_int_equal(options_checker_status(OPTIONS_FAILED), 8);
}

static void help_lists_what_the_table_shows(void **state)
{
	static const char expected[] =
		"Usage: tool verb [options] DEVICE...\n"
		"\n"
		"Does something.\n"
		"\n"
		"What to do:\n"
		"  -f, --force                     do it anyway\n"
		"  -q                              say nothing\n"
		"  -L, --label TEXT                how it is called\n"
		"  -s, --size SIZE                 first line\n"
		"                                  second line\n"
		"  -c, --compress[=KIND]           make it smaller\n"
		"  -d, --data[=FILTERS]            some of it\n"
		"      --a-name-that-needs-a-line-of-its-own VALUE\n"
		"                                  long\n"
		"      --help                      print this help and exit\n"
		"\n"
		"And that is all.\n";
	char word[] = "verb", help[] = "--help", after[] = "--bogus";
	char *argv[] = { word, help, after, NULL };
	struct target target = { 0 };
	enum options_result result;
	int first;

	(void)state;
	catch_output(STDOUT_FILENO);
	result = options_parse(&table, 3, argv, &target, &first);
	assert_string_equal(end_of_output(STDOUT_FILENO), expected);
	assert_int_equal(result, OPTIONS_DONE);
}

static void names_for_completion_are_those_that_help_shows(void **state)
{
	(void)state;
	catch_output(STDOUT_FILENO);
	options_print_names(&table);
	assert_string_equal(end_of_output(STDOUT_FILENO),
			    "-f\n--force\n-q\n-L\n--label=\n-s\n--size=\n-c\n--compress=\n-d\n--data=\n"
			    "--a-name-that-needs-a-line-of-its-own=\n--help\n");
}

/* --- JSON ----------------------------------------------------------------------------------------------------- */

/* The one-line text of @json, which is freed. */
static const char *printed(struct json *json)
{
	static char text[8192];
	FILE *file = tmpfile();
	size_t len;

	assert_non_null(file);
	json_print(json, file, true);
	json_free(json);
	rewind(file);
	len = fread(text, 1, sizeof(text) - 1, file);
	text[len] = '\0';
	fclose(file);
	return text;
}

static struct json *with_bytes(const char *bytes, size_t len)
{
	struct json *object = json_new_object();

	json_set_bytes(object, "name", bytes, len);
	return object;
}

static void json_has_every_kind_of_value(void **state)
{
	struct json *object = json_new_object(), *array = json_new_array();

	(void)state;
	if (!json_is_available()) {
		json_free(object);
		skip();
	}
	json_set_u64(object, "most", UINT64_MAX);
	json_set_s64(object, "least", INT64_MIN);
	json_set_bool(object, "yes", true);
	json_set_bool(object, "no", false);
	json_set_string(object, "text", "a/b \"c\" \\ \t\x01");
	json_set_string(object, "nothing", NULL);
	json_append_string(array, "one");
	json_append(array, json_new_object());
	json_set(object, "list", array);
	json_set_u64(object, "yes", 2); /* replaces */
	assert_string_equal(printed(object),
			    "{\"most\":18446744073709551615,\"least\":-9223372036854775808,\"yes\":2,\"no\":false,"
			    "\"text\":\"a/b \\\"c\\\" \\\\ \\t\\u0001\",\"nothing\":null,\"list\":[\"one\",{}]}\n");
}

static void utf8_names_stay_and_odd_bytes_become_surrogate_escapes(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *json;
	} names[] = {
		{ "", 0, "" },
		{ "\x7f", 1, "\x7f" },
		{ "a\0b", 3, "a\\u0000b" },
		{ "gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f" },
		{ "\xe2\x82\xac\xf0\x9f\x90\xa7", 7, "\xe2\x82\xac\xf0\x9f\x90\xa7" },
		{ "\xef\xbf\xbf\xf4\x8f\xbf\xbf", 7, "\xef\xbf\xbf\xf4\x8f\xbf\xbf" },
		{ "\xed\x9f\xbf\xee\x80\x80", 6, "\xed\x9f\xbf\xee\x80\x80" }, /* around the surrogates */
		{ "\xff", 1, "\\udcff" },
		{ "x\x80y", 3, "x\\udc80y" },
		{ "\xc3", 1, "\\udcc3" }, /* cut short */
		{ "\xe2\x82", 2, "\\udce2\\udc82" },
		{ "\xf0\x9f\x90z", 4, "\\udcf0\\udc9f\\udc90z" },
		{ "\xc0\xaf", 2, "\\udcc0\\udcaf" }, /* overlong */
		{ "\xe0\x80\xaf", 3, "\\udce0\\udc80\\udcaf" },
		{ "\xf0\x80\x80\xaf", 4, "\\udcf0\\udc80\\udc80\\udcaf" },
		{ "\xed\xb2\x80", 3, "\\udced\\udcb2\\udc80" }, /* a surrogate in the name itself */
		{ "\xed\xa0\x80", 3, "\\udced\\udca0\\udc80" },
		{ "\xf4\x90\x80\x80", 4, "\\udcf4\\udc90\\udc80\\udc80" }, /* beyond Unicode */
		{ "\xf5\xfe", 2, "\\udcf5\\udcfe" },
	};

	(void)state;
	if (!json_is_available())
		skip();
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char expected[100];

		snprintf(expected, sizeof(expected), "{\"name\":\"%s\"}\n", names[i].json);
		assert_string_equal(printed(with_bytes(names[i].bytes, names[i].len)), expected);
	}
}

static void json_without_memory_is_accepted_everywhere(void **state)
{
	(void)state;
	json_set_u64(NULL, "x", 1);
	json_set_string(NULL, "x", "y");
	json_set(NULL, "x", json_new_array());
	json_append_string(NULL, "x");
	json_append(NULL, json_new_object());
	json_free(NULL);
}

/* --- The progress line --------------------------------------------------------------------------------------- */

static void expect_line(const struct progress_sample *sample, u64 elapsed_ms, unsigned width, const char *expected)
{
	char line[512];

	progress_line(sample, elapsed_ms, width, line, sizeof(line));
	assert_string_equal(line, expected);
}

static void the_progress_line_says_what_is_known(void **state)
{
	struct progress_sample s = { .phase = "scan" };

	(void)state;
	expect_line(&s, 0, 0, "scan     ");
	s.done_files = 12;
	expect_line(&s, 5000, 0, "scan       12 files");

	s = (struct progress_sample){ .phase = "data", .done_bytes = 256 * MIB, .total_bytes = GIB, .done_files = 3,
				      .total_files = 40 };
	expect_line(&s, 400, 0, "data      [######                  ]  25%  256.00MiB/1.00GiB  3/40 files");
	expect_line(&s, 10000, 0,
		    "data      [######                  ]  25%  256.00MiB/1.00GiB  25.59MiB/s  3/40 files  ETA 0:30");
	expect_line(&s, 1000000, 0,
		    "data      [######                  ]  25%  256.00MiB/1.00GiB  262.14KiB/s  3/40 files  ETA 50:00");
	s.done_bytes = GIB;
	expect_line(&s, 4000, 0,
		    "data      [########################] 100%  1.00GiB/1.00GiB  256.00MiB/s  3/40 files");
	s.done_bytes = 3 * GIB; /* a source grew while it was read */
	expect_line(&s, 400, 0, "data      [########################] 100%  3.00GiB/1.00GiB  3/40 files");

	s = (struct progress_sample){ .phase = "metadata", .done_files = 50, .total_files = 100 };
	expect_line(&s, 0, 0, "metadata  [############            ]  50%  50/100 files");
}

static void the_progress_line_keeps_to_its_width_and_buffer(void **state)
{
	struct progress_sample s = { .phase = "compress", .done_bytes = UINT64_MAX, .total_bytes = UINT64_MAX,
				     .done_files = UINT64_MAX, .total_files = UINT64_MAX };
	char line[512];

	(void)state;
	for (unsigned width = 1; width < 200; width++) {
		progress_line(&s, UINT64_MAX, width, line, sizeof(line));
		assert_in_range(strlen(line), 0, width - 1);
	}
	for (size_t cap = 1; cap < 200; cap++) {
		memset(line, 'x', sizeof(line));
		progress_line(&s, 1, 0, line, cap);
		assert_non_null(memchr(line, '\0', cap));
		assert_int_equal(line[cap], 'x');
	}
}

static void progress_modes_have_names(void **state)
{
	enum progress_mode mode = PROGRESS_AUTO;
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(progress_mode_parse("never", &mode, &d), 0);
	assert_int_equal(mode, PROGRESS_NEVER);
	assert_int_equal(progress_mode_parse("always", &mode, &d), 0);
	assert_int_equal(mode, PROGRESS_ALWAYS);
	assert_int_equal(progress_mode_parse("auto", &mode, &d), 0);
	assert_int_equal(mode, PROGRESS_AUTO);
	assert_int_equal(progress_mode_parse("Always", &mode, &d), -EINVAL);
	assert_string_equal(d.text, "\"Always\" is none of auto, always, never");
}

static void no_sample(void *ctx, struct progress_sample *ret)
{
	(void)ctx;
	ret->phase = NULL;
}

static void a_bar_stops_at_once_and_leaves_nothing(void **state)
{
	struct progress_bar *bar;

	(void)state;
	assert_int_equal(progress_bar_start(PROGRESS_NEVER, no_sample, NULL, &bar), 0);
	assert_null(bar);
	progress_bar_stop(bar);
	catch_output(STDERR_FILENO);
	assert_int_equal(progress_bar_start(PROGRESS_ALWAYS, no_sample, NULL, &bar), 0);
	progress_bar_stop(bar);
	assert_string_equal(end_of_output(STDERR_FILENO), "");
}

/* --- Messages ------------------------------------------------------------------------------------------------- */

static void messages_are_one_harmless_line(void **state)
{
	(void)state;
	catch_output(STDERR_FILENO);
	assert_int_equal(report_error("tool verb", "%s: cannot", "a\nb\x1b[31m\x7f"), EXIT_FAILED);
	report_warning("tool", "twice %d", 2);
	assert_string_equal(end_of_output(STDERR_FILENO), "tool verb: error: a?b?[31m?: cannot\ntool: warning: twice 2\n");
	catch_output(STDOUT_FILENO);
	print_escaped(stdout, "a\\b\n\x7f\xc3\xbc", 7);
	assert_string_equal(end_of_output(STDOUT_FILENO), "a\\\\b\\x0a\\x7f\xc3\xbc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_read_as_people_write_them),
		cmocka_unit_test(what_is_no_size_is_refused_and_quoted),
		cmocka_unit_test(sizes_are_shown_with_two_decimals),
		cmocka_unit_test(options_reach_their_targets),
		cmocka_unit_test(operands_are_found_wherever_they_stand),
		cmocka_unit_test(optional_values_are_only_taken_behind_an_equals_sign),
		cmocka_unit_test(attached_values_follow_their_letter),
		cmocka_unit_test(wrong_command_lines_are_explained),
		cmocka_unit_test(no_memory_is_no_bad_option),
		cmocka_unit_test(help_lists_what_the_table_shows),
		cmocka_unit_test(names_for_completion_are_those_that_help_shows),
		cmocka_unit_test(json_has_every_kind_of_value),
		cmocka_unit_test(utf8_names_stay_and_odd_bytes_become_surrogate_escapes),
		cmocka_unit_test(json_without_memory_is_accepted_everywhere),
		cmocka_unit_test(the_progress_line_says_what_is_known),
		cmocka_unit_test(the_progress_line_keeps_to_its_width_and_buffer),
		cmocka_unit_test(progress_modes_have_names),
		cmocka_unit_test(a_bar_stops_at_once_and_leaves_nothing),
		cmocka_unit_test(messages_are_one_harmless_line),
	};
	int result = cmocka_run_group_tests(tests, NULL, NULL);

	if (caught)
		fclose(caught);
	return result;
}
