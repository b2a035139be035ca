// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What `nidus bench` has sdma-perf do, and what becomes rows of it: times, and costs that are
 * counted.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "devices/base.h"
#include "vmm/bench.h"

#define ANSWER_SECONDS 600
#define QUICK_MOST     (1u << 20) /* bytes */
#define CYCLES	       3	  /* of binding and unbinding; the first one warms up */

/* A number that a part of sdma-perf says, and what it is. */
struct figure {
	const char *key, *best, *subject;
	enum bench_unit unit;
};

static const struct part {
	const char *name; /* its --only */
	const char *option;
	const char *progress;
	bool sva;
	unsigned int most;   /* of what @option takes, in steps of a power of two from 1 */
	unsigned int steps;  /* log2 */
	unsigned int coarse; /* log2, when it has to be quick */
	unsigned int first;
	struct figure figure[3];
} parts[] = {
	{ "warm",
	  "--size",
	  "copies",
	  true,
	  16 << 20,
	  2,
	  6,
	  64,
	  { { "median_ns", "best_ns", "copy-warm", BENCH_US } } },
	{ "queued",
	  "--size",
	  "throughput",
	  true,
	  16 << 20,
	  2,
	  6,
	  64,
	  { { "kb_s", NULL, "copy-queued", BENCH_MB_S } } },
	{ "cold",
	  "--size",
	  "copies with translation",
	  true,
	  16 << 20,
	  2,
	  6,
	  64,
	  { { "median_ns", "best_ns", "copy-cold", BENCH_US } } },
	{ "faulting",
	  "--size",
	  "copies with page faults",
	  true,
	  1 << 20,
	  2,
	  6,
	  64,
	  { { "median_ns", "best_ns", "copy-faulting", BENCH_US } } },
	{ "request",
	  NULL,
	  "page requests",
	  true,
	  0,
	  0,
	  0,
	  0,
	  { { "mean_ns", NULL, "page-request", BENCH_US },
	    { "touch_ns", "touch_best_ns", "first-touch", BENCH_US } } },
	{ "bind",
	  NULL,
	  "binding",
	  true,
	  0,
	  0,
	  0,
	  0,
	  { { "bind_ns", "bind_best_ns", "bind", BENCH_US },
	    { "unbind_ns", "unbind_best_ns", "unbind", BENCH_US } } },
	{ "invalidate",
	  "--pages",
	  "invalidations",
	  true,
	  512,
	  1,
	  3,
	  1,
	  { { "median_ns", "best_ns", "invalidate", BENCH_US },
	    { "unbound_ns", "unbound_best_ns", "invalidate-unbound", BENCH_US } } },
	{ "coherent",
	  "--size",
	  "copies of the kernel",
	  false,
	  4 << 20,
	  2,
	  6,
	  64,
	  { { "mean_ns", NULL, "kernel-copy", BENCH_US },
	    { "kb_s", NULL, "kernel-copy", BENCH_MB_S } } },
	{ "streaming",
	  "--pages",
	  "mapping and unmapping",
	  false,
	  512,
	  1,
	  3,
	  1,
	  { { "mean_ns", NULL, "kernel-copy-mapped", BENCH_US },
	    { "map_ns", NULL, "map", BENCH_US },
	    { "unmap_ns", NULL, "unmap", BENCH_US } } },
};

/* Operations whose costs are counted. */
static const struct operation {
	const char *part, *subject;
	unsigned int at;
	bool sva;
	unsigned int quick; /* how many, when it has to be quick */
} operations[] = {
	{ "warm", "copy-warm", 4096, true, 25 },
	{ "cold", "copy-cold", 4096, true, 25 },
	{ "faulting", "copy-faulting", 4096, true, 5 },
	{ "request", "page-request", 0, true, 5 },
	{ "invalidate", "invalidate", 1, true, 25 },
	{ "invalidate", "invalidate", 512, true, 10 },
	{ "coherent", "kernel-copy", 4096, false, 25 },
	{ "streaming", "kernel-copy-mapped", 1, false, 25 },
};

/* --- Speaking with sdma-perf --- */

/* Says a line and hears what comes of it, up to "done 0": @kept gets the line before. */
static int command(struct bench_target *target, const char *words, char kept[BENCH_LINE])
{
	int64_t deadline = bench_deadline(ANSWER_SECONDS);
	char line[BENCH_LINE];
	int rc = session_say(&target->session, words);

	kept[0] = '\0';
	while (!rc) {
		rc = session_hear(&target->session, line, deadline);
		if (!rc && !strncmp(line, "done ", 5))
			return strcmp(line, "done 0") ? -EIO : 0;
		if (!rc)
			memcpy(kept, line, sizeof(line));
	}
	return rc;
}

struct search {
	const char *key;
	int64_t value;
};

static int take_figure(void *context, const char *key, const struct json_value *value)
{
	struct search *search = context;

	if (value->kind == JSON_NUMBER && !strcmp(key, search->key))
		search->value = value->number / 1000;
	return 0;
}

/* A whole number of sdma-perf's line; BENCH_NONE if it is not there. */
static int64_t figure(const char *line, const char *key)
{
	struct search search = { key, BENCH_NONE };

	if (json_object(line, take_figure, &search))
		return BENCH_NONE;
	return search.value;
}

/* What went wrong, of a part; a signal is passed on. */
static int fail(struct bench_target *target, struct bench_rows *rows, const char *subject, int rc,
		const char *said)
{
	char line[BENCH_LINE];

	if (rc == -EINTR)
		return rc;
	if (rc == -EIO)
		bench_add_note(rows, target->mode, subject, "%.200s", said);
	else if (rc == -ETIMEDOUT)
		bench_add_note(rows, target->mode, subject, "no answer within %d s",
			       ANSWER_SECONDS);
	else
		bench_add_note(rows, target->mode, subject, "it has ended: %.200s",
			       session_complaint(&target->session, line));
	return rc == -EIO ? 0 : rc;
}

/* --- Times --- */

static int take_rows(struct bench_target *target, struct bench_rows *rows, const struct part *part,
		     unsigned int at, const char *line)
{
	int64_t samples = figure(line, "samples");

	for (size_t i = 0; i < ARRAY_SIZE(part->figure) && part->figure[i].key; i++) {
		const struct figure *f = &part->figure[i];
		/* Nanoseconds are thousandths of microseconds, and KB/s of MB/s. */
		int64_t value = figure(line, f->key);
		struct bench_row *row;

		if (value < 0 || samples <= 0) {
			bench_add_note(rows, target->mode, f->subject, "not understood: %.200s",
				       line);
			continue;
		}
		row = bench_add(rows, target->mode, f->subject, f->unit, at, value);
		if (!row)
			return -ENOSPC;
		row->samples = (unsigned int)samples;
		row->best = f->best ? figure(line, f->best) : BENCH_NONE;
	}
	return 0;
}

static int measure_at(struct bench_target *target, struct bench_rows *rows, const struct part *part,
		      unsigned int at)
{
	char words[BENCH_LINE], line[BENCH_LINE], option[32] = "";
	int rc;

	if (part->option)
		snprintf(option, sizeof(option), " %s %u", part->option, at);
	snprintf(words, sizeof(words), "--json --ms %d --only %s%s",
		 target->options->quick ? 5 : 200, part->name, option);
	rc = command(target, words, line);
	if (rc)
		return fail(target, rows, part->figure[0].subject, rc, line);
	return take_rows(target, rows, part, at, line);
}

static int measure_part(struct bench_target *target, struct bench_rows *rows,
			const struct part *part)
{
	bool quick = target->options->quick;
	unsigned int step = quick ? part->coarse : part->steps;
	unsigned int most = quick && part->most > QUICK_MOST ? QUICK_MOST : part->most;
	unsigned int at = part->first;
	int rc;

	do {
		rc = measure_at(target, rows, part, at);
		at <<= step;
	} while (!rc && part->option && at <= most);
	return rc;
}

/* --- Counted --- */

static const struct {
	enum bench_unit unit;
	size_t counter;
} costs[] = {
	{ BENCH_EXITS, offsetof(struct bench_counters, exits) },
	{ BENCH_WALKS, offsetof(struct bench_counters, walks) },
	{ BENCH_IOCTLS, offsetof(struct bench_counters, ioctls) },
	{ BENCH_INVALIDATES, offsetof(struct bench_counters, invalidates) },
	{ BENCH_WAITS, offsetof(struct bench_counters, waits) },
};

static uint64_t counter(const struct bench_counters *counters, size_t offset)
{
	return *(const uint64_t *)((const char *)counters + offset);
}

static void add_costs(struct bench_target *target, struct bench_rows *rows, const char *subject,
		      unsigned int at, const struct bench_counters taken[3], unsigned int n)
{
	int64_t waits, calls;

	for (size_t i = 0; i < ARRAY_SIZE(costs); i++)
		bench_add(rows, target->mode, subject, costs[i].unit, at,
			  bench_each(counter(&taken[0], costs[i].counter),
				     counter(&taken[1], costs[i].counter),
				     counter(&taken[2], costs[i].counter), n));
	/* By one wait of the guest, not by one operation, which may make several. */
	waits = bench_each(taken[0].waits, taken[1].waits, taken[2].waits, n);
	calls = bench_each(taken[0].invalidates, taken[1].invalidates, taken[2].invalidates, n);
	if (!strcmp(subject, "invalidate") && target->mode == BENCH_NESTED && waits > 0)
		bench_add(rows, target->mode, subject, BENCH_IOCTLS_PER_WAIT, at,
			  calls * 1000 / waits);
}

static int count_operation(struct bench_target *target, struct bench_rows *rows,
			   const struct operation *operation)
{
	const char *option = bench_subject(operation->subject)->at;
	unsigned int n = target->options->quick ? operation->quick : 100;
	char words[BENCH_LINE], line[BENCH_LINE], size[32] = "";
	struct bench_counters taken[3];
	int rc = bench_count(target, &taken[0]);

	if (option)
		snprintf(size, sizeof(size), " --%s %u", strcmp(option, "bytes") ? "pages" : "size",
			 operation->at);
	for (unsigned int i = 1; i <= 2 && !rc; i++) {
		snprintf(words, sizeof(words), "--json --only %s%s --count %u", operation->part,
			 size, i * n);
		rc = command(target, words, line);
		if (!rc)
			rc = bench_count(target, &taken[i]);
	}
	if (rc)
		return fail(target, rows, operation->subject, rc, line);
	add_costs(target, rows, operation->subject, operation->at, taken, n);
	return 0;
}

/* A word that the stepping sdma-perf says when it has done a step. */
static int hear_word(struct bench_target *target, const char *word, char line[BENCH_LINE])
{
	int rc = session_hear(&target->session, line, bench_deadline(ANSWER_SECONDS));

	return rc ? rc : strcmp(line, word) ? -EIO : 0;
}

/* One step, and what it took. */
static int step(struct bench_target *target, const char *word, struct bench_counters taken[2],
		char line[BENCH_LINE])
{
	int rc = bench_count(target, &taken[0]);

	if (!rc)
		rc = session_say(&target->session, "");
	if (!rc)
		rc = hear_word(target, word, line);
	return rc ? rc : bench_count(target, &taken[1]);
}

/* Bind and unbind are told apart by looking between them: each is one operation. */
static int count_binding(struct bench_target *target, struct bench_rows *rows)
{
	static const char *const words[] = { "bound", "unbound" };
	static const char *const subjects[] = { "bind", "unbind" };
	char line[BENCH_LINE];
	int rc;

	snprintf(line, sizeof(line), "--only bind --step --count %d", CYCLES);
	rc = session_say(&target->session, line);
	if (!rc)
		rc = hear_word(target, "unbound", line);
	for (unsigned int i = 0; i < 2 * CYCLES && !rc; i++) {
		struct bench_counters taken[3] = { 0 };

		rc = step(target, words[i % 2], &taken[1], line);
		taken[0] = taken[1];
		if (!rc && i >= 2 * (CYCLES - 1))
			add_costs(target, rows, subjects[i % 2], 0, taken, 1);
	}
	if (!rc)
		rc = hear_word(target, "done 0", line);
	return rc ? fail(target, rows, "bind", rc, line) : 0;
}

static int count_all(struct bench_target *target, struct bench_rows *rows, bool sva)
{
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(operations) && !rc; i++)
		if (sva || !operations[i].sva)
			rc = count_operation(target, rows, &operations[i]);
	if (!rc && sva)
		rc = count_binding(target, rows);
	return rc;
}

/* --- All --- */

int bench_measure(struct bench_target *target, struct bench_rows *rows)
{
	const char *without_sva = bench_without_sva(target->mode);
	int rc = 0;

	if (without_sva)
		bench_add_note(rows, target->mode, NULL, "nothing of processes: %s", without_sva);
	for (size_t i = 0; i < ARRAY_SIZE(parts) && !rc; i++) {
		if (without_sva && parts[i].sva)
			continue;
		bench_tell(target->options, target->mode, parts[i].progress);
		rc = measure_part(target, rows, &parts[i]);
	}
	if (!rc && target->mode == BENCH_NATIVE) {
		bench_add_note(rows, target->mode, NULL, "nothing is counted: there is no VMM");
	} else if (!rc) {
		bench_tell(target->options, target->mode, "counting");
		rc = count_all(target, rows, !without_sva);
	}
	return rc;
}
