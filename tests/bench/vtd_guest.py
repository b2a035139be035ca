# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests behind an IOMMU: ours beside QEMU's intel-iommu, with one kernel and one initramfs.

Linux's own dma_map_benchmark says what mapping a buffer and unmapping it takes, strict (each unmap
waits for its invalidation) and lazy (invalidations are put off and done together). The disk load of
bench.py says what is left of it when every address is translated.
"""

from sample import Guest

WORDS = "quiet loglevel=0 intel_iommu=on iommu.passthrough=0"
PEER = "QEMU q35 intel-iommu"


def dma_map(vmm, strict, runs):
    """{(what, pages): [ns]} of one guest."""
    results = {}
    words = f"{WORDS} iommu.strict={strict} bench=dma runs={runs} seconds=1"
    command = vmm.command("vmlinux", words, initrd="bench.cpio", iommu=True)
    with Guest(vmm, command, 120) as guest:
        guest.wait_mark()
        for line in guest.lines():
            words = line.split()
            if words[:1] == ["failed"]:
                raise RuntimeError(f"{vmm.name}: the guest {line}")
            if words[:1] == ["dma"]:
                pages, mapping, unmapping = (int(word) for word in words[1:])
                results.setdefault(("map", pages), []).append(mapping)
                results.setdefault(("unmap", pages), []).append(unmapping)
        if not results:
            raise RuntimeError(f"{vmm.name}: no result: {guest.complaint()}")
    return results


def half_of_peer(value, peer_value):
    return None if peer_value is None else value <= peer_value / 2


def at_most_peer(value, peer_value):
    return None if peer_value is None else value <= peer_value


def dma_rows(bench, nidus, peer):
    runs = 1 if bench.quick or bench.counting else 3
    unit, scale = ("instructions", 1 / 2) if bench.counting else ("ns", 1)
    for strict, name in ((1, "strict"), (0, "lazy")):
        ours, theirs = dma_map(nidus, strict, runs), dma_map(peer, strict, runs)
        for (what, pages), samples in sorted(ours.items()):
            # Half of its time; of its instructions most are KVM's own, the same for both: an access
            # to a register that does nothing takes three quarters of ours.
            half = strict and what == "unmap" and not bench.counting
            bench.row(f"dma_{what}_single, {name}, {pages} page{'s' if pages > 1 else ''}", unit,
                      [ns * scale for ns in samples], PEER,
                      [ns * scale for ns in theirs.get((what, pages), [])],
                      "half of the peer's" if half else "the peer's",
                      half_of_peer if half else at_most_peer)


def disk_rows(bench, nidus, peer):
    for strict, name in ((1, "strict"), (0, "lazy")):
        results, _ = bench.disk_load([nidus, peer], f"{WORDS} iommu.strict={strict}", iommu=True)
        bench.disk_rows(results.get(nidus.name, {}), PEER, results.get(peer.name, {}),
                        f", {name} IOMMU")


def steps(bench):
    nidus, _, peer = bench.vmms
    yield ("dma_map_benchmark", dma_rows, bench, nidus, peer)
    if not bench.counting:
        # Not with a clock that counts: see bench.py.
        yield ("virtio-blk behind an IOMMU", disk_rows, bench, nidus, peer)
