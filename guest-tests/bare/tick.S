/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The smallest guest: its first two instructions end it. What a run of it takes is what the VMM
 * takes to start a VM and to end it.
 */
#define MULTIBOOT_MAGIC 0x1badb002

	.section .multiboot, "a"
	.balign 4
	.long MULTIBOOT_MAGIC, 0, -MULTIBOOT_MAGIC

	.text
	.code32
	.globl _start
_start:
	xorl %eax, %eax
	outl %eax, $0xf4
	cli
1:	hlt
	jmp 1b
