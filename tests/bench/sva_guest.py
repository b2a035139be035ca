# SPDX-License-Identifier: GPL-2.0-or-later
"""The sdma device in a guest, driven by sdma-perf (guest-tests/linux/tools/perf.c).

Times: copies between pages of one process by shared virtual addressing, with translations that the
device has (warm), that it has to ask for (cold), and into pages that do not exist yet (faulting);
page requests; binding. And the kernel's own copies behind other kinds of translation.

And what one operation costs the VMM: from `nidus stats` before and after a number of operations and
twice that number, so that what comes once falls out. What the guest does now and then on its own
stays, as a small fraction; else that is exact, whatever the clock is.
"""

import json
import os
import re
import subprocess

from sample import Guest

NAME = "bench-sva"
# The guest runs sdma-perf with the words of each line of its console.
CONSOLE = "console=ttyS0 quiet loglevel=0 panic=-1"
LOOP = 'nidus.cmd="stty -echo; echo ready; while read w; do sdma-perf $w; echo done $?; done"'

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


def command(bench, units, words):
    return [bench.vmms[0].program, "run", "--name", NAME, "-k", "vmlinux", "-i", "guest-sdma.cpio",
            "-m", "512M", "--no-rng", "-p", words, "--sdma", "queues=2"] + units


class Session:
    """A guest that does what it is told, one sdma-perf at a time."""

    def __init__(self, bench, units):
        self.program = bench.vmms[0].program
        self.guest = Guest(bench.vmms[0], command(bench, units, f"{CONSOLE} {LOOP}"), 150,
                           stdin=subprocess.PIPE)
        self.lines = self.guest.lines()

    def __enter__(self):
        try:
            self.until("ready")
        except Exception:
            self.guest.__exit__()
            raise
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
            # The console's are not the device's.
            "exits": sum(g["mmio"] for n, g in groups.items() if n.startswith("vcpu")),
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


def number_of(said, key):
    """What sdma-perf --json has said of @key."""
    return float(re.search(rf'"{key}": ([0-9.]+)', " ".join(said))[1])


def copies(bench, session, words):
    said = session.perf(words)
    for row in json.loads("\n".join(said))["copies"]:
        name = f"sdma copy by SVA, {size_name(row['bytes'])}"
        for what in ("warm", "cold", "faulting"):
            bench.row(f"{name}, {what}", "us", [row[f"{what}_ns"] / 1000],
                      note=f"best: {row[f'{what}_best_ns'] / 1000} us")
        bench.row(f"{name}, ring never empty", "MB/s", [row["queued_mb_s"]])
    for key, name, unit in (("page_request_us", "page request, sent to answered", "us"),
                            ("first_touch_us", "first touch of a page", "us"),
                            ("bind_per_s", "unbind and bind of a PASID", "per s")):
        bench.row(f"sdma {name}", unit, [number_of(said, key)])


def operations(bench, session, parts, where):
    """What operations cost the VMM; that there is none is said of what need not be."""
    count = 25 if bench.quick else 200
    for part, name in parts:
        for what, number in session.costs(part, count).items():
            if what in ("exits", "walks") or number:
                bench.row(f"sdma {name}, {where}: {what}", "each", [number])


def measure(bench, where, units):
    os.makedirs("run", mode=0o700, exist_ok=True)
    os.environ["XDG_RUNTIME_DIR"] = os.path.abspath("run")
    words = f"--json --ms {5 if bench.quick else 30}"
    with Session(bench, units) as session:
        if where == FIRST[0]:
            copies(bench, session, words)
            operations(bench, session, SVA_PARTS, where)
        for part, name in KERNEL_PARTS:
            said = session.perf(f"{words} --only {part}")
            bench.row(f"sdma {name}, {where}", "us", [number_of(said, f"kernel_{part}_us")])
        operations(bench, session, KERNEL_PARTS[1:], where)


def size_name(size):
    for shift, unit in ((20, "MiB"), (10, "KiB")):
        if size >= 1 << shift:
            return f"{size >> shift} {unit}"
    return f"{size} B"


def steps(bench):
    for where, units in (FIRST, SECOND, LEGACY, NONE):
        yield (f"sdma, {where}", measure, bench, where, units)
