/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI functions and the host bridge that holds them.
 *
 * A function is 4 KiB of configuration space with a mask of what the guest may write, BARs, and
 * capabilities. The host bridge serves it through ECAM and CF8/CFC. All functions sit on bus 0, as
 * root-complex integrated endpoints. Resources are assigned by pci_host_assign(), as firmware
 * would.
 *
 * Locking: configuration accesses of all functions are serialised by the host bridge's lock, which
 * is held when config_written, config_reading, bar_moved and reset are called. bar_access runs
 * without any lock. Inside of the bridge's lock come those of MSI-X, one for each function, then
 * what msix_opened takes, then INTx's. Under all of them the machine takes its own, of routes, of
 * its interrupt controller, of what remaps interrupts and of faults. So a device may raise an
 * interrupt under any lock of its own, unless msix_opened takes that.
 */
#ifndef NIDUS_DEVICES_PCI_H
#define NIDUS_DEVICES_PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/bus.h"
#include "devices/dma.h"
#include "devices/machine.h"

#define PCI_CONFIG_SIZE	 4096
#define PCI_BARS	 6
#define PCI_SLOTS	 32
#define PCI_FUNCTIONS	 (PCI_SLOTS * 8)
#define PCI_BAR_UNMAPPED UINT64_MAX
#define PCI_MSIX_MAX	 2048
#define PCI_NO_VECTOR	 0xffff

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64 };

struct pci_bar {
	enum pci_bar_kind kind;
	bool prefetchable;
	uint64_t size;	  /* bytes, a power of two; memory at least 16, ports at least 4 */
	uint64_t address; /* where it is decoded now, or PCI_BAR_UNMAPPED */
	struct pci_function *fn;
};

struct pci_function;
struct vtd_requester_ops;
struct vtd_unit;

struct pci_ops {
	/* The guest wrote [offset, offset + size) of configuration space, masks applied. May be
	 * NULL. */
	void (*config_written)(struct pci_function *fn, unsigned int offset, unsigned int size);
	/* The guest is about to read [offset, offset + size): refresh config[] there. May be NULL.
	 */
	void (*config_reading)(struct pci_function *fn, unsigned int offset, unsigned int size);
	/* An access to BAR @bar, from its start; those to the MSI-X table and, unless they are
	 * kept apart, pending bits are not passed on. */
	void (*bar_access)(struct pci_function *fn, unsigned int bar, struct bus_access *access);
	/* BAR @bar is now decoded at @address, or not (PCI_BAR_UNMAPPED): move doorbells. May be
	 * NULL. */
	void (*bar_moved)(struct pci_function *fn, unsigned int bar, uint64_t address);
	/*
	 * MSI-X vector @vector has been let through, or is about to be stopped: for a device that
	 * writes msix.entry[vector].eventfd without pci_msix_raise(), and keeps what is pending
	 * itself. The MSI-X lock is held. May be NULL.
	 */
	void (*msix_opened)(struct pci_function *fn, unsigned int vector, bool open);
	/*
	 * Function level reset: everything but configuration space, which has been reset. 0, or a
	 * negative errno, and then the function is no bus master until a reset succeeds. May be
	 * NULL.
	 */
	int (*reset)(struct pci_function *fn);
};

/* MSI-X state of one function; see pci_add_msix(). */
struct pci_msix {
	pthread_mutex_t lock; /* protects enabled and entry[] */
	unsigned int vectors;
	unsigned int bar;
	uint32_t table_offset;
	uint32_t pba_offset;
	unsigned int cap;   /* offset in configuration space; 0: the function has no MSI-X */
	bool enabled;	    /* and not masked as a whole, and the function is bus master */
	bool pending_apart; /* pending bits are not ours: accesses to them are passed on */
	struct pci_msix_entry {
		struct msi_message message;
		bool masked;
		bool pending;
		bool open;   /* let through, and the device was told so */
		bool routed; /* the route is enabled, and sends `message` */
		int route;   /* from machine_add_msi_route(), or negative: sent by hand */
		int eventfd;
	} * entry;
};

struct pci_function {
	const struct pci_ops *ops;
	struct pci_host *host;
	const char *name;
	uint16_t requester; /* bus << 8 | device << 3 | function */
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE];  /* bits that the guest may change */
	uint8_t clearable[PCI_CONFIG_SIZE]; /* bits that a 1 written by the guest clears */
	uint8_t power_on[PCI_CONFIG_SIZE];  /* config as pci_host_assign() has left it */
	struct pci_bar bar[PCI_BARS];
	unsigned int cap_next; /* where the next capability goes */
	unsigned int ext_next; /* where the next extended capability goes */
	unsigned int last_cap;
	unsigned int last_ext;
	unsigned int express; /* offset of the PCI Express capability; 0: none */
	struct pci_msix msix;
	unsigned int gsi; /* of INTA#, set by pci_host_assign(); 0: none */
	bool intx_level;  /* what the device asks for; the host's intx_lock */
	bool intx_driven; /* what the line carries of it; the host's intx_lock */
	struct dma dma;
	/* What a remapping unit may ask of it, with the function as context; set before
	 * pci_host_add(). NULL: no device-TLB, no page requests. */
	const struct vtd_requester_ops *iommu_ops;
};

/* The ids of a function, all host-endian. */
struct pci_ids {
	uint16_t vendor, device;
	uint16_t subsystem_vendor, subsystem;
	uint32_t class_code; /* base class << 16 | sub class << 8 | interface */
	uint8_t revision;
};

/* Prepares @fn: header type 0, no BARs, no capabilities, INTA# if @interrupt_pin. */
void pci_function_init(struct pci_function *fn, const char *name, const struct pci_ops *ops,
		       const struct pci_ids *ids, bool interrupt_pin);
void pci_function_destroy(struct pci_function *fn);

void pci_add_bar(struct pci_function *fn, unsigned int index, enum pci_bar_kind kind, uint64_t size,
		 bool prefetchable);

/*
 * Appends a capability of @size bytes (header included), zeroed, read-only; returns its offset in
 * configuration space. @fn must have room: a build-time mistake otherwise, checked by assert.
 */
unsigned int pci_add_capability(struct pci_function *fn, uint8_t id, unsigned int size);
unsigned int pci_add_ext_capability(struct pci_function *fn, uint16_t id, uint8_t version,
				    unsigned int size);

/* Appends the PCI Express capability of a root-complex integrated endpoint; with FLR if ops->reset
 * is there. */
unsigned int pci_add_express(struct pci_function *fn);

/*
 * Appends MSI-X with @vectors entries; table at @table_offset, pending bits at @pba_offset of BAR
 * @bar. 0 or -ENOMEM. The function must be on its host bridge already (pci_host_add()).
 */
int pci_add_msix(struct pci_function *fn, unsigned int vectors, unsigned int bar,
		 uint32_t table_offset, uint32_t pba_offset);

/* True if the guest has turned MSI-X on. */
bool pci_msix_enabled(const struct pci_function *fn);

/*
 * Raises vector @vector (out of range: nothing). If it is masked, its pending bit is set and it is
 * sent at unmasking. Any thread. One write(2) on an eventfd where the machine has routes.
 */
void pci_msix_raise(struct pci_function *fn, unsigned int vector);

/* Drives INTA#; follows the command register's interrupt disable bit, sets the status bit. Any
 * thread. */
void pci_set_intx(struct pci_function *fn, bool level);

/*
 * The guest has ended an interrupt of the line that @fn shares, and machine_watch_eoi() told so:
 * @fn asks for nothing until the next pci_set_intx(), and the others' level is driven anew. Any
 * thread.
 */
void pci_intx_ended(struct pci_function *fn);

/* True if the guest has enabled bus mastering: without it a device must not touch memory. */
bool pci_bus_master(const struct pci_function *fn);

/* Where functions get their addresses from, and through what the guest reaches them. */
struct pci_windows {
	uint64_t ecam_base; /* 1 MiB for bus 0 */
	uint64_t mem32_base, mem32_size;
	uint64_t mem64_base, mem64_size;
	uint16_t io_base, io_size;
	unsigned int gsi_base,
		gsi_count; /* INTx lines: slot s, pin A uses gsi_base + s % gsi_count */
};

struct pci_host {
	pthread_mutex_t
		lock; /* protects address, and configuration space and BARs of all functions */
	pthread_mutex_t intx_lock; /* protects intx_count, intx_level and intx_driven */
	struct machine *machine;
	const struct ram *ram;
	struct bus *mmio;
	struct bus *pio;
	struct pci_windows windows;
	uint32_t address; /* CONFIG_ADDRESS, 0xcf8 */
	/* The remapping unit that a function is behind, or NULL; asked by pci_host_add(). May be
	 * NULL itself: there are none. */
	struct vtd_unit *(*unit_of)(struct pci_host *host, const struct pci_function *fn);
	uint16_t reserved; /* source-id of something that is no function; 0: none */
	struct pci_function *function[PCI_FUNCTIONS];
	unsigned int intx_count[24]; /* how many functions assert each line */
	struct pci_function bridge;
};

/* Makes the bridge (00:00.0) and claims ECAM and CF8/CFC on the buses. 0 or negative errno. */
int pci_host_init(struct pci_host *host, struct machine *machine, const struct ram *ram,
		  struct bus *mmio, struct bus *pio, const struct pci_windows *windows);
void pci_host_destroy(struct pci_host *host);

/*
 * Puts @fn on bus 0 at @devfn, or on function 0 of the first free slot if @devfn is negative. Sets
 * requester and dma. 0, -EBUSY or -ENOSPC.
 */
int pci_host_add(struct pci_host *host, struct pci_function *fn, int devfn);

/* Gives every BAR its address and every function its interrupt line, and enables decoding and bus
 * mastering. 0 or -ENOSPC. */
int pci_host_assign(struct pci_host *host);

/*
 * As after pci_host_assign(), for all functions: registers, BARs, interrupts; those with a function
 * level reset have had it, so that no DMA of theirs goes on. 0; or a negative errno after a line
 * for each function that could not be reset, and then none decodes or is bus master: the machine is
 * of no use any more. Any thread, while no vCPU runs.
 */
int pci_host_reset(struct pci_host *host);

/* Guest accesses to the configuration space of requester @requester; also what tests and fuzzers
 * drive. */
uint32_t pci_config_read(struct pci_host *host, uint16_t requester, unsigned int offset,
			 unsigned int size);
void pci_config_write(struct pci_host *host, uint16_t requester, unsigned int offset,
		      unsigned int size, uint32_t value);

/* Between the files of this module. */
void pci_msix_control_written(struct pci_function *fn);
bool pci_msix_bar_access(struct pci_function *fn, unsigned int bar, struct bus_access *access);
void pci_msix_reset(struct pci_function *fn);
void pci_msix_destroy(struct pci_function *fn);
void pci_update_bars(struct pci_function *fn);
void pci_update_intx(struct pci_function *fn);
void pci_function_write(struct pci_function *fn, unsigned int offset, unsigned int size,
			uint32_t value);
uint32_t pci_function_read(struct pci_function *fn, unsigned int offset, unsigned int size);
/* What ops->reset says; the host's lock is held. */
int pci_function_level_reset(struct pci_function *fn);

#endif
