/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Invalidation of the caches of translations (6.5), by descriptors and by registers alike.
 *
 * All with unit->lock held. None waits for DMA under way but those that say so: that is what a wait
 * descriptor is for, by vtd_invalidate_finish().
 */
#ifndef NIDUS_VIOMMU_INVALIDATE_H
#define NIDUS_VIOMMU_INVALIDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "viommu/spec.h"

struct vtd_unit;

/*
 * Whether source-ids @a and @b are the same but for the function bits that @mask, FM of 0 to 3,
 * says to ignore: that many, from bit 2 down (6.5.2.1).
 */
static inline bool vtd_source_matches(uint16_t a, uint16_t b, unsigned int mask)
{
	unsigned int ignored = 7 & ~(7u >> mask);

	return !((a ^ b) & ~ignored);
}

/*
 * Context cache, IOTLB, PASID-based IOTLB, PASID cache (6.5.2.1 to 6.5.2.4). @granularity is an
 * enum vtd_granularity; @word the second word of a descriptor, or IVA. False: the granularity is
 * reserved, or the address mask is larger than CAP.MAMV; nothing was done.
 */
bool vtd_invalidate_context(struct vtd_unit *unit, unsigned int granularity, uint16_t did,
			    uint16_t source, unsigned int function_mask);
bool vtd_invalidate_iotlb(struct vtd_unit *unit, unsigned int granularity, uint16_t did,
			  uint64_t word);
bool vtd_invalidate_pasid_iotlb(struct vtd_unit *unit, unsigned int granularity, uint16_t did,
				uint32_t pasid, uint64_t word);
bool vtd_invalidate_pasid_cache(struct vtd_unit *unit, unsigned int granularity, uint16_t did,
				uint32_t pasid);

/*
 * Sends the host what was collected for it, and waits for DMA that may still use what was
 * invalidated. 0, or -errno of the host; *@source then says for which requester, and what failed is
 * sent again by the next call.
 */
int vtd_invalidate_finish(struct vtd_unit *unit, uint16_t *source);

/*
 * Everything at once: SRTP with ESRTPS, reset, TE switched. Waits for DMA under way. Commands
 * cannot fail: what the host does not do now, the next wait sends it again, and says so if that
 * fails.
 */
void vtd_queue_invalidate_all(struct vtd_unit *unit);

/*
 * CCMD and IOTLB_REG with their start bits set (6.5.1): legacy mode only, and not beside the queue.
 * Returns the register's value when done; its actual granularity is 0 if the command was refused or
 * has failed.
 */
uint64_t vtd_queue_context_command(struct vtd_unit *unit, uint64_t ccmd);
uint64_t vtd_queue_iotlb_command(struct vtd_unit *unit, uint64_t iva, uint64_t iotlb);

#endif
