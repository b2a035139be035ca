/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layouts of ACPI tables (ACPI 6.5, 5.2), as far as Nidus writes them.
 */
#ifndef NIDUS_VMM_ACPI_TABLES_H
#define NIDUS_VMM_ACPI_TABLES_H

#include <stddef.h>
#include <stdint.h>

struct acpi_rsdp { /* 5.2.5.3 */
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt_address;
	uint32_t length;
	uint64_t xsdt_address;
	uint8_t extended_checksum; /* of all */
	uint8_t reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_rsdp) == 36, "5.2.5.3");
#define ACPI_RSDP_V1_SIZE offsetof(struct acpi_rsdp, length)

struct acpi_table_header { /* 5.2.6 */
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_table_header) == 36, "5.2.6");

struct acpi_address { /* 5.2.3.2, generic address structure */
	uint8_t space;
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size;
	uint64_t address;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_address) == 12, "5.2.3.2");
#define ACPI_SPACE_IO	 1
#define ACPI_ACCESS_BYTE 1

enum acpi_boot_flags { /* 5.2.9.3, IAPC_BOOT_ARCH */
		       ACPI_BOOT_LEGACY_DEVICES =
			       1 << 0, /* serial port and clock, where they always were */
		       ACPI_BOOT_8042 = 1 << 1,
		       ACPI_BOOT_NO_VGA = 1 << 2,
		       ACPI_BOOT_NO_ASPM = 1 << 4,
		       ACPI_BOOT_NO_CMOS_RTC = 1 << 5,
};

enum acpi_fadt_flags { /* table 5.10 */
		       ACPI_FADT_WBINVD = 1 << 0,
		       ACPI_FADT_POWER_BUTTON = 1
						<< 4, /* is a device or absent, no fixed hardware */
		       ACPI_FADT_SLEEP_BUTTON = 1 << 5,
		       ACPI_FADT_RESET_REGISTER = 1 << 10,
		       ACPI_FADT_HEADLESS = 1 << 12,
		       ACPI_FADT_HW_REDUCED = 1 << 20,
};

/* Fields that a hardware-reduced machine leaves zero have no name (5.2.9, "ignored by OSPM"). */
struct acpi_fadt { /* table 5.9 */
	struct acpi_table_header header;
	uint32_t facs;
	uint32_t dsdt; /* 40 */
	uint8_t reserved_44;
	uint8_t preferred_profile; /* 45 */
	uint8_t fixed_46[109 - 46];
	uint16_t boot_flags; /* 109 */
	uint8_t reserved_111;
	uint32_t flags; /* 112 */
	struct acpi_address reset_register;
	uint8_t reset_value; /* 128 */
	uint16_t arm_boot_flags;
	uint8_t minor_revision; /* 131 */
	uint64_t x_facs;
	uint64_t x_dsdt; /* 140 */
	uint8_t fixed_148[244 - 148];
	struct acpi_address sleep_control; /* 244 */
	struct acpi_address sleep_status;
	uint64_t hypervisor; /* 268 */
} __attribute__((packed));
_Static_assert(offsetof(struct acpi_fadt, boot_flags) == 109, "table 5.9");
_Static_assert(offsetof(struct acpi_fadt, reset_register) == 116, "table 5.9");
_Static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "table 5.9");
_Static_assert(offsetof(struct acpi_fadt, sleep_control) == 244, "table 5.9");
_Static_assert(sizeof(struct acpi_fadt) == 276, "table 5.9");

struct acpi_madt { /* 5.2.12 */
	struct acpi_table_header header;
	uint32_t local_apic;
	uint32_t flags; /* bit 0: there are 8259s too */
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_madt) == 44, "5.2.12");

enum acpi_madt_type {
	ACPI_MADT_LOCAL_APIC = 0,
	ACPI_MADT_IO_APIC = 1,
	ACPI_MADT_LOCAL_APIC_NMI = 4,
	ACPI_MADT_LOCAL_X2APIC = 9,
};
#define ACPI_MADT_ENABLED  1
#define ACPI_MADT_ALL_CPUS 0xff

struct acpi_local_apic { /* 5.2.12.2 */
	uint8_t type, length;
	uint8_t uid;
	uint8_t apic_id;
	uint32_t flags;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_local_apic) == 8, "5.2.12.2");

struct acpi_io_apic { /* 5.2.12.3 */
	uint8_t type, length;
	uint8_t id;
	uint8_t reserved;
	uint32_t address;
	uint32_t gsi_base;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_io_apic) == 12, "5.2.12.3");

struct acpi_local_apic_nmi { /* 5.2.12.7 */
	uint8_t type, length;
	uint8_t uid;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_local_apic_nmi) == 6, "5.2.12.7");

struct acpi_local_x2apic { /* 5.2.12.12 */
	uint8_t type, length;
	uint16_t reserved;
	uint32_t apic_id;
	uint32_t flags;
	uint32_t uid;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_local_x2apic) == 16, "5.2.12.12");

struct acpi_mcfg { /* PCI Firmware 3.3, 4.1.2: one allocation */
	struct acpi_table_header header;
	uint64_t reserved;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved_56;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_mcfg) == 60, "PCI Firmware 3.3, table 4-3");

#endif
