# SPDX-License-Identifier: GPL-2.0-or-later
"""The sdma device in a guest, driven by sdma-perf (guest-tests/linux/tools/perf.c).

Times: copies between pages of one process by shared virtual addressing, with translations that the
device has (warm), that it has to ask for (cold), and into pages that do not exist yet (faulting);
page requests; binding. And the kernel's own copies behind other kinds of translation.

Counts: what one operation costs the VMM, from `nidus stats` before and after a number of operations
and twice that number: what comes once falls out of the difference. These are exact, even where
seconds say nothing.
"""

import json
import os
import re
import subprocess

from sample import Guest

NAME = "bench-sva"
# The guest runs sdma-perf with the words of each line of its console.
LOOP = 'nidus.cmd="stty -echo; echo ready; while read w; do sdma-perf $w; echo done $?; done"'
WORDS = f"console=ttyS0 quiet loglevel=0 panic=-1 {LOOP}"

# What the guest's kernel gets, and how it lets the device reach memory then.
FIRST = ("first stage", ["--vtd"])
SECOND = ("second stage", ["--vtd", "first-stage=off"])
LEGACY = ("legacy mode", ["--vtd", "scalable=off"])
NONE = ("no IOMMU", [])

# Operations that are counted: of sdma-perf, and for people; and those that need no SVA.
SVA_PARTS = (("warm", "4 KiB copy, warm"), ("cold", "4 KiB copy, cold"),
             ("faulting", "4 KiB copy, faulting"), ("request", "page request"),
             ("bind", "unbind and bind"))
KERNEL_PARTS = (("coherent", "4 KiB copy of the kernel, coherent"),
                ("streaming", "4 KiB copy of the kernel, mapped each time"))


class Session:
    """A guest that does what it is told, one sdma-perf at a time."""

    def __init__(self, bench, units):
        self.program = bench.vmms[0].program
        command = [self.program, "run", "--name", NAME, "-k", "vmlinux", "-i", "guest-sdma.cpio",
                   "-m", "512M", "--no-rng", "-p", WORDS, "--sdma", "queues=2"] + units
        self.guest = Guest(bench.vmms[0], command, 150, stdin=subprocess.PIPE)
        self.lines = self.guest.lines()

    def __enter__(self):
        self.until("ready")
        return self

    def __exit__(self, *error):
        self.guest.__exit__(*error)

    def until(self, regex):
        """The lines before the first that matches."""
        before = []
        for line in self.lines:
            if re.fullmatch(regex, line):
                return before, line
            before.append(line)
        raise RuntimeError(f"the guest ended: {before[-3:]} {self.guest.complaint()}")

    def perf(self, words):
        self.guest.process.stdin.write(words.encode() + b"\n")
        self.guest.process.stdin.flush()
        said, end = self.until(r"done \d+")
        if end != "done 0":
            raise RuntimeError(f"sdma-perf {words}: {said[-3:]} {end}")
        return said

    def counters(self):
        run = subprocess.run([self.program, "stats", NAME, "--json"], stdout=subprocess.PIPE,
                             timeout=20, check=True)
        groups = json.loads(run.stdout)
        unit = groups.get("vtd0", {})
        return {
            # Exits of the guest that reached the VMM; the console's own are not the device's.
            "exits": sum(g["mmio"] + g["other"] for n, g in groups.items() if n.startswith("vcpu")),
            "descriptors": groups["sdma0"]["descriptors"],
            "walks": unit.get("walks", 0),
            "invalidations": sum(n for name, n in unit.items() if name.startswith("invalidate_")
                                 and name != "invalidate_ns"),
            "waits": unit.get("waits", 0),
            "page requests": unit.get("page_requests", 0),
        }

    def costs(self, part, count):
        """What one operation of @part costs."""
        taken = [self.counters()]
        for n in (count, 2 * count):
            self.perf(f"--only {part} --count {n}")
            taken.append(self.counters())
        return {what: (taken[2][what] - 2 * taken[1][what] + taken[0][what]) / count
                for what in taken[0]}


def copies(bench, session):
    said = session.perf(f"--json --ms {5 if bench.quick else 30}")
    result = json.loads("\n".join(said))
    for row in result["copies"]:
        size = size_name(row["bytes"])
        for what in ("warm", "cold", "faulting"):
            bench.row(f"sdma copy by SVA, {size}, {what}", "us", [row[f"{what}_ns"] / 1000],
                      note=f"best: {row[f'{what}_best_ns'] / 1000} us")
        bench.row(f"sdma copy by SVA, {size}, ring never empty", "MB/s", [row["queued_mb_s"]])
    bench.row("sdma page request, sent to answered", "us", [result["page_request_us"]])
    bench.row("sdma first touch of a page", "us", [result["first_touch_us"]])
    bench.row("sdma unbind and bind of a PASID", "per s", [result["bind_per_s"]])


def kernel_times(bench, session, where):
    for part, name in KERNEL_PARTS:
        said = " ".join(session.perf(f"--json --ms {5 if bench.quick else 50} --only {part}"))
        bench.row(f"sdma {name}, {where}", "us", [float(re.search(r": ([0-9.]+)", said)[1])])


def counted(bench, session, parts, where):
    count = 50 if bench.quick else 200
    for part, name in parts:
        for what, number in session.costs(part, count).items():
            # An operation of the kernel has one descriptor; that needs no row.
            if what == "descriptors" or (what != "exits" and where == NONE[0]):
                continue
            bench.row(f"sdma {name}, {where}: {what}", "each", [number])


def measure(bench, where, units):
    os.makedirs("run", mode=0o700, exist_ok=True)
    os.environ["XDG_RUNTIME_DIR"] = os.path.abspath("run")
    with Session(bench, units) as session:
        if where == FIRST[0]:
            copies(bench, session)
            counted(bench, session, SVA_PARTS, where)
        kernel_times(bench, session, where)
        counted(bench, session, KERNEL_PARTS[1:], where)


def size_name(size):
    for shift, unit in ((20, "MiB"), (10, "KiB")):
        if size >= 1 << shift:
            return f"{size >> shift} {unit}"
    return f"{size} B"


def steps(bench):
    for where, units in (FIRST, SECOND, LEGACY, NONE):
        yield (f"sdma, {where}", measure, bench, where, units)
