/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One VT-d remapping unit, as the machine around it sees it.
 *
 * A unit knows neither KVM nor PCI devices nor files. It reaches the world by the tables of
 * functions below, and the world reaches it by four calls: register accesses of the guest,
 * vtd_translate() for DMA, vtd_remap_msi() for interrupts, vtd_page_request() for page requests.
 *
 * Threads. All functions may be called from any thread once the unit is created and its requesters
 * are attached, unless they say otherwise. Register accesses are serialised by the unit's lock;
 * translations take no lock when they hit. A write to the queue's tail runs the queue before it
 * returns: when the guest sees an invalidation wait complete, no DMA that used what was
 * invalidated is under way any more (see vtd_dma_enter()).
 *
 * Callbacks may be called with the unit's lock held. They must not call back into the register
 * interface; vtd_translate(), vtd_remap_msi() and vtd_page_request() are allowed.
 */
#ifndef NIDUS_VIOMMU_VTD_H
#define NIDUS_VIOMMU_VTD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vtd_unit;
struct vtd_requester;

#define VTD_NO_PASID   UINT32_MAX
#define VTD_PASID_BITS 20
#define VTD_REQUESTERS 64 /* that may be attached to one unit */

/* --- What a unit is made of --- */

/* Guest memory, by guest-physical address. */
struct vtd_memory_ops {
	/* The host address of [gpa, gpa + len), or NULL unless all of it is RAM. Must stay valid as
	 * long as the unit lives. Any thread. */
	void *(*ptr)(void *context, uint64_t gpa, uint64_t len);
};

/* What a unit tells the machine. Members may be NULL, for a machine that need not know. */
struct vtd_machine_ops {
	/* Sends an interrupt message of the unit itself: it is not remapped. */
	void (*send_msi)(void *context, uint64_t address, uint32_t data);
	/*
	 * Interrupt remapping entries [first, first + count) may have changed, or remapping as a
	 * whole was switched (first 0, count 65536): what vtd_remap_msi() answered before is stale.
	 */
	void (*interrupts_changed)(void *context, unsigned int first, unsigned int count);
};

/* How a unit is configured; vtd_config_init() sets what is right for nearly everybody. */
struct vtd_config {
	const char *name;	  /* for messages: "vtd0"; must live as long as the unit */
	unsigned int aw;	  /* second-stage width in bits: 39, 48 or 57 */
	unsigned int host_bits;	  /* width of guest-physical addresses, 32 to 52 (HAW) */
	unsigned int pasid_bits;  /* 0 (no PASID) to 20 */
	unsigned int domain_bits; /* of domain-ids: 4, 6, ..., 16 */
	bool scalable;		  /* scalable mode */
	bool first_stage;	  /* first-stage translation */
	bool second_stage;	  /* second-stage translation, in scalable mode */
	bool nested;		  /* both at once */
	bool first_stage_57;	  /* five-level first-stage tables */
	bool first_stage_1g;	  /* 1 GiB first-stage pages */
	bool pass_through;
	bool ats; /* device-TLBs */
	bool pri; /* page requests */
	bool interrupt_remapping;
	bool x2apic;	 /* extended interrupt mode */
	bool supervisor; /* SRS: requests with supervisor privilege */
	bool execute;	 /* ERS: execute requests */
	bool caching_mode;
	bool snoop;		    /* snoop control */
	bool access_dirty;	    /* second-stage accessed and dirty flags */
	bool extended_accessed;	    /* first-stage extended accessed flag */
	bool abort_dma;		    /* RTADDR's abort mode */
	bool virtual_commands;	    /* VCMD */
	unsigned int pasid_quota;   /* PASIDs that VCMD gives out */
	unsigned int fault_records; /* 1 to 16 */
	/*
	 * Test knob: invalidations whose bit (1 << enum vtd_desc_type) is set are acknowledged and
	 * forgotten. A test of the invalidation path must fail with it.
	 */
	unsigned int drop;
};

void vtd_config_init(struct vtd_config *config);

/*
 * Creates a unit. @memory may be NULL: there is none; and so may @machine: nobody needs to know.
 * NULL: errno is ENOMEM, or EINVAL for a configuration that contradicts itself.
 */
struct vtd_unit *vtd_create(const struct vtd_config *config, const struct vtd_memory_ops *memory,
			    void *memory_context, const struct vtd_machine_ops *machine,
			    void *machine_context);
/* No call may be under way in any thread. */
void vtd_destroy(struct vtd_unit *unit);

/*
 * The VM ends: descriptors are not executed any more, also those of a queue that is running, so
 * that the thread which runs it, and all that wait for the unit, go on. Any thread, any lock.
 */
void vtd_halt(struct vtd_unit *unit);
/* For what takes long beneath struct vtd_host_ops: it need not be finished. Any thread. */
bool vtd_halted(const struct vtd_unit *unit);

/* As power-on, also after vtd_halt(): registers, caches, queues. Requesters stay attached; their
 * devices are not told. */
void vtd_reset(struct vtd_unit *unit);

/* --- Registers --- */

/*
 * A guest access of @size bytes at @offset of the unit's VTD_REGISTERS bytes. Sizes other than 4
 * and 8, misaligned and unknown offsets read as zero and write nothing.
 */
uint64_t vtd_mmio_read(struct vtd_unit *unit, uint64_t offset, unsigned int size);
void vtd_mmio_write(struct vtd_unit *unit, uint64_t offset, unsigned int size, uint64_t value);

/* --- Requesters --- */

/* What a unit asks of a requester with a device-TLB or page requests. Members may be NULL. */
struct vtd_requester_ops {
	/*
	 * Drop device-TLB entries of [address, address + size) (size 0: all addresses) of @pasid
	 * (VTD_NO_PASID: those without), or of every PASID if @global. On return no DMA by them is
	 * under way. 0, or -ETIMEDOUT if the device did not answer: an ITE for the guest.
	 */
	int (*invalidate)(void *context, uint32_t pasid, uint64_t address, uint64_t size,
			  bool global);
	/* A page group response: @code is an enum vtd_response_code. */
	void (*page_response)(void *context, uint32_t pasid, unsigned int group, unsigned int code);
};

/*
 * Declares that source-id @source is behind the unit. @ops may be NULL. Returns a handle that lives
 * as long as the unit; NULL: -errno ENOSPC or EEXIST in errno. While the VM is built only.
 */
struct vtd_requester *vtd_attach(struct vtd_unit *unit, uint16_t source, const char *name,
				 const struct vtd_requester_ops *ops, void *context);
struct vtd_requester *vtd_find(struct vtd_unit *unit, uint16_t source);

/* --- Translation --- */

enum vtd_access {
	VTD_READ = 1,
	VTD_WRITE = 2,
	VTD_EXECUTE = 4,    /* with VTD_READ: an instruction fetch */
	VTD_PRIVILEGED = 8, /* supervisor privilege; meaningful with a PASID */
};

enum vtd_request_type {
	VTD_UNTRANSLATED,
	VTD_TRANSLATION, /* ATS translation request: faults of the tables are an answer, not an
			    error */
	VTD_TRANSLATED,	 /* the address comes from a device-TLB */
};

struct vtd_request {
	struct vtd_requester *requester;
	uint32_t pasid; /* or VTD_NO_PASID */
	uint64_t iova;
	uint64_t len;	     /* bytes wanted, for one run; 0 is a zero-length read */
	unsigned int access; /* enum vtd_access */
	enum vtd_request_type type;
};

struct vtd_result {
	uint64_t gpa;  /* of iova */
	uint64_t len;  /* bytes from there that share the translation; at most the request's */
	uint64_t page; /* bytes of the whole translation, which is naturally aligned */
	unsigned int permitted; /* enum vtd_access: for a device-TLB to keep */
	bool global;		/* first-stage G: a device-TLB may share it among PASIDs */
	bool untranslated_only; /* ATS "U": the device must not cache it */
};

/*
 * Translates the start of [iova, iova + len). 0, or -EFAULT after the fault was recorded (as far as
 * it is to be). For VTD_TRANSLATION a missing or insufficient mapping is success with what is
 * permitted (0: nothing), and -EFAULT is an Unsupported Request.
 */
int vtd_translate(struct vtd_unit *unit, const struct vtd_request *request,
		  struct vtd_result *result);

/* The number changes whenever a result of vtd_translate() may have become stale. */
uint64_t vtd_epoch(const struct vtd_unit *unit);

/*
 * Brackets DMA by translated addresses: an invalidation that begins after vtd_dma_enter() waits, at
 * the latest at the guest's invalidation wait, for the matching vtd_dma_leave(). What is between
 * must be short and bounded (at most some 64 KiB copied), must not block, and must not write
 * registers. Returns a token for vtd_dma_leave(). May nest. Any thread.
 */
unsigned int vtd_dma_enter(struct vtd_unit *unit);
void vtd_dma_leave(struct vtd_unit *unit, unsigned int token);

/* --- Page requests --- */

struct vtd_page_request {
	struct vtd_requester *requester;
	uint32_t pasid;	     /* or VTD_NO_PASID */
	uint64_t address;    /* page aligned */
	unsigned int access; /* enum vtd_access; none, with last: a stop marker */
	unsigned int group;  /* page request group index, 0 to 511 */
	bool last;	     /* of its group */
	bool has_private;
	uint64_t private_data[2];
};

/*
 * Queues one page request. 0: the answer comes by page_response() when the guest sends it. -EAGAIN:
 * nothing was queued (queue off, full or overflowed: 7.5). -EFAULT: refused, and a fault was
 * recorded unless FPD hides it. In both cases the group, if this was its last request, has been
 * answered by page_response() before return: "success", to ask again, for a queue that overflows;
 * "failure" otherwise.
 */
int vtd_page_request(struct vtd_unit *unit, const struct vtd_page_request *request);

/* Forgets what the requester has outstanding: it was reset, and responses to come are stale. */
void vtd_forget_page_requests(struct vtd_unit *unit, struct vtd_requester *requester);

/* --- Interrupts --- */

struct vtd_msi {
	uint64_t address;
	uint32_t data;
};

/*
 * What an interrupt request of @source becomes. With remapping off it stays what it is. 0; -EFAULT
 * if it is blocked; the fault is recorded if @record (a delivery) and not if a route is asked for.
 */
int vtd_remap_msi(struct vtd_unit *unit, uint16_t source, const struct vtd_msi *request,
		  struct vtd_msi *msi, bool record);

/* --- The host backend of requesters that are real devices --- */

enum vtd_bind_type { VTD_BIND_FS, VTD_BIND_PT, VTD_BIND_SS, VTD_BIND_NESTED };

/* What a guest's entry asks of the host, for one (requester, PASID). */
struct vtd_binding {
	enum vtd_bind_type type;
	uint16_t did;	       /* guest's domain id: for messages and counters only */
	uint64_t fs_root;      /* GPA of the first-stage table; FS and NESTED */
	uint64_t ss_root;      /* GPA of the guest's second-stage table; SS and NESTED */
	unsigned int fs_width; /* 48 or 57 */
	unsigned int ss_width; /* 39, 48 or 57 */
	bool sre, eafe, wpe;   /* of the PASID entry */
	bool faultable;	       /* PRE: page requests may come */
};

/* One range to forget; [address, address + pages * 4 KiB), or everything if pages is UINT64_MAX. */
struct vtd_host_invalidation {
	uint64_t address;
	uint64_t pages;
	bool leaf;	   /* leaf entries only */
	bool second_stage; /* of a NESTED entry: its second stage may have changed as well */
};

struct vtd_host_ops {
	/* Binds or, if bound already, replaces in place. 0 or negative errno. @pasid may be
	 * VTD_NO_PASID. Different (requester, PASID) with the same root may share a domain. */
	int (*bind)(void *context, uint32_t pasid, const struct vtd_binding *binding);
	int (*unbind)(void *context, uint32_t pasid);
	/* All that one wait descriptor waits for and that concerns @pasid. 0 or negative errno. */
	int (*invalidate)(void *context, uint32_t pasid, const struct vtd_host_invalidation *list,
			  unsigned int count);
	/*
	 * May be NULL. After the last invalidate() for a wait: what these did not do, but only
	 * noted, must be done on return, so that one call can serve all PASIDs that share a domain.
	 * 0 or negative errno.
	 */
	int (*flush)(void *context);
	/* Answers a group of page requests of the device, by what it came with. */
	int (*respond)(void *context, uint32_t pasid, unsigned int group, unsigned int code);
	/* What the host's unit can do: our CAP and ECAP are cut by it. 0: do not cut. */
	uint64_t cap, ecap;
	unsigned int pasid_bits; /* of the device */
};

/*
 * Makes @requester a real device of the host, and binds its requests without PASID pass-through,
 * for translation is off. While the VM is built only. 0, -EEXIST, -ENOMEM, or an error of bind().
 */
int vtd_set_host(struct vtd_unit *unit, struct vtd_requester *requester,
		 const struct vtd_host_ops *ops, void *context);

/* --- To look at --- */

/* Monotonic counters; read at any time, each exact unless it says otherwise. */
enum vtd_counter {
	VTD_COUNT_TRANSLATIONS, /* may lose some when threads translate for one requester at once */
	VTD_COUNT_IOTLB_HITS,	/* the same */
	VTD_COUNT_WALKS,
	VTD_COUNT_WALKS_FS,
	VTD_COUNT_WALKS_SS,
	VTD_COUNT_WALKS_NESTED,
	VTD_COUNT_PASS_THROUGH, /* as TRANSLATIONS */
	VTD_COUNT_ATS_REQUESTS,
	VTD_COUNT_ATS_TRANSLATED, /* translated requests let through */
	VTD_COUNT_FAULTS,
	VTD_COUNT_FAULTS_LOST, /* overflow */
	VTD_COUNT_PAGE_REQUESTS,
	VTD_COUNT_PAGE_RESPONSES,
	VTD_COUNT_PAGE_AUTO_RESPONSES,
	VTD_COUNT_PAGE_REQUEST_NS, /* sum of the time from request to response */
	VTD_COUNT_INVALIDATE_CONTEXT,
	VTD_COUNT_INVALIDATE_IOTLB,
	VTD_COUNT_INVALIDATE_DEVTLB,
	VTD_COUNT_INVALIDATE_INTERRUPT,
	VTD_COUNT_INVALIDATE_PASID_IOTLB,
	VTD_COUNT_INVALIDATE_PASID_CACHE,
	VTD_COUNT_INVALIDATE_PASID_DEVTLB,
	VTD_COUNT_WAITS,
	VTD_COUNT_INVALIDATE_NS, /* sum of the time spent in the queue */
	VTD_COUNT_QUEUE_ERRORS,
	VTD_COUNT_INTERRUPTS, /* remapped deliveries (not those by routes) */
	VTD_COUNT_HOST_BINDS,
	VTD_COUNT_HOST_UNBINDS,
	VTD_COUNT_HOST_INVALIDATES, /* calls */
	VTD_COUNT_HOST_ERRORS,
	VTD_COUNTERS
};

extern const char *const vtd_counter_names[VTD_COUNTERS];

uint64_t vtd_counter(const struct vtd_unit *unit, enum vtd_counter which);
uint64_t vtd_requester_counter(const struct vtd_requester *requester, enum vtd_counter which);
/* Faults recorded with reason @reason (0 to 255). */
uint64_t vtd_fault_counter(const struct vtd_unit *unit, unsigned int reason);

const char *vtd_requester_name(const struct vtd_requester *requester);
uint16_t vtd_requester_source(const struct vtd_requester *requester);
/* The i-th attached requester, or NULL. */
struct vtd_requester *vtd_requester_at(struct vtd_unit *unit, unsigned int index);

/*
 * Calls @each for every (requester, PASID) with a decoded entry in the cache, with what it does:
 * for `nidus stats`. A snapshot, not consistent as a whole.
 */
struct vtd_pasid_info {
	uint16_t source;
	uint32_t pasid; /* or VTD_NO_PASID */
	uint16_t did;
	const char *type; /* "first-stage", "second-stage", "nested", "pass-through" */
	uint64_t root;	  /* GPA */
	uint64_t walks, page_requests, faults;
};
void vtd_each_pasid(struct vtd_unit *unit,
		    void (*each)(void *context, const struct vtd_pasid_info *info), void *context);

/* Every bit of CAP and ECAP: name, value, and why; the last has a NULL name. For `nidus caps`. */
struct vtd_capability {
	const char *reg;  /* "CAP" or "ECAP" */
	const char *name; /* as in the specification */
	uint64_t value;
	char reason[96];
};
/* Fills at most @max; returns how many there are. */
unsigned int vtd_explain(const struct vtd_unit *unit, struct vtd_capability *list,
			 unsigned int max);
uint64_t vtd_cap(const struct vtd_unit *unit);
uint64_t vtd_ecap(const struct vtd_unit *unit);

/* --- Trace --- */

/* One line of what a requester does, for people: "nidus trace". Enabled per requester. */
typedef void vtd_trace_sink(void *context, const char *line);
void vtd_trace(struct vtd_unit *unit, struct vtd_requester *requester, vtd_trace_sink *sink,
	       void *context);

#endif
