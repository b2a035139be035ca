# SPDX-License-Identifier: GPL-2.0-or-later
"""The sdma device in a guest, driven by sdma-perf (guest-tests/linux/tools/perf*.c).

By shared virtual addressing: the rows of `nidus bench --modes emulated`. And the kernel's own copies
behind other kinds of translation, with what one operation costs the VMM: from `nidus stats` before
and after a number of operations and twice that number, so that what comes once falls out.
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

# Operations: of sdma-perf, and for people.
PARTS = (("coherent", "4 KiB copy of the kernel, coherent"),
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


def kernel(bench, where, units):
    """The kernel's copies; that there is no cost is said of what need not be."""
    prepare()
    count = 25 if bench.quick else 200
    with Session(bench, units) as session:
        for part, name in PARTS:
            said = session.perf(f"--json --ms {5 if bench.quick else 30} --only {part}")
            bench.row(f"sdma {name}, {where}", "us", [json.loads(said[-1])["mean_ns"] / 1000])
        for what, number in session.costs("streaming", count).items():
            if what in ("exits", "walks") or number:
                bench.row(f"sdma {PARTS[1][1]}, {where}: {what}", "each", [number])


def shared(bench):
    """What `nidus bench` says; its table is the same."""
    prepare()
    run = subprocess.run([bench.vmms[0].program, "bench", "-k", "vmlinux", "-i", "guest-sdma.cpio",
                          "-m", "512M", "--json"] + (["--quick"] if bench.quick else []),
                         stdout=subprocess.PIPE, timeout=600, check=True)
    for line in run.stdout.splitlines()[1:]:
        row = json.loads(line)
        if "missing" in row:
            raise RuntimeError(row["missing"])
        size = size_name(row["bytes"]) if "bytes" in row else ""
        size = f"{row['pages']} pages" if "pages" in row else size
        bench.row(" ".join(["sdma", row["what"], size]).strip(), row["unit"], [row["value"]],
                  note=f"best: {row['best']}" if "best" in row else "")


def prepare():
    os.makedirs("run", mode=0o700, exist_ok=True)
    os.environ["XDG_RUNTIME_DIR"] = os.path.abspath("run")


def size_name(size):
    for shift, unit in ((20, "MiB"), (10, "KiB")):
        if size >= 1 << shift:
            return f"{size >> shift} {unit}"
    return f"{size} B"


def steps(bench):
    yield ("sdma, shared virtual addressing", shared, bench)
    for where, units in (FIRST, SECOND, LEGACY, NONE):
        yield (f"sdma, {where}", kernel, bench, where, units)
