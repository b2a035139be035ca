/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iommufd-probe: what its tests have in common. The program is a very small VMM without a guest: it
 * binds an sdma device, which is on vfio-pci, to iommufd, writes first-stage tables as a guest
 * would, has the kernel nest them, and drives the device by its BARs.
 *
 * "Guest memory" is one piece of this process's memory, mapped into one IOAS from GPA on. Each test
 * runs in a process of its own, which opens the device and finds the parent attached to the RID;
 * it may end as it is, for the kernel has to clean up after it.
 */
#ifndef TOOLS_PROBE_H
#define TOOLS_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sdma_regs.h"

#define PAGE	  4096UL
#define HUGE_PAGE (2UL << 20)

#define GPA	    0x40000000UL /* of guest memory; aligned for every page size up to 1 GiB */
#define MEMORY_SIZE (4 * HUGE_PAGE)
#define HOLE_GPA    0x80000000UL /* another piece, which a test takes away */
#define HOLE_SIZE   (16 * PAGE)
#define NOWHERE	    0x100000000UL /* a GPA that is not mapped */

/* Guest memory by use. The canary is never mapped by a first stage. */
enum area {
	AREA_TABLES = 0,
	AREA_QUEUES = HUGE_PAGE / 2, /* a page for each queue: ring, index and completion record */
	AREA_DATA = HUGE_PAGE,
	AREA_DATA2 = 2 * HUGE_PAGE,
	AREA_CANARY = 3 * HUGE_PAGE,
};

/* Where tests map data in a first stage; aligned for pages of 2 MiB. */
#define DATA_VA	 0x123456000000UL
#define DATA2_VA 0x00007e000000UL

#define PATTERN 0x0123456789abcdefULL

#define CAP_FS5LP (1ULL << 60) /* first-stage tables of five levels */

#define NO_PASID UINT32_MAX
#define NO_FAULT 0 /* instead of a fault queue's id, which is never 0 */

struct probe {
	int device, iommufd;
	uint32_t device_id, ioas, parent;
	uint32_t fault_id;
	int fault_fd;
	volatile uint8_t *registers; /* BAR 0 */
	volatile uint8_t *doorbells; /* BAR 2 */
	unsigned int queues;
	unsigned int pasid_bits;
	uint64_t cap, ecap; /* of the host's unit; 0: not VT-d */
	uint8_t *memory;    /* MEMORY_SIZE bytes at GPA */
	uint8_t *hole;	    /* HOLE_SIZE bytes at HOLE_GPA */
	size_t tables_used; /* bytes of AREA_TABLES */
};

struct probe_test {
	const char *name;
	const char *what;
	void (*run)(struct probe *probe);
};

/* By subject; each list ends with an empty entry. */
extern const struct probe_test probe_translation[];
extern const struct probe_test probe_faults[];
extern const struct probe_test probe_changes[];

/* --- Verdicts --- */

/* Ends the test as failed, with the message, unless the condition holds. */
void require(bool condition, const char *format, ...) __attribute__((format(printf, 2, 3)));
void skip(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- The kernel's interfaces: probe_kernel.c. What fails ends the test, unless it says otherwise.
 */

/* Opens and binds the VFIO device @cdev, and maps its BARs and guest memory. */
void probe_open(struct probe *probe, const char *cdev);

/* A nested domain of the table at @root (GPA); with a fault queue or NO_FAULT. Its id. */
uint32_t nested_domain(struct probe *probe, uint64_t root, uint32_t fault_id);
/* The same of a table for addresses of @width bits, which need not be possible. */
uint32_t wide_domain(struct probe *probe, uint64_t root, unsigned int width, uint32_t fault_id);
void destroy(struct probe *probe, uint32_t id);
/* @pasid may be NO_PASID. An attachment that is there is replaced. */
void attach(struct probe *probe, uint32_t pasid, uint32_t domain);
int try_attach(struct probe *probe, uint32_t pasid, uint32_t domain);
void detach(struct probe *probe, uint32_t pasid);
/* Of @count pages from @address on; UINT64_MAX: everything. */
void invalidate(struct probe *probe, uint32_t domain, uint64_t address, uint64_t count);
void map_hole(struct probe *probe);
void unmap_hole(struct probe *probe);
/* Another fault queue than the probe's. */
void new_fault_queue(struct probe *probe, uint32_t *id, int *fd);

struct uapi_iommu_hwpt_pgfault;
/* Waits for page requests, whole groups: their number; 0: none within @milliseconds. */
unsigned int read_faults(int fd, struct uapi_iommu_hwpt_pgfault *fault, unsigned int max,
			 int milliseconds);
void answer(int fd, uint32_t cookie, bool success);

/* --- First-stage tables: probe_tables.c --- */

#define PTE_P	 0x001ULL
#define PTE_W	 0x002ULL
#define PTE_U	 0x004ULL
#define PTE_A	 0x020ULL
#define PTE_D	 0x040ULL
#define PTE_HUGE 0x080ULL
#define PTE_RW	 (PTE_P | PTE_W | PTE_U)
#define PTE_RO	 (PTE_P | PTE_U)

/* Guest memory as it is at the start of a test: zero, but for the canary. */
void write_memory(struct probe *probe);
bool canary_lives(const struct probe *probe);
/* An empty table, 4 levels: its GPA. */
uint64_t new_root(struct probe *probe);
/* The entry of @va at @level (1: 4 KiB pages); tables on the way to it are made. */
volatile uint64_t *entry_of(struct probe *probe, uint64_t root, uint64_t va, unsigned int level);
void map_page(struct probe *probe, uint64_t root, uint64_t va, uint64_t gpa, uint64_t flags);
void *memory_at(const struct probe *probe, uint64_t gpa);

/* --- The device: probe_device.c --- */

struct queue {
	struct probe *probe;
	unsigned int number;
	uint32_t pasid;	  /* or NO_PASID */
	uint64_t address; /* of its page, as the device knows it */
	uint8_t *page;	  /* the same for us */
	uint32_t tail;
};

/* Where the page of a queue is for the device, when a first stage is in force. */
#define QUEUE_VA 0x7fff00000000UL

uint64_t queue_gpa(unsigned int number);
/* In @root, makes the queue's page accessible at QUEUE_VA. */
void map_queue(struct probe *probe, uint64_t root, unsigned int number);
/* @address: QUEUE_VA, or the GPA. */
struct queue start_queue(struct probe *probe, unsigned int number, uint32_t pasid,
			 uint64_t address);
void stop_queue(struct queue *queue);
/* Hands a descriptor over and returns; its record is that of the queue. */
void submit(struct queue *queue, struct sdma_descriptor descriptor);
/* Waits until the device has written the record, or has halted. */
struct sdma_completion complete(struct queue *queue);
/* The same, but a queue that halts is no failure: its record's status is SDMA_PENDING. */
struct sdma_completion complete_or_halt(struct queue *queue);
/* What the device has counted in the index record: descriptors consumed. */
uint32_t queue_head(const struct queue *queue);
struct sdma_completion run(struct queue *queue, struct sdma_descriptor descriptor);
/* run(), and it has to end like this. */
struct sdma_completion must_end(struct queue *queue, struct sdma_descriptor descriptor,
				enum sdma_completion_status status);
uint64_t queue_counter(const struct queue *queue, enum sdma_queue_register which);
const char *status_name(unsigned int status);

static inline struct sdma_descriptor copy(uint64_t to, uint64_t from, uint64_t length)
{
	return (struct sdma_descriptor){
		.operation = SDMA_COPY, .source = from, .destination = to, .length = length
	};
}

static inline struct sdma_descriptor fill(uint64_t to, uint64_t pattern, uint64_t length)
{
	return (struct sdma_descriptor){
		.operation = SDMA_FILL, .destination = to, .operand = pattern, .length = length
	};
}

static inline struct sdma_descriptor checksum(uint64_t from, uint64_t length)
{
	return (struct sdma_descriptor){ .operation = SDMA_CRC32C,
					 .source = from,
					 .length = length };
}

/* The same, asking for pages that are missing. */
static inline struct sdma_descriptor blocking(struct sdma_descriptor descriptor)
{
	descriptor.flags |= SDMA_FLAG_BLOCK;
	return descriptor;
}

#endif
