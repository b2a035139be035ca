/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The description of a VM: plain data, no file descriptors of our own, nothing opened.
 *
 * It is filled from a manifest and from the command line (the command line overrides), checked by
 * config_validate(), printed by config_print() and written back as a manifest by config_to_dtb().
 */
#ifndef NIDUS_VMM_CONFIG_H
#define NIDUS_VMM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "devices/vfio.h"

#define CONFIG_CPUS_MAX	    64
#define CONFIG_MEMORY_MIN   (UINT64_C(16) << 20)
#define CONFIG_MEMORY_MAX   (UINT64_C(16) << 40)
#define CONFIG_DISKS	    16
#define CONFIG_NETS	    8
#define CONFIG_INITRDS	    16
#define CONFIG_VTDS	    16
#define CONFIG_SDMAS	    8
#define CONFIG_EDUS	    4
#define CONFIG_VFIOS	    8
#define CONFIG_QUEUES_MAX   16
#define CONFIG_NAME_MAX	    64
#define CONFIG_CMDLINE_MAX  2048 /* bytes, with the terminating NUL */
#define CONFIG_SERIAL_MAX   20	 /* bytes of a disk's serial number */
#define CONFIG_DEVICES_TEXT 512	 /* bytes of a list of devices, with the terminating NUL */
#define CONFIG_PCI_TEXT	    255	 /* bytes of what names a device of the host */
#define CONFIG_EXIT_PORT    0xf4

enum hugepages { HUGEPAGES_NONE, HUGEPAGES_2M, HUGEPAGES_1G };
enum seccomp_mode { SECCOMP_KILL, SECCOMP_LOG, SECCOMP_OFF };

/* Where the bytes of a serial port or console go. */
enum stream_kind { STREAM_OFF, STREAM_STDIO, STREAM_FILE };

struct stream_config {
	enum stream_kind kind;
	char *path; /* STREAM_FILE: output only, appended */
};

struct disk_config {
	char *path; /* of a raw image or a block device; NULL if fd is used */
	int fd;	    /* inherited, or -1 */
	bool readonly;
	bool direct;	     /* O_DIRECT */
	unsigned int queues; /* 1 to CONFIG_QUEUES_MAX */
	char *serial; /* what get-id answers, at most 20 bytes; NULL: derived from the index */
};

struct net_config {
	char *tap; /* name of an existing tap device; NULL if fd is used */
	int fd;	   /* inherited tap, or -1 */
	bool has_mac;
	uint8_t mac[6];
	unsigned int queues; /* pairs, 1 to CONFIG_QUEUES_MAX */
	bool offload;	     /* checksum and segmentation offloads; default true */
};

/* A file for the guest's boot: an initrd or, for multiboot kernels, a module with its words. */
struct initrd_config {
	char *path;
	char *args; /* NULL: none. Multiboot modules only */
};

/* A feature that is on, or off, or as good as what it needs and the guest's CPU allow. */
enum toggle { TOGGLE_AUTO, TOGGLE_ON, TOGGLE_OFF };

enum vtd_feature {
	VTD_FEATURE_SCALABLE,
	VTD_FEATURE_FIRST_STAGE,
	VTD_FEATURE_SECOND_STAGE,
	VTD_FEATURE_NESTED,
	VTD_FEATURE_FIRST_STAGE_57,
	VTD_FEATURE_FIRST_STAGE_1G,
	VTD_FEATURE_PASS_THROUGH,
	VTD_FEATURE_ATS,
	VTD_FEATURE_PRI,
	VTD_FEATURE_INTERRUPT_REMAPPING,
	VTD_FEATURE_X2APIC,
	VTD_FEATURE_SUPERVISOR,
	VTD_FEATURE_EXECUTE,
	VTD_FEATURE_CACHING_MODE,
	VTD_FEATURE_SNOOP,
	VTD_FEATURE_ACCESS_DIRTY,
	VTD_FEATURE_EXTENDED_ACCESSED,
	VTD_FEATURE_ABORT_DMA,
	VTD_FEATURE_VIRTUAL_COMMANDS,
	VTD_FEATURES
};

/* A VT-d unit; what the guest gets of it is worked out by vtd_options_resolve(). */
struct vtd_options {
	unsigned int aw;	  /* second-stage width in bits: 39, 48 or 57 */
	unsigned int pasid_bits;  /* 0 to 20 */
	unsigned int domain_bits; /* 4, 6, ..., 16 */
	enum toggle feature[VTD_FEATURES];
	unsigned int pasid_quota;   /* that virtual commands give out */
	unsigned int fault_records; /* 1 to 16 */
	unsigned int drop;	    /* test knob: see struct vtd_config */
	char *devices; /* behind it, as in "disk0:sdma1"; NULL: all that are behind no other */
};

struct sdma_config {
	unsigned int queues; /* 1 to 64 */
};

struct edu_config {
	unsigned int dma_mask; /* width of its DMA addresses in bits */
	char *rom;	       /* file with its expansion ROM; NULL: it has none */
};

/* A device of the host. */
struct vfio_options {
	char *device; /* its address, or its path in sysfs; NULL if fd is used */
	int fd;	      /* inherited VFIO device, or -1 */
	enum vfio_nested nested;
	/* Of all devices together: at most one says it, or all who do say the same. */
	int iommufd;		  /* inherited /dev/iommu, or -1 */
	unsigned int pasid_quota; /* 0: default */
};

struct vm_config {
	char *name; /* of the control socket; NULL: no socket */
	char *kernel;
	char *cmdline; /* NULL: empty */
	unsigned int initrd_count;
	struct initrd_config initrd[CONFIG_INITRDS];

	unsigned int cpus;
	char *cpu; /* features to mask: "host" or "host:-svm:-avx2"; NULL: host */

	uint64_t memory; /* bytes */
	enum hugepages hugepages;
	bool prefault;
	bool overcommit;
	bool shared; /* a memfd, whatever it costs */

	struct stream_config serial;  /* COM1; default stdio */
	struct stream_config console; /* virtio console; default off */
	bool rng;		      /* virtio-rng; default true */
	bool restart;		      /* a reset restarts the guest instead of ending the VM */
	bool exit_port;		      /* port 0xf4; default off */
	uint16_t exit_port_base;      /* default 0xf4 */

	unsigned int disk_count;
	struct disk_config disk[CONFIG_DISKS];
	unsigned int net_count;
	struct net_config net[CONFIG_NETS];
	unsigned int vtd_count;
	struct vtd_options vtd[CONFIG_VTDS];
	unsigned int sdma_count;
	struct sdma_config sdma[CONFIG_SDMAS];
	unsigned int edu_count;
	struct edu_config edu[CONFIG_EDUS];
	unsigned int vfio_count;
	struct vfio_options vfio[CONFIG_VFIOS];

	enum seccomp_mode seccomp;
	char *log; /* for log_configure(); NULL: default */
};

/* One line for a person that names the thing, the value and the remedy. */
struct config_error {
	char text[1024];
};

/* Stores the message, made printable and cut to fit; always returns -EINVAL. */
__attribute__((format(printf, 2, 3))) int config_fail(struct config_error *error,
						      const char *format, ...);

/* Sets the defaults; nothing is allocated. */
void config_init(struct vm_config *config);
void config_disk_init(void *disk);
void config_net_init(void *net);
void config_initrd_init(void *initrd);
void config_vtd_init(void *vtd);
void config_sdma_init(void *sdma);
void config_edu_init(void *edu);
void config_vfio_init(void *vfio);

/* Releases every string and leaves the defaults. */
void config_free(struct vm_config *config);

/*
 * Checks everything that can be found wrong without starting: that the parts agree with each other,
 * and that the files, taps, descriptors and memory exist on this host. Opens nothing for writing
 * and creates nothing. 0, or -EINVAL with @error filled in.
 */
int config_validate(const struct vm_config *config, struct config_error *error);

/* The two halves of it. @root is put in front of /sys and /proc: "" but for tests. */
int config_validate_rules(const struct vm_config *config, struct config_error *error);
int config_validate_host(const struct vm_config *config, const char *root,
			 struct config_error *error);

/* Prints the resolved machine, one line a thing, each value as its option takes it. */
void config_print(const struct vm_config *config, FILE *out);

#endif
