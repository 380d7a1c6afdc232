/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "common/cli/progress_bar.h"
#include "common/cli/size.h"

#define TERMINAL_PERIOD_MS 100
#define LOG_PERIOD_MS 1000
#define BAR_COLUMNS 24

struct progress_bar {
	pthread_t thread;
	pthread_mutex_t lock; /* guards is_stopping */
	pthread_cond_t wake;
	bool is_stopping;
	bool is_terminal;
	bool is_json;
	int fsck_fd; /* -1: drawn for people, on standard error */
	const char *fsck_name;
	void (*sample)(void *ctx, struct progress_sample *ret);
	void *ctx;
};

int progress_mode_parse(const char *text, enum progress_mode *ret_mode, struct diag *d)
{
	static const char *const names[] = { "auto", "always", "never" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret_mode = (enum progress_mode)i;
			return 0;
		}
	}
	return diag_fail(d, -EINVAL, "\"%s\" is none of auto, always, never", text);
}

static u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000;
}

/* Thousandths done, by bytes where they are known, else by files; -1: cannot be told. */
static int permille(const struct progress_sample *s)
{
	u64 done = s->total_bytes ? s->done_bytes : s->done_files;
	u64 total = s->total_bytes ? s->total_bytes : s->total_files;

	if (total == 0)
		return -1;
	return (int)((double)MIN(done, total) * 1000 / (double)total);
}

static void append(char *buf, size_t cap, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void append(char *buf, size_t cap, const char *format, ...)
{
	size_t used = strlen(buf);
	va_list args;

	va_start(args, format);
	vsnprintf(buf + used, cap - used, format, args);
	va_end(args);
}

static void append_amounts(const struct progress_sample *s, u64 elapsed_ms, char *buf, size_t cap)
{
	char done[SIZE_TEXT_MAX], total[SIZE_TEXT_MAX], rate[SIZE_TEXT_MAX];

	if (s->total_bytes || s->done_bytes) {
		append(buf, cap, "  %s", size_format(s->done_bytes, done));
		if (s->total_bytes)
			append(buf, cap, "/%s", size_format(s->total_bytes, total));
		if (elapsed_ms >= 500)
			append(buf, cap, "  %s/s",
			       size_format((u64)((double)s->done_bytes * 1000 / (double)elapsed_ms), rate));
	}
	if (s->total_files)
		append(buf, cap, "  %llu/%llu files", (unsigned long long)s->done_files,
		       (unsigned long long)s->total_files);
	else if (s->done_files)
		append(buf, cap, "  %llu files", (unsigned long long)s->done_files);
}

void progress_line(const struct progress_sample *s, u64 elapsed_ms, unsigned width, char *buf, size_t cap)
{
	int thousandths = permille(s);

	buf[0] = '\0';
	append(buf, cap, "%-9s", s->phase);
	if (thousandths >= 0) {
		int filled = thousandths * BAR_COLUMNS / 1000;

		append(buf, cap, " [%.*s%*s] %3d%%", filled, "########################", BAR_COLUMNS - filled, "",
		       thousandths / 10);
	}
	append_amounts(s, elapsed_ms, buf, cap);
	/* Under two seconds, or before the first hundredth, a guess would only jump about. */
	if (thousandths > 10 && thousandths < 1000 && elapsed_ms > 2000) {
		u64 left = elapsed_ms * (u64)(1000 - thousandths) / (u64)thousandths / 1000;

		append(buf, cap, "  ETA %llu:%02llu", (unsigned long long)(left / 60), (unsigned long long)(left % 60));
	}
	if (width && strlen(buf) >= width)
		buf[width - 1] = '\0';
}

static unsigned terminal_width(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

static void draw(const struct progress_bar *bar, const struct progress_sample *s, u64 elapsed_ms)
{
	char line[512];

	if (!s->phase)
		return;
	if (bar->is_json) {
		fprintf(stderr,
			"{\"type\":\"progress\",\"phase\":\"%s\",\"done_bytes\":%llu,\"total_bytes\":%llu,\"done_files\":%llu,\"total_files\":%llu}\n",
			s->phase, (unsigned long long)s->done_bytes, (unsigned long long)s->total_bytes,
			(unsigned long long)s->done_files, (unsigned long long)s->total_files);
		return;
	}
	progress_line(s, elapsed_ms, bar->is_terminal ? terminal_width() : 0, line, sizeof(line));
	fprintf(stderr, bar->is_terminal ? "\r\033[K%s" : "%s\n", line);
	fflush(stderr);
}

static void tell_fsck(const struct progress_bar *bar, const struct progress_sample *s, unsigned pass)
{
	/* Whoever listens may go away. */
	if (s->phase)
		(void)dprintf(bar->fsck_fd, "%u %llu %llu %s\n", pass, (unsigned long long)MIN(s->done_bytes, s->total_bytes),
			      (unsigned long long)s->total_bytes, bar->fsck_name);
}

/* One line at the beginning of each pass, and while it goes on; one at the end. */
static void *fsck_main(void *arg)
{
	struct progress_bar *bar = arg;
	struct progress_sample sample = { 0 };
	const char *phase = NULL;
	unsigned pass = 0;
	sigset_t pipe;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	pthread_mutex_lock(&bar->lock);
	for (;;) {
		struct timespec until;

		bar->sample(bar->ctx, &sample);
		pass += sample.phase != phase;
		phase = sample.phase;
		tell_fsck(bar, &sample, pass);
		if (bar->is_stopping)
			break;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += TERMINAL_PERIOD_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&bar->wake, &bar->lock, &until);
	}
	pthread_mutex_unlock(&bar->lock);
	return NULL;
}

static void *bar_main(void *arg)
{
	struct progress_bar *bar = arg;
	const char *phase = NULL;
	u64 phase_start = now_ms();

	pthread_mutex_lock(&bar->lock);
	while (!bar->is_stopping) {
		struct progress_sample sample = { 0 };
		struct timespec until;
		long period = bar->is_terminal ? TERMINAL_PERIOD_MS : LOG_PERIOD_MS;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += period % 1000 * 1000000;
		until.tv_sec += period / 1000 + until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&bar->wake, &bar->lock, &until);
		if (bar->is_stopping)
			break;
		bar->sample(bar->ctx, &sample);
		if (sample.phase != phase)
			phase_start = now_ms();
		phase = sample.phase;
		draw(bar, &sample, now_ms() - phase_start);
	}
	pthread_mutex_unlock(&bar->lock);
	if (bar->is_terminal && phase) {
		fprintf(stderr, "\r\033[K");
	} else if (!bar->is_terminal) { /* a log gets its line, however short the work was */
		struct progress_sample sample = { 0 };

		bar->sample(bar->ctx, &sample);
		draw(bar, &sample, now_ms() - phase_start);
	}
	return NULL;
}

static int start(const struct progress_bar *like, void *(*thread)(void *arg), struct progress_bar **ret_bar)
{
	struct progress_bar *bar = malloc(sizeof(*bar));

	if (!bar)
		return -ENOMEM;
	*bar = *like;
	pthread_mutex_init(&bar->lock, NULL);
	pthread_cond_init(&bar->wake, NULL);
	if (pthread_create(&bar->thread, NULL, thread, bar) != 0) {
		free(bar);
		return 0; /* the job matters, its picture does not */
	}
	*ret_bar = bar;
	return 0;
}

int progress_bar_start(enum progress_mode mode, void (*sample)(void *ctx, struct progress_sample *ret), void *ctx,
		       struct progress_bar **ret_bar)
{
	struct progress_bar bar = { .sample = sample, .ctx = ctx, .is_json = mode == PROGRESS_JSON, .fsck_fd = -1 };
	const char *term = getenv("TERM");
	bool is_terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;

	*ret_bar = NULL;
	if (mode == PROGRESS_NEVER || (mode == PROGRESS_AUTO && !is_terminal))
		return 0;
	bar.is_terminal = is_terminal && !bar.is_json;
	return start(&bar, bar_main, ret_bar);
}

int progress_bar_start_fsck(int fd, const char *name, void (*sample)(void *ctx, struct progress_sample *ret), void *ctx,
			    struct progress_bar **ret_bar)
{
	const struct progress_bar bar = { .sample = sample, .ctx = ctx, .fsck_fd = fd, .fsck_name = name };

	*ret_bar = NULL;
	return start(&bar, fsck_main, ret_bar);
}

void progress_bar_stop(struct progress_bar *bar)
{
	if (!bar)
		return;
	pthread_mutex_lock(&bar->lock);
	bar->is_stopping = true;
	pthread_cond_signal(&bar->wake);
	pthread_mutex_unlock(&bar->lock);
	pthread_join(bar->thread, NULL);
	pthread_mutex_destroy(&bar->lock);
	pthread_cond_destroy(&bar->wake);
	free(bar);
}
