/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the files of a passed-through function (vfio_pci*.c), and for tests, which put a device
 * of their own behind it.
 *
 *   vfio_pci.c          its life: creation, reset, loss, end
 *   vfio_pci_config.c   configuration space: what is emulated, passed, hidden
 *   vfio_pci_caps.c     the capabilities that the guest finds
 *   vfio_pci_bars.c     regions: what is mapped into the guest, and what is trapped
 *   vfio_pci_irq.c      INTA#, MSI and MSI-X
 *   vfio_pci_hand.c     messages that no route carries
 *   vfio_pci_file.c     system calls
 *
 * Threads. Configuration space is the host bridge's lock's; accesses to BARs come from any vCPU
 * without a lock; notifications of the host come in the loop's thread. Locks, outermost first: the
 * host bridge's, MSI-X's, irq.lock.
 */
#ifndef NIDUS_DEVICES_VFIO_PCI_H
#define NIDUS_DEVICES_VFIO_PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "devices/loop.h"
#include "devices/pci.h"
#include "devices/pci_msi.h"
#include "devices/pci_pasid.h"
#include "devices/pci_rom.h"
#include "devices/vfio.h"

#define VFIO_AREAS	16 /* of one BAR that are mapped; what is beyond is trapped */
#define VFIO_ROM_MAX	MIB
#define VFIO_NO_PASSING 0 /* no register is passed at offset 0 */

/* What is done with the device's file. Errors are negative errno values. Any thread. */
struct vfio_file {
	int (*ioctl)(const struct vfio_file *file, int fd, unsigned long request, void *argument);
	ssize_t (*pread)(const struct vfio_file *file, int fd, void *to, size_t size,
			 uint64_t offset);
	ssize_t (*pwrite)(const struct vfio_file *file, int fd, const void *from, size_t size,
			  uint64_t offset);
	/* Maps for reading and writing; NULL if that fails. */
	void *(*map)(const struct vfio_file *file, int fd, uint64_t size, uint64_t offset);
	void (*unmap)(const struct vfio_file *file, void *host, uint64_t size);
	void (*sleep)(const struct vfio_file *file, unsigned int milliseconds);
	/* Gives @fd back: its number then stands for what @by does. 0 or negative errno. */
	int (*replace)(const struct vfio_file *file, int fd, int by);
};

/* A part of the device's file. */
struct vfio_region {
	uint64_t offset; /* in the file */
	uint64_t size;	 /* 0: the device has no such region */
	uint32_t flags;	 /* VFIO_REGION_INFO_FLAG_... */
};

/* A piece of a BAR, in whole pages, that the guest reaches without exits. */
struct vfio_area {
	uint64_t offset, size; /* in the BAR */
	void *host;	       /* NULL: it could not be mapped into our own address space */
	bool mapped;	       /* into the guest's, at the BAR's address */
	struct vfio_peer peer; /* the same for other devices; if `host` is there */
};

struct vfio_bar {
	struct vfio_region region;
	uint64_t address; /* where the guest decodes it, or PCI_BAR_UNMAPPED */
	unsigned int area_count;
	struct vfio_area area[VFIO_AREAS];
};

/* Which of its interrupts the device is to use. */
enum vfio_irq_mode { VFIO_IRQ_NONE, VFIO_IRQ_INTX, VFIO_IRQ_MSI, VFIO_IRQ_MSIX };

/* A vector's eventfd, if the loop listens to it: see vfio_pci_hand.c. Loop thread. */
struct vfio_by_hand {
	struct loop_watch watch;
	struct vfio_pci *vfio;
	unsigned int vector; /* of MSI-X; their number stands for MSI's */
};

struct vfio_irq {
	/* Protects what changes while the VM runs; over the locks of INTx and of routes only. */
	pthread_mutex_t lock;
	enum vfio_irq_mode mode;
	bool enabled;	    /* the host has an interrupt of this mode set up */
	bool intx;	    /* the device has INTA# */
	bool intx_watched;  /* the ends of its interrupts are reported */
	bool all_vectors;   /* MSI-X vectors must be known when it is turned on */
	uint32_t msi_count; /* that the host offers */
	uint32_t msix_count;
	bool error, request; /* the device has these notifications */
	struct loop_watch intx_watch, eoi_watch, error_watch, request_watch;
	struct vfio_by_hand *hand; /* one for each vector of MSI-X, and one for MSI */
	struct machine_route_watch route_watch;
	struct loop_call released_call;
	bool unwatched; /* nothing is listened to any more; loop thread */
	int msi_eventfd, msi_route;
	bool msi_routed; /* the route is enabled, and sends `msi_message` */
	struct msi_message msi_message;
	void *buffer; /* for struct vfio_irq_set with all vectors */
};

struct vfio_pci {
	struct pci_function pci;
	char name[32];
	struct loop *loop;
	struct vfio_device *device;
	const struct vfio_file *file;
	struct vfio_region config;
	uint16_t passed[PCI_CONFIG_SIZE]; /* the device's offset of a byte, or VFIO_NO_PASSING */
	struct vfio_bar bar[PCI_BARS];
	struct pci_rom rom;
	struct pci_pasid pasid; /* all 0: no such capabilities */
	struct pci_msi msi;	/* cap 0: no MSI */
	unsigned int pm;	/* offset of power management; 0: none */
	struct vfio_irq irq;
	int nothing; /* an eventfd: takes the place of the device's file once that is given back */
	bool lost;   /* atomic: the device is gone or broken, reads are all ones */
	bool returned;			   /* to the host; loop thread */
	struct vfio_pci_counters counters; /* atomic */
};

static inline void vfio_pci_count(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static inline bool vfio_lost(const struct vfio_pci *vfio)
{
	return __atomic_load_n(&vfio->lost, __ATOMIC_ACQUIRE);
}

/* The kernel's. */
extern const struct vfio_file vfio_kernel_file;

/* vfio_pci_create() on another kind of file. */
struct vfio_pci *vfio_pci_create_on(struct pci_host *host, struct loop *loop, const char *name,
				    struct vfio_device *device, const struct vfio_file *file,
				    char *error, size_t size);

/* --- vfio_pci.c --- */

/* Accesses to @region in its limits. False: it cannot be read, or not be written. */
bool vfio_region_read(const struct vfio_pci *vfio, const struct vfio_region *region,
		      uint64_t offset, void *to, size_t size);
bool vfio_region_write(const struct vfio_pci *vfio, const struct vfio_region *region,
		       uint64_t offset, const void *from, size_t size);

/* --- vfio_pci_config.c --- */

/* What a register is to the guest. */
enum vfio_policy {
	VFIO_HIDE,    /* zero, and nothing is written */
	VFIO_EMULATE, /* ours; what of it the device must know is passed on in other ways */
	VFIO_PASS,    /* the device's own, with the bits that the guest may write */
};

enum vfio_space {
	VFIO_HEADER,	  /* the first 64 bytes */
	VFIO_CAP,	  /* a capability */
	VFIO_EXT_CAP,	  /* an extended capability */
	VFIO_BETWEEN,	  /* bytes from 0x40 to 0xff that are no capability's */
	VFIO_EXT_BETWEEN, /* the same from 0x100 on */
};

struct vfio_rule {
	enum vfio_space space;
	uint16_t id;	 /* of the capability */
	uint16_t offset; /* in it */
	uint16_t size;	 /* bytes; 0: up to its end */
	enum vfio_policy policy;
	uint32_t writable; /* VFIO_PASS: bits of each 32 from @offset on that may be written */
	const char *reason;
};

/* All of them; what has no rule is hidden. */
extern const struct vfio_rule vfio_rules[];
extern const unsigned int vfio_rule_count;

/* The first rule for @id in @space, or NULL. */
const struct vfio_rule *vfio_find_rule(enum vfio_space space, uint16_t id);

/* Has [@at, @at + @size) of the guest be that from @host on of the device, as @rule says. */
void vfio_config_pass(struct vfio_pci *vfio, const struct vfio_rule *rule, unsigned int at,
		      unsigned int host, unsigned int size);

void vfio_config_written(struct pci_function *fn, unsigned int offset, unsigned int size);
void vfio_config_reading(struct pci_function *fn, unsigned int offset, unsigned int size);
/* The device's command register: decoding as it has BARs, the rest as the guest wants it. */
void vfio_config_sync_command(struct vfio_pci *vfio);
/* Whether the guest may make the function a bus master: the bit can be set, or stays zero. */
void vfio_config_allow_master(struct vfio_pci *vfio, bool allowed);
/* The emulated registers that pci.c does not know, as after a reset. */
void vfio_config_reset(struct vfio_pci *vfio);
/* From now on everything reads as ones. Host bridge's lock held. */
void vfio_config_lose(struct vfio_pci *vfio);

/* --- vfio_pci_caps.c --- */

/*
 * Gives the guest the capabilities of the device whose configuration space is @host (of
 * vfio->config.size bytes), all but MSI-X, which pci_add_msix() needs the bus for. Stores in *@msix
 * where the device has that, and in *@msix_at where it is to go; 0: nowhere.
 */
void vfio_caps_add(struct vfio_pci *vfio, const uint8_t *host, unsigned int *msix,
		   unsigned int *msix_at);

/* --- vfio_pci_bars.c --- */

/* Asks for region @index; @areas NULL, or what of it may be mapped. 0 or negative errno. */
int vfio_region_query(const struct vfio_pci *vfio, uint32_t index, struct vfio_region *region,
		      struct vfio_bar *areas);
/* Adds the BARs of the device, and its ROM. 0, or -errno with @error. */
int vfio_bars_add(struct vfio_pci *vfio, const uint8_t *host, char *error, size_t size);
/* Keeps [@offset, @offset + @size) of BAR @bar trapped. */
void vfio_bars_trap(struct vfio_pci *vfio, unsigned int bar, uint64_t offset, uint64_t size);
/* Maps what is to be mapped into our address space. */
void vfio_bars_map(struct vfio_pci *vfio);
void vfio_bars_unmap(struct vfio_pci *vfio);
void vfio_bar_access(struct pci_function *fn, unsigned int bar, struct bus_access *access);
void vfio_bar_moved(struct pci_function *fn, unsigned int bar, uint64_t address);

/* --- vfio_pci_irq.c --- */

/* Asks what the device has; before vfio_caps_add(). */
int vfio_irq_query(struct vfio_pci *vfio);
/* Eventfds and watches, when the function is on its bus. 0 or negative errno. */
int vfio_irq_init(struct vfio_pci *vfio);
void vfio_irq_destroy(struct vfio_pci *vfio);
/* The guest has chosen another interrupt, or may have. Host bridge's lock held. */
void vfio_irq_update(struct vfio_pci *vfio);
void vfio_irq_msix_opened(struct pci_function *fn, unsigned int vector, bool open);
/* The device signals nothing any more. */
void vfio_irq_stop(struct vfio_pci *vfio);
/* And nothing is waited for. Loop thread. */
void vfio_irq_unwatch(struct vfio_pci *vfio);

/* --- vfio_pci_hand.c: as those of vfio_pci_irq.c --- */

/* When the vectors have their routes. -EMFILE: some have no eventfd. */
int vfio_hand_init(struct vfio_pci *vfio);
void vfio_hand_unwatch(struct vfio_pci *vfio);

/* What the notifications do; vfio_pci.c. Loop thread. */
void vfio_pci_failed(struct vfio_pci *vfio);
void vfio_pci_requested(struct vfio_pci *vfio);

#endif
