/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the multiboot entry (32-bit, paging off) and from an application processor's (16-bit) to C
 * in long mode. Memory below 4 GiB is identity-mapped by tables that the assembler makes; lib/memory.c
 * maps what lies above.
 */
#include "lib/start.h"

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 3 /* modules page-aligned, memory map wanted */

#define CODE64 0x08
#define DATA   0x10
#define CODE32 0x18

#define CR0_PE	 (1 << 0)
#define CR0_MP	 (1 << 1)
#define CR0_NE	 (1 << 5)
#define CR0_WP	 (1 << 16)
#define CR0_PG	 (1 << 31)
#define CR4_PAE	 (1 << 5)
#define EFER	 0xc0000080
#define EFER_LME (1 << 8)

#define PAGE_RW	   3 /* present, writable */
#define PAGE_LARGE (1 << 7)

	.section .multiboot, "a"
	.balign 4
	.long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

/* Both ways in: expects paging off and flat 32-bit segments; clobbers eax, ecx and edx. */
	.macro ENTER_LONG_MODE to
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $page_map_level_4, %eax
	movl %eax, %cr3
	movl $EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl $(CR0_PE | CR0_MP | CR0_NE | CR0_WP | CR0_PG), %eax
	movl %eax, %cr0
	ljmp $CODE64, $\to
	.endm

	.macro LOAD_DATA_SEGMENTS
	movl $DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl %eax, %ss
	.endm

	.text
	.code32
	.globl _start
_start:
	cli
	cld
	movl %eax, boot_magic
	movl %ebx, boot_info
	lgdt gdt_pointer
	ENTER_LONG_MODE start64

	.code64
start64:
	LOAD_DATA_SEGMENTS
	movl $boot_stack_end, %esp
	xorl %ebp, %ebp
	call start
1:	cli
	hlt
	jmp 1b

/* Copied below 1 MiB, to a page boundary: a SIPI starts it with cs:ip = page << 8:0. */
	.code16
	.globl trampoline, trampoline_end
trampoline:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	lgdtl gdt_pointer_copy - trampoline
	movl $(CR0_PE), %eax
	movl %eax, %cr0
	ljmpl $CODE32, $ap_start32
	.balign 4
gdt_pointer_copy:
	.word gdt_end - gdt - 1
	.long gdt
trampoline_end:

	.code32
ap_start32:
	LOAD_DATA_SEGMENTS
	ENTER_LONG_MODE ap_start64

	.code64
ap_start64:
	LOAD_DATA_SEGMENTS
	/* Its place in the order of arrival picks its stack. */
	movl $1, %edi
	lock xaddl %edi, ap_arrivals
	leal 1(%rdi), %eax
	shll $AP_STACK_SHIFT, %eax
	movq ap_stacks, %rsp
	addq %rax, %rsp
	xorl %ebp, %ebp
	call ap_start
1:	cli
	hlt
	jmp 1b

	.data
	.balign 8
gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 64-bit code */
	.quad 0x00cf93000000ffff /* data */
	.quad 0x00cf9b000000ffff /* 32-bit code */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt

	.globl boot_magic, boot_info, ap_arrivals, ap_stacks, page_map_level_4
	.balign 8
boot_magic:
	.long 0
boot_info:
	.long 0
ap_arrivals:
	.long 0
	.balign 8
ap_stacks:
	.quad 0

	.balign 4096
page_map_level_4:
	.quad page_directory_pointers + PAGE_RW
	.fill 511, 8, 0
page_directory_pointers:
	.quad page_directories + PAGE_RW
	.quad page_directories + 0x1000 + PAGE_RW
	.quad page_directories + 0x2000 + PAGE_RW
	.quad page_directories + 0x3000 + PAGE_RW
	.fill 508, 8, 0
page_directories:
	.set address, 0
	.rept 4 * 512
	.quad address + (PAGE_LARGE | PAGE_RW)
	.set address, address + 0x200000
	.endr

	.bss
	.balign 16
boot_stack:
	.skip BOOT_STACK_SIZE
boot_stack_end:
