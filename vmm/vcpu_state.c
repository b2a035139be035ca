/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole state of a vCPU, as KVM lets us read and write it: what a reset puts back.
 *
 * KVM has no call that resets a vCPU. So its state is read when it is new, and written in the order
 * that KVM needs: nested virtualisation is left first, the base of the LAPIC (in the special
 * registers) is there before the LAPIC, and whether the vCPU runs comes last.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "devices/base.h"
#include "devices/log.h"
#include "vmm/vm.h"

#define NESTED_SIZE 16384 /* of a vCPU that is not in a nested guest, and more */

/* Time goes on: no reset sets a clock back that all vCPUs share. */
#define MSR_IA32_TSC 0x10

union msr {
	struct kvm_msrs list;
	uint8_t bytes[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

struct vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	_Alignas(struct kvm_xsave) uint8_t xsave[sizeof(struct kvm_xsave)];
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debug;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	union {
		struct kvm_nested_state state;
		uint8_t bytes[NESTED_SIZE];
	} nested;
	unsigned int msr_count;
	struct kvm_msr_entry msr[];
};

#define PART(get, set, field, required)                                                          \
	{                                                                                        \
		KVM_GET_##get, KVM_SET_##set, #get, offsetof(struct vcpu_state, field), required \
	}

/* In the order in which they are written; MSRs come between the LAPIC and the events. */
static const struct part {
	unsigned long get, set;
	const char *name;
	size_t offset;
	bool required; /* every KVM has it */
} before_msrs[] = {
	PART(NESTED_STATE, NESTED_STATE, nested, false),
	PART(SREGS, SREGS, sregs, true),
	PART(XCRS, XCRS, xcrs, false),
	PART(XSAVE, XSAVE, xsave, true),
	PART(REGS, REGS, regs, true),
	PART(LAPIC, LAPIC, lapic, true),
}, after_msrs[] = {
	PART(VCPU_EVENTS, VCPU_EVENTS, events, true),
	PART(DEBUGREGS, DEBUGREGS, debug, true),
	PART(MP_STATE, MP_STATE, mp, true),
};

/* --- MSRs: one at a time, for KVM stops at the first that it refuses --- */

static bool msr_call(const struct vcpu *vcpu, unsigned long request, struct kvm_msr_entry *entry)
{
	union msr msr = { .list.nmsrs = 1 };
	bool done;

	msr.list.entries[0] = *entry;
	done = ioctl(vcpu->fd, request, &msr) == 1;
	*entry = msr.list.entries[0];
	return done;
}

/* The numbers of all MSRs that KVM saves, to be freed; or NULL, with errno. */
static struct kvm_msr_list *list_msrs(const struct machine *machine)
{
	struct kvm_msr_list head = { 0 }, *list;
	int error;

	/* There is no room for any, and KVM says how many there are. */
	if (ioctl(machine->kvm, KVM_GET_MSR_INDEX_LIST, &head) < 0 && errno != E2BIG)
		return NULL;
	list = calloc(1, sizeof(*list) + head.nmsrs * sizeof(list->indices[0]));
	if (!list)
		return NULL;
	list->nmsrs = head.nmsrs;
	if (ioctl(machine->kvm, KVM_GET_MSR_INDEX_LIST, list) >= 0)
		return list;
	error = errno;
	free(list);
	errno = error;
	return NULL;
}

/* @state has room for all of @list. */
static void keep_msrs(struct vcpu *vcpu, struct vcpu_state *state, const struct kvm_msr_list *list)
{
	for (unsigned int i = 0; i < list->nmsrs; i++) {
		struct kvm_msr_entry *entry = &state->msr[state->msr_count];

		*entry = (struct kvm_msr_entry){ .index = list->indices[i] };
		if (list->indices[i] != MSR_IA32_TSC && msr_call(vcpu, KVM_GET_MSRS, entry))
			state->msr_count++;
	}
}

/* Some that can be read cannot be written, not even with what was read. */
static void restore_msrs(struct vcpu *vcpu, const struct vcpu_state *state)
{
	for (unsigned int i = 0; i < state->msr_count; i++) {
		struct kvm_msr_entry entry = state->msr[i];

		if (!msr_call(vcpu, KVM_SET_MSRS, &entry))
			log_debug(KVM, "vCPU %u: MSR %#x stays as it is", vcpu->index, entry.index);
	}
}

/* --- The rest --- */

static int keep_parts(struct vcpu *vcpu, const struct part *parts, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		void *to = (uint8_t *)vcpu->power_on + parts[i].offset;

		if (ioctl(vcpu->fd, parts[i].get, to) < 0 && parts[i].required) {
			int rc = -errno;

			log_error(KVM, "vCPU %u: %s: %s", vcpu->index, parts[i].name,
				  strerror(-rc));
			return rc;
		}
	}
	return 0;
}

static int restore_parts(struct vcpu *vcpu, const struct part *parts, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		void *from = (uint8_t *)vcpu->power_on + parts[i].offset;

		if (ioctl(vcpu->fd, parts[i].set, from) < 0 && parts[i].required)
			return -errno;
	}
	return 0;
}

static int keep(struct vcpu *vcpu, const struct kvm_msr_list *list)
{
	int rc;

	vcpu->power_on =
		calloc(1, sizeof(*vcpu->power_on) + list->nmsrs * sizeof(vcpu->power_on->msr[0]));
	if (!vcpu->power_on)
		return -ENOMEM;
	vcpu->power_on->nested.state.size = NESTED_SIZE;
	rc = keep_parts(vcpu, before_msrs, ARRAY_SIZE(before_msrs));
	if (rc)
		return rc;
	keep_msrs(vcpu, vcpu->power_on, list);
	return keep_parts(vcpu, after_msrs, ARRAY_SIZE(after_msrs));
}

int vcpu_keep_state(struct vcpu *vcpu)
{
	struct kvm_msr_list *list = list_msrs(vcpu->machine);
	int rc = list ? 0 : -errno;

	/* That memory is short is said by who builds the machine. */
	if (rc && rc != -ENOMEM)
		log_error(KVM, "vCPU %u: KVM does not list its MSRs: %s", vcpu->index,
			  strerror(-rc));
	if (list)
		rc = keep(vcpu, list);
	free(list);
	return rc;
}

int vcpu_restore_state(struct vcpu *vcpu)
{
	int rc = restore_parts(vcpu, before_msrs, ARRAY_SIZE(before_msrs));

	if (rc)
		return rc;
	restore_msrs(vcpu, vcpu->power_on);
	vcpu->delivery_retries = 0;
	return restore_parts(vcpu, after_msrs, ARRAY_SIZE(after_msrs));
}

void vcpu_forget_state(struct vcpu *vcpu)
{
	free(vcpu->power_on);
	vcpu->power_on = NULL;
}
