/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest for PVH loaders whose first instructions say on COM1 that it runs (GUEST_MARK of guest.h)
 * and whose next ones end it: by the exit port, or where there is none by a triple fault.
 */
	.section .note, "a", @note
	.long 4, 4, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long _start

	.text
	.code32
	.globl _start
_start:
	movw $0x3f8, %dx
	movb $2, %al
	outb %al, %dx
	xorl %eax, %eax
	outl %eax, $0xf4
	lidt no_idt
	ud2

no_idt:	.word 0
	.long 0

	.section .note.GNU-stack, "", @progbits
