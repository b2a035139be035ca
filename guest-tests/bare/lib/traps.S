/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The entry of each of the 256 vectors: makes all frames alike, then calls trap().
 */

/* Exceptions whose frame has an error code: 8, 10 to 14, 17, 21, 29, 30. */
#define ERROR_CODES 0x60227d00

	.text
	.balign 16
	.globl trap_entries
trap_entries:
	.set vector, 0
	.rept 256
	.balign 16
	.if vector >= 32
	pushq $0
	.elseif !((ERROR_CODES >> vector) & 1)
	pushq $0
	.endif
	pushq $vector
	jmp trap_common
	.set vector, vector + 1
	.endr

trap_common:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	call trap
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq
