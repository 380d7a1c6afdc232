/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One task at a time is spread over the workers. Indices are handed out in ascending order, so the lowest index that
 * fails is always among those started: stopping hand-out at the first failure loses no earlier one.
 */
#include <limits.h>
#include <sched.h>

#include "common/work/pool.h"

enum slot_state { SLOT_FREE, SLOT_BUSY, SLOT_READY, SLOT_END, SLOT_FAILED };

struct slot {
	enum slot_state state;
	void *item;
};

struct task {
	u64 n;
	u64 next; /* first index not handed out */
	pool_fn fn; /* for_each */
	void *ctx;
	const struct pool_stream *stream; /* pipeline; NULL: for_each */
	struct slot *slots; /* window of the pipeline: index i lives in slots[i % window] */
	unsigned window;
	u64 consumed; /* indices below are done with */
	bool is_stopped; /* hand out nothing more */
	u64 failed_index; /* lowest index that failed; UINT64_MAX: none */
	struct diag failure;
};

struct pool {
	unsigned nr_threads;
	unsigned nr_started;
	pthread_t *threads;
	struct cancel *cancel;

	pthread_mutex_t lock; /* guards everything below, and the task behind the pointer */
	pthread_cond_t work; /* workers wait for an index to take */
	pthread_cond_t progress; /* the coordinator waits for results */
	struct task *task;
	unsigned nr_active; /* workers inside a job of the task */
	bool is_closing;
};

struct worker {
	struct pool *pool;
	unsigned index;
};

int cancel_check(const struct cancel *cancel, struct diag *d)
{
	return cancel_is_requested(cancel) ? diag_fail(d, -ECANCELED, "cancelled") : 0;
}

static bool is_cancelled(const struct pool *pool)
{
	return cancel_is_requested(pool->cancel);
}

static void record_failure(struct task *task, u64 i, int err, const struct diag *d)
{
	task->is_stopped = true;
	if (i >= task->failed_index)
		return;
	task->failed_index = i;
	diag_copy(&task->failure, d);
	task->failure.err = err;
}

/* Can index task->next be handed out now? */
static bool has_work(const struct task *task)
{
	if (!task || task->is_stopped || task->next >= task->n)
		return false;
	return !task->stream || task->next - task->consumed < task->window;
}

/* Run one index; called and left with the lock held, runs the job without it. */
static void run_one(struct pool *pool, unsigned worker, const struct diag *outer)
{
	struct task *task = pool->task;
	u64 i = task->next++;
	struct slot *slot = task->stream ? &task->slots[i % task->window] : NULL;
	struct diag d = { .note = outer->note, .note_arg = outer->note_arg };
	void *item = NULL;
	int err;

	if (slot)
		slot->state = SLOT_BUSY;
	pool->nr_active++;
	pthread_mutex_unlock(&pool->lock);
	if (is_cancelled(pool))
		err = diag_fail(&d, -ECANCELED, "cancelled");
	else if (slot)
		err = task->stream->produce(task->stream->ctx, worker, i, &item, &d);
	else
		err = task->fn(task->ctx, worker, i, &d);
	pthread_mutex_lock(&pool->lock);
	pool->nr_active--;
	if (err < 0)
		record_failure(task, i, err, &d);
	if (slot) {
		slot->item = item;
		slot->state = err < 0 ? SLOT_FAILED : err > 0 ? SLOT_END : SLOT_READY;
		if (err > 0)
			task->is_stopped = true;
	}
	pthread_cond_broadcast(&pool->progress);
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct pool *pool = worker->pool;

	pthread_mutex_lock(&pool->lock);
	while (!pool->is_closing) {
		if (has_work(pool->task))
			run_one(pool, worker->index, &pool->task->failure);
		else
			pthread_cond_wait(&pool->work, &pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	free(worker);
	return NULL;
}

static unsigned usable_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		return (unsigned)CPU_COUNT(&set);
	return 1;
}

/* Start the threads that a parallel pool has; a pool that gets fewer than it wanted still works. */
static void start_threads(struct pool *pool)
{
	while (pool->nr_started < pool->nr_threads) {
		struct worker *worker = malloc(sizeof(*worker));

		if (!worker)
			break;
		*worker = (struct worker){ pool, pool->nr_started };
		if (pthread_create(&pool->threads[pool->nr_started], NULL, worker_main, worker) != 0) {
			free(worker);
			break;
		}
		pool->nr_started++;
	}
}

int pool_new(unsigned threads, struct cancel *cancel, struct pool **ret_pool)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	pool->nr_threads = threads ? MIN(threads, 1024u) : usable_cpus();
	pool->cancel = cancel;
	pool->threads = calloc(pool->nr_threads, sizeof(*pool->threads));
	if (!pool->threads) {
		free(pool);
		return -ENOMEM;
	}
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->progress, NULL);
	if (pool->nr_threads > 1)
		start_threads(pool);
	*ret_pool = pool;
	return 0;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->is_closing = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->nr_started; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->progress);
	free(pool->threads);
	free(pool);
}

unsigned pool_threads(const struct pool *pool)
{
	return pool->nr_threads;
}

/* Wait for a result; with no worker threads the caller does the next job itself. Lock held. */
static void advance(struct pool *pool)
{
	if (pool->nr_started == 0 && has_work(pool->task))
		run_one(pool, 0, &pool->task->failure);
	else
		pthread_cond_wait(&pool->progress, &pool->lock);
}

static void task_begin(struct pool *pool, struct task *task)
{
	pthread_mutex_lock(&pool->lock);
	pool->task = task;
	pthread_cond_broadcast(&pool->work);
}

/* Stop hand-out and wait until no worker is inside the task. */
static void task_end(struct pool *pool)
{
	pool->task->is_stopped = true;
	while (pool->nr_active > 0)
		pthread_cond_wait(&pool->progress, &pool->lock);
	pool->task = NULL;
	pthread_mutex_unlock(&pool->lock);
}

static int task_result(const struct task *task, struct diag *d)
{
	if (task->failed_index == UINT64_MAX)
		return 0;
	return diag_copy(d, &task->failure);
}

static struct diag diag_for_workers(const struct diag *d)
{
	return d ? (struct diag){ .note = d->note, .note_arg = d->note_arg } : (struct diag){ 0 };
}

int pool_for_each(struct pool *pool, u64 n, pool_fn fn, void *ctx, struct diag *d)
{
	struct task task = { .n = n, .fn = fn, .ctx = ctx, .failed_index = UINT64_MAX };

	task.failure = diag_for_workers(d);
	task_begin(pool, &task);
	while (!task.is_stopped && (task.next < task.n || pool->nr_active > 0))
		advance(pool);
	task_end(pool);
	return task_result(&task, d);
}

/* Consume in order until the end, a failure, or the item that is not yet there failed. Lock held. */
static void consume_all(struct pool *pool, struct task *task, struct diag *d)
{
	while (task->consumed < task->n) {
		u64 i = task->consumed;
		struct slot *slot = &task->slots[i % task->window];
		void *item;
		int err;

		if (slot->state == SLOT_FREE && task->is_stopped)
			return; /* never handed out */
		if (slot->state == SLOT_FREE || slot->state == SLOT_BUSY) {
			advance(pool);
			continue;
		}
		if (slot->state != SLOT_READY)
			return;
		item = slot->item;
		slot->item = NULL;
		slot->state = SLOT_FREE;
		pthread_mutex_unlock(&pool->lock);
		err = task->stream->consume(task->stream->ctx, i, item, d);
		pthread_mutex_lock(&pool->lock);
		if (err < 0) {
			struct diag copy = { .err = err };

			diag_copy(&copy, d ? d : &copy);
			record_failure(task, i, err, &copy);
			return;
		}
		task->consumed++;
		pthread_cond_signal(&pool->work);
	}
}

int pool_pipeline(struct pool *pool, u64 n, unsigned window, const struct pool_stream *stream, struct diag *d)
{
	struct task task = { .n = n, .stream = stream, .failed_index = UINT64_MAX };

	task.window = MAX(window, 1u);
	task.failure = diag_for_workers(d);
	task.slots = calloc(task.window, sizeof(*task.slots));
	if (!task.slots)
		return diag_no_memory(d, "the work pipeline");
	task_begin(pool, &task);
	consume_all(pool, &task, d);
	task_end(pool);
	for (unsigned i = 0; i < task.window; i++)
		if (task.slots[i].item && stream->free_item)
			stream->free_item(stream->ctx, task.slots[i].item);
	free(task.slots);
	return task_result(&task, d);
}
