/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a program, its output to /dev/null, and prints one line about it:
 * seconds of wall clock, seconds of user and of system CPU, and the most memory it had resident, in KiB.
 *
 *	measure PROGRAM [ARGUMENT...]
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Not a fork: until it starts the program, a copy of this process would count as the program's memory. */
static int start(char **argv, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	int err = posix_spawn_file_actions_init(&actions);

	if (!err)
		err = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (!err)
		err = posix_spawnp(ret_pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

int main(int argc, char **argv)
{
	struct rusage used;
	double begin, wall;
	pid_t pid;
	int status, err;

	if (argc < 2) {
		fprintf(stderr, "usage: measure PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	begin = now();
	err = start(argv + 1, &pid);
	if (err || wait4(pid, &status, 0, &used) < 0) {
		fprintf(stderr, "measure: cannot run %s: %s\n", argv[1], strerror(err ? err : errno));
		return 1;
	}
	wall = now() - begin;
	printf("%.3f %.3f %.3f %ld\n", wall, seconds(used.ru_utime), seconds(used.ru_stime), used.ru_maxrss);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "measure: %s failed\n", argv[1]);
		return 1;
	}
	return 0;
}
