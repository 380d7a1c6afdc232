/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a fuzz target without libFuzzer: all seeds, then mutations of them from a fixed random sequence.
 *
 *	fuzz-NAME [--iterations=N] [--seconds=N] [--random=N] [--write-seeds=DIR] [FILE...]
 *
 * With files it runs these and nothing else. An input that the target dies of, or that takes longer than HANG_SECONDS, is
 * left as fuzz-NAME.failed in the current folder. BTRKIT_FUZZ_SECONDS in the environment is the same as --seconds.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/base/array.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"

#define HANG_SECONDS 120
#define MEMORY_MAX_KIB (3 * 1024 * 1024)

struct settings {
	u64 iterations, seconds, random;
	const char *seeds_dir;
	ARRAY(const char *) files;
};

/* The input that is being run, for what is left when the target dies; NULL: none. */
static const u8 *running;
static size_t running_len;
static char failed_path[64];

/* --- Leaving a trace ------------------------------------------------------------------------------------- */

/* Only what a signal handler may do. */
static void leave_input(void)
{
	int fd = running ? open(failed_path, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;

	if (fd < 0)
		return;
	if (write(fd, running, running_len) == (ssize_t)running_len && write(STDERR_FILENO, "input is in ", 12) > 0 &&
	    write(STDERR_FILENO, failed_path, strlen(failed_path)) > 0)
		(void)!write(STDERR_FILENO, "\n", 1);
	close(fd);
}

static void on_signal(int number)
{
	leave_input();
	signal(number, SIG_DFL);
	raise(number);
}

/* Sanitizers end the process their own way. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

static void prepare_traces(void)
{
	static const int fatal[] = { SIGABRT, SIGALRM, SIGBUS, SIGFPE, SIGILL, SIGSEGV };

	snprintf(failed_path, sizeof(failed_path), "%s.failed", fuzz_name);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(leave_input);
	for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
		if (!__sanitizer_set_death_callback || fatal[i] == SIGALRM || fatal[i] == SIGABRT)
			signal(fatal[i], on_signal);
}

/* --- Running -------------------------------------------------------------------------------------------------- */

static void run(const u8 *data, size_t len)
{
	/* Exactly as long as the input, so that a read behind it is seen. */
	u8 *copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	if (len)
		memcpy(copy, data, len);
	running = copy;
	running_len = len;
	alarm(HANG_SECONDS);
	LLVMFuzzerTestOneInput(copy, len);
	alarm(0);
	running = NULL;
	free(copy);
}

static void keep_seed(void *ctx, const void *data, size_t len)
{
	if (mutator_add_seed(ctx, data, len) < 0)
		abort();
}

static u64 now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec;
}

static u64 run_mutations(struct mutator *mutator, const struct settings *settings)
{
	u64 start = now_seconds(), done = 0;
	u8 *input = malloc(fuzz_input_max);

	if (!input)
		abort();
	for (; settings->seconds ? now_seconds() - start < settings->seconds : done < settings->iterations; done++)
		run(input, mutator_next(mutator, input, fuzz_input_max));
	free(input);
	return done;
}

static int run_file(const char *path)
{
	u8 *data = malloc(fuzz_input_max);
	FILE *file = fopen(path, "rb");
	size_t len;

	if (!file || !data) {
		perror(path);
		free(data);
		return 1;
	}
	len = fread(data, 1, fuzz_input_max, file);
	fclose(file);
	run(data, len);
	printf("# %s: %zu bytes, survived\n", path, len);
	free(data);
	return 0;
}

static int write_seeds(const struct mutator *mutator, const char *dir)
{
	for (size_t i = 0; i < mutator->seeds.len; i++) {
		char path[4096];
		FILE *file;

		snprintf(path, sizeof(path), "%s/seed-%zu", dir, i);
		file = fopen(path, "wb");
		if (!file || fwrite(mutator->seeds.items[i].data, 1, mutator->seeds.items[i].len, file) !=
				     mutator->seeds.items[i].len) {
			perror(path);
			if (file)
				fclose(file);
			return 1;
		}
		fclose(file);
	}
	return 0;
}

/* Peak memory of the process. */
static long memory_kib(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0;
}

static int run_all(struct mutator *mutator, const struct settings *settings)
{
	bool is_bounded;
	u64 done;

	printf("1..3\n");
	for (size_t i = 0; i < mutator->seeds.len; i++)
		run(mutator->seeds.items[i].data, mutator->seeds.items[i].len);
	printf("%s 1 - %zu seeds\n", mutator->seeds.len ? "ok" : "not ok", mutator->seeds.len);
	fflush(stdout);
	done = run_mutations(mutator, settings);
	printf("ok 2 - %llu mutations\n", (unsigned long long)done);
	is_bounded = memory_kib() <= MEMORY_MAX_KIB;
	printf("%s 3 - memory stays bounded (%ld KiB)\n", is_bounded ? "ok" : "not ok", memory_kib());
	return !is_bounded || !mutator->seeds.len;
}

static bool take_number(const char *arg, const char *name, u64 *ret)
{
	size_t len = strlen(name);

	if (strncmp(arg, name, len) != 0)
		return false;
	*ret = strtoull(arg + len, NULL, 10);
	return true;
}

static void read_settings(struct settings *settings, int argc, char **argv)
{
	const char *seconds = getenv("BTRKIT_FUZZ_SECONDS");

	*settings = (struct settings){ .iterations = fuzz_iterations, .random = 1 };
	if (getenv("BTRKIT_LONG"))
		settings->iterations *= 4;
	if (seconds)
		settings->seconds = strtoull(seconds, NULL, 10);
	for (int i = 1; i < argc; i++) {
		if (take_number(argv[i], "--iterations=", &settings->iterations) ||
		    take_number(argv[i], "--seconds=", &settings->seconds) ||
		    take_number(argv[i], "--random=", &settings->random))
			continue;
		if (strncmp(argv[i], "--write-seeds=", 14) == 0)
			settings->seeds_dir = argv[i] + 14;
		else if (array_push(&settings->files, argv[i]) < 0)
			abort();
	}
}

int main(int argc, char **argv)
{
	struct mutator mutator = { 0 };
	struct settings settings;
	int code = 0;

	read_settings(&settings, argc, argv);
	prepare_traces();
	mutator.random = settings.random * 0x9E3779B97F4A7C15ULL + 1;
	if (settings.files.len == 0)
		fuzz_seeds(keep_seed, &mutator);
	array_for_each(&settings.files, path)
		code |= run_file(*path);
	if (settings.seeds_dir)
		code = write_seeds(&mutator, settings.seeds_dir);
	else if (settings.files.len == 0)
		code = run_all(&mutator, &settings);
	mutator_done(&mutator);
	array_done(&settings.files);
	return code;
}
