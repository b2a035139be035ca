/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `nidus bench`: what a device costs a guest, by the ways in which one can be given to it.
 *
 *   bench.c          the verb: what is asked for, in which order, and where results go
 *   bench_rows.c     results: one list of rows, of which everything printed is made
 *   bench_measure.c  from the lines of sdma-perf, and from counters, to rows
 *   bench_guest.c    the five ways: guests, or a process of the host; their counters
 *   bench_session.c  a process that is spoken to line by line
 *   bench_json.c     rows as JSON, one object a line, and back
 *   bench_table.c    rows for people
 *   bench_html.c     rows as a page of plots
 *
 * One thread. Guests are children of this process: `nidus run`.
 */
#ifndef NIDUS_VMM_BENCH_H
#define NIDUS_VMM_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "vmm/config.h"

/* --- Rows: bench_rows.c --- */

enum bench_mode {
	BENCH_NATIVE,	/* a process of the host, with the host's driver */
	BENCH_DIRECT,	/* passed through to a guest that has no unit */
	BENCH_NESTED,	/* passed through, first-stage tables of the guest nested in the host's */
	BENCH_SHADOWED, /* passed through, second-stage tables of the guest copied */
	BENCH_EMULATED, /* Nidus's own sdma, behind its own unit */
	BENCH_MODES
};
extern const char *const bench_mode_names[BENCH_MODES];

/* What a row is about. */
struct bench_subject {
	const char *name; /* in JSON */
	const char *title;
	const char *at; /* what struct bench_row.at counts; NULL: nothing */
};
extern const struct bench_subject bench_subjects[];
extern const unsigned int bench_subject_count;
const struct bench_subject *bench_subject(const char *name);

enum bench_unit {
	BENCH_US,
	BENCH_MB_S,
	BENCH_EXITS, /* from here on counted, each by one operation */
	BENCH_WALKS,
	BENCH_IOCTLS,	   /* without those that invalidate */
	BENCH_INVALIDATES, /* ioctls that do */
	BENCH_WAITS,
	BENCH_IOCTLS_PER_WAIT,
	BENCH_UNITS
};
extern const char *const bench_unit_names[BENCH_UNITS];

#define BENCH_NONE     INT64_MIN
#define BENCH_NOTE_MAX 256
#define BENCH_ROWS_MAX 4096
#define BENCH_AT_MAX   (1u << 30)

/* A value, or why there is none. Values are thousandths of the unit. */
struct bench_row {
	enum bench_mode mode;
	const struct bench_subject *subject; /* NULL: a note on the mode as a whole */
	enum bench_unit unit;
	unsigned int at;
	int64_t value;		   /* the median, or a count; BENCH_NONE: the note says why */
	int64_t best;		   /* or BENCH_NONE */
	int64_t limit;		   /* the value should not be more; BENCH_NONE: there is none */
	unsigned int samples;	   /* 0: counted */
	char note[BENCH_NOTE_MAX]; /* printable ASCII */
};

struct bench_rows {
	char device[BENCH_NOTE_MAX]; /* "": none of the host */
	char host[BENCH_NOTE_MAX];   /* its kernel */
	bool quick;
	unsigned int count;
	struct bench_row row[BENCH_ROWS_MAX];
};

/* Adds a value with the limit that is known for it. NULL: no room, or no such subject. */
struct bench_row *bench_add(struct bench_rows *rows, enum bench_mode mode, const char *subject,
			    enum bench_unit unit, unsigned int at, int64_t value);
/* Adds why there is no value; @subject NULL: none at all in this mode. */
__attribute__((format(printf, 4, 5))) void bench_add_note(struct bench_rows *rows,
							  enum bench_mode mode, const char *subject,
							  const char *format, ...);
const struct bench_row *bench_find(const struct bench_rows *rows, enum bench_mode mode,
				   const struct bench_subject *subject, enum bench_unit unit,
				   unsigned int at);
/* Whether the mode has a value at all. */
bool bench_has(const struct bench_rows *rows, enum bench_mode mode);
bool bench_met(const struct bench_row *row);
/*
 * What one operation of N costs, in thousandths, from a counter read before, after N and after 2N
 * more: what comes once falls out.
 */
int64_t bench_each(uint64_t before, uint64_t between, uint64_t after, unsigned int n);

#define BENCH_TEXT 32
/* Thousandths in decimal, without zeros at the end. */
const char *bench_number(int64_t value, char text[BENCH_TEXT]);
/* "4 KiB", "512 pages". */
const char *bench_at(const struct bench_subject *subject, unsigned int at, char text[BENCH_TEXT]);

/* --- JSON: bench_json.c --- */

enum json_kind { JSON_TEXT, JSON_NUMBER, JSON_BOOL };
struct json_value {
	enum json_kind kind;
	char text[BENCH_NOTE_MAX];
	int64_t number; /* thousandths */
	bool flag;
};

/*
 * Reads one object without others in it, and calls take() for each of its members; -EINVAL of it
 * ends that. Strings are printable ASCII; numbers have at most three decimals. 0 or -EINVAL.
 */
int json_object(const char *line,
		int (*take)(void *context, const char *key, const struct json_value *value),
		void *context);

void bench_write_json(const struct bench_rows *rows, FILE *out);
/* Reads what the other has written; @name is for @error. 0 or -EINVAL. */
int bench_read_json(struct bench_rows *rows, FILE *in, const char *name,
		    struct config_error *error);

/* --- For people: bench_table.c, bench_html.c --- */

void bench_print_table(const struct bench_rows *rows, FILE *out);
void bench_print_html(const struct bench_rows *rows, FILE *out);
/* What stays the same for both: subjects in their order, with each size that some mode has. */
struct bench_line {
	const struct bench_subject *subject;
	enum bench_unit unit;
	unsigned int at;
};
/* The next line after *@line, which starts zeroed; false at the end. */
bool bench_next_line(const struct bench_rows *rows, struct bench_line *line);
/* What each mode has in that line, or NULL. Returns the one that has a limit, or NULL. */
const struct bench_row *bench_cells(const struct bench_rows *rows, const struct bench_line *line,
				    const struct bench_row *cell[BENCH_MODES]);
/* The value of @cell, or "-" if it is NULL. */
const char *bench_value(const struct bench_row *cell, char text[BENCH_TEXT]);

/* --- A process that is spoken to: bench_session.c --- */

#define BENCH_LINE 1024

struct bench_session {
	pid_t pid;
	int to, from;
	int complaints; /* its standard error, a file in memory */
	int signals;	/* a signalfd: somebody wants us to end */
	size_t used;
	char buffer[BENCH_LINE];
};

/* Of a clock that only goes on. */
int64_t bench_now_ms(void);
/* What it will show then. */
int64_t bench_deadline(unsigned int seconds);
/* Starts argv[0]. 0, or a negative errno with nothing left. */
int session_start(struct bench_session *session, char *const *argv, int signals);
int session_say(struct bench_session *session, const char *line);
/*
 * Reads a line, without its end; one that is too long comes in pieces. Waits until @deadline, which
 * is one for all lines of an answer, for who is spoken to may print for ever. 0; -EPIPE: it has
 * closed its output; -ETIMEDOUT; -EINTR: a signal came.
 */
int session_hear(struct bench_session *session, char line[BENCH_LINE], int64_t deadline);
/* The last line that it has written to its standard error, or "". */
const char *session_complaint(const struct bench_session *session, char line[BENCH_LINE]);
/* Ends it, if it has not ended, with all that it has started, and waits for it. */
void session_end(struct bench_session *session);

/* --- Modes: bench_guest.c --- */

/* Sums over a VM's life; what a mode does not have stays 0. */
struct bench_counters {
	uint64_t exits; /* to Nidus, without those of the console */
	uint64_t walks;
	uint64_t waits;	      /* invalidation waits of the guest */
	uint64_t ioctls;      /* to iommufd and VFIO, but for the next */
	uint64_t invalidates; /* IOMMU_HWPT_INVALIDATE */
};

/* What the user wants. */
struct bench_options {
	const struct vm_config *config; /* kernel, initrds, memory, CPUs of the guests */
	const char *device;		/* NULL: none */
	const char *native;		/* sdma-perf for this host */
	bool quick;
	int signals;
	int64_t began; /* bench_now_ms() */
};

/* A line for who waits, with the seconds that it took until now. */
void bench_tell(const struct bench_options *options, enum bench_mode mode, const char *what);

struct bench_target {
	enum bench_mode mode;
	const struct bench_options *options;
	struct bench_session session;
	char name[32];	/* of the VM; "": native */
	bool give_back; /* the device, to vfio-pci */
};

/* Whether processes can share their memory with the device in this mode; else NULL or why not. */
const char *bench_without_sva(enum bench_mode mode);
/*
 * Starts it and waits until it listens. 0; -EINTR; or another negative errno, with a line in @error
 * and nothing left.
 */
int bench_open(struct bench_target *target, enum bench_mode mode,
	       const struct bench_options *options, struct config_error *error);
/* 0; -EOPNOTSUPP: nobody counts; or another negative errno. */
int bench_count(struct bench_target *target, struct bench_counters *counters);
void bench_close(struct bench_target *target);
/* Reads counters from the text that `nidus stats` prints. */
void bench_parse_stats(const char *text, struct bench_counters *counters);

/* --- Measuring: bench_measure.c --- */

/* All that can be had of @target, into @rows. 0, or -EINTR: a signal came. */
int bench_measure(struct bench_target *target, struct bench_rows *rows);

/* --- The verb: bench.c --- */

struct invocation;
int verb_bench(struct invocation *invocation);
/* Sets a bit of *@modes for each name in @text, with commas between. 0 or -EINVAL with @error. */
int bench_parse_modes(const char *text, unsigned int *modes, struct config_error *error);

#endif
