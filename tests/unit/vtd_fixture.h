/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VT-d unit over a buffer of guest memory, for tests: what it sends and asks is recorded. No test
 * framework in here, so that fuzz targets can use it too.
 */
#ifndef NIDUS_TESTS_VTD_FIXTURE_H
#define NIDUS_TESTS_VTD_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "viommu/unit.h"

#define FIXTURE_MEMORY	 (UINT64_C(4) << 20) /* bytes of guest memory, from GPA 0 */
#define FIXTURE_QUEUE	 UINT64_C(0x1000)    /* GPA of the invalidation queue: one page */
#define FIXTURE_STATUS	 UINT64_C(0x2000)    /* GPA that vtd_fixture_wait() has written */
#define FIXTURE_PAGES	 UINT64_C(0x10000)   /* vtd_fixture_page() gives pages from here on */
#define FIXTURE_DEVICES	 8
#define FIXTURE_RECORDED 64 /* events of a kind that are kept; more are only counted */

struct fixture_msi {
	uint64_t address;
	uint32_t data;
};

struct fixture_invalidation {
	uint32_t pasid;
	uint64_t address, size;
	bool global;
};

struct fixture_response {
	uint32_t pasid;
	unsigned int group, code;
};

struct fixture_change {
	unsigned int first, count;
};

/* A requester, and what was asked of it. */
struct fixture_device {
	struct vtd_requester *requester;
	int result; /* of the next invalidations: 0 or -ETIMEDOUT */
	unsigned int invalidations, responses;
	struct fixture_invalidation invalidation[FIXTURE_RECORDED];
	struct fixture_response response[FIXTURE_RECORDED];
};

struct vtd_fixture {
	struct vtd_unit *unit;
	uint8_t *memory; /* FIXTURE_MEMORY bytes */
	uint64_t hole;	 /* GPA of a page that is not RAM (for failing accesses), or UINT64_MAX */
	uint64_t next_page;
	bool wide;     /* the queue's descriptors have 256 bits */
	uint32_t seal; /* number of the last wait */
	unsigned int devices, msis, changes;
	struct fixture_device device[FIXTURE_DEVICES];
	struct fixture_msi msi[FIXTURE_RECORDED];
	struct fixture_change change[FIXTURE_RECORDED];
};

/* @config NULL: the default. Returns 0, or -errno of vtd_create(). */
int vtd_fixture_init(struct vtd_fixture *f, const struct vtd_config *config);
void vtd_fixture_destroy(struct vtd_fixture *f);

/* A requester that records; @source as in vtd_attach(). */
struct fixture_device *vtd_fixture_attach(struct vtd_fixture *f, uint16_t source);

/* Guest memory. A page is zeroed, 4 KiB, aligned; an address beyond memory ends the test. */
uint64_t vtd_fixture_page(struct vtd_fixture *f);
uint64_t vtd_fixture_pages(struct vtd_fixture *f, unsigned int count);
void vtd_fixture_store(struct vtd_fixture *f, uint64_t gpa, uint64_t value);
uint64_t vtd_fixture_load(const struct vtd_fixture *f, uint64_t gpa);

/* A trace sink: adds @line, its first 255 bytes, to the text @context, which has room for it. */
void vtd_fixture_keep_line(void *context, const char *line);

/* Registers. */
static inline uint32_t vtd_fixture_read32(const struct vtd_fixture *f, uint64_t offset)
{
	return (uint32_t)vtd_mmio_read(f->unit, offset, 4);
}

static inline uint64_t vtd_fixture_read64(const struct vtd_fixture *f, uint64_t offset)
{
	return vtd_mmio_read(f->unit, offset, 8);
}

static inline void vtd_fixture_write32(const struct vtd_fixture *f, uint64_t offset, uint32_t value)
{
	vtd_mmio_write(f->unit, offset, 4, value);
}

static inline void vtd_fixture_write64(const struct vtd_fixture *f, uint64_t offset, uint64_t value)
{
	vtd_mmio_write(f->unit, offset, 8, value);
}

/*
 * Commands, as drivers give them. Each returns whether GSTS shows the result. Switching bits keeps
 * the others; @bit is TE, QIE, IRE or CFI of VTD_GCMD_*.
 */
bool vtd_fixture_command(struct vtd_fixture *f, uint32_t bit, bool on);
bool vtd_fixture_set_root(struct vtd_fixture *f, uint64_t rtaddr);
bool vtd_fixture_set_irta(struct vtd_fixture *f, uint64_t irta);

/* Sets up the queue at FIXTURE_QUEUE and enables it. @wide: 256-bit descriptors. */
bool vtd_fixture_queue(struct vtd_fixture *f, bool wide);
/* Puts one descriptor in the queue and lets it run. A queue that has stopped keeps it. */
void vtd_fixture_submit(struct vtd_fixture *f, uint64_t qw0, uint64_t qw1);
/* Submits a wait with status write; true if it has completed. */
bool vtd_fixture_wait(struct vtd_fixture *f);

#endif
